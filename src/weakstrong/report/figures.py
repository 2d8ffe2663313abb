"""Figures, and the parts they share; matplotlib is imported where one is drawn."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from weakstrong.errors import printable
from weakstrong.parallel import environment
from weakstrong.predictions import NO_MISFIT

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

_LEGEND_INSIDE = 6  # supervisors and students; more would cover points
_MARKERS = "os^Dv"  # one for each student


class _Panel(NamedTuple):
    """What one panel of gain against misfit shows: its columns and the words on its axes."""

    misfit: str
    gain: str
    x: str
    y: str


_SQUARED = _Panel(
    "misfit", "gain", "misfit on held-out rows: mean squared (student − weak label)",
    "gain on held-out rows: weak error − student's error",
)  # fmt: skip
_OF_CLASSES = (
    _Panel("disagreement", "gain_in_accuracy", "share of rows with another class", "gain in accuracy"),
    _Panel("misfit", "gain", "misfit in Brier score", "gain in Brier score"),
    _Panel(
        "misfit_in_log_loss", "gain_in_log_loss",
        "misfit in log loss, KL(student ‖ weak)\n(no law promises logistic heads the diagonal)",
        "gain in log loss",
    ),
)  # fmt: skip


def gain_against_misfit(rows: pd.DataFrame, target: str) -> Figure:
    """Gain against misfit: a point a division, a colour a supervisor (Figures 2d-f), a marker a student.

    Where labels are classes there is a panel for accuracy, for the Brier score and for log loss.

    Parameters
    ----------
    rows : DataFrame
        With columns supervisor, misfit, gain and mean_error, in squared units of the target. A misfit that
        is rounding beside the latter is drawn as none. Where there is a column ``exploded``, fits of students
        and supervisors that it names are noted, for they set the scale.
    target : str
        Its name, for the title.
    """
    panels = _OF_CLASSES if "gain_in_accuracy" in rows else (_SQUARED,)
    figure = blank_figure((6.4, 4.8) if len(panels) == 1 else (12.8, 4.6))
    students = list(rows["student"].unique()) if "student" in rows else []
    for place, panel in enumerate(panels, 1):
        axes = figure.add_subplot(1, len(panels), place)
        _draw_panel(axes, rows, panel, students)
    if len(panels) > 1:
        figure.suptitle(f"{_short(target)}: a point is a division of the rows", fontsize=11)
    else:
        axes.set_title(f"{_short(target)}: a point is a division of the rows", fontsize=11)
    if rows["supervisor"].nunique() + len(students) - 1 > _LEGEND_INSIDE:
        axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    else:
        axes.legend(frameon=False, fontsize=9 if len(panels) == 1 else 8)
    return figure


def _draw_panel(axes: Axes, rows: pd.DataFrame, panel: _Panel, students: list[str]) -> None:
    """Draw the points of one loss, the diagonal and the line of no gain."""
    from matplotlib import colormaps

    mine = rows.assign(misfit=rows[panel.misfit], gain=rows[panel.gain])
    notes, drawn = _drawn(mine)
    scale = float(np.max(drawn["mean_error"].to_numpy(), initial=0.0)) or 1.0
    none = not (drawn["misfit"] > 0).any()
    top = scale if none else float(drawn["misfit"].max()) * 1.05
    axes.plot([0, top], [0, top], color="0.4", linestyle="--", linewidth=1, label="gain = misfit", zorder=1)
    axes.axhline(0, color="0.75", linewidth=1, zorder=0)
    colours = colormaps["tab10" if rows["supervisor"].nunique() <= 10 else "tab20"]
    for place, (name, part) in enumerate(drawn.groupby("supervisor", sort=False)):
        look: dict[str, Any] = {"s": 24, "color": colours(place % colours.N), "clip_on": False, "zorder": 3}
        for marker, some in _by_student(part, students):  # whole, on the axes too
            label = _short(name) if marker == _MARKERS[0] else None
            axes.scatter(some["misfit"], some["gain"], marker=marker, label=label, **look)
    for marker, student in zip(_MARKERS, students if len(students) > 1 else [], strict=False):
        axes.scatter([], [], s=24, color="0.4", marker=marker, label=f"student {_short(student)}")
    axes.set_xlim(0, top)
    if none:
        axes.set_ylim(-scale, scale)
    axes.set_xlabel("\n".join([panel.x, *notes]))
    axes.set_ylabel(panel.y)


def reliability_picture(drawn: Sequence[tuple[str, Array, Array]], classes: Sequence[str]) -> bytes:
    """Draw how often what is said with a probability is so, for each name, as a PNG.

    Ten bins, of all probabilities given to a class: that of the second of two, as many rows in each, or of
    every class, as wide each, since most are near zero. Below, how many probabilities are about so large.

    Parameters
    ----------
    drawn : sequence of (name, truth, probabilities)
        With arrays of shape (n, c).
    classes : sequence of str
    """
    from sklearn.calibration import calibration_curve

    with plain_drawing():
        from matplotlib import colormaps

        is_crowded, of_two = len(drawn) > _LEGEND_INSIDE, len(classes) == 2
        figure = blank_figure((8.6 if is_crowded else 5.6, 6.2))
        above, below = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": [3, 1]})
        above.plot([0, 1], [0, 1], color="0.4", linestyle="--", linewidth=1, label="calibrated")
        many = 10 if len(drawn) <= 10 else 20
        shown = colormaps[f"tab{many}"](np.arange(many))
        for (name, truth, said), colour in zip(drawn, cycle(shown), strict=False):
            columns = slice(1, None) if of_two else slice(None)
            y, p = truth[:, columns].ravel(), np.clip(said[:, columns].ravel(), 0, 1)
            share, mean = calibration_curve(
                y > 0.5, p, n_bins=10, strategy="quantile" if of_two else "uniform"
            )
            above.plot(mean, share, "o-", color=colour, markersize=4, linewidth=1, label=_short(name))
            below.hist(p, bins=np.linspace(0, 1, 21), color=colour, histtype="step", linewidth=1)
        which = _short(classes[1]) if of_two else "each class"
        above.set_ylabel("share of the rows that are of the class")
        above.set_title(f"calibration of the probabilities of {which}", fontsize=11)
        outside: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0)} if is_crowded else {}
        above.legend(frameon=False, fontsize=8, **outside)
        below.set_xlabel("probability given to the class (mean of a bin)")
        below.set_ylabel("rows" if of_two else "rows × classes")
        return png(figure)


def _by_student(rows: pd.DataFrame, students: list[str]) -> Iterator[tuple[str, pd.DataFrame]]:
    """The points of every student, with its marker; those beyond the last marker share it."""
    for place, marker in enumerate(_MARKERS):
        is_last = marker == _MARKERS[-1]
        mine = students[place:] if is_last else students[place : place + 1]
        if place == 0 and len(students) < 2:
            yield marker, rows
        elif mine and len(students) > 1:
            yield marker, rows[rows["student"].isin(mine)]


def _drawn(rows: pd.DataFrame) -> tuple[list[str], pd.DataFrame]:
    """The divisions that can be drawn, those without misfit at zero, and what a reader must know of them."""
    known = rows[np.isfinite(rows[["misfit", "gain", "mean_error"]]).all(axis=1)]
    none = known["misfit"] <= NO_MISFIT * known["mean_error"]
    notes = []
    if len(known) < len(rows):
        notes.append(f"{len(rows) - len(known)} of {len(rows)} points have no number, and are not drawn")
    if none.any():
        which = "" if none.all() else f" at {none.sum()} of {len(known)} points"
        notes.append(f"no misfit but rounding{which}: the student reproduces its supervisor")
    if "exploded" in known:
        count = known["exploded"].str.split().map(lambda fits: bool({"weak", "strong"} & set(fits))).sum()
        if count:
            notes.append(
                f"at {count} of {len(known)} points student or supervisor exploded: they set the scale"
            )
    return notes, known.assign(**{name: known[name].mask(none, 0.0) for name in ("misfit", "gain")})


@contextmanager
def plain_drawing() -> Iterator[None]:
    """Draw without a display and in matplotlib's own style, whatever environment and settings files say."""
    with environment({"MPLBACKEND": "agg"}):  # read when matplotlib loads, which another name may end
        import matplotlib
    own: Any = {key: value for key, value in matplotlib.rcParamsDefault.items() if key != "backend"}
    with matplotlib.rc_context(own):
        yield


def blank_figure(size: tuple[float, float]) -> Figure:
    """An empty figure of a size in inches, drawn without a display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def shades(count: int) -> NDArray[Any]:
    """Colours in order, from dark to light."""
    from matplotlib import colormaps

    return np.asarray(colormaps["viridis"](np.linspace(0.05, 0.9, count)))


def logarithmic(axes: Axes, x: str, y: str) -> None:
    """Make both axes logarithmic and name them, with a small legend if there is something to name."""
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=7, ncols=2)


def png(figure: Figure) -> bytes:
    """The figure as a PNG, the same bytes every time."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # a box stands for a character that the font lacks
        figure.savefig(buffer, dpi=150, metadata={"Software": None})
    return buffer.getvalue()


def _short(name: object) -> str:
    """A name cut to 40 characters; dollar signs are escaped, as matplotlib reads them as mathematics."""
    text = printable(str(name)).replace("$", r"\$")
    return text if len(text) <= 40 else text[:39] + "…"
