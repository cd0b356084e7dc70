"""Interfaces and events as plain values, for ``--json``."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any

import attrs

from anycan import CanMode

if TYPE_CHECKING:
    from anycan import EventsLost, Interface, InterfaceEvent


def interface_object(interface: Interface) -> dict[str, Any]:
    """Give an interface as an object of JSON.

    Its keys are the attributes of :class:`anycan.Interface`. A state is its name, control modes
    are a list of names, and what has attributes of its own is an object.
    """
    return _object_of(interface)


def event_object(event: InterfaceEvent | EventsLost) -> dict[str, Any]:
    """Give an event as an object of JSON.

    ``"event"`` is the name of its class, such as ``"InterfaceUp"``; the other keys are the class's
    attributes.
    """
    return {"event": type(event).__name__, **_object_of(event)}


def _object_of(value: Any) -> dict[str, Any]:
    return attrs.asdict(value, value_serializer=_plain)


def _plain(_instance: object, _attribute: object, value: Any) -> Any:
    match value:
        case CanMode():
            return _mode_names(value)
        case enum.Enum():
            return value.name
    return value


def _mode_names(modes: CanMode) -> list[str]:
    names = [mode.name or "" for mode in CanMode if mode in modes]
    unknown = int(modes) & ~sum(CanMode)  # those of a newer kernel
    return [*names, hex(unknown)] if unknown else names
