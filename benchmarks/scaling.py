"""How columns are scaled and new rows drawn in, beside other rules, on real features.

``python benchmarks/scaling.py --data DIR`` (or WEAKSTRONG_DATA), about five minutes. DIR has frozen features
of molecules (``features/{SET}.{ENCODER}.npy``, labels in ``chembench/``) and of sentences (``text/*.npy``,
labels in ``text/polarity.csv``), and UCI protein (``uci/protein/data.csv.gz``), also with one column in
millionths of its unit. Heads in a ball with a cross-validated radius (and linear ones, where features are
fewer than rows) are fitted to some rows of each of eight random divisions and judged by their mean squared
error on the others:

- "by spread": columns scaled by their spread on the rows fitted (in each fold on its own), as stood before;
- "as they are": columns of rounding left out, one scale in all folds, new rows as they are;
- "each clipped": that, and each feature of a new row clipped to its range on the rows fitted, widened by
  half of it on either side;
- "ours": that, but the new row drawn in whole towards the mean of the rows fitted;
- "floor": scaled by the spread, but by a tenth of the median spread at least;
- "one scale": the same for all columns.

Intervals are Student's t over the divisions, which share rows, so they are rather too narrow.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from weakstrong import Estimate, HeadProjection, L2Ball, Moments, project
from weakstrong.cross_validation import FoldAssigner, cross_validate
from weakstrong.errors import UnlikeRowsWarning

FITTED, DIVISIONS, FOLDS = (100, 450), 8, 5
MOST_JUDGED = 5000
MOLECULES = ("ESOL", "FreeSolv", "Lipop")
RULES = ("by spread", "as they are", "each clipped", "ours", "floor", "one scale")
LINEAR_RULES = RULES[1:4]  # the others scale columns, which makes no difference to linear heads

Predict = Callable[[np.ndarray], np.ndarray]


def sets(data: Path) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield every set: name, features and labels."""
    for name in MOLECULES:
        labels = pd.read_csv(data / "chembench" / name / f"{name}.csv.gz").iloc[:, -1].to_numpy(dtype=float)
        for path in sorted((data / "features").glob(f"{name}.*.npy")):
            yield path.stem, np.load(path), labels
    positive = (pd.read_csv(data / "text/polarity.csv")["label"] == "positive").to_numpy(dtype=float)
    for path in sorted((data / "text").glob("*.npy")):
        features = np.load(path)
        yield path.stem, features, positive[: len(features)]
    table = pd.read_csv(data / "uci/protein/data.csv.gz", header=None).to_numpy()
    yield "protein", table[:, :-1], table[:, -1]
    yield "protein, a column in millionths", table[:, :-1] * np.r_[1e-6, np.ones(8)], table[:, -1]


def fitted(rule: str, x: np.ndarray, y: np.ndarray, heads: str) -> Predict:
    """Fit a head by one of the rules."""
    if rule in LINEAR_RULES:
        model = HeadProjection(heads, clip=rule != "as they are").fit(x, y)
        if rule != "each clipped":
            return model.predict
        low, high = model.feature_range_.bounds
        return lambda new: model.head_(np.clip(new.astype(float), low, high))[:, 0]
    fold = FoldAssigner(FOLDS, 0)(np.arange(len(y)))
    parts = [Moments.of(x[fold == k], y[fold == k]) for k in range(FOLDS)]
    whole = Moments.merge(parts)
    scale = scale_of(rule, whole)
    found = cross_validate(parts, L2Ball(scale=scale))
    radius = found.heads.radius  # type: ignore[attr-defined]
    if rule == "by spread":
        assert found.radii is not None
        radii, errors = found.radii[:, 0], np.zeros(len(found.radii))
        copies = [0] * len(radii)
        for k, part in enumerate(parts):
            rest = Moments.merge(parts[:k] + parts[k + 1 :]).select(copies)
            head = project(rest, L2Ball(radii, scale=scale_of(rule, rest))).head
            errors += part.weight * part.select(copies).mse(head)
        radius = radii[errors.argmin()]
    head = project(whole, L2Ball(radius, scale=scale)).head
    return lambda new: head(new)[:, 0]


