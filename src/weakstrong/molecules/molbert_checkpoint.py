"""Conversion of the public MolBERT checkpoint to safetensors and JSON, without running anything in it.

Its format is that of PyTorch Lightning 0.8: a pickled dict with ``state_dict`` and hyper-parameters as a
Namespace, and ``hparams.yaml`` two folders above (github.com/BenevolentAI/MolBERT, MIT).
"""

from __future__ import annotations

import argparse
import pickle
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import yaml

from weakstrong.data.user_files import refuse_no_file
from weakstrong.errors import InputError, quoted
from weakstrong.identity import file_hash
from weakstrong.molecules.encoder_folder import check_finite, check_shapes, save_model
from weakstrong.molecules.smiles_bert import (
    EncoderConfig,
    SinusoidalPositions,
    enough_memory,
    random_model,
    shapes,
)
from weakstrong.storage import output_folder

_INVERSE = "model.bert.embeddings.position_embeddings.inv_freq"
_LM_BIAS = "model.tasks.0.masked_lm_head.bias"  # the decoder's bias, stored a second time
_DECODER_BIAS = "model.tasks.0.masked_lm_head.decoder.bias"
_PREFIXES = {
    "model.bert.": "encoder.bert.",
    "model.tasks.0.masked_lm_head.": "masked_lm_head.",
    "model.tasks.1.physchem_head.physchem_clf.": "descriptor_head.",
}
_WORDS = "model.bert.embeddings.word_embeddings.weight"
_INTERMEDIATE = "model.bert.encoder.layer.0.intermediate.dense.weight"
_HEADS_OF_WIDTH = {768: 12}
_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_REMEDY = "give the MolBERT release's .ckpt file"
_STARTS = (b"PK", b"\x80")  # first bytes of what torch.save writes: as a zip, and in the older format


def convert(
    checkpoint: Path, out: Path, *, heads: int | None = None, overwrite: bool = False
) -> EncoderConfig:
    """Convert a MolBERT checkpoint to a folder that `SmilesEncoder` reads.

    Parameters
    ----------
    checkpoint : Path
        The ``.ckpt`` file, zip or legacy serialisation.
    out : Path
        Folder that gets model.safetensors, config.json and, last, DONE.
    heads : int, optional
        Number of attention heads, which the weights do not show. By default it is that of the
        hyper-parameters, or else 12 at width 768.
    overwrite : bool
        Replace what an earlier conversion made.

    Raises
    ------
    InputError
        If the file asks for anything but tensors and plain values, or claims more than it holds, a key is
        missing or unexpected, a weight is not finite, or the number of heads is not known.
    """
    checkpoint = Path(checkpoint)
    with enough_memory(checkpoint):
        return _convert(checkpoint, out, heads, overwrite)


def _convert(checkpoint: Path, out: Path, heads: int | None, overwrite: bool) -> EncoderConfig:
    content = _read(checkpoint)
    hyper = {**_hparams_file(checkpoint), **_plain(content.get("hyper_parameters", content.get("hparams")))}
    state = content.get("state_dict")
    if not isinstance(state, dict) or not all(
        isinstance(name, str) and isinstance(tensor, torch.Tensor) for name, tensor in state.items()
    ):
        raise InputError(f"{checkpoint}: holds no state_dict of tensors; {_REMEDY}")
    _check_tensors(state, checkpoint)
    config = _shape(state, hyper, heads, checkpoint)
    weights = _renamed(state, config, checkpoint)
    model = random_model(config, 0)
    model.load_state_dict(weights)
    details = {"converted_from": {"name": checkpoint.name, "sha256": file_hash(checkpoint), "hparams": hyper}}
    with output_folder(out, overwrite=overwrite) as folder:
        save_model(folder, model, None, details, half=False)
    return config


def _read(path: Path) -> dict[str, Any]:
    """Read the dict of a checkpoint by an unpickler of tensors, plain values and Namespaces only."""
    try:
        refuse_no_file(path, f"; {_REMEDY}")
        with path.open("rb") as file:
            if not file.read(2).startswith(_STARTS):
                raise InputError(f"{path}: not a file that torch.save wrote; {_REMEDY}")
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as members:
                _check_claim(sum(m.file_size for m in members.infolist()), path)
        with torch.serialization.safe_globals([argparse.Namespace]), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickle protocols that torch reads all the same
            content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    except pickle.UnpicklingError as error:
        raise InputError(f"{path}: refused: {_asked_for(error)}") from error
    except (InputError, MemoryError):
        raise
    except Exception as error:  # a damaged file can fail in any way
        raise InputError(
            f"{path}: not a readable checkpoint ({type(error).__name__}); get it again"
        ) from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds no dict with a state_dict; {_REMEDY}")
    return content


def _check_claim(size: int, path: Path) -> None:
    """Refuse a file that claims to hold far more bytes than it has: torch.save neither packs nor repeats."""
    there = path.stat().st_size
    if size > 2 * there:  # a weight may be there under two names
        raise InputError(f"{path}: claims {size:,} bytes of content, in a file of {there:,}; {_REMEDY}")


