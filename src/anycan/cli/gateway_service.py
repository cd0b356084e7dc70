"""A gateway as a service: it goes by a file, by signals, and tells how it is doing."""

from __future__ import annotations

import logging
import signal
from typing import TYPE_CHECKING, Final

import anyio
import attrs
from anyio import to_thread

from anycan import CanError, Gateway, GatewayFileError, GatewayPort, load_gateway_file
from anycan.cli.common import counted
from anycan.cli.gateway_check import mistakes_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from anycan import GatewayFile, Rule, RuleStatistics
    from anycan.cli.notify import Notifier

_LOGGER: Final = logging.getLogger("anycan.service")


class GatewayService:
    """Runs a gateway until it is told to end.

    SIGHUP has its file loaded anew, SIGTERM and SIGINT end it.

    Args:
        path: The file of its rules.
        notifier: Tells the service manager.
        check_others: Look for circles over what others forward.
        network: Where the interfaces are; None: the default.
    """

    def __init__(
        self, path: Path, notifier: Notifier, *, check_others: bool, network: str | None
    ) -> None:
        self._path = path
        self._notifier = notifier
        self._check_others = check_others
        self._network = network
        self._file: GatewayFile | None = None

    async def run(self) -> bool:
        """Run it.

        Returns:
            It was told to end; False: it could not go on, and has logged why.
        """
        file = await self._load()
        if file is None:
            return False
        gateway = Gateway(
            self._rules_of(file),
            name=file.name,
            missing=file.missing,
            check_others=self._check_others,
        )
        ended_by: list[BaseException] = []
        try:
            await self._forward(gateway)
        except* (CanError, OSError) as group:
            ended_by.extend(_leaves(group))
        for error in dict.fromkeys(map(_text, ended_by)):
            _LOGGER.error("%s", error)
        ...
