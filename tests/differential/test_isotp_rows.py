"""Rows 26 to 36 of what an imitation must match, one by one: on the kernel and on its twin."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final

import pytest

from anycan.wire.constants import CAN_ISOTP_LL_OPTS, CAN_ISOTP_OPTS, CAN_ISOTP_RECV_FC
from anycan.wire.isotp import (
    FRAME_TXTIME_ZERO,
    FlowControlOptions,
    IsotpFlag,
    IsotpOptions,
    LinkLayerOptions,
)
from isotp_programs import END, Bind, Error, Send, Set
from steps import Receive, Traffic, Wait
from test_isotp_programs import run_on_kernel, run_on_user_network, show
from timed import difference, on_the_kernel, timely_stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from isotp_programs import Outcome, Step
    from stages import KernelStage

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(120)]

OURS, THEIRS = 0x101, 0x102  # the socket receives from the first, and sends to the second
LONG_AGO: Final = 1100  # milliseconds: longer than a second


@pytest.fixture(scope="module")
def kernel_stage() -> Iterator[KernelStage]:
    with timely_stage() as stage:
        yield stage


def options(flags: int = 0, txtime: int = FRAME_TXTIME_ZERO) -> Step:
    return Set(0, CAN_ISOTP_OPTS, IsotpOptions(flags, txtime).pack())


def classical(data: bytes, length: int | None = None) -> Step:
    """Give a frame to the socket."""
    size = len(data) if length is None else length
    return Traffic(struct.pack("=IB3x", OURS, size) + data.ljust(8, b"\0"), "flexible")


def flexible(data: bytes) -> Step:
    return Traffic(struct.pack("=IBBxx", OURS, len(data), 0) + data.ljust(64, b"\0"), "flexible")


def bound(*more: Step) -> list[Step]:
    return [*more, Bind(0, "flexible", OURS, THEIRS)]


def bus(theirs: list[bytes], ours: list[bytes], size: int = 8, flags: int = 0) -> list[Any]:
    """Give what was on the bus: the data of the frames to the socket, and of its own.

    Args:
        theirs: To the socket.
        ours: From it.
        size: The room in a frame: 8, or 64 of CAN FD.
        flags: Of CAN FD.
    """
    heads = {struct.pack("=I", OURS): theirs, struct.pack("=I", THEIRS): ours}
    return [
        (
            head,
            [
                (head + bytes((len(one), flags, 0, 0)) + one.ljust(size, b"\0"), 4, "flexible")
                for one in frames
            ],
        )
        for head, frames in heads.items()
        if frames
    ]


def pdus(*contents: bytes) -> list[Any]:
    return [(content, 0, "flexible") for content in contents]


CONTINUE = b"\x30\0\0"
PDU = bytes((number * 7 + 1) & 0xFF for number in range(30))  # what programs send
FIRST = b"\x10\x14abcdef"

# The program, and what has to be among the outcomes: so that it shows what it is to show.
ROWS: Final[dict[str, tuple[list[Step], list[Outcome]]]] = {
    "26 a single frame drops what is being received": (
        [
            *bound(options()),
            classical(FIRST),
            classical(b"\2ab"),
            classical(b"\x21ghijklm"),
            Receive(0),
        ],
        [pdus(b"ab")],
    ),
    "26 even one of length 0": (
        [
            *bound(options()),
            classical(b"\x10\x09abcdef"),
            classical(b"\0"),
            classical(b"\x21ghi"),
            Receive(0),
            Wait(LONG_AGO),
            Error(0),
        ],
        ["EAGAIN"],
    ),
    "26 a first frame drops it too": (
        [
            *bound(options()),
            classical(FIRST),
            classical(b"\x10\x09ABCDEF"),
            classical(b"\x21GHI"),
            Receive(0),
        ],
        [pdus(b"ABCDEFGHI")],
    ),
    "27 a first frame that is not full is ignored": (
        [*bound(options()), classical(FIRST[:7]), Receive(None)],
        [bus([FIRST[:7]], [])],
    ),
    "27 a length that a single frame has room for is ignored, 6 and 7 are not": (
        [
            *bound(options()),
            classical(b"\x10\x05abcdef"),
            classical(b"\x21x"),
            classical(b"\x10\x06abcdef"),
            classical(b"\x21x"),
            classical(b"\x10\x07abcdef"),
            classical(b"\x21g"),
            Receive(0),
        ],
        [pdus(b"abcdef", b"abcdefg")],
    ),
    "28 a PDU that is too long is told to the sender alone": (
        [*bound(options()), classical(b"\x10\0\0\0\x20\x6dab"), Error(0), Receive(None)],
        [None, bus([b"\x10\0\0\0\x20\x6dab"], [b"\x32\0\0"])],
    ),
    "29 a consecutive frame of nothing is ignored": (
        [*bound(options()), classical(b"\x21abcdefg"), Receive(0), Error(0)],
        ["EAGAIN"],
    ),
    "29 a wrong number": (
        [*bound(options()), classical(FIRST), classical(b"\x22ghijklm"), Error(0)],
        ["EILSEQ"],
    ),
    "29 a short one that is not the last is ignored, and the timer does not run": (
        [
            *bound(options()),
            classical(FIRST),
            classical(b"\x21gh"),
            Wait(LONG_AGO),
            Error(0),
            classical(b"\x21ghijklm"),
            classical(b"\x22nopqrst"),
            Receive(0),
        ],
        [None, pdus(b"abcdefghijklmnopqrst")],
    ),
    "30 reserved separation times are the longest": (
        [
            *bound(options()),
            Send(0, 20),
            classical(b"\x30\0\x80"),
            Wait(80),
            Receive(None),
            Wait(200),
        ],
        [bus([b"\x30\0\x80"], [b"\x10\x14" + PDU[:6], b"\x21" + PDU[6:13]])],
    ),
    "31 the first flow control frame says how, though it asks for time": (
        [
            *bound(options()),
            Send(0, 30),
            classical(b"\x31\1\0"),
            classical(CONTINUE),
            Receive(None),
        ],
        [bus([b"\x31\1\0", CONTINUE], [b"\x10\x1e" + PDU[:6], b"\x21" + PDU[6:13]])],
    ),
    "31 it may ask for time without end": (
        [
            *bound(options()),
            Send(0, 10),
            *[step for _ in range(4) for step in (classical(b"\x31\0\0"), Wait(700))],
            classical(CONTINUE),
            Error(0),
        ],
        [None],
    ),
    "32 the content is checked with padding expected alone": (
        [*bound(options(IsotpFlag.CHK_PAD_DATA)), classical(b"\2ab"), Error(0), Receive(0)],
        ["EBADMSG", "EAGAIN"],
    ),
    "33 an error of receiving fails the next write": (
        [
            *bound(options()),
            classical(FIRST),
            classical(b"\x22ghijklm"),
            Send(0, 1),
            Send(0, 1),
        ],
        ["EILSEQ", 1],
    ),
    "34 the sender is the interface alone": (
        [*bound(options()), classical(b"\1a"), Receive(0)],
        [pdus(b"a")],
    ),
    "35 frames of the other kind are not heard": (
        [*bound(options()), flexible(b"\1a"), classical(b"\1b"), Receive(0)],
        [pdus(b"b")],
    ),
    "35 who only listens starts no timer": (
        [*bound(options(IsotpFlag.LISTEN_MODE)), classical(FIRST), Wait(LONG_AGO), Error(0)],
        [None],
    ),
    "36 a short PDU goes in 8 bytes, a longer one is filled up": (
        [
            *bound(options(), Set(0, CAN_ISOTP_LL_OPTS, LinkLayerOptions(72, 64, 0).pack())),
            Send(0, 7),
            Send(0, 8),
            Receive(None),
        ],
        [bus([], [b"\7" + PDU[:7], b"\0\x08" + PDU[:8] + b"\xcc\xcc"], 64, 4)],
    ),
    "a block of its own is answered": (
        [
            *bound(options(), Set(0, CAN_ISOTP_RECV_FC, FlowControlOptions(1, 5).pack())),
            classical(b"\x10\x0dabcdef"),
            classical(b"\x21ghijklm"),
            Receive(0),
        ],
        [pdus(b"abcdefghijklm")],
    ),
}


@pytest.mark.parametrize("row", ROWS)
def test_a_row(kernel_stage: KernelStage, row: str) -> None:
    program, expected = ROWS[row]
    waits: list[int] = []
    user = run_on_user_network(program, waits)
    for outcome in expected:
        assert outcome in user
    kernel = on_the_kernel(user, lambda: run_on_kernel(program, waits, kernel_stage))
    if kernel != user:
        pytest.fail(difference([*program, *END], waits, user, kernel, show))
    assert len(user) == len(program) + len(END)
