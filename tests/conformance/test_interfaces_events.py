"""Interfaces of the kernel that come and go, here and in other network namespaces."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import re
import socket
import struct
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest

import anycan
from anycan import (
    CanErrorCounters,
    CanState,
    EventsLost,
    Frame,
    InterfaceAdded,
    InterfaceDown,
    InterfaceEvent,
    InterfaceRemoved,
    InterfaceStateChanged,
    InterfaceUp,
)
from anycan.interfaces.namespaces import _enter, opened_namespace
from rig.blocking import excuse
from rig.host import search_path
from rig.link_views import program, shown
from rig.links import ip

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from anycan import InterfaceWatch
    from rig.links import Links

pytestmark = [pytest.mark.anyio, pytest.mark.kernel, pytest.mark.timeout(300)]

_LONG = 60  # seconds; the lab is slow


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """Run these on one back end: what they look at is the kernel."""
    return "asyncio", {"use_uvloop": False}


# Other namespaces


@pytest.fixture
def namespace() -> Iterator[str]:
    """Give the name of another network namespace."""
    name = f"anycan{os.getpid()}"
    ip(f"netns add {name}")
    yield name
    ip(f"netns del {name}", check=False)


def raw_socket_in(namespace: str, interface: str) -> socket.socket:
    """Open a raw socket on an interface of another namespace, in which it stays."""
    with opened_namespace(namespace) as there, opened_namespace(os.getpid()) as here:
        _enter(there)
        try:
            opened = socket.socket(socket.AF_CAN, socket.SOCK_RAW, socket.CAN_RAW)
            try:
                opened.bind((interface,))
            except BaseException:
                opened.close()
                raise
        finally:
            _enter(here)
    opened.setblocking(False)
    return opened


@pytest.mark.parametrize("by_path", [False, True])
async def test_a_pair_with_one_end_in_another_namespace(namespace: str, by_path: bool) -> None:
    where = f"/run/netns/{namespace}" if by_path else namespace
    near = await anycan.create_vxcan("vx-near", "vx-far", namespace=where)
    try:
        assert (near.kind, near.up) == ("vxcan", True)
        assert near.peer_namespace is not None
        with pytest.raises(anycan.UnknownInterfaceError):
            await anycan.get_interface("vx-far")
        there = json.loads(program("ip", "-netns", namespace, "-json", "link", "show", "vx-far"))
        assert "UP" in there[0]["flags"]
        assert near.peer_index == there[0]["ifindex"]
        with raw_socket_in(namespace, "vx-far") as far:
            async with anycan.open_raw("vx-near") as can:
                await can.send(Frame(0x123, b"out"))
                with anyio.fail_after(_LONG):
                    await anyio.wait_readable(far)
                assert far.recv(16) == struct.pack("=IB3x8s", 0x123, 3, b"out")
                far.send(struct.pack("=IB3x8s", 0x321, 2, b"in"))
                with anyio.fail_after(_LONG):
                    assert await can.receive() == Frame(0x321, b"in")
    finally:
        await anycan.delete_interface("vx-near")
    with pytest.raises(RuntimeError, match="vx-far"):
        program("ip", "-netns", namespace, "link", "show", "vx-far")


async def test_a_vcan_that_is_moved_away_is_gone(namespace: str, kernel_links: Links) -> None:
    name = kernel_links.add()
    async with anycan.watch_interfaces() as events, anycan.open_raw(name) as can:
        ip(f"link set dev {name} netns {namespace}")
        told = [type(event) for event in await until_removed(events, name)]
        assert told == [InterfaceDown, InterfaceRemoved]
        with pytest.raises((anycan.InterfaceDownError, anycan.InterfaceRemovedError)):
            await can.receive()
    program("ip", "-netns", namespace, "link", "set", "dev", name, "up")
    with raw_socket_in(namespace, name) as one, raw_socket_in(namespace, name) as other:
        one.send(struct.pack("=IB3x8s", 1, 0, b""))
        with anyio.fail_after(_LONG):
            await anyio.wait_readable(other)
    program("ip", "-netns", namespace, "link", "del", "dev", name)


async def test_a_namespace_that_there_is_not() -> None:
    with pytest.raises(anycan.CanOSError, match="nowhere cannot be opened"):
        await anycan.create_vxcan("vx-near", "vx-far", namespace="nowhere")
    assert "vx-near" not in shown()


# Events, as ``ip monitor`` tells them


async def until_removed(events: InterfaceWatch, name: str) -> list[InterfaceEvent]:
    """Give the events of an interface, up to its end."""
    taken: list[InterfaceEvent] = []
    with anyio.fail_after(_LONG):
        while not (taken and isinstance(taken[-1], InterfaceRemoved)):
            event = await events.receive()
            assert isinstance(event, InterfaceEvent)
            if event.interface.name == name:
                taken.append(event)
    return taken


class Monitor:
    """``ip -o monitor link``: what it writes, by the index of the link that it is about."""

    _LINE = re.compile(r"(?P<gone>Deleted )?(?P<index>\d+): (?P<name>[^:@]+).*?<(?P<flags>[^>]*)>")

    def __init__(self, process: anyio.abc.Process) -> None:
        self._process = process
        self._text = b""
        self.lines: list[tuple[int, str, bool, bool]] = []

    async def read(self) -> None:
        """Wait for what it writes next."""
        assert self._process.stdout is not None
        self._text += await self._process.stdout.receive()
        *lines, self._text = self._text.split(b"\n")
        for line in lines:
            found = self._LINE.match(line.decode())
            if found is not None and b"link/can" in line:
                flags = found["flags"].split(",")
                self.lines.append(
                    (int(found["index"]), found["name"], bool(found["gone"]), "UP" in flags)
                )

    async def until(self, name: str) -> None:
        """Wait until it has told that an interface is gone."""
        with anyio.fail_after(_LONG):
            while not any(one == name and gone for _, one, gone, _ in self.lines):
                await self.read()

    def events(self) -> dict[int, list[str]]:
        """Give what happened to each link: added, up, down, removed."""
        told: dict[int, list[str]] = {}
        up: dict[int, bool] = {}
        for index, _, gone, is_up in self.lines:
            events = told.setdefault(index, [])
            if gone:
                events.append("removed")
                up.pop(index, None)
                continue
            if index not in up:
                events.append("added")
                up[index] = False
            if up[index] != is_up:
                events.append("up" if is_up else "down")
                up[index] = is_up
        return told


@contextlib.asynccontextmanager
async def ip_monitor() -> AsyncIterator[Monitor]:
    """Run ``ip monitor``, which listens when this begins."""
    process = await anyio.open_process(
        ["ip", "-o", "monitor", "link"], env={**os.environ, "PATH": search_path()}, stderr=None
    )
    excuse()
    try:
        monitor = Monitor(process)
        with anyio.fail_after(_LONG):
            while not monitor.lines:  # until it hears of one
                await anycan.create_vcan("probe", up=False)
                await anycan.delete_interface("probe")
                with anyio.move_on_after(0.5):
                    await monitor.read()
        yield monitor
    finally:
        process.kill()
        with anyio.CancelScope(shield=True):
            await process.aclose()


WORDS: dict[type, str] = {
    InterfaceAdded: "added",
    InterfaceUp: "up",
    InterfaceDown: "down",
    InterfaceRemoved: "removed",
}


async def test_every_event_is_told_as_ip_monitor_tells_it(namespace: str) -> None:
    async with ip_monitor() as monitor, anycan.watch_interfaces() as events:
        await anycan.create_vcan("one")
        await anycan.create_vcan("two", mtu=16, up=False)
        ip(
            "link set dev two up",
            "link add dev three type vcan",
            "link set dev one down",
            "link set dev one name other",
            "link set dev other up mtu 72",
            "link add dev four type vxcan peer name five",
            "link set dev four up",
            "link set dev five up",
            "link set dev four down",
        )
        await anycan.configure_interface("two", mtu=2060)
        await anycan.set_down("two")
        await anycan.delete_interface("two")
        ip(
            "link set dev three up",
            f"link set dev three netns {namespace}",
            "link del dev other",
            "link del dev five",
        )
        await anycan.create_vcan("last", up=False)
        await anycan.delete_interface("last")
        await monitor.until("last")
        ours: dict[int, list[str]] = {}
        gone = ""
        with anyio.fail_after(_LONG):
            while gone != "last":
                event = await events.receive()
                assert isinstance(event, InterfaceEvent)
                if isinstance(event, InterfaceRemoved):
                    gone = event.interface.name
                if (word := WORDS.get(type(event))) is not None:
                    ours.setdefault(event.interface.index, []).append(word)
    theirs = monitor.events()
    assert len(ours) == 6
    assert {index: told for index, told in theirs.items() if index in ours} == ours
    for told in ours.values():
        assert (told[0], told[-1]) == ("added", "removed")
    program("ip", "-netns", namespace, "link", "del", "dev", "three")


async def test_error_frames_of_another_program(kernel_links: Links) -> None:
    name = kernel_links.add()
    async with anycan.watch_interfaces() as events:
        # CAN_ERR_CRTL | CAN_ERR_CNT, CAN_ERR_CRTL_TX_PASSIVE, 130 and 3 errors; then CAN_ERR_BUSOFF
        program("cansend", name, "20000204#0020000000008203")
        program("cansend", name, "20000040#0000000000000000")
        with anyio.fail_after(_LONG):
            passive, off = [await events.receive() for _ in range(2)]
    for event, state in ((passive, CanState.ERROR_PASSIVE), (off, CanState.BUS_OFF)):
        assert isinstance(event, InterfaceStateChanged)
        assert (event.interface.name, event.state) == (name, state)
        assert event.interface.error_counters == CanErrorCounters(130, 3)


# Nothing is left


def resident() -> int:
    """Give the bytes of memory that this process has."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.timeout(900)
