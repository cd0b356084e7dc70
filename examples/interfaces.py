"""List the CAN interfaces, set one up, and print what happens to all of them.

Usage:

    python interfaces.py can0 500000    # the kernel, or what ANYCAN_NETWORK names; Ctrl-C ends it
    python interfaces.py --user         # a network in this program, with faults on purpose

Setting an interface up needs the capability CAP_NET_ADMIN; the rest needs no rights.
"""

from __future__ import annotations

import sys

import anyio

from anycan import (
    CanError,
    ErrorCountersChanged,
    EventsLost,
    Interface,
    InterfaceChanged,
    InterfaceEvent,
    InterfaceStateChanged,
    Network,
    UserNetwork,
    configure_interface,
    list_interfaces,
    watch_interfaces,
)


def describe(interface: Interface) -> str:
    """Tell of an interface in a line."""
    parts = [interface.kind or "unknown", interface.condition.value]
    if interface.bitrate is not None:
        parts.append(f"{interface.bitrate / 1000:g} kbit/s")
    if interface.data_bitrate is not None:
        parts.append(f"data {interface.data_bitrate / 1000:g} kbit/s")
    if interface.restart:
        parts.append(f"restarts {interface.restart:g} s after bus-off")
    return f"{interface.name}: {', '.join(parts)}"


def tell(event: InterfaceEvent | EventsLost) -> str:
    """Tell of an event in a line."""
    match event:
        case EventsLost():
            return "some events are lost"
        case InterfaceStateChanged():
            return f"{event.interface.name} is {event.state.name}"
        case ErrorCountersChanged():
            return f"{event.interface.name} counts {event.interface.error_counters}"
        case InterfaceChanged():
            return f"{event.interface.name}: {', '.join(event.changed)} changed"
        case _:
            return f"{type(event).__name__}: {describe(event.interface)}"


async def set_up_and_watch(interface: str, bitrate: int) -> None:
    """Set an interface up, and print what happens to all interfaces, until cancelled."""
    for one in await list_interfaces():
        print(describe(one))
    async with watch_interfaces() as events:
        print(describe(await configure_interface(interface, bitrate=bitrate, restart=0.1, up=True)))
        async for event in events:
            print(tell(event), flush=True)


async def set_up_for_fd(interface: str, *, network: Network | None = None) -> Interface:
    """Set an interface up for CAN FD."""
    return await configure_interface(
        interface,
        bitrate=500_000,
        sample_point=0.8,
        data_bitrate=2_000_000,
        data_sample_point=0.75,
        restart=0.01,
        up=True,
        network=network,
    )


async def rehearse() -> None:
    """Do it on a user-space network, and let something happen."""
    async with UserNetwork() as network, watch_interfaces(network=network) as events:
        network.add_can("can0")
        print(tell(await events.receive()))
        print(describe(await set_up_for_fd("can0", network=network)))
        for _ in range(2):
            print(tell(await events.receive()))
        network.set_error_counters("can0", transmit=130)
        print(tell(await events.receive()))
        network.set_bus_off("can0")
        for _ in range(2):  # it restarts by itself
            print(tell(await events.receive()))
        network.set_down("can0")
        network.remove("can0")
        for _ in range(2):
            print(tell(await events.receive()))


def main() -> None:
    """Run it on the interface that was named."""
    if sys.argv[1:] == ["--user"]:
        anyio.run(rehearse)
    elif len(sys.argv) == 3:
        try:
            anyio.run(set_up_and_watch, sys.argv[1], int(sys.argv[2]))
        except KeyboardInterrupt:
            print("stopped")
        except CanError as error:
            sys.exit(str(error))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