def scale_of(rule: str, moments: Moments) -> np.ndarray:
    """Return what columns are divided by."""
    spread = np.linalg.norm(moments.factor, axis=0) / np.sqrt(moments.mass)
    if rule == "floor":
        return np.maximum(spread, 0.1 * np.median(spread))
    return np.full_like(spread, np.sqrt(np.mean(spread**2))) if rule == "one scale" else spread


def compare(x: np.ndarray, y: np.ndarray, rows: int, heads: str) -> dict[str, Any]:
    """Fit to so many rows of every division, by every rule, and judge on others."""
    rules, before = (RULES, "by spread") if heads == "l2" else (LINEAR_RULES, "as they are")
    errors = {rule: np.empty(DIVISIONS) for rule in rules}
    largest = dict.fromkeys(rules, 0.0)
    for seed in range(DIVISIONS):
        order = np.random.default_rng(seed).permutation(len(y))
        mine, others = order[:rows], order[rows:][:MOST_JUDGED]
        for rule in rules:
            squared = (fitted(rule, x[mine], y[mine], heads)(x[others]) - y[others]) ** 2
            errors[rule][seed] = squared.mean()
            largest[rule] = max(largest[rule], float(np.sqrt(squared.max())))
    change = Estimate.of_mean(errors["ours"] - errors[before], np.arange(DIVISIONS))
    model = HeadProjection("l2").fit(x[mine], y[mine])
    return {
        "heads": heads,
        "rows_fitted": rows,
        "error": {rule: float(values.mean()) for rule, values in errors.items()},
        "largest_error": largest,
        "ours_less_before": change.to_dict(),
        "label_variance": float(y.var()),
        "ignored": model.n_ignored_features_,
    }


def table(record: dict[str, Any]) -> list[str]:
    """Return the lines of docs/benchmarks.md: mean squared errors, and the change with its interval."""
    lines = [f"| features | heads | rows fitted | {' | '.join(RULES)} | ours less before [95%] | no effect |"]
    lines.append("|---|---|---:|" + "---:|" * (len(RULES) + 2))
    for name, cells in record["sets"].items():
        for cell in cells:
            change = cell["ours_less_before"]
            shown = [f"{cell['error'][rule]:.4g}" if rule in cell["error"] else "" for rule in RULES]
            shown.append(f"{change['value']:+.2g} [{change['low']:+.2g}, {change['high']:+.2g}]")
            place = f"{name} | {cell['heads']} | {cell['rows_fitted']}"
            lines.append(f"| {place} | {' | '.join(shown)} | {cell['ignored']} |")
    return lines


def main() -> None:
    """Run every set, print the table and write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "scaling.json")
    parser.add_argument("--data", type=Path, default=os.environ.get("WEAKSTRONG_DATA"))
    options = parser.parse_args()
    if options.data is None:
        parser.error("give --data DIR, or set WEAKSTRONG_DATA")
    warnings.simplefilter("ignore", UnlikeRowsWarning)
    found = {}
    for name, x, y in sets(options.data):
        found[name] = [
            compare(x, y, rows, heads)
            for heads in ("l2", "linear")
            for rows in FITTED
            if heads == "l2" or x.shape[1] < rows
        ]
        print(name, [cell["error"] for cell in found[name]], flush=True)
    record = {
        "sets": found,
        "settings": {
            "fitted": FITTED, "divisions": DIVISIONS, "folds": FOLDS, "most_judged": MOST_JUDGED,
        },
        "versions": {"python": platform.python_version()}
        | {p: version(p) for p in ("weakstrong", "numpy", "scipy")},
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }  # fmt: skip
    options.out.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    print("\n".join(table(record)))


if __name__ == "__main__":
    main()
