"""The few requests to rtnetlink that tests make all the time, written out by hand.

A process of ``ip`` for each of them takes a quarter of a second in the lab, several hundred times.
What anycan itself makes of rtnetlink is tested, and so not used here. The program ``ip`` looks at
what comes of these in ``tests/lab/test_rtnetlink.py``.
"""

from __future__ import annotations

import os
import socket
import struct
from typing import Final

_NEWLINK: Final = 16
_DELLINK: Final = 17
_REQUEST_ACK: Final = 0x5
_CREATE_EXCLUSIVE: Final = 0x600
_UP: Final = 1
_IFNAME, _MTU, _LINKINFO, _KIND = 3, 4, 18, 1


def add_vcan(name: str, mtu: int) -> None:
    """Make a vcan that is up."""
    _ask(vcan_request(name, mtu))
    set_flags(name, up=True)


def delete(name: str) -> None:
    """Delete an interface."""
    _ask(delete_request(name))


def set_flags(name: str, *, up: bool) -> None:
    """Set an interface up or down."""
    _ask(flags_request(name, up=up))


def vcan_request(name: str, mtu: int) -> bytes:
    """Give the request that makes a vcan."""
    kind = _attribute(_LINKINFO, _attribute(_KIND, b"vcan"))
    options = _attribute(_MTU, struct.pack("=I", mtu)) + kind
    return _request(_NEWLINK, _CREATE_EXCLUSIVE, name, options)


def delete_request(name: str) -> bytes:
    """Give the request that deletes an interface."""
    return _request(_DELLINK, 0, name)


def flags_request(name: str, *, up: bool) -> bytes:
    """Give the request that sets an interface up or down."""
    return _request(_NEWLINK, 0, name, flags=_UP if up else 0, change=_UP)


def check(answer: bytes) -> None:
    """Raise what an answer says."""
    (number,) = struct.unpack_from("=i", answer, 16)
    if number:
        raise OSError(-number, f"rtnetlink: {os.strerror(-number)}")


def _attribute(number: int, value: bytes) -> bytes:
    length = 4 + len(value)
    return struct.pack("=HH", length, number) + value + bytes(-length & 3)


def _request(
    kind: int, flag_bits: int, name: str, options: bytes = b"", *, flags: int = 0, change: int = 0
) -> bytes:
    head = struct.pack("=BxHiII", 0, 0, 0, flags, change)
    payload = head + _attribute(_IFNAME, name.encode() + b"\0") + options
    message = struct.pack("=IHHII", 16 + len(payload), kind, _REQUEST_ACK | flag_bits, 1, 0)
    return message + payload


def _ask(request: bytes) -> None:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as netlink:
        netlink.settimeout(5)
        netlink.sendto(request, (0, 0))
        check(netlink.recv(65536))
