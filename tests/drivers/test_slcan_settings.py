"""What an adapter can be set to."""

from __future__ import annotations

import errno

import pytest

from anycan import BitTiming, CanErrorCounters, CanMode, CanState
from anycan.drivers.slcan_settings import SlcanSettings
from anycan.wire.netlink_can import CanModes, CanParameters

SETTINGS = SlcanSettings(bitrate=500_000)
LISTEN = int(CanMode.LISTENONLY)


def timing(bitrate: int) -> CanParameters:
    return CanParameters(bit_timing=BitTiming(bitrate=bitrate))


def modes(mask: int, flags: int) -> CanParameters:
    return CanParameters(modes=CanModes(mask, flags))


def test_what_can_be_changed() -> None:
    assert SETTINGS.changed(timing(10_000), up=False).bitrate == 10_000
    assert SETTINGS.changed(CanParameters(restart_ms=100), up=False).restart_ms == 100
    listening = SETTINGS.changed(modes(LISTEN, LISTEN), up=False)
    assert listening.listen_only
    assert listening.changed(modes(0x10, 0), up=False) == listening
    assert listening.changed(modes(LISTEN, 0), up=False) == SETTINGS
    assert SETTINGS.changed(CanParameters(restart=1), up=True) == SETTINGS


@pytest.mark.parametrize(
    ("request_", "up", "number", "text"),
    [
        (timing(83_333), False, errno.EINVAL, "no bit rate of 83333; those .* are 10000, 20000, "),
        (CanParameters(bit_timing=BitTiming(tq=125)), False, errno.EINVAL, "by a bit rate"),
        (timing(10_000), True, errno.EBUSY, "it is up"),
        (CanParameters(restart_ms=1), True, errno.EBUSY, "it is up"),
        (modes(LISTEN, LISTEN), True, errno.EBUSY, "it is up"),
        (modes(0x21, 0x21), False, errno.EOPNOTSUPP, "no mode "),
        (CanParameters(termination=120), False, errno.EOPNOTSUPP, "classical CAN alone"),
        (
            CanParameters(data_bit_timing=BitTiming(bitrate=1)),
            False,
            errno.EOPNOTSUPP,
            "classical CAN alone",
        ),
    ],
)
def test_what_cannot(request_: CanParameters, up: bool, number: int, text: str) -> None:
    with pytest.raises(OSError, match=text) as told:
        SETTINGS.changed(request_, up=up)
    assert told.value.errno == number


def test_what_netlink_tells_of_them() -> None:
    counters = CanErrorCounters(1, 2)
    told = SlcanSettings(bitrate=500_000, listen_only=True).parameters(CanState.BUS_OFF, counters)
    assert told.bit_timing == BitTiming(bitrate=500_000)
    assert told.modes == CanModes(0, LISTEN)
    assert (told.state, told.error_counters) == (CanState.BUS_OFF, counters)
    assert told.bitrates is not None
    assert len(told.bitrates) == 9
    assert SlcanSettings().parameters(CanState.STOPPED, None).bit_timing is None


def test_it_does_not_start_without_a_bit_rate() -> None:
    SETTINGS.check_start()
    with pytest.raises(OSError, match="no bit rate yet"):
        SlcanSettings().check_start()
