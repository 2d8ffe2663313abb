"""The molecule sets ESOL, FreeSolv and Lipop with the paper's splits, read from a folder or downloaded.

Upstream layout: ``DIR/ESOL/ESOL.csv.gz`` and ``DIR/ESOL/ESOL.random122.ind.pkl`` (github.com/shenwanxiang/
ChemBench, commit 0b10d4c1, ``src/chembench/data_and_index``, MIT), optionally below ``DIR/chembench``.
Files are accepted only with the checksums of `weakstrong.data.index_files`.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from weakstrong.data.downloads import Published, fetch
from weakstrong.data.index_files import SHA256, published_content, published_split
from weakstrong.data.user_files import data_folder
from weakstrong.errors import InputError

UPSTREAM = "https://raw.githubusercontent.com/shenwanxiang/ChemBench/0b10d4c1/src/chembench/data_and_index/"
SEEDS = (122, 123, 124)
SETS = ("ESOL", "FreeSolv", "Lipop")


@dataclass(frozen=True)
class MoleculeSet:
    """A ChemBench regression set: molecules, a measured property and splits.

    Parameters
    ----------
    name : str
    smiles : Series of str
        White space around them removed.
    y : Series of float
        Log solubility in mol/l (ESOL), hydration free energy in kcal/mol (FreeSolv), log D at
        pH 7.4 (Lipop).
    splits : DataFrame
        Role of each row, ``train``, ``valid`` or ``test``, with one column per split: 122, 123, 124.
    """

    name: str
    smiles: pd.Series
    y: pd.Series
    splits: pd.DataFrame


def load_chembench(name: str, folder: Path | None = None) -> MoleculeSet:
    """Read a molecule set and its three splits.

    Parameters
    ----------
    name : str
        ESOL, FreeSolv or Lipop.
    folder : Path, optional
        Local folder in the upstream layout. By default it is the one that the environment variable
        WEAKSTRONG_DATA names; without either, files are downloaded and kept.

    Raises
    ------
    InputError
        If a file is missing or cannot be downloaded, or is not the published one.
    """
    if name not in SETS:
        raise InputError(f"{name}: no such set; there are {', '.join(SETS)}")
    base = _base(folder, name)
    table = pd.read_csv(io.BytesIO(published_content(base / name / f"{name}.csv.gz")), compression="gzip")
    smiles, y = table.iloc[:, 0].str.strip(), table.iloc[:, 1].astype(float)
    splits = pd.DataFrame(index=table.index)
    for seed in SEEDS:
        splits[str(seed)] = published_split(base / name / f"{name}.random{seed}.ind.pkl")
    return MoleculeSet(name, smiles.rename("smiles"), y.rename(name), splits)


def _base(folder: Path | None, name: str) -> Path:
    """Return the folder that holds the folders of the sets, after a download if no local one is named."""
    local = data_folder(folder)
    if local is not None:
        inner = local / "chembench"
        return inner if inner.is_dir() else local
    for file in (f for f in SHA256 if f.startswith(f"{name}.")):
        published = Published(
            UPSTREAM + f"{name}/{file}", f"sha256:{SHA256[file]}", f"chembench/{name}/{file}"
        )
        path = fetch(published, "name a local ChemBench folder in WEAKSTRONG_DATA")
    return path.parents[1]
