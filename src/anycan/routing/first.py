"""Waiting for the first frame that comes after a moment, and not for one from before it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from time import time_ns
from typing import TYPE_CHECKING, Final

from anycan.routing.stream import FrameSubscription

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from anycan.filter import Filter
    from anycan.frame import AnyFrame
    from anycan.routing.core import RouterCore

_CAPACITY: Final = 1024


@asynccontextmanager
async def first_from_now(
    core: RouterCore, name: str, wanted: Filter
) -> AsyncIterator[Callable[[], Awaitable[AnyFrame]]]:
    """Give what waits for the first frame that passes a filter and comes from now on.

    What came before, such as a late reply, is handed on first, to others. Of a source that is held
    up it cannot be, and is told by its stamp.

    Args:
        core: The router.
        name: Of the subscription.
        wanted: The filter.
    """
    since = None if core.catch_up() else time_ns()
    capacity = 1 if since is None else _CAPACITY
    async with FrameSubscription(core, name, wanted, capacity, "drop_newest") as frames:

        async def receive() -> AnyFrame:
            while True:
                frame = await frames.receive()
                stamp = frame.timestamp_ns
                if since is None or stamp is None or stamp >= since:
                    return frame

        yield receive
