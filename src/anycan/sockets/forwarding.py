"""A raw socket whose frames stay bytes, for who sends them on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from anycan.frame import XLF
from anycan.sockets.raw import RawSocket
from anycan.wire.constants import (
    CAN_MTU,
    CANFD_MTU,
    CANXL_HEADER_SIZE,
)
from anycan.wire.frames import decode_frame
from anycan.wire.messages import SECOND
from anycan.wire.record_columns import RecordColumns

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from anycan.frame import AnyFrame

_SIZES: Final = frozenset({CAN_MTU, CANFD_MTU})


class ForwardingSocket(RawSocket):
    """A :class:`RawSocket` that gives and takes the bytes of frames."""

    _columns: RecordColumns | None = None

    def read(self) -> int:
        """Read what waits, up to a batch, for :meth:`payloads`; give how many messages.

        Raises:
            BlockingIOError: Nothing waits.
            CanOSError: The socket's pending error.
        """
        try:
            count = self._fill(self._buffer)
        except BlockingIOError:
            raise
        except OSError as error:
            raise self._explain_pending(error) from None
        self.last_count = count
        self.received += count
        return count

    def payloads(self, count: int) -> Iterator[tuple[bytes, int]]:
        """Give of each of the messages last read its payload, and when it came.

        Yields:
            The payload, of 16, 72 or 13 to 2060 bytes, and nanoseconds since the epoch. What has
            another length is no frame; it is counted and left out.
        """
        buffer = self._buffer
        whole = buffer.payload_size
        for (payload, seconds, fraction), (_, _, length) in buffer.stamped(count):
            if length != whole:
                payload = payload[:length]  # noqa: PLW2901 - what the rest of the record is, nobody knows
            if length not in _SIZES and (length <= CANXL_HEADER_SIZE or not payload[4] & XLF):
                self.malformed += 1
                self.received -= 1
                continue
            yield payload, seconds * SECOND + fraction
        buffer.note_drops(count)

    def single(self) -> tuple[bytes, int] | None:
        """Give the only message last read as :meth:`payloads` does; None: it is no frame."""
        payload, stamp = self._buffer.first_stamped()
        length = len(payload)
        if length not in _SIZES and (length <= CANXL_HEADER_SIZE or not payload[4] & XLF):
            self.malformed += 1
            self.received -= 1
            return None
        self._buffer.note_drops(1)
        return payload, stamp

    @property
    def columns(self) -> RecordColumns:
        """The messages last read, column by column."""
        found = self._columns
        if found is None:
            found = self._columns = RecordColumns(self._buffer)
        return found

    def note_drops(self, count: int) -> None:
        """Take the drop count of the messages last read."""
        self._buffer.note_drops(count)

    def put_received(self, source: ForwardingSocket, count: int, size: int) -> int:
        """Send the first messages that another socket last read, as :meth:`put`."""
        taken = self._descriptor.send_received(source._buffer, count, size)
        self.sent += taken
        return taken

    def put(self, payloads: Sequence[bytes]) -> int:
        """Send payloads in their order, as many as are taken, up to a batch.

        Returns:
            How many were taken, from 1.

        Raises:
            OSError: The first was refused, with the kernel's error number.
        """
        count = self._descriptor.send(payloads)
        self.sent += count
        return count

    def make_frame(self, payload: bytes, stamp_ns: int | None) -> AnyFrame | None:
        """Make the frame of a payload that was received here; None: it is none."""
        return decode_frame(payload, stamp_ns, None, self.interface)
