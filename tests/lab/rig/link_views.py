"""The kernel's interfaces as ``ip`` shows them, and as pyroute2 tells of them."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any, Final

import attrs
import pytest

from anycan import CanErrorCounters, CanMode, CanState
from rig.blocking import excuse
from rig.host import search_path

if TYPE_CHECKING:
    from anycan import Interface

_STATES: Final = {
    "ERROR-ACTIVE": CanState.ERROR_ACTIVE,
    "ERROR-WARNING": CanState.ERROR_WARNING,
    "ERROR-PASSIVE": CanState.ERROR_PASSIVE,
    "BUS-OFF": CanState.BUS_OFF,
    "STOPPED": CanState.STOPPED,
    "SLEEPING": CanState.SLEEPING,
}
_MODES: Final = {
    "LOOPBACK": CanMode.LOOPBACK,
    "LISTEN-ONLY": CanMode.LISTENONLY,
    "TRIPLE-SAMPLING": CanMode.TRIPLE_SAMPLING,
    "ONE-SHOT": CanMode.ONE_SHOT,
    "BERR-REPORTING": CanMode.BERR_REPORTING,
    "FD": CanMode.FD,
    "PRESUME-ACK": CanMode.PRESUME_ACK,
    "FD-NON-ISO": CanMode.FD_NON_ISO,
    "CC-LEN8-DLC": CanMode.CC_LEN8_DLC,
    "TDC-AUTO": CanMode.TDC_AUTO,
    "TDC-MANUAL": CanMode.TDC_MANUAL,
}


def program(*words: str) -> str:
    """Run a program, and give what it writes."""
    done = subprocess.run(  # noqa: S603 - a test's own words
        words,
        env={**os.environ, "PATH": search_path()},
        capture_output=True,
        text=True,
        check=False,
    )
    excuse()
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr}")
    return done.stdout


def shown(name: str | None = None) -> dict[str, dict[str, Any]]:
    """Give what ``ip`` shows of interfaces, by name."""
    which = [] if name is None else ["dev", name]
    told = json.loads(program("ip", "-details", "-statistics", "-json", "link", "show", *which))
    return {link["ifname"]: link for link in told if link}


def assert_as_shown(interface: Interface, link: dict[str, Any]) -> None:
    """See to it that ``ip`` shows the same in every field that it knows."""
    assert (interface.index, interface.name) == (link["ifindex"], link["ifname"])
    assert interface.mtu == link["mtu"]
    assert interface.queueing == link["qdisc"]
    assert interface.queue_length == link.get("txqlen", 0)
    assert interface.up == ("UP" in link["flags"])
    assert interface.parent_bus == link.get("parentbus")
    assert interface.parent_name == link.get("parentdev")
    assert link["group"] == "default"
    assert interface.group == 0
    counts = interface.statistics
    assert counts is not None
    for direction in ("rx", "tx"):
        told = link["stats64"][direction]
        for ours, theirs in (("packets", "packets"), ("bytes", "bytes"), ("errors", "errors")):
            assert getattr(counts, f"{direction}_{ours}") == told[theirs]
        assert getattr(counts, f"{direction}_dropped") == told["dropped"]
    assert interface.kind == link["linkinfo"]["info_kind"]
    if interface.kind == "can":
        _assert_controller_as_shown(interface, link["linkinfo"])


def _assert_controller_as_shown(interface: Interface, info: dict[str, Any]) -> None:
    data = info["info_data"]
    assert interface.state is _STATES[data["state"]]
    modes = CanMode(0)
    for word in data.get("ctrlmode", []):
        modes |= _MODES[word]
    assert interface.modes == modes
    if "ctrlmode_supported" in data:  # since iproute2 5.17
        supported = CanMode(0)
        for word in data["ctrlmode_supported"]:
            supported |= _MODES[word]
        assert interface.supported_modes == supported
    assert interface.restart == data.get("restart_ms", 0) / 1000
    assert interface.clock == data["clock"]
    counters = data.get("berr_counter")
    if counters is not None:
        assert interface.error_counters == CanErrorCounters(counters["tx"], counters["rx"])
    timing = data.get("bittiming")
    if timing is None:
        assert interface.bit_timing is None
    else:
        ours = interface.bit_timing
        assert ours is not None
        assert ours.sample_point == round(float(timing.pop("sample_point")) * 1000)
        assert timing
        assert {name: getattr(ours, name) for name in timing} == timing
    limits = data["bittiming_const"]
    constants = interface.bit_timing_constants
    assert constants is not None
    assert constants.name == limits["name"]
    for field in ("tseg1", "tseg2", "brp"):
        assert getattr(constants, f"{field}_min") == limits[field]["min"]
        assert getattr(constants, f"{field}_max") == limits[field]["max"]
    assert constants.sjw_max == limits["sjw"]["max"]
    assert constants.brp_inc == limits["brp_inc"]
    xstats = info.get("info_xstats")
    if xstats is not None:
        told = interface.can_statistics
        assert told is not None
        known = {field: value for field, value in attrs.asdict(told).items() if field in xstats}
        assert known
        assert {field: xstats[field] for field in known} == known


def _fields_of(found: Any) -> dict[str, Any]:
    return {name: value for name, value in found.items() if name not in {"attrs", "header"}}


def _nested(found: Any) -> dict[str, Any]:
    """Give pyroute2's attributes as a dict, without their prefix, all the way down."""
    return {
        name.partition("_")[2]: _nested(value)
        if isinstance(value, dict) and "attrs" in value
        else _fields_of(value)
        if isinstance(value, dict)
        else value
        for name, value in found["attrs"]
    }


