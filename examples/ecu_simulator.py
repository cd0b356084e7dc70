"""Simulate an ECU that answers UDS (ISO 14229-1) over ISO-TP.

It has sessions, identification, a reset, and a routine that takes its time. Requests to it alone
and requests to all are told apart, as UDS wants it: what it does not know it refuses when it was
meant, and is silent about when all were. Where an answer takes its time, the ECU says that it is to
come ("response pending").

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
from anyio import TASK_STATUS_IGNORED

from anycan import (
    Address,
    CanError,
    InterfaceRemovedError,
    IsotpLink,
    IsotpRequest,
    Network,
    UserNetwork,
    open_isotp,
    serve_isotp,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from anyio.abc import TaskStatus

ECU: Final = Address.normal(tx_id=0x7E8, rx_id=0x7E0)
TO_ALL: Final = Address.normal(tx_id=0x7DF, rx_id=None)
PADDING: Final = 0xCC

# ISO 14229-2: how soon an answer comes, how soon after "response pending", and how long a session
# lasts in which nobody asks for anything.
P2: Final = 0.05
P2_EXTENDED: Final = 5.0
S3: Final = 5.0
BOOT_TIME: Final = 0.2

ACTIVE_SESSION: Final = 0xF186
SERIAL_NUMBER: Final = 0xF18C
IDENTIFICATION: Final = {
    0xF190: b"WVWZZZ1JZXW000001",  # VIN
    0xF195: b"04.20",  # version of the software
    SERIAL_NUMBER: b"SN004711",
}
SLOW: Final = {SERIAL_NUMBER: 0.1}  # seconds that it takes to read it
ERASE_MEMORY: Final = 0xFF00  # a routine
ERASE_TIME: Final = 0.15

NEGATIVE: Final = 0x7F
SUPPRESS: Final = 0x80  # of a sub-function: the tester wants no positive answer
WITH_SUBFUNCTION: Final = {0x10, 0x11, 0x31, 0x3E}


class Session(enum.IntEnum):
    """The sessions that there are."""

    DEFAULT = 0x01
    PROGRAMMING = 0x02
    EXTENDED = 0x03


class Code(enum.IntEnum):
    """Why a request is refused (ISO 14229-1, annex A)."""

    SERVICE_NOT_SUPPORTED = 0x11
    SUBFUNCTION_NOT_SUPPORTED = 0x12
    INCORRECT_LENGTH = 0x13
    SEQUENCE_ERROR = 0x24
    OUT_OF_RANGE = 0x31
    RESPONSE_PENDING = 0x78
    SUBFUNCTION_NOT_IN_THIS_SESSION = 0x7E
    SERVICE_NOT_IN_THIS_SESSION = 0x7F


# What an ECU keeps to itself when all were asked: others may be the ones that know.
NOT_TOLD_TO_ALL: Final = {
    Code.SERVICE_NOT_SUPPORTED,
    Code.SUBFUNCTION_NOT_SUPPORTED,
    Code.OUT_OF_RANGE,
    Code.SUBFUNCTION_NOT_IN_THIS_SESSION,
    Code.SERVICE_NOT_IN_THIS_SESSION,
}


class Refusal(Exception):  # noqa: N818 - it is an answer
    """A request is refused."""

    def __init__(self, code: Code) -> None:
        super().__init__(code)
        self.code = code


class Ecu:
    """What the ECU knows, and how it answers.

    A service is a method that is given what follows the service's number, and gives what is to
    follow it in the answer.
    """

    def __init__(self, data: dict[int, bytes]) -> None:
        self._data = data
        self._session = Session.DEFAULT
        self._session_ends = 0.0
        self._booted = 0.0
        self._erased = False
        self._services: dict[int, Callable[[bytes], Awaitable[bytes]]] = {
            0x10: self.control_session,
            0x11: self.reset,
            0x22: self.read_data,
            0x31: self.control_routine,
            0x3E: self.tester_present,
        }

    async def answer(self, request: IsotpRequest) -> bytes | None:
        """Give the answer to a request; None: there is none."""
        if anyio.current_time() < self._booted:
            return None
        async with anyio.create_task_group() as tasks:
            delay = Delay(request)
            tasks.start_soon(delay.announce)
            answer = await self.serve(request)
            tasks.cancel_scope.cancel()
        # Once it has been announced, the answer comes, whatever it is.
        return answer if delay.announced or is_wanted(answer, request) else None

    async def serve(self, request: bytes) -> bytes:
        """Give the answer to a request, wanted or not."""
        if anyio.current_time() > self._session_ends:
            self._session = Session.DEFAULT
        try:
            service = self._services.get(request[0], self.refuse)
            return bytes((request[0] + 0x40,)) + await service(request[1:])
        except Refusal as refusal:
            return bytes((NEGATIVE, request[0], refusal.code))
        finally:
            self._session_ends = anyio.current_time() + S3

    async def refuse(self, _: bytes) -> bytes:
        """Be the service that there is not."""
        raise Refusal(Code.SERVICE_NOT_SUPPORTED)

    async def control_session(self, parameters: bytes) -> bytes:
        """Change to another session."""
        session = Session(subfunction(parameters, set(Session)))
        if session is Session.PROGRAMMING and self._session is Session.DEFAULT:
            raise Refusal(Code.SUBFUNCTION_NOT_IN_THIS_SESSION)
        self._session = session
        times = round(P2 * 1000).to_bytes(2) + round(P2_EXTENDED * 100).to_bytes(2)
        return bytes((session,)) + times

    async def reset(self, parameters: bytes) -> bytes:
        """Answer, and be silent for as long as it takes to boot."""
        kind = subfunction(parameters, {0x01, 0x03})  # hard, soft
        self._session = Session.DEFAULT
        self._booted = anyio.current_time() + BOOT_TIME
        return bytes((kind,))

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
            raise Refusal(Code.OUT_OF_RANGE)
        return content

    async def control_routine(self, parameters: bytes) -> bytes:
        """Start the routine, which answers when it is done, or tell how it ended."""
        if self._session is Session.DEFAULT:
            raise Refusal(Code.SERVICE_NOT_IN_THIS_SESSION)
        kind = subfunction(parameters, {0x01, 0x03}, length=3)  # start, results
        if int.from_bytes(parameters[1:]) != ERASE_MEMORY:
            raise Refusal(Code.OUT_OF_RANGE)
        if kind == 0x01:
            await anyio.sleep(ERASE_TIME)
            self._erased = True
        elif not self._erased:
            raise Refusal(Code.SEQUENCE_ERROR)
        return bytes((kind,)) + parameters[1:] + b"\x00"

    async def tester_present(self, parameters: bytes) -> bytes:
        """Take note that the tester is there: as any request, it keeps the session alive."""
        return bytes((subfunction(parameters, {0x00}),))


def subfunction(parameters: bytes, known: set[int], *, length: int = 1) -> int:
    """Give a sub-function, the first of the parameters, which have to have that length."""
    if not parameters:
        raise Refusal(Code.INCORRECT_LENGTH)
    number = parameters[0] & ~SUPPRESS
    if number not in known:
        raise Refusal(Code.SUBFUNCTION_NOT_SUPPORTED)
    if len(parameters) != length:
        raise Refusal(Code.INCORRECT_LENGTH)
    return number


def is_wanted(answer: bytes, request: IsotpRequest) -> bool:
    """Tell whether an answer is one that the tester wants to hear."""
    if answer[0] == NEGATIVE:
        return not (request.functional and answer[2] in NOT_TOLD_TO_ALL)
    return request[0] not in WITH_SUBFUNCTION or not request[1] & SUPPRESS


class Delay:
    """An answer that takes its time.

    Attributes:
        announced: The tester has been told that it is to come.
    """

    def __init__(self, request: IsotpRequest) -> None:
        self._request = request
        self.announced = False

    async def announce(self) -> None:
        """Say that the answer is to come, before the tester gives up, and again."""
        pause = P2
        while True:
            await anyio.sleep(pause * 0.8)
            pause = P2_EXTENDED
            self.announced = True
            with suppress(CanError):  # the answer meets the same fault
                await self._request.reply(
                    bytes((NEGATIVE, self._request[0], Code.RESPONSE_PENDING))
                )


async def simulate(
    interface: str,
    *,
    network: Network | None = None,
    task_status: TaskStatus[None] = TASK_STATUS_IGNORED,
) -> None:
    """Be the ECU, until cancelled or until the interface is gone."""
    await serve_isotp(
        Ecu(IDENTIFICATION).answer,
        interface,
        [ECU],
        functional=TO_ALL,
        on_fault=tell,
        padding=PADDING,
        network=network,
        task_status=task_status,
    )


def tell(_: Address, fault: CanError) -> None:
    """Say what went wrong on the bus; the ECU lives through it."""
    print(fault)


SILENCE: Final = 0.2  # so long without an answer: none comes
REQUESTS: Final = (
    "1002",  # the programming session, which the default session does not lead to
    "3101FF00",  # nor are there routines in it
    "1003",  # extended session
    "22F190",
    "22F195F186",
    "22F18C",
    "3103FF00",  # results of what has not been started
    "3101FF00",
    "3183FF00",  # no answer is wanted
    "3181FF00",  # nor here, but it takes its time
    "2212341234",
    "22FF00",
    "2712",
    "3E80",
    "1101",
    "3E00",  # it boots
)
REQUESTS_TO_ALL: Final = ("3E00", "22F195", "22FF00", "2712", "1105", "1002", "3101FF00", "22F1")


async def rehearse() -> None:
    """Test the ECU on a user-space network."""
    async with UserNetwork() as network, anyio.create_task_group() as tasks:
        network.add_vcan("can0")
        await tasks.start(partial(simulate, "can0", network=network))
        async with (
            open_isotp("can0", address=ECU.reversed(), network=network) as tester,
            open_isotp("can0", address=TO_ALL, network=network) as everybody,
        ):
            for request in REQUESTS:
                await tester.send(bytes.fromhex(request))
                print(request, *await answers(tester))
            await anyio.sleep(BOOT_TIME)
            for request in REQUESTS_TO_ALL:
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
            if answer[0] != NEGATIVE or answer[2] != Code.RESPONSE_PENDING:
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
        except InterfaceRemovedError as error:
            sys.exit(error.strerror)
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