def _check_tensors(state: Mapping[str, torch.Tensor], path: Path) -> None:
    """Refuse tensors that are not plain numbers in memory, or share what they claim."""
    for name, tensor in state.items():
        plain = tensor.layout is torch.strided and tensor.device.type == "cpu" and not tensor.is_nested
        if not plain or tensor.dtype not in _FLOATS:
            kind = f"{tensor.dtype}, {tensor.layout}, {tensor.device}".replace("torch.", "")
            raise InputError(f"{path}: key {quoted(name)} is no plain tensor of floats ({kind}); {_REMEDY}")
    _check_claim(sum(tensor.numel() * tensor.element_size() for tensor in state.values()), path)


def _asked_for(error: Exception) -> str:
    """Return what the pickle asked for, taken from torch's advice of several lines."""
    text = " ".join(str(error).split())
    for mark in ("Unsupported global: GLOBAL ", "GLOBAL "):
        if mark in text:
            return (
                f"it asks for {text.split(mark)[1].split()[0]}, which no weights need; nothing of it was run"
            )
    return "it holds more than tensors and plain values, or is damaged; nothing of it was run; get it again"


def _hparams_file(checkpoint: Path) -> dict[str, Any]:
    path = checkpoint.absolute().parent.parent / "hparams.yaml"
    if not path.is_file():
        return {}
    try:
        hyper = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError, yaml.YAMLError, OSError) as error:  # dates that cannot be: ValueError
        raise InputError(
            f"{path}: not plain YAML ({str(error).splitlines()[0]}); move it away and say how many heads",
            "heads",
        ) from error
    return _plain(hyper)


def _plain(hyper: Any) -> dict[str, Any]:
    """Return the hyper-parameters that are plain values, and can be written as JSON."""
    values = vars(hyper) if isinstance(hyper, argparse.Namespace) else hyper
    if not isinstance(values, Mapping):
        return {}
    return {k: v for k, v in values.items() if isinstance(k, str) and _is_plain(k) and _is_plain(v)}


def _is_plain(value: Any) -> bool:
    if isinstance(value, int | float):
        return isinstance(value, float) or abs(value) < 2**63
    return isinstance(value, str) and value.isprintable()


def _shape(
    state: Mapping[str, torch.Tensor], hyper: Mapping[str, Any], heads: int | None, path: Path
) -> EncoderConfig:
    for name in (_WORDS, _INTERMEDIATE):
        if name not in state:
            raise InputError(f"{path}: key {name} is missing; {_REMEDY}")
        if state[name].ndim != 2:
            shape = tuple(state[name].shape)
            raise InputError(f"{path}: key {name} has shape {shape}, not two dimensions; {_REMEDY}")
    hidden = state[_WORDS].shape[1]
    layers = {name.split(".")[4] for name in state if name.startswith("model.bert.encoder.layer.")}
    known = hyper.get("num_attention_heads", 2 if hyper.get("tiny") else _HEADS_OF_WIDTH.get(hidden))
    chosen = heads if heads is not None else known
    if chosen is None:
        raise InputError(
            f"{path}: does not say how many attention heads it has (width {hidden}); say it",
            "heads",
        )
    dropout = hyper.get("hidden_dropout_prob", 0.1)
    if isinstance(chosen, int) and chosen > 0 and hidden % chosen:
        whose = "" if heads is not None else ", as it says,"
        raise InputError(
            f"{path}: {chosen} attention heads{whose} cannot share a width of {hidden}; give another number",
            "heads",
        )
    try:
        return EncoderConfig(hidden, len(layers), chosen, state[_INTERMEDIATE].shape[0], dropout)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _renamed(state: Mapping[str, torch.Tensor], config: EncoderConfig, path: Path) -> dict[str, torch.Tensor]:
    """Return the weights under this package's names, after a check of every key of the release."""
    ours = shapes(config)
    expected = {_released(name): shape for name, shape in ours.items()}
    expected |= {_INVERSE: [config.hidden // 2], _LM_BIAS: expected[_DECODER_BIAS]}
    check_shapes({name: list(tensor.shape) for name, tensor in state.items()}, expected, path, _REMEDY)
    weights = {name: tensor.float() for name, tensor in state.items()}
    check_finite(weights, path, _REMEDY)
    if not torch.allclose(weights[_INVERSE], SinusoidalPositions(config.hidden).inverse, rtol=1e-4):
        raise InputError(f"{path}: key {_INVERSE} holds other frequencies than 10000^(-2i/{config.hidden})")
    if not torch.equal(weights[_LM_BIAS], weights[_DECODER_BIAS]):
        raise InputError(f"{path}: keys {_LM_BIAS} and {_DECODER_BIAS} differ, which are one weight")
    return {name: weights[_released(name)] for name in ours}


def _released(name: str) -> str:
    """Return the name that the release has for one of this package's weights."""
    prefix = next(old for old, new in _PREFIXES.items() if name.startswith(new))
    return prefix + name.removeprefix(_PREFIXES[prefix])
