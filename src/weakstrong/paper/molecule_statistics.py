"""Statistics over the divisions of a molecule set: tables, ranking, regret, gain against misfit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from weakstrong.estimate import Estimate
from weakstrong.paper.molecule_divisions import FIT_COLUMNS
from weakstrong.paper.molecule_resampling import ERRORS, Means, means, resample_weights
from weakstrong.paper.molecule_settings import MoleculeSettings
from weakstrong.predictions import Predictions
from weakstrong.record import Result

Array = NDArray[np.float64]

EVALUATIONS = {"valid+test": ("valid", "test"), "valid": ("valid",), "test": ("test",)}
CROSSED = "chosen on valid, judged on test"
RULE, WEAK_ALONE = "weak error − misfit", "weak error"
RULES = (RULE, WEAK_ALONE, "most misfit", "least misfit", "at random")
_TIE_TOLERANCE = 1e-9  # relative to the scores
_KEYS = ["seed", "split", "heads", "supervisor", "student"]


def by_division(frame: pd.DataFrame) -> pd.DataFrame:
    """Return mean losses, one row for each division, head class, pair and evaluation.

    Parameters
    ----------
    frame : DataFrame
        From `run_division`.
    """
    losses = Predictions(frame).losses().rename(columns={"division": "seed"})
    columns = [*ERRORS[:4], "gain", *ERRORS[4:], *FIT_COLUMNS]
    parts = []
    for name, roles in EVALUATIONS.items():
        groups = losses[losses["role"].isin(roles)].groupby(_KEYS, sort=False)
        parts.append(groups[columns].mean().assign(rows=groups.size(), evaluation=name).reset_index())
    rows = pd.concat(parts, ignore_index=True)
    order = [*_KEYS[:3], "evaluation", *_KEYS[3:], "rows", *columns]
    return rows[order].rename(columns={"strong_optimality_gap": "optimality_gap"})


def summarize_molecules(config: MoleculeSettings, frame: pd.DataFrame) -> dict[str, Any]:
    """Compute all statistics of a set, for each head class and evaluation.

    Intervals are percentiles of a bootstrap over molecules, connectivities as clusters, and over divisions,
    given the splits; of a single division they are over molecules, given its fitted heads.

    Parameters
    ----------
    config : MoleculeSettings
    frame : DataFrame
        From `run_division`, for all seeds.
    """
    weights = resample_weights(config, frame)
    losses = Predictions(frame).losses()
    summary: dict[str, Any] = {}
    for heads in config.heads:
        of_heads = losses[losses["heads"] == heads]
        evaluations = {name: means(of_heads, roles, weights, config) for name, roles in EVALUATIONS.items()}
        summary[heads] = {
            name: {
                "table": table(sample),
                "ranking": ranking(sample),
                "line": line(sample, redrawn=config.splits == "redrawn"),
                "law_3": law_3(sample),
                "regret": regret(sample, sample),
            }
            for name, sample in evaluations.items()
        }
        summary[heads][CROSSED] = {"regret": regret(evaluations["valid"], evaluations["test"], by_split=True)}
    return summary


def table(means: Means) -> list[dict[str, Any]]:
    """Return one row for each weak model, sorted by weak error − misfit over all divisions.

    ``first``: mean and standard deviation (n − 1) over the splits, of one division of each, as the paper's
    Table 1. ``all``: mean over splits and divisions with its interval. ``std_over_splits`` of the mean over
    divisions; ``std_over_divisions`` of the mean over splits.
    """
    rows = []
    first_columns, all_columns = _columns(means.first), _columns(means.values)
    for pair, name in enumerate(means.pairs):
        row: dict[str, Any] = {"weak": name}
        for column, values in all_columns.items():
            pair_values = values[..., pair]
            row[column] = {
                "first": _spread(first_columns[column][0, :, pair]),
                "all": means.estimate(pair_values.mean(axis=(1, 2))),
                "std_over_splits": _spread(pair_values[0].mean(axis=1))["std"],
                "std_over_divisions": _spread(pair_values[0].mean(axis=0))["std"],
            }
        rows.append(row)
    return sorted(rows, key=lambda row: row["weak_error_minus_misfit"]["all"].value)


def _columns(values: dict[str, Array]) -> dict[str, Array]:
    return {
        "weak_error_minus_misfit": values["weak_error"] - values["misfit"],
        **values,
        "gain_over_direct": values["direct_error"] - values["strong_error"],
        "gain_over_untrained": values["untrained_error"] - values["strong_error"],
    }


def ranking(means: Means) -> dict[str, Any]:
    """Correlate weak error − misfit with the student's true error over weak models, by Spearman.

    Of the means over splits: in one division, over all, and its spread over the divisions. ``picked_best``
    is the share of resamples in which the student that the sample's means over all divisions pick errs least.
    """
    rule, true = means.rule.mean(axis=1), means["strong_error"].mean(axis=1)
    first = means.first["weak_error"] - means.first["misfit"]
    spread = spearman(rule[0], true[0])
    return {
        "first": means.estimate(spearman(first.mean(axis=1), means.first["strong_error"].mean(axis=1))),
        "all": means.estimate(spearman(rule.mean(axis=1), true.mean(axis=1))),
        "over_divisions": {"median": float(np.median(spread)), "min": spread.min(), "max": spread.max()},
        "picked_best": _share_of_best_picks(rule.mean(axis=1), true.mean(axis=1)),
    }


def _share_of_best_picks(score: Array, true: Array) -> float:
    """Return the share of resamples in which the sample's pick, which comes first, has the least error."""
    picked = score[0].argmin()
    return float((true[1:, picked] <= true[1:].min(-1)).mean())


