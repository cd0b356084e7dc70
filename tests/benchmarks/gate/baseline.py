"""Baselines: the ratios that workloads had, for each build of Python."""

from __future__ import annotations

import json
import platform
import re
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PATH: Final = Path(__file__).with_name("baseline.json")
MARGIN: Final = 0.05
"""Of one build: in one run and another, and elsewhere on a machine, ratios differ by up to 1 %."""
OTHER_BUILD: Final = 0.1
"""Of one minor version, compiled otherwise: ratios differ by up to 8 %."""
OTHER_VERSION: Final = 0.25
"""Of another minor version: by up to 19 %."""


@attrs.frozen
class Build:
    """A Python.

    Attributes:
        version: Its minor version: ``3.11``.
        text: What it was made for, by what, and how.
    """

    version: str
    text: str


@attrs.frozen
class Baseline:
    """What was counted with one build.

    Attributes:
        build: Which.
        ratios: Of each workload, its ratio to the reference.
    """

    build: Build
    ratios: Mapping[str, float]


@attrs.frozen
class Choice:
    """What to compare with.

    Attributes:
        baseline: The baseline; None: there is none at all.
        margin: What may be more or less.
        remark: Why it is another build's; empty: it is this one's.
    """

    baseline: Baseline | None
    margin: float
    remark: str

    @property
    def ratios(self) -> Mapping[str, float]:
        """The baseline's ratios."""
        return {} if self.baseline is None else self.baseline.ratios


def this_build() -> Build:
    """Give the build of the Python that runs."""
    major, minor, _ = platform.python_version_tuple()
    levels = re.findall(r"-O\w+", str(sysconfig.get_config_var("PY_CFLAGS") or ""))
    parts = [platform.python_implementation(), platform.machine(), platform.python_compiler()]
    parts += levels[-1:]
    if "--enable-optimizations" in str(sysconfig.get_config_var("CONFIG_ARGS") or ""):
        parts.append("profile-guided")
    return Build(f"{major}.{minor}", ", ".join(parts))


def choose(baselines: Iterable[Baseline], build: Build) -> Choice:
    """Find what a build is compared with: its own baseline, else the nearest."""
    ordered = sorted(baselines, key=lambda one: _distance(one.build, build))
    if not ordered:
        return Choice(None, MARGIN, f"There is no baseline yet of {_name(build)}.")
    nearest = ordered[0]
    if nearest.build == build:
        return Choice(nearest, MARGIN, "")
    margin = OTHER_BUILD if nearest.build.version == build.version else OTHER_VERSION
    remark = (
        f"There is no baseline of {_name(build)}. Compared with that of {_name(nearest.build)}, and"
        f" so the margin is {margin:.0%}."
    )
    return Choice(nearest, margin, remark)


def _name(build: Build) -> str:
    return f"Python {build.version} ({build.text})"


def _distance(one: Build, other: Build) -> tuple[int, bool, str]:
    versions = [tuple(map(int, build.version.split("."))) for build in (one, other)]
    (major, minor), (other_major, other_minor) = versions
    return abs(1000 * (major - other_major) + minor - other_minor), one.text != other.text, one.text


def renewed(baselines: Iterable[Baseline], new: Baseline) -> list[Baseline]:
    """Put a baseline in the place of the one that the same build had."""
    return [*(one for one in baselines if one.build != new.build), new]


def read(path: Path) -> list[Baseline]:
    """Read the baselines."""
    if not path.exists():
        return []
    return [
        Baseline(Build(one["version"], one["build"]), one["ratios"])
        for one in json.loads(path.read_text())
    ]


def write(baselines: Iterable[Baseline], path: Path) -> None:
    """Write the baselines."""
    ordered = sorted(
        baselines, key=lambda one: (*map(int, one.build.version.split(".")), one.build.text)
    )
    entries = [
        {
            "version": one.build.version,
            "build": one.build.text,
            "ratios": {key: round(ratio, 4) for key, ratio in one.ratios.items()},
        }
        for one in ordered
    ]
    path.write_text(json.dumps(entries, indent=2) + "\n")
