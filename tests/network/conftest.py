"""A network of three vcans, and sockets on it that are easy to read in a test."""

from __future__ import annotations

import errno
import struct
from typing import TYPE_CHECKING

import pytest

from anycan import UserNetwork
from anycan.network.core.raw import RawSocketCore
from anycan.wire.frame_buffer import FrameBuffer
from anycan.wire.messages import pack_address
from rig.served import serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from rig.served import ServerThread

SOL_CAN_RAW = 101
START = 1_700_000_000_000_000_000
NAMES = dict(
    enumerate(("flexible", "classical", "long", "fourth", "fifth", "sixth", "seventh", "eighth"), 1)
)


class Probe:
    """A raw socket without a descriptor.

    Args:
        network: Where.
        interface: What to bind to: a name, "" for all, None: leave it unbound.
        filters: Words and masks, set before it is bound; None: the default.
        options: CAN_RAW options by number, set before it is bound.
    """

    def __init__(
        self,
        network: UserNetwork,
        interface: str | None = "flexible",
        filters: list[tuple[int, int]] | None = None,
        options: dict[int, int] | None = None,
    ) -> None:
        self.network = network
        self.changes: list[tuple[bool, bool]] = []
        self.core = RawSocketCore(network._stack, self._changed)
        self.buffer = FrameBuffer(4, 2064)
        for option, value in (options or {}).items():
            self.set(option, value)
        if filters is not None:
            self.filter(*filters)
        if interface is not None:
            self.bind(interface)

    def _changed(self) -> None:
        self.changes.append(self.polls())

    def bind(self, interface: str) -> None:
        self.core.bind(self.address(interface))

    def try_to_bind(self, address: bytes) -> str:
        """Bind to an address, and give the error's name, or nothing."""
        return outcome(lambda: self.core.bind(address))

    def address(self, interface: str) -> bytes:
        return pack_address(self.network.interface_index(interface) if interface else 0)

    def polls(self) -> tuple[bool, bool]:
        """Tell whether it is readable, and whether it is writable."""
        return self.core.readable, self.core.writable

    def set(self, option: int, value: int, level: int = SOL_CAN_RAW) -> None:
        self.core.setsockopt(level, option, struct.pack("=I", value & 0xFFFFFFFF))

    def get(self, option: int, size: int = 64, level: int = SOL_CAN_RAW) -> bytes:
        return self.core.getsockopt(level, option, size)

    def filter(self, *filters: tuple[int, int]) -> None:
        value = b"".join(struct.pack("=II", *one) for one in filters)
        self.core.setsockopt(SOL_CAN_RAW, 1, value)

    def send(self, payload: bytes, interface: str | None = None) -> str:
        """Send, and give the error's name, or nothing."""
        address = None if interface is None else self.address(interface)
        return outcome(lambda: self.core.send(payload, address, self.network._now_ns()))

    def receive(self) -> list[tuple[bytes, int, str | None]] | str:
        """Receive once: payloads, flags and interfaces of a batch, or an error's name."""
        messages: list[tuple[bytes, int, str | None]] = []

        def fill() -> None:
            count = self.core.receive(self.buffer)
            messages.extend(self.buffer.message(position, NAMES) for position in range(count))

        return outcome(fill) or messages

    def words(self) -> list[int]:
        """Give the first words of all that waits."""
        found: list[int] = []
        while isinstance(batch := self.receive(), list):
            found += [struct.unpack_from("=I", payload)[0] for payload, _, _ in batch]
        assert batch == "EAGAIN"
        return found


def outcome(call: Callable[[], object]) -> str:
    """Give the name of the error that a call raises, or nothing."""
    try:
        call()
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return ""


@pytest.fixture
def network() -> Iterator[UserNetwork]:
    now = iter(range(START, START + 1_000_000))
    with UserNetwork(clock=lambda: next(now)) as network:
        network.add_vcan("flexible")
        network.add_vcan("classical", mtu=16)
        network.add_vcan("long", mtu=2060)
        yield network


@pytest.fixture
def probe(network: UserNetwork) -> Callable[..., Probe]:
    """Open sockets on the network, or on another one."""

    def open_probe(
        interface: str | None = "flexible",
        filters: list[tuple[int, int]] | None = None,
        on: UserNetwork = network,
        **options: int,
    ) -> Probe:
        numbers = {
            "errors": 2,
            "loopback": 3,
            "own": 4,
            "fd": 5,
            "join": 6,
            "xl": 7,
            "vcid": 8,
        }
        return Probe(
            on, interface, filters, {numbers[name]: value for name, value in options.items()}
        )

    return open_probe


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerThread]:
    """Give a network that a thread serves, with the interface vcan0."""
    with serving(str(tmp_path / "network")) as server:
        yield server
