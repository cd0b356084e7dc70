"""anycan interfaces set: bit rates, modes and the rest."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

import pytest

from anycan import (
    CanMode,
    Interface,
    UserNetwork,
)
from anycan.cli import interfaces_set, main

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME: Final = f"set-{os.getpid()}"


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Iterator[UserNetwork]:
    """Give a network that commands take without ``--network``, with two interfaces."""
    with UserNetwork(name=NAME) as network:
        monkeypatch.setenv("ANYCAN_NETWORK", f"user:{NAME}")
        network.add_can("can0")
        network.add_vcan("vcan0")
        yield network


@pytest.mark.usefixtures("network")
@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            "can0 --bitrate 500k --up",
            "can0: up, ERROR-ACTIVE, can, 500k 87.5 %, CAN (MTU 16), queue 10",
        ),
        (
            "can0 --bitrate 500000 --sample-point 0.8 --restart 0.1 --termination 120",
            "can0: down, can, 500k 80 %, CAN (MTU 16), restart after 0.1 s, 120 ohms, queue 10",
        ),
        (
            "can0 --bitrate 0.5M --data-bitrate 2M --data-sample-point 0.7 --up",
            (
                "can0: up, ERROR-ACTIVE, can, 500k 87.5 %, data 2M 70 %, CAN FD (MTU 72), fd,"
                " queue 10"
            ),
        ),
        (
            "can0 --bitrate 1M --listen-only --one-shot --no-loopback --queue-length 500",
            "can0: down, can, 1M 75 %, CAN (MTU 16), listen-only, one-shot, queue 500",
        ),
        ("vcan0 --mtu 16 --down", "vcan0: down, vcan, CAN (MTU 16), queue 1000"),
        ("vcan0 --queue-length 0", "vcan0: up, vcan, CAN FD (MTU 72), queue 0"),
    ],
)
def test_set(arguments: str, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["interfaces", "set", *arguments.split()]) == 0
    assert capsys.readouterr() == (f"{line}\n", "")


@pytest.mark.usefixtures("network")
def test_what_is_not_given_stays(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (
        "--bitrate 500k --data-bitrate 2M --restart 0.1 --up",
        "--no-fd",
        "--restart 0",
    ):
        assert main(["interfaces", "set", "can0", *arguments.split()]) == 0
    assert (
        capsys.readouterr()
        .out.splitlines()[-1]
        .startswith("can0: up, ERROR-ACTIVE, can, 500k 87.5 %,")
    )


@pytest.mark.parametrize("mode", list(CanMode))
@pytest.mark.parametrize("is_on", [True, False])
def test_every_mode_has_two_flags(
    mode: CanMode, is_on: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[dict[str, Any]] = []

    async def configure_interface(name: str, **wanted: Any) -> Interface:
        taken.append(wanted)
        return Interface(index=1, name=name)

    monkeypatch.setattr(interfaces_set, "configure_interface", configure_interface)
    name = (mode.name or "").lower().replace("listenonly", "listen-only").replace("_", "-")
    flag = f"--{name}" if is_on else f"--no-{name}"
    assert main(["interfaces", "set", "can0", flag]) == 0
    assert taken == [{"network": None, "modes": {mode: is_on}}]


@pytest.mark.usefixtures("network")
@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ("can0 --fd", "can0: CAN FD has a data bit rate: give --data-bitrate"),
        (
            "can0 --bitrate 500k --data-bitrate 2M --no-fd",
            "can0: a data bit rate is CAN FD's, which --no-fd turns off",
        ),
        ("vcan0 --bitrate 1M", "vcan0 is a vcan, and has no controller to set: --bitrate is for"),
        ("vcan0 --fd", "vcan0 is a vcan, and has no controller to set: --fd is for one"),
        (
            "can0 --bitrate 500k --tdc-offset 3",
            "can0: --tdc-offset is CAN FD's, which is off (--data-bitrate)",
        ),
        ("vcan0 --tdc-offset 3", "vcan0 is a vcan, and has no controller to set: --tdc-offset is"),
        ("can0 --sjw 3", "can0 has no bit rate yet: give --bitrate as well"),
        ("can0 --bitrate 500k --sample-point 0.999", "can0: sample point 0.999 not reachable; "),
        ("can0 --bitrate 500k --xl", "can0: its controller has no mode XL; it has LOOPBACK, "),
        ("can0 --termination 60", "can0: its termination is one of 0, 120 ohms, not 60"),
        ("vcan0 --mtu 20", "vcan0 cannot have an MTU of 20: 16 (classical CAN), 72 (CAN FD) or"),
        ("can0 --mtu 72", "can0 is a controller: its MTU goes with --fd (--data-bitrate turns"),
        ("can0 --up", "can0 has no bit rate yet, and does not come up: set the one of the bus"),
        ("can9 --up", "there is no interface can9; the interfaces of "),
    ],
)
def test_what_it_cannot_have_is_one_line(
    arguments: str, error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["interfaces", "set", *arguments.split()]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"anycan: {error}")
    assert err.count("\n") == 1


@pytest.mark.usefixtures("network")
@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ("can0", "nothing to set: 'anycan interfaces show can0' shows what can0 is; "),
        ("can0 --bitrate 3G", "Invalid value for --bitrate: not a bit rate: '3G'; write bits a"),
        ("can0 --data-bitrate 0", "Invalid value for --data-bitrate: not a bit rate: '0'; "),
        ("can0 --sample-point 87.5", 'Invalid value "87.5" for --sample-point.'),
        ("can0 --sample-point nan", 'Invalid value "nan" for --sample-point.'),
        ("can0 --restart -1", 'Invalid value "-1.0" for --restart.'),
        ("can0 --restart inf", 'Invalid value "inf" for --restart.'),
        ("can0 --restart 1e9", 'Invalid value "1000000000.0" for --restart.'),
        ("can0 --sjw 0", 'Invalid value "0" for --sjw.'),
        ("can0 --termination -1", 'Invalid value "-1" for --termination.'),
        ("can0 --mtu 9000", 'Invalid value "9000" for --mtu.'),
        ("can0 --queue-length -1", 'Invalid value "-1" for --queue-length.'),
        ("can0 --tdc-value 3", "--tdc-value and --tdc-filter go with --tdc-offset."),
        ("can0 --no-up", "Unknown option: --no-up."),
        ("can0 --fd --no-fd", ""),
    ],
)
def test_a_wrong_command_line(
    arguments: str, error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["interfaces", "set", *arguments.split()]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"anycan: {error}")
    assert err.endswith("See --help.\n")
    assert err.count("\n") == 1