async def test_a_thousand_interfaces_leave_nothing() -> None:
    counted: dict[type, int] = {InterfaceAdded: 0, InterfaceUp: 0, InterfaceRemoved: 0}
    lost: list[EventsLost] = []
    all_gone = anyio.Event()

    async def count() -> None:
        async for event in events:
            if isinstance(event, EventsLost):
                lost.append(event)
            elif type(event) in counted and event.interface.name == "cycle":
                counted[type(event)] += 1
                if counted[InterfaceRemoved] == 1000:
                    all_gone.set()

    async def cycles(times: int) -> None:
        for _ in range(times):
            await anycan.create_vcan("cycle")
            await anycan.delete_interface("cycle")

    before = {one.name for one in await anycan.list_interfaces()}
    async with anycan.watch_interfaces() as events, anyio.create_task_group() as tasks:
        tasks.start_soon(count)
        await cycles(100)  # what is made once is made by then
        gc.collect()
        descriptors = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - only how many
        threads, memory = threading.active_count(), resident()
        await cycles(900)
        gc.collect()
        assert len(os.listdir("/proc/self/fd")) == descriptors  # noqa: PTH208 - as above
        assert threading.active_count() <= threads
        assert resident() - memory < 2_000_000
        with anyio.fail_after(_LONG):
            await all_gone.wait()
        tasks.cancel_scope.cancel()
    assert lost == []
    assert set(counted.values()) == {1000}
    assert {one.name for one in await anycan.list_interfaces()} == before
