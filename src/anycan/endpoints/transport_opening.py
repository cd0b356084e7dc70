"""Opening raw CAN as an asyncio transport."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeVar

from anycan.endpoints.base_transport import running_loop
from anycan.endpoints.link_values import resolve_policy
from anycan.endpoints.transport import RawTransport
from anycan.sockets.networks import resolve_network
from anycan.sockets.raw import RawSocket
from anycan.sockets.raw_options import RawOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from anycan.endpoints.link_values import LinkGap, OnLinkLoss
    from anycan.endpoints.protocol import CanProtocol
    from anycan.filter import CanFilter, Filter
    from anycan.frame import ErrorClass
    from anycan.network.base import Network
    from anycan.wire.options import VcidOptions

_ProtocolType = TypeVar("_ProtocolType", bound="CanProtocol")


async def create_raw_transport(
    protocol_factory: Callable[[], _ProtocolType],
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
) -> tuple[RawTransport, _ProtocolType]:
    """Open raw CAN as an asyncio transport with a protocol (asyncio and uvloop alone).

    Args:
        protocol_factory: Makes the protocol: a subclass of :class:`CanProtocol`, or a function.
        interface: As for :func:`open_raw`, and so are the rest.
        filters: See :func:`open_raw`.
        errors: See :func:`open_raw`.
        fd: See :func:`open_raw`.
        xl: See :func:`open_raw`.
        vcid: See :func:`open_raw`.
        loopback: See :func:`open_raw`.
        receive_own: See :func:`open_raw`.
        join_filters: See :func:`open_raw`.
        timestamps: See :func:`open_raw`.
        receive_buffer: See :func:`open_raw`.
        send_buffer: See :func:`open_raw`.
        coalesce: Seconds, up to 1. After frames have been read, reading rests for so long (unless
            more wait than one call takes), and what comes meanwhile is read at once: on a busy bus
            a fraction of the processor time, for a delay that is bounded. Stamps are the kernel's
            all the same. 0: each frame is read as it comes.
        on_link_loss: See :func:`open_raw`. With ``"wait"`` the protocol is told of no interface
            that goes down, and frames that are sent wait meanwhile; ``pause_writing`` says when it
            is enough of them.
        on_gap: See :func:`open_raw`.
        network: See :func:`open_raw`.

    Returns:
        The transport and the protocol, after ``connection_made``. Close the transport.

    Raises:
        UnknownInterfaceError: As :func:`open_raw`, and so are the rest.
        NotACanInterfaceError: As :func:`open_raw`.
        ProtocolUnavailableError: As :func:`open_raw`.
        CanPermissionError: As :func:`open_raw`.
        OptionNotSupportedError: As :func:`open_raw`.
        FilterError: As :func:`open_raw`.
        NetworkUnavailableError: As :func:`open_raw`.
        CanOSError: As :func:`open_raw`.
        ValueError: As :func:`open_raw`.
        TypeError: As :func:`open_raw`.
        RuntimeError: The running loop is not asyncio's: a transport is asyncio's own.

    Example:
        >>> class Echo(CanProtocol):
        ...     def connection_made(self, transport: RawTransport) -> None:
        ...         self.transport = transport
        ...     def frame_received(self, frame: AnyFrame) -> None:
        ...         self.transport.send(Frame(frame.id + 8, frame.data))
        >>> async def main() -> None:
        ...     async with UserNetwork() as network:
        ...         network.add_vcan("vcan0")
        ...         transport, _ = await create_raw_transport(
        ...             Echo, "vcan0", filters=Filter.id(0x7E0), network=network
        ...         )
        ...         async with open_raw("vcan0", network=network) as can:
        ...             await can.send(Frame(0x7E0, b"ping"))
        ...             print(await can.receive())
        ...         transport.close()
        >>> asyncio.run(main())
        7E8#70696E67
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
    loop = running_loop("open_raw()")
    policy = resolve_policy(on_link_loss, on_gap)
    protocol = protocol_factory()
    socket = RawSocket(resolve_network(network), interface, options)
    try:
        if policy is None:
            transport = RawTransport(loop, socket, protocol)
        else:
            from anycan.endpoints.transport_waiting import (  # noqa: PLC0415 - few wait
                WaitingRawTransport,
            )

            transport = WaitingRawTransport(loop, socket, protocol, policy, on_gap)
    except BaseException:
        socket.close()
        raise
    try:
        transport.begin()
    except BaseException:
        transport.abort()
        raise
    return transport, protocol
