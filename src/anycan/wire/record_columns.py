"""A received batch column by column: all lengths, all words, all stamps, each in one step."""

from __future__ import annotations

from struct import Struct, calcsize
from typing import TYPE_CHECKING, Any, Final

from anycan.wire.constants import CAN_MTU, CANFD_MTU
from anycan.wire.messages import CONTROL_HEADER, HEADER_SIZE, SECOND, SOCKADDR_CAN_SIZE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from anycan.wire.messages import MessageBuffer

_LENGTH_PLACE: Final = (HEADER_SIZE - calcsize("@I0P")) // calcsize("I")  # struct mmsghdr: msg_len
_BEFORE_STAMP: Final = SOCKADDR_CAN_SIZE + calcsize("@" + CONTROL_HEADER)


class RecordColumns:
    """The columns of a :class:`MessageBuffer` whose messages carry ``SCM_TIMESTAMPNS``.

    Args:
        buffer: The buffer.
    """

    def __init__(self, buffer: MessageBuffer) -> None:
        stride = buffer.stride
        self._headers = memoryview(buffer.headers).cast("I")
        self._header_step = HEADER_SIZE // calcsize("I")
        self._records = memoryview(buffer.records)
        self._stride = stride
        self._words = self._records.cast("I")
        self._word_step = stride // calcsize("I")
        self._longs = self._records.cast("l")  # struct timespec is two of them
        self._long_step = stride // calcsize("l")
        self._stamp_place = (buffer.payload_size + _BEFORE_STAMP) // calcsize("l")
        self._unpack: dict[int, Callable[[Any], Iterator[tuple[bytes]]]] = {
            size: Struct(f"={size}s{stride - size}x").iter_unpack
            for size in (CAN_MTU, CANFD_MTU)
            if size <= buffer.payload_size
        }

    def common_size(self, count: int) -> int:
        """Give the length of the first ``count`` payloads if all are 16, or all 72; else 0."""
        step = self._header_step
        lengths = self._headers[_LENGTH_PLACE : count * step : step].tolist()
        size: int = lengths[0]
        return size if size in self._unpack and lengths.count(size) == count else 0

    def words(self, count: int) -> list[int]:
        """Give the 32-bit words of the first ``count`` frames."""
        step = self._word_step
        return self._words[: count * step : step].tolist()

    def payloads(self, count: int, size: int) -> list[bytes]:
        """Give the first ``count`` payloads, all of this length."""
        return [one for (one,) in self._unpack[size](self._records[: count * self._stride])]

    def stamps(self, count: int) -> list[int]:
        """Give when the first ``count`` messages came, in nanoseconds since the epoch."""
        step, place = self._long_step, self._stamp_place
        end = count * step
        seconds = self._longs[place:end:step].tolist()
        fractions = self._longs[place + 1 : end : step].tolist()
        base = seconds[0] * SECOND
        if seconds[0] == seconds[-1]:
            return [base + fraction for fraction in fractions]
        return [s * SECOND + fraction for s, fraction in zip(seconds, fractions, strict=True)]
