"""What clients of a served network may have and do."""

from __future__ import annotations

import errno
import struct
from typing import TYPE_CHECKING

import pytest

from anycan.network.allowance import (
    Allowance,
    Operations,
    ServerLimits,
    check_binding,
    check_sending,
    opcode_of,
)
from anycan.network.core.bcm import BcmSocketCore
from anycan.network.core.isotp import IsotpSocketCore
from anycan.network.core.raw import RawSocketCore
from anycan.wire.bcm import NATIVE, BcmFlag, BcmOpcode
from anycan.wire.constants import CAN_ISOTP_OPTS, SOL_CAN_ISOTP
from anycan.wire.isotp import IsotpFlag
from anycan.wire.messages import pack_address

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anycan import UserNetwork


def head(opcode: int, identifier: int = 0x100, flags: int = 0, frames: int = 0) -> bytes:
    """Give the head of a message to the broadcast manager, and no frames."""
    return struct.pack("@IIIllllII0q", opcode, flags, 0, 0, 0, 0, 0, identifier, frames)


@pytest.fixture
def manager(network: UserNetwork) -> BcmSocketCore:
    core = BcmSocketCore(network._stack, lambda: None)
    core.connect(pack_address(network.interface_index("flexible")))
    return core


def test_the_head_that_is_made_here() -> None:
    assert len(head(BcmOpcode.TX_SETUP)) == NATIVE.head_size
    assert NATIVE.decode(head(BcmOpcode.RX_SETUP, 0x345)).can_id == 0x345


def test_room_for_buffers() -> None:
    allowance = Allowance(ServerLimits(buffer=300, buffers=1000))
    allowance.take(900)
    with pytest.raises(OSError, match="may hold 1000 bytes together: close some") as raised:
        allowance.take(101)
    assert raised.value.errno == errno.ENOBUFS
    allowance.take(100)
    assert allowance.buffers == 1000
    assert allowance.most(250) == 250  # no more than it has: nothing is left
    assert allowance.most(900) == 300
    allowance.buffers -= 20
    assert allowance.most(250) == 270


def test_room_for_filters() -> None:
    allowance = Allowance(ServerLimits())
    allowance.take_filters(32_768)
    with pytest.raises(OSError, match="may have 32768 filters together") as raised:
        allowance.take_filters(1)
    assert raised.value.errno == errno.ENOMEM
    allowance.take_filters(-1)
    allowance.take_filters(1)
    assert allowance.filters == 32_768


def test_as_many_endpoints_of_a_user_as_one_client_may_have_sockets() -> None:
    limits = ServerLimits()
    allowance = Allowance(limits)
    for _ in range(limits.sockets):
        allowance.take(4 << 20)  # what an endpoint has by default


def test_an_opcode() -> None:
    assert opcode_of(head(BcmOpcode.TX_SETUP)) == BcmOpcode.TX_SETUP
    assert opcode_of(head(BcmOpcode.TX_SETUP)[:-1]) == 0
    assert opcode_of(b"") == 0


class Manager:
    """A broadcast manager that takes what it is given."""

    def __init__(self, allowance: Allowance) -> None:
        self.operations = Operations(allowance)
        self.asked = 0
        self.taken = 0
        self.refusal: OSError | None = None

    def send(self, payload: bytes, index: int = 1, room: int = 100) -> None:
        def take() -> None:
            if self.refusal is not None:
                raise self.refusal
            self.taken += 1

        def ask() -> int:
            self.asked += 1
            return room

        self.operations.send(take, payload, index, ask)


@pytest.fixture
def allowance() -> Iterator[Allowance]:
    allowance = Allowance(ServerLimits(operations=2))
    yield allowance
    assert (allowance.operations, allowance.operation_bytes) == (0, 0)


@pytest.fixture
def taker(allowance: Allowance) -> Iterator[Manager]:
    taker = Manager(allowance)
    yield taker
    taker.operations.close()
    taker.operations.close()


def test_operations_beyond_the_limit(taker: Manager) -> None:
    taker.send(head(BcmOpcode.RX_SETUP, 0x100))
    assert taker.asked == 1
    taker.send(head(BcmOpcode.RX_SETUP, 0x100), room=0)  # that one is changed
    taker.send(head(BcmOpcode.RX_DELETE, 0x200), room=0)
    taker.send(b"", room=0)  # the broadcast manager says what is wrong with it
    taker.send(head(BcmOpcode.TX_SETUP) + b"odd", room=0)
    taker.send(head(BcmOpcode.RX_READ, 0x300), room=0)
    assert (taker.asked, taker.taken, len(taker.operations)) == (1, 6, 1)


