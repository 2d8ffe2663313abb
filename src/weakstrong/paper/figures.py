"""Figures of the paper's experiments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from weakstrong.report.figures import blank_figure

if TYPE_CHECKING:
    from weakstrong.paper.figure1 import Slice

_FAR_OUT = 0.01  # share of tasks on each side that need not fit into a frame
_NO_CEILING = 1e-9  # of the misfit: nothing to plot against


def tasks_figure(frame: pd.DataFrame, title: str, *, mirrored: bool, law_3: bool) -> Figure:
    """Gain against misfit: one seed as the paper draws it, all seeds, and against the ceiling error.

    Parameters
    ----------
    frame : DataFrame
        A row a seed and task: seed, misfit, gain, ceiling_error.
    title : str
    mirrored : bool
        Whether gain = −misfit is expected.
    law_3 : bool
        Whether the class is convex, so that law 3 bounds the gain.
    """
    figure = blank_figure((14.4, 4.6))
    shown = frame[frame["misfit"] > 0]
    left_out = (
        f" ({len(frame) - len(shown)} tasks without misfit not shown)" if len(shown) < len(frame) else ""
    )
    figure.suptitle(title + left_out, fontsize=12)
    one, every, third = figure.subplots(1, 3)
    first = shown[shown["seed"] == frame["seed"].min()]
    _scatter(one, first, mirrored)
    one.set_title(f"seed {frame['seed'].min()}, {len(first)} tasks: as the paper draws it", fontsize=10)
    _scatter(every, shown, mirrored)
    every.set_title(f"{frame['seed'].nunique()} seeds, a colour each", fontsize=10)
    if (shown["ceiling_error"] <= _NO_CEILING * shown["misfit"]).all():
        _ratios(third, shown)
    else:
        _against_ceiling(third, shown[shown["ceiling_error"] > 0], law_3=law_3)
    return figure


def _points(axes: Axes, frame: pd.DataFrame, x: pd.Series, y: pd.Series) -> None:
    """A point a task, a colour a seed."""
    colours = colormaps["tab20"]
    for place, (_, part) in enumerate(frame.groupby("seed", sort=True)):
        colour = colours(place % colours.N)
        axes.scatter(x[part.index], y[part.index], s=9, color=colour, alpha=0.8, linewidth=0)


def _scatter(axes: Axes, frame: pd.DataFrame, mirrored: bool) -> None:
    top = frame["misfit"].max() * 1.05 if len(frame) else 1.0
    sign, name = (-1, "gain = −misfit") if mirrored else (1, "gain = misfit")
    axes.plot([0, top], [0, sign * top], color="0.3", linestyle="--", linewidth=1, label=name, zorder=3)
    axes.axhline(0, color="0.75", linewidth=1, zorder=0)
    _points(axes, frame, frame["misfit"], frame["gain"])
    axes.set_xlim(0, top)
    axes.set_xlabel("misfit")
    axes.set_ylabel("gain in accuracy")
    axes.legend(frameon=False, fontsize=9)


def _ratios(axes: Axes, frame: pd.DataFrame) -> None:
    axes.hist(frame["gain"] / frame["misfit"], bins=30, color="0.5")
    axes.axvline(1, color="0.3", linestyle="--", linewidth=1)
    axes.set_xlabel("gain / misfit")
    axes.set_ylabel("tasks")
    axes.set_title("the truth is in the student's class: no ceiling error", fontsize=10)


def _against_ceiling(axes: Axes, frame: pd.DataFrame, *, law_3: bool) -> None:
    """Gain / misfit, with law 3's 1 ± 2√(ceiling error / misfit) for a convex class."""
    x, y = frame["ceiling_error"] / frame["misfit"], frame["gain"] / frame["misfit"]
    _points(axes, frame, x, y)
    if law_3:
        grid = np.geomspace(x.min() / 1.2, x.max() * 1.2, 200)
        for sign, name in ((-1, "law 3: 1 ± 2√(ceiling error / misfit)"), (1, None)):
            axes.plot(grid, 1 + sign * 2 * np.sqrt(grid), color="0.3", linewidth=1, label=name)
        axes.legend(frameon=False, fontsize=8, loc="lower left")
    axes.axhline(1, color="0.3", linestyle="--", linewidth=1)
    axes.axhline(0, color="0.75", linewidth=1, zorder=0)
    axes.set_xscale("log")
    (left, right), (low, high) = (np.quantile(v, [_FAR_OUT, 1 - _FAR_OUT]) for v in (x, y))
    left, right, low, high = left / 2, 2 * right, min(low, 0) - 0.2, max(high, 1) + 0.2
    axes.set_xlim(left, right)
    axes.set_ylim(low, high)
    outside = int((~(x.between(left, right) & y.between(low, high))).sum())
    axes.set_xlabel("ceiling error / misfit" + (f" ({outside} tasks outside the frame)" if outside else ""))
    axes.set_ylabel("gain / misfit")
    axes.set_title("how close gain is, by what the student's class cannot say", fontsize=10)


