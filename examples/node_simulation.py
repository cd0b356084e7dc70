"""Simulate a control unit: twenty cyclic messages, a command that it obeys, a request it answers.

The broadcast manager sends the messages, their counters and checksums too, and compares the
commands that come. This program runs when a command changes or fails to come.

Usage:

    python node_simulation.py can0      # the kernel, or what ANYCAN_NETWORK names
    python node_simulation.py --user    # a network in this program, with a tester
"""

from __future__ import annotations

import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import anyio

from anycan import (
    BcmEvent,
    Changed,
    Filter,
    Frame,
    InterfaceDownError,
    Network,
    RemoteFrame,
    UserNetwork,
    open_bcm,
    open_raw,
)

if TYPE_CHECKING:
    from collections.abc import Callable

IDLE_RPM = 750
HIGHEST_RPM = 6000
COUNTER_VALUES = 16

COMMAND = 0x0A0  # bytes 0 and 1: the speed that is wanted, a bit for 0.25 rpm; every 20 ms
COMMAND_TIMEOUT = 0.1
SERIAL_NUMBER = Frame(0x7A0, b"SN004711")


@dataclass
class Engine:
    """What the messages tell."""

    rpm: int = IDLE_RPM
    coolant: int = 90

    def obey(self, event: BcmEvent) -> None:
        """Run as the command says; idle while there is none."""
        rpm = IDLE_RPM
        if isinstance(event, Changed):
            rpm = int.from_bytes(event.frame.data[:2]) // 4
        self.rpm = max(IDLE_RPM, min(rpm, HIGHEST_RPM))


# What stands in a message, as a list: that many frames are sent in turn.


def plain(*signals: int) -> list[bytes]:
    """Give the content of a message: 16 bits for each signal."""
    return [b"".join(signal.to_bytes(2) for signal in signals)]


def counted(*signals: int) -> list[bytes]:
    """Give a message's contents, one for each value of its counter: checksum, counter, signals."""
    [tail] = plain(*signals)
    contents = []
    for counter in range(COUNTER_VALUES):
        body = bytes([counter]) + tail
        contents.append(bytes([checksum(body)]) + body)
    return contents


def paged(text: bytes) -> list[bytes]:
    """Give a multiplexed message's contents: the number of the page, and seven bytes of a text."""
    pages = [text[start : start + 7].ljust(7, b"\0") for start in range(0, len(text), 7)]
    return [bytes([number]) + page for number, page in enumerate(pages)]


def checksum(data: bytes) -> int:
    """Give the CRC-8 of SAE J1850."""
    remainder = 0xFF
    for byte in data:
        remainder ^= byte
        for _ in range(8):
            remainder = (remainder << 1) ^ (0x11D if remainder & 0x80 else 0)
    return remainder ^ 0xFF


class Message(NamedTuple):
    """A cyclic message: how often it is sent, and what it says of the engine."""

    identifier: int
    interval: float
    contents: Callable[[Engine], list[bytes]]

    def frames(self, engine: Engine) -> tuple[Frame, ...]:
        """Give what is to be sent now."""
        return tuple(Frame(self.identifier, data) for data in self.contents(engine))


