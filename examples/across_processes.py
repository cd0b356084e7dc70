"""Two processes on one network that one of them serves, and what happens when the other one dies.

A bench serves a network, has an interface on it itself, and starts a node in a process of its own.
The node is a program like any other: it is told by an environment variable which network is meant.
The bench takes some frames, and kills the node: the beat ends with it.

Usage:

    python across_processes.py can0      # be the node, on can0; Ctrl-C ends it
    python across_processes.py --user    # be the bench, and start a node
"""

from __future__ import annotations

import os
import sys
from tempfile import TemporaryDirectory

import anyio

from anycan import Frame, RawEndpoint, UserNetwork, open_bcm, open_raw


async def node(interface: str) -> None:
    """Tell a temperature every 10 ms, until cancelled."""
    async with (
        open_bcm(interface) as bcm,
        bcm.send_cyclic(Frame(0x3C0, bytes([21])), interval=0.01),
    ):
        await anyio.sleep_forever()


async def bench() -> None:
    """Serve a network, and watch a node live and die."""
    with TemporaryDirectory() as directory:
        path = f"{directory}/can"
        async with UserNetwork() as network, anyio.create_task_group() as tasks:
            network.add_vcan("vcan0")
            await tasks.start(network.serve, path)
            async with open_raw("vcan0", network=network) as can:
                await watch_a_node(can, path)
            tasks.cancel_scope.cancel()


async def watch_a_node(can: RawEndpoint, path: str) -> None:
    """Start a node on the network that is served at a path, and kill it."""
    words = [sys.executable, __file__, "vcan0"]
    environment = os.environ | {"ANYCAN_NETWORK": f"unix:{path}"}
    async with await anyio.open_process(
        words, stdin=None, stdout=None, stderr=None, env=environment
    ) as process:
        for _ in range(3):
            print(await can.receive())
        process.kill()
        await process.wait()
    beats = True
    while beats:
        with anyio.move_on_after(0.2) as waiting:
            await can.receive()
        beats = not waiting.cancelled_caught
    print("the node is dead, and its beat has ended")


def main() -> None:
    """Run it on the interface that was named."""
    match sys.argv[1:]:
        case ["--user"]:
            anyio.run(bench)
        case [interface]:
            try:
                anyio.run(node, interface)
            except KeyboardInterrupt:
                print("stopped")
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
