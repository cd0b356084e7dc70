"""Simulate an ECU that answers UDS (ISO 14229-1) over ISO-TP: sessions, identification, reset.

Requests to it alone and requests to all are told apart, as UDS wants it: what it does not know, it
refuses when it was meant, and is silent about when all were. Where an answer takes its time, the
ECU asks for more ("response pending").

Usage:

    python ecu_simulator.py can0      # the kernel, or what ANYCAN_NETWORK names
    python ecu_simulator.py --user    # a network in this program, with a tester
"""

from __future__ import annotations

import enum
import sys
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

import anyio

from anycan import (
    CanOSError,
    InterfaceDownError,
    IsotpError,
    IsotpLink,
    Network,
    UserNetwork,
    open_isotp,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

REQUEST: Final = 0x7E0
RESPONSE: Final = 0x7E8
TO_ALL: Final = 0x7DF
PADDING: Final = 0xCC

# ISO 14229-2: how soon an answer comes, how soon after "response pending", and how long a session
# lasts in which nobody asks for anything.
P2: Final = 0.05
P2_EXTENDED: Final = 5.0
S3: Final = 5.0
BOOT_TIME: Final = 0.2

SUPPRESS: Final = 0x80  # of a sub-function: the tester wants no positive response
ACTIVE_SESSION: Final = 0xF186
SERIAL_NUMBER: Final = 0xF18C
IDENTIFICATION: Final = {
    0xF190: b"WVWZZZ1JZXW000001",  # VIN
    0xF195: b"04.20",  # version of the software
    SERIAL_NUMBER: b"SN004711",
}
SLOW: Final = {SERIAL_NUMBER: 0.1}  # seconds that it takes to read it


class Session(enum.IntEnum):
    """The sessions that there are."""

    DEFAULT = 0x01
    EXTENDED = 0x03


class Code(enum.IntEnum):
    """Why a request is refused (ISO 14229-1, annex A)."""

    SERVICE_NOT_SUPPORTED = 0x11
    SUBFUNCTION_NOT_SUPPORTED = 0x12
    INCORRECT_LENGTH = 0x13
    REQUEST_OUT_OF_RANGE = 0x31
    RESPONSE_PENDING = 0x78


# What an ECU keeps to itself when all were asked: others may be the ones that know.
NOT_TOLD_TO_ALL: Final = {
    Code.SERVICE_NOT_SUPPORTED,
    Code.SUBFUNCTION_NOT_SUPPORTED,
    Code.REQUEST_OUT_OF_RANGE,
}


class Refusal(Exception):  # noqa: N818 - it is an answer
    """A request is refused."""

    def __init__(self, code: Code) -> None:
        super().__init__(code)
        self.code = code


class Ecu:
    """What the ECU knows, and how it answers. Of CAN it knows nothing.

    A service is a method that is given what follows the service's number, and gives what is to
    follow it in the answer; None: nothing is answered.
    """

    def __init__(self, data: dict[int, bytes]) -> None:
        self._data = data
        self._session = Session.DEFAULT
        self._session_ends = 0.0
        self._booted = 0.0
        self._services: dict[int, Callable[[bytes], Awaitable[bytes | None]]] = {
            0x10: self.control_session,
            0x11: self.reset,
            0x22: self.read_data,
            0x3E: self.tester_present,
        }

    async def answer(self, request: bytes, *, to_all: bool) -> bytes | None:
        """Give the answer to a request; None: there is none."""
        if anyio.current_time() < self._booted:
            return None
        if anyio.current_time() > self._session_ends:
            self._session = Session.DEFAULT
        try:
            service = self._services.get(request[0], self.refuse)
            content = await service(request[1:])
        except Refusal as refusal:
            if to_all and refusal.code in NOT_TOLD_TO_ALL:
                return None
            return bytes((0x7F, request[0], refusal.code))
        finally:
            self._session_ends = anyio.current_time() + S3
        return None if content is None else bytes((request[0] + 0x40,)) + content

    async def refuse(self, _: bytes) -> bytes | None:
        """Be the service that there is not."""
        raise Refusal(Code.SERVICE_NOT_SUPPORTED)

    async def control_session(self, parameters: bytes) -> bytes | None:
        """Change to another session."""
        chosen, wanted = subfunction(parameters, set(Session))
        self._session = Session(chosen)
        times = round(P2 * 1000).to_bytes(2) + round(P2_EXTENDED * 100).to_bytes(2)
        return bytes((chosen,)) + times if wanted else None

    async def reset(self, parameters: bytes) -> bytes | None:
        """Answer, and be silent for as long as it takes to boot."""
        kind, wanted = subfunction(parameters, {0x01, 0x03})  # hard, soft
        self._session = Session.DEFAULT
        self._booted = anyio.current_time() + BOOT_TIME
        return bytes((kind,)) if wanted else None

    async def read_data(self, parameters: bytes) -> bytes:
        """Give the data that belong to one identifier or more, of those that there are."""
        if not parameters or len(parameters) % 2:
            raise Refusal(Code.INCORRECT_LENGTH)
        data = self._data | {ACTIVE_SESSION: bytes((self._session,))}
        content = b""
        for start in range(0, len(parameters), 2):
            identifier = int.from_bytes(parameters[start : start + 2])
            if identifier in data:
                await anyio.sleep(SLOW.get(identifier, 0))
                content += identifier.to_bytes(2) + data[identifier]
        if not content:
            raise Refusal(Code.REQUEST_OUT_OF_RANGE)
        return content

    async def tester_present(self, parameters: bytes) -> bytes | None:
        """Take note that the tester is there: as any request, it keeps the session alive."""
        _, wanted = subfunction(parameters, {0x00})
        return b"\x00" if wanted else None


def subfunction(parameters: bytes, known: set[int]) -> tuple[int, bool]:
    """Give a sub-function, which is the only parameter, and whether an answer is wanted."""
    if not parameters:
        raise Refusal(Code.INCORRECT_LENGTH)
    number = parameters[0] & ~SUPPRESS
    if number not in known:
        raise Refusal(Code.SUBFUNCTION_NOT_SUPPORTED)
    if len(parameters) > 1:
        raise Refusal(Code.INCORRECT_LENGTH)
    return number, not parameters[0] & SUPPRESS


class Server:
    """Answers for an ECU, one request after the other."""

    def __init__(self, ecu: Ecu, link: IsotpLink) -> None:
        self._ecu = ecu
        self._link = link
        self._lock = anyio.Lock()

    async def serve(self, requests: IsotpLink, *, to_all: bool) -> None:
        """Answer what comes; live through faults on the bus and the interface going down."""
        while True:
            try:
                request = await requests.receive()
                async with self._lock:
                    await self._answer(request, to_all=to_all)
            except (IsotpError, InterfaceDownError) as error:
                print(error.strerror)

    async def _answer(self, request: bytes, *, to_all: bool) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._ask_for_time, request[0])
            answer = await self._ecu.answer(request, to_all=to_all)
            tasks.cancel_scope.cancel()
        if answer is not None:
            await self._link.send(answer)

    async def _ask_for_time(self, service: int) -> None:
        """Say that the answer is to come, before the tester gives up, and again."""
        pause = P2
        while True:
            await anyio.sleep(pause * 0.8)
            pause = P2_EXTENDED
            with suppress(CanOSError):  # the answer meets the same fault
                await self._link.send(bytes((0x7F, service, Code.RESPONSE_PENDING)))


