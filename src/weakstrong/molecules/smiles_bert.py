"""A BERT encoder of SMILES like MolBERT's, with sinusoidal positions and heads for pretraining.

See Fabian et al. 2020 (arXiv 2011.13230).
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn
from transformers import BertConfig, BertModel
from transformers.models.bert.modeling_bert import BertLMPredictionHead

from weakstrong.errors import InputError, quoted
from weakstrong.molecules.descriptors import NAMES
from weakstrong.molecules.tokens import PAD, VOCABULARY

_MOST = {"hidden": 2**20, "layers": 1000, "heads": 2**20, "intermediate": 2**20}
MAX_LENGTH = 2048  # tokens, [CLS] and [SEP] included; positions have no limit of their own


@dataclass(frozen=True)
class EncoderConfig:
    """The shape of an encoder: its width, layers, attention heads and dropout.

    Parameters
    ----------
    hidden : int
        Width; even (half of a position is sines, half cosines) and a multiple of the heads.
    layers, heads : int
    intermediate : int
        Width inside the feed-forward layers.
    dropout : float, default 0.0
        Share of activations and attention weights dropped in training.
    """

    hidden: int
    layers: int
    heads: int
    intermediate: int
    dropout: float = 0.0

    def __post_init__(self) -> None:
        for name, most in _MOST.items():
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
                raise InputError(f"{name} = {quoted(value)}: a whole number from 1 to {most:,} is needed")
        if self.hidden % self.heads or self.hidden % 2:
            raise InputError(
                f"hidden = {self.hidden}: must be even and a multiple of heads = {self.heads}; "
                f"say {max(1, round(self.hidden / (2 * self.heads))) * 2 * self.heads}"
            )
        if not isinstance(self.dropout, int | float) or not 0 <= self.dropout < 1:
            raise InputError(f"dropout = {quoted(self.dropout)}: must be in [0, 1)")


class SinusoidalPositions(nn.Module):
    """Sinusoidal embeddings of positions, with the sines in the first half and the cosines in the second.

    Position p has ``concat(sin(p · f), cos(p · f))`` with ``f_i = 10000^(-2i / hidden)``, not interleaved.
    """

    inverse: torch.Tensor

    def __init__(self, hidden: int) -> None:
        super().__init__()
        exponents = torch.arange(0, hidden, 2, dtype=torch.float32) / hidden
        self.register_buffer("inverse", 1.0 / 10000**exponents, persistent=False)

    def forward(self, positions: torch.Tensor) -> torch.Tensor:
        """Return embeddings of shape (..., hidden) for positions of shape (...)."""
        angles = positions[..., None].to(self.inverse.dtype) * self.inverse
        return torch.cat([angles.sin(), angles.cos()], dim=-1)


class SmilesBert(nn.Module):
    """The encoder: it returns the states of its last layer, and ``tanh(dense(state of [CLS]))``."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.bert = BertModel(_bert_config(config))
        self.bert.embeddings.position_embeddings = SinusoidalPositions(config.hidden)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
        """Encode padded token ids.

        Parameters
        ----------
        ids : Tensor of int64, shape (n, length)
        mask : Tensor of bool, shape (n, length), or None
            False at padding; None where there is none.

        Returns
        -------
        states : Tensor, shape (n, length, hidden)
        pooled : Tensor, shape (n, hidden)
        """
        positions = torch.arange(ids.shape[1], device=ids.device)[None]
        output = self.bert(ids, attention_mask=mask, position_ids=positions)
        return output.last_hidden_state, output.pooler_output


