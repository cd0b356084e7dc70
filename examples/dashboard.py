"""Show the newest frame of each identifier, in a table that is printed a few times a second.

However busy the bus is, what waits for the table is one frame of each identifier
(`overflow="latest_per_id"`): a table that is printed slowly is late by no more than one turn.

Usage:

    python dashboard.py can0      # the kernel, or what ANYCAN_NETWORK names; Ctrl-C ends it
    python dashboard.py --user    # a network in this program, with traffic of its own
"""

from __future__ import annotations

import sys

import anyio

from anycan import (
    AnyFrame,
    Frame,
    FrameSubscription,
    Network,
    Router,
    UserNetwork,
    open_raw,
)

INTERVAL = 0.25
IDENTIFIERS = 4096  # more of them than a table has lines: then those go that came first


async def show(newest: FrameSubscription, *, interval: float, turns: int | None = None) -> None:
    """Print the table when something has come, at most once in an interval.

    All frames that wait are taken at once: taken one by one, an identifier that is sent without
    end would go to the end of the queue each time that it is renewed, and never come out.
    """
    table: dict[str, AnyFrame] = {}
    while turns is None or turns > 0:
        for frame in await newest.receive_many():
            identifier, _, _ = str(frame).partition("#")
            table[identifier] = frame
        print(render(table), flush=True)
        turns = None if turns is None else turns - 1
        await anyio.sleep(interval)


def render(table: dict[str, AnyFrame]) -> str:
    """Give the table: a line for each identifier, with the payload of its newest frame."""
    lines = [f"{'identifier':<10}  payload"]
    for identifier in sorted(table, key=lambda text: (len(text), text)):
        _, _, payload = str(table[identifier]).partition("#")
        lines.append(f"{identifier:<10}  {payload}")
    return "\n".join([*lines, ""])


async def run_dashboard(
    interface: str,
    *,
    network: Network | None = None,
    interval: float = INTERVAL,
    turns: int | None = None,
) -> None:
    """Show an interface until cancelled, or so many times; then tell what was not shown."""
    router = Router()
    async with (
        open_raw(interface, network=network) as can,
        router.subscribe(
            name="dashboard", capacity=IDENTIFIERS, overflow="latest_per_id"
        ) as newest,
        anyio.create_task_group() as tasks,
    ):
        await tasks.start(router.run, can)
        await show(newest, interval=interval, turns=turns)
        router.stop(drain=False)
        counted = newest.statistics()
        total = counted.delivered + counted.dropped + counted.waiting
        print(f"{total} frames, of which {counted.delivered} were shown")


async def drive(network: Network) -> None:
    """Send what a vehicle would: some messages often, one with 29 bits now and then."""
    async with open_raw("vcan0", network=network) as bus:
        beat = 0
        while True:
            beat += 1
            await bus.send(Frame(0x0C0, (3000 + beat).to_bytes(2)))
            await bus.send(Frame(0x120, (beat % 256).to_bytes(1)))
            if beat % 10 == 1:
                await bus.send(Frame(0x18FEF100, bytes([beat // 10 % 256]), extended=True))
            await anyio.sleep(0.001)


async def rehearse() -> None:
    """Show a vehicle's traffic on a user-space network, three times."""
    async with UserNetwork() as network, anyio.create_task_group() as tasks:
        network.add_vcan("vcan0")
        tasks.start_soon(drive, network)
        await run_dashboard("vcan0", network=network, interval=0.05, turns=3)
        tasks.cancel_scope.cancel()


def main() -> None:
    """Run it on the interface that was named."""
    if sys.argv[1:] == ["--user"]:
        anyio.run(rehearse)
    elif len(sys.argv) == 2:
        try:
            anyio.run(run_dashboard, sys.argv[1])
        except KeyboardInterrupt:
            print("stopped")
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
