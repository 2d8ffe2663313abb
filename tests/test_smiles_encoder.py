"""A molecule's features are its own; the command and the transformers refuse what they cannot read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from rdkit import Chem
from rdkit.Chem import AllChem
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline

from weakstrong.errors import InputError
from weakstrong.molecules import smiles_encoder
from weakstrong.molecules.descriptors import descriptors
from weakstrong.molecules.encoder_folder import save_model
from weakstrong.molecules.smiles import standard
from weakstrong.molecules.smiles_bert import EncoderConfig, random_model
from weakstrong.molecules.smiles_encoder import (
    SmilesEncoder,
    encode,
    length_batches,
)
from weakstrong.molecules.smiles_transformer import ECFPCounts, RDKitDescriptors

HIDDEN = 32


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model")
    save_model(path, random_model(EncoderConfig(HIDDEN, 2, 2, 64), 1), None, {}, half=False)
    return path


@pytest.fixture(scope="module")
def features(folder: Path, molecules: list[str]) -> np.ndarray:
    return SmilesEncoder(folder, "mean+cls").transform(molecules)


def test_features_do_not_depend_on_batch_padding_or_order(
    folder: Path, molecules: list[str], features: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = random_model(EncoderConfig(HIDDEN, 2, 2, 64), 1).eval()
    forms = [standard(s) for s in molecules]
    order = np.random.default_rng(0).permutation(len(forms))
    shuffled = encode(model.encoder, [forms[i] for i in order])
    np.testing.assert_allclose(shuffled, features[order], atol=1e-5)
    alone = np.vstack([encode(model.encoder, [f]) for f in forms[:20]])
    np.testing.assert_allclose(alone, features[:20], atol=1e-5)
    monkeypatch.setattr(smiles_encoder, "length_batches", lambda lengths, _: [np.arange(len(lengths))])
    with_padding = encode(model.encoder, [*forms[:20], "C" * 200])[:20]
    np.testing.assert_allclose(with_padding, features[:20], atol=1e-5)
    assert features.std(axis=0).min() > 1e-3  # they do differ between molecules


def test_poolings_are_parts_of_one_another(folder: Path, molecules: list[str], features: np.ndarray) -> None:
    mean, cls = (SmilesEncoder(folder, p).fit_transform(molecules) for p in ("mean", "cls"))
    np.testing.assert_array_equal(np.hstack([mean, cls]), features)
    assert features.dtype == np.float32


def test_length_batches_hold_every_row_once_and_little_padding() -> None:
    lengths = np.random.default_rng(0).integers(1, 300, 5000)
    batches = length_batches(lengths, 8192)
    assert sorted(np.concatenate(batches)) == list(range(5000))
    padded = sum(len(b) * (lengths[b].max() + 2) for b in batches)
    assert padded < 1.05 * (lengths + 2).sum()
    assert max(len(b) * (lengths[b].max() + 2) for b in batches) <= 8192


def test_the_cache_is_used_and_told_apart_by_weights(
    folder: Path, molecules: list[str], features: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("computed again")

    with monkeypatch.context() as patched:
        patched.setattr(smiles_encoder, "encode", refuse)
        np.testing.assert_array_equal(SmilesEncoder(folder, "mean+cls").transform(molecules), features)
        with pytest.raises(AssertionError, match="computed again"):
            SmilesEncoder(folder, random_init=True).transform(molecules)
    untrained = [SmilesEncoder(folder, random_init=True, seed=s).transform(molecules[:9]) for s in (0, 0, 5)]
    np.testing.assert_array_equal(untrained[0], untrained[1])
    assert not np.allclose(untrained[0], untrained[2])


def test_the_untrained_control_is_the_model_before_training(
    folder: Path, molecules: list[str], tmp_path: Path, features: np.ndarray
) -> None:
    trained = random_model(EncoderConfig(HIDDEN, 2, 2, 64), 7)
    save_model(tmp_path, trained, None, {"pretraining": {"settings": {"seed": 1}}}, half=False)
    control = SmilesEncoder(tmp_path, "mean+cls", random_init=True)
    np.testing.assert_allclose(control.transform(molecules[:9]), features[:9], atol=1e-6)  # of seed 1
    unsaid = SmilesEncoder(folder, random_init=True).transform(molecules[:9])
    np.testing.assert_array_equal(
        unsaid, SmilesEncoder(folder, random_init=True, seed=0).transform(molecules[:9])
    )


def test_bf16_is_near_and_nearly_a_molecules_own(
    folder: Path, molecules: list[str], features: np.ndarray
) -> None:
    low = SmilesEncoder(folder, "mean+cls", bf16=True).transform(molecules)
    assert 0 < np.linalg.norm(low - features) / np.linalg.norm(features) < 0.005
    model = random_model(EncoderConfig(HIDDEN, 2, 2, 64), 1).eval()
    alone = np.vstack([encode(model.encoder, [standard(s)], bf16=True) for s in molecules[:20]])
    assert np.abs(alone - low[:20]).max() < 0.03


def test_weights_that_overflow_are_refused(tmp_path: Path) -> None:
    model = random_model(EncoderConfig(HIDDEN, 2, 2, 64), 1)
    model.encoder.bert.encoder.layer[0].output.dense.weight.data.mul_(1e38)
    save_model(tmp_path, model, None, {}, half=False)
    with pytest.raises(
        InputError, match=f"{tmp_path}: its weights give 'CCO' features that are not finite; "
    ):
        SmilesEncoder(tmp_path).transform(["CCO"])


def test_features_have_names(folder: Path) -> None:
    names = SmilesEncoder(folder, "mean+cls").get_feature_names_out()
    assert (len(names), names[0], names[-1]) == (2 * HIDDEN, "mean0", f"cls{HIDDEN - 1}")
    assert list(ECFPCounts(n_features=2).get_feature_names_out()) == ["ecfp0", "ecfp1"]
    frame = pd.DataFrame({"smiles": ["CCO", "C"]})
    out = SmilesEncoder(folder).set_output(transform="pandas").transform(frame)
    assert (list(out.columns[:2]), out.shape) == (["cls0", "cls1"], (2, HIDDEN))


@pytest.mark.parametrize("given", ["CCO", [["CCO", "C"]], np.array([["CCO", "C"], ["N", "O"]])])
def test_what_is_no_sequence_of_strings_is_refused(folder: Path, given: object) -> None:
    for transformer in (SmilesEncoder(folder), ECFPCounts(), RDKitDescriptors()):
        with pytest.raises(InputError, match="a sequence of strings is needed"):
            transformer.transform(given)


@pytest.mark.parametrize(
    "transformer",
    [
        SmilesEncoder("x", "max"),
        SmilesEncoder("x", None),
        SmilesEncoder("x", ["cls"]),
        SmilesEncoder("x", np.array(["cls", "mean"])),
        SmilesEncoder("x", seed=-1),
        SmilesEncoder("x", seed="0"),
        SmilesEncoder("x", seed=1.0),
        SmilesEncoder("x", seed=True),
        SmilesEncoder("x", bf16="no"),
        SmilesEncoder("x", random_init=None),
        SmilesEncoder(None),
        SmilesEncoder(b"x"),
        ECFPCounts(radius=-1),
        ECFPCounts(radius="2"),
        ECFPCounts(radius=10**9),
        ECFPCounts(n_features=10**12),
        RDKitDescriptors(n_jobs=0),
        RDKitDescriptors(n_jobs="2"),
        RDKitDescriptors(n_jobs=1.5),
    ],
    ids=lambda transformer: "".join(repr(transformer).split()),
)
def test_parameters_that_cannot_be_are_refused(transformer) -> None:
    for use in (transformer.fit, transformer.transform):
        with pytest.raises(
            InputError, match=r"^(model|pooling|seed|bf16|random_init|radius|n_\w+) = "
        ) as error:
            use(["CCO"])
        assert "\n" not in str(error.value)


def test_transformers_go_into_pipelines_and_can_be_cloned(folder: Path, molecules: list[str]) -> None:
    target = np.array([len(s) for s in molecules], dtype=float)
    for transformer in (SmilesEncoder(folder), ECFPCounts(n_features=64)):
        assert clone(transformer).get_params() == transformer.get_params()
        fitted = make_pipeline(clone(transformer), Ridge(0.1)).fit(molecules, target)
        assert fitted.score(molecules, target) > 0.3


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_seeds_out_of_range_are_one_line(command, folder: Path, tmp_path: Path, seed: int) -> None:
    (tmp_path / "m.smi").write_text("CCO\n")
    ran = command(
        "embed", "--model", folder, "--smiles", tmp_path / "m.smi", "--out", tmp_path / "f.npy",
        "--random-init", "--seed", seed,
    )  # fmt: skip
    assert ran.code == 2
    assert f"seed = {seed}" in ran.err
    assert ran.err.count("\n") == 1


@pytest.mark.parametrize("options", [{}, {"radius": 0}, {"radius": 3, "n_features": 100}], ids=str)
def test_ecfp_counts_are_rdkits(molecules: list[str], options: dict[str, int]) -> None:
    generator = AllChem.GetMorganGenerator(
        radius=options.get("radius", 2), fpSize=options.get("n_features", 2048)
    )
    expected = [list(generator.GetCountFingerprint(Chem.MolFromSmiles(s))) for s in molecules[::25]]
    np.testing.assert_array_equal(ECFPCounts(**options).transform(molecules[::25]), expected)
    assert ECFPCounts(n_features=np.int64(9)).transform([]).shape == (0, 9)


def test_descriptors_are_those_of_pretraining(molecules: list[str]) -> None:
    np.testing.assert_array_equal(RDKitDescriptors().transform(molecules[:9]), descriptors(molecules[:9]))
    assert RDKitDescriptors().get_feature_names_out()[-1] == "qed"


@pytest.mark.parametrize("bad", ["C1CC", "", None, 3.5])
def test_what_is_no_molecule_is_refused_by_row(folder: Path, bad: object) -> None:
    for transformer in (SmilesEncoder(folder), ECFPCounts(), RDKitDescriptors()):
        with pytest.raises(InputError, match=r"row 1 \(counted from 0\)"):
            transformer.transform(["CCO", bad, "C"])


def test_an_element_outside_the_vocabulary_is_refused_by_row(folder: Path) -> None:
    with pytest.raises(InputError, match=r"row 1.*'Na'"):
        SmilesEncoder(folder).transform(["CCO", "[Na+].[Cl-]"])


def test_the_command_writes_a_row_a_molecule(
    command, folder: Path, molecules: list[str], tmp_path: Path
) -> None:
    table, out = tmp_path / "m.csv", tmp_path / "f.npy"
    pd.DataFrame({"id": range(len(molecules)), "SMILES": [f" {s} " for s in molecules]}).to_csv(
        table, index=False
    )
    ran = command("embed", "--model", folder, "--smiles", table, "--out", out, "--pooling", "mean")
    assert ran.code == 0, ran.err
    np.testing.assert_array_equal(np.load(out), SmilesEncoder(folder, "mean").transform(molecules))


def test_the_command_leaves_out_on_request_and_says_which(command, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "m.smi").write_text("CCO\nbad(\nC\n[Na+]\n" + "C(" * 20_000 + "C" + ")" * 20_000 + "\n")
    given = ("embed", "--model", folder, "--smiles", tmp_path / "m.smi", "--out", tmp_path / "f.npy")
    refused = command(*given)
    assert refused.code == 2
    assert "row 1 (counted from 0): 'bad('" in refused.err
    assert "2 more rows are at fault" in refused.err
    ran = command(*given, "--drop-invalid")
    assert ran.code == 0, ran.err
    assert "left out: 1 invalid, 1 outside the vocabulary, 1 too large to be parsed safely" in ran.out
    assert pd.read_csv(tmp_path / "f.rows.csv").to_dict("list") == {"row": [0, 2], "smiles": ["CCO", "C"]}
    np.testing.assert_array_equal(np.load(tmp_path / "f.npy"), SmilesEncoder(folder).transform(["CCO", "C"]))
    (tmp_path / "m.smi").write_text("CCO\nC\n")
    (tmp_path / "f.npy").unlink()
    assert "f.rows.csv: is there already" in command(*given).err
    assert command(*given, "--overwrite").code == 0
    assert not (tmp_path / "f.rows.csv").exists()  # it would speak of other rows


def test_batches_too_large_for_memory_are_halved(
    folder: Path, molecules: list[str], features: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed, sizes = smiles_encoder._batch, []

    def of_at_most_nine(encoder: object, ids: torch.Tensor) -> np.ndarray:
        sizes.append(len(ids))
        if len(ids) > limit:
            raise torch.OutOfMemoryError
        return computed(encoder, ids)

    monkeypatch.setattr(smiles_encoder, "_batch", of_at_most_nine)
    limit, model = 9, random_model(EncoderConfig(HIDDEN, 2, 2, 64), 1).eval()
    forms = [standard(s) for s in molecules]
    np.testing.assert_allclose(encode(model.encoder, forms), features, atol=1e-5)
    assert max(sizes) > 9
    limit = 0
    with pytest.raises(InputError, match="not memory enough"):
        encode(model.encoder, forms)


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("smiles\nCCO\nC1CC\n", {}, "row 1 (counted from 0): 'C1CC'"),
        ("smiles\nCCO\n[Na+]\n", {}, "row 1 (counted from 0): '[Na+]': has 'Na', outside the vocab"),
        ("name\nCCO\n", {}, "no column has 'smiles' in the name"),
        ("smiles\nCCO\n", {"--column": "other"}, "no column 'other'"),
        ("smiles\nCCO\n", {"--model": "none"}, "holds no model"),
        ("smiles\nCCO\n", {"--out": "f.csv"}, "must end in .npy"),
        ("smiles\nCCO\n", {"--out": "none/f.npy"}, "folder is not there"),
        ("smiles\nCCO\n", {"--seed": "3"}, "needs --random-init"),
        ("smiles\nCCO\n", {"--pooling": "max"}, "max"),
        ("smiles\n", {}, "no rows"),
    ],
)
def test_bad_input_is_one_line(  # noqa: PLR0917
    command,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    content: str,
    options: dict,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("m.csv").write_text(content)
    given = {"--model": folder, "--smiles": "m.csv", "--out": "f.npy", **options}
    ran = command("embed", *[part for pair in given.items() for part in pair])
    assert ran.code == 2
    assert ran.err.strip().count("\n") == 0
    assert message in ran.err
    assert not Path("f.npy").exists()
