"""Forward frames between two interfaces, each way what its filter takes.

Usage:

    python gateway.py can0 can1    # the kernel, or what ANYCAN_NETWORK names
    python gateway.py --user       # a network in this program, with traffic of its own
"""

from __future__ import annotations

import sys
from functools import partial

import anyio

from anycan import (
    Filter,
    Frame,
    InterfaceDownError,
    Network,
    RawEndpoint,
    UserNetwork,
    open_raw,
)

OUTWARD = Filter.range(0x100, 0x1FF) | Filter.id(0x7E8)
INWARD = Filter.id(0x7E0)


async def forward(source: RawEndpoint, destination: RawEndpoint) -> None:
    """Send on whatever comes, in its order; live through an interface going down.

    What was received and cannot be sent then is lost, as it is on a bus.
    """
    while True:
        try:
            frames = await source.receive_many()
            await destination.send_many(frames)
        except InterfaceDownError as error:
            print(error.strerror)
            await anyio.sleep(0.1)


async def run_gateway(inside: str, outside: str, *, network: Network | None = None) -> None:
    """Forward between two interfaces until cancelled."""
    async with (
        open_raw(inside, filters=OUTWARD, network=network) as inner,
        open_raw(outside, filters=INWARD, network=network) as outer,
        anyio.create_task_group() as tasks,
    ):
        # An endpoint does not receive what it sends, so nothing goes round in circles.
        tasks.start_soon(forward, inner, outer)
        tasks.start_soon(forward, outer, inner)


async def rehearse() -> None:
    """Put an ECU inside and a tester outside of a gateway on a user-space network."""
    async with UserNetwork() as network:
        network.add_vcan("can0")
        network.add_vcan("can1")
        async with (
            open_raw("can0", network=network) as ecu,
            open_raw("can1", network=network) as tester,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(partial(run_gateway, "can0", "can1", network=network))
            await anyio.wait_all_tasks_blocked()
            await ecu.send_many([Frame(0x0FF), Frame(0x100, b"a"), Frame(0x200), Frame(0x7E8)])
            print("outside:", await tester.receive(), await tester.receive())
            await tester.send_many([Frame(0x7DF), Frame(0x7E0, b"b")])
            print("inside:", await ecu.receive())
            tasks.cancel_scope.cancel()


def main() -> None:
    """Run it on the interfaces that were named."""
    if sys.argv[1:] == ["--user"]:
        anyio.run(rehearse)
    elif len(sys.argv) == 3:
        try:
            anyio.run(run_gateway, sys.argv[1], sys.argv[2])
        except KeyboardInterrupt:
            print("stopped")
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
