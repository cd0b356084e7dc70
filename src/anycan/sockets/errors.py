"""From an error number to what happened, to which interface, and what to do."""

from __future__ import annotations

import errno
import os

from anycan.exceptions import (
    CanOSError,
    CanPermissionError,
    FlowControlError,
    FlowControlOverflowError,
    FlowControlTimeoutError,
    FrameNotSupportedError,
    InterfaceDownError,
    InterfaceRemovedError,
    NotACanInterfaceError,
    OptionNotSupportedError,
    PaddingError,
    ProtocolUnavailableError,
    ReceptionInterruptedError,
    ReceptionTimeoutError,
    SendUnconfirmedError,
    SequenceError,
    UnknownInterfaceError,
)
from anycan.wire.bcm import BcmOpcode

_OF_AN_OPERATION = frozenset(
    {BcmOpcode.TX_DELETE, BcmOpcode.TX_READ, BcmOpcode.RX_DELETE, BcmOpcode.RX_READ}
)
WAYS_OUT = (
    "use a user-space network (anycan.UserNetwork; ANYCAN_NETWORK=user:NAME names one), or run on a"
    " Linux kernel with SocketCAN"
)


def _subject(interface: str | None) -> str:
    return interface if interface is not None else "all interfaces"


def explain_open(error: OSError, protocol: str) -> CanOSError:
    """Explain why a socket could not be made."""
    number = error.errno or 0
    if number == errno.EAFNOSUPPORT:
        return ProtocolUnavailableError(
            number,
            f"this system has no PF_CAN: load it (modprobe {protocol}), or {WAYS_OUT}",
        )
    if number in {errno.EPROTONOSUPPORT, errno.ESOCKTNOSUPPORT}:
        return ProtocolUnavailableError(
            number,
            f"the kernel has PF_CAN without {protocol}: load it (modprobe {protocol}), or"
            f" {WAYS_OUT}",
        )
    if number in {errno.EPERM, errno.EACCES}:
        return CanPermissionError(
            number,
            "this process may not open CAN sockets: a sandbox or a security policy forbids it",
        )
    return CanOSError(number, f"opening a CAN socket failed: {os.strerror(number)}")


def explain_bind(error: OSError, interface: str | None, *, exists: bool) -> CanOSError:
    """Explain why a socket could not be bound."""
    number = error.errno or 0
    if number == errno.ENODEV:
        if exists:
            return NotACanInterfaceError(
                number, f"{_subject(interface)} is no CAN interface", interface
            )
        return unknown_interface(str(interface), interface)
    return _other(error, interface, "binding to")


def explain_option(error: OSError, interface: str | None, option: str, since: str) -> CanOSError:
    """Explain why a socket option could not be set."""
    number = error.errno or 0
    if number == errno.ENOPROTOOPT:
        return OptionNotSupportedError(
            number, f"the kernel does not know {option} (it came with Linux {since})", interface
        )
    if number in {errno.EPERM, errno.EACCES}:
        return CanPermissionError(
            number, f"this process may not set {option}{_reason(error)}", interface
        )
    return _other(error, interface, f"setting {option} on")


def explain_receive(error: OSError, interface: str | None, remedy: str) -> CanOSError:
    """Explain the pending error that a receive call returned.

    Args:
        error: What the system call raised.
        interface: The interface the socket is bound to; None: all.
        remedy: How to bring it up.
    """
    number = error.errno or 0
    if number == errno.ENETDOWN:
        return interface_down(interface, remedy)
    if number == errno.ENODEV:
        return interface_removed(interface, _reason(error))
    return _other(error, interface, "receiving from")


def explain_send(  # noqa: PLR0911 - one return for each cause
    error: OSError, interface: str | None, reason: str, remedy: str
) -> CanOSError:
    """Explain why a frame was refused.

    Args:
        error: What the system call raised.
        interface: The interface it was to go to.
        reason: Why the socket or the interface may not take such a frame at all.
        remedy: How to bring the interface up.
    """
    number = error.errno or 0
    match number:
        case errno.ENETDOWN:
            return InterfaceDownError(
                number,
                f"{_subject(interface)} is down, the frame was not sent ({remedy})",
                interface,
            )
        case errno.ENODEV:
            return interface_removed(interface, _reason(error))
        case errno.ENXIO:
            if interface is None:
                return interface_missing()
            return UnknownInterfaceError(number, f"there is no interface {interface}", interface)
        case errno.EINVAL | errno.EMSGSIZE:
            return FrameNotSupportedError(number, reason, interface)
        case errno.EPERM | errno.EACCES:
            return CanPermissionError(
                number,
                f"this process may not send on {_subject(interface)}{_reason(error)}",
                interface,
            )
        case _:
            return _other(error, interface, "sending on")


