"""The identity of gain, misfit and cross term holds for every row."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from weakstrong import measure
from weakstrong.divergence import SQUARED_ERROR


@given(st.integers(0, 2**32 - 1), st.integers(1, 20), st.sampled_from([(), (3,)]), st.floats(1e-3, 1e3))
def test_gain_is_misfit_plus_cross_term_row_by_row(seed: int, n: int, targets: tuple, scale: float) -> None:
    y, w, s = scale * np.random.default_rng(seed).normal(size=(3, n, *targets))
    rows = SQUARED_ERROR.of_rows(y, w, s)
    size = 1e-13 * (rows["weak_error"] + rows["strong_error"] + rows["misfit"])
    assert (np.abs(rows["gain"] - rows["misfit"] - rows["cross_term"]) <= size).all()
    assert (np.abs(rows["weak_error"] - SQUARED_ERROR.error(w, y)) == 0).all()


def test_measure_is_its_mean() -> None:
    y, w, s = np.random.default_rng(0).normal(size=(3, 50, 2))
    found = measure(y, w, s).estimates()
    for name, values in SQUARED_ERROR.of_rows(y, w, s).items():
        np.testing.assert_allclose(found[name].value, values.mean(0), rtol=1e-12, atol=1e-14)
