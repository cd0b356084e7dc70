"""ISO-TP connections: which frame is for which half, settings, and whole transfers."""

from __future__ import annotations

import errno
from collections import deque
from functools import partial
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings, strategies

from anycan.engine.isotp_reception import Reception, StrictReception
from anycan.engine.isotp_settings import IsotpSettings
from anycan.wire.isotp import IsotpOptions

if TYPE_CHECKING:
    from collections.abc import Callable

    from hypothesis.strategies import DataObject, SearchStrategy
    from tests.engine.conftest import Moments, Node

    MakeNode = Callable[..., Node]

LISTEN, EXTEND, PAD, RX_PAD, CHECK_LENGTH, CHECK_DATA = 0x1, 0x2, 0x4, 0x8, 0x10, 0x20
HALF_DUPLEX, FORCE_TX_STMIN, FORCE_RX_STMIN, OTHER_EXTENSION = 0x40, 0x80, 0x100, 0x200
SF_BROADCAST, CF_BROADCAST, DYNAMIC = 0x800, 0x1000, 0x2000
NONE = 0xFFFFFFFF
FIRST, SECOND, THIRD = (
    "10 14 00 01 02 03 04 05",
    "21 06 07 08 09 0a 0b 0c",
    "22 0d 0e 0f 10 11 12 13",
)
PDU = bytes(range(20))


class TestDispatch:
    def test_both_halves_work_at_once(self, node: MakeNode) -> None:
        one = node(txtime=NONE)
        one.send(PDU)
        one.on_the_way.clear()
        for frame in (FIRST, "30 01 00", SECOND):
            one.hear(frame)
        one.echo()  # of the flow control frame sent, which is none that is waited for
        one.echo()
        one.hear("30 00 00")
        one.hear(THIRD)
        one.run()
        assert one.take() == [FIRST, "30 00 00", SECOND, THIRD]
        assert (one.pdus, one.errors, one.state) == ([PDU], [], "IDLE")

    @pytest.mark.parametrize("kind", range(4, 16))
    def test_other_kinds_are_ignored(self, node: MakeNode, kind: int) -> None:
        one = node()
        one.send(PDU)
        one.hear(FIRST)
        sent, deadline = len(one.sent), one.deadline
        one.hear(f"{kind:x}1 00 00")
        assert (len(one.sent), one.deadline, one.errors, one.pdus) == (sent, deadline, [], [])

    def test_an_error_of_one_half_leaves_the_other_alone(self, node: MakeNode) -> None:
        one = node()
        one.send(PDU)
        one.hear(FIRST)
        one.hear("32 00 00")
        assert (one.take_errors(), one.state) == ([(0, "EMSGSIZE")], "IDLE")
        one.hear(SECOND)
        one.hear(THIRD)
        assert one.pdus == [PDU]
        one.send(PDU)
        one.hear(FIRST)
        one.hear(THIRD)
        assert (one.take_errors(), one.state) == ([(0, "EILSEQ")], "FIRST_FLOW_CONTROL")

    def test_strictness(self, node: MakeNode) -> None:
        assert type(node().connection.reception) is Reception
        assert type(node(strict=True).connection.reception) is StrictReception


class TestAddresses:
    @pytest.mark.parametrize(
        ("flags", "heard"),
        [
            (EXTEND, ["11"]),
            (EXTEND | OTHER_EXTENSION, ["22"]),
        ],
    )
    def test_only_frames_with_its_own_are_taken(
        self, node: MakeNode, flags: int, heard: list[str]
    ) -> None:
        one = node(flags, ext=0x11, rx_ext=0x22)
        for address in ("00", "11", "22", "33", "01"):
            one.hear(f"{address} 01 {address}")
        assert one.take_pdus() == heard

    def test_all_kinds_of_frames_carry_one(self, node: MakeNode) -> None:
        one = node(EXTEND | OTHER_EXTENSION, ext=0x11, rx_ext=0x22, txtime=NONE)
        one.send(bytes(range(8)))
        one.hear("11 32 00 00")
        one.hear("22 30 00 00")
        one.hear("22 10 08 00 01 02 03 04")
        one.hear("11 21 05 06 07")
        one.hear("22 21 05 06 07")
        assert one.take() == ["11 10 08 00 01 02 03 04", "11 21 05 06 07", "11 30 00 00"]
        assert (one.pdus, one.errors) == ([bytes(range(8))], [])

    def test_without_the_flag_there_is_none(self, node: MakeNode) -> None:
        one = node(OTHER_EXTENSION, ext=0x11, rx_ext=0x22)
        one.hear("01 aa")
        one.send(b"\1")
        assert (one.take_pdus(), one.take()) == (["aa"], ["01 01"])

    def test_options_count_from_when_it_is_told(self, node: MakeNode) -> None:
        one = node()
        one.settings.set_options(IsotpOptions(EXTEND | PAD, ext_address=0x11, txpad=0))
        one.connection.configure()
        one.hear("01 aa")
        one.hear("11 01 bb")
        one.send(b"\1")
        assert (one.take_pdus(), one.take()) == (["bb"], ["11 01 01 00 00 00 00 00"])


