"""Running a command that uses a served network, for as long as the network is served."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Final

import anyio

from anycan.cli.common import say

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from anyio.abc import Process

_NOT_FOUND: Final = 127  # as shells have it
_NOT_EXECUTABLE: Final = 126
_SIGNALLED: Final = 128


async def run_command(
    command: Sequence[str], network: str, signals: AsyncIterator[signal.Signals]
) -> int:
    """Run a command with ``ANYCAN_NETWORK`` set.

    Args:
        command: Its words.
        network: The name of the network.
        signals: What this process is told. Ctrl-C is told the command by the terminal as well, and
            it may need its time to end; what comes after that, or another signal, ends it.

    Returns:
        Its exit status, as a shell gives it.
    """
    environment = os.environ | {"ANYCAN_NETWORK": network}
    try:
        process = await anyio.open_process(
            command, stdin=None, stdout=None, stderr=None, env=environment
        )
    except OSError as error:
        say(f"{command[0]} cannot be run: {error.strerror}")
        return _NOT_FOUND if isinstance(error, FileNotFoundError) else _NOT_EXECUTABLE
    async with process, anyio.create_task_group() as tasks:
        tasks.start_soon(_pass_on, signals, process)
        status = await process.wait()
        tasks.cancel_scope.cancel()
    return status if status >= 0 else _SIGNALLED - status


async def _pass_on(signals: AsyncIterator[signal.Signals], process: Process) -> None:
    interrupted = False
    async for number in signals:
        if number == signal.SIGINT and not interrupted:
            interrupted = True
        else:
            process.terminate()
