"""Links asked for by rtnetlink. Each call has a socket of its own, and waits for the answer."""

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
from anycan.interfaces.from_link import is_can
from anycan.interfaces.links import (
    cannot_begin,
    check_restart,
    exists,
    no_bit_rate,
    not_deletable,
)
from anycan.interfaces.namespaces import netlink_in, opened_namespace
from anycan.interfaces.netlink_changes import carry_out
from anycan.interfaces.settings import plan
from anycan.network.user_interface import check_name
from anycan.sockets.errors import unknown_interface
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

    from anycan.interfaces.link_source import LinkRequests, LinkSource
    from anycan.interfaces.settings import Settings
    from anycan.interfaces.values import Interface
    from anycan.network.base import Network
    from anycan.wire.netlink import NetlinkMessage

_GREATEST_INDEX: Final = 0x7FFFFFFF  # linux/rtnetlink.h: struct ifinfomsg

_LOGGER: Final = logging.getLogger("anycan.interfaces")


class NetlinkLinks:
    """The links of the running kernel, or of a network that another process serves.

    Args:
        source: Which.
    """

    def __init__(self, source: LinkSource) -> None:
        self._source = source

    def list(self) -> list[Interface]:
        """Give all CAN interfaces."""
        with self._source.open() as netlink:
            return list_links(netlink, self._source)

    def get(self, interface: str | int) -> Interface:
        """Give one CAN interface."""
        with self._source.open() as netlink:
            return self._get(netlink, interface)

    def create_vcan(self, name: str, mtu: int, *, up: bool) -> Interface:
        """Make a vcan."""
        check_name(name)
        flags = LinkFlag.UP if up else 0
        link = Link(flags=flags, change=flags, name=name, mtu=mtu, info=LinkInfo("vcan"))
        return self._create(create_link(link), name, "vcan")

    def create_vxcan(
        self, name: str, peer: str, namespace: str | int | Network | None, mtu: int, *, up: bool
    ) -> Interface:
        """Make a pair of vxcans."""
        check_name(name)
        check_name(peer)
        self._check_namespace(namespace)
        with ExitStack() as held:
            descriptor = (
                held.enter_context(opened_namespace(namespace))
                if isinstance(namespace, str | int)
                else None
            )
            there = Link(name=peer, mtu=mtu, namespace_fd=descriptor)
            made = self._create(create_vxcan(name, there, mtu=mtu), name, "vxcan", peer)
            if not up:
                return made
            netlink = held.enter_context(self._source.open())
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
            return self._get(netlink, made.index)

    def delete(self, interface: str | int) -> None:
        """Delete a vcan, or both ends of a vxcan."""
        with self._source.open() as netlink:
            found = self._get(netlink, interface)
            if found.kind not in {"vcan", "vxcan"}:
                raise not_deletable(found)
            with _about(found):
                netlink.request(delete_link(found.index))

    def set_up(self, interface: str | int) -> None:
        """Set an interface up."""
        with self._source.open() as netlink:
            found = self._get(netlink, interface)
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
        with self._source.open() as netlink:
            found = self._get(netlink, interface)
            with _about(found):
                netlink.request(set_down(found.index))

    def restart(self, interface: str | int) -> None:
        """Restart a controller after bus-off."""
        with self._source.open() as netlink:
            found = self._get(netlink, interface)
            check_restart(found)
            with _about(found):
                netlink.request(configure_can(found.index, CanParameters(restart=1)))

    def configure(self, interface: str | int, settings: Settings) -> Interface:
        """Set an interface."""
        with self._source.open() as netlink:
            before = self._get(netlink, interface)
            intended = plan(settings, before)
            if intended.changes or intended.up != before.up:
                with _about(before):
                    carry_out(netlink, before, intended)
            return self._get(netlink, before.index)

    def _get(self, netlink: LinkRequests, interface: str | int) -> Interface:
        # The network's error knows the names that there are.
        index = self._source.interface_index(interface) if isinstance(interface, str) else interface
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
        return self._source.value_of(link)

    def _create(
        self, request: NetlinkMessage, name: str, kind: str, peer: str | None = None
    ) -> Interface:
        with self._source.open() as netlink:
            try:
                netlink.request(request)
            except CanOSError as error:
                self._explain_creation(error, name, kind, peer)
            return self._get(netlink, name)

    def _check_namespace(self, namespace: object) -> None:
        if namespace is None:
            return
        if not self._source.has_namespaces:
            raise TypeError(
                f"the other end is on {self._source.name} as well, and not on {namespace!r}"
            )
        if not isinstance(namespace, str | int):
            raise TypeError(
                "a network namespace of the kernel is its name, its path or the number of a process"
                f" in it, not {namespace!r}"
            )

    def _explain_creation(
        self, error: CanOSError, name: str, kind: str, peer: str | None
    ) -> NoReturn:
        match error.errno:
            case errno.EEXIST:
                raise exists(
                    name if peer is None else f"{name} or {peer}", self._source.name
                ) from None
            case errno.EOPNOTSUPP:
                raise ProtocolUnavailableError(
                    errno.EOPNOTSUPP,
                    f"{name} cannot be made: this kernel has no {kind}; load it (modprobe {kind})",
                    name,
                ) from None
            case errno.EINVAL:
                raise ConfigurationError(
                    f"{name} cannot be made: {error.strerror} (an MTU is 16, 72, or 76 to 2060"
                    " bytes)"
                ) from None
        error.interface = name
        raise error


def list_links(netlink: LinkRequests, source: LinkSource) -> list[Interface]:
    """Give all CAN interfaces, in the order of their indices."""
    links = filter(None, map(_unpacked, netlink.request(dump_links())))
    found = [source.value_of(link) for link in links if is_can(link)]
    return sorted(found, key=lambda interface: interface.index)


def _unpacked(answer: NetlinkMessage) -> Link | None:
    """Give what the kernel tells of an interface; None, with a warning: it is odd."""
    try:
        return Link.unpack(answer.payload)
    except MalformedMessageError as error:
        _LOGGER.warning("an interface is passed over: %s", error)
        return None


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