class TestHalfDuplex:
    @pytest.mark.parametrize("flags", [0, HALF_DUPLEX])
    def test_while_it_sends_nothing_is_received(self, node: MakeNode, flags: int) -> None:
        one = node(flags, txtime=NONE)
        one.send(PDU)
        one.hear("01 aa")
        one.hear(FIRST)
        one.hear(SECOND)
        one.hear("30 00 00")
        one.hear("01 bb")
        assert one.take_pdus() == ([] if flags else ["aa", "bb"])
        one.on_the_way = deque(data for data in one.on_the_way if data[0] >> 4 == 2)
        one.run()
        one.hear("01 cc")
        assert (one.take_pdus(), one.errors) == (["cc"], [])

    @pytest.mark.parametrize("flags", [0, HALF_DUPLEX])
    def test_while_it_receives_flow_control_is_dropped(self, node: MakeNode, flags: int) -> None:
        one = node(flags, txtime=NONE)
        one.hear(FIRST)
        one.take()
        one.send(PDU)
        one.hear("30 00 00")
        assert one.take() == ([FIRST] if flags else [FIRST, SECOND])

    def test_what_it_was_receiving_when_it_began_to_send_is_given_up(self, node: MakeNode) -> None:
        one = node(HALF_DUPLEX)
        one.hear(FIRST)
        one.send(b"\1")
        one.hear(SECOND)
        one.hear(THIRD)
        one.wait(1000)
        assert (one.pdus, one.errors) == ([], [(1000, "ETIMEDOUT")])

    def test_in_turns_it_works(self, node: MakeNode) -> None:
        one = node(HALF_DUPLEX, txtime=NONE)
        for frame in (FIRST, SECOND, THIRD):
            one.hear(frame)
        one.on_the_way.clear()
        one.send(PDU)
        one.on_the_way.clear()
        one.hear("30 00 00")
        one.run()
        one.hear("01 aa")
        assert (one.pdus, one.errors, one.state) == ([PDU, b"\xaa"], [], "IDLE")


class TestSettings:
    def test_to_begin_with(self) -> None:
        settings = IsotpSettings()
        assert (settings.frame_txtime, settings.maximum_pdu, settings.window) == (50_000, 8300, 1)
        assert (settings.address_size, settings.flexible, settings.strict) == (0, False, False)

    @pytest.mark.parametrize(
        ("asked", "is_set"), [(0, 123), (1, 1), (0xFFFFFFFE, 0xFFFFFFFE), (0xFFFFFFFF, 0)]
    )
    def test_a_frame_s_time(self, asked: int, is_set: int) -> None:
        settings = IsotpSettings(frame_txtime=123)
        assert settings.set_options(IsotpOptions(frame_txtime=asked))
        assert settings.frame_txtime == is_set
        assert settings.options.frame_txtime == asked

    @pytest.mark.parametrize(
        ("flags", "together", "taken"),
        [
            (SF_BROADCAST, True, SF_BROADCAST),
            (CF_BROADCAST, True, CF_BROADCAST),
            (SF_BROADCAST | CF_BROADCAST | PAD, False, SF_BROADCAST | PAD),
        ],
    )
    def test_broadcasts(self, flags: int, together: bool, taken: int) -> None:
        settings = IsotpSettings()
        assert settings.set_options(IsotpOptions(flags)) is together
        assert settings.options.flags == taken

    @pytest.mark.parametrize(
        ("flags", "rx_ext"), [(0, 1), (EXTEND, 1), (OTHER_EXTENSION, 2), (EXTEND | 0x200, 2)]
    )
    def test_the_address_byte_of_frames_received(self, flags: int, rx_ext: int) -> None:
        settings = IsotpSettings()
        settings.set_options(IsotpOptions(flags, ext_address=1, rx_ext_address=2))
        assert settings.options.rx_ext_address == rx_ext


