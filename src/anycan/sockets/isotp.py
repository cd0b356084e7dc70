"""An ISO-TP socket of any network: PDUs, whether they have been sent, errors explained."""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING, Final

from anycan.exceptions import CanOSError, FrameNotSupportedError, PduError
from anycan.sockets.common import CanSocket
from anycan.sockets.errors import explain_bind, explain_isotp, interface_removed
from anycan.sockets.isotp_options import configure
from anycan.sockets.networks import open_descriptor
from anycan.sockets.options import OptionSetter
from anycan.wire.constants import CAN_ISOTP, CANFD_MTU, MSG_TRUNC, SO_ERROR, SOL_SOCKET
from anycan.wire.isotp import pack_isotp_address
from anycan.wire.messages import MessageBuffer
from anycan.wire.options import unpack_integers

if TYPE_CHECKING:
    from collections.abc import Callable

    from anycan.network.base import Network
    from anycan.sockets.descriptor import Descriptor
    from anycan.sockets.isotp_options import IsotpSocketOptions
    from anycan.wire.isotp_address import Address

_BATCH: Final = 64
_BATCH_BYTES: Final = 1 << 18
_OF_SENDING: Final = frozenset({errno.ECOMM, errno.EMSGSIZE})
_OF_RECEIVING: Final = frozenset({errno.ETIMEDOUT, errno.EILSEQ, errno.EPROTO})
_OF_EITHER: Final = errno.EBADMSG
_OF_THE_LINK: Final = frozenset({errno.ENETDOWN, errno.ENODEV})
_PENDING: Final = _OF_SENDING | _OF_RECEIVING | _OF_THE_LINK | {_OF_EITHER}


