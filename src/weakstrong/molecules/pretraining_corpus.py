"""The data of pretraining on SMILES: random forms and descriptors, computed once, and batches of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from weakstrong.data.row_cache import Meter, cached_rows
from weakstrong.molecules.descriptors import descriptors
from weakstrong.molecules.smiles import RDKIT, random_form, standard
from weakstrong.molecules.tokens import CLS, MASK, PAD, SEP, SPECIAL, VOCABULARY, Tokens, tokenize

_QUANTILES, _SAMPLE = 257, 20_000
_SORTED = 64  # batches of similar lengths are cut from so many batches of molecules, sorted
_MASKED, _REPLACED, _OTHER = 0.15, 0.8, 0.1


def random_tokens(smiles: Sequence[str], seed: int, epoch: int, max_tokens: int) -> np.ndarray:
    """Tokenize a random form of each molecule, or its standard form where the random one is too long.

    Returns
    -------
    ndarray of uint8, shape (n, max_tokens)
        Token ids, filled up with ``[PAD]``.
    """
    rows = np.full((len(smiles), max_tokens), PAD, dtype=np.uint8)
    forms = [random_form(s, seed, epoch) for s in smiles]
    lengths = tokenize(forms).lengths
    forms = [standard(s) if n > max_tokens else f for s, f, n in zip(smiles, forms, lengths, strict=True)]
    tokens = tokenize(forms)
    rows[np.arange(max_tokens) < tokens.lengths[:, None]] = tokens.ids
    return rows


@dataclass(frozen=True)
class PretrainingCorpus:
    """Molecules to pretrain on, with their normalised descriptors.

    Parameters
    ----------
    smiles : sequence of str
        Valid, and no longer than `max_tokens` in standard form.
    targets : ndarray of float16, shape (n, 200)
        Descriptors mapped to [0, 1]; NaN where one failed.
    quantiles : ndarray of float32, shape (257, 200)
        The map: quantiles of each descriptor over a fixed sample of the corpus.
    seed : int
        Seed of the random forms.
    max_tokens : int
    """

    smiles: Sequence[str]
    targets: np.ndarray
    quantiles: np.ndarray
    seed: int
    max_tokens: int

    @classmethod
    def of(
        cls, smiles: Sequence[str], seed: int, max_tokens: int, *, meter: Meter | None = None
    ) -> PretrainingCorpus:
        """Compute the descriptors, or read them from the cache, and normalise them by their quantiles."""
        values = cached_rows(descriptors, smiles, libraries=(RDKIT,), meter=meter, description="descriptors")
        quantiles = fit_quantiles(values)
        return cls(smiles, normalised(values, quantiles), quantiles, seed, max_tokens)

    def tokens(self, epoch: int, *, meter: Meter | None = None) -> Tokens:
        """Return the tokens of the random forms of an epoch."""
        rows = cached_rows(
            random_tokens, self.smiles, self.seed, epoch, self.max_tokens,
            libraries=(RDKIT,), meter=meter, description=f"random forms, epoch {epoch + 1}",
        )  # fmt: skip
        filled = rows != PAD
        return Tokens(rows[filled], np.concatenate([[0], np.cumsum(filled.sum(axis=1))]))


def fit_quantiles(values: np.ndarray) -> np.ndarray:
    """Compute the quantiles of each descriptor over a fixed random sample of rows, without failed values.

    Parameters
    ----------
    values : ndarray, shape (n, 200)

    Returns
    -------
    ndarray of float32, shape (257, 200)
        Zeros for a descriptor that failed everywhere.
    """
    chosen = np.random.default_rng(0).permutation(len(values))[:_SAMPLE]
    sample = values[np.sort(chosen)].astype(np.float64)
    levels = np.linspace(0, 1, _QUANTILES)
    columns = [column[~np.isnan(column)] for column in sample.T]
    knots = [np.quantile(c, levels, method="closest_observation") if c.size else 0 * levels for c in columns]
    return np.stack(knots, axis=1).astype(np.float32)


def normalised(values: np.ndarray, quantiles: np.ndarray) -> np.ndarray:
    """Map each value to [0, 1] by its rank among the quantiles.

    A value x becomes ``(P(X < x) + P(X <= x)) / 2`` under the quantiles, linear between them.

    Parameters
    ----------
    values : ndarray, shape (n, 200)
    quantiles : ndarray, shape (q, 200)

    Returns
    -------
    ndarray of float16, shape (n, 200)
        Values in [0, 1]; NaN where the original value is.
    """
    mapped = np.empty(values.shape, dtype=np.float16)
    for column, grid in enumerate(quantiles.T):
        points, starts, counts = np.unique(grid, return_index=True, return_counts=True)
        mapped[:, column] = np.interp(
            values[:, column], points, (starts + (counts - 1) / 2) / (len(grid) - 1)
        )
    mapped[np.isnan(values)] = np.nan
    return mapped


def epoch_batches(lengths: np.ndarray, batch: int, seed: int, epoch: int) -> np.ndarray:
    """Divide molecules into batches of about one length, in an order determined by seed and epoch.

    Parameters
    ----------
    lengths : ndarray of int, shape (n,)
    batch : int
    seed, epoch : int

    Returns
    -------
    ndarray of int, shape (n // batch, batch)
        Rows of each batch. Molecules that do not fill a batch are left out of the epoch.
    """
    rng = np.random.default_rng([seed, epoch])
    count = len(lengths) // batch
    order = rng.permutation(len(lengths))[: count * batch]
    span = batch * _SORTED
    for start in range(0, len(order), span):
        part = order[start : start + span]
        order[start : start + span] = part[np.argsort(lengths[part], kind="stable")]
    return rng.permutation(order.reshape(count, batch))


@dataclass(frozen=True)
class Masked:
    """A batch of token ids with some symbols masked.

    Parameters
    ----------
    ids : ndarray of int64, shape (n, length)
    places : ndarray of int64, shape (m,)
        Places of the masked symbols in the flattened ids.
    symbols : ndarray of int64, shape (m,)
        The symbols that stood there.
    """

    ids: np.ndarray
    places: np.ndarray
    symbols: np.ndarray


def mask_symbols(ids: np.ndarray, rng: np.random.Generator) -> Masked:
    """Choose 15% of the symbols to predict: 80% of them become ``[MASK]``, 10% another symbol, 10% stay."""
    ordinary = (ids != PAD) & (ids != CLS) & (ids != SEP)
    draws = rng.random((2, *ids.shape))
    others = rng.integers(len(SPECIAL), len(VOCABULARY) - 1, ids.shape)
    others += others >= ids  # never the symbol itself
    places = np.flatnonzero(ordinary & (draws[0] < _MASKED))
    fate = draws[1].ravel()[places]
    symbols = ids.ravel()[places]
    shown = np.where(fate < _REPLACED, MASK, symbols)
    shown = np.where((fate >= _REPLACED) & (fate < _REPLACED + _OTHER), others.ravel()[places], shown)
    changed = ids.copy()
    changed.ravel()[places] = shown
    return Masked(changed, places, symbols)
