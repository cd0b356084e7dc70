"""What forwarding costs: a gateway's paths, beside programs in C and python-can's bridge."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import socket
import statistics
import struct
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from programs import forwarder
from programs.forwarder import changed, payload_of, with_raw_dlc
from suite.can import SO_RCVBUFFORCE, SO_TIMESTAMPNS, build, sender, vcan
from suite.case import Bound, Case, Contender, Metric, NotHereError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from suite.case import Measured

TURNS = 8  # in a round
BURST = 500  # one in a turn
ROOM = 4 << 20  # bytes of a receive buffer, for that
PACED = 50  # in a turn
RATE = 500
PATIENCE = 120.0


@attrs.define(eq=False)
class Forwarder:
    """A process that forwards between two vcans.

    Attributes:
        key: Names the contender.
        title: What is printed.
        command: Gives its command line, for the two interfaces.
        expected: Gives what becomes of a payload.
        module: What has to be installed for it.
        problem: Why it does not forward; empty: it does.
    """

    key: str
    title: str
    command: Callable[[str, str], Sequence[str | Path]]
    expected: Callable[[bytes], bytes] = bytes
    module: str | None = None
    near: str = ""
    far: str = ""
    clock: int = 0
    problem: str = ""

    @property
    def missing(self) -> bool:
        """Whether what it needs is not installed."""
        return self.module is not None and importlib.util.find_spec(self.module) is None

    def start(self, number: int, held: ExitStack) -> subprocess.Popen[bytes]:
        """Start it, between interfaces of its own."""
        self.near, self.far = f"bench{number}a", f"bench{number}b"
        held.enter_context(vcan(self.near, self.far))
        process = subprocess.Popen(self.command(self.near, self.far), stdout=subprocess.DEVNULL)
        held.callback(process.wait)
        held.callback(process.kill)
        clock = ctypes.c_int()
        if ctypes.CDLL(None).clock_getcpuclockid(process.pid, ctypes.byref(clock)):
            raise OSError(f"no clock of {self.title}")
        self.clock = clock.value
        return process

    def processor_time(self) -> float:
        """Give the seconds that it has taken, read from outside."""
        return time.clock_gettime(self.clock)

    def forwarded(self) -> int:
        """Give how many frames it has sent."""
        return int(Path("/sys/class/net", self.far, "statistics/tx_packets").read_text())

    def wait_for(self, forwarded: int) -> None:
        """Wait until so many frames have been forwarded."""
        end = time.monotonic() + PATIENCE
        while self.forwarded() < forwarded:
            if time.monotonic() > end:
                missing = forwarded - self.forwarded()
                raise TimeoutError(f"{self.title}: {missing} frames have not arrived")
            time.sleep(0.002)

    def wait_until_it_forwards(self, process: subprocess.Popen[bytes]) -> None:
        """Wait until it is ready; where it never is, take note of that."""
        end = time.monotonic() + PATIENCE
        with sender(self.near) as plain:
            while not self.forwarded():
                if process.poll() is not None:
                    self.problem = f"it has ended with status {process.returncode}"
                    return
                if time.monotonic() > end:
                    self.problem = f"it has not forwarded a frame in {PATIENCE:g} s"
                    return
                plain.send(payload_of(0))
                time.sleep(0.1)


# Measuring one, in turns


@contextmanager
def _going_first(processor: int) -> Iterator[None]:
    """Share a processor with others, and go before them."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {processor})
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    try:
        yield
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        os.sched_setaffinity(0, before)


def _processors() -> tuple[int, int]:
    """Give the processor of who measures, and that of the forwarders."""
    ours, *others = sorted(os.sched_getaffinity(0))
    return ours, others[0] if others else ours


def _measure_burst(one: Forwarder, processor: int) -> float:
    """Give seconds of processor time for a frame."""
    payloads = [payload_of(number) for number in range(BURST)]
    arrived = one.forwarded()
    with _going_first(processor), sender(one.near) as plain:
        before = one.processor_time()
        for payload in payloads:
            plain.send(payload)
        one.wait_for(arrived + BURST)
        time.sleep(0.005)  # it has sent the last one, and may still count it
        used = one.processor_time() - before
    assert one.forwarded() == arrived + BURST
    return used / BURST


def _measure_paced(one: Forwarder) -> tuple[float, list[float]]:
    """Give seconds of processor time for a frame, and seconds from one vcan to the other."""
    arrived = one.forwarded()
    with sender(one.near) as plain, _observer() as third:
        before = one.processor_time()
        due = time.monotonic()
        for number in range(PACED):
            due += 1 / RATE
            time.sleep(max(0, due - time.monotonic()))
            plain.send(payload_of(number))
        one.wait_for(arrived + PACED)
        time.sleep(0.005)
        used = one.processor_time() - before
        seen = dict(_stamps(third))
    latencies = []
    for number in range(PACED):
        payload = payload_of(number)
        came = seen.pop((one.near, payload))
        went = seen.pop((one.far, one.expected(payload)))
        latencies.append((went - came) / 1e9)
    assert not seen, f"{one.title}: what is this? {seen}"
    return used / PACED, latencies


def _observer() -> socket.socket:
    """Open a socket that receives from all interfaces, with stamps."""
    third = socket.socket(socket.AF_CAN, socket.SOCK_RAW, socket.CAN_RAW)
    third.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    third.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20)
    third.setblocking(False)
    third.bind(("",))
    return third


def _stamps(third: socket.socket) -> Iterator[tuple[tuple[str, bytes], int]]:
    """Give interface and payload of what was seen, and nanoseconds."""
    with suppress(BlockingIOError):
        while True:
            payload, ancillary, _, (interface, *_) = third.recvmsg(16, 64)
            seconds, nanoseconds = struct.unpack("ll", ancillary[0][2])
            yield (interface, payload), seconds * 1_000_000_000 + nanoseconds


