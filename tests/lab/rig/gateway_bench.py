"""Gateways to test: on which network and by which path, and the bytes at their interfaces."""

from __future__ import annotations

from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, Final, Self

import anyio
import attrs
import pytest
from anyio.lowlevel import checkpoint

from anycan import Gateway, GatewayPort, Rule
from anycan.exceptions import CanOSError
from anycan.sockets.forwarding import ForwardingSocket
from anycan.sockets.raw_options import RawOptions
from rig.gateway_model import classical
from rig.host import in_guest
from rig.links import open_links

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

    from anycan import GatewayStatistics, Network
    from anycan.gateway.rule import Offload
    from rig.links import Links

LIMIT: Final = 120.0 if in_guest() else 20.0  # seconds: that something has gone wrong
PATHS: Final = (
    "user",
    pytest.param("kernel", marks=pytest.mark.kernel),
    pytest.param("can-gw", marks=pytest.mark.kernel),
)
"""On which network and by whom: see :func:`open_bench`."""

_PAUSE: Final = 0.002  # between two looks
_ROOM: Final = 64 << 20  # bytes: nothing is lost in front of a test
_EVERY_ERROR: Final = 0x1FFFFFFF


@attrs.frozen
class Bench:
    """A network and a path to test rules on.

    Attributes:
        links: Makes interfaces.
        offload: As a rule has it.
        wires: Those that were opened.
    """

    links: Links
    offload: Offload
    wires: list[Wire] = attrs.field(factory=list)

    @property
    def by_kernel(self) -> bool:
        """Whether can-gw forwards."""
        return self.offload == "require"

    def rule(self, source: str, *destinations: str, **options: Any) -> Rule:
        """Make a rule that takes this path, unless the options say otherwise."""
        ports = [GatewayPort(name, self.links.network) for name in (source, *destinations)]
        options = {"offload": self.offload, **options}
        return Rule(source=ports[0], destination=ports[1:], **options)

    def wire(self, interface: str) -> Wire:
        """Open the bytes at an interface; they are closed with the bench."""
        wire = Wire(self.links.network, interface)
        self.wires.append(wire)
        return wire

    def close(self) -> None:
        """Close what was opened."""
        for wire in self.wires:
            wire.close()


@contextmanager
def open_bench(path: str) -> Iterator[Bench]:
    """Give a bench: ``"user"``, ``"kernel"`` (this process forwards) or ``"can-gw"``."""
    with open_links("user" if path == "user" else "kernel") as links:
        bench = Bench(links, "require" if path == "can-gw" else "never")
        try:
            yield bench
        finally:
            bench.close()


class Wire:
    """A socket that gives and takes frames as bytes: 16 of classical ones, 72 of CAN FD.

    Args:
        network: The network.
        interface: The interface.

    Attributes:
        interface: The interface.
        seen: What was taken so far.
    """

    def __init__(self, network: Network, interface: str) -> None:
        options = RawOptions(receive_buffer=_ROOM, errors=_EVERY_ERROR)
        self._socket = ForwardingSocket(network, interface, options)
        self.interface = interface
        self.seen: list[bytes] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close it; a second time does nothing."""
        if self._socket.fd >= 0:
            dropped = self._socket.dropped
            self._socket.close()
            assert dropped == 0, "the test's own socket lost frames"

    async def send(self, payloads: Sequence[bytes]) -> None:
        """Send all of them, letting others run after each batch."""
        start = 0
        while start < len(payloads):
            try:
                start += self._socket.put(payloads[start : start + 64])
            except BlockingIOError:
                await anyio.sleep(_PAUSE)
            await checkpoint()

    def take(self) -> list[bytes]:
        """Take what waits, and give all that has been seen so far.

        Raises:
            CanOSError: The interface is gone.
        """
        while True:
            try:
                count = self._socket.read()
            except BlockingIOError:
                return self.seen
            self.seen += [payload for payload, _ in self._socket.payloads(count)]

    def try_to_take(self) -> list[bytes]:
        """Take what waits, also of an interface that is down or gone."""
        try:
            return self.take()
        except CanOSError:
            return self.seen

    async def receive(self, count: int) -> list[bytes]:
        """Give what was seen, once so many were seen."""
        await until(lambda: len(self.take()) >= count, lambda: f"{len(self.seen)} of {count} came")
        return self.seen


async def until(condition: Callable[[], object], what: Callable[[], object] = str) -> None:
    """Let others run until something is so.

    Args:
        condition: Tells whether it is.
        what: Tells what there is instead, should the time be over.
    """
    with anyio.move_on_after(LIMIT):
        while not condition():  # noqa: ASYNC110 - what it is to be is no event
            await anyio.sleep(_PAUSE)
        return
    raise AssertionError(f"it has not come to this in {LIMIT:.0f} s: {what()}")


@asynccontextmanager
async def forwarding(*rules: Rule, **options: Any) -> AsyncIterator[Gateway]:
    """Run a gateway, and stop it at the end."""
    gateway = Gateway(rules, **options)
    async with anyio.create_task_group() as tasks:
        await tasks.start(gateway.run)
        yield gateway
        gateway.stop()


def accounted(statistics: GatewayStatistics) -> bool:
    """Tell whether each frame that a rule without a function took is forwarded or dropped."""
    return all(
        rule.received
        == sum(rule.dropped.values()) + one.forwarded + sum(one.dropped.values()) + one.waiting
        for rule in statistics.rules
        for one in rule.destinations
    )


def nothing_waits(statistics: GatewayStatistics) -> bool:
    """Tell whether nothing waits anywhere."""
    return not any(one.waiting for rule in statistics.rules for one in rule.destinations)


def numbered(word: int, numbers: Sequence[int]) -> list[bytes]:
    """Give frames with numbers in them."""
    return [classical(word, number.to_bytes(4, "big")) for number in numbers]


def number_of(payload: bytes) -> int:
    """Give the number in a frame."""
    return int.from_bytes(payload[8:12], "big")


class Traffic:
    """Numbered frames, sent all the time, by bursts that leave the loop time.

    Args:
        wire: Where to.
        word: Their identifier.

    Attributes:
        sent: How many were sent.
        unsent: How often the interface did not take them.
    """

    def __init__(self, wire: Wire, word: int) -> None:
        self.wire = wire
        self.sent = 0
        self.unsent = 0
        self._word = word
        self._is_over = False
        self._has_ended = anyio.Event()

    async def run(self) -> None:
        """Send until :meth:`end`."""
        while not self._is_over:
            try:
                await self.wire.send(numbered(self._word, range(self.sent, self.sent + 4)))
            except OSError:
                self.unsent += 1
            else:
                self.sent += 4
            await anyio.sleep(0.001)
        self._has_ended.set()

    async def end(self) -> None:
        """Send no more, from when this returns."""
        self._is_over = True
        await self._has_ended.wait()
