"""Running cases: contenders take turns, each measurement in a process of its own."""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import time
import traceback
from typing import TYPE_CHECKING, Final

from suite.case import NotHereError
from suite.results import CaseResult

if TYPE_CHECKING:
    from collections.abc import Callable

    from suite.case import Case, Measured

PATIENCE: Final = 600  # seconds for one measurement


class MeasurementError(Exception):
    """A contender failed: what it has printed says why."""


def run_case(case: Case, rounds: int, tell: Callable[[str], object]) -> CaseResult:
    """Run one case: a round that warms up and does not count, and the rounds.

    In each round the contenders take turns, beginning with another one, so that what else the
    machine does meets all of them alike.

    Args:
        case: The case.
        rounds: How many rounds count, unless the case says.
        tell: Told how far it is.
    """
    result = CaseResult(case.key)
    contenders = list(case.contenders)
    start = time.monotonic()
    with case.setup():
        for number in range(-1, case.rounds or rounds):
            tell(f"{case.key}: round {number + 1} of {case.rounds or rounds}")
            for contender in contenders[:]:
                try:
                    measured = _in_child(contender.measure)
                except NotHereError as error:
                    result.missing[contender.key] = str(error)
                    contenders.remove(contender)
                except MeasurementError as error:
                    raise MeasurementError(f"{case.key}, {contender.key}: {error}") from None
                else:
                    if number >= 0:
                        result.note(contender.key, measured)
            contenders.append(contenders.pop(0))
    tell(f"{case.key}: {time.monotonic() - start:.0f} s")
    return result


def _in_child(measure: Callable[[], Measured]) -> Measured:
    """Measure in a process forked for it: nothing of one contender is in another one's way."""
    gc.collect()
    gc.freeze()  # what is here already is not looked at again and again by the child
    sys.stdout.flush()
    sys.stderr.flush()
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        _be_child(measure, writing)
    os.close(writing)
    gc.unfreeze()
    with os.fdopen(reading, "rb") as pipe:
        answer = pipe.read()
    _, status = os.waitpid(child, 0)
    if not answer:
        raise MeasurementError(f"it ended with status {os.waitstatus_to_exitcode(status)}")
    kind, value = json.loads(answer)
    if kind == "missing":
        raise NotHereError(value)
    if kind == "failed":
        raise MeasurementError(value)
    return {str(key): float(number) for key, number in value.items()}


def _be_child(measure: Callable[[], Measured], writing: int) -> None:
    signal.alarm(PATIENCE)
    try:
        answer: tuple[str, object] = ("measured", dict(measure()))
    except NotHereError as error:
        answer = ("missing", str(error))
    except BaseException:  # noqa: BLE001 - whatever it is, it is the parent who tells it
        answer = ("failed", traceback.format_exc())
    with os.fdopen(writing, "wb") as pipe:
        pipe.write(json.dumps(answer).encode())
    sys.stdout.flush()
    os._exit(0)
