"""``weakstrong fit`` and ``weakstrong predict``: the practitioner's path, and every bad input."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

from tests.conftest import World
from weakstrong import HeadProjection
from weakstrong.saved_model import Student


def test_fit_then_predict_agrees_with_least_squares(world: World, command) -> None:
    folder = world.folder
    ran = command(
        "fit", "--features", folder / "strong.npy", "--weak-labels", folder / "labels.csv",
        "--target", "y", "--heads", "linear", "--out", folder / "student",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    assert "matched" in ran.out
    assert "by position (120 rows)" in ran.out
    assert sorted(p.name for p in (folder / "student").iterdir()) == [
        "DONE", "head.npz", "model.json", "predictions.csv",
    ]  # fmt: skip
    oracle = LinearRegression().fit(world.strong, world.labels["y"])
    fresh = np.random.default_rng(1).normal(size=(9, 5))
    np.save(folder / "fresh.npy", fresh)
    for name, read in (("p.csv", pd.read_csv), ("p.parquet", pd.read_parquet)):
        done = command(
            "predict",
            "--model",
            folder / "student",
            "--features",
            folder / "fresh.npy",
            "--out",
            folder / name,
        )
        assert done.code == 0, done.err
        np.testing.assert_allclose(read(folder / name)["y"], oracle.predict(fresh), rtol=1e-9)


def test_rows_without_a_label_are_predicted_not_fitted(world: World, command) -> None:
    folder, features = world.folder, pd.DataFrame(world.strong, columns=list("abcde"))
    features.insert(0, "id", world.labels["id"])
    features.to_csv(folder / "strong.csv", index=False)
    rng = np.random.default_rng(2)
    table = pd.DataFrame({"id": world.labels["id"], "u": rng.normal(size=120), "v": world.labels["y"]})
    table.loc[:29, "u"] = np.nan
    table = table.iloc[rng.permutation(120)].iloc[:100]  # twenty ids have no row at all
    table.to_csv(folder / "weak.csv", index=False)
    ran = command(
        "fit", "--features", folder / "strong.csv", "--weak-labels", folder / "weak.csv", "--id", "id",
        "--target", "u", "--target", "v", "--heads", "linear", "--out", folder / "student",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    got = pd.read_csv(folder / "student" / "predictions.csv")
    assert list(got["id"]) == list(world.labels["id"])
    joined = features.merge(table, on="id", how="left")
    for target in ("u", "v"):
        known = joined[target].notna()
        oracle = LinearRegression().fit(world.strong[known], joined.loc[known, target])
        np.testing.assert_allclose(got[target], oracle.predict(world.strong), rtol=1e-8, atol=1e-9)
        assert list(got[f"{target}_fitted"]) == list(known)


def test_a_wrong_width_or_other_columns_are_refused_and_reordered_columns_are_not(
    world: World, command
) -> None:
    folder, features = world.folder, pd.DataFrame(world.strong, columns=list("abcde"))
    features.to_csv(folder / "strong.csv", index=False)
    model = folder / "student"
    labels = folder / "only.csv"
    world.labels[["y"]].to_csv(labels, index=False)
    command("fit", "--features", folder / "strong.csv", "--weak-labels", labels, "--out", model)
    features[list("edcba")].to_csv(folder / "reordered.csv", index=False)
    out = folder / "p.csv"
    assert (
        command("predict", "--model", model, "--features", folder / "reordered.csv", "--out", out).code == 0
    )
    expected = pd.read_csv(model / "predictions.csv")["y"]
    np.testing.assert_allclose(pd.read_csv(out)["y"], expected, rtol=1e-12)
    out.unlink()
    features.drop(columns="c").to_csv(folder / "narrow.csv", index=False)
    np.save(folder / "narrow.npy", world.strong[:, :4])
    for name, said in (("narrow.csv", "lacks column 'c'"), ("narrow.npy", "fitted on 5")):
        ran = command("predict", "--model", model, "--features", folder / name, "--out", out)
        assert (ran.code, ran.err.count("\n")) == (2, 1)
        assert said in ran.err
        assert not out.exists()


def test_weights_and_groups_are_used(world: World, command) -> None:
    folder = world.folder
    table = world.labels.assign(w=np.r_[np.zeros(60), np.ones(60)])
    table.loc[:59, "y"] = 1e6
    table.to_csv(folder / "weak.csv", index=False)
    ran = command(
        "fit", "--features", folder / "strong.npy", "--weak-labels", folder / "weak.csv", "--target", "y",
        "--weights", "w", "--groups", "site", "--heads", "linear", "--out", folder / "student",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    report = Student.load(folder / "student").reports[0]
    assert report.rows_fitted == 60
    assert report.misfit < 1e-18  # the truth is linear, and the spoilt rows have no weight
    assert report.heldout_misfit < 1e-18


def test_weights_groups_seed_and_folds_reach_the_fit_joined_by_id(world: World, command) -> None:
    """Against the regressor called with the same; labels are noisy, so each of them matters."""
    folder, rng = world.folder, np.random.default_rng(4)
    ids = world.labels["id"].to_numpy(dtype=str)
    np.savez(folder / "strong.npz", features=world.strong, ids=ids)
    table = world.labels.assign(
        y=world.labels["y"] + 3 * rng.normal(size=120), w=rng.uniform(0.1, 3.0, size=120)
    )
    table.sample(frac=1, random_state=0).to_csv(folder / "weak.csv", index=False)
    ran = command(
        "fit", "--features", folder / "strong.npz", "--weak-labels", folder / "weak.csv", "--target", "y",
        "--id", "id", "--weights", "w", "--groups", "site", "--cv", 4, "--seed", 3,
        "--out", folder / "student",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    report = Student.load(folder / "student").reports[0]

    def fitted(**change: object) -> HeadProjection:
        settings = {"n_folds": 4, "random_state": 3, "weight": table["w"], "groups": table["site"], **change}
        model = HeadProjection("l2", n_folds=settings["n_folds"], random_state=settings["random_state"])
        return model.fit(world.strong, table["y"], settings["weight"], settings["groups"])

    found = (report.misfit, report.heldout_misfit, report.radius)
    expected = fitted()
    same = (expected.fit_error_[0], expected.cv_error_[0], expected.heads_.radius[0])
    assert found == pytest.approx(same, rel=1e-8)
    predicted = pd.read_csv(folder / "student" / "predictions.csv")
    np.testing.assert_allclose(predicted["y"], expected.predict(world.strong), rtol=1e-8)
    for change in ({"n_folds": 5}, {"random_state": 0}, {"weight": None}, {"groups": None}):
        assert fitted(**change).cv_error_[0] != pytest.approx(report.heldout_misfit, rel=1e-6)


def test_the_training_hash_is_that_of_everything_fitted(world: World, command) -> None:
    folder, hashes = world.folder, set()
    np.savez(folder / "other.npz", features=world.strong + 1e-3)
    world.labels.assign(y=world.labels["y"] + 1e-3, w=2.0).to_csv(folder / "other.csv", index=False)
    plain = {"--features": folder / "strong.npy", "--weak-labels": folder / "labels.csv", "--target": "y"}
    for number, change in enumerate(
        [{}, {"--features": folder / "other.npz"}, {"--weak-labels": folder / "other.csv"}, {"--seed": 1},
         {"--cv": 4}, {"--heads": "linear"}, {"--groups": "site"}]
    ):  # fmt: skip
        flags = [part for pair in (plain | change).items() for part in pair]
        assert command("fit", *flags, "--out", folder / str(number)).code == 0
        hashes.add(json.loads((folder / str(number) / "model.json").read_text())["training_hash"])
    assert len(hashes) == 7


def test_the_model_card_says_what_was_fitted(world: World, command) -> None:
    folder, cards = world.folder, []
    for name in ("one", "two"):
        command(
            "fit", "--features", folder / "strong.npy", "--weak-labels", folder / "labels.csv",
            "--target", "y", "--out", folder / name,
        )  # fmt: skip
        cards.append(json.loads((folder / name / "model.json").read_text()))
    assert cards[0] == cards[1]
    assert cards[0]["n_features"] == 5
    assert cards[0]["heads"] == "l2"
    assert cards[0]["targets"][0]["radius"] > 0
    assert cards[0]["targets"][0]["optimality_gap"] < 1e-8
    np.save(folder / "strong.npy", world.strong + 1e-3)
    command(
        "fit", "--features", folder / "strong.npy", "--weak-labels", folder / "labels.csv",
        "--target", "y", "--out", folder / "three",
    )  # fmt: skip
    assert (
        json.loads((folder / "three" / "model.json").read_text())["training_hash"]
        != cards[0]["training_hash"]
    )


def test_a_damaged_model_is_refused(world: World, command) -> None:
    folder, model = world.folder, world.folder / "student"
    command(
        "fit", "--features", folder / "strong.npy", "--weak-labels", folder / "labels.csv",
        "--target", "y", "--out", model,
    )  # fmt: skip
    predict = ("predict", "--features", folder / "strong.npy", "--out", folder / "p.csv", "--model")
    assert "no saved student" in command(*predict, folder / "none").err
    np.savez(model / "head.npz", coef=np.ones((5, 1)), intercept=np.ones(1))
    assert "head.npz is not as it was written" in command(*predict, model).err
    (model / "DONE").unlink()  # a copy of the two files alone is a model too
    assert "does not belong" in command(*predict, model).err
    (model / "head.npz").write_bytes(b"PK" + bytes(100))
    card = json.loads((model / "model.json").read_text())
    card["head_sha256"] = hashlib.sha256(b"PK" + bytes(100)).hexdigest()
    (model / "model.json").write_text(json.dumps(card))
    assert "damaged" in command(*predict, model).err
    plain = {"coef": np.ones((5, 1)), "intercept": np.ones(1), "low": np.zeros(5), "high": np.ones(5)}
    plain["centre"] = np.full(5, 0.5)
    spoilt: list[tuple[dict[str, object], str]] = [
        ({"low": np.zeros(4)}, "does not belong"),
        ({"low": np.zeros((5, 1)), "high": np.ones((5, 1))}, "does not belong"),
        ({"low": np.full(5, 2.0)}, "does not belong"),
        ({"high": np.full(5, np.inf)}, "does not belong"),
        ({"low": np.full(5, np.nan)}, "does not belong"),
        ({"low": np.array(list("abcde"))}, "damaged"),
        ({"low": None}, "does not belong"),
        ({"high": None}, "does not belong"),
        ({"centre": None}, "does not belong"),
        ({"centre": np.full(5, 9.0)}, "does not belong"),
    ]
    for change, said in spoilt:
        kept = {name: values for name, values in (plain | change).items() if values is not None}
        np.savez(model / "head.npz", **kept)
        card["head_sha256"] = hashlib.sha256((model / "head.npz").read_bytes()).hexdigest()
        (model / "model.json").write_text(json.dumps(card))
        assert said in command(*predict, model).err, change
    (model / "model.json").write_text("{}")
    assert "damaged" in command(*predict, model).err
    assert not (folder / "p.csv").exists()


def _spoil(table: pd.DataFrame, column: str, row: int, value: object) -> pd.DataFrame:
    spoilt = table.astype({column: object})
    spoilt.loc[row, column] = value
    return spoilt


BAD_LABELS = {
    "lengths": (lambda t: t.iloc[:100], [], "has 100"),
    "infinity": (lambda t: _spoil(t, "y", 5, np.inf), [], "column 'y', row 5 (counted from 0): infinity"),
    "text target": (
        lambda t: _spoil(t, "y", 3, "high"),
        [],
        "row 3 (counted from 0): 'high' is not",
    ),
    "classes": (
        lambda t: t.assign(y=t["y"] > 3),
        ["--task", "regression"],
        "set the task to classification, or give numbers (--task)",
    ),
    "one class": (lambda t: t.assign(y="yes"), [], "'yes'"),
    "no column": (lambda t: t, ["--weights", "w"], "no column 'w'"),
    "negative weight": (lambda t: t.assign(w=-1.0), ["--weights", "w"], "row 0 (counted from 0): weight -1"),
    "empty": (lambda t: t.iloc[:0], [], "the table is empty"),
    "few rows": (lambda t: t.assign(y=t["y"].where(t.index < 3)), [], "fewer than the 5 folds"),
    "no label": (lambda t: t.assign(y=np.nan), [], "has no value"),
    "one fold": (lambda t: t, ["--n-folds", "1"], "1 folds: at least 2 are needed (--n-folds)"),
    "half a fold": (lambda t: t, ["--n-folds", "3.5"], "3.5"),
    "two roles": (lambda t: t, ["--weights", "y"], "'y' cannot be a target and"),
    "same name": (lambda t: t.assign(y_fitted=t["y"]), ["y_fitted"], "rename that target"),
}


@pytest.mark.parametrize("fault", BAD_LABELS)
def test_bad_labels_are_one_line_and_leave_nothing(world: World, command, fault: str) -> None:
    change, more, said = BAD_LABELS[fault]
    change(world.labels).to_csv(world.folder / "labels.csv", index=False)
    before = sorted(p.name for p in world.folder.iterdir())
    ran = command(
        "fit", "--features", world.folder / "strong.npy", "--weak-labels", world.folder / "labels.csv",
        "--out", world.folder / "student", "--target", "y", *more,
    )  # fmt: skip
    assert ran.code == 2
    assert ran.err.count("\n") == 1
    assert said in ran.err
    assert sorted(p.name for p in world.folder.iterdir()) == before


def test_ids_that_do_not_match(world: World, command) -> None:
    folder, features = world.folder, pd.DataFrame(world.strong, columns=list("abcde"))
    features.insert(0, "id", world.labels["id"])
    features.to_csv(folder / "strong.csv", index=False)
    fit = (
        "fit", "--features", folder / "strong.csv", "--weak-labels", folder / "labels.csv",
        "--target", "y", "--out", folder / "student",
    )  # fmt: skip
    assert "name it as the id" in command(*fit).err or "is not a number" in command(*fit).err
    _spoil(world.labels, "id", 7, "stranger").to_csv(folder / "labels.csv", index=False)
    assert "row 7 (counted from 0): id 'stranger' does not occur" in command(*fit, "--id", "id").err
    _spoil(world.labels, "id", 7, "r003").to_csv(folder / "labels.csv", index=False)
    assert "id 'r003' occurs in rows 3 and 7" in command(*fit, "--id", "id").err
    numbered = features.assign(id=np.arange(127, 7, -1))
    numbered.to_csv(folder / "strong.csv", index=False)
    world.labels.assign(id=np.arange(127, 7, -1)).to_csv(folder / "labels.csv", index=False)
    assert "name it as the id if rows are joined by it" in command(*fit).err
    assert command(*fit, "--id", "id").code == 0


def test_a_label_is_no_feature(world: World, command) -> None:
    """One table for all is common; the label must not be fitted to itself."""
    folder = world.folder
    table = pd.DataFrame(world.strong, columns=list("abcde")).join(world.labels)
    table.to_csv(folder / "all.csv", index=False)
    for used in (["y"], ["a", "--weights", "y"], ["a", "--groups", "site"]):
        ran = command(
            "fit", "--features", folder / "all.csv", "--weak-labels", folder / "all.csv", "--id", "id",
            "--out", folder / "student", "--target", *used,
        )  # fmt: skip
        assert ran.code == 2
        assert "is also in" in ran.err
        assert "remove it from the features" in ran.err


def test_ids_are_not_left_unused(world: World, command) -> None:
    folder = world.folder
    np.savez(folder / "strong.npz", features=world.strong, ids=world.labels["id"].to_numpy(dtype=str))
    fit = (
        "fit", "--weak-labels", folder / "labels.csv", "--target", "y", "--out", folder / "student",
    )  # fmt: skip
    assert "has ids: name the id column" in command(*fit, "--features", folder / "strong.npz").err
    assert command(*fit, "--features", folder / "strong.npz", "--id", "id").code == 0
    predict = ("predict", "--model", folder / "student", "--out", folder / "p.csv", "--id", "id")
    assert "holds no ids" in command(*predict, "--features", folder / "strong.npy").err
    assert command(*predict, "--features", folder / "strong.npz").code == 0
    assert list(pd.read_csv(folder / "p.csv")["id"]) == list(world.labels["id"])


def test_predictions_replace_no_file_unasked(world: World, command) -> None:
    folder = world.folder
    command(
        "fit", "--features", folder / "strong.npy", "--weak-labels", folder / "labels.csv",
        "--target", "y", "--out", folder / "student",
    )  # fmt: skip
    mine = folder / "mine.csv"
    mine.write_text("years of work")
    predict = ("predict", "--model", folder / "student", "--features", folder / "strong.npy", "--out", mine)
    ran = command(*predict)
    assert (ran.code, mine.read_text()) == (2, "years of work")
    assert "--overwrite" in ran.err
    assert command(*predict, "--overwrite").code == 0
    assert len(pd.read_csv(mine)) == 120


def fit_of(world: World) -> list[object]:
    """A fit of the world's files, but for its output."""
    folder = world.folder
    return [
        "fit",
        "--features",
        folder / "strong.npy",
        "--weak-labels",
        folder / "labels.csv",
        "--target",
        "y",
    ]


