"""What is the same of every network's links: names, and errors."""

from __future__ import annotations

import errno
from typing import Any

import pytest

from anycan import CanState, Interface, InterfaceError, InterfaceExistsError
from anycan.interfaces.links import (
    check_restart,
    exists,
    no_bit_rate,
    not_deletable,
)
from anycan.network.user_interface import check_name


@pytest.mark.parametrize("name", ["a", "vcan0", "x" * 15, "ä" * 7, "can-0.1", "...", "#"])
def test_names(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize(
    "name", ["", "x" * 16, "ä" * 8, ".", "..", "a/b", "a:1", "a b", "a\tb", "a\n", "can%d", "a\0"]
)
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(ValueError, match="1 to 15 characters") as told:
        check_name(name)
    assert repr(name) in str(told.value)


def test_a_name_that_is_taken() -> None:
    error = exists("can0", "kernel")
    assert isinstance(error, InterfaceExistsError)
    assert (error.errno, error.interface) == (errno.EEXIST, "can0")
    assert error.strerror == "there is an interface can0 already"
    assert exists("can0", "user:x").strerror == "there is an interface can0 on user:x already"


CAN0 = Interface(index=1, name="can0", kind="can")


def test_what_cannot_be_deleted_or_come_up() -> None:
    error = not_deletable(CAN0)
    assert (error.errno, error.interface) == (errno.EOPNOTSUPP, "can0")
    assert "no vcan or vxcan" in str(error)
    error = no_bit_rate(CAN0)
    assert (error.errno, error.interface) == (errno.EINVAL, "can0")
    assert "configure_interface('can0', bitrate=500_000, up=True)" in str(error)


def off(**fields: Any) -> Interface:
    given = {"up": True, "restart": 0.0, "state": CanState.BUS_OFF}
    return Interface(index=1, name="can0", kind="can", **given | fields)


def test_what_is_bus_off_can_be_restarted() -> None:
    check_restart(off())


@pytest.mark.parametrize(
    ("fields", "number", "text"),
    [
        ({"restart": None}, errno.EOPNOTSUPP, "can0 has no controller, and nothing to restart"),
        ({"up": False}, errno.EINVAL, "can0 is down: set it up in place of that"),
        ({"restart": 0.1}, errno.EINVAL, "can0 restarts by itself, 0.1 s after bus-off: "),
        ({"state": CanState.ERROR_PASSIVE}, errno.EBUSY, "not bus-off (its state is error-passive"),
        ({"state": None}, errno.EBUSY, "can0 is not bus-off (its state is unknown)"),
    ],
)
def test_what_cannot_be_restarted(fields: dict[str, Any], number: int, text: str) -> None:
    with pytest.raises(InterfaceError) as told:
        check_restart(off(**fields))
    assert (told.value.errno, told.value.interface) == (number, "can0")
    assert text in str(told.value)
