"""ISO-TP as an asyncio transport and protocol."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

import anyio

from anycan.endpoints.base_transport import BaseCanTransport, running_loop
from anycan.endpoints.isotp_opening import open_isotp_socket
from anycan.endpoints.isotp_protocol import IsotpProtocol
from anycan.endpoints.isotp_values import IsotpStatistics
from anycan.endpoints.isotp_waiting import is_shut, open_gate
from anycan.endpoints.link_gate import LINK_LOSS, weakly
from anycan.endpoints.link_values import resolve_policy
from anycan.endpoints.pacing import Pacer
from anycan.exceptions import CanOSError, InterfaceRemovedError, PduError
from anycan.sockets.closing import finish_in_background
from anycan.sockets.errors import interface_removed
from anycan.sockets.isotp_options import IsotpSocketOptions

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from anycan.endpoints.link_gate import LinkGate
    from anycan.endpoints.link_values import LinkGap, OnLinkLoss
    from anycan.network.base import Network
    from anycan.sockets.isotp import IsotpSocket
    from anycan.wire.isotp_address import Address

_HIGH_WATER: Final = 16  # PDUs
_LOOK_AGAIN: Final = 0.05  # seconds; some kernels (6.2 to 6.5) do not tell the end of a transfer
_ProtocolType = TypeVar("_ProtocolType", bound=IsotpProtocol)


class IsotpTransport(BaseCanTransport[bytes]):
    """ISO-TP as an asyncio transport. Made by :func:`create_isotp_transport`.

    What ``get_extra_info`` knows: ``"interface"``, ``"interface_index"``, ``"network"``, ``"fd"``,
    ``"address"`` and ``"implementation"``.
    """

    protocol_class = IsotpProtocol
    received_call = "pdu_received"

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        socket: IsotpSocket,
        implementation: Literal["socket", "engine"],
        protocol: IsotpProtocol,
        gate: LinkGate | None = None,
    ) -> None:
        super().__init__(loop, socket, protocol, _HIGH_WATER)
        self._gate = gate  # None: that the link is lost is told
        self._held = False  # the first PDU, until the gate opens
        if gate is not None:
            # It does not keep a transport alive that nobody closed, which is found out so.
            gate.on_renewed = weakly(self._registration.renew)
            gate.on_open = weakly(self._link_is_back)
            gate.on_end = weakly(self._link_is_gone)
        self._socket = socket
        self._implementation = implementation
        self._outgoing: deque[bytes] = deque()
        self._sending = False  # the first of them, until the protocol has been told its end
        self._pacer = Pacer()
        self._vain = 0
        self._retry: asyncio.Handle | None = None

    # Writing

    def send(self, pdu: bytes | bytearray | memoryview) -> None:
        """Send a PDU, now or once those before it have been sent; it never waits.

        What became of it, ``pdu_sent`` or ``send_failed`` tell. A protocol that sends much heeds
        ``pause_writing``: what it sends beyond that is kept in memory.

        Args:
            pdu: 1 byte to ``max_pdu_size``.

        Raises:
            PduError: It is empty, or too long.
            TypeError: It is not bytes.
            ClosedResourceError: The transport is closed or closing.
        """
        if self._closing:
            raise anyio.ClosedResourceError
        sent = memoryview(pdu).tobytes()
        self._socket.check(sent)
        self._outgoing.append(sent)
        if not self._sending:
            self._begin_next()
        self._update_writing()

    def _begin_next(self) -> None:
        """Begin to send what comes next."""
        self._stop_waiting()
        if self._closed:
            return
        self._sending = True
        self._held = self._is_shut
        if self._held:
            return
        try:
            self._socket.send(self._outgoing[0])
        except BlockingIOError:
            self._retry = self._loop.call_later(self._pacer.delay(), self._begin_next)
        except (CanOSError, PduError) as error:
            if self._is_waited_for(error):  # nothing was sent
                self._retry = self._loop.call_later(self._pacer.delay(), self._begin_next)
            else:
                self._loop.call_soon(self._end, error)  # later: it may be sent again from there
        else:
            self._vain = 0
            self._retry = self._loop.call_soon(self._look)

    def _look(self) -> None:
        """Find out whether what was being sent has been sent."""
        self._stop_waiting()
        if self._closed:
            return
        try:
            sent = self._socket.sent()
        except CanOSError as error:
            self._registration.renew()
            self._end(self._outcome(error))
            return
        if sent:
            self._end(None)
            return
        # Poll may say so too early: when an error comes, and on kernels before 6.2 always.
        self._vain += 1
        if self._vain <= 2:
            self._registration.start_writing(self._look)
            self._retry = self._loop.call_later(_LOOK_AGAIN, self._look)
        else:
            self._retry = self._loop.call_later(self._pacer.delay(), self._look)

    def _stop_waiting(self) -> None:
        self._registration.stop_writing()
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None

    def _end(self, error: Exception | None) -> None:
        """Tell what became of the first one, and go on with the next."""
        if self._closed:
            return
        pdu = self._outgoing.popleft()
        self._pacer.progress()
        if isinstance(error, InterfaceRemovedError):
            self._lose(error)
            return
        if error is None:
            self._call("pdu_sent", pdu)
        else:
            self._call("send_failed", pdu, error)
        self._go_on()

    def _go_on(self) -> None:
        """Send the next one, unless the protocol has closed the transport."""
        self._sending = False
        if self._outgoing:
            self._begin_next()
        elif self._closing:
            self._lose(None)
        if not self._closed:
            self._update_writing()

    def get_write_buffer_size(self) -> int:
        """Give the number of PDUs that wait to be sent, and of the one that is being sent."""
        return len(self._outgoing)

    # The link

    @property
    def gap(self) -> LinkGap | None:
        """The gap that there is now, with ``on_link_loss="wait"``; None: there is none."""
        return None if self._gate is None else self._gate.gap

    @property
    def _is_shut(self) -> bool:
        return self._gate is not None and is_shut(self._gate)

    def _is_waited_for(self, error: Exception) -> bool:
        """Tell whether the link was lost, and is waited for."""
        if self._gate is None or not isinstance(error, CanOSError):
            return False
        return self._gate.noticed(error)

    def _outcome(self, error: CanOSError) -> CanOSError:
        """Give what to tell of a PDU that failed in the middle."""
        if self._gate is not None and isinstance(error, LINK_LOSS):
            return self._socket.unconfirmed()
        return error

    def _tell(self, error: CanOSError) -> None:
        if self._is_waited_for(error):
            self._update_reader()
        else:
            super()._tell(error)

    def _update_reader(self) -> None:
        if self._socket.unbound:  # readable all the time, perhaps, and to be read not at all
            self._registration.stop_reading()
        else:
            super()._update_reader()

    def _link_is_back(self) -> None:
        if not self._closed:
            self._update_reader()
            if self._held:
                self._begin_next()

    def _link_is_gone(self) -> None:
        self._lose(interface_removed(self._socket.interface))

    # Counters

    def statistics(self) -> IsotpStatistics:
        """Give the counters since the transport was made; also after it was closed."""
        socket = self._socket
        return IsotpStatistics(
            received=socket.received,
            sent=socket.pdus_sent,
            dropped=socket.dropped,
            malformed=socket.malformed,
            errors=socket.errors,
            waiting=len(self._incoming),
            discarded=self._discarded,
            frames_dropped=socket.frames_dropped,
            gaps=0 if self._gate is None else self._gate.gaps,
        )

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Give what the class says it knows; ``"fd"`` is -1 when it is closed."""
        match name:
            case "address":
                return self._socket.address
            case "implementation":
                return self._implementation
            case "interface_index":  # another one, once the interface was made anew
                return self._socket.index
            case _:
                return super().get_extra_info(name, default)

    # Ending

    def _lose(self, error: CanOSError | None) -> None:
        if self._gate is not None:
            self._gate.close()
        super()._lose(error)

    def __del__(self) -> None:
        super().__del__()
        gate = getattr(self, "_gate", None)
        if gate is not None:
            gate.close()

    def _forget_outgoing(self) -> None:
        self._outgoing.clear()
        self._stop_waiting()

    def __repr__(self) -> str:
        return self._describe(f"{self._socket.interface} {self._socket.address!r}")


