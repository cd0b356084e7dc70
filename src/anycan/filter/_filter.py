"""What users make filters of: the conditions, as classmethods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, SupportsIndex, cast

import attrs

from anycan.filter import _build as build
from anycan.filter._algebra import Algebra
from anycan.filter._conditions import ByteIn, Kinds, Words
from anycan.filter._expression import NOTHING
from anycan.filter._kinds import CLASSICAL, FLEXIBLE, REMOTE
from anycan.filter._text import parse
from anycan.frame import EFF_FLAG, ErrorClass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from anycan.frame import AnyFrame, FdFrame, Frame, RemoteFrame, XlFrame


@attrs.frozen(eq=False, repr=False)
class Filter(Algebra):
    """Which frames are wanted, in the user's terms.

    Filters are made by the classmethods below and by comparing a :func:`byte`, not by calling the
    class. ``a | b`` takes what either takes, ``a & b`` what both take, ``~a`` what ``a`` does not
    take, and ``a - b`` what ``a`` takes and ``b`` does not.

    **Data and remote frames** are plain logic: ``(~a).matches(frame)`` is
    ``not a.matches(frame)``. **Error frames** are taken only by a filter that names them with
    :meth:`errors`, so that ``~Filter.id(1)`` brings none to a program that did not ask for them,
    as the kernel's inverted filters bring none. Seen as alternatives, each of them conditions that
    all have to hold, an alternative takes an error frame when all hold and one of them is
    :meth:`errors`, not negated. Of an error frame what is asked of identifier, kind, data and
    length is false, and its negation true.

    Two filters are equal when they are made of equal conditions joined alike, in any order,
    negations carried to the conditions: ``~~a == a`` and ``~(a | b) == ~a & ~b``. How identifiers
    of one ``|`` are written does not count:
    ``Filter.id(0) | Filter.id(1) == Filter.range(0, 1)``. Filters that are not equal may still
    take the same frames.

    Example:
        >>> wanted = Filter.id(0x123) | Filter.range(0x700, 0x7FF) - Filter.id(0x7DF)
        >>> wanted.matches(Frame(0x7E8)), wanted.matches(Frame(0x7DF))
        (True, False)
        >>> wanted
        Filter.id(0x123) | (Filter.range(0x700, 0x7FF) & ~Filter.id(0x7DF))
        >>> Filter.id(0x7E8) & (byte(1) == 0x62)
        Filter.id(0x7E8) & (byte(1) == 0x62)
    """

    @classmethod
    def id(cls, identifier: SupportsIndex, *, extended: bool | None = None) -> Filter:
        """Take data frames with one identifier (CAN XL: that priority, whatever the VCID).

        Args:
            identifier: 0 to 0x7FF, or 0 to 0x1FFFFFFF when extended.
            extended: Whether it has 29 bits; None: when it needs them.

        Raises:
            FilterError: It is no integer, or out of range.

        Example:
            >>> Filter.id(0x123).matches(Frame(0x123)), Filter.id(0x123).matches(RemoteFrame(0x123))
            (True, False)
        """
        return cls(build.identifier_is(identifier, extended))

    @classmethod
    def mask(
        cls, identifier: SupportsIndex, mask: SupportsIndex, *, extended: bool | None = None
    ) -> Filter:
        """Take data frames whose identifier agrees with another in the bits of a mask.

        Args:
            identifier: The bits to have.
            mask: The bits that count.
            extended: Whether identifiers have 29 bits; None: when identifier or mask need them.

        Raises:
            FilterError: One is no integer, or out of range.

        Example:
            >>> Filter.mask(0x18FEF100, 0x00FFFF00).matches(Frame(0x0CFEF155))
            True
        """
        return cls(build.identifier_under_mask(identifier, mask, extended))

    @classmethod
    def range(
        cls, first: SupportsIndex, last: SupportsIndex, *, extended: bool | None = None
    ) -> Filter:
        """Take data frames with identifiers from ``first`` to ``last``, both taken.

        For the kernel the range becomes the fewest aligned blocks that make it up.

        Args:
            first: The lowest identifier.
            last: The highest identifier.
            extended: Whether they have 29 bits; None: when ``last`` needs them.

        Raises:
            FilterError: The range is empty or out of range, or an end of it is no integer.

        Example:
            >>> print(Filter.range(0x0FF, 0x180))
            0FF:C00007FF,100:C0000780,180:C00007FF
        """
        return cls(build.identifier_in_range(first, last, extended))

    @classmethod
    def remote(
        cls,
        identifier: SupportsIndex | None = None,
        *,
        mask: SupportsIndex | None = None,
        extended: bool | None = None,
    ) -> Filter:
        """Take remote frames: all, or those of an identifier.

        Args:
            identifier: The identifier, or the bits of it to have; None: any.
            mask: The bits that count; None: all.
            extended: Whether it has 29 bits; None: when it (or the mask) needs them, or either.

        Raises:
            FilterError: One is no integer, or out of range; or a mask stands alone.

        Example:
            >>> Filter.remote(0x123).matches(RemoteFrame(0x123))
            True
        """
        return cls(build.remote_frames(identifier, mask, extended))

    @classmethod
    def standard(cls) -> Filter:
        """Take data and remote frames with 11-bit identifiers, those of CAN XL among them.

        Example:
            >>> Filter.standard().matches(Frame(0x123))
            True
        """
        return cls(Words(((0, EFF_FLAG),), "Filter.standard()"))

    @classmethod
    def extended(cls) -> Filter:
        """Take data and remote frames with 29-bit identifiers.

        Example:
            >>> Filter.extended().matches(Frame(0x123))
            False
        """
        return cls(Words(((EFF_FLAG, EFF_FLAG),), "Filter.extended()"))

    @classmethod
    def classical(cls) -> Filter:
        """Take data and remote frames of classical CAN.

        Example:
            >>> Filter.classical().matches(FdFrame(0x123))
            False
        """
        return cls(Kinds(CLASSICAL | REMOTE, (0, 0), "Filter.classical()"))

    @classmethod
    def fd(cls) -> Filter:
        """Take frames of CAN FD.

        Example:
            >>> Filter.fd().matches(FdFrame(0x123))
            True
        """
        return cls(Kinds(FLEXIBLE, (0, 0), "Filter.fd()"))

    @classmethod
    def xl(
        cls, priority: SupportsIndex | None = None, *, vcid: SupportsIndex | None = None
    ) -> Filter:
        """Take frames of CAN XL.

        Args:
            priority: The priority, 0 to 0x7FF; None: any.
            vcid: The virtual CAN network identifier, 0 to 255; None: any.

        Raises:
            FilterError: One is no integer, or out of range.

        Example:
            >>> Filter.xl(vcid=1).matches(XlFrame(0x123, b"x", vcid=1))
            True
        """
        return cls(build.xl_frames(priority, vcid))

    @classmethod
    def errors(cls, classes: ErrorClass | int = ErrorClass.ALL) -> Filter:
        """Take error frames with any of these classes, and nothing else.

        Args:
            classes: The classes, joined with ``|``.

        Raises:
            FilterError: There is none, or one that no error frame can have.

        Example:
            >>> wanted = Filter.id(0x123) | Filter.errors(ErrorClass.BUS_OFF)
            >>> wanted.matches(ErrorFrame(ErrorClass.BUS_OFF))
            True
        """
        return cls(build.errors_of_classes(classes))

    @classmethod
    def interface(cls, *names: str) -> Filter:
        """Take frames received from one of these interfaces (their ``interface``).

        Raises:
            FilterError: There is no name, or one is no name.

        Example:
            >>> Filter.interface("can0").matches(Frame(0x123, interface="can1"))
            False
        """
        return cls(build.received_from(names))

    @classmethod
    def data(
        cls,
        value: Iterable[int],
        mask: Iterable[int] | None = None,
        *,
        offset: SupportsIndex = 0,
    ) -> Filter:
        r"""Take data frames with these bytes; one that is too short has them not.

        Args:
            value: The bytes.
            mask: The bits of them that count, as long as ``value``; None: all.
            offset: Where in the frame's data they begin, 0 to 2047.

        Raises:
            FilterError: They are no bytes, or none, or do not fit into a frame; the mask has
                another length.

        Example:
            >>> Filter.data(b"\x62\xf1", offset=1).matches(Frame(0x7E8, b"\x04\x62\xf1\x90"))
            True
        """
        return cls(build.data_is(value, mask, offset))

    @classmethod
    def length(
        cls,
        length: SupportsIndex | None = None,
        *,
        minimum: SupportsIndex | None = None,
        maximum: SupportsIndex | None = None,
    ) -> Filter:
        """Take data frames with so many bytes of data.

        Args:
            length: That many, 0 to 2048.
            minimum: That many or more; None: 0.
            maximum: That many or fewer; None: 2048.

        Raises:
            FilterError: One is no integer, or out of range; the minimum is above the maximum;
                none is given, or a length beside the others.

        Example:
            >>> Filter.length(minimum=9).matches(FdFrame(0x123, bytes(12)))
            True
        """
        return cls(build.length_is(length, minimum, maximum))

    @classmethod
    def where(
        cls,
        function: Callable[[Frame | FdFrame | XlFrame | RemoteFrame], object]
        | Callable[[AnyFrame], object],
        *,
        errors: bool = False,
    ) -> Filter:
        r"""Take data and remote frames of which a function is true.

        No kernel can ask it: every frame that passes the conditions beside it (which are asked
        first) wakes the program, and is made an object. What the function raises comes out of
        :meth:`matches`. Two are equal when their functions are.

        Args:
            function: Takes a frame; what it gives is read as true or false.
            errors: Ask it about error frames too, where :meth:`errors` names them.

        Raises:
            FilterError: It cannot be called.

        Example:
            >>> mirrored = Filter.where(lambda frame: frame.data == frame.data[::-1])
            >>> (Filter.id(0x123) & mirrored).matches(Frame(0x123, b"\x01\x02\x01"))
            True
        """
        return cls(build.where_true(cast("Callable[[Any], object]", function), errors))

    @classmethod
    def all(cls) -> Filter:
        """Take every data and remote frame.

        Example:
            >>> Filter.all().matches(Frame(0x123)), Filter.all().matches(ErrorFrame(1))
            (True, False)
        """
        return cls(Words(((0, 0),), "Filter.all()"))

    @classmethod
    def none(cls) -> Filter:
        """Take no frame (an endpoint that only sends, or only wants error frames).

        Example:
            >>> Filter.none() | Filter.id(0x123)
            Filter.id(0x123)
        """
        return cls(NOTHING)

    @classmethod
    def parse(cls, text: str) -> Filter:
        """Read filters in candump's notation, parted by commas: ``123:7FF,400~7F0,#000000FF``.

        ``<id>:<mask>`` and ``<id>~<mask>`` are as :meth:`CanFilter.parse` reads them, any of which
        has to match; with ``j`` among them, all of them. ``#<mask>`` takes error frames of these
        classes. Alone it takes nothing else, where candump then also takes every data frame:
        write ``0:0`` beside it for these.

        Raises:
            ParseError: One of them is no filter; or ``j`` has nothing to join.

        Example:
            >>> Filter.parse("123~7FF,456~7FF,j").matches(Frame(0x456))
            False
        """
        return cls(parse(text))


def filter_of_byte(place: int, allowed: int, text: str) -> Filter:
    """Make the filter of a byte's comparison."""
    return Filter(ByteIn(place, allowed, text))
