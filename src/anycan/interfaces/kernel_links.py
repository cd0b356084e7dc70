"""The kernel's links, by rtnetlink. Each call has a socket of its own, and waits for the kernel."""

from __future__ import annotations

import errno
import logging
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Final

from anycan.exceptions import (
    CanOSError,
    ConfigurationError,
    NotACanInterfaceError,
    ProtocolUnavailableError,
    UnknownInterfaceError,
)
from anycan.interfaces.from_link import driver_of, interface_of, is_can
from anycan.interfaces.kernel_changes import carry_out
from anycan.interfaces.links import (
    cannot_begin,
    check_restart,
    exists,
    no_bit_rate,
    not_deletable,
)
from anycan.interfaces.namespaces import netlink_in, opened_namespace
from anycan.interfaces.settings import plan
from anycan.network.user_interface import check_name
from anycan.sockets.errors import unknown_interface
from anycan.sockets.kernel import kernel
from anycan.sockets.netlink import NetlinkSocket
from anycan.wire.netlink_attributes import MalformedMessageError
from anycan.wire.netlink_can import CanParameters
from anycan.wire.netlink_link import Link, LinkFlag, LinkInfo
from anycan.wire.netlink_requests import (
    change_link,
    configure_can,
    create_link,
    create_vxcan,
    delete_link,
    dump_links,
    get_link,
    set_down,
    set_up,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import NoReturn

    from anycan.interfaces.settings import Settings
    from anycan.interfaces.values import Interface
    from anycan.network.base import Network
    from anycan.wire.netlink import NetlinkMessage

_GREATEST_INDEX: Final = 0x7FFFFFFF  # linux/rtnetlink.h: struct ifinfomsg

_LOGGER: Final = logging.getLogger("anycan.interfaces")


class KernelLinks:
    """The running kernel's links."""

    def list(self) -> list[Interface]:
        """Give all CAN interfaces."""
        with NetlinkSocket() as netlink:
            return list_links(netlink)

    def get(self, interface: str | int) -> Interface:
        """Give one CAN interface."""
        with NetlinkSocket() as netlink:
            return _get(netlink, interface)

    def create_vcan(self, name: str, mtu: int, *, up: bool) -> Interface:
        """Make a vcan."""
        check_name(name)
        flags = LinkFlag.UP if up else 0
        link = Link(flags=flags, change=flags, name=name, mtu=mtu, info=LinkInfo("vcan"))
        return _create(create_link(link), name, "vcan")

    def create_vxcan(
        self, name: str, peer: str, namespace: str | int | Network | None, mtu: int, *, up: bool
    ) -> Interface:
        """Make a pair of vxcans."""
        check_name(name)
        check_name(peer)
        _check_namespace(namespace)
        with ExitStack() as held:
            descriptor = (
                held.enter_context(opened_namespace(namespace))
                if isinstance(namespace, str | int)
                else None
            )
            there = Link(name=peer, mtu=mtu, namespace_fd=descriptor)
            made = _create(create_vxcan(name, there, mtu=mtu), name, "vxcan", peer)
            if not up:
                return made
            netlink = held.enter_context(NetlinkSocket())
            try:
                # An end can be brought up only when the other one is there.
                far = netlink
                if descriptor is not None:
                    far = held.enter_context(netlink_in(descriptor))
                far.request(change_link(Link(0, LinkFlag.UP, LinkFlag.UP, name=peer)))
                netlink.request(set_up(made.index))
            except BaseException:
                with suppress(CanOSError):
                    netlink.request(delete_link(made.index))
                raise
            return _get(netlink, made.index)

    def delete(self, interface: str | int) -> None:
        """Delete a vcan, or both ends of a vxcan."""
        with NetlinkSocket() as netlink:
            found = _get(netlink, interface)
            if found.kind not in {"vcan", "vxcan"}:
                raise not_deletable(found)
            with _about(found):
                netlink.request(delete_link(found.index))

    def set_up(self, interface: str | int) -> None:
        """Set an interface up."""
        with NetlinkSocket() as netlink:
            found = _get(netlink, interface)
            try:
                with _about(found):
                    netlink.request(set_up(found.index))
            except CanOSError as error:
                if error.errno == errno.EINVAL and found.kind == "can":
                    lacking = found.bit_timing is None
                    raise (no_bit_rate(found) if lacking else cannot_begin(found, error)) from None
                raise

    def set_down(self, interface: str | int) -> None:
        """Set an interface down."""
        with NetlinkSocket() as netlink:
            found = _get(netlink, interface)
            with _about(found):
                netlink.request(set_down(found.index))

    def restart(self, interface: str | int) -> None:
        """Restart a controller after bus-off."""
        with NetlinkSocket() as netlink:
            found = _get(netlink, interface)
            check_restart(found)
            with _about(found):
                netlink.request(configure_can(found.index, CanParameters(restart=1)))

    def configure(self, interface: str | int, settings: Settings) -> Interface:
        """Set an interface."""
        with NetlinkSocket() as netlink:
            before = _get(netlink, interface)
            intended = plan(settings, before)
            if intended.changes or intended.up != before.up:
                with _about(before):
                    carry_out(netlink, before, intended)
            return _get(netlink, before.index)


def list_links(netlink: NetlinkSocket) -> list[Interface]:
    """Give all CAN interfaces, in the order of their indices."""
    links = filter(None, map(_unpacked, netlink.request(dump_links())))
    found = [value_of(link) for link in links if is_can(link)]
    return sorted(found, key=lambda interface: interface.index)


def _unpacked(answer: NetlinkMessage) -> Link | None:
    """Give what the kernel tells of an interface; None, with a warning: it is odd."""
    try:
        return Link.unpack(answer.payload)
    except MalformedMessageError as error:
        _LOGGER.warning("an interface is passed over: %s", error)
        return None


def value_of(link: Link) -> Interface:
    """Make a value of what the kernel tells of an interface, with its driver's name."""
    return interface_of(link, driver=driver_of(link.name or ""))


def _get(netlink: NetlinkSocket, interface: str | int) -> Interface:
    # The kernel network's error knows the names that there are.
    index = kernel.interface_index(interface) if isinstance(interface, str) else interface
    if not 0 < index <= _GREATEST_INDEX:
        raise unknown_interface(f"of index {index}", None)
    try:
        (answer,) = netlink.request(get_link(index))
    except UnknownInterfaceError:
        name = interface if isinstance(interface, str) else None
        raise unknown_interface(name or f"of index {index}", name) from None
    link = _unpacked(answer)
    if link is None:
        text = f"what the kernel tells of interface {interface} makes no sense"
        raise CanOSError(errno.EBADMSG, text)
    if not is_can(link):
        raise NotACanInterfaceError(errno.ENODEV, f"{link.name} is no CAN interface", link.name)
    return value_of(link)


def _create(request: NetlinkMessage, name: str, kind: str, peer: str | None = None) -> Interface:
    with NetlinkSocket() as netlink:
        try:
            netlink.request(request)
        except CanOSError as error:
            _explain_creation(error, name, kind, peer)
        return _get(netlink, name)


def _explain_creation(error: CanOSError, name: str, kind: str, peer: str | None) -> NoReturn:
    match error.errno:
        case errno.EEXIST:
            raise exists(name if peer is None else f"{name} or {peer}", "kernel") from None
        case errno.EOPNOTSUPP:
            raise ProtocolUnavailableError(
                errno.EOPNOTSUPP,
                f"{name} cannot be made: this kernel has no {kind}; load it (modprobe {kind})",
                name,
            ) from None
        case errno.EINVAL:
            raise ConfigurationError(
                f"{name} cannot be made: {error.strerror} (an MTU is 16, 72, or 76 to 2060 bytes)"
            ) from None
    error.interface = name
    raise error


@contextmanager
def _about(interface: Interface) -> Iterator[None]:
    """Have errors name the interface."""
    try:
        yield
    except CanOSError as error:
        if error.interface is None:
            error.interface = interface.name
            error.strerror = f"{interface.name}: {error.strerror}"
            error.args = (error.errno, error.strerror)
        raise


def _check_namespace(namespace: object) -> None:
    if not (namespace is None or isinstance(namespace, str | int)):
        raise TypeError(
            "a network namespace of the kernel is its name, its path or the number of a process in"
            f" it, not {namespace!r}"
        )
