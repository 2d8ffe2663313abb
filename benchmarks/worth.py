"""How often the interval of what weak labels are worth holds the truth, in simulated worlds.

``python benchmarks/worth.py``, a quarter of an hour on one core. A world is a linear truth with noise and a
rule that errs by four times as much noise of its own; studies have linear heads. The labels at hand are truly
worth the number of true labels with which direct training errs, in the mean of 4,000 fits to fresh ones, as
much as the students of the study do.
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

from weakstrong import Estimate, study
from weakstrong.studies.divisions import divisions
from weakstrong.studies.inputs import StudyInputs
from weakstrong.studies.settings import StudyOptions
from weakstrong.studies.worth import BudgetPoint, worth_in_true_labels
from weakstrong.votes import GivenLabels

REPLICATES = 200
BUDGET = (15, 20, 30, 40, 60, 80, 120, 160)
WIDTH, FITS = 10, 4000
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


def error(features: np.ndarray, labels: np.ndarray) -> float:
    """The error of a head on fresh rows: the truth is the sum of the features, noise has variance 1."""
    head = LinearRegression().fit(features, labels)
    return float(((head.coef_ - 1) ** 2).sum() + head.intercept_**2 + 1)


@cache
def direct_errors(name: str) -> np.ndarray:
    """The mean error of direct training for each number of true labels."""
    rng = np.random.default_rng(0)
    return np.array([np.mean([error(*world(rng, m, NOISES[name])[:2]) for _ in range(FITS)]) for m in BUDGET])


def worth_of(student_error: float, name: str) -> float:
    """The number of true labels at which the mean error of direct training is a student's."""
    excess = direct_errors(name) - student_error
    known = [BudgetPoint(m, *[Estimate(e, e, e, "mean")] * 2) for m, e in zip(BUDGET, excess, strict=True)]
    found = worth_in_true_labels(known)
    assert found is not None
    return float(found.value)


def covered(name: str, labelled: int, unlabelled: int, seeds: int, replicates: int) -> dict[str, Any]:
    """Count how often the interval of a study holds what its labels are worth."""
    rows = []
    for replicate in range(replicates):
        rng = np.random.default_rng([1, replicate])
        x, y, rule = world(rng, labelled + unlabelled, NOISES[name])
        y[labelled:] = np.nan
        options = {"heads": "linear", "seeds": seeds, "seed": replicate, "budget": BUDGET}
        options |= {"student_rows": round(0.8 * unlabelled)}
        inputs = StudyInputs({}, {"strong": x}, y, weak_labels={"rule": GivenLabels(rule)})
        settings = StudyOptions(**{**options, "heads": ("linear",)})
        students = [error(x[d.student], rule[d.student]) for d in divisions(inputs, settings)]
        worth = (
            study(None, x, y, weak_labels={"rule": rule}, **options)
            .results[0]
            .estimates["worth_in_true_labels"]
        )
        rows.append((worth_of(float(np.mean(students)), name), worth.value, worth.low, worth.high))
    true, value, low, high = np.array(rows).T
    return {
        "noise": name,
        "labelled": labelled,
        "unlabelled": unlabelled,
        "seeds": seeds,
        "worth": float(np.median(true)),
        "median": float(np.median(value)),
        "covered": float(np.mean((low <= true) & (true <= high))),
        "ends_below": float(np.mean(high < true)),
        "median_low": float(np.median(low)),
        "median_high": float(np.median(high)),
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
