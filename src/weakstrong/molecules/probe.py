"""Linear probes of frozen representations of molecules, on ESOL, FreeSolv and Lipop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from weakstrong.bootstrap import cluster_weights
from weakstrong.estimate import Estimate
from weakstrong.molecules.chembench import MoleculeSet

_STRENGTHS = np.logspace(-2, 6, 33)


@dataclass(frozen=True)
class Probe:
    """The errors of a linear probe on the test rows of each split.

    Parameters
    ----------
    squared_errors : DataFrame of shape (n, splits)
        NaN outside a split's test rows.
    choices : dict
        For each split, the name of the features chosen, and the ridge strength.
    """

    squared_errors: pd.DataFrame
    choices: dict[str, tuple[str, float]]

    @property
    def rmse(self) -> float:
        """Root mean squared error on the test rows, averaged over the splits."""
        return float(np.sqrt(self.squared_errors.mean()).mean())


def probe(features: Mapping[str, np.ndarray], molecules: MoleculeSet) -> Probe:
    """Fit ridge regression to standardised features, and measure it on the test rows of each split.

    Strength and features are chosen by leave-one-out error on the train and valid rows.

    Parameters
    ----------
    features : mapping of str to array of shape (n, d)
        Features to choose from, such as those of an encoder's poolings.
    molecules : MoleculeSet
    """
    y = molecules.y.to_numpy()
    errors, choices = pd.DataFrame(np.nan, molecules.y.index, molecules.splits.columns), {}
    for split, roles in molecules.splits.items():
        seen, test = (roles != "test").to_numpy(), (roles == "test").to_numpy()
        fits = {
            name: make_pipeline(StandardScaler(), RidgeCV(_STRENGTHS)).fit(x[seen], y[seen])
            for name, x in features.items()
        }
        best = max(fits, key=lambda name: fits[name][-1].best_score_)
        errors.loc[test, split] = (fits[best].predict(features[best][test]) - y[test]) ** 2
        choices[str(split)] = (best, float(fits[best][-1].alpha_))
    return Probe(errors, choices)


def difference(a: Probe, b: Probe, clusters: np.ndarray, *, resamples: int = 2000, seed: int = 0) -> Estimate:
    """Compute ``a.rmse - b.rmse``, with an interval by a paired percentile bootstrap over molecules.

    Parameters
    ----------
    a, b : Probe
        Probes on the same set.
    clusters : ndarray of shape (n,)
        Cluster of each row; rows of a cluster are drawn together (stereo twins, for instance).
    resamples : int
    seed : int
    """
    tested = a.squared_errors.notna()
    weights = cluster_weights(clusters, tested.any(axis=1), resamples, seed)
    drawn = _rmse(a, tested, weights) - _rmse(b, tested, weights)
    counted = np.unique(clusters[tested.any(axis=1)])
    rows = int(tested.any(axis=1).sum())
    return Estimate.of_draws(a.rmse - b.rmse, drawn, rows=rows, clusters=len(counted))


def _rmse(probe: Probe, tested: pd.DataFrame, weights: np.ndarray) -> np.ndarray:
    """Compute the RMSE, averaged over splits, under each row of weights."""
    sums = weights @ probe.squared_errors.fillna(0.0).to_numpy()
    return np.sqrt(sums / np.maximum(weights @ tested.to_numpy(dtype=float), 1)).mean(axis=1)
