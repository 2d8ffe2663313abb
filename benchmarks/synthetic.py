"""The six synthetic figures against a plain pipeline, in one run.

``python benchmarks/synthetic.py`` takes about nine minutes on two cores. Ours is timed as whole commands,
start-up and figures included: ``weakstrong reproduce --seeds 1`` and ``--seeds 5``. The plain pipeline
does one seed as a straightforward script would: each network of equation (9) by full-batch Adam from
PyTorch's own first weights, each head of each task and stage by a loop of full-batch Adam (`heads.py`).
It has its data for free, and networks that figures share are counted once. Losses stand beside times.

The claim is the ratio at equal loss: the seconds of each side to the loss that the plain pipeline ends with.
Each network of ours is trained alone on one thread, and its loss is looked at every 250 steps, off the clock;
the plain one counts from the first step that is as low as its last. Exact heads count whole, as do the loops
of Adam, whose loss still falls at the end. What never comes so low has no seconds.
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
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch

from weakstrong.neural.mlp import MLP
from weakstrong.neural.multitask import pretrain, relative_loss
from weakstrong.paper.catalogue import resolve
from weakstrong.paper.networks import PretrainingJob, draw_sample, initial_mlp, load, pretraining_jobs
from weakstrong.paper.reproduction import CACHE
from weakstrong.paper.tasks import representations_of
from weakstrong.paper.worlds import inputs, random_tasks, stream, truth

ADAM_STEPS, ADAM_RATE = 2000, 0.01
SEED = 0

Sides = dict[str, float | None]  # seconds of "ours" and "plain"; None where the loss is never reached


def command(seeds: int, out: Path) -> float:
    """Return the seconds of the whole command."""
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "weakstrong", "reproduce", "--seeds", str(seeds), "--out", str(out)],
        check=True,
        capture_output=True,
    )
    return time.perf_counter() - start


def plain_network(job: PretrainingJob) -> tuple[float, float, float]:
    """Minimize equation (9) by full-batch Adam, in units of order one.

    Returns seconds, relative loss, and the seconds until the loss was first as low as that.
    """
    sample = draw_sample(job)
    tasks, rows = sample.labels.shape
    x = torch.from_numpy(sample.inputs.reshape(tasks * rows, -1) / job.world.sigma).float()
    y = torch.from_numpy(sample.labels.ravel()).float()
    unit = np.sqrt((sample.heads.coef**2).sum(1).mean())
    heads = torch.from_numpy(sample.heads.coef[..., 0] / unit).float().repeat_interleave(rows, 0)
    torch.manual_seed(job.seed)
    widths = [job.world.input_dim, *[job.world.width] * job.depth]
    layers: list[torch.nn.Module] = []
    for fan_in, fan_out in pairwise(widths):
        layers += [torch.nn.Linear(fan_in, fan_out), torch.nn.ReLU()]
    network = torch.nn.Sequential(*layers[:-1])
    optimizer = torch.optim.Adam(network.parameters(), lr=ADAM_RATE)
    seen = []  # seconds so far, loss before the step
    start = time.perf_counter()
    for _ in range(ADAM_STEPS):
        begun = time.perf_counter() - start
        optimizer.zero_grad()
        loss = ((network(x) * heads).sum(1) - y).square().mean()
        loss.backward()
        optimizer.step()
        seen.append((begun, loss.item()))
    seconds = time.perf_counter() - start
    with torch.no_grad():
        missed = ((network(x) * heads).sum(1) - y).square().mean().item()
    first = next((s for s, loss in seen if loss <= missed), seconds)
    return seconds, float(missed / sample.labels.var(axis=1).mean()), first


def our_seconds_to(job: PretrainingJob, loss: float) -> float | None:
    """Pretrain a network alone on one thread; return the seconds until its loss is first seen as low."""
    sample, initial = draw_sample(job), initial_mlp(job)
    order = stream(job.seed, "order of rows", job.depth, job.copy)
    threads, looking, reached = torch.get_num_threads(), 0.0, []

    def look(networks: list[MLP]) -> None:
        nonlocal looking
        now = time.perf_counter()
        if not reached and relative_loss(networks[0], sample) <= loss:
            reached.append(now - start - looking)
        looking += time.perf_counter() - now

    torch.set_num_threads(1)
    start = time.perf_counter()
    pretrain([sample], [initial], [order], job.training, watch=look)
    torch.set_num_threads(threads)
    return reached[0] if reached else None


def total(sides: list[Sides]) -> Sides:
    """Add up the seconds of each side; one that never gets there never gets through all."""
    sums: Sides = {}
    for side in ("ours", "plain"):
        known = [s for each in sides if (s := each[side]) is not None]
        sums[side] = sum(known) if len(known) == len(sides) else None
    return sums


def over(sides: Sides) -> float | None:
    """Return the plain pipeline's seconds over ours, if both get there."""
    ours, plain = sides["ours"], sides["plain"]
    return None if ours is None or plain is None else plain / ours


