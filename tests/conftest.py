"""Fixtures shared by the tests of files and of the command line."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple, NoReturn

import numpy as np
import pandas as pd
import pytest

from weakstrong import cli

os.environ.setdefault("MKL_CBWR", "AUTO")  # as worker processes have it, before torch loads


class Ran(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Run ``weakstrong`` with arguments, in this process."""

    def ran(*arguments: object) -> Ran:
        monkeypatch.setattr("sys.argv", ["weakstrong", *map(str, arguments)])
        code = 0
        try:
            cli.main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return ran


@pytest.fixture
def data_folder() -> Path:
    """Local copies of the public data: WEAKSTRONG_DATA, or shared/data beside this repository."""
    beside = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("WEAKSTRONG_DATA", beside))
    if not (folder / "chembench").is_dir():
        without(f"no chembench/ in {folder}: name a data folder in WEAKSTRONG_DATA", os.environ)
    return folder


def without(reason: str, environment: Mapping[str, str]) -> NoReturn:
    """Skip a test whose data are not there; on a machine that tests every change (CI) it fails."""
    if environment.get("CI", "").lower() in ("", "0", "false"):
        pytest.skip(reason)
    pytest.fail(reason)


@pytest.fixture(scope="session", autouse=True)
def cache_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Computed rows of the tests are kept for this run only."""
    os.environ["WEAKSTRONG_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def molecules() -> list[str]:
    """A few hundred different molecules: chains with a ring, a group and some of them a stereo mark."""
    rings = ["c1ccccc1", "C1CCNCC1", "c1ccncc1", "c1ccsc1", "C1=CC=CO1", "c1c[nH]c2ccccc12"]
    groups = ["O", "N", "Cl", "Br", "C(=O)O", "C#N", "S(=O)(=O)N", "[N+](=O)[O-]", "F", "[C@H](O)C", "/C=C/F"]
    simple = ["C" * k + r for k in range(1, 6) for r in rings]
    ends = ["C" * k + "c1ccc(cc1)" + g for k in range(1, 6) for g in groups]
    return simple + ends + ["C" * k + f"C({g})" + r for k in range(1, 5) for r in rings for g in groups[:9]]


class World(NamedTuple):
    folder: Path
    strong: np.ndarray
    weak: np.ndarray
    labels: pd.DataFrame


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Files of a small study: the truth is linear in the strong features, the weak ones see part of it."""
    rng = np.random.default_rng(7)
    strong = rng.normal(size=(120, 5))
    weak = np.column_stack([np.sign(strong[:, 0]), strong[:, 1] ** 2])
    truth = strong @ [2.0, 1.0, -1.0, 0.5, 0.0] + 3.0
    names = [f"r{i:03d}" for i in range(len(truth))]
    labels = pd.DataFrame({"id": names, "y": truth, "site": np.arange(120) // 2})
    np.save(tmp_path / "strong.npy", strong)
    np.save(tmp_path / "weak.npy", weak)
    labels.to_csv(tmp_path / "labels.csv", index=False)
    return World(tmp_path, strong, weak, labels)
