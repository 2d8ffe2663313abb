"""A BERT encoder of SMILES like MolBERT's, with sinusoidal positions and heads for pretraining.

See Fabian et al. 2020 (arXiv 2011.13230). Weights are stored as safetensors, the shape of the model as JSON.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn
from transformers import BertConfig, BertModel
from transformers.models.bert.modeling_bert import BertLMPredictionHead

from weakstrong.errors import InputError
from weakstrong.molecules.descriptors import NAMES
from weakstrong.molecules.tokens import PAD, VOCABULARY
from weakstrong.serialization import to_json
from weakstrong.storage import write_atomically

CONFIG, WEIGHTS = "config.json", "model.safetensors"
_REMEDY = "copy the folder again, or make the model anew"
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
        for name in ("hidden", "layers", "heads", "intermediate"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise InputError(f"{name} = {value!r}: a whole number of at least 1 is needed")
        if self.hidden % self.heads or self.hidden % 2:
            raise InputError(
                f"hidden = {self.hidden}: must be even and a multiple of heads = {self.heads}; "
                f"say {max(1, round(self.hidden / (2 * self.heads))) * 2 * self.heads}"
            )
        if not isinstance(self.dropout, int | float) or not 0 <= self.dropout < 1:
            raise InputError(f"dropout = {self.dropout!r}: must be in [0, 1)")


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
    """Make a model with random weights, which depend on the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # the CPU's alone: a GPU's generator is left to the user
        return PretrainingModel(config)


def save_model(
    folder: Path,
    model: PretrainingModel,
    quantiles: torch.Tensor | None,
    details: Mapping[str, Any],
    *,
    half: bool,
) -> None:
    """Write the weights and configuration of a model to a folder.

    Parameters
    ----------
    folder : Path
    model : PretrainingModel
    quantiles : Tensor, shape (q, 200), or None
        Quantiles that map descriptors to [0, 1], where they are known.
    details : mapping
        Further entries of config.json.
    half : bool
        Store weights as float16.
    """
    weights = {name: tensor.detach().cpu() for name, tensor in model.state_dict().items()}
    if half:
        weights = {name: tensor.half() for name, tensor in weights.items()}
    weights = {name: tensor.contiguous() for name, tensor in weights.items()}
    if quantiles is not None:
        weights["descriptor_quantiles"] = quantiles.float()
    write_atomically(folder / WEIGHTS, save(weights))
    shape = {"architecture": "smiles-bert", "vocabulary": list(VOCABULARY), **asdict(model.encoder.config)}
    write_atomically(folder / CONFIG, to_json({**shape, **details}).encode())


def load_model(folder: Path) -> PretrainingModel:
    """Read a model that `save_model` wrote, in float32 and without dropout.

    Raises
    ------
    InputError
        If a file is missing or damaged, or the weights are not those of the configuration: the first
        key that is missing, unexpected or of another shape is named.
    """
    folder = Path(folder)
    model = random_model(read_config(folder), 0)
    path = folder / WEIGHTS
    try:
        weights = load_file(path)
    except OSError as error:
        fault = "cannot be read" if path.exists() else "is not there"
        raise InputError(f"{path}: {fault}; {_REMEDY}") from error
    except SafetensorError as error:
        raise InputError(f"{path}: no whole safetensors file ({_one_line(error)}); {_REMEDY}") from error
    weights.pop("descriptor_quantiles", None)
    check_keys(weights, model.state_dict(), path, _REMEDY)
    model.load_state_dict({name: tensor.float() for name, tensor in weights.items()})
    return model.eval()


def read_config(folder: Path) -> EncoderConfig:
    """Read the shape of the model in a folder.

    Raises
    ------
    InputError
        If the folder holds no readable configuration of a model.
    """
    path = Path(folder) / CONFIG
    try:
        config = json.loads(path.read_text())
    except OSError as error:
        raise InputError(
            f"{folder}: holds no model ({CONFIG}: {error.strerror}); name one made by pretrain or convert"
        ) from error
    except ValueError as error:
        raise InputError(f"{path}: no readable JSON ({error}); {_REMEDY}") from error
    if not isinstance(config, dict) or config.get("architecture") != "smiles-bert":
        raise InputError(
            f"{path}: not the configuration of a SMILES encoder (architecture is not smiles-bert)"
        )
    names = EncoderConfig.__dataclass_fields__
    missing = [name for name in names if name not in config]
    if missing:
        raise InputError(f"{path}: {missing[0]} is missing; {_REMEDY}")
    try:
        return EncoderConfig(**{name: config[name] for name in names})
    except InputError as error:
        raise InputError(f"{path}: {error}; {_REMEDY}") from error


def check_keys(
    weights: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor], path: Path, remedy: str
) -> None:
    """Refuse weights with another set of names or shapes, or with values that are not finite.

    Raises
    ------
    InputError
        At the first key at fault, which the message names.
    """
    for name in expected:
        if name not in weights:
            raise InputError(f"{path}: key {name} is missing; {remedy}")
    for name, tensor in weights.items():
        if name not in expected:
            raise InputError(f"{path}: key {name} is unexpected; {remedy}")
        if tensor.shape != expected[name].shape:
            shapes = f"{tuple(tensor.shape)}, not {tuple(expected[name].shape)}"
            raise InputError(f"{path}: key {name} has shape {shapes}; {remedy}")
        if not tensor.isfinite().all():
            raise InputError(f"{path}: key {name} holds values that are not finite; {remedy}")


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


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
