"""Whether a link can be used now; and to wait until it can be again.

A gate follows one interface by the network's monitor. It opens and closes in the monitor's
callbacks, whether or not anybody waits at it; so a socket is bound again at the moment when its
interface is back, and not only when somebody receives next.
"""

from __future__ import annotations

import errno
import logging
import os
from typing import TYPE_CHECKING, Final
from weakref import WeakMethod

import anyio
import attrs

from anycan.endpoints.link_values import LinkGap, worse
from anycan.exceptions import (
    CanOSError,
    InterfaceDownError,
    InterfaceRemovedError,
    NetworkUnavailableError,
    UnknownInterfaceError,
)
from anycan.interfaces.events import InterfaceChanged, InterfaceEvent
from anycan.interfaces.monitor import attach_monitor
from anycan.interfaces.restarter import keep_restarting
from anycan.interfaces.values import LinkCondition
from anycan.loops.background import start_background

if TYPE_CHECKING:
    from collections.abc import Callable

    from anycan.endpoints.link_values import LinkWait
    from anycan.interfaces.events import EventsLost
    from anycan.interfaces.monitor import LinkMonitor
    from anycan.interfaces.restarter import Restarter
    from anycan.interfaces.values import Interface
    from anycan.loops.background import Background
    from anycan.network.base import Network

_LOGGER: Final = logging.getLogger("anycan.endpoints")
_FIRST_DELAY: Final = 0.01  # seconds, before a socket that could not be bound is tried again
_LAST_DELAY: Final = 0.2

LINK_LOSS: Final = (InterfaceDownError, InterfaceRemovedError)
"""What a socket tells when its link is lost."""


