"""Findings of a study: estimates with intervals, and conclusions in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from weakstrong.arrays import group_numbers, power_of_two
from weakstrong.divergence import SQUARED_ERROR
from weakstrong.estimate import HOLDS_ZERO, Estimate
from weakstrong.gain import measure
from weakstrong.predictions import NO_MISFIT, Pair, Parts, Predictions
from weakstrong.record import Result
from weakstrong.studies.influence import exploded_divisions, influences
from weakstrong.studies.remarks import remarks

_ON_GAIN = ("gain", "cross_term")
_JUDGED = (*_ON_GAIN, "gain_over_direct")  # what verdicts are on
_TOO_GOOD = 1e-6  # of the error of the mean: less error than features have that were not made from the target


def by_division(predictions: Predictions, fits: pd.DataFrame) -> pd.DataFrame:
    """One row for each division and pair: what was measured on its held-out rows, and how it was fitted."""
    keys = ["split", "division", *Pair._fields]
    measured = []
    for key, part in predictions.table.groupby(keys, sort=False):
        estimates, _ = measure_pair(Predictions(part))
        row = dict(zip(keys, key, strict=True))
        row |= {"test_rows": len(part)}
        row |= {n: float(e.value) for n, e in estimates.items() if n != "performance_gap_recovered"}
        row |= {f"{n}_se": float(estimates[n].standard_error) for n in ("gain", "cross_term")}
        measured.append(row)
    rows = pd.DataFrame(measured).merge(fits, on=keys, validate="one_to_one")
    gaps = [rows.pop(name) for name in list(rows) if name.endswith("_optimality_gap")]
    return rows.assign(optimality_gap=pd.concat(gaps, axis=1).max(axis=1))


def measure_pair(predictions: Predictions, *, tested: bool = False) -> tuple[dict[str, Estimate], str]:
    """Estimates on the held-out rows of one pair, and why the gap recovered is not among them.

    A row that several divisions judge is one cluster, as is a group. What verdicts are on is `tested`.
    """
    table, clusters = predictions.table, predictions.clusters.to_numpy()
    y, s = table["y_true"], table["y_strong"]
    gain = measure(y, table["y_weak"], s, y_ceiling=table["y_ceiling"], groups=clusters, tested=tested)
    estimates = gain.estimates()
    estimates["weak_error_minus_misfit"] = _weak_error_minus_misfit(table, clusters)
    for baseline in predictions.baselines:
        if baseline != "ceiling" and table[f"y_{baseline}"].notna().all():
            against = measure(y, table[f"y_{baseline}"], s, groups=clusters, tested=tested)
            estimates[f"{baseline}_error"] = against.weak_error
            estimates[f"gain_over_{baseline}"] = against.gain
    return estimates, gain.not_recovered_because


def _weak_error_minus_misfit(table: pd.DataFrame, clusters: NDArray[Any]) -> Estimate:
    """The bound of Theorem 1 on the student's error, by which the paper chooses among supervisors."""
    losses = SQUARED_ERROR.of_rows(*(table[f"y_{of}"].to_numpy() for of in ("true", "weak", "strong")))
    return Estimate.of_mean(losses["weak_error"] - losses["misfit"], group_numbers(clusters))


def summarize(parts: Parts, rows: pd.DataFrame) -> tuple[Result, ...]:
    """Pooled estimates, their spread over divisions, and conclusions, for each pair.

    Parameters
    ----------
    parts : sequence of callable
        Each returns the predictions of a division; those of one pair are in memory at a time.
    rows : DataFrame
        Their measures by division, as `by_division` returns them, with what exploded (`with_explosions`).
    """
    results = []
    pairs = rows[list(Pair._fields)].drop_duplicates().itertuples(index=False, name=None)
    for pair in map(Pair._make, pairs):
        part = Predictions.concatenated(load().of(pair) for load in parts)
        mine = rows[(rows[list(Pair._fields)] == list(pair)).all(axis=1)]
        estimates, reason = measure_pair(part, tested=True)
        deciding = influences(part)
        facts = {
            "divisions": len(mine),
            "held_out_rows": int(part.table["row"].nunique()),
            "gap_not_recovered_because": reason or None,
            "spread_over_divisions": {
                k: {"std": _deviation(mine[k]), "min": float(mine[k].min()), "max": float(mine[k].max())}
                for k in ("weak_error", "strong_error", "misfit", "gain", "cross_term", "direct_error")
            },
            "correlation_of_gain_and_misfit": _correlation(mine["misfit"], mine["gain"]),
            "exploded_divisions": exploded_divisions(mine),
            "influence": {
                quantity: {unit: one.facts() for unit, one in units.items()}
                for quantity, units in deciding.items()
            },
        }
        said = (*conclusions(estimates), *remarks(deciding, mine))
        results.append(Result(pair._asdict(), estimates, facts, said))
    return tuple(results)