def spearman(a: Array, b: Array) -> Array:
    """Compute Spearman's correlation along the last axis; NaN where all values are equal."""
    from scipy.stats import rankdata  # scipy.stats takes a third of a second

    return _correlation(rankdata(a, axis=-1), rankdata(b, axis=-1))


def _correlation(a: Array, b: Array) -> Array:
    """Compute Pearson's correlation along the last axis; NaN where all values are equal."""
    x, y = (v - v.mean(axis=-1, keepdims=True) for v in (a, b))
    size = np.sqrt((x**2).sum(-1) * (y**2).sum(-1))
    return np.divide((x * y).sum(-1), size, out=np.full(size.shape, np.nan), where=size > 0)


def _slope(a: Array, b: Array) -> Array:
    """Compute the slope of the least squares line of b on a, along the last axis; NaN where a is constant."""
    x, y = (v - v.mean(axis=-1, keepdims=True) for v in (a, b))
    size = (x**2).sum(-1)
    return np.divide((x * y).sum(-1), size, out=np.full(size.shape, np.nan), where=size > 0)


def regret(chosen_on: Means, judged_on: Means, *, by_split: bool = False) -> dict[str, Any]:
    """Compute each rule's mean regret: true error of the student it picks less that of the best student.

    Every division is a decision, on scores and errors that are means over its splits, or every split of
    every division. Of tied picks the mean counts. ``over_weak_alone`` is the difference from picking by
    least weak error, ``over_half_of_random`` that from half the regret of picking at random; intervals hold
    the picks of every resample.

    Parameters
    ----------
    chosen_on, judged_on : Means
        Means over the molecules that rules choose on, and over those that true errors are taken on.
    by_split : bool
        Decide in every split, so that no molecule is in both.
    """

    def decisions(values: Array) -> Array:
        return values.reshape(len(values), -1, values.shape[-1]) if by_split else values.mean(axis=1)

    rule, weak, misfit = map(decisions, (chosen_on.rule, chosen_on["weak_error"], chosen_on["misfit"]))
    true = decisions(judged_on["strong_error"])
    scores = {RULE: rule, WEAK_ALONE: weak, "most misfit": -misfit, "least misfit": misfit}
    picked = {name: _error_at_least_score(score, true) for name, score in scores.items()}
    picked["at random"] = true.mean(-1)
    least = true.min(-1)
    half = (picked["at random"] - least).mean(axis=1) / 2
    return {
        name: {
            "regret": judged_on.estimate((values - least).mean(axis=1)),
            "over_half_of_random": judged_on.estimate((values - least).mean(axis=1) - half),
            "over_weak_alone": judged_on.estimate((values - picked[WEAK_ALONE]).mean(axis=1)),
        }
        for name, values in picked.items()
    }


def _error_at_least_score(score: Array, true: Array) -> Array:
    """Return the error at the least score, along the last axis; the mean of several where scores tie."""
    tolerance = _TIE_TOLERANCE * np.abs(score).max(-1, keepdims=True)
    least = score <= score.min(-1, keepdims=True) + tolerance
    return np.asarray((true * least).sum(-1) / least.sum(-1))


