"""What ISO-TP costs: anycan beside blocking sockets and beside can-isotp's stack, in one run.

It needs a kernel with SocketCAN, or the kernel lab::

    pip install can-isotp python-can
    python tests/lab python tests/benchmarks/pdus.py

First, PDUs of 4095 bytes are echoed by another process with blocking sockets, and the side that
asks is measured: a loop over a blocking socket, and anycan's endpoints. Then both sides are of one
kind and in one process: anycan's engine over raw sockets, and the stack of can-isotp.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import socket
import statistics
import struct
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import anyio
import attrs
import uvloop

import anycan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SIZE = 4095
ROUNDS = 5
ECHOES = 20
INTERFACE = "bench0"
PDU = bytes(number & 0xFF for number in range(SIZE))


@attrs.frozen
class Result:
    """What echoing has cost.

    Attributes:
        wall: Seconds for each echo.
        processor: Seconds of processor time for each.
    """

    wall: float
    processor: float

    @property
    def bytes_per_second(self) -> float:
        """Bytes moved, there and back, in a second of processor time."""
        return 2 * SIZE / self.processor


@contextmanager
def measured(results: list[Result], count: int) -> Iterator[None]:
    wall, processor = time.monotonic(), time.process_time()
    yield
    processor, wall = time.process_time() - processor, time.monotonic() - wall
    results.append(Result(wall / count, processor / count))


def blocking_socket(tx_id: int, rx_id: int) -> socket.socket:
    """Open a blocking socket of the kernel's ISO-TP."""
    one = socket.socket(socket.AF_CAN, socket.SOCK_DGRAM, socket.CAN_ISOTP)
    index = socket.if_nametoindex(INTERFACE)
    address = struct.pack("=HxxIII8x", socket.AF_CAN, index, rx_id, tx_id)
    if ctypes.CDLL(None).bind(one.fileno(), address, len(address)) < 0:
        raise OSError("bind failed")
    return one


def echo_blocking() -> None:
    """Send back what comes, in a process of its own."""
    with blocking_socket(0x7E8, 0x7E0) as one:
        while True:
            one.send(one.recv(SIZE + 1))


def ask_blocking() -> Result:
    """Ask by a loop over a blocking socket."""
    results: list[Result] = []
    with blocking_socket(0x7E0, 0x7E8) as one:
        for count in (1, ECHOES):
            with measured(results, count):
                for _ in range(count):
                    one.send(PDU)
                    assert one.recv(SIZE + 1) == PDU
    return results[-1]


async def ask_anycan() -> Result:
    """Ask by an endpoint over the kernel's socket."""
    results: list[Result] = []
    async with anycan.open_isotp(INTERFACE, tx_id=0x7E0, rx_id=0x7E8) as link:
        for count in (1, ECHOES):
            with measured(results, count):
                for _ in range(count):
                    assert await link.request(PDU) == PDU
    return results[-1]


async def engines() -> Result:
    """Echo between two engines over raw sockets."""
    results: list[Result] = []
    async with (
        anycan.open_isotp(INTERFACE, tx_id=0x700, rx_id=0x708, implementation="engine") as one,
        anycan.open_isotp(INTERFACE, tx_id=0x708, rx_id=0x700, implementation="engine") as other,
        anyio.create_task_group() as tasks,
    ):

        async def echo() -> None:
            async for pdu in other:
                await other.send(pdu)

        tasks.start_soon(echo)
        for count in (1, ECHOES):
            with measured(results, count):
                for _ in range(count):
                    assert await one.request(PDU) == PDU
        tasks.cancel_scope.cancel()
    return results[-1]


