"""Running a program of raw sockets on a network.

It gives one outcome for each step: what the call returned, the error's name, or every message that
a receive call gave. Two networks are alike when the same program has the same outcomes on both.
"""

from __future__ import annotations

import errno
import select
import socket
import struct
from collections import defaultdict
from functools import cache
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from anycan.sockets.networks import open_descriptor
from anycan.wire.constants import CAN_RAW, SO_RXQ_OVFL, SOL_SOCKET
from anycan.wire.messages import CONTROL_HEADER, HEADER_SIZE, MessageBuffer, pack_address
from raw_steps import (
    LEFT_OVER,
    SOCKETS,
    Add,
    Bind,
    Connect,
    Drain,
    Flood,
    Forward,
    Get,
    Lists,
    Mtu,
    Poll,
    Receive,
    Remove,
    Reopen,
    Send,
    Set,
)
from stages import ELSEWHERE, HIDDEN
from steps import Link, Replace

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from raw_steps import Address, Step
    from stages import Stage

Outcome: TypeAlias = "str | int | bytes | list[Any] | tuple[Any, ...] | None"

_CONTROL: Final = struct.Struct("@" + CONTROL_HEADER)
_CONTROL_LENGTH: Final = struct.Struct("@40xN")  # of struct mmsghdr: msg_controllen
_BATCH: Final = 4
_MOST: Final = 400  # receive calls, which all that a socket can hold does not take


def alike(one: Outcome, other: Outcome) -> bool:
    """Tell whether two outcomes are the same, as far as both are known."""
    return one == other or HIDDEN in (one, other)


def all_alike(one: Sequence[Outcome], other: Sequence[Outcome]) -> bool:
    """Tell whether two runs had the same outcomes."""
    return all(map(alike, one, other))


def run(program: Sequence[Step], stage: Stage) -> list[Outcome]:
    """Run a program on fresh sockets, and give the outcome of each step, then what is left."""
    stage.reset()
    run = Run(stage)
    try:
        return [run.outcome(step) for step in (*program, *LEFT_OVER)]
    finally:
        run.close()


class Run:
    """A program on a network.

    Args:
        stage: The network.
    """

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._ends = [_End(stage, who) for who in range(SOCKETS)]

    def close(self) -> None:
        for end in self._ends:
            end.descriptor.close()

    def outcome(self, step: Step) -> Outcome:
        """Do a step."""
        return _outcome_of(lambda: self._do(step))

    def _do(self, step: Step) -> Outcome:
        stage = self._stage
        match step:
            case Link(interface, up):
                (stage.up if up else stage.down)(interface)
            case Replace(interface):
                stage.replace(interface)
            case Remove(interface):
                stage.remove(interface)
            case Add(interface):
                stage.add(interface)
            case Mtu(interface, mtu):
                stage.set_mtu(interface, mtu)
            case Reopen(who):
                self._ends[who].descriptor.close()
                self._ends[who] = _End(stage, who)
            case Lists():
                return stage.lists()
            case Forward(who, other, size):
                return self._ends[who].forward(self._ends[other], size)
            case _:
                return self._ends[step.who].do(step)
        return None


class _End:
    """A socket, and the memory that it receives into.

    Args:
        stage: Where.
        who: Its number.
    """

    def __init__(self, stage: Stage, who: int) -> None:
        self._stage = stage
        self._who = who
        self.descriptor = open_descriptor(stage.network, socket.SOCK_RAW, CAN_RAW, "can-raw")

    def do(self, step: Step) -> Outcome:
        """Do a step that concerns this socket alone."""
        descriptor = self.descriptor
        outcome: Outcome = None
        match step:
            case Bind(_, address):
                descriptor.bind(self._address(address))
            case Connect(_, address):
                descriptor.connect(self._address(address))
            case Set(_, level, option, value):
                descriptor.setsockopt(level, option, value)
            case Get(_, level, option, size):
                outcome = descriptor.getsockopt(level, option, size)
            case Send(_, payloads, address):
                target = None if address is None else self._address(address)
                outcome = descriptor.send(payloads, target)
            case Flood(_, payload, count):
                outcome = [_outcome_of(lambda: descriptor.send([payload])) for _ in range(count)]
            case Receive(_, limit, room):
                outcome = self._receive(room, limit)
            case Drain():
                outcome = self._drain()
            case Poll():
                outcome = self._poll()
        return outcome

    def _address(self, address: Address) -> bytes:
        match address.interface:
            case None:
                index = 0
            case "nowhere":
                index = ELSEWHERE
            case "alien":
                index = self._stage.alien
            case interface:
                index = self._stage.index(interface)
        whole = struct.pack("=H", address.family) + pack_address(index)[2:]
        return whole[: address.size].ljust(address.size, b"\0")

    def _receive(self, room: int, limit: int = _BATCH) -> list[Any]:
        buffer = _buffer(self._who, room)
        buffer.limit = limit
        count = self.descriptor.receive(buffer)
        return [_message(buffer, position, self._stage.roles) for position in range(count)]

    def _drain(self) -> list[Any]:
        messages: list[Any] = []
        for _ in range(_MOST):
            got = _outcome_of(lambda: self._receive(2064))
            if got == "EAGAIN":
                break
            messages += got if isinstance(got, list) else [got]
        return messages

    def forward(self, other: _End, size: int) -> Outcome:
        """Receive, and send from the same memory by another socket."""
        messages = self._receive(size)
        if any(len(message[0]) != size for message in messages):
            return [*messages, "of several lengths"]
        sent = _outcome_of(
            lambda: other.descriptor.send_received(_buffer(self._who, size), len(messages), size)
        )
        return [*messages, sent]

    def _poll(self) -> str:
        poll = select.poll()
        poll.register(self.descriptor.fileno(), select.POLLIN | select.POLLOUT)
        events = dict(poll.poll(0)).get(self.descriptor.fileno(), 0)
        # The kernel tells an error that is pending by a bit of its own: parity.md.
        if events & select.POLLERR:
            events |= select.POLLIN | select.POLLOUT
        readable = "readable" if events & select.POLLIN else "silent"
        return f"{readable}, {'writable' if events & select.POLLOUT else 'full'}"


@cache
def _buffer(who: int, room: int) -> MessageBuffer:  # noqa: ARG001 - each socket has its own
    """Give memory to receive into: the same for all programs, since to make it takes its time."""
    return MessageBuffer(_BATCH, room)


def _outcome_of(call: Callable[[], Outcome]) -> Outcome:
    try:
        return call()
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    except ValueError:  # what a user network says to an MTU that is none
        return "EINVAL"


def _message(buffer: MessageBuffer, position: int, roles: dict[int, str]) -> tuple[Any, ...]:
    """Give the payload, the flags, the interface, and the drop count if there is one."""
    payload, flags, role = buffer.message(position, defaultdict(lambda: "gone", roles))
    (size,) = _CONTROL_LENGTH.unpack_from(buffer.headers, position * HEADER_SIZE)
    offset = position * buffer.stride + buffer.control_offset
    end = offset + size
    while offset < end:
        length, level, kind = _CONTROL.unpack_from(buffer.records, offset)
        if (level, kind) == (SOL_SOCKET, SO_RXQ_OVFL):
            (drops,) = struct.unpack_from("=I", buffer.records, offset + _CONTROL.size)
            return payload, flags, role, f"{drops} dropped"
        offset += length + -length % struct.calcsize("@N")
    return payload, flags, role
