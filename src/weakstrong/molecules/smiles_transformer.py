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
        from rdkit import Chem
        from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator

        self._check()
        generator = GetMorganGenerator(radius=int(self.radius), fpSize=int(self.n_features))
        smiles = checked_smiles(X)
        counts = [generator.GetCountFingerprintAsNumPy(Chem.MolFromSmiles(s)) for s in smiles]
        return np.array(counts, dtype=np.float32).reshape(len(smiles), self.n_features)

    def get_feature_names_out(self, input_features: object = None) -> np.ndarray:
        """Return the names ``ecfp0``, …, as folded substructures have no names of their own."""
        return np.array([f"ecfp{i}" for i in range(self.n_features)], dtype=object)

    def _check(self) -> None:
        for name, least in (("radius", 0), ("n_features", 1)):
            value = getattr(self, name)
            if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
                raise InputError(f"{name} = {value!r}: a whole number of at least {least} is needed")


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
        if self.n_jobs is not None and self.n_jobs != -1 and self.n_jobs < 1:
            raise InputError(f"n_jobs = {self.n_jobs!r}: must be at least 1, or -1 for one a core")

    def get_feature_names_out(self, input_features: object = None) -> np.ndarray:
        """Return the names of the descriptors."""
        from weakstrong.molecules.descriptors import NAMES

        return np.array(NAMES, dtype=object)


def checked_smiles(given: Any) -> list[str]:
    """Return SMILES as a list of text without white space around, checked that each is valid.

    Raises
    ------
    InputError
        On the first SMILES that is not valid, with its row, counted from 0.
    """
    from rdkit import Chem, rdBase

    smiles = texts(given)
    with rdBase.BlockLogs():
        for row, text in enumerate(smiles):
            molecule = Chem.MolFromSmiles(text) if len(text.split()) == 1 else None
            if molecule is None or not molecule.GetNumAtoms():
                raise InputError(
                    f"row {row} (counted from 0): {quoted(text)} is no valid SMILES; correct or remove it"
                )
    return smiles


def texts(given: Any) -> list[str]:
    """Return a sequence of strings, or an array or table of one column, as a list of stripped text.

    Raises
    ------
    InputError
        If it has another shape, or an entry is not text; the message names its row, counted from 0.
    """
    array = np.asarray(given, dtype=object)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise InputError(
            f"SMILES of shape {array.shape}: a sequence of strings is needed, or a table of one column"
        )
    for row, text in enumerate(array):
        if not isinstance(text, str):
            raise InputError(f"row {row} (counted from 0): {quoted(text)} is no text; correct or remove it")
    return [text.strip() for text in array]
