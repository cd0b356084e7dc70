"""What clients of a served network may have and do."""

from __future__ import annotations

import errno
import struct
from typing import TYPE_CHECKING

import pytest

from anycan.network.allowance import (
    Allowance,
    ServerLimits,
    check_binding,
    check_operations,
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


def test_an_opcode() -> None:
    assert opcode_of(head(BcmOpcode.TX_SETUP)) == BcmOpcode.TX_SETUP
    assert opcode_of(head(BcmOpcode.TX_SETUP)[:-1]) == 0
    assert opcode_of(b"") == 0


def test_operations_beyond_the_limit(manager: BcmSocketCore) -> None:
    manager.send(head(BcmOpcode.RX_SETUP, 0x100, BcmFlag.RX_FILTER_ID), None, 0)
    assert manager.operation_identifiers() == [0x100]
    check_operations(manager, head(BcmOpcode.RX_SETUP, 0x100), 0)  # that one is changed
    check_operations(manager, head(BcmOpcode.RX_DELETE, 0x200), 0)
    check_operations(manager, head(BcmOpcode.RX_SETUP, 0x200), 1)
    check_operations(manager, b"", 0)  # the broadcast manager says what is wrong with it
    for opcode in (BcmOpcode.RX_SETUP, BcmOpcode.TX_SETUP):
        with pytest.raises(OSError, match="as many operations as it may have") as raised:
            check_operations(manager, head(opcode, 0x200), 0)
        assert raised.value.errno == errno.ENOMEM


def test_only_the_broadcast_manager_has_operations(network: UserNetwork) -> None:
    raw = RawSocketCore(network._stack, lambda: None)
    check_operations(raw, head(BcmOpcode.TX_SETUP), 0)


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