class LinkGate:
    """Whether one interface can be used.

    Args:
        network: Where it is.
        interface: Its name.
        policy: How to wait for it.
        on_gap: Called with each gap when it begins and when it has ended.
        renew: Called when the interface has been made anew, to bind to it again: gives its index,
            or raises :class:`OSError` when it is gone already; None: nothing is bound.

    Attributes:
        gap: The gap that there is now; None: the link can be used.
        gaps: How many there have been, with this one.
        turn: Who sends through the gate, one after the other.
        on_open: Called when a gap has ended.
        on_renewed: Called when ``renew`` has bound the socket, and so taken its error: the loop may
            have ceased to poll it.
        on_shut: Called when the link is lost, with its condition; and again when that changes.
        on_end: Called when the network is closed, so that the link will not come back.

    Raises:
        ProtocolUnavailableError: Links cannot be watched here.
    """

    def __init__(
        self,
        network: Network,
        interface: str,
        policy: LinkWait,
        on_gap: Callable[[LinkGap], object] | None,
        renew: Callable[[], int] | None = None,
        index: int = 0,
    ) -> None:
        self.interface = interface
        self.gap: LinkGap | None = None
        self.gaps = 0
        self.on_open: Callable[[], object] = bool
        self.on_renewed: Callable[[], object] = bool
        self.on_shut: Callable[[LinkCondition], object] = bool
        self.on_end: Callable[[], object] = bool
        self._policy = policy
        self._on_gap = on_gap
        self._renew = renew
        self._bound = index
        self._condition = LinkCondition.UP
        self._opened: anyio.Event | None = None
        self.turn = anyio.Lock()
        self._ended = False
        self._restarter: Restarter | None = None
        self._retry: Background | None = None
        self._monitor: LinkMonitor | None = attach_monitor(network, self)
        self._evaluate()

    # What happens

    def link_event(self, event: InterfaceEvent | EventsLost) -> None:
        """Take note of what has happened to a link."""
        if not isinstance(event, InterfaceEvent):
            return
        interface = event.interface
        renamed = isinstance(event, InterfaceChanged) and event.before.name == self.interface
        named = self.interface == interface.name or self.interface in interface.other_names
        if named or interface.index == self._bound or renamed:
            self._evaluate()

    def monitor_ended(self) -> None:
        """Take note that the network is closed."""
        if not self._ended:
            self._ended = True
            self.gap = None
            self.on_end()
            self._wake()

    def noticed(self, error: CanOSError) -> bool:
        """Take note of what the socket told; tell whether the gate deals with it."""
        if self._monitor is None or self._ended:
            return False
        if not isinstance(error, (*LINK_LOSS, UnknownInterfaceError)):
            return False
        self._monitor.catch_up()
        return not self._ended

    def _evaluate(self) -> None:
        """Find out how the link is."""
        if self._monitor is None:
            return
        interface = self._find()
        condition = LinkCondition.REMOVED if interface is None else interface.condition
        if condition is self._condition:
            return
        self._condition = condition
        if condition is LinkCondition.UP:
            self._open()
        else:
            self._shut(condition)

    def _find(self) -> Interface | None:
        """Give the interface, once the socket is bound to it."""
        tracker = self._monitor.tracker if self._monitor is not None else None
        if tracker is None:
            return None
        there = tracker.known.get(self._bound)
        if there is not None:
            return there
        self._bound = 0
        there = tracker.by_name(self.interface)
        if there is None or self._renew is None:
            return there
        if self.gap is None:  # it went and came in one event, since others were lost
            self._condition = LinkCondition.REMOVED
            self._shut(self._condition)
        try:
            self._bound = self._renew()
        except NetworkUnavailableError:  # gone again, and told of next
            return None
        except OSError as error:
            if error.errno not in {errno.ENODEV, errno.ENXIO}:
                self._try_again(error)
            return None
        self.on_renewed()
        return there if there.index == self._bound else tracker.known.get(self._bound)

    def _try_again(self, error: OSError) -> None:
        """Bind again later: a socket of ISO-TP cannot be while a transfer of it is under way."""
        if self._retry is not None and not self._retry.done:
            return
        if error.errno != errno.EAGAIN:
            _LOGGER.warning("%s is back and cannot be used: %s", self.interface, error.strerror)
        self._retry = start_background(self._bind_later)

    async def _bind_later(self) -> None:
        delay = _FIRST_DELAY
        # Where it is gone again, it is bound when there is one of its name, by an event.
        while not self._bound and self._is_there:
            await anyio.sleep(delay)
            delay = min(2 * delay, _LAST_DELAY)
            self._evaluate()

    @property
    def _is_there(self) -> bool:
        monitor = self._monitor
        return monitor is not None and monitor.tracker.by_name(self.interface) is not None

    # The gap

    def _shut(self, condition: LinkCondition) -> None:
        gap = self.gap
        if gap is None:
            self.gaps += 1
            now_ns = self._now_ns()
            self.gap = LinkGap(interface=self.interface, condition=condition, began_ns=now_ns)
            _LOGGER.warning(
                "%s: the link is lost (%s), and waited for", self.interface, condition.value
            )
            self._tell(self.gap)
        else:
            self.gap = attrs.evolve(gap, condition=worse(gap.condition, condition))
        if condition is LinkCondition.BUS_OFF:
            self._have_restarted()
        self.on_shut(condition)

    def _have_restarted(self) -> None:
        """See to it that the controller is restarted, if that is this one's to do."""
        delays, monitor = self._policy.restart, self._monitor
        if delays is not None and monitor is not None and self._restarter is None:
            healthy = self._policy.healthy
            name, index = self.interface, self._bound
            self._restarter = keep_restarting(monitor, name, delays, healthy, index)

    def _open(self) -> None:
        gap, self.gap = self.gap, None
        if gap is not None:
            gap = attrs.evolve(gap, ended_ns=self._now_ns())
            _LOGGER.info("%s: the link is back after %.3f s", self.interface, gap.seconds)
            self._wake()
            self.on_open()
            self._tell(gap)

    def _now_ns(self) -> int:
        return 0 if self._monitor is None else self._monitor.now_ns()

    def _tell(self, gap: LinkGap) -> None:
        if self._on_gap is not None:
            try:
                self._on_gap(gap)
            except Exception:  # the user's own function; the endpoint goes on
                _LOGGER.exception("on_gap= of %s failed", self.interface)

    def _wake(self) -> None:
        if self._opened is not None:
            self._opened.set()
            self._opened = None

    async def wait(self) -> None:
        """Wait until the link can be used, or never can be again, or the gate is closed."""
        while self.gap is not None and not self._ended and self._monitor is not None:
            if self._opened is None:
                self._opened = anyio.Event()
            await self._opened.wait()

    @property
    def ended(self) -> bool:
        """Whether the network is closed, so that the link will not come back."""
        return self._ended

    def close(self) -> None:
        """Follow the link no more; who waits is woken. A second time does nothing."""
        monitor, self._monitor = self._monitor, None
        if monitor is not None:
            monitor.remove(self)
            if self._restarter is not None:
                self._restarter.release()
                self._restarter = None
            if self._retry is not None:
                self._retry.cancel()
            self._wake()


def weakly(method: Callable[[], object]) -> Callable[[], object]:
    """Give what calls a method while its object is there, and does not keep that alive.

    What nobody closed is found out when nobody holds it any more.
    """
    reference = WeakMethod(method)

    def call() -> object:
        found = reference()
        return None if found is None else found()

    return call


def weak_renewal(method: Callable[[], int]) -> Callable[[], int]:
    """Give what calls a method that binds a socket again, and does not keep its object alive."""
    reference = WeakMethod(method)

    def call() -> int:
        found = reference()
        if found is None:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        return found()

    return call
