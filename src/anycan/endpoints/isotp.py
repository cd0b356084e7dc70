"""ISO-TP as an async stream of PDUs."""

from __future__ import annotations

import warnings
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, Literal

import anyio
from anyio.abc import UnreliableObjectStream
from anyio.lowlevel import checkpoint

from anycan.endpoints.closing import finish
from anycan.endpoints.inbox import open_inbox
from anycan.endpoints.isotp_opening import open_isotp_socket
from anycan.endpoints.isotp_values import IsotpAttribute, IsotpStatistics
from anycan.endpoints.pacing import Pacer
from anycan.exceptions import CanOSError, InterfaceDownError, IsotpReceiveError
from anycan.sockets.closing import finish_in_background
from anycan.sockets.isotp_options import IsotpSocketOptions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from anycan.network.base import Network
    from anycan.sockets.isotp import IsotpSocket
    from anycan.wire.isotp_address import Address

_LOOK_AGAIN: Final = 0.05  # seconds; some kernels (6.2 to 6.5) do not tell the end of a transfer


class IsotpLink(UnreliableObjectStream[bytes]):
    """ISO-TP between two nodes as an async stream of PDUs. Made by :func:`open_isotp`.

    The protocol (segmentation, flow control, timeouts) is spoken in the kernel, or by anycan's
    engine: also while nobody waits here. It is *unreliable* in anyio's sense: a PDU that fails in
    the middle is lost, which is told, and those that come while the receive buffer is full are,
    which ``statistics().dropped`` counts.

    One task receives at a time; a second one gets ``anyio.BusyResourceError``. Any number may
    send: one PDU is sent at a time, in the order of the calls.
    """

    def __init__(self, socket: IsotpSocket, implementation: Literal["socket", "engine"]) -> None:
        self._socket = socket
        self._implementation = implementation
        self._inbox = open_inbox(socket)
        self._pdus = self._inbox.items
        self._send_lock = anyio.Lock()
        self._request_lock = anyio.Lock()
        self._stale = 0
        self._closed = False

    # Receiving

    async def receive(self) -> bytes:
        """Wait for the next PDU.

        Cancelling it loses no PDU.

        Raises:
            IsotpReceiveError: A PDU was given up in the middle, once each time. Call again.
            InterfaceDownError: The interface went down, once each time. It is passing: call again.
            InterfaceRemovedError: The interface is gone, now and at every later call.
            ClosedResourceError: The endpoint is closed, or was closed meanwhile.
            BusyResourceError: Another task is waiting for a PDU.
        """
        pdus = self._pdus
        while not pdus:
            await self._inbox.wait()
        return pdus.popleft()

    def receive_nowait(self) -> bytes:
        """Take the next PDU if there is one.

        Raises:
            WouldBlock: There is none.
            CanOSError: As :meth:`receive`.
            ClosedResourceError: The endpoint is closed.
        """
        pdus = self._pdus
        if not pdus:
            self._inbox.read()
            if not pdus:
                raise anyio.WouldBlock
        return pdus.popleft()

    async def wait(self) -> None:
        """Wait until :meth:`receive_nowait` may give a PDU: for whoever waits for several at once.

        Cancelling it loses nothing.

        Raises:
            IsotpReceiveError: As :meth:`receive`, and so are the rest.
            InterfaceError: As :meth:`receive`.
            ClosedResourceError: As :meth:`receive`.
            BusyResourceError: As :meth:`receive`.
        """
        if self._pdus:
            await checkpoint()
        else:
            await self._inbox.wait()

    async def __anext__(self) -> bytes:
        """Wait for the next PDU, as :meth:`receive`; iteration never ends by itself.

        After an error that is passing it can be iterated again.
        """
        return await self.receive()

    # Sending

    async def send(self, item: bytes | bytearray | memoryview) -> None:
        """Send a PDU; returns when its last frame has been sent on the bus.

        A second one waits until the first one has been sent. When it is cancelled before its first
        frame was sent, nothing has been sent. Later than that the transfer goes on by itself:
        :attr:`transmitting` tells which. The next call then waits for its end.

        Args:
            item: The PDU: 1 byte to ``max_pdu_size`` (8300 if nobody has raised it).

        Raises:
            PduError: It is empty, or too long.
            FlowControlTimeoutError: The receiver did not answer in time, or a frame did not leave.
            FlowControlOverflowError: The receiver has no room for so many bytes.
            FlowControlError: The receiver's flow control made no sense.
            SendUnconfirmedError: It ended, and the kernel does not tell how.
            InterfaceDownError: The interface is down, or went down meanwhile.
            InterfaceRemovedError: The interface is gone.
            ClosedResourceError: The endpoint is closed, or was closed meanwhile.
            TypeError: It is not bytes.
        """
        pdu = memoryview(item).tobytes()
        await checkpoint()
        async with self._send_lock:
            await self._begin(pdu)
            await self._wait_until_sent()

    async def _begin(self, pdu: bytes) -> None:
        """Begin to send, once what is being sent has ended."""
        with suppress(CanOSError):  # of a PDU that nobody waits for any more
            await self._wait_until_sent()
        pacer = Pacer()
        while True:
            if self._closed:
                raise anyio.ClosedResourceError
            try:
                self._socket.send(pdu)
            except BlockingIOError:
                await anyio.sleep(pacer.delay())
            else:
                return

    async def _wait_until_sent(self) -> None:
        pacer = Pacer()
        vain = 0
        while True:
            if self._closed:
                raise anyio.ClosedResourceError
            if self._socket.sent():
                return
            # Poll may say so too early: when an error comes, and on kernels before 6.2 always.
            vain += 1
            if vain > 2:
                await anyio.sleep(pacer.delay())
                continue
            with anyio.move_on_after(_LOOK_AGAIN):
                await self._inbox.wait_writable()
                continue
            vain = 0

    @property
    def transmitting(self) -> bool:
        """Whether a PDU is being sent: after a cancelled :meth:`send`, whether it has begun."""
        with suppress(CanOSError, OSError):
            return not self._closed and self._socket.sending and not self._socket.is_idle()
        return False

    # Both

    async def request(
        self,
        item: bytes | bytearray | memoryview,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - of the peer, and so what is asked for
        final: Callable[[bytes], bool] = bool,
        pending_timeout: float | None = None,
    ) -> bytes:
        r"""Send a PDU, and wait for the next one that comes.

        What came before and nobody took is dropped, and what went wrong before is not told, so
        that neither is taken for the reply. Requests
        of several tasks wait for each other.

        Args:
            item: The PDU, as for :meth:`send`.
            timeout: How long it may take in all, in seconds; None: as long as it takes.
            final: Tells of what comes whether it is the reply; what is not is dropped, and waiting
                goes on. UDS's "response pending": ``lambda reply: reply[:1] != b"\x7f" or
                reply[-1:] != b"\x78"``.
            pending_timeout: How long it may take from each of those on, in seconds (of UDS, P2*,
                as ``timeout`` is P2); None: no longer than it might before.

        Raises:
            TimeoutError: It took longer.
            PduError: As :meth:`send`, and so are the rest of its errors.
            IsotpSendError: As :meth:`send`.
            IsotpReceiveError: The reply was given up in the middle.
            InterfaceError: As :meth:`send`.
            ClosedResourceError: As :meth:`send`.
            BusyResourceError: Another task is waiting for a PDU; nothing was sent.

        Example:
            >>> async def main() -> None:
            ...     async with UserNetwork() as network:
            ...         network.add_vcan("vcan0")
            ...         async with (
            ...             open_isotp("vcan0", tx_id=0x7E0, rx_id=0x7E8, network=network) as one,
            ...             open_isotp("vcan0", tx_id=0x7E8, rx_id=0x7E0, network=network) as other,
            ...             anyio.create_task_group() as tasks,
            ...         ):
            ...             async def answer() -> None:
            ...                 await other.send(b"\x62" + (await other.receive())[1:])
            ...             tasks.start_soon(answer)
            ...             reply = await one.request(bytes.fromhex("22F190"), timeout=1.0)
            ...             print(reply.hex())
            >>> anyio.run(main)
            62f190
        """
        with anyio.fail_after(timeout) as scope:
            async with self._request_lock:
                if self._inbox.busy:
                    raise anyio.BusyResourceError("receiving from")
                self._drop_stale()
                await self.send(item)
                while not final(reply := await self.receive()):
                    self._stale += 1
                    if pending_timeout is not None:
                        scope.deadline = anyio.current_time() + pending_timeout
                return reply

    def _drop_stale(self) -> None:
        with suppress(anyio.WouldBlock):
            while True:
                # What went wrong before says nothing of the reply either.
                with suppress(IsotpReceiveError, InterfaceDownError):
                    self.receive_nowait()
                    self._stale += 1

    def statistics(self) -> IsotpStatistics:
        """Give the counters since the endpoint was opened; also after it was closed."""
        socket = self._socket
        return IsotpStatistics(
            received=socket.received,
            sent=socket.pdus_sent,
            dropped=socket.dropped,
            malformed=socket.malformed,
            errors=socket.errors,
            waiting=len(self._pdus),
            discarded=self._inbox.discarded + self._stale,
            frames_dropped=socket.frames_dropped,
        )

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        """The attributes of :class:`IsotpAttribute`."""
        socket = self._socket
        return {
            IsotpAttribute.interface: lambda: socket.interface,
            IsotpAttribute.interface_index: lambda: socket.index,
            IsotpAttribute.network: lambda: socket.network,
            IsotpAttribute.fd: lambda: socket.fd,
            IsotpAttribute.address: lambda: socket.address,
            IsotpAttribute.implementation: lambda: self._implementation,
            IsotpAttribute.max_pdu_size: lambda: socket.maximum_pdu,
        }

    async def aclose(self) -> None:
        """Close the endpoint and wake whoever waits, with ClosedResourceError.

        The event loop goes on meanwhile: the kernel waits for the end of a transfer, which takes a
        second at the most unless the peer asks for more time again and again. When it is cancelled
        then, that happens in the background.
        """
        if self._closed:
            await checkpoint()
            return
        busy = self.transmitting
        await finish(self._close(), shield=not busy)

    def _close(self) -> Callable[[], object] | None:
        self._closed = True
        self._inbox.close()
        with suppress(anyio.NoEventLoopError):  # then nobody waits
            anyio.notify_closing(self._socket.fd)
        return self._socket.close()

    def __del__(self) -> None:
        if not getattr(self, "_closed", True):
            warnings.warn(f"unclosed {self!r}", ResourceWarning, source=self, stacklevel=1)
            finish_in_background(self._close())

    def __repr__(self) -> str:
        state = " closed" if self._closed else ""
        return f"<IsotpLink {self._socket.interface} {self._socket.address!r}{state}>"


