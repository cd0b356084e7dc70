from __future__ import annotations

from columns import columns, show, show_step
from raw_steps import Address, Bind, Receive, Set


def test_two_networks_stand_side_by_side() -> None:
    text = columns(
        ("kernel", "user"),
        [Bind(0, Address("flexible", size=8)), Receive(0), "left over"],
        [None, [(b"\1\0\0\0" + bytes(12), 0x804, "flexible"), (b"", 0x20, None)], []],
        [None, "EAGAIN", []],
    )
    assert text.splitlines() == [
        f"      {'kernel':54} | user",
        f"      {'-' * 54} | {'-' * 54}",
        "  Bind(0, Address(flexible, size=8))",
        f"      {'done':54} | done",
        "! Receive(0)",
        f"!     {'01 00*15 DONTROUTE CONFIRM on flexible':54} | EAGAIN",
        f"!     {'empty TRUNC on None':54} |",
        "  left over",
        f"      {'nothing':54} | nothing",
    ]


def test_options_have_their_names() -> None:
    assert show_step(Set(1, 101, 5, b"\1\0\0\0")) == "Set(1, CAN_RAW_FD_FRAMES, 01000000)"
    assert show_step(Set(1, 1, 8, b"\1")) == "Set(1, SO_RCVBUF, 01)"
    assert show_step(Set(1, 1, 9999, b"\1")) == "Set(1, SO_9999, 01)"
    assert show_step(Set(1, 7, 3, b"")) == "Set(1, level 7 3, empty)"


def test_a_message_tells_what_was_dropped() -> None:
    assert show((b"\xab\xcd", 0, "far", "3 dropped")) == "abcd on far 3 dropped"
