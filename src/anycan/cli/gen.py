"""``anycan gen``: traffic to test with, as cangen makes it."""

from __future__ import annotations

import random
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Final, Literal, TypeAlias

import anyio
import attrs
from cyclopts import Parameter

from anycan import FdFrame, Filter, Frame, RemoteFrame, open_raw
from anycan.cli.common import (
    COUNT,
    NOT_NEGATIVE,
    NetworkOption,
    UsageError,
    counted,
    emit,
    summary_if_interrupted,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from anycan import AnyFrame, RawEndpoint

Mode: TypeAlias = Literal["r", "i"]

_MODES: Final[Mapping[str, Mode]] = {"r": "r", "i": "i"}
_FD_LENGTHS: Final = (0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 20, 24, 32, 48, 64)
_COUNTER_SIZE: Final = 8  # bytes of incremented data


async def gen(
    interface: str,
    /,
    *,
    gap_ms: Annotated[float, Parameter(name=["--gap-ms", "-g"], validator=NOT_NEGATIVE)] = 200.0,
    count: Annotated[int | None, Parameter(name=["--count", "-n"], validator=COUNT)] = None,
    id: Annotated[str, Parameter(name=["--id", "-I"])] = "r",  # noqa: A002 - the field's own term
    length: Annotated[str, Parameter(name=["--length", "-L"])] = "r",
    data: Annotated[str, Parameter(name=["--data", "-D"])] = "r",
    extended: Annotated[bool, Parameter(name=["--extended", "-e"])] = False,
    fd: Annotated[bool, Parameter(name=["--fd", "-f"])] = False,
    brs: Annotated[bool, Parameter(name=["--brs", "-b"])] = False,
    esi: Annotated[bool, Parameter(name=["--esi", "-E"])] = False,
    remote: Annotated[bool, Parameter(name=["--remote", "-R"])] = False,
    mix: Annotated[bool, Parameter(name=["--mix", "-m"])] = False,
    seed: int | None = None,
    no_loopback: Annotated[bool, Parameter(name=["--no-loopback", "-x"])] = False,
    verbose: Annotated[bool, Parameter(name=["--verbose", "-v"])] = False,
    network: NetworkOption = None,
) -> int:
    """Generate frames and send them, as cangen does.

    With a gap of 0 they are sent as fast as the interface takes them: it waits for room, and no
    frame is lost. Ctrl-C ends it with a summary and the exit status 130.

    Args:
        interface: Where to send.
        gap_ms: Milliseconds from one frame to the next; 0: none.
        count: End after this many frames; without it, go on until Ctrl-C.
        id: Identifiers: *r* random, *i* counting up, or one in hex.
        length: Lengths: *r* random, *i* counting up, or one number of bytes.
        data: Data: *r* random, *i* counting up, or fixed bytes in hex (cut to the length, and
            filled up with zeros).
        extended: Identifiers of 29 bits.
        fd: CAN FD frames.
        brs: CAN FD frames with the bit rate switch.
        esi: CAN FD frames with the error state indicator.
        remote: Remote frames, of classical CAN.
        mix: All kinds, at random.
        seed: Makes random ones the same each time.
        no_loopback: Hide the frames from other programs on this host.
        verbose: Print what is sent.
        network: Where the interfaces are.
    """
    fd = fd or brs or esi
    if remote and fd:
        raise UsageError("--remote is for classical CAN: CAN FD has no remote frames")
    generator = Generator(
        id=_parse_id(id),
        length=_parse_length(length, fd or mix),
        data=_parse_data(data),
        extended=extended,
        fd=fd,
        brs=brs,
        esi=esi,
        remote=remote,
        mix=mix,
        random=random.Random(seed),  # noqa: S311 - test traffic is no secret
    )
    frames: Iterator[AnyFrame] = islice(generator.frames(), count)
    if verbose:
        frames = _printed(frames, interface)
    async with open_raw(
        interface, filters=Filter.none(), loopback=not no_loopback, network=network
    ) as can:
        with summary_if_interrupted(lambda: f"{counted(can.statistics().sent, 'frame')} sent"):
            await _send(can, frames, gap_ms / 1000)
    return 0


async def _send(can: RawEndpoint, frames: Iterable[AnyFrame], gap: float) -> None:
    if not gap:
        await can.send_many(frames)
        return
    due = anyio.current_time()
    for frame in frames:
        await anyio.sleep_until(due)
        await can.send(frame)
        due += gap


def _printed(frames: Iterable[AnyFrame], interface: str) -> Iterator[AnyFrame]:
    for frame in frames:
        emit(f"  {interface}  {frame}\n")
        yield frame


@attrs.frozen(kw_only=True)
class Generator:
    """Makes frames without end.

    Attributes:
        id: ``"r"``, ``"i"`` or an identifier.
        length: ``"r"``, ``"i"`` or a number of bytes.
        data: ``"r"``, ``"i"`` or the bytes.
        extended: Identifiers of 29 bits.
        fd: CAN FD frames.
        brs: With the bit rate switch.
        esi: With the error state indicator.
        remote: Remote frames.
        mix: Each of these at random.
        random: Where chance comes from.
    """

    id: Mode | int = "r"
    length: Mode | int = "r"
    data: Mode | bytes = "r"
    extended: bool = False
    fd: bool = False
    brs: bool = False
    esi: bool = False
    remote: bool = False
    mix: bool = False
    random: random.Random = attrs.field(factory=random.Random)

    def frames(self) -> Iterator[AnyFrame]:
        """Make frames, for ever."""
        number = 0
        chance = self.random.random
        while True:
            if not self.mix:
                yield self._frame(number, self.extended, self.fd, self.remote)
            else:
                fd = chance() < 0.5  # as likely as not, each of them
                yield self._frame(number, chance() < 0.5, fd, not fd and chance() < 0.5)
            number += 1

    def _frame(self, number: int, extended: bool, fd: bool, remote: bool) -> AnyFrame:
        identifier = self._identifier(number, extended)
        extended = extended or identifier > 0x7FF
        lengths = _FD_LENGTHS if fd else _FD_LENGTHS[:9]
        length = self._length(number, lengths)
        if remote and not fd:
            return RemoteFrame(identifier, length, extended=extended)
        data = self._data(number, length)
        if not fd:
            return Frame(identifier, data, extended=extended)
        brs = self.random.random() < 0.5 if self.mix else self.brs
        esi = self.random.random() < 0.5 if self.mix else self.esi
        return FdFrame(identifier, data, extended=extended, brs=brs, esi=esi)

    def _identifier(self, number: int, extended: bool) -> int:
        most = 0x1FFFFFFF if extended else 0x7FF
        if self.id == "r":
            return self.random.randint(0, most)
        if self.id == "i":
            return number & most
        return self.id

    def _length(self, number: int, lengths: tuple[int, ...]) -> int:
        least = 1 if self.data == "i" else 0  # a counter needs a byte to be seen
        if self.length == "r":
            return self.random.choice(lengths[least:])
        if self.length == "i":
            possible = lengths[least:]
            return possible[number % len(possible)]
        return max(least, min(self.length, lengths[-1]))

    def _data(self, number: int, length: int) -> bytes:
        if self.data == "r":
            return self.random.randbytes(length)
        if self.data == "i":
            counter = number % (1 << 8 * _COUNTER_SIZE)
            return counter.to_bytes(_COUNTER_SIZE, "little")[:length].ljust(length, b"\0")
        return self.data[:length].ljust(length, b"\0")


def _parse_id(text: str) -> Mode | int:
    if text in _MODES:
        return _MODES[text]
    try:
        number = int(text, 16)
    except ValueError:
        number = -1
    if not 0 <= number <= 0x1FFFFFFF:
        raise UsageError(f"--id is r, i, or 0 to 1FFFFFFF in hex, not {text!r}")
    return number


def _parse_length(text: str, fd: bool) -> Mode | int:
    if text in _MODES:
        return _MODES[text]
    most = 64 if fd else 8
    if len(text) > 3 or not (text.isascii() and text.isdigit()) or int(text) > most:
        beyond = "" if fd else " (to 64 with --fd)"
        raise UsageError(f"--length is r, i, or 0 to {most}{beyond}, not {text!r}")
    return int(text)


def _parse_data(text: str) -> Mode | bytes:
    if text in _MODES:
        return _MODES[text]
    try:
        return bytes.fromhex(text.replace(".", ""))
    except ValueError:
        raise UsageError(f"--data is r, i, or bytes in hex, not {text!r}") from None
