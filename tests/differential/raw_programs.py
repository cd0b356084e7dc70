"""Random programs of raw sockets' calls.

Whatever a call can be given comes up: what is right, what is wrong, and what is odd. Identifiers,
masks and sizes are from a small world, so that filters and frames meet.

A step is read from a few random bytes, each of which chooses one thing. That makes Hypothesis ten
times faster than strategies for every field would, and it shrinks a program byte by byte: so the
simplest choice always stands first.
"""

from __future__ import annotations

import struct
from itertools import chain
from typing import TYPE_CHECKING, Final

from hypothesis import strategies

from anycan.wire.constants import AF_CAN, CAN_RAW_FD_FRAMES, CAN_RAW_XL_FRAMES, SOL_CAN_RAW
from anycan.wire.messages import SOCKADDR_CAN_SIZE
from choices import Choices
from raw_frames import frame
from raw_option_choices import WHO, get, set_odd, set_of_socket, set_usual
from raw_steps import (
    SOCKETS,
    Add,
    Address,
    Bind,
    Connect,
    Flood,
    Forward,
    Mtu,
    Poll,
    Receive,
    Remove,
    Reopen,
    Send,
    Set,
)
from stages import INTERFACES, PAIR
from steps import Link, Replace

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hypothesis.strategies import SearchStrategy

    from raw_steps import Step

_STEP_BYTES: Final = 24  # what chooses the most needs no more, or chooses the simplest
_PREPARATION_BYTES: Final = 24

# Addresses

_USUAL: Final = (*10 * ("flexible",), *4 * ("long",), "classical", None, None, *PAIR)
_FAMILIES: Final = (AF_CAN, AF_CAN, AF_CAN, AF_CAN, 0, 2)
_SIZES: Final = (SOCKADDR_CAN_SIZE, SOCKADDR_CAN_SIZE + 1, 0, 7, 8, 16, 128, 129)


def _usual_address(choose: Choices) -> Address:
    return Address(choose.of(_USUAL))


def _any_address(choose: Choices) -> Address:
    return Address(
        choose.of((*INTERFACES, None, "nowhere", "alien")), choose.of(_FAMILIES), choose.of(_SIZES)
    )


def _target(choose: Choices) -> Address:
    # Descriptors give a send call the whole structure, always.
    return Address(choose.of((*INTERFACES, *PAIR, "nowhere", None)), choose.of(_FAMILIES))


# Steps


def _send(choose: Choices) -> Step:
    return Send(choose.of(WHO), (frame(choose),))


def _send_to(choose: Choices) -> Step:
    return Send(choose.of(WHO), (frame(choose),), _target(choose))


def _send_many(choose: Choices) -> Step:
    who, address = choose.of(WHO), choose.of((None, _target))
    count = choose.of((2, 3))
    target = None if address is None else address(choose)
    return Send(who, tuple(frame(choose) for _ in range(count)), target)


def _receive(choose: Choices) -> Step:
    return Receive(choose.of(WHO), choose.of((16, 1, 2)), choose.of((2064, 16, 72)))


def _rare(choose: Choices) -> Step:
    interface = choose.of(INTERFACES)
    match choose.of(("reopen", "connect", "replace", "replace", "remove", "add", "mtu", "mtu")):
        case "reopen":
            return Reopen(choose.of(WHO))
        case "connect":
            return Connect(choose.of(WHO), _usual_address(choose))
        case "replace":
            return Replace(interface)
        case "remove":
            return Remove(interface)
        case "add":
            return Add(interface)
        case _:
            return Mtu(interface, choose.of((16, 72, 76, 100, 2060, 15, 73, 75, 2061)))


_KINDS: Final[tuple[Callable[[Choices], Step], ...]] = (
    *8 * (_send,),
    *(_send_to, _send_to, _send_many, _send_many),
    lambda choose: Flood(choose.of(WHO), frame(choose), choose.of((3, 3, 3, 30))),
    *3 * (_receive,),
    lambda choose: Poll(choose.of(WHO)),
    lambda choose: Forward(choose.of(WHO), choose.of(WHO), choose.of((16, 72))),
    lambda choose: Bind(choose.of(WHO), _usual_address(choose)),
    lambda choose: Bind(choose.of(WHO), _any_address(choose)),
    *3 * (set_usual,),
    *(set_of_socket, get, get, set_odd),
    lambda choose: Link(choose.of(INTERFACES), bool(choose.of((1, 0)))),
    lambda choose: Link(choose.of(INTERFACES), up=True),
    _rare,
)


def step_of(data: bytes) -> Step:
    """Give the step that some bytes choose."""
    choose = Choices(data)
    return choose.of(_KINDS)(choose)


def preparation_of(who: int, data: bytes) -> list[Step]:
    """Give what a socket most often does first: it is bound, and some options are set."""
    choose = Choices(data)
    steps: list[Step] = []
    if choose.of((0, *9 * (1,))):
        steps.append(Bind(who, _usual_address(choose)))
    option = choose.of((0, CAN_RAW_FD_FRAMES, CAN_RAW_FD_FRAMES, CAN_RAW_XL_FRAMES))
    if option:
        steps.append(Set(who, SOL_CAN_RAW, option, struct.pack("=I", 1)))
    steps += [set_usual(choose, who) for _ in range(choose.of((0, 0, 0, 1, 1, 2)))]
    return steps


def _program_of(preparations: Sequence[bytes], parts: Sequence[list[bytes]]) -> list[Step]:
    before = chain(*(preparation_of(who, data) for who, data in enumerate(preparations)))
    return [*before, *map(step_of, chain(*parts))]


def _bytes(count: int) -> SearchStrategy[bytes]:
    return strategies.binary(min_size=count, max_size=count)


def programs() -> SearchStrategy[list[Step]]:
    """Give the strategy for programs."""
    return strategies.builds(
        _program_of,
        strategies.tuples(*SOCKETS * (_bytes(_PREPARATION_BYTES),)),
        # Several lists: one of that length on average would not shrink below half of it.
        strategies.tuples(*4 * (strategies.lists(_bytes(_STEP_BYTES), max_size=10),)),
    )
