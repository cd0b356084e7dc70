"""An interface of a gateway: read for the rules whose source it is, sent to by the others.

All rules of a gateway share a port's one socket, and a socket does not receive what it has sent: so
no frame that a gateway forwards comes back into it.
"""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from anycan.exceptions import (
    CanError,
    CanOSError,
    InterfaceRemovedError,
    OptionNotSupportedError,
    UnknownInterfaceError,
)
from anycan.filter import Filter, union_of
from anycan.gateway.dispatch import Dispatch, settle
from anycan.gateway.outlet import Outlet
from anycan.gateway.reasons import DropReason
from anycan.gateway.statistics import PortStatistics
from anycan.gateway.way import PortWay, SilentWay
from anycan.loops.pump import open_pump
from anycan.sockets.closing import finish_in_background
from anycan.sockets.forwarding import ForwardingSocket
from anycan.sockets.kernel import KernelNetwork
from anycan.sockets.raw_options import RawOptions
from anycan.wire.constants import CANFD_MTU, CANXL_MIN_MTU
from anycan.wire.options import VcidOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from anycan.frame import AnyFrame
    from anycan.gateway.taker import Taker
    from anycan.loops.pump import AsyncioPump, TrioPump
    from anycan.network.base import Network

_LOGGER: Final = logging.getLogger("anycan.gateway")
_BATCHES: Final = 4  # read in a row, before other descriptors have their turn
_TURNS: Final = 16  # of these, when all that waits is to be read
_FULL: Final = 128  # messages in a batch behind which more may wait


