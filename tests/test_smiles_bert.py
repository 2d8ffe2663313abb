"""The encoder against its equations, and what is refused when a model is read."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from scipy.special import erf

from weakstrong.errors import InputError
from weakstrong.molecules import smiles_bert
from weakstrong.molecules.encoder_folder import load_model, read_config, save_model
from weakstrong.molecules.smiles_bert import EncoderConfig, PretrainingModel, random_model, shapes
from weakstrong.molecules.tokens import VOCABULARY

SHAPE = EncoderConfig(12, 2, 2, 20)


@pytest.fixture
def model() -> PretrainingModel:
    return random_model(SHAPE, 3).eval()


def layer_norm(x: np.ndarray, weights: dict[str, np.ndarray], name: str) -> np.ndarray:
    scaled = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-12)
    return scaled * weights[f"{name}.LayerNorm.weight"] + weights[f"{name}.LayerNorm.bias"]


def linear(x: np.ndarray, weights: dict[str, np.ndarray], name: str) -> np.ndarray:
    return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def by_hand(weights: dict[str, np.ndarray], ids: list[int], heads: int) -> tuple[np.ndarray, np.ndarray]:
    """One molecule through BERT with sinusoidal positions, written out in float64."""
    words = weights["embeddings.word_embeddings.weight"]
    hidden = words.shape[1]
    angles = np.arange(len(ids))[:, None] * 10000.0 ** (-2 * np.arange(hidden // 2) / hidden)
    x = words[ids] + weights["embeddings.token_type_embeddings.weight"][0]
    x = layer_norm(x + np.hstack([np.sin(angles), np.cos(angles)]), weights, "embeddings")
    for layer in (0, 1):
        at = f"encoder.layer.{layer}"
        q, k, v = (linear(x, weights, f"{at}.attention.self.{n}") for n in ("query", "key", "value"))
        mixed = []
        for part in np.split(np.arange(hidden), heads):
            scores = q[:, part] @ k[:, part].T / math.sqrt(hidden / heads)
            shares = np.exp(scores - scores.max(1, keepdims=True))
            mixed.append(shares / shares.sum(1, keepdims=True) @ v[:, part])
        attended = linear(np.hstack(mixed), weights, f"{at}.attention.output.dense")
        x = layer_norm(x + attended, weights, f"{at}.attention.output")
        inner = linear(x, weights, f"{at}.intermediate.dense")
        gelu = inner * (1 + erf(inner / math.sqrt(2))) / 2
        x = layer_norm(x + linear(gelu, weights, f"{at}.output.dense"), weights, f"{at}.output")
    return x, np.tanh(linear(x[0], weights, "pooler.dense"))


def test_the_encoder_is_bert_with_sinusoidal_positions(model: PretrainingModel) -> None:
    ids = [1, 9, 10, 22, 9, 36, 2]
    weights = {
        name.removeprefix("encoder.bert."): tensor.double().numpy()
        for name, tensor in model.state_dict().items()
    }
    states, pooled = by_hand(weights, ids, SHAPE.heads)
    with torch.inference_mode():
        found_states, found_pooled = model.encoder(torch.tensor([ids]), None)
    np.testing.assert_allclose(found_states[0].numpy(), states, atol=2e-5)
    np.testing.assert_allclose(found_pooled[0].numpy(), pooled, atol=2e-5)


def test_losses_are_the_means_over_masked_symbols_and_known_descriptors(model: PretrainingModel) -> None:
    rng = torch.Generator().manual_seed(0)
    ids = torch.randint(4, 42, (3, 9), generator=rng)
    targets = torch.rand((3, 200), generator=rng)
    targets[1, 7:150] = torch.nan
    places, symbols = torch.tensor([2, 5, 20]), torch.tensor([8, 9, 30])
    scale = torch.tensor([1 / 3, 1 / 457])
    with torch.inference_mode():
        found = model(ids, torch.ones_like(ids, dtype=torch.bool), places, symbols, targets, scale)
        states, pooled = model.encoder(ids, None)
        logits = model.masked_lm_head(states).reshape(27, 42)[places]
        errors = (model.descriptor_head(pooled) - targets).flatten()
    expected = -logits.log_softmax(1)[range(3), symbols].mean()
    assert float(found["masked_lm"]) == pytest.approx(float(expected), rel=1e-5)
    known = errors[~errors.isnan()]
    assert float(found["descriptors"]) == pytest.approx(float((known**2).mean()), rel=1e-5)


def test_weights_follow_from_the_seed_and_leave_the_global_generator_alone() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, again, other = random_model(SHAPE, 1), random_model(SHAPE, 1), random_model(SHAPE, 2)
    assert torch.equal(torch.get_rng_state(), before)
    name = "encoder.bert.pooler.dense.weight"
    assert torch.equal(first.state_dict()[name], again.state_dict()[name])
    assert not torch.equal(first.state_dict()[name], other.state_dict()[name])


@pytest.mark.parametrize("half", [False, True])
def test_a_saved_model_is_read_back(tmp_path: Path, model: PretrainingModel, half: bool) -> None:
    save_model(tmp_path, model, torch.rand(5, 200), {"note": "x"}, half=half)
    back = load_model(tmp_path).state_dict()
    for name, tensor in model.state_dict().items():
        assert back[name].dtype == torch.float32
        assert torch.equal(back[name], tensor.half().float() if half else tensor)
    stored = json.loads((tmp_path / "config.json").read_text())
    assert stored["vocabulary"] == list(VOCABULARY)
    assert stored["note"] == "x"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop("encoder.bert.pooler.dense.bias"), "encoder.bert.pooler.dense.bias is missing"),
        (lambda w: w.update(extra=torch.zeros(1)), "key extra is unexpected"),
        (lambda w: w.update({"descriptor_head.1.bias": torch.zeros(2)}), "descriptor_head.1.bias has shape"),
        (lambda w: w["encoder.bert.pooler.dense.bias"].fill_(np.nan), "dense.bias holds values that are not"),
        (
            lambda w: w.update({"descriptor_head.1.bias": torch.full((12,), 1e39, dtype=torch.float64)}),
            "descriptor_head.1.bias holds values that are not finite",
        ),
        (
            lambda w: w.update({"descriptor_head.1.bias": torch.zeros(12, dtype=torch.int64)}),
            "descriptor_head.1.bias is of I64, no floats",
        ),
        (
            lambda w: w.update({"encoder.bert.embeddings.word_embeddings.weight": torch.zeros(30, 12)}),
            r"word_embeddings.weight has shape \(30, 12\), not \(42, 12\)",
        ),
    ],
)
def test_weights_with_another_set_of_keys_are_refused_by_name(
    tmp_path: Path, model: PretrainingModel, change, message: str
) -> None:
    save_model(tmp_path, model, None, {}, half=False)
    weights = load_file(tmp_path / "model.safetensors")
    change(weights)
    save_file(weights, tmp_path / "model.safetensors")
    with pytest.raises(InputError, match=message):
        load_model(tmp_path)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("config.json", None, "holds no model"),
        ("config.json", "{", "no readable JSON"),
        ("config.json", "[]", "not the configuration"),
        ("config.json", b'{"architecture": "\xff"}', "no readable JSON"),
        ("config.json", "[" * 100_000, "no readable JSON"),
        ("config.json", '{"hidden": ' + "9" * 5000 + "}", "no readable JSON"),
        ("config.json", b" " * (1 << 25), "more than 16 MB, so no configuration"),
        ("config.json", '{"architecture": "smiles-bert", "hidden": 12}', "layers is missing"),
        (
            "config.json",
            '{"architecture": "smiles-bert", "hidden": 9, "layers": 1, "heads": 2, "intermediate": 9, '
            '"dropout": 0}',
            "config.json: hidden = 9",
        ),
        ("model.safetensors", None, "model.safetensors: is not there"),
        ("model.safetensors", "junk", "no whole safetensors file"),
        ("model.safetensors", b"\xff" * 100, "no whole safetensors file"),
        (
            "model.safetensors",
            b"\x42" + b"\0" * 7 + b'{"a": {"dtype": "F32", "shape": [9000, 9000], "data_offsets": [0, 1]}} ',
            "no whole safetensors file",
        ),
    ],
)
def test_a_damaged_model_is_one_line(
    tmp_path: Path, model: PretrainingModel, file: str, content: str | bytes | None, message: str
) -> None:
    save_model(tmp_path, model, None, {}, half=False)
    (tmp_path / file).unlink()
    if content is not None:
        (tmp_path / file).write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(InputError, match=message) as error:
        load_model(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("shape", "message"),
    [((10, 1, 4, 8), "say 8"), ((9, 1, 3, 8), "must be even"), ((8, 0, 2, 8), "layers = 0"),
     ((8, 1, 2, 8, 1.0), r"dropout = 1.0"), ((8, 10**9, 2, 8), "layers = 1000000000: .* from 1 to 1,000 "),
     ((10**4000, 1, 2, 8), "hidden = 10000"), ((8.0, 1, 2, 8), "hidden = 8.0"),
     (("8", 1, 2, 8), "hidden = '8'"), ((8, -1, 2, 8), "layers = -1"), ((8, 1, True, 8), "heads = True"),
     ((8, 1, 2, None), "intermediate = None"), ((8, 1, 2, 8, "0"), "dropout = '0'"),
     ((8, 1, 2, 8, float("nan")), "dropout = nan")],
)  # fmt: skip
def test_shapes_that_cannot_be_are_refused(shape: tuple, message: str) -> None:
    with pytest.raises(InputError, match=message):
        EncoderConfig(*shape)


def test_weights_cut_off_are_one_line(tmp_path: Path, model: PretrainingModel) -> None:
    save_model(tmp_path, model, None, {}, half=False)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(InputError, match="no whole safetensors file"):
        load_model(tmp_path)


def change_config(folder: Path, **changes: object) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))


@pytest.mark.parametrize(
    "claim", [{"hidden": 2**12}, {"intermediate": 2**14}, {"layers": 50}], ids=lambda claim: next(iter(claim))
)
def test_a_shape_that_the_weights_do_not_have_is_refused_before_a_model_is_made(
    tmp_path: Path, model: PretrainingModel, monkeypatch: pytest.MonkeyPatch, claim: dict[str, int]
) -> None:
    save_model(tmp_path, model, None, {}, half=False)
    change_config(tmp_path, **claim)
    monkeypatch.setattr(smiles_bert, "random_model", lambda *_: pytest.fail("made"))
    with pytest.raises(InputError, match=r"model.safetensors: key .* (has shape|is missing)"):
        load_model(tmp_path)


def test_a_model_too_large_for_memory_is_one_line(
    tmp_path: Path, model: PretrainingModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_model(tmp_path, model, None, {}, half=False)
    change_config(tmp_path, hidden=10**6, heads=1)
    with pytest.raises(InputError, match=r"config.json: hidden = 1000000, .* GB of weights are more than"):
        read_config(tmp_path)
    with pytest.raises(InputError, match="a smaller model is needed"):
        random_model(EncoderConfig(10**6, 1, 1, 8), 0)
    for error in (MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried")):

        def fail(_: object, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr(smiles_bert, "PretrainingModel", fail)
        with pytest.raises(InputError, match="2 layers of width 12: not memory enough"):
            random_model(SHAPE, 0)


def test_shapes_are_found_without_a_model(model: PretrainingModel) -> None:
    before = torch.get_rng_state()
    assert shapes(SHAPE) == {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    "changes",
    [{"vocabulary": [*VOCABULARY[:-2], "]", "["]}, {"vocabulary": list(VOCABULARY[:-1])},
     {"vocabulary": None}, {"vocabulary": "CNO"}, {"vocab_size": 50}],
    ids=["order", "shorter", "none", "text", "size"],
)  # fmt: skip
def test_another_vocabulary_is_refused(tmp_path: Path, model: PretrainingModel, changes: dict) -> None:
    save_model(tmp_path, model, None, {}, half=False)
    change_config(tmp_path, vocab_size=len(VOCABULARY))
    load_model(tmp_path)
    change_config(tmp_path, **changes)
    with pytest.raises(InputError, match=r"config.json: its vocabulary is not this version's of 42 symbols"):
        load_model(tmp_path)
