"""Every error of anycan, by cause.

The tree::

    CanError
    ├── FrameError (ValueError)             a value that no CAN frame can have
    ├── FilterError (ValueError)            a filter that no socket can take
    ├── ParseError (ValueError)             text that is no frame, filter or log line
    │   └── LogParseError                   ... with the file and the line it stands in
    ├── OperationError (ValueError)         an operation that no broadcast manager can have
    ├── OperationExistsError                the endpoint has one for that identifier already
    ├── RoutingError (ValueError)           a subscription that no router can have
    ├── GatewayError (ValueError)           a rule that no gateway can have, or rules together
    │   ├── GatewayLoopError                ... by which a frame would come back to its interface
    │   ├── GatewayFileError                ... with the file and the line it stands in
    │   └── OffloadError                    ... that the kernel cannot take over, and was to
    ├── GatewayRunningError                 a gateway of that name runs already
    ├── ConfigurationError (ValueError)     a setting that an interface cannot have
    ├── AddressError (ValueError)           an address that no ISO-TP connection can have
    ├── PduError (ValueError)               a PDU that no ISO-TP connection can send
    ├── NetworkUnavailableError             the network named does not exist or cannot be reached
    ├── SubscriptionOverflowError           a subscription had no room, and was to say so
    └── CanOSError (OSError)                a system call's error number, explained
        ├── ProtocolUnavailableError        no PF_CAN, or the protocol's module is missing
        ├── CanPermissionError (PermissionError)
        ├── InterfaceError
        │   ├── UnknownInterfaceError       no interface of that name or index
        │   ├── NotACanInterfaceError       the interface exists and is no CAN interface
        │   ├── InterfaceExistsError        there is one of that name already
        │   ├── InterfaceDownError          passing: the endpoint goes on when the link is up again
        │   └── InterfaceRemovedError       final: the interface is gone
        ├── IsotpError                      an ISO-TP transfer failed
        │   ├── IsotpSendError              ... which was being sent
        │   │   ├── FlowControlTimeoutError     no flow control came, or a frame did not leave
        │   │   ├── FlowControlOverflowError    the receiver has no room for the PDU
        │   │   ├── FlowControlError            a flow control frame made no sense
        │   │   └── SendUnconfirmedError        it ended, and nobody knows how
        │   └── IsotpReceiveError           ... which was being received
        │       ├── ReceptionTimeoutError       the sender stopped
        │       ├── SequenceError               a consecutive frame is missing, or came twice
        │       ├── PaddingError                a frame was filled up otherwise than agreed
        │       └── ReceptionInterruptedError   another PDU began (strict ISO 15765-2 alone)
        ├── FrameNotSupportedError          the socket or the interface does not take such a frame
        └── OptionNotSupportedError         the kernel does not know the socket option

``anyio.ClosedResourceError``, ``anyio.BusyResourceError``, ``anyio.EndOfStream`` and
``anyio.WouldBlock`` keep their meaning and are raised as they are.

The first fourteen are local misuse: nothing was sent and nothing was lost. Those with an error
number carry it as ``errno``, like every :class:`OSError`, and the interface as ``interface``.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "AddressError",
    "CanError",
    "CanOSError",
    "CanPermissionError",
    "ConfigurationError",
    "FilterError",
    "FlowControlError",
    "FlowControlOverflowError",
    "FlowControlTimeoutError",
    "FrameError",
    "FrameNotSupportedError",
    "GatewayError",
    "GatewayFileError",
    "GatewayLoopError",
    "GatewayRunningError",
    "InterfaceDownError",
    "InterfaceError",
    "InterfaceExistsError",
    "InterfaceRemovedError",
    "IsotpError",
    "IsotpReceiveError",
    "IsotpSendError",
    "LogParseError",
    "NetworkUnavailableError",
    "NotACanInterfaceError",
    "OffloadError",
    "OperationError",
    "OperationExistsError",
    "OptionNotSupportedError",
    "PaddingError",
    "ParseError",
    "PduError",
    "ProtocolUnavailableError",
    "ReceptionInterruptedError",
    "ReceptionTimeoutError",
    "RoutingError",
    "SendUnconfirmedError",
    "SequenceError",
    "SubscriptionOverflowError",
    "UnknownInterfaceError",
]


class CanError(Exception):
    """The base of every error that anycan itself raises."""


class FrameError(CanError, ValueError):
    """A value that no CAN frame can have: an identifier, a length or a flag out of range."""


class FilterError(CanError, ValueError):
    """A filter that no CAN socket can take: an identifier out of range, or too many filters."""


class RoutingError(CanError, ValueError):
    """A subscription that no router can have, or a frame that it cannot send.

    It tells of the subscription by its name, when it is made: a handler that cannot be called with
    a frame, an unknown policy, a capacity below 1, a filter that nothing can match.
    """


class GatewayError(CanError, ValueError):
    """A rule that no gateway can have, or rules that it cannot have together.

    It names the rule, what is wrong with it and what was expected.
    """


class GatewayLoopError(GatewayError):
    """By these rules a frame would come back to the interface where it came from.

    It names each step of the way, and whose it is: of this gateway, of another process, of the
    kernel's can-gw, of a pair of virtual interfaces.

    Attributes:
        cycle: The interfaces, in the order in which a frame would pass them; the first is the last.
    """

    def __init__(self, message: str, cycle: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.cycle = cycle

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the message and the attributes."""
        return _remake, (type(self), self.args), vars(self)