def _measure(one: Forwarder) -> Measured:
    if one.missing:
        raise NotHereError(f"{one.module} is not installed")
    if one.problem:
        raise RuntimeError(f"{one.title}: {one.problem}")
    ours, theirs = _processors()
    os.sched_setaffinity(0, {ours})
    bursts = [_measure_burst(one, theirs) for _ in range(TURNS)]
    paced = [_measure_paced(one) for _ in range(TURNS)]
    latencies = sorted(latency for _, some in paced for latency in some)
    values = {
        "bursts": statistics.mean(bursts),
        "paced": statistics.mean(cost for cost, _ in paced),
        "latency": statistics.median(latencies),
        "late": latencies[len(latencies) * 99 // 100],
    }
    return {key: value * 1e6 for key, value in values.items()}


# All that there are


def _in_c(*how: str) -> Callable[[str, str], Sequence[str | Path]]:
    return lambda near, far: [build("forward"), near, far, *how]


def _in_python(kind: str, *how: str) -> Callable[[str, str], Sequence[str | Path]]:
    return lambda near, far: [sys.executable, forwarder.__file__, kind, *how, near, far]


def _bridge(near: str, far: str) -> list[str]:
    command = [sys.executable, "-m", "can.bridge"]
    for side, interface in ((1, near), (2, far)):
        command += [f"--bus{side}-interface", "socketcan", f"--bus{side}-channel", interface]
    return command


def _forwarders() -> list[Forwarder]:
    def gateway(
        key: str,
        title: str,
        kind: str = "plain",
        backend: str = "asyncio",
        expected: Callable[[bytes], bytes] = bytes,
    ) -> Forwarder:
        module = None if backend == "asyncio" else backend
        command = _in_python(kind, backend)
        return Forwarder(f"anycan_{key}", f"anycan, {title}", command, expected, module)

    return [
        Forwarder("c", "C: epoll_wait, read, write", _in_c()),
        Forwarder("c_drain", "C: read and write until nothing waits", _in_c("drain")),
        Forwarder("c_batch", "C: recvmmsg, sendmmsg", _in_c("batch")),
        Forwarder("bare", "asyncio: add_reader, recv, send", _in_python("bare")),
        gateway("asyncio", "asyncio"),
        gateway("uvloop", "uvloop", backend="uvloop"),
        gateway("trio", "trio", backend="trio"),
        gateway("changed", "filter, modification, checksum", "changed", expected=changed),
        gateway("one_of_100", "one rule of 100 takes all", "one of 100"),
        gateway("each_of_100", "100 rules, each its share", "each of 100"),
        gateway("call", "a function", "call"),
        gateway("async_call", "a coroutine function", "async call"),
        gateway("kernel", "by the kernel", "kernel"),
        Forwarder("python_can", "python-can's bridge", _bridge, with_raw_dlc, "can"),
    ]


@contextmanager
def _room_for_bursts() -> Iterator[None]:
    """Have sockets that are opened now keep a whole burst."""
    setting = Path("/proc/sys/net/core/rmem_default")
    before = setting.read_text()
    setting.write_text(str(ROOM))
    try:
        yield
    finally:
        setting.write_text(before)


@contextmanager
def _running(found: Sequence[Forwarder]) -> Iterator[None]:
    """Have all of them forward, on a processor of their own where there are two."""
    before = os.sched_getaffinity(0)
    ours, theirs = _processors()
    with _room_for_bursts(), ExitStack() as held:
        held.callback(os.sched_setaffinity, 0, before)
        for number, one in enumerate(found):
            if one.missing:
                continue
            os.sched_setaffinity(0, {theirs})  # what is started has it from here
            process = one.start(number, held)
            os.sched_setaffinity(0, {ours})
            one.wait_until_it_forwards(process)
        os.sched_setaffinity(0, before)
        time.sleep(0.5)  # what was sent meanwhile is through
        yield


def cases() -> list[Case]:
    """Give the case."""
    found = _forwarders()
    contenders = [Contender(one.key, one.title, partial(_measure, one)) for one in found]
    return [
        Case(
            key="gateway",
            title="Forwarding",
            explanation=(
                "Each forwarder is a process of its own between two virtual interfaces of its own,"
                " both ways, and µs/frame is its processor time, read from outside. Bursts: the"
                f" sender shares its processor and goes first, so that {BURST} frames wait when it"
                f" begins. Paced: {RATE} frames/s, of which each one has to wake it; latency is the"
                " difference of the kernel's stamps on the two interfaces, taken by a third socket."
                f" A round has {TURNS} turns of each. What the kernel forwards by itself costs no"
                " process anything. The first program in C makes three system calls for each frame;"
                " anycan forwards what waits in batches, as the one by recvmmsg and sendmmsg does."
                " The bounds are those of bursts, and that of C is the first program's."
            ),
            metrics=(
                Metric("bursts", f"bursts of {BURST}, µs/frame"),
                Metric("paced", f"{RATE} frames/s, µs/frame"),
                Metric("latency", "latency, median, µs", digits=0, compared=False),
                Metric("late", "latency, 99th, µs", digits=0, compared=False),
            ),
            contenders=tuple(contenders),
            reference="c",
            bounds=(
                Bound("anycan_asyncio", "bursts", most=4.0, reference="c"),
                Bound("anycan_asyncio", "bursts", least=20.0, reference="python_can"),
                Bound("anycan_kernel", "bursts", most=0.1),
            ),
            setup=partial(_running, found),
        )
    ]
