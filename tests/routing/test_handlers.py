"""Handlers: what may be one, what becomes of one that raises, what one may do to others."""

from __future__ import annotations

import asyncio
import functools
import importlib.util
import itertools
import logging
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

import anycan
from anycan import Filter, FilterError, Frame, HandlerSubscription, Router, RoutingError
from anycan.routing import handlers
from anycan.routing.handlers import Backoff, name_of
from rig.routing import LIMIT, MARKER, numbered, open_bench, open_bus, run_on, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from anycan import AnyFrame, RoutingFault
    from rig.links import Links


class Keeper:
    """Handlers of every kind, which all keep what they are called with."""

    def __init__(self) -> None:
        self.got: list[Any] = []

    def plain(self, frame: Any) -> None:
        self.got.append(frame)

    async def coroutine(self, frame: Any) -> None:
        await checkpoint()
        self.got.append(frame)

    def __call__(self, frame: Any) -> None:
        self.got.append(frame)

    def giving_a_coroutine(self, frame: Any) -> Any:
        return self.coroutine(frame)

    @staticmethod
    async def store(got: list[Any], frame: Any, *, often: int = 1) -> None:
        await checkpoint()
        got += [frame] * often

    def functions(self) -> tuple[Callable[..., Any], Callable[..., Any]]:
        got = self.got

        def plain(frame: Any) -> None:
            got.append(frame)

        async def coroutine(frame: Any, more: int = 0) -> None:
            await checkpoint()
            got.append(frame)
            assert more == 0

        return plain, coroutine

    def object_with_coroutine(self) -> Any:
        got = self.got

        class Awaited:
            async def __call__(self, frame: Any) -> None:
                await checkpoint()
                got.append(frame)

        return Awaited()


KINDS: dict[str, Callable[[Keeper], Callable[..., Any]]] = {
    "function": lambda keeper: keeper.functions()[0],
    "coroutine-function": lambda keeper: keeper.functions()[1],
    "method": lambda keeper: keeper.plain,
    "coroutine-method": lambda keeper: keeper.coroutine,
    "builtin-method": lambda keeper: keeper.got.append,
    "object": lambda keeper: keeper,
    "object-with-coroutine": lambda keeper: keeper.object_with_coroutine(),
    "partial": lambda keeper: functools.partial(list.append, keeper.got),
    "partial-of-coroutine": lambda keeper: functools.partial(keeper.store, keeper.got),
    "partial-of-partial": lambda keeper: functools.partial(
        functools.partial(keeper.store, keeper.got), often=1
    ),
    "function-that-gives-a-coroutine": lambda keeper: keeper.giving_a_coroutine,
    "any-arguments": lambda keeper: lambda *frames: keeper.got.extend(frames),
}


@pytest.mark.anyio
class TestKinds:
    @pytest.mark.parametrize("kind", KINDS)
    async def test_each_is_called_in_order_and_awaited(self, user_links: Links, kind: str) -> None:
        keeper = Keeper()
        router = Router()
        one = router.add(Filter.id(0x100), KINDS[kind](keeper))
        async with open_bench(router, user_links) as bench:
            await bench.send(*numbered(3), Frame(0x101))
            await bench.send(*numbered(2, 3))
        assert keeper.got == numbered(5)
        assert one.statistics().delivered == 5
        assert one.statistics().faults == 0

    @pytest.mark.parametrize("kind", KINDS)
    async def test_each_can_take_batches(self, user_links: Links, kind: str) -> None:
        if kind == "any-arguments":
            pytest.skip("it would take the list apart just the same")
        keeper = Keeper()
        router = Router()
        one = router.add(Filter.id(0x100), KINDS[kind](keeper), batch=True)
        async with open_bench(router, user_links) as bench:
            await bench.send(*numbered(5))
        assert all(isinstance(batch, list) and batch for batch in keeper.got)
        assert [frame for batch in keeper.got for frame in batch] == numbered(5)
        assert one.statistics().delivered == 5

    async def test_what_waits_comes_as_one_batch(self, user_links: Links) -> None:
        router = Router()
        batches: list[list[AnyFrame]] = []
        free = anyio.Event()

        @router.on(Filter.id(0x100), batch=True, capacity=4)
        async def slow(batch: list[AnyFrame]) -> None:
            batches.append(batch)
            await free.wait()

        async with open_bench(router, user_links) as bench:
            await bench.send(*numbered(1))
            async with router.subscribe(Filter.id(0x101)) as passed:
                await bench.other.send_many([*numbered(6, 1), Frame(0x101)])
                await passed.receive()
            free.set()
        assert batches == [numbered(1), numbered(4, 3)]
        assert router.statistics().subscriptions[0][1].dropped == 2

    async def test_the_decorator_gives_the_function_as_it_was(self) -> None:
        router = Router()

        def handler(frame: AnyFrame) -> None: ...

        assert router.on(Filter.id(1))(handler) is handler
        assert [one.name for one in router.subscriptions] == ["handler"]

    async def test_without_a_filter_the_decorator_takes_all(self, user_links: Links) -> None:
        router = Router()
        got: list[AnyFrame] = []

        @router.on()
        def handler(frame: AnyFrame) -> None:
            got.append(frame)

        async with open_bench(router, user_links) as bench:
            await bench.send(*numbered(2))
        assert got == [*numbered(2), MARKER]

    async def test_one_function_with_two_filters(self, user_links: Links) -> None:
        router = Router()
        got: list[AnyFrame] = []

        @router.on(Filter.id(0x101), name="second")
        @router.on(Filter.id(0x100), name="first")
        def handler(frame: AnyFrame) -> None:
            got.append(frame)

        async with open_bench(router, user_links) as bench:
            await bench.send(Frame(0x100))
            await bench.send(Frame(0x101), Frame(0x102))
        assert got == [Frame(0x100), Frame(0x101)]
        assert [name for name, _ in router.statistics().subscriptions] == ["first", "second"]


