"""What signals tell a service."""

from __future__ import annotations

import os
import signal
from functools import partial
from typing import TYPE_CHECKING, Final

import anyio
import anyio.lowlevel
import pytest

from anycan.cli.gateway_signals import Orders, open_orders

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    WithOrders = Callable[[Callable[[Orders], Awaitable[None]]], None]

DEADLINE: Final = 30


@pytest.fixture(params=["asyncio", "trio"])
def with_orders(request: pytest.FixtureRequest) -> WithOrders:
    """Give what runs a function with orders."""

    async def run(act: Callable[[Orders], Awaitable[None]]) -> None:
        with anyio.fail_after(DEADLINE):
            async with open_orders() as orders:
                await act(orders)

    return lambda act: anyio.run(partial(run, act), backend=request.param)


def tell(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
def test_orders(end: signal.Signals, with_orders: WithOrders) -> None:
    async def act(orders: Orders) -> None:
        for _ in range(2):
            tell(signal.SIGHUP)
            assert await orders.next() == signal.SIGHUP
            assert orders.end is None
        tell(end)
        assert await orders.next() == end
        assert await orders.next() == end  # it stays
        assert orders.end == end

    with_orders(act)


def taken(*numbers: signal.Signals) -> Orders:
    """Give orders after some signals."""

    async def given() -> AsyncIterator[signal.Signals]:
        for number in numbers:
            yield number

    orders = Orders()
    anyio.run(orders.take, given())
    return orders


def test_the_end_comes_before_other_orders() -> None:
    orders = taken(signal.SIGHUP, signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
    assert orders.end == signal.SIGTERM
    assert anyio.run(orders.next) == signal.SIGTERM


def test_orders_to_load_that_wait_are_one() -> None:
    async def act() -> None:
        assert await orders.next() == signal.SIGHUP
        with anyio.move_on_after(0) as scope:
            await orders.next()
        assert scope.cancelled_caught

    orders = taken(*[signal.SIGHUP] * 3)
    anyio.run(act)


def test_the_end_cancels_what_is_being_done(with_orders: WithOrders) -> None:
    async def act(orders: Orders) -> None:
        tell(signal.SIGTERM)
        await orders.unless_ended(anyio.sleep_forever)
        assert orders.end == signal.SIGTERM

    with_orders(act)


def test_what_is_done_before_the_end(with_orders: WithOrders) -> None:
    async def act(orders: Orders) -> None:
        async def give() -> int:
            tell(signal.SIGHUP)
            await anyio.lowlevel.checkpoint()
            return 7

        assert await orders.unless_ended(give) == 7
        assert await orders.next() == signal.SIGHUP

    with_orders(act)
