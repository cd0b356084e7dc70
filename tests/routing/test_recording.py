"""A recorded drive of a vehicle, through a handler for each identifier in it."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest

import anycan
from anycan import Filter, Router, read_log

if TYPE_CHECKING:
    from anycan import AnyFrame

LOG = Path(os.environ.get("ANYCAN_RECORDINGS", "."), "vehicle.log")

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(
        not LOG.exists(),
        reason="ANYCAN_RECORDINGS names no directory with the recording vehicle.log, which is no"
        " part of the project",
    ),
]


@pytest.fixture(scope="module")
def frames() -> list[AnyFrame]:
    with LOG.open("rb") as file:
        return [record.frame for record in read_log(file)]


async def test_every_count_is_right(frames: list[AnyFrame]) -> None:
    expected = Counter(frame.can_id for frame in frames)
    assert len(expected) == 34
    router = Router()
    counts: Counter[int] = Counter()
    content: dict[int, list[AnyFrame]] = {identifier: [] for identifier in expected}
    for identifier in expected:

        @router.on(Filter.id(identifier), name=f"{identifier:03X}")
        async def handler(frame: AnyFrame, identifier: int = identifier) -> None:
            counts[identifier] += 1
            content[identifier].append(frame)

    async with anycan.UserNetwork() as network, anyio.create_task_group() as tasks:
        network.add_vcan("can0")
        async with (
            anycan.open_raw("can0", network=network) as can,
            anycan.open_raw("can0", network=network) as sender,
        ):
            await tasks.start(lambda task_status: router.run(can, task_status=task_status))
            await sender.send_many(frames)
            async with router.subscribe(Filter.remote()) as ends:
                await sender.send(anycan.RemoteFrame(1))
                await ends.receive()
            router.stop()
    assert counts == expected
    for identifier, got in content.items():
        assert got == [frame for frame in frames if frame.can_id == identifier]
    statistics = router.statistics()
    assert statistics.taken == len(frames) + 1
    assert {name: one.delivered for name, one in statistics.subscriptions} == {
        f"{identifier:03X}": count for identifier, count in expected.items()
    }
