"""anycan interfaces set: its options, and errors in their words."""

from __future__ import annotations

import attrs
import pytest

from anycan import CanMode, ConfigurationError, TransmitterDelay
from anycan.cli.common import UsageError
from anycan.cli.interfaces_options import (
    ControllerOptions,
    InterfaceOptions,
    ModeOptions,
    TimingOptions,
    arguments_of,
    in_options,
)
from anycan.cli.interfaces_text import mode_name


def test_every_mode_has_an_option() -> None:
    options = {name.replace("_", "-") for name in attrs.fields_dict(ModeOptions)}
    assert options == {mode_name(mode) for mode in CanMode}


@pytest.mark.parametrize("mode", list(CanMode))
@pytest.mark.parametrize("is_on", [True, False])
def test_a_mode_is_chosen(mode: CanMode, is_on: bool) -> None:
    options = ModeOptions(**{mode_name(mode).replace("-", "_"): is_on})
    assert options.chosen() == {mode: is_on}


def test_what_is_not_given_is_no_argument() -> None:
    nothing = TimingOptions(), ModeOptions(), ControllerOptions(), InterfaceOptions()
    assert arguments_of(*nothing) == {}
    assert arguments_of(
        TimingOptions(bitrate=500_000, data_sjw=2),
        ModeOptions(fd=False),
        ControllerOptions(restart=0.0),
        InterfaceOptions(up=False),
    ) == {
        "bitrate": 500_000,
        "data_sjw": 2,
        "modes": {CanMode.FD: False},
        "restart": 0.0,
        "up": False,
    }


def test_a_transmitter_delay() -> None:
    rest = ModeOptions(), ControllerOptions(), InterfaceOptions()
    timing = TimingOptions(tdc_offset=0, tdc_value=7)
    assert arguments_of(timing, *rest) == {"delay": TransmitterDelay(offset=0, value=7)}
    with pytest.raises(UsageError, match="go with --tdc-offset"):
        arguments_of(TimingOptions(tdc_value=7), *rest)


@pytest.mark.parametrize(
    ("text", "modes", "told"),
    [
        ("give data_bitrate= as well", {}, "give --data-bitrate as well"),
        ("goes with CanMode.FD (data_bitrate= ...)", {}, "goes with --fd (--data-bitrate ...)"),
        ("modes= is for one", {CanMode.LISTENONLY: True}, "--listen-only is for one"),
        (
            "which modes= turns off",
            {CanMode.ONE_SHOT: True, CanMode.FD: False},
            "which --no-fd turns off",
        ),
        ("modes= is for one", {}, "a mode is for one"),
        ("delay= is CAN FD's (data_bitrate=)", {}, "--tdc-offset is CAN FD's (--data-bitrate)"),
        ("queue_length= and unknown=", {}, "--queue-length and unknown="),
    ],
)
def test_errors_name_options(text: str, modes: dict[CanMode, bool], told: str) -> None:
    assert str(in_options(ConfigurationError(text), modes)) == told
