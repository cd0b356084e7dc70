"""Gateways as firewalls: what is not allowed never gets through, whatever a bus carries."""

from __future__ import annotations

import os
import random
import struct
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from anycan import Crc8Checksum, Filter, Modification, XorChecksum, byte, read_log
from rig.gateway_bench import PATHS, Bench, accounted, forwarding, open_bench
from rig.gateway_model import EXTENDED, REMOTE, Case, Crc, Operation, classical, flexible, word_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anycan import Rule

LOG = Path(os.environ.get("ANYCAN_RECORDINGS", "."), "vehicle.log")
ERROR = 1 << 29

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]


@pytest.fixture(params=PATHS)
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    with open_bench(request.param) as bench:
        yield bench


def by_word(frames: list[bytes]) -> dict[int, list[bytes]]:
    """Give frames by identifier: between two rules of different paths there is no order."""
    found = defaultdict(list)
    for frame in frames:
        found[word_of(frame)].append(frame)
    return dict(found)


# A hostile flood

ALLOWED = Filter.id(0x100) | Filter.id(0x7E8) | Filter.id(0x18DAF110) | Filter.remote(0x300)
IF_OPEN = Filter.id(0x200) & (byte(0) == 0x55)


def is_allowed(frame: bytes) -> bool:
    """Tell whether the allow-list has a frame, by another way than filters do."""
    word = word_of(frame)
    if word & ERROR:
        return False
    if word & EXTENDED:
        return word == 0x18DAF110 | EXTENDED
    identifier = word & 0x7FF  # the rest means nothing
    if word & REMOTE:
        return identifier == 0x300
    if identifier == 0x200:
        return frame[4] > 0 and frame[8] == 0x55
    return identifier in {0x100, 0x7E8}


def garbage(frame: bytes, generator: random.Random) -> bytes:
    """Set bits that mean nothing."""
    if len(frame) == 16:
        return frame[:5] + generator.randbytes(3) + frame[8:]
    return frame[:5] + bytes([generator.randrange(256) | 4]) + generator.randbytes(2) + frame[8:]


def flood() -> list[bytes]:
    generator = random.Random(6)
    frames = []
    for identifier in range(0x800):
        data = generator.randbytes(identifier % 9)
        frames += [
            classical(identifier, data),
            garbage(classical(identifier | REMOTE, length=len(data)), generator),
            garbage(flexible(identifier, generator.randbytes(identifier % 65)), generator),
            classical(identifier | ERROR, bytes(8)),
            # Bits of a 29-bit identifier on one of 11 bits.
            garbage(classical(identifier | 1 << 11 + identifier % 18, data), generator),
        ]
    words = [generator.randrange(1 << 29) for _ in range(300)]
    words += [0x18DAF110, 0x18DAF111, 0x08DAF110, 0x100, 0x200, 0x300, 0x7E8, 0x1FFFFFFF]
    for word in words:
        frames += [
            classical(word | EXTENDED, b"\x55"),
            classical(word | EXTENDED | REMOTE),
            classical(word | EXTENDED | ERROR, bytes(8)),
            flexible(word | EXTENDED, b"\x55" * 20),
        ]
    for first in range(256):
        frames += [
            classical(0x200, bytes([first])),
            flexible(0x200, bytes([first, first])),
            classical(0x200, b"\x55", length=0),  # behind the end
        ]
    for number in range(100):
        frames += [classical(0x100, bytes([number])), classical(0x300 | REMOTE)]
    frames += [flexible(identifier | REMOTE, b"\x55") for identifier in (0x100, 0x200, 0x7E8)]
    generator.shuffle(frames)
    return frames


async def test_nothing_else_gets_through_under_a_flood(bench: Bench) -> None:
    source, destination = bench.links.add(), bench.links.add()
    frames = [*flood(), classical(0x100, b"last"), classical(0x200, b"\x55last")]
    expected = [frame for frame in frames if is_allowed(frame)]
    near, far = bench.wire(source), bench.wire(destination)
    async with forwarding(
        bench.rule(source, destination, name="allowed", filter=ALLOWED),
        bench.rule(source, destination, name="if open", filter=IF_OPEN, offload="never"),
    ) as gateway:
        await near.send(frames)
        await far.receive(len(expected))
        statistics = gateway.statistics()
    assert not [frame.hex() for frame in far.take() if not is_allowed(frame)]
    assert by_word(far.take()) == by_word(expected)
    if not bench.by_kernel:
        assert far.take() == expected
    assert accounted(statistics)
    assert sum(rule.forwarded for rule in statistics.rules) == len(far.take())
    assert sum(rule.lost for rule in statistics.rules) == 0
    assert sum(port.malformed + port.overflowed for port in statistics.ports) == 0
    assert 200 < len(expected) < 300


