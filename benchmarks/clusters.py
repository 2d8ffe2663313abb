"""Coverage of intervals over clusters, and what verdicts do, where the truth is known.

``python benchmarks/clusters.py``, half a minute. Rows of clusters with an effect a_g and a row's own e_i,
``D_i = √ρ a_g + √(1 − ρ) e_i`` with ρ the intracluster correlation, both of one distribution with mean 0 and
variance 1; their mean is estimated, whose truth is 0. Two intervals of 95%:

- "t, G − 1", which stood before: ``G/(G−1) Σ_g p_g² (D̄_g − μ̂)²`` with G − 1 degrees of freedom;
- "CR2, ν": CR2 with the degrees of freedom of Bell and McCaffrey, as `Estimate.of_mean` has them.

Counted are how often they hold 0, how often `Estimate.verdict` says above or below zero where neither is
so, how often it says above where the mean is four of its standard deviations above, and how often a reader is
warned of skew: the clusters are too few to see it, or their means are skewed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import t

from weakstrong import Estimate

DRAWS, SEED = 2000, 0
CORRELATIONS = (0.1, 1.0)
LAYOUTS = {  # rows of every cluster
    "3 equal": [20] * 3,
    "9 equal": [20] * 9,
    "30 equal": [20] * 30,
    "100 equal": [20] * 100,
    "9, one with 30%": [72] + [21] * 8,
    "30, one with 20%": [145] + [20] * 29,
    "30, one with 60%": [348] + [8] * 29,
}
DISTRIBUTIONS = ("Gaussian", "exponential", "lognormal")
AWAY = 4.0  # standard deviations of the mean


def drawn(distribution: str, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Draw numbers with mean 0 and variance 1."""
    if distribution == "Gaussian":
        return rng.standard_normal(shape)
    if distribution == "exponential":
        return rng.standard_exponential(shape) - 1
    return (np.exp(rng.standard_normal(shape)) - np.exp(0.5)) / np.sqrt(np.e * (np.e - 1))


def before(values: np.ndarray, clusters: np.ndarray, mean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the interval by ``G/(G−1) Σ_g (Σ_{i in g} (ψ_i − ψ̄))² / n²`` and G − 1 degrees of freedom."""
    count = int(clusters.max()) + 1
    sums = np.zeros((count, values.shape[1]))
    np.add.at(sums, clusters, values - mean)
    error = np.sqrt(count / (count - 1) * (sums**2).sum(0)) / len(values)
    half = t.ppf(0.975, count - 1) * error
    return mean - half, mean + half


def each(estimate: Estimate) -> list[Estimate]:
    """The estimates of every draw."""
    names = ("value", "low", "high", "standard_error", "skewness", "p_value")
    columns = zip(*(getattr(estimate, name).tolist() for name in names), strict=True)
    return [replace(estimate, **dict(zip(names, column, strict=True))) for column in columns]


def cell(layout: str, distribution: str, correlation: float) -> dict[str, Any]:
    """Count what the intervals and verdicts of all draws of one world do."""
    place = (list(LAYOUTS).index(layout), DISTRIBUTIONS.index(distribution), round(100 * correlation))
    rng = np.random.default_rng([SEED, *place])
    sizes = LAYOUTS[layout]
    clusters = np.repeat(np.arange(len(sizes)), sizes)
    effects = drawn(distribution, rng, (len(sizes), DRAWS))[clusters]
    values = np.sqrt(correlation) * effects
    values += np.sqrt(1 - correlation) * drawn(distribution, rng, values.shape)
    found = Estimate.of_mean(values, clusters, tested=True)
    away = Estimate.of_mean(values + AWAY * found.value.std(), clusters, tested=True)
    ends = {"before": before(values, clusters, found.value), "cr2": found.interval()}
    draws = each(found)
    return {
        "layout": layout,
        "distribution": distribution,
        "correlation": correlation,
        "effective_clusters": found.effective_clusters,
        "degrees_of_freedom": found.degrees_of_freedom,
        "verdicts_given": not found.too_few(),
        "coverage": {name: float(((low <= 0) & (high >= 0)).mean()) for name, (low, high) in ends.items()},
        "missed_above": float((found.high < 0).mean()),
        "missed_below": float((found.low > 0).mean()),
        "wrong_verdict": float(np.mean([e.verdict().sign != 0 for e in draws])),
        "right_verdict_away": float(np.mean([e.verdict().sign == 1 for e in each(away)])),
        "no_verdict_away": float(np.mean([e.verdict().sign == 0 for e in each(away)])),
        "warned": float(np.mean([e.skew_is_unseen() or bool(e.skew()) for e in draws])),
    }


def table(record: dict[str, Any]) -> list[str]:
    """Return the lines of docs/benchmarks.md, in percent, one number for each intracluster correlation."""
    correlations = record["settings"]["correlations"]
    titles = (
        "clusters", "effects", "effective", "ν", "t, G − 1", "CR2, ν", "verdict if none is true",
        "right one, away from 0", "warned of skew",
    )  # fmt: skip
    lines = [f"| {' | '.join(titles)} |", "|---|---|" + "---:|" * 7]
    worlds = {(c["layout"], c["distribution"]): [] for c in record["cells"]}
    for c in record["cells"]:
        worlds[c["layout"], c["distribution"]].append(c)
    for (layout, distribution), cells in worlds.items():
        assert [c["correlation"] for c in cells] == correlations
        first = cells[0]
        columns = [[c["coverage"]["before"] for c in cells], [c["coverage"]["cr2"] for c in cells]]
        if first["verdicts_given"]:
            columns += [[c[k] for c in cells] for k in ("wrong_verdict", "right_verdict_away", "warned")]
        shown = [" / ".join(f"{100 * share:.1f}" for share in column) for column in columns]
        shown += ["none given", "none given", "always"] * (not first["verdicts_given"])
        counts = f"{first['effective_clusters']:.1f} | {first['degrees_of_freedom']:.1f}"
        lines.append(f"| {layout} | {distribution} | {counts} | {' | '.join(shown)} |")
    return lines


def main() -> None:
    """Run every world, print the table and write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "clusters.json")
    options = parser.parse_args()
    cells = [
        cell(layout, distribution, correlation)
        for layout in LAYOUTS
        for distribution in DISTRIBUTIONS
        for correlation in CORRELATIONS
    ]
    record = {
        "cells": cells,
        "settings": {
            "draws": DRAWS, "seed": SEED, "correlations": CORRELATIONS, "layouts": LAYOUTS,
            "distributions": DISTRIBUTIONS, "away": AWAY,
        },
        "versions": {"python": platform.python_version()}
        | {p: version(p) for p in ("weakstrong", "numpy", "scipy")},
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }  # fmt: skip
    record = json.loads(json.dumps(record))  # as it is read again
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print("\n".join(table(record)))


if __name__ == "__main__":
    main()
