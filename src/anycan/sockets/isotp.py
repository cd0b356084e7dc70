"""An ISO-TP socket of any network: PDUs, whether they have been sent, errors explained."""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING, Final

from anycan.exceptions import (
    CanOSError,
    FlowControlTimeoutError,
    FrameNotSupportedError,
    PduError,
)
from anycan.sockets.closing import finish_in_background
from anycan.sockets.common import CanSocket
from anycan.sockets.errors import explain_bind, explain_isotp, interface_removed
from anycan.sockets.isotp_options import configure
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
_PENDING: Final = _OF_SENDING | _OF_RECEIVING | {_OF_EITHER, errno.ENETDOWN, errno.ENODEV}


class UnboundError(Exception):
    """The interface is gone, which has been told: the socket gives nothing until it is bound again.

    To poll it is of no use: while PDUs from before wait in it, it is readable all the time.
    """


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
        maximum_pdu: The most bytes in a PDU; None: what the network has.
        opener: Opens the descriptor; None: as for the network's ISO-TP.

    Attributes:
        address: Whom it talks to.
        maximum_pdu: The most bytes in a PDU.
        sending: A PDU has been taken, and :meth:`sent` has not yet told what became of it.
        pdus_sent: How many have been sent.
        errors: How many errors it had.
        unbound: Its interface is gone, which has been told.

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
        maximum_pdu: int | None = None,
        opener: Callable[[Network, int, int, str], Descriptor] | None = None,
    ) -> None:
        self.address = address
        self.sending = False
        self.pdus_sent = 0
        self.errors = 0
        self.unbound = False
        self._send_error: CanOSError | None = None
        self._told_down = False
        self._went_down = False  # while something was being sent
        self._options = options
        self._awaits_flow_control = False
        self._frames_dropped = 0
        super().__init__(network, interface, socket.SOCK_DGRAM, CAN_ISOTP, "can-isotp", opener)
        # Only now: to open the first socket may have loaded the module, which has the size.
        self.maximum_pdu = most = maximum_pdu or network.max_pdu_size
        self._buffer = MessageBuffer(max(1, min(_BATCH, _BATCH_BYTES // most)), most)
        try:
            configure(OptionSetter(self._descriptor, self.interface), options, address)
            self._bind(self.index)
        except BaseException:
            finish_in_background(self._descriptor.close())
            raise

    def _bind(self, index: int) -> None:
        address = self.address
        try:
            value = pack_isotp_address(index, address.rx_word, address.tx_word)
            self._descriptor.bind(value)
        except CanOSError:
            raise
        except OSError as error:
            refusal = self._why_not_flexible(error.errno or 0, index)
            if refusal is not None:
                raise refusal from None
            exists = self.network.interface_mtu(index) is not None
            raise explain_bind(error, self.interface, exists=exists) from None

    def rebind(self) -> int:
        """Bind to an interface that has been made anew under the name of the one that is gone.

        The socket has its options still. Of a PDU that was being sent, :meth:`sent` tells that its
        interface was removed.

        Returns:
            The interface's index.

        Raises:
            OSError: There is none of that name any more (ENODEV), or it cannot be bound to.

        Source: ``net/can/isotp.c``, ``isotp_notify``: with the interface a socket is unbound.
        """
        index = self.network.interface_index(self.interface or "")
        if self.sending:
            self._send_error = self._send_error or interface_removed(self.interface)
        number = self._take_error()
        if number not in {errno.ENODEV, errno.ENETDOWN}:  # which its events have told
            self._tell_pending(number)
        self._bind(index)
        self._take_error()  # that the new one is down they tell as well
        self._told_down = True  # until something has been sent
        self.index = index
        self.unbound = False
        return index

    def _why_not_flexible(self, number: int, index: int) -> FrameNotSupportedError | None:
        """Say that an interface takes no CAN FD frames; None: it does, or need not, or is gone."""
        mtu = self.network.interface_mtu(index)
        if not self._options.fd or mtu is None or mtu >= CANFD_MTU:
            return None
        return FrameNotSupportedError(
            number, self._no_flexible(str(self.interface), mtu), self.interface
        )

    # Receiving

    def receive_last(self) -> list[bytes]:
        """Give nothing: with its interface a socket is unbound, and reads no more."""
        return []

    def receive(self) -> list[bytes]:
        """Give the PDUs that wait, up to a batch.

        Raises:
            BlockingIOError: None waits, or an error was to be read that concerns nobody who reads.
            IsotpReceiveError: A reception failed; told once.
            InterfaceDownError: The interface went down; told once.
            InterfaceRemovedError: The interface is gone; told once.
            UnboundError: It has been told that the interface is gone.
        """
        buffer = self._buffer
        try:
            count = self._descriptor.receive(buffer)
        except BlockingIOError:
            raise
        except OSError as error:
            number = error.errno or 0
            if number == errno.EADDRNOTAVAIL:
                number = self._take_error()
                if not number and self.unbound:
                    raise UnboundError from None
                number = number or errno.ENODEV
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
        if number == errno.ENETDOWN:
            self._told_down = self._went_down = True
        ended = self.sending and self.is_idle()
        if number == errno.ENODEV:
            self.unbound = True
            self._send_error = interface_removed(self.interface)
        elif number in _OF_SENDING or (
            number == _OF_EITHER and ended and self._awaits_flow_control
        ):
            self._send_error = self._send_error or self._explain(number, sending=True)
            return None
        elif ended and self._awaits_flow_control and self._send_error is None:
            # It may stand in the place of an error of what was being sent.
            self._send_error = self._explain(0, sending=True)
        return self._explain(number)

    def _explain(self, number: int, *, sending: bool = False) -> CanOSError:
        remedy = self.network.remedy(self.interface or "NAME")
        return explain_isotp(number, self.interface, self.address, remedy, sending=sending)

    def unconfirmed(self) -> CanOSError:
        """Make the error for a PDU of which it is not known whether it was received."""
        return self._explain(0, sending=True)

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
            FrameNotSupportedError: The interface takes no such frames any more.
            InterfaceDownError: The interface is down; nothing was sent.
            InterfaceRemovedError: The interface is gone.
        """
        self.check(pdu)
        if self._told_down:
            # Otherwise nobody could tell another pending error from a refusal.
            self._tell_pending(self._take_error())
        told = {errno.ENETDOWN} if self._told_down else set()
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
            if number not in _PENDING or number in told:
                self._send_error = None
                raise self._explain_refusal(number, pdu)
            told.add(number)
            self._tell_pending(number)
        self.sending = True
        self._awaits_flow_control = not (self.address.functional or self._is_single(pdu))
        self._told_down = self._went_down = False
        self._send_error = None

    def _is_single(self, pdu: bytes) -> bool:
        """Tell whether a PDU goes by a single frame, to which there is no flow control."""
        frame_size = self._options.frame_size
        head = 1 if frame_size == 8 else 2
        return len(pdu) <= frame_size - head - (self.address.tx_extension is not None)

    def _tell_pending(self, number: int) -> None:
        """Hand a pending error on to whom it concerns; 0: there is none."""
        told = self._sort(number) if number else None
        if told is not None:
            self.on_pending_error(told)

    def _explain_refusal(self, number: int, pdu: bytes) -> Exception:
        match number:
            case errno.EINVAL | errno.EMSGSIZE:
                return self._why_not_flexible(number, self.index) or self._too_long(pdu)
            case errno.ENOBUFS:
                return BlockingIOError(number, os.strerror(number))
            case errno.EADDRNOTAVAIL | errno.ENXIO:
                return interface_removed(self.interface)
        return self._explain(number, sending=True)

    def _too_long(self, pdu: bytes) -> PduError:
        most = self.maximum_pdu
        if self.address.functional and len(pdu) <= most:
            return PduError(
                f"{len(pdu)} bytes do not fit into a single frame, and a functional address takes"
                " no other: broadcast_segmented=True sends them all the same"
            )
        return PduError(
            f"a PDU has at most {most} bytes here, not {len(pdu)} (max_pdu_size= of a UserNetwork"
            " or of open_isotp(), or the parameter of the kernel's can-isotp)"
            if len(pdu) > most
            else f"{self.interface} does not take a PDU of {len(pdu)} bytes"
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
        if isinstance(error, FlowControlTimeoutError) and self._went_down:
            error = self._explain(errno.ENETDOWN, sending=True)  # that is why
        if error is not None:
            raise error
        self.pdus_sent += 1
        return True

    @property
    def frames_dropped(self) -> int:
        """How many frames the engine's raw socket has lost; sockets of the kernel have none."""
        drops: int = getattr(self._descriptor, "frames_dropped", 0)
        self._frames_dropped = max(self._frames_dropped, drops)
        return self._frames_dropped

    def close(self) -> Callable[[], object] | None:
        """Close the socket; the counters stay."""
        _ = self.frames_dropped
        return super().close()

    @property
    def _last_drops(self) -> int:
        return self._buffer.drops
