"""The kernel's PF_CAN sockets: one system call for a batch, by ctypes."""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from anycan.sockets.errors import explain_open, unknown_interface
from anycan.sockets.outbox import SEND_BATCH, Outbox, address_of
from anycan.wire.constants import AF_CAN, CAN_BCM, CAN_ISOTP, MSG_DONTWAIT
from anycan.wire.isotp import DEFAULT_MAXIMUM_PDU
from anycan.wire.messages import HEADER_SIZE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from anycan.wire.messages import MessageBuffer

_ARPHRD_CAN: Final = "280"  # linux/if_arp.h
_SIOCGIFMTU: Final = 0x8921  # linux/sockios.h
_MAXIMUM_PDU: Final = Path("/sys/module/can_isotp/parameters/max_pdu_size")


class KernelNetwork:
    """The running kernel's CAN interfaces: ``anycan.kernel``, the default of every ``network=``."""

    @property
    def name(self) -> str:
        """``"kernel"``."""
        return "kernel"

    def interface_index(self, name: str) -> int:
        """Give the index of an interface, from 1.

        Raises:
            UnknownInterfaceError: There is no interface of that name.
        """
        try:
            return socket.if_nametoindex(name)
        except (OSError, ValueError):  # ValueError: a null character
            raise unknown_interface(name or repr(name), name, self._known()) from None

    def interface_name(self, index: int) -> str | None:
        """Give the name of an interface; None: there is no interface of that index."""
        try:
            return socket.if_indextoname(index)
        except (OSError, OverflowError):
            return None

    def interface_mtu(self, index: int) -> int | None:
        """Give the MTU of an interface; None: there is no interface of that index."""
        import fcntl  # noqa: PLC0415 - not on every system that this module is imported on

        name = self.interface_name(index)
        if name is None:
            return None
        request = struct.pack("16si20x", name.encode(), 0)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as any_socket:
            try:
                answer = fcntl.ioctl(any_socket, _SIOCGIFMTU, request)
            except OSError:  # it went away in between
                return None
        return int(struct.unpack_from("16xi", answer)[0])

    @property
    def max_pdu_size(self) -> int:
        """The most bytes in a PDU of ISO-TP: the parameter of the kernel's module can-isotp.

        8300 unless it was set, 4095 to 1,049,600: ``modprobe can-isotp max_pdu_size=1000000``.
        """
        try:
            return int(_MAXIMUM_PDU.read_text())
        except (OSError, ValueError):  # not loaded yet, or before Linux 6.3
            return DEFAULT_MAXIMUM_PDU

    def remedy(self, interface: str, mtu: int | None = None) -> str:
        """Say how a user brings an interface up, or gives it another MTU, while it is down."""
        return f"ip link set {interface} {'up' if mtu is None else f'mtu {mtu}'}"

    def _known(self) -> str:
        names = [
            name
            for _, name in socket.if_nameindex()
            if _is_can(Path("/sys/class/net", name, "type"))
        ]
        if names:
            return f"the CAN interfaces here are {', '.join(sorted(names))}"
        return (
            "there is no CAN interface here (ip link add dev vcan0 type vcan makes a virtual one)"
        )

    def __repr__(self) -> str:
        return "anycan.kernel"


def _is_can(type_file: Path) -> bool:
    try:
        return type_file.read_text().strip() == _ARPHRD_CAN
    except OSError:
        return False


kernel: Final = KernelNetwork()


