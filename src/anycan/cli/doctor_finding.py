"""What ``anycan doctor`` finds."""

from __future__ import annotations

import enum
from typing import Any, Final

import attrs

RAW_SOCKETS: Final = "raw sockets"
"""The name of the finding on which it depends whether this machine can use CAN."""
INTERFACES: Final = "Interfaces"
"""The title of the section that has the interfaces."""


class Verdict(enum.Enum):
    """Whether something is as it should be."""

    OK = "ok"
    WARNING = "warning"  # it works, and not as well as it could; or nobody knows
    MISSING = "missing"


@attrs.frozen
class Finding:
    """One thing that was looked at.

    Attributes:
        name: What.
        verdict: Whether it is as it should be.
        found: What was found, and what that means.
        command: The shell command that mends it; None: nothing to mend, or no command does.
    """

    name: str
    verdict: Verdict
    found: str
    command: str | None = None

    def as_object(self, section: str) -> dict[str, Any]:
        """Give it as an object of JSON."""
        return {"section": section, **attrs.asdict(self), "verdict": self.verdict.value}


@attrs.frozen
class Section:
    """Findings of a kind.

    Attributes:
        title: What they are about.
        findings: They.
    """

    title: str
    findings: tuple[Finding, ...]
