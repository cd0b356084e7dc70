"""anycan interfaces watch: events as lines."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any, Final

import anyio
import attrs
import pytest
from anyio import wait_all_tasks_blocked

from anycan import (
    BitTiming,
    CanErrorCounters,
    CanMode,
    CanState,
    ErrorCountersChanged,
    EventsLost,
    Interface,
    InterfaceAdded,
    InterfaceChanged,
    InterfaceDown,
    InterfaceEvent,
    InterfaceRemoved,
    InterfaceStateChanged,
    InterfaceUp,
    UserNetwork,
)
from anycan.cli.interfaces_events import EventFormatter, event_words
from anycan.cli.interfaces_watch import watch

if TYPE_CHECKING:
    from collections.abc import Callable

NAME: Final = f"watch-{os.getpid()}"
STAMP: Final = 1_436_509_052_249_713_000
VCAN: Final = Interface(index=3, name="vcan0", kind="vcan", up=True, carrier=True, mtu=72)
CAN: Final = Interface(
    index=4,
    name="can0",
    kind="can",
    driver="gs_usb",
    up=True,
    carrier=True,
    state=CanState.ERROR_ACTIVE,
    bit_timing=BitTiming(bitrate=500_000, sample_point=875),
    restart=0.0,
    modes=CanMode(0),
    error_counters=CanErrorCounters(transmit=128, receive=0),
)


def changed(**now: Any) -> InterfaceChanged:
    return InterfaceChanged(
        interface=attrs.evolve(CAN, **now), timestamp_ns=STAMP, before=CAN, changed=tuple(now)
    )


def of(kind: type[InterfaceEvent], interface: Interface = VCAN, **known: Any) -> InterfaceEvent:
    return kind(interface=interface, timestamp_ns=STAMP, **known)


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (of(InterfaceAdded), "added: up, vcan, CAN FD (MTU 72)"),
        (of(InterfaceAdded, present=True), "present: up, vcan, CAN FD (MTU 72)"),
        (of(InterfaceRemoved, CAN), "removed: gs_usb"),
        (of(InterfaceUp), "up, vcan, CAN FD (MTU 72)"),
        (of(InterfaceUp, CAN), "up, ERROR-ACTIVE, gs_usb, 500k 87.5 %, CAN (MTU 16)"),
        (of(InterfaceDown), "down"),
        (
            of(
                InterfaceStateChanged,
                CAN,
                before=CanState.ERROR_ACTIVE,
                state=CanState.ERROR_PASSIVE,
            ),
            "state: ERROR-ACTIVE -> ERROR-PASSIVE, tx 128, rx 0",
        ),
        (of(InterfaceStateChanged, state=CanState.BUS_OFF), "state: BUS-OFF"),
        (
            of(
                InterfaceStateChanged,
                before=CanState.BUS_OFF,
                state=CanState.ERROR_ACTIVE,
                restarted=True,
            ),
            "state: restarted, BUS-OFF -> ERROR-ACTIVE",
        ),
        (of(ErrorCountersChanged, CAN), "error counters: tx 128, rx 0"),
        (changed(name="can7"), "changed: name can0 -> can7"),
        (
            changed(bit_timing=None, mtu=72, restart=0.1, modes=CanMode.FD, termination=120),
            (
                "changed: bit rate 500k 87.5 % -> -, MTU 16 -> 72, restart never -> 0.1 s, modes"
                " none -> fd, termination - -> 120 ohms"
            ),
        ),
        (changed(other_names=("a", "b"), delay=None), "changed: other names none -> a, b, delay"),
        (of(InterfaceEvent), "InterfaceEvent"),
        (
            EventsLost(timestamp_ns=STAMP),
            "events lost: there was no room for them; what follows is what is there now",
        ),
    ],
)
def test_what_has_happened(event: InterfaceEvent | EventsLost, words: str) -> None:
    assert event_words(event) == words


def test_every_attribute_that_changes_has_words() -> None:
    for name in attrs.fields_dict(Interface):
        event = attrs.evolve(changed(), changed=(name,))
        assert event_words(event).startswith("changed: ")


def test_lines_have_columns() -> None:
    formatter = EventFormatter("a", ["vcan0"])
    assert [formatter.line(of(InterfaceDown, one)) for one in (CAN, VCAN)] == [
        " (1436509052.249713)  can0   down\n",
        " (1436509052.249713)  vcan0  down\n",
    ]
    assert formatter.line(EventsLost(timestamp_ns=STAMP)).startswith(
        " (1436509052.249713)  -      events lost: "
    )


def test_time_stamps() -> None:
    later = attrs.evolve(of(InterfaceDown), timestamp_ns=STAMP + 1_500_000_000)
    lines = {}
    for mode in ("d", "z", "n"):
        formatter = EventFormatter(mode)
        formatter.line(of(InterfaceDown))
        lines[mode] = [formatter.line(later), formatter.line(later)]
    assert lines == {
        "d": [" (001.500000)  vcan0  down\n", " (000.000000)  vcan0  down\n"],
        "z": [" (001.500000)  vcan0  down\n"] * 2,
        "n": ["  vcan0  down\n"] * 2,
    }
    line = EventFormatter("A").line(of(InterfaceDown))
    assert re.fullmatch(r" \(2015-07-\d\d \d\d:\d\d:32\.249713\)  vcan0  down\n", line)


def watched(
    act: Callable[[UserNetwork], object], *names: str, count: int | None = None, **options: Any
) -> int | None:
    """Watch a network with a vcan, and do something there.

    Returns:
        The exit status; None: it was interrupted when that was done.
    """
    status: int | None = None

    async def run() -> None:
        async with UserNetwork(name=NAME) as network:
            network.add_vcan("vcan0")

            async def listen() -> None:
                nonlocal status
                status = await watch(*names, count=count, network=f"user:{NAME}", **options)

            async with anyio.create_task_group() as group:
                group.start_soon(listen)
                await wait_all_tasks_blocked()
                act(network)
                await wait_all_tasks_blocked()
                if count is None:
                    group.cancel_scope.cancel()

    anyio.run(run)
    return status


def everything(network: UserNetwork) -> None:
    network.add_can("can0", bitrate=500_000)
    network.set_error_counters("can0", transmit=100)
    network.set_bus_off("can0")
    network.restart("can0")
    network.set_down("vcan0")
    network.set_mtu("vcan0", 16)
    network.remove("vcan0")


def test_lines(capsys: pytest.CaptureFixture[str]) -> None:
    assert watched(everything, timestamps="n") is None
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        "  can0   added: down, can, 500k 87.5 %, CAN (MTU 16), queue 10",
        "  can0   up, ERROR-ACTIVE, can, 500k 87.5 %, CAN (MTU 16), queue 10",
        "  can0   state: ERROR-ACTIVE -> ERROR-WARNING, tx 100, rx 0",
        "  can0   state: ERROR-WARNING -> BUS-OFF, tx 256, rx 0",
        "  can0   state: restarted, BUS-OFF -> ERROR-ACTIVE, tx 0, rx 0",
        "  vcan0  down",
        "  vcan0  changed: MTU 72 -> 16",
        "  vcan0  removed: vcan",
    ]
    assert err == "anycan: 8 events\n"


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    watched(everything, as_json=True)
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(event["event"], event["interface"]["name"]) for event in events] == [
        ("InterfaceAdded", "can0"),
        ("InterfaceUp", "can0"),
        ("InterfaceStateChanged", "can0"),
        ("InterfaceStateChanged", "can0"),
        ("InterfaceStateChanged", "can0"),
        ("InterfaceDown", "vcan0"),
        ("InterfaceChanged", "vcan0"),
        ("InterfaceRemoved", "vcan0"),
    ]
    assert all(event["timestamp_ns"] > 0 for event in events)


def test_names(capsys: pytest.CaptureFixture[str]) -> None:
    watched(everything, "vcan0", timestamps="n")
    out, err = capsys.readouterr()
    assert [line.split()[:2] for line in out.splitlines()] == [
        ["vcan0", "down"],
        ["vcan0", "changed:"],
        ["vcan0", "removed:"],
    ]
    assert err == "anycan: 3 events\n"


def test_a_name_that_is_not_there_yet(capsys: pytest.CaptureFixture[str]) -> None:
    assert watched(everything, "can0", "vcan0", count=1, timestamps="n") == 0
    out, err = capsys.readouterr()
    assert out.startswith("  can0   added: ")
    assert err == "anycan: there is no interface can0 yet: waiting for it\n"


def test_a_former_name_is_one_of_the_names(capsys: pytest.CaptureFixture[str]) -> None:
    def rename(network: UserNetwork) -> None:
        network.rename("vcan0", "vcan9")
        network.set_down("vcan9")

    watched(rename, "vcan0", timestamps="n")
    assert capsys.readouterr().out == "  vcan9  changed: name vcan0 -> vcan9\n"


def test_present(capsys: pytest.CaptureFixture[str]) -> None:
    assert watched(lambda _: None, present=True, count=1, timestamps="n") == 0
    assert capsys.readouterr() == (
        "  vcan0  present: up, vcan, CAN FD (MTU 72), queue 1000\n",
        "",
    )


def test_time_stamps_are_from_the_network(capsys: pytest.CaptureFixture[str]) -> None:
    watched(lambda network: network.set_down("vcan0"), count=1)
    assert re.fullmatch(r" \(\d{10}\.\d{6}\)  vcan0  down\n", capsys.readouterr().out)