@asynccontextmanager
async def open_isotp(
    interface: str | int,
    *,
    tx_id: int | None = None,
    rx_id: int | None = None,
    address: Address | None = None,
    fd: bool = False,
    tx_dl: int | None = None,
    brs: bool = False,
    esi: bool = False,
    block_size: int = 0,
    stmin: float = 0.0,
    padding: int | None = None,
    rx_padding: int | None = None,
    check_padding: Literal["length", "content", "both"] | None = None,
    tx_stmin: float | None = None,
    rx_stmin: float | None = None,
    frame_txtime: float | None = None,
    listen_only: bool = False,
    half_duplex: bool = False,
    dynamic_flow_control: bool = False,
    broadcast_segmented: bool = False,
    strict_iso: bool = False,
    implementation: Literal["auto", "socket", "engine"] = "auto",
    max_pdu_size: int | None = None,
    receive_buffer: int | None = None,
    network: Network | str | None = None,
) -> AsyncIterator[IsotpLink]:
    """Open an ISO-TP endpoint, for the length of an ``async with`` block.

    Args:
        interface: Name (``"can0"``) or index of the interface.
        tx_id: The identifier of the frames sent; with ``rx_id``, short for
            ``address=Address.normal(tx_id, rx_id)``.
        rx_id: The identifier of the frames received; None: none are received, as of a functional
            address.
        address: Whom to talk to, in any addressing mode.
        fd: Send and receive frames of CAN FD, and those alone.
        tx_dl: The most data in a frame sent, in bytes: 8, or with ``fd`` also 12, 16, 20, 24, 32,
            48 or 64; None: 8, or 64 with ``fd``.
        brs: Send CAN FD frames with the bit rate switch.
        esi: Send CAN FD frames with the error state indicator.
        block_size: How many consecutive frames the peer may send before it waits for flow control
            anew, 1 to 255; 0: all.
        stmin: How long the peer is to wait between consecutive frames at least, in seconds, to
            0.127; what is no multiple of 1 ms (below that, of 0.1 ms) is rounded up.
        padding: Fill frames sent up to 8 bytes (of CAN FD, to the next length), with this byte;
            None: send them as short as they are.
        rx_padding: Frames received are filled up with this byte; None: nothing is expected.
        check_padding: What to check of that: ``"length"``, ``"content"`` or ``"both"``; None:
            both where ``rx_padding`` is given, else nothing. ``"length"`` without ``rx_padding``
            checks that frames are not filled up.
        tx_stmin: Wait so many seconds between consecutive frames, whatever the peer asks for.
        rx_stmin: Ignore consecutive frames that come faster than that, in seconds.
        frame_txtime: What is added between consecutive frames, in seconds; None: what sockets have,
            50 microseconds, and the engine nothing. On kernels before 5.18 a bus needs it, since
            their frames do not wait for each other.
        listen_only: Send no flow control: for whoever listens to two others.
        half_duplex: Receive nothing while sending, and send nothing while receiving.
        dynamic_flow_control: Take block size and separation time from each flow control frame, not
            from the first one alone (Linux 6.9).
        broadcast_segmented: Send PDUs to a functional address that need several frames, too, one
            after the other without flow control (Linux 6.0).
        strict_iso: Do as ISO 15765-2:2016 says where the kernel does otherwise; the engine does.
        implementation: ``"socket"``: the network's ISO-TP sockets. ``"engine"``: anycan's own
            engine, over a raw socket. ``"auto"``: the first, unless there are none.
        max_pdu_size: The most bytes in a PDU, 4095 to 1,049,600, where the engine is used; None:
            8300, or what the network has. Sockets have the network's.
        receive_buffer: Size of the socket's receive buffer in bytes, by the kernel's own count,
            from 1; None: 4 MiB, or what ``net.core.rmem_max`` allows without the right to exceed
            it.
        network: Where the interface is; None: what ``ANYCAN_NETWORK`` names, else the kernel.

    Yields:
        The endpoint, an ``anyio.abc.UnreliableObjectStream`` of PDUs.

    Raises:
        AddressError: The address is none, or is given twice.
        UnknownInterfaceError: There is no such interface.
        NotACanInterfaceError: It is no CAN interface.
        FrameNotSupportedError: It takes no CAN FD frames.
        ProtocolUnavailableError: The system has no ISO-TP; the message names the ways out.
        CanPermissionError: The process may not open CAN sockets.
        NetworkUnavailableError: There is no such network.
        CanOSError: The system refused for another reason, such as too many open files.
        ValueError: An option is out of range, or does not go with another one.
        TypeError: An argument is of no type that it can have.

    Several endpoints with the same identifiers each receive all PDUs, and each answer with flow
    control: the bus then has two of it.

    Source: ISO 15765-2:2016; ``linux/can/isotp.h``.
    """
    options = IsotpSocketOptions(
        fd=fd,
        tx_dl=tx_dl,
        brs=brs,
        esi=esi,
        block_size=block_size,
        stmin=stmin,
        padding=padding,
        rx_padding=rx_padding,
        check_padding=check_padding,
        tx_stmin=tx_stmin,
        rx_stmin=rx_stmin,
        frame_txtime=frame_txtime,
        listen_only=listen_only,
        half_duplex=half_duplex,
        dynamic_flow_control=dynamic_flow_control,
        broadcast_segmented=broadcast_segmented,
        strict_iso=strict_iso,
        receive_buffer=receive_buffer,
    )
    socket, used = open_isotp_socket(
        network, interface, address, tx_id, rx_id, options, implementation, max_pdu_size
    )
    link = IsotpLink(socket, used)
    try:
        yield link
    finally:
        if not link._closed:  # noqa: SLF001 - aclose() without its checkpoint, which may be cancelled
            busy = link.transmitting
            rest = link._close()  # noqa: SLF001
            if rest is not None:
                await finish(rest, shield=not busy)
