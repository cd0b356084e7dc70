"""Restarting a controller after bus-off, ever more rarely while that does not help."""

from __future__ import annotations

import errno
import logging
from typing import TYPE_CHECKING, Final

import anyio

from anycan.exceptions import CanError, CanOSError, CanPermissionError, UnknownInterfaceError
from anycan.interfaces.events import InterfaceEvent, InterfaceStateChanged
from anycan.interfaces.functions import restart_interface, set_down, set_up
from anycan.interfaces.values import LinkCondition
from anycan.loops.background import start_background

if TYPE_CHECKING:
    from anycan.interfaces.events import EventsLost
    from anycan.interfaces.monitor import LinkMonitor
    from anycan.interfaces.values import Interface
    from anycan.loops.background import Background

_LOGGER: Final = logging.getLogger("anycan.interfaces")
_LAST_ATTEMPTS: Final = 3
_restarters: Final[dict[tuple[LinkMonitor, str], Restarter]] = {}


class Restarter:
    """Restarts one interface's controller. Made by :func:`keep_restarting`.

    Args:
        monitor: Tells its state.
        interface: Its name.
        delays: Seconds before the first attempt, and before later ones at most.
        healthy: So many seconds without bus-off, and the delays begin anew.
        index: Its index, where it is known; it may have another name by now.
    """

    def __init__(
        self,
        monitor: LinkMonitor,
        interface: str,
        delays: tuple[float, float],
        healthy: float,
        index: int = 0,
    ) -> None:
        self._monitor = monitor
        self._key = monitor, interface
        self._interface = interface
        self._first, self._greatest = delays
        self._healthy = healthy
        self._delay = self._first
        self._users = 0
        self._index = index
        self._task: Background | None = None
        self._told = False
        self._is_down = False  # since this has set it down, and not yet up again
        self._healthy_since: float | None = None
        monitor.add(self)

    def acquire(self) -> None:
        """Take note of one more who wants it."""
        self._users += 1
        self._look()

    def release(self) -> None:
        """Take note of one who wants it no more; without any it ends."""
        self._users -= 1
        if not self._users:
            _restarters.pop(self._key, None)
            if self._task is not None and not self._is_down:
                self._task.cancel()
            self._monitor.remove(self)

    def link_event(self, event: InterfaceEvent | EventsLost) -> None:
        """Take note of what has happened to a link."""
        if isinstance(event, InterfaceStateChanged):
            self._look()

    def monitor_ended(self) -> None:
        """Take note that the network is closed."""
        if self._task is not None:
            self._task.cancel()

    def _is_off(self) -> bool:
        """Tell whether the controller is bus-off, and does not restart by itself."""
        interface = self._there()
        if interface is None or interface.restart:
            return False
        return interface.condition is LinkCondition.BUS_OFF

    def _there(self) -> Interface | None:
        """Give the interface, which may have another name by now."""
        tracker = self._monitor.tracker
        found = tracker.known.get(self._index) or tracker.by_name(self._interface)
        if found is not None:
            self._index, self._interface = found.index, found.name
        return found

    def _look(self) -> None:
        if self._users and self._is_off() and (self._task is None or self._task.done):
            self._task = start_background(self._restart)

    async def _restart(self) -> None:
        since, self._healthy_since = self._healthy_since, None
        if since is not None and anyio.current_time() - since >= self._healthy:
            self._delay = self._first
        vain = 0  # attempts that nobody wants any more, but that this has set it down
        while (self._users and self._is_off()) or (self._is_down and vain < _LAST_ATTEMPTS):
            vain += not self._users
            await anyio.sleep(self._delay)
            if not (self._is_off() or self._is_down):
                break
            self._delay = min(2 * self._delay, self._greatest)
            try:
                await self._attempt()
            except CanError as error:
                self._tell(error)
            else:
                _LOGGER.info("%s: the controller was restarted after bus-off", self._interface)
                # It may be bus-off anew by now; or else it is still to be heard that it is not.
        self._healthy_since = anyio.current_time()

    async def _attempt(self) -> None:
        """Restart the controller or, where its driver cannot do that, set it down and up."""
        network = self._monitor.network
        try:
            if not self._is_down:
                await restart_interface(self._interface, network=network)
                return
        except CanOSError as error:
            if error.errno != errno.EOPNOTSUPP:
                raise
        with anyio.CancelScope(shield=True):  # whoever ends this does not leave it down
            await self._set_anew()

    async def _set_anew(self) -> None:
        network = self._monitor.network
        try:
            if not self._is_down:
                self._is_down = True  # from now on it is this one's to set up again
                try:
                    await set_down(self._interface, network=network)
                except CanError:
                    self._is_down = False
                    raise
            await set_up(self._interface, network=network)
        except UnknownInterfaceError:
            pass  # whoever makes it anew sets it up
        self._is_down = False

    def _tell(self, error: CanError) -> None:
        """Say why it cannot be restarted; once, lest it fill the log."""
        if not self._told:
            self._told = True
            level = logging.ERROR if isinstance(error, CanPermissionError) else logging.WARNING
            _LOGGER.log(
                level,
                "%s: the controller is bus-off and could not be restarted: %s",
                self._interface,
                getattr(error, "strerror", error),
            )


def keep_restarting(
    monitor: LinkMonitor,
    interface: str,
    delays: tuple[float, float],
    healthy: float,
    index: int = 0,
) -> Restarter:
    """Restart an interface's controller whenever it is bus-off; one for all who want that.

    Args:
        monitor: Tells its state.
        interface: Its name.
        delays: Seconds before the first attempt, and before later ones at most; the first who
            wants it has it his way.
        healthy: So many seconds without bus-off, and the delays begin anew.
        index: Its index, where it is known; it may have another name by now.

    Returns:
        What to :meth:`~Restarter.release` in the end.
    """
    key = (monitor, interface)
    restarter = _restarters.get(key)
    if restarter is None:
        restarter = _restarters[key] = Restarter(monitor, interface, delays, healthy, index)
    restarter.acquire()
    return restarter
