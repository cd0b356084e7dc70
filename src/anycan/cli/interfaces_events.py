"""Events of interfaces as lines, with candump's time stamps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeAlias

from cyclopts import Parameter

from anycan import (
    ErrorCountersChanged,
    EventsLost,
    Frame,
    InterfaceAdded,
    InterfaceChanged,
    InterfaceDown,
    InterfaceEvent,
    InterfaceRemoved,
    InterfaceStateChanged,
    InterfaceUp,
    ScreenFormatter,
)
from anycan.cli.interfaces_text import (
    counters_words,
    description,
    device_words,
    restart_words,
    shown,
    state_words,
    termination_words,
    value_words,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Timestamps: TypeAlias = Literal["a", "d", "z", "A", "n"]
TimestampsOption: TypeAlias = Annotated[
    Timestamps,
    Parameter(
        name=["--timestamps", "-t"],
        help=(
            "Show when: *a*, the default, seconds since the epoch; *d* since the event before; *z*"
            " since the first; *A* date and time; *n* not at all."
        ),
    ),
]

# Where the attribute's name and value say it badly.
_WORDS: Final[dict[str, Callable[[Any], str]]] = {
    "restart": restart_words,
    "termination": termination_words,
}
_NAMES: Final = {
    "mtu": "MTU",
    "bit_timing": "bit rate",
    "data_bit_timing": "data bit rate",
    "queue_length": "queue",
}
_WITHOUT_VALUES: Final = frozenset(
    {"bit_timing_constants", "data_bit_timing_constants", "delay", "statistics", "can_statistics"}
)


class EventFormatter:
    """Makes lines of events.

    Args:
        timestamps: How to show when.
        names: The interfaces that are known already, for the width of their column.
    """

    def __init__(self, timestamps: Timestamps, names: Iterable[str] = ()) -> None:
        self._screen = ScreenFormatter(timestamps=None if timestamps == "n" else timestamps)
        self._width = max(map(len, map(shown, names)), default=0)

    def line(self, event: InterfaceEvent | EventsLost) -> str:
        """Give the line of an event."""
        name = shown(event.interface.name) if isinstance(event, InterfaceEvent) else "-"
        self._width = max(self._width, len(name))
        stamp = self._stamp(event.timestamp_ns)
        return f"{stamp}  {name:<{self._width}}  {event_words(event)}\n"

    def _stamp(self, timestamp_ns: int) -> str:
        frame = Frame(0, timestamp_ns=timestamp_ns)
        stamp, bracket, _ = self._screen.format([frame]).partition(")")
        return f"{stamp}{bracket}" if bracket else ""


def event_words(event: InterfaceEvent | EventsLost) -> str:
    """Say what has happened."""
    match event:
        case EventsLost():
            text = "events lost: there was no room for them; what follows is what is there now"
        case InterfaceAdded():
            text = f"{'present' if event.present else 'added'}: {description(event.interface)}"
        case InterfaceRemoved():
            text = f"removed: {device_words(event.interface)}"
        case InterfaceUp():
            text = description(event.interface)
        case InterfaceDown():
            text = "down"
        case InterfaceStateChanged():
            text = _state(event)
        case ErrorCountersChanged():
            text = f"error counters: {counters_words(event.interface.error_counters)}"
        case InterfaceChanged():
            text = f"changed: {', '.join(_change(event, name) for name in event.changed)}"
        case _:
            text = type(event).__name__
    return text


def _state(event: InterfaceStateChanged) -> str:
    text = state_words(event.state)
    if event.before is not None:
        text = f"{state_words(event.before)} -> {text}"
    if event.restarted:
        text = f"restarted, {text}"
    counters = event.interface.error_counters
    return f"state: {text}" if counters is None else f"state: {text}, {counters_words(counters)}"


def _change(event: InterfaceChanged, attribute: str) -> str:
    name = _NAMES.get(attribute, attribute.replace("_", " "))
    if attribute in _WITHOUT_VALUES:
        return name
    words = _WORDS.get(attribute, value_words)
    before, after = (getattr(one, attribute) for one in (event.before, event.interface))
    return f"{name} {words(before)} -> {words(after)}"
