"""What weak labels are worth, counted in true labels: where direct training errs as much as the student."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from weakstrong.arrays import group_numbers
from weakstrong.divergence import Divergence
from weakstrong.estimate import Estimate
from weakstrong.predictions import Predictions
from weakstrong.record import Result

Array = NDArray[np.float64]

_BUDGET = re.compile(r"direct_(\d+)")
_ENDS = {"": "value", "_low": "low", "_high": "high"}


class BudgetPoint(NamedTuple):
    """Direct training on a number of true labels, beside a student.

    Parameters
    ----------
    true_labels : int
    direct_error : Estimate
    excess_error : Estimate
        Error of direct training less the student's, on the same rows.
    """

    true_labels: int
    direct_error: Estimate
    excess_error: Estimate


def budget_curve(predictions: Predictions, divergence: Divergence | None = None) -> list[BudgetPoint]:
    """Estimate the error of direct training on each number of true labels, and its excess over a student's.

    Intervals count the rows that judge, and the divisions, each of which draws true labels of its own:
    `Estimate.of_mean_over_two`. The weak labels are those that there are.

    Parameters
    ----------
    predictions : Predictions
        Of one pair of supervisor and student, all divisions together.
    divergence : Divergence, optional
        The loss; that of the predictions unless given.
    """
    known, loss = predictions.with_truth, divergence or predictions.divergence
    table, weights = known.table, known.weights
    counts = sorted(int(m[1]) for m in map(_BUDGET.fullmatch, known.baselines) if m)
    rows = group_numbers(known.clusters.to_numpy())
    divisions = table.groupby(["split", "division"], sort=False).ngroup().to_numpy(dtype=np.int64)
    y = known.values("true")
    strong = loss.error(known.values("strong"), y)
    curve = []
    for count in counts:
        direct = loss.error(known.values(f"direct_{count}"), y)
        error, excess = (
            Estimate.of_mean_over_two(of, rows, divisions, weights) for of in (direct, direct - strong)
        )
        error = replace(error, low=np.maximum(error.low, 0.0))  # with few divisions it may reach further
        curve.append(BudgetPoint(count, error, excess))
    return curve


def worth_in_true_labels(curve: list[BudgetPoint]) -> Estimate | None:
    """Estimate the number of true labels with which direct training errs as much as the student.

    It is where the excess error of direct training, made monotone and linear in the logarithm of the number,
    crosses zero; the interval ends where the ends of its intervals do. Below the smallest number tried it is
    0, above the largest infinite. None without a curve.
    """
    if not curve:
        return None
    counts = np.log([point.true_labels for point in curve])
    excess = np.array([[p.excess_error.value, p.excess_error.low, p.excess_error.high] for p in curve])
    value, low, high = (_crossing(counts, column) for column in excess.T)
    return Estimate(value, low, high, "crossing of the curves of direct training and student")


def worth_in_words(worth: Estimate | None, curve: list[BudgetPoint], loss: str = "") -> list[str]:
    """Say what weak labels are worth in true labels, within the numbers that were tried; `loss` names one."""
    if worth is None:
        return []
    least, most = curve[0].true_labels, curve[-1].true_labels

    def said(number: float) -> str:
        if number == 0:
            return f"fewer than {least}"
        return f"more than {most}" if np.isinf(number) else str(int(float(f"{number:.2g}")))

    value = said(worth.value)
    what = f"{loss}its weak labels are worth"
    about = value if value.startswith(("fewer", "more")) else f"about {value}"
    if np.isnan([worth.low, worth.high]).any():
        return [f"{what} {about} true ones (too few clusters for an interval)"]
    ends = (said(worth.low), said(worth.high))
    interval = "at 95% too" if set(ends) == {about} else f"95% interval {ends[0]} to {ends[1]}"
    return [f"{what} {about} true ones ({interval})"]


def budget_table(results: Iterable[Result]) -> dict[str, pd.DataFrame]:
    """Return the curves of direct training as a table, a row for each pair and number; none without one."""
    rows = []
    for result in results:
        for point in result.facts["budget"]:
            row = {**result.about, "true_labels": point["true_labels"]}
            for name in ("direct_error", "excess_error"):
                row |= {f"{name}{end}": float(getattr(point[name], of)) for end, of in _ENDS.items()}
            rows.append(row)
    return {"budget": pd.DataFrame(rows)} if rows else {}


def _crossing(at: Array, excess: Array) -> float:
    """Where the nearest falling curve reaches zero: 0 before the first point, infinity after the last."""
    if np.isnan(excess).any():
        return np.nan
    from sklearn.isotonic import isotonic_regression

    falling = isotonic_regression(excess, increasing=False)
    if falling[0] <= 0:
        return 0.0
    if falling[-1] > 0:
        return np.inf
    after = int(np.argmax(falling <= 0))
    before = after - 1
    share = falling[before] / (falling[before] - falling[after])
    return float(np.exp(at[before] + share * (at[after] - at[before])))
