"""Ask ECUs for their identification by UDS (ISO 14229-1): VIN, software version, serial number.

All are asked first who is there, by one functional request. Then each is asked in turn, and given
more time where it says that its answer is to come ("response pending"). ecu_simulator.py is one.

Usage:

    python read_identification.py can0        # the kernel, or what ANYCAN_NETWORK names
    python read_identification.py can0 7E0    # one ECU alone; it answers with 7E8
    python read_identification.py --user      # a network in this program, with ECUs
"""

from __future__ import annotations

import sys
from functools import partial
from typing import Final

import anyio

from anycan import (
    Address,
    IsotpError,
    IsotpLink,
    IsotpRequest,
    Network,
    UserNetwork,
    functional_request,
    open_isotp,
    serve_isotp,
)

# ISO 15765-4: the identifiers of 11 bits for up to eight ECUs, and for all of them.
ECUS: Final = tuple(Address.normal(tx_id=0x7E0 + n, rx_id=0x7E8 + n) for n in range(8))
TO_ALL: Final = Address.normal(tx_id=0x7DF, rx_id=None)
PADDING: Final = 0xCC

# How long to wait: for an ECU to show that it is there, for a whole answer, and for one of which
# the ECU says that it is to come (ISO 14229-2: P2 and P2*, and the time that the frames take).
PRESENCE_TIME: Final = 0.2
ANSWER_TIME: Final = 1.0
PENDING_TIME: Final = 6.0

IDENTIFIERS: Final = {"VIN": 0xF190, "software": 0xF195, "serial number": 0xF18C}
TESTER_PRESENT: Final = b"\x3e\x00"
READ_DATA: Final = 0x22
REFUSED: Final = 0x7F
RESPONSE_PENDING: Final = 0x78
CODES: Final = {
    0x10: "general reject",
    0x11: "service not supported",
    0x12: "sub-function not supported",
    0x13: "incorrect length or format",
    0x14: "response too long",
    0x21: "busy, repeat the request",
    0x22: "conditions not correct",
    0x31: "request out of range",
    0x33: "security access denied",
    0x7E: "sub-function not supported in this session",
    0x7F: "service not supported in this session",
}


class NegativeResponseError(Exception):
    """The ECU refused a request.

    Attributes:
        service: The service that was asked for.
        code: Why it was refused.
    """

    def __init__(self, service: int, code: int) -> None:
        super().__init__(f"{CODES.get(code, 'refused')} (0x{code:02X})")
        self.service = service
        self.code = code


async def ask(link: IsotpLink, request: bytes) -> bytes:
    """Give what follows the service's number in the answer to a request.

    Raises:
        NegativeResponseError: The ECU refused it.
        TimeoutError: The ECU did not answer in time.
        IsotpError: The request was not received, or the answer was given up in the middle.
    """

    def is_final(answer: bytes) -> bool:
        # What answers another service is for a request that was given up.
        refused = len(answer) == 3 and answer[:2] == bytes((REFUSED, request[0]))
        pending = refused and answer[2] == RESPONSE_PENDING
        return not pending and (refused or answer[0] == request[0] + 0x40)

    answer = await link.request(
        request, timeout=ANSWER_TIME, final=is_final, pending_timeout=PENDING_TIME
    )
    if answer[0] == REFUSED:
        raise NegativeResponseError(request[0], answer[2])
    return answer[1:]


async def read_text(link: IsotpLink, identifier: int) -> str:
    """Read a text by its data identifier."""
    name = identifier.to_bytes(2)
    content = await ask(link, bytes((READ_DATA,)) + name)
    return content.removeprefix(name).rstrip(b"\0 ").decode("ascii", "replace")


async def find(interface: str, *, network: Network | None = None) -> list[Address]:
    """Find out which ECUs are there."""
    found = []
    async with functional_request(
        interface,
        TESTER_PRESENT,
        address=TO_ALL,
        responders=ECUS,
        timeout=PRESENCE_TIME,
        padding=PADDING,
        network=network,
    ) as answers:
        async for ecu, _ in answers:
            found.append(ecu)
    return sorted(found, key=lambda ecu: ecu.tx_id)


async def identify(interface: str, ecu: Address, *, network: Network | None = None) -> None:
    """Print what an ECU says of itself; what it does not say, and why, in its place."""
    async with open_isotp(interface, address=ecu, padding=PADDING, network=network) as link:
        print(f"{ecu.tx_id:03X}:")
        for title, identifier in IDENTIFIERS.items():
            try:
                text = await read_text(link, identifier)
            except NegativeResponseError as error:
                text = f"({error})"
            except TimeoutError:
                text = "(no answer)"
            except IsotpError as error:
                text = f"({error.strerror})"
            print(f"  {title}: {text}")


async def identify_all(interface: str, *, network: Network | None = None) -> None:
    """Find the ECUs, and identify each."""
    ecus = await find(interface, network=network)
    print("ECUs:", len(ecus))
    for ecu in ecus:
        await identify(interface, ecu, network=network)


# What is rehearsed: two ECUs.

ENGINE: Final = {"22f190": b"WVWZZZ1JZXW000001", "22f195": b"04.20", "22f18c": b"SN004711"}
GEARBOX: Final = {"22f190": b"WVWZZZ1JZXW000001", "22f195": b"1.7"}


async def answer(known: dict[str, bytes], request: IsotpRequest) -> bytes:
    """Be an ECU. To read the serial number takes it some time."""
    if request == TESTER_PRESENT:
        return b"\x7e\x00"
    if request.hex() not in known:
        return bytes((REFUSED, request[0], 0x31))
    if request[1:] == IDENTIFIERS["serial number"].to_bytes(2):
        await request.reply(bytes((REFUSED, request[0], RESPONSE_PENDING)))
        await anyio.sleep(0.05)
    return bytes((request[0] + 0x40,)) + request[1:] + known[request.hex()]


async def rehearse() -> None:
    """Identify the ECUs on a user-space network."""
    engine, gearbox = (ecu.reversed() for ecu in ECUS[:2])
    handlers = {engine: partial(answer, ENGINE), gearbox: partial(answer, GEARBOX)}
    async with UserNetwork() as network, anyio.create_task_group() as tasks:
        network.add_vcan("can0")
        await tasks.start(
            partial(serve_isotp, handlers, "can0", functional=TO_ALL, network=network)
        )
        await identify_all("can0", network=network)
        tasks.cancel_scope.cancel()


def main() -> None:
    """Run it on the interface that was named."""
    match sys.argv[1:]:
        case ["--user"]:
            anyio.run(rehearse)
        case [interface]:
            anyio.run(identify_all, interface)
        case [interface, identifier]:
            request = int(identifier, 16)
            anyio.run(identify, interface, Address.normal(request, request + 8))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
