"""Mean losses over the evaluated molecules, for every resample of molecules and divisions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from weakstrong.bootstrap import cluster_weights
from weakstrong.estimate import Estimate
from weakstrong.paper.molecule_settings import MoleculeSettings

Array = NDArray[np.float64]

ERRORS = (
    "weak_error", "strong_error", "misfit", "cross_term", "ceiling_error", "class_error", "direct_error",
    "mean_error", "untrained_error",
)  # fmt: skip


@dataclass(frozen=True)
class Means:
    """Mean losses over the evaluated molecules, for the sample and for every resample of it.

    Parameters
    ----------
    pairs : tuple of str
        The weak models.
    first : dict of str to array of shape (1 + resamples, splits, pairs)
        Of the first division. The sample comes first. Names are those of `ERRORS` and ``gain``.
    values : dict of str to array of shape (1 + resamples, splits, divisions, pairs)
        Of all divisions, which the resamples draw with replacement too.
    given_rows : dict of str to array of shape (1 + resamples, splits, divisions, pairs)
        Of resamples of the divisions alone.
    sizes : dict
        Numbers of rows and clusters resampled.
    """

    pairs: tuple[str, ...]
    first: dict[str, Array]
    values: dict[str, Array]
    given_rows: dict[str, Array]
    sizes: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, pairs: tuple[str, ...], values: dict[str, Array], seed: int = 0, **sizes: Any) -> Means:
        """Resample the divisions, given the means of each division for every resample of the molecules."""
        resamples, _, divisions, _ = next(iter(values.values())).shape
        drawn = np.random.default_rng([seed, 1]).integers(divisions, size=(resamples, divisions))
        drawn[0] = np.arange(divisions)
        values = {**values, "gain": values["weak_error"] - values["strong_error"]}
        first = {name: v[:, :, 0] for name, v in values.items()}
        resampled = {n: np.take_along_axis(v, drawn[:, None, :, None], axis=2) for n, v in values.items()}
        given_rows = {name: v[0][:, drawn].swapaxes(0, 1) for name, v in values.items()}
        return cls(pairs, first, resampled, given_rows, sizes)

    def __getitem__(self, name: str) -> Array:
        return self.values[name]

    def estimate(self, draws: Array) -> Estimate:
        """Estimate a statistic from its values on the sample, which comes first, and on every resample."""
        return Estimate.of_draws(draws[0], draws[1:], **self.sizes)

    @property
    def rule(self) -> Array:
        """Weak error − misfit, for all divisions."""
        return self["weak_error"] - self["misfit"]


def means(frame: pd.DataFrame, roles: tuple[str, ...], weights: Array, config: MoleculeSettings) -> Means:
    """Compute mean losses over the molecules of some roles, for each row of weights.

    Parameters
    ----------
    frame : DataFrame
        Losses of one head class: `Predictions.losses`.
    roles : tuple of str
    weights : array of shape (1 + resamples, molecules of the set)
    config : MoleculeSettings
    """
    role_losses = frame[frame["role"].isin(roles)]
    order = {name: position for position, name in enumerate(config.weak)}
    weak = role_losses["student" if config.swap_roles else "supervisor"].map(order)
    role_losses = role_losses.assign(weak=weak).sort_values(["split", "division", "weak", "row"])
    splits, seeds = (role_losses[name].nunique() for name in ("split", "division"))
    pairs = len(config.weak)
    # Each division may judge rows of its own.
    divisions = [
        _means_of_division(losses, weights, pairs)
        for _, losses in role_losses.groupby(["split", "division"], sort=True)
    ]
    stacked = np.stack(divisions, axis=2).reshape(len(ERRORS), len(weights), splits, seeds, pairs)
    rows = role_losses.drop_duplicates("row")
    cluster_sizes = rows.groupby("cluster").size().to_numpy()
    sizes: dict[str, Any] = {
        "rows": len(rows),
        "clusters": len(cluster_sizes),
        "effective_clusters": round(float(cluster_sizes.sum() ** 2 / (cluster_sizes**2).sum()), 1),
    }
    return Means.of(config.weak, dict(zip(ERRORS, stacked, strict=True)), **sizes)


def _means_of_division(losses: pd.DataFrame, weights: Array, pairs: int) -> Array:
    """Compute the weighted means of one division's losses, shape (errors, 1 + resamples, pairs)."""
    rows = losses["row"].to_numpy()[: len(losses) // pairs]
    row_weights = weights[:, rows]
    values = losses[list(ERRORS)].to_numpy().reshape(pairs, len(rows), len(ERRORS))
    sums = row_weights @ values.transpose(2, 1, 0)
    return np.asarray(sums / np.maximum(row_weights.sum(1), 1.0)[:, None])


def resample_weights(config: MoleculeSettings, frame: pd.DataFrame) -> Array:
    """Return the weights of the sample, then of each resample, for each row of the set."""
    molecules = frame.drop_duplicates("row")[["row", "cluster"]].sort_values("row")
    resampled = cluster_weights(molecules["cluster"], np.ones(len(molecules), dtype=bool), config.resamples)
    weights = np.zeros((1 + config.resamples, int(molecules["row"].max()) + 1))
    weights[0, molecules["row"]] = 1.0
    weights[1:, molecules["row"]] = resampled
    return weights
