"""Features of molecules from a pretrained encoder of SMILES.

Up to rounding, those of a molecule do not depend on the molecules it is computed with.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from weakstrong.data.row_cache import Meter, cached_rows
from weakstrong.errors import InputError, quoted
from weakstrong.molecules.smiles_transformer import SmilesTransformer, is_whole

POOLINGS = ("cls", "mean", "mean+cls")
_TOKENS_ON_CPU, _TOKENS_ON_GPU = 2048, 65536  # of a batch: on a CPU its states should stay in the cache
_BLOCK = 2048  # molecules sorted by length and cached together


class SmilesEncoder(SmilesTransformer):
    """A pretrained encoder of SMILES as a frozen representation.

    ``cls`` is the pooled state of ``[CLS]``, ``mean`` the mean of the last layer's states over the
    molecule's tokens (with ``[CLS]`` and ``[SEP]``, without padding), and ``mean+cls`` is both, in that
    order. Computed features are kept in the cache (``WEAKSTRONG_CACHE``) under a key of the content of
    weights and molecules.

    Parameters
    ----------
    model : str or Path
        Folder with the weights: made by ``weakstrong pretrain`` or ``weakstrong convert``.
    pooling : {'cls', 'mean', 'mean+cls'}, default 'cls'
    bf16 : bool, default False
        Compute in bfloat16 where that is safe: faster, and features differ in the third digit.
    random_init : bool, default False
        Use random weights of the same shape instead: the untrained control.
    seed : int, optional
        Seed of the random weights. By default it is the one that pretraining started from, so that the
        control is the very model before training, or 0 if the folder does not record it.

    Notes
    -----
    The encoder runs on a GPU if there is one.
    """

    def __init__(
        self,
        model: str | Path,
        pooling: str = "cls",
        bf16: bool = False,
        random_init: bool = False,
        seed: int | None = None,
    ) -> None:
        self.model = model
        self.pooling = pooling
        self.bf16 = bf16
        self.random_init = random_init
        self.seed = seed

    def transform(self, X: Sequence[str], *, meter: Meter | None = None) -> np.ndarray:
        """Compute the features of each molecule.

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
            If the folder holds no model, a SMILES is not valid or has an element outside the vocabulary
            (named with its row, from 0), or the features are not finite.
        """
        self._check()
        return self.features(usable_smiles(X, meter=meter), meter=meter)

    def features(self, smiles: list[str], *, meter: Meter | None = None) -> np.ndarray:
        """Compute features as `transform` does, but without a check, of SMILES known to be usable."""
        import torch

        from weakstrong.identity import file_hash
        from weakstrong.molecules.encoder_folder import WEIGHTS, load_model, read_config
        from weakstrong.molecules.smiles import RDKIT, standard
        from weakstrong.molecules.smiles_bert import enough_memory, random_model

        self._check()
        folder = Path(self.model)
        config = read_config(folder)
        seed = initial_seed(folder) if self.seed is None else self.seed
        device = "cuda" if torch.cuda.is_available() else "cpu"
        model = random_model(config, seed).eval() if self.random_init else load_model(folder)
        with enough_memory(folder):
            encoder = model.encoder.to(device)
        identity = seed if self.random_init else file_hash(folder / WEIGHTS)

        def smiles_features(block: list[str], *_: Any) -> np.ndarray:
            features = encode(encoder, [standard(s) for s in block], bf16=self.bf16)
            finite = np.isfinite(features).all(axis=1)
            if not finite.all():
                text = block[int(np.argmin(finite))]
                raise InputError(
                    f"{folder}: its weights give {quoted(text)} features that are not finite; "
                    "make the model anew, or use another"
                )
            return features

        both = cached_rows(
            smiles_features, smiles, repr(config), identity, self.bf16, device,
            libraries=(RDKIT, _libraries()), meter=meter, description="molecules", workers=1,
            chunk=_BLOCK,
        )  # fmt: skip
        kept = {"mean": slice(0, config.hidden), "cls": slice(config.hidden, None), "mean+cls": slice(None)}
        return np.ascontiguousarray(both[:, kept[self.pooling]])

    def get_feature_names_out(self, input_features: object = None) -> np.ndarray:
        """Return the names of the features: ``mean0``, … and ``cls0``, …, as the pooling has them."""
        from weakstrong.molecules.encoder_folder import read_config

        self._check()
        hidden = read_config(Path(self.model)).hidden
        names = [f"{part}{i}" for part in self.pooling.split("+") for i in range(hidden)]
        return np.array(names, dtype=object)

    def _check(self) -> None:
        if not isinstance(self.model, str | os.PathLike):
            raise InputError(f"model = {quoted(self.model)}: must be the path of a folder")
        if not isinstance(self.pooling, str) or self.pooling not in POOLINGS:
            raise InputError(f"pooling = {quoted(self.pooling)}: must be one of {', '.join(POOLINGS)}")
        for name in ("bf16", "random_init"):
            if not isinstance(getattr(self, name), bool | np.bool_):
                raise InputError(f"{name} = {quoted(getattr(self, name))}: must be True or False")
        if self.seed is not None and not (is_whole(self.seed) and 0 <= self.seed < 2**32):
            raise InputError(f"seed = {quoted(self.seed)}: must be a whole number from 0 to 2**32 - 1")


def initial_seed(folder: Path) -> int:
    """Read the seed that the pretraining of a model started from; 0 if the folder does not record it."""
    return _number(folder, "pretraining", "settings", "seed")


def longer_than_trained(folder: Path, smiles: list[str]) -> tuple[int, int]:
    """Count the molecules that are longer than any that a model was pretrained on.

    Returns
    -------
    longer : int
    longest : int
        Length of the longest molecule that pretraining accepted, in symbols. Both are 0 if the folder does
        not record it.
    """
    from weakstrong.molecules.corpora import fault_codes
    from weakstrong.molecules.smiles import FAULTS

    longest = _number(folder, "pretraining", "max_tokens")
    if not longest:
        return 0, 0
    return int(np.count_nonzero(fault_codes(smiles, longest) == FAULTS.index("too long"))), longest


def _number(folder: Path, *names: str) -> int:
    """Read a whole number from the configuration of a model; 0 if it is not there."""
    from weakstrong.molecules.encoder_folder import read_entries

    value: Any = read_entries(folder)
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, int) and 0 <= value < 2**32 else 0


def usable_smiles(given: Any, *, meter: Meter | None = None) -> list[str]:
    """Return SMILES as a list of text without white space around, checked that the encoder can read each.

    Raises
    ------
    InputError
        On the first SMILES that is not valid, has an element outside the vocabulary or is too long.
    """
    from weakstrong.molecules.corpora import fault_codes
    from weakstrong.molecules.smiles import problem, texts
    from weakstrong.molecules.smiles_bert import MAX_LENGTH

    smiles = texts(given)
    at_fault = np.flatnonzero(fault_codes(smiles, MAX_LENGTH - 2, meter=meter, workers=1))
    if at_fault.size:
        text = smiles[at_fault[0]]
        fault = problem(text, MAX_LENGTH - 2)[1]
        raise InputError(f"row {at_fault[0]} (counted from 0): {quoted(text)}: {fault}; correct or remove it")
    return smiles


def encode(encoder: Any, forms: Sequence[str], *, bf16: bool = False) -> np.ndarray:
    """Compute mean and pooled features, in batches of similar lengths so that little is spent on padding.

    Parameters
    ----------
    encoder : SmilesBert
        In evaluation mode.
    forms : sequence of str, length n
        SMILES in Kekulé form.
    bf16 : bool

    Returns
    -------
    ndarray of float32, shape (n, 2 hidden)
        The mean over tokens, then the pooled state.
    """
    import torch

    from weakstrong.molecules.tokens import tokenize

    tokens = tokenize(forms)
    features = np.empty((len(forms), 2 * encoder.config.hidden), dtype=np.float32)
    device = next(encoder.parameters()).device
    budget = _TOKENS_ON_CPU if device.type == "cpu" else _TOKENS_ON_GPU
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=bf16):
        batches = length_batches(tokens.lengths, budget)
        while batches:
            rows = batches.pop()  # the longest first, so that what does not fit is halved early
            try:
                features[rows] = _batch(encoder, torch.from_numpy(tokens.padded(rows)).to(device))
            except torch.OutOfMemoryError:
                if len(rows) == 1:
                    raise InputError(f"not memory enough for {quoted(forms[rows[0]])}; use a CPU") from None
                batches += np.array_split(rows, 2)
    return features


def _batch(encoder: Any, ids: Any) -> np.ndarray:
    import torch

    from weakstrong.molecules.tokens import PAD

    mask = ids != PAD
    states, pooled = encoder(ids, None if bool(mask.all()) else mask)
    weights = mask[..., None].float()
    mean = (states.float() * weights).sum(dim=1) / weights.sum(dim=1)
    return torch.cat([mean, pooled.float()], dim=1).cpu().numpy()


def length_batches(lengths: np.ndarray, tokens: int) -> list[np.ndarray]:
    """Divide rows into batches of similar lengths, each of one row or of at most `tokens` with padding."""
    order = np.argsort(lengths, kind="stable")
    batches, start = [], 0
    while start < len(order):
        stop = start + 1
        while stop < len(order) and (stop + 1 - start) * (lengths[order[stop]] + 2) <= tokens:
            stop += 1
        batches.append(order[start:stop])
        start = stop
    return batches


def _libraries() -> str:
    import torch
    import transformers

    return f"torch {torch.__version__}, transformers {transformers.__version__}"