class _Library:
    """The C library's socket calls. Those that it lacks are None."""

    def __init__(self) -> None:
        library = ctypes.CDLL(None, use_errno=True)
        integer, pointer, size = ctypes.c_int, ctypes.c_void_p, ctypes.c_uint
        self.bind = library.bind
        self.bind.argtypes = (integer, ctypes.c_char_p, size)
        self.connect = library.connect
        self.connect.argtypes = (integer, ctypes.c_char_p, size)
        self.getsockopt = library.getsockopt
        self.getsockopt.argtypes = (integer, integer, integer, pointer, pointer)
        self.recvmsg = library.recvmsg
        self.recvmsg.argtypes = (integer, pointer, integer)
        self.recvmsg.restype = ctypes.c_ssize_t
        self.sendmsg = library.sendmsg
        self.sendmsg.argtypes = (integer, pointer, integer)
        self.sendmsg.restype = ctypes.c_ssize_t
        # It never blocks and copies a batch at most: to keep the interpreter's lock costs less than
        # to give it away, and to wait for it again.
        self.recvmmsg: Any = getattr(ctypes.PyDLL(None, use_errno=True), "recvmmsg", None)
        self.sendmmsg: Any = getattr(library, "sendmmsg", None)
        if self.sendmmsg is not None:
            self.sendmmsg.argtypes = (integer, pointer, size, integer)


_CONTROL_SIZE: Final = struct.Struct("@N")
_CONTROL_SIZE_OFFSET: Final = struct.calcsize("@PIPNP")  # in struct mmsghdr
_library: _Library | None = None


def _c_library() -> _Library:
    global _library  # noqa: PLW0603 - loaded once, and only where a socket is opened
    if _library is None:
        _library = _Library()
    return _library


def _failure() -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))


