"""Figures, and the parts they share; matplotlib is imported where one is drawn."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from weakstrong.errors import printable
from weakstrong.parallel import environment

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LEGEND_INSIDE = 6  # supervisors; more would cover points


def gain_against_misfit(rows: pd.DataFrame, target: str) -> Figure:
    """Gain against misfit, with a point for each division and a colour for each supervisor (Figures 2d-f).

    Parameters
    ----------
    rows : DataFrame
        With columns supervisor, misfit and gain, in squared units of the target.
    target : str
        Its name, for the title.
    """
    from matplotlib import colormaps

    figure = blank_figure((6.4, 4.8))
    axes = figure.add_subplot()
    top = rows["misfit"].max() * 1.05 or 1.0
    axes.plot([0, top], [0, top], color="0.4", linestyle="--", linewidth=1, label="gain = misfit", zorder=1)
    axes.axhline(0, color="0.75", linewidth=1, zorder=0)
    colours = colormaps["tab10" if rows["supervisor"].nunique() <= 10 else "tab20"]
    for place, (name, part) in enumerate(rows.groupby("supervisor", sort=False)):
        axes.scatter(part["misfit"], part["gain"], s=24, color=colours(place % colours.N), label=_short(name))
    axes.set_xlim(0, top)
    axes.set_xlabel("misfit on held-out rows: mean squared (student − weak label)")
    axes.set_ylabel("gain on held-out rows: weak error − student's error")
    axes.set_title(f"{_short(target)}: a point is a division of the rows", fontsize=11)
    if rows["supervisor"].nunique() > _LEGEND_INSIDE:
        axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    else:
        axes.legend(frameon=False, fontsize=9)
    return figure


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
