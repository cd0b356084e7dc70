"""What a process without ``CAP_NET_ADMIN`` can do with the kernel's interfaces, and what not."""

from __future__ import annotations

import json
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import attrs
import pytest

import anycan
from anycan import CanMode
from rig.link_views import program

if TYPE_CHECKING:
    from rig.links import Links

pytestmark = [pytest.mark.anyio, pytest.mark.kernel, pytest.mark.timeout(300)]


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """Run these on one back end: what they look at is the kernel."""
    return "asyncio", {"use_uvloop": False}


UNPRIVILEGED = """
    import json, os, sys
    import anyio
    import anycan
    from anycan import CanMode, Frame

    async def attempt(call):
        try:
            await call
        except Exception as error:
            return [type(error).__name__, str(error)]
        return ["done", ""]

    async def look(name):
        names = [one.name for one in await anycan.list_interfaces()]
        one = await anycan.get_interface(name)
        async with anycan.watch_interfaces(present=True) as events:
            event = await events.receive()
        async with anycan.open_raw(name, receive_own=True) as can:
            await can.send(Frame(1))
            frame = await can.receive()
        return [name in names, one.name, type(event).__name__, frame == Frame(1)]

    async def main(vcan, can):
        return {
            "look": await look(vcan),
            "create_vcan": await attempt(anycan.create_vcan("no0")),
            "create_vxcan": await attempt(anycan.create_vxcan("no0", "no1")),
            "delete_interface": await attempt(anycan.delete_interface(vcan)),
            "set_up": await attempt(anycan.set_up(vcan)),
            "set_down": await attempt(anycan.set_down(vcan)),
            "mtu": await attempt(anycan.configure_interface(vcan, mtu=16)),
            "queue_length": await attempt(anycan.configure_interface(vcan, queue_length=7)),
            "bitrate": await attempt(anycan.configure_interface(can, bitrate=125000)),
            "modes": await attempt(anycan.configure_interface(can, modes=CanMode.LISTENONLY)),
            "restart": await attempt(anycan.configure_interface(can, restart=0.7)),
            "up": await attempt(anycan.configure_interface(can, up=True)),
        }

    anyio.run(look, sys.argv[1])  # all modules are read by root: others may not
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
    print(json.dumps(anyio.run(main, *sys.argv[1:])))
"""


async def test_without_privilege_every_refusal_names_the_capability(
    kernel_links: Links, controllers: tuple[str, str]
) -> None:
    vcan, can = kernel_links.add(), controllers[0]
    await anycan.configure_interface(can, bitrate=500_000, restart=0, modes=CanMode(0))
    before = [attrs.evolve(one, statistics=None) for one in await anycan.list_interfaces()]
    told = json.loads(program(sys.executable, "-c", textwrap.dedent(UNPRIVILEGED), vcan, can))
    assert told.pop("look") == [True, vcan, "InterfaceAdded", True]
    assert len(told) == 11
    for call, (kind, text) in told.items():
        assert kind == "CanPermissionError", (call, kind, text)
        assert "needs the capability CAP_NET_ADMIN" in text, (call, text)
    after = [attrs.evolve(one, statistics=None) for one in await anycan.list_interfaces()]
    assert after == before
