"""Forwards between two interfaces, until killed: what ``cases/gateway.py`` measures.

Usage: forwarder.py KIND BACKEND NEAR FAR, or forwarder.py bare NEAR FAR.
"""

from __future__ import annotations

import asyncio
import importlib
import socket
import struct
import sys
from functools import partial, reduce
from operator import xor
from typing import Any

import anyio

from anycan import AnyFrame, Filter, Gateway, Modification, Rule, XorChecksum

IDENTIFIERS = 100
FIRST = 0x100
CHANGED = 0x7A5
_FRAME = struct.Struct("=IBxxxI4s")


# What is sent, and what is to arrive


def payload_of(number: int) -> bytes:
    return _FRAME.pack(FIRST + number % IDENTIFIERS, 8, number, b"\1\2\3\4")


def changed(payload: bytes) -> bytes:
    data = payload[8:15]
    return struct.pack("=I", CHANGED) + payload[4:15] + bytes([reduce(xor, data)])


def with_raw_dlc(payload: bytes) -> bytes:
    """Give what python-can makes of it: it always writes the raw DLC, even for 8 bytes."""
    return payload[:7] + b"\x08" + payload[8:]


# Gateways


def same(frame: AnyFrame) -> AnyFrame:
    return frame


async def same_later(frame: AnyFrame) -> AnyFrame:
    return frame


def rules_of(kind: str, near: str, far: str) -> list[Rule]:
    """Give the rules of a gateway to be measured."""
    if kind == "kernel":
        ways = ((near, far), (far, near))
        return [Rule(source=one, destination=to, offload="require") for one, to in ways]
    there: dict[str, Any] = {"source": near, "destination": far, "offload": "never"}
    ours = Filter.range(FIRST, FIRST + IDENTIFIERS - 1)
    filters: list[Filter | None] = [None]
    match kind:
        case "changed":
            filters = [ours]
            there["modify"] = Modification.bit_set(id=CHANGED)
            there["checksums"] = XorChecksum(0, -2, -1)
        case "one of 100":
            others = range(FIRST + IDENTIFIERS, FIRST + IDENTIFIERS + 99)
            filters = [ours, *map(Filter.id, others)]
        case "each of 100":
            filters = [*map(Filter.id, range(FIRST, FIRST + IDENTIFIERS))]
        case "call":
            there |= {"call": same, "call_capacity": 1024}  # a whole burst, before its first turn
        case "async call":
            there |= {"call": same_later, "call_capacity": 1024}
    forth = [Rule(**there, filter=one) for one in filters]
    return [*forth, Rule(source=far, destination=near, offload="never")]


def forward(kind: str, backend: str, near: str, far: str) -> None:
    """Be a gateway, until killed."""
    gateway = Gateway(rules_of(kind, near, far))
    options: dict[str, Any] = {"backend": backend}
    if backend == "uvloop":
        loop = importlib.import_module("uvloop").new_event_loop
        options = {"backend_options": {"loop_factory": loop}}
    anyio.run(gateway.run, **options)


# As little as there can be on an event loop


async def forward_bare(near: str, far: str) -> None:
    """Have asyncio's loop read a frame and send it, and nothing more."""
    loop = asyncio.get_running_loop()
    sockets = [socket.socket(socket.AF_CAN, socket.SOCK_RAW, socket.CAN_RAW) for _ in range(2)]
    for one, other, interface in zip(sockets, reversed(sockets), (near, far), strict=True):
        one.setblocking(False)
        one.bind((interface,))
        loop.add_reader(one, partial(_forward_one, one, other))
    await asyncio.Event().wait()


def _forward_one(one: socket.socket, other: socket.socket) -> None:
    other.send(one.recv(72))


if __name__ == "__main__":
    kind, *arguments = sys.argv[1:]
    if kind == "bare":
        asyncio.run(forward_bare(*arguments))
    else:
        forward(kind, *arguments)
