"""The committed models: whole, small, read by the command, and as their cards and the record say."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

from weakstrong.molecules.chembench import SETS, load_chembench
from weakstrong.molecules.probe import probe
from weakstrong.molecules.smiles_encoder import SmilesEncoder

from .test_docs import README, ROOT, script

MODELS = ROOT / "models"
MAKE = script("examples/pretrain_models.py")
RECORD = json.loads((MODELS / "probes.json").read_text())


def test_they_are_within_twenty_megabytes() -> None:
    assert sum(p.stat().st_size for p in MODELS.rglob("*") if p.is_file()) < 20e6


@pytest.mark.parametrize("name", MAKE.RECIPES)
def test_a_model_is_whole_and_what_its_card_says(name: str) -> None:
    folder, recipe = MODELS / name, MAKE.RECIPES[name]
    assert {p.name for p in folder.iterdir()} == {
        "DONE", "README.md", "config.json", "losses.csv", "model.safetensors",
    }  # fmt: skip
    config = json.loads((folder / "config.json").read_text())
    assert (config["hidden"], config["layers"], config["heads"]) == (
        recipe.hidden,
        recipe.layers,
        recipe.heads,
    )
    trained = config["pretraining"]
    assert trained["command"] == recipe.command(name)
    assert trained["settings"]["epochs"] >= 2
    assert trained["corpus"]["molecules"] >= 200_000
    assert trained["steps"] == trained["corpus"]["molecules"] // 64 * recipe.epochs
    weights = load_file(folder / "model.safetensors")
    weights.pop("descriptor_quantiles")
    assert {str(tensor.dtype) for tensor in weights.values()} == {"torch.float16"}
    with (folder / "losses.csv").open() as file:
        last = list(csv.DictReader(file))[-10:]
    for loss, mean in trained["final_losses"].items():
        assert np.mean([float(row[loss]) for row in last]) == pytest.approx(mean)
    assert (folder / "README.md").read_text() == MAKE.card(name, RECORD)


def test_the_table_is_that_of_the_record() -> None:
    text = (MODELS / "README.md").read_text()
    assert text == MAKE.overview(RECORD)
    for line in MAKE.rows(RECORD):
        assert line in text


@pytest.mark.parametrize("name", ["weak-8", "strong"])
@pytest.mark.parametrize("untrained", [False, True])
def test_the_record_can_be_had_again(data_folder: Path, name: str, untrained: bool) -> None:
    molecules = load_chembench("FreeSolv", data_folder)
    features = {
        p: SmilesEncoder(MODELS / name, p, random_init=untrained).transform(molecules.smiles)
        for p in MAKE.POOLINGS
    }
    who = f"{name}, untrained" if untrained else name
    assert probe(features, molecules).rmse == pytest.approx(RECORD["FreeSolv"][who]["rmse"], rel=0.01)


def test_the_command_embeds_with_a_committed_model(command, tmp_path: Path) -> None:
    (tmp_path / "m.smi").write_text("CCO ethanol\nc1ccccc1 benzene\n")
    ran = command(
        "embed", "--model", MODELS / "weak-32", "--smiles", tmp_path / "m.smi", "--out", tmp_path / "f.npy"
    )
    assert ran.code == 0, ran.err
    assert np.load(tmp_path / "f.npy").shape == (2, 32)


def test_every_set_has_every_model_and_its_control() -> None:
    for name in SETS:
        for model in MAKE.RECIPES:
            assert {model, f"{model}, untrained"} <= set(RECORD[name])
    assert "models/README.md" in README
