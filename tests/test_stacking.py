"""Small samples together: their moments are those of each on its own."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weakstrong import Moments, accumulation
from weakstrong.least_squares import norms
from weakstrong.stacking import stacked

T, N, D = 5, 90, 4


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    exponents=st.lists(st.sampled_from([0, 2, 4, 6, 9, 14]), min_size=T, max_size=T),
    weighted=st.booleans(),
    single=st.booleans(),
    case=st.sampled_from(["like", "constant", "dependent", "wakes", "tiny", "huge", "span"]),
    mean=st.sampled_from([0.0, 1e6]),
)
def test_each_has_the_moments_that_it_has_on_its_own(
    *, seed: int, exponents: list[int], weighted: bool, single: bool, case: str, mean: float
) -> None:
    rng = np.random.default_rng(seed)
    u, v = (np.linalg.qr(rng.normal(size=(T, *shape)))[0] for shape in ((N, D), (D, D)))
    shrunk = np.array([np.geomspace(1, 10.0**-e, D) for e in exponents])
    phi = (u * shrunk[:, None]) @ v + mean
    if case == "constant":
        phi[1:3, :, 1] = 0.1
    elif case == "dependent":
        phi[2, :, 1] = phi[2, :, 0]
    elif case == "wakes":
        phi[3, :-1, 2] = 0.1
    elif case in ("tiny", "huge"):
        phi = phi * (1e-160 if case == "tiny" else 1e160)
    phi = phi.astype(np.float32) if single and case not in ("tiny", "huge") else phi
    y = rng.normal(size=(T, N, 2))
    if case == "span":
        y = y + 1e8 * (phi - phi.mean(1, keepdims=True)) @ rng.normal(size=(T, D, 2))
    weights = rng.uniform(0.1, 2.0, size=(T, N)) if weighted else None
    together = Moments.of(phi, y, sample_weight=weights)
    for i in range(T):
        alone = Moments.of(phi[i], y[i], sample_weight=None if weights is None else weights[i])
        mine = together[i]
        size = norms(alone.factor, np.sqrt(N))  # neither under- nor overflows
        size = np.where(size > 0, size, 1.0)
        gram, expected = ((m.factor / size).T @ (m.factor / size) for m in (mine, alone))
        np.testing.assert_allclose(gram, expected, rtol=1e-9, atol=1e-10 * N)
        cross, wanted = ((m.factor / size).T @ m.projected for m in (mine, alone))
        np.testing.assert_allclose(cross, wanted, rtol=1e-9, atol=1e-10 * N * np.abs(y[i]).max())
        np.testing.assert_allclose(mine.target_variance, alone.target_variance, rtol=1e-9)
        np.testing.assert_allclose(mine.feature_mean, alone.feature_mean, rtol=1e-12, atol=1e-12 * size.max())
        assert (mine.weight, mine.n_rows) == (pytest.approx(alone.weight), N)


def test_small_samples_are_multiplied_and_none_is_looped_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test above would be empty if all samples were factorized on their own."""
    rng = np.random.default_rng(0)
    phi, y = rng.normal(size=(20, N, D)), rng.normal(size=(20, N, 1))
    phi[5:9] *= 10.0 ** -np.arange(0, 2 * D, 2)
    phi[9, :, 1] = phi[9, :, 0]
    phi[10, :, 1] = 3.0
    looped: list[int] = []
    monkeypatch.setattr(accumulation, "extended", lambda *_: looped.append(1))
    assert Moments.of(phi, y).factor.shape == (20, D, D)
    assert not looped


def test_samples_of_few_rows_or_of_no_numbers_are_left() -> None:
    rng = np.random.default_rng(1)
    space = np.empty((3, T, N, D))
    phi, y = rng.normal(size=(T, N, D)), rng.normal(size=(T, N, 1))
    assert stacked(phi[:, : 2 * D], y[:, : 2 * D], None, space[:, :, : 2 * D]) is None
    assert stacked(phi[..., :0], y, None, space[..., :0]) is None
    phi[2, 40, 1] = np.nan
    with np.errstate(invalid="ignore"):
        found = stacked(phi, y, None, space)
    assert found is None or found.sound.tolist() == [True, True, False, True, True]


def test_samples_without_targets_and_no_samples() -> None:
    phi = np.random.default_rng(2).normal(size=(T, N, D))
    found = Moments.of(phi, np.empty((T, N, 0)))
    assert (found.factor.shape, found.projected.shape) == ((T, D, D), (T, D, 0))
    np.testing.assert_allclose(found.feature_mean, phi.mean(1), rtol=1e-12)
    with pytest.raises(ValueError, match="no row to fit"):
        Moments.of(phi[:0], np.empty((0, N, 1)))
