"""A raw socket whose frames stay bytes."""

from __future__ import annotations

import errno
import struct
from typing import TYPE_CHECKING, Any

import pytest

from anycan import FdFrame, Frame, InterfaceDownError, InterfaceRemovedError, UserNetwork, XlFrame
from anycan.filter import Filter
from anycan.sockets.forwarding import ForwardingSocket
from anycan.sockets.raw_options import RawOptions
from anycan.wire.frames import encode_frame
from anycan.wire.options import VcidOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from anycan import AnyFrame

NOW = 1_700_000_000_123_456_789
ONE = Frame(1, b"\1")


@pytest.fixture
def network() -> Iterator[UserNetwork]:
    with UserNetwork(clock=lambda: NOW) as network:
        network.add_vcan("a", mtu=2060)
        network.add_vcan("classical", mtu=16)
        yield network


@pytest.fixture
def opened(network: UserNetwork) -> Iterator[Callable[..., ForwardingSocket]]:
    sockets: list[ForwardingSocket] = []

    def open_socket(name: str = "a", **options: Any) -> ForwardingSocket:
        socket = ForwardingSocket(network, name, RawOptions(**options))
        sockets.append(socket)
        return socket

    yield open_socket
    for socket in sockets:
        socket.close()


def xl(**options: Any) -> dict[str, Any]:
    everywhere = VcidOptions(pass_through=True, receive=0, receive_mask=0)
    return {"xl": True, "vcid": everywhere} | options


def on_the_bus(frame: AnyFrame) -> bytes:
    """Give the bytes of a frame that has been sent: one of CAN FD is marked then."""
    payload = bytearray(encode_frame(frame))
    if isinstance(frame, FdFrame):
        payload[5] |= 4  # linux/can.h: CANFD_FDF
    return bytes(payload)


def payloads(socket: ForwardingSocket) -> list[tuple[bytes, int]]:
    return list(socket.payloads(socket.read()))


@pytest.mark.parametrize(
    ("options", "frames"),
    [
        ({"fd": False}, [ONE, Frame(0x12345678, bytes(8))]),
        ({"fd": True}, [ONE, FdFrame(1, bytes(64)), ONE]),
        (
            xl(),
            [ONE, FdFrame(1, b"\1"), XlFrame(1, b"x"), XlFrame(1, bytes(4)), XlFrame(1, bytes(60))],
        ),
        (xl(), [XlFrame(1, bytes(2048), vcid=7), XlFrame(1, bytes(2047))]),
    ],
)
def test_frames_with_their_stamps(
    network: UserNetwork,
    opened: Callable[..., ForwardingSocket],
    options: dict[str, Any],
    frames: list[AnyFrame],
) -> None:
    socket = opened(**options)
    for frame in frames:
        network.inject("a", frame)
    assert payloads(socket) == [(on_the_bus(frame), NOW) for frame in frames]
    assert (socket.received, socket.malformed, socket.last_count) == (len(frames), 0, len(frames))
    with pytest.raises(BlockingIOError):
        socket.read()
    assert socket.received == len(frames)


def test_a_batch_at_a_time(network: UserNetwork, opened: Callable[..., ForwardingSocket]) -> None:
    socket = opened(fd=True)
    for number in range(200):
        network.inject("a", Frame(number))
    assert [len(payloads(socket)), len(payloads(socket))] == [128, 72]
    assert socket.received == 200


def test_what_is_no_frame_is_counted_and_left_out(opened: Callable[..., ForwardingSocket]) -> None:
    socket = opened(**xl())
    lengths = [0, 1, 5, 12, 13, 15, 16, 17, 71, 72, 73, 2063]
    for flags in (0, 0x80):
        for position, length in enumerate(lengths):
            record = struct.pack("=IB", 1, flags).ljust(2064, b"\0")[:length]
            socket._buffer.store(position, record, 1, 0, NOW, 0)
        socket.received += len(lengths)  # as reading does
        found = [payload for payload, _ in socket.payloads(len(lengths))]
        expected = [16, 72] if not flags else [one for one in lengths if one > 12]
        assert [len(payload) for payload in found] == expected
        assert all(payload[4] == flags for payload in found)
    kept = 2 + sum(length > 12 for length in lengths)
    assert socket.received == kept
    assert socket.malformed == 2 * len(lengths) - kept


def test_what_the_kernel_dropped(
    network: UserNetwork, opened: Callable[..., ForwardingSocket]
) -> None:
    socket = opened(fd=True, receive_buffer=2304)
    for number in range(100):
        network.inject("a", Frame(number))
    dropped = socket.dropped
    assert dropped > 0
    kept = 100 - dropped
    while socket.received < kept:
        payloads(socket)
    network.inject("a", ONE)
    payloads(socket)
    assert socket._buffer.drops == dropped


@pytest.mark.parametrize(
    ("change", "kind"),
    [("set_down", InterfaceDownError), ("remove", InterfaceRemovedError)],
)
def test_the_pending_error_is_explained(
    network: UserNetwork,
    opened: Callable[..., ForwardingSocket],
    change: str,
    kind: type[Exception],
) -> None:
    socket = opened(fd=True)
    getattr(network, change)("a")
    with pytest.raises(kind, match=r"\ba\b"):
        socket.read()
    assert socket.received == 0


def test_sending(opened: Callable[..., ForwardingSocket]) -> None:
    sender, receiver = opened(fd=True), opened(fd=True)
    frames: list[AnyFrame] = [ONE, FdFrame(2, b"\2")]
    assert sender.put([encode_frame(frame) for frame in frames]) == 2
    assert [payload for payload, _ in payloads(receiver)] == [on_the_bus(one) for one in frames]
    assert sender.sent == 2
    with pytest.raises(BlockingIOError):
        sender.read()


def test_without_loopback_nobody_here_receives(opened: Callable[..., ForwardingSocket]) -> None:
    sender, receiver = opened(fd=True, loopback=False, filters=Filter.none()), opened(fd=True)
    assert sender.put([encode_frame(ONE)]) == 1
    with pytest.raises(BlockingIOError):
        receiver.read()


def test_what_is_refused_is_told_by_its_number(
    network: UserNetwork, opened: Callable[..., ForwardingSocket]
) -> None:
    socket = opened("classical")
    flexible = encode_frame(FdFrame(1))
    assert socket.put([encode_frame(ONE), flexible, encode_frame(ONE)]) == 1
    with pytest.raises(OSError) as caught:  # noqa: PT011 - the number is looked at
        socket.put([flexible])
    assert caught.value.errno == errno.EINVAL
    assert socket.sent == 1
    network.set_down("classical")
    with pytest.raises(OSError) as caught:  # noqa: PT011 - as above
        socket.put([encode_frame(ONE)])
    assert caught.value.errno == errno.ENETDOWN


def test_frames_made_of_payloads(opened: Callable[..., ForwardingSocket]) -> None:
    socket = opened(fd=True)
    frame = socket.make_frame(encode_frame(ONE), NOW)
    assert frame == ONE
    assert frame is not None
    assert (frame.timestamp_ns, frame.interface) == (NOW, "a")
    remote = struct.pack("=IBB66x", 0x40000001, 1, 4)
    assert socket.make_frame(remote, NOW) is None
