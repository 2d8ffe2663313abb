"""Random worlds of Section 5.1: truth, tasks and samples, each from its own stream of random numbers."""

from __future__ import annotations

from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from weakstrong.neural.mlp import MLP, random_mlp
from weakstrong.neural.neural_heads import NeuralHead, random_heads
from weakstrong.paper.task_settings import WorldSettings

Array = NDArray[np.float64]

_ROWS_FOR_SCALE = 20_000


def stream(seed: int, purpose: str, *index: int) -> np.random.Generator:
    """Return the random number generator of a seed for one purpose, which no other purpose shares."""
    return np.random.default_rng([seed, crc32(purpose.encode()), *index])


def truth(world: WorldSettings, seed: int) -> MLP:
    """Make the true representation h*, a randomly initialised network."""
    widths = (world.input_dim, *[world.width] * world.truth_depth)
    return random_mlp(stream(seed, "truth"), widths, world.truth_init, output_relu=world.output_relu)


def inputs(world: WorldSettings, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Draw inputs from N(0, sigma² I), with shape (*shape, input_dim)."""
    return world.sigma * rng.standard_normal((*shape, world.input_dim))


def random_tasks(world: WorldSettings, seed: int, purpose: str, count: int) -> NeuralHead:
    """Draw the tasks f^(1), …, f^(count), of which the first ones do not depend on the count.

    Coefficients have variance ``task_scale² / E ‖h*(x)‖²``.
    """
    features = truth(world, seed).transform(inputs(world, (_ROWS_FOR_SCALE,), stream(seed, "task scale")))
    scale = world.task_scale / np.sqrt((features**2).sum(1).mean())
    heads = [random_heads(world.heads, 1, world.width, scale, stream(seed, purpose, t)) for t in range(count)]
    coef = np.concatenate([head.coef for head in heads])
    if world.task_law == "sphere":
        coef *= scale * np.sqrt(world.width) / np.linalg.norm(coef, axis=1, keepdims=True)
    bias, outer = (np.concatenate([getattr(h, part) for h in heads]) for part in ("bias", "outer"))
    return NeuralHead(world.heads, coef, bias, outer)
