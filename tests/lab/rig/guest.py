"""A lab as a child process: its output, its end."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from rig.lines import is_message

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

_TAIL_LINES: Final = 40
_GRACE: Final = 5.0


class Guest:
    """A running lab.

    The emulator opens its standard output anew, truncating it, so both streams go through a pipe
    to a ``cat`` each, and from there into files. No thread of this process reads them: it would
    disturb the tests that run meanwhile.

    Args:
        command: Gives the command line, told the directory for its files.
        environment: Its environment; None: this process's.
    """

    def __init__(
        self,
        command: Callable[[Path], Sequence[str]],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="anycan-lab-")
        directory = Path(self._directory.name)
        self._output = directory / "output"
        self._console = directory / "console"
        self._offset = 0
        self._copiers = [_copier(path) for path in (self._output, self._console)]
        output, console = (copier.stdin for copier in self._copiers)
        try:
            self._process = subprocess.Popen(  # noqa: S603 - the caller's own words
                command(directory),
                env=environment,
                stdin=subprocess.PIPE,  # open as long as the guest shall live
                stdout=output,
                stderr=console,
                start_new_session=True,  # Ctrl-C is for this process, which ends the guest
            )
        except BaseException:
            self._clean_up()
            raise
        finally:
            for stream in (output, console):
                if stream is not None:
                    stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def status(self) -> int | None:
        """The exit status, once all output has arrived; None: it runs."""
        status = self._process.poll()
        if status is None or any(copier.poll() is None for copier in self._copiers):
            return None
        return status

    def read_lines(self) -> list[str]:
        """Give the whole lines written to the standard output since the last call."""
        with self._output.open("rb") as file:
            file.seek(self._offset)
            data = file.read()
        end = data.rfind(b"\n") + 1
        self._offset += end
        return data[:end].decode(errors="replace").splitlines()

    def tail(self) -> str:
        """Give the end of what the guest and its kernel wrote, for a failure's text.

        Messages are left out: nobody can read them.
        """
        parts = []
        for title, path in (("output", self._output), ("console", self._console)):
            text = path.read_text(errors="replace")
            lines = [line for line in text.splitlines() if line.strip() and not is_message(line)]
            parts.append("\n".join((f"--- end of the guest's {title} ---", *lines[-_TAIL_LINES:])))
        return "\n".join(parts)

    def stop(self) -> None:
        """End the guest, if it runs, and remove its files."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_GRACE)
        self._clean_up()

    def _clean_up(self) -> None:
        for copier in self._copiers:
            copier.kill()
            copier.wait()
        self._directory.cleanup()


def _copier(path: Path) -> subprocess.Popen[bytes]:
    with path.open("wb") as file:
        return subprocess.Popen(
            ["cat"],  # noqa: S607 - wherever it is
            stdin=subprocess.PIPE,
            stdout=file,
            start_new_session=True,
        )
