"""Time of heads for classes against every solver of scikit-learn's LogisticRegression, at equal excess loss.

One task of 200,000 rows and 256 features in each cell: two and ten classes, hard and soft labels, features
of condition 10 and 1e4, columns scaled (``python benchmarks/classes.py``, some hours, as slow solvers are
waited for). All minimize the same objective, mean cross entropy and ``½ λ ‖W‖²``, λ near 1e-4: ours in the
ball whose multiplier λ is. A solver's tolerance is tightened tenfold until its excess over the least found
is at most 1e-8 nats a row; the time is that of the fit which gets there. scikit-learn takes soft labels as
weighted copies of the rows, one for each class. A solver that does not get there in ten minutes is given up,
and said.

Beside them: five-fold cross-validation of the radius and the fit, as a ratio to one fit, and the Brier head.
Two threads for all, each contender in a process of its own.
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
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

THREADS = 2
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, str(THREADS))

ROWS, WIDTH = 200_000, 256
CLASSES, LABELS, CONDITIONS = (2, 10), ("hard", "soft"), (10.0, 1e4)
STRENGTH, NEAR = 1e-4, 0.05  # λ, and how near in relative terms the radius has to bring it
EXCESS = 1e-8
SOLVERS = ("newton-cholesky", "lbfgs", "newton-cg", "sag", "saga")
TOLERANCES = tuple(10.0**-k for k in range(3, 13))
SHORT = 20.0  # seconds: faster fits are repeated
NAMES = {"exact": "**weakstrong**", "cross_validated": "with the radius", "brier": "Brier, linear"}


def data(rows: int, classes: int, labels: str, condition: float) -> tuple[np.ndarray, np.ndarray]:
    """Make scaled features and distributions over classes, one-hot where labels are hard."""
    rng = np.random.default_rng(3)
    spectrum = np.geomspace(1, 1 / condition, WIDTH)
    inside = rng.standard_normal((rows, WIDTH))
    y = inside @ rng.normal(size=(WIDTH, classes)) * (2 / np.sqrt(WIDTH)) + rng.normal(size=(rows, classes))
    y = np.exp(y - y.max(1, keepdims=True))
    y /= y.sum(1, keepdims=True)
    if labels == "hard":
        y = np.eye(classes)[(y.cumsum(1)[:, :-1] < rng.random((rows, 1))).sum(1)]
    inside *= spectrum
    x = inside @ np.linalg.qr(rng.standard_normal((WIDTH, WIDTH)))[0]
    x -= x.mean(0)
    x /= x.std(0)
    return x, y


def objective(x: np.ndarray, y: np.ndarray, head: tuple[np.ndarray, np.ndarray], strength: float) -> float:
    """Return mean cross entropy and penalty of a head (coef, intercept), whose gauge costs nothing."""
    coef, intercept = (a - a.mean(-1, keepdims=True) for a in head)
    loss = 0.0
    for start in range(0, len(x), 8192):
        z = x[start : start + 8192] @ coef + intercept
        top = z.max(1)
        loss += (top + np.log(np.exp(z - top[:, None]).sum(1)) - (z * y[start : start + 8192]).sum(1)).sum()
    return float(loss / len(x) + strength / 2 * (coef**2).sum())


def ball_of(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Return a radius whose multiplier is near the strength asked for, and that multiplier."""
    from weakstrong.softmax_heads import fit_softmax

    radius, low, high = 1.0, 0.0, np.inf
    while True:
        [fit] = fit_softmax(x, y, radius=radius)
        if abs(fit.multiplier / STRENGTH - 1) < NEAR:
            return radius, fit.multiplier
        low, high = (radius, high) if fit.multiplier > STRENGTH else (low, radius)
        radius = 2 * low if np.isinf(high) else (low + high) / 2