def generator(_frame: object) -> Iterator[int]:
    yield 1


async def async_generator(_frame: object) -> AsyncIterator[int]:
    yield 1


def two_arguments(_one: object, _two: object) -> None: ...


def keyword_only(_frame: object, *, needed: int) -> None: ...


class GeneratorObject:
    def __call__(self, _frame: object) -> Iterator[int]:
        yield 1


class TestRefused:
    @pytest.mark.parametrize(
        ("handler", "why"),
        [
            pytest.param(lambda: None, "is called with one argument, a frame", id="none"),
            pytest.param(two_arguments, r"two_arguments\(.*is called with one", id="two"),
            pytest.param(keyword_only, "keyword_only.*needed", id="keyword"),
            pytest.param(functools.partial(two_arguments, 1, 2), "two_arguments", id="partial"),
            pytest.param(Keeper().functions, r"Keeper\.functions", id="method"),
            pytest.param(generator, "generator is a generator", id="generator"),
            pytest.param(async_generator, "async_generator is a generator", id="async-generator"),
            pytest.param(functools.partial(generator), "is a generator", id="partial-generator"),
            pytest.param("text", "str: a handler is a function, not 'text'", id="text"),
            pytest.param(None, "a handler is a function, not None", id="nothing"),
            pytest.param(
                GeneratorObject(),
                "GeneratorObject",
                id="generator-object",
            ),
        ],
    )
    def test_what_cannot_be_called_with_a_frame(self, handler: Any, why: str) -> None:
        router = Router()
        with pytest.raises(RoutingError, match=why):
            router.add(Filter.id(1), handler)
        assert router.subscriptions == ()

    def test_what_does_not_tell_its_signature_is_taken(self) -> None:
        router = Router()
        router.add(Filter.id(1), bool)
        assert [one.name for one in router.subscriptions] == ["bool"]

    def test_a_batch_handler_is_told_what_it_is_called_with(self) -> None:
        with pytest.raises(RoutingError, match="one argument, a list of frames"):
            Router().add(Filter.id(1), lambda: None, batch=True)

    @pytest.mark.parametrize(
        ("options", "why"),
        [
            ({"capacity": 0}, "speed: capacity= is at least 1, not 0"),
            ({"capacity": -3}, "speed: capacity= is at least 1, not -3"),
            ({"capacity": 1.5}, "speed: capacity= is an integer, not 1.5"),
            ({"capacity": None}, "speed: capacity= is an integer, not None"),
            ({"overflow": "drop"}, "speed: overflow= is one of \"drop_oldest\".*not 'drop'"),
            ({"overflow": None}, "speed: overflow= is one of .*not None"),
            ({"overflow": ["block"]}, "speed: overflow= is one of"),
            ({"on_error": "ignore"}, 'speed: on_error= is one of "keep", "restart", "stop"'),
            ({"backoff": (1, 0.5)}, r"speed: backoff= is two times.*not \(1, 0.5\)"),
            ({"backoff": (0, 1)}, "speed: backoff="),
            ({"backoff": 1.0}, "speed: backoff="),
            ({"backoff": (1, float("inf"))}, "speed: backoff="),
            ({"backoff": (1, 2, 3)}, "speed: backoff="),
            ({"backoff": ("a", "b")}, "speed: backoff="),
        ],
    )
    def test_options(self, options: dict[str, Any], why: str) -> None:
        router = Router()
        with pytest.raises(RoutingError, match=why):
            router.add(Filter.id(1), print, name="speed", **options)
        assert router.subscriptions == ()

    def test_an_error_names_the_handler_by_its_own_name(self) -> None:
        router = Router()
        with pytest.raises(RoutingError, match=r"^print: capacity="):
            router.on(Filter.id(1), capacity=0)(print)

    def test_the_decorator_without_its_parentheses(self) -> None:
        router = Router()

        async def handler(frame: AnyFrame) -> None: ...

        given: Any
        for given, name in ((handler, "handler"), (Keeper().plain, r"Keeper\.plain")):
            hint = rf"^on\(\) takes a filter, not {name}: .*@router\.on\(\) for all frames$"
            with pytest.raises(RoutingError, match=hint):
                router.on(given)
        assert router.subscriptions == ()

    @pytest.mark.parametrize(
        ("given", "why"),
        [("123:7FF", r"on\(\): .*Filter\.parse"), (0x123, r"Filter\.id\(0x123\)"), ([1], r"\[0\]")],
    )
    def test_the_decorator_looks_at_its_filter_at_once(self, given: Any, why: str) -> None:
        with pytest.raises(FilterError, match=why):
            Router().on(given)

    @pytest.mark.parametrize(
        ("handler", "name"),
        [
            (print, "print"),
            (functools.partial(print, 1), "print"),
            (Keeper(), "Keeper"),
            (Keeper().plain, "Keeper.plain"),
            (Keeper().functions()[0], "plain"),
            (Keeper().object_with_coroutine(), "Awaited"),
        ],
    )
    def test_names(self, handler: object, name: str) -> None:
        assert name_of(handler) == name


