"""What was measured of all cases, and on which machines: the file that ``--json`` writes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import attrs

from suite.results import CaseResult

if TYPE_CHECKING:
    from pathlib import Path

HERE: Final = "this machine"
LAB: Final = "the kernel lab"


@attrs.define
class Findings:
    """What was measured.

    Attributes:
        machines: Of each place, what describes it.
        cases: Of each case, by its key, what its rounds have given.
    """

    machines: dict[str, dict[str, str]] = attrs.Factory(dict)
    cases: dict[str, CaseResult] = attrs.Factory(dict)

    @classmethod
    def read(cls, path: Path) -> Findings:
        """Read what :meth:`write` has written.

        Raises:
            ValueError: That is something else.
        """
        found = json.loads(path.read_text())
        try:
            cases = {key: CaseResult.from_json(one) for key, one in found["cases"].items()}
            return cls(dict(found["machines"]), cases)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError("these are no results of benchmarks") from error

    def write(self, path: Path) -> None:
        """Write all of it."""
        cases = {key: result.to_json() for key, result in self.cases.items()}
        path.write_text(json.dumps({"machines": self.machines, "cases": cases}, indent=1) + "\n")

    def over(self, earlier: Findings) -> Findings:
        """Give this, and what there was earlier of cases and machines that are not in it."""
        return Findings(earlier.machines | self.machines, earlier.cases | self.cases)

    def mixed(self, earlier: Findings) -> list[str]:
        """Give the cases that :meth:`over` keeps, and describes as of a machine they are not of."""
        changed = {
            place
            for place, machine in self.machines.items()
            if earlier.machines.get(place, machine) != machine
        }
        kept = earlier.cases.keys() - self.cases.keys()
        return [key for key, one in earlier.cases.items() if key in kept and one.place in changed]