def run(out: Path) -> dict[str, Any]:
    """Time both pipelines; the plain pipeline's heads are fitted on our networks' features."""
    from heads import adam_loop, both_stages, exact_batch  # beside this file

    configs = {e.name: e.settings for e in resolve((), {"seeds": 1})}
    ours = {"one_seed": command(1, out / "one")}
    [cache] = (out / "one" / CACHE).glob("networks-*")
    jobs = {j.key: j for c in configs.values() for j in pretraining_jobs(c, SEED).values()}
    names = {k: f"{j.depth} layers, T = {j.tasks}, N_r = {j.rows}" for k, j in jobs.items()}
    networks = {}
    for key, job in jobs.items():
        seconds, loss, first = plain_network(job)
        networks[names[key]] = {
            "plain_seconds": seconds, "plain_loss": loss, "our_loss": load(cache / job.file_name)[1],
            "seconds_to_plain_loss": {"ours": our_seconds_to(job, loss), "plain": first},
        }  # fmt: skip
        print(names[key], networks[names[key]], flush=True)
    heads = {}
    for name, config in configs.items():
        h = truth(config, SEED)
        mlps = {role: load(cache / job.file_name)[0] for role, job in pretraining_jobs(config, SEED).items()}
        h_weak, h_strong = representations_of(config, SEED, mlps)
        x = np.stack(
            [inputs(config, (2, config.rows), stream(SEED, "samples", t)) for t in range(config.tasks)], 1
        )
        labels = random_tasks(config, SEED, "finetuning tasks", config.tasks)(h.transform(x[0]))
        weak, strong = h_weak.transform(x), h_strong.transform(x)
        both_stages(exact_batch, weak[:, :2], labels[:2], strong[:, :2])
        exact, adam = (both_stages(fit, weak, labels, strong) for fit in (exact_batch, adam_loop))
        heads[name] = {
            "exact_seconds": exact[0], "adam_seconds": adam[0], "exact_loss": exact[1], "adam_loss": adam[1],
            "seconds_to_plain_loss": {"ours": exact[0] if exact[1] <= adam[1] else None, "plain": adam[0]},
        }  # fmt: skip
        print(name, heads[name], flush=True)
    ours["five_seeds"] = command(5, out / "five")
    plain = sum(n["plain_seconds"] for n in networks.values()), sum(h["adam_seconds"] for h in heads.values())
    parts = {
        part: total([each["seconds_to_plain_loss"] for each in those.values()])
        for part, those in (("networks", networks), ("heads", heads))
    }
    parts["all"] = total([*parts.values()])
    return {
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "versions": {name: version(name) for name in ("numpy", "torch", "weakstrong")},
        "our_seconds": ours,
        "plain_seconds": {"networks": plain[0], "heads": plain[1], "all": sum(plain)},
        "ratio": {
            "all": sum(plain) / ours["one_seed"],
            "heads": plain[1] / sum(h["exact_seconds"] for h in heads.values()),
            "to_plain_loss": {part: over(sides) for part, sides in parts.items()},
        },
        "seconds_to_plain_loss": parts,
        "networks": networks,
        "heads": heads,
    }


def table(record: dict[str, Any]) -> list[str]:
    """Return the Markdown lines of docs/benchmarks.md."""
    ours, plain, ratio = record["our_seconds"], record["plain_seconds"], record["ratio"]
    exact, adam = (
        float(np.mean([h[f"{name}_seconds"] for h in record["heads"].values()])) for name in ("exact", "adam")
    )
    one = f"{ours['one_seed']:.1f} | {plain['all']:.0f} | {ratio['all']:.0f}×"
    parts = record["seconds_to_plain_loss"]
    lines = [
        "| what | weakstrong, s | plain pipeline, s | ratio |",
        "|---|---:|---:|---:|",
        f"| **all networks and heads, to the plain pipeline's loss** | {_cells(parts['all'])} |",
        f"| four networks, to the plain pipeline's loss | {_cells(parts['networks'])} |",
        f"| heads of six figures, to the plain pipeline's loss | {_cells(parts['heads'])} |",
        f"| six figures, one seed, whole command, to its own loss | {one} |",
        f"| six figures, five seeds, whole command | {ours['five_seeds']:.1f} | | |",
        f"| heads of 100 tasks, both stages, a figure | {exact:.2f} | {adam:.0f} | {ratio['heads']:.0f}× |",
        "",
        "| network of equation (9) | our loss | plain pipeline's | our s to the latter | its own | ratio |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, each in record["networks"].items():
        losses = f"{100 * each['our_loss']:.2f}% | {100 * each['plain_loss']:.2f}%"
        lines.append(f"| {name} | {losses} | {_cells(each['seconds_to_plain_loss'])} |")
    return lines


def _cells(sides: Sides) -> str:
    """Format the seconds of both sides, and the ratio."""
    seconds = ["not reached" if s is None else f"{s:.2g}" if s < 10 else f"{s:.0f}" for s in sides.values()]
    ratio = over(sides)
    shown = "" if ratio is None else f"{ratio:.2g}×" if ratio < 100 else f"{ratio:.0f}×"
    return " | ".join([*seconds, shown])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = Path(__file__).parent / "results" / "synthetic.json"
    parser.add_argument("--out", type=Path, default=default, help="JSON record to write")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        record = run(Path(folder))
    arguments.out.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    print("\n".join(table(record)))
