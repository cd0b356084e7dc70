"""The numbers are those of the host's headers, where Python's socket module knows them."""

from __future__ import annotations

import socket
import sys

import pytest

from anycan.frame import EFF_FLAG, EFF_MASK, ERR_FLAG, RTR_FLAG, SFF_MASK
from anycan.wire import constants

NAMES = [name for name in vars(constants) if name.isupper()]
KNOWN = [name for name in NAMES if hasattr(socket, name)]


@pytest.mark.skipif(sys.platform != "linux", reason="the numbers are Linux's")
@pytest.mark.parametrize("name", KNOWN)
def test_python_has_the_same_number(name: str) -> None:
    assert getattr(constants, name) == getattr(socket, name)


@pytest.mark.skipif(sys.platform != "linux", reason="the numbers are Linux's")
def test_what_python_knows_of_can_is_compared() -> None:
    assert {"AF_CAN", "CAN_RAW", "SOL_CAN_RAW", "CAN_RAW_FILTER", "CAN_RAW_FD_FRAMES"} <= set(KNOWN)


@pytest.mark.skipif(sys.platform != "linux", reason="the flags are Linux's socket module's")
def test_the_flags_of_an_identifier() -> None:
    assert (EFF_FLAG, RTR_FLAG, ERR_FLAG, SFF_MASK, EFF_MASK) == (
        socket.CAN_EFF_FLAG,
        socket.CAN_RTR_FLAG,
        socket.CAN_ERR_FLAG,
        socket.CAN_SFF_MASK,
        socket.CAN_EFF_MASK,
    )


def test_sizes_of_the_headers_that_python_does_not_know() -> None:
    assert (constants.CAN_MTU, constants.CANFD_MTU) == (16, 72)
    assert constants.CANXL_MTU == constants.CANXL_HEADER_SIZE + 2048
    assert constants.CANXL_MIN_MTU == constants.CANXL_HEADER_SIZE + 64
    assert constants.SOL_CAN_RAW == 101
    assert constants.CAN_INV_FILTER == ERR_FLAG


def test_options_have_numbers_of_their_own() -> None:
    options = [getattr(constants, name) for name in NAMES if name.startswith("SO_")]
    assert len(options) == len(set(options)) > 1
