"""Gateways to test: rules between interfaces, what runs them, and a stand-in for the kernel."""

from __future__ import annotations

import errno
import socket
import threading
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, Self

import anyio
import attrs

import anycan
from anycan import GatewayPort, Rule, UnknownInterfaceError, UserNetwork
from anycan.exceptions import CanOSError
from anycan.wire.netlink import NetlinkMessage
from anycan.wire.netlink_gateway import RTM_DELROUTE, RTM_GETROUTE, RTM_NEWROUTE, GatewayRoute

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from anycan import AnyFrame, Gateway, RawEndpoint, RuleStatistics

LIMIT: Final = 5.0  # seconds: that something has gone wrong


def rule(network: anycan.Network, source: str, *destinations: str, **options: Any) -> Rule:
    """Give a rule between interfaces of one network, called ``"a > b"``."""
    name = f"{source} > {' '.join(destinations)}"
    ends = [GatewayPort(one, network) for one in destinations]
    fields: dict[str, Any] = {
        "source": GatewayPort(source, network),
        "destination": ends,
        "name": name,
    }
    return Rule(**fields | options)


@asynccontextmanager
async def running(gateway: Gateway) -> AsyncIterator[Gateway]:
    """Run a gateway, and stop it at the end."""
    with anyio.fail_after(LIMIT):
        async with anyio.create_task_group() as tasks:
            await tasks.start(gateway.run)
            yield gateway
            gateway.stop()


async def receive(can: RawEndpoint, count: int) -> list[AnyFrame]:
    """Give so many frames, and no more."""
    frames: list[AnyFrame] = []
    with anyio.fail_after(LIMIT):
        while len(frames) < count:
            frames += await can.receive_many()
    assert len(frames) == count
    return frames


def assert_all_accounted(one: RuleStatistics) -> None:
    """Each frame of a rule without a function was forwarded or dropped, or waits."""
    assert one.path == "bytes"
    own = sum(one.dropped.values())
    for destination in one.destinations:
        theirs = destination.forwarded + sum(destination.dropped.values()) + destination.waiting
        assert one.received == own + theirs


class StandInKernel(UserNetwork):
    """A network that a gateway takes for the kernel's, with rules of can-gw that forward nothing.

    Attributes:
        routes: The rules of can-gw.
        refuse: Raised instead of doing what is asked for, by the type of the request; counted
            down first, so that 0 refuses the next one.
        hold: Requests wait for it, by their type.
        clashes: How often two threads asked at a time over one socket.
    """

    def __init__(self) -> None:
        super().__init__()
        self.routes: list[GatewayRoute] = []
        self.refuse: dict[int, tuple[int, CanOSError]] = {}
        self.hold: dict[int, threading.Event] = {}
        self.held = threading.Event()
        self.clashes = 0
        self._listening: list[socket.socket] = []

    def netlink(self) -> StandInNetlink:
        return StandInNetlink(self)

    def event_socket(self) -> StandInEvents:
        return StandInEvents(self._listening)

    def remove(self, name: str) -> None:
        index = self.interface_index(name)
        super().remove(name)
        self.routes = [one for one in self.routes if index not in (one.source, one.destination)]
        self.tell()

    def tell(self) -> None:
        """Wake who listens for changes of interfaces."""
        for one in self._listening:
            one.send(b"\0")

    def count(self, **counts: Any) -> None:
        """Have every rule count so many frames in all."""
        self.routes = [attrs.evolve(one, **counts) for one in self.routes]

    def ends(self) -> list[tuple[str | None, str | None]]:
        """Give where the rules lead from and to, in the order of their names."""
        return sorted(
            (self.interface_name(one.source), self.interface_name(one.destination))
            for one in self.routes
        )


class StandInNetlink:
    """What asks a :class:`StandInKernel`."""

    def __init__(self, kernel: StandInKernel) -> None:
        self._kernel = kernel
        self._is_open = True
        self._busy = threading.Lock()

    def fileno(self) -> int:
        return 0 if self._is_open else -1

    def close(self) -> None:
        self._is_open = False

    def request(self, message: NetlinkMessage) -> list[NetlinkMessage]:
        if not self._busy.acquire(blocking=False):
            self._kernel.clashes += 1
            raise CanOSError(errno.EBUSY, "two threads ask at a time")
        try:
            return self._request(message)
        finally:
            self._busy.release()

    def _request(self, message: NetlinkMessage) -> list[NetlinkMessage]:
        kernel = self._kernel
        if message.type in kernel.hold:
            kernel.held.set()
            assert kernel.hold[message.type].wait(LIMIT)
        if message.type in kernel.refuse:
            left, error = kernel.refuse[message.type]
            kernel.refuse[message.type] = left - 1, error
            if left <= 0:
                raise error
        if message.type == RTM_GETROUTE:
            return [NetlinkMessage(RTM_NEWROUTE, 2, one.pack()) for one in kernel.routes]
        if message.type in {RTM_NEWROUTE, RTM_DELROUTE}:
            asked = GatewayRoute.unpack(message.payload)
            known = {one.uid for one in kernel.routes}
            if message.type == RTM_NEWROUTE:
                assert asked.uid not in known
                if not all(kernel.interface_name(end) for end in (asked.source, asked.destination)):
                    raise UnknownInterfaceError(errno.ENODEV, "no such interface", None)
                kernel.routes.append(asked)
            elif asked.uid not in known:
                raise CanOSError(errno.EINVAL, "there is no such rule")
            else:
                kernel.routes = [one for one in kernel.routes if one.uid != asked.uid]
        return []


class StandInEvents:
    """What hears of a :class:`StandInKernel`'s interfaces."""

    def __init__(self, listening: list[socket.socket]) -> None:
        self._own, self._peer = socket.socketpair()
        self._own.setblocking(False)
        self._listening = listening

    def join_links(self) -> None:
        self._listening.append(self._peer)

    def fileno(self) -> int:
        return self._own.fileno()

    def events(self) -> list[NetlinkMessage]:
        self._own.recv(64)
        return []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.remove(self._peer)
        self._own.close()
        self._peer.close()
