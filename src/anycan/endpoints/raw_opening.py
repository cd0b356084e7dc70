"""Opening a raw endpoint."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Literal

from anycan.endpoints.link_values import resolve_policy
from anycan.endpoints.raw import RawEndpoint
from anycan.sockets.networks import resolve_network
from anycan.sockets.raw import RawSocket
from anycan.sockets.raw_options import RawOptions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from anycan.endpoints.link_values import LinkGap, OnLinkLoss
    from anycan.filter import CanFilter, Filter
    from anycan.frame import ErrorClass
    from anycan.network.base import Network
    from anycan.wire.options import VcidOptions


@asynccontextmanager
async def open_raw(
    interface: str | int | None,
    *,
    filters: Filter | CanFilter | Iterable[Filter | CanFilter] | None = None,
    errors: ErrorClass | int = 0,
    fd: bool = True,
    xl: bool = False,
    vcid: VcidOptions | None = None,
    loopback: bool = True,
    receive_own: bool = False,
    join_filters: bool = False,
    timestamps: Literal["software", "hardware"] = "software",
    receive_buffer: int | None = None,
    send_buffer: int | None = None,
    coalesce: float = 0.0,
    on_link_loss: OnLinkLoss = "raise",
    on_gap: Callable[[LinkGap], object] | None = None,
    network: Network | str | None = None,
) -> AsyncIterator[RawEndpoint]:
    """Open a raw CAN endpoint, for the length of an ``async with`` block.

    Args:
        interface: Name (``"can0"``) or index of the interface; None: all interfaces.
        filters: Which data and remote frames to receive; None: all. A :class:`Filter`, a
            :class:`CanFilter` as the kernel takes it, or several of them, of which any may match.
        errors: Which classes of error frames to receive; ``ErrorClass.ALL``: all; 0: none.
        fd: Receive and send CAN FD frames, beside classical ones.
        xl: Receive and send CAN XL frames too (Linux 6.1).
        vcid: Virtual CAN network identifiers of CAN XL frames (Linux 6.9).
        loopback: Frames sent here are seen by other sockets of this host.
        receive_own: Frames sent here are received here, with ``frame.own`` set.
        join_filters: Receive what passes all filters, instead of any of them.
        timestamps: ``"software"``: the kernel's stamp, in ``frame.timestamp_ns``. ``"hardware"``:
            the controller's too, where it has a clock, in ``frame.hardware_timestamp_ns``.
        receive_buffer: Size of the socket's receive buffer in bytes, by the kernel's own count
            (a frame takes about 1 KiB), from 1; the kernel has a least size. None: 4 MiB, or what
            ``net.core.rmem_max`` allows without the right to exceed it.
        send_buffer: Size of the socket's send buffer in bytes, by the same count, from 1; None:
            the least there is, so that a full interface is noticed early.
        coalesce: Seconds, up to 1. After frames have been read, reading rests for so long (unless
            more wait than one call takes), and what comes meanwhile is read at once: on a busy bus
            a fraction of the processor time, for a delay that is bounded. Stamps are the kernel's
            all the same. 0: each frame is read as it comes.
        on_link_loss: ``"raise"``: an interface that goes down or is removed is told by an
            exception. ``"wait"`` or a :class:`LinkWait`: it is waited for, and so is a controller
            that is bus-off. Receiving goes on when the link is back, of an interface that was made
            anew too, with the filters and options that there were; sending waits for it.
        on_gap: Called with a :class:`LinkGap` when the link is lost and when it is back, with
            ``on_link_loss="wait"``.
        network: Where the interface is; None: what ``ANYCAN_NETWORK`` names, else the kernel.

    Yields:
        The endpoint, an ``anyio.abc.UnreliableObjectStream`` of frames.

    Raises:
        UnknownInterfaceError: There is no such interface.
        NotACanInterfaceError: It is no CAN interface.
        ProtocolUnavailableError: The system has no SocketCAN; the message names the ways out.
        CanPermissionError: The process may not open CAN sockets.
        OptionNotSupportedError: The kernel does not know an option that was asked for.
        FilterError: There are more filters than a socket takes, or one is out of range.
        NetworkUnavailableError: There is no such network.
        CanOSError: The system refused for another reason, such as too many open files.
        ValueError: Options that contradict each other (``xl`` without ``fd``, ``vcid`` without
            ``xl``, ``on_gap`` without waiting), or ``coalesce`` or a buffer's size that is out of
            range.
        TypeError: An argument is of no type that it can have.

    An interface that is down can be opened: the first receive raises InterfaceDownError, and
    frames come once it is up.

    Example:
        >>> async def main() -> None:
        ...     async with UserNetwork() as network:
        ...         network.add_vcan("vcan0")
        ...         async with (
        ...             open_raw("vcan0", network=network) as sender,
        ...             open_raw("vcan0", network=network, filters=Filter.id(0x123)) as receiver,
        ...         ):
        ...             await sender.send(Frame(0x123, b"abc"))
        ...             print(await receiver.receive())
        >>> anyio.run(main)
        123#616263
    """
    options = RawOptions(
        filters=filters,
        errors=errors,
        fd=fd,
        xl=xl,
        vcid=vcid,
        loopback=loopback,
        receive_own=receive_own,
        join_filters=join_filters,
        timestamps=timestamps,
        receive_buffer=receive_buffer,
        send_buffer=send_buffer,
        coalesce=coalesce,
    )
    policy = resolve_policy(on_link_loss, on_gap)
    socket = RawSocket(resolve_network(network), interface, options)
    try:
        if policy is None:
            endpoint = RawEndpoint(socket)
        else:
            from anycan.endpoints.raw_waiting import (  # noqa: PLC0415 - few wait, and it is much
                WaitingRawEndpoint,
            )

            endpoint = WaitingRawEndpoint(socket, policy, on_gap)
    except BaseException:
        socket.close()
        raise
    try:
        yield endpoint
    finally:
        endpoint._close()  # noqa: SLF001 - aclose() without the checkpoint, which may be cancelled
