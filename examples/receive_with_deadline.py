"""Receive one frame, but wait no longer than a second for it.

Usage:

    python receive_with_deadline.py can0      # the kernel, or what ANYCAN_NETWORK names
    python receive_with_deadline.py --user    # a network in this program: nothing is needed
"""

from __future__ import annotations

import sys

import anyio

from anycan import AnyFrame, Frame, Network, UserNetwork, open_raw


async def receive(
    interface: str, *, deadline: float = 1.0, network: Network | None = None
) -> AnyFrame | None:
    """Give the next frame on an interface; None: there was none in time."""
    async with open_raw(interface, network=network) as can:
        with anyio.move_on_after(deadline):
            return await can.receive()
    return None


async def rehearse() -> None:
    """Do it twice on a user-space network: nobody sends, then somebody does."""
    async with UserNetwork() as network, anyio.create_task_group() as tasks:
        network.add_vcan("vcan0")
        print(await receive("vcan0", deadline=0.01, network=network))

        async def send_soon() -> None:
            async with open_raw("vcan0", network=network) as peer:
                await anyio.sleep(0.01)
                await peer.send(Frame(0x123, b"hello"))

        tasks.start_soon(send_soon)
        print(await receive("vcan0", network=network))


def main() -> None:
    """Run it on the interface that was named."""
    if sys.argv[1:] == ["--user"]:
        anyio.run(rehearse)
    elif len(sys.argv) == 2:
        print(anyio.run(receive, sys.argv[1]))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