@pytest.mark.parametrize(
    ("message", "index"),
    [
        (head(BcmOpcode.RX_SETUP, 0x101), 1),
        (head(BcmOpcode.TX_SETUP, 0x100), 1),
        (head(BcmOpcode.RX_SETUP, 0x100), 2),
        (head(BcmOpcode.RX_SETUP, 0x100, BcmFlag.CAN_FD_FRAME), 1),
    ],
)
def test_another_operation_is_one_too_many(taker: Manager, message: bytes, index: int) -> None:
    """As the broadcast manager tells them apart: by more than the identifier."""
    taker.send(head(BcmOpcode.RX_SETUP, 0x100))
    with pytest.raises(OSError, match="as many operations as it may have") as raised:
        taker.send(message, index, room=0)
    assert raised.value.errno == errno.ENOMEM
    assert taker.taken == 1


def test_operations_of_all_clients_of_a_user(allowance: Allowance, taker: Manager) -> None:
    other = Manager(allowance)
    for identifier in range(4):
        taker.send(head(BcmOpcode.RX_SETUP, identifier))
        other.send(head(BcmOpcode.TX_SETUP, identifier))
    assert allowance.operations == 8
    with pytest.raises(OSError, match="clients may have 8 operations together") as raised:
        taker.send(head(BcmOpcode.RX_SETUP, 4))
    assert raised.value.errno == errno.ENOMEM
    other.send(head(BcmOpcode.TX_DELETE, 3))
    other.send(head(BcmOpcode.TX_DELETE, 3))  # which a real one would refuse
    taker.send(head(BcmOpcode.RX_SETUP, 4))
    other.operations.close()
    assert (allowance.operations, len(taker.operations)) == (5, 5)


def test_memory_for_operations(
    allowance: Allowance, taker: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anycan.network.allowance._OPERATION_BYTES", 50_000)
    many = head(BcmOpcode.TX_SETUP, frames=256) + bytes(16 * 256)
    few = head(BcmOpcode.TX_SETUP, frames=100) + bytes(16 * 256)
    assert allowance.operation_bytes == 0
    taker.send(many)
    assert 256 * 16 < allowance.operation_bytes <= 50_000
    with pytest.raises(OSError, match="may take 50000 bytes of memory together") as raised:
        taker.send(head(BcmOpcode.TX_SETUP, 0x200, frames=256) + bytes(16 * 256))
    assert raised.value.errno == errno.ENOMEM
    taker.send(few)
    assert 100 * 16 < allowance.operation_bytes < 25_000
    taker.send(head(BcmOpcode.TX_SETUP, 0x200, frames=0xFFFFFFFF))  # it says so, and has none


def test_what_the_broadcast_manager_refuses_counts_for_nothing(
    allowance: Allowance, taker: Manager
) -> None:
    taker.send(head(BcmOpcode.RX_SETUP, 0x100))
    had = allowance.operation_bytes
    taker.refusal = OSError(errno.EINVAL, "EINVAL")
    for message in (
        head(BcmOpcode.RX_SETUP, 0x200),
        head(BcmOpcode.RX_SETUP, 0x100, frames=9) + bytes(16 * 9),
        head(BcmOpcode.RX_DELETE, 0x100),
    ):
        with pytest.raises(OSError, match="EINVAL"):
            taker.send(message)
    assert (allowance.operations, allowance.operation_bytes) == (1, had)


@pytest.mark.parametrize(
    "message",
    [
        head(BcmOpcode.RX_SETUP, flags=BcmFlag.RX_FILTER_ID),
        head(BcmOpcode.RX_DELETE),
        head(BcmOpcode.RX_READ),
        head(BcmOpcode.TX_READ),
    ],
)
def test_who_may_only_listen_may_watch(manager: BcmSocketCore, message: bytes) -> None:
    check_sending(manager, [message])


@pytest.mark.parametrize(
    "message",
    [
        head(BcmOpcode.TX_SETUP),
        head(BcmOpcode.TX_SEND),
        head(BcmOpcode.TX_DELETE),
        head(BcmOpcode.RX_SETUP, flags=BcmFlag.RX_RTR_FRAME),
        head(99),
        b"",
    ],
)
def test_who_may_only_listen_may_not_send(manager: BcmSocketCore, message: bytes) -> None:
    with pytest.raises(PermissionError, match="may only listen"):
        check_sending(manager, [head(BcmOpcode.RX_READ), message])


@pytest.mark.parametrize("kind", [RawSocketCore, IsotpSocketCore])
def test_who_may_only_listen_may_send_no_frame(
    network: UserNetwork, kind: type[RawSocketCore | IsotpSocketCore]
) -> None:
    with pytest.raises(PermissionError, match="may only listen"):
        check_sending(kind(network._stack, lambda: None), [bytes(16)])


def test_who_may_only_listen_answers_nothing_by_isotp(network: UserNetwork) -> None:
    core = IsotpSocketCore(network._stack, lambda: None)
    with pytest.raises(PermissionError, match="may only listen"):
        check_binding(core)
    core.setsockopt(
        SOL_CAN_ISOTP, CAN_ISOTP_OPTS, struct.pack("=IIBBBB", IsotpFlag.LISTEN_MODE, 0, 0, 0, 0, 0)
    )
    check_binding(core)
    check_binding(RawSocketCore(network._stack, lambda: None))
