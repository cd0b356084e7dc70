"""Saying of each frame who takes it, before an object is made of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Generic, TypeVar

from anycan.filter._kinds import kind_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from anycan.filter._conditions import Test
    from anycan.filter._index import FilterIndex
    from anycan.frame import AnyFrame

TakerT = TypeVar("TakerT")

# A bus has few identifiers, and each is looked up once. Who sends at random shall not fill memory.
_KEPT: Final = 1 << 16


class Trial(Generic[TakerT]):
    """A verdict that the identifier alone does not give.

    Args:
        tests: Who may take a frame of that identifier, each with what decides it (None: nothing
            has to), in their order.
        needs_frame: One of the tests is a function of the user's, which is given the frame.
        fault: Is told when a test raises; the frame is then not taken.
    """

    __slots__ = ("_fault", "_tests", "needs_frame")

    def __init__(
        self,
        tests: Sequence[tuple[TakerT, Test | None]],
        fault: Callable[[TakerT, AnyFrame | None, Exception], object],
        *,
        needs_frame: bool,
    ) -> None:
        self._tests = tests
        self._fault = fault
        self.needs_frame = needs_frame

    def decide(
        self, kind: int, word: int, data: bytes, interface: str | None
    ) -> tuple[TakerT, ...] | Trial[TakerT]:
        """Give who takes a frame of which there is no object yet; itself, where it takes one."""
        if self.needs_frame:
            return self
        return tuple(
            taker
            for taker, test in self._tests
            if test is None or test(kind, word, data, interface, None)
        )

    def decide_frame(self, frame: AnyFrame) -> tuple[TakerT, ...]:
        """Give who takes a frame."""
        kind, word = kind_of(frame), frame.can_id
        data = getattr(frame, "data", b"")  # a remote frame has none
        takers: list[TakerT] = []
        for taker, test in self._tests:
            try:
                if test is None or test(kind, word, data, frame.interface, frame):
                    takers.append(taker)
            except Exception as error:  # noqa: BLE001 - the user's own function; it is reported
                self._fault(taker, frame, error)
        return tuple(takers)


class Verdicts(dict[int, "tuple[TakerT, ...] | Trial[TakerT]"]):
    """Who takes frames of an identifier, by its 32-bit word; looked up at the first one.

    Args:
        index: Where to look.
    """

    def __init__(self, index: FilterIndex[TakerT]) -> None:
        super().__init__()
        self._look_up = index.look_up
        self._forget = index.forget

    def __missing__(self, word: int) -> tuple[TakerT, ...] | Trial[TakerT]:
        if len(self) >= _KEPT:
            self._forget()
        verdict = self[word] = self._look_up(word)
        return verdict


class Sieve(Generic[TakerT]):
    """What a batch of frames goes through as it is decoded.

    Args:
        index: Who takes what.

    Attributes:
        verdicts: The verdict by the frame's 32-bit word: who takes it, or a :class:`Trial`.
        targets: Who takes each of the frames that went through, for the owner to clear.
        refused: How many frames nobody took; for the owner to reset.
    """

    __slots__ = ("refused", "targets", "verdicts")

    def __init__(self, index: FilterIndex[TakerT]) -> None:
        self.verdicts = index.verdicts
        self.targets: list[tuple[TakerT, ...]] = []
        self.refused = 0

    def settle(self, verdict: tuple[TakerT, ...] | Trial[TakerT], frame: AnyFrame) -> bool:
        """Take note of who takes a frame that has been made, and tell whether anybody does."""
        takers = verdict.decide_frame(frame) if isinstance(verdict, Trial) else verdict
        if takers:
            self.targets.append(takers)
            return True
        self.refused += 1
        return False

    def admit(self, frame: AnyFrame) -> bool:
        """Take note of who takes a frame, and tell whether anybody does."""
        return self.settle(self.verdicts[frame.can_id], frame)
