"""Figures 2a-c and 3a-c, and heads that are not a convex class: one model supervises the other on M tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from weakstrong.errors import InputError
from weakstrong.estimate import Estimate
from weakstrong.neural.neural_heads import HeadKind
from weakstrong.paper.experiment import Experiment
from weakstrong.paper.networks import load, pretraining_jobs
from weakstrong.paper.sources import Source
from weakstrong.paper.task_settings import TaskSettings
from weakstrong.paper.tasks import run_tasks
from weakstrong.paper.verdicts import LINE_RULE, between, bracketed, gain_is_misfit
from weakstrong.record import Record, Result
from weakstrong.report.figures import blank_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

_SIGNIFICANT = 1.96  # standard errors
_MEANS = ("weak_error", "strong_error", "misfit", "gain", "cross_term", "ceiling_error")
_MOST = 0.5  # of the seeds
_TAIL = 0.01  # share of tasks on each side that may lie outside a frame
_NO_CEILING = 1e-9  # of the misfit: nothing to plot against


@dataclass(frozen=True)
class WeakToStrong(Experiment):
    """Gain against misfit over the tasks of a world, for every seed.

    Parameters
    ----------
    expects : {"misfit", "minus misfit", "reversal"}
        Value of the gain by the claim.
    """

    settings: TaskSettings
    expects: Literal["misfit", "minus misfit", "reversal"] = "misfit"

    rule = (
        f"Gain = ± misfit: {LINE_RULE}. Slope and R² are medians over seeds (for −misfit those of the "
        "mirrored gain), with their 95% intervals in brackets (from order statistics: six seeds at least). A "
        "seed reverses where its mean gain and its slope are negative: *yes* where surely most seeds do, "
        "*no* where surely most do not, else undecided."
    )

    @property
    def caveat(self) -> str:
        """Say where the experiment is our reconstruction."""
        return _RECONSTRUCTION if self.settings.heads != "linear" else ""

    @property
    def rows_module(self) -> str:
        """Name of the module that runs tasks; rows do not depend on statistics and figures."""
        return run_tasks.__module__

    def sources(self, seed: int) -> Mapping[str, Source]:
        """Return the networks to pretrain, by role before roles are swapped."""
        return pretraining_jobs(self.settings, seed)

    def rows(self, seed: int, sources: Mapping[str, Path]) -> pd.DataFrame:
        """Run all tasks of one seed."""
        networks = {role: load(file) for role, file in sources.items()}
        rows = run_tasks(self.settings, seed, {role: network for role, (network, _) in networks.items()})
        return rows.assign(**{f"{role}_pretraining_loss": loss for role, (_, loss) in networks.items()})

    def results(self, rows: pd.DataFrame) -> tuple[Result, ...]:
        """Estimate every statistic over seeds, and judge slope and R², or how many seeds reverse."""
        estimates, facts = estimates_over_seeds(rows)
        if self.settings.heads != "linear":  # law 3 holds for convex classes
            del facts["law_3"]
        finding, agrees = self._verdict(estimates, facts)
        return (Result({}, estimates, {**facts, "agrees": agrees}, (finding,)),)

    def _verdict(self, estimates: Mapping[str, Estimate], facts: Mapping[str, Any]) -> tuple[str, str]:
        if self.expects == "reversal":
            return _reversal_verdict(estimates, facts)
        finding, agrees = _line_verdict(estimates, 1 if self.expects == "misfit" else -1)
        if self.settings.solver == "gradient":
            excess_loss = estimates["mean_excess_loss"].value
            finding += f"; the student's optimizer missed {excess_loss:.2%} of the labels' variance"
        return finding, agrees

    def figure(self, tables: Mapping[str, pd.DataFrame], results: Sequence[Result]) -> Figure:
        """Draw gain against misfit, with law 3 where the class is convex."""
        mirrored, convex = self.expects != "misfit", self.settings.heads == "linear"
        return tasks_figure(tables["tasks"], self.title, mirrored=mirrored, law_3=convex)

    def page(self, record: Record) -> list[str]:
        """Return the number of tasks below law 3, in a sentence."""
        law = record.results[0].facts.get("law_3")
        if law is None:
            return []
        return [
            f"Law 3, gain ≥ misfit − 2√(ceiling error · misfit): {law['below']} of {law['tasks']} tasks are "
            f"below it, {law['clearly_below']} by more than 1.96 standard errors (of tasks at the bound, one "
            "in forty by chance; the law is of the population's projection, and a sample's student falls "
            "short a little more).",
            "",
        ]

    def check(self, source: str) -> None:
        """Refuse exact solutions for heads that have none, and intercepts for descent."""
        settings = self.settings
        if settings.solver == "exact" and settings.heads != "linear":
            raise InputError(
                f"{source}: heads={settings.heads} are no convex class and have no exact solver; use "
                "solver=gradient"
            )
        if settings.fit_intercept and settings.solver == "gradient":
            raise InputError(f"{source}: fit_intercept is for exact linear heads; Adam's have none")


def seed_statistics(rows: pd.DataFrame) -> dict[str, float]:
    """Compute the statistics of the tasks of one seed.

    ``slope`` is that of the least squares line of gain on misfit, with intercept. ``r2_misfit`` is
    ``1 − Σ (gain − misfit)² / Σ (gain − mean)²``: R² of the prediction gain = misfit, with nothing
    fitted, hence negative where it is worse than the mean; ``r2_minus_misfit`` that of
    gain = −misfit. ``slope_change`` is the slope less that of exact heads, for heads by gradient descent.
    """
    misfit, gain = rows["misfit"].to_numpy(), rows["gain"].to_numpy()
    statistics = {f"mean_{name}": float(rows[name].mean()) for name in _MEANS}
    statistics["mean_label_variance"] = float(rows["label_variance"].mean())
    statistics["slope"] = _slope(misfit, gain)
    for name, prediction in (("r2_misfit", misfit), ("r2_minus_misfit", -misfit)):
        statistics[name] = float(1 - ((gain - prediction) ** 2).sum() / ((gain - gain.mean()) ** 2).sum())
    statistics["gain_over_misfit"] = statistics["mean_gain"] / statistics["mean_misfit"]
    statistics["ceiling_over_misfit"] = statistics["mean_ceiling_error"] / statistics["mean_misfit"]
    statistics["mean_excess_loss"] = float(rows["excess_loss"].mean())
    for name in ("weak_pretraining_loss", "strong_pretraining_loss"):
        if name in rows:
            statistics[name] = float(rows[name].iloc[0])
    if "exact_gain" in rows:
        statistics["slope_change"] = statistics["slope"] - _slope(
            rows["exact_misfit"].to_numpy(), rows["exact_gain"].to_numpy()
        )
    return statistics


def _slope(x: Array, y: Array) -> float:
    """Compute the slope of the least squares line of y on x."""
    spread = x - x.mean()
    return float(spread @ y / (spread @ spread))


def estimates_over_seeds(frame: pd.DataFrame) -> tuple[dict[str, Estimate], dict[str, Any]]:
    """Estimate the median over seeds of every statistic in `seed_statistics`, and count reversals.

    Tasks of a seed share representations, so seeds are what is independent. A seed reverses where
    its mean gain and its slope are negative. ``law_3`` counts tasks below the bound of law 3, and those
    by more than 1.96 of its standard errors: by chance one in forty of tasks that are at the bound. The
    law is of the population's projection; a student of n rows falls short by about twice its excess
    misfit, ``2 B d / n``, more.

    Returns
    -------
    estimates : dict
        A median for each statistic, and ``reversed``, the share of seeds that reverse.
    facts : dict
        ``law_3``, ``seeds_reversed``, the range of every statistic over seeds, and its value for each.
    """
    by_seed = {int(seed): seed_statistics(rows) for seed, rows in frame.groupby("seed", sort=True)}
    table = pd.DataFrame(by_seed).T
    below = frame["law_3_slack"] < 0
    clearly = frame["law_3_slack"] < -_SIGNIFICANT * frame["law_3_slack_se"]
    count = int(((table["mean_gain"] < 0) & (table["slope"] < 0)).sum())
    estimates = {name: Estimate.of_median(table[name]) for name in table}
    estimates["reversed"] = Estimate.of_share(count, len(table))
    return estimates, {
        "law_3": {
            "tasks": len(frame),
            "below": int(below.sum()),
            "clearly_below": int(clearly.sum()),
        },
        "seeds_reversed": count,
        "range_over_seeds": {n: {"min": float(v.min()), "max": float(v.max())} for n, v in table.items()},
        "by_seed": by_seed,
    }


def _line_verdict(estimates: Mapping[str, Estimate], sign: int) -> tuple[str, str]:
    """Judge gain = ± misfit."""
    fit = estimates["r2_misfit" if sign > 0 else "r2_minus_misfit"]
    relation = "misfit" if sign > 0 else "−misfit"
    slope, share = estimates["slope"], estimates["gain_over_misfit"]
    finding = f"slope {bracketed(slope)}, gain {bracketed(share)} of the misfit"
    finding += f"; R² of gain = {relation} {bracketed(fit)}"
    finding += f"; ceiling error / misfit {bracketed(estimates['ceiling_over_misfit'])}"
    if sign < 0:
        slope = replace(slope, value=-slope.value, low=-slope.high, high=-slope.low)
    return finding, gain_is_misfit(slope, fit)


def _reversal_verdict(estimates: Mapping[str, Estimate], facts: Mapping[str, Any]) -> tuple[str, str]:
    """Judge by how many seeds reverse."""
    share, count = estimates["reversed"], facts["seeds_reversed"]
    agrees = between(*("yes" if end > _MOST else "no" for end in (share.low, share.high)))
    reversals = f"{count} of {share.rows} seeds reverse [{share.low:.2f}, {share.high:.2f}]"
    slope, gain = (bracketed(estimates[name]) for name in ("slope", "gain_over_misfit"))
    return f"slope {slope}, gain {gain} of the misfit; {reversals}", agrees


def tasks_figure(frame: pd.DataFrame, title: str, *, mirrored: bool, law_3: bool) -> Figure:
    """Draw gain against misfit for one seed and for all seeds, and their ratio against the ceiling error.

    Parameters
    ----------
    frame : DataFrame
        One row for each seed and task: seed, misfit, gain, ceiling_error.
    title : str
    mirrored : bool
        Whether gain = −misfit is expected.
    law_3 : bool
        Whether the class is convex, so that law 3 bounds the gain.
    """
    figure = blank_figure((14.4, 4.6))
    shown = frame[frame["misfit"] > 0]
    remark = f" ({len(frame) - len(shown)} tasks without misfit not shown)" if len(shown) < len(frame) else ""
    figure.suptitle(title + remark, fontsize=12)
    left, middle, right = figure.subplots(1, 3)
    first = shown[shown["seed"] == frame["seed"].min()]
    _scatter_gains(left, first, mirrored)
    left.set_title(f"seed {frame['seed'].min()}, {len(first)} tasks", fontsize=10)
    _scatter_gains(middle, shown, mirrored)
    middle.set_title(f"{frame['seed'].nunique()} seeds, a colour each", fontsize=10)
    if (shown["ceiling_error"] <= _NO_CEILING * shown["misfit"]).all():
        _ratio_histogram(right, shown)
    else:
        _scatter_ratios(right, shown[shown["ceiling_error"] > 0], law_3=law_3)
    return figure


def _scatter_by_seed(axes: Axes, frame: pd.DataFrame, x: pd.Series, y: pd.Series) -> None:
    """Draw one point for each task, in the colour of its seed."""
    from matplotlib import colormaps

    colours = colormaps["tab20"]
    for index, (_, seed_rows) in enumerate(frame.groupby("seed", sort=True)):
        colour = colours(index % colours.N)
        axes.scatter(x[seed_rows.index], y[seed_rows.index], s=9, color=colour, alpha=0.8, linewidth=0)


def _scatter_gains(axes: Axes, frame: pd.DataFrame, mirrored: bool) -> None:
    top = frame["misfit"].max() * 1.05 if len(frame) else 1.0
    sign, name = (-1, "gain = −misfit") if mirrored else (1, "gain = misfit")
    axes.plot([0, top], [0, sign * top], color="0.3", linestyle="--", linewidth=1, label=name, zorder=3)
    axes.axhline(0, color="0.75", linewidth=1, zorder=0)
    _scatter_by_seed(axes, frame, frame["misfit"], frame["gain"])
    axes.set_xlim(0, top)
    axes.set_xlabel("misfit")
    axes.set_ylabel("gain in accuracy")
    axes.legend(frameon=False, fontsize=9)


def _ratio_histogram(axes: Axes, frame: pd.DataFrame) -> None:
    axes.hist(frame["gain"] / frame["misfit"], bins=30, color="0.5")
    axes.axvline(1, color="0.3", linestyle="--", linewidth=1)
    axes.set_xlabel("gain / misfit")
    axes.set_ylabel("tasks")
    axes.set_title("the truth is in the student's class: no ceiling error", fontsize=10)


def _scatter_ratios(axes: Axes, frame: pd.DataFrame, *, law_3: bool) -> None:
    """Draw gain / misfit, with law 3's bounds 1 ± 2√(ceiling error / misfit) for a convex class."""
    from matplotlib.ticker import LogLocator, NullFormatter

    x, y = frame["ceiling_error"] / frame["misfit"], frame["gain"] / frame["misfit"]
    _scatter_by_seed(axes, frame, x, y)
    if law_3:
        grid = np.geomspace(x.min() / 1.2, x.max() * 1.2, 200)
        for sign, name in ((-1, "law 3: 1 ± 2√(ceiling error / misfit)"), (1, None)):
            axes.plot(grid, 1 + sign * 2 * np.sqrt(grid), color="0.3", linewidth=1, label=name)
        axes.legend(frameon=False, fontsize=8, loc="lower left")
    axes.axhline(1, color="0.3", linestyle="--", linewidth=1)
    axes.axhline(0, color="0.75", linewidth=1, zorder=0)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0), numticks=5))  # few enough not to overlap
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    (left, right), (low, high) = (np.quantile(v, [_TAIL, 1 - _TAIL]) for v in (x, y))
    left, right, low, high = left / 2, 2 * right, min(low, 0) - 0.2, max(high, 1) + 0.2
    axes.set_xlim(left, right)
    axes.set_ylim(low, high)
    outside = int((~(x.between(left, right) & y.between(low, high))).sum())
    axes.set_xlabel("ceiling error / misfit" + (f" ({outside} tasks outside the frame)" if outside else ""))
    axes.set_ylabel("gain / misfit")
    axes.set_title("how close gain is, by what the student's class cannot say", fontsize=10)


