"""The broadcast manager as an asyncio transport and protocol."""

from __future__ import annotations

import asyncio
import contextlib
import warnings
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import anyio
import attrs

from anycan.endpoints.base_transport import running_loop
from anycan.endpoints.bcm_handles import (
    AnswerOperation,
    BcmOperation,
    CyclicOperation,
    Expiry,
    event_of,
)
from anycan.endpoints.bcm_lines import Lines
from anycan.endpoints.bcm_messages import Cycle, check_sent, identifier_word, watch_message
from anycan.endpoints.bcm_operations import Listener, Operations
from anycan.endpoints.bcm_transport_line import TransportLine
from anycan.endpoints.bcm_waiting import operations_maker
from anycan.endpoints.closing import finish_and_tell
from anycan.exceptions import CanOSError, InterfaceRemovedError
from anycan.sockets.closing import finish_in_background
from anycan.sockets.networks import resolve_network

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from anycan.endpoints.bcm_operations import Reader
    from anycan.endpoints.bcm_protocol import BcmProtocol
    from anycan.endpoints.bcm_values import BcmStatistics, Multiplex
    from anycan.endpoints.link_values import LinkGap, OnLinkLoss
    from anycan.frame import AnyFrame, Frame
    from anycan.network.base import Network
    from anycan.sockets.bcm import BcmNews, BcmSocket

_CALLS_AT_ONCE: Final = 128
_MOST_CALLS: Final = 4096
_ProtocolType = TypeVar("_ProtocolType", bound="BcmProtocol")


class _Count(Expiry):
    """Tells the protocol of the end of a count."""

    def __init__(self, transport: BcmTransport) -> None:
        super().__init__()
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self.operation: CyclicOperation | None = None

    def tell_expired(self) -> None:
        self._transport._add("cycle_expired", self)  # noqa: SLF001 - its other half

    def miss(self) -> None:
        self._loop.call_soon(self._look)

    def _look(self) -> None:
        # What else forbids it is told in its own way.
        with contextlib.suppress(CanOSError, anyio.ClosedResourceError):
            if self.operation is not None:
                self.operation.look_if_dropped()


class _Events(Listener):
    """Tells the protocol of events."""

    def __init__(self, transport: BcmTransport) -> None:
        super().__init__()
        self._transport = transport
        self.operation: BcmOperation | None = None

    def take(self, news: BcmNews) -> None:
        event = event_of(news)
        if event is not None:
            self._transport._add("event_received", self, event)  # noqa: SLF001 - its other half


