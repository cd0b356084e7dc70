"""The interfaces that anycan network serve begins with."""

from __future__ import annotations

import os
import pty
from typing import TYPE_CHECKING

import anyio
import attrs
import pytest

from anycan import (
    CanError,
    CanMode,
    Interface,
    InterfaceError,
    InterfaceExistsError,
    UserNetwork,
    list_interfaces,
)
from anycan.cli.common import UsageError
from anycan.cli.network_devices import add_devices

if TYPE_CHECKING:
    from collections.abc import Iterator


def made(
    vcan: tuple[str, ...] = (), can: tuple[str, ...] = (), slcan: tuple[str, ...] = ()
) -> list[Interface]:
    """Give the interfaces that a network has then."""

    async def run() -> list[Interface]:
        with UserNetwork() as network:
            add_devices(network, vcan, can, slcan)
            return await list_interfaces(network=network)

    return anyio.run(run)


@pytest.fixture
def line() -> Iterator[str]:
    """Give a serial line that nobody answers on."""
    ours, theirs = pty.openpty()
    yield os.ttyname(theirs)
    os.close(ours)
    os.close(theirs)


def test_virtual_ones() -> None:
    assert [(one.name, one.kind, one.up, one.mtu) for one in made(vcan=("a0", "b0"))] == [
        ("a0", "vcan", True, 72),
        ("b0", "vcan", True, 72),
    ]


def test_controllers() -> None:
    given = ("can0=500k", "can1=500k,data-bitrate=2M,bus=other", "can2")
    found = made(can=given)
    assert [(one.name, one.kind, one.up) for one in found] == [
        ("can0", "can", True),
        ("can1", "can", True),
        ("can2", "can", False),
    ]
    assert [(one.bitrate, one.data_bitrate) for one in found] == [
        (500_000, None),
        (500_000, 2_000_000),
        (None, None),
    ]


def test_a_serial_adapter(line: str) -> None:
    options = "bitrate=250k,listen-only,no-timestamps,serial-speed=9600"
    (found,) = made(slcan=(f"can0={line},{options}",))
    assert (found.name, found.up, found.bitrate, found.mtu) == ("can0", True, 250_000, 16)
    assert found.modes == CanMode.LISTENONLY


def test_a_serial_adapter_without_a_bit_rate_stays_down(line: str) -> None:
    (found,) = made(slcan=(f"can0={line}",))
    assert (found.up, found.bitrate) == (False, None)


def test_a_serial_adapter_that_is_not_there() -> None:
    with pytest.raises(InterfaceError, match="can0 does not come up"):
        made(slcan=("can0=/dev/none,bitrate=500k",))


def test_two_of_a_name() -> None:
    with pytest.raises(InterfaceExistsError):
        made(vcan=("a0",), can=("a0=500k",))


@attrs.frozen
class _Wrong:
    option: str
    text: str
    words: str


@pytest.mark.parametrize(
    "wrong",
    [
        _Wrong("vcan", "", "no interface can be called ''"),
        _Wrong("vcan", "far too long a name", "no interface can be called"),
        _Wrong("can", "can0=fast", "not a bit rate: 'fast'"),
        _Wrong("can", "can0=1", "can0 cannot be such a controller"),
        _Wrong("can", "can0,listen-only", "'listen-only' is none of data-bitrate=…, bus=…"),
        _Wrong("can", "can0=500k,data-bitrate=", "not a bit rate: ''"),
        _Wrong("can", "can0,bus=a,bus=b", "bus stands there twice"),
        _Wrong("slcan", "can0", "which serial line?"),
        _Wrong("slcan", "can0=,bitrate=500k", "which serial line?"),
        _Wrong("slcan", "can0=/dev/none,bitrate=123", "has no bit rate of 123"),
        _Wrong("slcan", "can0=/dev/none,serial-speed=fast", "fast"),
        _Wrong("slcan", "can0=/dev/none,listen-only=1", "'listen-only=1' is none of bitrate=…"),
    ],
    ids=lambda wrong: f"{wrong.option} {wrong.text}",
)
def test_what_is_no_interface(wrong: _Wrong) -> None:
    with pytest.raises(UsageError) as told:
        made(**{wrong.option: (wrong.text,)})
    assert not isinstance(told.value, CanError)
    assert f"{told.value}".startswith(f"--{wrong.option} {wrong.text}: ")
    assert wrong.words in f"{told.value}"
