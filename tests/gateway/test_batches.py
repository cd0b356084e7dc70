"""Batches on their way through a gateway: handed on whole, from buffer to socket where possible."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from anyio.lowlevel import checkpoint

from anycan import DropReason, FdFrame, Filter, Frame, Gateway, Modification, UserNetwork, open_raw
from anycan.sockets.user import UserDescriptor
from rig.gateways import assert_all_accounted, receive, rule, running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anycan import AnyFrame

pytestmark = pytest.mark.anyio

FRAMES = [Frame(number % 7, bytes([number % 256])) for number in range(300)]
MIXED = [frame for one in FRAMES[:60] for frame in (one, FdFrame(one.id, one.data * 9))]


@pytest.fixture
def network() -> Iterator[UserNetwork]:
    with UserNetwork() as network:
        for name in "abc":
            network.add_vcan(name)
        yield network


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Note how many frames were sent from a buffer, by each call."""
    found: list[int] = []
    real = UserDescriptor.send_received

    def send_received(self: UserDescriptor, buffer: Any, count: int, size: int) -> int:
        taken = real(self, buffer, count, size)
        found.append(taken)
        return taken

    monkeypatch.setattr(UserDescriptor, "send_received", send_received)
    return found


def inject(network: UserNetwork, frames: list[AnyFrame]) -> None:
    for frame in frames:
        network.inject("a", frame)


async def test_what_is_not_changed_goes_from_buffer_to_socket(
    network: UserNetwork, calls: list[int]
) -> None:
    gateway = Gateway([rule(network, "a", "b")])
    async with running(gateway), open_raw("b", network=network) as far:
        inject(network, list(FRAMES))
        assert await receive(far, len(FRAMES)) == FRAMES
    assert sum(calls) > 200
    for one in gateway.statistics().rules:
        assert_all_accounted(one)
    (found,) = gateway.statistics().rules
    assert (found.received, found.forwarded, found.latency.count) == (300, 300, 300)


@pytest.mark.parametrize(
    "options",
    [
        {"modify": Modification.bit_or(id=0x100)},
        {"filter": Filter.where(lambda _: True)},
        {"minimum_interval": 1e-9},
        {"call": lambda frame: frame},
    ],
    ids=["modify", "where", "limit", "call"],
)
async def test_what_is_looked_at_does_not(
    network: UserNetwork, calls: list[int], options: dict[str, Any]
) -> None:
    gateway = Gateway([rule(network, "a", "b", **options)])
    async with running(gateway), open_raw("b", network=network) as far:
        inject(network, list(FRAMES))
        found = await receive(far, len(FRAMES))
    assert [frame.data for frame in found if isinstance(frame, Frame)] == [
        frame.data for frame in FRAMES
    ]
    assert calls == []
    (rule_statistics,) = gateway.statistics().rules
    assert (rule_statistics.forwarded, rule_statistics.lost) == (300, 0)


@pytest.mark.parametrize("frames", [FRAMES, MIXED], ids=["of one length", "of two lengths"])
async def test_many_rules_and_destinations(network: UserNetwork, frames: list[AnyFrame]) -> None:
    rules = [
        rule(network, "a", "b", filter=Filter.range(0, 3)),
        rule(network, "a", "b", "c", filter=Filter.range(2, 5)),
    ]
    gateway = Gateway(rules)
    expected = [
        frame for frame in frames for _ in range((frame.can_id < 4) + (1 < frame.can_id < 6))
    ]
    async with (
        running(gateway),
        open_raw("b", network=network) as far,
        open_raw("c", network=network) as other,
    ):
        inject(network, frames)
        assert await receive(far, len(expected)) == expected
        wanted = [frame for frame in frames if 1 < frame.can_id < 6]
        assert await receive(other, len(wanted)) == wanted
    for one in gateway.statistics().rules:
        assert_all_accounted(one)


async def test_a_batch_that_does_not_fit_through_at_once_stays_in_order(
    network: UserNetwork, calls: list[int]
) -> None:
    network.add_vcan("q", transmit_queue=70)
    gateway = Gateway([rule(network, "a", "q", capacity=1000)])
    async with running(gateway), open_raw("q", network=network) as far:
        inject(network, list(FRAMES))
        found: list[AnyFrame] = []
        while len(found) < len(FRAMES):
            found += await far.receive_many()
            network.release("q")
        assert found == FRAMES
    assert calls
    for one in gateway.statistics().rules:
        assert_all_accounted(one)


async def test_a_batch_for_what_is_down_is_counted(network: UserNetwork) -> None:
    gateway = Gateway([rule(network, "a", "b")])
    async with running(gateway), open_raw("c", network=network):
        network.set_down("b")
        inject(network, list(FRAMES))
        while gateway.statistics().rules[0].received < len(FRAMES):
            await checkpoint()
    (found,) = gateway.statistics().rules
    assert found.destinations[0].dropped == {DropReason.INTERFACE_DOWN: 300}
