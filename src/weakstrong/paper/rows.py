"""The rows of a target for one seed."""

from __future__ import annotations

from functools import singledispatch
from pathlib import Path

import pandas as pd

from weakstrong.paper.config import (
    Figure1Config,
    MoleculesConfig,
    TargetConfig,
    Theorem2Config,
    WeakToStrongConfig,
)
from weakstrong.paper.figure1 import run_slices
from weakstrong.paper.molecule_divisions import MoleculeInputs, run_division
from weakstrong.paper.networks import load, needed
from weakstrong.paper.tasks import run_tasks
from weakstrong.paper.theorem2 import run_worlds
from weakstrong.progress import Advance
from weakstrong.storage import write_atomically


@singledispatch
def rows_of_seed(config: TargetConfig, seed: int, source: Path) -> pd.DataFrame:
    """Rows of a seed, with the networks of a cache folder, or on molecules from the inputs of a file."""
    raise TypeError(f"no such experiment: {type(config).__name__}")


@rows_of_seed.register
def _(config: WeakToStrongConfig, seed: int, source: Path) -> pd.DataFrame:
    learnt = {role: load(job.file(source)) for role, job in needed(config, seed).items()}
    rows = run_tasks(config, seed, {role: network for role, (network, _) in learnt.items()})
    return rows.assign(**{f"{role}_pretraining_loss": loss for role, (_, loss) in learnt.items()})


@rows_of_seed.register
def _(config: Theorem2Config, seed: int, source: Path) -> pd.DataFrame:
    return run_worlds(config, seed)


@rows_of_seed.register
def _(config: Figure1Config, seed: int, source: Path) -> pd.DataFrame:
    return run_slices(config, seed)


@rows_of_seed.register
def _(config: MoleculesConfig, seed: int, source: Path) -> pd.DataFrame:
    return run_division(config, MoleculeInputs.load(source), seed)


def keep_rows(config: TargetConfig, seed: int, source: Path, file: Path, advance: Advance) -> None:
    """Compute the rows of a seed and write them to a file."""
    rows = rows_of_seed(config, seed, source)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(file, rows.to_parquet(index=False))
    advance(1)


def kept_rows(files: list[Path]) -> pd.DataFrame:
    """Rows of several seeds, from their files."""
    return pd.concat([pd.read_parquet(file) for file in files], ignore_index=True)
