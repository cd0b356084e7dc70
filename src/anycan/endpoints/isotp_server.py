"""The side that answers: one handler for each pair of nodes."""

from __future__ import annotations

from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import anyio
import attrs
from anyio import TASK_STATUS_IGNORED

from anycan.endpoints.isotp import open_isotp
from anycan.exceptions import AddressError, CanOSError, InterfaceRemovedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from anyio.abc import TaskStatus
    from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

    from anycan.endpoints.isotp import IsotpLink
    from anycan.network.base import Network
    from anycan.wire.isotp_address import Address

    IsotpHandler: TypeAlias = Callable[[bytes], Awaitable[bytes | None]]

_FUNCTIONAL_QUEUE: Final = 16  # requests to all, for a handler that is slow


class _Pair:
    """A pair of nodes, of which one is served here.

    Args:
        link: The connection.
        address: The address it was given by.
        handler: Answers.
        on_fault: Is told what went wrong.
    """

    def __init__(
        self,
        link: IsotpLink,
        address: Address,
        handler: IsotpHandler,
        on_fault: Callable[[Address, CanOSError], object],
    ) -> None:
        self.address = address
        self._link = link
        self._handler = handler
        self._on_fault = on_fault
        self._lock = anyio.Lock()
        self._to_all: MemoryObjectSendStream[bytes]
        self._from_all: MemoryObjectReceiveStream[bytes]
        self._to_all, self._from_all = anyio.create_memory_object_stream(_FUNCTIONAL_QUEUE)

    async def serve(self) -> None:
        """Answer what is asked of this node alone."""
        while True:
            try:
                request = await self._link.receive()
            except InterfaceRemovedError:
                raise
            except CanOSError as error:
                self._on_fault(self.address, error)
            else:
                await self._answer(request)

    def ask(self, request: bytes) -> None:
        """Take a request to all; what a slow handler has no room for is lost, as on the bus."""
        with suppress(anyio.WouldBlock):
            self._to_all.send_nowait(request)

    async def serve_functional(self) -> None:
        """Answer what is asked of all."""
        async for request in self._from_all:
            await self._answer(request)

    async def _answer(self, request: bytes) -> None:
        async with self._lock:
            reply = await self._handler(request)
            if reply is None:
                return
            try:
                await self._link.send(reply)
            except InterfaceRemovedError:
                raise
            except CanOSError as error:
                self._on_fault(self.address, error)

    def close(self) -> None:
        self._to_all.close()
        self._from_all.close()


def _ignore(_address: Address, _error: CanOSError) -> None:
    """Make nothing of a fault."""


async def serve_isotp(
    handler: IsotpHandler | Mapping[Address, IsotpHandler],
    interface: str | int,
    addresses: Iterable[Address] | None = None,
    *,
    functional: Address | None = None,
    on_fault: Callable[[Address, CanOSError], object] | None = None,
    network: Network | str | None = None,
    task_status: TaskStatus[None] = TASK_STATUS_IGNORED,
    **options: Any,
) -> None:
    r"""Answer requests over ISO-TP, for one pair of nodes or many, until it is cancelled.

    Each pair has its requests answered one after the other; the pairs do not wait for each other.

    Args:
        handler: A coroutine function that is given a request and returns the reply, or None for
            none. Or a mapping of each address to its own.
        interface: Name or index of the interface.
        addresses: The addresses, as this node has them: it sends to ``tx_id`` and receives from
            ``rx_id``. Where ``handler`` is a mapping they stand in there.
        functional: An address by which all of them are asked at once, as the tester has it.
        on_fault: Called with an address and what went wrong on the bus: a request given up in the
            middle, a reply that was not taken, the interface going down. None: it goes on without
            a word.
        network: Where the interface is; None: what ``ANYCAN_NETWORK`` names, else the kernel.
        task_status: Is told when requests can come: ``await tasks.start(serve_isotp, ...)``.
        **options: What :func:`open_isotp` takes besides, such as ``padding=``.

    Raises:
        InterfaceRemovedError: The interface is gone.
        AddressError: There is no address, or one is functional.
        TypeError: ``handler`` and ``addresses`` do not go together.
        CanOSError: As :func:`open_isotp`.

    What a handler raises ends the server, in an exception group. A handler that is to live on
    catches what may happen in it.

    Example:
        >>> async def answer(request: bytes) -> bytes | None:
        ...     return bytes((request[0] + 0x40,)) + request[1:]
        >>> async def main() -> None:
        ...     async with UserNetwork() as network, anyio.create_task_group() as tasks:
        ...         network.add_vcan("vcan0")
        ...         ecu = Address.normal(tx_id=0x7E8, rx_id=0x7E0)
        ...         await tasks.start(
        ...             lambda task_status: serve_isotp(
        ...                 answer, "vcan0", [ecu], network=network, task_status=task_status
        ...             )
        ...         )
        ...         async with open_isotp(
        ...             "vcan0", address=ecu.reversed(), network=network
        ...         ) as tester:
        ...             print((await tester.request(b"\x3e\x00", timeout=1.0)).hex())
        ...         tasks.cancel_scope.cancel()
        >>> anyio.run(main)
        7e00
    """
    handlers = _handlers(handler, addresses)
    options["network"] = network
    async with AsyncExitStack() as stack:
        pairs = []
        for address, one in handlers.items():
            link = await stack.enter_async_context(
                open_isotp(interface, address=address, **options)
            )
            pair = _Pair(link, address, one, on_fault or _ignore)
            stack.callback(pair.close)
            pairs.append(pair)
        listener = None
        if functional is not None:
            whom = _listening(functional, pairs[0].address)
            listener = await stack.enter_async_context(
                open_isotp(interface, address=whom, listen_only=True, **options)
            )
        async with anyio.create_task_group() as tasks:
            for pair in pairs:
                tasks.start_soon(pair.serve)
                tasks.start_soon(pair.serve_functional)
            if listener is not None:
                tasks.start_soon(_hand_on, listener, pairs)
            task_status.started()


async def _hand_on(listener: IsotpLink, pairs: list[_Pair]) -> None:
    """Give each pair what is asked of all."""
    while True:
        try:
            request = await listener.receive()
        except InterfaceRemovedError:
            raise
        except CanOSError:
            continue  # each pair tells what happens to the interface
        for pair in pairs:
            pair.ask(request)


def _handlers(
    handler: IsotpHandler | Mapping[Address, IsotpHandler], addresses: Iterable[Address] | None
) -> dict[Address, IsotpHandler]:
    if callable(handler):
        if addresses is None:
            raise TypeError("say which addresses to serve: addresses=[Address.normal(...)]")
        handlers = dict.fromkeys(addresses, handler)
    elif addresses is not None:
        raise TypeError("the handlers' mapping has the addresses already: leave out addresses=")
    else:
        handlers = dict(handler)
    if not handlers:
        raise AddressError("there is no address to serve")
    for address in handlers:
        if address.functional:
            raise AddressError(f"{address!r} is functional: a server answers from an identifier")
    return handlers


def _listening(functional: Address, one: Address) -> Address:
    """Give the address of whoever listens to a functional one. It sends nothing."""
    return attrs.evolve(
        functional,
        tx_id=one.tx_id if one.extended_ids == functional.extended_ids else 0,
        rx_id=functional.tx_id,
        rx_extension=functional.tx_extension,
    )
