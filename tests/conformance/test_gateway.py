"""Gateways on both networks and by every path: what becomes of each frame, whatever happens."""

from __future__ import annotations

import itertools
import time
from collections import defaultdict
from typing import TYPE_CHECKING

import anyio
import pytest

from anycan import DropReason, Filter, Gateway, GatewayLoopError, Modification
from anycan.exceptions import CanOSError
from rig.gateway_bench import (
    PATHS,
    Bench,
    Traffic,
    accounted,
    forwarding,
    nothing_waits,
    number_of,
    numbered,
    open_bench,
    until,
)
from rig.gateway_model import word_of
from rig.host import in_guest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anycan import DestinationStatistics

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]


@pytest.fixture(params=PATHS)
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    with open_bench(request.param) as bench:
        yield bench


def counts(gateway: Gateway, rule: str, destination: str) -> DestinationStatistics:
    """Give what became of a rule's frames for an interface."""
    for one in gateway.statistics().rule(rule).destinations:
        if one.destination.partition("@")[0] == destination:
            return one
    raise KeyError(destination)


def lost(one: DestinationStatistics) -> int:
    return sum(one.dropped.values())


# What becomes of each frame


async def test_rules_between_all_pairs_at_full_rate(
    bench: Bench,
) -> None:
    count = 2000 if in_guest() else 400
    names = [bench.links.add() for _ in range(4)]
    rules = [
        bench.rule(one, *(other for other in names if other != one), name=one) for one in names
    ]
    wires = {name: bench.wire(name) for name in names}
    senders = {name: bench.wire(name) for name in names}
    processor, begin = time.process_time(), time.monotonic()

    def all_is_told() -> bool:
        for wire in wires.values():
            wire.take()
        for sender in senders.values():
            sender.take()
        statistics = gateway.statistics()
        overflowed = {
            port.interface.partition("@")[0]: port.overflowed for port in statistics.ports
        }
        return all(
            rule.received + overflowed.get(rule.name, 0) == count for rule in statistics.rules
        ) and nothing_waits(statistics)

    async with forwarding(*rules) as gateway:
        async with anyio.create_task_group() as tasks:
            for place, name in enumerate(names):
                frames = numbered(0x100 + place, range(count))
                tasks.start_soon(senders[name].send, frames)
        await until(all_is_told, gateway.statistics)
        statistics = gateway.statistics()
        assert accounted(statistics)
        for rule in statistics.rules:
            for one in rule.destinations:
                destination = one.destination.partition("@")[0]
                wire, word = wires[destination], 0x100 + names.index(rule.name)
                await until(
                    lambda wire=wire, word=word, one=one: (
                        one.forwarded  # type: ignore[misc]  # mypy does not infer a lambda's defaults
                        == sum(word_of(payload) == word for payload in wire.take())
                    )
                )
    for wire in wires.values():
        seen: dict[int, list[int]] = defaultdict(list)
        for payload in wire.take():
            seen[word_of(payload)].append(number_of(payload))
        assert set(seen) == {0x100, 0x101, 0x102, 0x103}
        for numbers in seen.values():  # in their order, and none twice
            assert all(one < other for one, other in itertools.pairwise(numbers))
        assert len(seen[0x100 + names.index(wire.interface)]) == count
    processor, seconds = time.process_time() - processor, time.monotonic() - begin
    told = [(r.received, r.forwarded, r.lost) for r in statistics.rules]
    overflowed = [port.overflowed for port in statistics.ports]
    print(f"4 x {count} frames: {told}; not read {overflowed}")  # noqa: T201 - for the record
    print(f"{processor:.3f} s of processor time, the test's own with it, in {seconds:.3f} s")  # noqa: T201 - as above


