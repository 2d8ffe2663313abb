"""Checkpoints in the public release's format, made here: converted, or refused by name."""

from __future__ import annotations

import argparse
import json
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from rdkit import Chem  # noqa: F401
from scipy.special import softmax
from scipy.stats import norm

from weakstrong.errors import InputError
from weakstrong.molecules import molbert_checkpoint
from weakstrong.molecules.encoder_folder import load_model
from weakstrong.molecules.molbert_checkpoint import convert
from weakstrong.molecules.smiles_encoder import SmilesEncoder
from weakstrong.molecules.tokens import CLS, SEP, VOCABULARY

HIDDEN, LAYERS, INNER = 16, 2, 32


def released_state(seed: int = 0) -> dict[str, torch.Tensor]:
    """All 50 tensors of a two-layer model of the release, by the names of its format."""
    rng = torch.Generator().manual_seed(seed)

    def dense(name: str, out: int, into: int) -> dict[str, torch.Tensor]:
        weight = torch.randn(out, into, generator=rng) * 0.2
        return {f"{name}.weight": weight, f"{name}.bias": torch.randn(out, generator=rng) * 0.1}

    def scaled(name: str) -> dict[str, torch.Tensor]:
        return {
            f"{name}.LayerNorm.weight": torch.ones(HIDDEN) * 1.1,
            f"{name}.LayerNorm.bias": torch.ones(HIDDEN) / 9,
        }

    at = "model.bert.embeddings"
    state = {
        f"{at}.word_embeddings.weight": torch.randn(42, HIDDEN, generator=rng),
        f"{at}.position_embeddings.inv_freq": 1 / 10000 ** (torch.arange(0.0, HIDDEN, 2.0) / HIDDEN),
        f"{at}.token_type_embeddings.weight": torch.randn(2, HIDDEN, generator=rng),
        **scaled(at),
    }
    for layer in range(LAYERS):
        at = f"model.bert.encoder.layer.{layer}"
        for part in ("query", "key", "value"):
            state |= dense(f"{at}.attention.self.{part}", HIDDEN, HIDDEN)
        state |= dense(f"{at}.attention.output.dense", HIDDEN, HIDDEN) | scaled(f"{at}.attention.output")
        state |= dense(f"{at}.intermediate.dense", INNER, HIDDEN)
        state |= dense(f"{at}.output.dense", HIDDEN, INNER) | scaled(f"{at}.output")
    state |= dense("model.bert.pooler.dense", HIDDEN, HIDDEN)
    head = "model.tasks.0.masked_lm_head"
    state |= dense(f"{head}.transform.dense", HIDDEN, HIDDEN) | scaled(f"{head}.transform")
    state |= dense(f"{head}.decoder", 42, HIDDEN)
    state[f"{head}.bias"] = state[f"{head}.decoder.bias"]
    for number, width in ((1, HIDDEN), (3, 200)):
        state |= dense(f"model.tasks.1.physchem_head.physchem_clf.{number}", width, HIDDEN)
    assert len(state) == 50
    return state


def write(folder: Path, state: dict, *, zipped: bool = True, **more: object) -> Path:
    path = folder / "version_0" / "checkpoints" / "last.ckpt"
    path.parent.mkdir(parents=True, exist_ok=True)
    (path.parent.parent / "hparams.yaml").write_text("tiny: true\nmax_seq_length: 128\n")
    content = {"epoch": 3, "state_dict": state, "hyper_parameters": argparse.Namespace(lr=3e-5), **more}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    return path