def explain_operation(error: OSError, interface: str | None, opcode: int) -> CanOSError:
    """Explain why the broadcast manager refused a message.

    Args:
        error: What the system call raised.
        interface: The interface that it was about.
        opcode: What it asked for.
    """
    number = error.errno or 0
    match number:
        case errno.ENOTCONN | errno.ENODEV:
            return interface_removed(interface, _reason(error))
        case errno.EINVAL if opcode in _OF_AN_OPERATION:
            return CanOSError(
                number,
                f"the broadcast manager of {_subject(interface)} has no such operation any more",
                interface,
            )
        case errno.E2BIG:
            return CanOSError(
                number,
                f"the operation on {_subject(interface)} was set up with fewer frames: stop it, and"
                " set up another",
                interface,
            )
        case _:
            return _other(error, interface, "asking the broadcast manager of")


def explain_isotp(  # noqa: C901, PLR0911 - one return for each cause
    number: int, interface: str | None, address: object, remedy: str, *, sending: bool
) -> CanOSError:
    """Explain what went wrong with an ISO-TP transfer.

    Args:
        number: The error number; 0: it is not known.
        interface: The interface.
        address: Whom the connection is with.
        remedy: How to bring the interface up.
        sending: It concerns what was being sent.
    """
    whom = f"{address!r} on {_subject(interface)}"
    match number:
        case errno.ENETDOWN if sending:
            return InterfaceDownError(
                number, f"{_subject(interface)} is down, the PDU was not sent ({remedy})", interface
            )
        case errno.ECOMM:
            return FlowControlTimeoutError(
                number,
                f"no flow control from {whom} within a second, or a frame did not leave: is the"
                " peer there, and are the identifiers the right ones?",
                interface,
            )
        case errno.EMSGSIZE:
            return FlowControlOverflowError(
                number, f"the peer of {whom} has no room for a PDU that long", interface
            )
        case errno.EBADMSG if sending:
            return FlowControlError(
                number,
                f"the peer of {whom} sent flow control that is too short, unknown or filled up"
                " otherwise than expected",
                interface,
            )
        case errno.EBADMSG:
            return PaddingError(
                number,
                f"a frame from {whom} was filled up otherwise than expected (rx_padding=,"
                " check_padding=)",
                interface,
            )
        case errno.EILSEQ:
            return SequenceError(
                number,
                f"a consecutive frame from {whom} is missing or came twice: the PDU is lost",
                interface,
            )
        case errno.ETIMEDOUT:
            return ReceptionTimeoutError(
                number, f"the sender stopped in the middle of a PDU: {whom}", interface
            )
        case errno.EPROTO:
            return ReceptionInterruptedError(
                number, f"another PDU began in the middle of one: {whom}", interface
            )
        case 0:
            return SendUnconfirmedError(
                errno.EIO,
                f"whether the PDU was received is not known, since something else failed at the"
                f" same moment, a reception or the link: {whom}",
                interface,
            )
        case _ if sending and number != errno.ENODEV:
            return _other(OSError(number, ""), interface, "sending on")
        case _:
            return explain_receive(OSError(number, ""), interface, remedy)


def unknown_interface(called: str, name: str | None, known: str = "") -> UnknownInterfaceError:
    """Make the error for a name or an index that no interface has.

    Args:
        called: What it was called.
        name: Its name; None: it was called by its index.
        known: Which interfaces there are.
    """
    return UnknownInterfaceError(
        errno.ENODEV, f"there is no interface {called}{f'; {known}' if known else ''}", name
    )


def interface_missing() -> UnknownInterfaceError:
    """Make the error for what needs an interface, on an endpoint for all of them."""
    return UnknownInterfaceError(
        errno.ENXIO,
        "the endpoint is for all interfaces: say which one this is for (interface=)",
    )


def transmission_down(interface: str | None, remedy: str) -> InterfaceDownError:
    """Make the error for a cyclic transmission on an interface that is down."""
    return InterfaceDownError(
        errno.ENETDOWN,
        f"{_subject(interface)} is down: frames are lost while the beat and the count go on"
        f" ({remedy})",
        interface,
    )


def interface_down(interface: str | None, remedy: str) -> InterfaceDownError:
    """Make the error for an interface that is down.

    Args:
        interface: Its name; None: all.
        remedy: How to bring it up.
    """
    return InterfaceDownError(
        errno.ENETDOWN,
        f"{_subject(interface)} is down; receiving goes on when it is up again ({remedy})",
        interface,
    )


def interface_removed(interface: str | None, reason: str = "") -> InterfaceRemovedError:
    """Make the error for an interface that is gone.

    Args:
        interface: Its name; None: all.
        reason: ``": "`` and why, such as that the server of its network is gone.
    """
    return InterfaceRemovedError(
        errno.ENODEV,
        f"{_subject(interface)} has been removed{reason}: close the endpoint, and open another when"
        " the interface is back",
        interface,
    )


def _other(error: OSError, interface: str | None, action: str) -> CanOSError:
    number = error.errno or 0
    kind = CanPermissionError if number in {errno.EPERM, errno.EACCES} else CanOSError
    text = _reason(error) or f": {os.strerror(number)}"
    return kind(number, f"{action} {_subject(interface)} failed{text}", interface)


def _reason(error: OSError) -> str:
    """Give what a network says beyond the error number, such as that a client may only listen."""
    number = error.errno or 0
    text = error.strerror or ""
    return "" if text in {"", os.strerror(number), errno.errorcode.get(number)} else f": {text}"
