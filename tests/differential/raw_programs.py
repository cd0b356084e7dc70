"""Random programs of raw sockets' calls.

Whatever a call can be given comes up: what is right, what is wrong, and what is odd. Identifiers,
masks and sizes are from a small world, so that filters and frames meet.

A program is read from random bytes, each of which chooses one thing. That makes Hypothesis ten
times faster than strategies for every field would. It shrinks a program byte by byte, in their
order: so the simplest choice always stands first, which is no step at all where kinds of steps are
chosen, and these are chosen before all else.
"""

from __future__ import annotations

import struct
from functools import partial
from itertools import chain
from operator import itemgetter
from random import Random
from typing import TYPE_CHECKING, Final, TypeAlias

from hypothesis import strategies

from anycan.wire.constants import (
    AF_CAN,
    CAN_RAW_FD_FRAMES,
    CAN_RAW_XL_FRAMES,
    SO_RXQ_OVFL,
    SOL_CAN_RAW,
    SOL_SOCKET,
)
from anycan.wire.messages import SOCKADDR_CAN_SIZE
from choices import Choices, Theme
from raw_frames import frame
from raw_option_choices import WHO, get, set_buffer, set_odd, set_of_socket, set_usual
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
    from collections.abc import Callable

    from hypothesis.strategies import SearchStrategy

    from raw_steps import Step

Make: TypeAlias = "Callable[[Choices], Step | None]"

_STEPS: Final = 24  # a quarter of which are nothing
BUNDLE: Final = 8
"""How many programs are drawn at once. To draw bytes is slow, so they serve in several orders."""
_BYTES: Final = 16  # for a step: what chooses more than that chooses the simplest

# Addresses

_USUAL: Final = {
    Theme.ANYTHING: (*10 * ("flexible",), *4 * ("long",), "classical", None, None, *PAIR),
    Theme.FILTERS: (*8 * ("flexible",), None, None, *PAIR),
    Theme.BUFFERS: (*8 * ("long",), "flexible", None, *PAIR),
    Theme.LINKS: (*8 * ("flexible",), None),
    Theme.LONG: (*8 * ("long",), None),
}
_FAMILIES: Final = (AF_CAN, AF_CAN, AF_CAN, AF_CAN, 0, 2)
_SIZES: Final = (SOCKADDR_CAN_SIZE, SOCKADDR_CAN_SIZE + 1, 0, 7, 8, 16, 128, 129)


def _usual_address(choose: Choices) -> Address:
    return Address(choose.of(_USUAL[choose.theme]))


def _any_address(choose: Choices) -> Address:
    return Address(
        choose.of((*INTERFACES, None, "nowhere", "alien")), choose.of(_FAMILIES), choose.of(_SIZES)
    )


def _target(choose: Choices) -> Address:
    # Descriptors give a send call the whole structure, always.
    return Address(choose.of((*INTERFACES, *PAIR, "nowhere", None)), choose.of(_FAMILIES))


# Steps


def _nothing(_: Choices) -> None:
    """Do no step."""


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
    return Receive(choose.of(WHO), choose.of((4, 1, 2)), choose.of((2064, 16, 72)))


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


_ANY: Final[tuple[Make, ...]] = (
    *8 * (_nothing,),
    *8 * (_send,),
    *(_send_to, _send_to, _send_many, _send_many),
    lambda choose: Flood(choose.of(WHO), frame(choose), choose.of((4, 4, 4, 30))),
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


_ABOUT_LINKS: Final[tuple[Make, ...]] = (
    *6 * (_nothing,),
    *6 * (_send,),
    *4 * (lambda choose: Bind(choose.of(WHO), _usual_address(choose)),),
    lambda _: Replace("flexible"),
    *(lambda _: Link("flexible", up=False), lambda _: Link("flexible", up=True)),
    *(_rare, _receive, _receive, get),
)


_STEP_KINDS: Final = dict.fromkeys(Theme, _ANY) | {Theme.LINKS: _ABOUT_LINKS}


def _on(who: int, level: int, option: int) -> Step:
    return Set(who, level, option, struct.pack("=I", 1))


def _frames(choose: Choices, who: int) -> Step | None:
    flexible = _on(who, SOL_CAN_RAW, CAN_RAW_FD_FRAMES)
    long = _on(who, SOL_CAN_RAW, CAN_RAW_XL_FRAMES)
    if choose.theme is Theme.LONG:
        return long
    return choose.of((None, flexible, flexible, long))


def _drops(choose: Choices, who: int) -> Step | None:
    drops = _on(who, SOL_SOCKET, SO_RXQ_OVFL)
    if choose.theme is Theme.BUFFERS:
        return choose.of((set_buffer(choose, who), drops))
    return drops


def _prepared(who: int) -> tuple[tuple[Make, ...], ...]:
    """Give what a socket most often does first: it is bound, and some options are set."""
    frames, drops, usual = (partial(make, who=who) for make in (_frames, _drops, set_usual))
    return (
        (_nothing, *9 * (lambda choose: Bind(who, _usual_address(choose)),)),
        (_nothing, *5 * (frames,)),
        (_nothing, drops),
        (_nothing, drops),
        (_nothing, usual),
        (_nothing, _nothing, usual),
    )


_THEMES: Final = (Theme.ANYTHING, *Theme)
_PREPARED: Final = (*chain(*map(_prepared, range(SOCKETS))),)
_HEAD: Final = 1 + len(_PREPARED) + _STEPS
_SIZE: Final = _HEAD + (_HEAD - 1) * _BYTES


def program_of(data: bytes) -> list[Step]:
    """Give the program that some bytes choose: a theme, a kind for each slot, what each needs."""
    theme = _THEMES[data[0] % len(_THEMES)]
    kinds = (*_PREPARED, *_STEPS * (_STEP_KINDS[theme],))
    steps = (
        makes[kind % len(makes)](Choices(data[start : start + _BYTES], theme))
        for makes, kind, start in zip(
            kinds, data[1:_HEAD], range(_HEAD, _SIZE, _BYTES), strict=True
        )
    )
    return [step for step in steps if step is not None]


def _mixed(order: int) -> list[int]:
    """Give an order of bytes in which those that choose kinds are still the first ones."""
    random = Random(order)
    kinds, others = range(_HEAD), range(_HEAD, _SIZE)
    if order == 0:
        return [*kinds, *others]
    return [*random.sample(kinds, len(kinds)), *random.sample(others, len(others))]


_ORDERS: Final = [itemgetter(*_mixed(order)) for order in range(BUNDLE)]


def bundle_of(data: bytes) -> list[list[Step]]:
    """Give several programs: the bytes in one order after the other."""
    return [program_of(bytes(order(data))) for order in _ORDERS]


def bundles() -> SearchStrategy[list[list[Step]]]:
    """Give the strategy for bundles of programs."""
    return strategies.binary(min_size=_SIZE, max_size=_SIZE).map(bundle_of)
