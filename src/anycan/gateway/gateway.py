"""Forwarding between interfaces, by rules."""

from __future__ import annotations

import itertools
import json
import os
import secrets
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, Literal

from anyio import TASK_STATUS_IGNORED, to_thread

from anycan.endpoints.link_values import LinkWait, resolve_policy
from anycan.exceptions import GatewayError, GatewayRunningError
from anycan.gateway.force import Force
from anycan.gateway.links import GatewayLinks
from anycan.gateway.presence import ask, check_name, find_gateways
from anycan.gateway.report import edges_report, statistics_report
from anycan.gateway.rule import Rule
from anycan.gateway.statistics import GatewayStatistics

if TYPE_CHECKING:
    from collections.abc import Callable

    from anyio.abc import TaskStatus

    from anycan.endpoints.link_values import LinkGap, OnLinkLoss
    from anycan.exceptions import CanOSError

_numbers: Final = itertools.count(1)


class Gateway:
    """Forwards frames between interfaces, of the kernel and of user-space networks.

    Each rule takes one of three paths. A rule that can-gw can express is **the kernel's**: frames
    do not pass through this process at all. Else this process forwards, in batches, the frames'
    **bytes**, and makes no object of them; unless the rule has a function to **call**, which is
    given frames.

    **No circles.** What a gateway sends does not come back into it: all its rules share one socket
    for each interface, which does not receive what it has sent, and the kernel counts over how
    many of its rules a frame has gone. Before it begins, a gateway looks whether frames could come
    back over another gateway's rules, over rules of can-gw or over a pair of ``vxcan``, and says
    over which.

    **Each destination for itself.** One that is down or slow holds up no other: frames wait in the
    rule's own bounded queue, and what is lost is counted with the reason. An interface that is gone
    is opened again when it is back.

    Args:
        rules: The rules, in any order.
        name: What the gateway is called by others: 1 to 60 letters, digits and ``. _ -``. Under one
            name one gateway runs at a time in a network namespace. None: a name of its own.
        missing: What to do when an interface is not there at the start: ``"raise"``, or ``"wait"``
            for it.
        check_others: Look whether frames could come back over what others forward.
        on_link_loss: ``"wait"`` or a :class:`LinkWait`: an interface that goes down, is removed or
            bus-off is waited for, while everything else goes on; what is to go to it meanwhile is
            dropped and counted. ``"raise"``: with one that goes down or is removed the gateway
            ends.
        on_gap: Called with a :class:`LinkGap` when the link of an interface is lost, and when it
            is back.

    Raises:
        GatewayError: The name is none, or what is given is no rule.
        ValueError: ``on_link_loss`` is none of these, or ``on_gap`` would never be called.

    Example:
        >>> async def main() -> None:
        ...     async with UserNetwork() as network:
        ...         network.add_vcan("vcan0")
        ...         network.add_vcan("vcan1")
        ...         gateway = Gateway([
        ...             Rule(
        ...                 source=GatewayPort("vcan0", network),
        ...                 destination=GatewayPort("vcan1", network),
        ...                 filter=Filter.range(0x100, 0x1FF),
        ...             )
        ...         ])
        ...         async with (
        ...             open_raw("vcan0", network=network) as near,
        ...             open_raw("vcan1", network=network) as far,
        ...             anyio.create_task_group() as tasks,
        ...         ):
        ...             await tasks.start(gateway.run)
        ...             await near.send(Frame(0x200, b"stays"))
        ...             await near.send(Frame(0x123, b"passes"))
        ...             print(await far.receive())
        ...             gateway.stop()
        >>> anyio.run(main)
        123#706173736573
    """

    def __init__(
        self,
        rules: Iterable[Rule] = (),
        *,
        name: str | None = None,
        missing: Literal["raise", "wait"] = "raise",
        check_others: bool = True,
        on_link_loss: OnLinkLoss = "wait",
        on_gap: Callable[[LinkGap], object] | None = None,
    ) -> None:
        self._rules = _checked(rules)
        if name is not None:
            check_name(name)
        self._given_name = name
        # Process numbers are not enough: containers of one network may have the same ones.
        own = f"anycan-{os.getpid()}-{next(_numbers)}-{secrets.token_hex(3)}"
        self.name: Final = own if name is None else name
        if missing not in {"raise", "wait"}:
            raise GatewayError(f'missing is "raise" or "wait", not {missing!r}')
        self._missing_allowed = missing == "wait"
        self._check_others = check_others
        self._wait = resolve_policy(on_link_loss, on_gap)
        self._on_gap = on_gap
        self._force: Force | None = None
        self._last: GatewayStatistics | None = None
        self._started = 0.0

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules that are in force, or come into force when it runs."""
        return self._rules

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Forward until :meth:`stop` is called. Cancelling it ends it as cleanly.

        What it has put into the kernel, it takes out again. What a former gateway left there that
        was killed, it removes at the start, whatever that one's name was.

        Args:
            task_status: For ``tasks.start(gateway.run)``, which returns when it forwards.

        Raises:
            GatewayRunningError: It runs already, or one of its name does.
            GatewayLoopError: A frame could come back to where it came from.
            OffloadError: A rule requires the kernel's path, and the kernel cannot.
            UnknownInterfaceError: An interface is not there (and ``missing`` is ``"raise"``).
            CanPermissionError: A rule requires the kernel's path, which needs ``CAP_NET_ADMIN``.
            InterfaceDownError: An interface went down, with ``on_link_loss="raise"``.
            InterfaceRemovedError: An interface was removed, with ``on_link_loss="raise"``.
            CanOSError: An interface cannot be opened for another reason.
        """
        if self._force is not None:
            raise GatewayRunningError(f"gateway {self.name!r} runs already", os.getpid())
        raises = self._wait is None
        links = GatewayLinks(
            self._wait or LinkWait(), self._on_gap, self._link_lost if raises else None
        )
        force = self._force = Force(
            self.name,
            report=self._report,
            is_named=self._given_name is not None,
            missing_allowed=self._missing_allowed,
            check_others=self._check_others,
            links=links,
        )
        self._started = time.monotonic()
        try:
            await force.run(self._rules, task_status)
        finally:
            self._last = force.statistics()
            self._force = None

    def _link_lost(self, error: CanOSError) -> None:
        if self._force is not None:
            self._force.fail(error)

    def stop(self) -> None:
        """End :meth:`run`. What waits is dropped and counted; it does nothing where none runs."""
        if self._force is not None:
            self._force.stop()

    async def replace(self, rules: Iterable[Rule]) -> None:
        """Take other rules into force.

        Rules that stay the same forward on as if nothing happened: none of their frames is lost,
        and their counts go on. When something is wrong, everything stays as it was. Do not cancel
        it: with rules of the kernel's, some of the old ones may then be left in force.

        Args:
            rules: All rules that are to be in force.

        Raises:
            GatewayError: As the constructor.
            GatewayLoopError: As :meth:`run`, and so are the rest of its errors.
        """
        new = _checked(rules)
        if self._force is not None:
            await self._force.apply(new)
        self._rules = new

    def statistics(self) -> GatewayStatistics:
        """Give the counters; after :meth:`run` has ended, those that it ended with.

        What the kernel counts is a moment old while it is being given rules.
        """
        if self._force is not None:
            return self._force.statistics()
        return self._last or GatewayStatistics(rules=(), ports=())

    def explain(self) -> str:
        """Tell in a line for each rule which path it takes, and why; empty: it does not run."""
        return "" if self._force is None else self._force.explain()

    def _report(self) -> bytes:
        """Give what other processes are told."""
        force = self._force
        if force is None:
            return b"{}"
        report: dict[str, Any] = {
            "gateway": self.name,
            "process": os.getpid(),
            "seconds": round(time.monotonic() - self._started, 3),
            "edges": edges_report(force.edges()),
        }
        report |= statistics_report(force.statistics(), force.reasons())
        return json.dumps(report).encode()

    def __repr__(self) -> str:
        state = "" if self._force is None else " running"
        return f"<Gateway {self.name!r}{state}, {len(self._rules)} rules>"


