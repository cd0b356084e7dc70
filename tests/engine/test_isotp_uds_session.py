"""A recorded session of diagnostics, decoded here and by another implementation (can-isotp)."""

from __future__ import annotations

import os
from collections import Counter, deque
from pathlib import Path
from typing import TYPE_CHECKING, Final

import isotp
import pytest

from anycan.engine.isotp_guess import guess_connections
from anycan.engine.isotp_monitor import IsotpMonitor
from anycan.wire.isotp_address import Address
from anycan.wire.log import read_log

if TYPE_CHECKING:
    from anycan.engine.isotp_record import IsotpRecord
    from anycan.frame import AnyFrame

RECORDINGS: Final = os.environ.get("ANYCAN_RECORDINGS")
LOG: Final = Path(RECORDINGS or "", "uds-session.log")
TESTER: Final = Address.normal(0x641, 0x651)

pytestmark = pytest.mark.skipif(
    not RECORDINGS or not LOG.exists(),
    reason=(
        f"there is no {LOG}"
        if RECORDINGS
        else f"ANYCAN_RECORDINGS names no directory with a recording {LOG}"
    ),
)


@pytest.fixture(scope="module")
def frames() -> list[AnyFrame]:
    with LOG.open("rb") as file:
        return [record.frame for record in read_log(file)]


@pytest.fixture(scope="module")
def records(frames: list[AnyFrame]) -> list[IsotpRecord]:
    monitor = IsotpMonitor([TESTER])
    heard = [record for frame in frames for record in monitor.feed(frame)]
    assert monitor.finish() == []
    counters = (monitor.heard, monitor.ignored, monitor.malformed, monitor.unexpected)
    assert counters == (9405, 4023, 0, 0)
    assert (monitor.pdus, monitor.faults) == (5377, 3)
    return heard


def decoded_otherwise(frames: list[AnyFrame], identifier: int) -> list[bytes]:
    """Give the PDUs that can-isotp receives from an identifier."""
    waiting: deque[isotp.CanMessage] = deque()
    layer = isotp.TransportLayerLogic(
        rxfn=lambda _timeout: waiting.popleft() if waiting else None,
        txfn=lambda _message: pytest.fail("whoever listens sends nothing"),
        address=isotp.Address(isotp.AddressingMode.Normal_11bits, rxid=identifier, txid=0x7FF),
        params={"listen_mode": True},
    )
    pdus = []
    for frame in frames:
        waiting.append(isotp.CanMessage(frame.id, len(frame.data), frame.data))
        layer.process()
        while (pdu := layer.recv()) is not None:
            pdus.append(bytes(pdu))
    return pdus


@pytest.mark.parametrize(
    ("direction", "identifier", "count"), [("tx", 0x641, 2698), ("rx", 0x651, 2679)]
)
def test_the_same_pdus_in_the_same_order(
    frames: list[AnyFrame],
    records: list[IsotpRecord],
    direction: str,
    identifier: int,
    count: int,
) -> None:
    whole = [one.pdu for one in records if one.direction == direction and one.fault is None]
    assert len(whole) == count
    assert whole == decoded_otherwise(frames, identifier)


def test_what_was_begun_and_never_continued(records: list[IsotpRecord]) -> None:
    broken = [
        (one.direction, one.fault, one.pdu, one.length, one.flow_controls, one.duration)
        for one in records
        if one.fault is not None
    ]
    beginning = bytes(6)
    assert broken == [
        ("tx", "timeout", beginning, 100, 1, 1.002087),
        ("rx", "timeout", beginning, 100, 0, 1.0),
        ("tx", "timeout", beginning, 100, 1, 1.003109),
    ]


def test_what_was_said(records: list[IsotpRecord]) -> None:
    whole = [one for one in records if one.fault is None]
    lengths = Counter(len(one.pdu) for one in whole)
    assert lengths == {1: 640, 2: 2160, 3: 2519, 4: 28, 6: 30}
    replies = [one.pdu for one in whole if one.direction == "rx"]
    refusals = Counter(reply[2] for reply in replies if reply[0] == 0x7F)
    assert refusals == {0x11: 585, 0x12: 1749, 0x13: 34, 0x33: 2, 0x35: 2, 0x7F: 147}
    assert len(replies) - refusals.total() == 160
    services = Counter(one.pdu[0] for one in whole if one.direction == "tx")
    assert services.most_common(3) == [(0x10, 1295), (0x27, 669), (0x3E, 109)]


def test_no_connection_is_guessed_where_no_pdu_of_several_frames_came_whole(
    frames: list[AnyFrame],
) -> None:
    assert guess_connections(frames) == []
