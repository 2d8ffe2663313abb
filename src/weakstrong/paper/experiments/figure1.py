"""Figure 1 from computed vectors: weak labels, student and truth in one plane, with a slice of the class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field, model_validator

from weakstrong.errors import InputError
from weakstrong.heads import Head, HeadClass, L2Ball, LinearHeads
from weakstrong.moments import Moments
from weakstrong.paper.experiment import Experiment
from weakstrong.paper.task_settings import WorldSettings
from weakstrong.paper.tasks import measure_tasks
from weakstrong.paper.worlds import inputs, random_tasks, stream, truth
from weakstrong.projection import project
from weakstrong.record import Result
from weakstrong.report.figures import blank_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

_RADIUS = 1.05  # the ball's radius divided by the norm of the truth
_NO_DISTANCE = 1e-9  # share of the truth's mean square that counts as no distance
_ROUNDING = 1e-9  # of the supervisor's error


class Figure1Settings(WorldSettings):
    """The projection of Figure 1, from a world of Figure 2a.

    Parameters
    ----------
    rows : int
        Rows of the sample onto whose span the subspace is projected.
    ball_rows : int
        Rows for the ball; no more than the width, so that the ball is a solid body there.
    weak_sigma : float
        Noise on the weights of h*, for the supervisor's representation.
    """

    seeds: int = Field(default=1, ge=1, le=10_000, strict=True)
    heads: Literal["linear"] = "linear"
    rows: int = Field(default=2000, ge=1, le=100_000_000, strict=True)
    ball_rows: int = Field(default=8, ge=3, le=10_000, strict=True)
    weak_sigma: float = Field(default=0.15, gt=0, le=1e3)

    @model_validator(mode="after")
    def _sizes(self) -> Figure1Settings:
        if self.ball_rows > self.width or self.rows <= self.width:
            raise ValueError(f"ball_rows must be at most the width, {self.width}, and rows more than it")
        return self


@dataclass(frozen=True)
class Figure1(Experiment):
    """The student as the projection of weak labels, drawn from computed vectors."""

    settings: Figure1Settings

    rule = (
        "Figure 1: *yes* where the angle is right for the subspace and not acute for the ball, to rounding."
    )

    def rows(self, seed: int, sources: Mapping[str, Path]) -> pd.DataFrame:
        """Measure the distances in both slices; task 0 is the subspace, task 1 the ball."""
        return run_slices(self.settings, seed)

    def results(self, rows: pd.DataFrame) -> tuple[Result, ...]:
        """Compute the cross term of both slices over the supervisor's error, the worst over seeds."""
        slack = cross_terms(rows)
        sentence = ", ".join(f"{name}: (C − A − B)/C = {value:.2g}" for name, value in slack.items())
        holds = abs(slack["subspace"]) <= _ROUNDING and slack["ball"] >= -_ROUNDING
        facts = {"cross_term_over_weak_error": slack, "agrees": "yes" if holds else "no"}
        return (Result({}, {}, facts, (sentence,)),)

    def figure(self, tables: Mapping[str, pd.DataFrame], results: Sequence[Result]) -> Figure:
        """Draw both slices of the first seed."""
        cuts = slices(self.settings, self.settings.seed)
        figure = blank_figure((11.0, 5.2))
        figure.suptitle(self.title, fontsize=12)
        for axes, (name, cut) in zip(figure.subplots(1, len(cuts)), cuts.items(), strict=True):
            _draw_slice(axes, cut, name)
        return figure


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


def slices(config: Figure1Settings, seed: int) -> dict[str, Slice]:
    """Compute the slices of the subspace of linear heads and of a ball, both on a world of Figure 2a."""
    h = truth(config, seed)
    supervisor = h.perturbed(config.weak_sigma, stream(seed, "weak noise"))
    f = Head(random_tasks(config, seed, "finetuning tasks", 1).coef[0], np.zeros(1))
    linear = LinearHeads(fit_intercept=False)
    supervised = inputs(config, (config.rows,), stream(seed, "figure 1 supervision"))
    f_weak = project(Moments.of(supervisor.transform(supervised), f(h.transform(supervised))), linear).head
    x = inputs(config, (config.rows,), stream(seed, "figure 1"))
    ball_inputs = x[: config.ball_rows]
    ball = L2Ball(_RADIUS * float(np.linalg.norm(f.coef)), fit_intercept=False, scale=np.ones(config.width))
    return {
        "subspace": _slice(h.transform(x), f, f_weak(supervisor.transform(x)), linear),
        "ball": _slice(h.transform(ball_inputs), f, f_weak(supervisor.transform(ball_inputs)), ball),
    }


