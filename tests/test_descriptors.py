"""The pinned descriptors against RDKit's own calculator, and their normalisation against its definition."""

from __future__ import annotations

import numpy as np
import pytest
from rdkit import Chem
from rdkit.ML.Descriptors.MoleculeDescriptors import MolecularDescriptorCalculator

from weakstrong.molecules import descriptors as module
from weakstrong.molecules.descriptors import NAMES, descriptors
from weakstrong.molecules.pretraining_corpus import fit_quantiles, normalised


def test_there_are_200_in_sorted_order() -> None:
    assert len(NAMES) == len(set(NAMES)) == 200
    assert list(NAMES) == sorted(NAMES)


def test_values_are_rdkits(molecules: list[str]) -> None:
    calculator = MolecularDescriptorCalculator(NAMES)
    chosen = [*molecules[::40], "CC(=O)Oc1ccccc1C(=O)O", "C", "[Na+].[Cl-]"]
    expected = np.array([calculator.CalcDescriptors(Chem.MolFromSmiles(s)) for s in chosen])
    np.testing.assert_allclose(descriptors(chosen), expected, rtol=1e-6)


def test_failures_and_overflows_are_nan_not_numbers() -> None:
    huge = descriptors(["C(C)" * 400])[0]
    assert np.isnan(huge[NAMES.index("Ipc")])
    assert np.isfinite(huge[[NAMES.index(name) for name in ("MolWt", "BertzCT", "VSA_EState1")]]).all()
    assert np.isnan(descriptors(["C" * 1001])[0]).sum() == 28  # Ipc, and what follows from distances
    assert np.isnan(descriptors(["nonsense"])).all()


def test_one_that_fails_leaves_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> float:
        raise TypeError

    whole = descriptors(["CCO"])[0]
    monkeypatch.setattr(module, "EStateIndices", fail)
    monkeypatch.setitem(module._BY_NAME, "qed", fail)
    failed = descriptors(["CCO"])[0]
    lost = {"MaxEStateIndex", "MinEStateIndex", "MaxAbsEStateIndex", "MinAbsEStateIndex", "qed"}
    assert {name for name, value in zip(NAMES, failed, strict=True) if np.isnan(value)} == lost
    kept = ~np.isnan(failed)
    np.testing.assert_array_equal(failed[kept], whole[kept])


def test_a_descriptor_that_rdkit_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "NAMES", ("MolWt", "NoSuch"))
    with pytest.raises(ValueError, match="NoSuch"):
        descriptors(["C"])


def test_normalised_values_are_mid_ranks() -> None:
    rng = np.random.default_rng(0)
    continuous = rng.lognormal(size=5000)
    counts = rng.poisson(0.7, size=5000)
    values = np.column_stack([continuous, counts, np.full(5000, 3.0)] + [continuous] * 197).astype(np.float32)
    values[:5, 0] = np.nan
    mapped = normalised(values, fit_quantiles(values)).astype(float)
    kept = values[5:, 0]
    rank = (np.searchsorted(np.sort(kept), kept) + np.searchsorted(np.sort(kept), kept, side="right")) / 2
    np.testing.assert_allclose(mapped[5:, 0], rank / len(kept), atol=0.005)
    assert np.isnan(mapped[:5, 0]).all()
    for count in range(4):
        middle = np.mean(counts < count) + np.mean(counts == count) / 2
        np.testing.assert_allclose(mapped[counts == count, 1], middle, atol=0.006)
    np.testing.assert_allclose(mapped[:, 2], 0.5, atol=1e-3)


def test_values_beyond_those_seen_are_kept_in_the_unit_interval() -> None:
    values = np.random.default_rng(1).normal(size=(1000, 200)).astype(np.float32)
    grid = fit_quantiles(values)
    assert normalised(np.full((1, 200), 1e9, np.float32), grid).max() <= 1
    assert normalised(np.full((1, 200), -1e9, np.float32), grid).min() >= 0