def line(means: Means, *, redrawn: bool = False) -> dict[str, Any]:
    """Relate gain to misfit over the points of the figure: weak models, splits and divisions.

    Of redrawn splits the resamples of slope and correlation over all points draw divisions alone: there each
    point has noise of its own rows already, and drawing these again would add as much to the spread of the
    misfits, and so take from every resampled slope. Molecules are then as given.

    ``slope`` of the least squares line, ``slope_of_means`` of that over the means of the weak models;
    ``cross_over_misfit`` and ``gain_over_misfit``, ratios of means; ``r2_misfit`` of gain = misfit, nothing
    fitted, of the points of one division: its median over divisions and the median's interval. (Resampled
    molecules add to the spread that R² divides by.)
    """
    misfit, gain, cross = (means[n].reshape(len(means.rule), -1) for n in ("misfit", "gain", "cross_term"))
    total = misfit.mean(axis=1)
    values = means.given_rows if redrawn else means.values
    points = [values[name].reshape(len(misfit), -1) for name in ("misfit", "gain")]
    return {
        "slope": means.estimate(_slope(*points)),
        "slope_of_means": means.estimate(_slope(means["misfit"].mean((1, 2)), means["gain"].mean((1, 2)))),
        "correlation": means.estimate(_correlation(*points)),
        "r2_misfit": Estimate.of_median(_fit(means["misfit"][0], means["gain"][0])),
        "cross_over_misfit": means.estimate(cross.mean(axis=1) / total),
        "gain_over_misfit": means.estimate(gain.mean(axis=1) / total),
        "points": misfit.shape[1],
    }


def _fit(misfit: Array, gain: Array) -> Array:
    """Compute R² of gain = misfit in every division, from arrays (splits, divisions, pairs)."""
    spread = ((gain - gain.mean(axis=(0, 2), keepdims=True)) ** 2).sum(axis=(0, 2))
    return np.asarray(1 - ((gain - misfit) ** 2).sum(axis=(0, 2)) / spread)


def law_3(means: Means) -> dict[str, Any]:
    """Compare the gain with the bound of law 3, ``gain ≥ B − 2√(εB)``, where B is the misfit.

    For ε stands the class error: of the head in the student's own class (a ball of the student's radius)
    that is fitted to the truth of its rows. It is above ε on average, as no head of the class errs less than
    the best. ``promise`` is the bound of each pair's means; it is positive where ε < B/4.
    """
    misfit, class_error = (means[name].mean(axis=(1, 2)) for name in ("misfit", "class_error"))
    promise = misfit - 2 * np.sqrt(class_error * misfit)
    b, e, gain = (means[name][0] for name in ("misfit", "class_error", "gain"))
    has_promise, below = b > 4 * e, gain < b - 2 * np.sqrt(e * b)
    return {
        "ceiling_error": means.estimate(means["ceiling_error"].mean(axis=(1, 2, 3))),
        "class_error": means.estimate(class_error.mean(axis=1)),
        "class_over_quarter_misfit": {
            "least": means.estimate((4 * class_error / misfit).min(axis=1)),
            "most": means.estimate((4 * class_error / misfit).max(axis=1)),
        },
        "promise": {"least": means.estimate(promise.min(1)), "most": means.estimate(promise.max(1))},
        "points": b.size,
        "points_with_a_promise": int(has_promise.sum()),
        "points_below": int(below.sum()),
        "points_with_a_broken_promise": int((below & has_promise).sum()),
    }


def _spread(values: Array) -> dict[str, float]:
    return {
        "mean": float(values.mean()),
        "std": float(values.std(ddof=1)) if len(values) > 1 else float("nan"),
    }


def flat_table(results: Sequence[Result]) -> pd.DataFrame:
    """Return one table, with a row for each class of heads, evaluation and weak model."""
    parts = [
        pd.json_normalize([_flat(row) for row in result.estimates[name]["table"]]).assign(
            heads=result.about["heads"], evaluation=name
        )
        for result in results
        for name in EVALUATIONS
    ]
    frame = pd.concat(parts, ignore_index=True)
    return frame[["heads", "evaluation", *frame.columns.drop(["heads", "evaluation"])]]


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """Replace the estimates in a row of `table` by their value, low and high."""
    ends = ("value", "low", "high")
    return {
        name: {
            key: {end: getattr(entry, end) for end in ends} if isinstance(entry, Estimate) else entry
            for key, entry in cell.items()
        }
        if isinstance(cell, Mapping)
        else cell
        for name, cell in row.items()
    }