def theorem2_figure(
    short: pd.Series, promised: pd.Series, complexity: int, delta: float, title: str
) -> Figure:
    """What the gain falls short of the misfit, against n, ε and δ, beside law 4 and the theorem's rates.

    Parameters
    ----------
    short, promised : Series
        Shortfall and what law 4 allows, indexed by n, epsilon, delta; n = 0 is the population.
    complexity : int
        Dimension C of the class.
    delta : float
        The δ of the panels against n and ε.
    title : str
    """
    figure = blank_figure((14.4, 9.2))
    figure.suptitle(title, fontsize=12)
    (along_n, along_epsilon), (along_delta, dominates) = figure.subplots(2, 2)
    _along_n(along_n, short, promised, complexity, delta)
    _along_epsilon(along_epsilon, short, promised, delta)
    _along_delta(along_delta, short)
    _dominating(dominates, promised, delta)
    return figure


def _along_n(axes: Axes, short: pd.Series, promised: pd.Series, complexity: int, delta: float) -> None:
    epsilons = short.index.unique("epsilon")
    for colour, epsilon in zip(_shades(len(epsilons)), epsilons, strict=True):
        for series, style in ((short, "o-"), (promised, ":")):
            line = series.xs((epsilon, delta), level=("epsilon", "delta"))
            label = f"ε = {epsilon:g}" if style == "o-" else None
            axes.plot(line.index, line, style, color=colour, markersize=3, linewidth=1.2, label=label)
    n = np.asarray(sorted(k for k in short.index.unique("n") if k > 0))
    axes.plot(n, (complexity / n) ** 0.25, color="0.4", linestyle="--", linewidth=1, label="(C/n)^¼")
    _logarithmic(axes, "n, rows the student sees", f"misfit − gain, at δ = {delta:g}")
    axes.set_title("drawn: shortfall; dotted: what law 4 allows", fontsize=10)


def _along_epsilon(axes: Axes, short: pd.Series, promised: pd.Series, delta: float) -> None:
    positive = short.index.get_level_values("epsilon") > 0
    short, promised = short[positive], promised[positive]
    sizes = [n for n in short.index.unique("n") if n > 0]
    for colour, n in zip(_shades(len(sizes)), sizes, strict=True):
        line = short.xs((n, delta), level=("n", "delta"))
        axes.plot(line.index, line, "o-", color=colour, markersize=3, linewidth=1, label=f"n = {n}")
    whole, allowed = (s.xs((0, 0.0), level=("n", "delta")) for s in (short, promised))
    axes.plot(whole.index, whole, "k-", linewidth=2, label="population")
    axes.plot(allowed.index, allowed, "k:", label="law 3: 2√(εB)")
    grid = np.asarray(whole.index, dtype=float)
    axes.plot(grid, np.sqrt(grid), color="0.4", linestyle="--", linewidth=1, label="√ε")
    _logarithmic(axes, "ε, error of the best head", f"misfit − gain, at δ = {delta:g}")
    axes.set_title("a floor from n where ε is small, √ε where it is not", fontsize=10)