@pytest.fixture
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Have handlers wait for no time at all, and keep for how long they would have."""
    naps: list[float] = []

    async def wait(_: HandlerSubscription, delay: float) -> None:
        naps.append(delay)
        await checkpoint()

    monkeypatch.setattr(HandlerSubscription, "_wait", wait)
    return naps


class Picky:
    """A handler that keeps what it is called with, and raises at frames whose data begin so."""

    def __init__(self, bad: bytes = b"\xff") -> None:
        self.got: list[AnyFrame] = []
        self.bad = bad

    def __call__(self, frame: AnyFrame) -> None:
        self.got.append(frame)
        assert isinstance(frame, Frame)
        if frame.data.startswith(self.bad):
            raise KeyError("bad")

    async def awaited(self, frame: AnyFrame) -> None:
        await checkpoint()
        self(frame)


GOOD = Frame(0x100, b"\x01")
BAD = Frame(0x100, b"\xff")


@pytest.mark.anyio
class TestFaults:
    @pytest.mark.parametrize("awaited", [False, True])
    async def test_keep_goes_on_with_the_next(self, user_links: Links, awaited: bool) -> None:
        faults: list[RoutingFault] = []
        router = Router(on_fault=faults.append)
        picky = Picky()
        handler = picky.awaited if awaited else picky
        one = router.add(Filter.id(0x100), handler, name="picky")
        others: list[AnyFrame] = []
        router.add(Filter.id(0x100), others.append)
        async with open_bench(router, user_links) as bench:
            await bench.send(GOOD, BAD, GOOD, BAD, BAD, GOOD)
            interface = bench.can.extra(anycan.RawAttribute.interface)
        assert picky.got == others == [GOOD, BAD, GOOD, BAD, BAD, GOOD]
        assert [fault.frames for fault in faults] == [(BAD,)] * 3
        assert one.statistics().faults == router.statistics().faults == 3
        assert one.statistics().delivered == 6
        fault = faults[0]
        assert isinstance(fault.error, KeyError)
        assert fault.subscription is one
        assert fault.interface == interface
        assert fault.action == "goes on"
        assert str(fault) == "picky: KeyError: 'bad', called with 100#FF; goes on"

    async def test_a_batch_is_told_whole(self, user_links: Links) -> None:
        faults: list[RoutingFault] = []
        router = Router(on_fault=faults.append)

        @router.on(Filter.id(0x100), batch=True, name="all")
        async def handler(_batch: list[AnyFrame]) -> None:
            raise ValueError("no")

        async with open_bench(router, user_links) as bench:
            await bench.send(*numbered(3))
        assert [fault.frames for fault in faults] == [tuple(numbered(3))]
        assert str(faults[0]) == "all: ValueError: no, called with 100#00 and 2 more; goes on"

    async def test_restart_waits_twice_as_long_each_time(
        self, user_links: Links, naps: list[float]
    ) -> None:
        faults: list[RoutingFault] = []
        router = Router(on_fault=faults.append)
        picky = Picky()
        router.add(Filter.id(0x100), picky, on_error="restart", backoff=(0.1, 0.35))
        async with open_bench(router, user_links) as bench:
            for frame in (BAD, BAD, BAD, BAD, GOOD, BAD, GOOD):
                await bench.send(frame)
        assert naps == [0.1, 0.2, 0.35, 0.35, 0.1]
        assert [fault.action for fault in faults] == [f"goes on in {nap:g} s" for nap in naps]
        assert picky.got == [BAD, BAD, BAD, BAD, GOOD, BAD, GOOD]

    async def test_a_success_among_those_that_wait_resets_the_wait(
        self, user_links: Links, naps: list[float]
    ) -> None:
        router = Router(on_fault=lambda _: None)
        picky = Picky()
        router.add(Filter.id(0x100), picky, on_error="restart", backoff=(0.1, 10.0))
        async with open_bench(router, user_links) as bench:
            await bench.send(BAD, GOOD, BAD, GOOD, BAD)
        assert picky.got == [BAD, GOOD, BAD, GOOD, BAD]
        assert naps == [0.1, 0.1, 0.1]

    async def test_frames_wait_while_a_handler_does(
        self, user_links: Links, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        over = anyio.Event()

        async def wait(_: HandlerSubscription, _delay: float) -> None:
            await over.wait()

        monkeypatch.setattr(HandlerSubscription, "_wait", wait)
        router = Router(on_fault=lambda _: None)
        picky = Picky()
        one = router.add(Filter.id(0x100), picky, on_error="restart", capacity=2)
        async with open_bench(router, user_links) as bench:
            await bench.send(BAD)
            async with router.subscribe(Filter.id(0x101)) as passed:
                await bench.other.send_many([*numbered(3), Frame(0x101)])
                with anyio.fail_after(LIMIT):
                    await passed.receive()
            assert picky.got == [BAD]
            assert one.statistics().waiting == 2
            assert one.statistics().dropped == 1
            over.set()
        assert picky.got == [BAD, *numbered(2, 1)]

    @pytest.mark.parametrize("drain", [True, False])
    async def test_the_end_of_the_router_ends_the_wait(
        self, user_links: Links, drain: bool
    ) -> None:
        faults: list[RoutingFault] = []
        router = Router(on_fault=faults.append)
        picky = Picky()
        one = router.add(Filter.id(0x100), picky, on_error="restart", backoff=(3600.0, 3600.0))
        with anyio.fail_after(LIMIT):
            async with open_bench(router, user_links) as bench:
                async with router.subscribe(Filter.id(0x101)) as passed:
                    await bench.other.send_many([BAD, *numbered(2), Frame(0x101)])
                    await passed.receive()
                await until(lambda: faults)
                assert one.statistics().waiting == 2
                router.stop(drain=drain, timeout=3600.0)
        assert picky.got == [BAD, *numbered(2)] if drain else [BAD]
        assert one.statistics().dropped == (0 if drain else 2)

    async def test_while_the_router_ends_it_does_not_wait(self, user_links: Links) -> None:
        faults: list[RoutingFault] = []
        router = Router(on_fault=faults.append)
        picky = Picky()
        router.add(Filter.id(0x100), picky, on_error="restart", backoff=(3600.0, 3600.0))
        with anyio.fail_after(LIMIT):
            async with open_bench(router, user_links) as bench:
                async with router.subscribe(Filter.id(0x101)) as passed:
                    await bench.other.send_many([BAD, BAD, BAD, GOOD, Frame(0x101)])
                    await passed.receive()
                router.stop(timeout=3600.0)
        assert picky.got == [BAD, BAD, BAD, GOOD]
        assert len(faults) == 3

    async def test_the_end_of_the_subscription_ends_the_wait(self, user_links: Links) -> None:
        faults: list[RoutingFault] = []
        router = Router(on_fault=faults.append)
        one = router.add(Filter.id(0x100), Picky(), on_error="restart", backoff=(3600.0, 3600.0))
        async with open_bench(router, user_links) as bench:
            await bench.other.send(BAD)
            await until(lambda: one._ended is not None)
            one.close()
            await until(lambda: one._ended is None)
            await bench.send(GOOD)
        assert len(faults) == 1

    @pytest.mark.parametrize("awaited", [False, True])
    async def test_stop_raises_that_very_exception(self, user_links: Links, awaited: bool) -> None:
        faults: list[RoutingFault] = []
        router = Router(on_fault=faults.append)
        picky = Picky()
        handler = picky.awaited if awaited else picky
        one = router.add(Filter.id(0x100), handler, name="picky", on_error="stop")
        with pytest.raises(KeyError) as caught:
            await run_on(router, user_links, GOOD, BAD, GOOD, GOOD)
        (fault,) = faults
        assert caught.value is fault.error
        assert fault.action == "ends the router"
        assert caught.value.__notes__ == ["raised by the handler picky, called with 100#FF"]
        assert picky.got == [GOOD, BAD]
        statistics = one.statistics()
        assert (statistics.delivered, statistics.dropped, statistics.waiting) == (2, 2, 0)

    async def test_stop_cancels_the_other_handlers(self, user_links: Links) -> None:
        router = Router(on_fault=lambda _: None)
        ended: list[str] = []

        @router.on(Filter.id(0x100))
        async def endless(_frame: AnyFrame) -> None:
            try:
                await anyio.sleep_forever()
            finally:
                ended.append("cancelled")

        @router.on(Filter.id(0x101), on_error="stop")
        async def failing(_frame: AnyFrame) -> None:
            raise LookupError

        name, network = user_links.add(), user_links.network
        async with (
            anycan.open_raw(name, network=network) as can,
            anycan.open_raw(name, network=network) as other,
        ):

            async def send() -> None:
                await other.send(Frame(0x100))
                while not router.statistics().subscriptions[0][1].delivered:
                    await checkpoint()
                await other.send(Frame(0x101))

            with anyio.fail_after(LIMIT):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(send)
                    with pytest.raises(LookupError):
                        await router.run(can)
        assert ended == ["cancelled"]

    async def test_without_on_fault_it_is_logged(
        self, user_links: Links, caplog: pytest.LogCaptureFixture
    ) -> None:
        router = Router()
        router.add(Filter.id(0x100), Picky(), name="picky")
        with caplog.at_level(logging.INFO, "anycan.routing"):
            async with open_bench(router, user_links) as bench:
                await bench.send(BAD)
        (record,) = caplog.records
        assert record.levelno == logging.ERROR
        assert record.name == "anycan.routing"
        assert record.getMessage() == "picky: KeyError: 'bad', called with 100#FF; goes on"
        assert record.exc_info is not None
        assert isinstance(record.exc_info[1], KeyError)

    async def test_an_on_fault_that_raises_is_logged(
        self, user_links: Links, caplog: pytest.LogCaptureFixture
    ) -> None:
        def on_fault(_fault: RoutingFault) -> None:
            raise RuntimeError("on_fault itself")

        router = Router(on_fault=on_fault)
        picky = Picky()
        router.add(Filter.id(0x100), picky, name="picky")
        with caplog.at_level(logging.INFO, "anycan.routing"):
            async with open_bench(router, user_links) as bench:
                await bench.send(BAD, GOOD)
        (record,) = caplog.records
        assert record.getMessage().startswith("on_fault= failed, told of: picky: KeyError")
        assert record.exc_info is not None
        assert isinstance(record.exc_info[1], RuntimeError)
        assert picky.got == [BAD, GOOD]

    @pytest.mark.parametrize("stream", [False, True])
    async def test_a_filter_of_the_users_that_raises(self, user_links: Links, stream: bool) -> None:
        faults: list[RoutingFault] = []
        router = Router(on_fault=faults.append)

        def is_good(frame: AnyFrame) -> bool:
            if frame == BAD:
                raise ZeroDivisionError("in the filter")
            return True

        wanted = Filter.id(0x100) & Filter.where(is_good)
        others: list[AnyFrame] = []
        router.add(Filter.id(0x100), others.append)
        got: list[AnyFrame] = []
        async with open_bench(router, user_links) as bench:
            if stream:
                async with router.subscribe(wanted, name="mine") as frames:
                    await bench.send(GOOD, BAD, GOOD)
                    got += await frames.receive_many()
                    statistics = frames.statistics()
            else:
                one = router.add(wanted, got.append, name="mine")
                await bench.send(GOOD, BAD, GOOD)
                statistics = one.statistics()
        assert got == [GOOD, GOOD]
        assert others == [GOOD, BAD, GOOD]
        (fault,) = faults
        assert isinstance(fault.error, ZeroDivisionError)
        assert fault.subscription is not None
        assert (fault.subscription.name, fault.frames) == ("mine", (BAD,))
        assert fault.action == "the frame is not delivered"
        assert statistics.faults == 1
        assert statistics.delivered == 2

    async def test_filters_that_raise_may_be_closed_when_they_do(self, user_links: Links) -> None:
        faults: list[RoutingFault] = []

        def on_fault(fault: RoutingFault) -> None:
            faults.append(fault)
            for one in both:
                one.close()

        def fail(_frame: AnyFrame) -> bool:
            raise ZeroDivisionError

        router = Router(on_fault=on_fault)
        wanted = Filter.id(0x100) & Filter.where(fail)
        both = [router.add(wanted, print, name=name) for name in ("one", "two")]
        async with open_bench(router, user_links) as bench:
            await bench.send(GOOD)
        assert [fault.action for fault in faults] == ["the frame is not delivered"] * len(faults)

    def test_backoff(self) -> None:
        backoff = Backoff(1.0, 5.0)
        assert [backoff.delay() for _ in range(5)] == [1.0, 2.0, 4.0, 5.0, 5.0]
        backoff.reset()
        assert backoff.delay() == 1.0


ASYNCIO = [
    pytest.param(("asyncio", {"use_uvloop": False}), id="asyncio"),
    pytest.param(
        ("asyncio", {"use_uvloop": True}),
        id="uvloop",
        marks=pytest.mark.skipif(
            importlib.util.find_spec("uvloop") is None, reason="uvloop is not installed here"
        ),
    ),
]


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ASYNCIO)  # in trio a task is nothing to be awaited
class TestCancelledWithin:
    """A handler that awaits a task which somebody has cancelled, or a future."""

    @staticmethod
    async def await_cancelled(frame: Any) -> None:
        if BAD in (frame if isinstance(frame, list) else [frame]):
            future = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_soon(future.cancel)
            await future

    @pytest.mark.parametrize("batch", [False, True])
    async def test_it_is_a_fault_and_all_go_on(self, user_links: Links, batch: bool) -> None:
        faults: list[RoutingFault] = []
        router = Router(on_fault=faults.append)
        others: list[AnyFrame] = []
        handler = self.await_cancelled
        one = router.add(Filter.id(0x100), handler, name="mine", batch=batch)
        router.add(Filter.id(0x100), others.append)
        with anyio.fail_after(LIMIT):
            async with open_bench(router, user_links) as bench:
                for _ in range(2):
                    await bench.send(BAD)
                    await bench.send(GOOD)
        assert others == [BAD, GOOD, BAD, GOOD]
        assert one.statistics().delivered == 4
        assert one.statistics().faults == len(faults) == 2
        for fault in faults:
            assert isinstance(fault.error, RuntimeError)
            assert isinstance(fault.error.__cause__, asyncio.CancelledError)
            assert (fault.subscription, fault.frames) == (one, (BAD,))
            assert str(fault).startswith("mine: RuntimeError: the handler awaited a task that was")
            assert str(fault).endswith("called with 100#FF; goes on")

    async def test_a_task_that_is_cancelled(self, user_links: Links) -> None:
        faults: list[RoutingFault] = []
        router = Router(on_fault=faults.append)

        @router.on(Filter.id(0x100))
        async def handler(_frame: AnyFrame) -> None:
            task = asyncio.create_task(anyio.sleep_forever())
            await checkpoint()
            task.cancel()
            await task

        with anyio.fail_after(LIMIT):
            async with open_bench(router, user_links) as bench:
                await bench.send(GOOD, GOOD)
                await until(lambda: len(faults) == 2)
        assert all(isinstance(fault.error, RuntimeError) for fault in faults)

    async def test_by_policy_it_waits(self, user_links: Links, naps: list[float]) -> None:
        router = Router(on_fault=lambda _: None)
        handler = self.await_cancelled
        router.add(Filter.id(0x100), handler, on_error="restart", backoff=(1.0, 8.0))
        with anyio.fail_after(LIMIT):
            async with open_bench(router, user_links) as bench:
                await bench.send(BAD, BAD, GOOD)
        assert naps == [1.0, 2.0]

    async def test_by_policy_it_ends_the_router(self, user_links: Links) -> None:
        router = Router(on_fault=lambda _: None)
        router.add(Filter.id(0x100), self.await_cancelled, on_error="stop")
        with pytest.raises(RuntimeError, match="awaited a task that was cancelled") as caught:
            await run_on(router, user_links, GOOD, BAD)
        assert isinstance(caught.value.__cause__, asyncio.CancelledError)
        assert not repr(router).startswith("<Router running")

    async def test_a_task_that_cancels_the_router_itself_is_obeyed(self, user_links: Links) -> None:
        faults: list[RoutingFault] = []
        router = Router(on_fault=faults.append)
        called = asyncio.Event()

        @router.on(Filter.id(0x100))
        async def endless(_frame: AnyFrame) -> None:
            called.set()
            await anyio.sleep_forever()

        with anyio.fail_after(LIMIT):
            async with open_bus(user_links) as bus:
                running = asyncio.create_task(router.run(bus.can))
                await bus.other.send(GOOD)
                await called.wait()
                running.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await running
        assert faults == []


@pytest.mark.anyio
class TestTurns:
    """Handlers that never wait for anything give way to others now and then."""

    @pytest.fixture
    def clock(self, monkeypatch: pytest.MonkeyPatch) -> list[float]:
        """Give seconds, in a list of one, by which handlers tell the time."""
        now = [100.0]
        monkeypatch.setattr(handlers, "perf_counter", lambda: now[0])
        return now

    @pytest.mark.parametrize("awaited", [False, True])
    async def test_others_have_their_turn(
        self, user_links: Links, clock: list[float], awaited: bool
    ) -> None:
        router = Router()
        calls: list[str] = []

        def add(name: str) -> None:
            def handler(_frame: AnyFrame) -> None:
                calls.append(name)
                clock[0] += 0.001  # all that it ever does takes time

            async def coroutine(frame: AnyFrame) -> None:
                handler(frame)

            router.add(Filter.id(0x100), coroutine if awaited else handler, name=name)

        for name in ("one", "two"):
            add(name)
        async with open_bench(router, user_links) as bench:
            await bench.send(*numbered(200))
        assert calls.count("one") == calls.count("two") == 200
        # Sixteen calls each, and which of them is first is trio's to say, each time.
        assert longest_run(calls) <= 32

    async def test_those_that_take_no_time_are_not_held_up(
        self, user_links: Links, clock: list[float]
    ) -> None:
        router = Router()
        calls: list[str] = []
        for name in ("one", "two"):
            router.add(Filter.id(0x100), lambda _, name=name: calls.append(name), name=name)
        async with open_bench(router, user_links) as bench:
            await bench.send(*numbered(60))
        assert clock == [100.0]
        assert longest_run(calls) == 60

    @pytest.mark.parametrize("awaited", [False, True])
    async def test_they_end_with_the_time_to_drain(
        self, user_links: Links, clock: list[float], awaited: bool
    ) -> None:
        router = Router()
        calls: list[AnyFrame] = []

        def handler(frame: AnyFrame) -> None:
            calls.append(frame)
            clock[0] += 0.001
            router.stop(timeout=0.0)

        async def coroutine(frame: AnyFrame) -> None:
            handler(frame)

        one = router.add(Filter.id(0x100), coroutine if awaited else handler)
        await run_on(router, user_links, *numbered(200))
        assert calls == numbered(len(calls))
        assert len(calls) <= 32
        statistics = one.statistics()
        assert statistics.delivered == len(calls)
        assert statistics.dropped > 100  # the rest, so far as it had been read
        assert statistics.waiting == 0

    async def test_a_handler_that_fails_at_every_frame_gives_way_too(
        self, user_links: Links
    ) -> None:
        router = Router(on_fault=lambda _: None)
        calls: list[str] = []

        def fail(name: str) -> Callable[[AnyFrame], None]:
            def handler(_frame: AnyFrame) -> None:
                calls.append(name)
                raise LookupError

            return handler

        for name in ("one", "two"):
            router.add(Filter.id(0x100), fail(name), name=name)
        async with open_bench(router, user_links) as bench:
            await bench.send(*numbered(50))
        assert len(calls) == 100
        assert longest_run(calls) <= 2


def longest_run(names: list[str]) -> int:
    """Give how often the same name came in a row, at most."""
    return max(len(list(group)) for _, group in itertools.groupby(names))


@pytest.mark.anyio
class TestFromWithin:
    async def test_a_handler_closes_itself(self, user_links: Links) -> None:
        router = Router()
        got: list[AnyFrame] = []

        def twice(frame: AnyFrame) -> None:
            got.append(frame)
            if len(got) == 2:
                one.close()
                one.close()  # does nothing

        one = router.add(Filter.id(0x100), twice)
        others: list[AnyFrame] = []
        router.add(Filter.id(0x100), others.append)
        async with open_bench(router, user_links) as bench:
            await bench.send(*numbered(5))
            await bench.send(*numbered(5))
        assert got == numbered(2)
        assert len(others) == 10
        assert one.closed
        assert repr(one).endswith("twice closed>")
        statistics = one.statistics()
        assert (statistics.delivered, statistics.dropped, statistics.waiting) == (2, 3, 0)
        assert one not in router.subscriptions

    async def test_a_coroutine_that_closes_itself_is_left_to_end(self, user_links: Links) -> None:
        router = Router()
        ended: list[AnyFrame] = []

        async def once(frame: AnyFrame) -> None:
            router.remove(once)
            await checkpoint()
            ended.append(frame)

        router.add(Filter.id(0x100), once)
        async with open_bench(router, user_links) as bench:
            await bench.send(*numbered(3))
        assert ended == numbered(1)

    async def test_a_handler_closes_another_one(self, user_links: Links) -> None:
        router = Router()
        calls: list[str] = []

        def closing(_frame: AnyFrame) -> None:
            calls.append("closing")
            other.close()

        def closed(_frame: AnyFrame) -> None:
            calls.append("closed")

        router.add(Filter.id(0x100), closing)
        other = router.add(Filter.id(0x100), closed)
        async with open_bench(router, user_links) as bench:
            await bench.send(*numbered(4))
            await bench.send(*numbered(4))
        # Which of the two begins is the back end's to say; afterwards there is none.
        assert "closed" not in calls[calls.index("closing") :]
        assert calls.count("closing") == 8
        statistics = other.statistics()
        assert statistics.delivered + statistics.dropped == 4
        assert statistics.waiting == 0

    async def test_a_handler_that_another_closes_meanwhile_is_left_to_end(
        self, user_links: Links
    ) -> None:
        router = Router()
        free = anyio.Event()
        ended: list[AnyFrame] = []

        async def slow(frame: AnyFrame) -> None:
            await free.wait()
            ended.append(frame)

        one = router.add(Filter.id(0x100), slow)
        async with open_bench(router, user_links) as bench:
            await bench.send(*numbered(1))
            one.close()
            free.set()
            await bench.send(*numbered(1))
        assert ended == numbered(1)

    async def test_a_handler_adds_another_one_which_gets_what_comes_then(
        self, user_links: Links
    ) -> None:
        router = Router()
        late: list[AnyFrame] = []
        got: list[AnyFrame] = []

        def adding(frame: AnyFrame) -> None:
            if not got:
                router.add(Filter.range(0x100, 0x101), late.append)
            got.append(frame)

        router.add(Filter.id(0x100), adding)
        async with open_bench(router, user_links) as bench:
            await bench.send(*numbered(3))
            await bench.send(Frame(0x101), *numbered(2, 3))
        assert got == numbered(5)
        assert late == [Frame(0x101), *numbered(2, 3)]

    async def test_a_handler_replaces_itself_at_every_frame(self, user_links: Links) -> None:
        router = Router()
        got: list[tuple[int, AnyFrame]] = []

        def add(number: int) -> None:
            def handler(frame: AnyFrame) -> None:
                got.append((number, frame))
                one.close()
                add(number + 1)

            one = router.add(Filter.id(0x100), handler)

        add(0)
        async with open_bench(router, user_links) as bench:
            for frame in numbered(5):
                await bench.send(frame)
        assert got == list(enumerate(numbered(5)))
        assert len(router.subscriptions) == 1

    async def test_a_handler_receives_from_a_stream_of_its_own(self, user_links: Links) -> None:
        router = Router()
        got: list[AnyFrame] = []

        @router.on(Filter.id(0x100))
        async def conversation(_frame: AnyFrame) -> None:
            async with router.subscribe(Filter.id(0x101)) as frames:
                await bench.other.send(Frame(0x101))
                got.append(await frames.receive())

        async with open_bench(router, user_links) as bench:
            await bench.send(*numbered(1))
            with anyio.fail_after(LIMIT):
                while not got:
                    await checkpoint()
        assert got == [Frame(0x101)]
        assert len(router.subscriptions) == 1

    async def test_one_that_is_closed_as_a_batch_is_handed_on_gets_no_more_of_it(
        self, user_links: Links
    ) -> None:
        router = Router()
        got: list[AnyFrame] = []

        class Closing:
            def frame_received(self, _frame: AnyFrame) -> None:
                one.close()

        router.attach(Filter.id(0x100), Closing())
        one = router.add(Filter.id(0x100), got.append)
        async with open_bench(router, user_links) as bench:
            await bench.send(*numbered(4))
        assert got == []
        statistics = one.statistics()
        assert (statistics.delivered, statistics.dropped, statistics.waiting) == (0, 4, 0)

    async def test_remove_ends_all_of_a_handler(self, user_links: Links) -> None:
        router = Router()
        keeper, kept = Keeper(), Keeper()
        router.add(Filter.id(0x100), keeper.plain)
        router.add(Filter.id(0x101), keeper.plain)
        router.add(Filter.id(0x100), kept.plain)
        async with open_bench(router, user_links) as bench:
            await bench.send(Frame(0x100), Frame(0x101))
            router.remove(keeper.plain)  # another object than the one that was given, and equal
            await bench.send(Frame(0x100), Frame(0x101))
        assert len(keeper.got) == 2
        assert len(kept.got) == 2
        for handler in (keeper.plain, print):
            with pytest.raises(RoutingError, match="has no subscription in this router"):
                router.remove(handler)

    async def test_time_in_a_handler_is_counted(self, user_links: Links) -> None:
        router = Router()
        free = anyio.Event()

        async def slow(_frame: AnyFrame) -> None:
            await free.wait()

        one = router.add(Filter.id(0x100), slow)
        idle = router.add(Filter.id(0x101), print)
        assert one.statistics().handler_time == 0.0
        async with open_bench(router, user_links) as bench:
            await bench.send(*numbered(1))
            before = one.statistics().handler_time
            await checkpoint()
            assert one.statistics().handler_time > before > 0.0  # it is in there now
            free.set()
        total = one.statistics().handler_time
        assert total > before
        assert one.statistics().handler_time == total
        assert idle.statistics().handler_time == 0.0
