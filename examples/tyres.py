"""Watch tyre pressures: the code that test_tyres.py tests.

Usage:

    python tyres.py can0    # the kernel, or what ANYCAN_NETWORK names
"""

from __future__ import annotations

import sys

import anyio

from anycan import Filter, InterfaceDownError, Network, open_raw

PRESSURES = 0x3D0
LEAST_KPA = 180


async def wait_for_low_pressure(interface: str, *, network: Network | None = None) -> int:
    """Wait until a tyre has too little pressure; give its number, 0 to 3."""
    async with open_raw(interface, filters=Filter.id(PRESSURES), network=network) as can:
        while True:
            try:
                frame = await can.receive()
            except InterfaceDownError:
                continue  # it goes on when the interface is up again
            for tyre, value in enumerate(frame.data[:4]):
                if value * 2 < LEAST_KPA:
                    return tyre


def main() -> None:
    """Watch the interface that was named."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    print(f"tyre {anyio.run(wait_for_low_pressure, sys.argv[1])} has too little pressure")


if __name__ == "__main__":
    main()
