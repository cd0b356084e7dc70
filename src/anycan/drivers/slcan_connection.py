"""The conversation with an slcan adapter whose serial line is open."""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING, Final, Protocol

from anycan.drivers.serial_line import SerialLine
from anycan.drivers.slcan_commands import FAREWELL, commands_for, is_answer
from anycan.drivers.slcan_protocol import (
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
# How long an answer is waited for; of an adapter that has not answered anything, it is none.
_PATIENCE: Final = 200_000_000
_SILENT_PATIENCE: Final = 50_000_000
_SILENT: Final = 2  # so many commands without an answer


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

    def told(self, line: StateLine | StatusLine | ErrorsLine | TextLine) -> None:
        """Take what the adapter tells of itself and of the bus."""
        ...

    def marked(self, marks: Counter[Mark]) -> None:
        """Take note of how many marks of each kind have come in one piece; the piece ends."""
        ...

    def reopened(self) -> None:
        """Take note that the adapter had closed its channel, and is being opened anew."""
        ...

    def steady(self) -> None:
        """Take note that the adapter has not refused to work."""
        ...

    def gone(self, reason: str) -> None:
        """Take note that there is nobody to talk with any more; the connection is closed."""
        ...


class SlcanConnection:
    """An adapter that is open, or about to be.

    Adapters answer in order, or late, or not at all. So one command is written at a time, the next
    one when it is answered, or has not been for a while; frames wait until all commands are
    through. An adapter that has answered nothing is opened a few times more, as it may just have
    begun to run (some do so when their line is opened). One that refuses to tell its status, which
    it has told before, has been reset, and is opened again.

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
        self._commands = commands_for(settings, stamps=stamps)
        self._with_stamps = stamps
        self._stamps = StampClock()
        self._lines = LineSplitter()
        # What has been given to the line and not been told of: whether it is a frame. So many of
        # them, the oldest, have been written.
        self._waiting: deque[bool] = deque()
        self._written = 0
        self._is_telling = False
        self._held: list[bytes] = []  # frames that wait for the opening
        self._frames = 0
        self._position = -1  # of the command that waits for its answer
        self._is_ready = False
        self._unanswered = 0
        self._has_answered = False
        self._done: set[bytes] = set()  # the commands that it says to have carried out
        self._is_doubtful = False  # it may not be open
        self._tries = _TRIES
        self._has_status = False
        self._is_asked = False
        self._refused_since = 0  # it was asked
        self._has_sent = False
        self._marks: Counter[Mark] = Counter()
        self._is_open = True
        self._beat = timers.timer(self._on_beat)
        self._patience = timers.timer(self._on_patience)
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
        self._tries = _TRIES
        self._begin()

    def _begin(self) -> None:
        self._is_ready = self._has_status = self._is_asked = False
        self._has_sent = self._has_answered = self._is_doubtful = False
        self._refused_since = 0
        self._done.clear()
        self._position = -1
        self._beat.start(self._clock.now() + _BEAT)
        if self._has_commands_waiting:  # the line takes no more: it begins when that is written
            self._patience.start(self._clock.now() + _PATIENCE)
        else:
            self._advance()

    @property
    def _has_commands_waiting(self) -> bool:
        return len(self._waiting) > self._frames - len(self._held)

    def _advance(self) -> None:
        """Write the next command, or let frames pass when there is none."""
        self._position += 1
        if self._position == len(self._commands):
            self._release()
            return
        self._write(self._commands[self._position] + b"\r", is_frame=False)
        is_silent = self._unanswered >= _SILENT and not self._has_answered
        self._patience.start(self._clock.now() + (_SILENT_PATIENCE if is_silent else _PATIENCE))

    def _release(self) -> None:
        """Let frames pass."""
        self._patience.cancel()
        self._is_ready = True
        held, self._held = self._held, []
        for data in held:
            self._has_sent = True
            self._waiting.append(True)
            self._written += self._line.write(data)
        self.line_written(0)

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
        line = encode_frame_line(payload)
        if not self._is_ready:
            self._held.append(line)
            self._frames += 1
            return False
        self._has_sent = True
        return self._write(line, is_frame=True)

    def close(self) -> None:
        """Close the adapter's channel, and the line. What waits is told to be lost.

        Frames that wait for the opening alone go out, with what is left of it.
        """
        if self._waiting or not self._held:
            self._end(FAREWELL)
            return
        held, self._held = self._held, []
        commands = self._commands[self._position + 1 :]
        last = b"".join([command + b"\r" for command in commands] + held) + FAREWELL
        self._frames -= len(held)
        self._end(last)
        for _ in held:
            self._host.frame_sent()

    def _write(self, data: bytes, *, is_frame: bool) -> bool:
        is_written = self._line.write(data)
        if is_written and not self._waiting:
            return True
        # Also what is written while others, before it, are still being told of.
        self._waiting.append(is_frame)
        self._frames += is_frame
        self._written += is_written
        return False

    def _end(self, last: bytes = b"") -> None:
        self._is_open = False
        self._beat.discard()
        self._patience.discard()
        self._line.close(last)
        lost, self._frames = self._frames, 0
        self._waiting.clear()
        self._held.clear()
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
                self._has_answered = True
                milliseconds = line.milliseconds if self._with_stamps else None
                stamp_ns = self._stamps.stamp_ns(milliseconds, now_ns)
                self._host.frame_received(line.payload, stamp_ns)
            else:
                self._take(line)
            if not self._is_open:  # by what came, or by who was told of it
                break
        self._tell_marks()

    def _tell_marks(self) -> None:
        marks, self._marks = self._marks, Counter()
        self._host.marked(marks)

    def line_written(self, count: int) -> None:
        """Tell of the frames among what has been written."""
        self._written += count
        if self._is_telling:  # who was told has sent more
            return
        self._is_telling = True
        try:
            while self._written and self._waiting:  # else closed by who was told
                self._written -= 1
                if self._waiting.popleft():
                    self._frames -= 1
                    self._host.frame_sent()
        finally:
            self._is_telling = False

    def line_lost(self, error: OSError) -> None:
        """End: the adapter has been unplugged."""
        if self._is_open:
            self._break_off(error.strerror or str(error))

    def _take(self, line: Line) -> None:
        if isinstance(line, Mark):
            if line is not Mark.GARBAGE:
                self._has_answered = True
            if self._is_ready:
                self._take_mark(line)
            else:
                self._take_answer(line)
            return
        if isinstance(line, FrameLine):
            return
        self._has_answered = True
        if isinstance(line, StatusLine):
            self._has_status = True
            self._is_asked = False
            self._marks[Mark.REFUSED] += self._refused_since  # so those were frames
            self._refused_since = 0
        self._host.told(line)
        if isinstance(line, StatusLine | TextLine) and not self._is_ready:
            self._take_answer(line)

    def _take_answer(self, line: StatusLine | TextLine | Mark) -> None:
        """Take what may be the answer to the command that waits for one."""
        command = b"" if self._position < 0 else self._commands[self._position]
        if not is_answer(line, command):
            if isinstance(line, Mark) and line in {Mark.GARBAGE, Mark.SENT}:
                self._marks[line] += 1
            return
        is_refusal = line is Mark.REFUSED
        self._unanswered = 0
        if is_refusal and command[:1] in {b"S", b"O", b"L"}:
            # At a wrong bit rate it would disturb the bus.
            self._break_off(f"it has refused the command {command.decode()}", FAREWELL)
            return
        if line is Mark.DONE:
            self._done.add(command[:1])
        elif is_refusal and command == b"F":
            # It has no status, or is not open: it began to run when some commands had gone by.
            self._is_doubtful = not {self._commands[3][:1], self._commands[-2][:1]} <= self._done
        self._go_on()

    def _go_on(self) -> None:
        try:
            self._advance()
        except OSError as error:
            self.line_lost(error)

    def _take_mark(self, mark: Mark) -> None:
        """Take what the adapter says of a frame."""
        if mark is Mark.REFUSED and self._is_asked:
            # Where the status follows, it was a frame that was refused, and else the question.
            self._refused_since += 1
        elif mark is Mark.REFUSED and not self._has_sent:
            self._is_doubtful = True  # a command has been refused, which is told late
        else:
            self._marks[mark] += 1

    # As time passes

    def _on_patience(self, _due: int, now: int) -> int | None:
        if self._has_commands_waiting:
            return now + _PATIENCE
        self._unanswered += 1
        self._go_on()
        return None

    def _on_beat(self, _due: int, now: int) -> int | None:
        self._host.steady()
        try:
            self._look_after()
        except OSError as error:
            self.line_lost(error)
        return now + _BEAT if self._is_open else None

    def _look_after(self) -> None:
        if not self._is_ready:
            return
        if self._tries and (self._is_doubtful or not self._has_answered):
            self._tries -= 1
            self._begin()
        elif self._refused_since:
            self._marks[Mark.REFUSED] += self._refused_since - 1
            self._tell_marks()
            if self._is_open:
                self._host.reopened()
                self.begin()
        elif self._has_status and not self._waiting:
            self._is_asked = True
            self._write(b"F\r", is_frame=False)
