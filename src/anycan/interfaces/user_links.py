"""The links of a user-space network in this process."""

from __future__ import annotations

import errno
from contextlib import suppress
from typing import TYPE_CHECKING

from anycan.exceptions import CanOSError, ConfigurationError
from anycan.interfaces.from_link import controller_fields
from anycan.interfaces.links import (
    cannot_begin,
    check_restart,
    exists,
    no_bit_rate,
    not_deletable,
)
from anycan.interfaces.netlink_changes import former
from anycan.interfaces.settings import plan
from anycan.interfaces.values import Interface
from anycan.network.user import UserNetwork
from anycan.network.user_interface import check_name
from anycan.sockets.errors import unknown_interface
from anycan.wire.netlink_can import CanParameters
from anycan.wire.netlink_statistics import LinkStatistics

if TYPE_CHECKING:
    from anycan.interfaces.settings import Plan, Settings
    from anycan.network.base import Network
    from anycan.network.core.interface import Interface as Link


class UserLinks:
    """The links of a user network.

    Args:
        network: The network.
    """

    def __init__(self, network: UserNetwork) -> None:
        self._network = network
        self._stack = network._stack  # noqa: SLF001 - hidden from users alone
        self._stack.clock.attend()  # a timer may run that was started where no loop did

    def list(self) -> list[Interface]:
        """Give all interfaces, in the order of their indices."""
        links = sorted(self._stack.by_index.values(), key=lambda link: link.index)
        return [value_of(link, self._network) for link in links]

    def get(self, interface: str | int) -> Interface:
        """Give one interface."""
        return value_of(self._find(interface), self._network)

    def create_vcan(self, name: str, mtu: int, *, up: bool) -> Interface:
        """Make a vcan."""
        check_name(name)
        if name in self._stack.by_name:
            raise exists(name, self._network.name)
        try:
            self._network.add_vcan(name, mtu=mtu, up=up)
        except ValueError as error:
            raise ConfigurationError(str(error)) from None
        return self.get(name)

    def create_vxcan(
        self, name: str, peer: str, namespace: str | int | Network | None, mtu: int, *, up: bool
    ) -> Interface:
        """Make a pair of vxcans."""
        if not (namespace is None or isinstance(namespace, UserNetwork)):
            raise TypeError(
                f"the other end is on a UserNetwork of this process, and not on {namespace!r}"
            )
        check_name(name)
        check_name(peer)
        there = self._network if namespace is None else namespace
        for end, network in ((name, self._network), (peer, there)):
            if end in network._stack.by_name:  # noqa: SLF001 - hidden from users alone
                raise exists(end, network.name)
        try:
            self._network.add_vxcan(name, peer, peer_network=there, mtu=mtu, up=up)
        except ValueError as error:
            raise ConfigurationError(str(error)) from None
        return self.get(name)

    def delete(self, interface: str | int) -> None:
        """Delete a vcan, or both ends of a vxcan."""
        link = self._find(interface)
        if link.kind not in {"vcan", "vxcan"}:
            raise not_deletable(value_of(link, self._network))
        self._network.remove(link.name)

    def set_up(self, interface: str | int) -> None:
        """Set an interface up."""
        self._set_up(self._find(interface))

    def _set_up(self, link: Link) -> None:
        try:
            link.set_up()
        except OSError as error:
            now = value_of(link, self._network)
            if error.errno == errno.EINVAL and now.bit_timing is None:
                raise no_bit_rate(now) from None
            raise cannot_begin(now, error) from None

    def set_down(self, interface: str | int) -> None:
        """Set an interface down."""
        self._find(interface).set_down()

    def restart(self, interface: str | int) -> None:
        """Restart a controller after bus-off."""
        link = self._find(interface)
        check_restart(value_of(link, self._network))
        link.restart()

    def configure(self, interface: str | int, settings: Settings) -> Interface:
        """Set an interface."""
        link = self._find(interface)
        before = value_of(link, self._network)
        intended = plan(settings, before)
        timing = before.bit_timing or (intended.parameters or CanParameters()).bit_timing
        if intended.up and before.kind == "can" and timing is None:
            raise no_bit_rate(before)
        if intended.down_first or (before.up and not intended.up):
            link.set_down()
        try:
            if intended.parameters is not None:
                link.configure(intended.parameters)
            if intended.mtu is not None:
                self._stack.set_mtu(link, intended.mtu)
            if intended.up:
                link.set_up()
        except OSError as error:
            is_back = self._put_back(link, before, intended)
            raise _refused(link, error, is_down_now=not is_back) from None
        if intended.queue_length is not None:
            link.set_queue_length(intended.queue_length)
        return value_of(link, self._network)

    def _put_back(self, link: Link, before: Interface, intended: Plan) -> bool:
        """Undo what was done of a plan that came to nothing; tell whether it is up if it was."""
        with suppress(OSError):
            if intended.parameters is not None:
                link.configure(former(before, intended.parameters))
            self._stack.set_mtu(link, before.mtu)
        if before.up:
            with suppress(OSError):
                link.set_up()
        return link.up or not before.up

    def _find(self, interface: str | int) -> Link:
        if isinstance(interface, str):
            index = self._network.interface_index(interface)  # which knows the names there are
        else:
            index = interface
        link = self._stack.by_index.get(index)
        if link is None:
            raise unknown_interface(f"of index {index} on {self._network.name}", None)
        return link


def _refused(link: Link, error: OSError, *, is_down_now: bool) -> CanOSError | ConfigurationError:
    now = "; it is down now" if is_down_now else ""
    if isinstance(error, CanOSError) and not now:
        return error
    if error.errno in {errno.EINVAL, errno.EOPNOTSUPP, errno.ERANGE, errno.EDOM}:
        return ConfigurationError(f"{link.name} takes no such setting: {error.strerror}{now}")
    return CanOSError(error.errno or 0, f"{link.name}: {error.strerror}{now}", link.name)


def _peer_index(link: Link) -> int | None:
    """Give the index of the other end; None where that is on another network, and means nothing."""
    peer = link.peer
    return peer.index if peer is not None and peer.stack is link.stack else None


def value_of(link: Link, network: UserNetwork) -> Interface:
    """Make a value of an interface as it is at this moment."""
    counters = link.counters
    return Interface(
        index=link.index,
        name=link.name,
        kind=link.kind,
        network=network.name,
        up=link.up,
        carrier=link.carrier,
        mtu=link.mtu,
        queue_length=link.queue_length,
        statistics=LinkStatistics(
            rx_packets=counters.received,
            tx_packets=counters.sent,
            rx_bytes=counters.received_bytes,
            tx_bytes=counters.sent_bytes,
            rx_dropped=counters.receive_dropped,
            tx_dropped=counters.send_dropped,
        ),
        can_statistics=link.can_statistics,
        peer_index=_peer_index(link),
        carrier_changes=link.carrier_changes,
        **controller_fields(link.parameters() or CanParameters()),
    )