async def create_isotp_transport(
    protocol_factory: Callable[[], _ProtocolType],
    interface: str | int,
    *,
    tx_id: int | None = None,
    rx_id: int | None = None,
    address: Address | None = None,
    implementation: Literal["auto", "socket", "engine"] = "auto",
    max_pdu_size: int | None = None,
    on_link_loss: OnLinkLoss = "raise",
    on_gap: Callable[[LinkGap], object] | None = None,
    network: Network | str | None = None,
    **options: Any,
) -> tuple[IsotpTransport, _ProtocolType]:
    r"""Open ISO-TP as an asyncio transport with a protocol (asyncio and uvloop alone).

    Args:
        protocol_factory: Makes the protocol: a subclass of :class:`IsotpProtocol`, or a function.
        interface: As for :func:`open_isotp`, and so are the rest.
        tx_id: See :func:`open_isotp`.
        rx_id: See :func:`open_isotp`.
        address: See :func:`open_isotp`.
        implementation: See :func:`open_isotp`.
        max_pdu_size: See :func:`open_isotp`.
        on_link_loss: As for :func:`open_isotp`. With ``"wait"`` the protocol is not told of the
            link; PDUs that are to be sent wait for it, and so does ``close()`` while there are any.
        on_gap: See :func:`open_isotp`.
        network: See :func:`open_isotp`.
        **options: The rest of what :func:`open_isotp` takes, such as ``padding=``.

    Returns:
        The transport and the protocol, after ``connection_made``. Close the transport.

    Raises:
        AddressError: As :func:`open_isotp`, and so are the rest.
        UnknownInterfaceError: As :func:`open_isotp`.
        NotACanInterfaceError: As :func:`open_isotp`.
        FrameNotSupportedError: As :func:`open_isotp`.
        ProtocolUnavailableError: As :func:`open_isotp`.
        CanPermissionError: As :func:`open_isotp`.
        NetworkUnavailableError: As :func:`open_isotp`.
        CanOSError: As :func:`open_isotp`.
        ValueError: As :func:`open_isotp`.
        TypeError: As :func:`open_isotp`, or an option that it does not know.
        RuntimeError: The running loop is not asyncio's: a transport is asyncio's own.

    Example:
        >>> class Ecu(IsotpProtocol):
        ...     def connection_made(self, transport: IsotpTransport) -> None:
        ...         self.transport = transport
        ...     def pdu_received(self, pdu: bytes) -> None:
        ...         self.transport.send(bytes((pdu[0] + 0x40,)) + pdu[1:])
        >>> async def main() -> None:
        ...     async with UserNetwork() as network:
        ...         network.add_vcan("vcan0")
        ...         transport, _ = await create_isotp_transport(
        ...             Ecu, "vcan0", tx_id=0x7E8, rx_id=0x7E0, network=network
        ...         )
        ...         async with open_isotp(
        ...             "vcan0", tx_id=0x7E0, rx_id=0x7E8, network=network
        ...         ) as tester:
        ...             print((await tester.request(b"\x3e\x00", timeout=1.0)).hex())
        ...         transport.close()
        >>> asyncio.run(main())
        7e00
    """
    loop = running_loop("open_isotp()")
    policy = resolve_policy(on_link_loss, on_gap)
    protocol = protocol_factory()
    socket, used = open_isotp_socket(
        network,
        interface,
        address,
        tx_id,
        rx_id,
        IsotpSocketOptions(**options),
        implementation,
        max_pdu_size,
    )
    try:
        gate = None if policy is None else open_gate(socket, policy, on_gap)
    except BaseException:
        finish_in_background(socket.close())
        raise
    transport = IsotpTransport(loop, socket, used, protocol, gate)
    try:
        transport.begin()
    except BaseException:
        transport.abort()
        raise
    return transport, protocol
