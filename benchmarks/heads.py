"""Time and memory of exact heads against what a user would pick instead.

Three questions, answered in one run as ratios (``python benchmarks/heads.py``, about fifteen minutes):

1. A hundred finetuning tasks at the paper's sizes, both stages: 100 heads on true labels, then 100
   on the first heads' labels, 2,000 fresh rows and 16 features each. Against a loop of scikit-learn's
   LinearRegression or Ridge, and a loop of full-batch Adam (torch), each task on its own. Stacked products
   and solves in numpy, the least that any method does, stand beside, on features of any condition.
2. One task with 200,000 rows and 256 features. Against LinearRegression, Ridge and minibatch Adam.
3. One task of 64, 256 and 768 features, of condition 1 and 1e8. Against LinearRegression, Ridge and, as the
   limit, the normal equations by a plain Gram matrix in numpy, which lose twice the digits.

Time, and peak memory beyond the data, each contender in a process of its own (in 3, in turns in one). Loss is
reported beside time: excess over the least training loss, relative to the labels' variance.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from sklearn.linear_model import LinearRegression, Ridge

from weakstrong import HeadProjection, LinearHeads, Moments, project

TASKS, ROWS, WIDTH = 100, 2000, 16
LARGE_ROWS, LARGE_WIDTH = 200_000, 256
ADAM_STEPS, ADAM_RATE = 1000, 0.05
SLOW_REPEATS = 3
MINIBATCH, EPOCHS = 1024, 3
MEMORY_ROWS = (50_000, 100_000, 200_000)
SHAPES = ((600_000, 64), (200_000, 256), (60_000, 768))
CONDITIONS = (1.0, 1e8)
NAMES = {
    "exact": "**weakstrong**",
    "linear_regression": "LinearRegression",
    "ridge": "Ridge",
    "adam": "Adam",
    "gram": "plain Gram",
}

# features, labels, fresh features -> predictions on the features, predictions on the fresh ones
Tasks = Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
Coefficients = Callable[[np.ndarray, np.ndarray], np.ndarray]  # features, labels -> coefficients


def mlp_features(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return outputs of a random 5-layer ReLU network, as h* in Section 5.1."""
    for layer, width in enumerate((16, 16, 16, 16, WIDTH)):
        x = x @ (rng.normal(size=(x.shape[-1], width)) * np.sqrt(2 / x.shape[-1]))
        x = np.maximum(x, 0) if layer < 4 else x
    return x


