"""Losses that let a student trust itself: fixed points, and no projections."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.special import softmax

from weakstrong import HeadClassifier, L2Ball
from weakstrong.divergence import hardened
from weakstrong.softmax_fits import SoftmaxFits, fit_each
from weakstrong.studies.confidence import confident_head

SHARES: dict[Any, float] = {"logconf": 0.5, "bootstrapping": 0.2}
Fitted = tuple[np.ndarray, np.ndarray, SoftmaxFits]


def fitted(seed: int, c: int, *, noise: float = 1.0) -> Fitted:
    """Features, weak labels and heads that are fitted to them."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(240, 4))
    weak = softmax(x @ rng.normal(size=(4, c)) + noise * rng.normal(size=(240, c)), axis=1)
    return x, weak, fit_each(x, weak[None])


def said_by(head: Any, x: np.ndarray) -> np.ndarray:
    return np.asarray(softmax(head(x), axis=1))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("kind", "c"), [("bootstrapping", 2), ("bootstrapping", 4), ("logconf", 3)])
def test_it_is_fitted_to_weak_labels_mixed_with_its_own_classes(seed: int, kind: Any, c: int) -> None:
    """An independent fit to these labels, in the student's ball, is the same head."""
    x, weak, fits = fitted(seed, c)
    said = said_by(confident_head(fits, kind), x)
    mixed = (1 - SHARES[kind]) * weak + SHARES[kind] * hardened(said)
    ball = L2Ball(float(fits.radius[0]), scale=fits.rows.basis.spread.scale)
    again = HeadClassifier(ball, clip=False).fit(x, mixed).predict_proba(x)
    np.testing.assert_allclose(said, again, atol=2e-4)


@pytest.mark.parametrize("seed", range(3))
def test_of_two_classes_each_is_named_as_often_as_the_weak_labels_have_it(seed: int) -> None:
    """The threshold of Burns et al.: a class that is often said is not said ever more."""
    x, weak, fits = fitted(seed, 2)
    weak = np.stack([0.25 * weak[:, 0], 1 - 0.25 * weak[:, 0]], axis=1)
    fits = fit_each(x, weak[None])
    said = said_by(confident_head(fits, "logconf"), x)
    order = np.argsort(-said[:, 1])
    own = np.zeros((240, 2))
    own[order, 1] = np.arange(240) + 0.5 < 240 * weak[:, 1].mean()
    own[:, 0] = 1 - own[:, 1]
    ball = L2Ball(float(fits.radius[0]), scale=fits.rows.basis.spread.scale)
    again = HeadClassifier(ball, clip=False).fit(x, (weak + own) / 2).predict_proba(x)
    np.testing.assert_allclose(said, again, atol=2e-4)
    assert 0 < own[:, 0].sum() < 120


@pytest.mark.parametrize("kind", SHARES)
def test_it_is_no_projection(kind: Any) -> None:
    """A projection leaves what is in its class where it is; this goes away from it."""
    x, weak, fits = fitted(0, 3, noise=0.0)
    student = fits.said(fits.minima.x)[0]

    def misfit(s: np.ndarray) -> float:
        return float((s * np.log(s / weak)).sum(1).mean())

    assert misfit(student) < 0.003
    assert misfit(said_by(confident_head(fits, kind), x)) > 5 * misfit(student)