def test_closing_an_idle_one(node: MakeNode) -> None:
    one = node()
    one.connection.close()
    one.connection.close()
    assert (one.deadline, one.errors, one.idles) == (None, [], [])


# Generated ones

_padding = PAD | RX_PAD
_ways = strategies.sampled_from(
    [
        {},
        {"flags": _padding | CHECK_LENGTH | CHECK_DATA, "txpad": 0xAA, "rxpad": 0xAA},
        {"flags": CHECK_LENGTH},
        {"flags": PAD},
    ]
)


@strategies.composite
def _options(draw: strategies.DrawFn) -> dict[str, int]:
    """Give settings that two connections can have."""
    options = dict(draw(_ways))
    flags = options.get("flags", 0)
    for flag in (HALF_DUPLEX, FORCE_TX_STMIN, DYNAMIC):
        flags |= draw(strategies.sampled_from([0, 0, flag]))
    options["tx_dl"] = draw(strategies.sampled_from([8, 8, 12, 16, 20, 24, 32, 48, 64]))
    options["flexible"] = True if options["tx_dl"] > 8 else draw(strategies.booleans())
    options["bs"] = draw(strategies.sampled_from([0, 0, 1, 2, 7, 255]))
    options["stmin"] = draw(strategies.sampled_from([0, 0, 1, 0xF1, 0x80]))
    options["tx_stmin"] = draw(strategies.sampled_from([0, 1_000_000]))
    options["txtime"] = draw(strategies.sampled_from([0, NONE, NONE]))
    options["window"] = draw(strategies.sampled_from([1, 1, 2, 5, 20]))
    options["strict"] = draw(strategies.booleans())
    return options | {"flags": flags}


_sizes = strategies.integers(1, 300) | strategies.sampled_from(
    [6, 7, 8, 61, 62, 63, 4095, 4096, 8300]
)


class Bus:
    """Two nodes' frames on their way, each of which comes by a way of its own."""

    def __init__(self, moments: Moments, one: Node, other: Node) -> None:
        self.moments = moments
        self.one, self.other = one, other
        self.heard: dict[Node, deque[bytes]] = {one: deque(), other: deque()}
        self.taken: dict[Node, int] = {one: 0, other: 0}

    def steps(self) -> list[Callable[[], None]]:
        """Give what could happen next: a sender has its frame's echo, or the peer has the frame."""
        found: list[Callable[[], None]] = []
        for sender, receiver in ((self.one, self.other), (self.other, self.one)):
            way = self.heard[receiver]
            new = len(sender.sent) - self.taken[sender]
            if new:
                way.extend(bytes.fromhex(data) for _, data in sender.sent[-new:])
                self.taken[sender] += new
            echoed = len(way) - len(sender.on_the_way)
            if sender.on_the_way:
                found.append(sender.echo)
            # The echo is first, as in the kernel: one socket has both, in the order of the bus.
            if way and echoed > 0:
                found.append(partial(self._hear, receiver))
        return found

    def _hear(self, receiver: Node) -> None:
        receiver.hear_bytes(self.heard[receiver].popleft())

    def run(self, choose: Callable[[int], int]) -> None:
        """Let happen what happens, until nothing does."""
        while True:
            if steps := self.steps():
                steps[choose(len(steps))]()
            elif "SENDING" in {self.one.state, self.other.state}:
                deadline = self.moments.timers.deadline
                assert deadline is not None
                self.moments.wait(max(deadline, self.moments.nanoseconds) / 1_000_000)
            else:
                return


def _chooser(seed: int) -> Callable[[int], int]:
    """Give choices that are cheaper than Hypothesis's own, of which there would be thousands."""
    state = seed

    def choose(count: int) -> int:
        nonlocal state
        state = (state * 1103515245 + 12345) & 0x7FFFFFFF
        return (state >> 16) % count

    return choose


