"""Pretrained networks of the experiments, trained in batches and kept on disk."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from weakstrong.errors import InputError
from weakstrong.identity import fingerprint
from weakstrong.neural.mlp import MLP, Initialization, random_mlp
from weakstrong.neural.training import Training
from weakstrong.paper.run_settings import Settings
from weakstrong.paper.sources import Meter, Source
from weakstrong.paper.task_settings import TaskSettings, WorldSettings
from weakstrong.paper.worlds import inputs, random_tasks, stream, truth
from weakstrong.progress import Advance
from weakstrong.whole_files import keep, opened

if TYPE_CHECKING:
    from weakstrong.neural.multitask import MultitaskSample
    from weakstrong.parallel import Workers

_OF_WORLD = [name for name in WorldSettings.model_fields if name not in Settings.model_fields]
_SIDE_BY_SIDE = 6  # networks in a batch; more of them gain little speed and lose more to an interruption


@dataclass(frozen=True)
class PretrainingJob(Source):
    """One network to pretrain by equation (9); experiments that need the same network have equal jobs.

    Parameters
    ----------
    world : WorldSettings
    seed : int
        Seed of the world.
    depth, copy : int
        Number of layers, and which of several networks of that depth.
    tasks, rows : int
        T and N_r.
    init : str
        Distribution of the initial weights.
    training : Training
    """

    world: WorldSettings
    seed: int
    depth: int
    copy: int
    tasks: int
    rows: int
    init: Initialization
    training: Training

    kind = "networks"
    module = __name__

    @property
    def key(self) -> str:
        """Key that identifies the network, for one version of the code."""
        settings = {k: v for k, v in vars(self).items() if k != "world"}
        return fingerprint("pretraining", self.world.of_one_seed(), settings)[:24]

    @property
    def file_name(self) -> str:
        """Name of the file that keeps the network."""
        return f"{self.depth}-layers-seed-{self.seed}-{self.key}.npz"

    @classmethod
    def make(cls, missing: Sequence[PretrainingJob], folder: Path, pool: Workers, meter: Meter) -> None:
        """Pretrain the missing networks, in batches."""
        groups = batches(list(missing))
        steps = sum(group[0].training.steps for group in groups)
        with meter(steps, f"pretraining {len(missing)} networks: steps") as advance:
            pool.run(train, [(group, folder) for group in groups], advance)

    @property
    def batch_key(self) -> tuple[Any, ...]:
        """Settings that jobs must share to be trained as one batch."""
        world = self.world
        return (self.depth, world.input_dim, world.width, world.output_relu, world.heads, self.training)


def pretraining_jobs(config: TaskSettings, seed: int) -> dict[str, PretrainingJob]:
    """Return the networks to pretrain for a seed, by role before roles are swapped."""
    if config.representations == "perturbation":
        return {}
    depths = {"weak": config.weak_depth}
    if config.representations == "pretraining":
        depths["strong"] = config.strong_depth
    world = WorldSettings(**{name: getattr(config, name) for name in _OF_WORLD})
    if config.pretraining_heads != "same":
        world = world.model_copy(update={"heads": config.pretraining_heads})
    training = Training(
        config.pretraining_steps,
        config.pretraining_batch,
        config.pretraining_rate,
        config.pretraining_momentum,
        config.weight_decay,
        config.pretraining_optimizer,
        config.pretraining_schedule,
        config.pretraining_units,
    )
    sample = config.pretraining_tasks, config.pretraining_rows, config.pretraining_init
    copies = {"weak": 0, "strong": int(config.strong_depth == config.weak_depth)}
    return {
        role: PretrainingJob(world, seed, depth, copies[role], *sample, training)
        for role, depth in depths.items()
    }


def batches(jobs: list[PretrainingJob]) -> list[list[PretrainingJob]]:
    """Group jobs into batches, the longest first; the networks of a batch are trained together."""
    ordered = sorted(jobs, key=lambda j: (-j.depth * j.training.steps, repr(j.batch_key), j.seed, j.key))
    out = []
    for _, group in groupby(ordered, key=lambda j: j.batch_key):
        members = list(group)
        pieces = -(-len(members) // _SIDE_BY_SIDE)
        out += [members[i::pieces] for i in range(pieces)]
    return out


def draw_sample(job: PretrainingJob) -> MultitaskSample:
    """Draw the data of equation (9) for a job."""
    from weakstrong.neural.multitask import MultitaskSample

    heads = random_tasks(job.world, job.seed, "pretraining tasks", job.tasks)
    x = np.stack(
        [inputs(job.world, (job.rows,), stream(job.seed, "pretraining inputs", t)) for t in range(job.tasks)]
    )
    return MultitaskSample(x, heads(truth(job.world, job.seed).transform(x)), heads)


def initial_mlp(job: PretrainingJob) -> MLP:
    """Draw the weights before training, from their own random numbers, never those of h*."""
    widths = (job.world.input_dim, *[job.world.width] * job.depth)
    rng = stream(job.seed, "first weights", job.depth, job.copy)
    return random_mlp(rng, widths, job.init, output_relu=job.world.output_relu)


def train(jobs: list[PretrainingJob], folder: Path, advance: Advance) -> None:
    """Train the networks of a batch and keep each in its file."""
    from weakstrong.neural.multitask import pretrain, relative_loss

    samples = [draw_sample(job) for job in jobs]
    starts = [initial_mlp(job) for job in jobs]
    orders = [stream(job.seed, "order of rows", job.depth, job.copy) for job in jobs]
    networks = pretrain(samples, starts, orders, jobs[0].training, advance)
    folder.mkdir(parents=True, exist_ok=True)
    diverged = []
    for job, network, sample in zip(jobs, networks, samples, strict=True):
        if all(np.isfinite(a).all() for a in (*network.weights, *network.biases)):
            _save(folder / job.file_name, network, relative_loss(network, sample))
        else:
            diverged.append(job)
    if diverged:
        first = diverged[0]
        units = ", or train in pretraining_units = scaled" if first.training.units == "raw" else ""
        raise InputError(
            f"pretraining, seed {first.seed}, {first.depth} layers: the weights went to infinity; lower "
            f"pretraining_rate{units}"
        )


def load(path: Path) -> tuple[MLP, float]:
    """Read a network and its relative training loss from a file."""
    with np.load(opened(path), allow_pickle=False) as arrays:
        layers = range(int(arrays["depth"]))
        weights, biases = (tuple(arrays[f"{part}{i}"] for i in layers) for part in ("weight", "bias"))
        return MLP(weights, biases, bool(arrays["output_relu"])), float(arrays["relative_loss"])


def _save(path: Path, network: MLP, loss: float) -> None:
    buffer = io.BytesIO()
    arrays: dict[str, Any] = {f"weight{i}": w for i, w in enumerate(network.weights)}
    arrays |= {f"bias{i}": b for i, b in enumerate(network.biases)}
    np.savez(buffer, depth=network.depth, output_relu=network.output_relu, relative_loss=loss, **arrays)
    keep(path, buffer.getvalue())
