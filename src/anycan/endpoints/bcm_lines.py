"""The sockets of a broadcast manager endpoint: one, or on all interfaces one for each that is used.

There the broadcast manager says of a transmission neither which interface it is on nor that its
interface is gone. A socket that is connected to the interface is told both.
"""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import anyio

from anycan.endpoints.bcm_values import BcmStatistics
from anycan.exceptions import OperationError
from anycan.sockets.bcm import BcmSocket
from anycan.sockets.closing import finish_in_background
from anycan.sockets.common import find_interface
from anycan.sockets.errors import interface_missing
from anycan.sockets.options import check_buffer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from anycan.endpoints.bcm_operations import Operations
    from anycan.endpoints.link_values import LinkGap
    from anycan.network.base import Network


class Line(Protocol):
    """A socket, and what is done with it.

    Attributes:
        operations: Its operations.
        overflowed: How many events were lost because nobody took them.
    """

    operations: Operations
    overflowed: int

    def close(self) -> Callable[[], object] | None:
        """Close the socket; all operations end.

        Returns:
            What is left to be done, in a thread; None: nothing.
        """
        ...


LineT = TypeVar("LineT", bound=Line)


class Lines(Generic[LineT]):
    """The sockets of one endpoint.

    Args:
        network: Where.
        interface: What the endpoint is for, by name or index; None: all interfaces.
        receive_buffer: Size of each socket's receive buffer; None: 4 MiB.
        make: Makes a line of a socket.

    Attributes:
        network: Where.
        closed: All are closed.
    """

    def __init__(
        self,
        network: Network,
        interface: str | int | None,
        receive_buffer: int | None,
        make: Callable[[BcmSocket], LineT],
    ) -> None:
        check_buffer("receive_buffer", receive_buffer)
        self.network = network
        self.closed = False
        self._receive_buffer = receive_buffer
        self._make = make
        self._lines: dict[int, LineT] = {}
        self._past: list[BcmStatistics] = []
        self._own = self._open(interface)

    @property
    def interface(self) -> str | None:
        """The name of the interface that the endpoint is for; None: all."""
        return self._own.operations.socket.interface

    @property
    def index(self) -> int:
        """Its index; 0: all."""
        return self._own.operations.socket.index

    @property
    def gap(self) -> LinkGap | None:
        """The gap that the link of that interface is in; None: there is none."""
        return self._own.operations.gap

    def _open(self, interface: str | int | None) -> LineT:
        socket = BcmSocket(self.network, interface, self._receive_buffer)
        index = socket.index
        try:
            line = self._lines[index] = self._make(socket)
        except BaseException:
            finish_in_background(socket.close())
            raise
        return line

    def __iter__(self) -> Iterator[LineT]:
        return iter(self._lines.values())

    def find(self, interface: str | int | None) -> LineT:
        """Give the line of an interface; None: of all, or of the endpoint's own.

        Raises:
            ClosedResourceError: The endpoint is closed.
            UnknownInterfaceError: There is no such interface.
            OperationError: The endpoint is for another one.
        """
        if self.closed:
            raise anyio.ClosedResourceError
        if interface is None or interface in {self.interface, self.index}:
            return self._own
        line = self._find_lasting(interface)
        if line is not None:
            return line
        index, name = find_interface(self.network, interface)
        if self.index and index != self.index:
            raise OperationError(
                f"this endpoint is for {self.interface} alone, and not for {name}: open one for"
                " all interfaces (None), or another one"
            )
        line = self._lines.get(index)
        if line is None:
            self._close_removed()
            line = self._open(interface)
        return line

    def _find_lasting(self, interface: str | int) -> LineT | None:
        """Give the line that has outlived its interface, or may: it is there while that is not."""
        name = interface if isinstance(interface, str) else None
        if isinstance(interface, int):
            name = self.network.interface_name(interface)
        for line in self:
            operations = line.operations
            if operations.lasting and name is not None and operations.socket.interface == name:
                return line
        return None

    def find_one(self, interface: str | int | None) -> LineT:
        """Give the line of one interface.

        Raises:
            UnknownInterfaceError: As :meth:`find`, or none was named on an endpoint for all.
            ClosedResourceError: As :meth:`find`.
            OperationError: As :meth:`find`.
        """
        line = self.find(interface)
        if not line.operations.socket.index:
            raise interface_missing()
        return line

    def _close_removed(self) -> None:
        """Close what belongs to interfaces that are gone, however many come and go."""
        for index, line in list(self._lines.items()):
            if index and not line.operations.lasting and self.network.interface_name(index) is None:
                line.operations.drain()  # who waits is told so
                finish_in_background(line.close())
                self._past.append(_statistics(line))
                del self._lines[index]
        if self._past:
            self._past = [_total(self._past)]

    def statistics(self) -> BcmStatistics:
        """Give the counters since the endpoint was opened; also after it was closed."""
        return _total([*self._past, *map(_statistics, self._lines.values())])

    def close(self) -> Callable[[], object] | None:
        """Close all sockets; a second time does nothing.

        Returns:
            What is left to be done, in a thread; None: nothing.
        """
        if self.closed:
            return None
        self.closed = True
        rests: list[Callable[[], object]] = []

        def close(line: LineT) -> None:
            rest = line.close()
            if rest is not None:
                rests.append(rest)

        with ExitStack() as stack:  # each, though another fails
            for line in self._lines.values():
                stack.callback(close, line)
        return partial(_each, rests) if rests else None


def _each(calls: list[Callable[[], object]]) -> None:
    for call in calls:
        call()


def _statistics(line: Line) -> BcmStatistics:
    socket = line.operations.socket
    return BcmStatistics(
        received=socket.received,
        dropped=socket.dropped,
        overflowed=line.overflowed,
        malformed=socket.malformed,
        errors=line.operations.errors,
        gaps=line.operations.gaps,
    )


def _total(parts: list[BcmStatistics]) -> BcmStatistics:
    return BcmStatistics(
        received=sum(part.received for part in parts),
        dropped=sum(part.dropped for part in parts),
        overflowed=sum(part.overflowed for part in parts),
        malformed=sum(part.malformed for part in parts),
        errors=sum(part.errors for part in parts),
        gaps=sum(part.gaps for part in parts),
    )