class Port:
    """An interface of a gateway.

    Args:
        network: Where it is.
        interface: Its name.
        on_lost: Called when the interface is gone.

    Attributes:
        network: Where it is.
        interface: Its name.
        name: What to call it: with its network, where this is not the kernel.
        socket: Its socket; None: the interface is not there.
        off: Why the system would take frames and lose them, as of a controller that is bus-off;
            None: it would not.
    """

    def __init__(
        self, network: Network, interface: str, on_lost: Callable[[], object] = bool
    ) -> None:
        self._on_lost = on_lost
        self.network = network
        self.interface = interface
        is_kernel = isinstance(network, KernelNetwork)
        self.name = interface if is_kernel else f"{interface}@{network.name}"
        self.socket: ForwardingSocket | None = None
        self._state: Literal["up", "down", "gone"] = "gone"
        self.off: DropReason | None = None
        self._dispatch = Dispatch(self._filter_failed)
        self._wanted: dict[Taker, Filter] = {}
        self._pump: AsyncioPump | TrioPump | None = None
        self._outlets: dict[bool, tuple[PortWay, Outlet]] = {}
        self._reached: tuple[Outlet, ...] = ()
        self._received = 0
        self._overflowed = 0
        self._malformed = 0
        self._not_taken = 0
        self._gaps = 0
        self._is_unproven = False  # opened again; it may not be up yet, and the gap goes on
        self._told_of_filter = False
        self._told_refusal = ""
        self._opened_for = (False, False)
        self._down_ns = 0
        self._is_xl = False

    @property
    def is_open(self) -> bool:
        """Whether the interface is there, as far as is known."""
        return self.socket is not None

    @property
    def is_settled(self) -> bool:
        """Whether it is there and up, as far as is known: :meth:`settle` has nothing to do."""
        return self._state == "up"

    def settle(self) -> None:
        """Open the interface if it has come back, or has other frames than before it went down."""
        if self.socket is None:
            self.try_to_open()
        elif self._state == "down" and self._kinds() != self._opened_for:
            self.close()
            self._state = "gone"
            if self.try_to_open():
                self._state = "down"  # until frames come or go

    def _kinds(self) -> tuple[bool, bool]:
        """Tell whether the interface has frames of CAN FD, and of CAN XL."""
        try:
            mtu = self.network.interface_mtu(self.network.interface_index(self.interface)) or 0
        except UnknownInterfaceError:  # where there is no PF_CAN at all, the socket says so
            mtu = 0
        return mtu >= CANFD_MTU, mtu >= CANXL_MIN_MTU

    # Coming and going

    def open(self) -> None:
        """Open the interface, for all rules that there are.

        Raises:
            CanOSError: It cannot be opened; :class:`UnknownInterfaceError`: it is not there.
        """
        self.socket = self.open_socket(union_of(self._wanted.values()), loopback=True)
        try:
            for way, _ in self._outlets.values():
                way.open()
        except BaseException:
            self.close()
            raise
        self._is_xl = self.socket.options.xl
        self._state = "up"
        self._told_refusal = ""
        self._pump = open_pump(self.socket.fd, self._read)

    def try_to_open(self) -> bool:
        """Open the interface if it has come back; tell whether it has."""
        try:
            self.open()
        except UnknownInterfaceError:
            return False
        except CanError as error:  # its network may be closed, too
            if str(error) != self._told_refusal:  # lest it fill the log
                self._told_refusal = str(error)
                _LOGGER.warning(
                    "%s: it is there and cannot be opened: %s",
                    self.name,
                    getattr(error, "strerror", error),
                )
            return False
        self._is_unproven = True
        _LOGGER.info("%s: the interface is there, and forwarding goes on", self.name)
        return True

    def open_socket(self, wanted: Filter, *, loopback: bool) -> ForwardingSocket:
        """Open a socket for all kinds of frames that the interface has.

        Args:
            wanted: What it receives.
            loopback: Programs on this machine receive what it sends.

        Raises:
            CanOSError: It cannot be opened.
        """
        network, interface = self.network, self.interface
        fd, xl = self._opened_for = self._kinds()
        everywhere = VcidOptions(pass_through=True, receive=0, receive_mask=0)
        ways: list[dict[str, Any]] = [{"fd": fd}]
        if xl:  # kernels before 6.9 know no VCID, those before 6.2 no CAN XL
            ways = [{"xl": True, "vcid": everywhere}, {"xl": True}, *ways]
        for way in ways:
            options = RawOptions(filters=wanted, loopback=loopback, **way)
            try:
                return ForwardingSocket(network, interface, options)
            except OptionNotSupportedError:
                if way is ways[-1]:
                    raise
        raise AssertionError("the last way returns or raises")

    def close(self) -> None:
        """Close the interface: nothing is read or sent any more."""
        if self._pump is not None:
            self._pump.close()
            self._pump = None
        socket, self.socket = self.socket, None
        if socket is not None:
            self._add_up(socket)
            finish_in_background(socket.close())
        for way, outlet in self._outlets.values():
            way.close()
            outlet.drop(DropReason.INTERFACE_GONE)

    def _add_up(self, socket: ForwardingSocket) -> None:
        self._received += socket.received
        self._malformed += socket.malformed
        self._overflowed += socket.dropped

    def lose(self) -> None:
        """Take note that the interface is gone."""
        self.off = None
        if self.socket is not None:
            _LOGGER.warning(
                "%s: the interface is gone; forwarding to and from it goes on when it is back",
                self.name,
            )
            self._gaps += self._state == "up" and not self._is_unproven
            self._state = "gone"
            self.close()
            self._on_lost()

    def go_down(self) -> None:
        """Take note that the interface is down."""
        self.off = None
        if self._state == "up":
            self._state = "down"
            self._down_ns = time.time_ns()
            self._gaps += not self._is_unproven
            self._on_lost()
            self.renew()
            remedy = self.network.remedy(self.interface)
            _LOGGER.warning(
                "%s: the interface is down; forwarding to and from it goes on when it is up (%s)",
                self.name,
                remedy,
            )

    def go_off(self, reason: DropReason) -> None:
        """Take note that frames would be taken, and lost: by a controller that is bus-off, say."""
        if self.off is None:
            self._gaps += 1
            _LOGGER.warning(
                "%s: %s; frames to it are dropped until that has ended",
                self.name,
                "it is bus-off" if reason is DropReason.BUS_OFF else "it has no carrier",
            )
        self.off = reason

    def link_up(self) -> None:
        """Take note that the link is up, or back, as events tell."""
        self.off = None
        self.settle()
        self.come_up()

    def renew(self) -> None:
        """Go on being polled, though somebody else has taken the socket's error."""
        if self._pump is not None:
            self._pump.renew()

    def come_up(self) -> None:
        """Take note that frames come or go."""
        self._is_unproven = False
        if self._state == "down" and self._kinds() == self._opened_for:
            self._state = "up"
            _LOGGER.info("%s: the interface is up again", self.name)

    # Rules

    def add(self, wanted: Filter, taker: Taker) -> None:
        """Hand what a filter takes to somebody; the kernel is to be told then."""
        wanted = wanted.at_interface(self.interface)
        self._wanted[taker] = wanted
        self._dispatch.add(wanted, taker)

    def remove(self, taker: Taker) -> None:
        """Hand nothing more to somebody; the kernel may be told then."""
        self._dispatch.remove(taker)
        del self._wanted[taker]

    def tell_kernel(self) -> None:
        """Have the kernel filter; it has the new filters before it drops the old ones."""
        if self.socket is None:
            return
        try:
            self.socket.set_filters(union_of(self._wanted.values()))
        except CanOSError as error:
            _LOGGER.warning("%s: the kernel filters less than it might: %s", self.name, error)
            with suppress(CanOSError):
                self.socket.set_filters(None)

    def reach(self, outlets: Sequence[Outlet]) -> None:
        """Say to which outlets its rules send."""
        self._reached = tuple(dict.fromkeys(outlets))

    def outlet(self, *, local_echo: bool) -> Outlet:
        """Give what sends to this interface, so that this machine's programs see it or not."""
        known = self._outlets.get(local_echo)
        if known is None:
            way = PortWay(self) if local_echo else SilentWay(self)
            if self.is_open:
                way.open()
            known = self._outlets[local_echo] = way, Outlet(way)
        return known[1]

    def keep(self, outlets: Collection[Outlet]) -> None:
        """Close what sends to this interface, but for these."""
        for echo, (way, outlet) in list(self._outlets.items()):
            if outlet not in outlets:
                way.close()
                del self._outlets[echo]

    def outlets(self) -> list[Outlet]:
        """Give all that send to this interface."""
        return [outlet for _, outlet in self._outlets.values()]

    def _filter_failed(self, _take: Any, frame: AnyFrame | None, error: Exception) -> None:
        """Tell that a function of :meth:`Filter.where` raised; once, lest a bus fill the log."""
        if not self._told_of_filter:
            self._told_of_filter = True
            _LOGGER.error(
                "%s: a filter's function failed, and the frame is not forwarded (more of the same"
                " is not logged): %s, called with %s",
                self.name,
                f"{type(error).__name__}: {error}",
                frame,
                exc_info=error,
            )

    # Frames

    def _read(self) -> bool:
        """Forward what waits, within bounds; tell whether the descriptor may go on being polled."""
        for batch in range(_BATCHES):
            socket = self.socket
            if socket is None:
                return True
            try:
                count = socket.read()
            except BlockingIOError:
                return batch > 0
            except InterfaceRemovedError:
                self.lose()
                return True
            except CanOSError:
                self.go_down()
                return False
            self._forward(socket, count)
            if count < _FULL:
                break
        return True

    def _forward(self, socket: ForwardingSocket, count: int) -> None:
        if count == 1:
            only = socket.single()
            stamp = 0 if only is None else self._forward_each(socket, (only,))
        else:
            found = None if self._is_xl else self._forward_batch(socket, count)
            stamp = self._forward_each(socket, socket.payloads(count)) if found is None else found
        if self._state == "down" and stamp > self._down_ns:  # not what had come before
            self.come_up()
        self._is_unproven = False
        for outlet in self._reached:
            if outlet.pending:
                outlet.flush()

    def _forward_batch(self, socket: ForwardingSocket, count: int) -> int | None:
        """Hand on what is all of one length; give the last stamp, or None: do it singly."""
        columns = socket.columns
        size = columns.common_size(count)
        if not size:
            return None
        by_word = self._dispatch.by_word
        words = columns.words(count)
        verdicts = {by_word[word] for word in words}
        if any(verdict.__class__ is not tuple for verdict in verdicts):
            return None
        stamps = columns.stamps(count)
        if len(verdicts) == 1:
            (takers,) = verdicts
            self._hand_on(socket, cast("tuple[Taker, ...]", takers), count, size, stamps)
        else:
            for word, payload, stamp in zip(
                words, columns.payloads(count, size), stamps, strict=True
            ):
                taken: Any = by_word[word]
                if not taken:
                    self._not_taken += 1
                for taker in taken:
                    taker.one(payload, stamp)
        socket.note_drops(count)
        return stamps[-1]

    def _hand_on(
        self,
        socket: ForwardingSocket,
        takers: tuple[Taker, ...],
        count: int,
        size: int,
        stamps: list[int],
    ) -> None:
        """Hand a batch on to all that takes each frame of it."""
        if not takers:
            self._not_taken += count
            return
        sent = 0
        direct = takers[0].direct
        if direct is not None and len(takers) == 1:
            sent = direct.put(socket, count, size, stamps)
            if sent == count:
                return
        payloads = socket.columns.payloads(count, size)[sent:]
        for taker in takers:
            taker.batch(payloads, stamps[sent:])

    def _forward_each(self, socket: ForwardingSocket, messages: Iterable[tuple[bytes, int]]) -> int:
        """Hand on messages one by one; give the stamp of the last."""
        stamp = 0
        verdicts = self._dispatch.verdicts
        xl = self._is_xl
        for payload, stamp in messages:
            takers: Any = self._dispatch.takers_of_xl(payload) if xl else verdicts[payload[:4]]
            if takers.__class__ is not tuple:
                takers = settle(takers, payload, stamp, socket)
            if not takers:
                self._not_taken += 1
            for taker in takers:
                taker.one(payload, stamp)
        return stamp

    def read_all(self) -> None:
        """Forward what lies unread, within bounds."""
        for _ in range(_TURNS):
            if self.socket is None or not self._read():
                break

    def statistics(self) -> PortStatistics:
        """Give the counters."""
        socket = self.socket
        received, malformed, overflowed = self._received, self._malformed, self._overflowed
        if socket is not None:
            received += socket.received
            malformed += socket.malformed
            overflowed += socket.dropped
        return PortStatistics(
            interface=self.name,
            state="bus-off" if self.off is not None and self._state == "up" else self._state,
            received=received,
            not_taken=self._not_taken,
            overflowed=overflowed,
            malformed=malformed,
            gaps=self._gaps,
        )
