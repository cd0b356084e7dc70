"""The links of a gateway's interfaces: what happens to them is done at once, and reported."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Final

from anycan.endpoints.link_gate import LinkGate
from anycan.exceptions import CanOSError
from anycan.gateway.reasons import DropReason
from anycan.interfaces.values import LinkCondition
from anycan.sockets.errors import interface_down, interface_removed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from anycan.endpoints.link_values import LinkGap, LinkWait
    from anycan.gateway.plan import PortKey
    from anycan.gateway.port import Port

_LOGGER: Final = logging.getLogger("anycan.gateway")
_LOSSES: Final = frozenset({LinkCondition.DOWN, LinkCondition.REMOVED})  # which sockets are told


class GatewayLinks:
    """Follows the links of the interfaces that a gateway's rules name.

    Args:
        policy: How to wait for those that are lost.
        on_gap: Called with each gap.
        on_loss: Called when a link is lost that was there; None: it is waited for.
    """

    def __init__(
        self,
        policy: LinkWait,
        on_gap: Callable[[LinkGap], object] | None,
        on_loss: Callable[[CanOSError], object] | None,
    ) -> None:
        self._policy = policy
        self._on_gap = on_gap
        self._on_loss = on_loss
        self._gates: dict[PortKey, LinkGate] = {}
        self._ports: Mapping[PortKey, Port] = {}
        self._there: set[PortKey] = set()  # those that have been up
        self._told = False

    def follow(self, keys: Iterable[PortKey], ports: Mapping[PortKey, Port]) -> None:
        """Follow these links, and no others.

        Args:
            keys: The interfaces.
            ports: Those that this process forwards between.
        """
        self._ports = ports
        wanted = dict.fromkeys(keys)
        for key in self._gates.keys() - wanted.keys():
            self._gates.pop(key).close()
            self._there.discard(key)
        for key in wanted:
            if key not in self._gates:
                self._add(key)

    def _add(self, key: PortKey) -> None:
        network, interface = key
        try:
            gate = LinkGate(network, interface, self._policy, self._on_gap)
        except CanOSError as error:  # without events, what sockets tell has to do
            if not self._told:
                self._told = True
                _LOGGER.warning("links are not followed: %s", error.strerror)
            return
        if gate.gap is None:
            self._there.add(key)
        elif gate.gap.condition not in _LOSSES:
            self._there.add(key)
            self._shut(key, gate.gap.condition)
        gate.on_open = partial(self._opened, key)
        gate.on_shut = partial(self._shut, key)
        self._gates[key] = gate

    def _opened(self, key: PortKey) -> None:
        self._there.add(key)
        port = self._ports.get(key)
        if port is not None:
            port.link_up()

    def _shut(self, key: PortKey, condition: LinkCondition) -> None:
        port = self._ports.get(key)
        is_loss = condition in _LOSSES and key in self._there
        if self._on_loss is not None and is_loss:
            network, interface = key
            is_down = condition is LinkCondition.DOWN
            remedy = network.remedy(interface)
            self._on_loss(
                interface_down(interface, remedy) if is_down else interface_removed(interface)
            )
        if port is not None:
            match condition:
                case LinkCondition.REMOVED:
                    port.lose()
                case LinkCondition.DOWN:
                    port.go_down()
                case LinkCondition.BUS_OFF:
                    port.go_off(DropReason.BUS_OFF)
                case LinkCondition.NO_CARRIER:
                    port.go_off(DropReason.INTERFACE_DOWN)

    def close(self) -> None:
        """Follow no link any more."""
        for gate in self._gates.values():
            gate.close()
        self._gates.clear()
