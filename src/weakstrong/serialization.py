"""The texts that records are written in: JSON and TOML of plain values, and CSV."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from weakstrong.estimate import Estimate

_JSON_WIDTH = 300


def to_json(value: Any) -> str:
    """Readable JSON with numpy numbers as numbers and NaN as null; short values on one line."""
    return _lines(_plain(value), "") + "\n"


def _lines(value: Any, indent: str) -> str:
    """JSON of plain values: a mapping or list on one line if that is short enough."""
    flat = json.dumps(value, ensure_ascii=False, allow_nan=False)
    if not isinstance(value, dict | list) or len(indent) + len(flat) <= _JSON_WIDTH:
        return flat
    inner = indent + " "
    if isinstance(value, dict):
        parts = [f"{json.dumps(k, ensure_ascii=False)}: {_lines(v, inner)}" for k, v in value.items()]
        opening, closing = "{}"
    else:
        parts = [_lines(v, inner) for v in value]
        opening, closing = "[]"
    return f"{opening}\n" + ",\n".join(inner + part for part in parts) + f"\n{indent}{closing}"


def write_csv(table: pd.DataFrame, file: Any, **options: Any) -> None:
    """Write a table as CSV; where a text has a carriage return, which would not be quoted, all text is."""
    texts = (table[name].unique() for name in table if table[name].dtype.kind not in "fiub")
    has_return = any("\r" in str(text) for values in (table.columns, *texts) for text in values)
    quoting = csv.QUOTE_NONNUMERIC if has_return else csv.QUOTE_MINIMAL
    table.to_csv(file, index=False, quoting=quoting, **options)


def to_toml(values: dict[str, Any]) -> str:
    """TOML of flat settings; those that are None are left out."""
    lines = [f"{k} = {json.dumps(_plain(v), ensure_ascii=False)}" for k, v in values.items() if v is not None]
    return "".join(f"{line}\n" for line in lines).replace("\x7f", "\\u007f")  # which TOML wants escaped


def _plain(value: Any) -> Any:
    if isinstance(value, Estimate):
        value = value.to_dict()
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set):
        return [_plain(v) for v in value]
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return str(value) if isinstance(value, Path) else value