class IsotpSocket(CanSocket):
    """A bound ISO-TP socket, non-blocking, on any network.

    A socket has one error at a time, of whatever it was doing. Here it is found out whom it
    concerns: an error of what is being sent is kept for :meth:`sent`, the others go to whoever
    receives.

    Args:
        network: Where the interface is.
        interface: Its name or index.
        address: Whom it is to talk to.
        options: How.
        maximum_pdu: The most bytes in a PDU.
        opener: Opens the descriptor.

    Attributes:
        address: Whom it talks to.
        maximum_pdu: The most bytes in a PDU.
        sending: A PDU has been taken, and :meth:`sent` has not yet told what became of it.
        pdus_sent: How many have been sent.
        errors: How many errors it had.

    Raises:
        UnknownInterfaceError: There is no such interface.
        NotACanInterfaceError: It is no CAN interface.
        FrameNotSupportedError: It takes no CAN FD frames.
        ProtocolUnavailableError: The network has no ISO-TP.
    """

    def __init__(
        self,
        network: Network,
        interface: str | int,
        address: Address,
        options: IsotpSocketOptions,
        maximum_pdu: int,
        opener: Callable[[Network, int, int, str], Descriptor] = open_descriptor,
    ) -> None:
        self.address = address
        self.sending = False
        self.pdus_sent = 0
        self.errors = 0
        self._send_error: CanOSError | None = None
        self._told_down = False
        self.maximum_pdu = maximum_pdu
        batch = max(1, min(_BATCH, _BATCH_BYTES // maximum_pdu))
        self._buffer = MessageBuffer(batch, maximum_pdu)
        super().__init__(network, interface, socket.SOCK_DGRAM, CAN_ISOTP, "can-isotp", opener)
        try:
            configure(OptionSetter(self._descriptor, self.interface), options, address)
            self._bind(options)
        except BaseException:
            self._descriptor.close()
            raise

    def _bind(self, options: IsotpSocketOptions) -> None:
        address = self.address
        try:
            value = pack_isotp_address(self.index, address.rx_word, address.tx_word)
            self._descriptor.bind(value)
        except OSError as error:
            mtu = self.network.interface_mtu(self.index)
            if error.errno == errno.EINVAL and options.fd and mtu is not None and mtu < CANFD_MTU:
                reason = self._no_flexible(str(self.interface), mtu)
                raise FrameNotSupportedError(errno.EINVAL, reason, self.interface) from None
            raise explain_bind(error, self.interface, exists=mtu is not None) from None

    # Receiving

    def receive(self) -> list[bytes]:
        """Give the PDUs that wait, up to a batch.

        Raises:
            BlockingIOError: None waits, or an error was to be read that concerns nobody who reads.
            IsotpReceiveError: A reception failed; told once.
            InterfaceDownError: The interface went down; told once.
            InterfaceRemovedError: The interface is gone.
        """
        buffer = self._buffer
        try:
            count = self._descriptor.receive(buffer)
        except BlockingIOError:
            raise
        except OSError as error:
            number = error.errno or 0
            if number == errno.EADDRNOTAVAIL:
                number = self._take_error() or errno.ENODEV
            told = self._sort(number)
            if told is None:
                raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN)) from None
            raise told from None
        pdus = []
        for payload, _, flags, _ in buffer.received(count):
            if flags & MSG_TRUNC:  # the module's limit has been raised since
                self.malformed += 1
            else:
                pdus.append(payload)
        self.received += len(pdus)
        return pdus

    # Errors

    def _take_error(self) -> int:
        (number,) = unpack_integers(self._descriptor.getsockopt(SOL_SOCKET, SO_ERROR, 4))
        return number

    def _sort(self, number: int) -> CanOSError | None:
        """Keep an error of sending for :meth:`sent`; give any other, for whoever receives."""
        self.errors += 1
        self._told_down = self._told_down or number == errno.ENETDOWN
        idle = not self.sending or self.is_idle()
        if number == errno.ENODEV:
            self._send_error = interface_removed(self.interface)
            return self._explain(number)
        if number in _OF_SENDING or (number == _OF_EITHER and self.sending and idle):
            self._send_error = self._send_error or self._explain(number, sending=True)
            return None
        if self.sending and idle and self._send_error is None and number not in _OF_THE_LINK:
            # It may stand in the place of an error of what was being sent.
            self._send_error = self._explain(0, sending=True)
        elif self.sending and number in _OF_THE_LINK:
            self._send_error = self._explain(number, sending=True)
        return self._explain(number)

    def _explain(self, number: int, *, sending: bool = False) -> CanOSError:
        remedy = self.network.remedy(self.interface or "NAME")
        return explain_isotp(number, self.interface, self.address, remedy, sending=sending)

    # Sending

    def check(self, pdu: bytes) -> None:
        """Check whether a PDU could be sent at all.

        Raises:
            PduError: It is empty, or too long.
        """
        if not pdu:
            raise PduError("a PDU has at least one byte")
        if len(pdu) > self.maximum_pdu:
            raise self._too_long(pdu)

    def send(self, pdu: bytes) -> None:
        """Begin to send a PDU.

        Raises:
            BlockingIOError: Another one is being sent.
            PduError: It is empty, or too long.
            InterfaceDownError: The interface is down; nothing was sent.
            InterfaceRemovedError: The interface is gone.
        """
        self.check(pdu)
        if self._told_down:
            # Otherwise nobody could tell another pending error from a refusal.
            self._tell_pending(self._take_error())
        while True:
            try:
                self._descriptor.send([pdu])
            except BlockingIOError:
                raise
            except OSError as error:
                number = error.errno or 0
            else:
                break
            # What nobody has been told yet is of the past, and says nothing of this PDU.
            if number not in _PENDING or (number == errno.ENETDOWN and self._told_down):
                raise self._explain_refusal(number, pdu)
            self._tell_pending(number)
        self.sending = True
        self._told_down = False
        self._send_error = None

    def _tell_pending(self, number: int) -> None:
        """Hand a pending error on to whom it concerns; 0: there is none."""
        told = self._sort(number) if number else None
        if told is not None:
            self.on_pending_error(told)

    def _explain_refusal(self, number: int, pdu: bytes) -> Exception:
        match number:
            case errno.EINVAL:
                return self._too_long(pdu)
            case errno.ENOBUFS:
                return BlockingIOError(number, os.strerror(number))
            case errno.EADDRNOTAVAIL | errno.ENXIO:
                return interface_removed(self.interface)
        return self._explain(number, sending=True)

    def _too_long(self, pdu: bytes) -> PduError:
        most = self.maximum_pdu
        if len(pdu) > most:
            return PduError(
                f"a PDU has at most {most} bytes here, not {len(pdu)} (max_pdu_size= of a"
                " UserNetwork or of open_isotp(), or the parameter of the kernel's can-isotp)"
            )
        return PduError(
            f"{len(pdu)} bytes do not fit into a single frame, and a functional address takes no"
            " other: broadcast_segmented=True sends them all the same"
        )

    def is_idle(self) -> bool:
        """Tell whether another PDU could be sent.

        An empty one is refused in any case: with EAGAIN while another is being sent, and with
        EINVAL otherwise. So nothing is sent, and nothing waits.
        """
        try:
            self._descriptor.send([b""])
        except BlockingIOError:
            return False
        except OSError:
            pass
        return True

    def sent(self) -> bool:
        """Tell whether what was being sent has been sent; a second time does nothing.

        Raises:
            IsotpSendError: It failed.
            InterfaceDownError: The interface went down meanwhile.
            InterfaceRemovedError: The interface is gone.
        """
        if not self.sending:
            return True
        idle = self.is_idle()
        self._tell_pending(self._take_error())
        removed = self._send_error is not None and self._send_error.errno == errno.ENODEV
        if not idle and not removed:
            return False
        self.sending = False
        error, self._send_error = self._send_error, None
        if error is not None:
            raise error
        self.pdus_sent += 1
        return True

    @property
    def _last_drops(self) -> int:
        return self._buffer.drops
