"""Links of a network that another process serves: asked for, and told of, as the kernel's are."""

from __future__ import annotations

import errno
import os
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from anycan.exceptions import CanOSError, CanPermissionError, NetworkUnavailableError
from anycan.sockets.netlink import failure_of, refusal_of
from anycan.wire.netlink import AF_NETLINK, Exchange, unpack_messages
from anycan.wire.netlink_attributes import MalformedMessageError
from anycan.wire.netlink_link import Link
from anycan.wire.served import Operation, Request, pack_receive

if TYPE_CHECKING:
    from typing import Self

    from anycan.network.client import ServedNetwork
    from anycan.wire.netlink import Acknowledgement, NetlinkMessage

_SEQUENCE: Final = 1
_MOST_EVENTS: Final = 1 << 16  # bytes of them in an answer


class ServedNetlink:
    """Takes requests about a served network's links. It holds nothing open.

    Args:
        network: The network.
    """

    def __init__(self, network: ServedNetwork) -> None:
        self._network = network

    def request(self, message: NetlinkMessage) -> list[NetlinkMessage]:
        """Ask the server for something, and give what it answers.

        Args:
            message: What to ask for.

        Returns:
            The answers without the acknowledgement.

        Raises:
            CanPermissionError: This client may only listen.
            UnknownInterfaceError: There is no such interface.
            CanOSError: The server refused it for another reason.
            NetworkUnavailableError: The server is gone.
        """
        try:
            answers, acknowledgement = self._exchange(message.pack(_SEQUENCE))
        except (OSError, MalformedMessageError) as error:
            raise failure_of(message.type, error, self._network.name) from None
        if acknowledgement.error in {errno.EPERM, errno.EACCES}:
            text = acknowledgement.text or os.strerror(acknowledgement.error)
            raise CanPermissionError(acknowledgement.error, f"{self._network.name}: {text}")
        if acknowledgement.error:
            raise refusal_of(message.type, acknowledgement, self._network.name)
        return answers

    def _exchange(self, data: bytes) -> tuple[list[NetlinkMessage], Acknowledgement]:
        exchange = Exchange(_SEQUENCE)
        answers: list[NetlinkMessage] = []
        last = 0
        while True:
            answers += exchange.feed(self._network.demand_links(data, last))
            if exchange.acknowledgement is not None:
                break
            index = Link.unpack(answers[-1].payload).index if answers else 0
            if index <= last:
                raise MalformedMessageError("it has no end")
            last = index
        return answers, exchange.acknowledgement

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class ServedLinkEvents:
    """Tells what happens to a served network's links.

    Args:
        network: The network.

    Raises:
        NetworkUnavailableError: The server is gone.
        CanOSError: It refused it.
    """

    def __init__(self, network: ServedNetwork) -> None:
        self._network = network
        answer, descriptor, self._session = network.open_socket(AF_NETLINK)
        if descriptor is None:
            number = answer.number or errno.EPROTO
            text = answer.payload.decode("utf-8", "replace") or os.strerror(number)
            raise CanOSError(number, f"watching interfaces of {network.name} failed: {text}")
        self._number = answer.value
        self._polled: socket.socket = socket.socket(fileno=descriptor)
        network.follow(self._polled)

    def fileno(self) -> int:
        """Give the descriptor to poll; -1: it is closed."""
        return self._polled.fileno()

    def events(self) -> list[NetlinkMessage]:
        """Give what the server has told since the last call.

        Raises:
            CanOSError: Some of it is lost, as it was not read in time (ENOBUFS).
            NetworkUnavailableError: The server is gone, or the connection closed.
        """
        payload = pack_receive(1, _MOST_EVENTS, hardware_stamps=False)
        request = Request(Operation.RECEIVE, self._number, payload)
        answer = self._network.ask(request, self._session)
        if answer.number == errno.EAGAIN:
            return []
        if answer.number:
            text = f"events of interfaces of {self._network.name} are lost"
            raise CanOSError(answer.number, f"{text}: {os.strerror(answer.number)}")
        try:
            return list(unpack_messages(answer.payload))
        except MalformedMessageError as error:
            raise CanOSError(errno.EBADMSG, str(error)) from None

    def close(self) -> None:
        """Be told nothing more; a second time does nothing."""
        if self._polled.fileno() >= 0:
            with suppress(NetworkUnavailableError):  # it is closed with the connection
                self._network.ask(Request(Operation.CLOSE, self._number), self._session)
            self._polled.close()
