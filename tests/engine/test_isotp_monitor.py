"""PDUs put together from what is heard of others: whole, broken, and from any noise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import given, strategies

from anycan.engine.isotp_monitor import IsotpMonitor
from anycan.exceptions import AddressError
from anycan.frame import AnyFrame, ErrorFrame, FdFrame, Frame, RemoteFrame, XlFrame
from anycan.wire.isotp_address import Address

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anycan.engine.isotp_record import IsotpRecord

MILLISECOND: Final = 1_000_000
STAMP: Final = 1_700_000_000_000_000_000
NORMAL: Final = Address.normal(0x7E0, 0x7E8)
LONGEST: Final = 1_049_600


def frame(text: str, at: float | None = None, interface: str | None = "can0") -> AnyFrame:
    """Make a frame that came so many milliseconds after the beginning."""
    parsed = Frame.parse(text.replace(" ", ""))
    stamp_ns = None if at is None else STAMP + round(at * MILLISECOND)
    assert isinstance(parsed, (Frame, FdFrame))
    return type(parsed)(
        parsed.id,
        parsed.data,
        extended=parsed.extended,
        timestamp_ns=stamp_ns,
        interface=interface,
    )


def heard(monitor: IsotpMonitor, *texts: str, at: float = 0, step: float = 1) -> list[IsotpRecord]:
    """Have frames heard, from a time on, so many milliseconds apart."""
    return [
        record
        for place, text in enumerate(texts)
        for record in monitor.feed(frame(text, at + place * step))
    ]


def brief(records: list[IsotpRecord]) -> list[tuple[str, str, str | None]]:
    return [(record.direction, record.pdu.hex(" "), record.fault) for record in records]


def times(record: IsotpRecord) -> tuple[float, float]:
    """Give when it began and ended, in milliseconds."""
    return (
        (record.started_ns - STAMP) / MILLISECOND,
        (record.finished_ns - STAMP) / MILLISECOND,
    )


class TestWholePdus:
    def test_of_one_frame(self) -> None:
        monitor = IsotpMonitor([NORMAL])
        [record] = heard(monitor, "7E0#03 22 F1 90 CC CC CC CC", at=5)
        assert record.address is NORMAL
        assert (record.direction, record.identifier, record.extended) == ("tx", 0x7E0, False)
        assert (record.pdu, record.length, record.fault) == (b"\x22\xf1\x90", 3, None)
        assert (times(record), record.duration, record.interface) == ((5, 5), 0, "can0")
        assert (record.frames, record.flow_controls) == (1, 0)
        assert (record.block_size, record.stmin) == (None, None)

    def test_of_several_frames(self) -> None:
        monitor = IsotpMonitor([NORMAL])
        records = heard(
            monitor,
            "7E8#10 14 00 01 02 03 04 05",
            "7E0#30 01 14",
            "7E8#21 06 07 08 09 0A 0B 0C",
            "7E0#31 FF FF",
            "7E0#30 00 F1 00 00 00 00 00",
            "7E8#22 0D 0E 0F 10 11 12 13",
            step=10,
        )
        [record] = records
        assert (record.direction, record.identifier) == ("rx", 0x7E8)
        assert record.pdu == bytes(range(20))
        assert (times(record), record.duration) == ((0, 50), 0.05)
        assert (record.frames, record.flow_controls) == (3, 3)
        assert (record.block_size, record.stmin) == (0, 0.0001)
        assert (monitor.heard, monitor.pdus, monitor.unexpected) == (6, 1, 0)

    def test_the_last_frame_may_be_padded_or_short(self) -> None:
        for last in ("22 07", "22 07 CC CC CC CC CC CC"):
            monitor = IsotpMonitor([NORMAL])
            records = heard(
                monitor, "7E0#10 0E 01 01 01 01 01 01", "7E0#21 02 02 02 02 02 02 02", f"7E0#{last}"
            )
            assert [record.pdu for record in records] == [6 * b"\x01" + 7 * b"\x02" + b"\x07"]

    def test_sequence_numbers_go_round(self) -> None:
        pdu = bytes(number & 0xFF for number in range(6 + 7 * 40))
        texts = [f"7E0#1{len(pdu):03X}{pdu[:6].hex()}"]
        texts += [
            f"7E0#2{place + 1 & 0xF:X}{pdu[6 + 7 * place :][:7].hex()}" for place in range(40)
        ]
        [record] = heard(IsotpMonitor([NORMAL]), *texts)
        assert (record.pdu, record.frames) == (pdu, 41)

    def test_both_directions_at_once(self) -> None:
        records = heard(
            IsotpMonitor([NORMAL]),
            "7E0#10 08 A0 A1 A2 A3 A4 A5",
            "7E8#10 09 B0 B1 B2 B3 B4 B5",
            "7E8#30 00 00",
            "7E0#30 05 0A",
            "7E8#21 B6 B7 B8",
            "7E0#21 A6 A7",
        )
        assert brief(records) == [
            ("rx", "b0 b1 b2 b3 b4 b5 b6 b7 b8", None),
            ("tx", "a0 a1 a2 a3 a4 a5 a6 a7", None),
        ]
        assert [(record.block_size, record.stmin) for record in records] == [(5, 0.01), (0, 0)]

    @pytest.mark.parametrize("size", [4095, 4096, 5000])
    def test_with_a_length_of_12_or_32_bits(self, size: int) -> None:
        pdu = bytes(number & 0xFF for number in range(size))
        [record] = heard(IsotpMonitor([NORMAL]), *(f"7E0#{d.hex()}" for d in cut(pdu, b"", 8)))
        assert (record.pdu, record.length) == (pdu, size)

    def test_of_can_fd(self) -> None:
        pdu = bytes(range(100))
        records = heard(
            IsotpMonitor([NORMAL]),
            f"7E0##0 1064 {pdu[:62].hex()}",
            "7E8##0 30 00 00",
            f"7E0##0 21 {pdu[62:].hex()} {9 * 'CC'}",  # 48 bytes
            f"7E8##0 00 14 {pdu[:20].hex()} CCCC",
        )
        assert [record.pdu for record in records] == [pdu, pdu[:20]]

    def test_of_a_functional_address(self) -> None:
        functional = Address.normal(0x7DF, None)
        records = heard(
            IsotpMonitor([functional, NORMAL]),
            "7DF#02 3E 00",
            "7E8#02 7E 00",
            "7DF#10 08 00 01 02 03 04 05",
            "7DF#21 06 07",
        )
        assert [record.address for record in records] == [functional, NORMAL, functional]
        assert brief(records) == [
            ("tx", "3e 00", None),
            ("rx", "7e 00", None),
            ("tx", "00 01 02 03 04 05 06 07", None),
        ]


class TestAddresses:
    def test_29_bits_are_another_identifier(self) -> None:
        monitor = IsotpMonitor([Address.normal_fixed(target=0x10, source=0xF1)])
        records = heard(monitor, "18DA10F1#02 3E 00", "18DAF110#02 7E 00", "0DA#02 3E 00")
        assert [(record.identifier, record.extended) for record in records] == [
            (0x18DA10F1, True),
            (0x18DAF110, True),
        ]
        short = IsotpMonitor([Address.normal(0x123, 0x124)])
        assert heard(short, "00000123#02 3E 00", "00000124#02 3E 00") == []
        assert (monitor.ignored, short.ignored) == (1, 2)

    def test_extended_addressing_tells_connections_of_one_identifier_apart(self) -> None:
        one = Address.extended(0x6F1, 0x612, target=0x12, source=0xF1)
        other = Address.extended(0x6F1, 0x613, target=0x13, source=0xF1)
        all_of_them = Address.extended(0x6F1, None, target=0xDF, source=0xF1)
        monitor = IsotpMonitor([one, other, all_of_them])
        records = heard(
            monitor,
            "6F1#12 10 08 00 01 02 03 04",
            "6F1#13 10 09 10 11 12 13 14",
            "612#F1 30 00 00",
            "613#F1 30 02 14",
            "6F1#DF 02 3E 80",
            "6F1#12 21 05 06 07",
            "6F1#13 21 15 16 17 18",
            "6F1#14 02 3E 00",  # of whom nobody has spoken
            "612#F2 02 7E 00",
            "6F1#",
        )
        assert [(record.address, record.pdu.hex()) for record in records] == [
            (all_of_them, "3e80"),
            (one, "0001020304050607"),
            (other, "101112131415161718"),
        ]
        assert [record.block_size for record in records] == [None, 0, 2]
        assert (monitor.ignored, monitor.heard) == (3, 10)

    def test_mixed_addressing(self) -> None:
        eleven = Address.mixed_11(0x7E0, 0x7E8, extension=0x55)
        wide = Address.mixed_29(target=0x10, source=0xF1, extension=0x66)
        records = heard(
            IsotpMonitor([eleven, wide]),
            "7E8#55 02 7E 00",
            "7E8#56 02 7E 00",
            "18CE10F1#66 10 08 00 01 02 03 04",
            "18CEF110#66 30 00 00",
            "18CE10F1#66 21 05 06 07",
        )
        assert brief(records) == [
            ("rx", "7e 00", None),
            ("tx", "00 01 02 03 04 05 06 07", None),
        ]

    def test_interfaces_are_told_apart(self) -> None:
        monitor = IsotpMonitor([NORMAL])
        records = []
        for text in ("7E0#10 08 00 01 02 03 04 05", "7E0#21 06 07"):
            for interface in ("can0", "can1", None):
                records += monitor.feed(frame(text, 0, interface))
        assert [record.interface for record in records] == ["can0", "can1", None]
        assert {record.pdu for record in records} == {bytes(range(8))}

    def test_interfaces_without_end(self) -> None:
        monitor = IsotpMonitor([NORMAL])
        records = []
        for place in range(1000):
            records += monitor.feed(frame("7E0#10 08 00 01 02 03 04 05", 0, f"can{place}"))
            records += monitor.feed(frame("7E8#30 00 00", 0, f"can{place}"))
            records += monitor.feed(frame("7E0#02 3E 00" if place else "7E8#", 0, "busy"))
        unfinished = [record for record in records if record.fault]
        assert len(monitor._interfaces) == 64
        assert [record.interface for record in unfinished] == [f"can{n}" for n in range(937)]
        assert {record.fault for record in unfinished} == {"unfinished"}
        assert len(monitor.finish()) == 63

    @pytest.mark.parametrize(
        "addresses",
        [
            [],
            [NORMAL, NORMAL.reversed()],
            [NORMAL, Address.normal(0x7E1, 0x7E8)],
            [NORMAL, Address.normal(0x7E0, None)],
            [NORMAL, Address.mixed_11(0x7E0, 0x7E9, extension=1)],
            [Address.mixed_11(0x7E0, 0x7E9, extension=1), NORMAL],
            [
                Address.extended(0x6F1, 0x612, target=0x12, source=0xF1),
                Address.extended(0x6F1, 0x613, target=0x12, source=0xF1),
            ],
        ],
    )
    def test_frames_of_nobody_or_of_two(self, addresses: list[Address]) -> None:
        with pytest.raises(AddressError):
            IsotpMonitor(addresses)

    def test_what_is_wrong_is_said(self) -> None:
        with pytest.raises(AddressError, match=r"7E8\) and .*7E0\) get the same frames"):
            IsotpMonitor([NORMAL.reversed(), NORMAL])
        with pytest.raises(TypeError, match=r"a connection is an anycan\.Address, not 2016"):
            IsotpMonitor([0x7E0])  # type: ignore[list-item]  # what is refused
        for size in (0, 1 << 32):
            with pytest.raises(ValueError, match=r"max_pdu_size= is 1 to 4294967295 bytes"):
                IsotpMonitor([NORMAL], max_pdu_size=size)


BEGINNING = "7E0#10 14 00 01 02 03 04 05"
HEAD = "00 01 02 03 04 05"


class TestFaults:
    def test_a_frame_is_missing(self) -> None:
        monitor = IsotpMonitor([NORMAL])
        records = heard(
            monitor,
            BEGINNING,
            "7E8#30 00 00",
            "7E0#21 06 07 08 09 0A 0B 0C",
            "7E0#23 0D 0E 0F 10 11 12 13",
            "7E0#24 0D 0E 0F 10 11 12 13",
        )
        [record] = records
        assert (record.fault, record.length, record.frames) == ("sequence", 20, 3)
        assert (record.pdu, times(record)) == (bytes(range(13)), (0, 3))
        assert (monitor.faults, monitor.pdus, monitor.unexpected) == (1, 0, 1)

    def test_a_frame_came_twice(self) -> None:
        again = "7E0#21 06 07 08 09 0A 0B 0C"
        [record] = heard(IsotpMonitor([NORMAL]), BEGINNING, again, again)
        assert (record.fault, record.pdu) == ("sequence", bytes(range(13)))

    def test_the_next_frame_does_not_come(self) -> None:
        monitor = IsotpMonitor([NORMAL])
        deadlines = [monitor.deadline]
        assert heard(monitor, BEGINNING) == []
        deadlines.append(monitor.deadline)
        assert heard(monitor, "7FF#", at=999.9) == []
        [record] = heard(monitor, "7FF#", at=1500)
        assert (record.fault, record.pdu, times(record)) == ("timeout", bytes(range(6)), (0, 1000))
        assert [*deadlines, monitor.deadline] == [None, STAMP + 1_000_000_000, None]
        assert heard(monitor, "7E0#21 06 07 08 09 0A 0B 0C", at=1500) == []
        assert monitor.unexpected == 1

    @pytest.mark.parametrize("status", ["30", "31"])
    def test_flow_control_gives_it_time(self, status: str) -> None:
        monitor = IsotpMonitor([NORMAL])
        texts = [BEGINNING, f"7E8#{status} 00 00", f"7E8#{status} 00 00"]
        assert heard(monitor, *texts, step=900) == []
        [record] = heard(monitor, "7FF#", at=3000)
        assert (record.fault, record.flow_controls, times(record)) == ("timeout", 2, (0, 2800))

    def test_so_does_each_frame(self) -> None:
        texts = [BEGINNING, "7E0#21 06 07 08 09 0A 0B 0C", "7E0#22 0D 0E 0F 10 11 12 13"]
        [record] = heard(IsotpMonitor([NORMAL]), *texts, step=999)
        assert (record.fault, record.duration) == (None, 1.998)

    def test_others_do_not(self) -> None:
        monitor = IsotpMonitor([NORMAL])
        texts = [BEGINNING, "7E0#30 00 00", "7E8#33 00 00", "7E8#02 3E 00", "7E0#21"]
        assert brief(heard(monitor, *texts, "7FF#", step=240)) == [
            ("rx", "3e 00", None),
            ("tx", HEAD, "timeout"),
        ]
        assert (monitor.malformed, monitor.unexpected) == (2, 1)

    def test_the_time_passes_without_a_frame(self) -> None:
        monitor = IsotpMonitor([NORMAL])
        heard(monitor, BEGINNING)
        assert monitor.advance(STAMP + 999_999_999) == []
        assert brief(monitor.advance(STAMP + 1_000_000_000)) == [("tx", HEAD, "timeout")]
        assert monitor.advance(STAMP + 9_000_000_000) == []

    @pytest.mark.parametrize(
        ("text", "more"),
        [("7E0#02 3E 00", [("tx", "3e 00", None)]), ("7E0#10 15 10 11 12 13 14 15", [])],
    )
    def test_another_pdu_begins(self, text: str, more: list[tuple[str, str, str | None]]) -> None:
        monitor = IsotpMonitor([NORMAL])
        records = heard(monitor, BEGINNING, text)
        assert brief(records) == [("tx", HEAD, "interrupted"), *more]
        if not more:
            assert brief(monitor.finish()) == [("tx", "10 11 12 13 14 15", "unfinished")]

    def test_the_receiver_has_no_room(self) -> None:
        [record] = heard(IsotpMonitor([NORMAL]), BEGINNING, "7E8#32 00 00")
        assert (record.fault, record.pdu, record.flow_controls) == ("overflow", bytes(range(6)), 1)
        assert (record.block_size, record.stmin) == (None, None)

    def test_nor_has_the_monitor(self) -> None:
        monitor = IsotpMonitor([NORMAL], max_pdu_size=19)
        [record] = heard(monitor, BEGINNING, "7E8#30 00 00", "7E0#21 06 07 08 09 0A 0B 0C")
        assert (record.fault, record.length, record.pdu) == ("overflow", 20, bytes(range(6)))
        assert monitor.unexpected == 2
        monitor = IsotpMonitor([NORMAL])
        assert heard(monitor, f"7E0#1000{LONGEST:08X} 00 01") == []
        [_, record] = heard(monitor, f"7E0#1000{LONGEST + 1:08X} 00 01")
        assert (record.fault, record.length) == ("overflow", LONGEST + 1)

    def test_the_end_comes_first(self) -> None:
        monitor = IsotpMonitor([NORMAL, Address.normal(0x7E1, 0x7E9)])
        heard(monitor, "7E9#10 08 10 11 12 13 14 15", "7E8#10 08 20 21 22 23 24 25", BEGINNING)
        records = monitor.finish()
        assert [record.identifier for record in records] == [0x7E9, 0x7E8, 0x7E0]
        assert {record.fault for record in records} == {"unfinished"}
        assert [times(record) for record in records] == [(0, 2), (1, 2), (2, 2)]
        assert (monitor.faults, monitor.finish(), monitor.deadline) == (3, [], None)
        assert brief(heard(monitor, "7E8#02 7E 00")) == [("rx", "7e 00", None)]

    @pytest.mark.parametrize(
        "text",
        [
            "7E0#21 06 07 08 09 0A 0B",  # not full, and not the last
            "7E0##0 21 06 07 08 09 0A 0B 0C 0D 0E 0F 10",  # longer than the first
            "7E0#21",
            "7E0#",
            "7E0#00 00",
            "7E0#08 00 00 00 00 00 00 00",
            "7E0#10 14 00",
            "7E0#4F 00 00",
            "7E8#30 00",
            "7E8#33 00 00",
        ],
    )
    def test_what_is_malformed_does_not_disturb(self, text: str) -> None:
        monitor = IsotpMonitor([NORMAL])
        records = heard(
            monitor, BEGINNING, text, "7E0#21 06 07 08 09 0A 0B 0C", "7E0#22 0D 0E 0F 10 11 12 13"
        )
        assert [record.pdu for record in records] == [bytes(range(20))]
        assert (monitor.malformed, monitor.unexpected, monitor.ignored) == (1, 0, 0)

    def test_what_was_not_expected_is_counted(self) -> None:
        monitor = IsotpMonitor([NORMAL, Address.normal(0x7DF, None)])
        assert heard(monitor, "7E0#21 06", "7E8#30 00 00", "7DF#30 00 00") == []
        assert (monitor.unexpected, monitor.malformed) == (3, 0)

    def test_frames_that_can_be_no_isotp_are_ignored(self) -> None:
        monitor = IsotpMonitor([NORMAL, Address.normal(0, 1)])
        others: list[AnyFrame] = [
            RemoteFrame(0x7E0, 8),
            ErrorFrame(0x4, bytes(8)),
            XlFrame(0, b"\x02\x3e\x00"),
        ]
        assert [monitor.feed(other) for other in others] == [[], [], []]
        assert monitor.ignored == 3


class TestTime:
    def test_without_any_stamps(self) -> None:
        monitor = IsotpMonitor([NORMAL])
        texts = [BEGINNING, "7E0#21 06 07 08 09 0A 0B 0C", "7E0#22 0D 0E 0F 10 11 12 13"]
        records = [record for text in texts for record in monitor.feed(frame(text))]
        assert [(record.pdu, record.started_ns) for record in records] == [(bytes(range(20)), 0)]

    def test_what_has_no_stamp_came_with_the_one_before(self) -> None:
        monitor = IsotpMonitor([NORMAL])
        monitor.feed(frame("7FF#", 7))
        [record] = monitor.feed(frame("7E0#02 3E 00"))
        assert times(record) == (7, 7)

    def test_a_clock_that_is_set_back(self) -> None:
        monitor = IsotpMonitor([NORMAL])
        heard(monitor, "7FF#", at=10_000_000)
        heard(monitor, BEGINNING)
        assert monitor.deadline == STAMP + 1_000_000_000
        assert brief(heard(monitor, "7FF#", at=1001)) == [("tx", HEAD, "timeout")]
        heard(monitor, BEGINNING, at=2000)
        [record] = heard(monitor, "7E0#02 3E 00", at=-9000)[:1]
        assert (record.fault, record.duration) == ("interrupted", 0)

    def test_stamps_a_little_out_of_order(self) -> None:
        monitor = IsotpMonitor([NORMAL])
        heard(monitor, BEGINNING, at=0)
        for place in range(900):
            assert heard(monitor, "7FF#", "7FF#", at=place, step=-50) == []
        [record] = heard(monitor, "7FF#", at=1000)
        assert times(record) == (0, 1000)


def test_a_line_for_each() -> None:
    monitor = IsotpMonitor(
        [
            NORMAL,
            Address.normal(0x7DF, None),
            Address.extended(0x6F1, 0x612, target=0x12, source=0xF1),
            Address.normal_fixed(target=0x10, source=0xF1),
        ]
    )
    records = heard(
        monitor,
        "7E0#03 22 F1 90",
        "7DF#02 3E 80",
        "612#F1 02 7E 00",
        "18DA10F1#02 3E 00",
        f"7E8##0 10 46 {bytes(62).hex()}",
        f"7E8##0 21 {bytes(11).hex()}",
        BEGINNING,
        "7E0#22 00",
        "7E0#21 00 00 00 00 00 00 00",
    )
    assert [str(record).removeprefix("(1700000000.") for record in records] == [
        "000000) can0 7E0 -> 7E8 [3] 22 F1 90",
        "001000) can0 7DF -> [2] 3E 80",
        "002000) can0 6F1:12 <- 612:F1 [2] 7E 00",
        "003000) can0 18DA10F1 -> 18DAF110 [2] 3E 00",
        f"004000) can0 7E0 <- 7E8 [70] {' '.join(64 * ['00'])} ...",
    ]
    assert [str(record) for record in monitor.finish()] == [
        (
            "(1700000000.006000) can0 7E0 -> 7E8 [13 of 20] 00 01 02 03 04 05 00 00 00 00 00 00 00"
            "  unfinished"
        )
    ]


# Any PDUs of any connections at once

CONNECTIONS: Final = (
    NORMAL,
    Address.normal_fixed(target=0x10, source=0xF1),
    Address.extended(0x6F1, 0x612, target=0x12, source=0xF1),
    Address.extended(0x6F1, 0x613, target=0x13, source=0xF1),
    Address.mixed_11(0x700, 0x708, extension=0x55),
)


def cut(pdu: bytes, prefix: bytes, frame_size: int) -> Iterator[bytes]:
    """Give the data of the frames that a PDU is sent in."""
    room = frame_size - len(prefix)
    if len(pdu) <= 7 - len(prefix):
        yield prefix + bytes((len(pdu),)) + pdu
        return
    if frame_size > 8 and len(pdu) <= room - 2:
        yield fitting(prefix + bytes((0, len(pdu))) + pdu)
        return
    if len(pdu) <= 4095:
        head = (0x1000 | len(pdu)).to_bytes(2, "big")
    else:
        head = b"\x10\x00" + len(pdu).to_bytes(4, "big")
    place = room - len(head)
    yield prefix + head + pdu[:place]
    number = 1
    while place < len(pdu):
        yield fitting(prefix + bytes((0x20 | number & 0xF,)) + pdu[place : place + room - 1])
        place += room - 1
        number += 1


def fitting(data: bytes) -> bytes:
    """Fill data up to a length that a frame can have."""
    lengths = (*range(9), 12, 16, 20, 24, 32, 48, 64)
    return data.ljust(next(length for length in lengths if length >= len(data)), b"\xcc")


_pdus = strategies.binary(min_size=1, max_size=200)
_streams = strategies.lists(
    strategies.tuples(
        strategies.sampled_from([(a, d) for a in CONNECTIONS for d in ("tx", "rx")]),
        strategies.sampled_from([8, 12, 64]),
        strategies.lists(_pdus, min_size=1, max_size=4),
    ),
    max_size=6,
    unique_by=lambda stream: stream[0],
)


@given(_streams, strategies.randoms(use_true_random=False))
def test_pdus_of_many_at_once_come_out_whole(
    streams: list[tuple[tuple[Address, str], int, list[bytes]]], chance: object
) -> None:
    waiting: list[list[AnyFrame]] = []
    for (address, direction), frame_size, pdus in streams:
        sent = address if direction == "tx" else address.reversed()
        prefix = b"" if sent.tx_extension is None else bytes((sent.tx_extension,))
        kind = Frame if frame_size == 8 else FdFrame
        waiting.append(
            [
                kind(sent.tx_id, data, extended=sent.extended_ids, timestamp_ns=STAMP)
                for pdu in pdus
                for data in cut(pdu, prefix, frame_size)
            ]
        )
    monitor = IsotpMonitor(CONNECTIONS)
    records: list[IsotpRecord] = []
    while any(waiting):
        frames = chance.choice([frames for frames in waiting if frames])  # type: ignore[attr-defined]  # a Random
        records += monitor.feed(frames.pop(0))
    for (address, direction), _, pdus in streams:
        assert pdus == [
            record.pdu
            for record in records
            if record.address is address and record.direction == direction
        ]
    assert monitor.finish() == []
    assert (monitor.faults, monitor.malformed, monitor.unexpected, monitor.ignored) == (0, 0, 0, 0)


def any_frame(
    identifier: int,
    extended: bool,
    parts: tuple[bytes, bytes, bytes],
    stamp_ns: int | None,
    interface: str | None,
) -> AnyFrame:
    data = b"".join(parts)[:64]
    kind = FdFrame if len(data) > 8 else Frame
    return kind(identifier, data, extended=extended, timestamp_ns=stamp_ns, interface=interface)


_noise = strategies.builds(
    any_frame,
    strategies.sampled_from([0x6F1, 0x612, 0x7E0, 0x7E8, 0x700, 0x123]),
    strategies.booleans(),
    strategies.tuples(
        strategies.sampled_from([b"", b"\x12", b"\xf1", b"\x55"]),
        strategies.sampled_from([b"", b"\x02", b"\x10\x0a", b"\x21", b"\x22", b"\x30\x00"]),
        strategies.binary(max_size=7) | strategies.binary(max_size=62),
    ),
    strategies.none() | strategies.integers(0, 2**63),
    strategies.sampled_from([None, "can0", "can1"]),
)


@given(strategies.lists(_noise, max_size=60))
def test_noise_is_counted(frames: list[AnyFrame]) -> None:
    monitor = IsotpMonitor(CONNECTIONS, max_pdu_size=100)
    records = [record for one in frames for record in monitor.feed(one)] + monitor.finish()
    assert monitor.heard == len(frames)
    assert len(records) == monitor.pdus + monitor.faults
    used = sum(record.frames + record.flow_controls for record in records)
    assert len(frames) == used + monitor.malformed + monitor.unexpected + monitor.ignored
    for record in records:
        assert (record.fault is None) == (len(record.pdu) == record.length)
        assert len(record.pdu) <= 100
        assert "\n" not in f"{record}"