# A recorded drive


def recorded_frames() -> list[bytes]:
    with LOG.open("rb") as file:
        found = [record.frame for record in read_log(file)]
    return [classical(frame.can_id, bytes(frame.data)) for frame in found]


def rules(bench: Bench, source: str, destination: str) -> list[Rule]:
    """Give the rules of a firewall; what can-gw cannot do, this process does."""
    offload = "auto" if bench.by_kernel else "never"

    def rule(name: str, filter: Filter, **options: object) -> Rule:  # noqa: A002 - a rule's word
        return bench.rule(
            source, destination, name=name, filter=filter, **{"offload": offload, **options}
        )

    return [
        rule("as it is", Filter.id(0x166) | Filter.id(0x158) | Filter.range(0x160, 0x164)),
        rule(
            "moved", Filter.range(0x180, 0x19F), modify=Modification.bit_set(id=0x500, mask=0x700)
        ),
        rule(
            "checked",
            Filter.range(0x130, 0x13F),
            modify=Modification.bit_and(data=b"\xff\x0f"),
            checksums=[
                XorChecksum(0, -3, -2, 0x11),
                Crc8Checksum.of(0x1D, first=0, last=-3, result=-1, initial=0xFF, final_xor=0xFF),
            ],
        ),
        rule("shorter", Filter.id(0x17C), modify=Modification.bit_set(length=3)),
        rule("if even", Filter.id(0x1DC) & ((byte(3) & 1) == 0)),
        rule("changes", Filter.range(0x1D0, 0x1D7), changes_only=True),
        rule("other numbers", Filter.id(0x454) | Filter.id(0x428), id_map={0x454: 0x18DAF110}),
    ]


def let_through(frames: list[bytes]) -> list[bytes | None]:
    """Give what has to come of each frame of a recording; None: nothing."""
    checked = Case(
        name="",
        operations=(Operation("AND", data=b"\xff\x0f".ljust(64, b"\xff")),),
        xor=(0, -3, -2, 0x11),
        crc=Crc(0x1D, 0, -3, -1, 0xFF, 0xFF),
    )
    last: dict[int, bytes] = {}
    found: list[bytes | None] = []
    for frame in frames:
        identifier = word_of(frame)
        if identifier in {0x166, 0x158} or 0x160 <= identifier <= 0x164:
            found.append(frame)
        elif identifier >> 5 == 0x180 >> 5:
            found.append(struct.pack("=I", 0x500 | identifier & 0xFF) + frame[4:])
        elif identifier >> 4 == 0x13:
            found.append(checked.expected(frame))
        elif identifier == 0x17C:
            found.append(frame[:4] + b"\3" + frame[5:])
        elif identifier == 0x1DC and frame[11] % 2 == 0:
            found.append(frame)
        elif identifier >> 3 == 0x1D0 >> 3 and last.get(identifier) != frame:
            last[identifier] = frame
            found.append(frame)
        elif identifier == 0x454:
            found.append(struct.pack("=I", 0x18DAF110 | EXTENDED) + frame[4:])
        elif identifier == 0x428:
            found.append(frame)
        else:
            found.append(None)
    return found


@pytest.mark.skipif(
    not LOG.exists(),
    reason="ANYCAN_RECORDINGS names no directory with the recording vehicle.log, which is no"
    " part of the project",
)
async def test_a_recorded_drive(bench: Bench) -> None:
    source, destination = bench.links.add(), bench.links.add()
    frames = recorded_frames()
    outcome = let_through(frames)
    near, far = bench.wire(source), bench.wire(destination)
    expected: list[bytes] = []
    async with forwarding(*rules(bench, source, destination)) as gateway:
        for start in range(0, len(frames), 512):
            await near.send(frames[start : start + 512])
            expected += [one for one in outcome[start : start + 512] if one is not None]
            await far.receive(len(expected))
        statistics = gateway.statistics()
    assert by_word(far.take()) == by_word(expected)
    if not bench.by_kernel:
        assert far.take() == expected
    assert 2000 < len(expected) < len(frames)
    assert accounted(statistics)
    assert {one.name: one.path for one in statistics.rules} == {
        one.name: "kernel"
        if bench.by_kernel and one.name in {"as it is", "moved", "checked", "shorter"}
        else "bytes"
        for one in statistics.rules
    }
    assert statistics.rule("changes").dropped == {"unchanged": 161}