async def simulate(interface: str, *, network: Network | None = None) -> None:
    """Be the ECU, until cancelled or until the interface is gone."""
    async with (
        open_isotp(
            interface, tx_id=RESPONSE, rx_id=REQUEST, padding=PADDING, network=network
        ) as link,
        open_isotp(
            interface, tx_id=RESPONSE, rx_id=TO_ALL, listen_only=True, network=network
        ) as to_all,
        anyio.create_task_group() as tasks,
    ):
        server = Server(Ecu(IDENTIFICATION), link)
        tasks.start_soon(partial(server.serve, link, to_all=False))
        tasks.start_soon(partial(server.serve, to_all, to_all=True))


SILENCE: Final = 0.2  # so long without an answer: none comes
REQUESTS: Final = (
    "1003",  # extended session
    "22F190",
    "22F195F186",
    "22F18C",
    "2212341234",
    "22FF00",
    "2712",
    "3E80",  # no answer is wanted
    "1101",
    "3E00",  # it boots
)


async def rehearse() -> None:
    """Test the ECU on a user-space network."""
    async with UserNetwork() as network, anyio.create_task_group() as tasks:
        network.add_vcan("can0")
        tasks.start_soon(partial(simulate, "can0", network=network))
        await anyio.wait_all_tasks_blocked()
        async with (
            open_isotp("can0", tx_id=REQUEST, rx_id=RESPONSE, network=network) as tester,
            open_isotp("can0", tx_id=TO_ALL, rx_id=None, network=network) as everybody,
        ):
            for request in REQUESTS:
                await tester.send(bytes.fromhex(request))
                print(request, *await answers(tester))
            await anyio.sleep(BOOT_TIME)
            for request in ("3E00", "22FF00"):
                await everybody.send(bytes.fromhex(request))
                print("to all:", request, *await answers(tester))
        tasks.cancel_scope.cancel()


async def answers(tester: IsotpLink) -> list[str]:
    """Give the answers to a request: more than one where the ECU has asked for time."""
    heard = []
    with anyio.move_on_after(SILENCE) as scope:
        while True:
            answer = await tester.receive()
            heard.append(answer.hex().upper())
            if answer[0] != 0x7F or answer[2] != Code.RESPONSE_PENDING:
                break
            scope.deadline = anyio.current_time() + P2_EXTENDED
    return heard


def main() -> None:
    """Run it on the interface that was named."""
    if sys.argv[1:] == ["--user"]:
        anyio.run(rehearse)
    elif len(sys.argv) == 2:
        try:
            anyio.run(simulate, sys.argv[1])
        except KeyboardInterrupt:
            print("stopped")
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
