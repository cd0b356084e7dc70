"""A destination that takes nothing: what waits, what is dropped, what comes afterwards."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, get_args

import pytest

from anycan import UserNetwork
from anycan.gateway.rule import Overflow
from rig.blocking import excuse
from rig.gateway_bench import Bench, accounted, forwarding, open_bench, until
from rig.gateway_model import classical, word_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

ROOM = 3
CAPACITY = 8
COUNT = 40
IDENTIFIERS = 5


@pytest.fixture(params=["user", pytest.param("kernel", marks=pytest.mark.kernel)])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    with open_bench(request.param) as bench:
        yield bench


def tc(command: str) -> None:
    subprocess.run(["tc", *command.split()], check=True)  # noqa: S603, S607 - a test's own words
    excuse()


@contextmanager
def stopped(bench: Bench) -> Iterator[tuple[str, Callable[[], None]]]:
    """Give an interface that takes three frames and then no more, and what sets it free."""
    network = bench.links.network
    if isinstance(network, UserNetwork):
        name = "stopped"
        network.add_vcan(name, transmit_queue=ROOM)

        def free() -> None:
            network.release(name)

        yield name, free
        return
    name = bench.links.add()
    tc(f"qdisc replace dev {name} root netem delay 200s limit {ROOM}")
    yield name, lambda: tc(f"qdisc del dev {name} root")


def frames() -> list[bytes]:
    return [
        classical(0x100 + number % IDENTIFIERS, number.to_bytes(4, "big"))
        for number in range(COUNT)
    ]


def kept(overflow: Overflow) -> list[bytes]:
    """Give what has to wait, of what came while there was no room."""
    late = frames()[ROOM:]
    if overflow == "drop_oldest":
        return late[-CAPACITY:]
    if overflow == "drop_newest":
        return late[:CAPACITY]
    return late[-IDENTIFIERS:]


@pytest.mark.parametrize("overflow", get_args(Overflow))
async def test_what_waits_and_what_is_dropped(bench: Bench, overflow: Overflow) -> None:
    source, other = bench.links.add(), bench.links.add()
    with stopped(bench) as (full, free):
        near, stuck, beside = bench.wire(source), bench.wire(full), bench.wire(other)
        rule = bench.rule(source, full, other, capacity=CAPACITY, overflow=overflow)
        async with forwarding(rule) as gateway:
            await near.send(frames())
            # The other one has all of it meanwhile.
            assert await beside.receive(COUNT) == frames()
            assert await stuck.receive(ROOM) == frames()[:ROOM]
            waiting = kept(overflow)

            def has_settled() -> bool:
                first = gateway.statistics().rules[0].destinations[0]
                return first.forwarded == ROOM and first.waiting == len(waiting)

            await until(has_settled, gateway.statistics)
            statistics = gateway.statistics()
            assert accounted(statistics)
            first, second = statistics.rules[0].destinations
            reason = "superseded" if overflow == "latest_per_id" else "queue full"
            assert dict(first.dropped) == {reason: COUNT - ROOM - len(waiting)}
            assert (second.forwarded, dict(second.dropped), second.waiting) == (COUNT, {}, 0)

            def has_gone() -> bool:
                if bench.links.kind == "user":
                    free()
                return gateway.statistics().rules[0].destinations[0].waiting == 0

            if bench.links.kind == "kernel":
                free()
            await until(has_gone, gateway.statistics)
            assert await stuck.receive(ROOM + len(waiting)) == frames()[:ROOM] + waiting
            statistics = gateway.statistics()
            assert accounted(statistics)
            assert statistics.rules[0].destinations[0].forwarded == ROOM + len(waiting)
            # And it goes on.
            await near.send(frames()[:1])
            await stuck.receive(ROOM + len(waiting) + 1)


async def test_what_waits_of_two_rules_stays_in_order(bench: Bench) -> None:
    source, another = bench.links.add(), bench.links.add()
    with stopped(bench) as (full, free):
        near, beside, stuck = bench.wire(source), bench.wire(another), bench.wire(full)
        async with forwarding(
            bench.rule(source, full, name="one"), bench.rule(another, full, name="two")
        ) as gateway:
            await near.send([classical(0x700)] * ROOM)
            await stuck.receive(ROOM)
            expected = []
            for number in range(20):
                wire, name = ((near, "one"), (beside, "two"))[number % 2]
                frame = classical(0x100 + number)
                expected.append(frame)
                before = gateway.statistics().rule(name).received
                await wire.send([frame])
                await until(
                    lambda name=name, before=before: (
                        gateway.statistics().rule(name).received  # type: ignore[misc]  # mypy does not infer a lambda's defaults
                        > before
                    )
                )

            def has_come() -> bool:
                if bench.links.kind == "user":
                    free()
                return len(stuck.take()) >= ROOM + len(expected)

            if bench.links.kind == "kernel":
                free()
            await until(has_come, gateway.statistics)
            assert [hex(word_of(one)) for one in stuck.take()[ROOM:]] == [
                hex(word_of(one)) for one in expected
            ]


async def test_what_waits_is_counted_when_the_destination_goes(bench: Bench) -> None:
    source = bench.links.add()
    with stopped(bench) as (full, _):
        near = bench.wire(source)
        async with forwarding(bench.rule(source, full, capacity=CAPACITY)) as gateway:
            await near.send(frames())
            await until(
                lambda: gateway.statistics().rules[0].destinations[0].waiting == CAPACITY,
                gateway.statistics,
            )
            bench.links.remove(full)
            await until(
                lambda: gateway.statistics().rules[0].destinations[0].waiting == 0,
                gateway.statistics,
            )
            statistics = gateway.statistics()
            assert accounted(statistics)
            (one,) = statistics.rules[0].destinations
            assert dict(one.dropped) == {
                "queue full": COUNT - ROOM - CAPACITY,
                "interface gone": CAPACITY,
            }


async def test_what_waits_is_counted_when_the_gateway_ends(bench: Bench) -> None:
    source = bench.links.add()
    with stopped(bench) as (full, _):
        near = bench.wire(source)
        async with forwarding(bench.rule(source, full, capacity=CAPACITY)) as gateway:
            await near.send(frames())
            await until(
                lambda: gateway.statistics().rules[0].destinations[0].waiting == CAPACITY,
                gateway.statistics,
            )
        statistics = gateway.statistics()
        assert accounted(statistics)
        (one,) = statistics.rules[0].destinations
        assert one.waiting == 0
        assert one.dropped["rule ended"] == CAPACITY  # type: ignore[index]  # a reason is its text
