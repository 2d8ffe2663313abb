"""SMILES strings: parsing, the Kekulé form that the encoders read, random forms, and checks for faults."""

from __future__ import annotations

import hashlib
import re
import textwrap
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
from rdkit import Chem, rdBase

from weakstrong.errors import InputError, quoted

# As in the public MolBERT release, a molecule is sanitised without the clean-up, which rewrites functional
# groups. It is cleaned up after all if it is not valid otherwise, such as with a nitro group written N(=O)=O.
_AS_WRITTEN = Chem.SANITIZE_ALL ^ Chem.SANITIZE_CLEANUP
RDKIT = f"rdkit {rdBase.rdkitVersion}"  # cached rows depend on it
FAULTS = ("", "invalid", "outside the vocabulary", "too long", "too large to be parsed safely")
_SEEDS = 2**31 - 1  # RDKit takes 31 bits; 0 would mean an unseeded draw
# RDKit's memory grows with the square of the length and its time with the cube of the rings (500: seconds).
# Where it writes, it recurses atom by atom, with up to 500 bytes each: 16,000 atoms end the process on 8 MiB.
MAX_SYMBOLS, MAX_RINGS = 5000, 500
_BRACKETS, _CLOSURES = re.compile(r"\[[^\]]*\]"), re.compile(r"%\(\d+\)|%\d\d|\d")
_SHORT, _STACK = 250, 16 << 20  # symbols for which any stack suffices, and bytes that suffice for any SMILES
_stack_size = threading.Lock()
_T = TypeVar("_T")
_NEEDED = "a sequence of strings is needed, or a table of one column"


def texts(given: Any) -> list[str]:
    """Return a sequence of strings, or an array or table of one column, as a list of stripped text.

    Raises
    ------
    InputError
        If it has another shape, or an entry is not text; the message names its row, counted from 0.
    """
    try:
        array = np.asarray(given, dtype=object)
    except ValueError as error:  # arrays of several shapes
        raise InputError(f"SMILES are {quoted(given)}: {_NEEDED}") from error
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        fault = f"of shape {array.shape}" if array.ndim else f"are {quoted(given)}"
        raise InputError(f"SMILES {fault}: {_NEEDED}")
    for row, text in enumerate(array):
        if not isinstance(text, str):
            raise InputError(f"row {row} (counted from 0): {quoted(text)} is no text; correct or remove it")
    return [text.strip() for text in array]


def unreadable(smiles: str) -> str:
    """Say why a text should not be given to RDKit, which reads more than SMILES; empty if it may be."""
    if smiles.split() != [smiles]:  # RDKit would read the first word alone
        return "white space in it" if smiles.strip() else "empty"
    if not (smiles.isascii() and smiles.isprintable()):  # RDKit would leave it out
        return "a character in it that no SMILES has"
    return too_large(smiles)


def too_large(smiles: str) -> str:
    """Say why RDKit could crash on a SMILES, or take minutes; empty if it is small enough."""
    if len(smiles) > MAX_SYMBOLS:
        return f"too long to be parsed safely: {len(smiles):,} symbols, more than {MAX_SYMBOLS:,}"
    if len(smiles) > 2 * MAX_RINGS:  # each ring takes two digits
        rings = len(_CLOSURES.findall(_BRACKETS.sub("", smiles))) // 2
        if rings > MAX_RINGS:
            return f"too many rings to be parsed safely: {rings:,}, more than {MAX_RINGS:,}"
    return ""


def parsed(smiles: str) -> Chem.Mol | None:
    """Parse and sanitise a SMILES as RDKit does by default; None if it is not valid, or too large."""
    molecule = None if unreadable(smiles) else Chem.MolFromSmiles(smiles)
    return molecule if molecule is not None and molecule.GetNumAtoms() else None


def with_room(work: Callable[[str], _T], smiles: str) -> _T:
    """Compute ``work(smiles)``, for a long SMILES on a stack of its own: that of a thread may be small."""
    if len(smiles) <= _SHORT:
        return work(smiles)
    with ThreadPoolExecutor(1) as pool:
        with _stack_size:
            before = threading.stack_size(_STACK)
            done = pool.submit(work, smiles)  # starts the thread
            threading.stack_size(before)
        return done.result()


def kekule_molecule(smiles: str) -> Chem.Mol:
    """Parse and sanitise a SMILES, with single and double bonds in place of aromatic flags.

    Raises
    ------
    ValueError
        If it is not a valid SMILES; the message is one line.
    """
    if fault := unreadable(smiles):
        raise ValueError(fault)
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
            raise ValueError(textwrap.shorten(str(error), 150, placeholder=" ...")) from error
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
    return with_room(_standard, smiles)


def _standard(smiles: str) -> str:
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
    return with_room(lambda s: Chem.MolToRandomSmilesVect(kekule_molecule(s), 1, draw)[0], smiles)


def problems(smiles: Sequence[str], max_tokens: int) -> np.ndarray:
    """Check each SMILES for use by an encoder; return its fault as an index into `FAULTS`, or 0.

    Parameters
    ----------
    smiles : sequence of str
    max_tokens : int
        Longest form accepted, in tokens; 0 for any molecule that can be parsed, whatever its elements.

    Returns
    -------
    ndarray of uint8, shape (n,)
    """
    return np.array([problem(s, max_tokens)[0] for s in smiles], dtype=np.uint8)


def problem(smiles: str, max_tokens: int) -> tuple[int, str]:
    """Check a SMILES for use by an encoder; return its fault as an index into `FAULTS`, and in words."""
    from weakstrong.molecules.tokens import tokenize

    if fault := too_large(smiles):
        return 4, fault
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