@pytest.mark.parametrize("zipped", [True, False])
def test_a_checkpoint_becomes_a_model_with_its_weights(tmp_path: Path, zipped: bool) -> None:
    state = released_state()
    config = convert(write(tmp_path, state, zipped=zipped), tmp_path / "out")
    assert (config.hidden, config.layers, config.heads, config.intermediate) == (HIDDEN, LAYERS, 2, INNER)
    weights = load_model(tmp_path / "out").state_dict()
    assert len(weights) == 48
    for name in ("encoder.layer.1.output.dense.bias", "pooler.dense.weight", "embeddings.LayerNorm.bias"):
        assert torch.equal(weights[f"encoder.bert.{name}"], state[f"model.bert.{name}"])
    head = "model.tasks.1.physchem_head.physchem_clf.3.weight"
    assert torch.equal(weights["descriptor_head.3.weight"], state[head])
    features = SmilesEncoder(tmp_path / "out", "mean+cls").transform(["CCO", "c1ccccc1"])
    assert features.shape == (2, 2 * HIDDEN)
    assert np.isfinite(features).all()


def test_the_command_says_what_it_made(command, tmp_path: Path) -> None:
    ran = command("convert", write(tmp_path, released_state()), tmp_path / "out")
    assert ran.code == 0
    assert f"2 layers, 2 heads, hidden {HIDDEN}" in ran.out
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"DONE", "config.json", "model.safetensors"}
    again = command("convert", write(tmp_path, released_state()), tmp_path / "out")
    assert again.code == 2
    assert "--overwrite" in again.err


@pytest.mark.parametrize("key", ["model.bert.pooler.dense.bias", "model.tasks.0.masked_lm_head.bias",
                                 "model.bert.embeddings.word_embeddings.weight"])  # fmt: skip
def test_a_missing_key_is_named(tmp_path: Path, key: str) -> None:
    state = released_state()
    del state[key]
    with pytest.raises(InputError, match=f"{key} is missing"):
        convert(write(tmp_path, state), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_unexpected_key_and_a_wrong_shape_are_named(tmp_path: Path) -> None:
    more = released_state() | {"model.tasks.2.is_same_head.1.weight": torch.zeros(2, 2)}
    with pytest.raises(InputError, match=r"model.tasks.2.is_same_head.1.weight is unexpected"):
        convert(write(tmp_path, more), tmp_path / "out")
    wrong = released_state() | {"model.bert.pooler.dense.bias": torch.zeros(3)}
    with pytest.raises(InputError, match=r"pooler.dense.bias has shape \(3,\), not \(16,\)"):
        convert(write(tmp_path, wrong), tmp_path / "out")


def test_other_frequencies_are_refused(tmp_path: Path) -> None:
    state = released_state()
    state["model.bert.embeddings.position_embeddings.inv_freq"] = torch.rand(HIDDEN // 2)
    with pytest.raises(InputError, match="frequencies"):
        convert(write(tmp_path, state), tmp_path / "out")


def test_two_copies_of_a_weight_that_differ_are_refused(tmp_path: Path) -> None:
    state = released_state()
    state["model.tasks.0.masked_lm_head.bias"] = torch.zeros(42)
    with pytest.raises(InputError, match=r"masked_lm_head.bias and .*decoder.bias differ"):
        convert(write(tmp_path, state), tmp_path / "out")


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    state = released_state()
    state["model.bert.pooler.dense.bias"][3] = float("nan")
    with pytest.raises(InputError, match=r"pooler.dense.bias holds values that are not finite"):
        convert(write(tmp_path, state), tmp_path / "out")


def test_heads_that_cannot_share_the_width_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path, released_state())
    with pytest.raises(InputError, match=r"last.ckpt: 3 attention heads cannot share a width of 16"):
        convert(path, tmp_path / "out", heads=3)


def normed(state: dict[str, np.ndarray], name: str, x: np.ndarray) -> np.ndarray:
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-12)
    return x * state[f"{name}.LayerNorm.weight"] + state[f"{name}.LayerNorm.bias"]


def affine(state: dict[str, np.ndarray], name: str, x: np.ndarray) -> np.ndarray:
    return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]


