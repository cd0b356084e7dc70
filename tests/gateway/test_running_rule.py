"""A rule in force: what it does to frames, what it counts, and what is left when it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import anyio
import pytest
from anyio.lowlevel import checkpoint

from anycan import FdFrame, Filter, Frame, Modification, RateLimit
from anycan.gateway.outlet import Outlet
from anycan.gateway.reasons import DropReason
from anycan.gateway.rule import Rule
from anycan.gateway.running_rule import RunningRule
from anycan.wire.frames import encode_frame
from rig.gateways import LIMIT, assert_all_accounted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anycan import AnyFrame, RuleStatistics
    from anycan.gateway.port import Port
    from anycan.gateway.taker import Taker

SECOND = 1_000_000_000


class Way:
    """Takes everything, or nothing."""

    fd = 5
    absence = DropReason.INTERFACE_GONE

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.is_full = False

    def put(self, payloads: Sequence[bytes]) -> int:
        if self.is_full:
            raise BlockingIOError(11, "full")
        self.taken += payloads
        return len(payloads)

    def put_received(self, source: object, count: int, size: int) -> int:
        raise AssertionError(f"{count} of {size} bytes from {source}: nothing is sent so here")

    def took_error(self) -> None: ...
    def was_down(self) -> None: ...
    def was_up(self) -> None: ...
    def was_removed(self) -> None: ...


class End:
    """What a rule asks of a port."""

    def __init__(self, interface: str) -> None:
        self.interface = interface
        self.way = Way()
        self.takes: dict[Taker, Filter] = {}
        self.echo: list[bool] = []
        self._outlet = Outlet(self.way)

    def outlet(self, *, local_echo: bool) -> Outlet:
        self.echo.append(local_echo)
        return self._outlet

    def add(self, wanted: Filter, taker: Taker) -> None:
        self.takes[taker] = wanted

    def remove(self, taker: Taker) -> None:
        del self.takes[taker]


class Stage:
    """A rule from ``a`` to some destinations."""

    def __init__(self, *destinations: str, **options: Any) -> None:
        names = destinations or ("b",)
        self.source = End("a")
        self.ends = [End(name) for name in names]
        self.rule = RunningRule(
            "one",
            Rule(source="a", destination=names, **options),
            cast("Port", self.source),
            cast("list[Port]", self.ends),
        )
        self.rule.start()

    def put(self, *frames: AnyFrame, stamp: int = 0) -> None:
        (taker,) = self.source.takes
        take = taker.one
        for frame in frames:
            take(encode_frame(frame), stamp)

    def flush(self) -> None:
        for outlet in self.rule.outlets:
            outlet.flush()

    def taken(self, place: int = 0) -> list[bytes]:
        return self.ends[place].way.taken

    def statistics(self) -> RuleStatistics:
        return self.rule.counters.statistics("one")


ONE, TWO = Frame(1, b"\1"), Frame(2, b"\2")


def encoded(*frames: AnyFrame) -> list[bytes]:
    return [encode_frame(frame) for frame in frames]


@pytest.mark.parametrize("destinations", [("b",), ("b", "c", "d")])
def test_frames_go_to_every_destination(destinations: tuple[str, ...]) -> None:
    stage = Stage(*destinations, filter=Filter.range(1, 2), local_echo=False)
    assert list(stage.source.takes.values()) == [Filter.range(1, 2)]
    assert [end.echo for end in stage.ends] == [[False]] * len(destinations)
    stage.put(ONE, TWO)
    stage.flush()
    for place in range(len(destinations)):
        assert stage.taken(place) == encoded(ONE, TWO)
    assert stage.rule.caller is None
    assert stage.statistics().received == 2
    assert_all_accounted(stage.statistics())


def test_what_is_not_let_through_is_counted() -> None:
    stage = Stage("b", "c", limits=RateLimit(1))
    stage.put(ONE, TWO, stamp=5 * SECOND)
    stage.flush()
    assert stage.taken(1) == encoded(ONE)
    assert stage.statistics().dropped == {DropReason.RATE_LIMIT: 1}
    assert_all_accounted(stage.statistics())


def test_what_cannot_be_made_is_counted() -> None:
    stage = Stage(convert="classical", modify=Modification.bit_or(data=b"\xf0"))
    stage.put(FdFrame(1, bytes(9)), FdFrame(1, b"\1"))
    stage.flush()
    assert stage.taken() == encoded(Frame(1, b"\xf1"))
    assert stage.statistics().dropped == {DropReason.DOES_NOT_FIT: 1}
    assert_all_accounted(stage.statistics())


def test_a_limit_does_not_see_what_is_changed_later() -> None:
    stage = Stage(changes_only=True, modify=Modification.bit_and(data=b"\0"))
    stage.put(ONE, ONE, Frame(1, b"\2"))
    stage.flush()
    assert stage.taken() == encoded(Frame(1, b"\0"), Frame(1, b"\0"))
    assert stage.statistics().dropped == {DropReason.UNCHANGED: 1}


def test_ended_it_takes_nothing_and_drops_what_waits() -> None:
    stage = Stage("b", "c")
    stage.ends[0].way.is_full = True
    stage.put(ONE, TWO)
    stage.flush()
    stage.put(ONE)
    stage.rule.stop()
    assert stage.source.takes == {}
    stage.flush()
    found = stage.statistics()
    assert [(one.forwarded, dict(one.dropped), one.waiting) for one in found.destinations] == [
        (0, {DropReason.RULE_ENDED: 3}, 0),
        (2, {DropReason.RULE_ENDED: 1}, 0),
    ]
    assert_all_accounted(found)


class TestCall:
    def test_what_waits_for_it_at_the_end_is_dropped(self) -> None:
        stage = Stage(call=lambda frame: frame, call_capacity=2)
        stage.put(ONE, ONE, ONE)
        assert stage.statistics().waiting == 2
        stage.rule.stop()
        found = stage.statistics()
        assert (found.path, found.received, found.calls, found.waiting) == ("call", 3, 0, 0)
        assert found.dropped == {DropReason.CALL_QUEUE_FULL: 1, DropReason.RULE_ENDED: 2}

    @pytest.mark.anyio
    async def test_what_it_gives_is_changed_and_sent(self) -> None:
        stage = Stage("b", "c", call=lambda frame: [frame, TWO], id_map={2: 3}, limits=RateLimit(1))
        stage.put(ONE, ONE)
        assert stage.rule.caller is not None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stage.rule.caller.run)
            with anyio.fail_after(LIMIT):
                while not stage.taken(1):
                    await checkpoint()
            tasks.cancel_scope.cancel()
        assert stage.taken(0) == stage.taken(1) == encoded(ONE, Frame(3, b"\2"))
        found = stage.statistics()
        assert (found.received, found.calls, found.given) == (2, 1, 2)
        assert found.dropped == {DropReason.RATE_LIMIT: 1}
        assert [one.forwarded for one in found.destinations] == [2, 2]
