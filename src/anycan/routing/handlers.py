"""Handlers: functions that are called with frames, one call at a time, in a task of their own."""

from __future__ import annotations

import asyncio
import functools
import inspect
from itertools import repeat
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, Literal, TypedDict, get_args

import anyio
import attrs
from anyio.lowlevel import checkpoint

from anycan.exceptions import RoutingError
from anycan.loops.which import is_cancelled
from anycan.routing.subscription import QueuedSubscription
from anycan.routing.values import ENDS_ROUTER, GOES_ON

if TYPE_CHECKING:
    from collections.abc import Callable

    from anycan.filter import Filter
    from anycan.frame import AnyFrame
    from anycan.routing.host import RouterHost
    from anycan.routing.queues import Overflow

OnError = Literal["keep", "restart", "stop"]
# A handler that does not wait gives way to other tasks after so many seconds, which is looked at
# after so many calls. Not sooner: what it is slow to take, the next burst may have no room for.
_TURN: Final = 0.01
_CALLS: Final = 16


class HandlerOptions(TypedDict, total=False):
    """What :meth:`Router.add` and :meth:`Router.on` take besides the filter."""

    name: str | None
    batch: bool
    capacity: int
    overflow: Overflow
    on_error: OnError
    backoff: tuple[float, float]
    allow_empty: bool


@attrs.define
class Backoff:
    """How long to wait after a fault: twice as long after each, until a call succeeds.

    Args:
        first: Seconds after the first.
        most: Seconds at most.
    """

    first: float
    most: float
    _next: float = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._next = self.first

    def delay(self) -> float:
        """Give how long to wait now."""
        delay = self._next
        self._next = min(2 * delay, self.most)
        return delay

    def reset(self) -> None:
        """Take note that a call succeeded."""
        self._next = self.first


class HandlerSubscription(QueuedSubscription):
    """A handler, which a task of the router's calls with frame after frame."""

    def __init__(
        self,
        host: RouterHost,
        handler: Callable[..., Any],
        wanted: Filter,
        *,
        name: str,
        batch: bool,
        capacity: int,
        overflow: Overflow,
        on_error: OnError,
        backoff: tuple[float, float],
    ) -> None:
        super().__init__(host, name, wanted, capacity, overflow)
        check_handler(name, handler, "a list of frames" if batch else "a frame")
        self.handler = handler
        self._awaited = is_coroutine_function(handler)
        self._batch = batch
        self._on_error = check_policy(name, on_error)
        self._backoff = check_backoff(name, backoff)
        self._ending = False
        self._delivered_when_it_failed = 0
        self._ended: anyio.Event | None = None  # of who waits after a fault
        self._time = 0.0
        self._since: float | None = None

    def started(self) -> None:
        """Take note that the router runs, and a task may call :meth:`run`."""
        self._ending = self.queue.overflowed = False
        self.queue.open(self.capacity)
        self.queue.forget_loop()

    def finish(self, *, drain: bool) -> None:
        """Have the task end: with what waits handled, or dropped."""
        self._ending = True
        if not drain:
            self.queue.close()
        self.queue.wake_soon()
        if self._ended is not None:
            self._ended.set()

    def close(self) -> None:
        """Take no frame any more; what waits is dropped, and counted."""
        super().close()
        if self._ended is not None:
            self._ended.set()

    def ended(self, error: Exception | None) -> None:  # noqa: ARG002 - run() raises it
        """Take note that the router has ended: what was not handled in time is dropped."""
        self.queue.drop_all()

    async def run(self) -> None:  # noqa: C901, PLR0912 - each coroutine more is paid at every wake-up
        """Call the handler with what comes, until the subscription or the router ends."""
        queue, handler, awaited = self.queue, self.handler, self._awaited
        plain = awaited and not self._batch
        waiter = queue.wait()
        called_with: Any = None
        while True:
            while not (items := queue.items):
                if queue.overflowed:
                    self._host.fail(self.overflow_error())
                    return
                if self._ending or self._closed:
                    return
                await waiter
            take = queue.take_many if self._batch else queue.take
            delay = 0.0
            self._since = perf_counter()
            until = self._since + _TURN
            try:
                while items and perf_counter() < until:
                    for _ in repeat(None, _CALLS):
                        called_with = take()
                        if plain:  # a coroutine function that takes a frame: no more to be asked
                            self._delivered += 1
                            await handler(called_with)
                        else:
                            self._delivered += len(called_with) if self._batch else 1
                            result = handler(called_with)
                            if awaited or (result is not None and inspect.isawaitable(result)):
                                await result
                        if not items:
                            break
            except asyncio.CancelledError as error:
                if is_cancelled():
                    raise
                reason = RuntimeError("the handler awaited a task that was cancelled")
                reason.__cause__ = error
                delay = self._failed(reason, called_with)
            except Exception as error:  # noqa: BLE001 - the user's own handler; it is reported
                delay = self._failed(error, called_with)
            finally:
                self._time += perf_counter() - self._since
                self._since = None
            if delay:
                await self._wait(delay)
            if items:
                await checkpoint()

    async def _wait(self, delay: float) -> None:
        """Wait, unless the subscription or the router ends."""
        self._ended = anyio.Event()
        if not (self._ending or self._closed):
            with anyio.move_on_after(delay):
                await self._ended.wait()
        self._ended = None

    def _failed(self, error: Exception, called_with: Any) -> float:
        """Do what is to be done when the handler raised; give how long to wait."""
        frames: tuple[AnyFrame, ...] = tuple(called_with) if self._batch else (called_with,)
        self._faults += 1
        if self._delivered - len(frames) != self._delivered_when_it_failed:
            self._backoff.reset()  # calls succeeded since
        self._delivered_when_it_failed = self._delivered
        match self._on_error:
            case "stop":
                self._host.report(error, self, frames, ENDS_ROUTER)
                error.add_note(f"raised by the handler {self.name}, called with {frames[0]}")
                self.queue.drop_all()
                self._host.fail(error)
            case "restart":
                delay = self._backoff.delay()
                self._host.report(error, self, frames, f"{GOES_ON} in {delay:g} s")
                return delay
            case _:
                self._host.report(error, self, frames, GOES_ON)
        return 0.0

    def _handler_time(self) -> float:
        running = 0.0 if self._since is None else perf_counter() - self._since
        return self._time + running

    def describe(self) -> str:
        """Give how frames wait and what is done when the handler raises, in words."""
        batches = ", in batches" if self._batch else ""
        return f"{super().describe()}{batches}, on error {self._on_error}"