def ours(contender: str, x: np.ndarray, y: np.ndarray, radius: float) -> dict[str, Any]:
    """Time one of our fits, and return its head."""
    from weakstrong import HeadClassifier, L2Ball

    models = {
        "exact": HeadClassifier(L2Ball(radius)),
        "cross_validated": HeadClassifier("l2"),
        "brier": HeadClassifier("linear", divergence="brier"),
        "brier_cross_validated": HeadClassifier("l2", divergence="brier"),
    }
    model = models[contender]
    start, busy = time.perf_counter(), time.process_time()
    model.fit(x, y)
    seconds, busy = time.perf_counter() - start, time.process_time() - busy
    facts = {"seconds": seconds, "busy": busy, "gap": model.optimality_gap_, "passes": model.n_passes_}
    if contender == "cross_validated":
        facts["radius"] = model.heads_.radius
    return facts | {"head": (model.head_.linear.coef, model.head_.linear.intercept)}


def theirs(
    solver: str, tolerance: float, problem: tuple[np.ndarray, np.ndarray, np.ndarray | None], strength: float
) -> dict[str, Any]:
    """Time a fit of scikit-learn, and return its head in the same form."""
    from sklearn.linear_model import LogisticRegression

    x, y, weight = problem
    classes = int(y.max()) + 1
    total = len(x) if weight is None else weight.sum()
    inverse = (2 if classes == 2 else 1) / (strength * total)  # two classes: its penalty is on one column
    model = LogisticRegression(C=inverse, solver=solver, tol=tolerance, max_iter=100_000, random_state=0)
    start, busy = time.perf_counter(), time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(x, y, sample_weight=weight)
    seconds, busy = time.perf_counter() - start, time.process_time() - busy
    coef, intercept = model.coef_.T, model.intercept_
    if classes == 2:
        coef, intercept = np.concatenate([-coef, coef], 1) / 2, np.concatenate([-intercept, intercept]) / 2
    facts = {
        "seconds": seconds,
        "busy": busy,
        "tolerance": tolerance,
        "iterations": int(np.max(model.n_iter_)),
    }
    return facts | {"head": (coef, intercept)}


def once(options: argparse.Namespace) -> None:
    """Run one contender on one cell in this process; print a line of JSON for each fit."""
    rows, classes, labels, condition = options.cell
    x, y = data(int(rows), int(classes), labels, float(condition))
    if options.once == "ball":
        radius, strength = ball_of(x, y)
        print(json.dumps({"radius": radius, "strength": strength}), flush=True)
        return
    radius, strength, least = options.given
    if options.once not in SOLVERS:
        ours(options.once, x[:4096], y[:4096], radius)  # libraries load first
        for _ in range(options.repeats):
            found = ours(options.once, x, y, radius)
            _tell(found, objective(x, y, found.pop("head"), strength))
        return
    problem = _copies(x, y) if labels == "soft" else (x, y.argmax(1), None)
    small = tuple(None if a is None else a[:4096] for a in problem)
    theirs(options.once, 1e-3, small, strength)
    for tolerance in TOLERANCES:
        found = theirs(options.once, tolerance, problem, strength)
        value = objective(x, y, found.pop("head"), strength)
        _tell(found, value)
        if value - least <= EXCESS:
            break
    for _ in range(options.repeats - 1 if found["seconds"] < SHORT else 0):
        found = theirs(options.once, tolerance, problem, strength)
        _tell(found, objective(x, y, found.pop("head"), strength))


