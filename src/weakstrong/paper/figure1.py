"""Figure 1 from computed vectors: weak labels, student and truth in one plane, with a slice of the class."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from weakstrong.errors import InputError
from weakstrong.heads import Head, HeadClass, L2Ball, LinearHeads
from weakstrong.moments import Moments
from weakstrong.paper.config import Figure1Config
from weakstrong.paper.tasks import rows_of
from weakstrong.paper.worlds import inputs, random_tasks, stream, truth
from weakstrong.projection import project

Array = NDArray[np.float64]

_ROOM = 1.05  # the ball's radius divided by the norm of the truth
_NOTHING = 1e-9  # share of the truth's mean square that counts as no distance


class Slice(NamedTuple):
    """Three label vectors, and the plane through them with the slice of the class.

    Distances are root mean squares. In the plane the student is the origin and the truth lies on the
    first axis. ``body`` is the boundary of the class's slice, shape (points, 2), or for a subspace
    two points of its line.
    """

    weak: Array
    student: Array
    truth: Array
    plane: Array  # (3, 2): weak labels, student, truth
    body: Array


def slices(config: Figure1Config, seed: int) -> dict[str, Slice]:
    """Compute the slices of the subspace of linear heads and of a ball, both on a world of Figure 2a."""
    h = truth(config, seed)
    supervisor = h.perturbed(config.weak_sigma, stream(seed, "weak noise"))
    f = Head(random_tasks(config, seed, "finetuning tasks", 1).coef[0], np.zeros(1))
    linear = LinearHeads(fit_intercept=False)
    taught = inputs(config, (config.rows,), stream(seed, "figure 1 supervision"))
    f_weak = project(Moments.of(supervisor.transform(taught), f(h.transform(taught))), linear).head
    x = inputs(config, (config.rows,), stream(seed, "figure 1"))
    few = x[: config.ball_rows]
    ball = L2Ball(_ROOM * float(np.linalg.norm(f.coef)), fit_intercept=False, scale=np.ones(config.width))
    return {
        "subspace": _slice(h.transform(x), f, f_weak(supervisor.transform(x)), linear),
        "ball": _slice(h.transform(few), f, f_weak(supervisor.transform(few)), ball),
    }


def run_slices(config: Figure1Config, seed: int) -> pd.DataFrame:
    """Measure the distances in both slices; task 0 is the subspace, task 1 the ball."""
    frames = []
    for place, (name, cut) in enumerate(slices(config, seed).items()):
        best = cut.truth  # it is in the class
        rows = rows_of(seed, *(v[None] for v in (cut.truth, cut.weak, cut.student, best)))
        frames.append(rows.assign(task=place, body=name))
    return pd.concat(frames, ignore_index=True)


def _slice(features: Array, f: Head, weak: Array, heads: HeadClass) -> Slice:
    """Project the weak labels onto the class and cut it along the plane of the three vectors."""
    w, y = weak[:, 0], f(features)[:, 0]
    s = project(Moments.of(features, w), heads).head(features)[:, 0]
    solid = isinstance(heads, LinearHeads) or np.linalg.matrix_rank(features) == len(features)
    if not solid or min(((w - s) ** 2).mean(), ((y - s) ** 2).mean()) < _NOTHING * (y**2).mean():
        raise InputError(
            "figure1: this world has nothing to draw (the weak labels or the truth are the student's own, or "
            "the ball is flat); take another --seed, a larger weak_sigma or fewer ball_rows"
        )
    size = np.sqrt(len(s))
    along = (y - s) / np.linalg.norm(y - s)
    across = (w - s) - along * (along @ (w - s))
    axes = np.stack([along, across / np.linalg.norm(across)], axis=1)
    plane = (np.stack([w, s, y]) - s) @ axes / size
    if isinstance(heads, LinearHeads):
        reach = 1.6 * np.abs(plane).max()
        return Slice(w, s, y, plane, np.array([[-reach, 0.0], [reach, 0.0]]))
    assert isinstance(heads, L2Ball)
    assert heads.radius is not None
    return Slice(w, s, y, plane, _ellipse(features, s, axes * size, float(heads.radius)))


def _ellipse(features: Array, centre: Array, axes: Array, radius: float) -> Array:
    """Compute the boundary of the slice of a ball by a plane, which is an ellipse.

    The slice is ``{c : centre + axes c is Φ v with ‖v‖ <= radius}``, with Φ of full row rank. The least v is
    ``Φ⁺(centre + axes c)``, so the set is ``‖p + Q c‖² <= radius²``.
    """
    inverse = np.linalg.pinv(features)
    p, q = inverse @ centre, inverse @ axes
    middle = -np.linalg.solve(q.T @ q, q.T @ p)
    room = np.sqrt(max(radius**2 - float(((p + q @ middle) ** 2).sum()), 0.0))
    root = np.linalg.cholesky(q.T @ q)
    angle = np.linspace(0, 2 * np.pi, 361)
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return np.asarray(middle + room * np.linalg.solve(root.T, circle.T).T)
