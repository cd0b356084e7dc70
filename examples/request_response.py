"""Ask a node for something and wait for its answer: one coroutine for each request.

The request is OBD-II's for the engine speed, in single frames (ISO 15765-4).

Usage:

    python request_response.py can0      # the kernel, or what ANYCAN_NETWORK names
    python request_response.py --user    # a network in this program, with an ECU that answers
"""

from __future__ import annotations

import sys

import anyio

from anycan import Filter, Frame, Network, RawEndpoint, UserNetwork, open_raw

REQUEST = 0x7DF
RESPONSES = Filter.range(0x7E8, 0x7EF)


async def request(can: RawEndpoint, data: bytes, *, deadline: float = 1.0) -> bytes:
    """Send a request (service and parameter first); give the first response to it.

    Raises:
        TimeoutError: There was none in time.
    """
    with anyio.fail_after(deadline):
        await can.send(Frame(REQUEST, bytes([len(data)]) + data.ljust(7, b"\0")))
        while True:
            frame = await can.receive()
            response = frame.data[1 : 1 + frame.data[0]] if frame.data else b""
            if response[:2] == bytes([data[0] + 0x40, data[1]]):
                return response


async def engine_speed(interface: str, *, network: Network | None = None) -> float:
    """Ask for the engine speed, in revolutions a minute."""
    async with open_raw(interface, filters=RESPONSES, network=network) as can:
        response = await request(can, b"\x01\x0c")
        return int.from_bytes(response[2:4]) / 4


async def answer(network: Network) -> None:
    """Be an ECU that knows its engine speed."""
    async with open_raw("vcan0", filters=Filter.id(REQUEST), network=network) as can:
        async for frame in can:
            if frame.data[1:3] == b"\x01\x0c":
                await can.send(Frame(0x7E8, bytes.fromhex("04410c0bb8000000")))


async def rehearse() -> None:
    """Ask an ECU on a user-space network."""
    async with UserNetwork() as network, anyio.create_task_group() as tasks:
        network.add_vcan("vcan0")
        tasks.start_soon(answer, network)
        await anyio.wait_all_tasks_blocked()
        print(f"{await engine_speed('vcan0', network=network)} rpm")
        tasks.cancel_scope.cancel()


def main() -> None:
    """Run it on the interface that was named."""
    if sys.argv[1:] == ["--user"]:
        anyio.run(rehearse)
    elif len(sys.argv) == 2:
        print(f"{anyio.run(engine_speed, sys.argv[1])} rpm")
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