def conclusions(estimates: Mapping[str, Estimate]) -> list[str]:
    """Conclusions from the estimates, in words, by the rules of `Estimate.verdict`."""
    over_direct = worded_verdict(
        estimates["gain_over_direct"],
        "the student beats training directly on the true labels its supervisor had",
        "training directly on the true labels its supervisor had beats the student",
        "whether the student beats training directly on the true labels its supervisor had",
    )
    spread = float(estimates["mean_error"].value)
    judged = _JUDGED if _has_misfit(estimates, spread) else ("gain_over_direct",)
    return [
        *_on_gain(estimates, spread),
        over_direct,
        *_leakage(estimates),
        *_skewed(estimates, *judged),
    ]


def with_verdicts(result: Result) -> Result:
    """Add conclusions in words to what was measured of a pair without baselines: on gain and misfit."""
    estimates, spread = result.estimates, result.facts["variance_of_truth"]
    judged = _ON_GAIN if _has_misfit(estimates, spread) else ()
    return replace(result, findings=(*_on_gain(estimates, spread), *_skewed(estimates, *judged)))


def _has_misfit(estimates: Mapping[str, Estimate], spread: float) -> bool:
    """Whether the misfit is more than rounding, beside the error of predicting the mean."""
    return float(estimates["misfit"].value) > NO_MISFIT * spread


def _on_gain(estimates: Mapping[str, Estimate], spread: float) -> list[str]:
    """Whether the student is better than its supervisor, and whether by more than the misfit."""
    if not _has_misfit(estimates, spread):
        return ["the student reproduces its supervisor (no misfit): nothing gained or lost"]
    gain = worded_verdict(
        estimates["gain"],
        "the student is better than its supervisor",
        "the student is worse than its supervisor",
        "whether the student is better than its supervisor",
    )
    cross = worded_verdict(
        estimates["cross_term"],
        "gain exceeds misfit, as in Theorem 1",
        "gain falls short of misfit",
        "whether gain exceeds misfit",
    )
    ratio = float(estimates["cross_term"].value) / float(estimates["misfit"].value)
    return [gain, f"{cross}; a cross term {ratio:+.2f} times the misfit"]


def cluster_notes(results: Iterable[Result]) -> tuple[str, ...]:
    """What a reader must know of intervals from few clusters, once for all pairs that have them."""
    notes: dict[str, None] = {}
    for estimate in (result.estimates["gain"] for result in results):
        if few := estimate.too_few():
            notes[f"{few}: too few for a verdict, and for intervals to hold if their means are skewed"] = None
        elif estimate.skew_is_unseen():
            notes[
                f"only {estimate.effective_clusters:.3g} effective clusters: too few to show whether their "
                "means are skewed; where they are, intervals of 95% cover less, 83% in simulations"
            ] = None
    return tuple(notes)


def _skewed(estimates: Mapping[str, Estimate], *names: str) -> list[str]:
    """Of which estimates the clusters are too skewed for their intervals."""
    found = {name: estimates[name].skew() for name in names}
    said = [f"{name.replace('_', ' ')}: {skew}" for name, skew in found.items() if skew]
    if not said:
        return []
    return [
        f"the clusters of held-out rows are skewed ({'; '.join(said)}): such intervals of 95% cover less, 87 "
        "to 94% in simulations, and miss on the side of the long tail"
    ]


def _leakage(estimates: Mapping[str, Estimate]) -> list[str]:
    """Whose features predict the truth of held-out rows almost exactly, as those do that contain it."""
    errors = {name: float(estimate.value) for name, estimate in estimates.items() if name.endswith("_error")}
    spread, said = errors["mean_error"], []
    for owner, fits in (("supervisor", ("weak",)), ("student", ("strong", "ceiling", "direct"))):
        known = [f"{fit}_error" for fit in fits if f"{fit}_error" in errors]
        least = min(known, key=errors.__getitem__, default=None)
        if least is not None and spread > 0 and errors[least] <= _TOO_GOOD * spread:
            said.append(
                f"the {owner}'s features predict the truth almost exactly ({least.replace('_', ' ')} "
                f"{errors[least] / spread:.1g} of the error of the mean): do they contain the target?"
            )
    return said


def worded_verdict(estimate: Estimate, positive: str, negative: str, question: str) -> str:
    """The claim that the estimate supports; an open question, and why, where it supports none."""
    low, high = (float(v) for v in estimate.interval())
    shown = f"({float(estimate.value):+.4g}, 95% interval {low:+.4g} to {high:+.4g})"
    sign, reason = estimate.verdict()
    if sign:
        return f"{positive if sign > 0 else negative}, for these fitted models {shown}"
    said = "no verdict" if estimate.too_few() else "undecided"
    return f"{said} {question} {shown}" + (f": {reason}" if reason != HOLDS_ZERO else "")


def _deviation(values: pd.Series) -> float | None:
    """Standard deviation of numbers that are squares already, so that they are not squared as they are."""
    unit = power_of_two(values)
    return float((values / unit).std() * unit) if len(values) > 1 else None


def _correlation(a: pd.Series, b: pd.Series) -> float | None:
    a, b = a / power_of_two(a), b / power_of_two(b)
    enough = len(a) > 2 and a.std() > 0 and b.std() > 0
    return float(np.corrcoef(a, b)[0, 1]) if enough else None
