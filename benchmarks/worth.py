"""How often the interval of what weak labels are worth holds the number that it is about, in simulated worlds.

Run ``python benchmarks/worth.py [REPLICATES]`` (half an hour on one core); it writes
``benchmarks/results/worth.csv``. A world is a linear truth with noise and a rule that errs by noise of its own;
the number is where the mean errors of direct training and of the student cross, over fresh rows, labels and
draws.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.linear_model import LinearRegression

from weakstrong import study
from weakstrong.estimate import Estimate
from weakstrong.studies.worth import BudgetPoint, worth_in_true_labels

RESULTS = Path(__file__).parent / "results" / "worth.csv"
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


def covered(name: str, labelled: int, unlabelled: int, seeds: int, replicates: int) -> dict[str, object]:
    """Count how often the interval of a study holds the number."""
    noise = NOISES[name]
    true = number(noise, round(0.8 * unlabelled))
    holds, below, widths, points = 0, 0, [], []
    for replicate in range(replicates):
        rng = np.random.default_rng([1, replicate])
        x, y, rule = world(rng, labelled + unlabelled, noise)
        y[labelled:] = np.nan
        found = study(
            None, x, y, weak_labels={"rule": rule}, heads="linear", seeds=seeds, seed=replicate,
            budget=BUDGET,
        )  # fmt: skip
        worth = found.results[0].estimates["worth_in_true_labels"]
        holds += bool(worth.low <= true <= worth.high)
        below += bool(worth.high < true)
        widths.append(worth.high / max(worth.low, BUDGET[0]))
        points.append(worth.value)
    return {
        "noise": name, "labelled": labelled, "unlabelled": unlabelled, "seeds": seeds,
        "replicates": replicates, "number": true, "median": float(np.median(points)), "covered": holds / replicates,
        "too_low": below / replicates, "high_over_low": float(np.median(widths)),
    }  # fmt: skip


def main(replicates: int) -> None:
    """Measure every design, and write the table."""
    rows = []
    for name in NOISES:
        for labelled, unlabelled in ((200, 600), (1000, 600)):
            for seeds in (5, 20):
                rows.append(covered(name, labelled, unlabelled, seeds, replicates))
                print(rows[-1], flush=True)
    pd.DataFrame(rows).to_csv(RESULTS, index=False, float_format="%.4g")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
