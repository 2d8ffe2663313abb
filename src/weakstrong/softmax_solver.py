"""Softmax heads of least cross entropy, many problems in lockstep, with bounds on what is left to gain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from weakstrong.cross_entropy import Pass, Problems, SoftmaxRows
from weakstrong.least_squares import positive
from weakstrong.quasi_newton import Covariance, QuasiNewton
from weakstrong.softmax_optimality import ball_gap, linear_gap

Array = NDArray[np.float64]

GAP = 1e-8  # nats a row
_MOST_PASSES, _ENOUGH_PASSES = 400, 40  # until GAP is reached, and to go on beyond it
_ENOUGH, _ROUNDING = 1e-4, 1e-14  # of the decrease that a step promises, and of the loss
_SHORTEST = 1e-6


@dataclass(frozen=True, eq=False)
class Minima:
    """Solutions of p problems.

    Parameters
    ----------
    x : array of shape (p, m, 1 + r)
        Coordinates.
    multiplier, gap, loss, held_out : array of shape (p,)
        λ; bound on ``loss − minimum`` in the ball of the problem, or of the norm of x where the problem is
        given by its λ; mean cross entropy; and the sum of it on the rows held out.
    passes : int
        Passes over the rows.
    """

    x: Array
    multiplier: Array
    gap: Array
    loss: Array
    held_out: Array
    passes: int


@dataclass(eq=False)
class _State:
    """Problems still worked on: where they are, what was found there, and the step to try next."""

    number: NDArray[np.intp]
    problems: Problems
    x: Array
    there: Pass
    step: Array
    length: Array
    multiplier: Array

    def take(self, kept: NDArray[np.bool_]) -> None:
        self.number, self.problems, self.x = self.number[kept], self.problems.take(kept), self.x[kept]
        self.there = Pass(*(values[kept] for values in self.there))
        self.step, self.length = self.step[kept], self.length[kept]
        self.multiplier = self.multiplier[kept]


def minimize(
    rows: SoftmaxRows,
    problems: Problems,
    x: Array,
    *,
    tolerance: float,
    certified: bool,
    model: QuasiNewton | None = None,
    together: bool = False,
) -> Minima:
    """Minimize ``E_ω CE(y, softmax(b + Φ W)) + ½ λ ‖u‖²``, or the first term in a ball ``‖u‖ <= r``.

    A quasi-Newton model of each loss is minimized, in its ball; the step there is halved until the
    loss falls as it should. All problems are evaluated in the same passes; those solved drop out.

    Parameters
    ----------
    rows : SoftmaxRows
    problems : Problems
    x : array of shape (p, m, 1 + r)
        Where to start, in the ball.
    tolerance : float
        Excess over the minimum, in nats a row, to stop at.
    certified : bool
        Whether the excess is bounded, or else told from the model, which takes fewer passes.
    model : QuasiNewton, optional
        What is known of the curvature, of the same problems on other rows; it learns from these.
    together : bool
        Whether no problem drops out before all are solved, so that the model is of all of them.
    """
    p = len(x)
    out = Minima(x.copy(), problems.multiplier.copy(), np.full(p, np.inf), np.zeros(p), np.zeros(p), 0)
    model = model_of(rows) if model is None else model
    state = _State(
        np.arange(p), problems, x.copy(), rows(x, problems), np.zeros(x.shape), np.ones(p),
        problems.multiplier.copy(),
    )  # fmt: skip
    passes, accepted = 1, np.ones(p, dtype=bool)
    while True:
        _propose(state, model, accepted)
        slope = _slope(state)
        gap = _gap(rows, state) if certified else np.maximum(-slope / 2, 0.0)
        if certified:
            passes += _try_dual(rows, state, gap, -slope / 2, tolerance)
            _centre(rows, state, gap, tolerance)
        stuck = (state.length < np.where(gap <= GAP, 1.0, _SHORTEST)) | (passes >= _MOST_PASSES)
        stuck |= (gap <= GAP) & (passes >= _ENOUGH_PASSES)
        done = (gap <= tolerance) | stuck
        if together:
            done[:] = done.all()
        _write(out, state, gap, done)
        if done.all():
            return Minima(out.x, out.multiplier, out.gap, out.loss, out.held_out, passes)
        if done.any():
            state.take(~done)
            model.take(~done)
        tried = state.x + state.length[:, None, None] * state.step
        there = rows(tried, state.problems)
        passes += 1
        accepted = _advance(state, model, tried, there)


def model_of(rows: SoftmaxRows) -> QuasiNewton:
    """Return a model of the curvature of losses on rows, which has learnt nothing yet."""
    return QuasiNewton(np.concatenate([[1.0], rows.basis.curvature]), rows.fit_intercept)


def _propose(state: _State, model: QuasiNewton, accepted: NDArray[np.bool_]) -> None:
    """Set the next step of the problems whose last one was accepted."""
    variance = Covariance.of(state.there.variance)
    gradient, radius = state.there.gradient, state.problems.radius
    in_ball = np.isfinite(radius)
    if in_ball.any():
        step, multiplier = model.step_in_ball(state.x, gradient, variance, radius, state.multiplier)
        state.multiplier = np.where(accepted & in_ball, multiplier, state.multiplier)
    else:
        step = model.step(state.x, gradient, state.problems.multiplier, variance)
    state.step = np.where(accepted[:, None, None], step, state.step)
    state.length = np.where(accepted, 1.0, state.length)


def _slope(state: _State) -> Array:
    """Return the derivative of the objective along the steps, shape (p,)."""
    pull = state.there.gradient.copy()
    pull[..., 1:] += _penalty(state.problems)[:, None, None] * state.x[..., 1:]
    return np.asarray(np.einsum("pmq,pmq->p", pull, state.step))


def _penalty(problems: Problems) -> Array:
    """Return λ of the objective, which is zero in a ball of given radius."""
    return np.where(np.isfinite(problems.radius), 0.0, problems.multiplier)


def _objective(state: _State, x: Array, loss: Array) -> Array:
    return np.asarray(loss + 0.5 * _penalty(state.problems) * (x[..., 1:] ** 2).sum((1, 2)))


def _advance(state: _State, model: QuasiNewton, tried: Array, there: Pass) -> NDArray[np.bool_]:
    """Move to the points tried where the objective fell as it should; shorten the other steps."""
    before, after = _objective(state, state.x, state.there.loss), _objective(state, tried, there.loss)
    slope = state.length * _slope(state)
    accepted = after <= before + _ENOUGH * slope + _ROUNDING * (1 + np.abs(before))
    model.add(tried - state.x, there.gradient - state.there.gradient, accepted)
    at = accepted[:, None, None]
    state.x = np.where(at, tried, state.x)
    bent = np.where(np.isfinite(after), 2 * (after - before - slope), np.inf)
    share = np.clip(-slope / positive(bent), 0.1, 0.5)
    state.length = np.where(accepted, 1.0, state.length * share)
    state.there = Pass(
        *(
            np.where(accepted.reshape((-1,) + (1,) * (new.ndim - 1)), new, old)
            for new, old in zip(there, state.there, strict=True)
        )
    )
    return accepted


def _write(out: Minima, state: _State, gap: Array, done: NDArray[np.bool_]) -> None:
    place = state.number[done]
    out.x[place], out.multiplier[place] = state.x[done], state.multiplier[done]
    out.gap[place], out.loss[place] = gap[done], state.there.loss[done]
    out.held_out[place] = state.there.held_out[done]


def _radius(state: _State) -> Array:
    """Return the radius of the ball in which a point is judged: its own norm where λ is given."""
    norm = np.linalg.norm(state.x[..., 1:], axis=(1, 2))
    own = np.where(state.problems.multiplier > 0, norm, np.inf)
    return np.where(np.isfinite(state.problems.radius), state.problems.radius, own)


def _gap(rows: SoftmaxRows, state: _State) -> Array:
    return ball_gap(rows, state.x, state.there, state.problems.label, _radius(state))


def _centre(rows: SoftmaxRows, state: _State, gap: Array, tolerance: float) -> None:
    """Where the intercept alone keeps the gap open, step to its best by Newton's method.

    It enters the bound in first order, and the coefficients in second.
    """
    if not rows.fit_intercept:
        return
    at_best = state.there.gradient.copy()
    at_best[..., 0] = 0.0
    pull = np.linalg.norm(at_best[..., 1:], axis=(1, 2))
    rest = np.einsum("pmq,pmq->p", at_best, state.x) + np.minimum(_radius(state), 1e300) * pull
    chosen = (gap > tolerance) & (rest <= 0.9 * tolerance) & (state.length == 1.0)
    for i in np.flatnonzero(chosen):
        state.step[i] = 0.0
        variance, moved = state.there.variance[i], state.there.gradient[i, :, 0]
        state.step[i, :, 0] = -np.linalg.lstsq(variance, moved, rcond=1e-12)[0]


def _try_dual(rows: SoftmaxRows, state: _State, gap: Array, estimate: Array, tolerance: float) -> int:
    """Bound the gap of heads that no ball binds, where the model says that it is small; count the passes."""
    norm = np.linalg.norm(state.x[..., 1:], axis=(1, 2))
    is_free = (state.multiplier == 0) & (norm < state.problems.radius) & rows.basis.is_exact
    free = np.flatnonzero(is_free & (estimate <= tolerance / 4) & (gap > tolerance))
    if not len(free):
        return 0
    found = linear_gap(rows, state.x[free], state.there.gradient[free])
    gap[free] = np.minimum(gap[free], found)
    return 1
