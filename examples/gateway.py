"""Forward frames between two interfaces, each way what its filter takes.

Rules like these the kernel forwards by itself, where it has can-gw and this program may tell it;
elsewhere this program does. It prints who does, and at the end what became of the frames.

Usage:

    python gateway.py can0 can1    # the kernel, or what ANYCAN_NETWORK names; Ctrl-C ends it
    python gateway.py --user       # a network in this program, with traffic of its own
"""

from __future__ import annotations

import sys

import anyio

from anycan import (
    Filter,
    Frame,
    Gateway,
    GatewayPort,
    Modification,
    Network,
    Rule,
    UserNetwork,
    open_raw,
)


def rules(inside: GatewayPort, outside: GatewayPort) -> list[Rule]:
    """Say what is forwarded: signals under other identifiers, and a tester's questions and answers.

    The signals 0x100 to 0x1FF are 0x500 to 0x5FF outside.
    """
    return [
        Rule(
            name="signals",
            source=inside,
            destination=outside,
            filter=Filter.range(0x100, 0x1FF),
            modify=Modification.bit_set(id=0x500, mask=0x700),
            overflow="latest_per_id",
        ),
        Rule(name="answers", source=inside, destination=outside, filter=Filter.id(0x7E8)),
        Rule(name="questions", source=outside, destination=inside, filter=Filter.id(0x7E0)),
    ]


def report(gateway: Gateway) -> None:
    """Print what was forwarded, and what was dropped for which reason."""
    for rule in gateway.statistics().rules:
        print(f"{rule.name}: {rule.forwarded} of {rule.received} forwarded")
        for one in rule.destinations:
            for reason, count in one.dropped.items():
                print(f"  {count} not to {one.destination}: {reason}")


async def run_gateway(inside: str, outside: str) -> None:
    """Forward between two interfaces until cancelled. One that goes away is waited for."""
    gateway = Gateway(rules(GatewayPort(inside), GatewayPort(outside)), missing="wait")
    try:
        async with anyio.create_task_group() as tasks:
            await tasks.start(gateway.run)
            print(gateway.explain(), flush=True)
    finally:
        report(gateway)


async def drive(network: Network) -> None:
    """Be an ECU inside of a gateway, and a tester outside."""
    async with (
        open_raw("can0", network=network) as ecu,
        open_raw("can1", network=network) as tester,
    ):
        await ecu.send_many([Frame(0x0FF), Frame(0x100, b"a"), Frame(0x200), Frame(0x7E8)])
        print("outside:", await tester.receive(), await tester.receive())
        await tester.send_many([Frame(0x7DF), Frame(0x7E0, b"b")])
        print("inside:", await ecu.receive())


async def rehearse() -> None:
    """Run the gateway on a user-space network."""
    async with UserNetwork() as network, anyio.create_task_group() as tasks:
        network.add_vcan("can0")
        network.add_vcan("can1")
        gateway = Gateway(rules(GatewayPort("can0", network), GatewayPort("can1", network)))
        await tasks.start(gateway.run)
        await drive(network)
        gateway.stop()
    report(gateway)


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