def _checked(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    if isinstance(rules, Rule):
        return (rules,)
    given: object = rules
    if not isinstance(given, Iterable):
        raise GatewayError(f"a gateway has rules, not {given!r}")
    found = tuple(rules)
    for position, one in enumerate(found):
        if not isinstance(one, Rule):
            raise GatewayError(f"rules[{position}] is a Rule, not {one!r}")
    return found


async def list_gateways() -> list[str]:
    """Give the names of the gateways that run on this machine, in this network namespace.

    Not among them are those that have no name and are on user-space networks alone.
    """
    return [name for _, name in await to_thread.run_sync(find_gateways)]


async def read_gateway(name: str) -> dict[str, Any]:
    """Ask a running gateway for its state.

    Args:
        name: Its name.

    Returns:
        Plain values, as JSON has them. ``gateway`` is its name, ``process`` the number of its
        process, ``seconds`` how long it has run. ``rules`` is a list with, of each rule, ``name``,
        ``path``, ``reason`` (why it is not the kernel's), ``received``, ``forwarded``, ``dropped``
        (by reason, with all destinations), ``waiting``, ``latency`` (``count``, and ``median`` and
        ``p99`` in seconds, or None) and ``destinations``. ``ports`` is a list with, of each
        interface, ``interface``, ``state``, ``received``, ``not_taken``, ``overflowed``,
        ``malformed`` and ``gaps``. ``edges`` is what other gateways look at to find circles.

    Raises:
        GatewayError: There is no gateway of that name, or it does not answer.
    """
    return await to_thread.run_sync(ask, name)
