"""One reader for a bus, many who take what they want of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Unpack

import anyio
from anyio import TASK_STATUS_IGNORED

from anycan.exceptions import RoutingError
from anycan.filter import Filter
from anycan.routing.attached import ProtocolSubscription
from anycan.routing.core import RouterCore
from anycan.routing.first import first_from_now
from anycan.routing.handlers import (
    HandlerOptions,
    HandlerSubscription,
    OnError,
    is_coroutine_function,
    name_of,
)
from anycan.routing.stream import FrameSubscription
from anycan.routing.subscription import check_filter

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from anyio.abc import TaskStatus

    from anycan.endpoints.raw import RawEndpoint
    from anycan.filter import FilterArgument
    from anycan.frame import AnyFrame
    from anycan.routing.explanation import Explanation
    from anycan.routing.queues import Overflow
    from anycan.routing.subscription import Subscription
    from anycan.routing.values import RouterStatistics, RoutingFault

    HandlerT = TypeVar("HandlerT", bound=Callable[..., Any])

_CAPACITY: Final = 1024
_DRAIN_TIMEOUT: Final = 5.0


class Router:
    """Hands the frames of one endpoint or more to those who want them.

    Each subscription gets the frames that pass its filter, in the order in which they were on the
    bus; a slow one holds up no other. The endpoints are read in batches, and who takes a frame is
    looked up by its identifier. What nobody wants is dropped by the kernel, as far as it can:
    :meth:`explain` tells what it does.

    Subscriptions come and go at any moment, before the router runs, while it does, and from within
    a handler. All its calls belong to the thread of its event loop.

    Args:
        on_fault: Called with a :class:`RoutingFault` when a handler raises or an endpoint fails;
            None: it goes to the logger ``anycan.routing``.

    Example:
        >>> async def main() -> None:
        ...     async with UserNetwork() as network:
        ...         network.add_vcan("vcan0")
        ...         async with (
        ...             open_raw("vcan0", network=network) as can,
        ...             open_raw("vcan0", network=network) as other,
        ...         ):
        ...             router = Router()
        ...             @router.on(Filter.id(0x100))
        ...             async def engine_speed(frame: AnyFrame) -> None:
        ...                 print("speed", frame)
        ...                 router.stop()
        ...             await other.send(Frame(0x100, b"abc"))
        ...             await router.run(can)
        >>> anyio.run(main)
        speed 100#616263
    """

    def __init__(self, *, on_fault: Callable[[RoutingFault], object] | None = None) -> None:
        given: object = on_fault
        if given is not None and (not callable(given) or is_coroutine_function(given)):
            raise TypeError(f"on_fault= is a plain function or None, not {on_fault!r}")
        self._core = RouterCore(on_fault)

    # Subscriptions

    def on(
        self,
        filter: FilterArgument | None = None,  # noqa: A002 - the field's own term
        **options: Unpack[HandlerOptions],
    ) -> Callable[[HandlerT], HandlerT]:
        """Have the function below called with frames, as a decorator; it stays what it is.

        Args:
            filter: As of :meth:`add`.
            **options: As of :meth:`add`.
        """
        given: object = filter
        if callable(given) and not isinstance(given, Filter):
            raise RoutingError(
                f"on() takes a filter, not {name_of(given)}: write @router.on(Filter.id(0x123)), or"
                " @router.on() for all frames"
            )
        check_filter("on()", filter, allow_empty=True)

        def decorate(handler: HandlerT) -> HandlerT:
            self.add(filter, handler, **options)
            return handler

        return decorate

    def add(
        self,
        filter: FilterArgument | None,  # noqa: A002 - as above
        handler: Callable[..., Any],
        *,
        name: str | None = None,
        batch: bool = False,
        capacity: int = _CAPACITY,
        overflow: Overflow = "drop_oldest",
        on_error: OnError = "keep",
        backoff: tuple[float, float] = (0.1, 30.0),
        allow_empty: bool = False,
    ) -> HandlerSubscription:
        """Have a function called with the frames that pass a filter, one call at a time.

        Frames that come while it is being called wait. A task of its own calls it; there is none
        per frame.

        Args:
            filter: A :class:`Filter`, a :class:`CanFilter` or several of them, of which any may
                match; None: all data and remote frames.
            handler: A coroutine function, or a plain one, that takes a frame.
            name: What to call it in errors and statistics; None: its own name.
            batch: Call it with a list of all frames that wait.
            capacity: How many frames wait at most, from 1.
            overflow: What to do with a frame when so many wait: ``"drop_oldest"`` or
                ``"drop_newest"`` of them, keep the ``"latest_per_id"``, ``"block"`` the endpoints
                (all subscriptions then wait, and the socket's receive buffer fills), or
                ``"raise"``: end the router with SubscriptionOverflowError.
            on_error: What to do when it raises, beside telling: ``"keep"`` it, and go on with the
                next frame; ``"restart"``: the same, after a wait that doubles each time; ``"stop"``
                the router, whose :meth:`run` raises it.
            backoff: For ``"restart"``: the first wait and the longest, in seconds.
            allow_empty: Take a filter that nothing can match.

        Returns:
            The subscription, to be closed by ``close()`` or :meth:`remove`.

        Raises:
            RoutingError: The handler cannot be called with a frame, or an argument is none of
                those above.
            FilterError: The filter is none, or nothing can match it.
        """
        name = name or name_of(handler)
        wanted = check_filter(name, filter, allow_empty=allow_empty)
        subscription = HandlerSubscription(
            self._core,
            handler,
            wanted,
            name=name,
            batch=batch,
            capacity=capacity,
            overflow=overflow,
            on_error=on_error,
            backoff=backoff,
        )
        self._core.register(subscription)
        return subscription

    def attach(
        self,
        filter: FilterArgument | None,  # noqa: A002 - as above
        protocol: Any,
        *,
        name: str | None = None,
        on_error: OnError = "keep",
        backoff: tuple[float, float] = (0.1, 30.0),
        allow_empty: bool = False,
    ) -> ProtocolSubscription:
        """Have a protocol object called with each frame as it is read, as asyncio's transports do.

        ``frame_received(frame)`` it must have. It may have ``connection_made(subscription)``,
        called when the router begins to run, ``error_received(exc)``, when an interface fails, and
        ``connection_lost(exc)``, when the router has ended. A :class:`CanProtocol` has them all.

        Args:
            filter: As of :meth:`add`.
            protocol: The object; it must not block, since all wait for it.
            name: What to call it in errors and statistics; None: its class's name.
            on_error: As of :meth:`add`; with ``"restart"``, frames are dropped during the wait.
            backoff: As of :meth:`add`.
            allow_empty: As of :meth:`add`.

        Raises:
            RoutingError: It has no ``frame_received`` that takes a frame.
            FilterError: As :meth:`add`.
        """
        name = name or name_of(type(protocol))
        wanted = check_filter(name, filter, allow_empty=allow_empty)
        subscription = ProtocolSubscription(
            self._core, protocol, wanted, name=name, on_error=on_error, backoff=backoff
        )
        self._core.register(subscription)
        return subscription

    def subscribe(
        self,
        filter: FilterArgument | None = None,  # noqa: A002 - as above
        *,
        name: str | None = None,
        capacity: int = _CAPACITY,
        overflow: Overflow = "drop_oldest",
        allow_empty: bool = False,
    ) -> FrameSubscription:
        """Give the frames that pass a filter as an async stream, for an ``async with`` block.

        Args:
            filter: As of :meth:`add`, and so are the rest.
            name: What to call it in errors and statistics; None: ``subscribe``.
            capacity: How many frames wait at most, from 1.
            overflow: What to do when so many wait; with ``"raise"``, ``receive`` raises
                SubscriptionOverflowError.
            allow_empty: Take a filter that nothing can match.

        Raises:
            RoutingError: An argument is none of those above.
            FilterError: As :meth:`add`.

        Example:
            >>> async def first(router: Router) -> AnyFrame:
            ...     async with router.subscribe(Filter.range(0x700, 0x7FF)) as frames:
            ...         async for frame in frames:
            ...             return frame
        """
        name = name or "subscribe"
        wanted = check_filter(name, filter, allow_empty=allow_empty)
        return FrameSubscription(self._core, name, wanted, capacity, overflow)

    async def wait_for(
        self,
        filter: FilterArgument | None,  # noqa: A002 - as above
        timeout: float | None = None,  # noqa: ASYNC109 - asyncio.wait_for has it
    ) -> AnyFrame:
        """Wait for one frame that passes a filter and comes from now on.

        Where the router does not run yet, it waits for that too.

        Args:
            filter: As of :meth:`add`.
            timeout: Seconds; None: for as long as it takes.

        Raises:
            TimeoutError: None came in time.
            EndOfStream: The router ended meanwhile.
            FilterError: As :meth:`add`.
        """
        wanted = check_filter("wait_for", filter, allow_empty=False)
        with anyio.fail_after(timeout):
            async with first_from_now(self._core, "wait_for", wanted) as receive:
                return await receive()

    def remove(self, handler: object) -> None:
        """End every subscription of a handler or a protocol.

        Args:
            handler: What was given to :meth:`on`, :meth:`add` or :meth:`attach`.

        Raises:
            RoutingError: It has none.
        """
        found = [
            one
            for one in self._core.subscriptions
            if (isinstance(one, HandlerSubscription) and one.handler == handler)
            or (isinstance(one, ProtocolSubscription) and one.protocol is handler)
        ]
        if not found:
            raise RoutingError(f"{handler!r} has no subscription in this router")
        for one in found:
            one.close()

    @property
    def subscriptions(self) -> tuple[Subscription, ...]:
        """The subscriptions, in the order in which they were made."""
        return tuple(self._core.subscriptions)

    # Running

    async def run(
        self, *endpoints: RawEndpoint, task_status: TaskStatus[None] = TASK_STATUS_IGNORED
    ) -> None:
        """Hand on what comes from endpoints, until it is stopped or cancelled.

        The endpoints are opened and closed by the caller. Meanwhile they can send, and nobody else
        can receive from them or change their filters. A filter that an endpoint was opened with
        holds for all subscriptions; error frames come as subscriptions ask for them.

        Cancelled, it drops what waits, and cancels the handlers.

        Args:
            endpoints: Raw endpoints of any networks, at least one.
            task_status: Is told when frames can come: ``await tasks.start(router.run, can0)``.

        Raises:
            InterfaceRemovedError: The interface of the last endpoint that was left is gone.
            ClosedResourceError: The last endpoint that was left has been closed.
            BusyResourceError: The router runs already, or another task receives from an endpoint.
            SubscriptionOverflowError: A handler's subscription with ``overflow="raise"`` had no
                room.
            RoutingError: There is no endpoint.
            Exception: What a handler with ``on_error="stop"`` raised, as it is.
        """
        await self._core.run(endpoints, task_status)

    def stop(self, *, drain: bool = True, timeout: float = _DRAIN_TIMEOUT) -> None:
        """End :meth:`run`: read no more, have what waits handled or dropped, and end the handlers.

        It may be called at any moment, also by a handler, and returns at once. While the router
        does not run it does nothing.

        Args:
            drain: Have frames that wait handled; False: drop them. What is being handled is left to
                end in both cases, and can still :meth:`send` and :meth:`reply`.
            timeout: Seconds for that; handlers that are not done by then are cancelled.

        A second call can hasten the end, by dropping what waits or by a shorter time.

        Raises:
            ValueError: ``timeout`` is negative, or no number.
        """
        given: object = timeout
        if not isinstance(given, int | float) or not given >= 0:
            raise ValueError(f"timeout= is a time in seconds from 0, not {timeout!r}")
        self._core.stop(drain=drain, timeout=timeout)

    # Sending

    async def send(self, frame: AnyFrame, *, interface: str | None = None) -> None:
        """Send a frame by the endpoint of an interface.

        Args:
            frame: The frame.
            interface: Which; None: the one there is.

        Raises:
            RoutingError: The router has no endpoint there, or several, or does not run.
            CanOSError: As :meth:`RawEndpoint.send`.
        """
        await self._core.send(frame, interface)

    async def reply(self, frame: AnyFrame, response: AnyFrame) -> None:
        """Send a frame through the interface that another one came from.

        Args:
            frame: The one that came.
            response: The one to send.

        Raises:
            RoutingError: It came from no interface that the router has an endpoint of.
            CanOSError: As :meth:`RawEndpoint.send`.
        """
        if frame.interface is None:
            raise RoutingError(f"{frame} was not received: there is no interface to reply through")
        await self._core.send(response, frame.interface)

    async def request(
        self,
        frame: AnyFrame,
        reply: FilterArgument,
        *,
        timeout: float | None = 1.0,  # noqa: ASYNC109 - as above
        interface: str | None = None,
    ) -> AnyFrame:
        """Send a frame, and wait for the first one that passes a filter and came after it.

        Args:
            frame: The request.
            reply: Which frame is the reply.
            timeout: Seconds for both; None: for as long as it takes.
            interface: As of :meth:`send`.

        Raises:
            TimeoutError: No reply came in time.
            EndOfStream: The router has ended.
            RoutingError: As :meth:`send`.
            CanOSError: As :meth:`send`.

        Example:
            >>> async def ask(router: Router) -> AnyFrame:
            ...     return await router.request(Frame(0x7E0, bytes([2, 1, 12])), Filter.id(0x7E8))
        """
        wanted = check_filter("request", reply, allow_empty=False)
        with anyio.fail_after(timeout):
            async with first_from_now(self._core, "request", wanted) as receive:
                await self.send(frame, interface=interface)
                return await receive()

    # What it tells

    def statistics(self) -> RouterStatistics:
        """Give the counters since the router was made."""
        return self._core.statistics()

    def explain(self) -> Explanation:
        """Tell what the kernel filters, what is matched here, and for whom; ``print`` it.

        Example:
            >>> router = Router()
            >>> _ = router.add(Filter.id(0x123), print)
            >>> print(router.explain())
            print: Filter.id(0x123): found by identifier; up to 1024, drop_oldest, on error keep
        """
        return self._core.explain()

    def __repr__(self) -> str:
        state = "running" if self._core.running else "not running"
        return f"<Router {state}, {len(self._core.subscriptions)} subscriptions>"
