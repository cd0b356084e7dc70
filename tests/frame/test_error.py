from __future__ import annotations

import re
from typing import Any

import pytest

from anycan.exceptions import FrameError
from anycan.frame import (
    ControllerError,
    ErrorClass,
    ErrorFrame,
    Frame,
    ProtocolError,
    ProtocolLocation,
    TransceiverError,
)


def test_the_classes_are_the_kernels() -> None:
    """As in linux/can/error.h, in its order."""
    assert [int(one) for one in ErrorClass] == [1 << bit for bit in range(10)]
    assert [one.name for one in ErrorClass] == [
        "TX_TIMEOUT",
        "LOST_ARBITRATION",
        "CONTROLLER",
        "PROTOCOL",
        "TRANSCEIVER",
        "NO_ACK",
        "BUS_OFF",
        "BUS_ERROR",
        "RESTARTED",
        "COUNTERS",
    ]
    assert ErrorClass.ALL.value == 0x1FFFFFFF


def test_the_details_are_the_kernels() -> None:
    assert [int(one) for one in ControllerError] == [1, 2, 4, 8, 0x10, 0x20, 0x40]
    assert [int(one) for one in ProtocolError] == [1, 2, 4, 8, 0x10, 0x20, 0x40, 0x80]
    assert ProtocolLocation.ACK_SLOT.value == 0x19
    assert ProtocolLocation.START_OF_FRAME.value == 0x03
    assert TransceiverError.CANL_SHORT_TO_CANH.value == 0x80
    assert TransceiverError.CANH_NO_WIRE.value == 0x04


def test_a_frame() -> None:
    frame = ErrorFrame(ErrorClass.BUS_OFF)
    assert frame.classes is ErrorClass.BUS_OFF
    assert frame.data == bytes(8)
    assert frame.can_id == 0x20000040
    assert ErrorFrame(0x40) == frame
    assert type(ErrorFrame(0x40).classes) is ErrorClass


def test_without_a_class_there_is_no_detail() -> None:
    frame = ErrorFrame(ErrorClass.NO_ACK, bytes([1, 2, 3, 4, 5, 6, 7, 8]))
    assert frame.lost_arbitration_bit is None
    assert frame.controller is None
    assert frame.protocol is None
    assert frame.protocol_location is None
    assert frame.transceiver is None
    assert frame.tx_error_count is None
    assert frame.rx_error_count is None


def test_each_detail_has_its_byte() -> None:
    data = bytes([0x0B, 0x44, 0x84, 0x19, 0x50, 0xEE, 128, 96])
    frame = ErrorFrame(ErrorClass.ALL, data)
    assert frame.lost_arbitration_bit == 11
    assert frame.controller == ControllerError.ACTIVE | ControllerError.RX_WARNING
    assert frame.protocol == ProtocolError.TX | ProtocolError.STUFF
    assert frame.protocol_location is ProtocolLocation.ACK_SLOT
    assert frame.transceiver is TransceiverError.CANL_SHORT_TO_BATTERY
    assert frame.tx_error_count == 128
    assert frame.rx_error_count == 96


def test_what_the_header_does_not_name_is_a_number() -> None:
    frame = ErrorFrame(ErrorClass.ALL, bytes([0, 0x80, 0, 0xFF, 0x11, 0, 0, 0]))
    assert frame.protocol_location == 0xFF
    assert not isinstance(frame.protocol_location, ProtocolLocation)
    assert frame.transceiver == 0x11
    assert not isinstance(frame.transceiver, TransceiverError)
    assert frame.controller == 0x80


@pytest.mark.parametrize("length", range(8))
def test_a_short_frame_has_zero_for_what_it_lacks(length: int) -> None:
    frame = ErrorFrame(ErrorClass.ALL, bytes([0x40] * length))
    details = [
        frame.lost_arbitration_bit,
        frame.controller,
        frame.protocol,
        frame.protocol_location,
        frame.transceiver,
        frame.tx_error_count,
        frame.rx_error_count,
    ]
    positions = [0, 1, 2, 3, 4, 6, 7]
    assert details == [0x40 if position < length else 0 for position in positions]


