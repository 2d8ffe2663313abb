"""Figures 2 and 3 with their panels where the paper has them, from the records of a folder."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from weakstrong.paper.catalogue import catalogue
from weakstrong.paper.experiments.synthetic import WeakToStrong
from weakstrong.paper.task_settings import TaskSettings
from weakstrong.record import Record
from weakstrong.report.figures import blank_figure, plain_drawing, png
from weakstrong.whole_files import write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANELS = {
    "figure2": (("fig2a", "fig2b", "fig2c"), ("fig2d", "fig2e", "fig2f")),
    "figure3": (("fig3a", "fig3b", "fig3c"),),
}
_LINE = "gain = misfit"
_MIRRORED_LINE = "gain = −misfit"
_TICKS = 5


def composites(kept: Collection[str]) -> list[str]:
    """Return the names of the figures that have a panel among the names of some records."""
    return [name for name, rows in PANELS.items() if any(target in kept for row in rows for target in row)]


def write_composites(out: Path, kept: Mapping[str, Record]) -> None:
    """Write ``figure2.png`` and ``figure3.png`` from the records of a folder.

    One without a panel is not written, and that of a former run is removed.

    Parameters
    ----------
    out : Path
    kept : mapping of str to Record
        Its records by name, without tables: they are read from the folder.
    """
    for name, rows in PANELS.items():
        grid = [[_with_points(kept[target], out) for target in row if target in kept] for row in rows]
        grid = [row for row in grid if row]
        file = out / f"{name}.png"
        if not grid:
            file.unlink(missing_ok=True)
            continue
        with plain_drawing():
            write_atomically(file, png(composite_figure(grid)))


def _with_points(record: Record, out: Path) -> Record:
    """Return a record with the one table that is drawn."""
    return replace(record, tables={"tasks": pd.read_csv(out / record.kind / "tasks.csv")})


def composite_figure(grid: Sequence[Sequence[Record]]) -> Figure:
    """Draw a panel of gain against misfit for each record, in rows as given."""
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    columns = max(len(row) for row in grid)
    figure = blank_figure((4.4 * columns, 3.7 * len(grid) + 0.35))
    figure.set_layout_engine(ConstrainedLayoutEngine(w_pad=0.1, wspace=0.04, hspace=0.08))
    names = _weak_models(record for row in grid for record in row)
    axes_grid = figure.subplots(len(grid), columns, squeeze=False)
    for axes_row, row in zip(axes_grid, grid, strict=True):
        for axes in axes_row[len(row) :]:
            axes.remove()
        for axes, record in zip(axes_row, row, strict=False):
            if "weak" in record.settings:
                _draw_molecules(axes, record, names)
            else:
                _draw_tasks(axes, record)
    shown = {label: handle for axes in figure.axes for handle, label in _labelled(axes)}
    labels = sorted(shown, key=lambda label: label not in (_LINE, _MIRRORED_LINE))
    figure.legend(
        [shown[label] for label in labels], labels, loc="outside lower center", ncols=len(labels),
        title="numbers: hidden size of the weak model" if names else None, title_fontsize=9,
        frameon=False, fontsize=9, columnspacing=1.2, handletextpad=0.4,
    )  # fmt: skip
    return figure


def _draw_tasks(axes: Axes, record: Record) -> None:
    """Draw the tasks of the record's first seed."""
    experiment = catalogue()[record.kind]
    assert isinstance(experiment, WeakToStrong)
    rows = record.tables["tasks"]
    rows = rows[rows["seed"] == rows["seed"].min()]
    top = float(rows["misfit"].max()) * 1.05 or 1.0
    sign = 1 if experiment.expects == "misfit" else -1
    _draw_line(axes, np.array([0.0, top]), sign)
    axes.scatter(rows["misfit"], rows["gain"], s=14, color="tab:blue", alpha=0.8, linewidth=0)
    axes.set_xlim(0, top)
    _finish(axes, _tasks_caption(record))


