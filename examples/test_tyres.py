# ruff: noqa: S101 - assert is how pytest tests
"""Tests of tyres.py, for `pytest test_tyres.py`: no hardware, no root, any operating system."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest
from tyres import PRESSURES, wait_for_low_pressure

from anycan import Frame, UserNetwork

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio."""
    return "asyncio"


@pytest.fixture
async def network() -> AsyncIterator[UserNetwork]:
    """Give a network with one interface, for one test."""
    async with UserNetwork() as network:
        network.add_vcan("vcan0")
        yield network


async def test_finds_the_tyre(network: UserNetwork) -> None:
    """The third tyre is low in the second frame."""
    found: list[int] = []

    async def watch() -> None:
        found.append(await wait_for_low_pressure("vcan0", network=network))

    with anyio.fail_after(1):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch)
            await anyio.wait_all_tasks_blocked()
            network.inject("vcan0", Frame(PRESSURES, bytes([115, 115, 113, 113])))
            network.inject("vcan0", Frame(PRESSURES, bytes([115, 115, 80, 113])))
    assert found == [2]


async def test_survives_the_interface_going_down(network: UserNetwork) -> None:
    """The interface goes down and comes back, and then a tyre is low."""
    found: list[int] = []

    async def watch() -> None:
        found.append(await wait_for_low_pressure("vcan0", network=network))

    with anyio.fail_after(1):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch)
            await anyio.wait_all_tasks_blocked()
            network.set_down("vcan0")
            network.set_up("vcan0")
            network.inject("vcan0", Frame(PRESSURES, bytes([80, 115, 113, 113])))
    assert found == [0]
