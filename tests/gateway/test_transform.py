"""What becomes of a frame's bytes, as literal bytes: each operation, and their order."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from anycan.gateway.modification import Modification
from anycan.gateway.reasons import DropReason
from anycan.gateway.transform import make_transform
from anycan.wire.netlink_gateway_changes import Crc8Checksum, XorChecksum

pytestmark = pytest.mark.skipif(sys.byteorder == "big", reason="the bytes are a small machine's")

#            identifier len   reserved data
CLASSICAL = "23 01 00 00 04 aa bb 0c 11 22 33 44 55 66 77 88"
REMOTE = "23 01 00 40 04 aa bb 0c 11 22 33 44 55 66 77 88"
ERROR = "04 00 00 20 08 00 00 00 00 10 00 00 00 00 00 00"
FD_HEAD = "78 56 34 92 0c 05 aa bb"
FD = FD_HEAD + " 11 22 33 44 55 66 77 88" + " 99" * 56
XL = "23 01 5a 00 80 03 04 00 78 56 34 12 11 22 33 44"  # as many bytes as a classical frame


def through(payload: str, **operands: Any) -> str:
    transform = make_transform(**operands)
    assert transform is not None
    result = transform(bytes.fromhex(payload))
    return result if isinstance(result, DropReason) else result.hex(" ")


def modified(payload: str, *modify: Modification) -> str:
    return through(payload, modify=modify)


@pytest.mark.parametrize(
    ("modification", "classical", "flexible"),
    [
        (
            Modification.bit_and(id=0x0F0, length=7, data=b"\xf0", offset=1, flags=1),
            "20 00 00 00 04 aa bb 00 11 20 33 44 55 66 77 88",
            "70 00 00 80 04 01 aa bb 11 20 33 44 55 66 77 88" + " 99" * 56,
        ),
        (
            Modification.bit_or(id=0x00C, length=3, data=b"\xf0", offset=7, flags=2),
            "2f 01 00 00 07 aa bb 00 11 22 33 44 55 66 77 f8",
            "7c 56 34 92 0f 07 aa bb 11 22 33 44 55 66 77 f8" + " 99" * 56,
        ),
        (
            Modification.bit_xor(id=0x7FF, length=12, data=b"\xff\xff", offset=7, flags=1),
            "dc 06 00 00 08 aa bb 00 11 22 33 44 55 66 77 77",
            "87 51 34 92 00 04 aa bb 11 22 33 44 55 66 77 77 66" + " 99" * 55,
        ),
        (
            Modification.bit_set(id=0x456, length=8, data=b"\x01\x02", flags=4),
            "56 04 00 00 08 aa bb 00 01 02 33 44 55 66 77 88",
            "56 04 00 00 08 04 aa bb 01 02 33 44 55 66 77 88" + " 99" * 56,
        ),
        (
            Modification.bit_set(can_id=0xC2345678),
            "78 56 34 c2 04 aa bb 0c 11 22 33 44 55 66 77 88",
            "78 56 34 c2 0c 05 aa bb 11 22 33 44 55 66 77 88" + " 99" * 56,
        ),
    ],
)
def test_each_operation(modification: Modification, classical: str, flexible: str) -> None:
    assert modified(CLASSICAL, modification) == classical
    assert modified(FD, modification) == flexible


def test_what_xor_does_it_undoes() -> None:
    modification = Modification.bit_xor(can_id=0x81230456, data=bytes(range(8)), flags=0xFF)
    for payload in (CLASSICAL, REMOTE, ERROR, FD):
        once = modified(payload, modification)
        assert once != payload
        assert modified(once, modification) == payload


@pytest.mark.parametrize(
    ("modification", "before", "after"),
    [
        (Modification.bit_set(length=9), "04 aa bb 00", "08 aa bb 09"),
        (Modification.bit_set(length=15), "04 aa bb 00", "08 aa bb 0f"),
        (Modification.bit_xor(length=1), "08 aa bb 0c", "08 aa bb 0d"),
        (Modification.bit_xor(length=2), "08 aa bb 09", "08 aa bb 0b"),
        (Modification.bit_xor(length=1), "08 aa bb 08", "08 aa bb 09"),
        (Modification.bit_xor(length=1), "08 aa bb 10", "08 aa bb 09"),
        (Modification.bit_and(length=7), "08 aa bb 0c", "04 aa bb 00"),
        (Modification.bit_or(length=0), "08 aa bb 0c", "08 aa bb 0c"),
        (Modification.bit_or(length=0), "04 aa bb 0c", "04 aa bb 00"),
        (Modification.bit_or(id=0x123), "04 aa bb 0c", "04 aa bb 0c"),
    ],
)
def test_lengths_of_classical_frames_are_raw_dlcs(
    modification: Modification, before: str, after: str
) -> None:
    head, data = "23 01 00 00 ", " 11 22 33 44 55 66 77 88"
    assert modified(head + before + data, modification, Modification.bit_set(flags=1)) == (
        head + after + data
    )


def test_frames_that_become_too_long() -> None:
    for length in (16, 64):
        assert modified(CLASSICAL, Modification.bit_set(length=length)) is DropReason.LENGTH
    assert modified(CLASSICAL, Modification.bit_or(length=16)) is DropReason.LENGTH
    assert modified(FD, Modification.bit_or(length=64)) is DropReason.LENGTH  # 64 and 12
    longest = modified(FD, Modification.bit_set(length=64))
    assert longest == FD.replace("92 0c", "92 40")
    assert modified(longest, Modification.bit_xor(length=1)) is DropReason.LENGTH
    # What follows on it may make it fit: what counts is what comes of all.
    both = Modification.bit_set(length=64), Modification.bit_and(length=15)
    assert modified(CLASSICAL, *both) == CLASSICAL.replace("04 aa bb 0c", "00 aa bb 00")


def test_identifiers_of_remote_and_error_frames() -> None:
    replaced = Modification.bit_set(id=0x456)
    assert modified(REMOTE, replaced) == REMOTE.replace("23 01 00 40", "56 04 00 40")
    longer = Modification.bit_set(id=0x12345678)
    assert modified(REMOTE, longer) == REMOTE.replace("23 01 00 40", "78 56 34 d2")
    shorter = Modification.bit_set(extended=False)
    assert modified(FD, shorter) == FD.replace("78 56 34 92", "78 06 00 00")
    assert modified(ERROR, Modification.bit_or(id=0x200)) == "04 02" + ERROR[5:]


def test_a_frame_of_can_xl_is_told_from_its_flags() -> None:
    changed = "56 04 5a 00" + XL[11:35] + " 11 dd 33 44"
    modify = Modification.bit_set(id=0x456), Modification.bit_xor(data=b"\xff", offset=1)
    assert modified(XL, *modify) == changed
    assert modified(XL, *modify, Modification.bit_set(length=3)) == changed
    longer = XL.replace("04 00 78", "3c 00 78") + " 99" * 56  # as many as a CAN FD frame has
    assert modified(longer, *modify) == changed.replace("04 00 78", "3c 00 78") + " 99" * 56
    assert through(XL, id_map={0x123: 0x456}) == "56 04" + XL[5:]
    assert through(XL, checksums=[XorChecksum(0, 1, 2)]) == XL
    for convert in ("classical", "fd"):
        assert through(XL, convert=convert) is DropReason.DOES_NOT_FIT


def test_conversions() -> None:
    zeros = " 00" * 56
    assert through(CLASSICAL, convert="fd") == (
        "23 01 00 00 04 05 00 00 11 22 33 44 55 66 77 88" + zeros
    )
    assert through(CLASSICAL, convert="fd", bit_rate_switch=False) == (
        "23 01 00 00 04 04 00 00 11 22 33 44 55 66 77 88" + zeros
    )
    assert through(REMOTE, convert="fd") is DropReason.DOES_NOT_FIT
    assert through(FD.replace("92 0c", "92 09"), convert="classical") is DropReason.DOES_NOT_FIT
    assert through(FD.replace("92 0c", "92 08"), convert="classical") == (
        "78 56 34 92 08 00 00 00 11 22 33 44 55 66 77 88"
    )
    for payload, convert in (
        (CLASSICAL, "classical"),
        (REMOTE, "classical"),
        (ERROR, "classical"),
        (ERROR, "fd"),
        (FD, "fd"),
    ):
        assert through(payload, convert=convert) == payload


def test_identifiers_are_mapped_before_they_are_modified() -> None:
    one_more = [Modification.bit_or(id=1)]
    assert through(CLASSICAL, id_map={0x123: 0x200, 0x201: 0x300}, modify=one_more) == (
        CLASSICAL.replace("23 01", "01 02")
    )
    assert through(ERROR, id_map={4: 5}) == ERROR


def test_frames_are_modified_before_they_are_converted() -> None:
    shorter = [Modification.bit_set(length=2)]
    assert through(FD, modify=shorter, convert="classical") == (
        "78 56 34 92 02 00 00 00 11 22 33 44 55 66 77 88"
    )
    remote = [Modification.bit_or(can_id=0x40000000)]
    assert through(CLASSICAL, modify=remote, convert="fd") is DropReason.DOES_NOT_FIT


def test_checksums_are_those_of_the_frame_that_is_sent() -> None:
    checksums = [
        XorChecksum(0, 0, 10, 0x55),
        Crc8Checksum(1, 1, -1, bytes(range(256))),
    ]
    modify = [Modification.bit_set(id=1, length=3, data=b"\xf0\x0f")]
    # Byte 10 is in the frame of CAN FD alone; the last byte is the third one, the CRC the second.
    assert through(CLASSICAL, modify=modify, checksums=checksums) == (
        "01 00 00 00 03 aa bb 00 f0 0f 0f 44 55 66 77 88"
    )
    assert through(CLASSICAL, modify=modify, convert="fd", checksums=checksums) == (
        "01 00 00 00 03 05 00 00 f0 0f 0f 44 55 66 77 88 00 00 a5" + " 00" * 53
    )
    assert through(ERROR, convert="fd", checksums=checksums) == ERROR[:-2] + "10"


def test_a_frame_that_is_dropped_gets_no_further() -> None:
    checksums = [XorChecksum(0, 0, 1)]
    too_long = [Modification.bit_set(length=64)]
    assert through(CLASSICAL, modify=too_long, checksums=checksums) is DropReason.LENGTH
    assert through(FD, convert="classical", checksums=checksums) is DropReason.DOES_NOT_FIT


def test_there_is_no_function_for_nothing() -> None:
    assert make_transform() is None
    assert make_transform(id_map={}) is None
    assert make_transform(modify=[Modification.bit_and(id=0x1FFFFFFF)]) is None


def test_a_kind_of_frame_that_stays_what_it_is() -> None:
    payload = bytes.fromhex(CLASSICAL)
    for operands in (
        {"convert": "classical"},
        {"modify": [Modification.bit_set(flags=1)]},
        {"modify": [Modification.bit_set(data=b"1", offset=8)]},
        {"id_map": {0x124: 0x125}},
    ):
        transform = make_transform(**operands)
        assert transform is not None
        assert transform(payload) == payload
