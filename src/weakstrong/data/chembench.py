"""ESOL, FreeSolv and Lipop with the paper's splits, from a local ChemBench folder or downloaded.

Upstream layout: ``DIR/ESOL/ESOL.csv.gz`` and ``DIR/ESOL/ESOL.random122.ind.pkl`` (github.com/shenwanxiang/
ChemBench, commit 0b10d4c1, ``src/chembench/data_and_index``, MIT), optionally below ``DIR/chembench``.
Files are taken only with the checksums below.
"""

from __future__ import annotations

import hashlib
import io
import os
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from weakstrong.data.downloads import Published, fetch
from weakstrong.errors import InputError

UPSTREAM = "https://raw.githubusercontent.com/shenwanxiang/ChemBench/0b10d4c1/src/chembench/data_and_index/"
SEEDS = (122, 123, 124)
SHA256 = {
    "ESOL.csv.gz": "3eb977a01fd9cf0404f95602aaf80172a167b3c61ab846382c87d655cf7b8e89",
    "ESOL.random122.ind.pkl": "ebac56b86a6cad416aec254c1c30c7733409998807033c080b01a49453a2b283",
    "ESOL.random123.ind.pkl": "e48b49761171b8358734d8b1881090bb60811b09ee04aee24313df2d3c328080",
    "ESOL.random124.ind.pkl": "07591375f16b39609622fd879db3300692bcd70886d5e9bebee4f0fc68f8f1b9",
    "FreeSolv.csv.gz": "46f3df3dbfc65282bdbe01d9d653c625fb8db4ea9528e39c75e8837e04a9ca5a",
    "FreeSolv.random122.ind.pkl": "8a93ced2f63e6c794348ee0de4e6bb64b2d9b96e8c7c1c7322c75f1d5d545942",
    "FreeSolv.random123.ind.pkl": "307655abc9cf4b39bc5681d28b8601e8af1f51dc51bd09960e3de1718a5e3b07",
    "FreeSolv.random124.ind.pkl": "7fa0e2e0e3bec941013badd2f4c1a9f46decf328171a6baa44a2829ebf32cb5f",
    "Lipop.csv.gz": "34280f0adde234bcf477bd98878c9918c9ea51ed859c9efdc31917c6e5ecd758",
    "Lipop.random122.ind.pkl": "bf7acb177e080caf2be9ee220f479f8ea91e0039ff4867a7281753a2fce24a7d",
    "Lipop.random123.ind.pkl": "afaed4c6d95b64ac64e8fb760b6de516802008965befe1601b3664303119a0e8",
    "Lipop.random124.ind.pkl": "2b48a41ccc39b622bbb74f18331ca9d9513190eec2de29144ce2bc7d47ef7ef3",
}
SETS = ("ESOL", "FreeSolv", "Lipop")
_ROLES = ("train", "valid", "test")


@dataclass(frozen=True)
class MoleculeSet:
    """A ChemBench regression set.

    Parameters
    ----------
    name : str
    smiles : Series of str
        White space around them removed.
    y : Series of float
        Log solubility in mol/l (ESOL), hydration free energy in kcal/mol (FreeSolv), log D at
        pH 7.4 (Lipop).
    splits : DataFrame
        Role of each row, ``train``, ``valid`` or ``test``, a column a split: 122, 123, 124.
    """

    name: str
    smiles: pd.Series
    y: pd.Series
    splits: pd.DataFrame


def load_chembench(name: str, folder: Path | None = None) -> MoleculeSet:
    """Read a set and its three splits.

    Parameters
    ----------
    name : str
        ESOL, FreeSolv or Lipop.
    folder : Path, optional
        Local folder in the upstream layout; unless given, the one that the environment variable
        WEAKSTRONG_DATA names; without either, files are downloaded and kept.

    Raises
    ------
    InputError
        If a file is missing or cannot be downloaded, or is not the published one.
    """
    if name not in SETS:
        raise InputError(f"{name}: no such set; there are {', '.join(SETS)}")
    base = _base(folder, name)
    table = pd.read_csv(io.BytesIO(_published(base / name / f"{name}.csv.gz")), compression="gzip")
    smiles, y = table.iloc[:, 0].str.strip(), table.iloc[:, 1].astype(float)
    splits = pd.DataFrame(index=table.index)
    for seed in SEEDS:
        splits[str(seed)] = published_split(base / name / f"{name}.random{seed}.ind.pkl")
    return MoleculeSet(name, smiles.rename("smiles"), y.rename(name), splits)


