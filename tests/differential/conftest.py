"""What the comparisons of a run were, told at its end: also of those that ran in the lab."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import pytest

PROGRAMS: Final = "differential"
"""What a test records: a suite's name, how many programs, how many steps, and the seed."""
LINE: Final = "differential-line"
"""What a test records to be told as it is."""


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell how many programs had no difference."""
    programs: Counter[tuple[str, int]] = Counter()
    steps: Counter[tuple[str, int]] = Counter()
    lines: list[str] = []
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties if report.when == "call" else ():
            if name == LINE:
                lines.append(value)
            elif name == PROGRAMS:
                suite, program_count, step_count, seed = value
                programs[suite, seed] += program_count
                steps[suite, seed] += step_count
    lines += (
        f"{suite}: {count:,} programs, {steps[suite, seed]:,} steps, seed {seed}, no difference"
        for (suite, seed), count in programs.items()
    )
    for line in lines:
        terminalreporter.line(line)
