"""Whether an estimate of a study rests on one row, cluster or division, and which fits exploded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from weakstrong.arrays import group_numbers, power_of_two
from weakstrong.estimate import Estimate
from weakstrong.predictions import NO_MISFIT, Pair, Predictions

Array = NDArray[np.float64]
Numbers = NDArray[np.int64]

GAINS = {"gain": ("weak", "strong"), "gain_over_direct": ("direct", "strong")}
FITS = ("weak", "strong", "ceiling", "class", "direct", "untrained")

# One unit stands out that is further from the others than the furthest of as many Gaussian ones is once
# in a thousand studies. It binds where units are few: of four divisions one is always far from the rest.
_STANDS_OUT = 0.001
_FEWEST = 4  # units; of fewer none can be told to be the odd one
# Standard errors, those of the mean without the unit: a row that moves it by more has more than half of all
# squared deviations. Near its edge a verdict can be tipped by almost any row, which says nothing of the row.
_MOVES = 1.0
_MOST = 0.5  # of a gain or an error
_EXPLODED = 3.0  # times the error of the mean, which a fit that learnt nothing has


@dataclass(frozen=True)
class Influence:
    """The row, cluster or division without which a mean over rows changes most.

    Parameters
    ----------
    unit : str
        row, cluster or division.
    name : mapping
        Row number and id; name of the cluster; split and number of the division.
    value, without : float
        The mean, and that without the unit: all its rows, in all divisions.
    share : float
        The unit's part of the sum over rows, relative to the size of the sum; infinite where that is zero.
    decides : bool
        Whether the unit stands out among its like and the mean without it says something else.
    interval : tuple of float, optional
        Of the mean without the unit, where that is a gain and the unit stands out.
    seen : mapping
        Of a row: the truth, the prediction that is furthest from it, whose it is and in which division; of
        classes, the most probable ones.
    """

    unit: str
    name: Mapping[str, Any]
    value: float
    without: float
    share: float
    decides: bool
    interval: tuple[float, float] | None
    seen: Mapping[str, Any]

    def facts(self) -> dict[str, Any]:
        """Return what a record keeps of it."""
        share = self.share if np.isfinite(self.share) else None
        known = {**self.name, "share": share, "without": self.without, "decides": self.decides}
        if self.interval is not None and np.isfinite(self.interval).all():
            known["interval_without"] = list(self.interval)
        return known | dict(self.seen)


def influences(predictions: Predictions) -> dict[str, dict[str, Influence]]:
    """Return the strongest row, cluster and division for each gain and error of one pair, by these names.

    A gain is decided by a unit that stands out if without it the gain moves by more than a standard error,
    and either by more than half or to another verdict (better, worse, undecided); an error if without it
    less than half is left. The means are over rows: a group that is most of the rows is not blamed for most
    of the error.

    Parameters
    ----------
    predictions : Predictions
        Of one pair, all divisions together.
    """
    table, losses, weights = predictions.table, predictions.losses(), predictions.weights
    weights = weights / weights.mean()
    quantities = {f"{fit}_error": (fit,) for fit in FITS if f"{fit}_error" in losses}
    losses["gain_over_direct"] = losses["direct_error"] - losses["strong_error"]
    clusters = group_numbers(predictions.clusters.to_numpy())
    nothing = NO_MISFIT * float(np.average(losses["mean_error"], weights=weights))
    units = _units(table)
    found: dict[str, dict[str, Influence]] = {}
    for quantity, fits in (GAINS | quantities).items():
        values = losses[quantity].to_numpy(dtype=np.float64)
        if not np.isfinite(values).all():
            continue  # untrained controls that some divisions lack
        found[quantity] = {}
        for unit, codes in units.items():
            if codes.max() > 0:
                place, about = _strongest(
                    values, codes, clusters, weights, gain=quantity in GAINS, nothing=nothing
                )
                mine = table[codes == place]
                seen = _seen(Predictions(mine), fits) if unit == "row" else {}
                found[quantity][unit] = Influence(unit, _name(unit, mine), **about, seen=seen)
    return found


def _units(table: pd.DataFrame) -> dict[str, Numbers]:
    """What may be left out of a pair's table, with the number of each row's unit."""
    units = {"row": group_numbers(table["row"].to_numpy())}
    if "cluster" in table:
        units["cluster"] = group_numbers(table["cluster"].to_numpy())
    units["division"] = table.groupby(["split", "division"], sort=False).ngroup().to_numpy(dtype=np.int64)
    return units


def _strongest(
    values: Array, codes: Numbers, clusters: Numbers, weights: Array, *, gain: bool, nothing: float
) -> tuple[int, dict[str, Any]]:
    """The unit without which the mean changes most (an error: falls most), and what is said of it."""
    scale = float(power_of_two(values))
    psi = values / scale
    counts = np.bincount(codes, weights)
    sums = np.asarray(np.bincount(codes, weights * psi), dtype=np.float64)
    value = float(np.average(psi, weights=weights))
    changes = (sums - counts * value) / (weights.sum() - counts)  # the mean less that without the unit
    place = int(np.argmax(np.abs(changes) if gain else changes))
    rest = codes != place
    without = float(np.average(psi[rest], weights=weights[rest]))
    decides = abs(value - without) * scale > nothing and _stands_out(sums, counts, place)
    interval = None
    if decides and gain:
        least = Estimate.of_mean(psi[rest], group_numbers(clusters[rest]), weights[rest])
        decides = _is_decided(Estimate.of_mean(psi, clusters, weights), least)
        low, high = least.interval()
        interval = (float(low) * scale, float(high) * scale)
    elif decides:
        decides = without < _MOST * value
    total = abs(float(sums.sum()))
    share = float(sums[place]) / total if total else np.inf
    return place, {
        "value": value * scale, "without": without * scale, "share": share,
        "decides": bool(decides), "interval": interval,
    }  # fmt: skip


def _stands_out(sums: Array, counts: NDArray[Any], place: int) -> bool:
    """Whether the mean of one unit is far from the others', by its studentized deleted residual.

    Units are weighted by their rows; for equal ones this is the test of Grubbs for one outlier.
    """
    units = len(counts)
    if units < _FEWEST:
        return False
    from scipy.stats import t

    others, sizes = np.delete(sums, place), np.delete(counts, place)
    mean, rows = others.sum() / sizes.sum(), sizes.sum()
    variance = ((others - sizes * mean) ** 2).sum() / rows * (units - 1) / (units - 2)
    apart = abs(sums[place] / counts[place] - mean)
    limit = t.isf(_STANDS_OUT / (2 * units), units - 2)
    return bool(apart > limit * np.sqrt(variance * (1 / counts[place] + 1 / rows)))


def _is_decided(whole: Estimate, rest: Estimate) -> bool:
    """Whether a gain says something else without one unit."""
    change = abs(float(whole.value) - float(rest.value))
    largest = max(abs(float(whole.value)), abs(float(rest.value)))
    is_other = _sign(whole) != _sign(rest) or change > _MOST * largest  # as where the gain changes sign
    return is_other and change > _MOVES * float(rest.standard_error)


def _sign(estimate: Estimate) -> int:
    """The sign that an interval allows; 0 where it holds zero."""
    low, high = (float(end) for end in estimate.interval())
    return int(low > 0) - int(high < 0)


def _name(unit: str, rows: pd.DataFrame) -> dict[str, Any]:
    """What a unit is called, in plain values, from its rows of a table."""
    columns = {"row": ["row", "id"], "cluster": ["cluster"], "division": ["split", "division"]}[unit]
    return {name: _plain(rows[name].iloc[0]) for name in columns if name in rows}


def _plain(name: Any) -> int | str:
    whole = isinstance(name, int | np.integer) and not isinstance(name, bool)
    return int(name) if whole else str(name)


def _seen(predictions: Predictions, fits: tuple[str, ...]) -> dict[str, Any]:
    """The prediction of a row that is furthest from its truth; of classes, the most probable one of each."""
    truth, rows = predictions.values("true"), predictions.table
    far = {fit: predictions.divergence.error(predictions.values(fit), truth) for fit in fits}
    fit = max(far, key=lambda name: far[name].max())
    place = int(far[fit].argmax())
    said, true = predictions.values(fit)[place], truth[place]
    classes = predictions.classes
    return {
        "fit": fit,
        "predicted": classes[int(said.argmax())] if classes else float(said),
        "truth": classes[int(true.argmax())] if classes else float(true),
        **_name("division", rows.iloc[[place]]),
    }


def with_explosions(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the table of divisions with a column ``exploded``: the names of the fits that did, or empty.

    A fit exploded if it errs by more than three times the error of predicting the mean, in its division and
    over all: labels of one division that happen to lie near the mean make no explosion.
    """
    means = rows["mean_error"]
    usual = means.groupby([rows[key] for key in Pair._fields], sort=False).transform("mean")
    limit = _EXPLODED * np.maximum(means, usual)
    there = [fit for fit in FITS if f"{fit}_error" in rows]
    far = np.column_stack([rows[f"{fit}_error"] > limit for fit in there])
    names = [" ".join(np.array(there)[row]) for row in far]
    return rows.assign(exploded=pd.Series(names, index=rows.index, dtype=str))


def exploded_divisions(rows: pd.DataFrame) -> dict[str, int]:
    """Count the divisions of one pair in which each fit exploded."""
    names = rows["exploded"].str.split()
    there = [fit for fit in FITS if f"{fit}_error" in rows]
    return {fit: int(names.map(lambda of, fit=fit: fit in of).sum()) for fit in there}
