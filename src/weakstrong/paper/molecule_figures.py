"""Figures of weak-to-strong supervision on molecules: Figures 2d-f, and choosing among students."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, SymmetricalLogLocator

from weakstrong.paper.molecule_claims import BESIDE, ROWS
from weakstrong.paper.molecule_settings import JudgedOn, MoleculeSettings
from weakstrong.record import Result
from weakstrong.report.figures import blank_figure

_TAIL = 0.01  # share of points on each side that may lie outside a frame
_TICKS = 6  # of an axis, at most
_LOG_FROM = 20.0  # times the median, from which a misfit needs a logarithmic axis


def molecules_figure(rows: pd.DataFrame, config: MoleculeSettings, title: str) -> Figure:
    """Draw gain against misfit, one colour for each weak model: the first division, then all.

    Parameters
    ----------
    rows : DataFrame
        From `weakstrong.paper.molecule_statistics.by_division`.
    config : MoleculeSettings
    title : str
    """
    figure = blank_figure((15.0, 4.6 * len(config.heads)))
    roles = "roles swapped, supervisor" if config.swap_roles else "student"
    caption = f"{title}; {roles} {_label(config.strong)}; means over molecules, squared units of the label"
    figure.suptitle(caption, fontsize=12)
    grid = figure.subplots(len(config.heads), 3, squeeze=False)
    for axes_row, heads in zip(grid, config.heads, strict=True):
        points = rows[rows["heads"] == heads]
        first = points["seed"] == config.seed
        judged, beside = (points["evaluation"] == name for name in (config.judge_on, BESIDE[config.judge_on]))
        what = _first_division(config, points["split"].nunique())
        rows_judged = ROWS[config.judge_on]
        log_scale = spans_magnitudes(points["misfit"])
        panels = (
            (points[first & judged], f"{heads} heads: {what}, {rows_judged}"),
            (points[first & beside], f"the same, judged on {ROWS[BESIDE[config.judge_on]]}"),
            (points[judged], f"{config.seeds} divisions of each split, {rows_judged}"),
        )
        for axes, (part, caption) in zip(axes_row, panels, strict=True):
            _draw_gain_against_misfit(axes, part, config, log_scale=log_scale, small=axes is axes_row[-1])
            axes.set_title(caption, fontsize=9)
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, fontsize=9, loc="outside right center")
    return figure


def spans_magnitudes(misfit: pd.Series) -> bool:
    """Tell whether the largest misfit is many times the median, so that an axis must be logarithmic."""
    return bool(misfit.max() > _LOG_FROM * misfit.median())


def _first_division(config: MoleculeSettings, splits: int) -> str:
    """Say what the first division of each split is."""
    if config.splits == "redrawn" and config.seed > 0:
        return f"one division of {splits} redrawn splits"
    if config.student_rows == "same" and config.true_labels is None:
        return f"the published division of {splits} splits"
    return f"one division of {splits} published splits"


def _draw_gain_against_misfit(
    axes: Axes, rows: pd.DataFrame, config: MoleculeSettings, *, log_scale: bool, small: bool
) -> None:
    if log_scale:
        axes.set_xscale("log")
        axes.set_yscale("symlog", linthresh=1.0)
        _few_ticks(axes, "log", "symlog")
        span = np.geomspace(rows["misfit"].min() / 1.5, rows["misfit"].max() * 1.5, 100)
    else:
        largest = rows["misfit"].quantile(1 - _TAIL) if small else rows["misfit"].max()
        span = np.array([0, largest * 1.1])
        _few_ticks(axes, "linear", "linear")
    axes.plot(span, span, color="0.4", linestyle="--", linewidth=1, label="gain = misfit", zorder=1)
    if config.swap_roles or log_scale:
        axes.plot(span, -span, color="0.4", linestyle=":", linewidth=1, label="gain = −misfit", zorder=1)
    axes.axhline(0, color="0.75", linewidth=1, zorder=0)
    weak = "student" if config.swap_roles else "supervisor"
    for index, name in enumerate(config.weak):
        points = rows[rows[weak] == name]
        axes.scatter(
            points["misfit"], points["gain"], color=_colour(index, len(config.weak)), label=_label(name),
            s=10 if small else 30, alpha=0.6 if small else 1.0, linewidth=0,
        )  # fmt: skip
    axes.set_xlim(span[0], span[-1])
    outside = int((rows["misfit"] > span[-1]).sum())
    outside_text = "1 point" if outside == 1 else f"{outside} points"
    scale = " (logarithmic)" if log_scale else ""
    axes.set_xlabel(f"misfit{scale}" + (f" ({outside_text} outside the frame)" if outside else ""))
    axes.set_ylabel("gain in accuracy")


def _few_ticks(axes: Axes, x: str, y: str) -> None:
    """Label a few ticks of each axis, so that they do not overlap."""
    for axis, scale in ((axes.xaxis, x), (axes.yaxis, y)):
        if scale == "log":
            axis.set_major_locator(LogLocator(numticks=_TICKS))
        elif scale == "symlog":
            locator = SymmetricalLogLocator(base=10, linthresh=1.0)
            locator.set_params(numticks=_TICKS)
            axis.set_major_locator(locator)
        else:
            axis.set_major_locator(MaxNLocator(_TICKS))
        axis.set_minor_formatter(NullFormatter())


def ranking_figure(results: Sequence[Result], title: str, judge_on: JudgedOn = "valid+test") -> Figure:
    """Draw each student's true error against weak error − misfit: one division of each split, then all.

    Parameters
    ----------
    results : sequence of Result
        One for each class of heads.
    title : str
    judge_on : str
        Rows that errors are means over.
    """
    figure = blank_figure((11.5, 4.8 * len(results)))
    figure.suptitle(f"{title}; {ROWS[judge_on]}, squared units of the label", fontsize=12)
    for axes_row, result in zip(figure.subplots(len(results), 2, squeeze=False), results, strict=True):
        heads, evaluation = result.about["heads"], result.estimates[judge_on]
        table = sorted(evaluation["table"], key=lambda row: _width(row["weak"]))
        errors = [_value(row["strong_error"], first) for row in table for first in (True, False)]
        log_scale = max(errors) > _LOG_FROM * min(errors)
        for axes, first in zip(axes_row, (True, False), strict=True):
            for index, row in enumerate(table):
                _draw_student(axes, row, first=first, colour=_colour(index, len(table)))
            rule, true = ([_value(row[c], first) for row in table] for c in _COLUMNS)
            if log_scale:
                axes.set_yscale("log")
                axes.set_xscale("symlog", linthresh=1.0)
            _few_ticks(axes, *(("symlog", "log") if log_scale else ("linear", "linear")))
            picked = int(np.argmin(rule))
            axes.scatter(
                rule[picked], true[picked], s=160, facecolor="none", edgecolor="0.2", label="the rule's pick"
            )
            spearman = evaluation["ranking"]["first" if first else "all"].value
            caption = "one division a split, ± std over splits" if first else "all divisions, 95% intervals"
            correlation = f"; Spearman {spearman:.2f}" if np.isfinite(spearman) else ""
            axes.set_title(f"{heads} heads: {caption}{correlation}", fontsize=10)
            axes.set_xlabel("weak error − misfit")
            axes.set_ylabel("true error of the student")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, fontsize=9, loc="outside right center")
    return figure


_COLUMNS = ("weak_error_minus_misfit", "strong_error")


def _draw_student(axes: Axes, row: dict[str, Any], *, first: bool, colour: Any) -> None:
    bars = []
    for column in _COLUMNS:
        std, estimate = row[column]["first"]["std"], row[column]["all"]
        sides = [std, std] if first else [estimate.value - estimate.low, estimate.high - estimate.value]
        bars.append([[max(side, 0.0)] for side in sides])
    x, y = (_value(row[column], first) for column in _COLUMNS)
    name = _label(row["weak"])
    axes.errorbar(x, y, bars[1], bars[0], fmt="o", color=colour, markersize=5, linewidth=1, label=name)


def _value(cell: dict[str, Any], first: bool) -> float:
    return float(cell["first"]["mean"] if first else cell["all"].value)


def _label(name: str) -> str:
    """Return the last part of a path, with dollar signs escaped for matplotlib."""
    last = name.rsplit("/", maxsplit=1)[-1].replace("{dataset}.", "").removesuffix(".npy")
    return last.replace("$", r"\$")[-40:]


def _width(name: str) -> tuple[int, str]:
    """Return a sort key: the width that a weak model's name ends in, then the name."""
    digits = name.rsplit("-", maxsplit=1)[-1]
    return (int(digits) if digits.isdigit() else 0, name)


def _colour(index: int, count: int) -> Any:
    return colormaps["tab10" if count <= 10 else "tab20"](index % 20)
