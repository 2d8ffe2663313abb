"""Index files of ChemBench: pickled row numbers of published splits, read without running any code.

Files are accepted only under their published names and with the checksums below.
"""

from __future__ import annotations

import hashlib
import io
import pickle
from pathlib import Path
from typing import Any

import pandas as pd

from weakstrong.data.user_files import reading
from weakstrong.errors import InputError

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
_ROLES = ("train", "valid", "test")


def published_split(path: Path) -> pd.Series:
    """Read the role of each row from a published index file.

    Roles are ``train``, ``valid`` and ``test``; the Series is named by the seed of the split.

    Raises
    ------
    InputError
        If the file is missing, or is not one of the published ones.
    """
    path = Path(path)
    lists = read_index_lists(published_content(path), str(path))
    roles = {row: role for role, part in zip(_ROLES, lists, strict=True) for row in part}
    return pd.Series(roles, name=path.name.split(".random")[-1].split(".")[0]).sort_index()


def read_index_lists(content: bytes, source: str) -> list[list[int]]:
    """Read lists of row numbers from a pickled Series of them, without running anything that it names.

    Every class or function that the pickle names is replaced by an inert record of how it was
    called, and only the few that such a Series needs are allowed.

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
    """A stand-in for any object of a pickle: it keeps its parts and does nothing."""

    parts: list[Any]

    def __new__(cls, *parts: Any) -> _Inert:
        inert = super().__new__(cls)
        inert.parts = list(parts)
        return inert

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
            raise InputError(f"the pickle asks for {module}.{name}, which no index needs; not read")
        return _Inert


def _index_lists(node: Any) -> list[list[int]]:
    """Return the first list of integer lists inside an object, searched depth first."""
    if isinstance(node, list) and node and all(_is_index(part) for part in node):
        return node
    if isinstance(node, _Inert):
        return _index_lists(node.parts)
    parts = list(node.values()) if isinstance(node, dict) else node
    if isinstance(parts, list | tuple):
        return next((lists for part in parts if (lists := _index_lists(part))), [])
    return []


def _is_index(part: Any) -> bool:
    return isinstance(part, list) and bool(part) and all(type(i) is int for i in part)


def published_content(path: Path) -> bytes:
    """Read a file of the benchmark, and refuse it if it is not the published one.

    Raises
    ------
    InputError
        If the file is missing, or has another name or checksum than the published one.
    """
    with reading(path, "a published file", "name a ChemBench folder"):
        content = path.read_bytes()
    if path.name not in SHA256:
        raise InputError(f"{path}: not the name of a published ChemBench file, as {next(iter(SHA256))}")
    if hashlib.sha256(content).hexdigest() != SHA256[path.name]:
        raise InputError(f"{path}: its checksum is not the published one; get the file again")
    return content
