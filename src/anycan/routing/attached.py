"""Protocol objects, which are called with a frame at once, as asyncio's transports do."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any

from anycan.exceptions import RoutingError
from anycan.routing.handlers import (
    OnError,
    check_backoff,
    check_handler,
    check_policy,
    is_coroutine_function,
)
from anycan.routing.subscription import Subscription
from anycan.routing.values import ENDS_ROUTER, GOES_ON

if TYPE_CHECKING:
    from anycan.exceptions import CanOSError
    from anycan.filter import Filter
    from anycan.frame import AnyFrame
    from anycan.routing.host import RouterHost


class ProtocolSubscription(Subscription):
    """A protocol object, called with each frame as it is read: nothing waits, nothing is dropped.

    Of a protocol with ``on_error="restart"`` frames are dropped while it waits.
    """

    def __init__(
        self,
        host: RouterHost,
        protocol: Any,
        wanted: Filter,
        *,
        name: str,
        on_error: OnError,
        backoff: tuple[float, float],
    ) -> None:
        super().__init__(host, name, wanted)
        received = getattr(protocol, "frame_received", None)
        if received is None:
            raise RoutingError(
                f"{name}: a protocol has frame_received(frame); {protocol!r} has not"
            )
        check_handler(f"{name}.frame_received", received, "a frame")
        if is_coroutine_function(received):
            raise RoutingError(
                f"{name}.frame_received is a coroutine function, and nobody awaits what a protocol"
                " gives: make it a plain one, or give the router a handler by on() or add()"
            )
        self.protocol = protocol
        self._received = received
        self._on_error = check_policy(name, on_error)
        self._backoff = check_backoff(name, backoff)
        self._not_before: float | None = None
        self._stopped = False
        self._connected = False
        self.taker = self

    def put(self, frame: AnyFrame) -> None:
        """Call the protocol."""
        if self._closed or self._stopped:  # by this or another one, for one of the same batch
            self._dropped += 1
            return
        if self._not_before is not None:
            if monotonic() < self._not_before:
                self._dropped += 1
                return
            self._not_before = None
        self._delivered += 1
        try:
            self._received(frame)
        except Exception as error:  # noqa: BLE001 - the user's own protocol; it is reported
            self._failed(error, (frame,))
        else:
            self._backoff.reset()

    def _failed(self, error: Exception, frames: tuple[AnyFrame, ...]) -> None:
        self._faults += 1
        match self._on_error:
            case "stop":
                self._stopped = True
                self._host.report(error, self, frames, ENDS_ROUTER)
                error.add_note(f"raised by the protocol {self.name}")
                self._host.fail(error)
            case "restart":
                delay = self._backoff.delay()
                self._not_before = monotonic() + delay
                self._host.report(error, self, frames, f"{GOES_ON} in {delay:g} s")
            case _:
                self._host.report(error, self, frames, GOES_ON)

    def _call(self, method: str, argument: object) -> None:
        function = getattr(self.protocol, method, None)
        if function is not None:
            try:
                function(argument)
            except Exception as error:  # noqa: BLE001 - as above
                self._failed(error, ())

    def started(self) -> None:
        """Tell the protocol that the router runs."""
        self._stopped = False
        self._connected = True
        self._call("connection_made", self)

    def interface_failed(self, error: CanOSError) -> None:
        """Tell the protocol what happened to an interface."""
        self._call("error_received", error)

    def ended(self, error: Exception | None) -> None:
        """Tell the protocol that the router has ended."""
        if self._connected:
            self._connected = False
            self._call("connection_lost", error)

    def close(self) -> None:
        """Take no frame any more; the protocol's ``connection_lost`` is called, once."""
        super().close()
        self.ended(None)

    def describe(self) -> str:
        """Give how it is called, in words."""
        return f"called at once, on error {self._on_error}"
