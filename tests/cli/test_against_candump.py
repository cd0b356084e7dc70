"""can-utils as the independent peer, on real interfaces: both listen to the same traffic.

Programs end by counting frames, and are waited for where the kernel lists their sockets: nothing
here depends on how long anything takes.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest

from anycan import AnyFrame, ErrorClass, Filter, Frame, LogFormatter, ScreenFormatter, open_raw
from anycan.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rig.links import Links

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(180)]

ANYCAN = [sys.executable, "-m", "anycan.cli"]
EVERYTHING = ",0:0,#FFFFFFFF"  # error frames too

TRAFFIC = [
    *("123#DEADBEEF", "123#", "123#R", "5A1#R3", "12345678#R8", "123#1122334455667788"),
    *("00000012#11", "1F334455#20217E5C27", "123##0AABB", "123##3AABB", "123##4", "7FF##1"),
    *("12345678##000112233445566778899AABBCCDDEEFF", "20000004#0001000000000000"),
    *("20000204#0004000000006000", "2000000C#0001", "20000040#0000000000000000"),
    *("2000002A#0BFFFF0A55660708", "123#2A", "7FF#0011223344556677", "123#R"),
]


@pytest.fixture
def vcan(kernel_links: Links) -> str:
    return kernel_links.add()


def receivers(interface: str) -> int:
    """Count what the kernel has on its receive lists for an interface."""
    lists = Path("/proc/net/can").glob("rcvlist_*")
    return sum(
        len(re.findall(rf"^ *{interface} +[0-9a-f]", one.read_text(), re.MULTILINE))
        for one in lists
    )


class Listeners:
    """Programs that listen; each is started once the one before it does."""

    def __init__(self, interface: str) -> None:
        self.interface = interface
        self.processes: list[subprocess.Popen[str]] = []

    def start(self, *command: str) -> subprocess.Popen[str]:
        before = receivers(self.interface)
        process = subprocess.Popen(  # noqa: S603 - a test's own words
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.processes.append(process)
        while receivers(self.interface) == before:
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)
        return process

    def close(self) -> None:
        for process in self.processes:
            process.kill()
            process.communicate()


@pytest.fixture
def listeners(vcan: str) -> Iterator[Listeners]:
    opened = Listeners(vcan)
    yield opened
    opened.close()


def output(process: subprocess.Popen[str]) -> str:
    text, errors = process.communicate(timeout=120)
    assert (process.returncode, errors) == (0, "")
    return text


def send(interface: str, *frames: str) -> None:
    async def send_all() -> None:
        async with open_raw(interface, filters=Filter.none(), network="kernel") as can:
            await can.send_many([Frame.parse(text) for text in frames])

    anyio.run(send_all)


def receive(interface: str, count: int, send_frames: Callable[[], object]) -> list[AnyFrame]:
    """Give what an endpoint receives of what another program sends."""

    async def receive_all() -> list[AnyFrame]:
        async with open_raw(interface, errors=ErrorClass.ALL, network="kernel") as can:
            await anyio.to_thread.run_sync(send_frames)
            return [await can.receive() for _ in range(count)]

    return anyio.run(receive_all)


@contextmanager
def sending_once_heard(interface: str, send_frames: Callable[[], object]) -> Iterator[None]:
    """Send from another thread as soon as this one has opened its last socket."""
    before = receivers(interface)

    def run() -> None:
        while receivers(interface) == before:
            time.sleep(0.02)
        send_frames()

    thread = threading.Thread(target=run)
    thread.start()
    yield
    thread.join()


def test_a_log_is_byte_for_byte_that_of_candump(vcan: str, listeners: Listeners) -> None:
    count = ["-n", str(len(TRAFFIC)), vcan + EVERYTHING]
    theirs = listeners.start("candump", "-L", *count)
    ours = listeners.start(*ANYCAN, "dump", "-L", *count)
    send(vcan, *TRAFFIC)
    log = output(theirs)
    assert output(ours) == log
    frames = [line.split()[2] for line in log.splitlines()]
    # the kernel marks CAN FD frames
    marked = [
        re.sub("##(.)", lambda digit: f"##{int(digit[1], 16) | 4:X}", text) for text in TRAFFIC
    ]
    assert frames == marked


def test_the_default_output_is_candumps(
    vcan: str, listeners: Listeners, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["-n", str(len(TRAFFIC)), vcan + EVERYTHING]
    theirs = listeners.start("candump", *arguments)
    with sending_once_heard(vcan, lambda: send(vcan, *TRAFFIC)):
        assert main(["dump", *arguments]) == 0
    assert capsys.readouterr() == (output(theirs), "")


def test_every_format_is_candumps(vcan: str, listeners: Listeners) -> None:
    formats: list[tuple[list[str], ScreenFormatter | LogFormatter]] = [
        (["-ta"], ScreenFormatter(timestamps="a")),
        (["-td", "-a"], ScreenFormatter(timestamps="d", text=True)),
        (["-tz", "-i"], ScreenFormatter(timestamps="z", binary=True)),
        (["-tA", "-S"], ScreenFormatter(timestamps="A", swap=True)),
        (["-x", "-a", "-S"], ScreenFormatter(direction=True, text=True, swap=True)),
        (["-i", "-a"], ScreenFormatter(binary=True, text=True)),
        (["-L", "-x"], LogFormatter(direction=True)),
    ]
    count = ["-n", str(len(TRAFFIC)), vcan + EVERYTHING]
    processes = [listeners.start("candump", *options, *count) for options, _ in formats]
    frames = receive(vcan, len(TRAFFIC), lambda: send(vcan, *TRAFFIC))
    for process, (options, formatter) in zip(processes, formats, strict=True):
        assert (options, formatter.format(frames)) == (options, output(process))


def test_error_frames_in_words_are_candumps(vcan: str, listeners: Listeners) -> None:
    errors = [
        "20000001#0000000000000000",
        "20000002#1700000000000000",
        *(f"20000004#00{bits:02X}000000000000" for bits in (0x01, 0x0C, 0x30, 0x40, 0xFF)),
        *(f"20000008#0000{bits:02X}1900000000" for bits in (0x00, 0x01, 0x18, 0x80, 0xFF)),
        *(f"20000008#000000{code:02X}00000000" for code in (0x00, 0x01, 0x0A, 0x1C, 0x1F, 0x20)),
        "20000010#0000000044000000",
        "200001FF#0BFFFF0A55660708",
    ]
    process = listeners.start("candump", "-e", "-n", str(len(errors)), vcan + EVERYTHING)
    frames = receive(vcan, len(errors), lambda: send(vcan, *errors))
    assert ScreenFormatter(errors=True).format(frames) == output(process)


def test_filters_and_names_in_columns(
    vcan: str, kernel_links: Links, listeners: Listeners, capsys: pytest.CaptureFixture[str]
) -> None:
    other = kernel_links.add("longinterface")
    traffic = [
        *((vcan, "123#01"), (vcan, "124#02"), (other, "120#03"), (other, "320#04")),
        *((vcan, "123#R"), (vcan, "123#05"), (other, "520#06"), (vcan, "123#06")),
    ]

    def send_each() -> None:
        for interface, text in traffic:
            send(interface, text)

    arguments = ["-n", "4", f"{vcan},123:C00007FF", f"{other},100~700,120:FF,j"]
    theirs = listeners.start("candump", *arguments)
    with sending_once_heard(other, send_each):
        assert main(["dump", *arguments]) == 0
    assert capsys.readouterr().out == output(theirs)


def test_interrupting_dump(vcan: str, listeners: Listeners) -> None:
    process = listeners.start(*ANYCAN, "dump", vcan)
    assert process.stdout is not None
    send(vcan, "123#11")
    assert process.stdout.readline() == f"  {vcan}  123   [1]  11\n"  # at once, not at the end
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert (process.returncode, errors) == (130, "anycan: 1 frame received, 0 dropped\n")


def test_cansend_arrives_intact(vcan: str) -> None:
    texts = ["123#DEADBEEF", "123#R", "5A1#R3", "12345678#R8", "123#11.22.33", "1F334455#11"]
    fd = ["123##7AABB", "12345678##500112233445566778899AABBCCDD0000"]

    def cansend() -> None:
        for text in [*texts, *fd]:
            subprocess.run(["cansend", vcan, text], check=True)  # noqa: S603, S607 - as above

    frames = receive(vcan, len(texts) + len(fd), cansend)
    assert [str(frame) for frame in frames] == [*(text.replace(".", "") for text in texts), *fd]


def test_cangen_arrives_intact(vcan: str, listeners: Listeners) -> None:
    theirs = listeners.start("candump", "-L", "-n", "300", vcan)
    cangen = ["cangen", vcan, "-m", "-g", "1", "-n", "300"]
    frames = receive(vcan, 300, lambda: subprocess.run(cangen, check=True))  # noqa: S603 - as above
    assert LogFormatter().format(frames) == output(theirs)


def test_what_we_send_candump_prints(
    vcan: str, listeners: Listeners, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs = listeners.start("candump", "-L", "-n", "4", vcan)
    assert main(["send", vcan, "123#DEADBEEF", "12345678#R8", "--count", "2"]) == 0
    assert [line.split()[2] for line in output(theirs).splitlines()] == [
        "123#DEADBEEF",
        "12345678#R8",
    ] * 2
    assert capsys.readouterr() == ("", "")


def test_what_is_sent_cyclically_candump_prints(vcan: str, listeners: Listeners) -> None:
    theirs = listeners.start("candump", "-L", "-n", "7", vcan)
    command = [*ANYCAN, "cyclic", vcan, "123#DEADBEEF", "12345678#R8", "123#00", "-g", "0.05"]
    ours = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)  # noqa: S603 - as above
    listeners.processes.append(ours)
    printed = [Frame.parse(line.split()[2]) for line in output(theirs).splitlines()]
    ours.send_signal(signal.SIGINT)
    _, errors = ours.communicate(timeout=120)
    assert printed == [Frame.parse(command[-5 + number % 3]) for number in range(7)]
    assert ours.returncode == 130
    assert re.fullmatch(
        rf"anycan: 3 frames in turn on {vcan} every 0\.05 s: ended after \d+\.\d s\n", errors
    )


def test_what_changes_is_logged_as_candump_logs_it(vcan: str, listeners: Listeners) -> None:
    changing = [
        *("123#01AA", "123#01BB", "12345678#11", "123#02BB", "12345678#11", "124#00"),
        *("123#02CC", "12345678#1122", "123#R", "123#03", "12345678#12", "123##003"),
    ]
    changed = [0, 2, 3, 7, 9, 10]
    theirs = listeners.start("candump", "-L", "-n", str(len(changing)), vcan)
    before = receivers(vcan)
    count = ["-n", str(len(changed))]
    ours = listeners.start(*ANYCAN, "watch", "-L", vcan, "123:FF", "12345678", *count)
    while receivers(vcan) < before + 2:  # it listens to one after the other
        time.sleep(0.02)
    send(vcan, *changing)
    log = output(theirs).splitlines(keepends=True)
    assert output(ours) == "".join(log[place] for place in changed)


def test_what_we_generate_candump_prints(
    vcan: str, listeners: Listeners, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs = listeners.start("candump", "-L", "-n", "200", vcan)
    assert main(["gen", vcan, "-g", "0", "-n", "200", "--mix", "--seed", "7", "-v"]) == 0
    sent = [Frame.parse(line.split()[1]) for line in capsys.readouterr().out.splitlines()]
    printed = [Frame.parse(line.split()[2]) for line in output(theirs).splitlines()]
    assert printed == sent


def test_what_candump_logged_we_play(
    vcan: str, listeners: Listeners, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = listeners.start("candump", "-L", "-n", str(len(TRAFFIC)), vcan + EVERYTHING)
    send(vcan, *TRAFFIC)
    log = tmp_path / "trip.log"
    log.write_text(output(first).replace(vcan, "can7"))
    second = listeners.start("candump", "-L", "-n", str(len(TRAFFIC)), vcan + EVERYTHING)
    assert main(["play", str(log), f"{vcan}=can7"]) == 0
    assert [line.split()[2] for line in output(second).splitlines()] == [
        line.split()[2] for line in log.read_text().splitlines()
    ]
    assert capsys.readouterr().err == f"anycan: {len(TRAFFIC)} frames sent\n"


@pytest.mark.may_block("starting the program ip waits for its file to be read")
def test_the_demo_accounts_for_every_frame_on_real_interfaces(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "trip.log"
    log.write_text(
        "".join(
            f"({1_700_000_000 + number // 1000}.{number % 1000:03d}000) can0"
            f" {number * 37 % 0x500:03X}#{number:08X}\n"
            for number in range(6000)
        )
    )
    assert main(["demo", "--log", str(log), "--network", "kernel"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "every frame is accounted for"
    assert lines[-4].startswith("6,000 frames replayed onto demo0 = ")
    assert not Path("/sys/class/net/demo0").exists()
    assert not Path("/sys/class/net/demo1").exists()
