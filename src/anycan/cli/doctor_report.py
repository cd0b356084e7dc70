"""What ``anycan doctor`` prints for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.table import Table
from rich.text import Text

from anycan.cli.doctor_finding import INTERFACES, RAW_SOCKETS, Finding, Verdict
from anycan.cli.gateway_report import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from anycan.cli.doctor_finding import Section

_MARKS: Final = {Verdict.OK: "✓", Verdict.WARNING: "!", Verdict.MISSING: "✗"}
_STYLES: Final = {Verdict.OK: "green", Verdict.WARNING: "yellow", Verdict.MISSING: "bold red"}
_FAMILY: Final = (RAW_SOCKETS, "broadcast manager", "ISO-TP", "J1939")
_INDENT: Final = "  "
_LEAST_WIDTH: Final = 60  # columns
_MOST_NAME: Final = 30


def print_report(console: Console, sections: Sequence[Section]) -> None:
    """Print the findings, the commands that mend something, and a summary."""
    console.width = max(console.width, _LEAST_WIDTH)
    findings = [finding for section in sections for finding in section.findings]
    widths = (_shown(finding.name, console.encoding).cell_len for finding in findings)
    width = min(max(widths, default=0), _MOST_NAME)
    for section in sections:
        if section.findings:
            console.print(Text(section.title, style="bold"))
            console.print(_table(section, width, console.encoding))
            console.print()
    commands = commands_of(findings)
    if commands:
        console.print(Text("To mend it", style="bold"))
        for command, names in commands.items():
            # A line of its own each, not folded: to be copied.
            for line in (f"# {', '.join(names)}", command):
                console.print(_INDENT, _shown(line, console.encoding), sep="", soft_wrap=True)
        console.print()
    console.print(_shown(summary(sections), console.encoding))


def _shown(text: str, encoding: str, style: str = "") -> Text:
    """Put text into what a terminal of that encoding can show."""
    known = printable(text).encode(encoding, "backslashreplace").decode(encoding)
    return Text(known, style=style)


def _table(section: Section, width: int, encoding: str) -> Table:
    with_marks = encoding.lower().startswith("utf")
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold", min_width=width, max_width=width)
    table.add_column(overflow="fold")
    for finding in section.findings:
        mark = f"{_MARKS[finding.verdict]} " if with_marks else ""
        table.add_row(
            Text(
                f"{_INDENT}{mark}{finding.verdict.value:<7}",
                style=_STYLES[finding.verdict],
            ),
            _shown(finding.name, encoding),
            _shown(finding.found, encoding),
        )
    return table


def commands_of(findings: Sequence[Finding]) -> dict[str, list[str]]:
    """Give the commands that mend something, each with the names of what it mends."""
    commands: dict[str, list[str]] = {}
    for finding in findings:
        if finding.command is not None:
            commands.setdefault(finding.command, []).append(finding.name)
    return commands


def summary(sections: Sequence[Section]) -> str:
    """Say in a sentence what the machine can do."""
    findings = [finding for section in sections for finding in section.findings]
    verdicts = {finding.name: finding.verdict for finding in findings}
    protocols = [name for name in _FAMILY if verdicts.get(name) is Verdict.OK]
    if RAW_SOCKETS in protocols:
        text = f"This machine can use CAN: {', '.join(protocols)}{_on_interfaces(sections)}"
    else:
        text = (
            "This machine cannot use the kernel's CAN; user networks work (anycan.UserNetwork,"
            " 'anycan demo')"
        )
    missing = dict.fromkeys(one.name for one in findings if one.verdict is Verdict.MISSING)
    return f"{text}; missing: {printable(', '.join(missing) or 'nothing')}."


def _on_interfaces(sections: Sequence[Section]) -> str:
    """Say on which interfaces."""
    names = dict.fromkeys(
        printable(finding.name)
        for section in sections
        for finding in section.findings
        if section.title == INTERFACES and finding.verdict is Verdict.OK
    )
    return f"; on {', '.join(names)}" if names else "; but no interface is up"
