"""What the rows of each experiment come to: over tasks and seeds, over n, ε and δ."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binomtest, quantile_test

Array = NDArray[np.float64]

_CLEARLY = 1.96  # standard errors
_MEANS = ("weak_error", "strong_error", "misfit", "gain", "cross_term", "ceiling_error")


def of_seed(rows: pd.DataFrame) -> dict[str, float]:
    """Statistics of the tasks of one seed.

    ``slope`` is that of the least squares line of gain on misfit, with intercept. ``r2_misfit`` is
    ``1 − Σ (gain − misfit)² / Σ (gain − mean)²``: R² of the prediction gain = misfit, with nothing
    fitted, hence negative where it is worse than the mean; ``r2_minus_misfit`` that of
    gain = −misfit. ``slope_change`` is the slope less that of exact heads, for heads by gradient descent.
    """
    misfit, gain = rows["misfit"].to_numpy(), rows["gain"].to_numpy()
    found = {f"mean_{name}": float(rows[name].mean()) for name in _MEANS}
    found["mean_label_variance"] = float(rows["label_variance"].mean())
    found["slope"] = _slope(misfit, gain)
    for name, said in (("r2_misfit", misfit), ("r2_minus_misfit", -misfit)):
        found[name] = float(1 - ((gain - said) ** 2).sum() / ((gain - gain.mean()) ** 2).sum())
    found["ceiling_over_misfit"] = found["mean_ceiling_error"] / found["mean_misfit"]
    found["mean_excess_loss"] = float(rows["excess_loss"].mean())
    for name in ("weak_pretraining_loss", "strong_pretraining_loss"):
        if name in rows:
            found[name] = float(rows[name].iloc[0])
    if "exact_gain" in rows:
        found["slope_change"] = found["slope"] - _slope(
            rows["exact_misfit"].to_numpy(), rows["exact_gain"].to_numpy()
        )
    return found


def _slope(x: Array, y: Array) -> float:
    """Slope of the least squares line of y on x."""
    spread = x - x.mean()
    return float(spread @ y / (spread @ spread))


def over_seeds(frame: pd.DataFrame) -> dict[str, Any]:
    """Every statistic of `of_seed` with its median and 95% interval over seeds, and the counts.

    Tasks of a seed share representations, so seeds are what is independent. A seed reverses where
    its mean gain and its slope are negative. ``law_3`` counts tasks below the bound of law 3, and those
    by more than 1.96 of its standard errors: by chance one in forty of tasks that are at the bound. The
    law is of the population's projection; a student of n rows falls short by about twice its excess
    misfit, ``2 B d / n``, more.
    """
    by_seed = {int(seed): of_seed(rows) for seed, rows in frame.groupby("seed", sort=True)}
    table = pd.DataFrame(by_seed).T
    below = frame["law_3_slack"] < 0
    clearly = frame["law_3_slack"] < -_CLEARLY * frame["law_3_slack_se"]
    reversed_ = (table["mean_gain"] < 0) & (table["slope"] < 0)
    return {
        "over_seeds": {name: summary_of(table[name]) for name in table},
        "law_3": {
            "tasks": len(frame),
            "below": int(below.sum()),
            "clearly_below": int(clearly.sum()),
        },
        "reversed": share_of(int(reversed_.sum()), len(table)),
        "by_seed": by_seed,
    }


def summary_of(values: ArrayLike) -> dict[str, float]:
    """Median, range, and the 95% interval of the median from order statistics (six seeds at least)."""
    x = np.asarray(values, dtype=np.float64)
    interval = quantile_test(x, p=0.5).confidence_interval(0.95)
    return {
        "median": float(np.median(x)),
        "low": float(interval.low),
        "high": float(interval.high),
        "min": float(x.min()),
        "max": float(x.max()),
    }


def share_of(count: int, total: int) -> dict[str, float]:
    """A share of the seeds with its exact 95% interval."""
    interval = binomtest(count, total).proportion_ci(0.95)
    return {"count": count, "of": total, "low": float(interval.low), "high": float(interval.high)}


def shortfall(frame: pd.DataFrame) -> pd.Series:
    """By how much the gain falls short of the misfit, median over seeds, by n, ε and δ."""
    return _by_setting(frame, frame["misfit"] - frame["gain"])


def allowance(frame: pd.DataFrame) -> pd.Series:
    """By how much law 4 lets the gain fall short, median over seeds, by n, ε and δ."""
    return _by_setting(frame, frame["law_4_slack"] - frame["cross_term"])


def _by_setting(frame: pd.DataFrame, values: pd.Series) -> pd.Series:
    return values.groupby([frame[name] for name in ("n", "epsilon", "delta")]).median()


def of_theorem_2(frame: pd.DataFrame, complexity: int) -> dict[str, Any]:
    """How the shortfall falls with ε and n, the constant of the theorem's rates, and law 4.

    Exponents are slopes of least squares lines on logarithms: in ε for the population's projection, in n
    at ε = 0 and the δ nearest to 0.1, from ten rows for each dimension. ``constant`` is the largest
    shortfall over ``√ε + (C/n)^¼ + (log(1/δ)/n)^¼``, whose units are those of a truth of mean square one.
    """
    short = shortfall(frame)
    sampled = frame[frame["n"] > 0]
    deltas = np.unique(sampled["delta"])
    middle = float(deltas[np.abs(deltas - 0.1).argmin()])
    along_epsilon = short.xs((0, 0.0), level=("n", "delta"))
    along_n = short.xs((0.0, middle), level=("epsilon", "delta"))
    along_n = along_n[along_n.index >= 10 * complexity]
    rates = (
        np.sqrt(sampled["epsilon"])
        + (complexity / sampled["n"]) ** 0.25
        + (np.log(1 / sampled["delta"]) / sampled["n"]) ** 0.25
    )
    slack = frame["law_4_slack"] < -1e-12 * frame["weak_error"]
    return {
        "exponents": {"epsilon": _exponent(along_epsilon), "n": _exponent(along_n)},
        "constant": float(((sampled["misfit"] - sampled["gain"]) / rates).max()),
        "delta_shown": middle,
        "law_4": {"rows": len(frame), "below": int(slack.sum())},
    }


def of_figure_1(frame: pd.DataFrame) -> dict[str, Any]:
    """The cross term of both slices over the supervisor's error: the worst over seeds for its claim."""
    relative = frame["cross_term"] / frame["weak_error"]
    ball, subspace = (relative[frame["body"] == name] for name in ("ball", "subspace"))
    return {
        "cross_term_over_weak_error": {
            "ball": float(ball.min()),
            "subspace": float(subspace[subspace.abs().idxmax()]),
        }
    }


def _exponent(line: pd.Series) -> float:
    """Slope of the logarithm of the values on that of the index, where both are positive."""
    x, y = line.index.to_numpy(dtype=float), line.to_numpy()
    usable = (x > 0) & (y > 0)
    if usable.sum() < 2:
        return float("nan")
    return float(np.polyfit(np.log(x[usable]), np.log(y[usable]), 1)[0])
