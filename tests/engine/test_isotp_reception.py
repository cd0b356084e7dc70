"""Receiving PDUs over ISO-TP as the kernel does it, with its oddities."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.engine.conftest import Node

    MakeNode = Callable[..., Node]

LISTEN, EXTEND, PAD, RX_PAD, CHECK_LENGTH, CHECK_DATA = 0x1, 0x2, 0x4, 0x8, 0x10, 0x20
FORCE_STMIN, OTHER_EXTENSION = 0x100, 0x200
GO = "30 00 00"


def digits(first: int, size: int) -> str:
    """Give some of the bytes that a PDU consists of."""
    return bytes(number & 0xFF for number in range(first, first + size)).hex(" ")


def frames(size: int, frame_size: int = 8) -> list[str]:
    """Give the frames that carry a PDU of more than one frame."""
    head = f"1{size >> 8:x} {size & 0xFF:02x} "
    position = frame_size - 2
    if size > 4095:
        head, position = "10 00 " + size.to_bytes(4, "big").hex(" ") + " ", frame_size - 6
    data = [head + digits(0, position)]
    while position < size:
        end = min(position + frame_size - 1, size)
        data.append(f"2{len(data) & 0xF:x} " + digits(position, end - position))
        position = end
    return data


def hear_all(receiver: Node, *data: str) -> None:
    for one in data:
        receiver.hear(one)


FIRST, SECOND, THIRD = frames(20)  # 6, 7 and 7 bytes of it
WHOLE = digits(0, 20)


class TestSingleFrames:
    @pytest.mark.parametrize(
        ("data", "pdu"),
        [
            ("01 aa", "aa"),
            ("07 00 01 02 03 04 05 06", "00 01 02 03 04 05 06"),
            ("02 aa bb cc", "aa bb"),  # filled up
            ("01 aa 00 00 00 00 00 00", "aa"),
        ],
    )
    def test_of_classical_can(self, node: MakeNode, data: str, pdu: str) -> None:
        receiver = node()
        receiver.wait(7)
        receiver.hear(data)
        assert (receiver.take_pdus(), receiver.stamps) == ([pdu], [7])
        assert (receiver.sent, receiver.errors, receiver.deadline) == ([], [], None)

    @pytest.mark.parametrize(
        ("data", "length"),
        [
            ("00", 1),
            ("00 01 aa", 3),  # the longer form is one of longer frames
            ("00 01 aa 00 00 00 00 00", 8),
            ("02 aa bb", 2),
            ("01 aa", 1),
            ("01 aa", 0),
            ("08 00 01 02 03 04 05 06", 8),
            ("0f 00 01 02 03 04 05 06", 8),
        ],
    )
    def test_that_are_none(self, node: MakeNode, data: str, length: int) -> None:
        for flags in (0, RX_PAD | CHECK_LENGTH | CHECK_DATA):
            receiver = node(flags)
            receiver.hear(data, length)
            assert (receiver.pdus, receiver.errors) == ([], [])

    @pytest.mark.parametrize(
        ("data", "length", "pdu"),
        [
            ("01 aa", 2, "aa"),
            ("07 " + digits(0, 7), 8, digits(0, 7)),
            ("00 08 " + digits(0, 8) + " cc cc", 12, digits(0, 8)),
            ("00 0a " + digits(0, 10), 12, digits(0, 10)),
            ("00 3e " + digits(0, 62), 64, digits(0, 62)),
            ("00 01 aa", 64, "aa"),  # which would fit into a shorter one
            ("00 01 aa", 9, "aa"),
        ],
    )
    def test_of_can_fd(self, node: MakeNode, data: str, length: int, pdu: str) -> None:
        receiver = node(tx_dl=64)
        receiver.hear(data, length)
        assert receiver.take_pdus() == [pdu]

    @pytest.mark.parametrize(
        ("data", "length"),
        [
            ("00 0b " + digits(0, 11), 12),
            ("00 3f " + digits(0, 62), 64),
            ("00 ff " + digits(0, 62), 64),
            ("00 00", 12),
            ("08 " + digits(0, 11), 12),
            ("01 01 aa", 12),
            ("00 01 aa", 8),
        ],
    )
    def test_that_are_none_of_can_fd(self, node: MakeNode, data: str, length: int) -> None:
        receiver = node(tx_dl=64)
        receiver.hear(data, length)
        assert (receiver.pdus, receiver.errors) == ([], [])

    def test_with_an_address_byte(self, node: MakeNode) -> None:
        receiver = node(EXTEND, ext=0xA5, flexible=True)
        receiver.hear("a5 06 " + digits(0, 6))
        receiver.hear("a5 00 08 " + digits(0, 8) + " cc")
        receiver.hear("a5 07 " + digits(0, 6))
        receiver.hear("a5 01", 2)
        assert receiver.take_pdus() == [digits(0, 6), digits(0, 8)]


class TestFirstFrames:
    def test_it_is_answered(self, node: MakeNode) -> None:
        receiver = node()
        receiver.hear(FIRST)
        assert (receiver.sent, receiver.answers) == ([(0, GO)], [GO])
        assert receiver.connection.reception.active
        assert receiver.pdus == []

    @pytest.mark.parametrize(
        ("options", "prefix", "answer"),
        [
            ({"bs": 8, "stmin": 0xF1}, "", "30 08 f1"),
            ({"stmin": 0xFF}, "", "30 00 ff"),  # as it is, though it is reserved
            ({"flags": PAD, "txpad": 0xAA}, "", "30 00 00 aa aa aa aa aa"),
            ({"flags": RX_PAD}, "", "30 00 00"),
            ({"flags": EXTEND, "ext": 0xA5}, "a5 ", "a5 30 00 00"),
            ({"flags": EXTEND | PAD, "ext": 0xA5}, "a5 ", "a5 30 00 00 cc cc cc cc"),
            ({"flags": EXTEND | OTHER_EXTENSION, "ext": 1, "rx_ext": 2}, "02 ", "01 30 00 00"),
            ({"flags": PAD, "tx_dl": 64}, "", "30 00 00 cc cc cc cc cc"),
        ],
    )
    def test_how_it_is_answered(
        self, node: MakeNode, options: dict[str, int], prefix: str, answer: str
    ) -> None:
        receiver = node(**options)
        receiver.hear((prefix + "10 14 00 01 02 03 04 05")[:23])
        assert receiver.answers == [answer]

    @pytest.mark.parametrize("length", [0, 1, 2, 3, 7])
    def test_it_is_full(self, node: MakeNode, length: int) -> None:
        receiver = node()
        receiver.hear(FIRST, length)
        assert (receiver.sent, receiver.connection.reception.active) == ([], False)

    @pytest.mark.parametrize("length", [8, 12, 16, 20, 24, 32, 48, 64])
    def test_of_can_fd_its_length_is_that_of_all(self, node: MakeNode, length: int) -> None:
        receiver = node(tx_dl=8, flexible=True)  # what is sent here does not matter
        hear_all(receiver, *frames(300, length))
        assert receiver.take_pdus() == [digits(0, 300)]
        receiver.take()
        receiver.hear(frames(300, length)[0], length - 1)
        assert receiver.sent == []

    @pytest.mark.parametrize(
        ("tx_dl", "flags", "head", "least"),
        [
            (8, 0, "10 {:02x}", 6),
            (8, EXTEND, "00 10 {:02x}", 5),
            (8, 0, "10 00 00 00 00 {:02x}", 2),
            (12, 0, "10 {:02x}", 9),
            (64, 0, "10 {:02x}", 61),
            (64, EXTEND, "00 10 {:02x}", 60),
            (64, 0, "10 00 00 00 00 {:02x}", 57),
        ],
    )
    def test_its_pdu_is_longer_than_a_single_frame_s_or_nearly(
        self, node: MakeNode, tx_dl: int, flags: int, head: str, least: int
    ) -> None:
        # The least one would be 2 more, or 1 more with the escape of CAN FD; of a length of
        # 32 bits, the head counts.
        for size in range(1, least + 1):
            receiver = node(flags, tx_dl=tx_dl)
            receiver.hear(head.format(size), tx_dl)
            assert len(receiver.sent) == (size == least)

    @pytest.mark.parametrize(
        ("tx_dl", "flags", "prefix", "size"),
        [(8, 0, "", 6), (8, EXTEND, "00 ", 5), (64, 0, "", 62), (64, 0, "", 61),
         (64, EXTEND, "00 ", 61), (64, EXTEND, "00 ", 60), (12, 0, "", 9)],
    )  # fmt: skip
    def test_where_nothing_is_missing_a_consecutive_frame_ends_it(
        self, node: MakeNode, tx_dl: int, flags: int, prefix: str, size: int
    ) -> None:
        receiver = node(flags, tx_dl=tx_dl)
        room = tx_dl - 2 - len(prefix) // 3
        receiver.hear(f"{prefix}10 {size:02x} " + digits(0, room))
        assert receiver.pdus == []
        receiver.hear(prefix + "21" + (tx_dl - 1 - len(prefix) // 3) * " ff")
        assert receiver.take_pdus() == [digits(0, size)]
        assert (receiver.errors, receiver.deadline) == ([], None)

    def test_of_32_bits(self, node: MakeNode) -> None:
        receiver = node()
        first, *rest = frames(4096)
        assert first == "10 00 00 00 10 00 00 01"
        hear_all(receiver, first, *rest)
        assert receiver.take_pdus() == [digits(0, 4096)]

    def test_a_small_length_may_be_of_32_bits(self, node: MakeNode) -> None:
        receiver = node()
        hear_all(receiver, "10 00 00 00 00 09 00 01", "21 02 03 04 05 06 07 08")
        assert receiver.take_pdus() == [digits(0, 9)]


class TestTooLong:
    @pytest.mark.parametrize(
        ("maximum", "head", "allowed"),
        [
            (8300, "10 00 00 00 20 6c 00 01", True),
            (8300, "10 00 00 00 20 6d 00 01", False),
            (8300, "10 00 ff ff ff f9 00 01", False),
            (4095, "1f ff 00 01 02 03 04 05", True),
            (4095, "10 00 00 00 10 00 00 01", False),
            (1025 * 1024, "10 00 00 10 04 00 00 01", True),
            (1025 * 1024, "10 00 00 10 04 01 00 01", False),
        ],
    )
    def test_the_sender_is_told(
        self, node: MakeNode, maximum: int, head: str, allowed: bool
    ) -> None:
        receiver = node(maximum=maximum, bs=3, stmin=5)
        receiver.hear(head)
        assert receiver.take() == ["30 03 05" if allowed else "32 03 05"]
        assert receiver.connection.reception.active is allowed
        assert receiver.connection.reception.overflows == (not allowed)
        receiver.wait(900)
        assert (receiver.errors, receiver.pdus) == ([], [])

    @pytest.mark.parametrize(
        ("tx_dl", "least"), [(8, 0xFFFFFFFA), (12, 0xFFFFFFF9), (64, 0xFFFFFFF9)]
    )
    def test_but_for_lengths_that_are_short_again_in_32_bits(
        self, node: MakeNode, tx_dl: int, least: int
    ) -> None:
        # The kernel adds the control information's size before it compares.
        for size in (least - 1, least, 0xFFFFFFFF):
            receiver = node(tx_dl=tx_dl)
            receiver.hear("10 00 " + size.to_bytes(4, "big").hex(" "), tx_dl)
            assert len(receiver.sent) == (size < least)
            assert receiver.connection.reception.overflows == (size < least)

    def test_that_is_all(self, node: MakeNode) -> None:
        receiver = node()
        too_long = "10 00 00 00 20 6d 00 01"
        hear_all(receiver, too_long, "21 02 03 04 05 06 07 08", too_long)
        assert receiver.connection.reception.overflows == 2
        assert receiver.take() == ["32 00 00", "32 00 00"]
        receiver.wait(5000)
        assert (receiver.errors, receiver.pdus, receiver.deadline) == ([], [], None)
        hear_all(receiver, FIRST, SECOND, THIRD)
        assert receiver.take_pdus() == [WHOLE]

    def test_it_ends_what_was_being_received(self, node: MakeNode) -> None:
        receiver = node()
        hear_all(receiver, FIRST, "10 00 00 00 20 6d 00 01", SECOND, THIRD)
        assert (receiver.pdus, receiver.errors) == ([], [])

    def test_no_more_is_kept_than_was_announced(self, node: MakeNode) -> None:
        receiver = node(maximum=4095)
        reception = receiver.connection.reception
        hear_all(receiver, "10 00 ff ff 00 00 00 01")
        assert (reception.overflows, len(reception._pdu)) == (1, 0)
        first, *rest = frames(4095)
        receiver.hear(first)
        assert len(reception._pdu) == 6
        largest = 0
        for number in range(2000):  # far more than belong to it
            receiver.hear(rest[number % 16])
            largest = max(largest, len(reception._pdu))
        assert largest <= 4095
        assert [len(pdu) for pdu in receiver.pdus] == [4095]
        assert len(reception._pdu) == 0


class TestConsecutiveFrames:
    @pytest.mark.parametrize(
        ("frame_size", "size"),
        [
            *((8, size) for size in (8, 13, 14, 20, 62, 63, 4095, 4096, 8300)),
            *((12, size) for size in (11, 20, 21, 22, 63, 4095, 4096, 8300)),
            *((64, size) for size in (63, 125, 126, 127, 4095, 4096, 8300)),
        ],
    )
    def test_they_make_it_whole(self, node: MakeNode, frame_size: int, size: int) -> None:
        receiver = node(tx_dl=frame_size)
        hear_all(receiver, *frames(size, frame_size))
        assert receiver.take_pdus() == [digits(0, size)]
        assert (receiver.answers, receiver.errors, receiver.deadline) == ([GO], [], None)

    def test_the_stamp_is_the_last_one_s(self, node: MakeNode) -> None:
        receiver = node()
        for frame in (FIRST, SECOND, THIRD):
            receiver.wait(receiver.milliseconds + 10)
            receiver.hear(frame)
        assert receiver.stamps == [30]

    def test_when_nothing_is_received(self, node: MakeNode) -> None:
        receiver = node()
        hear_all(receiver, SECOND, "20", "2f 00")
        hear_all(receiver, FIRST, SECOND, THIRD)
        hear_all(receiver, THIRD, SECOND)
        assert receiver.take_pdus() == [WHOLE]
        assert (receiver.errors, receiver.deadline) == ([], None)

    @pytest.mark.parametrize(
        "disorder",
        [[THIRD], ["20" + THIRD[2:]], [SECOND, SECOND], [SECOND, "23" + THIRD[2:]]],
    )
    def test_a_wrong_number_ends_it(self, node: MakeNode, disorder: list[str]) -> None:
        receiver = node()
        receiver.hear(FIRST)
        receiver.wait(5)
        hear_all(receiver, *disorder)
        assert receiver.errors == [(5, "EILSEQ")]
        assert (receiver.connection.reception.active, receiver.deadline) == (False, None)
        hear_all(receiver, SECOND, THIRD)
        receiver.wait(5000)
        assert (receiver.pdus, len(receiver.errors)) == ([], 1)
        hear_all(receiver, FIRST, SECOND, THIRD)
        assert receiver.take_pdus() == [WHOLE]

    def test_the_numbers_go_round(self, node: MakeNode) -> None:
        receiver = node()
        data = frames(6 + 7 * 20)
        assert [frame[:2] for frame in data[14:18]] == ["2e", "2f", "20", "21"]
        hear_all(receiver, *data)
        assert len(receiver.take_pdus()) == 1

    @pytest.mark.parametrize("length", [0, 1, 2, 7])
    def test_a_short_one_in_the_middle_is_ignored(self, node: MakeNode, length: int) -> None:
        receiver = node()
        receiver.hear(FIRST)
        receiver.hear(SECOND, length)
        hear_all(receiver, SECOND, THIRD)
        assert (receiver.take_pdus(), receiver.errors) == ([WHOLE], [])

    def test_but_ends_the_wait_for_more(self, node: MakeNode) -> None:
        receiver = node()
        receiver.hear(FIRST)
        receiver.hear(SECOND, 3)
        assert receiver.deadline is None
        receiver.wait(60_000)
        hear_all(receiver, SECOND, THIRD)
        assert (receiver.take_pdus(), receiver.errors) == ([WHOLE], [])

    def test_so_does_one_that_is_longer_than_the_first(self, node: MakeNode) -> None:
        receiver = node(tx_dl=64)
        receiver.hear(FIRST)
        receiver.hear(SECOND, 12)
        assert receiver.deadline is None
        hear_all(receiver, SECOND, THIRD)
        assert (receiver.take_pdus(), receiver.errors) == ([WHOLE], [])

    def test_a_short_one_at_the_end_of_a_pdu_that_is_not_short_enough(self, node: MakeNode) -> None:
        # It may be the last one by what is missing, and does not hold it all.
        receiver = node()
        first, second = frames(10)
        receiver.hear(first)
        receiver.hear(second, 3)
        assert (receiver.pdus, receiver.errors) == ([], [])
        assert receiver.deadline == 1000
        receiver.hear("22 08 09")
        assert receiver.take_pdus() == [digits(0, 10)]

    def test_a_short_one_where_less_than_nothing_is_missing(self, node: MakeNode) -> None:
        # The first frame holds a byte more than the PDU has: the kernel takes what is missing
        # for a very large number.
        receiver = node(tx_dl=64)
        receiver.hear("10 3d " + digits(0, 62))
        receiver.hear("21 00")
        assert (receiver.pdus, receiver.deadline) == ([], None)
        receiver.hear("21 00", 64)
        assert receiver.take_pdus() == [digits(0, 61)]

    def test_a_short_last_one_may_be_filled_up(self, node: MakeNode) -> None:
        receiver = node()
        hear_all(receiver, "10 08 00 01 02 03 04 05", "21 06 07 ff ff ff ff ff")
        assert receiver.take_pdus() == [digits(0, 8)]

    def test_of_can_fd_the_last_one_may_be_of_any_length(self, node: MakeNode) -> None:
        for length in (3, 5, 8, 9, 63, 64):
            receiver = node(tx_dl=64)
            receiver.hear("10 40 " + digits(0, 62))
            receiver.hear("21 3e 3f", length)
            assert receiver.take_pdus() == [digits(0, 64)]

    def test_with_an_address_byte(self, node: MakeNode) -> None:
        receiver = node(EXTEND, ext=0xA5)
        hear_all(receiver, "a5 10 08 00 01 02 03 04", "a5 21 05 06 07")
        assert receiver.take_pdus() == [digits(0, 8)]


class TestBlocks:
    def test_each_is_asked_for(self, node: MakeNode) -> None:
        receiver = node(bs=2, stmin=7)
        answers = []
        for frame in frames(6 + 7 * 5):
            receiver.hear(frame)
            answers.append(receiver.take())
        assert answers == [["30 02 07"], [], ["30 02 07"], [], ["30 02 07"], []]
        assert len(receiver.pdus) == 1

    def test_not_behind_the_last_frame(self, node: MakeNode) -> None:
        receiver = node(bs=2)
        hear_all(receiver, FIRST, SECOND, THIRD)
        assert (receiver.answers, len(receiver.pdus)) == (["30 02 00"], 1)

    def test_the_next_pdu_begins_a_new_one(self, node: MakeNode) -> None:
        receiver = node(bs=2)
        hear_all(receiver, FIRST, SECOND)
        receiver.take()
        first, second, third, _ = frames(27)
        hear_all(receiver, first, second)
        assert receiver.take() == ["30 02 00"]
        receiver.hear(third)
        assert receiver.take() == ["30 02 00"]


class TestWhatComesInBetween:
    @pytest.mark.parametrize(
        ("data", "length", "pdus"),
        [
            ("02 aa bb", 3, ["aa bb"]),
            ("00", 1, []),
            ("00", 8, []),
            ("0f", 1, []),
            (FIRST, 7, []),
            ("10 05", 8, []),
        ],
    )
    def test_it_ends_what_was_being_received(
        self, node: MakeNode, data: str, length: int, pdus: list[str]
    ) -> None:
        receiver = node()
        hear_all(receiver, FIRST, SECOND)
        receiver.hear(data, length)
        assert (receiver.connection.reception.active, receiver.deadline) == (False, None)
        receiver.hear(THIRD)
        receiver.wait(5000)
        assert (receiver.take_pdus(), receiver.errors) == (pdus, [])

    def test_another_pdu_begins(self, node: MakeNode) -> None:
        receiver = node()
        hear_all(receiver, FIRST, SECOND)
        receiver.wait(600)
        hear_all(receiver, FIRST)
        receiver.wait(1200)
        hear_all(receiver, SECOND, THIRD)
        assert (receiver.take_pdus(), receiver.errors) == ([WHOLE], [])

    def test_a_single_frame_of_can_fd_in_the_other_form_does_not(self, node: MakeNode) -> None:
        receiver = node(tx_dl=64)
        hear_all(receiver, FIRST, SECOND)
        receiver.hear("01 aa", 12)
        receiver.hear(THIRD)
        assert receiver.take_pdus() == [WHOLE]

    @pytest.mark.parametrize("data", ["40", "5f ff", "80", "ff", "30 00 00", "32 00 00", "30"])
    def test_frames_of_other_kinds_do_not(self, node: MakeNode, data: str) -> None:
        receiver = node()
        hear_all(receiver, FIRST, SECOND, data, THIRD)
        assert (receiver.take_pdus(), receiver.errors) == ([WHOLE], [])


class TestTimeouts:
    def test_nothing_follows_the_first_frame(self, node: MakeNode) -> None:
        receiver = node()
        receiver.wait(10)
        receiver.hear(FIRST)
        receiver.wait(1009.999)
        assert receiver.errors == []
        receiver.wait(1010)
        assert receiver.errors == [(1010, "ETIMEDOUT")]
        assert (receiver.connection.reception.active, receiver.deadline) == (False, None)
        hear_all(receiver, SECOND, THIRD)
        assert receiver.pdus == []

    def test_each_frame_has_its_own_time(self, node: MakeNode) -> None:
        receiver = node()
        for position, frame in enumerate((FIRST, SECOND, THIRD)):
            receiver.wait(990 * position)
            receiver.hear(frame)
        assert (receiver.take_pdus(), receiver.errors) == ([WHOLE], [])
        receiver.wait(10_000)
        assert receiver.errors == []

    @pytest.mark.parametrize("bs", [0, 1, 2])
    def test_nothing_follows_a_consecutive_frame(self, node: MakeNode, bs: int) -> None:
        receiver = node(bs=bs)
        receiver.hear(FIRST)
        receiver.wait(500)
        receiver.hear(SECOND)
        receiver.wait(1499)
        assert receiver.errors == []
        receiver.wait(9000)
        assert receiver.errors == [(1500, "ETIMEDOUT")]

    def test_another_one_can_be_received(self, node: MakeNode) -> None:
        receiver = node()
        receiver.hear(FIRST)
        receiver.wait(2000)
        hear_all(receiver, FIRST, SECOND, THIRD)
        assert receiver.take_pdus() == [WHOLE]
        assert receiver.errors == [(1000, "ETIMEDOUT")]

    def test_closed(self, node: MakeNode) -> None:
        receiver = node()
        hear_all(receiver, FIRST, SECOND)
        receiver.connection.close()
        assert (receiver.deadline, receiver.connection.reception.active) == (None, False)
        receiver.hear(THIRD)
        receiver.wait(5000)
        assert (receiver.pdus, receiver.errors) == ([], [])


class TestListening:
    def test_nothing_is_sent(self, node: MakeNode) -> None:
        receiver = node(LISTEN, bs=1)
        hear_all(receiver, "01 aa", *frames(100))
        assert receiver.take_pdus() == ["aa", digits(0, 100)]
        assert receiver.sent == []

    def test_but_that_a_pdu_is_too_long(self, node: MakeNode) -> None:
        receiver = node(LISTEN)
        receiver.hear("10 00 00 00 20 6d 00 01")
        assert receiver.take() == ["32 00 00"]

    def test_the_first_frame_starts_no_timer(self, node: MakeNode) -> None:
        receiver = node(LISTEN)
        receiver.hear(FIRST)
        assert (receiver.deadline, receiver.sent) == (None, [])
        receiver.wait(5000)
        receiver.hear(SECOND)
        assert receiver.deadline == 6000
        receiver.wait(6000)
        assert receiver.errors == [(6000, "ETIMEDOUT")]

    def test_nor_does_a_block_s_last_one(self, node: MakeNode) -> None:
        receiver = node(LISTEN, bs=1)
        hear_all(receiver, FIRST, SECOND)
        assert receiver.deadline is None
        receiver.wait(5000)
        receiver.hear(THIRD)
        assert receiver.take_pdus() == [WHOLE]


class TestFramesTooFast:
    def test_they_are_dropped(self, node: MakeNode) -> None:
        receiver = node(FORCE_STMIN, rx_stmin=10_000_000)
        hear_all(receiver, FIRST)
        for at, frame in ((1, SECOND), (2, THIRD), (10.999, THIRD), (11, THIRD)):
            receiver.wait(at)
            receiver.hear(frame)
        assert (receiver.take_pdus(), receiver.stamps) == ([WHOLE], [11])
        assert receiver.errors == []

    def test_even_those_in_disorder(self, node: MakeNode) -> None:
        receiver = node(FORCE_STMIN, rx_stmin=10_000_000)
        hear_all(receiver, FIRST, SECOND, SECOND, "2f 00")
        receiver.wait(10)
        receiver.hear(THIRD)
        assert (receiver.take_pdus(), receiver.errors) == ([WHOLE], [])

    def test_the_time_runs_on(self, node: MakeNode) -> None:
        receiver = node(FORCE_STMIN, rx_stmin=2_000_000_000)
        hear_all(receiver, FIRST, SECOND)
        receiver.wait(900)
        receiver.hear(THIRD)
        receiver.wait(5000)
        assert (receiver.pdus, receiver.errors) == ([], [(1000, "ETIMEDOUT")])

    def test_it_counts_from_the_last_one_of_the_pdu_before(self, node: MakeNode) -> None:
        receiver = node(FORCE_STMIN, rx_stmin=10_000_000)
        hear_all(receiver, FIRST, SECOND)
        receiver.wait(10)
        hear_all(receiver, THIRD, FIRST, SECOND)
        receiver.wait(20)
        hear_all(receiver, SECOND)
        receiver.wait(30)
        hear_all(receiver, THIRD)
        assert receiver.take_pdus() == [WHOLE, WHOLE]

    @pytest.mark.parametrize(("flags", "rx_stmin"), [(0, 10_000_000), (FORCE_STMIN, 0)])
    def test_only_if_that_is_asked_for(self, node: MakeNode, flags: int, rx_stmin: int) -> None:
        receiver = node(flags, rx_stmin=rx_stmin)
        hear_all(receiver, FIRST, SECOND, THIRD)
        assert receiver.take_pdus() == [WHOLE]


BOTH = CHECK_LENGTH | CHECK_DATA
# Flags, and whether a frame passes that is: not filled up; filled up rightly to 8 bytes; not up
# to 8; to 8 with something else.
PADDING = [
    (0, True, True, True, True),
    (RX_PAD, True, True, True, True),
    (CHECK_LENGTH, True, False, False, False),
    (CHECK_DATA, False, False, False, False),
    (BOTH, True, False, False, False),
    (RX_PAD | CHECK_LENGTH, False, True, False, True),
    (RX_PAD | CHECK_DATA, True, True, True, False),
    (RX_PAD | BOTH, False, True, False, False),
]
_tails = pytest.mark.parametrize(
    ("tail", "column"), [("", 0), (5 * " aa", 1), (2 * " aa", 2), (4 * " aa" + " cc", 3)]
)
_padding = pytest.mark.parametrize(("flags", "passes"), [(one[0], one[1:]) for one in PADDING])


class TestPadding:
    @_padding
    @_tails
    def test_of_a_single_frame(
        self, node: MakeNode, flags: int, passes: tuple[bool, ...], tail: str, column: int
    ) -> None:
        receiver = node(flags, rxpad=0xAA)
        receiver.hear("02 00 01" + tail)
        assert receiver.take_pdus() == passes[column] * ["00 01"]
        assert receiver.errors == (not passes[column]) * [(0, "EBADMSG")]

    @_padding
    @_tails
    def test_of_the_last_frame(
        self, node: MakeNode, flags: int, passes: tuple[bool, ...], tail: str, column: int
    ) -> None:
        receiver = node(flags, rxpad=0xAA)
        hear_all(receiver, "10 08 00 01 02 03 04 05", "21 06 07" + tail)
        assert receiver.take_pdus() == passes[column] * [digits(0, 8)]
        assert receiver.errors == (not passes[column]) * [(0, "EBADMSG")]
        assert (receiver.connection.reception.active, receiver.deadline) == (False, None)

    @pytest.mark.parametrize(
        ("flags", "passes"), [(one[0], one[0] & ~RX_PAD != CHECK_DATA) for one in PADDING]
    )
    def test_of_a_full_frame_there_is_none(self, node: MakeNode, flags: int, passes: bool) -> None:
        passes = passes or flags & RX_PAD != 0
        receiver = node(flags, rxpad=0xAA)
        hear_all(receiver, "07 " + digits(0, 7), FIRST, SECOND, THIRD)
        assert receiver.take_pdus() == passes * [digits(0, 7), WHOLE]
        assert len(receiver.errors) == (not passes) * 2

    @pytest.mark.parametrize(
        ("flags", "length", "tail", "passes"),
        [
            (CHECK_LENGTH, 12, " aa aa", True),
            (CHECK_LENGTH, 12, " 00 00", True),
            (CHECK_LENGTH, 16, "", False),
            (CHECK_LENGTH, 10, "", False),
            (BOTH, 12, " 00 00", True),
            (CHECK_DATA, 12, " aa aa", False),
            (RX_PAD | CHECK_LENGTH, 12, " 00 00", True),
            (RX_PAD | CHECK_LENGTH, 64, "", True),  # a length that there is, if not the least
            (RX_PAD | CHECK_LENGTH, 11, "", False),
            (RX_PAD | CHECK_DATA, 12, " aa aa", True),
            (RX_PAD | CHECK_DATA, 11, " aa", True),
            (RX_PAD | CHECK_DATA, 12, " aa 00", False),
            (RX_PAD | BOTH, 12, " aa aa", True),
            (RX_PAD | BOTH, 16, 6 * " aa", True),
            (RX_PAD | BOTH, 16, " aa aa", False),
        ],
    )
    def test_of_a_single_frame_of_can_fd(
        self, node: MakeNode, flags: int, length: int, tail: str, passes: bool
    ) -> None:
        receiver = node(flags, rxpad=0xAA, tx_dl=64)
        receiver.hear("00 08 " + digits(0, 8) + tail, length)
        assert receiver.take_pdus() == passes * [digits(0, 8)]
        assert receiver.errors == (not passes) * [(0, "EBADMSG")]

    def test_with_an_address_byte(self, node: MakeNode) -> None:
        receiver = node(EXTEND | RX_PAD | BOTH, ext=0xA5, rxpad=0)
        hear_all(receiver, "a5 02 00 01 00 00 00 00", "a5 02 00 01 00 00 00 01")
        assert receiver.take_pdus() == ["00 01"]
        assert receiver.errors == [(0, "EBADMSG")]

    def test_a_wrong_one_ends_what_was_being_received(self, node: MakeNode) -> None:
        receiver = node(RX_PAD | BOTH)
        hear_all(receiver, FIRST, SECOND, "01 aa", THIRD)
        assert (receiver.pdus, receiver.errors) == ([], [(0, "EBADMSG")])

    @pytest.mark.parametrize("padding", ["ff", "cc"])
    def test_where_nothing_is_missing_a_byte_is_not_looked_at(
        self, node: MakeNode, padding: str
    ) -> None:
        receiver = node(RX_PAD | BOTH)
        hear_all(receiver, "10 06 " + digits(0, 6), f"21 {padding}" + 6 * " cc")
        assert receiver.take_pdus() == [digits(0, 6)]
        hear_all(receiver, "10 06 " + digits(0, 6), f"21 cc {padding}" + 5 * " cc")
        assert receiver.take_pdus() == (padding == "cc") * [digits(0, 6)]
