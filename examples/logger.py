"""Write what is on the bus to standard output, as `candump -L` does.

Usage:

    python logger.py can0 > trip.log    # the kernel, or what ANYCAN_NETWORK names; Ctrl-C ends it
    python logger.py --user             # a network in this program, with a little traffic
"""

from __future__ import annotations

import sys

import anyio

from anycan import (
    Frame,
    InterfaceDownError,
    LogRecord,
    Network,
    RawEndpoint,
    UserNetwork,
    open_raw,
)


async def write_log(can: RawEndpoint) -> None:
    """Write a line for each frame, and say on standard error what was dropped."""
    dropped = 0
    while True:
        try:
            frames = await can.receive_many()
        except InterfaceDownError as error:
            print(error.strerror, file=sys.stderr)
            continue
        print("\n".join(str(LogRecord.of(frame)) for frame in frames), flush=True)
        total = can.statistics().dropped
        if total != dropped:
            print(f"{total - dropped} frames dropped", file=sys.stderr)
            dropped = total


async def log(interface: str, *, network: Network | None = None) -> None:
    """Log an interface until cancelled."""
    async with open_raw(interface, network=network) as can:
        await write_log(can)


async def rehearse() -> None:
    """Log two frames on a user-space network."""
    async with UserNetwork() as network:
        network.add_vcan("vcan0")
        async with (
            open_raw("vcan0", network=network) as can,
            open_raw("vcan0", network=network) as peer,
        ):
            await peer.send(Frame(0x123, b"hello"))
            await peer.send(Frame.parse("18DAF110#021003"))
            with anyio.move_on_after(0.1):
                await write_log(can)


def main() -> None:
    """Run it on the interface that was named."""
    if sys.argv[1:] == ["--user"]:
        anyio.run(rehearse)
    elif len(sys.argv) == 2:
        try:
            anyio.run(log, sys.argv[1])
        except KeyboardInterrupt:
            print("stopped", file=sys.stderr)
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
