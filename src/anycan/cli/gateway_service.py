"""A gateway as a service: it goes by a file and by signals, and tells how it is doing."""

from __future__ import annotations

import logging
import signal
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Final

import anyio
import attrs

from anycan import CanError, Gateway, GatewayFileError, GatewayPort, load_gateway_file
from anycan.cli.common import counted, error_text, leaves_of
from anycan.cli.gateway_check import mistakes_of
from anycan.cli.gateway_signals import Orders, open_orders
from anycan.cli.gateway_thread import run_in_daemon

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from anycan import GatewayFile, GatewayStatistics, Rule, RuleStatistics
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

    async def run(self) -> bool:
        """Run it.

        Returns:
            Whether it has been told to end; else it could not begin or go on, and has logged why.
        """
        async with open_orders() as orders:  # before anything else: signals that come early wait
            file = await orders.unless_ended(self._load)
            if orders.end is not None:
                self._tell_end(orders.end)
                return True
            return file is not None and await self._run(file, orders)

    async def _run(self, file: GatewayFile, orders: Orders) -> bool:
        gateway = Gateway(
            self._rules_of(file),
            name=file.name,
            missing=file.missing,
            check_others=self._check_others,
        )
        failures: list[BaseException] = []
        try:
            await self._forward(gateway, file, orders)
        except* (CanError, OSError) as group:
            failures = list(leaves_of(group))
        for text in dict.fromkeys(error_text(failure) for failure in failures):
            _LOGGER.error("%s", text)
        for line in summary(gateway.statistics()):
            _LOGGER.info("%s", line)
        return not failures

    async def _forward(self, gateway: Gateway, file: GatewayFile, orders: Orders) -> None:
        async with anyio.create_task_group() as tasks:
            await tasks.start(gateway.run)
            self._tell_ready(gateway)
            tasks.start_soon(self._notifier.keep_watchdog)
            while (number := await orders.next()) == signal.SIGHUP:
                file = await self._reload(gateway, file, orders)
            self._tell_end(number)
            gateway.stop()
            tasks.cancel_scope.cancel()

    async def _reload(self, gateway: Gateway, file: GatewayFile, orders: Orders) -> GatewayFile:
        """Load the file anew; give what it says, or what it said where that is wrong."""
        _LOGGER.info("SIGHUP: loading %s", self._path)
        self._notifier.reloading()
        # A module that the file names may take any time to import.
        new = await orders.unless_ended(self._load)
        if orders.end is not None:
            return file
        try:
            if new is not None:
                await gateway.replace(self._rules_of(new))
        except (CanError, OSError) as error:
            _LOGGER.error("%s", error_text(error))  # noqa: TRY400 - whoever wrote the rules needs no traceback
            new = None
        if new is None:
            _LOGGER.error("the rules stay as they were")
            self._notifier.ready("the last reload was refused; the rules are those from before")
            return file
        if (new.name, new.missing) != (gateway.name, file.missing):
            _LOGGER.warning("another name, and another way with missing interfaces, need a restart")
        self._tell_ready(gateway)
        return new

    async def _load(self) -> GatewayFile | None:
        """Give what the file says; None: it is wrong, which has been logged."""
        try:
            return await run_in_daemon(partial(load_gateway_file, self._path))
        except GatewayFileError as error:
            for mistake in mistakes_of(error):
                _LOGGER.error("%s", mistake)  # noqa: TRY400 - as above
        except OSError as error:
            _LOGGER.error("%s", error_text(error))  # noqa: TRY400 - as above
        return None

    def _tell_end(self, number: signal.Signals) -> None:
        _LOGGER.info("%s: ending", number.name)
        self._notifier.stopping()

    def _rules_of(self, file: GatewayFile) -> Iterable[Rule]:
        if self._network is None:
            return file.rules
        return [_on_network(rule, self._network) for rule in file.rules]

    def _tell_ready(self, gateway: Gateway) -> None:
        for line in gateway.explain().splitlines():
            _LOGGER.info("%s", line)
        status = f"forwarding by {counted(len(gateway.rules), 'rule')}"
        _LOGGER.info("gateway %r: %s", gateway.name, status)
        self._notifier.ready(status)


def _on_network(rule: Rule, network: str) -> Rule:
    source, *destinations = (
        GatewayPort(port.interface, network) for port in (rule.source, *rule.destinations)
    )
    return attrs.evolve(rule, source=source, destination=destinations)


def summary(statistics: GatewayStatistics) -> list[str]:
    """Tell in a line for each rule what became of its frames; and of each interface, what was lost.

    Args:
        statistics: The counters.
    """
    lines = [_rule_summary(rule) for rule in statistics.rules]
    lines += (
        f"{port.interface}: {port.overflowed:,} lost as the receive buffer was full,"
        f" {port.malformed:,} malformed"
        for port in statistics.ports
        if port.overflowed or port.malformed
    )
    return lines


def _rule_summary(rule: RuleStatistics) -> str:
    dropped: Counter[str] = Counter(rule.dropped)
    for destination in rule.destinations:
        dropped.update(destination.dropped)
    line = f"{rule.name}: {rule.received:,} received, {rule.forwarded:,} forwarded"
    count = dropped.total()
    return f"{line}, {count:,} dropped ({listed(dropped)})" if count else line


def listed(dropped: Mapping[str, int]) -> str:
    """List reasons for which frames were dropped, each with how many.

    Args:
        dropped: How many, by the reason.
    """
    return ", ".join(f"{reason} {count:,}" for reason, count in dropped.items() if count)
