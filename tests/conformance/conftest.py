"""Transports are asyncio's own: their tests run on asyncio's loop and on uvloop's."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

try:
    import uvloop
except ImportError:  # it is not on every system
    uvloop = None  # type: ignore[assignment]  # which is asked for

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Name the loops that tests with ``pytest.mark.asyncio`` run on."""
    loops: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
    if uvloop is not None:
        loops["uvloop"] = uvloop.new_event_loop
    return loops
