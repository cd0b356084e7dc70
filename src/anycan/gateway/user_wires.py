"""The wires of user networks: pairs of vxcan, and buses that controllers share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anycan.gateway.loops import Edge
from anycan.gateway.plan import node_of
from anycan.network.user import UserNetwork

if TYPE_CHECKING:
    from collections.abc import Iterable

    from anycan.gateway.loops import Node
    from anycan.network.base import Network


def edges_of_wires(networks: Iterable[Network]) -> list[Edge]:
    """Give the ways of frames over the wires of user networks, within one or between two of them.

    Args:
        networks: Networks, of which those of the kernel have none here.
    """
    users = [one for one in dict.fromkeys(networks) if isinstance(one, UserNetwork)]
    stacks = {one._stack: one for one in users}  # noqa: SLF001 - hidden from users alone
    edges = []
    for stack, network in stacks.items():
        for interface in stack.by_index.values():
            source = node_of((network, interface.name))
            for other in interface.device.joined():
                there = stacks.get(other.stack)
                if there is not None:
                    edges.append(_wire(source, node_of((there, other.name)), interface.kind))
    return edges


def _wire(source: Node, destination: Node, kind: str | None) -> Edge:
    label = "the vxcan pair" if kind == "vxcan" else "the bus that they share"
    return Edge(source, destination, "wire", label, None)