def can_isotp() -> Result:
    """Echo between two stacks of can-isotp, over python-can's sockets."""
    import can  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415 - not always there
    import isotp  # noqa: PLC0415 - as above

    def stack(bus: Any, tx_id: int, rx_id: int) -> Any:
        mode = isotp.AddressingMode.Normal_11bits
        address = isotp.Address(mode, txid=tx_id, rxid=rx_id)
        return isotp.CanStack(bus, address=address, params={"stmin": 0, "blocksize": 0})

    results: list[Result] = []
    with (
        can.Bus(INTERFACE, interface="socketcan") as one_bus,
        can.Bus(INTERFACE, interface="socketcan") as other_bus,
    ):
        one, other = stack(one_bus, 0x700, 0x708), stack(other_bus, 0x708, 0x700)
        one.start()
        other.start()
        for count in (1, ECHOES // 4):
            with measured(results, count):
                for _ in range(count):
                    one.send(PDU)
                    heard = other.recv(block=True, timeout=60)
                    assert heard == PDU
                    other.send(bytes(heard))
                    assert one.recv(block=True, timeout=60) == PDU
        one.stop()
        other.stop()
    return results[-1]


def on(backend: str, main: Callable[[], Any]) -> Callable[[], Result]:
    """Give a measurement on a back end."""
    if backend == "uvloop":
        options = {"loop_factory": uvloop.new_event_loop}
        return lambda: anyio.run(main, backend_options=options)
    return lambda: anyio.run(main, backend=backend)


def measure(cases: dict[str, Callable[[], Result]]) -> dict[str, Result]:
    """Measure in turns, and give the medians."""
    rounds: dict[str, list[Result]] = {name: [] for name in cases}
    for _ in range(ROUNDS):
        for name, case in cases.items():
            rounds[name].append(case())
    return {
        name: Result(
            statistics.median(one.wall for one in results),
            statistics.median(one.processor for one in results),
        )
        for name, results in rounds.items()
    }


def wait_for_peer() -> None:
    """Wait until the other process answers."""
    while True:
        try:
            ask_blocking()
        except OSError:
            continue
        return


def main() -> None:
    """Measure, and print two tables."""
    subprocess.run(["modprobe", "can-isotp"], check=True)
    subprocess.run(["ip", "link", "add", "dev", INTERFACE, "type", "vcan"], check=True)
    subprocess.run(["ip", "link", "set", INTERFACE, "up"], check=True)
    peer = multiprocessing.get_context("spawn").Process(target=echo_blocking, daemon=True)
    peer.start()
    try:
        wait_for_peer()
        backends = ("asyncio", "uvloop", "trio")
        results = measure(
            {
                "blocking socket": ask_blocking,
                **{f"anycan, {name}": on(name, ask_anycan) for name in backends},
            }
        )
        base = results["blocking socket"]
        print(f"| Echo of {SIZE} bytes, kernel sockets | ms | Ratio | Processor ms | Ratio |")
        print("|---|---|---|---|---|")
        for name, one in results.items():
            ratios = one.wall / base.wall, one.processor / base.processor
            print(
                f"| {name} | {one.wall * 1e3:.1f} | {ratios[0]:.2f} |"
                f" {one.processor * 1e3:.1f} | {ratios[1]:.2f} |"
            )
        cases: dict[str, Callable[[], Result]] = {
            f"anycan's engine, {name}": on(name, engines) for name in backends
        }
        try:
            import isotp  # noqa: F401, PLC0415 - asked for
        except ImportError:
            print("can-isotp is not installed: left out", file=sys.stderr)
        else:
            cases["can-isotp"] = can_isotp
        results = measure(cases)
        slowest = min(one.bytes_per_second for one in results.values())
        print(f"\n| Echo of {SIZE} bytes, raw sockets | ms | Bytes per processor second | Ratio |")
        print("|---|---|---|---|")
        for name, one in results.items():
            rate = one.bytes_per_second
            print(f"| {name} | {one.wall * 1e3:.0f} | {rate:,.0f} | {rate / slowest:.1f} |")
    finally:
        peer.terminate()
        peer.join()
        subprocess.run(["ip", "link", "del", INTERFACE], check=True)


if __name__ == "__main__":
    main()