def test_build_writes_each_detail_and_sets_its_class() -> None:
    build = ErrorFrame.build
    assert build() == ErrorFrame(0)
    assert build(ErrorClass.NO_ACK | ErrorClass.RESTARTED) == ErrorFrame(0x120)
    assert str(build(lost_arbitration_bit=11)) == "20000002#0B00000000000000"
    assert str(build(lost_arbitration_bit=0)) == "20000002#0000000000000000"
    assert str(build(controller=ControllerError.TX_PASSIVE)) == "20000004#0020000000000000"
    assert (
        str(build(protocol=ProtocolError.BIT0, protocol_location=ProtocolLocation.DATA))
        == "20000008#0000080A00000000"
    )
    assert str(build(protocol=ProtocolError.BIT)) == "20000008#0000010000000000"
    assert str(build(transceiver=TransceiverError.CANH_NO_WIRE)) == "20000010#0000000004000000"
    assert str(build(tx_error_count=128)) == "20000200#0000000000008000"
    assert str(build(rx_error_count=96)) == "20000200#0000000000000060"
    assert str(build(ErrorClass.BUS_OFF, rx_error_count=0)) == "20000240#0000000000000000"


def test_what_is_built_reads_the_same() -> None:
    frame = ErrorFrame.build(
        ErrorClass.BUS_ERROR,
        lost_arbitration_bit=7,
        controller=ControllerError.RX_OVERFLOW | ControllerError.TX_OVERFLOW,
        protocol=ProtocolError.FORM,
        protocol_location=0x7F,
        transceiver=TransceiverError.CANL_NO_WIRE,
        tx_error_count=255,
        rx_error_count=1,
    )
    assert frame.classes == 0x29E
    assert frame.lost_arbitration_bit == 7
    assert frame.controller == ControllerError.RX_OVERFLOW | ControllerError.TX_OVERFLOW
    assert frame.protocol is ProtocolError.FORM
    assert frame.protocol_location == 0x7F
    assert frame.transceiver is TransceiverError.CANL_NO_WIRE
    assert (frame.tx_error_count, frame.rx_error_count) == (255, 1)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"classes": -1}, "error classes is 0 to 536870911, not -1"),
        ({"classes": 0x20000000}, "error classes is 0 to 536870911, not 536870912"),
        ({"classes": "1"}, "error classes is an integer, not '1'"),
        ({"classes": 1, "data": bytes(9)}, "an error frame carries 0 to 8 bytes of data, not 9"),
    ],
)
def test_out_of_range(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(FrameError, match=re.escape(words)):
        ErrorFrame(**arguments)


@pytest.mark.parametrize(
    "name",
    [
        "lost_arbitration_bit",
        "controller",
        "protocol",
        "transceiver",
        "tx_error_count",
        "rx_error_count",
    ],
)
@pytest.mark.parametrize("value", [-1, 256])
def test_details_are_bytes(name: str, value: int) -> None:
    arguments: dict[str, Any] = {name: value}
    with pytest.raises(FrameError, match=f"{name} is 0 to 255, not {value}"):
        ErrorFrame.build(**arguments)


def test_the_location_is_a_byte() -> None:
    with pytest.raises(FrameError, match="protocol_location is 0 to 255, not 256"):
        ErrorFrame.build(protocol=ProtocolError.BIT, protocol_location=256)


@pytest.mark.parametrize(
    ("frame", "text", "code"),
    [
        (
            ErrorFrame(ErrorClass.CONTROLLER, b"\x00\x01"),
            "20000004#0001",
            r"ErrorFrame(ErrorClass.CONTROLLER, b'\x00\x01')",
        ),
        (
            ErrorFrame(0x240, b""),
            "20000240#",
            "ErrorFrame(ErrorClass.BUS_OFF | ErrorClass.COUNTERS, b'')",
        ),
        (
            ErrorFrame(0x10000002, b""),
            "30000002#",
            "ErrorFrame(ErrorClass.LOST_ARBITRATION | 0x10000000, b'')",
        ),
        (ErrorFrame(0, b""), "20000000#", "ErrorFrame(0x0, b'')"),
    ],
)
def test_text_and_code(frame: ErrorFrame, text: str, code: str) -> None:
    assert str(frame) == text
    assert repr(frame) == code
    assert Frame.parse(text) == frame


def test_match_by_position() -> None:
    match ErrorFrame(ErrorClass.BUS_OFF, b"\x01"):
        case ErrorFrame(ErrorClass.BUS_OFF, data):
            assert data == b"\x01"
        case _:
            pytest.fail("no match")
