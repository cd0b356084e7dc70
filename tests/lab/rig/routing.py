"""A router on an interface to test it on, and waiting for what it is to do."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import anyio
import attrs
from anyio.lowlevel import checkpoint

import anycan
from anycan import Filter, Frame, HandlerSubscription

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from anycan import AnyFrame, RawEndpoint, Router
    from rig.links import Links

LIMIT: Final = 5.0  # seconds: that something has gone wrong
MARKER: Final = Frame(0x7FF)  # goes behind what is sent, to tell when all of it has come


def numbered(count: int, start: int = 0, identifier: int = 0x100) -> list[AnyFrame]:
    """Give frames of one identifier that differ by their first byte."""
    return [Frame(identifier, bytes([number])) for number in range(start, start + count)]


async def until(condition: Callable[[], object]) -> None:
    """Let the others run until something is so."""
    with anyio.fail_after(LIMIT):
        while not condition():
            await checkpoint()


@asynccontextmanager
async def running(router: Router, *endpoints: RawEndpoint) -> AsyncIterator[None]:
    """Run a router, and stop it at the end, by when it may have ended already."""
    async with anyio.create_task_group() as tasks:
        await tasks.start(router.run, *endpoints)
        yield
        router.stop()


async def send_and_pass(router: Router, other: RawEndpoint, *frames: AnyFrame) -> None:
    """Send frames, and wait until streams have them and handlers have been called with them."""
    with anyio.fail_after(LIMIT):
        async with router.subscribe(Filter.id(MARKER.id)) as marker:
            await other.send_many([*frames, MARKER])
            await marker.receive()
        await all_called(router)


async def all_called(router: Router) -> None:
    """Wait until no frame waits for a handler."""
    await until(
        lambda: (
            not any(
                isinstance(one, HandlerSubscription) and one.statistics().waiting
                for one in router.subscriptions
            )
        )
    )


class Waiting:
    """A handler that ends when it is let go, or cancelled.

    Attributes:
        calls: How often it was called.
        cancelled: How often it was cancelled.
        free: Lets it go.
        got: The frames with which it was called and ended.
    """

    def __init__(self) -> None:
        self.calls = 0
        self.cancelled = 0
        self.free = anyio.Event()
        self.got: list[AnyFrame] = []

    async def __call__(self, frame: AnyFrame) -> None:
        self.calls += 1
        try:
            await self.free.wait()
        except BaseException:
            self.cancelled += 1
            raise
        self.got.append(frame)


@attrs.frozen
class Bus:
    """Two endpoints of one interface.

    Attributes:
        name: The interface.
        can: The one to route.
        other: The one to send from.
    """

    name: str
    can: RawEndpoint
    other: RawEndpoint


@asynccontextmanager
async def open_bus(links: Links, **options: Any) -> AsyncIterator[Bus]:
    """Open two endpoints of a new interface; the options are for the one to route."""
    name, network = links.add(), links.network
    async with (
        anycan.open_raw(name, network=network, **options) as can,
        anycan.open_raw(name, network=network) as other,
    ):
        yield Bus(name, can, other)


@attrs.frozen
class Bench(Bus):
    """A router that runs on one endpoint, and another endpoint to send from.

    Attributes:
        router: The router.
    """

    router: Router

    async def send(self, *frames: AnyFrame) -> None:
        """Send frames, as :func:`send_and_pass` does."""
        await send_and_pass(self.router, self.other, *frames)


@asynccontextmanager
async def open_bench(router: Router, links: Links, **options: Any) -> AsyncIterator[Bench]:
    """Run a router on one endpoint of a new interface; the options are for that one."""
    async with open_bus(links, **options) as bus, running(router, bus.can):
        yield Bench(bus.name, bus.can, bus.other, router)


async def run_on(router: Router, links: Links, *frames: AnyFrame) -> None:
    """Run a router until it ends by itself, with frames that wait already."""
    async with open_bus(links) as bus:
        await bus.other.send_many(frames)
        with anyio.fail_after(LIMIT):
            await router.run(bus.can)
