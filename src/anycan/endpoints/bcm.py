"""The broadcast manager as an async endpoint."""

from __future__ import annotations

import warnings
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
from anyio.lowlevel import checkpoint

from anycan.endpoints.bcm_channel import Channel
from anycan.endpoints.bcm_lines import Lines
from anycan.endpoints.bcm_messages import Cycle, check_sent, identifier_word, watch_message
from anycan.endpoints.bcm_operations import Operations
from anycan.endpoints.bcm_tasks import CyclicTask, RemoteAnswer, Watch
from anycan.endpoints.bcm_values import BcmAttribute, BcmStatistics
from anycan.endpoints.bcm_waiting import operations_maker
from anycan.endpoints.closing import finish
from anycan.endpoints.pacing import Pacer
from anycan.exceptions import CanOSError, OperationError
from anycan.sockets.closing import finish_in_background
from anycan.sockets.errors import interface_removed
from anycan.sockets.networks import resolve_network

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping

    from anycan.endpoints.bcm_operations import Reader
    from anycan.endpoints.bcm_values import Multiplex
    from anycan.endpoints.link_values import LinkGap, OnLinkLoss
    from anycan.frame import AnyFrame, Frame
    from anycan.network.base import Network
    from anycan.sockets.bcm import BcmSocket

WATCH_CAPACITY = 1024