def _copies(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return every row once for each class, weighted by its probability."""
    c = y.shape[1]
    return np.repeat(x, c, 0), np.tile(np.arange(c), len(x)), y.ravel()


def _tell(found: dict[str, Any], value: float) -> None:
    print(json.dumps(found | {"objective": value}), flush=True)


def in_new_process(
    contender: str, cell: tuple[Any, ...], given: tuple[float, ...], options: argparse.Namespace
) -> tuple[list[dict[str, Any]], bool]:
    """Run `once` in a process of its own; return its fits, and whether it was given up."""
    call = [sys.executable, __file__, "--once", contender, "--cell", *map(str, cell)]
    call += ["--given", *map(repr, given), "--repeats", str(options.repeats)]
    print(f"{cell}: {contender}", file=sys.stderr, flush=True)
    with tempfile.TemporaryFile("w+", encoding="utf-8") as out:
        process = subprocess.Popen(call, stdout=out)
        try:
            gave_up = process.wait(timeout=options.cap) != 0  # out of memory, too
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            gave_up = True
        out.seek(0)
        return [json.loads(line) for line in out if line.endswith("\n")], gave_up


def compare(cell: tuple[Any, ...], options: argparse.Namespace) -> dict[str, Any]:
    """Run all contenders on one cell."""
    ball = in_new_process("ball", cell, (0.0, 0.0, 0.0), options)[0][0]
    given = (ball["radius"], ball["strength"], 0.0)
    exact = in_new_process("exact", cell, given, options)[0]
    least = min(fit["objective"] for fit in exact)
    given = (*given[:2], least)
    fits = {"exact": exact}
    gave_up = {}
    for solver in options.solvers:
        fits[solver], gave_up[solver] = in_new_process(solver, cell, given, options)
    beside = ("cross_validated", "brier", "brier_cross_validated")
    for name in beside:
        fits[name] = in_new_process(name, cell, given, options)[0]
    compared = [name for name in fits if name not in beside]
    least = min(fit["objective"] for name in compared for fit in fits[name])
    rows, classes, labels, condition = cell
    found: dict[str, Any] = {
        "rows": rows, "width": WIDTH, "classes": classes, "labels": labels, "condition": condition, **ball,
        "gap": exact[-1]["gap"], "passes": exact[-1]["passes"], "seconds": {}, "excess": {}, "given_up": [],
    }  # fmt: skip
    for name in compared:
        good = [fit for fit in fits[name] if fit["objective"] - least <= EXCESS * 1.01]
        found["excess"][name] = min((f["objective"] - least for f in fits[name]), default=None)
        if good:
            found["seconds"][name] = median(fit["seconds"] for fit in good)
        elif gave_up.get(name) or fits[name]:
            found["given_up"].append(name)
    own = found["seconds"]["exact"]
    found["ratio"] = {name: value / own for name, value in found["seconds"].items() if name != "exact"}
    for name in beside:
        found["seconds"][name] = median(fit["seconds"] for fit in fits[name])
    found["cross_validation_over_one_fit"] = found["seconds"]["cross_validated"] / own
    found["all"] = fits
    return found


def table(record: dict[str, Any]) -> list[str]:
    """Return the lines of docs/benchmarks.md: seconds, ratios over ours, and what was given up."""
    solvers = record["settings"]["solvers"]
    head = [
        "classes",
        "labels",
        "condition",
        "**ours**, s",
        "passes",
        *solvers,
        "radius by 5 folds",
        "Brier, s",
    ]
    lines = [f"| {' | '.join(head)} |", "|---:|---|---:|" + "---:|" * (len(head) - 3)]
    for cell in record["cells"]:
        times = [f"{cell['ratio'][s]:.2g}×" if s in cell["ratio"] else "—" for s in solvers]
        seconds = cell["seconds"]
        cells = [str(cell["classes"]), cell["labels"], f"{cell['condition']:.0e}", f"{seconds['exact']:.2g}"]
        cells += [str(cell["passes"]), *times, f"{cell['cross_validation_over_one_fit']:.2g}×"]
        lines.append(f"| {' | '.join([*cells, f'''{seconds['brier']:.2g}'''])} |")
    return lines


def main() -> None:
    """Run all cells, print the table and write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "classes.json")
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--cap", type=float, default=600.0, help="seconds until a solver is given up")
    parser.add_argument("--solvers", nargs="+", choices=SOLVERS, default=SOLVERS)
    parser.add_argument("--only", nargs=3, metavar=("CLASSES", "LABELS", "CONDITION"), help="one cell")
    parser.add_argument("--once", help=argparse.SUPPRESS)
    parser.add_argument("--cell", nargs=4, help=argparse.SUPPRESS)
    parser.add_argument("--given", nargs=3, type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.once:
        once(options)
        return
    cells = [(options.rows, c, kind, at) for c in CLASSES for kind in LABELS for at in CONDITIONS]
    if options.only:
        classes, kind, at = options.only
        cells = [(options.rows, int(classes), kind, float(at))]
    record: dict[str, Any] = {
        "cells": [compare(cell, options) for cell in cells],
        "settings": {
            "rows": options.rows, "width": WIDTH, "strength": STRENGTH, "excess": EXCESS, "cap": options.cap,
            "solvers": list(options.solvers), "repeats": options.repeats, "threads": THREADS,
        },
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in ("weakstrong", "numpy", "scipy", "scikit-learn")},
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }  # fmt: skip
    print("\n".join(table(record)))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
