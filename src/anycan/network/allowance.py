"""What clients of a served network may have and do: limits, and the class that only listens."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final, TypeAlias

import attrs

from anycan.network.core.bcm import BcmSocketCore
from anycan.network.core.isotp import IsotpSocketCore
from anycan.wire.bcm import NATIVE, BcmFlag, BcmOpcode
from anycan.wire.constants import CAN_ISOTP_OPTS, SOL_CAN_ISOTP
from anycan.wire.isotp import IsotpFlag
from anycan.wire.options import unpack_integers

if TYPE_CHECKING:
    from collections.abc import Callable

    from anycan.network.core.socket import SocketCore

_Key: TypeAlias = "tuple[bool, int, int, int]"  # is it sent; identifier, interface, CAN FD or 0

_MAY_ONLY_LISTEN: Final = "this client may only listen"
_SETUPS: Final = frozenset({BcmOpcode.TX_SETUP, BcmOpcode.RX_SETUP})
_DELETIONS: Final[dict[int, int]] = {
    BcmOpcode.TX_DELETE: BcmOpcode.TX_SETUP,
    BcmOpcode.RX_DELETE: BcmOpcode.RX_SETUP,
}
_CLIENTS_WORTH: Final = 4  # of operations, for all clients of a user together
_FILTERS: Final = 1 << 15  # of all raw sockets of a user
_OPERATION_BYTES: Final = 64 << 20  # of memory, of one user's operations
_OPERATION: Final = 2048  # bytes of memory, of one without frames, as measured: 1.4 KiB
_FRAME: Final = 160  # besides its own bytes; as measured: 56 of one that is sent, 150 of a mask
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
        sockets: Of one client. The raw sockets of all clients of one user have 32,768 filters
            together: all are walked for an identifier that was not seen before.
        buffer: What each of a socket's two buffers holds, in bytes, as the kernel counts: more than
            the data.
        buffers: What the receive buffers of all sockets of one user may hold together, in bytes, as
            the kernel counts. A socket has 212,992 to begin with, an endpoint of this library
            4 MiB by default, and what watches interfaces 212,992 all the time. This is what is
            announced, as in the kernel, and not what is in use: 1024 endpoints fit in. A frame of
            classical CAN counts 960 bytes and takes about 200 of memory, so that a user whose
            clients read nothing, on a bus that is flooded, can have the server use up to about a
            quarter of it. Whoever distrusts clients lowers it.
        operations: Cyclic transmissions and receptions of the broadcast manager, of one client. All
            clients of one user have four times as many together, and 64 MiB of memory for them:
            enough for some hundred thousand frames.
        interfaces: Of the network. Where there are as many, clients make no more.
    """

    connections: int = 256
    connections_per_user: int = 128
    sockets: int = 1024
    buffer: int = 8 << 20
    buffers: int = 5 << 30
    operations: int = 4096
    interfaces: int = 4096


class Allowance:
    """What is left for the sockets of one user.

    Args:
        limits: What there is at most.

    Attributes:
        buffers: What their receive buffers hold together, in bytes.
        filters: How many filters of raw sockets they have set.
        operations: How many operations of the broadcast manager they have.
        operation_bytes: How much memory these take, in bytes.
    """

    def __init__(self, limits: ServerLimits) -> None:
        self._limits = limits
        self.buffers = 0
        self.filters = 0
        self.operations = 0
        self.operation_bytes = 0

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

    def take_filters(self, count: int) -> None:
        """Take room for filters, or give it back.

        Args:
            count: How many more there are.

        Raises:
            OSError: ENOMEM: there is none left.
        """
        if count > 0 and self.filters + count > _FILTERS:
            text = f"the sockets of this user's clients may have {_FILTERS} filters together"
            raise OSError(errno.ENOMEM, text)
        self.filters += count

    def take_operation(self, count: int, size: int) -> None:
        """Take room for operations of the broadcast manager, or give it back.

        Args:
            count: How many more there are.
            size: How much more memory they take, in bytes.

        Raises:
            OSError: ENOMEM: there is none left.
        """
        most = _CLIENTS_WORTH * self._limits.operations
        if count > 0 and self.operations + count > most:
            raise OSError(errno.ENOMEM, f"this user's clients may have {most} operations together")
        if size > 0 and self.operation_bytes + size > _OPERATION_BYTES:
            raise OSError(
                errno.ENOMEM,
                f"the operations of this user's clients may take {_OPERATION_BYTES} bytes of memory"
                " together: end some, or give them fewer frames",
            )
        self.operations += count
        self.operation_bytes += size


class Operations:
    """The broadcast manager's operations of one socket, which count against client and user.

    Args:
        allowance: What the user has left.
    """

    def __init__(self, allowance: Allowance) -> None:
        self._allowance = allowance
        self._sizes: dict[_Key, int] = {}

    def __len__(self) -> int:
        """Give how many there are."""
        return len(self._sizes)

    def send(
        self, send: Callable[[], object], payload: bytes, index: int, room: Callable[[], int]
    ) -> None:
        """Have a message sent to the broadcast manager, if it makes no operation too many.

        Args:
            send: Sends it.
            payload: The message.
            index: The interface it is about; 0: all.
            room: Gives how many operations the client may have besides those it has; it is asked
                where there will be a new one.

        Raises:
            OSError: ENOMEM: it would be one too many, or take too much memory; or what the
                broadcast manager says.
        """
        opcode = opcode_of(payload)
        setup = opcode if opcode in _SETUPS else _DELETIONS.get(opcode)
        if setup is None:
            send()
            return
        try:
            message = NATIVE.decode(payload)
        except ValueError:
            send()  # which says what is wrong with it
            return
        flexible = message.flags & BcmFlag.CAN_FD_FRAME
        key = (setup == BcmOpcode.TX_SETUP, message.can_id, index, flexible)
        if opcode != setup:
            send()
            self._forget(key)
            return
        size = message.frame_size
        count = min(message.frame_count, len(message.frames) // size)
        size = _OPERATION + count * (size + _FRAME)
        had = self._sizes.get(key)
        if had is None and room() <= 0:
            raise OSError(errno.ENOMEM, "the client has as many operations as it may have")
        new = int(had is None)
        more = size - (had or 0)
        self._allowance.take_operation(new, more)
        try:
            send()
        except BaseException:
            self._allowance.take_operation(-new, -more)
            raise
        self._sizes[key] = size

    def _forget(self, key: _Key) -> None:
        size = self._sizes.pop(key, None)
        if size is not None:
            self._allowance.take_operation(-1, -size)

    def close(self) -> None:
        """Give all back: the socket is closed. A second time does nothing."""
        for key in list(self._sizes):
            self._forget(key)


def opcode_of(payload: bytes) -> int:
    """Give what a message to the broadcast manager asks for; 0: it is too short to tell."""
    return unpack_integers(payload[:4])[0] if len(payload) >= NATIVE.head_size else 0


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
