"""Leakage between sets of molecules: the same molecules exactly, without stereo, or by connectivity."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress

import numpy as np
import pandas as pd
from rdkit import Chem, rdBase

from weakstrong.data.row_cache import Meter, cached_rows
from weakstrong.molecules.smiles import RDKIT, parsed, texts, with_room

LEVELS = ("exact", "stereo_free", "inchikey14")


def leakage(
    smiles: Sequence[str], reference: Sequence[str], *, meter: Meter | None = None, workers: int | None = None
) -> pd.DataFrame:
    """Mark the molecules that also occur in a reference, at three levels of likeness.

    Parameters
    ----------
    smiles : sequence of str, length n
        Molecules to evaluate on.
    reference : sequence of str
        A pretraining corpus, or training rows.
    meter : callable, optional
        Shows progress.
    workers : int, optional
        Number of processes, by default one per core.

    Returns
    -------
    DataFrame with n rows
        ``smiles``, then for each level whether the molecule occurs: ``exact``, the same canonical SMILES;
        ``stereo_free``, the same one without stereo marks and isotopes; ``inchikey14``, the same
        connectivity layer of the InChIKey, which is blind to stereo, isotopes and protonation too.
        Rows that RDKit cannot read occur nowhere.

    Raises
    ------
    InputError
        If either is no sequence of strings.
    """
    smiles, reference = texts(smiles), texts(reference)
    ids, reference_ids = (
        identities_of(s, meter, name, workers)
        for s, name in ((smiles, "molecules"), (reference, "reference"))
    )
    occurs = {
        level: np.isin(ids[:, i], reference_ids[:, i]) & (ids[:, i] != 0) for i, level in enumerate(LEVELS)
    }
    return pd.DataFrame({"smiles": smiles, **occurs})


def identities_of(
    smiles: Sequence[str],
    meter: Meter | None = None,
    description: str = "molecules",
    workers: int | None = None,
) -> np.ndarray:
    """Compute `identities`, or read them from the cache where they were computed before."""
    return cached_rows(
        identities, list(smiles), libraries=(RDKIT,), meter=meter, description=description,
        workers=workers,
    )  # fmt: skip


def identities(smiles: Sequence[str]) -> np.ndarray:
    """Compute hashes that identify each molecule at each of the `LEVELS`.

    Returns
    -------
    ndarray of uint64, shape (n, 3)
        0 where a SMILES is not valid or too large, or RDKit cannot write it, or it has no InChI.
    """
    with rdBase.BlockLogs():
        hashes = [with_room(_identity, text) for text in smiles]
    return np.array(hashes, dtype=np.uint64).reshape(len(smiles), len(LEVELS))


def _identity(smiles: str) -> list[int]:
    """Compute the hashes of one molecule."""
    hashes = [0] * len(LEVELS)
    molecule = parsed(smiles)
    if molecule is None:
        return hashes
    for level, name in enumerate(_NAMES):
        with suppress(ValueError, RuntimeError):  # such as of a cage that is not Kekulé's in another order
            hashes[level] = _hash(name(molecule))
    return hashes


def _without_isotopes(molecule: Chem.Mol) -> Chem.Mol:
    """Return the molecule without isotopes; deuterium becomes an implicit hydrogen."""
    if not any(atom.GetIsotope() for atom in molecule.GetAtoms()):
        return molecule
    plain = Chem.Mol(molecule)
    for atom in plain.GetAtoms():
        atom.SetIsotope(0)
    return Chem.RemoveHs(plain)


_NAMES: tuple[Callable[[Chem.Mol], str], ...] = (
    Chem.MolToSmiles,
    lambda molecule: Chem.MolToSmiles(_without_isotopes(molecule), isomericSmiles=False),
    lambda molecule: Chem.MolToInchiKey(molecule)[:14],
)


def _hash(name: str) -> int:
    digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") if name else 0
