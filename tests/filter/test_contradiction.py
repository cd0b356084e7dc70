"""Why a filter can match nothing, in its user's terms; ``test_laws.py`` shows it is never wrong."""

from __future__ import annotations

import pytest

from anycan.filter import Filter, byte

_ID = "a data or remote frame has one identifier, of 11 or of 29 bits"
_ERROR = "an error frame has neither identifier nor payload of its own"


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        (Filter.none(), "Filter.none() takes nothing"),
        (Filter.id(1) & Filter.id(2), f"both Filter.id(0x1) and Filter.id(0x2): {_ID}"),
        (Filter.id(1) & Filter.remote(1), f"both Filter.id(0x1) and Filter.remote(0x1): {_ID}"),
        (
            Filter.fd() & Filter.id(1) & Filter.extended(),
            f"both Filter.id(0x1) and Filter.extended(): {_ID}",
        ),
        (Filter.range(1, 4) - Filter.range(0, 5),
         f"both Filter.range(0x1, 0x4) and ~Filter.range(0x0, 0x5): {_ID}"),
        (~Filter.all(), f"~Filter.all(): {_ID}"),
        (
            Filter.range(1, 2) & ~Filter.id(1) & ~Filter.id(2),
            f"Filter.range(0x1, 0x2), ~Filter.id(0x1) and ~Filter.id(0x2): {_ID}",
        ),
        (Filter.fd() & Filter.remote(), "both Filter.fd() and Filter.remote(): a frame is of one"),
        (Filter.fd() & Filter.xl(), "both Filter.fd() and Filter.xl(): a frame is of one kind"),
        (Filter.fd() - Filter.fd(), "both Filter.fd() and ~Filter.fd(): a frame is of one kind"),
        (Filter.xl() & Filter.extended(), "a frame is of one kind"),
        (Filter.xl(1) & Filter.xl(2), "has one priority and one VCID"),
        (Filter.xl(vcid=1) & Filter.xl(vcid=2), "has one priority and one VCID"),
        (Filter.remote() & (byte(0) == 1), "both Filter.remote() and (byte(0) == 0x01): a frame"),
        ((byte(0) == 1) & (byte(0) == 2), "no value of byte 0 is left"),
        ((byte(0) < 9) & Filter.id(1) & ~(byte(0) < 10), "(byte(0) < 0x09) and ~(byte(0) < 0x0A)"),
        (byte(0) < 0, "no frame passes byte(0) < 0x00: no value of byte 0 is left"),
        (Filter.length(2) & (byte(2) == 1), "Filter.length(2) and (byte(2) == 0x01): a frame has"),
        (Filter.length(2) & Filter.length(3), "a frame has one length"),
        (Filter.length(2) - Filter.length(maximum=3), "a frame has one length"),
        (Filter.length(minimum=1) - (byte(0) >= 0), "a frame has one length"),
        (Filter.classical() & Filter.length(9), "a frame of classical CAN has 0 to 8 bytes"),
        (Filter.fd() & (byte(64) == 0), "of CAN FD 0 to 64"),
        (Filter.xl() & Filter.length(0), "of CAN XL 1 to 2048"),
        (Filter.interface("a") & Filter.interface("b"), "a frame is received from one interface"),
        (Filter.interface("a") - Filter.interface("a", "b"), "is received from one interface"),
        (Filter.errors() & Filter.id(1), f"Filter.errors() and Filter.id(0x1): {_ERROR}"),
        (Filter.errors() & Filter.all(), _ERROR),
        (Filter.errors() & Filter.where(print), _ERROR),
        (Filter.errors(4) - Filter.errors(6), "of the same classes are wanted and not wanted"),
        (
            (Filter.id(1) | Filter.id(2)) & Filter.id(3),
            f"and Filter.id(0x3): {_ID}; no frame passes both Filter.id(0x2) and Filter.id(0x3): ",
        ),
    ],
    ids=lambda one: repr(one) if isinstance(one, Filter) else "",
)  # fmt: skip
def test_reasons(wanted: Filter, reason: str) -> None:
    found = wanted.contradiction()
    assert found is not None
    assert reason in found


@pytest.mark.parametrize(
    "wanted",
    [
        Filter.all(),
        ~Filter.none(),
        Filter.id(1) - (byte(0) == 1),
        ~(byte(0) >= 0),
        Filter.classical() & Filter.remote(),
        Filter.classical() - Filter.length(minimum=0),
        Filter.errors() - Filter.id(1),
        Filter.errors(6) & Filter.errors(12),
        Filter.errors(4) & Filter.interface("a"),
        Filter.where(print) - Filter.where(print),
        Filter.id(1) & (Filter.id(2) | Filter.id(1)),
        Filter.fd() & (byte(63) == 0),
        Filter.xl() & Filter.standard(),
        Filter.parse("450123:FF07FF") & Filter.standard(),
    ],
    ids=repr,
)
def test_what_may_match(wanted: Filter) -> None:
    assert wanted.contradiction() is None


def test_too_many_ways_are_not_gone_through() -> None:
    many = Filter.all()
    for place in range(7):
        many &= (byte(place) == 1) | (byte(place) == 2)
    assert (many & Filter.remote()).contradiction() is None
