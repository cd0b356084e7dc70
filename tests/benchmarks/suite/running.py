"""Running cases: contenders take turns, each measurement in a process of its own."""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import time
import traceback
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from suite.case import NotHereError
from suite.results import CaseResult

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType
    from typing import NoReturn

    from suite.case import Case, Contender, Measured

PATIENCE: Final = 600  # seconds for one measurement
_ENDING: Final = (signal.SIGTERM, signal.SIGHUP)


class MeasurementError(Exception):
    """A contender failed: what it has printed says why."""


@contextmanager
def ended_in_order() -> Iterator[None]:
    """Make the signals that end a process SystemExit, so that what was set up is taken down."""

    def end(number: int, _: FrameType | None) -> NoReturn:
        raise SystemExit(128 + number)

    # One that is ignored (nohup) stays so, and one that is not Python's (None).
    before = {one: signal.getsignal(one) for one in _ENDING}
    changed = {one: was for one, was in before.items() if was not in (signal.SIG_IGN, None)}
    for one in changed:
        signal.signal(one, end)
    try:
        yield
    finally:
        for one, was in changed.items():
            signal.signal(one, was)


def run_case(case: Case, rounds: int, tell: Callable[[str], object]) -> CaseResult:
    """Run one case: a round that warms up and does not count, and the rounds.

    In each round the contenders take turns, beginning with another one, so that what else the
    machine does meets all of them alike. Who fails is noted, told, and takes no further part; where
    what the case needs cannot be set up, that is so of all of them.

    Args:
        case: The case.
        rounds: How many rounds count, unless the case says.
        tell: Told how far it is, and what has failed.
    """
    result = CaseResult(case.key)
    start = time.monotonic()
    try:
        with case.setup():
            _take_turns(case, case.rounds or rounds, tell, result)
    except Exception as error:  # noqa: BLE001 - whatever it is, other cases go on
        absent = _not_here(error)
        text = traceback.format_exc() if absent is None else str(absent)
        noted = result.failed if absent is None else result.missing
        for contender in case.contenders:
            if contender.key not in result.missing and contender.key not in result.failed:
                noted[contender.key] = text
        tell(f"{case.key}: {text}")
    tell(f"{case.key}: {time.monotonic() - start:.0f} s")
    return result


def _take_turns(case: Case, rounds: int, tell: Callable[[str], object], result: CaseResult) -> None:
    contenders = list(case.contenders)
    for number in range(-1, rounds):
        if not contenders:
            return
        tell(f"{case.key}: round {number + 1} of {rounds}")
        for contender in contenders[:]:
            measured = _measure(contender, result)
            if measured is None:
                contenders.remove(contender)
                if contender.key in result.failed:
                    tell(f"{case.key}, {contender.key}: {result.failed[contender.key]}")
            elif number >= 0:
                result.note(contender.key, measured)
        contenders = contenders[1:] + contenders[:1]


def _measure(contender: Contender, result: CaseResult) -> Measured | None:
    """Measure a contender once; None: it is noted why that was not possible."""
    try:
        return _in_child(contender.measure)
    except NotHereError as error:
        result.missing[contender.key] = str(error)
    except MeasurementError as error:
        result.failed[contender.key] = str(error)
    return None


def _not_here(error: BaseException) -> NotHereError | None:
    """Give what says that something is missing, where nothing else was raised.

    Task groups wrap what is raised in them, as often as they are nested.
    """
    if isinstance(error, NotHereError):
        return error
    if isinstance(error, BaseExceptionGroup):
        found = [_not_here(one) for one in error.exceptions]
        return None if None in found else found[0]
    return None


def _in_child(measure: Callable[[], Measured]) -> Measured:
    """Measure in a process forked for it: nothing of one contender is in another one's way.

    Raises:
        NotHereError: It cannot be measured here.
        MeasurementError: It has failed.
    """
    gc.collect()
    gc.freeze()  # what is here already is not looked at again and again by the child
    sys.stdout.flush()
    sys.stderr.flush()
    reading, writing = os.pipe()
    child = 0
    try:
        child = os.fork()
        if not child:
            _be_child(measure, writing)
        with suppress(OSError):  # the child does so itself, and may have ended
            os.setpgid(child, child)
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            answer = pipe.read()
    finally:
        gc.unfreeze()
        # It has answered, or has died, or nobody waits for it any more. With it goes what it has
        # started: its group is its own.
        status = _end(child) if child else 0
    if not answer:
        code = os.waitstatus_to_exitcode(status)
        if code == -signal.SIGALRM:
            raise MeasurementError(f"it took longer than {PATIENCE} s")
        raise MeasurementError(f"it ended with status {code}")
    kind, value = json.loads(answer)
    if kind == "missing":
        raise NotHereError(value)
    if kind == "failed":
        raise MeasurementError(value)
    return {str(key): float(number) for key, number in value.items()}


def _end(child: int) -> int:
    """Kill a child and all that belongs to it, and give the status with which it has ended."""
    for kill in (os.killpg, os.kill):  # it may not have a group yet
        with suppress(ProcessLookupError, PermissionError):
            kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return status


def _be_child(measure: Callable[[], Measured], writing: int) -> NoReturn:
    try:
        os.setpgid(0, 0)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # reading a terminal would stop this group
        for one in (*_ENDING, signal.SIGALRM):
            signal.signal(one, signal.SIG_DFL)
        signal.alarm(PATIENCE)
        answer = _answer(measure)
        signal.alarm(0)
        sys.stdout.flush()  # before the answer, after which it may be killed
        sys.stderr.flush()
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(answer)
    finally:
        os._exit(0)


def _answer(measure: Callable[[], Measured]) -> bytes:
    try:
        return json.dumps(("measured", dict(measure()))).encode()
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is the parent who tells it
        absent = _not_here(error)
        if absent is not None:
            return json.dumps(("missing", str(absent))).encode()
        return json.dumps(("failed", traceback.format_exc())).encode()
