"""Echo frames from an asyncio protocol, as asyncio's own echo servers do.

Usage:

    python echo_protocol.py can0      # the kernel, or what ANYCAN_NETWORK names
    python echo_protocol.py --user    # a network in this program, with a client
"""

from __future__ import annotations

import asyncio
import sys

from anycan import (
    AnyFrame,
    CanOSError,
    CanProtocol,
    Filter,
    Frame,
    Network,
    RawTransport,
    UserNetwork,
    create_raw_transport,
    open_raw,
)

REQUEST = 0x7E0
RESPONSE = 0x7E8


class EchoProtocol(CanProtocol):
    """Answers every request with its own data."""

    transport: RawTransport

    def __init__(self) -> None:
        self.lost: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport, to answer by."""
        assert isinstance(transport, RawTransport)  # noqa: S101 - tells type checkers
        self.transport = transport

    def frame_received(self, frame: AnyFrame) -> None:
        """Answer."""
        if isinstance(frame, Frame):
            self.transport.send(Frame(RESPONSE, frame.data))

    def error_received(self, exc: CanOSError) -> None:
        """Say what went wrong; the transport goes on."""
        print(exc.strerror)

    def connection_lost(self, exc: Exception | None) -> None:
        """Let whoever waits for the end go on."""
        self.lost.set_result(exc)


async def serve(interface: str, *, network: Network | None = None) -> None:
    """Echo until the interface is gone, or until cancelled."""
    transport, protocol = await create_raw_transport(
        EchoProtocol, interface, filters=Filter.id(REQUEST), network=network
    )
    try:
        reason = await protocol.lost
    finally:
        transport.close()
    print("ended:", reason)


async def rehearse() -> None:
    """Echo on a user-space network, until its interface is removed."""
    async with UserNetwork() as network:
        network.add_vcan("vcan0")
        server = asyncio.create_task(serve("vcan0", network=network))
        async with open_raw("vcan0", network=network) as client:
            await asyncio.sleep(0)  # lets the server begin
            await client.send(Frame(REQUEST, b"ping"))
            print(await client.receive())
        network.remove("vcan0")
        await server


def main() -> None:
    """Run it on the interface that was named."""
    if sys.argv[1:] == ["--user"]:
        asyncio.run(rehearse())
    elif len(sys.argv) == 2:
        try:
            asyncio.run(serve(sys.argv[1]))
        except KeyboardInterrupt:
            print("stopped")
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
