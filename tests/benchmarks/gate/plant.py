"""Planted slow-downs: more work for each frame of a workload, to see that the gate finds it."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from gate.batch import BATCH
from gate.workloads.reference import take_frames

if TYPE_CHECKING:
    from collections.abc import Callable

    from gate.meter import Workload

_AT_ONCE: Final = BATCH // 4  # frames of the reference: to begin costs as much as one
_CALL: Final = 0.35  # what it takes to call a function through another one, in these frames


def replace_path(workload: Workload, wrap: Callable[[Any], Any]) -> Callable[[], None]:
    """Replace the function that all frames of a workload go through.

    Args:
        workload: The workload.
        wrap: Given the function, gives the one that takes its place.

    Returns:
        What puts it back.
    """
    module, _, inside = workload.path.partition(":")
    holder: Any = import_module(module)
    *classes, name = inside.split(".")
    for one in classes:
        holder = getattr(holder, one)
    function = getattr(holder, name)
    setattr(holder, name, wrap(function))
    return lambda: setattr(holder, name, function)


def plant(workload: Workload, work: float) -> Callable[[], None]:
    """Have each frame of a workload cost more, in this process.

    Args:
        workload: The workload.
        work: How much, in frames of the reference workload: of a frame whose ratio is 5, half a
            frame's is a tenth. It is at least what a call takes that goes through one more function
            and looks at what it returns, a list of frames, their number or another thing.

    Returns:
        What takes it away again.
    """

    def wrap(function: Any) -> Any:
        owed = 0.0

        def wrapped(*arguments: Any) -> Any:
            nonlocal owed
            result = function(*arguments)
            if result.__class__ is int:
                owed += work * result - _CALL
            elif result.__class__ is list:
                owed += work * len(result) - _CALL
            else:
                owed += work - _CALL
            if owed >= _AT_ONCE:
                do_more()
            elif owed < 0:
                owed = 0.0
            return result

        def do_more() -> None:
            nonlocal owed
            while owed >= _AT_ONCE:
                take_frames(_AT_ONCE)
                owed -= _AT_ONCE

        return wrapped

    return replace_path(workload, wrap)
