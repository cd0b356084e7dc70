"""Reassembling the PDUs that others send to each other over ISO-TP, from frames merely heard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

import attrs

from anycan.engine.isotp_reassembly import Reassembly, StampClock
from anycan.engine.timers import Timers
from anycan.exceptions import AddressError
from anycan.frame import FdFrame, Frame
from anycan.wire.isotp import GREATEST_MAXIMUM_PDU
from anycan.wire.isotp_address import Address
from anycan.wire.isotp_frames import (
    ConsecutiveFrame,
    FirstFrame,
    FlowControlFrame,
    SingleFrame,
    decode_isotp_frame,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from anycan.engine.isotp_record import Direction, IsotpRecord
    from anycan.frame import AnyFrame

_Reassemblies: TypeAlias = "dict[_Route, Reassembly]"

_MOST_INTERFACES: Final = 64
_LONGEST: Final = 0xFFFF_FFFF  # what a first frame can announce


@attrs.define(eq=False)
class _Route:
    """What the frames of an identifier, and of an address byte, belong to.

    Attributes:
        address: The connection.
        direction: Which of both.
        opposite: What they answer by flow control; None: nothing is sent to there.
    """

    address: Address
    direction: Direction
    opposite: _Route | None = None


class IsotpMonitor:
    """Reassembles the PDUs of connections between others, in both directions, from their frames.

    It only listens, and makes nothing of what is no ISO-TP: that is counted. What a receiver would
    take (the kernel's, or one that keeps to the standard), it takes. Connections on several
    interfaces are told apart by the frames' ``interface``.

    It needs memory for one PDU of each direction of each connection, on up to 64 interfaces.

    Args:
        addresses: The connections, each as either of its nodes has it. Of a functional address
            the requests alone are followed.
        max_pdu_size: Give up PDUs longer than that, in bytes.

    Attributes:
        heard: Frames that were fed.
        ignored: Frames of these that are of no connection.
        malformed: Frames of a connection that are no frames of ISO-TP.
        unexpected: Frames of a connection that continue or answer a PDU of which the beginning was
            not heard, or that has been given up.
        pdus: PDUs that came whole.
        faults: PDUs that did not.

    Raises:
        AddressError: There is no address, or frames would be of two of them.
        TypeError: Something is no address.
        ValueError: The size is out of range.

    Source: ISO 15765-2:2016, 9.8: a PDU is given up when its next frame does not come within 1 s.

    Example:
        >>> monitor = IsotpMonitor([Address.normal(0x7E0, 0x7E8)])
        >>> for text in ("7E0#0322F190", "7E8#100962F190414243", "7E0#300000", "7E8#21444546"):
        ...     for record in monitor.feed(Frame.parse(text)):
        ...         print(record)
        (0000000000.000000) - 7E0 -> 7E8 [3] 22 F1 90
        (0000000000.000000) - 7E0 <- 7E8 [9] 62 F1 90 41 42 43 44 45 46
        >>> monitor.heard, monitor.pdus, monitor.faults
        (4, 2, 0)
    """

    def __init__(
        self, addresses: Iterable[Address], *, max_pdu_size: int = GREATEST_MAXIMUM_PDU
    ) -> None:
        if not 1 <= max_pdu_size <= _LONGEST:
            raise ValueError(f"max_pdu_size= is 1 to {_LONGEST} bytes, not {max_pdu_size}")
        self.heard = 0
        self.ignored = 0
        self.malformed = 0
        self.unexpected = 0
        self.pdus = 0
        self.faults = 0
        self._max_pdu_size = max_pdu_size
        self._starts: dict[int, int] = {}  # address bytes in the frames of an identifier
        self._routes: dict[tuple[int, int | None], _Route] = {}
        for address in addresses:
            self._add(address)
        if not self._routes:
            raise AddressError("there is no address to listen to")
        self._clock = StampClock()
        self._timers = Timers(lambda: None)
        self._interfaces: dict[str | None, _Reassemblies] = {}  # heard of longest ago first
        self._interface: str | None = None  # the last of them
        self._records: list[IsotpRecord] = []

    def _add(self, address: Address) -> None:
        if not isinstance(address, Address):
            raise TypeError(f"a connection is an anycan.Address, not {address!r}")
        sent = _Route(address, "tx")
        if address.rx_id is not None:
            received = _Route(address, "rx", sent)
            sent.opposite = received
            self._route(address.rx_word, address.rx_extension, received)
        self._route(address.tx_word, address.tx_extension, sent)

    def _route(self, word: int, extension: int | None, route: _Route) -> None:
        start = 0 if extension is None else 1
        if self._starts.setdefault(word, start) != start:
            raise AddressError(
                f"{route.address!r}: another address has the same identifier, and only one of both"
                " has an address byte"
            )
        other = self._routes.setdefault((word, extension), route)
        if other is not route:
            raise AddressError(f"{route.address!r} and {other.address!r} get the same frames")

    # Time

    @property
    def deadline(self) -> int | None:
        """When the next PDU is to be given up, by the frames' time stamps; None: there is none.

        Whoever listens to a bus calls :meth:`advance` then, since no frame may come that does it.
        """
        deadline = self._timers.deadline
        return None if deadline is None else deadline - self._clock.offset

    def advance(self, now_ns: int) -> list[IsotpRecord]:
        """Give the PDUs that are given up by a time at which no frame has come.

        Args:
            now_ns: The time, in nanoseconds since the epoch.

        Example:
            >>> monitor = IsotpMonitor([Address.normal(0x7E0, 0x7E8)])
            >>> monitor.feed(Frame.parse("7E8#100962F190414243"))
            []
            >>> print(*monitor.advance(1_000_000_000))
            (0000000000.000000) - 7E0 <- 7E8 [6 of 9] 62 F1 90 41 42 43  timeout
        """
        self._clock.set(now_ns)
        self._timers.run(self._clock.now)
        return self._take()

    # Frames

    def feed(self, frame: AnyFrame) -> list[IsotpRecord]:
        """Take a frame that was heard; give the PDUs that end with it.

        Args:
            frame: Any frame. What carries no time stamp came when the frame before it did.

        Returns:
            The PDUs that have been given up since the frame before, and those that this one
            completes or ends otherwise; mostly none.
        """
        self.heard += 1
        stamp_ns = frame.timestamp_ns
        if stamp_ns is not None and stamp_ns != self._clock.stamp_ns:
            self._clock.set(stamp_ns)
            self._timers.run(self._clock.now)
        start = self._starts.get(frame.can_id)
        if start is None or not isinstance(frame, (Frame, FdFrame)):
            self.ignored += 1
            return self._take()
        data = frame.data
        route = self._routes.get((frame.can_id, data[0] if start and data else None))
        if route is None:
            self.ignored += 1
            return self._take()
        used = self._use(route, frame.interface, data, start)
        if used is None:
            self.malformed += 1
        elif not used:
            self.unexpected += 1
        return self._take()

    def _use(self, route: _Route, interface: str | None, data: bytes, start: int) -> bool | None:
        """Make use of a frame; tell whether it is of any; None: it is malformed."""
        match decode_isotp_frame(data, start):
            case ConsecutiveFrame() as consecutive:
                return self._of(route, interface).consecutive_frame(consecutive, len(data))
            case FlowControlFrame() as flow_control:
                if route.opposite is None:
                    return False
                return self._of(route.opposite, interface).flow_control(flow_control)
            case SingleFrame() as single:
                self._of(route, interface).single_frame(single)
            case FirstFrame() as first:
                self._of(route, interface).first_frame(first, self._max_pdu_size)
            case None:
                return None
        return True

    def finish(self) -> list[IsotpRecord]:
        """Give what is unfinished, in the order in which it began; more may be fed afterwards."""
        for reassemblies in self._interfaces.values():
            for reassembly in reassemblies.values():
                reassembly.end("unfinished")
        self._records.sort(key=lambda record: record.started_ns)
        return self._take()

    def _of(self, route: _Route, interface: str | None) -> Reassembly:
        """Give what reassembles the PDUs of a direction on an interface."""
        interfaces = self._interfaces
        reassemblies = interfaces.get(interface)
        if reassemblies is None:
            if len(interfaces) == _MOST_INTERFACES:
                for oldest in interfaces.pop(next(iter(interfaces))).values():
                    oldest.close()
            reassemblies = interfaces[interface] = {}
        elif interface != self._interface:
            interfaces[interface] = interfaces.pop(interface)
        self._interface = interface
        reassembly = reassemblies.get(route)
        if reassembly is None:
            reassembly = reassemblies[route] = Reassembly(
                route.address, route.direction, interface, self._clock, self._timers, self._tell
            )
        return reassembly

    def _tell(self, record: IsotpRecord) -> None:
        if record.fault is None:
            self.pdus += 1
        else:
            self.faults += 1
        self._records.append(record)

    def _take(self) -> list[IsotpRecord]:
        if not self._records:
            return []
        records, self._records = self._records, []
        return records
