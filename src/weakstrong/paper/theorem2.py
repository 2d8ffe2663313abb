"""Law 4, Theorem 2 with constants, on worlds in which n, ε and δ are controlled.

Inputs are uniform on [0, 1] and all functions are finite cosine series, so every error on the population
is a sum of squared coefficients: exact. The student's class is linear in the first C cosines: truth and
weak labels are bounded, as Theorem 2 asks, but not every head of the class, which law 4 does not need.
With e_1, …, e_C the class's and e_{C+1}, e_{C+2} outside of it,

    truth = √(1 − ε) · (unit vector in the class) + √ε · e_{C+1},
    weak label = (vector in the class) + √misfit · (cos φ · e_{C+1} + sin φ · e_{C+2}),

so that the best head's error is ε and the least misfit is what is asked for. As the weak labels share the
truth's outside part, the population's student falls short by √2·√(ε misfit): of the order that law 3 allows.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from weakstrong.divergence import SQUARED_ERROR
from weakstrong.heads import LinearHeads
from weakstrong.moments import Moments
from weakstrong.paper.config import Theorem2Config
from weakstrong.paper.worlds import stream
from weakstrong.projection import project

Array = NDArray[np.float64]

_ANGLE = np.pi / 4
_DRAWS_AT_ONCE = 20  # bounds memory


def run_worlds(config: Theorem2Config, seed: int) -> pd.DataFrame:
    """Every ε, n and δ for one seed's world; a row each.

    A row shows one drawn sample: the one whose cross term a share δ of the draws falls short of.
    ``n`` is 0 where the student is the population's projection. ``eta`` is the student's excess
    misfit, ``law_4_slack`` is ``gain − (misfit − 2√(εB) − 2√(ηC) − 2η)``. All are exact.
    """
    rows = []
    misled = {n: _misled(config, n, stream(seed, "theorem 2 draws", n)) for n in config.n_grid}
    for epsilon in config.epsilon_grid:
        y, w = _world(config, epsilon, stream(seed, "theorem 2 world"))
        best = w.copy()
        best[config.complexity :] = 0
        rows.append({"n": 0, "epsilon": epsilon, "delta": 0.0, **_errors(config, y, w, best[None]).iloc[0]})
        for n in config.n_grid:
            drawn = _errors(config, y, w, best + misled[n])
            order = drawn.sort_values("cross_term", kind="stable")
            for delta in config.delta_grid:
                shown = order.iloc[int(np.floor(delta * config.draws))]
                rows.append({"n": n, "epsilon": epsilon, "delta": delta, **shown})
    frame = pd.DataFrame(rows)
    frame.insert(0, "task", np.arange(len(frame)))
    frame.insert(0, "seed", seed)
    return frame


def _world(config: Theorem2Config, epsilon: float, rng: np.random.Generator) -> tuple[Array, Array]:
    """Coefficients of truth and weak labels on the cosines."""
    direction, said = rng.standard_normal((2, config.complexity))
    direction, said = direction / np.linalg.norm(direction), said / np.linalg.norm(said)
    inside = np.sqrt(1 - epsilon) * direction
    weak = np.concatenate([inside + np.sqrt(config.misfit) * said, _outside(config)])
    return np.concatenate([inside, [np.sqrt(epsilon), 0.0]]), weak


def _outside(config: Theorem2Config) -> Array:
    """Coefficients of the weak labels outside the class."""
    return np.sqrt(config.misfit) * np.array([np.cos(_ANGLE), np.sin(_ANGLE)])


def _misled(config: Theorem2Config, n: int, rng: np.random.Generator) -> Array:
    """What n rows make of the weak labels' outside part, for all draws: shape (draws, C + 2).

    The student is the population's projection plus this, whatever the part in the class is.
    """
    cosines = np.arange(1, config.complexity + 3)
    found = []
    for draws in np.array_split(np.arange(config.draws), -(-config.draws // _DRAWS_AT_ONCE)):
        basis = np.sqrt(2) * np.cos(np.pi * cosines * rng.random((len(draws), n, 1)))
        labels = basis[..., config.complexity :] @ _outside(config)
        moments = Moments.of(basis[..., : config.complexity], labels)
        found.append(project(moments, LinearHeads(fit_intercept=False)).head.coef[..., 0])
    return np.pad(np.concatenate(found), ((0, 0), (0, 2)))


def _errors(config: Theorem2Config, y: Array, w: Array, students: Array) -> pd.DataFrame:
    """Errors on the population, of students (draws, C + 2)."""
    coefficients = SQUARED_ERROR.of_rows(y, np.broadcast_to(w, students.shape), students)
    frame = pd.DataFrame({name: values.sum(1) for name, values in coefficients.items()})
    frame["gain"] = frame["weak_error"] - frame["strong_error"]
    frame["ceiling_error"] = (y[config.complexity :] ** 2).sum()
    frame["eta"] = ((students - w)[:, : config.complexity] ** 2).sum(1)
    promised = 2 * np.sqrt(frame["ceiling_error"] * frame["misfit"])
    promised += 2 * np.sqrt(frame["eta"] * frame["weak_error"]) + 2 * frame["eta"]
    frame["law_4_slack"] = frame["cross_term"] + promised
    return frame