def forward(state: dict[str, np.ndarray], ids: list[int], heads: int) -> tuple[np.ndarray, np.ndarray]:
    """BERT's last states and pooled state (Devlin et al. 2019), from the release's own keys, in NumPy."""
    at = "model.bert.embeddings"
    angles = np.outer(np.arange(len(ids)), state[f"{at}.position_embeddings.inv_freq"])
    x = state[f"{at}.word_embeddings.weight"][ids] + state[f"{at}.token_type_embeddings.weight"][0]
    x = normed(state, at, x + np.hstack([np.sin(angles), np.cos(angles)]))
    for layer in range(LAYERS):
        at = f"model.bert.encoder.layer.{layer}"
        query, key, value = (
            affine(state, f"{at}.attention.self.{n}", x).reshape(len(ids), heads, -1).swapaxes(0, 1)
            for n in ("query", "key", "value")
        )
        shares = softmax(query @ key.swapaxes(1, 2) / np.sqrt(HIDDEN / heads), axis=-1)
        seen = (shares @ value).swapaxes(0, 1).reshape(len(ids), HIDDEN)
        x = normed(state, f"{at}.attention.output", x + affine(state, f"{at}.attention.output.dense", seen))
        inner = affine(state, f"{at}.intermediate.dense", x)
        inner = affine(state, f"{at}.output.dense", inner * norm.cdf(inner))
        x = normed(state, f"{at}.output", x + inner)
    return x, np.tanh(affine(state, "model.bert.pooler.dense", x[0]))


def test_a_converted_model_computes_what_the_released_weights_say(tmp_path: Path) -> None:
    state = released_state()
    convert(write(tmp_path, state), tmp_path / "out")
    features = SmilesEncoder(tmp_path / "out", "mean+cls").transform(["CC(=O)NCl", "C1=CC=CO1"])
    arrays = {name: tensor.double().numpy() for name, tensor in state.items()}
    for row, symbols in zip(features, ("C C ( = O ) N Cl", "C 1 = C C = C O 1"), strict=True):
        ids = [CLS, *map(VOCABULARY.index, symbols.split()), SEP]
        states, pooled = forward(arrays, ids, heads=2)
        np.testing.assert_allclose(row, [*states.mean(axis=0), *pooled], atol=2e-6)


def test_heads_must_be_known_or_given(tmp_path: Path) -> None:
    path = write(tmp_path, released_state())
    (path.parent.parent / "hparams.yaml").unlink()
    with pytest.raises(InputError, match="attention heads"):
        convert(path, tmp_path / "out")
    assert convert(path, tmp_path / "out", heads=4).heads == 4


class Hostile:
    def __reduce__(self) -> tuple:
        return (os.system, ("touch hostile_was_run",))


@pytest.mark.parametrize("zipped", [True, False])
def test_a_hostile_checkpoint_is_refused_and_not_run(
    tmp_path: Path, zipped: bool, monkeypatch: pytest.MonkeyPatch, command
) -> None:
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path, released_state(), zipped=zipped, callbacks=Hostile())
    ran = command("convert", path, tmp_path / "out")
    assert ran.code == 2
    assert ran.err.count("\n") == 1
    assert "system" in ran.err
    assert not (tmp_path / "hostile_was_run").exists()
    assert not (tmp_path / "out").exists()


