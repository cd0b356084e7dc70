"""Protocol objects: called at once, told of the beginning, of errors and of the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

import anycan
from anycan import CanProtocol, Filter, Frame, Router, RoutingError
from anycan.routing import attached
from rig.routing import LIMIT, MARKER, open_bench, run_on

if TYPE_CHECKING:
    from anycan import AnyFrame, RoutingFault
    from rig.links import Links

GOOD = Frame(0x100, b"\x01")
BAD = Frame(0x100, b"\xff")


class Recorder:
    """A protocol of which every call is kept; ``fails`` says which of them raise."""

    def __init__(self, *fails: str) -> None:
        self.calls: list[tuple[str, Any]] = []
        self.fails = fails

    @property
    def frames(self) -> list[AnyFrame]:
        return [argument for name, argument in self.calls if name == "frame_received"]

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.calls]

    def _note(self, name: str, argument: Any) -> None:
        self.calls.append((name, argument))
        if name in self.fails:
            raise KeyError(name)

    def connection_made(self, subscription: object) -> None:
        self._note("connection_made", subscription)

    def frame_received(self, frame: AnyFrame) -> None:
        self._note("frame_received", frame)
        if frame == BAD:
            raise KeyError("bad")

    def error_received(self, exc: Exception) -> None:
        self._note("error_received", exc)

    def connection_lost(self, exc: Exception | None) -> None:
        self._note("connection_lost", exc)


pytestmark = pytest.mark.anyio


class TestCalls:
    async def test_beginning_frames_and_end(self, user_links: Links) -> None:
        router = Router()
        recorder = Recorder()
        one = router.attach(Filter.id(0x100), recorder)
        assert recorder.calls == []
        async with open_bench(router, user_links) as bench:
            assert recorder.calls == [("connection_made", one)]
            await bench.send(GOOD, Frame(0x101), GOOD)
        assert recorder.names == [
            "connection_made",
            "frame_received",
            "frame_received",
            "connection_lost",
        ]
        assert recorder.frames == [GOOD, GOOD]
        assert recorder.calls[-1] == ("connection_lost", None)
        assert one.name == "Recorder"
        statistics = one.statistics()
        assert (statistics.delivered, statistics.dropped, statistics.waiting) == (2, 0, 0)

    async def test_a_can_protocol(self, user_links: Links) -> None:
        got: list[AnyFrame] = []

        class Printer(CanProtocol):
            def frame_received(self, frame: AnyFrame) -> None:
                got.append(frame)

        router = Router()
        printer = Printer()
        router.attach(Filter.id(0x100), printer)
        async with open_bench(router, user_links) as bench:
            await bench.send(GOOD)
            user_links.down(bench.name)
            user_links.up(bench.name)
            await bench.send(BAD)
        assert got == [GOOD, BAD]
        assert router.statistics().subscriptions[0][1].faults == 0

    async def test_an_object_that_has_nothing_but_frame_received(self, user_links: Links) -> None:
        got: list[AnyFrame] = []

        class Least:
            def frame_received(self, *frames: AnyFrame) -> None:
                got.extend(frames)

        router = Router()
        router.attach(None, Least(), name="least")
        async with open_bench(router, user_links) as bench:
            await bench.send(GOOD)
            user_links.down(bench.name)
            user_links.up(bench.name)
            await bench.send(BAD)
        assert got == [GOOD, MARKER, BAD, MARKER]
        assert router.statistics().subscriptions[0][1].faults == 0

    async def test_it_is_called_before_those_whose_frames_wait(self, user_links: Links) -> None:
        router = Router()
        calls: list[str] = []

        class First:
            def frame_received(self, _frame: AnyFrame) -> None:
                calls.append("protocol")

        router.add(Filter.id(0x100), lambda _: calls.append("handler"))
        router.attach(Filter.id(0x100), First())
        async with open_bench(router, user_links) as bench:
            await bench.send(GOOD)
        assert calls == ["protocol", "handler"]

    async def test_one_that_is_attached_while_the_router_runs(self, user_links: Links) -> None:
        router = Router()
        recorder = Recorder()
        async with open_bench(router, user_links) as bench:
            await bench.send(GOOD)
            one = router.attach(Filter.id(0x100), recorder)
            assert recorder.calls == [("connection_made", one)]
            await bench.send(GOOD)
        assert recorder.names == ["connection_made", "frame_received", "connection_lost"]

    async def test_an_interface_that_goes_down(self, user_links: Links) -> None:
        faults: list[RoutingFault] = []
        router = Router(on_fault=faults.append)
        recorder = Recorder()
        router.attach(Filter.id(0x100), recorder)
        async with open_bench(router, user_links) as bench:
            user_links.down(bench.name)
            with anyio.fail_after(LIMIT):
                while "error_received" not in recorder.names:
                    await checkpoint()
            user_links.up(bench.name)
            await bench.send(GOOD)
        assert recorder.names == [
            "connection_made",
            "error_received",
            "frame_received",
            "connection_lost",
        ]
        error = recorder.calls[1][1]
        assert isinstance(error, anycan.InterfaceDownError)
        assert [fault.error for fault in faults] == [error]

    async def test_an_interface_that_is_removed(self, user_links: Links) -> None:
        router = Router(on_fault=lambda _: None)
        recorder = Recorder()
        name, network = user_links.add(), user_links.network
        router.attach(Filter.id(0x100), recorder)
        async with anycan.open_raw(name, network=network) as can:
            user_links.remove(name)
            with anyio.fail_after(LIMIT), pytest.raises(anycan.InterfaceRemovedError) as caught:
                await router.run(can)
        assert recorder.calls[-1] == ("connection_lost", caught.value)
        assert recorder.names.count("connection_lost") == 1

    async def test_it_is_called_again_at_the_next_run(self, user_links: Links) -> None:
        router = Router()
        recorder = Recorder()
        router.attach(Filter.id(0x100), recorder)
        for _ in range(2):
            async with open_bench(router, user_links) as bench:
                await bench.send(GOOD)
        assert recorder.names == ["connection_made", "frame_received", "connection_lost"] * 2

    async def test_a_run_that_is_refused_is_nothing_to_it(self, user_links: Links) -> None:
        name, network = user_links.add(), user_links.network
        router = Router()
        recorder = Recorder()
        router.attach(Filter.id(0x100), recorder)
        async with anycan.open_raw(name, network=network) as can:
            pass
        with pytest.raises(anyio.ClosedResourceError):
            await router.run(can)
        assert recorder.calls == []

    async def test_closed_within_a_batch_it_is_called_no_more(self, user_links: Links) -> None:
        router = Router()

        class Once(Recorder):
            def frame_received(self, frame: AnyFrame) -> None:
                super().frame_received(frame)
                one.close()

        once, other = Once(), Recorder()
        one = router.attach(Filter.id(0x100), once)
        router.attach(Filter.id(0x100), other)
        async with open_bench(router, user_links) as bench:
            await bench.send(GOOD, GOOD, GOOD)
        assert once.frames == [GOOD]
        assert other.frames == [GOOD] * 3
        assert one.statistics().delivered == 1
        assert one.statistics().dropped == 2

    @pytest.mark.parametrize("way", ["close", "remove"])
    async def test_ended_while_the_router_runs_it_is_told_once(
        self, user_links: Links, way: str
    ) -> None:
        router = Router()
        recorder, other = Recorder(), Recorder()
        one = router.attach(Filter.id(0x100), recorder)
        router.attach(Filter.id(0x100), other)
        async with open_bench(router, user_links) as bench:
            await bench.send(GOOD)
            if way == "close":
                one.close()
            else:
                router.remove(recorder)
            assert recorder.names == ["connection_made", "frame_received", "connection_lost"]
            assert recorder.calls[-1] == ("connection_lost", None)
            one.close()
            await bench.send(GOOD)
            assert "connection_lost" not in other.names
        assert recorder.names.count("connection_lost") == 1
        assert other.names.count("connection_lost") == 1

    async def test_attached_and_ended_at_once(self, user_links: Links) -> None:
        router = Router()
        recorder = Recorder()
        async with open_bench(router, user_links):
            router.attach(Filter.id(0x100), recorder)
            router.remove(recorder)
            assert recorder.names == ["connection_made", "connection_lost"]
        assert recorder.names == ["connection_made", "connection_lost"]

    async def test_ended_while_no_router_runs_it_is_not_told(self, user_links: Links) -> None:
        router = Router()
        before, after = Recorder(), Recorder()
        router.attach(Filter.id(0x100), before).close()
        one = router.attach(Filter.id(0x100), after)
        async with open_bench(router, user_links):
            pass
        one.close()
        assert before.calls == []
        assert after.names == ["connection_made", "connection_lost"]

    async def test_remove(self, user_links: Links) -> None:
        router = Router()
        recorder = Recorder()
        router.attach(Filter.id(0x100), recorder)
        router.attach(Filter.id(0x101), recorder)
        async with open_bench(router, user_links) as bench:
            await bench.send(GOOD, Frame(0x101))
            router.remove(recorder)
            await bench.send(GOOD, Frame(0x101))
        assert len(recorder.frames) == 2
        with pytest.raises(RoutingError, match="no subscription"):
            router.remove(recorder)


class TestFaults:
    async def test_keep(self, user_links: Links) -> None:
        faults: list[RoutingFault] = []
        router = Router(on_fault=faults.append)
        recorder = Recorder()
        one = router.attach(Filter.id(0x100), recorder)
        async with open_bench(router, user_links) as bench:
            await bench.send(GOOD, BAD, GOOD)
        assert recorder.frames == [GOOD, BAD, GOOD]
        (fault,) = faults
        assert fault.subscription is one
        assert fault.frames == (BAD,)
        assert fault.action == "goes on"
        assert fault.interface == bench.name
        assert one.statistics().faults == 1
        assert one.statistics().delivered == 3

    async def test_restart_drops_frames_meanwhile(
        self, user_links: Links, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now = 1000.0
        monkeypatch.setattr(attached, "monotonic", lambda: now)
        faults: list[RoutingFault] = []
        router = Router(on_fault=faults.append)
        recorder = Recorder()
        one = router.attach(Filter.id(0x100), recorder, on_error="restart", backoff=(1.0, 3.0))
        async with open_bench(router, user_links) as bench:
            await bench.send(BAD, GOOD)
            now += 0.9
            await bench.send(GOOD)
            now += 0.1
            await bench.send(BAD)
            now += 1.9
            await bench.send(GOOD)
            now += 0.1
            await bench.send(BAD)
            now += 3.0
            await bench.send(GOOD, BAD)
        assert [fault.action for fault in faults] == [
            f"goes on in {delay} s" for delay in (1, 2, 3, 1)
        ]
        assert recorder.frames == [BAD, BAD, BAD, GOOD, BAD]
        statistics = one.statistics()
        assert (statistics.delivered, statistics.dropped) == (5, 3)

    async def test_stop(self, user_links: Links) -> None:
        faults: list[RoutingFault] = []
        router = Router(on_fault=faults.append)
        recorder = Recorder()
        router.attach(Filter.id(0x100), recorder, name="mine", on_error="stop")
        with pytest.raises(KeyError) as caught:
            await run_on(router, user_links, GOOD, BAD)
        assert [fault.error for fault in faults] == [caught.value]
        assert faults[0].action == "ends the router"
        (note,) = caught.value.__notes__
        assert "mine" in note
        assert recorder.frames == [GOOD, BAD]
        assert recorder.calls[-1] == ("connection_lost", caught.value)

    async def test_after_it_has_stopped_the_router_it_is_called_no_more(
        self, user_links: Links
    ) -> None:
        faults: list[RoutingFault] = []
        router = Router(on_fault=faults.append)
        recorder = Recorder()
        router.attach(Filter.id(0x100), recorder, on_error="stop")
        with pytest.raises(KeyError):
            await run_on(router, user_links, BAD, BAD, GOOD)
        assert recorder.frames == [BAD]
        assert len(faults) == 1

    @pytest.mark.parametrize("method", ["connection_made", "connection_lost"])
    async def test_other_methods_that_raise(self, user_links: Links, method: str) -> None:
        faults: list[RoutingFault] = []
        router = Router(on_fault=faults.append)
        recorder = Recorder(method)
        one = router.attach(Filter.id(0x100), recorder, name="mine")
        async with open_bench(router, user_links) as bench:
            await bench.send(GOOD)
        assert recorder.names == ["connection_made", "frame_received", "connection_lost"]
        (fault,) = faults
        assert fault.frames == ()
        assert fault.subscription is one
        assert str(fault) == f"mine: KeyError: '{method}'; goes on"

    async def test_a_connection_made_that_raises_can_end_the_router(
        self, user_links: Links
    ) -> None:
        router = Router(on_fault=lambda _: None)
        recorder = Recorder("connection_made")
        router.attach(Filter.id(0x100), recorder, on_error="stop")
        with pytest.raises(KeyError, match="connection_made"):
            await run_on(router, user_links)
        assert recorder.names == ["connection_made", "connection_lost"]


class TestRefused:
    @pytest.mark.parametrize(
        ("protocol", "why"),
        [
            (object(), r"object: a protocol has frame_received\(frame\)"),
            (None, "NoneType: a protocol has frame_received"),
        ],
    )
    async def test_what_is_no_protocol(self, protocol: object, why: str) -> None:
        router = Router()
        with pytest.raises(RoutingError, match=why):
            router.attach(Filter.id(1), protocol)
        assert router.subscriptions == ()

    async def test_one_with_a_wrong_signature(self) -> None:
        class Wrong:
            def frame_received(self, _one: object, _two: object) -> None: ...

        with pytest.raises(RoutingError, match=r"Wrong\.frame_received\(.*one argument, a frame"):
            Router().attach(Filter.id(1), Wrong())

    async def test_one_whose_frame_received_is_a_coroutine_function(self) -> None:
        class Awaited:
            async def frame_received(self, _frame: object) -> None: ...

        with pytest.raises(RoutingError, match="frame_received"):
            Router().attach(Filter.id(1), Awaited())

    @pytest.mark.parametrize(
        ("options", "why"),
        [({"on_error": "go"}, "mine: on_error="), ({"backoff": 3}, "mine: backoff=")],
    )
    async def test_options(self, options: dict[str, Any], why: str) -> None:
        with pytest.raises(RoutingError, match=why):
            Router().attach(Filter.id(1), Recorder(), name="mine", **options)