class BcmEndpoint(anyio.TypedAttributeProvider):
    """The broadcast manager, on asyncio, uvloop and trio. Made by :func:`open_bcm`.

    It sends messages cyclically, and tells of changes in the messages of others, by itself: in the
    kernel, or in the user-space network. What it is to do it is told by operations, each of which
    goes by an identifier. They end with their block, or with the endpoint, and leave nothing
    behind.

    Any number of tasks may use it at once.
    """

    def __init__(
        self,
        network: Network,
        interface: str | int | None,
        receive_buffer: int | None,
        make_operations: Callable[[BcmSocket, Reader], Operations] = Operations,
    ) -> None:
        make = partial(Channel, make_operations=make_operations)
        self._lines: Lines[Channel] = Lines(network, interface, receive_buffer, make)

    def send_cyclic(
        self,
        frames: AnyFrame | Iterable[AnyFrame],
        interval: float,
        *,
        count: int | None = None,
        then: float | None = None,
        interface: str | int | None = None,
        replace: bool = False,
    ) -> CyclicTask:
        r"""Have frames sent cyclically, beginning now; the network does it by itself.

        Args:
            frames: A frame, or a sequence of 1 to 256 of which one after the other is sent: data
                or remote frames of classical CAN, or frames of CAN FD. The first one's identifier
                names the operation.
            interval: From one frame to the next, in seconds: from a microsecond to 400 days. (The
                user-space network is as exact as its event loop, some milliseconds.)
            count: How many frames are sent at that interval, from 1, the first one included; None:
                it goes on for ever.
            then: The interval after those, for ever; None: nothing is sent then.
            interface: Where to send, by name or index, on an endpoint for all interfaces.
            replace: End a transmission of the same identifier on this endpoint for this one.

        Returns:
            The operation, which starts when its ``async with`` block is entered, and ends with it.

        Raises:
            OperationError: It cannot be: too many frames, of both kinds, an interval out of range.
            FrameNotSupportedError: The interface takes no CAN FD frames.
            UnknownInterfaceError: There is no such interface, or none was named on an endpoint for
                all.
            ClosedResourceError: The endpoint is closed.

        Entering the block raises:
            OperationExistsError: There is a transmission of the same identifier on this endpoint
                and interface (the kernel would silently replace it).
            InterfaceRemovedError: The interface is gone.
            CanOSError: The broadcast manager refuses it for another reason.
            ClosedResourceError: The endpoint is closed.

        Example:
            >>> async def main() -> None:
            ...     async with UserNetwork() as network:
            ...         network.add_vcan("vcan0")
            ...         async with (
            ...             open_bcm("vcan0", network=network) as bcm,
            ...             open_raw("vcan0", network=network) as can,
            ...             bcm.send_cyclic(Frame(0x100, b"\x00"), interval=0.01) as task,
            ...         ):
            ...             print(await can.receive())
            ...             await task.update(Frame(0x100, b"\x01"))
            ...             print(await can.receive())
            >>> anyio.run(main)
            100#00
            100#01
        """
        cycle = Cycle.make(frames, interval, count, then)
        return CyclicTask(self._lines.find_one(interface), cycle, replace=replace)

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
        capacity: int = WATCH_CAPACITY,
        interface: str | int | None = None,
        replace: bool = False,
    ) -> Watch:
        r"""Be told when a message's content changes, or when it fails to come.

        Frames that change nothing cost this program nothing: they are compared by the network.
        The first frame is told always.

        Args:
            identifier: The message's identifier.
            extended: It has 29 bits; None: where it needs them.
            mask: Which bits make a change, from the frame's first byte on; up to 8 bytes, 64 of
                CAN FD. Those left out make none. None: every frame is told.
            multiplex: Masks by the value of a multiplexor, in place of ``mask``.
            timeout: Tell when no frame has come for so many seconds, from now on: once, until one
                comes again. None: never.
            throttle: Tell at most one change (of each multiplexed content) in so many seconds; the
                latest one is told when they are over. None or 0: tell each at once.
            check_length: A change of the length is a change, too.
            announce_resume: After a timeout the first frame is told, whatever it holds.
            restart_timeout: Each frame begins the timeout anew. Otherwise the first one ends it:
                the timeout is for that one alone.
            fd: Watch CAN FD frames with that identifier, instead of classical ones.
            remote: Watch remote requests with that identifier, instead of data frames.
            capacity: How many events are kept for who does not take them, from 1; then the oldest
                is lost, and counted in ``overflowed``.
            interface: Where to watch, on an endpoint for all interfaces; None: everywhere. There
                a ``timeout`` or ``throttle`` makes it watch the first interface alone on which the
                message is heard.
            replace: End a watch of the same identifier on this endpoint for this one.

        Returns:
            The operation, an async iterator of :class:`Changed` and :class:`TimedOut`. It starts
            when its ``async with`` block is entered, and ends with it. Without a block, it starts
            when iteration does, and ends when nobody holds it any more.

        Raises:
            OperationError: It cannot be: a mask longer than a frame, a time out of range.
            UnknownInterfaceError: There is no such interface.
            ClosedResourceError: The endpoint is closed.

        Entering the block or iteration raises:
            OperationExistsError: There is a watch of the same identifier on this endpoint and
                interface (the kernel would silently replace it).
            InterfaceRemovedError: The interface is gone.
            CanOSError: The broadcast manager refuses it for another reason.
            ClosedResourceError: The endpoint is closed.

        Example:
            >>> async def main() -> None:
            ...     async with UserNetwork() as network:
            ...         network.add_vcan("vcan0")
            ...         async with (
            ...             open_bcm("vcan0", network=network) as bcm,
            ...             bcm.watch(0x123, mask=b"\xff\x00", timeout=0.01) as events,
            ...         ):
            ...             for data in (b"\x01\x01", b"\x01\x02", b"\x02\x02"):
            ...                 network.inject("vcan0", Frame(0x123, data))
            ...             async for event in events:
            ...                 match event:
            ...                     case Changed(frame):
            ...                         print(frame)
            ...                     case TimedOut():
            ...                         break
            >>> anyio.run(main)
            123#0101
            123#0202
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
        if capacity < 1:
            raise OperationError(f"capacity= is 1 event at least, not {capacity}")
        return Watch(self._lines.find(interface), message, capacity, replace=replace)

    def answer_remote(
        self, frame: Frame, *, interface: str | int | None = None, replace: bool = False
    ) -> RemoteAnswer:
        r"""Have remote requests answered with a frame; the network does it by itself.

        Args:
            frame: The answer, a data frame of classical CAN: requests with its identifier, of
                whatever length, are answered with it.
            interface: Where, on an endpoint for all interfaces.
            replace: End an answer, or a watch of such requests, on this endpoint for this one.

        Returns:
            The operation, which starts when its ``async with`` block is entered, and ends with it.

        Raises:
            OperationError: It is no such frame.
            UnknownInterfaceError: There is no such interface, or none was named on an endpoint for
                all.
            ClosedResourceError: The endpoint is closed.

        Entering the block raises:
            OperationExistsError: There is an operation for such requests on this endpoint and
                interface.
            InterfaceRemovedError: The interface is gone.
            CanOSError: The broadcast manager refuses it for another reason.
            ClosedResourceError: The endpoint is closed.

        Example:
            >>> async def main() -> None:
            ...     async with UserNetwork() as network:
            ...         network.add_vcan("vcan0")
            ...         async with (
            ...             open_bcm("vcan0", network=network) as bcm,
            ...             open_raw("vcan0", network=network) as can,
            ...             bcm.answer_remote(Frame(0x321, b"\x2a")),
            ...         ):
            ...             await can.send(RemoteFrame(0x321))
            ...             print(await can.receive())
            >>> anyio.run(main)
            321#2A
        """
        return RemoteAnswer(self._lines.find_one(interface), frame, replace=replace)

    async def send(self, frame: AnyFrame, *, interface: str | int | None = None) -> None:
        """Send a frame once; returns when the network has taken it.

        It waits while the interface's queue is full, and with ``on_link_loss="wait"`` while its
        link is lost. When it is cancelled the frame has not been
        sent. (Who sends much is better off with :func:`open_raw`.)

        Args:
            frame: A data or remote frame of classical CAN, or a frame of CAN FD.
            interface: Where to, on an endpoint for all interfaces.

        Raises:
            OperationError: The broadcast manager sends no such frames.
            InterfaceDownError: The interface is down; the frame was not sent.
            InterfaceRemovedError: The interface is gone.
            UnknownInterfaceError: There is no such interface, or none was named on an endpoint for
                all.
            FrameNotSupportedError: The interface takes no such frame.
            ClosedResourceError: The endpoint is closed, or was closed meanwhile.
        """
        check_sent(frame)
        operations = self._lines.find_one(interface).operations
        await checkpoint()
        pacer = Pacer()
        while True:
            await operations.ready()
            if self._lines.closed:
                raise anyio.ClosedResourceError
            if operations.removed:
                raise interface_removed(operations.socket.interface)
            try:
                operations.socket.send_frame(frame)
            except BlockingIOError:
                pass
            except CanOSError as error:
                if not operations.forgives(error):
                    raise
            else:
                return
            if operations.gap is None:  # the queue is full, or the network is about to tell of one
                await anyio.sleep(pacer.delay())

    @property
    def gap(self) -> LinkGap | None:
        """The gap that its link is in now, with ``on_link_loss="wait"``; None: there is none."""
        return self._lines.gap

    def statistics(self) -> BcmStatistics:
        """Give the counters since the endpoint was opened; also after it was closed."""
        return self._lines.statistics()

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        """The attributes of :class:`BcmAttribute`."""
        lines = self._lines
        return {
            BcmAttribute.interface: lambda: lines.interface,
            BcmAttribute.interface_index: lambda: lines.index,
            BcmAttribute.network: lambda: lines.network,
        }

    async def aclose(self) -> None:
        """Close the endpoint: all operations end, and who waits gets ClosedResourceError."""
        await finish(self._lines.close())

    def __del__(self) -> None:
        if hasattr(self, "_lines") and not self._lines.closed:
            warnings.warn(f"unclosed {self!r}", ResourceWarning, source=self, stacklevel=1)
            finish_in_background(self._lines.close())

    def __repr__(self) -> str:
        state = " closed" if self._lines.closed else ""
        return f"<BcmEndpoint {self._lines.interface or 'all interfaces'}{state}>"


@asynccontextmanager
async def open_bcm(
    interface: str | int | None,
    *,
    receive_buffer: int | None = None,
    on_link_loss: OnLinkLoss = "raise",
    on_gap: Callable[[LinkGap], object] | None = None,
    network: Network | str | None = None,
) -> AsyncIterator[BcmEndpoint]:
    """Open a broadcast manager endpoint, for the length of an ``async with`` block.

    Args:
        interface: Name (``"can0"``) or index of the interface; None: all interfaces. Then
            operations name one, and watches may be for all.
        receive_buffer: Size of the socket's receive buffer in bytes, by the kernel's own count (a
            message takes about 1 KiB), from 1; None: 4 MiB, or what ``net.core.rmem_max`` allows
            without the right to exceed it.
        on_link_loss: ``"raise"``: an interface that goes down or is removed is told by an
            exception. ``"wait"`` or a :class:`LinkWait`: it is waited for, and so is a controller
            that is bus-off. Operations go on when the link is back, on an interface that was made
            anew too; starting one waits for it, and so does sending.
        on_gap: Called with a :class:`LinkGap` when the link is lost and when it is back, with
            ``on_link_loss="wait"``.
        network: Where the interface is; None: what ``ANYCAN_NETWORK`` names, else the kernel.

    Yields:
        The endpoint.

    Raises:
        UnknownInterfaceError: There is no such interface.
        NotACanInterfaceError: It is no CAN interface.
        ProtocolUnavailableError: The system has no broadcast manager; the message names the ways
            out.
        CanPermissionError: The process may not open CAN sockets.
        NetworkUnavailableError: There is no such network.
        CanOSError: The system refused for another reason, such as too many open files.
        ValueError: The buffer's size is out of range, or ``on_gap`` stands without waiting.
        TypeError: An argument is of no type that it can have.

    An interface that is down can be opened: operations start (or wait for it), and frames go and
    come once it is up.

    With ``on_link_loss="wait"``, while an interface is down its operations go on, as they do
    otherwise: frames are lost, the beat and the count go on, and timeouts are told. When it was
    removed, they are set up anew as soon as there is one of that name that is up:

    - A cyclic transmission begins with its first frame, and with what was changed meanwhile. A
      count that was not over begins anew, since nobody knows how far it was; one that was over
      stays so, and ``then`` goes on.
    - A watch tells the first frame, whether or not its content has changed, and its timeout begins
      anew.
    - Nothing is done of what :meth:`CyclicTask.announce` asked for, and :meth:`CyclicTask.read`
      tells what will be set up.

    A watch for all interfaces waits for none of them.

    Source: the kernel's Documentation/networking/can.rst, "Broadcast Manager protocol sockets".
    """
    make_operations = operations_maker(on_link_loss, on_gap)
    endpoint = BcmEndpoint(resolve_network(network), interface, receive_buffer, make_operations)
    try:
        yield endpoint
    finally:
        rest = endpoint._lines.close()  # noqa: SLF001 - aclose() without its checkpoint, which may be cancelled
        if rest is not None:
            await finish(rest)