_SETTINGS = {
    "fig2a": TaskSettings(representations="realizable"),
    "fig2b": TaskSettings(),
    "fig2c": TaskSettings(representations="perturbation"),
    "fig3a": TaskSettings(swap_roles=True),
    "fig3b": TaskSettings(representations="perturbation", swap_roles=True),
    "fig3c": TaskSettings(pretraining_tasks=5, pretraining_rows=250),
}
_TITLES = {
    "fig2a": "Figure 2a: realizable, h_s = h*, h_w a pretrained 2-layer network",
    "fig2b": "Figure 2b: not realizable, h_w 2 layers and h_s 8 layers, both pretrained",
    "fig2c": "Figure 2c: not realizable, h_w and h_s are h* with noise of 0.05 and 0.01",
    "fig3a": "Figure 3a: roles of Figure 2b swapped, h_w 8 layers and h_s 2 layers",
    "fig3b": "Figure 3b: roles of Figure 2c swapped, noise 0.01 for h_w and 0.05 for h_s",
    "fig3c": "Figure 3c: Figure 2b with little to pretrain on, T = 5 and N_r = 250",
}
_MISFIT = "gain is more or less exactly the misfit"
_CLAIMS: dict[str, tuple[str, Literal["misfit", "minus misfit", "reversal"]]] = {
    "fig2a": (_MISFIT, "misfit"),
    "fig2b": (_MISFIT, "misfit"),
    "fig2c": (_MISFIT, "misfit"),
    "fig3a": ("mirror image of Figure 2b: gain is minus the misfit", "minus misfit"),
    "fig3b": ("mirror image of Figure 2c: gain is minus the misfit", "minus misfit"),
    "fig3c": (
        "the simpler model has the better representation: roles reverse, gain falls as misfit grows",
        "reversal",
    ),
}
_RECONSTRUCTION = "our reconstruction of Appendix C"
_RECONSTRUCTED = (
    "Appendix C is not in the text at hand: tasks and both models' heads are of this class, "
    "representations are pretrained as in Figure 2b, heads are fitted by Adam from three starts"
)
_NON_CONVEX: dict[HeadKind, str] = {
    "tanh": "tanh of a linear map",
    "relu": "ReLU of a linear map",
    "sigmoid": "sigmoid of a linear map",
    "mlp": "one hidden layer of 16 ReLU units",
}
EXPERIMENTS = [
    WeakToStrong(name, _TITLES[name], _CLAIMS[name][0], settings, _CLAIMS[name][1], default=True)
    for name, settings in _SETTINGS.items()
] + [
    WeakToStrong(
        f"nonconvex-{kind}",
        f"Heads that are not a convex class: {name} ({_RECONSTRUCTION})",
        "the result holds, at least qualitatively, beyond the convex case",
        TaskSettings(heads=kind, solver="gradient", descent_starts=3),
        note=_RECONSTRUCTED,
    )
    for kind, name in _NON_CONVEX.items()
]
