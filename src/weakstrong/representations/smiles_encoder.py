"""Features from a pretrained encoder of SMILES, a molecule's own whatever it is computed beside."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from weakstrong.data.row_cache import Meter, cached_rows
from weakstrong.errors import InputError
from weakstrong.representations.smiles_transformer import SmilesTransformer

POOLINGS = ("cls", "mean", "mean+cls")
_TOKENS_A_BATCH = 8192
_MOLECULES_A_BATCH = 256
_BLOCK = 8192  # molecules sorted by length and cached together
_SOURCES = (
    "data/smiles.py",
    "representations/smiles_bert.py",
    "representations/smiles_encoder.py",
    "representations/tokens.py",
)


class SmilesEncoder(SmilesTransformer):
    """A pretrained encoder of SMILES as a frozen representation.

    ``cls`` is the pooled state of ``[CLS]``, ``mean`` the mean of the last layer's states over the
    tokens of the molecule (never over padding), ``mean+cls`` both, in that order. Computed features are
    kept in the cache (``WEAKSTRONG_CACHE``) under the content of weights and molecules.

    Parameters
    ----------
    model : str or Path
        Folder with the weights: made by ``weakstrong pretrain`` or ``weakstrong convert``.
    pooling : {'cls', 'mean', 'mean+cls'}, default 'cls'
    bf16 : bool, default False
        Compute in bfloat16 where that is safe: faster, and features differ in the third digit.
    random_init : bool, default False
        Take random weights of the same shape instead: the untrained control.
    seed : int, default 0
        Of those.
    """

    def __init__(
        self,
        model: str | Path,
        pooling: str = "cls",
        bf16: bool = False,
        random_init: bool = False,
        seed: int = 0,
    ) -> None:
        self.model = model
        self.pooling = pooling
        self.bf16 = bf16
        self.random_init = random_init
        self.seed = seed

    def transform(self, X: Sequence[str], *, meter: Meter | None = None) -> np.ndarray:
        """Features of each molecule.

        Parameters
        ----------
        X : sequence of str, length n
        meter : callable, optional
            Shows progress.

        Returns
        -------
        ndarray of float32, shape (n, hidden), or (n, 2 hidden) for ``mean+cls``

        Raises
        ------
        InputError
            If the folder holds no model, or a SMILES is not valid or has an element outside the
            vocabulary: named with its row, from 0.
        """
        from weakstrong.data.smiles import RDKIT
        from weakstrong.records import file_hash
        from weakstrong.representations.smiles_bert import WEIGHTS, load_model, random_model, read_config

        self._check()
        forms = standard_forms(X)
        folder = Path(self.model)
        config = read_config(folder)
        model = random_model(config, self.seed).eval() if self.random_init else load_model(folder)
        identity = self.seed if self.random_init else file_hash(folder / WEIGHTS)

        def smiles_features(block: list[str], *_: Any) -> np.ndarray:
            return encode(model.encoder, block, bf16=self.bf16)

        both = cached_rows(
            smiles_features, forms, repr(config), identity, self.bf16,
            depends_on=(*_SOURCES, RDKIT, _libraries()), meter=meter, description="molecules", workers=1,
            chunk=_BLOCK,
        )  # fmt: skip
        kept = {"mean": slice(0, config.hidden), "cls": slice(config.hidden, None), "mean+cls": slice(None)}
        return np.ascontiguousarray(both[:, kept[self.pooling]])

    def _check(self) -> None:
        if self.pooling not in POOLINGS:
            raise InputError(f"pooling = {self.pooling!r}: must be one of {', '.join(POOLINGS)}")


def standard_forms(smiles: Any) -> list[str]:
    """Kekulé form of each SMILES, as the encoder reads it.

    Raises
    ------
    InputError
        On the first that is not valid, has an element outside the vocabulary or is too long.
    """
    from weakstrong.data.smiles import standard
    from weakstrong.representations.smiles_bert import MAX_LENGTH
    from weakstrong.representations.tokens import tokenize

    forms = []
    for row, text in enumerate(np.asarray(smiles, dtype=object).ravel()):
        try:
            if not isinstance(text, str):
                raise ValueError("no text")
            form = standard(text.strip())
            if len(tokenize([form]).ids) > MAX_LENGTH - 2:
                raise ValueError(f"more than {MAX_LENGTH - 2} tokens")
        except ValueError as error:
            raise InputError(
                f"row {row} (counted from 0): {text!r}: {error}; correct or remove it"
            ) from error
        forms.append(form)
    return forms


def encode(encoder: Any, forms: Sequence[str], *, bf16: bool = False) -> np.ndarray:
    """Mean and pooled features, batches of about one length each, so that little is spent on padding.

    Parameters
    ----------
    encoder : SmilesBert
        In evaluation mode.
    forms : sequence of str, length n
        In Kekulé form.
    bf16 : bool

    Returns
    -------
    ndarray of float32, shape (n, 2 hidden)
        Mean over tokens, then the pooled state.
    """
    import torch

    from weakstrong.representations.tokens import PAD, tokenize

    tokens = tokenize(forms)
    features = np.empty((len(forms), 2 * encoder.config.hidden), dtype=np.float32)
    device = next(encoder.parameters()).device
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=bf16):
        for rows in length_batches(tokens.lengths):
            ids = torch.from_numpy(tokens.padded(rows)).to(device)
            mask = ids != PAD
            states, pooled = encoder(ids, None if bool(mask.all()) else mask)
            weights = mask[..., None].float()
            mean = (states.float() * weights).sum(dim=1) / weights.sum(dim=1)
            features[rows] = torch.cat([mean, pooled.float()], dim=1).cpu().numpy()
    return features


def length_batches(lengths: np.ndarray) -> list[np.ndarray]:
    """Rows in batches of alike lengths, each of at most so many tokens and molecules."""
    order = np.argsort(lengths, kind="stable")
    batches, start = [], 0
    while start < len(order):
        stop = start + 1
        while (
            stop < len(order)
            and stop - start < _MOLECULES_A_BATCH
            and (stop + 1 - start) * (lengths[order[stop]] + 2) <= _TOKENS_A_BATCH
        ):
            stop += 1
        batches.append(order[start:stop])
        start = stop
    return batches


def _libraries() -> str:
    import torch
    import transformers

    return f"torch {torch.__version__}, transformers {transformers.__version__}"
