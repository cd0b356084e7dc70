"""Two ends of an ISO-TP connection to test on, by the network's sockets or by anycan's engine."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Literal

import anyio
import attrs

import anycan

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from anycan import Address, IsotpLink, RawEndpoint
    from rig.links import Links

ONE = anycan.Address.normal(0x7E0, 0x7E8)


@attrs.frozen
class IsotpBench:
    """Where both ends are opened.

    Attributes:
        links: The interfaces.
        name: The interface.
        implementation: Whose ISO-TP it is.
    """

    links: Links
    name: str
    implementation: Literal["socket", "engine"]

    def open(self, address: Address = ONE, **options: Any) -> Any:
        """Open one end."""
        options = {"network": self.links.network, "implementation": self.implementation} | options
        return anycan.open_isotp(self.name, address=address, **options)

    @asynccontextmanager
    async def pair(
        self, address: Address = ONE, **options: Any
    ) -> AsyncIterator[tuple[IsotpLink, IsotpLink]]:
        """Open both ends."""
        async with (
            self.open(address, **options) as one,
            self.open(address.reversed(), **options) as other,
        ):
            yield one, other

    def raw(self, **options: Any) -> Any:
        """Open a raw endpoint, to listen and to be a peer that does what it should not."""
        return anycan.open_raw(self.name, network=self.links.network, **options)


async def echo(link: IsotpLink) -> None:
    """Send back what comes."""
    async for pdu in link:
        await link.send(pdu)


async def peer_ends(can: RawEndpoint, count: int) -> list[anycan.AnyFrame]:
    """Take so many frames, which are there or come soon."""
    with anyio.fail_after(30):
        return [await can.receive() for _ in range(count)]
