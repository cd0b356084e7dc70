"""``anycan interfaces watch``: what happens to interfaces."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from anycan import EventsLost, InterfaceChanged, list_interfaces, watch_interfaces
from anycan.cli.common import COUNT, NetworkOption, counted, emit, say, summary_if_interrupted
from anycan.cli.interfaces_events import EventFormatter, TimestampsOption
from anycan.cli.interfaces_json import event_object

if TYPE_CHECKING:
    from collections.abc import Collection

    from anycan import InterfaceEvent


async def watch(
    *names: Annotated[str, Parameter(name="NAME")],
    timestamps: TimestampsOption = "a",
    as_json: Annotated[bool, Parameter(name="--json")] = False,
    present: bool = False,
    count: Annotated[int | None, Parameter(name=["--count", "-n"], validator=COUNT)] = None,
    network: NetworkOption = None,
) -> int:
    """Print what happens to interfaces, a line for each event: added, up, down, states, changes.

    Ctrl-C ends it with a summary and the exit status 130. It needs no rights.

    Args:
        names: Which interfaces; they need not be there yet. Without names, all.
        timestamps: Show when.
        as_json: Print an object of JSON for each event: *event* is the name of its class, such as
            *InterfaceUp*, and the rest its attributes.
        present: Begin with the interfaces that there are.
        count: End after this many events.
        network: Where the interfaces are.
    """
    printed = 0
    async with watch_interfaces(present=present, network=network) as events:
        there = [one.name for one in await list_interfaces(network=network)]
        for name in names:
            if name not in there:
                say(f"there is no interface {name} yet: waiting for it")
        formatter = EventFormatter(timestamps, names or there)
        with summary_if_interrupted(lambda: counted(printed, "event")):
            async for event in events:
                if names and not _concerns(event, names):
                    continue
                emit(f"{json.dumps(event_object(event))}\n" if as_json else formatter.line(event))
                printed += 1
                if printed == count:
                    break
    return 0


def _concerns(event: InterfaceEvent | EventsLost, names: Collection[str]) -> bool:
    """Tell whether an event is about one of these; a new name is about the former one as well."""
    if isinstance(event, EventsLost) or event.interface.name in names:
        return True
    return isinstance(event, InterfaceChanged) and event.before.name in names
