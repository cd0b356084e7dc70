"""Plots of what was measured, as SVG for the documentation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from suite.report import number_text, place_text
from suite.results import Spread

if TYPE_CHECKING:
    from pathlib import Path

    from suite.case import Case
    from suite.results import CaseResult

_OURS: Final = "#2a7f62"
_PEERS: Final = "#9aa5b1"


def write_plot(case: Case, result: CaseResult, directory: Path) -> Path | None:
    """Plot a case's first metric, a bar for each contender, and the rounds' spread on it.

    The scale is logarithmic where the greatest is more than twenty times the least.

    Returns:
        The file that was written; None: there is nothing to plot. The same results give the same
        file.
    """
    metric = case.metrics[0]
    shown = [one for one in case.contenders if result.values(one.key, metric.key)]
    if not shown:
        return None
    import matplotlib as mpl  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415 - only here

    mpl.use("svg")
    from matplotlib import pyplot as plt  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415 - as above

    spreads = [Spread.of(result.values(one.key, metric.key)) for one in shown]
    counted = [one.counted(metric) for one in spreads]
    below = [value - one.least for value, one in zip(counted, spreads, strict=True)]
    above = [one.greatest - value for value, one in zip(counted, spreads, strict=True)]
    colours = [_OURS if one.key.startswith("anycan") else _PEERS for one in shown]
    title = f"{case.title}, {place_text(result.place)}" if result.place else case.title
    settings: Any = {"svg.hashsalt": case.key, "svg.fonttype": "none", "font.size": 9}
    path = directory / f"{case.key}.svg"
    with mpl.rc_context(settings):
        figure: Any
        axes: Any
        figure, axes = plt.subplots(figsize=(8, 0.9 + 0.3 * len(shown)), layout="constrained")
        axes.barh(
            [one.title for one in shown],
            counted,
            color=colours,
            xerr=(below, above),
            ecolor="#444444",
        )
        axes.invert_yaxis()
        positive = [one for one in counted if one > 0]
        if positive and max(positive) > 20 * min(positive):
            axes.set_xscale("log")
        axes.set_xlabel(f"{metric.title} (worst)" if metric.worst else metric.title)
        axes.set_title(title, loc="left", fontweight="bold")
        axes.spines[["top", "right"]].set_visible(False)
        for position, value in enumerate(counted):
            text = f" {number_text(metric, value)}"
            axes.text(value + above[position], position, text, va="center")
        axes.margins(x=0.12)
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
        plt.close(figure)
    return path
