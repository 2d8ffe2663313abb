"""Probes see test rows only to be judged, and their differences have the right interval."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from weakstrong.molecules.chembench import MoleculeSet
from weakstrong.molecules.probe import difference, probe


def world(seed: int, n: int = 400) -> tuple[MoleculeSet, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 6))
    y = pd.Series(x @ [1.0, -2.0, 0.5, 0.0, 0.0, 3.0] + rng.normal(size=n))
    splits = pd.DataFrame(
        {s: rng.permutation(["train"] * (n // 2) + ["valid"] * (n // 4) + ["test"] * (n // 4)) for s in "ab"}
    )
    return MoleculeSet("ESOL", pd.Series(["C"] * n), y, splits), x


def test_the_probe_of_the_right_features_leaves_the_noise() -> None:
    molecules, x = world(0)
    noise = np.random.default_rng(9).normal(size=x.shape)
    found = probe({"noise": noise, "right": x}, molecules)
    assert found.rmse == pytest.approx(1.0, abs=0.15)
    assert {name for name, _ in found.choices.values()} == {"right"}
    assert (found.squared_errors.notna() == (molecules.splits == "test")).all().all()


def test_choices_and_fits_do_not_see_the_test_rows() -> None:
    molecules, x = world(1)
    test = (molecules.splits["a"] == "test").to_numpy()
    spoilt = MoleculeSet("ESOL", molecules.smiles, molecules.y + 50.0 * test, molecules.splits[["a"]])
    clean = MoleculeSet("ESOL", molecules.smiles, molecules.y, molecules.splits[["a"]])
    assert probe({"x": x}, spoilt).choices == probe({"x": x}, clean).choices
    moved = np.sqrt(probe({"x": x}, spoilt).squared_errors["a"][test])
    np.testing.assert_allclose(moved, 50, atol=6)


def test_the_interval_covers_as_it_says() -> None:
    covered = []
    for seed in range(60):
        molecules, x = world(seed, 800)
        rng = np.random.default_rng(1000 + seed)
        a, b = (probe({"x": x + s * rng.normal(size=x.shape)}, molecules) for s in (0.3, 0.3))
        found = difference(a, b, np.arange(len(x)), resamples=400)
        assert found.low <= found.value <= found.high
        covered.append(found.low <= 0 <= found.high)  # the two are equally good
    assert np.mean(covered) > 0.85
    molecules, x = world(3)
    worse = probe({"x": x + np.random.default_rng(0).normal(size=x.shape)}, molecules)
    assert difference(probe({"x": x}, molecules), worse, np.arange(len(x))).high < 0


def test_clusters_widen_the_interval() -> None:
    molecules, x = world(4)
    rng = np.random.default_rng(5)
    half = len(x) // 2
    twins = np.arange(len(x)) % half
    x[half:] = x[:half]
    molecules.y[half:] = molecules.y[:half].to_numpy()
    splits = molecules.splits.copy()
    splits.iloc[half:] = splits.iloc[:half].to_numpy()
    doubled = MoleculeSet("ESOL", molecules.smiles, molecules.y, splits)
    error = rng.normal(size=(half, 6))
    a, b = probe({"x": x}, doubled), probe({"x": x + np.vstack([error, error])}, doubled)
    together, apart = difference(a, b, twins), difference(a, b, np.arange(len(x)))
    ratio = (together.high - together.low) / (apart.high - apart.low)
    assert ratio == pytest.approx(np.sqrt(2), rel=0.15)
