"""How often intervals of scores of classes hold the truth, in simulated worlds.

``python benchmarks/scores.py``, three minutes on one core. Logits of the classes are normal, the student's
are less noisy than its supervisor's; the truth is each score of 400,000 rows.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from weakstrong.class_gains import in_scores
from weakstrong.class_scores import class_scores
from weakstrong.divergence import hardened

REPLICATES, ROWS_OF_TRUTH = 600, 400_000
# rows, classes, what the supervisor says, rows of a cluster
CELLS = (
    (60, 2, "probabilities", 1),
    (200, 2, "classes", 1),
    (200, 3, "probabilities", 5),
    (500, 2, "probabilities", 1),
    (2000, 2, "one digit", 1),
)
SHOWN = {
    "gain in AUROC": "gain_in_auroc",
    "gain in balanced accuracy": "gain_in_balanced_accuracy",
    "gain in calibration": "gain_in_calibration",
    "gain in discrimination": "gain_in_discrimination",
    "discrimination as fitted": "as_fitted",
}
World = tuple[np.ndarray, dict[str, np.ndarray], np.ndarray]


def world(rng: np.random.Generator, n: int, c: int, says: str, together: int) -> World:
    """Truth, supervisor's and student's probabilities, and clusters of rows that share half of an effect."""
    cluster = np.arange(n) // together
    shared = rng.normal(size=(n, c))[cluster] if together > 1 else 0.0
    logits = 1.2 * rng.normal(size=(n, c)) + 0.8 * shared
    y = np.eye(c)[(logits + rng.gumbel(size=(n, c))).argmax(1)]
    weak = softmax(logits + 1.2 * rng.normal(size=(n, c)) + shared)
    student = softmax(1.5 * logits + 0.6 * rng.normal(size=(n, c)))
    weak = hardened(weak) if says == "classes" else weak.round(1) if says == "one digit" else weak
    return y, {"weak": weak / weak.sum(1, keepdims=True), "strong": student}, cluster


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities of logits."""
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(powers / powers.sum(1, keepdims=True))


def as_fitted(y: np.ndarray, said: dict[str, np.ndarray]) -> float:
    """The gain in discrimination with what isotonic recalibration fits of noise."""
    weak, strong = (class_scores(y, said[name])["discrimination"] for name in ("weak", "strong"))
    return strong - weak


def cell(n: int, c: int, says: str, together: int, replicates: int) -> dict[str, Any]:
    """Count how often intervals hold the truth, and how far their values are from it in the mean."""
    y, said, cluster = world(np.random.default_rng(0), ROWS_OF_TRUTH, c, says, together)
    found = in_scores(y, said, groups=cluster, sample_weight=np.ones(len(y)))
    truth = {name: float(estimate.value) for name, estimate in found.items()}
    truth["as_fitted"] = truth["gain_in_discrimination"]
    held, off = {name: [] for name in truth}, {name: [] for name in truth}
    for replicate in range(replicates):
        y, said, cluster = world(np.random.default_rng([1, replicate]), n, c, says, together)
        found = in_scores(y, said, groups=cluster, sample_weight=np.ones(n))
        for name, estimate in found.items():
            held[name].append(bool(estimate.low <= truth[name] <= estimate.high))
            off[name].append(float(estimate.value) - truth[name])
        plain, width = as_fitted(y, said), found["gain_in_discrimination"]
        off["as_fitted"].append(plain - truth["as_fitted"])
        half = float(width.high - width.low) / 2
        held["as_fitted"].append(abs(off["as_fitted"][-1]) <= half)
    return {
        "rows": n, "classes": c, "supervisor": says, "rows_of_a_cluster": together, "truth": truth,
        "covered": {name: float(np.mean(of)) for name, of in held.items()},
        "bias": {name: float(np.mean(of)) for name, of in off.items()},
    }  # fmt: skip


def table(record: dict[str, Any]) -> list[str]:
    """Return the lines of docs/benchmarks.md."""
    lines = [
        f"| rows | classes | supervisor says | {' | '.join(SHOWN)} |",
        "|---:|---:|---|" + "---:|" * len(SHOWN),
    ]
    for of in record["cells"]:
        together = of["rows_of_a_cluster"]
        rows = f"{of['rows']}{f', in clusters of {together}' if together > 1 else ''}"
        shares = " | ".join(f"{100 * of['covered'][name]:.0f}%" for name in SHOWN.values())
        lines.append(f"| {rows} | {of['classes']} | {of['supervisor']} | {shares} |")
    return lines


def main() -> None:
    """Measure every design, print the table and write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "scores.json")
    parser.add_argument("--replicates", type=int, default=REPLICATES)
    options = parser.parse_args()
    record = {
        "cells": [cell(*of, options.replicates) for of in CELLS],
        "settings": {"replicates": options.replicates, "rows_of_truth": ROWS_OF_TRUTH},
        "versions": {"python": platform.python_version()}
        | {p: version(p) for p in ("weakstrong", "numpy", "scipy", "scikit-learn")},
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }
    record = json.loads(json.dumps(record))  # as it is read again
    options.out.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print("\n".join(table(record)))


if __name__ == "__main__":
    main()
