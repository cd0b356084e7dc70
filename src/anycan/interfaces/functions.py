"""Interfaces: list, create, configure and delete them, from async code.

The kernel is asked by rtnetlink, in a thread, since it may take its time to bring a controller up.
A call whose scope is cancelled meanwhile ends when the kernel is done, so that nothing is left half
done. asyncio's own ``task.cancel()`` does not wait: the kernel goes on, and what is asked next may
overtake it.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeVar

from anyio import to_thread
from anyio.lowlevel import checkpoint

from anycan.exceptions import InterfaceExistsError
from anycan.interfaces.link_source import source_of
from anycan.interfaces.links import check_mtu
from anycan.interfaces.netlink_links import NetlinkLinks
from anycan.interfaces.settings import Settings
from anycan.interfaces.user_links import UserLinks
from anycan.network.user import UserNetwork
from anycan.sockets.networks import resolve_network
from anycan.wire.constants import CANFD_MTU

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from anycan.interfaces.links import Links
    from anycan.interfaces.values import Interface
    from anycan.network.base import Network
    from anycan.wire.netlink_can import CanMode
    from anycan.wire.netlink_timing import BitTiming, TransmitterDelay

ResultT = TypeVar("ResultT")


async def _ask(network: Network | str | None, question: Callable[[Links], ResultT]) -> ResultT:
    found = resolve_network(network)
    if isinstance(found, UserNetwork):
        await checkpoint()
        return question(UserLinks(found))
    return await to_thread.run_sync(question, NetlinkLinks(source_of(found)))


async def list_interfaces(*, network: Network | str | None = None) -> list[Interface]:
    """Give all CAN interfaces of a network, as they are now.

    It needs no rights.

    Args:
        network: Where; None: what ``ANYCAN_NETWORK`` names, else the kernel.

    Returns:
        They, in the order of their indices.

    Raises:
        ProtocolUnavailableError: The system has no netlink, or forbids it.
        CanOSError: The kernel does not answer.

    Source: ``linux/rtnetlink.h``, ``RTM_GETLINK``; ``linux/can/netlink.h``.

    Example:
        >>> async def main() -> None:
        ...     async with UserNetwork() as network:
        ...         network.add_vcan("vcan0")
        ...         for interface in await list_interfaces(network=network):
        ...             print(interface.name, interface.kind, interface.mtu)
        >>> anyio.run(main)
        vcan0 vcan 72
    """
    return await _ask(network, lambda links: links.list())


async def get_interface(interface: str | int, *, network: Network | str | None = None) -> Interface:
    """Give one CAN interface, as it is now.

    It needs no rights.

    Args:
        interface: Its name or index.
        network: Where; None: what ``ANYCAN_NETWORK`` names, else the kernel.

    Raises:
        UnknownInterfaceError: There is none; the message names those there are.
        NotACanInterfaceError: It is no CAN interface.
        ProtocolUnavailableError: The system has no netlink, or forbids it.

    Source: ``linux/rtnetlink.h``, ``RTM_GETLINK``; ``linux/can/netlink.h``.
    """
    return await _ask(network, lambda links: links.get(interface))


async def create_vcan(
    name: str | None = None,
    *,
    mtu: int | None = None,
    up: bool = True,
    exist_ok: bool = False,
    network: Network | str | None = None,
) -> Interface:
    """Make a virtual CAN interface: what one program sends on it, the others receive.

    On the kernel it needs ``CAP_NET_ADMIN``.

    Args:
        name: 1 to 15 characters; None: the first of *vcan0*, *vcan1* and so on that is free.
        mtu: 16 (classical CAN), 72 (CAN FD too) or 76 to 2060 (CAN XL too); None: 72.
        up: Bring it up at once.
        exist_ok: If there is a vcan of that name, take that: it is brought up if it is down and
            ``up`` says so, and given the ``mtu`` if one is named, and otherwise left as it is.
        network: Where; None: what ``ANYCAN_NETWORK`` names, else the kernel.

    Returns:
        The interface.

    Raises:
        InterfaceExistsError: There is an interface of that name already.
        CanPermissionError: It needs ``CAP_NET_ADMIN``.
        ProtocolUnavailableError: The kernel has no vcan (``modprobe vcan``).
        ConfigurationError: The MTU is none of a CAN interface.
        ValueError: No interface can be called that.

    Source: ``drivers/net/can/vcan.c``.

    Example:
        >>> async def main() -> None:
        ...     async with UserNetwork() as network:
        ...         print((await create_vcan(network=network)).name)
        ...         print((await create_vcan(network=network)).name)
        >>> anyio.run(main)
        vcan0
        vcan1
    """
    return await _ask(network, partial(_create_vcan, name, mtu, up, exist_ok))


def _create_vcan(
    name: str | None, mtu: int | None, up: bool, exist_ok: bool, links: Links
) -> Interface:
    wanted = CANFD_MTU if mtu is None else mtu
    check_mtu("a vcan" if name is None else name, wanted)
    number = 0
    while True:
        try:
            return links.create_vcan(f"vcan{number}" if name is None else name, wanted, up=up)
        except InterfaceExistsError:
            if name is not None:
                if exist_ok and links.get(name).kind == "vcan":
                    return links.configure(name, Settings(mtu=mtu, up=up or None))
                raise
        number += 1


async def create_vxcan(
    name: str,
    peer: str,
    *,
    namespace: str | int | UserNetwork | None = None,
    mtu: int = CANFD_MTU,
    up: bool = True,
    network: Network | str | None = None,
) -> Interface:
    """Make a pair of virtual CAN interfaces: what one end sends, the other receives.

    With the other end in another network namespace it is a cable into a container. On the kernel
    it needs ``CAP_NET_ADMIN``, in both namespaces, and to bring up an end in another one also
    ``CAP_SYS_ADMIN``.

    Args:
        name: The near end's name.
        peer: The far end's name.
        namespace: Where the far end is: the name of a network namespace (``ip netns``), its path,
            or the number of a process in it; on a user network, another one. None: here.
        mtu: Of both: 16 (classical CAN), 72 (CAN FD too) or 76 to 2060 (CAN XL too).
        up: Bring both up at once.
        network: Where the near end is; None: what ``ANYCAN_NETWORK`` names, else the kernel.

    Returns:
        The near end.

    Raises:
        InterfaceExistsError: There is an interface of one of these names already.
        CanPermissionError: It needs ``CAP_NET_ADMIN``.
        ProtocolUnavailableError: The kernel has no vxcan (``modprobe vxcan``).
        ConfigurationError: The MTU is none of a CAN interface.
        CanOSError: The namespace cannot be opened.
        ValueError: No interface can be called that.

    Source: ``drivers/net/can/vxcan.c``.

    Example:
        >>> async def main() -> None:
        ...     async with UserNetwork() as host, UserNetwork() as guest:
        ...         await create_vxcan("vxcan0", "can0", namespace=guest, network=host)
        ...         async with (
        ...             open_raw("vxcan0", network=host) as here,
        ...             open_raw("can0", network=guest) as there,
        ...         ):
        ...             await here.send(Frame(0x123, b"abc"))
        ...             print(await there.receive())
        >>> anyio.run(main)
        123#616263
    """
    check_mtu(name, mtu)
    return await _ask(network, lambda links: links.create_vxcan(name, peer, namespace, mtu, up=up))


async def delete_interface(interface: str | int, *, network: Network | str | None = None) -> None:
    """Delete a vcan, or both ends of a vxcan.

    Endpoints on it get :class:`InterfaceRemovedError`. On the kernel it needs ``CAP_NET_ADMIN``.

    Args:
        interface: Its name or index.
        network: Where; None: what ``ANYCAN_NETWORK`` names, else the kernel.

    Raises:
        UnknownInterfaceError: There is none.
        NotACanInterfaceError: It is no CAN interface.
        InterfaceError: It is a controller, which its driver alone can take away (EOPNOTSUPP).
        CanPermissionError: It needs ``CAP_NET_ADMIN``.
    """
    await _ask(network, lambda links: links.delete(interface))


async def set_up(interface: str | int, *, network: Network | str | None = None) -> None:
    """Set an interface up. One that is up stays so. On the kernel it needs ``CAP_NET_ADMIN``.

    Args:
        interface: Its name or index.
        network: Where; None: what ``ANYCAN_NETWORK`` names, else the kernel.

    Raises:
        UnknownInterfaceError: There is none.
        NotACanInterfaceError: It is no CAN interface.
        InterfaceError: It is a controller that has no bit rate yet (EINVAL).
        CanPermissionError: It needs ``CAP_NET_ADMIN``.
        CanOSError: Its driver does not start it for another reason.
    """
    await _ask(network, lambda links: links.set_up(interface))


async def set_down(interface: str | int, *, network: Network | str | None = None) -> None:
    """Set an interface down. Endpoints on it get :class:`InterfaceDownError`, once.

    On the kernel it needs ``CAP_NET_ADMIN``.

    Args:
        interface: Its name or index.
        network: Where; None: what ``ANYCAN_NETWORK`` names, else the kernel.

    Raises:
        UnknownInterfaceError: There is none.
        NotACanInterfaceError: It is no CAN interface.
        CanPermissionError: It needs ``CAP_NET_ADMIN``.
    """
    await _ask(network, lambda links: links.set_down(interface))


async def restart_interface(interface: str | int, *, network: Network | str | None = None) -> None:
    """Restart a controller that is bus-off, where it does not do so by itself (``restart=``).

    On the kernel it needs ``CAP_NET_ADMIN``.

    Args:
        interface: Its name or index.
        network: Where; None: what ``ANYCAN_NETWORK`` names, else the kernel.

    Raises:
        UnknownInterfaceError: There is none.
        NotACanInterfaceError: It is no CAN interface.
        InterfaceError: It is not bus-off (EBUSY); it is down, or restarts by itself (EINVAL); it
            has no controller (EOPNOTSUPP).
        CanPermissionError: It needs ``CAP_NET_ADMIN``.

    Source: ``linux/can/netlink.h``, ``IFLA_CAN_RESTART``.
    """
    await _ask(network, lambda links: links.restart(interface))


async def configure_interface(
    interface: str | int,
    *,
    bitrate: int | None = None,
    sample_point: float | None = None,
    sjw: int | None = None,
    bit_timing: BitTiming | None = None,
    data_bitrate: int | None = None,
    data_sample_point: float | None = None,
    data_sjw: int | None = None,
    data_bit_timing: BitTiming | None = None,
    modes: CanMode | Mapping[CanMode, bool] | None = None,
    delay: TransmitterDelay | None = None,
    restart: float | None = None,
    termination: int | None = None,
    mtu: int | None = None,
    queue_length: int | None = None,
    up: bool | None = None,
    network: Network | str | None = None,
) -> Interface:
    """Set an interface: its bit rates, its modes and the rest. What is None stays as it is.

    What can be changed only while the interface is down has it taken down, changed and brought up
    again. What is as it is to be already is left alone: an interface that is set as it was is not
    taken down. Everything is checked before anything is touched; if the kernel then refuses all
    the same, what was changed is put back as far as the kernel lets it.

    On the kernel it needs ``CAP_NET_ADMIN``.

    Args:
        interface: Its name or index.
        bitrate: The bit rate, in bits a second.
        sample_point: Where a bit is sampled, as a share of it, 0.001 to 0.999; None: with
            ``bitrate=``, what CiA recommends.
        sjw: The synchronization jump width, in time quanta; None: with ``bitrate=``, half of phase
            buffer segment 2.
        bit_timing: All of a bit's timing, in place of these three.
        data_bitrate: The bit rate of CAN FD's data phase, in bits a second. It turns CAN FD on.
        data_sample_point: As ``sample_point``.
        data_sjw: As ``sjw``.
        data_bit_timing: As ``bit_timing``.
        modes: The control modes that are to be on, all others off; or a mapping that says which to
            turn on (True) and off (False). Those of transmitter delay compensation go with
            ``delay``, and a mapping alone turns them off.
        delay: Transmitter delay compensation of CAN FD: at least its ``offset``, and its ``value``
            unless the controller is to measure that; None: as it is, and the kernel's choice where
            the data bit rate changes.
        restart: After how many seconds of bus-off the controller restarts by itself, in steps of a
            millisecond; 0: never.
        termination: The resistor between the wires, in ohms; 0: none.
        mtu: Of a vcan or vxcan: 16, 72, or 76 to 2060. A controller's goes with CAN FD.
        queue_length: How many frames wait in its transmit queue at most.
        up: Bring it up (True) or leave it down (False); None: as it was.
        network: Where; None: what ``ANYCAN_NETWORK`` names, else the kernel.

    Returns:
        The interface as it is then.

    Raises:
        ConfigurationError: The interface cannot be set so; nothing was changed. It says what its
            controller takes.
        UnknownInterfaceError: There is none.
        NotACanInterfaceError: It is no CAN interface.
        InterfaceError: It is to come up, and has no bit rate (EINVAL).
        CanPermissionError: It needs ``CAP_NET_ADMIN``.
        CanOSError: Its driver does not take it for another reason.

    Source: ``drivers/net/can/dev/netlink.c``, ``can_changelink``.

    Example:
        >>> async def main() -> None:
        ...     async with UserNetwork() as network:
        ...         network.add_can("can0")
        ...         can0 = await configure_interface(
        ...             "can0", bitrate=500_000, restart=0.1, up=True, network=network
        ...         )
        ...         print(can0.bitrate, can0.bit_timing.sample_point, can0.condition)
        >>> anyio.run(main)
        500000 875 LinkCondition.UP
    """
    settings = Settings(
        bitrate=bitrate,
        sample_point=sample_point,
        sjw=sjw,
        bit_timing=bit_timing,
        data_bitrate=data_bitrate,
        data_sample_point=data_sample_point,
        data_sjw=data_sjw,
        data_bit_timing=data_bit_timing,
        modes=modes,
        delay=delay,
        restart=restart,
        termination=termination,
        mtu=mtu,
        queue_length=queue_length,
        up=up,
    )
    return await _ask(network, lambda links: links.configure(interface, settings))
