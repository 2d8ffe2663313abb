"""Conversion of SMILES to token ids, by table look-up in NumPy.

The vocabulary (42 symbols) and its order are those of the public MolBERT release, so that its weights can
be read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from weakstrong.errors import InputError, quoted

SPECIAL = ("[PAD]", "[CLS]", "[SEP]", "[MASK]")
PAD, CLS, SEP, MASK = range(4)
VOCABULARY = (
    *SPECIAL,
    *"F H I B C N O P S Br Cl Si Se se @@".split(),
    *"0 1 2 3 4 5 6 7 8 9 = @ # % / \\ ( ) + - . [ ]".split(),
)
_UNKNOWN = 255
_BLOCK = 2000  # so many SMILES at a time have arrays that stay in the processor's cache
_BREAK = ord("\n")


@dataclass(frozen=True)
class Tokens:
    """Token ids of several SMILES, stored one after the other in one array.

    Parameters
    ----------
    ids : ndarray of uint8, shape (total,)
    starts : ndarray of int64, shape (n + 1,)
        SMILES i has ``ids[starts[i]:starts[i + 1]]``.
    """

    ids: np.ndarray
    starts: np.ndarray

    @property
    def lengths(self) -> np.ndarray:
        """Number of tokens of each SMILES, shape (n,)."""
        return np.diff(self.starts)

    def padded(self, rows: np.ndarray, *, special: bool = True) -> np.ndarray:
        """Return ``[CLS] tokens [SEP]`` of some SMILES, each filled up with ``[PAD]`` to the longest of them.

        Parameters
        ----------
        rows : ndarray of int, shape (m,)
        special : bool, default True
            Whether to put ``[CLS]`` and ``[SEP]`` around the tokens.

        Returns
        -------
        ndarray of int64, shape (m, longest + 2), or (m, longest) without the special tokens
        """
        lengths = self.lengths[rows]
        within = np.arange(lengths.max(initial=0))
        filled = within < lengths[:, None]
        taken = np.full(filled.shape, PAD, dtype=np.int64)
        taken[filled] = self.ids[(self.starts[rows][:, None] + within)[filled]]
        if not special:
            return taken
        edges = np.full((len(rows), 1), CLS), np.full((len(rows), 1), PAD)
        taken = np.concatenate([edges[0], taken, edges[1]], axis=1)
        taken[np.arange(len(rows)), lengths + 1] = SEP
        return taken


def tokenize(smiles: Sequence[str]) -> Tokens:
    """Convert SMILES in Kekulé form to token ids, one for each character or symbol of two characters.

    Raises
    ------
    InputError
        If a SMILES has a symbol outside the vocabulary (another element, an aromatic atom, white
        space); the message names its row, counted from 0.
    """
    blocks = [_block(smiles[i : i + _BLOCK], i) for i in range(0, len(smiles), _BLOCK)]
    ids = [ids for ids, _ in blocks]
    lengths = [lengths for _, lengths in blocks]
    starts = np.cumsum(np.concatenate([[0], *lengths]), dtype=np.int64)
    return Tokens(np.concatenate([np.zeros(0, dtype=np.uint8), *ids]), starts)


def _block(smiles: Sequence[str], first: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the ids and numbers of tokens of a block of SMILES, the first of which is row `first`."""
    try:
        text = np.frombuffer(("\n".join(smiles) + "\n").encode("ascii"), dtype=np.uint8)
    except UnicodeEncodeError as error:
        row = error.object[: error.start].count("\n")
        raise InputError(
            f"row {first + row}: {quoted(smiles[row])} has a character that no SMILES has"
        ) from error
    ids = _SINGLE[text]
    breaks = text == _BREAK
    kept = ~breaks
    second = np.flatnonzero(_SECOND[text[1:]]) + 1  # these are few: all others take one look-up per character
    symbols = _PAIR[text[second - 1].astype(np.uint16) << 8 | text[second]]
    pair_ends = second[symbols != _UNKNOWN]
    ids[pair_ends - 1] = symbols[symbols != _UNKNOWN]
    kept[pair_ends] = False
    if len(smiles) != np.count_nonzero(breaks):
        row = next(i for i, s in enumerate(smiles) if "\n" in s)
        raise InputError(f"row {first + row}: {quoted(smiles[row])} holds a line break")
    unknown = np.flatnonzero((ids == _UNKNOWN) & kept)
    if unknown.size:
        row = int(np.count_nonzero(breaks[: unknown[0]]))
        symbol = _symbol(text, unknown[0])
        raise InputError(f"row {first + row}: {quoted(smiles[row])} has {symbol!r}, outside the vocabulary")
    return ids[kept], np.diff(np.cumsum(kept)[breaks], prepend=0)


def _symbol(text: np.ndarray, at: int) -> str:
    """Return the unknown symbol, with the capital before it if it is the second letter of an element."""
    this, before = chr(text[at]), chr(text[at - 1]) if at else ""
    return before + this if this.islower() and before.isupper() else this


def _tables() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Make tables of the tokens of characters, of those of pairs, and of characters that end a pair."""
    single, pair = np.full(256, _UNKNOWN, np.uint8), np.full(65536, _UNKNOWN, np.uint8)
    second = np.zeros(256, dtype=bool)
    for number, symbol in enumerate(VOCABULARY[len(SPECIAL) :], len(SPECIAL)):
        if len(symbol) == 1:
            single[ord(symbol)] = number
        else:
            pair[ord(symbol[0]) << 8 | ord(symbol[1])] = number
            second[ord(symbol[1])] = True
    return single, pair, second


_SINGLE, _PAIR, _SECOND = _tables()
