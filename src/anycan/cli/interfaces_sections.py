"""Everything of an interface, in words: what ``anycan interfaces show`` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

import attrs

from anycan.cli.common import counted
from anycan.cli.interfaces_text import (
    address_words,
    bitrate_words,
    counters_words,
    mode_names,
    peer_words,
    percent,
    restart_words,
    shown,
    state_words,
    termination_words,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anycan import BitTiming, BitTimingConstants, Interface, LinkStatistics, TransmitterDelay

Rows: TypeAlias = "list[tuple[str, str]]"

_SHOWN_ALWAYS: Final = frozenset(
    f"{direction}_{what}"
    for direction in ("rx", "tx")
    for what in ("packets", "bytes", "errors", "dropped")
)

_COUNTED: Final = {
    "bus_error": "bus errors",
    "error_warning": "error-warning",
    "error_passive": "error-passive",
    "bus_off": "bus-off",
}


def sections_of(interface: Interface, names: dict[int, str]) -> Iterator[tuple[str, Rows]]:
    """Give sections, each with its title and its rows; what the interface has not is left out.

    Args:
        interface: The interface.
        names: The names of the interfaces that there are, by index.
    """
    sections = {
        "Link": _link(interface, names),
        "Controller": _controller(interface),
        "Bit timing": _timing(
            interface.bit_timing,
            interface.bit_timing_constants,
            interface.bitrates,
            interface.clock,
        ),
        "Data phase (CAN FD)": [
            *_timing(
                interface.data_bit_timing,
                interface.data_bit_timing_constants,
                interface.data_bitrates,
                interface.clock,
            ),
            *_delay(interface.delay),
        ],
        "Counters": _counters(interface),
        "Statistics": _statistics(interface.statistics),
        "Device": _known(
            ("driver", shown(interface.driver or "")), ("address", address_words(interface))
        ),
    }
    for title, rows in sections.items():
        if rows:
            yield title, rows


def _known(*rows: tuple[str, str]) -> Rows:
    """Leave out what is not known."""
    return [row for row in rows if row[1] and row[1] != "-"]


def _link(interface: Interface, names: dict[int, str]) -> Rows:
    takes = ["classical CAN"]
    if interface.takes_fd:
        takes.append("CAN FD")
    if interface.takes_xl:
        takes.append(f"CAN XL to {interface.mtu - 12} bytes")
    queue = "" if interface.queue_length is None else f"{interface.queue_length} frames"
    if interface.queueing:
        queue = ", ".join([*([queue] if queue else []), shown(interface.queueing)])
    carrier = "yes" if interface.carrier else "no"
    if interface.carrier_changes is not None:
        carrier += f", {counted(interface.carrier_changes, 'change')}"
    return _known(
        ("index", f"{interface.index}"),
        ("network", shown(interface.network)),
        ("kind", shown(interface.kind or "")),
        ("other end", peer_words(interface, names)),
        ("MTU", f"{interface.mtu} ({', '.join(takes)})"),
        ("queue", queue),
        ("carrier", carrier),
        ("group", "" if interface.group is None else f"{interface.group}"),
        ("alias", shown(interface.alias or "")),
        ("other names", shown(", ".join(interface.other_names))),
    )


def _controller(interface: Interface) -> Rows:
    modes = ", ".join(mode_names(interface.modes)) or "none"
    clock = "" if interface.clock is None else _frequency(interface.clock)
    termination = termination_words(interface.termination)
    if interface.terminations:
        termination += f" (of {_numbers(interface.terminations)})"
    greatest = interface.bitrate_max
    return _known(
        ("state", state_words(interface.state)),
        ("modes", "" if interface.modes is None else modes),
        ("modes it has", ", ".join(mode_names(interface.supported_modes))),
        ("restart", restart_words(interface.restart)),
        ("termination", termination),
        ("clock", clock),
        ("fastest bit rate", "" if greatest is None else bitrate_words(greatest)),
    )


def _timing(
    timing: BitTiming | None,
    constants: BitTimingConstants | None,
    bitrates: tuple[int, ...] | None,
    clock: int | None,
) -> Rows:
    rows = []
    if timing is not None:
        rows += _known(
            ("bit rate", f"{bitrate_words(timing.bitrate)} ({timing.bitrate:,} bit/s)"),
            ("sample point", percent(timing.sample_point) if timing.sample_point else ""),
            ("time quantum", _quantum(timing, clock)),
            ("segments", _segments(timing)),
            ("SJW", f"{timing.sjw} tq" if timing.sjw else ""),
        )
    elif constants is not None or bitrates is not None:
        rows.append(("bit rate", "not set"))
    if constants is not None:
        rows += _known(("controller", shown(constants.name)), ("limits", _limits(constants)))
    if bitrates is not None:
        rows.append(("bit rates it has", ", ".join(map(bitrate_words, bitrates)) or "none"))
    return rows


def _quantum(timing: BitTiming, clock: int | None) -> str:
    if not timing.tq:
        return ""
    divided = f" ({_frequency(clock)} / {timing.brp})" if clock and timing.brp else ""
    return f"{timing.tq} ns{divided}"


def _frequency(hertz: int) -> str:
    for digits, unit in ((6, "MHz"), (3, "kHz")):
        if hertz >= 10**digits:
            return f"{hertz / 10**digits:.10g} {unit}"
    return f"{hertz} Hz"


def _segments(timing: BitTiming) -> str:
    parts = (timing.prop_seg, timing.phase_seg1, timing.phase_seg2)
    if not any(parts):
        return ""
    return (
        f"prop_seg {parts[0]}, phase_seg1 {parts[1]}, phase_seg2 {parts[2]}: a bit has"
        f" {1 + sum(parts)} tq"
    )


def _limits(constants: BitTimingConstants) -> str:
    text = (
        f"tseg1 {constants.tseg1_min}..{constants.tseg1_max},"
        f" tseg2 {constants.tseg2_min}..{constants.tseg2_max}, SJW 1..{constants.sjw_max},"
        f" brp {constants.brp_min}..{constants.brp_max}"
    )
    return text if constants.brp_inc <= 1 else f"{text} in steps of {constants.brp_inc}"


def _delay(delay: TransmitterDelay | None) -> Rows:
    """Give transmitter delay compensation, in clock periods."""
    if delay is None:
        return []
    values = {
        "value": (delay.value, delay.value_min, delay.value_max),
        "offset": (delay.offset, delay.offset_min, delay.offset_max),
        "filter": (delay.filter, delay.filter_min, delay.filter_max),
    }
    parts = []
    for name, (value, least, greatest) in values.items():
        if value is None and greatest is None:
            continue
        text = f"{name} {'-' if value is None else value}"
        parts.append(text if greatest is None else f"{text} of {least or 0}..{greatest}")
    return _known(("delay", ", ".join(parts)))


def _counters(interface: Interface) -> Rows:
    rows = _known(("error counters", counters_words(interface.error_counters)))
    counts = interface.can_statistics
    if counts is not None:
        rows += [
            (_COUNTED.get(name, name.replace("_", " ")), f"{count:,}")
            for name, count in attrs.asdict(counts).items()
        ]
    return rows


def _statistics(counts: LinkStatistics | None) -> Rows:
    if counts is None:
        return []
    rows = [
        (word, _direction(counts, direction))
        for word, direction in (("received", "rx"), ("sent", "tx"))
    ]
    for name, count in attrs.asdict(counts).items():
        if count and name not in _SHOWN_ALWAYS:
            rows.append((name.replace("_", " "), f"{count:,}"))
    return rows


def _direction(counts: LinkStatistics, direction: str) -> str:
    frames, size, failed, dropped = (
        getattr(counts, f"{direction}_{what}") for what in ("packets", "bytes", "errors", "dropped")
    )
    return f"{frames:,} frames, {size:,} bytes, {failed:,} errors, {dropped:,} dropped"


def _numbers(numbers: tuple[int, ...]) -> str:
    return ", ".join(map(str, numbers))
