"""ISO-TP as an async stream of PDUs."""

from __future__ import annotations

import warnings
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Literal

import anyio
from anyio.abc import UnreliableObjectStream
from anyio.lowlevel import checkpoint

from anycan.endpoints.closing import finish
from anycan.endpoints.inbox import open_inbox
from anycan.endpoints.isotp_values import IsotpAttribute, IsotpStatistics
from anycan.endpoints.pacing import Pacer
from anycan.exceptions import CanOSError, InterfaceDownError, IsotpReceiveError
from anycan.sockets.closing import finish_in_background

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from anycan.endpoints.link_values import LinkGap
    from anycan.sockets.isotp import IsotpSocket

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
            InterfaceRemovedError: The interface is gone, now and at every later call. (Neither with
                ``on_link_loss="wait"``, unless the network itself is closed.)
            ClosedResourceError: The endpoint is closed, or was closed meanwhile.
            BusyResourceError: Another task is waiting for a PDU.
        """
        pdus = self._pdus
        while not pdus:
            await self._wait_for_pdus()
        return pdus.popleft()

    def _wait_for_pdus(self) -> Awaitable[None]:
        """Give what to await until a PDU may have been read; as the inbox's ``wait``."""
        return self._inbox.wait()

    @property
    def _busy(self) -> bool:
        """Whether a task waits for a PDU."""
        return self._inbox.busy

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
            await self._wait_for_pdus()

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
        :attr:`transmitting` tells which. The next call then waits for its end. With
        ``on_link_loss="wait"`` it waits for the link before it begins, and for that alone.

        Args:
            item: The PDU: 1 byte to ``max_pdu_size`` (8300 if nobody has raised it).

        Raises:
            PduError: It is empty, or too long.
            FlowControlTimeoutError: The receiver did not answer in time, or a frame did not leave.
            FlowControlOverflowError: The receiver has no room for so many bytes.
            FlowControlError: The receiver's flow control made no sense.
            SendUnconfirmedError: It ended, and the kernel does not tell how; with
                ``on_link_loss="wait"``, the link was lost meanwhile.
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
        while not self._try_to_begin(pdu):
            await self._wait_to_begin(pacer)

    def _try_to_begin(self, pdu: bytes) -> bool:
        """Begin to send; tell whether that was possible."""
        if self._closed:
            raise anyio.ClosedResourceError
        try:
            self._socket.send(pdu)
        except BlockingIOError:
            return False
        return True

    async def _wait_to_begin(self, pacer: Pacer) -> None:
        """Wait until it may be possible."""
        await anyio.sleep(pacer.delay())

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
            timeout: How long it may take in all, in seconds: until other requests are done, until a
                link that is waited for is back, and until the reply comes; None: as long as it
                takes.
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
                if self._busy:
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
            gaps=self._gap_count(),
        )

    def _gap_count(self) -> int:
        return 0

    @property
    def gap(self) -> LinkGap | None:
        """The gap that there is now, with ``on_link_loss="wait"``; None: there is none."""
        return None

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
