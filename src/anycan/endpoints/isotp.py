"""Opening an ISO-TP endpoint."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Literal

from anycan.endpoints.closing import finish
from anycan.endpoints.isotp_link import IsotpLink
from anycan.endpoints.isotp_opening import open_isotp_socket
from anycan.endpoints.isotp_waiting import WaitingIsotpLink
from anycan.endpoints.link_values import resolve_policy
from anycan.sockets.closing import finish_in_background
from anycan.sockets.isotp_options import IsotpSocketOptions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from anycan.endpoints.link_values import LinkGap, OnLinkLoss
    from anycan.network.base import Network
    from anycan.wire.isotp_address import Address


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
    on_link_loss: OnLinkLoss = "raise",
    on_gap: Callable[[LinkGap], object] | None = None,
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
        on_link_loss: ``"raise"``: an interface that goes down or is removed is told by an
            exception. ``"wait"`` or a :class:`LinkWait`: it is waited for, and so is a controller
            that is bus-off. Receiving goes on when the link is back, of an interface that was made
            anew too, with the addresses and options that there were; sending waits for it. A PDU
            that was being sent when the link was lost may have been received or not: its
            ``send`` raises an :class:`IsotpSendError`, and it is not sent again.
        on_gap: Called with a :class:`LinkGap` when the link is lost and when it is back, with
            ``on_link_loss="wait"``.
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
        ValueError: An option is out of range, or does not go with another one (``on_gap`` without
            waiting, too).
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
    policy = resolve_policy(on_link_loss, on_gap)
    socket, used = open_isotp_socket(
        network, interface, address, tx_id, rx_id, options, implementation, max_pdu_size
    )
    try:
        link = (
            IsotpLink(socket, used)
            if policy is None
            else WaitingIsotpLink(socket, used, policy, on_gap)
        )
    except BaseException:
        finish_in_background(socket.close())
        raise
    try:
        yield link
    finally:
        if not link._closed:  # noqa: SLF001 - aclose() without its checkpoint, which may be cancelled
            busy = link.transmitting
            rest = link._close()  # noqa: SLF001
            if rest is not None:
                await finish(rest, shield=not busy)
