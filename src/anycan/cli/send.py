"""``anycan send``: frames from the command line."""

from __future__ import annotations

from typing import Annotated

import anyio
from cyclopts import Parameter

from anycan import Filter, Frame, XlFrame, open_raw
from anycan.cli.common import (
    COUNT,
    NOT_NEGATIVE,
    NetworkOption,
    counted,
    reading_arguments,
    summary_if_interrupted,
)


async def send(
    interface: str,
    first: Annotated[str, Parameter(name="FRAME")],
    /,
    *more: Annotated[str, Parameter(name="FRAME")],
    count: Annotated[int, Parameter(name=["--count", "-n"], validator=COUNT)] = 1,
    interval: Annotated[float, Parameter(name=["--interval", "-g"], validator=NOT_NEGATIVE)] = 0.0,
    network: NetworkOption = None,
) -> int:
    """Send frames, written as candump logs them.

    It returns when the interface has taken them all; while there is no room, it waits.

    Args:
        interface: Where to send.
        first: *123#DEADBEEF* (three digits: 11 bits, eight: 29 bits), *123#R8* (remote),
            *123##3AABB* (CAN FD, one digit of flags: BRS 1, ESI 2), *123#1122334455667788_E* (raw
            DLC), *45123#81:00:12345678#1122* (CAN XL).
        more: More of them, sent in their order.
        count: How many times to send them all.
        interval: Seconds from one time to the next.
        network: Where the interfaces are.
    """
    with reading_arguments():
        frames = [Frame.parse(text) for text in (first, *more)]
    xl = any(isinstance(frame, XlFrame) for frame in frames)
    async with open_raw(interface, filters=Filter.none(), xl=xl, network=network) as can:
        start = anyio.current_time()
        with summary_if_interrupted(lambda: f"{counted(can.statistics().sent, 'frame')} sent"):
            for round_number in range(count):
                if interval:
                    await anyio.sleep_until(start + round_number * interval)
                await can.send_many(frames)
    return 0
