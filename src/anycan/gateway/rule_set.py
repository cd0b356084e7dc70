"""The rules of a gateway that are in force, and their ports: changed whole, or not at all."""

from __future__ import annotations

import logging
import operator
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Final

import anyio
from anyio import to_thread

from anycan.exceptions import UnknownInterfaceError
from anycan.gateway.kernel_side import KernelRule
from anycan.gateway.port import Port
from anycan.gateway.running_rule import RunningRule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from anycan.gateway.kernel_side import KernelSide
    from anycan.gateway.plan import Choice, PortKey

_LOGGER: Final = logging.getLogger("anycan.gateway")


class RuleSet:
    """Rules in force.

    Args:
        missing_allowed: Interfaces need not be there.
        on_lost: Called when an interface is not there.

    Attributes:
        choices: The rules that are in force, and who forwards for each.
        ports: The interfaces that this process forwards between.
        running: The rules that this process forwards by, by name.
        kernel_rules: The rules that the kernel forwards by, by name.
    """

    def __init__(self, *, missing_allowed: bool, on_lost: Callable[[], object]) -> None:
        self._missing_allowed = missing_allowed
        self._on_lost = on_lost
        self.choices: list[Choice] = []
        self.ports: dict[PortKey, Port] = {}
        self.running: dict[str, RunningRule] = {}
        self.kernel_rules: dict[str, KernelRule] = {}

    def new_kernel_rules(self, choices: Iterable[Choice]) -> list[KernelRule]:
        """Give what is to be installed in the kernel, and is not there yet."""
        new = []
        for choice in choices:
            known = self.kernel_rules.get(choice.planned.name)
            if choice.routes is not None and not (
                known and known.planned == choice.planned and known.wanted == choice.routes
            ):
                new.append(KernelRule(choice))
        return new

    async def change(
        self,
        choices: Sequence[Choice],
        kernel_rules: Sequence[KernelRule],
        kernel: KernelSide | None,
    ) -> None:
        """Have other rules in force; on an error everything is as it was.

        A rule that goes over to the kernel, or comes back from it, neither loses a frame nor has
        one forwarded twice, but for those that come during the kernel's own call; what waits for a
        destination then is dropped, as when a rule ends.

        Args:
            choices: All rules, and who forwards for each.
            kernel_rules: Those that have just been installed in the kernel.
            kernel: What asks the kernel; None: nothing does.

        Raises:
            CanOSError: An interface cannot be opened.
        """
        try:
            running, started = self._make_ready(choices)
        except BaseException:
            self.go_on(kernel_rules)
            if kernel is not None and kernel_rules:
                with anyio.CancelScope(shield=True):
                    await to_thread.run_sync(kernel.remove, kernel_rules)
            raise
        # From here on nothing fails, and nothing ends it half-way.
        self.choices = list(choices)
        going = self._let_go(kernel_rules)
        back = [rule for rule in started if self._is_kernels(rule)]
        self._take_over(running, started, back)
        for new, old in going:
            new.past = old.counters.statistics(new.name)
        ended = self._take_over_kernel(kernel_rules)
        if ended and kernel is not None:
            with anyio.CancelScope(shield=True):
                await to_thread.run_sync(kernel.remove, ended)
            by_name = {rule.name: rule for rule in ended}
            for rule in back:
                before = by_name[rule.name]
                rule.counters.past = before.statistics()
                rule.resume(partial(operator.lt, before.removed_ns))

    def hold(self, kernel_rules: Iterable[KernelRule]) -> None:
        """Keep frames of rules that are about to be installed in the kernel, as they are."""
        for _, old in self._same(kernel_rules):
            old.hold()

    def go_on(self, kernel_rules: Iterable[KernelRule]) -> None:
        """Forward on as before: they were not installed."""
        for _, old in self._same(kernel_rules):
            old.resume(bool)

    def _same(self, kernel_rules: Iterable[KernelRule]) -> list[tuple[KernelRule, RunningRule]]:
        """Give those that this process forwards by, and each with what it is to become."""
        return [
            (new, self.running[new.name])
            for new in kernel_rules
            if new.name in self.running and self.running[new.name].rule == new.planned.rule
        ]

    def _let_go(self, kernel_rules: Iterable[KernelRule]) -> list[tuple[KernelRule, RunningRule]]:
        """Forward what came before the kernel began to, read or not."""
        going = self._same(kernel_rules)
        for source in {old.source for _, old in going}:
            source.read_all()  # they all keep what comes
        for new, old in going:
            old.resume(partial(operator.ge, new.installed_ns))
        return going

    def _is_kernels(self, rule: RunningRule) -> bool:
        known = self.kernel_rules.get(rule.name)
        return known is not None and known.planned.rule == rule.rule

    def _make_ready(
        self, choices: Iterable[Choice]
    ) -> tuple[dict[str, RunningRule], list[RunningRule]]:
        """Open what is needed: the rules that are to run, and those of them that begin."""
        running: dict[str, RunningRule] = {}
        started: list[RunningRule] = []
        with ExitStack() as undo:
            undo.callback(self._close_unused)
            for choice in choices:
                planned = choice.planned
                if choice.routes is not None:
                    continue
                known = self.running.get(planned.name)
                if known is None or known.rule != planned.rule:
                    source, *destinations = [self._port(key) for key in planned.ports]
                    known = RunningRule(planned.name, planned.rule, source, destinations)
                    started.append(known)
                running[planned.name] = known
            undo.pop_all()
        return running, started

    def _port(self, key: PortKey) -> Port:
        port = self.ports.get(key)
        if port is not None:
            return port
        port = Port(*key, on_lost=self._on_lost)
        try:
            port.open()
        except UnknownInterfaceError as error:
            if not self._missing_allowed:
                raise
            _LOGGER.warning("%s; forwarding to and from it begins then", error.strerror)
            self._on_lost()
        self.ports[key] = port
        return port

    def _take_over(
        self,
        running: dict[str, RunningRule],
        started: Iterable[RunningRule],
        held: Iterable[RunningRule],
    ) -> None:
        # New ones begin before old ones end, and nothing is read in between: no frame is lost that
        # both take, and none is forwarded twice.
        for rule in started:
            if rule in held:
                rule.start_held()
            else:
                rule.start()
        for name, rule in self.running.items():
            if running.get(name) is not rule:
                rule.stop()
        self.running = running
        self._close_unused()
        for port in self.ports.values():
            port.reach(
                [
                    outlet
                    for rule in running.values()
                    if rule.source is port and rule.caller is None
                    for outlet in rule.outlets
                ]
            )
            port.tell_kernel()

    def _take_over_kernel(self, installed: Iterable[KernelRule]) -> list[KernelRule]:
        """Take note of what the kernel forwards by; give what it is to do so no longer."""
        kept = {one.planned.name for one in self.choices if one.routes is not None}
        new = {one.name: one for one in installed}
        ended = [
            rule for name, rule in self.kernel_rules.items() if name not in kept or name in new
        ]
        for rule in ended:
            del self.kernel_rules[rule.name]
        self.kernel_rules |= new
        return ended

    def _close_unused(self) -> None:
        """Close interfaces, and sockets of these, that no rule needs."""
        rules = self.running.values()
        used = {port for rule in rules for port in (rule.source, *rule.destinations)}
        outlets = {outlet for rule in rules for outlet in rule.outlets}
        for key in [key for key, port in self.ports.items() if port not in used]:
            self.ports.pop(key).close()
        for port in self.ports.values():
            port.keep(outlets)

    def close(self) -> None:
        """Forward no more."""
        for rule in self.running.values():
            rule.stop()
        for port in self.ports.values():
            port.close()
