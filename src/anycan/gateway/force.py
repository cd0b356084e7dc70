"""A gateway while it runs: its ports, its rules in force, its tasks."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Final

import anyio
from anyio import to_thread

from anycan.exceptions import (
    CanOSError,
    CanPermissionError,
    GatewayError,
    GatewayLoopError,
    OffloadError,
    ProtocolUnavailableError,
)
from anycan.gateway.kernel_side import KernelSide
from anycan.gateway.loops import Edge, explain_loop, find_loop
from anycan.gateway.neighbours import other_edges
from anycan.gateway.plan import (
    KERNEL_CARRIER,
    Choice,
    PlannedRule,
    choose_paths,
    edges_of,
    plan_rules,
)
from anycan.gateway.presence import Presence, claim
from anycan.gateway.rule_set import RuleSet
from anycan.gateway.statistics import GatewayStatistics
from anycan.gateway.user_wires import edges_of_wires
from anycan.sockets.kernel import KernelNetwork
from anycan.sockets.netlink import NetlinkSocket

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from anyio.abc import TaskGroup, TaskStatus

    from anycan.gateway.links import GatewayLinks
    from anycan.gateway.outlet import Outlet
    from anycan.gateway.plan import PortKey
    from anycan.gateway.rule import Rule
    from anycan.network.base import Network

_LOGGER: Final = logging.getLogger("anycan.gateway")
_LOOK_AGAIN: Final = 0.1  # seconds between two looks whether an interface has come back
_running: Final[set[Force]] = set()  # in this process


class Force:
    """Rules in force.

    Args:
        name: The gateway's name.
        report: Gives what other processes are told of it.
        is_named: The name was given: others find the gateway by it, whatever its networks.
        missing_allowed: Interfaces may be missing at the start.
        check_others: Look whether frames could come back over what others forward.
        links: Follows the links.
    """

    def __init__(
        self,
        name: str,
        *,
        report: Callable[[], bytes],
        is_named: bool,
        missing_allowed: bool,
        check_others: bool,
        links: GatewayLinks,
    ) -> None:
        self._links = links
        self._failure: CanOSError | None = None
        self._name = name
        self._report = report
        self._is_named = is_named
        self._check_others = check_others
        self._set = RuleSet(missing_allowed=missing_allowed, on_lost=self._note_lost)
        self._intended: list[Choice] = []
        self._ended = False
        self._presence: Presence | None = None
        self._kernel: KernelSide | None = None
        self._kernel_refusal = ""
        self._tasks: TaskGroup | None = None
        self._scopes: dict[object, anyio.CancelScope] = {}
        self._stopped = anyio.Event()
        self._lost = anyio.Event()
        self._lock = anyio.Lock()

    def stop(self) -> None:
        """End :meth:`run`."""
        self._stopped.set()

    def fail(self, error: CanOSError) -> None:
        """End :meth:`run` with an error."""
        self._failure = error  # one that is removed goes down first
        self._stopped.set()

    async def run(self, rules: Sequence[Rule], task_status: TaskStatus[None]) -> None:
        """Forward until it is stopped."""
        failure: BaseException | None = None
        with ExitStack() as held:
            held.callback(self._close)
            _running.add(self)
            held.callback(_running.discard, self)
            try:
                async with anyio.create_task_group() as tasks:
                    self._tasks = tasks
                    try:
                        await self.apply(rules)
                    except Exception as error:  # noqa: BLE001 - raised below, in no group
                        failure = error
                    else:
                        task_status.started()
                        await self._stopped.wait()
                        failure = self._failure
                    finally:
                        self._ended = True
                        self._tasks = None
                    tasks.cancel_scope.cancel()
            finally:
                with anyio.CancelScope(shield=True):
                    async with self._lock:  # rules may be being replaced still
                        installed = list(self._set.kernel_rules.values())
                        if self._kernel is not None and installed:
                            await to_thread.run_sync(self._kernel.remove, installed)
        if failure is not None:
            raise failure

    async def _prepare(self, rules: Sequence[PlannedRule]) -> None:
        """Be known to others, and clear away what those before have left in the kernel."""
        on_kernel = any(
            isinstance(network, KernelNetwork) for one in rules for network, _ in one.ports
        )
        if self._presence is None and (on_kernel or self._is_named):
            self._presence = claim(self._name)
        if on_kernel and self._presence is not None and self._kernel is None:
            self._kernel_refusal = ""
            try:
                self._kernel = KernelSide(self._presence.tag)
            except CanOSError as error:
                self._kernel_refusal = error.strerror or str(error)
                return
            await to_thread.run_sync(self._kernel.clear_orphans)

    def _close(self) -> None:
        self._links.close()
        self._set.close()
        if self._kernel is not None:
            self._kernel.close()
        if self._presence is not None:
            self._presence.close()

    # Taking rules into force

    async def apply(self, rules: Sequence[Rule]) -> None:
        """Take other rules into force; on an error everything stays as it was.

        Once the gateway ends, it does nothing.
        """
        async with self._lock:
            if self._ended:
                return
            try:
                await self._apply(rules)
            finally:
                self._intended = []

    async def _apply(self, rules: Sequence[Rule]) -> None:
        known = [choice.planned for choice in self._set.choices]
        planned = plan_rules(rules, known)
        await self._prepare(planned)
        choices = self._choose(planned)
        # Others that begin at the same time are told of these before they are asked for theirs.
        self._intended = choices
        self._start_tasks()
        await self._check_circles(choices)
        kernel_rules = self._set.new_kernel_rules(choices)
        if kernel_rules and self._kernel is not None:
            self._set.hold(kernel_rules)
            try:
                await to_thread.run_sync(self._kernel.install, kernel_rules)
            except BaseException as error:
                self._set.go_on(kernel_rules)
                if not isinstance(error, CanOSError | GatewayError):
                    raise
                reason = getattr(error, "strerror", None) or str(error)
                required = [one for one in kernel_rules if one.planned.rule.offload == "require"]
                if required:
                    raise OffloadError(
                        f"rule {required[0].name!r} requires the kernel's path: {reason}"
                    ) from error
                choices = self._intended = self._choose(planned, reason)
                if isinstance(error, CanPermissionError | ProtocolUnavailableError):
                    self._kernel_refusal = reason  # and will refuse the next time
                await self._check_circles(choices)
                kernel_rules = []
        await self._set.change(choices, kernel_rules, self._kernel)
        self._start_tasks()

    def _choose(self, planned: Sequence[PlannedRule], refusal: str = "") -> list[Choice]:
        refusal = refusal or self._kernel_refusal
        if self._kernel is None and not refusal:
            refusal = "it is on a user-space network"
        return choose_paths(planned, refusal)

    def _note_lost(self) -> None:
        self._lost.set()

    # Circles

    async def _check_circles(self, choices: Sequence[Choice]) -> None:
        own = [
            edge
            for choice in choices
            for edge in edges_of(
                choice.planned,
                self._carrier if choice.routes is None else KERNEL_CARRIER,
                f"rule {choice.planned.name!r}",
            )
        ]
        others: list[Edge] = []
        if self._check_others:
            others = [edge for force in _running if force is not self for edge in force.edges()]
            networks = [network for choice in choices for network, _ in choice.planned.ports]
            others += edges_of_wires([*networks, *_networks_of(_running - {self})])
            if self._presence is not None:
                netlink = None if self._kernel is None else self._kernel.netlink
                others += await to_thread.run_sync(other_edges, self._presence.tag, netlink)
        path = await to_thread.run_sync(find_loop, own, others)
        if path is not None:
            stations = (*(edge.source[1] for edge in path), path[-1].destination[1])
            raise GatewayLoopError(explain_loop(path), stations)

    @property
    def _carrier(self) -> str:
        return f"gateway {id(self):x}"

    def edges(self) -> list[Edge]:
        """Give the ways that this process forwards frames; the kernel tells of its own."""
        return [
            edge
            for choice in (*self._set.choices, *self._intended)
            if choice.routes is None
            for edge in edges_of(
                choice.planned,
                self._carrier,
                f"gateway {self._name!r}, rule {choice.planned.name!r}",
            )
        ]

    def ports(self) -> list[PortKey]:
        """Give the interfaces that this process forwards between."""
        choices = (*self._set.choices, *self._intended)
        return [key for choice in choices for key in choice.planned.ports]

    # Tasks

    def _start_tasks(self) -> None:
        """Have the tasks that there are to be, and no others."""
        tasks = self._tasks
        if tasks is None:
            return
        keys = (key for choice in self._set.choices for key in choice.planned.ports)
        self._links.follow(keys, self._set.ports)
        wanted: dict[object, Callable[[], object]] = {self: self._open_again}
        if self._presence is not None:
            wanted[self._presence] = partial(self._presence.serve, self._report)
        if self._kernel is not None:
            wanted[self._kernel] = self._watch_kernel
        outlets: Iterable[Outlet] = (
            outlet for port in self._set.ports.values() for outlet in port.outlets()
        )
        for outlet in outlets:
            wanted[outlet] = outlet.run
        for rule in self._set.running.values():
            if rule.caller is not None:
                wanted[rule.caller] = rule.caller.run
        for key in self._scopes.keys() - wanted.keys():
            self._scopes.pop(key).cancel()
        for key, run in wanted.items():
            if key not in self._scopes:
                scope = self._scopes[key] = anyio.CancelScope()
                tasks.start_soon(_run_in, scope, run)

    async def _open_again(self) -> None:
        """Open interfaces again that have come back."""
        while True:
            await self._lost.wait()
            self._lost = anyio.Event()
            while not all(port.is_settled for port in self._set.ports.values()):
                await anyio.sleep(_LOOK_AGAIN)
                for port in list(self._set.ports.values()):
                    port.settle()

    async def _watch_kernel(self) -> None:
        """Put rules back into the kernel, which drops them with their interfaces."""
        try:
            events = NetlinkSocket()
        except CanOSError as error:
            _LOGGER.warning(
                "interfaces that come back are not noticed by the kernel's: %s", error.strerror
            )
            return
        with events:
            events.join_links()
            while True:
                await anyio.wait_readable(events.fileno())
                try:
                    events.events()
                except CanOSError as error:
                    _LOGGER.debug("%s", error.strerror)
                await self._mend_kernel()

    async def _mend_kernel(self) -> None:
        """Put back what the kernel has dropped, once all interfaces of a rule are there."""
        kernel = self._kernel
        async with self._lock:
            if kernel is None or not self._set.kernel_rules:
                return
            try:
                fit = await to_thread.run_sync(kernel.mend, [*self._set.kernel_rules.values()])
                if not fit:
                    await self._apply([choice.planned.rule for choice in self._set.choices])
            except (CanOSError, GatewayError) as error:
                reason = getattr(error, "strerror", None) or error
                _LOGGER.warning("the kernel's rules could not be put back: %s", reason)

    # Telling

    def statistics(self) -> GatewayStatistics:
        """Give the counters."""
        if self._kernel is not None and self._set.kernel_rules:
            self._kernel.look(self._set.kernel_rules.values())
        found = []
        for choice in self._set.choices:
            name = choice.planned.name
            if name in self._set.kernel_rules:
                found.append(self._set.kernel_rules[name].statistics())
            elif name in self._set.running:
                found.append(self._set.running[name].counters.statistics(name))
        ports = tuple(port.statistics() for port in self._set.ports.values())
        return GatewayStatistics(rules=tuple(found), ports=ports)

    def reasons(self) -> dict[str, str]:
        """Give by rule why this process forwards for it; empty: the kernel does."""
        return {choice.planned.name: choice.reason for choice in self._set.choices}

    def explain(self) -> str:
        """Tell of each rule which path it takes, and why."""
        lines = []
        for choice in self._set.choices:
            if choice.routes is not None:
                path = f"by the kernel ({len(choice.routes)} rules of can-gw)"
            elif choice.planned.rule.call is not None:
                path = "by this process, which calls a function"
            else:
                path = f"by this process, since {choice.reason}"
            lines.append(f"{choice.planned.name}: {path}")
        return "\n".join(lines)


def _networks_of(forces: Iterable[Force]) -> list[Network]:
    """Give the networks that others in this process forward on."""
    return [network for force in forces for network, _ in force.ports()]


async def _run_in(scope: anyio.CancelScope, run: Callable[[], object]) -> None:
    with scope:
        await run()  # type: ignore[misc]  # a coroutine function
