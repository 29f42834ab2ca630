"""Bars of the results, as PNG and SVG; needs matplotlib (the extra `bench`)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.figures import short
from benchmarks.report import Answered

_OURS, _THEIRS = "#1b6e8c", "#b8b8b8"


def draw(answers: Sequence[Answered], folder: Path, name: str) -> bool:
    """Draw all questions into one picture; False if matplotlib is not installed."""
    try:
        import matplotlib as mpl

        mpl.use("Agg")
        import matplotlib.pyplot as plt
    except ImportError:
        return False
    # The same picture for the same figures: no date, no random ids.
    mpl.rcParams.update(
        {"svg.hashsalt": "millpond", "font.size": 9, "axes.titlesize": 10, "axes.titlelocation": "left"}
    )
    shown = [(question, lines) for question, lines in answers if any(question.chart in line.summary for line in lines)]
    if not shown:
        return True
    heights = [1.1 + 0.32 * len(lines) for _, lines in shown]
    figure, panels = plt.subplots(
        len(shown), 1, figsize=(9, sum(heights)), height_ratios=heights, layout="constrained", squeeze=False
    )
    for panel, (question, lines) in zip(panels[:, 0], shown, strict=True):
        _panel(panel, question, [line for line in lines if question.chart in line.summary])
    for kind in ("png", "svg"):
        metadata = {"Date": None} if kind == "svg" else {"Software": None}
        figure.savefig(folder / f"{name}.{kind}", dpi=110, metadata=metadata)
    plt.close(figure)
    return True


def _panel(panel: Any, question: Any, lines: Any) -> None:
    labels = [line.label for line in lines][::-1]
    figures = [line.summary[question.chart] for line in lines][::-1]
    medians = [figure.median for figure in figures]
    errors = [[f.median - f.low for f in figures], [f.high - f.median for f in figures]]
    ours = [line.contender == "millpond" or "Millpond" in line.label for line in lines][::-1]
    colours = [_OURS if own else _THEIRS for own in ours]
    ends = {"elinewidth": 0.8, "capsize": 2}
    panel.barh(range(len(labels)), medians, xerr=errors, color=colours, error_kw=ends)
    panel.set_yticks(range(len(labels)), labels)
    for index, figure in enumerate(figures):
        panel.annotate(
            short(figure.median), (figure.high, index), xytext=(4, 0), textcoords="offset points", va="center"
        )
    heading = dict(question.columns).get(question.chart, question.chart)
    panel.set_title(question.title)
    panel.set_xlabel(heading)
    panel.xaxis.set_major_formatter(lambda value, _: short(value))
    panel.margins(x=0.12)
    panel.spines[["top", "right"]].set_visible(False)
