"""A socket to the kernel's rtnetlink: links, and the rules of can-gw."""

from __future__ import annotations

import errno
import os
import select
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from anycan.exceptions import (
    CanOSError,
    CanPermissionError,
    ProtocolUnavailableError,
    UnknownInterfaceError,
)
from anycan.sockets.errors import WAYS_OUT
from anycan.wire.netlink import (
    AF_NETLINK,
    NETLINK_ADD_MEMBERSHIP,
    NETLINK_CAP_ACK,
    NETLINK_EXT_ACK,
    NETLINK_ROUTE,
    NLMSG_MIN_TYPE,
    SOL_NETLINK,
    Exchange,
    unpack_messages,
)
from anycan.wire.netlink_attributes import MalformedMessageError
from anycan.wire.netlink_gateway import RTM_DELROUTE, RTM_GETROUTE, RTM_NEWROUTE
from anycan.wire.netlink_link import (
    RTM_DELLINK,
    RTM_GETLINK,
    RTM_NEWLINK,
    RTM_SETLINK,
    RTNLGRP_LINK,
)

if TYPE_CHECKING:
    from types import TracebackType

    from anycan.wire.netlink import Acknowledgement, NetlinkMessage

_KERNEL: Final = "the kernel"
_PATIENCE: Final = 1.0  # seconds
_DUMP_ATTEMPTS: Final = 5
_EVENT_BATCH: Final = 64  # datagrams
_LARGEST: Final = 1 << 16  # bytes; the kernel's answers to a dump are 32 KiB at the most
_FORBIDDEN: Final = frozenset(
    {errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT, errno.EPERM, errno.EACCES}
)
_CAN_GW: Final = Path("/sys/module/can_gw")  # there too where it is no module but built in
_ROUTES: Final = frozenset({RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE})
_ACTIONS: Final = {
    RTM_NEWLINK: "making or changing an interface",
    RTM_DELLINK: "deleting an interface",
    RTM_GETLINK: "asking for interfaces",
    RTM_SETLINK: "changing an interface",
    RTM_NEWROUTE: "giving can-gw a rule",
    RTM_DELROUTE: "taking a rule from can-gw",
    RTM_GETROUTE: "asking for can-gw's rules",
}


class NetlinkSocket:
    """A non-blocking socket to rtnetlink: for requests, or else for events.

    A request is done within the call, and takes as long as the kernel takes for it: microseconds to
    a few milliseconds.

    Raises:
        ProtocolUnavailableError: This system has no netlink (it is not Linux), or forbids it.
        CanOSError: The socket could not be opened for another reason.

    Source: ``linux/netlink.h``, ``linux/rtnetlink.h``.
    """

    def __init__(self) -> None:
        self._sequence = 0
        self._joined = False
        self._socket = _open()

    def fileno(self) -> int:
        """Give the descriptor to poll; -1: it is closed."""
        return self._socket.fileno()

    def request(self, message: NetlinkMessage) -> list[NetlinkMessage]:
        """Ask the kernel for something, and give what it answers.

        A dump during which something has changed is asked for again, 5 times in all.

        Args:
            message: What to ask for, with ``NLM_F_ACK`` or ``NLM_F_DUMP``.

        Returns:
            The answers without the acknowledgement: none where something was to be done.

        Raises:
            CanPermissionError: It needs ``CAP_NET_ADMIN`` (EPERM).
            ProtocolUnavailableError: It is about can-gw, and the kernel has none (EOPNOTSUPP).
            UnknownInterfaceError: There is no such interface (ENODEV).
            CanOSError: The kernel refused it for another reason, which ``strerror`` tells in its
                own words; it did not answer within a second (ETIMEDOUT); every dump was
                interrupted (EINTR); its answer made no sense (EBADMSG); the socket is closed
                (EBADF).
            RuntimeError: The socket is one for events.
        """
        if self._joined:
            raise RuntimeError("this socket is for events: make requests on one of their own")
        for _ in range(_DUMP_ATTEMPTS):
            exchange, answers = self._ask(message)
            acknowledgement = exchange.acknowledgement
            if acknowledgement is not None and acknowledgement.error:
                raise refusal_of(message.type, acknowledgement)
            if not exchange.interrupted:
                return answers
        raise CanOSError(
            errno.EINTR,
            f"{_action(message.type)} failed: they changed while the kernel told of them,"
            f" {_DUMP_ATTEMPTS} times in a row; try again",
        )

    def join_links(self) -> None:
        """From now on be told of every change of an interface: :meth:`events` gives them.

        Raises:
            CanOSError: The system refused it.
        """
        try:
            self._socket.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, RTNLGRP_LINK)
        except OSError as error:
            raise _failure("watching interfaces", error) from None
        self._joined = True

    def events(self) -> list[NetlinkMessage]:
        """Give what the kernel has told since the last call: ``RTM_NEWLINK``, ``RTM_DELLINK``.

        It does not wait. Of very much it gives the first part; the socket is still readable then.

        Raises:
            CanOSError: Some of it is lost, as it was not read in time (ENOBUFS), or made no sense
                (EBADMSG): everything may have changed. The socket goes on. Or it is closed (EBADF).
        """
        messages: list[NetlinkMessage] = []
        for _ in range(_EVENT_BATCH):
            try:
                messages += unpack_messages(self._read())
            except BlockingIOError:
                break
            except (OSError, MalformedMessageError) as error:
                raise _failure("watching interfaces", error) from None
        return [message for message in messages if message.type >= NLMSG_MIN_TYPE]

    def close(self) -> None:
        """Close the socket; once it is closed, this does nothing."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _ask(self, message: NetlinkMessage) -> tuple[Exchange, list[NetlinkMessage]]:
        self._sequence = self._sequence % 0xFFFFFFFF + 1
        exchange = Exchange(self._sequence)
        answers: list[NetlinkMessage] = []
        deadline = time.monotonic() + _PATIENCE
        try:
            self._socket.sendto(message.pack(self._sequence), (0, 0))
            while exchange.acknowledgement is None:
                try:
                    answers += exchange.feed(self._read())
                except BlockingIOError:  # rare: rtnetlink answers before it returns from the send
                    self._wait(deadline)
        except (OSError, MalformedMessageError) as error:
            raise failure_of(message.type, error) from None
        return exchange, answers

    def _read(self) -> bytes:
        """Give the next datagram; no bytes: it was not the kernel's."""
        data, (port, _groups) = self._socket.recvfrom(_LARGEST)
        return b"" if port else data

    def _wait(self, deadline: float) -> None:
        left = deadline - time.monotonic()
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        if left <= 0 or not poll.poll(1000 * left):
            raise TimeoutError(errno.ETIMEDOUT, "")


