"""What ISO-TP costs: anycan beside blocking sockets, in C and in Python, and beside can-isotp."""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import socket
import struct
import subprocess
import time
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import attrs

from anycan import open_isotp
from suite.can import BACKENDS, ROOM, SO_RCVBUFFORCE, ask, build, vcan
from suite.case import Case, Contender, Metric, NotHereError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from suite.case import Measured

can: Any = importlib.import_module("can") if importlib.util.find_spec("can") else None
isotp: Any = importlib.import_module("isotp") if importlib.util.find_spec("isotp") else None

INTERFACE = "benchisotp0"
MOST = 8300  # bytes: the kernel's longest PDU, unless it is told otherwise
SHORT, LONG = 7, 4095  # bytes of a PDU: one frame, and the most of ISO 15765-2:2004
ECHOES = {SHORT: 200, LONG: 20}
PATIENCE = 60.0


def _pdu(size: int) -> bytes:
    return bytes(number & 0xFF for number in range(size))


@attrs.define
class Clock:
    """Wall and processor time of some echoes."""

    count: int
    values: Measured = attrs.Factory(dict)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Measure what is done meanwhile."""
        wall, processor = time.monotonic(), time.process_time()
        yield
        processor, wall = time.process_time() - processor, time.monotonic() - wall
        self.values = {"wall": wall / self.count * 1e3, "processor": processor / self.count * 1e3}


# Sockets of the kernel; another process echoes


def _in_c(size: int) -> Measured:
    command = [
        str(build("isotp_echo")),
        "ask",
        INTERFACE,
        "7E0",
        "7E8",
        str(size),
        str(ECHOES[size]),
    ]
    found = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    wall, processor = (int(value) / 1e6 for value in found.stdout.split())
    return {"wall": wall, "processor": processor}


def _blocking(size: int) -> Measured:
    pdu, clock = _pdu(size), Clock(ECHOES[size])
    with socket.socket(socket.AF_CAN, socket.SOCK_DGRAM, socket.CAN_ISOTP) as one:
        index = socket.if_nametoindex(INTERFACE)
        address = struct.pack("=HxxIII8x", socket.AF_CAN, index, 0x7E8, 0x7E0)
        if ctypes.CDLL(None).bind(one.fileno(), address, len(address)) < 0:
            raise OSError("bind failed")  # socket.bind() of Python 3.11 takes no such address
        one.send(pdu)
        assert one.recv(MOST) == pdu
        with clock.running():
            for _ in range(clock.count):
                one.send(pdu)
                assert one.recv(MOST) == pdu
    return clock.values


async def _by_endpoint(size: int) -> Measured:
    pdu, clock = _pdu(size), Clock(ECHOES[size])
    async with open_isotp(INTERFACE, tx_id=0x7E0, rx_id=0x7E8) as link:
        assert await link.request(pdu) == pdu
        with anyio.fail_after(PATIENCE), clock.running():
            for _ in range(clock.count):
                assert await link.request(pdu) == pdu
    return clock.values


@contextmanager
def _echoing() -> Iterator[None]:
    """Have an interface, and on it a process that sends back what it gets."""
    subprocess.run(["modprobe", "can-isotp"], check=True)
    command = [str(build("isotp_echo")), "echo", INTERFACE, "7E8", "7E0"]
    with (
        vcan(INTERFACE),
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process,
    ):
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield
        finally:
            process.kill()


_METRICS = (
    Metric("wall", "ms for an echo", digits=2),
    Metric("processor", "processor ms for an echo", digits=3),
)


def _kernel(key: str, title: str, size: int, what: str) -> Case:
    return Case(
        key=key,
        title=title,
        explanation=(
            f"PDUs of {size:,} bytes{what}, one after the other, are sent back by another process,"
            " a program in C with a blocking socket. The side that asks is measured: a program in C"
            " and a loop in Python over a blocking socket, and anycan's endpoints, all of them on"
            " the kernel's ISO-TP."
        ),
        metrics=_METRICS,
        contenders=(
            Contender("c", "C: write, read", partial(_in_c, size)),
            Contender("blocking", "Python: a blocking socket", partial(_blocking, size)),
            *(
                Contender(
                    f"anycan_{backend}",
                    f"anycan, {backend}",
                    partial(ask, _by_endpoint, backend, size),
                )
                for backend in BACKENDS
            ),
        ),
        reference="c",
        setup=_echoing,
    )


# Both sides in one process, over raw sockets


async def _by_engines() -> Measured:
    pdu, clock = _pdu(LONG), Clock(ECHOES[LONG])
    async with (
        open_isotp(INTERFACE, tx_id=0x700, rx_id=0x708, implementation="engine") as one,
        open_isotp(INTERFACE, tx_id=0x708, rx_id=0x700, implementation="engine") as other,
        anyio.create_task_group() as tasks,
    ):

        async def echo() -> None:
            async for heard in other:
                await other.send(heard)

        tasks.start_soon(echo)
        assert await one.request(pdu) == pdu
        with anyio.fail_after(PATIENCE), clock.running():
            for _ in range(clock.count):
                assert await one.request(pdu) == pdu
        tasks.cancel_scope.cancel()
    return clock.values


def _by_can_isotp() -> Measured:
    if can is None or isotp is None:
        raise NotHereError("can-isotp or python-can is not installed")

    def stack(bus: Any, tx_id: int, rx_id: int) -> Any:
        mode = isotp.AddressingMode.Normal_11bits
        address = isotp.Address(mode, txid=tx_id, rxid=rx_id)
        return isotp.CanStack(bus, address=address, params={"stmin": 0, "blocksize": 0})

    pdu, clock = _pdu(LONG), Clock(ECHOES[LONG] // 4)
    with (
        can.Bus(INTERFACE, interface="socketcan") as one_bus,
        can.Bus(INTERFACE, interface="socketcan") as other_bus,
    ):
        for bus in (one_bus, other_bus):  # a PDU's frames come faster than threads take turns
            bus.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, ROOM)
        one, other = stack(one_bus, 0x700, 0x708), stack(other_bus, 0x708, 0x700)

        def exchange() -> None:
            one.send(pdu)
            heard = other.recv(block=True, timeout=PATIENCE)
            assert heard == pdu
            other.send(bytes(heard))
            assert one.recv(block=True, timeout=PATIENCE) == pdu

        one.start()
        other.start()
        try:
            exchange()
            with clock.running():
                for _ in range(clock.count):
                    exchange()
        finally:
            one.stop()
            other.stop()
    return clock.values


def _engine() -> Case:
    return Case(
        key="isotp_engine",
        title=f"ISO-TP: PDUs of {LONG:,} bytes, by the engine",
        explanation=(
            f"PDUs of {LONG:,} bytes are sent back, with both sides in one process and over raw"
            " sockets: anycan's engine, and can-isotp's stack over python-can."
        ),
        metrics=_METRICS,
        contenders=(
            *(
                Contender(
                    f"anycan_{backend}",
                    f"anycan's engine, {backend}",
                    partial(ask, _by_engines, backend),
                )
                for backend in BACKENDS
            ),
            Contender("can_isotp", "can-isotp", _by_can_isotp),
        ),
        reference="anycan_asyncio",
        setup=partial(vcan, INTERFACE),
    )


def cases() -> list[Case]:
    """Give the cases."""
    return [
        _kernel("isotp_echo", "ISO-TP: echo of a single frame", SHORT, " (a single frame)"),
        _kernel("isotp_bulk", f"ISO-TP: PDUs of {LONG:,} bytes", LONG, ""),
        _engine(),
    ]