def name_of(handler: object) -> str:
    """Give what to call a handler by."""
    if isinstance(handler, functools.partial):
        return name_of(handler.func)
    name = getattr(handler, "__qualname__", None)
    if not isinstance(name, str):
        name = type(handler).__qualname__
    return name.rpartition("<locals>.")[2]


def is_coroutine_function(handler: object) -> bool:
    """Tell whether what a call gives has to be awaited."""
    return _is(inspect.iscoroutinefunction, handler)


def _is(kind: Callable[[Any], bool], handler: object) -> bool:
    """Tell whether a function, or what a callable object has for one, is of a kind."""
    if isinstance(handler, functools.partial):
        return _is(kind, handler.func)
    return kind(handler) or kind(getattr(handler, "__call__", None))  # noqa: B004 - not whether


def check_handler(name: str, handler: object, argument: str) -> None:
    """Check that something can be called with one argument.

    Raises:
        RoutingError: It cannot.
    """
    if not callable(handler):
        raise RoutingError(f"{name}: a handler is a function, not {handler!r}")
    if _is(inspect.isasyncgenfunction, handler) or _is(inspect.isgeneratorfunction, handler):
        raise RoutingError(f"{name} is a generator, which nobody would iterate: leave out yield")
    try:
        signature = inspect.signature(handler)
    except (TypeError, ValueError):  # a builtin that does not tell
        return
    try:
        signature.bind(None)
    except TypeError as error:
        raise RoutingError(
            f"{name}{signature} is no handler: it is called with one argument, {argument}; {error}"
        ) from None


def check_policy(name: str, on_error: OnError) -> OnError:
    """Check what is to be done when a handler raises.

    Raises:
        RoutingError: It is unknown.
    """
    if on_error not in get_args(OnError):
        known = ", ".join(f'"{one}"' for one in get_args(OnError))
        raise RoutingError(f"{name}: on_error= is one of {known}, not {on_error!r}")
    return on_error


def check_backoff(name: str, backoff: tuple[float, float]) -> Backoff:
    """Check how long to wait after a fault.

    Raises:
        RoutingError: It is no pair of times.
    """
    try:
        first, most = backoff
        usable = 0 < first <= most < float("inf")
    except (TypeError, ValueError):
        usable = False
    if not usable:
        raise RoutingError(
            f"{name}: backoff= is two times in seconds, the first wait and the longest, such as"
            f" (0.1, 30.0), not {backoff!r}"
        )
    return Backoff(first, most)
