"""What asyncio transports over one socket have in common: reading, ending, two water marks."""

from __future__ import annotations

import asyncio
import warnings
from collections import deque
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, Protocol, TypeVar

from anycan.endpoints.closing import finish_and_tell
from anycan.exceptions import CanOSError, InterfaceRemovedError
from anycan.loops.registration import Registration
from anycan.sockets.closing import finish_in_background

if TYPE_CHECKING:
    from collections.abc import Callable

    from anycan.network.base import Network

HIGH_WATER: Final = 256
ItemT = TypeVar("ItemT")


class TransportSocket(Protocol[ItemT]):
    """A socket, as a transport sees it: :class:`~anycan.sockets.common.CanSocket` is one."""

    fd: int
    interface: str | None
    index: int
    network: Network
    on_pending_error: Callable[[CanOSError], object]
    coalesce: float

    def is_behind(self) -> bool:
        """Tell whether more may wait than the last receive call had room for."""
        ...

    def receive_last(self) -> list[ItemT]:
        """Give what waits still once the interface was removed."""
        ...

    def receive(self) -> list[ItemT]:
        """Give what waits, up to a batch."""
        ...

    def close(self) -> Callable[[], object] | None:
        """Close it; give what is left to be done, in a thread."""
        ...


class BaseCanTransport(asyncio.BaseTransport, Generic[ItemT]):
    """A transport over one socket, of which frames or PDUs are read.

    What ``get_extra_info`` knows: ``"interface"`` (a name; None: all), ``"interface_index"``,
    ``"network"`` and ``"fd"``.
    """

    protocol_class: ClassVar[type[asyncio.BaseProtocol]]
    """What its protocol has to be."""
    received_call: ClassVar[str]
    """What is called with what has been read."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        socket: TransportSocket[ItemT],
        protocol: asyncio.BaseProtocol,
        high_water: int = HIGH_WATER,
    ) -> None:
        super().__init__(
            {
                "interface": socket.interface,
                "interface_index": socket.index,
                "network": socket.network,
            }
        )
        self._loop = loop
        self._can_socket = socket
        self._called = protocol
        self._writing_paused = False
        self._high = self._default_high = high_water
        self._low = high_water // 4
        self._incoming: deque[ItemT] = deque()
        self._registration = Registration(
            loop, socket.fd, self._on_readable, socket.coalesce, socket.is_behind
        )
        self._reading_paused = False
        self._closing = False
        self._closed = False
        self._discarded = 0

    def begin(self) -> None:
        """Tell the protocol that the transport is there, and start to read."""
        self._can_socket.on_pending_error = self._tell_pending
        self._called.connection_made(self)
        self._update_reader()

    # The protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Give the protocol that is called."""
        return self._called

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Have another protocol called from now on.

        Raises:
            TypeError: It is not of the transport's kind.
        """
        if not isinstance(protocol, self.protocol_class):
            raise TypeError(f"a {self.protocol_class.__name__} is needed, not {protocol!r}")
        self._called = protocol

    def _call(self, name: str, *arguments: object) -> None:
        """Call a method of the protocol; what it raises is reported."""
        try:
            getattr(self._called, name)(*arguments)
        except Exception as error:  # noqa: BLE001 - the protocol's own; it is reported
            self._loop.call_exception_handler(
                {
                    "message": f"{type(self._called).__name__}.{name}() failed",
                    "exception": error,
                    "transport": self,
                    "protocol": self._called,
                }
            )

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Give ``"interface"``, ``"interface_index"``, ``"network"`` or ``"fd"`` (-1: closed)."""
        return self._can_socket.fd if name == "fd" else super().get_extra_info(name, default)

    # Reading

    def _update_reader(self) -> None:
        if self.is_reading() and not self._incoming:
            self._registration.start_reading()
        else:
            self._registration.stop_reading()

    def _on_readable(self) -> None:
        try:
            self._incoming.extend(self._can_socket.receive())
        except BlockingIOError:  # what was to be read, an error, has been taken or concerns others
            self._registration.renew()
            return
        except CanOSError as error:
            self._tell_pending(error)
            return
        self._deliver()

    def _deliver(self) -> None:
        self._hand_on()
        self._update_reader()

    def _hand_on(self) -> None:
        while self._incoming and self.is_reading():
            self._call(self.received_call, self._incoming.popleft())

    def pause_reading(self) -> None:
        """Hand on nothing that comes; it waits in the socket's receive buffer."""
        self._reading_paused = True
        self._update_reader()

    def resume_reading(self) -> None:
        """Hand on what comes again."""
        self._reading_paused = False
        self._loop.call_soon(self._deliver)

    def is_reading(self) -> bool:
        """Tell whether what comes is being handed on."""
        return not (self._reading_paused or self._closing)

    # Ending

    def _tell_pending(self, error: CanOSError) -> None:
        self._registration.renew()
        self._tell(error)

    def _tell(self, error: CanOSError) -> None:
        if isinstance(error, InterfaceRemovedError):
            if not self._closed:
                self._incoming.extend(self._can_socket.receive_last())
                self._hand_on()
            self._lose(error)
        elif not self._closed:
            self._call("error_received", error)

    def is_closing(self) -> bool:
        """Tell whether the transport is closed or closing."""
        return self._closing

    def close(self) -> None:
        """Stop reading, send what waits to be sent, then close."""
        if not self._closing:
            self._closing = True
            self._update_reader()
            if not self.get_write_buffer_size():
                self._lose(None)

    def abort(self) -> None:
        """Close at once; what waits to be sent is dropped."""
        self._lose(None)

    def _lose(self, error: CanOSError | None) -> None:
        if self._closed:
            return
        self._closing = self._closed = True
        self._discarded = len(self._incoming)
        self._incoming.clear()
        self._forget_outgoing()
        self._registration.close()
        rest = self._can_socket.close()
        finish_and_tell(self._loop, rest, self._called.connection_lost, error)

    def _forget_outgoing(self) -> None:
        """Send nothing more."""
        raise NotImplementedError

    def __del__(self) -> None:
        if not getattr(self, "_closed", True):
            warnings.warn(f"unclosed {self!r}", ResourceWarning, source=self, stacklevel=1)
            finish_in_background(self._can_socket.close())

    def _describe(self, whom: str) -> str:
        """Give the transport's text form."""
        state = " closed" if self._closed else " closing" if self._closing else ""
        name = type(self).__name__.removeprefix("Waiting")  # users know it by its public name
        return f"<{name} {whom}{state}>"

    # The water marks

    def get_write_buffer_size(self) -> int:
        """Give how much waits to be sent, in frames or PDUs."""
        raise NotImplementedError

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """Give the low and the high water mark, in frames or PDUs."""
        return self._low, self._high

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set the marks at which the protocol is told to pause and to resume writing.

        Args:
            high: How much may wait before writing pauses; None: 4 times ``low``, else what it was
                at first.
            low: Down to how much it resumes; None: a quarter of ``high``.

        Raises:
            ValueError: Not ``high >= low >= 0``.
        """
        if high is None:
            high = self._default_high if low is None else 4 * low
        if low is None:
            low = high // 4
        if not high >= low >= 0:
            raise ValueError(f"high ({high}) is at least low ({low}), which is at least 0")
        self._high, self._low = high, low
        self._update_writing()

    def _update_writing(self) -> None:
        """Tell the protocol to pause or to resume, by the water marks."""
        waiting = self.get_write_buffer_size()
        if waiting > self._high and not self._writing_paused:
            self._writing_paused = True
            self._call("pause_writing")
        elif waiting <= self._low and self._writing_paused:
            self._writing_paused = False
            self._call("resume_writing")


def running_loop(instead: str) -> asyncio.AbstractEventLoop:
    """Give asyncio's running loop.

    Args:
        instead: What to use where there is none, for the message.

    Raises:
        RuntimeError: None runs.
    """
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise RuntimeError(
            f"transports are asyncio's own, and no loop of asyncio runs here: use {instead}"
        ) from None