class KernelDescriptor:
    """A non-blocking PF_CAN socket of the kernel.

    Args:
        kind: The socket's type: ``SOCK_RAW``, or ``SOCK_DGRAM`` for the broadcast manager.
        protocol: ``CAN_RAW`` and its like.
        module: The kernel module that has the protocol, for the error message.

    Raises:
        ProtocolUnavailableError: The kernel has no PF_CAN, or lacks the protocol.
        CanPermissionError: The process may not open such a socket.
    """

    def __init__(self, kind: int, protocol: int, module: str) -> None:
        try:
            self._socket = socket.socket(AF_CAN, kind, protocol)
        except OSError as error:
            raise explain_open(error, module) from None
        # Of ISO-TP, until it is bound.
        self._closes_at_once = protocol != CAN_BCM
        self._waits_when_bound = protocol == CAN_ISOTP
        self._library = _c_library()
        self._socket.setblocking(False)
        self._fd = self._socket.fileno()
        self._buffer: MessageBuffer | None = None
        self._template = b""
        self._headers_address = 0
        self._headers: object = None
        self._limit = 0
        self._receive_many: Any = None
        self._arguments: tuple[Any, ...] = ()
        self._used = 0
        self._vectors = bytearray()
        self._deferred = 0
        self._outbox = Outbox()

    def fileno(self) -> int:
        """Give the socket's descriptor."""
        return self._fd

    def bind(self, address: bytes) -> None:
        """Bind to the interface in a ``struct sockaddr_can``."""
        if self._library.bind(self._fd, address, len(address)) < 0:
            raise _failure()
        self._closes_at_once = not self._waits_when_bound

    def connect(self, address: bytes) -> None:
        """Connect to the interface in a ``struct sockaddr_can``."""
        if self._library.connect(self._fd, address, len(address)) < 0:
            raise _failure()

    def setsockopt(self, level: int, option: int, value: bytes) -> None:
        """Set a socket option from its bytes."""
        self._socket.setsockopt(level, option, value)

    def getsockopt(self, level: int, option: int, size: int) -> bytes:
        """Give the bytes of a socket option, ``size`` at most."""
        value = ctypes.create_string_buffer(size)
        length = ctypes.c_uint(size)
        result = self._library.getsockopt(
            self._fd, level, option, ctypes.byref(value), ctypes.byref(length)
        )
        if result < 0:
            raise _failure()
        return value.raw[: length.value]

    def receive(self, buffer: MessageBuffer) -> int:
        """Fill a buffer with what waits (``recvmmsg``)."""
        if buffer is not self._buffer:
            self._link(buffer)
        elif self._used == 1:
            # The kernel has written its results where it wants to find the sizes. (That of the
            # address is always the same.)
            _CONTROL_SIZE.pack_into(buffer.headers, _CONTROL_SIZE_OFFSET, buffer.control_size)
        else:
            end = self._used * HEADER_SIZE
            buffer.headers[:end] = self._template[:end]
        if buffer.limit != self._limit:
            self._set_limit(buffer.limit)
        count: int = self._receive_many(*self._arguments)
        if count < 0:
            self._used = 0
            raise _failure()
        self._used = count
        return count

    def _link(self, buffer: MessageBuffer) -> None:
        """Write the addresses of a buffer's parts into its headers, once."""
        records_address = address_of(buffer.records)
        self._vectors = bytearray(buffer.vectors(records_address))
        self._template = buffer.header_template(records_address, address_of(self._vectors))
        self._headers_address = address_of(buffer.headers)
        self._headers = ctypes.byref(ctypes.c_char.from_buffer(buffer.headers))
        buffer.headers[:] = self._template
        self._receive_many = self._library.recvmmsg or self._receive_each
        self._buffer = buffer
        self._set_limit(buffer.limit)

    def _set_limit(self, limit: int) -> None:
        """Have so many messages received at most."""
        self._limit = limit
        # Made once, of what ctypes converts the fastest: an int is a C int, byref() a pointer.
        self._arguments = (self._fd, self._headers, limit, MSG_DONTWAIT, None)

    def _receive_each(self, *_: object) -> int:
        """Do recvmmsg's work by recvmsg, for a C library that lacks it."""
        buffer = self._buffer
        assert buffer is not None  # noqa: S101 - receive() has linked one
        if self._deferred:
            ctypes.set_errno(self._deferred)
            self._deferred = 0
            return -1
        for position in range(buffer.limit):
            header = position * HEADER_SIZE
            size = self._library.recvmsg(self._fd, self._headers_address + header, MSG_DONTWAIT)
            if size < 0:
                if position and ctypes.get_errno() != errno.EAGAIN:
                    self._deferred = ctypes.get_errno()  # told once, after the messages before it
                return position or -1
            buffer.set_length(position, size)
        return buffer.limit

    def send(self, payloads: Sequence[bytes], address: bytes | None = None) -> int:
        """Send messages in their order (``sendmmsg``)."""
        if len(payloads) == 1 and address is None:
            self._socket.send(payloads[0])
            return 1
        payloads = payloads[:SEND_BATCH]
        headers_address = self._outbox.fill(payloads, address)
        send_many = self._library.sendmmsg
        if send_many is None:
            return self._send_each(headers_address, len(payloads))
        count: int = send_many(self._fd, headers_address, len(payloads), MSG_DONTWAIT)
        if count < 0:
            raise _failure()
        return count

    def send_received(self, buffer: MessageBuffer, count: int, size: int) -> int:
        """Send the first payloads of a receive buffer, from where they are."""
        count = min(count, buffer.capacity)
        headers_address = self._outbox.headers_of(buffer, size)
        send_many = self._library.sendmmsg
        if send_many is None:
            return self._send_each(headers_address, count)
        taken: int = send_many(self._fd, headers_address, count, MSG_DONTWAIT)
        if taken < 0:
            raise _failure()
        return taken

    def _send_each(self, headers_address: int, count: int) -> int:
        """Do sendmmsg's work by sendmsg, for a C library that lacks it."""
        for position in range(count):
            header = headers_address + position * HEADER_SIZE
            if self._library.sendmsg(self._fd, header, MSG_DONTWAIT) < 0:
                if position == 0:
                    raise _failure()
                return position
        return count

    def close(self) -> Callable[[], object] | None:
        """Close the socket.

        Returns:
            What is left to be done: to close a socket of the broadcast manager or of ISO-TP waits
            until no processor handles a frame for it, and for the end of an ISO-TP transfer.
        """
        # The number may soon be another socket's: nothing here may touch it any more.
        self._fd = -1
        self._buffer = None
        if self._closes_at_once:
            self._socket.close()
            return None
        fd = self._socket.detach()
        return partial(os.close, fd) if fd >= 0 else None
