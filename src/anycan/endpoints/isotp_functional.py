"""Asking many nodes at once: a functional request, and the replies of those who are there."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import anyio

from anycan.endpoints.isotp import open_isotp
from anycan.exceptions import AddressError, CanOSError, InterfaceError
from anycan.wire.isotp_address import Address

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Self

    from anycan.endpoints.isotp_link import IsotpLink
    from anycan.endpoints.link_values import LinkGap, OnLinkLoss
    from anycan.network.base import Network


class FunctionalRequest:
    """The replies to a functional request, as an async iterator. Made by `functional_request`.

    It begins when its ``async with`` block is entered, or else with its first reply; and it ends
    with the block, or else when no more replies are to come. (Whoever leaves the iteration early
    takes the block, which closes what is open.)

    Attributes:
        errors: What went wrong with each responder: a reply given up in the middle.
    """

    def __init__(
        self,
        interface: str | int,
        pdu: bytes,
        functional: Address,
        responders: tuple[Address, ...],
        timeout: float,
        final: Callable[[bytes], bool],
        pending_timeout: float | None,
        on_gap: Callable[[LinkGap], object] | None,
        options: dict[str, Any],
    ) -> None:
        self._interface = interface
        self._pdu = pdu
        self._functional = functional
        self._timeout = timeout
        self._final = final
        self._pending_timeout = pending_timeout
        self._on_gap = on_gap
        self._options = options
        self._stack: AsyncExitStack | None = None
        self._waiting: dict[Address, IsotpLink | None] = dict.fromkeys(responders)
        self._deadlines: dict[Address, float] = {}
        self._done = False
        self._entered = False
        self._failure: InterfaceError | None = None
        self.errors: dict[Address, CanOSError] = {}

    @property
    def missing(self) -> tuple[Address, ...]:
        """The responders of whom a final reply has not come."""
        return tuple(self._waiting)

    async def __aenter__(self) -> Self:
        self._entered = True
        await self._begin()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> tuple[Address, bytes]:
        """Wait for the next reply.

        Raises:
            StopAsyncIteration: Every responder has replied, or the time is over.
            InterfaceDownError: The interface went down.
            InterfaceRemovedError: The interface is gone.
        """
        if self._stack is None and not self._done:
            await self._begin()
        try:
            reply = await self._next()
        except BaseException:
            if not self._entered:  # else the block closes what is open
                await self.aclose()
            raise
        if reply is None:
            await self.aclose()
            raise StopAsyncIteration
        return reply

    async def _begin(self) -> None:
        """Open what is needed, those who listen first, and send the request."""
        interface, options, on_gap = self._interface, self._options, self._on_gap
        last = next(reversed(self._waiting), None)  # that one tells of gaps, which all of them have
        async with AsyncExitStack() as stack:
            for address in self._waiting:
                tells = on_gap if address == last else None
                opening = open_isotp(interface, address=address, on_gap=tells, **options)
                self._waiting[address] = await stack.enter_async_context(opening)
            tells = on_gap if last is None else None
            async with open_isotp(
                interface, address=self._functional, on_gap=tells, **options
            ) as link:
                with anyio.fail_after(self._timeout):
                    await link.send(self._pdu)
                deadline = anyio.current_time() + self._timeout
                self._deadlines = dict.fromkeys(self._waiting, deadline)
            self._stack = stack.pop_all()

    async def _next(self) -> tuple[Address, bytes] | None:
        while not self._done and self._waiting:
            for address, link in list(self._waiting.items()):
                reply = self._take(address, link)
                if reply is not None:
                    return address, reply
            if not await self._wait():
                return None
        return None

    def _take(self, address: Address, link: IsotpLink | None) -> bytes | None:
        if link is None:
            return None
        try:
            reply = link.receive_nowait()
        except anyio.WouldBlock:
            return None
        except InterfaceError:
            raise
        except CanOSError as error:
            self.errors[address] = error
            return None
        if self._final(reply):
            del self._waiting[address]
        elif self._pending_timeout is not None:
            self._deadlines[address] = anyio.current_time() + self._pending_timeout
        return reply

    async def _wait(self) -> bool:
        """Wait until a reply may be there; tell whether there is time left for anyone."""
        now = anyio.current_time()
        awaited = {one: link for one, link in self._waiting.items() if self._deadlines[one] > now}
        if not awaited:
            return False
        with anyio.CancelScope(deadline=min(self._deadlines[one] for one in awaited)):
            async with anyio.create_task_group() as tasks:
                for address, link in awaited.items():
                    if link is not None:
                        tasks.start_soon(self._watch, address, link, tasks.cancel_scope)
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure
        return not self._done

    async def _watch(self, address: Address, link: IsotpLink, scope: anyio.CancelScope) -> None:
        try:
            await link.wait()
        except InterfaceError as error:
            self._failure = error
        except CanOSError as error:
            self.errors[address] = error
        except anyio.ClosedResourceError:
            self._done = True  # somebody else has closed it
        scope.cancel()

    async def aclose(self) -> None:
        """Close what is open; replies that come later are nobody's."""
        self._done = True
        stack, self._stack = self._stack, None
        if stack is not None:
            await stack.aclose()


