"""Folders of encoders of SMILES: weights as safetensors, the shape as JSON, and every claim checked first."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from weakstrong.data.user_files import refuse_no_file
from weakstrong.errors import InputError
from weakstrong.molecules.smiles_bert import (
    EncoderConfig,
    PretrainingModel,
    check_memory,
    enough_memory,
    random_model,
    shapes,
)
from weakstrong.molecules.tokens import VOCABULARY
from weakstrong.serialization import to_json
from weakstrong.whole_files import changed, write_atomically

CONFIG, WEIGHTS = "config.json", "model.safetensors"
_REMEDY = "copy the folder again, or make the model anew"
_QUANTILES = "descriptor_quantiles"  # stored beside the weights
_FLOATS = ("F16", "BF16", "F32", "F64")
_MOST_BYTES = 1 << 24  # of config.json, which has some kB


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
        weights[_QUANTILES] = quantiles.float()
    write_atomically(folder / WEIGHTS, save(weights))
    shape = {"architecture": "smiles-bert", "vocabulary": list(VOCABULARY), **asdict(model.encoder.config)}
    write_atomically(folder / CONFIG, to_json({**shape, **details}).encode())


def load_model(folder: Path) -> PretrainingModel:
    """Read a model that `save_model` wrote, in float32 and without dropout.

    Raises
    ------
    InputError
        If a file is missing or damaged, memory does not suffice, or the weights are not those of the
        configuration: the first key that is missing, unexpected, of another shape or not finite is named.
    """
    config, path = read_config(folder), Path(folder) / WEIGHTS
    if fault := changed(Path(folder), WEIGHTS):
        raise InputError(f"{folder}: {fault}; {_REMEDY}")
    with enough_memory(path):
        weights = _read_weights(path, config)
        model = random_model(config, 0)
        model.load_state_dict(weights)
    return model.eval()


def _read_weights(path: Path, config: EncoderConfig) -> dict[str, torch.Tensor]:
    """Read weights as float32, after a check of the file's header against the shapes of the configuration."""
    try:
        refuse_no_file(path)
        with safe_open(path, "pt") as file:
            headers = {name: file.get_slice(name) for name in file.keys() if name != _QUANTILES}  # noqa: SIM118
            check_shapes({name: h.get_shape() for name, h in headers.items()}, shapes(config), path, _REMEDY)
            for name, header in headers.items():
                if header.get_dtype() not in _FLOATS:
                    raise InputError(f"{path}: key {name} is of {header.get_dtype()}, no floats; {_REMEDY}")
            weights = {name: file.get_tensor(name).float() for name in headers}
    except OSError as error:
        fault = "cannot be read" if path.exists() else "is not there"
        raise InputError(f"{path}: {fault}; {_REMEDY}") from error
    except SafetensorError as error:
        raise InputError(f"{path}: no whole safetensors file ({_one_line(error)}); {_REMEDY}") from error
    check_finite(weights, path, _REMEDY)
    return weights


def read_config(folder: Path) -> EncoderConfig:
    """Read the shape of the model in a folder.

    Raises
    ------
    InputError
        If the folder holds no readable configuration of a model, or one with another vocabulary or too
        large for the memory of this machine.
    """
    path, config = Path(folder) / CONFIG, read_entries(folder)
    symbols = list(VOCABULARY)
    if config.get("vocabulary", symbols) != symbols or config.get("vocab_size", len(symbols)) != len(symbols):
        raise InputError(
            f"{path}: its vocabulary is not this version's of {len(symbols)} symbols; make the model anew"
        )
    names = EncoderConfig.__dataclass_fields__
    missing = [name for name in names if name not in config]
    if missing:
        raise InputError(f"{path}: {missing[0]} is missing; {_REMEDY}")
    try:
        shape = EncoderConfig(**{name: config[name] for name in names})
        check_memory(shape)
        return shape
    except InputError as error:
        raise InputError(f"{path}: {error}; {_REMEDY}") from error


def read_entries(folder: Path) -> dict[str, Any]:
    """Read all entries of the configuration of the model in a folder.

    Raises
    ------
    InputError
        If the folder holds no readable configuration of a model.
    """
    path = Path(folder) / CONFIG
    try:
        refuse_no_file(path)
        if fault := changed(Path(folder), CONFIG):
            raise InputError(f"{folder}: {fault}; {_REMEDY}")
        if path.stat().st_size > _MOST_BYTES:
            raise InputError(f"{path}: more than {_MOST_BYTES >> 20} MB, so no configuration; {_REMEDY}")
        config = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"{folder}: holds no model ({CONFIG}: {error.strerror}); name one made by pretrain or convert"
        ) from error
    except InputError:
        raise
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: no readable JSON ({_one_line(error)}); {_REMEDY}") from error
    if not isinstance(config, dict) or config.get("architecture") != "smiles-bert":
        raise InputError(
            f"{path}: not the configuration of a SMILES encoder (architecture is not smiles-bert); "
            "name a model made by pretrain or convert"
        )
    return config


def check_shapes(
    found: Mapping[str, list[int]], expected: Mapping[str, list[int]], path: Path, remedy: str
) -> None:
    """Refuse weights with another set of names or shapes.

    Raises
    ------
    InputError
        At the first key at fault, which the message names.
    """
    for name in expected:
        if name not in found:
            raise InputError(f"{path}: key {name} is missing; {remedy}")
    for name, shape in found.items():
        if name not in expected:
            raise InputError(f"{path}: key {_one_line(name)} is unexpected; {remedy}")
        if shape != expected[name]:
            both = f"{tuple(shape)}, not {tuple(expected[name])}"
            raise InputError(f"{path}: key {name} has shape {both}; {remedy}")


def check_finite(weights: Mapping[str, torch.Tensor], path: Path, remedy: str) -> None:
    """Refuse weights with values that are not finite.

    Raises
    ------
    InputError
        At the first key at fault, which the message names.
    """
    for name, tensor in weights.items():
        if not tensor.isfinite().all():
            raise InputError(f"{path}: key {name} holds values that are not finite; {remedy}")


def _one_line(text: object) -> str:
    return textwrap.shorten(str(text), 150, placeholder=" ...")
