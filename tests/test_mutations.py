"""Damaged files are read as they are or refused in one line: two thousand mutations of small valid ones."""

from __future__ import annotations

import csv
import gzip
import io
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from weakstrong import InputError, Record
from weakstrong.data.ids import Features
from weakstrong.data.tables import read_features
from weakstrong.data.weak_labels import WeakLabels, read_weak_labels
from weakstrong.saved_model import Student, train_student
from weakstrong.studies.inputs import StudyInputs
from weakstrong.studies.run import run
from weakstrong.studies.settings import StudyConfig, StudyOptions, load_config

MUTANTS = 200  # of every file
ROWS = 24
IDS = [f"{i:03d}" for i in range(ROWS)]
VALUES = np.random.default_rng(0).normal(size=(ROWS, 3)).round(4)
FEATURES = Features(VALUES, ("a", "b c", "é"), np.array(IDS), "f.csv")
SETTINGS = """weak = ["weak.npy", "other.npy"]\nstrong = "strong.npy"\nlabels = "labels.csv"\ntarget = "y"
heads = ["linear", "l2"]\nseeds = 3\ntrue_labels = 0.5\nevaluate_on = ["test"]\nsplits = "s.csv"\n"""
Damage = Callable[[bytes, np.random.Generator], bytes]
STRANGE = (b'"', b"'", b"\0", b"\xff", b"\n", b"\r\n", b",", b" ", b"NaN", b"9" * 400, b"[", b"\xef\xbb\xbf")


@pytest.fixture(scope="module")
def valid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a valid file of each kind."""
    folder = tmp_path_factory.mktemp("valid")
    table = pd.DataFrame(VALUES, columns=list(FEATURES.names or ()))
    table.insert(0, "id", IDS)
    for name, write in (("f.csv", table.to_csv), ("f.csv.gz", table.to_csv), ("f.parquet", table.to_parquet)):
        write(folder / name, index=False)
    labels = pd.DataFrame({"id": IDS, "y": VALUES[:, 0] + 1, "g": np.repeat(list("abcd"), 6), "w": 1.0})
    labels.loc[3, "y"] = np.nan
    labels.to_csv(folder / "labels.csv", index=False, lineterminator="\r\n")
    np.save(folder / "f.npy", VALUES)
    np.savez(folder / "f.npz", features=VALUES, ids=IDS)
    (folder / "study.toml").write_text(SETTINGS, encoding="utf-8")
    (folder / "student").mkdir()
    train_student(FEATURES, weak_labels(folder / "labels.csv"), n_folds=2).save(folder / "student")
    inputs = StudyInputs({"one": VALUES[:, :1]}, {"strong": VALUES}, VALUES.sum(axis=1))
    run(inputs, StudyOptions(seeds=2, heads=("linear",)), out=folder / "record")
    return folder


@pytest.fixture
def folder(tmp_path: Path, valid: Path) -> Path:
    """A copy of that folder."""
    shutil.copytree(valid, tmp_path / "copy")
    return tmp_path / "copy"


def features(path: Path) -> None:
    """Every row is there with its id, and every value is finite."""
    found = read_features(path, None if path.suffix == ".npy" else "id")
    assert np.isfinite(found.values).all()
    assert found.ids is None or (len(set(found.ids)) == len(found.values) and "" not in found.ids)
    if ".csv" in path.name:
        assert len(found.values) == rows_of(path)


def weak_labels(path: Path) -> WeakLabels:
    """Labels join the features, and no row of the table is lost."""
    read = read_weak_labels(path, FEATURES, targets=["y"], id_column="id", weights="w", groups="g")
    assert np.count_nonzero(read.groups != "") == rows_of(path)
    assert not np.isinf(read.values).any()
    return read


def rows_of(path: Path) -> int:
    """Count the rows below the first line with another reader of CSV."""
    content = path.read_bytes()
    text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode("utf-8-sig")
    return len(list(csv.reader(io.StringIO(text.strip(" \t\r\n"), newline=""), skipinitialspace=True))) - 1


def settings(path: Path) -> None:
    """Every setting is of its type, and files are found from the folder of the configuration."""
    config = load_config(path, {})
    assert isinstance(config, StudyConfig)
    assert config.labels.is_absolute()


def student(path: Path) -> None:
    """A student has the shape that its head has."""
    assert Student.load(path.parent).head.coef.shape == (3, 1)


def record(path: Path) -> None:
    """A record has its results."""
    assert Record.read(path.parent).results


def mutated(content: bytes, rng: np.random.Generator) -> bytes:
    """Damage a file in one to three places."""
    for _ in range(rng.integers(1, 4)):
        start = int(rng.integers(len(content) + 1))
        before, chunk, after = np.split(
            np.frombuffer(content, np.uint8), [start, start + rng.integers(1, 40)]
        )
        before, chunk, after = before.tobytes(), chunk.tobytes(), after.tobytes()
        lines = content.split(b"\n")
        one, other = rng.integers(len(lines), size=2)
        lines[one], lines[other] = lines[other], lines[one]
        digits = [i for i, byte in enumerate(content) if 48 <= byte < 58] or [0]
        place = digits[rng.integers(len(digits))]
        changes = [
            before + bytes(byte ^ int(rng.integers(1, 256)) for byte in chunk[:2]) + chunk[2:] + after,
            before if rng.random() < 0.5 else content[:-9],
            before + rng.bytes(len(chunk)) + chunk + after,
            before + chunk + chunk + after,
            before + after,
            b"\n".join(lines),
            content[:place] + b"%d" % rng.integers(10) + content[place + 1 :],
            before + STRANGE[rng.integers(len(STRANGE))] + chunk + after,
            content + STRANGE[rng.integers(len(STRANGE))],
        ]
        content = changes[rng.integers(len(changes))]
    return content


def in_gzip(content: bytes, rng: np.random.Generator) -> bytes:
    """Damage what is gzipped, as checksums give any other damage away."""
    return gzip.compress(mutated(gzip.decompress(content), rng), 1)


def in_zip(content: bytes, rng: np.random.Generator) -> bytes:
    """Damage a member of an archive, for the same reason."""
    changed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(changed, "w") as new:
        damaged = rng.choice(old.namelist())
        for name in old.namelist():
            new.writestr(name, mutated(old.read(name), rng) if name == damaged else old.read(name))
    return changed.getvalue()


@pytest.mark.parametrize(
    ("name", "read", "damage", "least"),
    [
        ("f.csv", features, mutated, 10),
        ("f.csv.gz", features, in_gzip, 10),
        ("labels.csv", weak_labels, mutated, 10),
        ("f.parquet", features, mutated, 5),
        ("f.npy", features, mutated, 10),
        ("f.npz", features, mutated, 0),  # checked by its own checksums
        ("f.npz", features, in_zip, 10),
        ("study.toml", settings, mutated, 10),
        ("student/model.json", student, mutated, 10),
        ("record/summary.json", record, mutated, 0),  # by those of the record
    ],
)
def test_a_mutated_file_is_read_or_refused_in_one_line(
    folder: Path, name: str, read: Callable[[Path], object], damage: Damage, least: int
) -> None:
    path, rng = folder / name, np.random.default_rng(0)
    content = path.read_bytes()
    read(path)
    refused = 0
    for _ in range(MUTANTS):
        path.write_bytes(damage(content, rng))
        try:
            read(path)
        except InputError as error:
            refused += 1
            assert "\n" not in str(error)  # noqa: PT017
    assert 20 <= refused <= MUTANTS - least
