"""Ask a node over raw CAN, and be the node that answers: `request` and `reply` of a router.

The messages are those by which CANopen reads an object of up to four bytes (an expedited SDO
upload): the request with identifier 0x600 plus the node's number, the response with 0x580 plus it.

Usage:

    python raw_request.py can0 5           # read three objects of node 5
    python raw_request.py can0 5 answer    # be node 5; Ctrl-C ends it
    python raw_request.py --user           # both, on a network in this program
"""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING

import anyio
from anyio import TASK_STATUS_IGNORED

from anycan import Filter, Frame, Network, Router, UserNetwork, byte, open_raw

if TYPE_CHECKING:
    from anyio.abc import TaskStatus

DEVICE_TYPE = 0x1000
ERROR_REGISTER = 0x1001
HEARTBEAT_TIME = 0x1017
NAMES = {
    DEVICE_TYPE: "device type",
    ERROR_REGISTER: "error register",
    HEARTBEAT_TIME: "heartbeat time",
}
UPLOAD = 0x40
ABORT = 0x80
DOES_NOT_EXIST = 0x0602_0000
OBJECTS = {DEVICE_TYPE: (0x000F_0191).to_bytes(4, "little"), ERROR_REGISTER: b"\x00"}


class AbortedError(Exception):
    """The node does not tell."""


def address(index: int) -> bytes:
    """Give how a message names an object (subindex 0)."""
    return index.to_bytes(2, "little") + b"\x00"


# The one who asks


async def read(router: Router, node: int, index: int) -> int:
    """Read an object of a node.

    Raises:
        TimeoutError: The node has not answered in time.
        AbortedError: It does not tell: it has no such object, say.
    """
    request = Frame(0x600 + node, bytes([UPLOAD]) + address(index) + bytes(4))
    # Somebody else may ask the same node: the response is the one that names our object.
    named = Filter.data(b"\x00" + address(index), mask=b"\x00\xff\xff\xff")
    response = Filter.id(0x580 + node) & Filter.length(8) & named
    match await router.request(request, response, timeout=0.2):
        case Frame(data=data) if data[0] != ABORT:
            unused = data[0] >> 2 & 3
            return int.from_bytes(data[4 : 8 - unused], "little")
        case Frame(data=data):
            raise AbortedError(f"aborted with {int.from_bytes(data[4:], 'little'):08X}")
        case reply:
            raise AbortedError(f"answered by {reply}")


async def ask(interface: str, node: int, *, network: Network | None = None) -> None:
    """Print what a node tells."""
    router = Router()
    async with (
        open_raw(interface, network=network) as can,
        anyio.create_task_group() as tasks,
    ):
        await tasks.start(router.run, can)
        for index, name in NAMES.items():
            try:
                print(f"node {node}, {name}: 0x{await read(router, node, index):X}")
            except TimeoutError:
                print(f"node {node} does not answer")
                break
            except AbortedError as error:
                print(f"node {node}, {name}: {error}")
        router.stop()


# The one who answers


async def answer(
    interface: str,
    node: int,
    *,
    network: Network | None = None,
    task_status: TaskStatus[None] = TASK_STATUS_IGNORED,
) -> None:
    """Be a node, until cancelled."""
    router = Router()

    @router.on(Filter.id(0x600 + node) & Filter.length(8) & (byte(0) == UPLOAD))
    async def upload(request: Frame) -> None:
        index = int.from_bytes(request.data[1:3], "little")
        value = OBJECTS.get(index)
        if value is None or request.data[3]:
            command, value = ABORT, DOES_NOT_EXIST.to_bytes(4, "little")
        else:
            command = 0x43 | (4 - len(value)) << 2  # expedited, with so many bytes unused
        data = bytes([command]) + request.data[1:4] + value.ljust(4, b"\0")
        await router.reply(request, Frame(0x580 + node, data))

    async with open_raw(interface, network=network) as can:
        await router.run(can, task_status=task_status)


async def rehearse() -> None:
    """Ask a node that is there, and one that is not, on a user-space network."""
    async with UserNetwork() as network, anyio.create_task_group() as tasks:
        network.add_vcan("vcan0")
        await tasks.start(partial(answer, "vcan0", 5, network=network))
        await ask("vcan0", 5, network=network)
        await ask("vcan0", 6, network=network)
        tasks.cancel_scope.cancel()


def main() -> None:
    """Run it on the interface that was named."""
    match sys.argv[1:]:
        case ["--user"]:
            anyio.run(rehearse)
        case [interface, node]:
            anyio.run(ask, interface, int(node))
        case [interface, node, "answer"]:
            try:
                anyio.run(answer, interface, int(node))
            except KeyboardInterrupt:
                print("stopped")
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