async def test_a_destination_that_fails_holds_up_no_other(bench: Bench) -> None:
    links = bench.links
    source, failing, steady = links.add(), links.add(), links.add()
    near, far = bench.wire(source), bench.wire(steady)
    traffic = Traffic(near, 0x123)
    seen: list[int] = []

    async def forwarded_again() -> None:
        """Wait until frames come that were not sent yet when this began."""
        with bench.wire(failing) as wire:
            begin = traffic.sent + 8
            await until(
                lambda: any(number_of(payload) >= begin for payload in wire.take()),
                gateway.statistics,
            )
            seen.extend(map(number_of, wire.take()))

    async def dropped_as(reason: DropReason) -> None:
        def count() -> int:
            return counts(gateway, "both", failing).dropped.get(reason, 0)

        before = count()
        await until(lambda: count() > before, gateway.statistics)

    async with (
        forwarding(bench.rule(source, failing, steady, name="both")) as gateway,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(traffic.run)
        await forwarded_again()
        for _ in range(2):
            links.down(failing)
            # can-gw does not tell why.
            await dropped_as(DropReason.REFUSED if bench.by_kernel else DropReason.INTERFACE_DOWN)
            links.up(failing)
            await forwarded_again()
            links.remove(failing)
            if bench.by_kernel:  # it has no rule then that could count
                begin = traffic.sent
                await until(lambda begin=begin: number_of(far.take()[-1]) > begin)  # type: ignore[misc]  # as above
            else:
                await dropped_as(DropReason.INTERFACE_GONE)
            links.add(failing)
            await forwarded_again()
        await traffic.end()
        await until(lambda: len(far.take()) >= traffic.sent, gateway.statistics)
        # Those of can-gw are a moment old while a thread puts rules back.
        await until(
            lambda: counts(gateway, "both", steady).forwarded >= traffic.sent, gateway.statistics
        )
        statistics = gateway.statistics()
    assert traffic.unsent == 0
    assert [number_of(payload) for payload in far.take()] == list(range(traffic.sent))
    assert all(one < other for one, other in itertools.pairwise(seen))
    (rule,) = statistics.rules
    first, second = rule.destinations
    assert rule.received == traffic.sent
    assert (second.forwarded, second.dropped, second.waiting) == (traffic.sent, {}, 0)
    if bench.by_kernel:
        # With an interface go its rules in can-gw, and what they have counted since one last asked.
        assert 0 < first.forwarded + lost(first) < traffic.sent
        assert set(first.dropped) == {"refused"}
    else:
        assert first.forwarded >= len(seen)
        assert first.forwarded + lost(first) == traffic.sent
        assert set(first.dropped) == {"interface down", "interface gone"}
        assert {one.interface.partition("@")[0]: one.gaps for one in statistics.ports} == {
            source: 0,
            failing: 4,
            steady: 0,
        }


async def test_a_source_that_fails_holds_up_no_other(bench: Bench) -> None:
    links = bench.links
    failing, steady, destination = links.add(), links.add(), links.add()
    with bench.wire(steady) as wire, bench.wire(destination) as far:
        going = Traffic(wire, 0x200)
        begin = 0
        again: list[int] = []

        async def forwarded_again() -> None:
            nonlocal begin
            with bench.wire(failing) as wire:
                traffic = Traffic(wire, 0x100)
                traffic.sent = begin
                async with anyio.create_task_group() as own:
                    own.start_soon(traffic.run)
                    await until(
                        lambda: any(
                            word_of(payload) == 0x100 and number_of(payload) >= begin
                            for payload in far.take()
                        ),
                        gateway.statistics,
                    )
                    await traffic.end()
                begin = traffic.sent
                again.append(begin)

        async with (
            forwarding(
                bench.rule(failing, destination, name="fails"),
                bench.rule(steady, destination, name="goes on"),
            ) as gateway,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(going.run)
            await forwarded_again()
            links.down(failing)
            passed = going.sent
            await until(lambda: going.sent > passed + 20)
            links.up(failing)
            await forwarded_again()
            links.remove(failing)
            passed = going.sent
            await until(lambda: going.sent > passed + 20)
            links.add(failing)
            await forwarded_again()
            await going.end()

            def came() -> list[int]:
                return [number_of(one) for one in far.take() if word_of(one) == 0x200]

            await until(lambda: len(came()) >= going.sent, gateway.statistics)
            assert came() == list(range(going.sent))
            rule = gateway.statistics().rule("goes on")
            assert (rule.received, rule.forwarded, rule.lost) == (going.sent, going.sent, 0)
        from_failing = [number_of(one) for one in far.take() if word_of(one) == 0x100]
    assert len(again) == 3
    assert all(one < other for one, other in itertools.pairwise(from_failing))


# Circles


async def test_gateways_that_would_ring_are_refused(bench: Bench) -> None:
    one, other, third = (bench.links.add() for _ in range(3))
    ways = Filter.range(0x100, 0x1FF), Filter.range(0x180, 0x27F)
    async with forwarding(bench.rule(one, other, name="there", filter=ways[0]), name="first"):
        back = bench.rule(other, one, name="back", filter=ways[1])
        if bench.by_kernel:
            # can-gw counts over how many of its rules a frame has gone: two never ring.
            async with forwarding(back, name="second"):
                pass
            back = bench.rule(other, one, name="back", filter=ways[1], offload="never")
        with pytest.raises(GatewayLoopError) as told:
            await Gateway([back], name="second").run()
        text = str(told.value)
        assert "'back'" in text
        assert ("cangw -L" if bench.by_kernel else "'first'") in text
        assert one in text
        assert other in text
        # Nothing is left of it; and what does not meet is no circle.
        apart = bench.rule(other, one, name="back", filter=ways[1] - ways[0], offload="never")
        onward = bench.rule(other, third, name="onward", filter=ways[1], offload="never")
        async with forwarding(apart, onward, name="second") as second:
            with pytest.raises(GatewayLoopError, match="'home'"):
                await second.replace([onward, bench.rule(third, one, name="home", offload="never")])
            assert second.rules == (apart, onward)


# Changing rules


async def test_rules_are_replaced_while_frames_come(bench: Bench) -> None:
    source, kept, changed = (bench.links.add() for _ in range(3))
    with bench.wire(source) as near, bench.wire(kept) as one, bench.wire(changed) as other:
        traffic = Traffic(near, 0x100)

        def rules(identifier: int) -> list[object]:
            return [
                bench.rule(source, kept, name="kept", filter=Filter.range(0x080, 0x17F)),
                bench.rule(
                    source,
                    changed,
                    name="changed",
                    filter=Filter.range(0x100 - identifier, 0x1FF),
                    modify=Modification.bit_set(id=0x200 + identifier),
                ),
            ]

        async with (
            forwarding(*rules(0)) as gateway,  # type: ignore[arg-type]  # they are
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(traffic.run)
            for identifier in range(1, 33):
                sent = traffic.sent
                await until(lambda sent=sent: traffic.sent > sent + 4)  # type: ignore[misc]  # as above
                await gateway.replace(rules(identifier))  # type: ignore[arg-type]  # as above
            sent = traffic.sent
            await until(lambda: traffic.sent > sent + 4)
            await traffic.end()
            await until(lambda: len(one.take()) >= traffic.sent, gateway.statistics)
            await until(
                lambda: bool(other.take()) and number_of(other.seen[-1]) == traffic.sent - 1,
                gateway.statistics,
            )
            statistics = gateway.statistics()
        assert [number_of(payload) for payload in one.take()] == list(range(traffic.sent))
        rule = statistics.rule("kept")  # it has counted on
        assert (rule.received, rule.forwarded, rule.lost) == (traffic.sent, traffic.sent, 0)
        came = [number_of(payload) for payload in other.take()]
        if bench.by_kernel:  # for a moment can-gw has both
            assert sorted(set(came)) == list(range(traffic.sent))
            assert came == sorted(came)
        else:
            assert came == list(range(traffic.sent))
        words = [word_of(payload) for payload in other.take()]
        assert set(words) == set(range(0x200, 0x221))
        if not bench.by_kernel:
            assert words == sorted(words)


async def test_a_replacement_that_fails_changes_nothing(bench: Bench) -> None:
    source, destination = bench.links.add(), bench.links.add()
    with bench.wire(source) as near, bench.wire(destination) as far:
        rule = bench.rule(source, destination)
        async with forwarding(rule) as gateway:
            await near.send(numbered(1, range(10)))
            with pytest.raises(CanOSError):
                await gateway.replace([bench.rule(source, "nosuch0", offload="never")])
            await near.send(numbered(1, range(10, 20)))
            await far.receive(20)
            assert [number_of(payload) for payload in far.take()] == list(range(20))
            assert gateway.rules == (rule,)
            assert gateway.statistics().rules[0].forwarded == 20