class GatewayFileError(GatewayError):
    """A file of rules that says something wrong.

    Attributes:
        path: The file.
        line: The line, from 1; None: it is about the whole file.
    """

    def __init__(self, message: str, path: str = "", line: int | None = None) -> None:
        where = path if line is None else f"{path}:{line}"
        super().__init__(f"{where}: {message}" if where else message)
        self.path = path
        self.line = line

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the message and the attributes."""
        return _remake, (type(self), self.args), vars(self)


class OffloadError(GatewayError):
    """A rule was to be the kernel's (``offload="require"``), which cannot do what it says.

    It names the rule, and what of it can-gw does not know or what this machine lacks.
    """


class GatewayRunningError(CanError):
    """A gateway of that name runs already, here or in another process.

    Attributes:
        process: The number of its process; None: it is not known.
    """

    def __init__(self, message: str, process: int | None = None) -> None:
        super().__init__(message)
        self.process = process

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the message and the attributes."""
        return _remake, (type(self), self.args), vars(self)


class SubscriptionOverflowError(CanError):
    """A subscription had no room for a frame, and ``overflow="raise"`` was asked for.

    Everything that came before that frame has been received.
    """


class ParseError(CanError, ValueError):
    """Text that is no frame, no filter or no log line.

    Attributes:
        text: The text that could not be read.
    """

    def __init__(self, message: str, text: str) -> None:
        super().__init__(message)
        self.text = text

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the message and the attributes; the constructor takes more than the message."""
        return _remake, (type(self), self.args), vars(self)


def _remake(kind: type[ParseError], arguments: tuple[str, ...]) -> ParseError:
    return kind.__new__(kind, *arguments)


class LogParseError(ParseError):
    """A line of a log file that is no log line.

    Attributes:
        file: The name of the file.
        line: The number of the line, from 1.
        text: The line.
    """

    def __init__(self, message: str, text: str, *, file: str, line: int) -> None:
        super().__init__(f"{file}:{line}: {message}", text)
        self.file = file
        self.line = line


class OperationError(CanError, ValueError):
    """An operation that no broadcast manager can have: an interval, a mask, too many frames."""


class OperationExistsError(CanError):
    """The endpoint has an operation for that identifier already, which this one would replace."""


class ConfigurationError(CanError, ValueError):
    """A setting that an interface cannot have; nothing has been changed.

    It names the interface, what was asked for and what its controller takes: a bit rate or a
    sample point out of reach, a control mode that it does not know, a bit rate for a vcan.
    """


class AddressError(CanError, ValueError):
    """An address that no ISO-TP connection can have: a value out of range, or one node twice."""


class PduError(CanError, ValueError):
    """A PDU that an ISO-TP connection cannot send: it is empty, or too long."""


class NetworkUnavailableError(CanError):
    """The network that was named does not exist, or cannot be reached."""


class CanOSError(CanError, OSError):
    """A system call on a CAN socket failed.

    Attributes:
        errno: The error number, as the kernel gave it.
        strerror: What happened, and what to do about it.
        interface: The name of the interface it happened to; None: no single one.
    """

    def __init__(self, errno: int, message: str, interface: str | None = None) -> None:
        super().__init__(errno, message)
        self.interface = interface


class ProtocolUnavailableError(CanOSError):
    """The kernel has no PF_CAN, or lacks the protocol (EAFNOSUPPORT, EPROTONOSUPPORT)."""


class CanPermissionError(CanOSError, PermissionError):
    """The process may not do that (EPERM, EACCES)."""


class InterfaceError(CanOSError):
    """Something about an interface."""


class UnknownInterfaceError(InterfaceError):
    """There is no interface of that name or index (ENODEV, ENXIO)."""


class NotACanInterfaceError(InterfaceError):
    """The interface exists, and is no CAN interface (ENODEV from bind)."""


class InterfaceExistsError(InterfaceError):
    """There is an interface of that name already (EEXIST)."""


class InterfaceDownError(InterfaceError):
    """The interface is down (ENETDOWN).

    This is passing: the endpoint stays bound, and receives and sends again when the interface is
    up again.
    """


class InterfaceRemovedError(InterfaceError):
    """The interface has been removed (ENODEV). The endpoint is of no more use: close it.

    So it is with all interfaces of a network whose server is gone, or does not answer.
    """


class IsotpError(CanOSError):
    """An ISO-TP transfer failed. The connection stays open, and the next one is tried anew."""


class IsotpSendError(IsotpError):
    """A PDU was not received, or not wholly, by whom it was sent to."""


class FlowControlTimeoutError(IsotpSendError):
    """The receiver's flow control frame did not come in time, or a frame did not leave (ECOMM).

    Source: ISO 15765-2:2016, N_TIMEOUT_Bs and N_TIMEOUT_A.
    """


class FlowControlOverflowError(IsotpSendError):
    """The receiver said that it has no room for a PDU that long (EMSGSIZE).

    Source: ISO 15765-2:2016, N_BUFFER_OVFLW.
    """


class FlowControlError(IsotpSendError):
    """The receiver's flow control frame was too short, filled up wrongly, or unknown (EBADMSG).

    Source: ISO 15765-2:2016, N_INVALID_FS.
    """


class SendUnconfirmedError(IsotpSendError):
    """The PDU is not being sent any more, and whether it was received is not known.

    The kernel keeps one error of each socket. A fault in what was being received, or the link that
    went down, came at the same moment, and has taken the place of whatever there was to say of
    this PDU.
    """


class IsotpReceiveError(IsotpError):
    """A PDU was given up in the middle of its reception; nothing of it is delivered."""


class ReceptionTimeoutError(IsotpReceiveError):
    """The next consecutive frame did not come in time (ETIMEDOUT).

    Source: ISO 15765-2:2016, N_TIMEOUT_Cr.
    """


class SequenceError(IsotpReceiveError):
    """A consecutive frame had another number than it should: one is missing, or doubled (EILSEQ).

    Source: ISO 15765-2:2016, N_WRONG_SN.
    """


class PaddingError(IsotpReceiveError):
    """A frame was not filled up as the endpoint was told to expect (EBADMSG)."""


class ReceptionInterruptedError(IsotpReceiveError):
    """Another PDU began while one was being received (EPROTO); with ``strict_iso`` alone.

    Source: ISO 15765-2:2016, N_UNEXP_PDU.
    """


class FrameNotSupportedError(CanOSError):
    """The socket or the interface does not take such a frame (EINVAL, EMSGSIZE)."""


class OptionNotSupportedError(CanOSError):
    """The kernel does not know a socket option that was asked for (ENOPROTOOPT)."""
