"""Rules of a gateway that the kernel's can-gw forwards by: installed, counted, taken away again.

can-gw keeps its rules until somebody deletes them, also when who has made them is long gone. So
that they can be told apart, each has a number, its ``uid``: ``0xCA``, the tag of the gateway (12
bits) and the rule's own number (12 bits).
"""

from __future__ import annotations

import errno
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Protocol

import attrs

from anycan.exceptions import CanOSError, GatewayError
from anycan.wire.netlink_attributes import MalformedMessageError
from anycan.wire.netlink_gateway import add_route, delete_route, dump_routes, unpack_route

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from collections.abc import Set as AbstractSet

    from anycan.wire.netlink import NetlinkMessage
    from anycan.wire.netlink_gateway import GatewayRoute

MOST_TAGS: Final = 1 << 12
"""So many gateways there are in a network namespace at the most: their tags are below it."""

_MOST_NUMBERS: Final = 1 << 12
_PREFIX: Final = 0xCA000000
_PREFIX_MASK: Final = 0xFF000000
# What can-gw says of a rule that it does not have, and the kernel where can-gw is unloaded.
_GONE: Final = frozenset({errno.EINVAL, errno.EOPNOTSUPP})


class Netlink(Protocol):
    """What asks the kernel: :class:`~anycan.sockets.netlink.NetlinkSocket`."""

    def request(self, message: NetlinkMessage) -> list[NetlinkMessage]:
        """Ask for something, and give the answers; a refusal is a :class:`CanOSError`."""


def tag_of(uid: int) -> int | None:
    """Give the tag of the gateway that a rule of can-gw is of; None: of none.

    Example:
        >>> hex(tag_of(0xCA123456))
        '0x123'
    """
    return uid >> 12 & MOST_TAGS - 1 if uid & _PREFIX_MASK == _PREFIX else None


