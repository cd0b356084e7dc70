"""The conversation with an slcan adapter whose serial line is open."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, Protocol

from anycan.drivers.serial_line import SerialLine
from anycan.drivers.slcan_protocol import (
    BITRATES,
    ErrorsLine,
    FrameLine,
    LineSplitter,
    Mark,
    StateLine,
    StatusLine,
    TextLine,
    encode_frame_line,
)
from anycan.drivers.slcan_stamps import StampClock

if TYPE_CHECKING:
    from anycan.drivers.slcan_protocol import Line
    from anycan.drivers.slcan_settings import SlcanSettings
    from anycan.engine.timers import Timers
    from anycan.network.core.stack import Clock

_BEAT: Final = 1_000_000_000
_TRIES: Final = 3
# The first carriage return ends what may stand in the adapter of a line that was broken off.
_FAREWELL: Final = b"\rC\r"


class Host(Protocol):
    """Who talks with an adapter. Nothing of this may raise."""

    def frame_received(self, payload: bytes, stamp_ns: int) -> None:
        """Take a frame, and when it came."""
        ...

    def frame_sent(self) -> None:
        """Take note that the oldest frame that waited has been written."""
        ...

    def frame_lost(self) -> None:
        """Take note that the oldest frame that waited will not be written."""
        ...

    def told(self, line: StateLine | StatusLine | ErrorsLine | TextLine | Mark) -> None:
        """Take what the adapter tells of a frame (a mark), of itself and of the bus."""
        ...

    def steady(self) -> None:
        """Take note that the adapter has not refused to work."""
        ...

    def gone(self, reason: str) -> None:
        """Take note that there is nobody to talk with any more; the connection is closed."""
        ...


class SlcanConnection:
    """An adapter that is open. It is so as soon as the commands are written.

    Adapters answer in order, or do not answer. So an answer belongs to the oldest of the commands
    that wait for one, and to a frame when none does; a second after they were written, none does.

    Args:
        path: The serial line.
        speed: Its speed, in bits a second.
        settings: What the adapter is to be set to.
        host: Who talks with it.
        clock: Gives the time.
        timers: Ask for its status, each second.
        stamps: It is to give time stamps.

    Raises:
        OSError: The line cannot be opened, or is lost at once.
        RuntimeError: No event loop runs.
    """

    def __init__(
        self,
        path: str,
        speed: int,
        settings: SlcanSettings,
        host: Host,
        clock: Clock,
        timers: Timers,
        *,
        stamps: bool,
    ) -> None:
        self._host = host
        self._clock = clock
        self._commands = _commands(settings, stamps=stamps)
        self._with_stamps = stamps
        self._stamps = StampClock()
        self._lines = LineSplitter()
        self._waiting: deque[bool] = deque()  # what is not written yet: whether it is a frame
        self._frames = 0
        self._awaited: deque[bytes] = deque()
        self._has_status = False
        self._unanswered = 0
        self._is_open = True
        self._beat = timers.timer(self._on_beat)
        self._line = SerialLine(path, speed, self)
        try:
            self.begin()
        except OSError:
            self._end()
            raise

    def begin(self) -> None:
        """Have the adapter begin anew: close its channel, set it, and open it.

        Raises:
            OSError: The line is gone.
        """
        self._awaited.clear()
        self._awaited.extend(self._commands)
        self._unanswered = 1
        self._write(b"".join(command + b"\r" for command in self._commands), is_frame=False)
        self._beat.start(self._clock.now() + _BEAT)

    @property
    def frames_waiting(self) -> int:
        """How many frames are not written yet."""
        return self._frames

    def send(self, payload: bytes) -> bool:
        """Send a frame.

        Returns:
            Whether it has been written; if not, the host is told.

        Raises:
            OSError: The line is gone.
        """
        return self._write(encode_frame_line(payload), is_frame=True)

    def close(self) -> None:
        """Close the adapter's channel, and the line. What waits is told to be lost."""
        self._end(_FAREWELL)

    def _write(self, data: bytes, *, is_frame: bool) -> bool:
        if self._line.write(data):
            return True
        self._waiting.append(is_frame)
        self._frames += is_frame
        return False

    def _end(self, last: bytes = b"") -> None:
        self._is_open = False
        self._beat.discard()
        self._line.close(last)
        lost, self._frames = self._frames, 0
        self._waiting.clear()
        for _ in range(lost):
            self._host.frame_lost()

    def _break_off(self, reason: str, last: bytes = b"") -> None:
        self._end(last)
        self._host.gone(reason)

    # What the line tells

    def line_read(self, data: bytes) -> None:
        """Take what has come from the adapter."""
        now_ns = self._clock.stamp_ns()
        for line in self._lines.feed(data):
            if isinstance(line, FrameLine):
                milliseconds = line.milliseconds if self._with_stamps else None
                stamp_ns = self._stamps.stamp_ns(milliseconds, now_ns)
                self._host.frame_received(line.payload, stamp_ns)
            else:
                self._take(line)
            if not self._is_open:  # by what came, or by who was told of it
                return

    def line_written(self, count: int) -> None:
        """Tell of the frames among what has been written."""
        for _ in range(count):
            if not self._waiting:  # closed by who was told
                return
            if self._waiting.popleft():
                self._frames -= 1
                self._host.frame_sent()

    def line_lost(self, error: OSError) -> None:
        """End: the adapter has been unplugged."""
        self._break_off(error.strerror or str(error))

    def _take(self, line: Line) -> None:
        match line:
            case Mark.DONE if self._awaited:
                self._awaited.popleft()
            case Mark.REFUSED if self._awaited:
                self._on_refused(self._awaited.popleft())
            case Mark.REFUSED if self._unanswered and not self._has_status:
                self._on_refused(b"F")
            case StatusLine():
                self._answered(b"F")
                self._has_status = True
                self._unanswered = 0
                self._host.told(line)
            case TextLine(command=command):
                self._answered(command.encode())
                self._host.told(line)
            case StateLine() | ErrorsLine() | Mark():
                self._host.told(line)

    def _answered(self, command: bytes) -> None:
        """Take note of an answer that says what it answers: those before it will have none."""
        if command in self._awaited:
            while self._awaited.popleft() != command:
                pass

    def _on_refused(self, command: bytes) -> None:
        if command == b"F":
            self._unanswered = _TRIES
        elif command[:1] in {b"S", b"O", b"L"}:
            # At a wrong bit rate it would disturb the bus.
            self._break_off(f"it has refused the command {command.decode()}", _FAREWELL)

    # Each second

    def _on_beat(self, _due: int, now: int) -> int | None:
        self._awaited.clear()
        self._host.steady()
        if not self._has_status and self._unanswered >= _TRIES:
            return None  # it has no status to tell
        if not self._waiting:
            self._unanswered += 1
            try:
                self._write(b"F\r", is_frame=False)
            except OSError as error:
                self.line_lost(error)
                return None
        return now + _BEAT


def _commands(settings: SlcanSettings, *, stamps: bool) -> list[bytes]:
    """Give what opens an adapter, whatever it did before."""
    return [
        b"C",
        b"V",
        b"N",
        b"S%d" % BITRATES.index(settings.bitrate),
        *([b"Z1"] if stamps else []),
        b"L" if settings.listen_only else b"O",
        b"F",
    ]
