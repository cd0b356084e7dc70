"""The side that answers: one handler for each pair of nodes."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, TypeAlias

import anyio
import attrs
from anyio import TASK_STATUS_IGNORED

from anycan.endpoints.isotp import open_isotp
from anycan.exceptions import (
    AddressError,
    CanError,
    CanOSError,
    InterfaceError,
    InterfaceRemovedError,
    PduError,
)
from anycan.wire.isotp_address import Address

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping
    from typing import Self

    from anyio.abc import TaskStatus

    from anycan.endpoints.isotp_link import IsotpLink
    from anycan.endpoints.link_values import LinkGap, OnLinkLoss
    from anycan.network.base import Network

    IsotpHandler: TypeAlias = Callable[["IsotpRequest"], Awaitable[bytes | None]]


class IsotpRequest(bytes):
    r"""A request, as :func:`serve_isotp` hands it to a handler: bytes that know where from.

    Args:
        pdu: The request.
        address: The address that was asked, as the server has it.
        functional: All were asked at once, and not this one alone.
        send: Sends a PDU; None: there is nobody to reply to, as in a handler's own test.

    Attributes:
        address: The address that was asked.
        functional: All were asked at once.

    Example:
        >>> request = IsotpRequest(b"\x3e\x00", Address.normal(0x7E8, 0x7E0))
        >>> request[0] == 0x3E, request.functional
        (True, False)
    """

    address: Address
    functional: bool
    failed: CanError | None
    _send: Callable[[bytes], Awaitable[None]] | None

    def __new__(
        cls,
        pdu: bytes,
        address: Address,
        *,
        functional: bool = False,
        send: Callable[[bytes], Awaitable[None]] | None = None,
    ) -> Self:
        """Make one of a PDU, as the class says."""
        request = super().__new__(cls, pdu)
        request.address = address
        request.functional = functional
        request.failed = None
        request._send = send
        return request

    async def reply(self, pdu: bytes) -> None:
        r"""Send a reply before the one that the handler returns, such as UDS's "response pending".

        A handler need not catch what this raises: the server then goes on as if it had been
        raised by the last reply.

        Args:
            pdu: The reply.

        Raises:
            IsotpSendError: As :meth:`IsotpLink.send`, and so are the rest.
            InterfaceError: As :meth:`IsotpLink.send`.
            RuntimeError: The request does not come from a server.

        Example:
            >>> async def erase(request: IsotpRequest) -> bytes:
            ...     await request.reply(b"\x7f\x31\x78")
            ...     return b"\x71" + request[1:]
        """
        if self._send is None:
            raise RuntimeError("nobody waits: this request does not come from serve_isotp()")
        try:
            await self._send(pdu)
        except (CanOSError, PduError) as error:
            self.failed = error
            raise


class _Pair:
    """A pair of nodes, of which one is served here.

    Args:
        link: The connection.
        handler: Answers.
        server: Is told what goes wrong.
    """

    def __init__(
        self, link: IsotpLink, address: Address, handler: IsotpHandler, server: _Server
    ) -> None:
        self._link = link
        self._address = address
        self._handler = handler
        self._server = server
        self._lock = anyio.Lock()

    async def serve(self, link: IsotpLink | None = None) -> None:
        """Answer what comes.

        Args:
            link: Where all are asked at once; None: where this node is.
        """
        functional = link is not None
        while True:
            try:
                pdu = await (link or self._link).receive()
            except CanOSError as error:
                # What happens to the interface, the other link tells as well.
                told = not (functional and isinstance(error, InterfaceError))
                self._server.fault(self._address, error, told=told)
                continue
            request = IsotpRequest(pdu, self._address, functional=functional, send=self._link.send)
            async with self._lock:
                await self._answer(request)

    async def _answer(self, request: IsotpRequest) -> None:
        try:
            reply = await self._handler(request)
        except (CanOSError, PduError) as error:
            if error is not request.failed:
                raise  # it is the handler's own
            self._server.fault(self._address, error)
            return
        if reply is not None:
            try:
                await self._link.send(reply)
            except (CanOSError, PduError) as error:
                self._server.fault(self._address, error)


class _Server:
    """What the pairs of a server share.

    Args:
        on_fault: Is told what went wrong.

    Attributes:
        tasks: The pairs' tasks.
        removed: The interface is gone.
    """

    def __init__(self, on_fault: Callable[[Address, CanError], object] | None) -> None:
        self._on_fault = on_fault
        self.tasks = anyio.create_task_group()
        self.removed: InterfaceRemovedError | None = None

    def fault(self, address: Address, error: CanError, *, told: bool = True) -> None:
        """Take note that something went wrong on the bus."""
        if isinstance(error, InterfaceRemovedError):
            self.removed = error
            self.tasks.cancel_scope.cancel()
        elif told and self._on_fault is not None:
            self._on_fault(address, error)


async def serve_isotp(
    handler: IsotpHandler | Mapping[Address, IsotpHandler],
    interface: str | int,
    addresses: Iterable[Address] | None = None,
    *,
    functional: Address | None = None,
    on_fault: Callable[[Address, CanError], object] | None = None,
    on_link_loss: OnLinkLoss = "raise",
    on_gap: Callable[[LinkGap], object] | None = None,
    network: Network | str | None = None,
    task_status: TaskStatus[None] = TASK_STATUS_IGNORED,
    **options: Any,
) -> None:
    r"""Answer requests over ISO-TP, for one pair of nodes or many, until it is cancelled.

    Each pair has its requests answered one after the other; the pairs do not wait for each other.
    Requests that come meanwhile wait in the socket's receive buffer.

    Args:
        handler: A coroutine function that is given a request (an :class:`IsotpRequest`, which is
            ``bytes``) and returns the reply, or None for none. Or a mapping of each address to its
            own.
        interface: Name or index of the interface.
        addresses: The addresses, as this node has them: it sends to ``tx_id`` and receives from
            ``rx_id``. Where ``handler`` is a mapping they stand in there.
        functional: An address by which all of them are asked at once, as the tester has it.
        on_fault: Called with an address and what went wrong on the bus: a request given up in the
            middle, a reply that is too long or was not taken, the interface going down. None: it
            goes on without a word.
        on_link_loss: As for :func:`open_isotp`. With ``"wait"`` the server lives through the
            removal of its interface; a reply that is to be sent meanwhile waits.
        on_gap: As for :func:`open_isotp`; called once for all addresses.
        network: Where the interface is; None: what ``ANYCAN_NETWORK`` names, else the kernel.
        task_status: Is told when requests can come: ``await tasks.start(serve_isotp, ...)``.
        **options: What :func:`open_isotp` takes besides, such as ``padding=``.

    Raises:
        InterfaceRemovedError: The interface is gone; with ``on_link_loss="wait"``, the network is.
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
    if functional is not None:
        _check_functional(functional, handlers)
    options |= {"network": network, "on_link_loss": on_link_loss}
    server = _Server(on_fault)
    async with AsyncExitStack() as stack:
        pairs: list[tuple[_Pair, IsotpLink | None]] = []
        for number, (address, one) in enumerate(handlers.items(), 1):
            # The last one that is opened tells of gaps: when one ends, the others are bound again.
            tells = on_gap if number == len(handlers) else None
            link = await stack.enter_async_context(
                open_isotp(
                    interface,
                    address=address,
                    on_gap=tells if functional is None else None,
                    **options,
                )
            )
            listener = None
            if functional is not None:
                whom = _listening(functional, address)
                listener = await stack.enter_async_context(
                    open_isotp(interface, address=whom, listen_only=True, on_gap=tells, **options)
                )
            pairs.append((_Pair(link, address, one, server), listener))
        async with server.tasks as tasks:
            for pair, listener in pairs:
                tasks.start_soon(pair.serve)
                if listener is not None:
                    tasks.start_soon(pair.serve, listener)
            task_status.started()
    if server.removed is not None:
        raise server.removed


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
        if not isinstance(address, Address):
            raise TypeError(f"an address to serve is an anycan.Address, not {address!r}")
        if address.functional:
            raise AddressError(f"{address!r} is functional: a server answers from an identifier")
    return handlers


def _check_functional(functional: Address, handlers: dict[Address, IsotpHandler]) -> None:
    if not isinstance(functional, Address):
        raise TypeError(f"functional= is an anycan.Address, not {functional!r}")
    if not functional.functional:
        raise AddressError(f"{functional!r} is of one node: a functional address has rx_id=None")
    for address in handlers:
        asked_alone = address.rx_word, address.rx_extension
        if asked_alone == (functional.tx_word, functional.tx_extension):
            raise AddressError(f"{functional!r} is what {address!r} is asked by alone")


def _listening(functional: Address, one: Address) -> Address:
    """Give the address of whoever listens to a functional one. It sends nothing."""
    return attrs.evolve(
        functional,
        tx_id=one.tx_id if one.extended_ids == functional.extended_ids else 0,
        rx_id=functional.tx_id,
        rx_extension=functional.tx_extension,
    )
