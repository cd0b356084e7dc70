"""Sends a cyclic message of which one in a hundred changes.

Usage: changing.py INTERFACE IDENTIFIER COUNT INTERVAL. It prints "ready", waits for a line on
standard input, and sends COUNT frames; the last one holds 0xFF. Where there is no line, because
who started it has ended, it sends nothing.
"""

from __future__ import annotations

import socket
import struct
import sys
import time

EACH = 100
END = b"\xff" * 8
_FRAME = struct.Struct("=IBxxx8s")


def contents(count: int) -> list[bytes]:
    """Give what the frames hold."""
    return [bytes([number // EACH % 0xFF]) * 8 for number in range(count - 1)] + [END]


def send(interface: str, identifier: int, count: int, interval: float) -> None:
    """Send them."""
    payloads = [_FRAME.pack(identifier, 8, data) for data in contents(count)]
    with socket.socket(socket.AF_CAN, socket.SOCK_RAW, socket.CAN_RAW) as plain:
        plain.setsockopt(socket.SOL_CAN_RAW, socket.CAN_RAW_FILTER, b"")
        plain.bind((interface,))
        due = time.monotonic()
        for payload in payloads:
            due += interval
            time.sleep(max(0, due - time.monotonic()))
            plain.send(payload)


if __name__ == "__main__":
    name, identifier, count, interval = sys.argv[1:]
    print("ready", flush=True)
    if sys.stdin.readline():
        send(name, int(identifier), int(count), float(interval))
