"""Lists of SMILES, read from files or named corpora; faulty ones are refused, or dropped on request."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from weakstrong.data.downloads import Published, fetch
from weakstrong.data.row_cache import Meter, cached_rows
from weakstrong.data.tables import read_table, text_column
from weakstrong.data.user_files import reading
from weakstrong.errors import InputError, quoted
from weakstrong.identity import file_hash

# ChEMBL molecules, the training set of the GuacaMol benchmark (Brown et al. 2019).
NAMED = {
    "guacamol": Published(
        "https://ndownloader.figshare.com/files/13612760",
        "md5:05ad85d871958a05c02ab51a4fde8530",
        "guacamol_v1_train.smi",
    )
}
_SHOWN = 2000  # from this many SMILES on, the check takes long enough to show progress
_LINES = (".smi", ".smi.gz", ".txt", ".txt.gz")
_TABLES = (".csv", ".csv.gz", ".parquet")


@dataclass(frozen=True)
class SmilesFile:
    """The SMILES of a file, as they are written there.

    Parameters
    ----------
    smiles : list of str
        White space around them removed.
    path : Path
    """

    smiles: list[str]
    path: Path


@dataclass(frozen=True)
class Corpus:
    """A corpus of molecules, checked for use.

    Parameters
    ----------
    smiles : list of str
    name : str
        Name of the corpus, or of its file.
    sha256 : str
        SHA-256 of the file.
    dropped : dict of str to int
        How many rows were left out on request, by reason.
    """

    smiles: list[str]
    name: str
    sha256: str
    dropped: dict[str, int]


def read_smiles(path: Path, column: str | None = None, limit: int | None = None) -> SmilesFile:
    """Read SMILES from the lines of a text file or from a column of a table.

    In a line, such as of a ``.smi`` file, what follows white space is a name.

    Parameters
    ----------
    path : Path
        ``.smi``, ``.txt`` or ``.csv``, plain or gzipped, or ``.parquet``.
    column : str, optional
        Column of a table, by default the one whose name has "smiles" in it.
    limit : int, optional
        Number of rows to read, from the start.

    Raises
    ------
    InputError
        If the file cannot be read, or has no SMILES or no such column.
    """
    path = Path(path)
    if path.name.endswith(_LINES):
        if column is not None:
            raise InputError(f"{path}: has no columns, so leave out {column!r}")
        smiles = _read_lines(path, limit)
    elif path.name.endswith(_TABLES):
        frame = read_table(path)
        chosen = _column(path, [str(c) for c in frame.columns], column)
        smiles = text_column(path, frame, chosen)[:limit]
    else:
        raise InputError(f"{path}: SMILES are read from {', '.join((*_LINES, *_TABLES))}")
    if not smiles:
        raise InputError(f"{path}: holds no SMILES")
    return SmilesFile(smiles, path)


def read_corpus(
    source: str,
    *,
    column: str | None = None,
    limit: int | None = None,
    max_tokens: int = 126,
    drop_invalid: bool = False,
    meter: Meter | None = None,
) -> Corpus:
    """Read a corpus and check every SMILES in it.

    Parameters
    ----------
    source : str
        A file, or a name in `NAMED`.
    column, limit
        As in `read_smiles`.
    max_tokens : int, default 126
        Longest molecule accepted, in tokens.
    drop_invalid : bool, default False
        Leave out, and count, what cannot be used, instead of refusing it.
    meter : callable, optional

    Raises
    ------
    InputError
        On the first SMILES that cannot be used, with its row and text.
    """
    if limit is not None and limit < 1:
        raise InputError(f"limit = {limit}: must be at least 1")
    if source in NAMED:
        path = fetch(NAMED[source], f"give the path of a local copy instead of {source}")
    else:
        path = Path(source)
    file = read_smiles(path, column, limit)
    rows, dropped = usable_rows(file, max_tokens, drop_invalid=drop_invalid, meter=meter)
    smiles = file.smiles if not dropped else [file.smiles[i] for i in rows]
    return Corpus(smiles, source if source in NAMED else path.name, file_hash(path), dropped)


def usable_rows(
    file: SmilesFile, max_tokens: int, *, drop_invalid: bool, meter: Meter | None = None
) -> tuple[np.ndarray, dict[str, int]]:
    """Return the rows whose SMILES can be used, and the numbers left out on request, by reason.

    Parameters
    ----------
    file : SmilesFile
    max_tokens : int
        Longest molecule accepted, in tokens; 0 for any that is valid, whatever its elements.
    drop_invalid : bool
        Leave out, and count, what cannot be used, instead of refusing it.
    meter : callable, optional

    Raises
    ------
    InputError
        On the first SMILES that cannot be used, with its row and text; with `drop_invalid`, if none can.
    """
    from weakstrong.molecules.smiles import FAULTS, problem

    faults = fault_codes(file.smiles, max_tokens, meter=meter)
    at_fault = np.flatnonzero(faults)
    if at_fault.size and not drop_invalid:
        row, others = at_fault[0], at_fault.size - 1
        more = f" ({others} more row{'s are' if others > 1 else ' is'} at fault)" if others else ""
        header = " (a header? leave it out)" if row == 0 and "smiles" in file.smiles[0].lower() else ""
        raise InputError(
            f"{file.path}: row {row} (counted from 0): {quoted(file.smiles[row])}: "
            f"{problem(file.smiles[row], max_tokens)[1]}{header}{more}; "
            "correct or remove it, or leave such rows out",
            "drop_invalid",
        )
    if at_fault.size == len(faults):
        raise InputError(
            f"{file.path}: no SMILES of it can be used "
            f"(the first: {quoted(file.smiles[0])}: {problem(file.smiles[0], max_tokens)[1]})"
        )
    counts = np.bincount(faults, minlength=len(FAULTS))
    return np.flatnonzero(faults == 0), {
        FAULTS[i]: int(counts[i]) for i in range(1, len(FAULTS)) if counts[i]
    }


def fault_codes(
    smiles: list[str], max_tokens: int, *, meter: Meter | None = None, workers: int | None = None
) -> np.ndarray:
    """Check SMILES for faults in parallel; results of earlier checks are read from the cache."""
    from weakstrong.molecules.smiles import RDKIT, problems

    return cached_rows(
        problems, smiles, max_tokens, libraries=(RDKIT,),
        meter=meter if len(smiles) >= _SHOWN else None, description="checking SMILES", workers=workers,
    )  # fmt: skip


def _column(path: Path, columns: list[str], wanted: str | None) -> str:
    named = [c for c in columns if "smiles" in c.lower()] if wanted is None else [wanted]
    if wanted is not None and wanted not in columns:
        raise InputError(f"{path}: no column {wanted!r}; columns: {', '.join(columns)}")
    if len(named) != 1:
        fault = "no column has" if not named else "several columns have"
        raise InputError(
            f"{path}: {fault} 'smiles' in the name; name the column to read, one of {', '.join(columns)}"
        )
    return named[0]


def _read_lines(path: Path, limit: int | None) -> list[str]:
    smiles: list[str] = []
    with (
        reading(path, "a readable file of SMILES"),
        gzip.open(path) if path.name.endswith(".gz") else path.open("rb") as lines,
    ):
        for line in (part for whole in lines for part in whole.rstrip(b"\r\n").split(b"\r")):
            if len(smiles) == limit:
                break
            try:
                text = line.decode("utf-8" if smiles else "utf-8-sig")
            except UnicodeDecodeError as error:
                raise InputError(
                    f"{path}: row {len(smiles)} (counted from 0): not text in UTF-8; give a file of SMILES"
                ) from error
            smiles.append((text.split() or [""])[0])
        while smiles and not smiles[-1]:  # blank lines at the end are no rows
            smiles.pop()
    return smiles
