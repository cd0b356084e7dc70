"""A benchmark: contenders that do the same work, what is measured of each, and bounds."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Literal, TypeAlias

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Measured: TypeAlias = "Mapping[str, float]"


class NotHereError(Exception):
    """A contender cannot be measured here: its message says what is missing."""


@attrs.frozen
class Contender:
    """One that is measured.

    Attributes:
        key: Names it in bounds and results; of ours: starts with ``anycan``.
        title: What is printed.
        measure: Measures one round, in a process of its own, forked for it: the case's ``setup``
            has been done before. Gives a value for each of the case's metrics that applies.
            NotHereError: it is left out.
    """

    key: str
    title: str
    measure: Callable[[], Measured]


@attrs.frozen
class Metric:
    """What is measured of each contender.

    Attributes:
        key: Names it.
        title: What is printed, with its unit: ``"µs/frame"``.
        digits: Digits after the point, in tables.
        compared: Whether ratios mean something; otherwise only the values are printed.
        worst: The greatest of the rounds is what counts, in tables and bounds, and not the median:
            of what must not happen once, such as the loss of a frame.
    """

    key: str
    title: str
    digits: int = 1
    compared: bool = True
    worst: bool = False


@attrs.frozen
class Bound:
    """What is promised of a contender.

    The ratio is that of one round, and the median of all rounds is what counts; of a metric whose
    ``worst`` counts, the round that is worst for the bound.

    Attributes:
        contender: Of which.
        metric: Of what.
        most: It is at most so many times the reference's value; without a reference, at most this.
        least: The *reference* takes at least so many times what the contender does.
        reference: The key of the contender that it is compared with; None: the value itself.
        plus: What is added to ``most`` times the reference's value, in the metric's unit.
    """

    contender: str
    metric: str
    most: float | None = None
    least: float | None = None
    reference: str | None = None
    plus: float = 0.0


@attrs.frozen
class Case:
    """A benchmark.

    Attributes:
        key: Names it on the command line and in files.
        title: A heading.
        explanation: What is done, in a paragraph for those who read the table.
        metrics: What is measured; the first is what plots show.
        contenders: In the order of the table.
        reference: The key of the contender that ratios are printed against.
        bounds: What is promised.
        place: ``"kernel"``: it needs PF_CAN and root, and runs in the kernel lab where this machine
            has none; ``"anywhere"``: it runs on this machine.
        rounds: How many; None: as many as the command says.
        setup: Interfaces, programs, whatever there is once for all rounds and contenders.
            NotHereError: all contenders are left out.
    """

    key: str
    title: str
    explanation: str
    metrics: tuple[Metric, ...]
    contenders: tuple[Contender, ...]
    reference: str
    bounds: tuple[Bound, ...] = ()
    place: Literal["kernel", "anywhere"] = "kernel"
    rounds: int | None = None
    setup: Callable[[], AbstractContextManager[object]] = nullcontext
