"""SMILES strings: parsing, the Kekulé form that the encoders read, random forms, and checks for faults."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from rdkit import Chem, rdBase

from weakstrong.errors import quoted

# As in the public MolBERT release, a molecule is sanitised without the clean-up, which rewrites functional
# groups. It is cleaned up after all if it is not valid otherwise, such as with a nitro group written N(=O)=O.
_AS_WRITTEN = Chem.SANITIZE_ALL ^ Chem.SANITIZE_CLEANUP
RDKIT = f"rdkit {rdBase.rdkitVersion}"  # cached rows depend on it
FAULTS = ("", "invalid", "outside the vocabulary", "too long")
_SEEDS = 2**31 - 1  # RDKit takes 31 bits; 0 would mean an unseeded draw


def kekule_molecule(smiles: str) -> Chem.Mol:
    """Parse and sanitise a SMILES, with single and double bonds in place of aromatic flags.

    Raises
    ------
    ValueError
        If it is not a valid SMILES; the message is one line.
    """
    if smiles.split() != [smiles]:  # RDKit would read the first word alone
        raise ValueError("white space in it" if smiles.strip() else "empty")
    with rdBase.BlockLogs():
        molecule = Chem.MolFromSmiles(smiles, sanitize=False)
        if molecule is None:
            raise ValueError("no valid SMILES")
        try:
            if Chem.SanitizeMol(molecule, _AS_WRITTEN, catchErrors=True) != Chem.SANITIZE_NONE:
                molecule = Chem.MolFromSmiles(smiles, sanitize=False)
                Chem.SanitizeMol(molecule)
            Chem.Kekulize(molecule, clearAromaticFlags=True)
        except (ValueError, RuntimeError) as error:  # valence, aromaticity: Chem.MolSanitizeException too
            raise ValueError(" ".join(str(error).split())) from error
    if molecule.GetNumAtoms() == 0:
        raise ValueError("no atoms")
    return molecule


def standard(smiles: str) -> str:
    """Return the Kekulé SMILES that encoders read, with the atoms in the given order (not canonical).

    Raises
    ------
    ValueError
        If it is no valid SMILES.
    """
    return Chem.MolToSmiles(kekule_molecule(smiles), kekuleSmiles=True, canonical=False)


def random_form(smiles: str, seed: int, epoch: int) -> str:
    """Draw a random Kekulé SMILES of a molecule, which depends on seed, epoch and SMILES alone.

    Raises
    ------
    ValueError
        If it is no valid SMILES.
    """
    digest = hashlib.blake2b(f"{seed} {epoch} {smiles}".encode(), digest_size=8).digest()
    draw = 1 + int.from_bytes(digest, "little") % (_SEEDS - 1)
    return Chem.MolToRandomSmilesVect(kekule_molecule(smiles), 1, draw)[0]


def problems(smiles: Sequence[str], max_tokens: int) -> np.ndarray:
    """Check each SMILES for use by an encoder; return its fault as an index into `FAULTS`, or 0.

    Parameters
    ----------
    smiles : sequence of str
    max_tokens : int
        Longest form accepted, in tokens; 0 for any molecule, whatever its length and elements.

    Returns
    -------
    ndarray of uint8, shape (n,)
    """
    return np.array([problem(s, max_tokens)[0] for s in smiles], dtype=np.uint8)


def problem(smiles: str, max_tokens: int) -> tuple[int, str]:
    """Check a SMILES for use by an encoder; return its fault as an index into `FAULTS`, and in words."""
    from weakstrong.molecules.tokens import tokenize

    try:
        form = standard(smiles)
    except ValueError as error:
        return 1, str(error)
    if not max_tokens:
        return 0, ""
    try:
        length = len(tokenize([form]).ids)
    except ValueError as error:
        return 2, str(error).removeprefix(f"row 0: {quoted(form)} ")
    return (3, f"{length} tokens, more than {max_tokens}") if length > max_tokens else (0, "")
