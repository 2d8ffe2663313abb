"""Weak-to-strong supervision on molecules: six targets as one command, and heads against scikit-learn's.

``python benchmarks/supervision.py --data DIR`` takes about ten minutes on two cores. Whole commands are
timed with an empty cache (embedding included) and with features at hand. The heads of one division of all
three splits of each set, both classes, supervisors, students, ceiling, direct baseline and control, are timed
in one process with one thread, the fastest of three, against scikit-learn's regressors: LinearRegression, all
labels at once, and StandardScaler with RidgeCV over as many strengths as ours tries radii, by five folds (a
label at a time) or by leave-one-out (all at once). Theirs do not keep twins in one fold, and make no fit to
the truth in the student's own class.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LinearRegression, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from weakstrong.molecules.chembench import SETS
from weakstrong.paper.molecule_divisions import MoleculeInputs, division, run_division
from weakstrong.paper.molecule_inputs import MODELS, prepare
from weakstrong.paper.molecule_settings import MoleculeSettings
from weakstrong.paper.sources import Places
from weakstrong.predictions import Predictions

TARGETS = ("fig2d", "fig2e", "fig2f", "table1", "table2", "table3")
STRENGTHS = np.logspace(-4, 7, 35)
KINDS: dict[str, dict[str, Any]] = {"five folds": {"cv": 5}, "leave-one-out": {"alpha_per_target": True}}
HOME = Path(__file__).parents[1] / MODELS
SEED, REPEATS = 0, 3

Array = np.ndarray
Predict = Callable[[Array], Array]


def command(data: Path, out: Path, cache: Path) -> float:
    """Return the seconds of the whole command."""
    places = ["--models", str(HOME), "--data", str(data), "--out", str(out)]
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "weakstrong", "reproduce", *TARGETS, *places],
        check=True,
        capture_output=True,
        env={**os.environ, "WEAKSTRONG_CACHE": str(cache)},
    )
    return time.perf_counter() - start


def baseline(config: MoleculeSettings, inputs: MoleculeInputs, ridge: dict[str, Any]) -> tuple[float, float]:
    """Return scikit-learn's seconds, and the mean true error of its students with regularized heads."""
    y, errors = inputs.y, []
    start = time.perf_counter()
    for split in range(len(inputs.splits)):
        rows = division(config, inputs, SEED, split)
        supervised, student, judged = rows.supervised, rows.student, rows.judged
        strong, control = inputs.features["strong"], inputs.untrained["strong"][split % config.untrained]
        for fit in (linear, lambda *data: regularized(*data, ridge)):
            labels = [
                fit(inputs.features[name], supervised, y[supervised, None])(inputs.features[name])[student, 0]
                for name in config.weak
            ]
            student_labels = np.column_stack([y[student], *labels])
            predictions = fit(strong, student, student_labels)(strong[judged])
            fit(strong, supervised, y[supervised, None])(strong[judged])
            fit(control, student, student_labels)(control[judged])
        errors.append(((predictions[:, 1:] - y[judged, None]) ** 2).mean())
    return time.perf_counter() - start, float(np.mean(errors))


def linear(x: Array, rows: Array, labels: Array) -> Predict:
    """Fit least squares, all labels at once."""
    return LinearRegression().fit(x[rows], labels).predict


def regularized(x: Array, rows: Array, labels: Array, ridge: dict[str, Any]) -> Predict:
    """Fit ridge with a strength for each label: all at once where scikit-learn can, else one by one."""
    if "alpha_per_target" in ridge:
        model = make_pipeline(StandardScaler(), RidgeCV(STRENGTHS, **ridge)).fit(x[rows], labels)
        return lambda z: model.predict(z).reshape(len(z), -1)
    models = [make_pipeline(StandardScaler(), RidgeCV(STRENGTHS, **ridge)).fit(x[rows], y) for y in labels.T]
    return lambda z: np.column_stack([model.predict(z) for model in models])


def time_weakstrong(config: MoleculeSettings, inputs: MoleculeInputs) -> tuple[float, float]:
    """Return our seconds, and the mean true error of our students with heads in a ball."""
    start = time.perf_counter()
    frame = run_division(config, inputs, SEED)
    seconds = time.perf_counter() - start
    losses = Predictions(frame[frame["heads"] == "l2"]).losses()
    errors = losses.groupby(["split", "supervisor"])["strong_error"].mean()
    return seconds, float(errors.mean())


def measure(data: Path) -> dict[str, Any]:
    """Return the record of all measurements."""
    heads = {}
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        commands = {
            "empty cache": command(data, scratch / "a", scratch / "cache"),
            "features at hand": command(data, scratch / "b", scratch / "cache"),
        }
        os.environ["WEAKSTRONG_CACHE"] = str(scratch / "cache")
        for name in SETS:
            config = MoleculeSettings(dataset=name)
            inputs = prepare(config, Places(HOME, data))
            with threadpool_limits(1):
                runs = {"weakstrong": lambda c=config, i=inputs: time_weakstrong(c, i)}
                runs |= {k: lambda c=config, i=inputs, r=r: baseline(c, i, r) for k, r in KINDS.items()}
                fits = {kind: min(run() for _ in range(REPEATS)) for kind, run in runs.items()}
            heads[name] = {kind: {"seconds": s, "student_error": e} for kind, (s, e) in fits.items()}
    return {
        "commands": commands,
        "heads": heads,
        "ratio": {
            kind: {name: h[kind]["seconds"] / h["weakstrong"]["seconds"] for name, h in heads.items()}
            for kind in KINDS
        },
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "versions": {
            name: version(name) for name in ("weakstrong", "numpy", "scipy", "scikit-learn", "torch")
        },
    }


def table(record: dict[str, Any]) -> list[str]:
    """Return the Markdown lines of docs/benchmarks.md."""
    seconds = record["commands"]
    lines = [
        "| what | weakstrong | scikit-learn, five folds | leave-one-out |",
        "|---|---:|---:|---:|",
        f"| six targets on molecules, embedding included | {seconds['empty cache']:.0f} s | | |",
        f"| the same, features at hand | {seconds['features at hand']:.0f} s | | |",
    ]
    for name, results in record["heads"].items():
        cells = [f"{results['weakstrong']['seconds']:.1f} s"]
        cells += [f"{results[kind]['seconds']:.1f} s, {record['ratio'][kind][name]:.1f}×" for kind in KINDS]
        lines.append(f"| all heads of one division of {name}, one thread | {' | '.join(cells)} |")
        cells = [f"{results[kind]['student_error']:.3f}" for kind in ("weakstrong", *KINDS)]
        lines.append(f"| mean error of its students, regularized heads | {' | '.join(cells)} |")
    return lines


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    default = Path(__file__).parent / "results" / "supervision.json"
    parser.add_argument("--out", type=Path, default=default)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # scikit-learn's, of ill-conditioned fits
    record = measure(arguments.data.resolve())
    arguments.out.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    print("\n".join(table(record)))