def _open() -> socket.socket:
    if not hasattr(socket, "AF_NETLINK"):
        raise ProtocolUnavailableError(
            errno.EAFNOSUPPORT, f"this system has no netlink, which is Linux's: {WAYS_OUT}"
        )
    try:
        opened = socket.socket(AF_NETLINK, socket.SOCK_RAW, NETLINK_ROUTE)
    except OSError as error:
        if error.errno not in _FORBIDDEN:
            raise _failure("opening a netlink socket", error) from None
        raise ProtocolUnavailableError(
            error.errno or 0,
            "this process gets no netlink socket: a sandbox or a security policy forbids it"
            f" ({_strerror(error)})",
        ) from None
    try:
        opened.setblocking(False)
        opened.setsockopt(SOL_NETLINK, NETLINK_EXT_ACK, 1)
        opened.setsockopt(SOL_NETLINK, NETLINK_CAP_ACK, 1)
        opened.bind((0, 0))
    except OSError as error:
        opened.close()
        raise _failure("opening a netlink socket", error) from None
    return opened


def _action(kind: int) -> str:
    return _ACTIONS.get(kind, "a request to rtnetlink")


def _strerror(error: OSError) -> str:
    return os.strerror(error.errno or 0)


def failure_of(kind: int, error: OSError | MalformedMessageError, who: str = _KERNEL) -> CanOSError:
    """Explain why a request of a kind was not sent, or its answer not understood."""
    return _failure(_action(kind), error, who)


def _failure(action: str, error: OSError | MalformedMessageError, who: str = _KERNEL) -> CanOSError:
    """Explain why a request was not sent, or its answer not understood."""
    if isinstance(error, MalformedMessageError):
        return CanOSError(errno.EBADMSG, f"{action} failed: {who}'s answer is odd: {error}")
    match error.errno:
        case errno.ETIMEDOUT:
            reason = f"{who} did not answer within {_PATIENCE:g} s"
        case errno.ENOBUFS:
            reason = f"messages of {who} are lost, as they were not read in time"
        case _:
            reason = _strerror(error)
    return CanOSError(error.errno or 0, f"{action} failed: {reason}")


def refusal_of(kind: int, answer: Acknowledgement, who: str = _KERNEL) -> CanOSError:
    """Explain why the kernel, or another one who was asked, did not do what it was asked for."""
    number, action = answer.error, _action(kind)
    told = f" ({who}: {answer.text})" if answer.text else ""
    no_gateway = kind in _ROUTES and (
        number == errno.EOPNOTSUPP or (number == errno.EINVAL and not _CAN_GW.exists())
    )
    if no_gateway:
        return ProtocolUnavailableError(
            number,
            f"{action} failed: this kernel has no can-gw; load it (modprobe can-gw), or have"
            f" this process do it (offload='never'){told}",
        )
    match number:
        case errno.EPERM | errno.EACCES:
            whose = " of the host, not of a container alone" if kind in _ROUTES else ""
            return CanPermissionError(
                number,
                f"{action} needs the capability CAP_NET_ADMIN{whose}: run this as root, or give it"
                f" to Python (sudo setcap cap_net_admin+ep {os.path.realpath(sys.executable)})"
                f"{told}",
            )
        case errno.ENODEV:
            reason = (
                "an interface of it is gone, or is no CAN interface"
                if kind in _ROUTES
                else "there is no such interface"
            )
            return UnknownInterfaceError(number, f"{action} failed: {reason}{told}")
        case errno.EBUSY:
            reason = "the interface is up: set it down first (ip link set NAME down)"
        case errno.EEXIST:
            reason = "there is one already"
        case _:
            reason = os.strerror(number)
    return CanOSError(number, f"{action} failed: {reason}{told}")
