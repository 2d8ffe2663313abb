"""Fixtures shared by the tests of files and of the command line."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

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
        pytest.skip(f"no chembench/ in {folder}: name a data folder in WEAKSTRONG_DATA")
    return folder


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
