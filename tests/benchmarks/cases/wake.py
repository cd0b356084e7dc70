"""One frame per wake-up: what a task costs that waits for a frame and is woken for it."""

from __future__ import annotations

import asyncio
import importlib.util
import selectors
import statistics
import time
from typing import TYPE_CHECKING, Final

import anyio

import anycan
from cases.receive import (
    PATIENCE,
    can,
    python_can_bus,
    receiver,
    stay_on_one_processor,
)
from suite.can import ask, plain_frame, sender, vcan
from suite.case import Bound, Case, Contender, Metric, NotHereError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from suite.case import Measured

INTERFACE: Final = "vcanwake"
WAKEUPS: Final = 1000
WARMING: Final = 100  # wake-ups that do not count


def cases() -> list[Case]:
    """Give the case of this module."""
    return [
        Case(
            key="wake",
            title="One frame per wake-up",
            explanation=(
                f"A task waits, a frame comes, the task has it: {WAKEUPS:,} times. Measured is"
                " the median of the time from the call that waits to its return, less what sending"
                " took. The frame is sent when the loop is about to poll, so that no contender"
                " finds it before (uvloop has no place for that: it is sent just before the call,"
                " which does not look). The bare loop is a callback with one recv and one future;"
                " it, like loop.sock_recv, gives bytes alone."
            ),
            metrics=(Metric("cost", "µs/wake-up"),),
            contenders=(
                Contender("bare", "asyncio: add_reader, recv, future", lambda: _on_asyncio(_bare)),
                Contender("sock_recv", "asyncio: loop.sock_recv", lambda: _on_asyncio(_sock_recv)),
                Contender(
                    "anycan_asyncio", "anycan: receive(), asyncio", lambda: _on_asyncio(_anycan)
                ),
                Contender(
                    "anycan_uvloop",
                    "anycan: receive(), uvloop",
                    lambda: ask(_anycan, "uvloop", _Sender()),
                ),
                Contender("anycan_trio", "anycan: receive(), trio", _on_trio),
                Contender(
                    "python_can_async",
                    "python-can: Notifier, AsyncBufferedReader",
                    lambda: _on_asyncio(_python_can),
                ),
            ),
            reference="bare",
            bounds=(Bound("anycan_asyncio", "cost", most=1.25, reference="bare"),),
            setup=lambda: vcan(INTERFACE),
        )
    ]


# Sending at the right moment


class _Sender:
    """Sends one frame for each wake-up, when it is told that the loop is about to wait.

    Attributes:
        waits: Whether somebody tells; otherwise the frame goes before the call.
        spent: Nanoseconds that sending the last frame took, while it was being waited for.
    """

    def __init__(self, *, waits: bool = False) -> None:
        self.waits = waits
        self.spent = 0
        self._due = False
        self._plain = sender(INTERFACE)

    def order(self) -> None:
        """Have a frame sent, now or when the loop is about to wait."""
        self._due = True
        if not self.waits:
            self.send()
            self.spent = 0

    def send(self) -> None:
        if self._due:
            self._due = False
            start = time.perf_counter_ns()
            self._plain.send(plain_frame)
            self.spent = time.perf_counter_ns() - start

    def close(self) -> None:
        self._plain.close()


class _Selector(selectors.DefaultSelector):
    """Polls as asyncio's own, and sends before it waits."""

    def __init__(self, other: _Sender) -> None:
        super().__init__()
        self._send = other.send

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout > 0:
            self._send()
        return super().select(timeout)


class _BeforeWaiting:
    """A ``trio.abc.Instrument`` that sends before trio waits."""

    def __init__(self, other: _Sender) -> None:
        self._send = other.send

    def before_io_wait(self, timeout: float) -> None:
        if timeout > 0:
            self._send()


# Contenders


def _on_asyncio(function: Callable[[_Sender], Awaitable[Measured]]) -> Measured:
    other = _Sender(waits=True)
    options = {"loop_factory": lambda: asyncio.SelectorEventLoop(_Selector(other))}
    return anyio.run(function, other, backend_options=options)


def _on_trio() -> Measured:
    if importlib.util.find_spec("trio") is None:
        raise NotHereError("trio is not installed")
    other = _Sender(waits=True)
    options = {"instruments": [_BeforeWaiting(other)]}
    return anyio.run(_anycan, other, backend="trio", backend_options=options)


async def _wakes(other: _Sender, receive: Callable[[], Awaitable[object]]) -> Measured:
    """Time wake-ups."""
    stay_on_one_processor()
    took = []
    with anyio.fail_after(PATIENCE):
        for _ in range(WARMING + WAKEUPS):
            other.order()
            start = time.perf_counter_ns()
            got = await receive()
            took.append(time.perf_counter_ns() - start - other.spent)
            assert got
    return {"cost": statistics.median(took[WARMING:]) / 1000}


async def _bare(other: _Sender) -> Measured:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[bytes]

    def receive() -> asyncio.Future[bytes]:
        nonlocal future
        future = loop.create_future()
        return future

    with receiver(INTERFACE) as plain:
        loop.add_reader(plain, lambda: future.set_result(plain.recv(72)))
        measured = await _wakes(other, receive)
        loop.remove_reader(plain)
    return measured


async def _sock_recv(other: _Sender) -> Measured:
    loop = asyncio.get_running_loop()
    with receiver(INTERFACE) as plain:
        return await _wakes(other, lambda: loop.sock_recv(plain, 72))


async def _anycan(other: _Sender) -> Measured:
    async with anycan.open_raw(INTERFACE) as endpoint:
        return await _wakes(other, endpoint.receive)


async def _python_can(other: _Sender) -> Measured:
    with python_can_bus(INTERFACE) as bus:
        reader = can.AsyncBufferedReader()
        with can.Notifier(bus, [reader], loop=asyncio.get_running_loop()):
            return await _wakes(other, reader.get_message)
