from __future__ import annotations

import errno
import pickle
from typing import Any

import pytest

import anycan
from anycan import exceptions
from anycan.exceptions import (
    AddressError,
    CanError,
    CanOSError,
    CanPermissionError,
    ConfigurationError,
    FilterError,
    FlowControlError,
    FlowControlOverflowError,
    FlowControlTimeoutError,
    FrameError,
    FrameNotSupportedError,
    GatewayError,
    GatewayFileError,
    GatewayLoopError,
    GatewayRunningError,
    InterfaceDownError,
    InterfaceError,
    InterfaceExistsError,
    InterfaceRemovedError,
    IsotpError,
    IsotpReceiveError,
    IsotpSendError,
    LogParseError,
    NetworkUnavailableError,
    NotACanInterfaceError,
    OffloadError,
    OperationError,
    OperationExistsError,
    OptionNotSupportedError,
    PaddingError,
    ParseError,
    PduError,
    ProtocolUnavailableError,
    ReceptionInterruptedError,
    ReceptionTimeoutError,
    RoutingError,
    SendUnconfirmedError,
    SequenceError,
    SubscriptionOverflowError,
    UnknownInterfaceError,
)

TREE: dict[type[Exception], tuple[type[Exception], ...]] = {
    CanError: (Exception,),
    FrameError: (CanError, ValueError),
    FilterError: (CanError, ValueError),
    ParseError: (CanError, ValueError),
    LogParseError: (ParseError,),
    OperationError: (CanError, ValueError),
    OperationExistsError: (CanError,),
    RoutingError: (CanError, ValueError),
    AddressError: (CanError, ValueError),
    PduError: (CanError, ValueError),
    NetworkUnavailableError: (CanError,),
    SubscriptionOverflowError: (CanError,),
    GatewayError: (CanError, ValueError),
    GatewayLoopError: (GatewayError,),
    GatewayFileError: (GatewayError,),
    OffloadError: (GatewayError,),
    GatewayRunningError: (CanError,),
    ConfigurationError: (CanError, ValueError),
    CanOSError: (CanError, OSError),
    ProtocolUnavailableError: (CanOSError,),
    CanPermissionError: (CanOSError, PermissionError),
    InterfaceError: (CanOSError,),
    UnknownInterfaceError: (InterfaceError,),
    NotACanInterfaceError: (InterfaceError,),
    InterfaceExistsError: (InterfaceError,),
    InterfaceDownError: (InterfaceError,),
    InterfaceRemovedError: (InterfaceError,),
    IsotpError: (CanOSError,),
    IsotpSendError: (IsotpError,),
    FlowControlTimeoutError: (IsotpSendError,),
    FlowControlOverflowError: (IsotpSendError,),
    FlowControlError: (IsotpSendError,),
    SendUnconfirmedError: (IsotpSendError,),
    IsotpReceiveError: (IsotpError,),
    ReceptionTimeoutError: (IsotpReceiveError,),
    SequenceError: (IsotpReceiveError,),
    PaddingError: (IsotpReceiveError,),
    ReceptionInterruptedError: (IsotpReceiveError,),
    FrameNotSupportedError: (CanOSError,),
    OptionNotSupportedError: (CanOSError,),
}
SYSTEM_ERRORS: list[Any] = [one for one in TREE if issubclass(one, CanOSError)]


@pytest.mark.parametrize("error", TREE)
def test_the_tree(error: type[Exception]) -> None:
    assert error.__bases__ == TREE[error]
    assert getattr(anycan, error.__name__) is error


def test_the_tree_is_drawn_whole() -> None:
    drawn = (exceptions.__doc__ or "").split("The tree::")[1]
    assert set(exceptions.__all__) == {error.__name__ for error in TREE}
    for error in TREE:
        assert f" {error.__name__} " in drawn.replace("\n", " ")


@pytest.mark.parametrize("error", SYSTEM_ERRORS)
def test_what_the_system_refused_has_its_number_and_the_interface(error: type[CanOSError]) -> None:
    made = error(errno.ENETDOWN, "vcan0 is down", "vcan0")
    assert type(made) is error
    assert made.errno == errno.ENETDOWN
    assert made.strerror == "vcan0 is down"
    assert made.interface == "vcan0"
    assert str(made) == f"[Errno {errno.ENETDOWN}] vcan0 is down"
    assert error(errno.EPERM, "no").interface is None


@pytest.mark.parametrize("error", SYSTEM_ERRORS)
def test_a_system_error_is_pickled_with_its_interface(error: type[CanOSError]) -> None:
    made = error(errno.ENETDOWN, "vcan0 is down", "vcan0")
    twin = pickle.loads(pickle.dumps(made))  # noqa: S301 - pickled right here
    assert type(twin) is error
    assert (twin.errno, twin.strerror, twin.interface) == (made.errno, made.strerror, "vcan0")


def test_a_parse_error_has_the_text() -> None:
    error = ParseError("not a frame", "12#")
    assert str(error) == "not a frame"
    assert error.text == "12#"


def test_a_log_parse_error_has_the_place() -> None:
    error = LogParseError("not a frame", "12#", file="drive.log", line=7)
    assert str(error) == "drive.log:7: not a frame"
    assert (error.text, error.file, error.line) == ("12#", "drive.log", 7)


@pytest.mark.parametrize(
    "made",
    [
        ParseError("not a frame", "12#"),
        LogParseError("not a frame", "12#", file="drive.log", line=7),
    ],
)
def test_a_parse_error_is_pickled_whole(made: ParseError) -> None:
    twin = pickle.loads(pickle.dumps(made))  # noqa: S301 - pickled right here
    assert type(twin) is type(made)
    assert str(twin) == str(made)
    assert vars(twin) == vars(made)
