"""What a service tells systemd (``sd_notify(3)``, ``sd_watchdog_enabled(3)``)."""

from __future__ import annotations

import logging
import os
import socket
import time
from typing import TYPE_CHECKING, Final

import anyio

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import NoReturn

_LOGGER: Final = logging.getLogger("anycan.service")


class Notifier:
    """Tells the service manager how a service is doing, where there is one that wants to know.

    What cannot be told is logged at the level ``DEBUG``, and harms nobody.

    Args:
        environment: The environment variables: ``NOTIFY_SOCKET`` (a path, or a name of the abstract
            namespace that begins with ``@``), ``WATCHDOG_USEC`` and ``WATCHDOG_PID``; None: those
            of this process.
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        environment = os.environ if environment is None else environment
        address = environment.get("NOTIFY_SOCKET", "")
        # vsock:… is for virtual machines, whose own manager tells what is told there.
        self._address = address if address[:1] in {"/", "@"} else ""
        self._watchdog = self._watchdog_interval(environment) if self._address else None

    @staticmethod
    def _watchdog_interval(environment: Mapping[str, str]) -> float | None:
        """Give the seconds between two signs of life, half of what is waited for one."""
        if environment.get("WATCHDOG_PID", f"{os.getpid()}") != f"{os.getpid()}":
            return None  # it is another process that is watched
        try:
            microseconds = int(environment.get("WATCHDOG_USEC", ""))
        except ValueError:
            return None
        return microseconds / 2e6 if 0 < microseconds < 1 << 64 else None

    @property
    def watchdog_interval(self) -> float | None:
        """Seconds between two signs of life; None: none are wanted."""
        return self._watchdog

    def ready(self, status: str) -> None:
        """Tell that the service is there, or there again with what was loaded.

        Args:
            status: What it does, in a line for people.
        """
        self._tell("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        """Tell that what the service goes by is loaded anew; :meth:`ready` tells the end of it."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """Tell that the service ends."""
        self._tell("STOPPING=1")

    async def keep_watchdog(self) -> NoReturn:
        """Give signs of life, if they are wanted, until it is cancelled."""
        while self._watchdog is not None:
            self._tell("WATCHDOG=1")
            await anyio.sleep(self._watchdog)
        await anyio.sleep_forever()
        raise AssertionError  # pragma: no cover - never comes here

    def _tell(self, *lines: str) -> None:
        if not self._address:
            return
        address = f"\0{self._address[1:]}" if self._address[0] == "@" else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.setblocking(False)
                sender.sendto(
                    "\n".join(line.replace("\n", " ") for line in lines).encode(), address
                )
        except OSError as error:
            _LOGGER.debug("%s was not told %s: %s", self._address, lines[0], error)