def run_slices(config: Figure1Settings, seed: int) -> pd.DataFrame:
    """Measure the distances in both slices; task 0 is the subspace, task 1 the ball."""
    frames = []
    for task, (name, cut) in enumerate(slices(config, seed).items()):
        best = cut.truth  # it is in the class
        rows = measure_tasks(seed, *(v[None] for v in (cut.truth, cut.weak, cut.student, best)))
        frames.append(rows.assign(task=task, body=name))
    return pd.concat(frames, ignore_index=True)


def _slice(features: Array, f: Head, weak: Array, heads: HeadClass) -> Slice:
    """Project the weak labels onto the class and cut it along the plane of the three vectors."""
    w, y = weak[:, 0], f(features)[:, 0]
    s = project(Moments.of(features, w), heads).head(features)[:, 0]
    solid = isinstance(heads, LinearHeads) or np.linalg.matrix_rank(features) == len(features)
    if not solid or min(((w - s) ** 2).mean(), ((y - s) ** 2).mean()) < _NO_DISTANCE * (y**2).mean():
        raise InputError(
            "figure1: this world has nothing to draw (the weak labels or the truth are the student's own, or "
            "the ball is flat); take another seed, a larger weak_sigma or fewer ball_rows"
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
    ellipse_centre = -np.linalg.solve(q.T @ q, q.T @ p)
    slice_radius = np.sqrt(max(radius**2 - float(((p + q @ ellipse_centre) ** 2).sum()), 0.0))
    root = np.linalg.cholesky(q.T @ q)
    angle = np.linspace(0, 2 * np.pi, 361)
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return np.asarray(ellipse_centre + slice_radius * np.linalg.solve(root.T, circle.T).T)


def cross_terms(frame: pd.DataFrame) -> dict[str, float]:
    """Return the cross term over the supervisor's error for both slices, the worst value over seeds."""
    relative = frame["cross_term"] / frame["weak_error"]
    ball, subspace = (relative[frame["body"] == name] for name in ("ball", "subspace"))
    return {"ball": float(ball.min()), "subspace": float(subspace[subspace.abs().idxmax()])}


def _draw_slice(axes: Axes, cut: Slice, name: str) -> None:
    closed = len(cut.body) > 2
    if closed:
        axes.fill(*cut.body.T, color="tab:blue", alpha=0.15, linewidth=0)
    axes.plot(*cut.body.T, color="tab:blue", linewidth=1.2, label=f"V, the student's {name}")
    weak, student, truth = cut.plane
    errors = {
        "A": _mean_square(cut.student - cut.truth),
        "B": _mean_square(cut.student - cut.weak),
        "C": _mean_square(cut.weak - cut.truth),
    }
    for a, b, letter, offset, side in (
        (student, truth, "A", (0, -12), "center"),
        (student, weak, "B", (-6, 0), "right"),
        (weak, truth, "C", (6, 3), "left"),
    ):
        axes.plot(*np.stack([a, b]).T, color="0.3", linewidth=1)
        axes.annotate(
            f"√{letter} = {np.sqrt(errors[letter]):.3f}", (a + b) / 2, xytext=offset, ha=side, fontsize=9,
            textcoords="offset points",
        )  # fmt: skip
    names = ("weak labels", "student", "truth")
    for point, label, colour in zip(cut.plane, names, ("tab:red", "tab:purple", "tab:green"), strict=True):
        axes.scatter(*point, color=colour, zorder=3, label=label)
    reach = np.abs(cut.plane).max()
    axes.set_xlim(-1.3 * reach, 1.5 * reach)
    axes.set_ylim(-1.1 * reach, 1.3 * reach)
    axes.set_aspect("equal")
    excess = errors["C"] - errors["A"] - errors["B"]
    relation = "=" if abs(excess) < 1e-6 * errors["C"] else "><"[int(excess < 0)]
    axes.set_title(
        f"{name}: C = {errors['C']:.4f} {relation} A + B = {errors['A'] + errors['B']:.4f}", fontsize=10
    )
    axes.set_xlabel("root mean squared difference of predictions")
    axes.legend(frameon=False, fontsize=8, loc="lower right")


def _mean_square(difference: NDArray) -> float:
    return float((difference**2).mean())


EXPERIMENTS = [
    Figure1(
        "figure1",
        "Figure 1: the student is the projection of the weak labels",
        "C ≥ A + B: the angle at the projection is right (subspace) or obtuse (any convex set)",
        Figure1Settings(),
        note="drawn from a world of Figure 2a, with noise on h_w in place of pretraining",
    )
]