class KernelPath:
    """A gateway's rules in can-gw.

    Before the first of its rules is installed, what a former gateway with its tag has left behind
    is removed: one of its numbers could not be used again. All methods ask the kernel at once,
    and are done when they return.

    Args:
        tag: The gateway's number, 0 to 4095, which no other has that runs in this network
            namespace (:func:`~anycan.gateway.presence.claim`).
        netlink: What asks the kernel.

    Raises:
        GatewayError: The tag is out of range.

    Source: ``net/can/gw.c``, ``linux/can/gw.h``.
    """

    def __init__(self, tag: int, netlink: Netlink) -> None:
        if not 0 <= tag < MOST_TAGS:
            raise GatewayError(f"a gateway's tag is 0 to {MOST_TAGS - 1}, not {tag}")
        self._tag = tag
        self._netlink = netlink
        self._installed: dict[int, GatewayRoute] = {}
        self._next = 0
        self._is_clean = False

    @property
    def installed(self) -> list[GatewayRoute]:
        """The rules that were installed and not removed, as the kernel was given them."""
        return list(self._installed.values())

    def install(self, routes: Iterable[GatewayRoute]) -> list[GatewayRoute]:
        """Install rules, all or none.

        Args:
            routes: The rules, each with a modification: without one can-gw keeps no ``uid``.

        Returns:
            The rules, each with its ``uid``.

        Raises:
            GatewayError: One has no modification; or there are more than 4096 of them.
            CanPermissionError: This process has no ``CAP_NET_ADMIN``.
            ProtocolUnavailableError: The kernel has no can-gw.
            UnknownInterfaceError: An interface is gone.
            CanOSError: The kernel refused one for another reason.
        """
        if not self._is_clean:
            self._remove_left_behind(None)
        made: list[GatewayRoute] = []
        try:
            for given in routes:
                route = self._numbered(given)
                self._installed[route.uid] = route
                made.append(route)  # first, since a request without an answer may have been done
                self._netlink.request(add_route(route))
        except BaseException:
            for route in made:
                with suppress(CanOSError):  # the first failure is the one to tell of
                    self._delete(route)
                self._installed.pop(route.uid, None)
            raise
        return made

    def remove(self, routes: Iterable[GatewayRoute]) -> None:
        """Remove rules that were installed. One that is gone already, as with its interface, is so.

        Raises:
            CanPermissionError: This process has no ``CAP_NET_ADMIN`` any more.
            CanOSError: The kernel refused to; those after it are removed nevertheless.
        """
        failure: CanOSError | None = None
        for route in routes:
            try:
                self._delete(route)
            except CanOSError as error:
                failure = failure or error
            else:
                self._installed.pop(route.uid, None)
        if failure is not None:
            raise failure

    def counts(self) -> dict[int, GatewayRoute]:
        """Give this gateway's rules as the kernel has them, with their counts, by ``uid``.

        Raises:
            CanOSError: The kernel did not tell.
        """
        return {route.uid: route for route in self._dump() if tag_of(route.uid) == self._tag}

    def missing(self) -> list[GatewayRoute]:
        """Give the rules that were installed, and that the kernel does not have any more.

        It drops a rule together with either interface; somebody may have deleted it.

        Raises:
            CanOSError: The kernel did not tell.
        """
        found = self.counts()
        return [route for uid, route in self._installed.items() if uid not in found]

    def remove_orphans(self, live_tags: Callable[[], AbstractSet[int]]) -> int:
        """Remove the rules of gateways that do not run any more, and no others.

        Rules without a ``uid`` of anycan's are never touched. Of this gateway's own tag those are
        removed that it has not installed itself.

        Args:
            live_tags: Gives the tags of the gateways that run (:func:`find_gateways`). It is asked
                after the kernel, so that one that begins meanwhile keeps its rules.

        Returns:
            How many there were.

        Raises:
            CanPermissionError: This process has no ``CAP_NET_ADMIN``, and there are some.
            CanOSError: The kernel did not tell, or refused to.
        """
        return self._remove_left_behind(live_tags)

    def others(self, own_tag: int | None = None) -> list[GatewayRoute]:
        """Give the rules of can-gw that are not this gateway's, whoever has made them.

        Args:
            own_tag: The tag of the gateway; None: that of this one.

        Raises:
            CanOSError: The kernel did not tell.
        """
        own = self._tag if own_tag is None else own_tag
        return [route for route in self._dump() if tag_of(route.uid) != own]

    def _dump(self) -> list[GatewayRoute]:
        answers = self._netlink.request(dump_routes())
        try:
            found = [unpack_route(message) for message in answers]
        except MalformedMessageError as error:
            raise CanOSError(
                errno.EBADMSG, f"asking for can-gw's rules failed: the answer is odd: {error}"
            ) from None
        return [route for route in found if route is not None]

    def _delete(self, route: GatewayRoute) -> None:
        try:
            self._netlink.request(delete_route(route))
        except CanOSError as error:
            if error.errno not in _GONE:
                raise

    def _remove_left_behind(self, live_tags: Callable[[], AbstractSet[int]] | None) -> int:
        """Remove rules of tags that are not live, and of one's own; None: of one's own alone."""
        found = self._dump()
        live = None if live_tags is None else live_tags()
        count = 0
        for route in found:
            tag = tag_of(route.uid)
            if tag is None or route.uid in self._installed:
                continue
            if tag == self._tag or (live is not None and tag not in live):
                self._delete(route)
                count += 1
        self._is_clean = True
        return count

    def _numbered(self, route: GatewayRoute) -> GatewayRoute:
        if not (route.mod_and or route.mod_or or route.mod_xor or route.mod_set):
            raise GatewayError(f"a rule of can-gw without a modification keeps no uid: {route}")
        return attrs.evolve(route, uid=self._free_uid())

    def _free_uid(self) -> int:
        base = _PREFIX | self._tag << 12
        for step in range(_MOST_NUMBERS):
            number = (self._next + step) % _MOST_NUMBERS
            if base | number not in self._installed:
                self._next = number + 1
                return base | number
        raise GatewayError(
            f"a gateway has at most {_MOST_NUMBERS} rules in can-gw: leave some to this process"
            " (offload='never')"
        )
