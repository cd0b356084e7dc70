"""What forwarding costs: a gateway's paths, beside a program in C and python-can's bridge.

Run it where there is PF_CAN, as root (see CONTRIBUTING.md for the kernel lab)::

    pip install python-can
    python tests/lab python tests/benchmarks/gateway.py

Each forwarder is a process of its own between two vcans of its own, both ways. All of them are
there all the time, on a processor of their own where there are two, and are measured in turns that
last a fraction of a second, so that what else the machine does meets all of them alike. Their
processor time is read from outside, and divided by the frames that have arrived.

*Bursts*: the sender shares the forwarder's processor and goes first, so that a whole burst waits
when the forwarder begins. *One at a time*: frames come at a pace at which each one has to wake the
forwarder; latency is the difference of the kernel's stamps on the two vcans, taken by a third
socket.
"""

from __future__ import annotations

import ctypes
import importlib.util
import itertools
import os
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
from forwarders import (  # type: ignore[import-not-found,unused-ignore]  # beside this one
    changed,
    payload_of,
    with_raw_dlc,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

ROUNDS = 5
TURNS = 8  # of each, in a round
BURST = 500  # one in a turn
ROOM = 4 << 20  # bytes of a receive buffer, for that
PACED = 50  # in a turn
RATE = 500
PATIENCE = 120.0
_TIMESTAMPNS = 35  # asm-generic/socket.h
_RCVBUFFORCE = 33


@attrs.define(eq=False)
class Forwarder:
    """A process that forwards between two vcans.

    Attributes:
        name: What is printed.
        command: Gives its command line, for the two interfaces.
        expected: Gives what becomes of a payload.
        costs: Of each round, seconds of processor time for a frame; by how the frames come.
        latencies: Seconds from one vcan to the other.
    """

    name: str
    command: Callable[[str, str], Sequence[str | Path]]
    expected: Callable[[bytes], bytes] = bytes
    near: str = ""
    far: str = ""
    clock: int = 0
    costs: dict[str, list[float]] = attrs.Factory(lambda: {"bursts": [], "paced": []})
    latencies: list[float] = attrs.Factory(list)

    def start(self, number: int, held: ExitStack) -> None:
        self.near, self.far = f"bench{number}a", f"bench{number}b"
        for interface in (self.near, self.far):
            subprocess.run(["ip", "link", "add", "dev", interface, "type", "vcan"], check=True)
            held.callback(subprocess.run, ["ip", "link", "del", interface], check=True)
            subprocess.run(["ip", "link", "set", interface, "up"], check=True)
        process = subprocess.Popen(self.command(self.near, self.far), stdout=subprocess.DEVNULL)
        held.callback(process.wait)
        held.callback(process.kill)
        clock = ctypes.c_int()
        if ctypes.CDLL(None).clock_getcpuclockid(process.pid, ctypes.byref(clock)):
            raise OSError(f"no clock of {self.name}")
        self.clock = clock.value

    def processor_time(self) -> float:
        return time.clock_gettime(self.clock)

    def forwarded(self) -> int:
        return int(Path("/sys/class/net", self.far, "statistics/tx_packets").read_text())

    def wait_for(self, forwarded: int) -> None:
        """Wait until so many frames have been forwarded."""
        end = time.monotonic() + PATIENCE
        while self.forwarded() < forwarded:
            if time.monotonic() > end:
                missing = forwarded - self.forwarded()
                raise TimeoutError(f"{self.name}: {missing} frames have not arrived")
            time.sleep(0.002)

    def wait_until_it_forwards(self) -> None:
        end = time.monotonic() + PATIENCE
        with sender(self.near) as plain:
            while not self.forwarded():
                if time.monotonic() > end:
                    raise TimeoutError(f"{self.name}: it does not forward")
                plain.send(payload_of(0))
                time.sleep(0.1)


def sender(interface: str) -> socket.socket:
    """Open a plain socket that only sends."""
    plain = socket.socket(socket.AF_CAN, socket.SOCK_RAW, socket.CAN_RAW)
    plain.setsockopt(socket.SOL_CAN_RAW, socket.CAN_RAW_FILTER, b"")
    plain.bind((interface,))
    return plain


# Measuring


@contextmanager
def room_for_bursts() -> Iterator[None]:
    """Have sockets that are opened now keep a whole burst."""
    setting = Path("/proc/sys/net/core/rmem_default")
    before = setting.read_text()
    setting.write_text(str(ROOM))
    try:
        yield
    finally:
        setting.write_text(before)


@contextmanager
def going_first(processor: int) -> Iterator[None]:
    """Share a processor with others, and go before them."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {processor})
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    try:
        yield
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        os.sched_setaffinity(0, before)


def measure_bursts(one: Forwarder, processor: int) -> float:
    """Give seconds of processor time for a frame."""
    payloads = [payload_of(number) for number in range(BURST)]
    arrived = one.forwarded()
    with going_first(processor), sender(one.near) as plain:
        before = one.processor_time()
        for payload in payloads:
            plain.send(payload)
        one.wait_for(arrived + BURST)
        time.sleep(0.005)  # it has sent the last one, and may still count it
        used = one.processor_time() - before
    return used / BURST


def measure_paced(one: Forwarder) -> float:
    """Give seconds of processor time for a frame."""
    arrived = one.forwarded()
    with sender(one.near) as plain, observer() as third:
        before = one.processor_time()
        due = time.monotonic()
        for number in range(PACED):
            due += 1 / RATE
            time.sleep(max(0, due - time.monotonic()))
            plain.send(payload_of(number))
        one.wait_for(arrived + PACED)
        time.sleep(0.005)
        used = one.processor_time() - before
        seen = dict(stamps(third))
    for number in range(PACED):
        payload = payload_of(number)
        came = seen.pop((one.near, payload))
        went = seen.pop((one.far, one.expected(payload)))
        one.latencies.append((went - came) / 1e9)
    assert not seen, f"{one.name}: what is this? {seen}"
    return used / PACED


def measure_round(found: Collection[Forwarder], processor: int) -> None:
    """Measure all of them once, in turns."""
    ways: dict[str, Callable[[Forwarder], float]] = {
        "bursts": lambda one: measure_bursts(one, processor),
        "paced": measure_paced,
    }
    for regime, measure in ways.items():
        turns = [[measure(one) for one in found] for _ in range(TURNS)]
        for one, costs in zip(found, zip(*turns, strict=True), strict=True):
            one.costs[regime].append(statistics.mean(costs))


def observer() -> socket.socket:
    """Open a socket that receives from all interfaces, with stamps."""
    third = socket.socket(socket.AF_CAN, socket.SOCK_RAW, socket.CAN_RAW)
    third.setsockopt(socket.SOL_SOCKET, _TIMESTAMPNS, 1)
    third.setsockopt(socket.SOL_SOCKET, _RCVBUFFORCE, 16 << 20)
    third.setblocking(False)
    third.bind(("",))
    return third


def stamps(third: socket.socket) -> Iterator[tuple[tuple[str, bytes], int]]:
    """Give interface and payload of what was seen, and nanoseconds."""
    with suppress(BlockingIOError):
        while True:
            payload, ancillary, _, (interface, *_) = third.recvmsg(16, 64)
            seconds, nanoseconds = struct.unpack("ll", ancillary[0][2])
            yield (interface, payload), seconds * 1_000_000_000 + nanoseconds


def forwarders(program: Path) -> dict[str, Forwarder]:
    def python(name: str, *arguments: str, **more: Any) -> Forwarder:
        script = str(Path(__file__).with_name("forwarders.py"))
        command = [sys.executable, script, *arguments]
        return Forwarder(name, lambda near, far: [*command, near, far], **more)

    def gateway(name: str, kind: str, backend: str = "asyncio", **more: Any) -> Forwarder:
        return python(f"anycan, {name}", kind, backend, **more)

    found = {
        "C": Forwarder("C: epoll_wait, read, write", lambda near, far: [program, near, far]),
        "C, drain": Forwarder(
            "C: read and write until nothing waits",
            lambda near, far: [program, near, far, "drain"],
        ),
        "bare": python("asyncio: add_reader, recv, send", "bare"),
        "asyncio": gateway("asyncio", "plain"),
        "uvloop": gateway("uvloop", "plain", "uvloop"),
        "trio": gateway("trio", "plain", "trio"),
        "changed": gateway("filter, modification, checksum", "changed", expected=changed),
        "one of 100": gateway("one rule of 100 takes all", "one of 100"),
        "each of 100": gateway("100 rules, each its share", "each of 100"),
        "call": gateway("a function", "call"),
        "async call": gateway("a coroutine function", "async call"),
        "kernel": gateway("by the kernel", "kernel"),
    }
    if importlib.util.find_spec("can") is None:
        print("python-can is not installed: left out", file=sys.stderr)
    else:
        found["python-can"] = Forwarder("python-can's bridge", bridge_command, with_raw_dlc)
    return found


def bridge_command(near: str, far: str) -> list[str]:
    sides = [
        (f"--bus{side}-interface", "socketcan", f"--bus{side}-channel", interface)
        for side, interface in ((1, near), (2, far))
    ]
    return [sys.executable, "-m", "can.bridge", *itertools.chain(*sides)]


# Printing


def ratio(these: list[float], to: list[float]) -> str:
    """Give the median of the rounds' ratios, and the least and the greatest."""
    if statistics.median(these) < 1e-8:  # the kernel's path
        return "0"
    if statistics.median(to) < 1e-8:
        return "-"
    ratios = sorted(one / other for one, other in zip(these, to, strict=True))
    digits = 0 if ratios[-1] >= 10 else 1
    least, middle, most = (
        f"{one:.{digits}f}" for one in (ratios[0], statistics.median(ratios), ratios[-1])
    )
    return f"{middle} ({least} to {most})"


def print_tables(found: dict[str, Forwarder]) -> None:
    bounds = {"asyncio": ("; bound 4", "; bound: at least 20"), "kernel": ("; bound: nothing", "")}
    for title, regime in ((f"bursts of {BURST}", "bursts"), (f"{RATE} frames/s", "paced")):
        paced = regime == "paced"
        latency = " latency, median, µs | 99th, µs |" if paced else ""
        print(f"\n| Forwarding, {title} | µs/frame | x C | python-can takes |{latency}")
        print("|---|---|---|---|" + ("---|---|" if paced else ""))
        for key, one in found.items():
            costs = one.costs[regime]
            cheaper = "-"
            if "python-can" in found and key != "python-can":
                cheaper = ratio(found["python-can"].costs[regime], costs)
            to_c, to_bridge = bounds.get(key, ("", ""))
            line = (
                f"| {one.name} | {statistics.median(costs) * 1e6:.1f} |"
                f" {ratio(costs, found['C'].costs[regime])}{to_c} | {cheaper}{to_bridge} |"
            )
            if paced:
                latencies = sorted(one.latencies)
                late = latencies[len(latencies) * 99 // 100]
                line += f" {statistics.median(latencies) * 1e6:.0f} | {late * 1e6:.0f} |"
            print(line)


def main() -> None:
    """Start all forwarders, measure them in turns, print."""
    ours, *others = sorted(os.sched_getaffinity(0))
    theirs = others[0] if others else ours
    with tempfile.TemporaryDirectory() as directory, room_for_bursts(), ExitStack() as held:
        program = Path(directory, "forward")
        compiler = shutil.which("cc") or "cc"
        source = Path(__file__).with_name("forward.c")
        subprocess.run([compiler, "-O2", "-o", program, source], check=True)
        found = forwarders(program)
        for number, one in enumerate(found.values()):
            os.sched_setaffinity(0, {theirs})  # what is started has it from here
            one.start(number, held)
            os.sched_setaffinity(0, {ours})
            one.wait_until_it_forwards()
        time.sleep(0.5)  # what was sent meanwhile is through
        for number in range(ROUNDS + 1):
            measure_round(found.values(), theirs)
            if number == 0:  # it warms up
                for one in found.values():
                    for results in (*one.costs.values(), one.latencies):
                        results.clear()
        print_tables(found)


if __name__ == "__main__":
    main()