def _base(folder: Path | None, name: str) -> Path:
    """Folder of the sets' folders, after a download if no local one is named."""
    local = folder or os.environ.get("WEAKSTRONG_DATA")
    if local:
        inner = Path(local) / "chembench"
        return inner if inner.is_dir() else Path(local)
    for file in (f for f in SHA256 if f.startswith(f"{name}.")):
        published = Published(
            UPSTREAM + f"{name}/{file}", f"sha256:{SHA256[file]}", f"chembench/{name}/{file}"
        )
        path = fetch(published, "name a local ChemBench folder in WEAKSTRONG_DATA")
    return path.parents[1]


def published_split(path: Path) -> pd.Series:
    """Role of each row, ``train``, ``valid`` or ``test``, from a published index file; named by its seed.

    Raises
    ------
    InputError
        If the file is missing, or is not one of the published ones.
    """
    path = Path(path)
    lists = read_index_lists(_published(path), str(path))
    roles = {row: role for role, part in zip(_ROLES, lists, strict=True) for row in part}
    return pd.Series(roles, name=path.name.split(".random")[-1].split(".")[0]).sort_index()


def read_index_lists(content: bytes, source: str) -> list[list[int]]:
    """Lists of row numbers from a pickled Series of them, without running anything it names.

    Every class or function that the pickle names is replaced by an inert record of how it was
    called, and only the few that such a Series needs are let through.

    Raises
    ------
    InputError
        If the pickle names anything else, or holds no such lists.
    """
    try:
        lists = _index_lists(_InertUnpickler(io.BytesIO(content)).load())
    except InputError as error:
        raise InputError(f"{source}: {error}") from error
    except Exception as error:  # a damaged pickle can fail in any way
        raise InputError(f"{source}: not a readable index file ({type(error).__name__})") from error
    if not lists:
        raise InputError(f"{source}: holds no lists of row numbers")
    return lists


class _Inert:
    """Stands for any object of a pickle: keeps what it was made of and does nothing."""

    parts: list[Any]

    def __new__(cls, *parts: Any) -> _Inert:
        made = super().__new__(cls)
        made.parts = list(parts)
        return made

    def __setstate__(self, state: Any) -> None:
        self.parts.append(state)


class _InertUnpickler(pickle.Unpickler):
    _NEEDED = frozenset(
        {
            ("builtins", "slice"),
            ("pandas.core.series", "Series"),
            ("pandas.core.internals.managers", "SingleBlockManager"),
            ("pandas.core.indexes.base", "_new_Index"),
            ("pandas.core.indexes.range", "RangeIndex"),
            ("numpy.core.multiarray", "_reconstruct"),
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
        }
    )

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._NEEDED:
            raise InputError(f"the pickle asks for {module}.{name}, which an index needs not; not read")
        return _Inert


def _index_lists(found: Any) -> list[list[int]]:
    """The first list of integer lists inside, depth first."""
    if isinstance(found, list) and found and all(_is_index(part) for part in found):
        return found
    if isinstance(found, _Inert):
        return _index_lists(found.parts)
    parts = list(found.values()) if isinstance(found, dict) else found
    if isinstance(parts, list | tuple):
        return next((lists for part in parts if (lists := _index_lists(part))), [])
    return []


def _is_index(part: Any) -> bool:
    return isinstance(part, list) and bool(part) and all(type(i) is int for i in part)


def _published(path: Path) -> bytes:
    """Content of a file, if it is the published one."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); name a ChemBench folder") from error
    if path.name not in SHA256:
        raise InputError(f"{path}: not the name of a published ChemBench file, as {next(iter(SHA256))}")
    if hashlib.sha256(content).hexdigest() != SHA256[path.name]:
        raise InputError(f"{path}: its checksum is not the published one; get the file again")
    return content
