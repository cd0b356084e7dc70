"""What rules make of frames, on both networks and by every path: the same, byte for byte."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pytest

from rig.gateway_bench import PATHS, Bench, accounted, forwarding, open_bench
from rig.gateway_cases import CASES, FRAMES, outcomes
from rig.gateway_model import classical, flexible

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]


@pytest.fixture(params=PATHS)
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    with open_bench(request.param) as bench:
        yield bench


async def test_every_transform(bench: Bench) -> None:
    source, destination = bench.links.add(), bench.links.add()
    frames = FRAMES
    wrong: dict[str, list[str]] = defaultdict(list)
    async with forwarding() as gateway:
        for case in CASES:
            await gateway.replace([bench.rule(source, destination, **case.options())])
            expected: list[bytes] = []
            with bench.wire(source) as near, bench.wire(destination) as far:
                for start in range(0, len(frames), 40):
                    some = frames[start : start + 40]
                    expected += [
                        one for one in outcomes(case)[start : start + 40] if one is not None
                    ]
                    await near.send(some)
                    await far.receive(len(expected))
                assert len(far.seen) == len(expected), case.name
                for want, got in zip(expected, far.seen, strict=True):
                    if want != got:
                        wrong[case.name].append(f"{want.hex()} {got.hex()}")
            (rule,) = gateway.statistics().rules
            assert rule.path == ("kernel" if bench.by_kernel else "bytes")
            assert rule.received == len(frames), case.name
            assert (rule.forwarded, rule.lost) == (
                len(expected),
                len(frames) - len(expected),
            ), case.name
    assert not wrong


async def test_what_can_gw_cannot(bench: Bench) -> None:
    if bench.by_kernel:
        pytest.skip("this is what this process does alone")
    source, destination = bench.links.add(), bench.links.add()
    frames = [
        classical(0x100, b"\1\2\3"),
        classical(0x101, b"12345678", dlc=12),
        flexible(0x100, b"abc", flags=3),
        flexible(0x101, bytes(range(64))),
        flexible(0x102, b"12345678"),
    ]
    tables: dict[str, tuple[dict[str, Any], list[bytes]]] = {
        "id_map": (
            {"id_map": {0x100: 0x1ABCDEF0, 0x102: 0x100}},
            [
                classical(0x9ABCDEF0, b"\1\2\3"),
                frames[1],
                flexible(0x9ABCDEF0, b"abc", flags=3),
                frames[3],
                flexible(0x100, b"12345678"),
            ],
        ),
        "to CAN FD": (
            {"convert": "fd"},
            [
                flexible(0x100, b"\1\2\3", flags=1),
                flexible(0x101, b"12345678", flags=1),
                *frames[2:],
            ],
        ),
        "to CAN FD without BRS": (
            {"convert": "fd", "bit_rate_switch": False},
            [flexible(0x100, b"\1\2\3"), flexible(0x101, b"12345678"), *frames[2:]],
        ),
        "to classical CAN": (
            {"convert": "classical"},
            [*frames[:2], classical(0x100, b"abc"), classical(0x102, b"12345678")],
        ),
    }
    async with forwarding() as gateway:
        for name, (options, expected) in tables.items():
            await gateway.replace([bench.rule(source, destination, **options)])
            with bench.wire(source) as near, bench.wire(destination) as far:
                await near.send(frames)
                assert await far.receive(len(expected)) == expected, name
            assert accounted(gateway.statistics()) or name == "to classical CAN"