def exact_batch(x: np.ndarray, y: np.ndarray, fresh: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fit all tasks in one call."""
    head = project(Moments.of(x, y), LinearHeads()).head
    return head(x)[..., 0], head(fresh)[..., 0]


def plain_gram(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the coefficients (..., d, k) of centred normal equations, solved as they are."""
    z = x - x.mean(-2, keepdims=True)
    transposed = np.swapaxes(z, -1, -2)
    return np.linalg.solve(transposed @ z, transposed @ (y - y.mean(-2, keepdims=True)))


def gram_batch(x: np.ndarray, y: np.ndarray, fresh: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fit all tasks by stacked products and solves."""
    coef = plain_gram(x, y[..., None])
    intercept = y.mean(-1, keepdims=True) - (x.mean(-2, keepdims=True) @ coef)[..., 0]
    return (x @ coef)[..., 0] + intercept, (fresh @ coef)[..., 0] + intercept


def sklearn_loop(model: Any) -> Tasks:
    """Return a function that fits each task by scikit-learn."""

    def fit(x: np.ndarray, y: np.ndarray, fresh: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        fitted, predicted = np.empty(y.shape), np.empty(fresh.shape[:2])
        for i in range(len(x)):
            model.fit(x[i], y[i])
            fitted[i], predicted[i] = model.predict(x[i]), model.predict(fresh[i])
        return fitted, predicted

    return fit


def adam_loop(x: np.ndarray, y: np.ndarray, fresh: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fit one task at a time by a plain loop: standardized, full batch, fixed rate and steps."""
    import torch

    fitted, predicted = np.empty(y.shape), np.empty(fresh.shape[:2])
    for i in range(len(x)):
        mean, scale = x[i].mean(0), np.where(x[i].std(0) > 0, x[i].std(0), 1)
        centre, spread = y[i].mean(), y[i].std()
        z, z_fresh = (torch.from_numpy((a - mean) / scale).float() for a in (x[i], fresh[i]))
        targets = torch.from_numpy((y[i] - centre) / spread).float()
        head = torch.nn.Linear(WIDTH, 1)
        optimizer = torch.optim.Adam(head.parameters(), lr=ADAM_RATE)
        for _ in range(ADAM_STEPS):
            optimizer.zero_grad()
            loss = torch.nn.functional.mse_loss(head(z)[:, 0], targets)
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            fitted[i], predicted[i] = (head(a)[:, 0].numpy() * spread + centre for a in (z, z_fresh))
    return fitted, predicted


def both_stages(fit: Tasks, weak: np.ndarray, truth: np.ndarray, strong: np.ndarray) -> tuple[float, float]:
    """Time supervisors on the truth and students on their labels; also return the mean relative loss.

    Features have shape (2, tasks, rows, width): a sample for the supervisors, a fresh one for students.
    """
    start = time.perf_counter()
    supervised, weak_labels = fit(weak[0], truth, weak[1])
    students, _ = fit(strong[1], weak_labels, strong[1])
    seconds = time.perf_counter() - start
    pairs = ((supervised, truth), (students, weak_labels))
    return seconds, float(np.mean([((a - b) ** 2).mean(-1) / b.var(-1) for a, b in pairs]))


TASK_FITS: dict[str, Tasks] = {
    "exact": exact_batch,
    "linear_regression": sklearn_loop(LinearRegression()),
    "ridge": sklearn_loop(Ridge(1.0)),
    "adam": adam_loop,
    "gram": gram_batch,
}


def tasks_once(contender: str) -> dict[str, float]:
    """Run all tasks, both stages, in this process."""
    rng = np.random.default_rng(0)
    inputs = 500 * rng.normal(size=(2, TASKS, ROWS, 8))
    weak, strong = mlp_features(inputs, rng), mlp_features(inputs, rng)
    truth = (strong[0] @ rng.normal(size=(TASKS, WIDTH, 1)))[..., 0]
    fit = TASK_FITS[contender]
    both_stages(fit, weak[:, :1], truth[:1], strong[:, :1])  # libraries load and warm up first
    return measure(lambda: both_stages(fit, weak, truth, strong))


def measure(work: Callable[[], tuple[float, float]]) -> dict[str, float]:
    """Measure seconds and loss of a function, and its peak memory beyond that before the call (Linux)."""
    Path("/proc/self/clear_refs").write_text(
        "5", encoding="ascii"
    )  # forget the peak that making the data left
    before = resident_mib("VmRSS")
    seconds, loss = work()
    extra = max(resident_mib("VmHWM") - before, 0.0)
    return {"seconds": seconds, "extra_mib": extra, "loss": loss}


def large_data(rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Make one large task in place so that nothing but the data is left in memory."""
    rng = np.random.default_rng(1)
    x = rng.standard_normal((rows, LARGE_WIDTH))
    return x, x @ rng.normal(size=LARGE_WIDTH) + rng.standard_normal(rows)


def large_adam(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Fit by minibatch Adam for a few epochs, and return the coefficients."""
    import torch

    features, targets = torch.from_numpy(x).float(), torch.from_numpy(y).float()
    head = torch.nn.Linear(LARGE_WIDTH, 1)
    optimizer = torch.optim.Adam(head.parameters(), lr=ADAM_RATE)
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(targets)).split(MINIBATCH):
            optimizer.zero_grad()
            torch.nn.functional.mse_loss(head(features[batch])[:, 0], targets[batch]).backward()
            optimizer.step()
    return head.weight.detach().numpy()[0].astype(float)


LARGE: dict[str, Coefficients] = {
    "exact": lambda x, y: HeadProjection("linear").fit(x, y).head_.coef[:, 0],
    "linear_regression": lambda x, y: LinearRegression().fit(x, y).coef_,
    "ridge": lambda x, y: Ridge(1.0).fit(x, y).coef_,
    "adam": large_adam,
    "gram": lambda x, y: plain_gram(x, y[:, None])[:, 0],
}
IN_TURNS = ("exact", "linear_regression", "ridge", "gram")


def shape_once(rows: int, width: int, condition: float, repeats: int) -> dict[str, Any]:
    """Time the contenders in turns on one task of that shape, in this process, and compare their losses."""
    rng = np.random.default_rng(2)
    x = rng.standard_normal((rows, width))
    y = x @ rng.normal(size=width) / np.sqrt(width) + rng.standard_normal(rows)  # along every direction
    if condition > 1:
        x *= np.geomspace(1, 1 / condition, width)
        x = x @ np.linalg.qr(rng.standard_normal((width, width)))[0]
    seconds: dict[str, list[float]] = {name: [] for name in IN_TURNS}
    loss = {}
    for _ in range(repeats):
        for name in IN_TURNS:
            if name == "linear_regression" and seconds[name]:
                continue  # many times as slow as the others: once will do
            start = time.perf_counter()
            coef = LARGE[name](x, y)
            seconds[name].append(time.perf_counter() - start)
            residual = y - x @ coef
            loss[name] = float((residual - residual.mean()).var() / y.var())
    least = min(loss[name] for name in ("exact", "linear_regression"))
    medians: dict[str, Any] = {
        "rows": rows, "width": width, "condition": condition,
        "seconds": {name: median(times) for name, times in seconds.items()},
        "excess_loss": {name: max(value - least, 0.0) for name, value in loss.items()},
    }  # fmt: skip
    return with_ratios(medians, ("seconds",))


def large_once(contender: str, rows: int) -> dict[str, float]:
    """Run one large task in this process."""
    if contender == "adam":
        import torch  # noqa: F401
    x, y = large_data(rows)
    LARGE[contender](x[:2048], y[:2048])  # libraries load and warm up before anything is counted
    coefs = []

    def work() -> tuple[float, float]:
        start = time.perf_counter()
        coefs.append(LARGE[contender](x, y))
        return time.perf_counter() - start, 0.0

    measurement = measure(work)
    residual = y - x @ coefs[0]
    return measurement | {"loss": float((residual - residual.mean()).var() / y.var())}


def resident_mib(field: str) -> float:
    """Return resident memory, now (VmRSS) or at its peak (VmHWM)."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(field))


def in_new_process(question: str, contender: str, rows: int = LARGE_ROWS) -> dict[str, float]:
    """Run `tasks_once` or `large_once` in a fresh process."""
    call = [sys.executable, __file__, "--once", question, contender, "--rows", str(rows)]
    process = subprocess.run(call, check=True, capture_output=True, text=True)
    return dict(json.loads(process.stdout))


def shape_in_new_process(rows: int, width: int, condition: float, repeats: int) -> dict[str, Any]:
    """Run `shape_once` in a fresh process."""
    print(f"{rows} × {width}, condition {condition:g}", file=sys.stderr, flush=True)
    call = [sys.executable, __file__, "--shape", str(rows), str(width), str(condition)]
    process = subprocess.run([*call, "--repeats", str(repeats)], check=True, capture_output=True, text=True)
    return dict(json.loads(process.stdout))


def compare(question: str, repeats: int) -> dict[str, Any]:
    """Run the contenders in turn, and return medians over repeats and ratios over the exact one."""
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in NAMES}
    for repeat in range(repeats):
        for name, trials in runs.items():
            if repeat < SLOW_REPEATS or (question, name) != ("tasks", "adam"):
                print(f"{question}: {name}, {repeat + 1}/{repeats}", file=sys.stderr, flush=True)
                trials.append(in_new_process(question, name))
    least = min(r["loss"] for r in runs["exact"])
    medians: dict[str, Any] = {
        "seconds": {name: median(r["seconds"] for r in trials) for name, trials in runs.items()},
        "extra_mib": {name: median(r["extra_mib"] for r in trials) for name, trials in runs.items()},
        "excess_loss": {name: max(trials[0]["loss"] - least, 0.0) for name, trials in runs.items()},
        "all": runs,
    }
    return with_ratios(medians, ("seconds", "extra_mib"))


def with_ratios(medians: dict[str, Any], measures: tuple[str, ...]) -> dict[str, Any]:
    """Add each contender's figure over the exact one's."""
    for measure in measures:
        exact = medians[measure]["exact"]
        medians[f"{measure}_ratio"] = {n: v / exact for n, v in medians[measure].items() if n != "exact"}
    return medians


def table(record: dict[str, Any]) -> list[str]:
    """Return the lines of docs/benchmarks.md: seconds, memory and loss, with ratios over the exact one."""
    lines = ["| task | | seconds | time over ours | extra MiB | memory over ours | excess loss |"]
    lines.append("|---|---|" + "---:|" * 5)
    tasks = {f"{TASKS} tasks": "hundred_tasks", f"{LARGE_ROWS:,} × {LARGE_WIDTH}": "one_large_task"}
    for title, key in tasks.items():
        medians = record[key]
        for name, seconds in medians["seconds"].items():
            cells = [f"{seconds:.2g}", _ratio(medians["seconds_ratio"], name)]
            cells += [f"{medians['extra_mib'][name]:.0f}", _ratio(medians["extra_mib_ratio"], name)]
            loss = f"{medians['excess_loss'][name]:.0e}" if medians["excess_loss"][name] else "0"
            lines.append(f"| {title} | {NAMES[name]} | {' | '.join(cells)} | {loss} |")
    return lines


def table_of_shapes(record: dict[str, Any]) -> list[str]:
    """Return the lines of docs/benchmarks.md on shapes and conditions: seconds, ratios and losses."""
    lines = [
        "| task | condition | | seconds | time over ours | excess loss |",
        "|---|---:|---|" + "---:|" * 3,
    ]
    for cell in record["shapes"]:
        for name, seconds in cell["seconds"].items():
            shape, condition = f"{cell['rows']:,} × {cell['width']}", f"{cell['condition']:.0e}"
            ratio, loss = _ratio(cell["seconds_ratio"], name), cell["excess_loss"][name]
            lost = f"{loss:.0e}" if loss else "0"
            lines.append(f"| {shape} | {condition} | {NAMES[name]} | {seconds:.2g} | {ratio} | {lost} |")
    return lines


def _ratio(ratios: dict[str, float], name: str) -> str:
    """Format a ratio with two significant digits, or all those before the point."""
    if name not in ratios:
        return ""
    return f"{ratios[name]:.2g}×" if ratios[name] < 100 else f"{ratios[name]:.0f}×"


def main() -> None:
    """Run both questions, print the ratios and write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "heads.json")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--once", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--rows", type=int, default=LARGE_ROWS, help=argparse.SUPPRESS)
    parser.add_argument("--shape", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.shape:
        rows, width, condition = options.shape
        print(json.dumps(shape_once(int(rows), int(width), float(condition), options.repeats)))
        return
    if options.once:
        question, contender = options.once
        once = tasks_once(contender) if question == "tasks" else large_once(contender, options.rows)
        print(json.dumps(once))
        return
    try:
        torch = version("torch")
    except ImportError:
        sys.exit('this benchmark compares with torch: pip install -c constraints.txt -e ".[bench]"')
    by_rows = {
        str(rows): median(in_new_process("large", "exact", rows)["extra_mib"] for _ in range(options.repeats))
        for rows in MEMORY_ROWS
    }
    record = {
        "hundred_tasks": compare("tasks", options.repeats),
        "one_large_task": compare("large", options.repeats) | {"exact_extra_mib_by_rows": by_rows},
        "shapes": [shape_in_new_process(*shape, c, options.repeats) for shape in SHAPES for c in CONDITIONS],
        "settings": {
            "tasks": TASKS, "rows": ROWS, "width": WIDTH, "large_rows": LARGE_ROWS,
            "large_width": LARGE_WIDTH, "adam_steps": ADAM_STEPS, "adam_rate": ADAM_RATE,
            "minibatch": MINIBATCH, "epochs": EPOCHS, "repeats": options.repeats,
        },
        "versions": {"python": platform.python_version(), "torch": torch}
        | {p: version(p) for p in ("weakstrong", "numpy", "scipy", "scikit-learn")},
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }  # fmt: skip
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    print("\n".join([*table(record), "", *table_of_shapes(record)]))
    print("exact, extra MiB by rows:", record["one_large_task"]["exact_extra_mib_by_rows"])


if __name__ == "__main__":
    main()