def functional_request(
    interface: str | int,
    pdu: bytes,
    *,
    responders: Iterable[Address],
    tx_id: int | None = None,
    address: Address | None = None,
    timeout: float = 1.0,
    final: Callable[[bytes], bool] = bool,
    pending_timeout: float | None = None,
    on_link_loss: OnLinkLoss = "raise",
    on_gap: Callable[[LinkGap], object] | None = None,
    network: Network | str | None = None,
    **options: Any,
) -> FunctionalRequest:
    r"""Ask many nodes at once: send one single frame, and give their replies as they come.

    Args:
        interface: Name or index of the interface.
        pdu: The request; it has to fit into a single frame.
        responders: Whom to listen to, each as this node has its address: where its flow control
            goes, and where the reply comes from.
        tx_id: The functional identifier, such as 0x7DF; short for
            ``address=Address.normal(tx_id, None)``.
        address: The functional address, in any addressing mode.
        timeout: How long to wait for replies, in seconds from the request on.
        final: Tells of a reply whether it is the responder's last one; when not, more are waited
            for. UDS's "response pending": ``lambda reply: reply[:1] != b"\x7f" or reply[-1:] !=
            b"\x78"``.
        pending_timeout: How long to wait for a responder from such a reply on, in seconds; None: no
            longer than for all.
        on_link_loss: As for :func:`open_isotp`. With ``"wait"`` the request waits for the link, for
            ``timeout`` at most; replies are waited for no longer because the link is lost.
        on_gap: As for :func:`open_isotp`; called once for all responders.
        network: Where the interface is; None: what ``ANYCAN_NETWORK`` names, else the kernel.
        **options: What :func:`open_isotp` takes besides, such as ``padding=``.

    Returns:
        An async iterator of pairs, a responder's address and its reply. It ends when each of them
        has replied, or when the time is over; ``missing`` then tells who has not, ``errors``
        whose reply was given up in the middle.

    Raises:
        AddressError: The address is not functional, or a responder's is.
        TypeError: It is no address, or an option that :func:`open_isotp` does not know.

    Entering its block, or the first reply, raises what :func:`open_isotp` and
    :meth:`IsotpLink.send` raise, and TimeoutError where the request could not be sent in time.

    Example:
        >>> async def answer(request: bytes) -> bytes:
        ...     return b"\x7e\x00"
        >>> async def main() -> None:
        ...     ecus = [Address.normal(0x7E0 + n, 0x7E8 + n) for n in range(2)]
        ...     async with UserNetwork() as network, anyio.create_task_group() as tasks:
        ...         network.add_vcan("vcan0")
        ...         await tasks.start(
        ...             lambda task_status: serve_isotp(
        ...                 answer,
        ...                 "vcan0",
        ...                 [ecu.reversed() for ecu in ecus],
        ...                 functional=Address.normal(0x7DF, None),
        ...                 network=network,
        ...                 task_status=task_status,
        ...             )
        ...         )
        ...         async with functional_request(
        ...             "vcan0", b"\x3e\x00", tx_id=0x7DF, responders=ecus, network=network
        ...         ) as replies:
        ...             print(sorted([(ecu.rx_id, reply.hex()) async for ecu, reply in replies]))
        ...         tasks.cancel_scope.cancel()
        >>> anyio.run(main)
        [(2024, '7e00'), (2025, '7e00')]
    """
    if (tx_id is None) == (address is None):
        raise AddressError("say whom to ask: tx_id= or address=, and one of them")
    functional = Address.normal(tx_id, None) if address is None else address  # type: ignore[arg-type]  # one is given
    if not functional.functional:
        raise AddressError(f"{functional!r} is of one node: a functional address has rx_id=None")
    asked = tuple(responders)
    for one in asked:
        if not isinstance(one, Address):
            raise TypeError(f"a responder is an anycan.Address, not {one!r}")
        if one.functional:
            raise AddressError(f"{one!r} is functional: a responder sends from an identifier")
    options |= {"network": network, "on_link_loss": on_link_loss}
    return FunctionalRequest(
        interface, pdu, functional, asked, timeout, final, pending_timeout, on_gap, options
    )
