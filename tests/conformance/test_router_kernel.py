"""What the kernel does for a router, beside programs that send as fast as they can."""

from __future__ import annotations

import resource
import subprocess
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import pytest

import anycan
from anycan import Filter, Frame, Router
from rig.blocking import excuse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from anycan import AnyFrame
    from rig.links import Links

pytestmark = [pytest.mark.anyio, pytest.mark.kernel, pytest.mark.timeout(300)]

SECONDS = 0.5


@pytest.fixture(
    params=[
        pytest.param(("asyncio", {"use_uvloop": False}), id="asyncio"),
        pytest.param(("trio", {}), id="trio"),
    ]
)
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """Run on the two that differ in what is tested here; it takes its time."""
    backend: tuple[str, dict[str, Any]] = request.param
    return backend


@asynccontextmanager
async def generated(name: str, identifier: str, *options: str) -> AsyncIterator[anyio.abc.Process]:
    """Have can-utils send frames, which count up; as fast as it can, unless an option says not."""
    command = ["cangen", name, "-i", "-I", identifier, "-L", "8", "-D", "i"]
    command += options if "-g" in options else [*options, "-g", "0"]
    process = await anyio.open_process(command, stdout=subprocess.DEVNULL, stderr=None)
    excuse()
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.aclose()


def processor_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def used_while_idle() -> float:
    """Give the processor time that the process takes while this task waits."""
    before = processor_seconds()
    await anyio.sleep(SECONDS)
    return processor_seconds() - before


async def count_until_there(can: anycan.RawEndpoint) -> None:
    """Wait until the flood is there, by an endpoint that takes it."""
    for _ in range(500):
        await can.receive()


async def test_frames_that_nobody_wants_cost_nothing(kernel_links: Links) -> None:
    name = kernel_links.add()
    router = Router()
    router.add(Filter.id(0x123), lambda _frame: None)
    async with (
        anycan.open_raw(name) as can,
        anyio.create_task_group() as tasks,
    ):
        await tasks.start(lambda task_status: router.run(can, task_status=task_status))
        quiet = await used_while_idle()
        async with generated(name, "7FF"):
            async with anycan.open_raw(name) as witness:
                await count_until_there(witness)
            flooded = await used_while_idle()
            async with router.subscribe(Filter.id(0x7FF)) as frames:  # a check that can fail
                await frames.receive()
                wanted = await used_while_idle()
        assert router.statistics().taken > 0
        router.stop()
    print(f"processor time in {SECONDS} s: {quiet:.3f} quiet, {flooded:.3f} flooded, {wanted:.3f}")  # noqa: T201 - with pytest -rP, for the record
    assert wanted > 0.2 * SECONDS
    assert flooded - quiet < 0.02 * SECONDS


async def test_what_is_wanted_arrives_while_subscriptions_change(kernel_links: Links) -> None:
    name = kernel_links.add()
    router = Router()
    count = 20_000
    seen: list[int] = []
    done = anyio.Event()

    @router.on(Filter.id(0x123), capacity=1 << 16)
    async def wanted(frame: AnyFrame) -> None:
        assert isinstance(frame, Frame)
        seen.append(int.from_bytes(frame.data, "little"))
        if len(seen) == count:
            done.set()

    changes = 0
    async with (
        anycan.open_raw(name, receive_buffer=64 << 20) as can,
        anyio.create_task_group() as tasks,
    ):
        await tasks.start(lambda task_status: router.run(can, task_status=task_status))
        async with (
            generated(name, "456", "-g", "1"),
            generated(name, "123", "-n", str(count)) as sender,
        ):
            while sender.returncode is None or changes < 1000:
                one = Filter.range(0x123 - changes % 50, 0x123 + changes % 70)
                async with router.subscribe(one), router.subscribe(Filter.id(0x456)):
                    await anyio.lowlevel.checkpoint()
                changes += 1
        with anyio.fail_after(60):
            await done.wait()
        statistics = can.statistics()
        router.stop()
    print(f"{changes} changes, {statistics}")  # noqa: T201 - as above
    assert changes >= 1000
    first = seen[0]
    assert seen == list(range(first, first + count))
    assert statistics.dropped == 0
    assert statistics.filtered > 0
