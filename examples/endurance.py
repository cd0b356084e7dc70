"""Send and receive through whatever happens to an interface, and account for every frame.

Take the interface down and up, unplug its adapter and plug it in again, break the bus: sender and
receiver wait, and go on when the link is back. Each gap is printed, and at the end how many frames
were handed over by send() and how many of them came.

Usage:

    python endurance.py can0      # the kernel, or what ANYCAN_NETWORK names; Ctrl-C ends it
    python endurance.py --user    # a network in this program, with faults on purpose
"""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass
from functools import partial

import anyio

from anycan import (
    Filter,
    Frame,
    LinkGap,
    LinkWait,
    Network,
    UserNetwork,
    open_raw,
    wait_for_interface,
)

IDENTIFIER = 0x123
END = Frame(0x124)
INTERVAL = 0.001  # seconds between two frames

# A controller that is bus-off is restarted, if nothing else does so: after 10 ms, then ever later.
POLICY = LinkWait(restart=(0.01, 10.0))


@dataclass
class Account:
    """What has become of the frames, which are numbered."""

    sent: int = 0
    received: int = 0
    missing: int = 0
    gaps: int = 0

    def take(self, number: int) -> None:
        """Count a frame that has come, and those that are missing before it."""
        self.missing += number - self.received - self.missing
        self.received += 1

    def note(self, gap: LinkGap) -> None:
        """Print a gap, and count it when it has ended."""
        if gap.seconds is None:
            print(f"{gap.interface} is lost: {gap.condition.value}", flush=True)
        else:
            self.gaps += 1
            print(f"{gap.interface} is back after {gap.seconds:.3f} s", flush=True)

    def __str__(self) -> str:
        return (
            f"{self.sent} sent, {self.received} received, {self.missing} missing, {self.gaps} gaps"
        )


async def send(
    interface: str, account: Account, stop: anyio.Event, *, network: Network | None = None
) -> None:
    """Send numbered frames until it is to stop, and one that says so."""
    async with open_raw(interface, on_link_loss=POLICY, network=network) as can:
        while not stop.is_set():
            await can.send(Frame(IDENTIFIER, account.sent.to_bytes(8)))
            account.sent += 1
            await anyio.sleep(INTERVAL)
        await can.send(END)


async def receive(interface: str, account: Account, *, network: Network | None = None) -> None:
    """Count what comes, up to the end."""
    async with open_raw(
        interface,
        filters=Filter.id(IDENTIFIER) | Filter.id(END.id),
        on_link_loss=POLICY,
        on_gap=account.note,
        network=network,
    ) as can:
        async for frame in can:
            if frame == END:
                return
            account.take(int.from_bytes(frame.data))


async def endure(interface: str) -> None:
    """Send and receive until cancelled."""
    account = Account()
    await wait_for_interface(interface)
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(receive, interface, account)
            tasks.start_soon(send, interface, account, anyio.Event())
    finally:
        print(account)


async def disturb(network: UserNetwork) -> None:
    """Let happen to can0 what can happen to an interface."""
    await anyio.sleep(0.02)
    network.set_down("can0")
    await anyio.sleep(0.02)
    network.set_up("can0")
    await anyio.sleep(0.02)
    network.remove("can0")
    await anyio.sleep(0.02)
    network.add_can("can0", bitrate=500_000)
    await anyio.sleep(0.02)
    network.set_bus_off("can0")
    await anyio.sleep(0.05)


async def rehearse() -> None:
    """Send and receive on a user-space network, with faults."""
    account = Account()
    stop = anyio.Event()
    async with UserNetwork() as network, anyio.create_task_group() as tasks:
        network.add_can("can0", bitrate=500_000)
        tasks.start_soon(partial(receive, "can0", account, network=network))
        tasks.start_soon(partial(send, "can0", account, stop, network=network))
        await disturb(network)
        stop.set()
    print(account)


def main() -> None:
    """Run it on the interface that was named."""
    logging.getLogger("anycan").setLevel(logging.ERROR)  # gaps, it would tell of once more
    if sys.argv[1:] == ["--user"]:
        anyio.run(rehearse)
    elif len(sys.argv) == 2:
        try:
            anyio.run(endure, sys.argv[1])
        except KeyboardInterrupt:
            print("stopped")
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
