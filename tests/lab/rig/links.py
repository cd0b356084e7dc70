"""Virtual CAN interfaces to test on: of the kernel, or of a user-space network.

What is tested on both is written once, against this module's :class:`Links`.
"""

from __future__ import annotations

import itertools
import os
import subprocess
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final, Literal, Protocol

from rig import rtnetlink
from rig.blocking import excuse
from rig.host import search_path
from rig.served import served_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    import anycan

_numbers: Final = itertools.count()


class Links(Protocol):
    """Makes interfaces on a network, and takes them away after the test."""

    @property
    def kind(self) -> Literal["user", "served", "kernel"]:
        """Whose network it is."""
        ...

    @property
    def network(self) -> anycan.Network:
        """What to pass as ``network=``."""
        ...

    def add(self, name: str | None = None, mtu: int = 72) -> str:
        """Make a vcan that is up, under a name of its own where none is given."""
        ...

    def remove(self, name: str) -> None:
        """Take an interface away."""
        ...

    def up(self, name: str) -> None:
        """Set an interface up."""
        ...

    def down(self, name: str) -> None:
        """Set an interface down."""
        ...


class UserLinks:
    """Interfaces of a user-space network.

    Args:
        network: Where.
    """

    kind: Final = "user"

    def __init__(self, network: anycan.UserNetwork) -> None:
        self.network: Final = network

    def add(self, name: str | None = None, mtu: int = 72) -> str:
        name = name or _new_name()
        self.network.add_vcan(name, mtu=mtu)
        return name

    def remove(self, name: str) -> None:
        self.network.remove(name)

    def up(self, name: str) -> None:
        self.network.set_up(name)

    def down(self, name: str) -> None:
        self.network.set_down(name)


class ServedLinks:
    """Interfaces of a network that another process serves.

    Args:
        network: The connection to it.
    """

    kind: Final = "served"

    def __init__(self, network: anycan.ServedNetwork) -> None:
        self.network: Final = network
        self._names: set[str] = set()

    def add(self, name: str | None = None, mtu: int = 72) -> str:
        name = name or _new_name()
        self._ask(rtnetlink.vcan_request(name, mtu))
        self.up(name)
        self._names.add(name)
        return name

    def remove(self, name: str) -> None:
        self._names.discard(name)
        self._ask(rtnetlink.delete_request(name))

    def up(self, name: str) -> None:
        self._ask(rtnetlink.flags_request(name, up=True))

    def down(self, name: str) -> None:
        self._ask(rtnetlink.flags_request(name, up=False))

    def _ask(self, request: bytes) -> None:
        rtnetlink.check(self.network.demand_links(request))

    def close(self) -> None:
        for name in list(self._names):
            self.remove(name)
        self.network.close()


class KernelLinks:
    """Interfaces of the running kernel.

    Args:
        network: The kernel.
    """

    kind: Final = "kernel"

    def __init__(self, network: anycan.KernelNetwork) -> None:
        self.network: Final = network
        self._names: set[str] = set()

    def add(self, name: str | None = None, mtu: int = 72) -> str:
        name = name or _new_name()
        rtnetlink.add_vcan(name, mtu)
        self._names.add(name)
        return name

    def remove(self, name: str) -> None:
        self._names.discard(name)
        rtnetlink.delete(name)

    def up(self, name: str) -> None:
        rtnetlink.set_flags(name, up=True)

    def down(self, name: str) -> None:
        rtnetlink.set_flags(name, up=False)

    def close(self) -> None:
        """Take away what is left. Whatever a test removed by other means is gone already."""
        for name in self._names:
            with suppress(OSError):
                rtnetlink.delete(name)


@contextmanager
def open_links(kind: Literal["user", "served", "kernel"]) -> Iterator[Links]:
    """Give links of a kind, for the length of a test."""
    import anycan  # noqa: PLC0415 - the rig's own tests do without

    if kind == "served":
        served = ServedLinks(anycan.ServedNetwork(served_path()))
        try:
            yield served
        finally:
            served.close()
        return
    if kind == "user":
        with anycan.UserNetwork() as network:
            yield UserLinks(network)
        return
    links = KernelLinks(anycan.kernel)
    try:
        yield links
    finally:
        links.close()


def ip(*commands: str, check: bool = True) -> None:
    """Run commands of the program ``ip``, all by one process.

    Args:
        commands: Without the word ``ip``.
        check: A failure raises; else the others are run nevertheless.
    """
    options = ["-batch", "-"] if check else ["-force", "-batch", "-"]
    done = subprocess.run(  # noqa: S603 - the test's own words
        ["ip", *options],  # noqa: S607 - wherever it is
        input="\n".join(commands) + "\n",
        env={**os.environ, "PATH": search_path()},
        capture_output=True,
        text=True,
        check=False,
    )
    excuse()
    if check and done.returncode != 0:
        raise RuntimeError(f"ip {'; ip '.join(commands)}: {done.stderr.strip()}")


def _new_name() -> str:
    return f"t{os.getpid() % 100_000}v{next(_numbers)}"  # an interface's name has 15 characters
