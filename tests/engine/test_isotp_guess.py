"""Which identifiers of a log are connections: those that talk, and not those that only seem to."""

from __future__ import annotations

import random
from typing import Final

import pytest
from hypothesis import given, strategies

from anycan.engine.isotp_guess import guess_connections
from anycan.frame import FdFrame, Frame, RemoteFrame, XlFrame
from anycan.wire.isotp_address import Address

MILLISECOND: Final = 1_000_000
STAMP: Final = 1_700_000_000_000_000_000

DIALOGUE: Final = (
    "7E0#03 22 F1 90",
    "7E8#10 14 62 F1 90 41 42 43",
    "7E0#30 00 00",
    "7E8#21 44 45 46 47 48 49 4A",
    "7E8#22 4B 4C 4D 4E 4F 50 51",
)
FOUND: Final = [Address.normal(0x7E0, 0x7E8)]


def frame(text: str, at: float = 0, interface: str | None = "can0") -> Frame | FdFrame:
    parsed = Frame.parse(text.replace(" ", ""))
    assert isinstance(parsed, (Frame, FdFrame))
    return type(parsed)(
        parsed.id,
        parsed.data,
        extended=parsed.extended,
        timestamp_ns=STAMP + round(at * MILLISECOND),
        interface=interface,
    )


def guessed(*texts: str, step: float = 10) -> list[Address]:
    return guess_connections(frame(text, place * step) for place, text in enumerate(texts))


def other_traffic(seconds: float) -> list[Frame | FdFrame]:
    """Give what cars send: counters, constants, multiplexed and random content."""
    chance = random.Random(1)
    frames = []
    for place in range(round(seconds * 100)):
        at = place * 10.0 + 0.5
        rolling = place & 0xFF
        frames += [
            frame(f"100#{rolling:02X} 11 22 33 44 55 66 77", at),
            frame("101#30 00 00 00 00 00 00 00", at),
            frame(f"102#{chance.randbytes(8).hex()}", at),
            frame(f"103#1{place & 0xF:X} 08 00 00 00 00 00 00", at),
            frame(f"104#{(0x10, 0x21, 0x22)[place % 3]:02X} 14 01 02 03 04 05 06", at),
            frame(f"105#{(0x30, 0x00)[place % 2]:02X} 00 00", at),
            frame(f"201#54D4{place & 0xFFFF:04X}F0", at),
            frame(f"18FEF100#{chance.randbytes(8).hex()}", at),
        ]
    return frames


def merged(*parts: list[Frame | FdFrame]) -> list[Frame | FdFrame]:
    return sorted((one for part in parts for one in part), key=lambda one: one.timestamp_ns or 0)


class TestFound:
    def test_a_request_and_a_reply_of_several_frames(self) -> None:
        assert guessed(*DIALOGUE) == FOUND

    def test_a_request_of_several_frames(self) -> None:
        assert guessed("7E0#10 08 00 01 02 03 04 05", "7E8#30 00 00", "7E0#21 06 07") == FOUND

    def test_blocks_and_waiting(self) -> None:
        assert (
            guessed(
                "7E0#10 1B 00 01 02 03 04 05",
                "7E8#31 00 00 AA AA AA AA AA",
                "7E8#30 02 14 AA AA AA AA AA",
                "7E0#21 06 07 08 09 0A 0B 0C",
                "7E0#22 06 07 08 09 0A 0B 0C",
                "7E8#31 00 00 AA AA AA AA AA",
                "7E8#30 02 14 AA AA AA AA AA",
                "7E0#23 06 07 08 09 0A 0B 0C",
            )
            == FOUND
        )

    def test_29_bits_and_can_fd(self) -> None:
        assert guessed(
            "18DA10F1##0 03 22 F1 90",
            f"18DAF110##0 10 64 {bytes(62).hex()}",
            "18DA10F1##0 30 00 00",
            f"18DAF110##0 21 {bytes(47).hex()}",
        ) == [Address.normal(0x18DA10F1, 0x18DAF110)]

    def test_low_identifiers_of_29_bits(self) -> None:
        texts = [f"00000{text}" for text in DIALOGUE]
        assert guessed(*texts) == [Address.normal(0x7E0, 0x7E8, extended=True)]

    @pytest.mark.parametrize(
        ("pair", "expected"),
        [
            (("7E1", "7E9"), Address.normal(0x7E1, 0x7E9)),
            (("18DA10F1", "18DAF110"), Address.normal(0x18DA10F1, 0x18DAF110)),
        ],
    )
    def test_several_that_reply_at_once(self, pair: tuple[str, str], expected: Address) -> None:
        other = [text.replace("7E0", pair[0]).replace("7E8", pair[1]) for text in DIALOGUE]
        mixed = [text for both in zip(other, DIALOGUE, strict=True) for text in both]
        assert guessed(*mixed) == [expected, *FOUND]

    def test_the_same_on_two_interfaces_once(self) -> None:
        frames = [
            frame(text, place, interface)
            for place, text in enumerate(DIALOGUE)
            for interface in ("can0", "can1")
        ]
        assert guess_connections(frames) == FOUND

    def test_without_time_stamps(self) -> None:
        frames = [Frame.parse(text.replace(" ", "")) for text in DIALOGUE]
        assert guess_connections(frames) == FOUND

    def test_in_the_middle_of_other_traffic(self) -> None:
        dialogue = [
            frame(text, start + place)
            for start in range(0, 3000, 300)
            for place, text in enumerate(DIALOGUE)
        ]
        assert guess_connections(merged(dialogue, other_traffic(3))) == FOUND

    def test_with_some_losses(self) -> None:
        texts = [text for _ in range(10) for text in DIALOGUE]
        assert guessed(*texts[:8], *texts[9:]) == FOUND  # no consecutive frame
        assert guessed(*texts[:7], *texts[8:]) == FOUND  # no flow control


