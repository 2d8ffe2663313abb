"""Rows added by a matrix product against Householder QR and least squares in extended precision."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weakstrong import LinearHeads, Moments, project, whitening
from weakstrong.whitening import Rows, grown

FIRST, MORE, D = 1100, 2000, 8  # beyond the rows that are factorized first


@pytest.fixture(autouse=True, scope="module")
def small_first_block() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("weakstrong.accumulation._FIRST_BYTES", 1)  # 1024 rows
        yield


@contextmanager
def by_qr() -> Iterator[None]:
    """Let every row be factorized."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("weakstrong.accumulation.grown", lambda *_: None)
        yield


def features(rng: np.random.Generator, condition: float, n: int = FIRST + MORE, d: int = D) -> np.ndarray:
    u, _ = np.linalg.qr(rng.normal(size=(n, d)))
    v, _ = np.linalg.qr(rng.normal(size=(d, d)))
    return np.sqrt(n) * (u * np.geomspace(1, 1 / condition, d)) @ v + rng.normal(size=d)


def least_squares(phi: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Fitted values, by Householder QR in extended precision."""
    a, b = phi.astype(np.longdouble), y.astype(np.longdouble)
    a = np.column_stack([np.ones(len(a), np.longdouble), a])
    r, c = a.copy(), b.copy()
    for j in range(a.shape[1]):
        v = r[j:, j].copy()
        v[0] += np.copysign(np.sqrt((v**2).sum()), v[0])
        v /= np.sqrt((v**2).sum())
        r[j:] -= 2 * np.outer(v, v @ r[j:])
        c[j:] -= 2 * v * (v @ c[j:])
    x = np.zeros(a.shape[1], np.longdouble)
    for j in reversed(range(a.shape[1])):
        x[j] = (c[j] - r[j, j + 1 : a.shape[1]] @ x[j + 1 :]) / r[j, j]
    return a @ x


def assert_same(found: Moments, other: Moments, rtol: float = 1e-10) -> None:
    a, b = (m.factor.T @ m.factor for m in (found, other))
    size = np.sqrt(b.diagonal())
    size = np.where(size > 0, size, 1.0)
    np.testing.assert_allclose(a / size / size[:, None], b / size / size[:, None], rtol=rtol, atol=rtol)
    cross, expected = (m.factor.T @ m.projected / size[:, None] for m in (found, other))
    total = np.sqrt(other.target_variance * other.weight)
    np.testing.assert_allclose(cross / total, expected / total, rtol=1e-8, atol=10 * rtol)
    np.testing.assert_allclose(found.target_variance, other.target_variance, rtol=1e-10)
    spread = size / np.sqrt(other.weight)
    np.testing.assert_allclose(found.feature_mean / spread, other.feature_mean / spread, rtol=rtol, atol=1e-9)
    deviation = np.sqrt(other.target_variance)
    np.testing.assert_allclose(
        found.target_mean / deviation, other.target_mean / deviation, rtol=1e-9, atol=1e-9
    )
    assert found.n_rows == other.n_rows
    np.testing.assert_allclose(found.weight, other.weight, rtol=1e-14)


@pytest.mark.parametrize("condition", [1.0, 5e2, 1e4, 1e8, 1e10])
def test_fits_are_as_accurate_as_those_by_qr(condition: float) -> None:
    ours, theirs = [], []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        phi = features(rng, condition)
        y = phi @ rng.normal(size=D) + rng.normal(size=len(phi))
        expected = least_squares(phi, y)
        for errors in (ours, theirs):
            if errors is ours:
                head = project(Moments.of(phi, y), LinearHeads()).head
            else:
                with by_qr():
                    head = project(Moments.of(phi, y), LinearHeads()).head
            fitted = phi.astype(np.longdouble) @ head.coef[:, 0].astype(np.longdouble) + head.intercept[0]
            errors.append(float(np.sqrt(np.mean((fitted - expected) ** 2)) / y.std()))
    rounding = 1e-12 if condition < whitening.PLAIN else 4e-15  # multiplied as they are, or whitened
    assert np.mean(ours) <= 4 * np.mean(theirs) + rounding
    assert np.mean(ours) < 1e-17 * condition + rounding  # plain normal equations: 1e-2 at 1e8


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    condition=st.sampled_from([1.0, 1e3, 1e6, 1e12]),
    units=st.booleans(),
    weighted=st.booleans(),
    single=st.booleans(),
    case=st.sampled_from(["like", "constant", "dependent", "wakes", "sorted", "larger", "smaller", "drift"]),
)
def test_whatever_the_rows_their_moments_are_those_by_qr(
    *, seed: int, condition: float, units: bool, weighted: bool, single: bool, case: str
) -> None:
    rng = np.random.default_rng(seed)
    phi = features(rng, condition)
    if case in ("constant", "wakes"):
        phi[: FIRST + 500 if case == "wakes" else None, 2] = 0.1
    elif case == "dependent":
        phi[:, 3] = phi[:, 4] + phi[:, 5]
    elif case == "sorted":
        phi = phi[np.argsort(phi[:, 0])]
    elif case in ("larger", "smaller"):
        phi[FIRST:] = phi[FIRST:] * (1e5 if case == "larger" else 1e-5)
    if units:
        phi = phi * 10.0 ** rng.uniform(-9, 9, size=D)
    phi = phi.astype(np.float32) if single else phi
    y = np.column_stack([rng.normal(size=len(phi)) + phi[:, 0] / phi[:, 0].std(), rng.normal(size=len(phi))])
    if case == "drift":
        y[FIRST:] = 1e3 * y[FIRST:, ::-1]
    weights = rng.uniform(0.0, 2.0, size=len(phi)) * (rng.random(len(phi)) > 0.1) if weighted else None
    found = Moments.of(phi, y, sample_weight=weights)
    with by_qr():
        assert_same(found, Moments.of(phi, y, sample_weight=weights))


def test_products_are_used_where_they_should_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests above would be empty if every row were factorized."""
    used: list[bool] = []
    added = whitening._added

    def watched(total: Moments, rows: Rows, basis: whitening._Basis) -> Moments | None:
        found = added(total, rows, basis)
        if found is not None:
            used.append(basis.triangle is None)
        return found

    monkeypatch.setattr(whitening, "_added", watched)
    rng = np.random.default_rng(0)
    for condition, plain in ((1.0, True), (1e6, False), (1e10, False)):
        used.clear()
        phi = features(rng, condition)
        Moments.of(phi, rng.normal(size=len(phi)))
        assert used[-1:] == [plain]
    used.clear()
    phi = features(rng, 1e6)
    Moments.of(phi[: D + 3], rng.normal(size=D + 3))  # one block
    assert not used


def test_rows_that_are_factorized_instead() -> None:
    rng = np.random.default_rng(1)
    phi, y = features(rng, 10.0), rng.normal(size=(FIRST + MORE, 1))
    few = Moments.of(phi[: D - 2], y[: D - 2])
    assert grown(few, Rows(phi, y, None)) is None  # the earlier rows do not span the features
    first = Moments.of(phi[:FIRST], y[:FIRST])
    assert grown(first, Rows(phi[FIRST:], y[FIRST:], None)) is not None
    for bad in (np.nan, np.inf):
        spoilt = phi[FIRST:].copy()
        spoilt[7, 3] = bad
        with np.errstate(invalid="ignore"):
            assert grown(first, Rows(spoilt, y[FIRST:], None)) is None
    along = np.outer(rng.normal(size=MORE), np.ones(D))
    along += 1e-9 * rng.normal(size=(MORE, D))
    assert grown(first, Rows(1e8 * along, y[FIRST:], None)) is None  # one direction, which outweighs all


def test_labels_in_the_span_leave_nothing_outside() -> None:
    rng = np.random.default_rng(2)
    for condition in (10.0, 1e5):
        phi = features(rng, condition)
        m = Moments.of(phi, phi @ rng.normal(size=D))
        assert m.residual[0] < 1e-22 * m.target_variance[0] * m.weight


@pytest.mark.parametrize("later", [1e17, 1e25])
def test_weights_that_grow_extreme_are_counted_in_their_unit(later: float) -> None:
    """Of the first block they are counted in ones, of all rows in a power of four."""
    rng = np.random.default_rng(3)
    phi, y = features(rng, 10.0), rng.normal(size=(FIRST + MORE, 2))
    weights = np.where(np.arange(len(phi)) < FIRST, 1e15, later)
    found = Moments.of(phi, y, sample_weight=weights)
    assert found.unit > 1
    with by_qr():
        other = Moments.of(phi, y, sample_weight=weights)
    np.testing.assert_allclose(found.target_variance, other.target_variance, rtol=1e-12)
    np.testing.assert_allclose(found.factor.T @ found.factor, other.factor.T @ other.factor, rtol=1e-9)


def test_one_row_of_nearly_all_weight_hides_no_digits_of_the_others() -> None:
    rng = np.random.default_rng(4)
    phi, y = features(rng, 10.0), rng.normal(size=(FIRST + MORE, 1))
    weights = np.ones(len(phi))
    phi[-5], y[-5], weights[-5] = phi[:1024].mean(0), 5.0, 1e14
    found = Moments.of(phi, y, sample_weight=weights)
    with by_qr():
        other = Moments.of(phi, y, sample_weight=weights)
    np.testing.assert_allclose(found.target_variance, other.target_variance, rtol=1e-12)
    np.testing.assert_allclose(found.residual, other.residual, rtol=1e-12)