SPEED = 0x0C0
MESSAGES = (
    Message(SPEED, 0.01, lambda engine: counted(engine.rpm * 4)),
    Message(0x0C4, 0.01, lambda engine: counted(engine.rpm // 50, 400)),
    Message(0x0C8, 0.01, lambda engine: plain(engine.rpm // 60)),
    Message(0x0CC, 0.01, lambda engine: plain(engine.rpm // 8, 0x8000)),
    Message(0x120, 0.02, lambda _: counted(0)),
    Message(0x124, 0.02, lambda engine: plain(engine.rpm // 20, 1013)),
    Message(0x128, 0.02, lambda _: plain(1000, 1000)),
    Message(0x12C, 0.02, lambda engine: plain(engine.rpm // 100)),
    Message(0x1A0, 0.05, lambda engine: plain(1013 + engine.rpm // 10)),
    Message(0x1A4, 0.05, lambda _: plain(0, 0, 0, 0)),
    Message(0x1A8, 0.05, lambda engine: counted(int(engine.rpm > IDLE_RPM))),
    Message(0x280, 0.1, lambda engine: counted(engine.coolant + 40)),
    Message(0x284, 0.1, lambda engine: plain(200 + engine.rpm // 20, engine.coolant + 45)),
    Message(0x288, 0.1, lambda engine: plain(engine.rpm // 10)),
    Message(0x28C, 0.1, lambda _: plain(1420, 60)),
    Message(0x290, 0.1, lambda _: plain(0)),
    Message(0x3C0, 0.5, lambda engine: plain(300 + engine.rpm // 10)),
    Message(0x3C4, 0.5, lambda _: plain(15000)),
    Message(0x500, 1.0, lambda _: paged(b"WVWZZZ1JZXW000001")),
    Message(0x504, 1.0, lambda _: plain(1234)),
)


async def simulate(interface: str, *, network: Network | None = None) -> None:
    """Be the control unit, until cancelled or until the interface is gone."""
    engine = Engine()
    async with (
        open_bcm(interface, network=network) as bcm,
        bcm.answer_remote(SERIAL_NUMBER),
        bcm.watch(COMMAND, mask=b"\xff\xff", timeout=COMMAND_TIMEOUT) as commands,
        AsyncExitStack() as stack,
    ):
        tasks = []
        for message in MESSAGES:
            task = bcm.send_cyclic(message.frames(engine), message.interval)
            tasks.append(await stack.enter_async_context(task))
        while True:
            try:
                engine.obey(await commands.receive())
            except InterfaceDownError as error:
                print(error.strerror)
                continue
            for message, task in zip(MESSAGES, tasks, strict=True):
                frames = message.frames(engine)
                if frames != task.frames:
                    await task.update(frames)  # counters go on where they are


async def rehearse() -> None:
    """Test the control unit on a user-space network."""
    async with UserNetwork() as network, anyio.create_task_group() as tasks:
        network.add_vcan("can0")
        async with open_raw("can0", network=network) as tester:
            tasks.start_soon(partial(simulate, "can0", network=network))
            heard: set[int] = set()
            while len(heard) < len(MESSAGES):
                frame = await tester.receive()
                if isinstance(frame, Frame):
                    heard.add(frame.id)
            print(len(heard), "messages")
        await ask_for_serial_number(network)
        await command_a_speed(network)
        tasks.cancel_scope.cancel()


async def ask_for_serial_number(network: Network) -> None:
    """Send a remote request."""
    answers = Filter.id(SERIAL_NUMBER.id)
    async with open_raw("can0", filters=answers, network=network) as tester:
        await tester.send(RemoteFrame(SERIAL_NUMBER.id, len(SERIAL_NUMBER.data)))
        print((await tester.receive()).data.decode())


async def command_a_speed(network: Network) -> None:
    """Send commands, stop doing so, and look at the speed and at its counter meanwhile."""
    command = Frame(COMMAND, (2000 * 4).to_bytes(2))
    async with (
        open_bcm("can0", network=network) as bcm,
        open_raw("can0", filters=Filter.id(SPEED), network=network) as tester,
        bcm.watch(SPEED, mask=b"\0\0\xff\xff") as speeds,
    ):
        print_speed(await speeds.receive())
        async with bcm.send_cyclic(command, interval=0.02):
            print_speed(await speeds.receive())
        print_speed(await speeds.receive())
        contents = [(await tester.receive()).data for _ in range(12)]
        print("counter and checksum", "right" if are_counted(contents) else "wrong")


def print_speed(event: BcmEvent) -> None:
    """Print the engine's speed."""
    if isinstance(event, Changed):
        print(int.from_bytes(event.frame.data[2:4]) // 4, "rpm")


def are_counted(contents: list[bytes]) -> bool:
    """Tell whether each counter is the one before and one more, and each checksum right."""
    first = contents[0][1]
    return all(
        data[1] == (first + number) % COUNTER_VALUES and data[0] == checksum(data[1:])
        for number, data in enumerate(contents)
    )


def main() -> None:
    """Run it on the interface that was named."""
    if sys.argv[1:] == ["--user"]:
        anyio.run(rehearse)
    elif len(sys.argv) == 2:
        try:
            anyio.run(simulate, sys.argv[1])
        except KeyboardInterrupt:
            print("stopped")
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
