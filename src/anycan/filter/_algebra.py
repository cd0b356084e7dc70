"""Filters as values: joined by ``|``, ``&``, ``~`` and ``-``, compared, asked, written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NoReturn, Self, cast

import attrs

from anycan.exceptions import FilterError
from anycan.filter._conditions import ByteIn, Kinds, Length, ReceivedFrom, Test, Where
from anycan.filter._contradiction import contradiction_of
from anycan.filter._cover import Cover, cover_of, kernel_plan
from anycan.filter._expression import (
    EVERY,
    NOTHING,
    Expression,
    Literal,
    Not,
    both,
    condition_of,
    either,
    key_of,
    literals,
    negate,
    replace,
)
from anycan.filter._kernel import FILTER_LIMIT
from anycan.filter._kinds import kind_of
from anycan.filter._test import compile_test
from anycan.filter._text import candump_of, code_of
from anycan.frame import ErrorClass

if TYPE_CHECKING:
    from collections.abc import Hashable

    from anycan.filter._kernel import CanFilter
    from anycan.frame import AnyFrame

JOIN_HINT: Final = "join filters by & | ~, not by and/or/not"

_set = object.__setattr__


@attrs.frozen(eq=False, repr=False)
class Algebra:
    """What every filter can do. What conditions there are, :class:`Filter` says."""

    _expression: Expression
    _key: Hashable = attrs.field(init=False, default=None)
    _test: Test | None = attrs.field(init=False, default=None)
    _cover: Cover | None = attrs.field(init=False, default=None)
    _plans: dict[int, tuple[tuple[CanFilter, ...], bool]] = attrs.field(init=False, factory=dict)

    def __attrs_post_init__(self) -> None:
        if not isinstance(self._expression, Expression):
            raise FilterError(
                f"a Filter is not made of {self._expression!r}: write Filter.id(0x123),"
                ' Filter.range(0x700, 0x7FF), Filter.parse("123:7FF") or the like'
            )

    def __or__(self, other: Self) -> Self:
        """Take what either takes."""
        if not isinstance(other, Algebra):
            return NotImplemented
        return type(self)(either(self._expression, other._expression))

    def __and__(self, other: Self) -> Self:
        """Take what both take."""
        if not isinstance(other, Algebra):
            return NotImplemented
        return type(self)(both(self._expression, other._expression))

    def __sub__(self, other: Self) -> Self:
        """Take what this takes and the other does not."""
        if not isinstance(other, Algebra):
            return NotImplemented
        return type(self)(both(self._expression, negate(other._expression)))

    def __invert__(self) -> Self:
        """Take what this does not take; no error frame that is not named."""
        return type(self)(negate(self._expression))

    def __bool__(self) -> NoReturn:
        raise TypeError(f"a filter is neither true nor false before a frame is there; {JOIN_HINT}")

    def matches(self, frame: AnyFrame) -> bool:
        """Tell whether the frame is wanted.

        Raises:
            TypeError: It is no frame.

        Example:
            >>> Filter.extended().matches(Frame(0x12345678))
            True
        """
        return self.test(kind_of(frame), frame.can_id, frame.data, frame.interface, frame)

    @property
    def test(self) -> Test:
        """The filter as a function, for those who have a frame's parts.

        Called with the kind (see ``kind_of``), ``can_id``, the data, the name of the interface or
        None, and the frame, or None where :attr:`needs_frame` is false.
        """
        if self._test is None:
            _set(self, "_test", compile_test(self._expression))
        return cast("Test", self._test)

    @property
    def by_word(self) -> bool:
        """For data and remote frames it depends on ``can_id`` alone."""
        return not any(
            isinstance(condition_of(one), Kinds | ByteIn | Length | ReceivedFrom | Where)
            for one in literals(self._expression)
        )

    @property
    def needs_frame(self) -> bool:
        """It has a :meth:`where` condition, which is asked about the frame itself."""
        return any(isinstance(condition_of(one), Where) for one in literals(self._expression))

    def at_interface(self, name: str) -> Self:
        """Give what is left of the filter for frames from one interface.

        Args:
            name: The interface.

        Example:
            >>> wanted = Filter.interface("can0") & Filter.id(1) | Filter.id(2)
            >>> wanted.at_interface("can1")
            Filter.id(0x2)
        """

        def decide(literal: Literal) -> Expression:
            condition = condition_of(literal)
            if not isinstance(condition, ReceivedFrom):
                return literal
            holds = (name in condition.names) != isinstance(literal, Not)
            return EVERY if holds else NOTHING

        return type(self)(replace(self._expression, decide))

    def cover(self) -> Cover:
        """Give the words and error classes that it may take, however many.

        Example:
            >>> Filter.all().cover()
            Cover(cubes=((0, 0),), exact=True, errors=0, errors_exact=True)
        """
        if self._cover is None:
            _set(self, "_cover", cover_of(self._expression))
        return cast("Cover", self._cover)

    def to_kernel(self, limit: int = FILTER_LIMIT) -> tuple[CanFilter, ...]:
        """Give kernel filters that take these data and remote frames.

        They take others too where the kernel cannot be told more (of kinds, data, interfaces and
        functions), or where it takes more filters than ``limit`` to be exact:
        :meth:`kernel_decides`. Error frames have a mask of their own: :meth:`to_errors`.

        Args:
            limit: So many at most, 1 or more; a socket takes 512.

        Raises:
            FilterError: The limit is below 1.

        Example:
            >>> (Filter.id(0x123) | Filter.id(0x122)).to_kernel()
            (CanFilter(0x122, 0xC00007FE),)
            >>> (~Filter.id(0x123)).to_kernel()
            (CanFilter(0x123, 0xC00007FF, inverted=True),)
        """
        return self._plan(limit)[0]

    def _plan(self, limit: int) -> tuple[tuple[CanFilter, ...], bool]:
        if limit not in self._plans:
            self._plans[limit] = kernel_plan(self._expression, limit)
        return self._plans[limit]

    def to_errors(self) -> ErrorClass:
        """Give the classes of error frames to ask the kernel for.

        Example:
            >>> Filter.errors(ErrorClass.BUS_OFF).to_errors() is ErrorClass.BUS_OFF
            True
        """
        return ErrorClass(self.cover().errors)

    def kernel_decides(self, limit: int = FILTER_LIMIT) -> bool:
        """Tell whether what passes the kernel is what the filter takes, no frame more.

        Args:
            limit: The one of :meth:`to_kernel`.

        Raises:
            FilterError: The limit is below 1.

        Example:
            >>> Filter.id(1).kernel_decides(), (Filter.id(1) & (byte(0) == 1)).kernel_decides()
            (True, False)
        """
        return self._plan(limit)[1] and self.cover().errors_exact

    def contradiction(self) -> str | None:
        """Tell why it can match nothing; None: it may match something, or is too long to tell.

        Example:
            >>> print((Filter.fd() & Filter.remote()).contradiction())
            no frame passes both Filter.fd() and Filter.remote(): a frame is of one kind
        """
        return contradiction_of(self._expression)

    def to_candump(self) -> str:
        """Write the filter in candump's notation: :meth:`parse` reads it.

        Raises:
            FilterError: It asks what candump, and the kernel, cannot be told.

        Example:
            >>> (Filter.id(1) | Filter.errors(ErrorClass.BUS_OFF)).to_candump()
            '001:C00007FF,#00000040'
        """
        return candump_of(self._expression)

    def __str__(self) -> str:
        """Give the filter in candump's notation; as code where that cannot say it."""
        try:
            return self.to_candump()
        except FilterError:
            return repr(self)

    def __repr__(self) -> str:
        return code_of(self._expression)

    def _identity(self) -> Hashable:
        if self._key is None:
            _set(self, "_key", key_of(self._expression))
        return self._key

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Algebra):
            return NotImplemented
        return self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(self._identity())

    def __reduce__(self) -> tuple[type[Self], tuple[Expression]]:
        """Pickle what it is made of, not the functions made of it."""
        return type(self), (self._expression,)