def _along_delta(axes: Axes, short: pd.Series) -> None:
    sizes = [n for n in short.index.unique("n") if n > 0]
    sizes = sizes[1::2] or sizes
    for colour, n in zip(_shades(len(sizes)), sizes, strict=True):
        line = short.xs((n, 0.0), level=("n", "epsilon"))
        log = np.log(1 / line.index.to_numpy(dtype=float))
        axes.plot(log, line, "o-", color=colour, markersize=3, linewidth=1, label=f"n = {n}")
        axes.plot(log, (log / n) ** 0.25, "--", color=colour, linewidth=1)
    _logarithmic(axes, "log(1/δ)", "misfit − gain, at ε = 0")
    axes.set_title("drawn: shortfall; dashed: (log(1/δ)/n)^¼", fontsize=10)


def _dominating(axes: Axes, promised: pd.Series, delta: float) -> None:
    """2√(ε · least misfit), the ε term without a sample, over all that law 4 allows, by n and ε."""
    sample = promised[(promised.index.get_level_values("n") > 0)].xs(delta, level="delta").unstack("n")
    ideal = promised.xs((0, 0.0), level=("n", "delta"))
    share = sample.rdiv(ideal, axis=0).loc[ideal.index > 0]
    mesh = axes.imshow(share, origin="lower", aspect="auto", cmap="PuOr", vmin=0, vmax=1)
    axes.set_xticks(range(share.shape[1]), [str(n) for n in share.columns])
    axes.set_yticks(range(share.shape[0]), [f"{e:g}" for e in share.index])
    axes.set_xlabel("n")
    axes.set_ylabel("ε")
    axes.set_title("which term dominates law 4's allowance", fontsize=10)
    bar = axes.figure.colorbar(mesh, ax=axes)
    bar.set_label("the ε term without a sample / all of it")


def figure1_figure(cuts: dict[str, Slice], title: str) -> Figure:
    """Weak labels, student and truth in their plane, with the class's slice and the three distances."""
    figure = blank_figure((11.0, 5.2))
    figure.suptitle(title, fontsize=12)
    for axes, (name, cut) in zip(figure.subplots(1, len(cuts)), cuts.items(), strict=True):
        _draw_slice(axes, cut, name)
    return figure


def _draw_slice(axes: Axes, cut: Slice, name: str) -> None:
    closed = len(cut.body) > 2
    if closed:
        axes.fill(*cut.body.T, color="tab:blue", alpha=0.15, linewidth=0)
    axes.plot(*cut.body.T, color="tab:blue", linewidth=1.2, label=f"V, the student's {name}")
    weak, student, truth = cut.plane
    errors = {
        "A": _mean_square(cut.student - cut.truth),
        "B": _mean_square(cut.student - cut.weak),
        "C": _mean_square(cut.weak - cut.truth),
    }
    for a, b, letter, offset, side in (
        (student, truth, "A", (0, -12), "center"),
        (student, weak, "B", (-6, 0), "right"),
        (weak, truth, "C", (6, 3), "left"),
    ):
        axes.plot(*np.stack([a, b]).T, color="0.3", linewidth=1)
        axes.annotate(
            f"√{letter} = {np.sqrt(errors[letter]):.3f}", (a + b) / 2, xytext=offset, ha=side, fontsize=9,
            textcoords="offset points",
        )  # fmt: skip
    names = ("weak labels", "student", "truth")
    for point, label, colour in zip(cut.plane, names, ("tab:red", "tab:purple", "tab:green"), strict=True):
        axes.scatter(*point, color=colour, zorder=3, label=label)
    reach = np.abs(cut.plane).max()
    axes.set_xlim(-1.3 * reach, 1.5 * reach)
    axes.set_ylim(-1.1 * reach, 1.3 * reach)
    axes.set_aspect("equal")
    over = errors["C"] - errors["A"] - errors["B"]
    relation = "=" if abs(over) < 1e-6 * errors["C"] else "><"[int(over < 0)]
    axes.set_title(
        f"{name}: C = {errors['C']:.4f} {relation} A + B = {errors['A'] + errors['B']:.4f}", fontsize=10
    )
    axes.set_xlabel("root mean squared difference of predictions")
    axes.legend(frameon=False, fontsize=8, loc="lower right")


def _mean_square(difference: NDArray) -> float:
    return float((difference**2).mean())


def _shades(count: int) -> NDArray[Any]:
    return np.asarray(colormaps["viridis"](np.linspace(0.05, 0.9, count)))


def _logarithmic(axes: Axes, x: str, y: str) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=7, ncols=2)
