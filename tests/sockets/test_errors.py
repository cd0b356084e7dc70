"""Each error number becomes its class, keeps its number and interface, and says what to do."""

from __future__ import annotations

import errno
import os

import pytest

from anycan.exceptions import (
    CanOSError,
    CanPermissionError,
    FlowControlError,
    FlowControlOverflowError,
    FlowControlTimeoutError,
    FrameNotSupportedError,
    InterfaceDownError,
    InterfaceRemovedError,
    IsotpReceiveError,
    IsotpSendError,
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
from anycan.sockets.errors import (
    explain_bind,
    explain_isotp,
    explain_open,
    explain_option,
    explain_receive,
    explain_send,
    interface_removed,
    unknown_interface,
)
from anycan.wire.isotp_address import Address

UP = "ip link set can0 up"


def raised(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def check(
    error: CanOSError, kind: type[CanOSError], number: int, interface: str | None, *words: str
) -> None:
    assert type(error) is kind
    assert error.errno == number
    assert error.interface == interface
    for part in words:
        assert part in str(error.strerror)


@pytest.mark.parametrize(
    ("number", "kind", "words"),
    [
        (
            errno.EAFNOSUPPORT,
            ProtocolUnavailableError,
            ["this system has no PF_CAN", "modprobe can-raw", "anycan.UserNetwork",
             "ANYCAN_NETWORK=user:NAME", "Linux kernel with SocketCAN"],
        ),
        (
            errno.EPROTONOSUPPORT,
            ProtocolUnavailableError,
            ["PF_CAN without can-raw", "(modprobe can-raw)", "anycan.UserNetwork"],
        ),
        (errno.ESOCKTNOSUPPORT, ProtocolUnavailableError, ["PF_CAN without can-raw"]),
        (errno.EPERM, CanPermissionError, ["may not open CAN sockets", "sandbox"]),
        (errno.EACCES, CanPermissionError, ["may not open CAN sockets"]),
        (errno.EMFILE, CanOSError, ["opening a CAN socket", "Too many open files"]),
    ],
)  # fmt: skip
def test_open(number: int, kind: type[CanOSError], words: list[str]) -> None:
    check(explain_open(raised(number), "can-raw"), kind, number, None, *words)


def test_bind_to_what_is_no_can_interface() -> None:
    error = explain_bind(raised(errno.ENODEV), "eth0", exists=True)
    check(error, NotACanInterfaceError, errno.ENODEV, "eth0", "eth0 is no CAN interface")


def test_bind_to_nothing() -> None:
    error = explain_bind(raised(errno.ENODEV), "can7", exists=False)
    check(error, UnknownInterfaceError, errno.ENODEV, "can7", "there is no interface can7")


@pytest.mark.parametrize(
    ("interface", "words"),
    [("can0", "binding to can0 failed: "), (None, "binding to all interfaces failed: ")],
)
def test_bind_for_another_reason(interface: str | None, words: str) -> None:
    error = explain_bind(raised(errno.EINVAL), interface, exists=True)
    check(error, CanOSError, errno.EINVAL, interface, words + os.strerror(errno.EINVAL))


@pytest.mark.parametrize(
    ("number", "kind", "words"),
    [
        (
            errno.ENOPROTOOPT,
            OptionNotSupportedError,
            "the kernel does not know CAN_RAW_XL_FRAMES (it came with Linux 6.1)",
        ),
        (errno.EPERM, CanPermissionError, "may not set CAN_RAW_XL_FRAMES"),
        (errno.EACCES, CanPermissionError, "may not set CAN_RAW_XL_FRAMES"),
        (errno.EINVAL, CanOSError, "setting CAN_RAW_XL_FRAMES on can0 failed: Invalid argument"),
    ],
)
def test_option(number: int, kind: type[CanOSError], words: str) -> None:
    error = explain_option(raised(number), "can0", "CAN_RAW_XL_FRAMES", "6.1")
    check(error, kind, number, "can0", words)


@pytest.mark.parametrize(
    ("number", "kind", "words"),
    [
        (
            errno.ENETDOWN,
            InterfaceDownError,
            "can0 is down; receiving goes on when it is up again (ip link set can0 up)",
        ),
        (
            errno.ENODEV,
            InterfaceRemovedError,
            "can0 has been removed: close the endpoint, and open another",
        ),
        (errno.EIO, CanOSError, "receiving from can0 failed: "),
    ],
)
def test_receive(number: int, kind: type[CanOSError], words: str) -> None:
    check(explain_receive(raised(number), "can0", UP), kind, number, "can0", words)


@pytest.mark.parametrize(
    ("number", "kind", "words"),
    [
        (
            errno.ENETDOWN,
            InterfaceDownError,
            "can0 is down, the frame was not sent (ip link set can0 up)",
        ),
        (errno.ENODEV, InterfaceRemovedError, "can0 has been removed"),
        (errno.ENXIO, UnknownInterfaceError, "there is no interface can0"),
        (errno.EINVAL, FrameNotSupportedError, "the reason"),
        (errno.EMSGSIZE, FrameNotSupportedError, "the reason"),
        (errno.EPERM, CanPermissionError, "may not send on can0"),
        (errno.EACCES, CanPermissionError, "may not send on can0"),
        (errno.EIO, CanOSError, "sending on can0 failed: "),
    ],
)
def test_send(number: int, kind: type[CanOSError], words: str) -> None:
    check(explain_send(raised(number), "can0", "the reason", UP), kind, number, "can0", words)


def test_send_without_an_interface() -> None:
    error = explain_send(raised(errno.ENXIO), None, "", UP)
    check(error, UnknownInterfaceError, errno.ENXIO, None, "for all interfaces", "interface=")


@pytest.mark.parametrize("number", [errno.ENETDOWN, errno.ENODEV, errno.EPERM, errno.EIO])
def test_no_message_names_an_interface_that_is_none(number: int) -> None:
    assert "None" not in str(explain_send(raised(number), None, "", UP))
    assert "None" not in str(explain_receive(raised(number), None, UP))


def test_an_error_without_a_number() -> None:
    check(
        explain_send(OSError("strange"), "can0", "", UP), CanOSError, 0, "can0", "sending on can0"
    )
    check(explain_receive(OSError("strange"), "can0", UP), CanOSError, 0, "can0")
    check(explain_open(OSError("strange"), "can-raw"), CanOSError, 0, None)
    check(explain_bind(OSError("strange"), "can0", exists=True), CanOSError, 0, "can0")
    check(explain_option(OSError("strange"), "can0", "X", "1"), CanOSError, 0, "can0")


def test_an_unknown_interface_with_those_that_are_known() -> None:
    error = unknown_interface("can7", "can7", "the CAN interfaces here are can0")
    check(error, UnknownInterfaceError, errno.ENODEV, "can7")
    assert error.strerror == "there is no interface can7; the CAN interfaces here are can0"


def test_a_removed_interface() -> None:
    check(interface_removed("can0"), InterfaceRemovedError, errno.ENODEV, "can0", "can0 has been")


WHOM = Address.normal(0x7E0, 0x7E8)
SUBJECT = "Address.normal(0x7E0, 0x7E8) on can0"


def isotp(number: int, interface: str | None = "can0", *, sending: bool = False) -> CanOSError:
    return explain_isotp(number, interface, WHOM, UP, sending=sending)


@pytest.mark.parametrize(
    ("number", "kind", "text"),
    [
        (
            errno.ECOMM,
            FlowControlTimeoutError,
            (
                f"no flow control from {SUBJECT} within a second, or a frame did not leave: is the"
                " peer there, and are the identifiers the right ones?"
            ),
        ),
        (
            errno.EMSGSIZE,
            FlowControlOverflowError,
            f"the peer of {SUBJECT} has no room for a PDU that long",
        ),
        (
            errno.EBADMSG,
            FlowControlError,
            (
                f"the peer of {SUBJECT} sent flow control that is too short, unknown or filled up"
                " otherwise than expected"
            ),
        ),
    ],
)
def test_what_goes_wrong_with_a_pdu_that_is_sent(
    number: int, kind: type[CanOSError], text: str
) -> None:
    error = isotp(number, sending=True)
    check(error, kind, number, "can0")
    assert isinstance(error, IsotpSendError)
    assert error.strerror == text


def test_the_outcome_of_a_pdu_that_is_not_known() -> None:
    for sending in (False, True):
        error = isotp(0, sending=sending)
        check(error, SendUnconfirmedError, errno.EIO, "can0")
        assert isinstance(error, IsotpSendError)
        assert error.strerror == (
            "whether the PDU was received is not known, since something else failed at the same"
            f" moment, a reception or the link: {SUBJECT}"
        )


@pytest.mark.parametrize(
    ("number", "kind", "text"),
    [
        (
            errno.EBADMSG,
            PaddingError,
            (
                f"a frame from {SUBJECT} was filled up otherwise than expected (rx_padding=,"
                " check_padding=)"
            ),
        ),
        (
            errno.EILSEQ,
            SequenceError,
            f"a consecutive frame from {SUBJECT} is missing or came twice: the PDU is lost",
        ),
        (
            errno.ETIMEDOUT,
            ReceptionTimeoutError,
            f"the sender stopped in the middle of a PDU: {SUBJECT}",
        ),
        (
            errno.EPROTO,
            ReceptionInterruptedError,
            f"another PDU began in the middle of one: {SUBJECT}",
        ),
    ],
)
def test_what_goes_wrong_with_a_pdu_that_is_received(
    number: int, kind: type[CanOSError], text: str
) -> None:
    error = isotp(number)
    check(error, kind, number, "can0")
    assert isinstance(error, IsotpReceiveError)
    assert error.strerror == text


def test_a_link_that_is_down_in_either_direction() -> None:
    check(
        isotp(errno.ENETDOWN, sending=True),
        InterfaceDownError,
        errno.ENETDOWN,
        "can0",
        "can0 is down, the PDU was not sent (ip link set can0 up)",
    )
    check(
        isotp(errno.ENETDOWN),
        InterfaceDownError,
        errno.ENETDOWN,
        "can0",
        "can0 is down; receiving goes on when it is up again (ip link set can0 up)",
    )


@pytest.mark.parametrize("sending", [False, True])
def test_an_interface_that_a_transfer_has_lost(sending: bool) -> None:
    error = isotp(errno.ENODEV, sending=sending)
    check(error, InterfaceRemovedError, errno.ENODEV, "can0", "can0 has been removed: close")


@pytest.mark.parametrize(
    "number",
    [0, errno.ENETDOWN, errno.ENODEV, errno.ECOMM, errno.EMSGSIZE, errno.EBADMSG, errno.EILSEQ,
     errno.ETIMEDOUT, errno.EPROTO, errno.EIO],
)  # fmt: skip
def test_a_transfer_on_no_interface_that_is_known(number: int) -> None:
    for sending in (False, True):
        error = isotp(number, None, sending=sending)
        assert error.interface is None
        assert "None" not in str(error)


def test_another_error_of_a_transfer() -> None:
    check(isotp(errno.EIO), CanOSError, errno.EIO, "can0", "receiving from can0 failed: ")


@pytest.mark.parametrize("number", [errno.EIO, errno.EPERM, errno.ENOMEM])
def test_another_error_of_sending_is_not_called_one_of_receiving(number: int) -> None:
    error = isotp(number, sending=True)
    assert error.errno == number
    assert "receiving" not in str(error)
