"""anycan interfaces: interfaces and events as plain values."""

from __future__ import annotations

import json
from typing import Final

import attrs

from anycan import (
    BitTiming,
    CanErrorCounters,
    CanMode,
    CanState,
    EventsLost,
    Interface,
    InterfaceChanged,
    InterfaceStateChanged,
)
from anycan.cli.interfaces_json import event_object, interface_object

CAN: Final = Interface(
    index=4,
    name="can0",
    kind="can",
    up=True,
    state=CanState.ERROR_PASSIVE,
    modes=CanMode.FD | CanMode.LISTENONLY,
    supported_modes=CanMode(0x10020),
    bit_timing=BitTiming(bitrate=500_000, sample_point=875),
    terminations=(0, 120),
    restart=0.1,
    error_counters=CanErrorCounters(transmit=128, receive=1),
)


def test_an_interface_has_the_keys_of_its_class() -> None:
    made = interface_object(CAN)
    assert list(made) == list(attrs.fields_dict(Interface))
    assert json.loads(json.dumps(made)) == made | {"terminations": [0, 120], "other_names": []}


def test_an_interface_is_made_of_plain_values() -> None:
    made = interface_object(CAN)
    assert made["state"] == "ERROR_PASSIVE"
    assert made["modes"] == ["LISTENONLY", "FD"]
    assert made["supported_modes"] == ["FD", "0x10000"]
    assert made["bit_timing"]["sample_point"] == 875
    assert made["error_counters"] == {"transmit": 128, "receive": 1}
    assert (made["kind"], made["restart"], made["clock"]) == ("can", 0.1, None)
    assert type(made["up"]) is bool


def test_an_event() -> None:
    event = InterfaceStateChanged(
        interface=CAN, timestamp_ns=5, before=CanState.BUS_OFF, state=CanState.ERROR_ACTIVE
    )
    assert event_object(event) == {
        "event": "InterfaceStateChanged",
        "interface": interface_object(CAN),
        "timestamp_ns": 5,
        "before": "BUS_OFF",
        "state": "ERROR_ACTIVE",
        "restarted": False,
    }
    assert event_object(EventsLost(timestamp_ns=7)) == {"event": "EventsLost", "timestamp_ns": 7}


def test_a_change_has_the_interface_as_it_was() -> None:
    before = attrs.evolve(CAN, name="can7")
    event = InterfaceChanged(interface=CAN, timestamp_ns=5, before=before, changed=("name",))
    made = json.loads(json.dumps(event_object(event)))
    assert (made["before"]["name"], made["interface"]["name"]) == ("can7", "can0")
    assert made["changed"] == ["name"]