def links_of_pyroute2() -> dict[int, Any]:
    """Give what pyroute2 tells of all links, by index."""
    iproute = pytest.importorskip("pyroute2").IPRoute()
    try:
        return {link["index"]: link for link in iproute.get_links()}
    finally:
        iproute.close()


def assert_as_pyroute2(interface: Interface, link: Any) -> None:
    told = _nested(link)
    expected = {
        "IFNAME": interface.name,
        "MTU": interface.mtu,
        "TXQLEN": interface.queue_length,
        "QDISC": interface.queueing,
        "GROUP": interface.group,
        "CARRIER": int(interface.carrier),
        "CARRIER_CHANGES": interface.carrier_changes,
        "LINK": interface.peer_index,
        "LINK_NETNSID": interface.peer_namespace,
        "PARENT_DEV_NAME": interface.parent_name,
        "PARENT_DEV_BUS_NAME": interface.parent_bus,
        "IFALIAS": interface.alias,
    }
    assert {name: told.get(name) for name in expected} == expected
    assert interface.up == bool(link["flags"] & 1)
    assert interface.kind == told["LINKINFO"]["INFO_KIND"]
    assert interface.statistics is not None
    counts = {
        name: value
        for name, value in told["STATS64"].items()
        if hasattr(interface.statistics, name)
    }
    assert len(counts) >= 20
    assert {name: getattr(interface.statistics, name) for name in counts} == counts
    if interface.kind == "can":
        _assert_controller_as_pyroute2(interface, told["LINKINFO"]["INFO_DATA"])


def _assert_controller_as_pyroute2(interface: Interface, data: dict[str, Any]) -> None:
    for name, ours in (
        ("CAN_BITTIMING", interface.bit_timing),
        ("CAN_DATA_BITTIMING", interface.data_bit_timing),
        ("CAN_BITTIMING_CONST", interface.bit_timing_constants),
        ("CAN_DATA_BITTIMING_CONST", interface.data_bit_timing_constants),
    ):
        theirs = data.get(name)
        if theirs is None:
            assert ours is None, name
            continue
        assert ours is not None, name
        values = {
            field: value.rstrip(b"\0").decode() if isinstance(value, bytes) else value
            for field, value in theirs.items()
        }
        assert values == attrs.asdict(ours)
    assert interface.clock == data["CAN_CLOCK"]
    assert interface.state is not None
    assert interface.state.name == data["CAN_STATE"]
    assert interface.restart == data["CAN_RESTART_MS"] / 1000
    assert interface.modes is not None
    known = {
        {"3_samples": "TRIPLE_SAMPLING"}.get(name, name.upper()): value
        for name, value in data["CAN_CTRLMODE"].items()
    }
    assert {mode for mode, value in known.items() if value == "on"} == {
        mode.name for mode in CanMode if mode in interface.modes
    }
    counters = data.get("CAN_BERR_COUNTER")
    assert interface.error_counters == (
        None if counters is None else CanErrorCounters(counters["txerr"], counters["rxerr"])
    )
    assert interface.termination == data.get("CAN_TERMINATION")
    assert (interface.bitrate_max or 0) == data.get("CAN_BITRATE_MAX", 0)
    extended = data.get("CAN_CTRLMODE_EXT")
    if extended is not None:
        supported = extended["CAN_CTRLMODE_SUPPORTED"]
        assert interface.supported_modes is not None
        names = {mode.name for mode in CanMode if mode in interface.supported_modes}
        assert names == {
            {"3_samples": "TRIPLE_SAMPLING"}.get(name, name.upper())
            for name, value in supported.items()
            if value == "yes"
        }
