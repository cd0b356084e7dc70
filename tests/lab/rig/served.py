"""A network that another process serves, one for all tests of a session.

    python -m rig.served PATH

serves an empty one at a path until its standard input ends.
"""

from __future__ import annotations

import atexit
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path


def main(path: str) -> None:
    import anyio  # noqa: PLC0415 - the rig's own tests do without

    import anycan  # noqa: PLC0415 - as above

    async def serve() -> None:
        async with anycan.UserNetwork() as network, anyio.create_task_group() as tasks:
            await tasks.start(network.serve, path)
            sys.stdout.write("ready\n")
            sys.stdout.flush()
            await anyio.to_thread.run_sync(sys.stdin.read, abandon_on_cancel=True)
            tasks.cancel_scope.cancel()

    anyio.run(serve)


@cache
def served_path() -> str:
    """Give the path of a network that another process serves; it is started at the first call."""
    directory = tempfile.TemporaryDirectory(prefix="anycan")
    path = str(Path(directory.name) / "network")
    server = subprocess.Popen(  # noqa: S603 - words of this file
        [sys.executable, "-m", "rig.served", path],
        cwd=Path(__file__).parents[1],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert server.stdin is not None
    assert server.stdout is not None
    assert server.stdout.readline() == b"ready\n"

    def end() -> None:
        server.communicate()
        directory.cleanup()

    atexit.register(end)
    return path


if __name__ == "__main__":
    main(sys.argv[1])
