"""Law 4 (Theorem 2 with constants), measured on worlds in which n, ε and δ are controlled.

Inputs are uniform on [0, 1] and all functions are finite cosine series, so every error on the population
is an exact sum of squared coefficients. The student's class is linear in the first C cosines. Truth and
weak labels are bounded, as Theorem 2 asks; not every head of the class is, but law 4 does not need that.
With e_1, …, e_C the cosines of the class and e_{C+1}, e_{C+2} outside of it,

    truth = √(1 − ε) · (unit vector in the class) + √ε · e_{C+1},
    weak label = (vector in the class) + √misfit · (cos φ · e_{C+1} + sin φ · e_{C+2}),

so that the best head's error is ε and the least misfit is the one of the settings. As the weak labels share
the outside part of the truth, the gain of the population's student falls short of the misfit by
√2·√(ε misfit), which is of the order that law 3 allows.
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
    """Run every ε, n and δ on the world of one seed, and return one row for each.

    A row shows one of the drawn samples: the one with a share δ of the draws below its cross term.
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
    """Return the coefficients of truth and weak labels on the cosines."""
    direction, said = rng.standard_normal((2, config.complexity))
    direction, said = direction / np.linalg.norm(direction), said / np.linalg.norm(said)
    inside = np.sqrt(1 - epsilon) * direction
    weak = np.concatenate([inside + np.sqrt(config.misfit) * said, _outside(config)])
    return np.concatenate([inside, [np.sqrt(epsilon), 0.0]]), weak


def _outside(config: Theorem2Config) -> Array:
    """Return the coefficients of the weak labels outside the class."""
    return np.sqrt(config.misfit) * np.array([np.cos(_ANGLE), np.sin(_ANGLE)])


def _misled(config: Theorem2Config, n: int, rng: np.random.Generator) -> Array:
    """Project the weak labels' part outside the class on samples of n rows, shape (draws, C + 2).

    The student is the population's projection plus this result, whatever the part inside the class is.
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
    """Compute errors on the population, for students with coefficients of shape (draws, C + 2)."""
    coefficients = SQUARED_ERROR.of_rows(y, np.broadcast_to(w, students.shape), students)
    frame = pd.DataFrame({name: values.sum(1) for name, values in coefficients.items()})
    frame["gain"] = frame["weak_error"] - frame["strong_error"]
    frame["ceiling_error"] = (y[config.complexity :] ** 2).sum()
    frame["eta"] = ((students - w)[:, : config.complexity] ** 2).sum(1)
    promised = 2 * np.sqrt(frame["ceiling_error"] * frame["misfit"])
    promised += 2 * np.sqrt(frame["eta"] * frame["weak_error"]) + 2 * frame["eta"]
    frame["law_4_slack"] = frame["cross_term"] + promised
    return frame
