"""Stand between a vehicle and the plug that anybody can plug something into.

What is on the lists passes, and nothing else: a few of the vehicle's signals go out, no more often
than they are needed, and of a tester's requests those that only read go in.

Usage:

    python firewall.py can0 can1    # vehicle and plug; the kernel, or what ANYCAN_NETWORK names
    python firewall.py --user       # a network in this program, with a flood at the plug
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import anyio

from anycan import (
    AnyFrame,
    ErrorClass,
    ErrorFrame,
    FdFrame,
    Filter,
    Frame,
    Gateway,
    GatewayPort,
    RateLimit,
    RemoteFrame,
    Rule,
    UserNetwork,
    byte,
    open_raw,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

SIGNALS = Filter.id(0x0C0) | Filter.id(0x120)
RESPONSES = Filter.range(0x7E8, 0x7EF)
FLOW_CONTROL = byte(0).between(0x30, 0x32)

# ISO 14229-1 and SAE J1979: current data, stored faults, vehicle information, tester present, read
# by identifier. A request is a frame of 8 bytes, which begins with its length.
READING = {0x01, 0x03, 0x09, 0x3E, 0x22}
REQUESTS = (
    (Filter.id(0x7DF) | Filter.range(0x7E0, 0x7E7))
    & Filter.length(8)
    & ((byte(0).between(1, 7) & byte(1).is_in(READING)) | FLOW_CONTROL)
)


def rules(vehicle: GatewayPort, plug: GatewayPort) -> list[Rule]:
    """Say what passes. Frames of CAN FD, remote frames and error frames are on no list."""
    return [
        Rule(
            name="signals",
            source=vehicle,
            destination=plug,
            filter=Filter.classical() & SIGNALS,
            minimum_interval=0.1,
        ),
        Rule(
            name="responses",
            source=vehicle,
            destination=plug,
            filter=Filter.classical() & RESPONSES,
        ),
        Rule(
            name="requests",
            source=plug,
            destination=vehicle,
            filter=Filter.classical() & REQUESTS,
            limits=RateLimit(50, burst=20),
        ),
    ]


def report(gateway: Gateway) -> None:
    """Print what passed, what did not although it was on a list, and what was on none.

    Most of what is on no list the kernel keeps back, and nobody counts that.
    """
    counted = gateway.statistics()
    for rule in counted.rules:
        held = ", ".join(f"{count} by {reason}" for reason, count in rule.dropped.items())
        print(f"{rule.name}: {rule.forwarded} passed, kept out: {held or 'none'}")
    for port in counted.ports:
        print(f"{port.interface}: {port.not_taken} read here, and on no list")


async def run_firewall(vehicle: str, plug: str) -> None:
    """Forward what is on the lists until cancelled."""
    gateway = Gateway(rules(GatewayPort(vehicle), GatewayPort(plug)), missing="wait")
    try:
        await gateway.run()
    finally:
        report(gateway)


def flood() -> Iterator[AnyFrame]:
    """Give what somebody might try: every identifier, every kind of frame, other services."""
    for identifier in range(0x800):
        yield Frame(identifier, bytes(8))
        yield Frame(identifier, b"\x02\x10\x03".ljust(8, b"\0"), extended=True)
        yield RemoteFrame(identifier)
        yield FdFrame(identifier, b"\x03\x22\xf1\x90".ljust(8, b"\0"))
    yield ErrorFrame(ErrorClass.BUS_OFF)
    for service in set(range(0x100)) - READING:
        yield Frame(0x7E0, bytes([2, service]).ljust(8, b"\0"))


async def rehearse() -> None:
    """Put a vehicle and a flood on the two sides of the firewall, on a user-space network."""
    async with UserNetwork() as network, anyio.create_task_group() as tasks:
        network.add_vcan("vehicle")
        network.add_vcan("plug")
        gateway = Gateway(rules(GatewayPort("vehicle", network), GatewayPort("plug", network)))
        async with (
            open_raw("vehicle", network=network) as ecu,
            open_raw("plug", network=network) as tester,
        ):
            await tasks.start(gateway.run)
            await tester.send_many(flood())
            await tester.send(Frame.parse("7E0#0322F19000000000"))
            print("in the vehicle:", await ecu.receive())
            await ecu.send_many([Frame(0x0C0, b"\x0b"), Frame(0x0C0, b"\x0c"), Frame(0x300)])
            await ecu.send(Frame.parse("7E8#0762F19057564700"))
            print("at the plug:", await tester.receive(), await tester.receive())
        gateway.stop()
    report(gateway)


def main() -> None:
    """Run it on the interfaces that were named."""
    if sys.argv[1:] == ["--user"]:
        anyio.run(rehearse)
    elif len(sys.argv) == 3:
        try:
            anyio.run(run_firewall, sys.argv[1], sys.argv[2])
        except KeyboardInterrupt:
            print("stopped")
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
