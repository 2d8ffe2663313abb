"""How often the interval of what weak labels are worth holds the truth, in simulated worlds.

``python benchmarks/worth.py``, half an hour on one core. A world is a linear truth with noise and a rule that
errs by four times as much noise of its own; studies have linear heads. What the rule's labels are worth, in
truth, is where the mean errors of direct training and of the student cross over fresh rows, labels and draws:
2,000 fits of each.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Callable
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LinearRegression

from weakstrong import study
from weakstrong.estimate import Estimate
from weakstrong.studies.worth import BudgetPoint, worth_in_true_labels

REPLICATES = 200
BUDGET = (15, 20, 30, 40, 60, 80, 120, 160)
WIDTH, TEST = 10, 4000
Noise = Callable[[np.random.Generator, int], np.ndarray]
NOISES: dict[str, Noise] = {
    "normal": lambda rng, n: rng.normal(size=n),
    "t with 3 degrees of freedom": lambda rng, n: rng.standard_t(3, size=n) / np.sqrt(3),
}


def world(rng: np.random.Generator, n: int, noise: Noise) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features, truth and a rule's labels of n rows."""
    x = rng.normal(size=(n, WIDTH))
    y = x.sum(1) + noise(rng, n)
    return x, y, y + 4.0 * noise(rng, n)


def errors(rng: np.random.Generator, count: int, noise: Noise, *, weak: bool) -> float:
    """The error on fresh rows of heads fitted to so many labels."""
    x, y, rule = world(rng, count, noise)
    head = LinearRegression().fit(x, rule if weak else y)
    new, truth, _ = world(rng, TEST, noise)
    return float(np.mean((head.predict(new) - truth) ** 2))


@cache
def number(noise: Noise, student_rows: int) -> float:
    """Where the mean errors cross, from many fits."""
    rng = np.random.default_rng(0)
    strong = np.mean([errors(rng, student_rows, noise, weak=True) for _ in range(2000)])
    curve = []
    for count in BUDGET:
        excess = float(np.mean([errors(rng, count, noise, weak=False) for _ in range(2000)]) - strong)
        curve.append(BudgetPoint(count, *[Estimate(excess, excess, excess, "mean")] * 2))
    found = worth_in_true_labels(curve)
    assert found is not None
    return float(found.value)


def covered(name: str, labelled: int, unlabelled: int, seeds: int, replicates: int) -> dict[str, Any]:
    """Count how often the interval of a study holds what the labels are worth."""
    noise = NOISES[name]
    true = number(noise, round(0.8 * unlabelled))
    holds, below, lows, highs, points = 0, 0, [], [], []
    for replicate in range(replicates):
        rng = np.random.default_rng([1, replicate])
        x, y, rule = world(rng, labelled + unlabelled, noise)
        y[labelled:] = np.nan
        found = study(
            None, x, y, weak_labels={"rule": rule}, heads="linear", seeds=seeds, seed=replicate,
            student_rows=round(0.8 * unlabelled), budget=BUDGET,
        )  # fmt: skip
        worth = found.results[0].estimates["worth_in_true_labels"]
        holds += bool(worth.low <= true <= worth.high)
        below += bool(worth.high < true)
        lows.append(worth.low)
        highs.append(worth.high)
        points.append(worth.value)
    return {
        "noise": name,
        "labelled": labelled,
        "unlabelled": unlabelled,
        "seeds": seeds,
        "worth": true,
        "median": float(np.median(points)),
        "covered": holds / replicates,
        "ends_below": below / replicates,
        "median_low": float(np.median(lows)),
        "median_high": float(np.median(highs)),
    }


def table(record: dict[str, Any]) -> list[str]:
    """Return the lines of docs/benchmarks.md."""
    titles = (
        "noise",
        "true labels",
        "other rows",
        "seeds",
        "worth",
        "median",
        "interval",
        "covers",
        "ends below",
    )
    lines = [f"| {' | '.join(titles)} |", "|---|" + "---:|" * 8]
    for c in record["cells"]:
        high = f"{c['median_high']:.0f}" if c["median_high"] is not None else f"> {BUDGET[-1]}"
        shown = [c["noise"], *(str(c[name]) for name in ("labelled", "unlabelled", "seeds"))]
        shown += [f"{c[name]:.0f}" for name in ("worth", "median")]
        shown += [
            f"{c['median_low']:.0f} to {high}",
            *(f"{100 * c[n]:.0f}%" for n in ("covered", "ends_below")),
        ]
        lines.append(f"| {' | '.join(shown)} |")
    return lines


def main() -> None:
    """Measure every design, print the table and write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "worth.json")
    parser.add_argument("--replicates", type=int, default=REPLICATES)
    options = parser.parse_args()
    cells = [
        covered(name, labelled, unlabelled, seeds, options.replicates)
        for name in NOISES
        for labelled, unlabelled in ((200, 600), (1000, 600))
        for seeds in (5, 20)
    ]
    for cell in cells:  # JSON has no infinity
        cell["median_high"] = None if np.isinf(cell["median_high"]) else cell["median_high"]
    record = {
        "cells": cells,
        "settings": {"replicates": options.replicates, "budget": BUDGET, "width": WIDTH},
        "versions": {"python": platform.python_version()}
        | {p: version(p) for p in ("weakstrong", "numpy", "scipy", "scikit-learn")},
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }
    record = json.loads(json.dumps(record))  # as it is read again
    options.out.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print("\n".join(table(record)))


if __name__ == "__main__":
    main()