class PretrainingModel(nn.Module):
    """The encoder with MolBERT's heads, for masked symbols and for descriptors from the pooled state."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.encoder = SmilesBert(config)
        self.masked_lm_head = BertLMPredictionHead(_bert_config(config))
        self.masked_lm_head.bias = None  # the decoder has one of its own
        self.descriptor_head = nn.Sequential(
            nn.Dropout(config.dropout),
            nn.Linear(config.hidden, config.hidden),
            nn.ReLU(),
            nn.Linear(config.hidden, len(NAMES)),
        )
        for module in (*self.masked_lm_head.modules(), *self.descriptor_head):
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=_initial_spread(config.hidden))
                nn.init.zeros_(module.bias)

    def forward(  # noqa: PLR0917
        self,
        ids: torch.Tensor,
        mask: torch.Tensor,
        masked: torch.Tensor,
        symbols: torch.Tensor,
        descriptors: torch.Tensor,
        scale: torch.Tensor,
    ) -> dict[str, torch.Tensor]:
        """Compute both losses: cross entropy of the masked symbols and squared error of the descriptors.

        Parameters
        ----------
        ids : Tensor of int64, shape (n, length)
        mask : Tensor of bool, shape (n, length)
        masked : Tensor of int64, shape (m,)
            Places of the masked symbols in the flattened ids.
        symbols : Tensor of int64, shape (m,)
            The symbols that stood there.
        descriptors : Tensor, shape (n, 200)
            Values normalised to [0, 1]; one that failed is NaN and is left out.
        scale : Tensor, shape (2,)
            Factor of each sum of losses: the number of processes over the number of terms in the whole
            step, so that the average over processes is the mean over the whole step.
        """
        states, pooled = self.encoder(ids, mask)
        logits = self.masked_lm_head(states.flatten(0, 1)[masked]).float()
        lm = nn.functional.cross_entropy(logits, symbols, reduction="sum") * scale[0]
        known = ~descriptors.isnan()
        errors = torch.where(known, self.descriptor_head(pooled).float() - descriptors.nan_to_num(), 0.0)
        described = errors.square().sum() * scale[1]
        return {"masked_lm": lm, "descriptors": described}


def random_model(config: EncoderConfig, seed: int) -> PretrainingModel:
    """Make a model with random weights, which depend on the seed alone.

    Raises
    ------
    InputError
        If memory does not suffice.
    """
    check_memory(config)
    with enough_memory(f"{config.layers} layers of width {config.hidden}"), torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # the CPU's alone: a GPU's generator is left to the user
        return PretrainingModel(config)


def check_memory(config: EncoderConfig) -> None:
    """Refuse a model whose weights alone take more than the memory of this machine, before it is made.

    Raises
    ------
    InputError
        If it is so.
    """
    if not hasattr(os, "sysconf"):  # not on Windows
        return
    needed = 4 * config.layers * config.hidden * (4 * config.hidden + 2 * config.intermediate)
    there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > there:
        raise InputError(
            f"hidden = {config.hidden}, intermediate = {config.intermediate}, layers = {config.layers}: "
            f"{needed / 1e9:,.0f} GB of weights are more than this machine holds ({there / 1e9:,.0f} GB); "
            "a smaller model is needed"
        )


@contextmanager
def enough_memory(what: object) -> Iterator[None]:
    """Turn a want of memory, which torch reports in several ways, into one line about what needs it.

    Raises
    ------
    InputError
        If memory does not suffice.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, MemoryError | torch.OutOfMemoryError) or "allocate memory" in str(error):
            raise InputError(f"{what}: not memory enough; choose a smaller model, or free some") from error
        raise


def shapes(config: EncoderConfig) -> dict[str, list[int]]:
    """Return the shapes of a model's weights by name; nothing is allocated."""
    with torch.device("meta"):
        return {name: list(tensor.shape) for name, tensor in PretrainingModel(config).state_dict().items()}


def _bert_config(config: EncoderConfig) -> BertConfig:
    return BertConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=config.hidden,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        intermediate_size=config.intermediate,
        hidden_dropout_prob=config.dropout,
        attention_probs_dropout_prob=config.dropout,
        initializer_range=_initial_spread(config.hidden),
        max_position_embeddings=MAX_LENGTH,
        pad_token_id=PAD,
        attn_implementation="sdpa",
    )


def _initial_spread(hidden: int) -> float:
    """Return the spread of initial weights: BERT's 0.02 at width 768, scaled to keep that of the outputs."""
    return 0.02 * math.sqrt(768 / hidden)