def _draw_molecules(axes: Axes, record: Record, names: Sequence[str]) -> None:
    """Draw the first division of each split with the first class of heads, a colour for each weak model."""
    from matplotlib import colormaps

    from weakstrong.paper.molecule_figures import spans_magnitudes

    settings, rows = record.settings, record.tables["tasks"]
    rows = rows[rows["heads"] == settings["heads"][0]]
    magnitudes = spans_magnitudes(rows["misfit"])
    judged = rows["evaluation"] == settings.get("judge_on", "valid+test")
    rows = rows[judged & (rows["seed"] == rows["seed"].min())]
    positive = rows.loc[rows["misfit"] > 0, "misfit"]
    span = np.array([0.0, positive.max() * 1.05 if len(positive) else 1.0])
    if magnitudes:
        axes.set_xscale("log")
        axes.set_yscale("symlog", linthresh=1.0)
        span = np.geomspace(positive.min() / 1.5, positive.max() * 1.5, 100)
    swapped = settings["swap_roles"]
    for sign in (1, -1) if magnitudes else (-1,) if swapped else (1,):
        _draw_line(axes, span, sign)
    colours = colormaps["tab10" if len(names) <= 10 else "tab20"]
    for name, part in rows.groupby("student" if swapped else "supervisor", sort=False):
        place, label = names.index(str(name)), _hidden_size(str(name))
        axes.scatter(
            part["misfit"], part["gain"], s=26, color=colours(place % colours.N), linewidth=0, label=label
        )
    axes.set_xlim(span[0], span[-1])
    _finish(axes, _molecules_caption(record))


def _draw_line(axes: Axes, misfit: NDArray[np.float64], sign: int) -> None:
    """Draw gain = ± misfit."""
    label = _LINE if sign > 0 else _MIRRORED_LINE
    axes.plot(misfit, sign * misfit, color="0.3", linestyle="--", linewidth=1, label=label)


def _finish(axes: Axes, caption: str) -> None:
    """Name the axes, keep ticks apart, and write the caption above the panel."""
    axes.axhline(0, color="0.8", linewidth=1, zorder=0)
    if axes.get_xscale() == "linear":
        axes.locator_params(nbins=_TICKS)
        axes.ticklabel_format(style="sci", scilimits=(-3, 4), useMathText=True)
    axes.set_xlabel("misfit" + (" (logarithmic)" if axes.get_xscale() == "log" else ""))
    axes.set_ylabel("gain in accuracy")
    axes.set_title(caption, fontsize=9.5)


def _tasks_caption(record: Record) -> str:
    """Return the paper's caption of a panel, with the settings of the record."""
    s = record.settings
    letter, truth = record.kind[-1], rf"$h^\star$: {s['truth_depth']} layers"
    models = {role: f"{s[f'{role}_depth']} layers" for role in ("weak", "strong")}
    kind = "Non-realizable (pretraining)"
    if s["representations"] == "perturbation":
        kind = "Non-realizable (perturbation)"
        models = {
            role: rf"$h^\star + \mathcal{{N}}(0, {s[f'{role}_sigma']:g}^2)$" for role in ("weak", "strong")
        }
    elif s["representations"] == "realizable":
        kind, models["strong"] = "Realizable (pretraining)", r"$h^\star$"
    if s["swap_roles"]:
        models = {"weak": models["strong"], "strong": models["weak"]}
    named = [f"$h_{role[0]}$: {model}" for role, model in models.items()]
    return f"({letter}) {kind}, {truth}\n" + ", ".join([*named, *_scarce(s)])


def _scarce(settings: Mapping[str, Any]) -> list[str]:
    """Return the amount of pretraining data, where it is not that of the other panels."""
    tasks, rows = settings["pretraining_tasks"], settings["pretraining_rows"]
    usual = TaskSettings()
    if settings["representations"] == "perturbation" or (tasks, rows) == (
        usual.pretraining_tasks,
        usual.pretraining_rows,
    ):
        return []
    return [f"$T = {tasks}$", f"$N_r = {rows}$"]


def _molecules_caption(record: Record) -> str:
    s = record.settings
    role = "w" if s["swap_roles"] else "s"
    strong = str(s["strong"]).rsplit("/", maxsplit=1)[-1].replace("$", r"\$")[-40:]
    rows = "its supervisor's rows" if s.get("student_rows") == "same" else "other rows"
    return f"({record.kind[-1]}) {s['dataset']}, $h_{role}$: {strong}, {s['heads'][0]} heads\n" + (
        f"fitted to {rows}, judged on {s.get('judge_on', 'valid+test')} rows"
    )


def _weak_models(records: Iterable[Record]) -> list[str]:
    """Return the weak models of all records, in the order of their settings."""
    return list(dict.fromkeys(name for record in records for name in record.settings.get("weak", ())))


def _hidden_size(name: str) -> str:
    """Return the hidden size that a weak model's name ends in, else the name."""
    last = name.rsplit("/", maxsplit=1)[-1]
    digits = last.rpartition("-")[2]
    return digits if digits.isdigit() else last.replace("$", r"\$")[-40:]


def _labelled(axes: Axes) -> list[tuple[Any, str]]:
    return list(zip(*axes.get_legend_handles_labels(), strict=True))