def test_an_output_that_cannot_be_written(world: World, command) -> None:
    folder: Path = world.folder
    (folder / "file").write_text("")
    fit = fit_of(world)
    for out in (folder / "file", folder / "file" / "student"):
        ran = command(*fit, "--out", out)
        assert (ran.code, ran.err.count("\n")) == (2, 1)
    (folder / "full").mkdir()
    (folder / "full" / "mine").write_text("")
    assert "not empty" in command(*fit, "--out", folder / "full").err
    assert [p.name for p in (folder / "full").iterdir()] == ["mine"]


SMALL_MEMORY = """
import resource, sys
from pathlib import Path
import numpy as np
from weakstrong import HeadProjection
from weakstrong.saved_model import fit_files
folder = Path(sys.argv[1])
some = np.random.default_rng(0).normal(size=(2000, 129))  # BLAS takes its part first
HeadProjection().fit(some[:, 1:], some[:, 0]).predict(some[:, 1:])
status = Path("/proc/self/status").read_text()
taken = int(status.split("VmData:")[1].split()[0]) << 10
resource.setrlimit(resource.RLIMIT_DATA, (taken + (240 << 20),) * 2)
student, predicted, _ = fit_files(folder / "features.npy", folder / "labels.parquet", targets=("a",))
np.savez(folder / "found.npz", coef=student.head.coef, predicted=predicted["a"])
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs the limits and the status of Linux")
@pytest.mark.parametrize(("dtype", "missing"), [(np.float32, 3), (np.int8, 10**9)])
def test_features_larger_than_memory_are_fitted_from_their_file(
    tmp_path: Path, dtype: type, missing: int
) -> None:
    """320 MiB of features, or four times that as float64, most of them a hole, and 240 MiB to work in."""
    n, width, known = 655_360, 128, 4000
    features = np.lib.format.open_memmap(tmp_path / "features.npy", "w+", dtype, (n, width))
    rng = np.random.default_rng(0)
    features[-known:] = (4 * rng.normal(size=(known, width))).astype(dtype)
    truth = features[-known:].astype(float) @ rng.normal(size=width)
    features.flush()
    labels = np.zeros(n)
    labels[-known:] = truth + rng.normal(size=known)
    labels[1::missing] = np.nan  # rows without a label leave others to be gathered
    pd.DataFrame({"a": labels}).to_parquet(tmp_path / "labels.parquet")
    ran = subprocess.run(
        [sys.executable, "-c", SMALL_MEMORY, str(tmp_path)],
        capture_output=True, text=True, check=False, timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr[-300:]
    with np.load(tmp_path / "found.npz") as found:
        assert np.mean((found["predicted"][-known:] - truth) ** 2) < 0.1
        np.testing.assert_allclose(found["predicted"][:9], found["predicted"][0], rtol=1e-12)


@pytest.mark.parametrize("name", ["head.npz", "model.json"])
def test_a_pipe_in_a_model_is_refused_unopened(world: World, command, name: str) -> None:
    folder = world.folder
    fit = fit_of(world)
    assert command(*fit, "--out", folder / "student").code == 0
    (folder / "student" / name).unlink()
    os.mkfifo(folder / "student" / name)
    ran = command("predict", "--model", folder / "student", "--features", folder / "strong.npy", "--out",
                  folder / "p.csv")  # fmt: skip
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert f"{name}: cannot be read (it is a pipe or device, no file)" in ran.err
