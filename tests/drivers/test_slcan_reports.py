"""The error frames of what an adapter tells, as the kernel's drivers make them."""

from __future__ import annotations

import pytest

from anycan import CanState
from anycan.drivers.slcan_protocol import StateLine
from anycan.drivers.slcan_reports import errors_report, state_report, status_report


@pytest.mark.parametrize(
    ("line", "frame"),
    [
        (StateLine(CanState.ERROR_WARNING, 0, 96), "20000204#0008000000006000"),
        (StateLine(CanState.ERROR_WARNING, 96, 0), "20000204#0004000000000060"),
        (StateLine(CanState.ERROR_PASSIVE, 128, 128), "20000204#0030000000008080"),
        (StateLine(CanState.ERROR_ACTIVE, 57, 33), "20000204#0040000000002139"),
        (StateLine(CanState.ERROR_PASSIVE, 999, 0), "20000204#00100000000000FF"),
        (StateLine(CanState.BUS_OFF, 256, 256), "20000040#0000000000000000"),
    ],
)
def test_states(line: StateLine, frame: str) -> None:
    assert str(state_report(line)) == frame


@pytest.mark.parametrize(
    ("letters", "frame"),
    [
        ("a", "200000A8#0000001900000000"),
        ("b", "20000088#0000080000000000"),
        ("B", "20000088#0000100000000000"),
        ("c", "20000088#0000010800000000"),
        ("f", "20000088#0000020000000000"),
        ("s", "20000088#0000040000000000"),
        ("o", "2000008C#0001000000000000"),
        ("oO", "2000008C#0002000000000000"),
        ("bcO", "2000008C#0002090800000000"),
    ],
)
def test_errors(letters: str, frame: str) -> None:
    assert str(errors_report(letters)) == frame


@pytest.mark.parametrize(
    ("flags", "state", "frame"),
    [
        (0x00, CanState.ERROR_ACTIVE, "None"),
        (0x03, CanState.ERROR_ACTIVE, "None"),  # what is full has not lost anything
        (0x04, CanState.ERROR_ACTIVE, "20000004#000C000000000000"),
        (0x04, CanState.ERROR_WARNING, "None"),
        (0x24, CanState.ERROR_WARNING, "20000004#0030000000000000"),
        (0x24, None, "None"),
        (0x00, CanState.ERROR_PASSIVE, "20000004#0040000000000000"),
        (0x08, CanState.ERROR_ACTIVE, "20000004#0001000000000000"),
        (0x40, CanState.ERROR_ACTIVE, "20000002#0000000000000000"),
        (0x80, CanState.ERROR_ACTIVE, "20000088#0000000000000000"),
        (0xEC, CanState.ERROR_ACTIVE, "2000008E#0031000000000000"),
    ],
)
def test_flags_of_the_status(flags: int, state: CanState | None, frame: str) -> None:
    assert str(status_report(flags, state)) == frame