@settings(max_examples=60)
@given(
    options=_options(), size=_sizes, seed=strategies.integers(0, 1000), both=strategies.booleans()
)
def test_any_pdu_arrives(
    node: MakeNode,
    moments: Callable[[], Moments],
    options: dict[str, int],
    size: int,
    seed: int,
    both: bool,
) -> None:
    time = moments()
    addresses = seed % 3  # none, the same in both directions, one of each
    flags = options["flags"] | (0, EXTEND, EXTEND | OTHER_EXTENSION)[addresses]
    of_one = options | {"flags": flags, "ext": 1, "rx_ext": 2}
    of_other = of_one | ({"ext": 2, "rx_ext": 1} if addresses == 2 else {})
    one, other = node(**of_one, moments=time), node(**of_other, moments=time)
    pdu, answer = bytes(number * 7 & 0xFF for number in range(size)), bytes(range(seed % 200 + 1))
    bus = Bus(time, one, other)
    assert one.send(pdu) == ""
    if both and not flags & HALF_DUPLEX:
        assert other.send(answer) == ""
    bus.run(_chooser(seed))
    if not other.sent or not both or flags & HALF_DUPLEX:
        assert other.send(answer) == ""
        bus.run(_chooser(seed))
    assert (other.pdus, one.pdus) == ([pdu], [answer])
    assert (one.errors, other.errors) == ([], [])
    assert (one.state, other.state) == ("IDLE", "IDLE")
    time.wait(time.nanoseconds / 1_000_000 + 5000)
    assert (time.timers.deadline, one.errors, other.errors) == (None, [], [])


@settings(max_examples=30)
@given(options=_options(), size=_sizes)
def test_any_broadcast_arrives(
    node: MakeNode, moments: Callable[[], Moments], options: dict[str, int], size: int
) -> None:
    time = moments()
    flags = options["flags"] & ~HALF_DUPLEX
    one = node(**options | {"flags": flags | CF_BROADCAST}, moments=time)
    other = node(**options | {"flags": flags | LISTEN}, moments=time)
    pdu = bytes(number * 7 & 0xFF for number in range(size))
    assert one.send(pdu) == ""
    Bus(time, one, other).run(lambda _count: 0)
    assert (other.pdus, other.sent, one.errors, other.errors) == ([pdu], [], [], [])


_any_flags: SearchStrategy[int] = strategies.integers(0, 0x3FFF)


def _garbage(data: DataObject, prefix: int) -> bytes:
    """Give the data of a frame, which more often than not has something to do with ISO-TP."""
    kind = data.draw(strategies.sampled_from([0x00, 0x10, 0x20, 0x30, 0x30, 0x20, None]))
    if kind is None:
        return data.draw(strategies.binary(max_size=64))
    low = data.draw(strategies.integers(0, 15))
    head = bytes((prefix,)) if data.draw(strategies.booleans()) else b""
    tail = data.draw(strategies.sampled_from([b"", bytes(8), b"\xcc" * 7, b"\0\0\x10\0", b"\x09"]))
    return head + bytes((kind | low,)) + tail


@settings(max_examples=60)
@given(
    data=strategies.data(),
    flags=_any_flags,
    strict=strategies.booleans(),
    tx_dl=strategies.sampled_from([8, 64]),
    window=strategies.sampled_from([1, 4]),
)
def test_no_garbage_raises(
    node: MakeNode, data: DataObject, flags: int, strict: bool, tx_dl: int, window: int
) -> None:
    one = node(
        flags,
        ext=3,
        rx_ext=4,
        tx_dl=tx_dl,
        strict=strict,
        window=window,
        rx_stmin=1000,
        maximum=200,
    )
    one.send(bytes(100))
    for _ in range(data.draw(strategies.integers(1, 12))):
        match data.draw(strategies.sampled_from("fffffetsr")):
            case "f":
                frame = _garbage(data, 4 if flags & OTHER_EXTENSION else 3)[:tx_dl]
                length = data.draw(strategies.sampled_from([len(frame), 8, 0, 1, tx_dl]))
                one.hear_bytes(frame, length)
            case "e":
                while one.on_the_way:
                    one.echo()
            case "t":
                one.wait(one.milliseconds + data.draw(strategies.sampled_from([0, 1, 1001])))
            case "s":
                one.send(bytes(data.draw(strategies.sampled_from([1, 20, 100]))))
            case _:
                one.refusal = 0 if one.refusal else errno.ENOBUFS
    assert all(1 <= len(pdu) <= 200 for pdu in one.pdus)
    assert len(one.connection.reception._pdu) <= 200
    known = {"EBADMSG", "EMSGSIZE", "ECOMM", "EILSEQ", "ETIMEDOUT", "EPROTO"}
    assert {name for _, name in one.errors} <= known
    # It recovers: whatever it was doing ends, and what is sent next is sent.
    one.refusal = 0
    one.wait(one.milliseconds + 10_000)
    one.run()
    one.on_the_way.clear()
    assert one.send(b"\1") == ""
    one.echo()
    assert one.state == "IDLE"