def test_a_hostile_hparams_file_is_refused_and_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path, released_state())
    hostile = "!!python/object/apply:os.system ['touch hostile_was_run']"
    (path.parent.parent / "hparams.yaml").write_text(hostile)
    with pytest.raises(InputError, match="not plain YAML"):
        convert(path, tmp_path / "out")
    assert not (tmp_path / "hostile_was_run").exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not a file that torch.save wrote"),
        (b"checkpoint: a text that a pickle could start with\n", "not a file that torch.save wrote"),
        (pickle.dumps([1, 2]), "refused"),
        (b"PK\x03\x04 cut off", "not a readable checkpoint"),
    ],
    ids=["empty", "text", "another pickle", "cut off"],
)
def test_other_files_are_one_line(command, tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "last.ckpt"
    path.write_bytes(content)
    ran = command("convert", path, tmp_path / "out")
    assert ran.code == 2
    assert ran.err.count("\n") == 1
    assert f"{path}: {said}" in ran.err


def test_a_missing_file_is_one_line(command, tmp_path: Path) -> None:
    ran = command("convert", tmp_path / "none.ckpt", tmp_path / "out")
    assert ran.code == 2
    assert "none.ckpt" in ran.err


BIAS, WORDS = "model.bert.pooler.dense.bias", "model.bert.embeddings.word_embeddings.weight"


@pytest.mark.parametrize(
    ("key", "tensor", "said"),
    [
        (WORDS, torch.zeros(1).expand(42, 10**8), "claims 16,8"),
        (WORDS, torch.zeros(9999).as_strided((42, 9999), (0, 1)), "claims 1,7"),
        (BIAS, torch.zeros(10**9, device="meta"), r"no plain tensor of floats \(float32, strided, meta\)"),
        (BIAS, torch.zeros(HIDDEN).to_sparse(), "no plain tensor of floats"),
        (BIAS, torch.zeros(HIDDEN, dtype=torch.int64), "no plain tensor of floats"),
        (BIAS, torch.zeros(HIDDEN, dtype=torch.complex64), "no plain tensor of floats"),
        (BIAS, torch.full((HIDDEN,), 1e300, dtype=torch.float64), "holds values that are not finite"),
        (BIAS, 3, "holds no state_dict of tensors"),
        (7, torch.zeros(HIDDEN), "holds no state_dict of tensors"),
    ],
)
@pytest.mark.parametrize("zipped", [True, False])
def test_tensors_that_claim_more_than_they_are_are_one_line(  # noqa: PLR0917
    tmp_path: Path, key: str, tensor: object, said: str, zipped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(molbert_checkpoint, "random_model", lambda *_: pytest.fail("made"))
    with pytest.raises(InputError, match=said) as error:
        convert(write(tmp_path, released_state() | {key: tensor}, zipped=zipped), tmp_path / "out")
    assert "\n" not in str(error.value)


def test_a_checkpoint_of_other_floats_is_read(tmp_path: Path) -> None:
    state = {name: tensor.double() for name, tensor in released_state().items()}
    convert(write(tmp_path, state), tmp_path / "out")


def test_a_zip_that_inflates_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, released_state() | {"zeros": torch.zeros(10**6)})
    packed = tmp_path / "packed.ckpt"
    with zipfile.ZipFile(path) as plain, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as small:
        for member in plain.namelist():
            small.writestr(member, plain.read(member))
    with pytest.raises(InputError, match=r"packed.ckpt: claims 4,\d+,\d+ bytes of content, in a file of"):
        convert(packed, tmp_path / "out")


@pytest.mark.parametrize(
    "content", [b"lr: \xff", b"date: 2020-13-45", b"[" * 2000, b"n: " + b"9" * 5000, b"a: b: c"],
    ids=["encoding", "date", "nested", "digits", "syntax"],
)  # fmt: skip
def test_hyper_parameters_that_cannot_be_read_are_one_line(tmp_path: Path, content: bytes) -> None:
    path = write(tmp_path, released_state())
    (path.parent.parent / "hparams.yaml").write_bytes(content)
    with pytest.raises(InputError, match=r"hparams.yaml: not plain YAML") as error:
        convert(path, tmp_path / "out")
    assert "\n" not in str(error.value)


def test_hyper_parameters_that_json_cannot_hold_are_left_out(tmp_path: Path) -> None:
    odd = argparse.Namespace(lr=3e-5, name="\udc80", number=2**64, nested={"a": 1})
    convert(write(tmp_path, released_state(), hyper_parameters=odd), tmp_path / "out")
    kept = json.loads((tmp_path / "out" / "config.json").read_text())["converted_from"]["hparams"]
    assert kept == {"tiny": True, "max_seq_length": 128, "lr": 3e-5}


def test_a_want_of_memory_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(torch, "load", fail)
    with pytest.raises(InputError, match=r"last.ckpt: not memory enough"):
        convert(write(tmp_path, released_state()), tmp_path / "out")
