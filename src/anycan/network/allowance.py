"""What clients of a served network may have and do: limits, and the class that only listens."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final

import attrs

from anycan.network.core.bcm import BcmSocketCore
from anycan.network.core.isotp import IsotpSocketCore
from anycan.wire.bcm import NATIVE, BcmFlag, BcmOpcode
from anycan.wire.constants import CAN_ISOTP_OPTS, SOL_CAN_ISOTP
from anycan.wire.isotp import IsotpFlag
from anycan.wire.options import unpack_integers

if TYPE_CHECKING:
    from anycan.network.core.socket import SocketCore

_MAY_ONLY_LISTEN: Final = "this client may only listen"
_SETUPS: Final = frozenset({BcmOpcode.TX_SETUP, BcmOpcode.RX_SETUP})
_LISTENING: Final = frozenset(
    {BcmOpcode.TX_READ, BcmOpcode.RX_SETUP, BcmOpcode.RX_DELETE, BcmOpcode.RX_READ}
)


@attrs.frozen(kw_only=True)
class ServerLimits:
    """What clients of a served network may have at most.

    Who asks for more gets an error, and nobody else is troubled.

    Attributes:
        connections: Of all clients together.
        connections_per_user: Of the clients of one user.
        sockets: Of one client.
        buffer: What each of a socket's two buffers holds, in bytes, as the kernel counts: more than
            the data.
        buffers: What the receive buffers of all sockets of one user hold together, in bytes, as the
            kernel counts. A socket has 212,992 to begin with, and one that watches interfaces all
            the time.
        operations: Cyclic transmissions and receptions of the broadcast manager, of one client.
        interfaces: Of the network. Where there are as many, clients make no more.
    """

    connections: int = 256
    connections_per_user: int = 128
    sockets: int = 1024
    buffer: int = 8 << 20
    buffers: int = 512 << 20
    operations: int = 4096
    interfaces: int = 4096


class Allowance:
    """What is left for the sockets of one user.

    Args:
        limits: What there is at most.

    Attributes:
        buffers: What their receive buffers hold together, in bytes.
    """

    def __init__(self, limits: ServerLimits) -> None:
        self._limits = limits
        self.buffers = 0

    def take(self, size: int) -> None:
        """Take room for a new socket.

        Raises:
            OSError: ENOBUFS: there is none left.
        """
        if self.buffers + size > self._limits.buffers:
            raise OSError(
                errno.ENOBUFS,
                f"the receive buffers of this user's sockets may hold {self._limits.buffers} bytes"
                " together: close some, or make their buffers smaller",
            )
        self.buffers += size

    def most(self, held: int) -> int:
        """Give how large a buffer that holds so much may become."""
        return min(self._limits.buffer, self._limits.buffers - self.buffers + held)


def opcode_of(payload: bytes) -> int:
    """Give what a message to the broadcast manager asks for; 0: it is too short to tell."""
    return unpack_integers(payload[:4])[0] if len(payload) >= NATIVE.head_size else 0


def check_operations(core: SocketCore, payload: bytes, room: int) -> None:
    """See to it that a message to the broadcast manager makes no operation too many.

    Args:
        core: The socket.
        payload: The message.
        room: How many operations the client may have besides those it has.

    Raises:
        OSError: ENOMEM: it would be one too many.
    """
    if room > 0 or not isinstance(core, BcmSocketCore) or opcode_of(payload) not in _SETUPS:
        return
    if NATIVE.decode(payload).can_id not in core.operation_identifiers():
        raise OSError(errno.ENOMEM, "the client has as many operations as it may have")


def check_sending(core: SocketCore, payloads: list[bytes]) -> None:
    """See to it that what a client that only listens gives to a socket sends nothing.

    To watch content by the broadcast manager is to listen.

    Raises:
        OSError: EPERM: it does.
    """
    if not isinstance(core, BcmSocketCore):
        raise PermissionError(errno.EPERM, _MAY_ONLY_LISTEN)
    for payload in payloads:
        opcode = opcode_of(payload)
        answers = bool(opcode) and unpack_integers(payload[4:8])[0] & BcmFlag.RX_RTR_FRAME
        if opcode not in _LISTENING or answers:
            raise PermissionError(errno.EPERM, _MAY_ONLY_LISTEN)


def check_binding(core: SocketCore) -> None:
    """See to it that a socket of a client that only listens answers nothing by itself.

    Raises:
        OSError: EPERM: one of ISO-TP without ``CAN_ISOTP_LISTEN_MODE`` does, by flow control.
    """
    if isinstance(core, IsotpSocketCore):
        (flags,) = unpack_integers(core.getsockopt(SOL_CAN_ISOTP, CAN_ISOTP_OPTS, 4))
        if not flags & IsotpFlag.LISTEN_MODE:
            raise PermissionError(errno.EPERM, _MAY_ONLY_LISTEN)
