"""Features of molecules as scikit-learn transformers: a common base, ECFP counts and RDKit descriptors."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import Tags

from weakstrong.errors import InputError, quoted


class SmilesTransformer(TransformerMixin, BaseEstimator):
    """Base of transformers that take SMILES and learn nothing; `fit` only checks the parameters."""

    def fit(self, X: Sequence[str], y: object = None) -> SmilesTransformer:
        """Check the parameters; nothing is learnt from the data."""
        self._check()
        return self

    def _check(self) -> None:
        """Refuse parameters that cannot be used."""

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        tags.input_tags.one_d_array = True
        tags.no_validation = True
        return tags


class ECFPCounts(SmilesTransformer):
    """Folded counts of circular substructures: ECFP (Rogers and Hahn 2010), by RDKit's Morgan generator.

    Parameters
    ----------
    radius : int, default 2
        Bonds around each atom; 2 is ECFP4.
    n_features : int, default 2048
    """

    def __init__(self, radius: int = 2, n_features: int = 2048) -> None:
        self.radius = radius
        self.n_features = n_features

    def transform(self, X: Sequence[str]) -> np.ndarray:
        """Count the substructures of each molecule.

        Parameters
        ----------
        X : sequence of str, length n

        Returns
        -------
        ndarray of float32, shape (n, n_features)

        Raises
        ------
        InputError
            On the first SMILES that is not valid, with its row.
        """
        from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator

        from weakstrong.molecules.smiles import parsed

        self._check()
        generator = GetMorganGenerator(radius=int(self.radius), fpSize=int(self.n_features))
        smiles = checked_smiles(X)
        counts = [generator.GetCountFingerprintAsNumPy(parsed(s)) for s in smiles]
        return np.array(counts, dtype=np.float32).reshape(len(smiles), self.n_features)

    def get_feature_names_out(self, input_features: object = None) -> np.ndarray:
        """Return the names ``ecfp0``, …, as folded substructures have no names of their own."""
        return np.array([f"ecfp{i}" for i in range(self.n_features)], dtype=object)

    def _check(self) -> None:
        for name, least, most in (("radius", 0, 1000), ("n_features", 1, 2**20)):
            value = getattr(self, name)
            if not is_whole(value) or not least <= value <= most:
                raise InputError(f"{name} = {quoted(value)}: a whole number from {least} to {most} is needed")


class RDKitDescriptors(SmilesTransformer):
    """The 200 pinned RDKit descriptors, as RDKit computes them, with NaN where one fails or overflows.

    Computed rows are kept in the cache (``WEAKSTRONG_CACHE``).

    Parameters
    ----------
    n_jobs : int, optional
        Number of processes, by default 1; -1 for one per core.
    """

    def __init__(self, n_jobs: int | None = None) -> None:
        self.n_jobs = n_jobs

    def transform(self, X: Sequence[str]) -> np.ndarray:
        """Compute the descriptors of each molecule.

        Parameters
        ----------
        X : sequence of str, length n

        Returns
        -------
        ndarray of float32, shape (n, 200)

        Raises
        ------
        InputError
            On the first SMILES that is not valid, with its row.
        """
        from weakstrong.data.row_cache import cached_rows
        from weakstrong.molecules.descriptors import descriptors
        from weakstrong.molecules.smiles import RDKIT

        self._check()
        workers = None if self.n_jobs == -1 else self.n_jobs or 1
        return cached_rows(descriptors, checked_smiles(X), libraries=(RDKIT,), workers=workers)

    def _check(self) -> None:
        jobs = self.n_jobs
        if jobs is not None and not (is_whole(jobs) and (jobs >= 1 or jobs == -1)):
            raise InputError(f"n_jobs = {quoted(jobs)}: must be at least 1, or -1 for one a core")

    def get_feature_names_out(self, input_features: object = None) -> np.ndarray:
        """Return the names of the descriptors."""
        from weakstrong.molecules.descriptors import NAMES

        return np.array(NAMES, dtype=object)


def is_whole(value: object) -> bool:
    """Whether a parameter is a whole number; true and false are none."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def checked_smiles(given: Any) -> list[str]:
    """Return SMILES as a list of text without white space around, checked that each is valid.

    Raises
    ------
    InputError
        On the first SMILES that is not valid, with its row, counted from 0.
    """
    from rdkit import rdBase

    from weakstrong.molecules.smiles import parsed, texts, too_large

    smiles = texts(given)
    with rdBase.BlockLogs():
        for row, text in enumerate(smiles):
            if parsed(text) is None:
                fault = too_large(text) or "no valid SMILES"
                raise InputError(f"row {row} (counted from 0): {quoted(text)}: {fault}; correct or remove it")
    return smiles
