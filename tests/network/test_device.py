"""What the network does with a driver that makes mistakes, or calls late."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from anycan import (
    DevicePort,
    Frame,
    NetworkDevice,
    TransmitResult,
    UserNetwork,
    open_raw,
)

pytestmark = pytest.mark.anyio


class Odd(NetworkDevice):
    """A driver that gives what a test says."""

    def __init__(self, result: Any = TransmitResult.SENT, failure: Exception | None = None) -> None:
        self.result = result
        self.failure = failure

    def supports_mtu(self, mtu: int) -> bool:
        return mtu == 16

    def start(self, port: DevicePort) -> None:
        self.port = port

    def stop(self) -> None:
        if self.failure is not None:
            raise self.failure

    def transmit(self, _payload: bytes) -> TransmitResult:
        return self.result  # type: ignore[no-any-return]  # whatever it is


async def test_a_driver_that_calls_when_it_has_been_removed() -> None:
    device = Odd()
    told = []
    with UserNetwork() as network:
        network._stack.link_watchers[lambda _interface, present: told.append(present)] = None
        network.add_device("can0", device)
        network.remove("can0")
        assert told[-1] is False
        del told[:]
        device.port.set_carrier(on=False)
        device.port.changed()
    assert told == []


async def test_a_driver_that_fails_to_stop(caplog: pytest.LogCaptureFixture) -> None:
    with UserNetwork() as network:
        network.add_device("can0", Odd(failure=ValueError("odd")))
        network.add_vcan("vcan0")
        with caplog.at_level(logging.ERROR, "anycan.network"):
            network.set_down("can0")
        assert not network.interfaces()[0].up
    assert "can0: its driver failed to stop; the network goes on" in caplog.text
    assert network.interfaces() == ()


async def test_a_driver_that_does_not_say_what_became_of_a_frame() -> None:
    async with UserNetwork() as network:
        network.add_device("can0", Odd(None))
        async with open_raw("can0", network=network) as can:
            with pytest.raises(TypeError, match=r"driver of can0, .*Odd.*TransmitResult.*not None"):
                can.send_nowait(Frame(1))


async def test_a_device_is_one_networks() -> None:
    device = Odd()
    with UserNetwork() as one, UserNetwork() as other:
        one.add_device("can0", device)
        with pytest.raises(ValueError, match="is can0's already: make another one"):
            other.add_device("can1", device)
        one.remove("can0")
        other.add_device("can1", device)
