"""Finding out which identifiers of a log are ISO-TP connections, from what is said on them.

Any byte may begin with the bits of a first frame, so that it takes a whole conversation to tell:
first frame, flow control from elsewhere, and consecutive frames that come as that asks for.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Final, TypeAlias

import attrs

from anycan.frame import EFF_FLAG, EFF_MASK, FdFrame, Frame
from anycan.wire.isotp import CONTINUE_TO_SEND, OVERFLOW
from anycan.wire.isotp_address import Address
from anycan.wire.isotp_frames import (
    ConsecutiveFrame,
    FirstFrame,
    FlowControlFrame,
    SingleFrame,
    decode_isotp_frame,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from anycan.frame import AnyFrame

_Node: TypeAlias = tuple[str | None, int]  # an interface, and an identifier with its flag

_TIMEOUT: Final = 1_000_000_000  # N_Bs and N_Cr
_LONGEST_FLOW_CONTROL: Final = 8  # bytes of a frame, padded
_MOST_TRANSFERS: Final = 256  # at a time: any traffic has what looks like the beginning of one
_TOLERANCE: Final = 10  # one in so many frames may be out of place
_ALL: Final = -1  # frames that may come before the next flow control


def guess_connections(frames: Iterable[AnyFrame]) -> list[Address]:
    """Find the ISO-TP connections in a log whose identifiers one does not know.

    A pair of identifiers is one when on the first a first frame was answered by flow control (3 to
    8 bytes) on the second within 1 s, and the consecutive frames came as that asked for, to the
    last; whenever a PDU of several frames came whole on the first, and for no other identifier.
    Of several that answer at once, that one counts which ISO 15765-4 or normal fixed addressing
    would have. What else comes on both has to look like ISO-TP, too.

    It is cautious: connections on which nobody sent a PDU of several frames are not found, nor
    those of which the identifiers serve others, too. It knows normal addressing alone; connections
    of normal fixed addressing are found, as such of normal addressing with 29 bits, and those whose
    frames have an address byte are not.

    Args:
        frames: The frames of a log, in their order. Frames of several interfaces are told apart;
            what carries no time stamp came when the frame before it did.

    Returns:
        The connections, in the order in which they began to speak, as the node has them that spoke
        first: of diagnostics, the tester.

    Example:
        >>> log = ["7E0#0322F190", "7E8#100962F190414243", "100#1122", "7E0#300000", "7E8#21444546"]
        >>> guess_connections(Frame.parse(text) for text in log)
        [Address.normal(0x7E0, 0x7E8)]
    """
    guess = _Guess()
    for frame in frames:
        if isinstance(frame, (Frame, FdFrame)):
            guess.feed(frame)
    return list(dict.fromkeys(guess.addresses()))


@attrs.define
class _Traffic:
    """What comes on an identifier.

    Attributes:
        frames: How many frames.
        strange: How many of them look like none of ISO-TP.
        flow_controls: How many of them look like flow control.
        unasked: How many of these nobody waited for.
        transfers: How many PDUs of several frames came whole.
        since: Its place in the order of those that have sent data; None: it has sent none.
    """

    frames: int = 0
    strange: int = 0
    flow_controls: int = 0
    unasked: int = 0
    transfers: int = 0
    since: int | None = None

    @property
    def plausible(self) -> bool:
        """Whether it may be all ISO-TP."""
        return (
            self.strange * _TOLERANCE <= self.frames
            and self.unasked * _TOLERANCE <= self.flow_controls
        )


@attrs.define
class _Transfer:
    """A PDU of several frames that may be coming.

    Attributes:
        missing: How many bytes of it.
        until_ns: When the next frame is too late.
        begun: Consecutive frames have come.
        number: The sequence number of the next one.
        answering: Whose flow control it may be that it goes by, and how many frames may come
            before the next one; 0: it is due.
    """

    missing: int
    until_ns: int
    begun: bool = False
    number: int = 1
    answering: dict[_Node, int] = attrs.Factory(dict)

    def answer(self, node: _Node, frame: FlowControlFrame, now_ns: int) -> bool:
        """Take what may be flow control; tell whether it may be for this one."""
        due = self.answering.get(node) == 0 or (not self.begun and node not in self.answering)
        if not due or frame.status == OVERFLOW or now_ns > self.until_ns:
            self.answering.pop(node, None)
            return False
        block = frame.block_size or _ALL
        self.answering[node] = block if frame.status == CONTINUE_TO_SEND else 0
        self.until_ns = now_ns + _TIMEOUT
        return True

    def go_on(self, frame: ConsecutiveFrame, now_ns: int) -> bool:
        """Take what may be a consecutive frame; tell whether it may be one of this."""
        if frame.number != self.number or now_ns > self.until_ns:
            return False
        self.answering = {
            node: count - 1 if count > 0 else count
            for node, count in self.answering.items()
            if count
        }
        self.begun = True
        self.number = (self.number + 1) & 0x0F
        self.missing -= len(frame.data)
        self.until_ns = now_ns + _TIMEOUT
        return bool(self.answering)


class _Guess:
    """Collects what speaks for pairs of identifiers, and against."""

    def __init__(self) -> None:
        self._traffic: defaultdict[_Node, _Traffic] = defaultdict(_Traffic)
        self._transfers: dict[_Node, _Transfer] = {}  # the one that began longest ago first
        self._answered: defaultdict[_Node, Counter[_Node]] = defaultdict(Counter)
        self._now_ns = 0
        self._speakers = 0

    def feed(self, frame: Frame | FdFrame) -> None:
        """Take the next frame."""
        if frame.timestamp_ns is not None:
            self._now_ns = frame.timestamp_ns
        node = (frame.interface, frame.can_id)
        traffic = self._traffic[node]
        traffic.frames += 1
        decoded = decode_isotp_frame(frame.data)
        if isinstance(decoded, FlowControlFrame) and len(frame.data) <= _LONGEST_FLOW_CONTROL:
            traffic.flow_controls += 1
            traffic.unasked += not self._answer(node, decoded)
        elif isinstance(decoded, ConsecutiveFrame):
            self._go_on(node, decoded)
        elif isinstance(decoded, (FirstFrame, SingleFrame)):
            if traffic.since is None:
                traffic.since = self._speakers
                self._speakers += 1
            self._transfers.pop(node, None)
            if isinstance(decoded, FirstFrame):
                self._begin(node, decoded)
        else:
            traffic.strange += 1
            self._transfers.pop(node, None)

    def _begin(self, node: _Node, frame: FirstFrame) -> None:
        if len(self._transfers) == _MOST_TRANSFERS:
            del self._transfers[next(iter(self._transfers))]
        missing = frame.length - len(frame.data)
        self._transfers[node] = _Transfer(missing, self._now_ns + _TIMEOUT)

    def _answer(self, node: _Node, frame: FlowControlFrame) -> bool:
        awaited = False
        for other, transfer in self._transfers.items():
            if other != node and other[0] == node[0]:
                awaited |= transfer.answer(node, frame, self._now_ns)
        return awaited

    def _go_on(self, node: _Node, frame: ConsecutiveFrame) -> None:
        transfer = self._transfers.get(node)
        if transfer is None:
            return
        if not transfer.go_on(frame, self._now_ns):
            del self._transfers[node]
        elif transfer.missing <= 0:
            del self._transfers[node]
            self._traffic[node].transfers += 1
            self._answered[node].update(transfer.answering.keys())

    def addresses(self) -> Iterator[Address]:
        """Give the connections."""
        partners: defaultdict[_Node, set[_Node]] = defaultdict(set)
        for node, answers in self._answered.items():
            found = [other for other, count in answers.items() if self._belong(node, other, count)]
            if len(found) > 1:  # such as of several that reply to a functional request at once
                found = [other for other in found if _is_usual(node[1], other[1])]
            if len(found) == 1:
                partners[node].add(found[0])
                partners[found[0]].add(node)
        pairs = set()
        for node, others in partners.items():
            (other, *more) = others
            if not more and len(partners[other]) == 1:  # else one identifier is of two pairs
                first, second = sorted((node, other), key=self._order)
                pairs.add((first, second))
        for first, second in sorted(pairs, key=lambda pair: self._since(pair[0])):
            extended = first[1] & EFF_FLAG != 0
            yield Address.normal(first[1] & EFF_MASK, second[1] & EFF_MASK, extended=extended)

    def _order(self, node: _Node) -> tuple[bool, float]:
        return _is_responder(node[1]), self._since(node)

    def _since(self, node: _Node) -> float:
        since = self._traffic[node].since
        return float("inf") if since is None else since

    def _belong(self, node: _Node, other: _Node, count: int) -> bool:
        """Tell whether one identifier answers another one, which it has done so many times."""
        traffic = self._traffic[node]
        return (
            node[1] & EFF_FLAG == other[1] & EFF_FLAG
            and traffic.plausible
            and self._traffic[other].plausible
            and (traffic.transfers - count) * _TOLERANCE <= traffic.transfers
        )


def _is_responder(word: int) -> bool:
    """Tell whether an identifier is one by which a tester is answered, by a standard.

    Source: ISO 15765-4: 0x7E8 to 0x7EF, and 0x18DAF1 with the responder's address.
    """
    if word & EFF_FLAG:
        return word & 0x00FF_FF00 == 0x00DA_F100
    return word & 0x7F8 == 0x7E8


def _is_usual(word: int, other: int) -> bool:
    """Tell whether two identifiers are a pair by a standard.

    Source: ISO 15765-4 (0x7E0 to 0x7E7 with 0x7E8 to 0x7EF); ISO 15765-2:2016, table 28.
    """
    if not word & EFF_FLAG:
        return word ^ other == 8 and word & 0x7F0 == 0x7E0
    swapped = word & ~0xFFFF | (word & 0xFF) << 8 | word >> 8 & 0xFF
    return other == swapped and word & 0x00FF_0000 == 0x00DA_0000
