"""Sending PDUs over ISO-TP: the frames, when they are sent, and what goes wrong."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest

from anycan.wire.isotp import IsotpOptions

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.engine.conftest import Node

    MakeNode = Callable[..., Node]

EXTEND, PAD, RX_PAD, CHECK_LENGTH, CHECK_DATA = 0x2, 0x4, 0x8, 0x10, 0x20
FORCE_STMIN, SF_BROADCAST, CF_BROADCAST, DYNAMIC = 0x80, 0x800, 0x1000, 0x2000
NONE = 0xFFFFFFFF  # the frame_txtime that adds nothing
GO = "30 00 00"  # flow control: continue to send, all of it, without a gap


def pdu(size: int) -> bytes:
    return bytes(number & 0xFF for number in range(size))


def digits(first: int, size: int) -> str:
    """Give some of the bytes that a PDU consists of."""
    return bytes(number & 0xFF for number in range(first, first + size)).hex(" ")


def transfer(sender: Node, size: int) -> list[str]:
    """Send a PDU to somebody who has no wishes, and give all its frames."""
    assert sender.send(pdu(size)) == ""
    if sender.state == "FIRST_FLOW_CONTROL":
        sender.on_the_way.clear()
        options = sender.settings.options
        sender.hear((f"{options.rx_ext_address:02x} " if options.flags & EXTEND else "") + GO)
    sender.run()
    assert (sender.state, sender.errors, sender.deadline) == ("IDLE", [], None)
    return sender.take()


def begun(sender: Node, size: int) -> Node:
    """Begin a PDU of several frames."""
    assert sender.send(pdu(size)) == ""
    assert sender.state == "FIRST_FLOW_CONTROL"
    sender.take()
    sender.on_the_way.clear()
    return sender


class TestFramesOfClassicalCan:
    @pytest.mark.parametrize(
        ("size", "frames"),
        [
            (1, ["01 00"]),
            (6, ["06 00 01 02 03 04 05"]),
            (7, ["07 00 01 02 03 04 05 06"]),
            (8, ["10 08 00 01 02 03 04 05", "21 06 07"]),
            (13, ["10 0d 00 01 02 03 04 05", "21 06 07 08 09 0a 0b 0c"]),
            (14, ["10 0e 00 01 02 03 04 05", "21 06 07 08 09 0a 0b 0c", "22 0d"]),
        ],
    )
    def test_small_ones(self, node: MakeNode, size: int, frames: list[str]) -> None:
        assert transfer(node(), size) == frames

    @pytest.mark.parametrize(
        ("size", "first", "consecutive", "last"),
        [
            (62, "10 3e 00 01 02 03 04 05", 8, "28 37 38 39 3a 3b 3c 3d"),
            (63, "10 3f 00 01 02 03 04 05", 9, "29 3e"),
            (4095, "1f ff 00 01 02 03 04 05", 585, "29 fe"),
            (4096, "10 00 00 00 10 00 00 01", 585, "29 fa fb fc fd fe ff"),
            (8300, "10 00 00 00 20 6c 00 01", 1186, "22 69 6a 6b"),
        ],
    )
    def test_large_ones(
        self, node: MakeNode, size: int, first: str, consecutive: int, last: str
    ) -> None:
        head, *rest = transfer(node(txtime=NONE), size)
        assert (head, len(rest), rest[-1]) == (first, consecutive, last)
        # The number goes from 1 to 15, and on from 0.
        assert [frame[:2] for frame in rest[:18]] == [
            f"2{number & 0xF:x}" for number in range(1, min(consecutive, 18) + 1)
        ]
        whole = bytes.fromhex(head[-17:] if size <= 4095 else head[-5:])
        assert whole + b"".join(bytes.fromhex(frame[2:]) for frame in rest) == pdu(size)

    @pytest.mark.parametrize(
        ("size", "frames"),
        [
            (1, ["a5 01 00"]),
            (6, ["a5 06 00 01 02 03 04 05"]),
            (7, ["a5 10 07 00 01 02 03 04", "a5 21 05 06"]),
            (12, ["a5 10 0c 00 01 02 03 04", "a5 21 05 06 07 08 09 0a", "a5 22 0b"]),
        ],
    )
    def test_with_an_address_byte(self, node: MakeNode, size: int, frames: list[str]) -> None:
        assert transfer(node(EXTEND, ext=0xA5), size) == frames

    def test_with_an_address_byte_and_a_length_of_32_bits(self, node: MakeNode) -> None:
        frames = transfer(node(EXTEND, ext=0xA5, txtime=NONE), 4096)
        assert frames[:2] == ["a5 10 00 00 00 10 00 00", "a5 21 01 02 03 04 05 06"]
        assert frames[-1] == "a5 2b fd fe ff"

    @pytest.mark.parametrize(
        ("size", "frames"),
        [
            (1, ["01 00 aa aa aa aa aa aa"]),
            (7, ["07 00 01 02 03 04 05 06"]),
            (8, ["10 08 00 01 02 03 04 05", "21 06 07 aa aa aa aa aa"]),
        ],
    )
    def test_filled_up(self, node: MakeNode, size: int, frames: list[str]) -> None:
        assert transfer(node(PAD, txpad=0xAA), size) == frames
        # What frames received are to be filled up with is another matter.
        assert transfer(node(RX_PAD, txpad=0xAA), size)[-1] == frames[-1].removesuffix(
            " aa" * frames[-1].count("aa")
        )

    def test_an_address_byte_and_padding(self, node: MakeNode) -> None:
        sender = node(EXTEND | PAD, ext=0, txpad=0)
        assert transfer(sender, 2) == ["00 02 00 01 00 00 00 00"]


class TestFramesOfCanFd:
    @pytest.mark.parametrize(
        ("tx_dl", "size", "frames"),
        [
            (8, 7, ["07 " + digits(0, 7)]),
            (8, 8, ["10 08 " + digits(0, 6), "21 06 07"]),
            (12, 1, ["01 00"]),
            (12, 7, ["07 " + digits(0, 7)]),  # no longer than it must be
            (12, 8, ["00 08 " + digits(0, 8) + " cc cc"]),
            (12, 10, ["00 0a " + digits(0, 10)]),
            (12, 11, ["10 0b " + digits(0, 10), "21 0a"]),
            (12, 20, ["10 14 " + digits(0, 10), "21 " + digits(10, 10) + " cc"]),
            (12, 21, ["10 15 " + digits(0, 10), "21 " + digits(10, 11)]),
            (64, 7, ["07 " + digits(0, 7)]),
            (64, 8, ["00 08 " + digits(0, 8) + " cc cc"]),
            (64, 11, ["00 0b " + digits(0, 11) + " cc cc cc"]),
            (64, 46, ["00 2e " + digits(0, 46)]),
            (64, 47, ["00 2f " + digits(0, 47) + 15 * " cc"]),
            (64, 62, ["00 3e " + digits(0, 62)]),
            (64, 63, ["10 3f " + digits(0, 62), "21 3e"]),
            (64, 69, ["10 45 " + digits(0, 62), "21 " + digits(62, 7)]),
            (64, 70, ["10 46 " + digits(0, 62), "21 " + digits(62, 8) + " cc cc cc"]),
        ],
    )
    def test_small_ones(self, node: MakeNode, tx_dl: int, size: int, frames: list[str]) -> None:
        assert transfer(node(tx_dl=tx_dl, flexible=True), size) == frames

    @pytest.mark.parametrize(
        ("size", "first", "consecutive", "last"),
        [
            (4095, "1f ff " + digits(0, 62), 65, "21 fe"),
            (4096, "10 00 00 00 10 00 " + digits(0, 58), 65, "21 fa fb fc fd fe ff"),
        ],
    )
    def test_large_ones(
        self, node: MakeNode, size: int, first: str, consecutive: int, last: str
    ) -> None:
        frames = transfer(node(tx_dl=64, txtime=NONE), size)
        assert (frames[0], len(frames[1:]), frames[-1]) == (first, consecutive, last)

    @pytest.mark.parametrize(
        ("tx_dl", "size", "frames"),
        [
            (64, 6, ["a5 06 " + digits(0, 6)]),
            (64, 7, ["a5 00 07 " + digits(0, 7) + " cc cc"]),
            (64, 61, ["a5 00 3d " + digits(0, 61)]),
            (64, 62, ["a5 10 3e " + digits(0, 61), "a5 21 3d"]),
            (12, 9, ["a5 00 09 " + digits(0, 9)]),
            (12, 10, ["a5 10 0a " + digits(0, 9), "a5 21 09"]),
        ],
    )
    def test_with_an_address_byte(
        self, node: MakeNode, tx_dl: int, size: int, frames: list[str]
    ) -> None:
        assert transfer(node(EXTEND, ext=0xA5, tx_dl=tx_dl), size) == frames

    @pytest.mark.parametrize(
        ("size", "frames"),
        [
            (1, ["01 00" + 6 * " aa"]),
            (7, ["07 " + digits(0, 7)]),
            (8, ["00 08 " + digits(0, 8) + " aa aa"]),
            (63, ["10 3f " + digits(0, 62), "21 3e" + 6 * " aa"]),
            (70, ["10 46 " + digits(0, 62), "21 " + digits(62, 8) + " aa aa aa"]),
        ],
    )
    def test_filled_up(self, node: MakeNode, size: int, frames: list[str]) -> None:
        assert transfer(node(PAD, txpad=0xAA, tx_dl=64), size) == frames


class TestSizes:
    def test_a_pdu_has_bytes(self, node: MakeNode) -> None:
        sender = node()
        assert sender.send(b"") == "EINVAL"
        assert (sender.sent, sender.state, sender.idles) == ([], "IDLE", [])

    @pytest.mark.parametrize("maximum", [4095, 8300])
    def test_and_not_too_many(self, node: MakeNode, maximum: int) -> None:
        sender = node(maximum=maximum)
        assert sender.send(pdu(maximum + 1)) == "EINVAL"
        assert sender.sent == []
        assert sender.send(pdu(maximum)) == ""

    def test_one_at_a_time(self, node: MakeNode) -> None:
        sender = node()
        sender.send(b"\1")
        # That another one is sent comes before its size.
        for size in (0, 1, 9000):
            assert sender.send(pdu(size)) == "EAGAIN"
        sender.echo()
        assert sender.send(b"\2") == ""
        assert sender.take() == ["01 01", "01 02"]

    def test_until_the_last_frame_was_on_the_bus(self, node: MakeNode) -> None:
        sender = begun(node(), 8)
        assert sender.send(b"\1") == "EAGAIN"
        sender.hear(GO)
        assert (sender.take(), sender.idles) == (["21 06 07"], [])
        assert sender.send(b"\1") == "EAGAIN"
        sender.wait(3)
        sender.echo()
        assert sender.idles == [3]
        assert sender.send(b"\1") == ""


class TestFlowControl:
    def test_nothing_is_sent_until_it_comes(self, node: MakeNode) -> None:
        sender = begun(node(), 20)
        sender.wait(999)
        assert sender.sent == []
        sender.hear(GO)
        assert (sender.sent, sender.answers) == ([(999, "21 06 07 08 09 0a 0b 0c")], sender.take())

    def test_the_first_frame_s_echo_is_not_waited_for(self, node: MakeNode) -> None:
        sender = node(txtime=NONE)
        sender.send(pdu(20))
        sender.hear(GO)
        sender.echo()  # of the first frame, which comes late
        assert len(sender.take()) == 2
        sender.echo()
        assert sender.take() == ["22 0d 0e 0f 10 11 12 13"]

    def test_a_block_s_size(self, node: MakeNode) -> None:
        sender = begun(node(txtime=NONE), 50)
        for count, numbers in ((3, "123"), (3, "456"), (1, "7")):
            sender.hear("30 03 00")
            sender.run()
            frames = sender.take()
            assert [frame[:2] for frame in frames] == [f"2{number}" for number in numbers]
            assert len(frames) == count
        assert (sender.state, sender.idles) == ("IDLE", [0])

    def test_a_block_that_ends_with_the_pdu_needs_no_other(self, node: MakeNode) -> None:
        sender = begun(node(txtime=NONE), 20)
        sender.hear("30 02 00")
        sender.run()
        assert (sender.state, len(sender.sent)) == ("IDLE", 2)

    @pytest.mark.parametrize("bs", [1, 2, 8, 255])
    def test_any_block_size(self, node: MakeNode, bs: int) -> None:
        sender = begun(node(txtime=NONE), 2000)
        blocks = []
        while sender.state != "IDLE":
            sender.hear(f"30 {bs:02x} 00")
            sender.run()
            blocks.append(len(sender.take()))
        whole, rest = divmod(285, bs)  # of 7 bytes each, behind the 6 in the first frame
        assert blocks == whole * [bs] + [rest] * (rest > 0)

    def test_the_block_size_is_that_of_the_first(self, node: MakeNode) -> None:
        sender = begun(node(txtime=NONE), 60)
        sender.hear("30 02 00")
        sender.run()
        sender.take()
        sender.hear("30 05 7f")
        sender.run()
        assert len(sender.take()) == 2
        assert sender.milliseconds == 0

    @pytest.mark.parametrize("status", ["31", "30"])
    def test_or_the_last_with_dynamic_parameters(self, node: MakeNode, status: str) -> None:
        sender = begun(node(DYNAMIC, txtime=NONE), 100)
        sender.hear(f"{status} 02 05")
        sender.hear("30 03 00")
        sender.run()
        counts = [len(sender.take())]
        sender.hear("30 01 00")
        sender.run()
        counts.append(len(sender.take()))
        sender.hear("30 00 05")
        start = sender.milliseconds
        sender.run()
        times = [at - start for at in sender.take_times()]
        expected = [3, 1] if status == "31" else [2, 1]
        assert counts == expected
        assert times == [5 * number for number in range(14 - sum(expected))]

    def test_wait_holds_it_up(self, node: MakeNode) -> None:
        sender = begun(node(txtime=NONE), 20)
        for number in range(1, 21):  # as often as the receiver likes
            sender.wait(900 * number)
            sender.hear("31 00 00")
            assert (sender.sent, sender.state) == ([], "FLOW_CONTROL")
        sender.hear(GO)
        sender.run()
        assert (len(sender.take()), sender.state, sender.errors) == (2, "IDLE", [])

    def test_the_first_one_s_parameters_count_even_if_it_is_wait(self, node: MakeNode) -> None:
        sender = begun(node(txtime=NONE), 60)
        sender.hear("31 02 00")
        sender.hear("30 05 7f")
        sender.run()
        assert (len(sender.take()), sender.milliseconds) == (2, 0)
        sender.hear("31 00 00")
        sender.hear(GO)
        sender.run()
        assert len(sender.take()) == 2

    def test_wait_between_blocks(self, node: MakeNode) -> None:
        sender = begun(node(txtime=NONE), 60)
        sender.hear("30 02 00")
        sender.run()
        sender.wait(500)
        sender.hear("31 00 00")
        sender.wait(1499)
        assert sender.errors == []
        sender.hear(GO)
        assert sender.take()[-1][:2] == "23"

    @pytest.mark.parametrize("block", [None, "30 01 00"])
    @pytest.mark.parametrize(
        ("control", "error"),
        [
            ("32 00 00", "EMSGSIZE"),
            ("33 00 00", "EBADMSG"),
            ("34 00 00", "EBADMSG"),
            ("3f 00 00", "EBADMSG"),
            ("30 00", "EBADMSG"),
            ("31", "EBADMSG"),
            ("32 00", "EBADMSG"),
        ],
    )
    def test_it_ends_the_transmission(
        self, node: MakeNode, block: str | None, control: str, error: str
    ) -> None:
        sender = begun(node(txtime=NONE), 40)
        if block:
            sender.hear(block)
            sender.run()
            sender.take()
        sender.wait(5)
        sender.hear(control)
        assert sender.errors == [(5, error)]
        assert (sender.sent, sender.state, sender.idles) == ([], "IDLE", [5])
        assert sender.deadline is None
        sender.hear(GO)
        assert sender.sent == []
        assert sender.send(b"\1") == ""

    def test_with_an_address_byte(self, node: MakeNode) -> None:
        sender = begun(node(EXTEND | 0x200, ext=0xA5, rx_ext=0x5A, txtime=NONE), 20)
        sender.hear("a5 30 00 00")
        assert sender.sent == []
        sender.hear("5a 30 01 00")
        sender.run()
        assert sender.take() == ["a5 21 05 06 07 08 09 0a"]
        sender.hear("5a 30 00")
        assert sender.errors == [(0, "EBADMSG")]

    @pytest.mark.parametrize("flags", [0, PAD, RX_PAD])
    @pytest.mark.parametrize("control", [GO, "30 00 00 aa", "30 00 00 00 00 00 00 00"])
    def test_its_padding_is_not_looked_at(self, node: MakeNode, flags: int, control: str) -> None:
        sender = begun(node(flags), 8)
        sender.hear(control)
        assert len(sender.sent) == 1

    @pytest.mark.parametrize(
        ("flags", "control", "right"),
        [
            (CHECK_LENGTH, GO, True),
            (CHECK_LENGTH, GO + " cc", False),
            (CHECK_LENGTH, GO + 5 * " cc", False),
            (CHECK_DATA, GO, False),
            (CHECK_DATA, GO + 5 * " cc", False),
            (CHECK_LENGTH | CHECK_DATA, GO, True),
            (RX_PAD | CHECK_LENGTH, GO, False),
            (RX_PAD | CHECK_LENGTH, GO + 4 * " cc", False),
            (RX_PAD | CHECK_LENGTH, GO + 5 * " 00", True),
            (RX_PAD | CHECK_DATA, GO, True),
            (RX_PAD | CHECK_DATA, GO + " aa", True),
            (RX_PAD | CHECK_DATA, GO + " cc", False),
            (RX_PAD | CHECK_DATA, GO + 4 * " aa" + " cc", False),
            (RX_PAD | CHECK_LENGTH | CHECK_DATA, GO + 5 * " aa", True),
            (RX_PAD | CHECK_LENGTH | CHECK_DATA, GO + 4 * " aa", False),
            (RX_PAD | CHECK_LENGTH | CHECK_DATA, GO + 5 * " cc", False),
        ],
    )
    def test_but_if_that_is_asked_for(
        self, node: MakeNode, flags: int, control: str, right: bool
    ) -> None:
        sender = begun(node(flags, rxpad=0xAA), 8)
        sender.hear(control)
        assert len(sender.sent) == right
        assert sender.errors == ([] if right else [(0, "EBADMSG")])


class TestFlowControlAtWrongTimes:
    CONTROLS = (GO, "31 00 00", "32 00 00", "33 00 00", "30")

    def test_when_nothing_is_sent(self, node: MakeNode) -> None:
        sender = node()
        for control in self.CONTROLS:
            sender.hear(control)
        assert (sender.sent, sender.errors, sender.deadline) == ([], [], None)
        assert transfer(sender, 8) == ["10 08 00 01 02 03 04 05", "21 06 07"]

    def test_when_a_single_frame_is_on_the_way(self, node: MakeNode) -> None:
        sender = node()
        sender.send(b"\1")
        for control in self.CONTROLS:
            sender.hear(control)
        sender.echo()
        assert (len(sender.sent), sender.errors, sender.idles) == (1, [], [0])

    def test_when_a_consecutive_frame_is_on_the_way(self, node: MakeNode) -> None:
        sender = begun(node(txtime=NONE), 20)
        sender.hear(GO)
        for control in self.CONTROLS:
            sender.hear(control)
        assert len(sender.sent) == 1
        sender.run()
        assert (len(sender.sent), sender.errors, sender.state) == (2, [], "IDLE")

    def test_in_the_gap_between_two(self, node: MakeNode) -> None:
        sender = begun(node(txtime=NONE), 20)
        sender.hear("30 00 0a")
        sender.echo()
        sender.wait(5)
        for control in self.CONTROLS:
            sender.hear(control)
        sender.wait(20)
        assert [at for at, _ in sender.sent] == [0, 10]
        assert sender.errors == []

    def test_before_the_block_s_last_frame_was_on_the_bus(self, node: MakeNode) -> None:
        # With one frame on the way at a time, as in the kernel, it is lost.
        sender = begun(node(txtime=NONE), 40)
        sender.hear("30 01 00")
        sender.hear("30 01 00")
        sender.echo()
        sender.wait(2000)
        assert (len(sender.sent), sender.errors) == (1, [(1000, "ECOMM")])


class TestGaps:
    @pytest.mark.parametrize(
        ("stmin", "gap"),
        [
            ("00", 0),
            ("01", 1),
            ("7f", 127),
            ("f1", 0.1),
            ("f9", 0.9),
            ("80", 127),
            ("f0", 127),
            ("fa", 127),
            ("ff", 127),
        ],
    )
    @pytest.mark.parametrize(("txtime", "added"), [(NONE, 0), (0, 0.05), (2_000_000, 2)])
    def test_they_are_what_is_asked_for_and_a_frame_s_time(
        self, node: MakeNode, stmin: str, gap: float, txtime: int, added: float
    ) -> None:
        sender = begun(node(txtime=txtime), 30)
        sender.hear("30 00 " + stmin)
        sender.run()
        expected = [0, gap + added, 2 * (gap + added), 3 * (gap + added)]
        assert sender.take_times() == pytest.approx(expected)

    @pytest.mark.parametrize(
        ("tx_stmin", "txtime", "gap"),
        [(0, NONE, 0), (3_000_000, NONE, 3), (3_000_000, 0, 3.05), (0, 0, 0.05)],
    )
    @pytest.mark.parametrize("stmin", ["00", "7f", "f1"])
    def test_unless_one_of_its_own_is_forced(
        self, node: MakeNode, tx_stmin: int, txtime: int, gap: float, stmin: str
    ) -> None:
        sender = begun(node(FORCE_STMIN, tx_stmin=tx_stmin, txtime=txtime), 20)
        sender.hear("30 00 " + stmin)
        sender.run()
        assert sender.take_times() == pytest.approx([0, gap])

    def test_one_of_its_own_alone_does_nothing(self, node: MakeNode) -> None:
        sender = begun(node(tx_stmin=3_000_000, txtime=NONE), 20)
        sender.hear(GO)
        sender.run()
        assert sender.take_times() == [0, 0]

    def test_they_count_from_the_flow_control_frame(self, node: MakeNode) -> None:
        sender = begun(node(txtime=7_000_000), 40)
        sender.wait(500)
        sender.hear("30 02 00")
        sender.run()
        sender.wait(900)
        sender.hear(GO)
        sender.run()
        assert sender.take_times() == [500, 507, 900, 907]

    def test_they_count_from_when_the_last_frame_was_sent(self, node: MakeNode) -> None:
        sender = begun(node(txtime=7_000_000), 40)
        sender.hear("30 00 03")
        sender.wait(2)
        sender.echo()
        sender.wait(10)
        assert sender.take_times() == [0, 10]

    def test_and_may_be_over_when_it_was_on_the_bus(self, node: MakeNode) -> None:
        sender = begun(node(txtime=7_000_000), 40)
        sender.hear(GO)
        sender.wait(18)
        sender.echo()
        sender.wait(18)
        sender.echo()
        sender.wait(18)
        sender.run()
        assert sender.take_times() == [0, 18, 18, 21, 28]

    def test_but_the_receiver_s_part_from_when_it_was_on_the_bus(self, node: MakeNode) -> None:
        sender = begun(node(txtime=7_000_000), 40)
        sender.hear("30 00 03")
        sender.wait(9)
        sender.echo()
        sender.wait(11.999)
        assert len(sender.sent) == 1
        sender.wait(12)
        assert sender.take_times() == [0, 12]

    def test_a_late_timer_is_made_up_for(self, node: MakeNode) -> None:
        sender = begun(node(txtime=7_000_000), 40)
        sender.hear("30 00 03")
        sender.echo()
        sender.be_late(15)
        sender.echo()
        sender.wait(100)
        assert sender.take_times() == [0, 15, 20]

    def test_but_never_below_what_the_receiver_needs(self, node: MakeNode) -> None:
        sender = begun(node(txtime=7_000_000), 40)
        sender.hear("30 00 03")
        sender.echo()
        sender.be_late(19)
        sender.echo()
        sender.wait(100)
        assert sender.take_times() == [0, 19, 22]

    def test_a_block_s_first_frame_waits_for_none(self, node: MakeNode) -> None:
        sender = begun(node(txtime=NONE), 40)
        for _ in range(2):
            sender.hear("30 02 0a")
            sender.run()
        assert sender.take_times() == [0, 10, 10, 20]

    def test_frames_without_one_are_sent_behind_those_received(self, node: MakeNode) -> None:
        sender = begun(node(txtime=NONE), 20)
        sender.hear(GO)
        sender.run()
        assert len(sender.answers) == 2
        sender = begun(node(), 20)
        sender.hear(GO)
        sender.run()
        assert len(sender.answers) == 1  # the other one is sent by a timer


class TestBroadcast:
    @pytest.mark.parametrize(("tx_dl", "largest"), [(8, 7), (12, 10), (64, 62)])
    def test_of_single_frames(self, node: MakeNode, tx_dl: int, largest: int) -> None:
        sender = node(SF_BROADCAST, tx_dl=tx_dl)
        assert sender.send(pdu(largest + 1)) == "EINVAL"
        assert sender.send(b"") == "EINVAL"
        assert sender.sent == []
        assert len(transfer(sender, largest)) == 1

    def test_of_single_frames_with_an_address_byte(self, node: MakeNode) -> None:
        sender = node(SF_BROADCAST | EXTEND, ext=1)
        assert sender.send(pdu(7)) == "EINVAL"
        assert transfer(sender, 6) == ["01 06 00 01 02 03 04 05"]

    def test_of_consecutive_frames(self, node: MakeNode) -> None:
        sender = node(CF_BROADCAST)
        assert sender.send(pdu(20)) == ""
        assert sender.state == "SENDING"
        sender.run()
        assert sender.sent == [
            (0, "10 14 00 01 02 03 04 05"),
            (0.05, "21 06 07 08 09 0a 0b 0c"),
            (0.1, "22 0d 0e 0f 10 11 12 13"),
        ]
        assert (sender.state, sender.errors, sender.answers) == ("IDLE", [], [])
        sender.take()
        assert transfer(sender, 3) == ["03 00 01 02"]

    @pytest.mark.parametrize(
        ("flags", "txtime", "gap"),
        [
            (0, NONE, 0),
            (0, 2_000_000, 2),
            (FORCE_STMIN, 2_000_000, 3),  # instead of a frame's time, where else they are added
            (FORCE_STMIN, NONE, 3),
        ],
    )
    def test_gaps(self, node: MakeNode, flags: int, txtime: int, gap: float) -> None:
        sender = node(CF_BROADCAST | flags, txtime=txtime, tx_stmin=3_000_000)
        sender.send(pdu(20))
        sender.run()
        assert sender.take_times() == [0, gap, 2 * gap]

    def test_nothing_follows_a_frame_that_is_not_on_the_bus(self, node: MakeNode) -> None:
        sender = node(CF_BROADCAST)
        sender.send(pdu(20))
        sender.wait(1999)
        assert (len(sender.sent), sender.errors) == (1, [])
        sender.wait(2000)
        assert sender.errors == [(2000, "ECOMM")]

    def test_flow_control_is_not_looked_at(self, node: MakeNode) -> None:
        sender = node(CF_BROADCAST, txtime=NONE)
        sender.send(pdu(20))
        for control in ("30 01 7f", "32 00 00", "33", "31 00 00"):
            sender.hear(control)
        sender.run()
        assert (sender.take_times(), sender.errors) == ([0, 0, 0], [])

    def test_what_a_block_size_was_before_is_forgotten(self, node: MakeNode) -> None:
        sender = begun(node(txtime=NONE), 20)
        sender.hear("30 01 7f")
        sender.run()
        sender.hear("32 00 00")
        sender.take()
        sender.settings.set_options(IsotpOptions(CF_BROADCAST, NONE))
        sender.connection.configure()
        sender.send(pdu(40))
        sender.run()
        assert sender.take_times() == 6 * [0]


class TestTimeouts:
    def test_no_flow_control_comes(self, node: MakeNode) -> None:
        sender = node()
        sender.send(pdu(8))
        sender.echo()
        sender.wait(999.999)
        assert (sender.errors, sender.state) == ([], "FIRST_FLOW_CONTROL")
        sender.wait(1000)
        assert sender.errors == [(1000, "ECOMM")]
        assert (sender.state, sender.idles, sender.deadline) == ("IDLE", [1000], None)
        assert len(sender.sent) == 1
        assert sender.send(b"\1") == ""

    def test_nor_any_behind_wait(self, node: MakeNode) -> None:
        sender = begun(node(), 8)
        sender.wait(700)
        sender.hear("31 00 00")
        sender.wait(5000)
        assert sender.errors == [(1700, "ECOMM")]

    def test_nor_any_behind_a_block(self, node: MakeNode) -> None:
        sender = begun(node(), 40)
        sender.hear("30 01 00")
        sender.wait(100)
        sender.echo()
        sender.wait(1099)
        assert sender.errors == []
        sender.wait(5000)
        assert sender.errors == [(1100, "ECOMM")]

    def test_a_single_frame_does_not_get_onto_the_bus(self, node: MakeNode) -> None:
        sender = node()
        sender.send(b"\1")
        sender.wait(1999.999)
        assert (sender.errors, sender.state) == ([], "SENDING")
        sender.wait(2000)
        assert (sender.errors, sender.idles) == ([(2000, "ECOMM")], [2000])
        sender.echo()  # which was so late that it is of no more interest
        assert (sender.state, sender.idles) == ("IDLE", [2000])

    @pytest.mark.parametrize("txtime", [NONE, 0])
    def test_nor_does_a_consecutive_frame(self, node: MakeNode, txtime: int) -> None:
        sender = begun(node(txtime=txtime), 40)
        sender.wait(500)
        sender.hear(GO)
        sender.wait(600)
        sender.echo()
        sender.wait(601)
        assert len(sender.take_times()) == 2
        sender.wait(2599.9)
        assert sender.errors == []
        sender.wait(9000)
        assert sender.errors == [(2600, "ECOMM")]

    def test_a_long_gap_is_none(self, node: MakeNode) -> None:
        sender = begun(node(FORCE_STMIN, tx_stmin=4_000_000_000, txtime=NONE), 20)
        sender.hear(GO)
        sender.run()
        assert (sender.take_times(), sender.errors) == ([0, 4000], [])

    def test_one_that_is_over_has_none(self, node: MakeNode) -> None:
        sender = node()
        transfer(sender, 20)
        sender.wait(10_000)
        assert sender.errors == []


class TestEchoes:
    @pytest.mark.parametrize(
        "echo", ["01 00", "01 02", "02 01", "21 01", "01", "", "01 01 01", "01 01 00 01"]
    )
    def test_other_frames_than_the_last(self, node: MakeNode, echo: str) -> None:
        sender = node()
        sender.send(b"\1")
        sender.echo_of(echo)
        assert (sender.state, sender.idles) == ("SENDING", [])
        sender.echo()
        assert (sender.state, sender.idles) == ("IDLE", [0])

    def test_four_bytes_are_compared(self, node: MakeNode) -> None:
        sender = node()
        sender.send(pdu(7))
        sender.echo_of("07 00 01 03")
        assert sender.state == "SENDING"
        sender.echo_of("07 00 01 02 ff ff ff ff")
        assert sender.state == "IDLE"

    def test_each_counts_once(self, node: MakeNode) -> None:
        sender = begun(node(txtime=NONE), 40)
        sender.hear(GO)
        sender.echo()
        for _ in range(3):
            sender.echo_of("21 06 07 08 09 0a 0b 0c")
        assert len(sender.sent) == 2

    def test_when_nothing_is_sent(self, node: MakeNode) -> None:
        sender = node()
        sender.echo_of("01 01")
        sender.echo_of("")
        assert (sender.state, sender.idles, sender.deadline) == ("IDLE", [], None)


class TestRefused:
    @pytest.mark.parametrize("size", [1, 8, 5000])
    @pytest.mark.parametrize("flags", [0, CF_BROADCAST])
    @pytest.mark.parametrize("number", [errno.ENETDOWN, errno.ENOBUFS, errno.ENXIO])
    def test_the_first_frame(self, node: MakeNode, size: int, flags: int, number: int) -> None:
        sender = node(flags)
        sender.refusal = number
        assert sender.send(pdu(size)) == errno.errorcode[number]
        assert (sender.state, sender.deadline, sender.errors) == ("IDLE", None, [])
        sender.refusal = 0
        assert transfer(sender, 1) == ["01 00"]

    def test_its_echo_is_not_waited_for(self, node: MakeNode) -> None:
        sender = node()
        sender.refusal = errno.ENOBUFS
        sender.send(b"\1")
        idles = list(sender.idles)
        sender.echo_of("01 01")
        assert sender.idles == idles

    def test_a_frame_that_answers(self, node: MakeNode) -> None:
        sender = begun(node(txtime=NONE), 40)
        sender.refusal = errno.ENETDOWN
        sender.hear(GO)
        assert sender.answers == ["21 06 07 08 09 0a 0b 0c"]
        sender.wait(1999)
        assert (sender.errors, sender.state) == ([], "SENDING")
        sender.wait(5000)
        assert (sender.errors, sender.sent) == ([(2000, "ECOMM")], [])

    def test_a_frame_whose_time_it_is(self, node: MakeNode) -> None:
        sender = begun(node(txtime=NONE), 40)
        sender.hear("30 00 0a")
        sender.echo()
        sender.refusal = errno.ENOBUFS
        sender.wait(5000)
        assert (len(sender.sent), sender.errors) == (1, [(2010, "ECOMM")])
        assert (sender.state, sender.deadline) == ("IDLE", None)


class TestWindow:
    """Several frames on the way at a time, which the kernel does not do."""

    def test_so_many_are_on_their_way(self, node: MakeNode) -> None:
        sender = begun(node(window=4, txtime=NONE), 100)
        sender.hear(GO)
        assert [frame[:2] for frame in sender.take()] == ["21", "22", "23", "24"]
        for number in (5, 6):
            sender.echo()
            assert [frame[:2] for frame in sender.take()] == [f"2{number}"]
        sender.run()
        assert (len(sender.take()), sender.state, sender.errors) == (8, "IDLE", [])

    def test_a_pdu_that_is_smaller(self, node: MakeNode) -> None:
        sender = begun(node(window=4, txtime=NONE), 20)
        sender.hear(GO)
        assert [frame[:2] for frame in sender.take()] == ["21", "22"]
        sender.echo()
        assert (sender.state, sender.idles) == ("SENDING", [])
        sender.wait(7)
        sender.echo()
        assert (sender.state, sender.idles, sender.deadline) == ("IDLE", [7], None)

    @pytest.mark.parametrize("window", [2, 3, 16, 40])
    @pytest.mark.parametrize("bs", [0, 1, 3, 20])
    def test_all_arrives_in_order(self, node: MakeNode, window: int, bs: int) -> None:
        sender = begun(node(window=window, txtime=NONE), 1000)
        frames: list[str] = []
        while sender.state != "IDLE":
            sender.hear(f"30 {bs:02x} 00")
            while sender.on_the_way:
                assert len(sender.on_the_way) <= window
                sender.echo()
            frames += sender.take()
        assert b"".join(bytes.fromhex(frame[2:]) for frame in frames) == pdu(1000)[6:]
        assert sender.errors == []

    def test_a_block_ends_with_its_last_frame_s_echo(self, node: MakeNode) -> None:
        sender = begun(node(window=4, txtime=NONE), 100)
        sender.hear("30 03 00")
        assert len(sender.take()) == 3
        sender.echo(2)
        assert sender.state == "SENDING"
        sender.wait(5)
        sender.echo()
        assert (sender.state, sender.sent) == ("FLOW_CONTROL", [])
        sender.wait(1004)
        assert sender.errors == []
        sender.wait(3000)
        assert sender.errors == [(1005, "ECOMM")]

    def test_a_block_is_not_overrun(self, node: MakeNode) -> None:
        sender = begun(node(window=4, txtime=NONE), 100)
        sender.hear("30 06 00")
        assert len(sender.take()) == 4
        sender.echo(4)
        assert (len(sender.take()), len(sender.on_the_way)) == (2, 2)

    def test_flow_control_before_the_block_has_been_on_the_bus_is_ignored(
        self, node: MakeNode
    ) -> None:
        # As in the kernel: a copy of the last one shall not let the next block go.
        sender = begun(node(txtime=NONE, window=4), 60)
        sender.hear("30 02 00")
        sender.hear("30 02 00")
        sender.echo(2)
        assert (len(sender.sent), sender.state) == (2, "FLOW_CONTROL")

    def test_one_that_comes_before_the_block_is_sent_is_ignored(self, node: MakeNode) -> None:
        sender = begun(node(window=2, txtime=NONE), 100)
        sender.hear("30 03 00")
        sender.hear("30 03 00")
        sender.hear("32 00 00")
        sender.echo(3)
        assert (sender.state, sender.errors, len(sender.sent)) == ("FLOW_CONTROL", [], 3)

    def test_and_one_where_there_are_no_blocks(self, node: MakeNode) -> None:
        sender = begun(node(window=2, txtime=NONE), 30)
        sender.hear(GO)
        sender.hear("32 00 00")
        sender.run()
        assert (sender.state, sender.errors) == ("IDLE", [])

    def test_one_behind_the_whole_pdu_is_not_kept_for_the_next(self, node: MakeNode) -> None:
        sender = begun(node(window=2, txtime=NONE), 20)
        sender.hear("30 02 00")
        sender.hear("30 02 00")
        sender.run()
        assert sender.state == "IDLE"
        begun(sender, 60)
        sender.hear("30 02 00")
        sender.echo(2)
        assert (len(sender.take()), sender.state) == (2, "FLOW_CONTROL")

    def test_an_echo_that_does_not_come(self, node: MakeNode) -> None:
        sender = begun(node(window=3, txtime=NONE), 100)
        sender.wait(100)
        sender.hear(GO)
        sender.on_the_way.popleft()
        sender.wait(300)
        sender.echo(2)
        assert (len(sender.take()), sender.state) == (3, "SENDING")
        sender.wait(2099)
        assert sender.errors == []
        sender.wait(5000)
        assert (sender.errors, sender.sent) == ([(2100, "ECOMM")], [])
        # The next one does not wait for it.
        sender.errors.clear()
        assert transfer(sender, 30)[-1] == "24 1b 1c 1d"

    def test_the_time_for_it_counts_from_the_last_frame(self, node: MakeNode) -> None:
        sender = begun(node(window=2, txtime=NONE), 100)
        sender.hear(GO)
        sender.wait(1500)
        sender.echo()
        sender.wait(3000)
        assert sender.errors == []
        sender.wait(9000)
        assert sender.errors == [(3500, "ECOMM")]

    @pytest.mark.parametrize(
        ("txtime", "stmin", "times"),
        [
            (NONE, "01", [0, 101, 102, 103, 104]),
            (40_000_000, "00", [0, 100, 100, 120, 160]),  # what is late is made up for
        ],
    )
    def test_with_gaps_there_is_one_at_a_time(
        self, node: MakeNode, txtime: int, stmin: str, times: list[float]
    ) -> None:
        sender = begun(node(window=4, txtime=txtime), 40)
        sender.hear(f"30 00 {stmin}")
        sender.wait(100)
        assert len(sender.sent) == 1
        while sender.state == "SENDING":
            assert len(sender.on_the_way) <= 1
            if sender.on_the_way:
                sender.echo()
            else:
                sender.wait(max(sender.milliseconds, sender.deadline or 0))
        assert sender.take_times() == times

    def test_a_broadcast(self, node: MakeNode) -> None:
        sender = node(CF_BROADCAST, window=4, txtime=NONE)
        sender.send(pdu(60))
        assert len(sender.take()) == 1
        sender.echo()
        assert [frame[:2] for frame in sender.take()] == ["21", "22", "23", "24"]
        sender.run()
        assert (len(sender.take()), sender.state) == (4, "IDLE")

    def test_frames_that_are_refused(self, node: MakeNode) -> None:
        sender = begun(node(window=4, txtime=NONE), 100)
        sender.refusal = errno.ENOBUFS
        sender.hear(GO)
        assert len(sender.answers) == 4
        sender.wait(5000)
        assert (sender.errors, sender.sent) == ([(2000, "ECOMM")], [])


class TestEnding:
    def test_who_is_told_that_it_is_idle_may_send(self, node: MakeNode) -> None:
        sender = node()
        sender.when_idle = lambda: sender.send(b"\2")
        sender.send(b"\1")
        sender.echo()
        assert (sender.state, sender.take()) == ("SENDING", ["01 01", "01 02"])
        sender.when_idle = lambda: None
        sender.wait(2000)
        assert sender.errors == [(2000, "ECOMM")]

    def test_who_is_told_of_an_error_finds_it_idle(self, node: MakeNode) -> None:
        sender = begun(node(), 8)
        states: list[str] = []
        sender.when_failed = lambda: states.append(sender.state)
        sender.hear("32 00 00")
        assert states == ["IDLE"]

    def test_who_is_told_of_an_error_may_send(self, node: MakeNode) -> None:
        # Transmission._fail: "who is told of the error finds that another PDU can be sent".
        sender = begun(node(), 8)
        sender.when_failed = lambda: sender.send(b"\2")
        sender.hear("32 00 00")
        assert (sender.take(), sender.state) == (["01 02"], "SENDING")

    @pytest.mark.parametrize("control", [None, GO, "30 00 05", "30 01 00", "31 00 00"])
    def test_closed(self, node: MakeNode, control: str | None) -> None:
        sender = begun(node(), 40)
        if control:
            sender.hear(control)
            while sender.on_the_way:
                sender.echo()
        sender.take()
        sender.connection.close()
        assert (sender.state, sender.deadline) == ("IDLE", None)
        sender.hear(GO)
        sender.wait(5000)
        assert (sender.sent, sender.errors) == ([], [])