class BcmTransport(asyncio.BaseTransport):
    """The broadcast manager as an asyncio transport. Made by :func:`create_bcm_transport`.

    What ``get_extra_info`` knows: ``"interface"`` (a name; None: all), ``"interface_index"`` and
    ``"network"``.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        network: Network,
        interface: str | int | None,
        receive_buffer: int | None,
        protocol: BcmProtocol,
        make_operations: Callable[[BcmSocket, Reader], Operations] = Operations,
    ) -> None:
        self._loop = loop
        self._protocol = protocol
        self._reading_paused = False
        self._closed = False
        self._calls: deque[tuple[str, _Count | _Events | None, tuple[Any, ...]]] = deque()
        self._overflowed = 0
        self._scheduled = False
        self._make_operations = make_operations
        self._lines = Lines(network, interface, receive_buffer, self._make_line)
        super().__init__(
            {
                "interface": self._lines.interface,
                "network": self._lines.network,
            }
        )

    def _make_line(self, socket: BcmSocket) -> TransportLine:
        line = TransportLine(self._loop, socket, self._fail, self._deliver, self._make_operations)
        line.update_reading(self.is_reading())
        return line

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Give ``"interface"``, ``"interface_index"`` or ``"network"``."""
        if name == "interface_index":  # another one, once the interface has been made anew
            return self._lines.index
        return super().get_extra_info(name, default)

    def begin(self) -> None:
        """Tell the protocol that the transport is there."""
        self._protocol.connection_made(self)

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Give the protocol that is called."""
        return self._protocol

    # Operations

    def send_cyclic(
        self,
        frames: AnyFrame | Iterable[AnyFrame],
        interval: float,
        *,
        count: int | None = None,
        then: float | None = None,
        interface: str | int | None = None,
        replace: bool = False,
    ) -> CyclicOperation:
        """Have frames sent cyclically, beginning now.

        When ``count`` frames have been sent, the protocol's ``cycle_expired`` is called.

        Args:
            frames: As for :meth:`BcmEndpoint.send_cyclic`, and so are the rest.
            interval: As there.
            count: As there.
            then: As there.
            interface: As there.
            replace: As there.

        Raises:
            OperationError: As :meth:`BcmEndpoint.send_cyclic`, and so are the rest.
            OperationExistsError: As there.
            FrameNotSupportedError: As there.
            UnknownInterfaceError: As there.
            InterfaceRemovedError: As there.
            ClosedResourceError: The transport is closed.
        """
        cycle = Cycle.make(frames, interval, count, then)
        listener = _Count(self)
        line = self._lines.find_one(interface)
        operation = CyclicOperation(line.operations, listener, cycle, replace=replace)
        listener.operation = operation
        operation.start()
        return operation

    def watch(
        self,
        identifier: int,
        *,
        extended: bool | None = None,
        mask: bytes | None = None,
        multiplex: Multiplex | None = None,
        timeout: float | None = None,
        throttle: float | None = None,
        check_length: bool = False,
        announce_resume: bool = True,
        restart_timeout: bool = True,
        fd: bool = False,
        remote: bool = False,
        interface: str | int | None = None,
        replace: bool = False,
    ) -> BcmOperation:
        """Have the protocol's ``event_received`` called when a message changes, or fails to come.

        Args:
            identifier: As for :meth:`BcmEndpoint.watch`, and so are the rest.
            extended: As there.
            mask: As there.
            multiplex: As there.
            timeout: As there.
            throttle: As there.
            check_length: As there.
            announce_resume: As there.
            restart_timeout: As there.
            fd: As there.
            remote: As there.
            interface: As there.
            replace: As there.

        Raises:
            OperationError: As :meth:`BcmEndpoint.watch`, and so are the rest.
            OperationExistsError: As there.
            UnknownInterfaceError: As there.
            InterfaceRemovedError: As there.
            ClosedResourceError: The transport is closed.
        """
        word = identifier_word(identifier, extended, fd=fd, remote=remote)
        message = watch_message(
            word,
            mask=mask,
            multiplex=multiplex,
            timeout=timeout,
            throttle=throttle,
            check_length=check_length,
            announce_resume=announce_resume,
            restart_timeout=restart_timeout,
            fd=fd,
        )
        listener = _Events(self)
        line = self._lines.find(interface)
        operation = BcmOperation(line.operations, listener, message, replace=replace)
        listener.operation = operation
        operation.start()
        return operation

    def answer_remote(
        self, frame: Frame, *, interface: str | int | None = None, replace: bool = False
    ) -> AnswerOperation:
        """Have remote requests answered with a frame.

        Args:
            frame: As for :meth:`BcmEndpoint.answer_remote`, and so are the rest.
            interface: As there.
            replace: As there.

        Raises:
            OperationError: As :meth:`BcmEndpoint.answer_remote`, and so are the rest.
            OperationExistsError: As there.
            UnknownInterfaceError: As there.
            InterfaceRemovedError: As there.
            ClosedResourceError: The transport is closed.
        """
        line = self._lines.find_one(interface)
        operation = AnswerOperation(line.operations, frame, replace=replace)
        operation.start()
        return operation

    def send(self, frame: AnyFrame, *, interface: str | int | None = None) -> None:
        """Send a frame once, at once or not at all.

        Args:
            frame: As for :meth:`BcmEndpoint.send`.
            interface: As there.

        Raises:
            WouldBlock: The interface's queue is full, or its link is lost and waited for.
            OperationError: As :meth:`BcmEndpoint.send`, and so are the rest.
            InterfaceDownError: As there.
            InterfaceRemovedError: As there.
            UnknownInterfaceError: As there.
            FrameNotSupportedError: As there.
            ClosedResourceError: The transport is closed.
        """
        check_sent(frame)
        operations = self._lines.find_one(interface).operations
        if operations.gap is not None:
            raise anyio.WouldBlock
        try:
            operations.socket.send_frame(frame)
        except BlockingIOError:
            raise anyio.WouldBlock from None
        except CanOSError as error:
            if not operations.forgives(error):
                raise
            raise anyio.WouldBlock from None

    # Reading

    def pause_reading(self) -> None:
        """Call the protocol no more; what comes waits in the socket's receive buffer.

        Where calls such as ``read`` take it from there meanwhile, 4,096 calls are kept, and what
        comes then is counted in ``statistics().overflowed``.
        """
        self._reading_paused = True
        self._update_reading()

    def resume_reading(self) -> None:
        """Call the protocol again."""
        self._reading_paused = False
        self._update_reading()
        self._schedule()

    def is_reading(self) -> bool:
        """Tell whether the protocol is called."""
        return not (self._reading_paused or self._closed)

    def _update_reading(self) -> None:
        for line in self._lines:
            line.update_reading(self.is_reading())

    def _add(self, name: str, listener: _Count | _Events | None, *arguments: Any) -> None:
        """Have a method of the protocol called."""
        if len(self._calls) >= _MOST_CALLS and name == "event_received":
            self._overflowed += 1  # paused, while calls of the user's drain the socket
            return
        self._calls.append((name, listener, arguments))
        self._schedule()

    def _schedule(self) -> None:
        # Also for what comes while a call of the user's drains the socket: it is told afterwards.
        if self._calls and not self._scheduled and self.is_reading():
            self._scheduled = True
            self._loop.call_soon(self._deliver)

    def _deliver(self) -> None:
        self._scheduled = False
        for _ in range(_CALLS_AT_ONCE):
            if not self._calls or not self.is_reading():
                return
            name, listener, arguments = self._calls.popleft()
            if listener is None:
                self._call(name, *arguments)
            elif not listener.ended:
                self._call(name, *arguments, listener.operation)
        self._schedule()

    # Ending

    def _fail(self, socket: BcmSocket, error: CanOSError) -> None:
        removed = isinstance(error, InterfaceRemovedError)
        if removed and socket.index == self._lines.index:
            self._loop.call_soon(partial(self._lose, error))
        elif not self._closed:
            self._add("error_received", None, error)

    def _call(self, name: str, *arguments: object) -> None:
        """Call a method of the protocol; what it raises is reported."""
        try:
            getattr(self._protocol, name)(*arguments)
        except Exception as error:  # noqa: BLE001 - the protocol's own; it is reported
            self._loop.call_exception_handler(
                {
                    "message": f"{type(self._protocol).__name__}.{name}() failed",
                    "exception": error,
                    "transport": self,
                    "protocol": self._protocol,
                }
            )

    @property
    def gap(self) -> LinkGap | None:
        """The gap that its link is in now, with ``on_link_loss="wait"``; None: there is none."""
        return self._lines.gap

    def statistics(self) -> BcmStatistics:
        """Give the counters since the transport was made; also after it was closed."""
        statistics = self._lines.statistics()
        return attrs.evolve(statistics, overflowed=self._overflowed)

    def is_closing(self) -> bool:
        """Tell whether the transport is closed."""
        return self._closed

    def close(self) -> None:
        """End all operations, and close."""
        self._lose(None)

    def abort(self) -> None:
        """Close, as :meth:`close` does: nothing waits to be sent."""
        self._lose(None)

    def _lose(self, error: CanOSError | None) -> None:
        if self._closed:
            return
        self._closed = True
        self._calls.clear()
        rest = self._lines.close()
        finish_and_tell(self._loop, rest, self._protocol.connection_lost, error)

    def __del__(self) -> None:
        if not getattr(self, "_closed", True) and hasattr(self, "_lines"):
            warnings.warn(f"unclosed {self!r}", ResourceWarning, source=self, stacklevel=1)
            finish_in_background(self._lines.close())

    def __repr__(self) -> str:
        state = " closed" if self._closed else ""
        return f"<BcmTransport {self._lines.interface or 'all interfaces'}{state}>"


async def create_bcm_transport(
    protocol_factory: Callable[[], _ProtocolType],
    interface: str | int | None,
    *,
    receive_buffer: int | None = None,
    on_link_loss: OnLinkLoss = "raise",
    on_gap: Callable[[LinkGap], object] | None = None,
    network: Network | str | None = None,
) -> tuple[BcmTransport, _ProtocolType]:
    """Open the broadcast manager as an asyncio transport with a protocol (asyncio, uvloop).

    Args:
        protocol_factory: Makes the protocol: a subclass of :class:`BcmProtocol`, or a function.
        interface: As for :func:`open_bcm`, and so are the rest.
        receive_buffer: See :func:`open_bcm`.
        on_link_loss: See :func:`open_bcm`. With ``"wait"`` the protocol is told of no interface
            that goes down or is removed. Operations that are begun meanwhile are set up when it is
            back, and what is refused then goes to ``error_received``; ``send`` raises WouldBlock.
        on_gap: See :func:`open_bcm`.
        network: See :func:`open_bcm`.

    Returns:
        The transport and the protocol, after ``connection_made``. Close the transport.

    Raises:
        UnknownInterfaceError: As :func:`open_bcm`, and so are the rest.
        NotACanInterfaceError: As :func:`open_bcm`.
        ProtocolUnavailableError: As :func:`open_bcm`.
        CanPermissionError: As :func:`open_bcm`.
        NetworkUnavailableError: As :func:`open_bcm`.
        CanOSError: As :func:`open_bcm`.
        ValueError: As :func:`open_bcm`.
        TypeError: As :func:`open_bcm`.
        RuntimeError: The running loop is not asyncio's: a transport is asyncio's own.

    Example:
        >>> class Speed(BcmProtocol):
        ...     def event_received(self, event: BcmEvent, watch: BcmOperation) -> None:
        ...         match event:
        ...             case TimedOut(identifier):
        ...                 print(f"{identifier:X} fails to come")
        >>> async def main() -> None:
        ...     async with UserNetwork() as network:
        ...         network.add_vcan("vcan0")
        ...         transport, _ = await create_bcm_transport(Speed, "vcan0", network=network)
        ...         transport.watch(0x123, timeout=0.01)
        ...         beat = transport.send_cyclic(Frame(0x200, bytes(8)), interval=0.1)
        ...         await anyio.sleep(0.02)
        ...         beat.stop()
        ...         transport.close()
        >>> asyncio.run(main())
        123 fails to come
    """
    loop = running_loop("open_bcm()")
    make_operations = operations_maker(on_link_loss, on_gap)
    protocol = protocol_factory()
    found = resolve_network(network)
    transport = BcmTransport(loop, found, interface, receive_buffer, protocol, make_operations)
    try:
        transport.begin()
    except BaseException:
        transport.abort()
        raise
    return transport, protocol
