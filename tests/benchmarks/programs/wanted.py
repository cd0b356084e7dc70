"""Sends a frame that somebody wants each 10 ms, with or without a flood of others between them.

Usage: wanted.py INTERFACE COUNT [flood]. It prints "ready", waits for a line on standard input,
sends COUNT wanted frames, and prints how many that nobody wants it has sent between them. It is
busy all the time, flood or not: what the processors take from each other is the same. Where there
is no line, because who started it has ended, it sends nothing.
"""

from __future__ import annotations

import socket
import struct
import sys
import time

INTERVAL = 0.01
WANTED = struct.pack("=IBxxB8s", 0x123, 8, 0, bytes(8))
_UNWANTED = struct.pack("=IBxxB8s", 0x7FF, 8, 0, bytes(8))


def send(interface: str, count: int, *, flood: bool) -> int:
    """Send, and give how many were not wanted."""
    flooded = 0
    with socket.socket(socket.AF_CAN, socket.SOCK_RAW, socket.CAN_RAW) as plain:
        plain.setsockopt(socket.SOL_CAN_RAW, socket.CAN_RAW_FILTER, b"")
        plain.bind((interface,))
        due = time.monotonic()
        for _ in range(count):
            due += INTERVAL
            while time.monotonic() < due:
                if flood:
                    plain.send(_UNWANTED)
                    flooded += 1
            plain.send(WANTED)
    return flooded


if __name__ == "__main__":
    name, number, *how = sys.argv[1:]
    print("ready", flush=True)
    if sys.stdin.readline():
        print(send(name, int(number), flood=how == ["flood"]), flush=True)
