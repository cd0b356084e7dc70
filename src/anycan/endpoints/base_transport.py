"""What asyncio transports have in common: a protocol that is called, and two water marks."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, ClassVar, Final

if TYPE_CHECKING:
    from anycan.sockets.common import CanSocket

HIGH_WATER: Final = 256


class BaseCanTransport(asyncio.BaseTransport):
    """A transport over one socket.

    What ``get_extra_info`` knows: ``"interface"`` (a name; None: all), ``"interface_index"``,
    ``"network"`` and ``"fd"``.
    """

    protocol_class: ClassVar[type[asyncio.BaseProtocol]]
    """What its protocol has to be."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        socket: CanSocket,
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
