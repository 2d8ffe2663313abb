"""The rows of a target for one seed."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from weakstrong.experiments.config import Figure1Config, TargetConfig, Theorem2Config, WeakToStrongConfig
from weakstrong.experiments.figure1 import run_slices
from weakstrong.experiments.pretrained import load, needed
from weakstrong.experiments.tasks import run_tasks
from weakstrong.experiments.theorem2 import run_worlds
from weakstrong.records import write_atomically
from weakstrong.report.progress import Advance


def rows_of_seed(config: TargetConfig, seed: int, cache: Path) -> pd.DataFrame:
    """Rows of a seed, with the representations that are kept in the cache."""
    if isinstance(config, Theorem2Config):
        return run_worlds(config, seed)
    if isinstance(config, Figure1Config):
        return run_slices(config, seed)
    assert isinstance(config, WeakToStrongConfig)
    learnt = {role: load(job.file(cache)) for role, job in needed(config, seed).items()}
    rows = run_tasks(config, seed, {role: network for role, (network, _) in learnt.items()})
    return rows.assign(**{f"{role}_pretraining_loss": loss for role, (_, loss) in learnt.items()})


def keep_rows(config: TargetConfig, seed: int, cache: Path, file: Path, advance: Advance) -> None:
    """Compute the rows of a seed and write them to a file."""
    rows = rows_of_seed(config, seed, cache)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(file, rows.to_parquet(index=False))
    advance(1)


def kept_rows(files: list[Path]) -> pd.DataFrame:
    """Rows of several seeds, from their files."""
    return pd.concat([pd.read_parquet(file) for file in files], ignore_index=True)