class TestNotFound:
    def test_in_other_traffic(self) -> None:
        assert guess_connections(other_traffic(20)) == []

    @pytest.mark.parametrize("missing", [1, 2, 3])
    def test_without_one_of_its_parts(self, missing: int) -> None:
        assert guessed(*DIALOGUE[:missing], *DIALOGUE[missing + 1 :]) == []

    def test_without_its_end(self) -> None:
        assert guessed(*DIALOGUE[:-1]) == []

    @pytest.mark.parametrize("place", [2, 3, 4])
    def test_too_late(self, place: int) -> None:
        frames = [frame(text, 1001 * (n >= place)) for n, text in enumerate(DIALOGUE)]
        assert guess_connections(frames) == []

    @pytest.mark.parametrize(
        "answer",
        [
            "7E0#32 00 00",  # there is no room
            "7E0#31 00 00",  # wait, and no end of it
            "7E0#33 00 00",
            "7E0#30 00",
            "7E0##0 30 00 00 00 00 00 00 00 00 00 00 00",  # longer than any
            "7E0#30 01 00",  # another one would be due
            "7E8#30 00 00",  # from the same one
            "000007E0#30 00 00",  # of another format: no address has both
        ],
    )
    def test_another_answer(self, answer: str) -> None:
        assert guessed(*DIALOGUE[1:2], answer, *DIALOGUE[3:]) == []

    def test_across_interfaces(self) -> None:
        frames = [
            frame(text, place, "can1" if place == 2 else "can0")
            for place, text in enumerate(DIALOGUE)
        ]
        assert guess_connections(frames) == []

    def test_with_an_answer_too_many(self) -> None:
        assert guessed(*DIALOGUE[:4], DIALOGUE[2], DIALOGUE[4]) == []

    def test_with_two_that_answer(self) -> None:
        texts = [text.replace("7E0", "641").replace("7E8", "651") for text in DIALOGUE]
        assert guessed(*texts) == [Address.normal(0x641, 0x651)]
        assert guessed(*texts[:3], "123#30 00 00", *texts[3:]) == []
        assert guessed(*texts[:3], "641#30 00 00", *texts[3:]) == []

    def test_two_that_are_answered_by_one(self) -> None:
        other = [text.replace("7E8", "7E9") for text in DIALOGUE]
        assert guessed(*DIALOGUE, *other) == []

    def test_where_other_content_comes_too(self) -> None:
        for identifier in ("7E0", "7E8"):
            assert guessed(*DIALOGUE, f"{identifier}#55 66 77") == []

    def test_other_kinds_of_frames(self) -> None:
        assert guess_connections([RemoteFrame(0x7E0, 3), XlFrame(0x7E8, b"\x30\0\0")]) == []
        assert guess_connections([]) == []


def test_what_looks_like_beginnings_without_end() -> None:
    beginnings = [frame(f"{n:08X}#10 14 00 00 00 00 00 00", 0) for n in range(3000)]
    answers = [frame(f"{n:08X}#30 00 00", 1) for n in range(4000, 4200)]
    assert guess_connections([*beginnings, *answers]) == []
    dialogue = [frame(text, 2 + place) for place, text in enumerate(DIALOGUE)]
    assert guess_connections([*beginnings, *dialogue]) == FOUND


_frames = strategies.builds(
    lambda identifier, data, at, interface: FdFrame(
        identifier, data, timestamp_ns=at, interface=interface
    ),
    strategies.integers(0x7E0, 0x7E3),
    strategies.builds(
        bytes.__add__,
        strategies.sampled_from([b"", b"\x10\x08", b"\x21", b"\x22", b"\x30\x00\x00"]),
        strategies.binary(max_size=61),
    ),
    strategies.none() | strategies.integers(0, 2**62),
    strategies.sampled_from([None, "can0"]),
)


@given(strategies.lists(_frames, max_size=60))
def test_no_traffic_is_an_error(frames: list[FdFrame]) -> None:
    for address in guess_connections(frames):
        assert {address.tx_id, address.rx_id} <= set(range(0x7E0, 0x7E4))
