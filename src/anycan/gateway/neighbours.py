"""Who else forwards frames between the same interfaces: other gateways, can-gw, pairs of vxcan."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Final

from anycan.exceptions import CanOSError, GatewayError
from anycan.filter import union_of
from anycan.gateway.kernel_path import tag_of
from anycan.gateway.loops import SAME, Edge
from anycan.gateway.plan import KERNEL_CARRIER
from anycan.gateway.presence import ask, find_gateways, is_trusted, process_of
from anycan.gateway.report import read_edges
from anycan.wire.netlink_attributes import MalformedMessageError
from anycan.wire.netlink_gateway import GatewayFlag, dump_routes, unpack_route
from anycan.wire.netlink_gateway_changes import ChangedPart
from anycan.wire.netlink_link import Link
from anycan.wire.netlink_requests import dump_links

if TYPE_CHECKING:
    from collections.abc import Iterable

    from anycan.gateway.kernel_path import Netlink
    from anycan.wire.netlink_gateway import GatewayRoute

_LOGGER: Final = logging.getLogger("anycan.gateway")
_WIRE: Final = "wire"


def other_edges(own_tag: int | None, netlink: Netlink | None) -> list[Edge]:
    """Give the ways that others forward frames on the kernel's network.

    It blocks, for a second at the most for each gateway: call it in a thread. Who cannot be asked
    is left out, and logged.

    Args:
        own_tag: The tag of this process's gateway, whose own ways are left out; None: it has none.
        netlink: What asks the kernel; None: it is not asked.
    """
    edges = _of_gateways(own_tag)
    if netlink is not None:
        try:
            links = [Link.unpack(message.payload) for message in netlink.request(dump_links())]
            edges += _of_pairs(links)
            names = {link.index: link.name or "" for link in links}
            edges += _of_kernel(own_tag, netlink, names)
        except (CanOSError, MalformedMessageError) as error:
            _LOGGER.warning("whether others forward frames in a circle is not known: %s", error)
    return edges


def _of_gateways(own_tag: int | None) -> list[Edge]:
    edges: list[Edge] = []
    try:
        found = find_gateways()
    except CanOSError as error:
        _LOGGER.warning("whether frames come back is not known: %s", error.strerror)
        return edges
    for tag, name in found:
        if tag == own_tag:
            continue
        process = process_of(tag, name)
        if process == os.getpid():  # those in this process are asked directly
            continue
        label = f"process {process} (gateway {name!r})"
        if not is_trusted(tag, name):
            _LOGGER.warning("%s is another user's: it is not asked what it forwards", label)
            continue
        try:
            edges += read_edges(ask(tag).get("edges"), f"gateway {tag}", label)
        except (GatewayError, ValueError) as error:
            _LOGGER.warning("%s: which frames it forwards is not known: %s", label, error)
    return edges


def _of_pairs(links: Iterable[Link]) -> list[Edge]:
    """Give both ways through each pair of vxcan that has both its ends here."""
    by_index = {link.index: link for link in links}
    edges = []
    for link in by_index.values():
        kind = None if link.info is None else link.info.kind
        peer = by_index.get(link.peer_index or 0)
        if kind != "vxcan" or peer is None or link.peer_namespace is not None:
            continue
        source, destination = ("kernel", link.name or ""), ("kernel", peer.name or "")
        edges.append(
            Edge(
                source,
                destination,
                _WIRE,
                "the vxcan pair",
                None,
            )
        )
    return edges


def _of_kernel(own_tag: int | None, netlink: Netlink, names: dict[int, str]) -> list[Edge]:
    """Give the ways of can-gw's rules, but for this gateway's own."""
    routes = [unpack_route(message) for message in netlink.request(dump_routes())]
    return [
        _edge(route, names)
        for route in routes
        if route is not None
        and (own_tag is None or tag_of(route.uid) != own_tag)
        and {route.source, route.destination} <= names.keys()
    ]


def _edge(route: GatewayRoute, names: dict[int, str]) -> Edge:
    cubes = union_of([route.filter]).cover().cubes
    return Edge(
        ("kernel", names[route.source]),
        ("kernel", names[route.destination]),
        KERNEL_CARRIER,
        f"a rule of can-gw (cangw -L shows it, uid {route.uid:#x})",
        cubes,
        change=_change_of(route),
        visible=bool(route.flags & GatewayFlag.ECHO),
    )


def _change_of(route: GatewayRoute) -> tuple[int, int]:
    """Give what a rule of can-gw does to the word: AND, OR, XOR and SET, in this order."""
    keep, flip = SAME
    for operation, change in (
        ("and", route.mod_and),
        ("or", route.mod_or),
        ("xor", route.mod_xor),
        ("set", route.mod_set),
    ):
        if change is None or not change.parts & ChangedPart.ID:
            continue
        operand = change.can_id
        if operation == "and":
            keep, flip = keep & operand, flip & operand
        elif operation == "or":
            keep, flip = keep & ~operand, flip & ~operand | operand
        elif operation == "xor":
            flip ^= operand
        else:
            keep, flip = 0, operand
    return keep, flip
