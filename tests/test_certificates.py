"""Claimed optimality gaps against excesses that are exact: sums in integers, minima at 120 digits.

``python -m tests.test_certificates 5000`` tries that many problems and reports how near claims come to the
truth and how loose they are; the suite tries a few hundred.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations
from operator import mul

import mpmath as mp
import numpy as np
import pytest

from weakstrong import ConvexHull, Head, L2Ball, LinearHeads, Moments, Projection, project
from weakstrong.heads import HeadClass
from weakstrong.least_squares import ScaledProblem

mp.mp.dps = 120  # a condition of 1e14 beside means of 1e3, both squared, leaves more than 50 digits
Vector = list[mp.mpf]
Matrix = list[Vector]

EPS = np.finfo(float).eps
# What a claim may be short of, relative to the mean square of the labels: the labels themselves are moved by
# a few roundings when their mean is subtracted, and an excess is a square of such moves.
ROUNDING = (4 * EPS) ** 2
NOTHING = mp.mpf(10) ** -70  # pivots below it are those of exactly dependent columns


@dataclass(frozen=True)
class Problem:
    """A sample, in shards, and a class of heads to project its labels onto."""

    kind: str
    condition: float
    features: np.ndarray
    targets: np.ndarray
    weights: np.ndarray | None
    heads: HeadClass
    shards: int = 1
    stacked: bool = False  # computed beside other samples, by stacked products

    def moments(self) -> Moments:
        if self.stacked:
            both = [a if a is None else np.stack([a, a]) for a in (self.features, self.targets, self.weights)]
            return Moments.of(both[0], both[1], sample_weight=both[2])[0]
        omega = np.ones(len(self.features)) if self.weights is None else self.weights
        parts = [
            Moments.of(
                self.features[s :: self.shards],
                self.targets[s :: self.shards],
                sample_weight=None if self.weights is None else omega[s :: self.shards],
            )
            for s in range(self.shards)
        ]
        return Moments.merge(parts)


# The oracle


def integers(values: np.ndarray) -> tuple[list[int], int]:
    """Write floats exactly as integers times one power of two."""
    mantissas, exponents = np.frexp(values.astype(np.float64))
    whole = (mantissas * 2.0**53).astype(np.int64)
    base = int(exponents[whole != 0].min(initial=2000))
    return [int(w) << int(e - base) if w else 0 for w, e in zip(whole, exponents, strict=True)], base - 53


def sums(columns: list[np.ndarray], weights: np.ndarray) -> Matrix:
    """Sum weighted products of columns exactly, and round once, to 120 digits."""
    omega, shift = integers(weights)
    exact = [integers(column) for column in columns]
    total = [[mp.mpf(0)] * len(columns) for _ in columns]
    for i, (a, up) in enumerate(exact):
        weighted = list(map(mul, omega, a))
        for j, (b, along) in enumerate(exact[: i + 1]):
            value = mp.ldexp(mp.mpf(sum(map(mul, weighted, b))), shift + up + along)
            total[i][j] = total[j][i] = value
    return total


def dot(a: Vector, b: Vector) -> mp.mpf:
    return mp.fdot(a, b)


def times(matrix: Matrix, vector: Vector) -> Vector:
    return [dot(row, vector) for row in matrix]


def exact_vector(values: np.ndarray) -> Vector:
    return [mp.mpf(float(value)) for value in values]


def factorized(gram: Matrix) -> tuple[list[int], Matrix]:
    """Factorize a scaled positive semidefinite matrix with pivoting; stop where what is left is nothing."""
    left = [list(row) for row in gram]
    size = [g[i] for i, g in enumerate(gram)]
    order: list[int] = []
    rows: Matrix = []
    free = [i for i, s in enumerate(size) if s > 0]
    while free:
        pivot = max(free, key=lambda i: left[i][i] / size[i])
        if left[pivot][pivot] <= NOTHING * size[pivot]:
            break
        row = [value / mp.sqrt(left[pivot][pivot]) for value in left[pivot]]
        free.remove(pivot)
        for i in free:
            for j in free:
                left[i][j] -= row[i] * row[j]
            left[i][pivot] = left[pivot][i] = mp.mpf(0)
        order.append(pivot)
        rows.append([row[i] if i in free or i == pivot else mp.mpf(0) for i in range(len(gram))])
    return order, rows


def solved(gram: Matrix, right: Vector) -> Vector:
    """Solve a consistent positive semidefinite system, with zeros for dependent unknowns."""
    order, rows = factorized(gram)
    rest, along = list(right), []
    for pivot, row in zip(order, rows, strict=True):
        along.append(rest[pivot] / row[pivot])
        rest = [value - along[-1] * r for value, r in zip(rest, row, strict=True)]
    out = [mp.mpf(0)] * len(gram)
    for pivot, row, value in reversed(list(zip(order, rows, along, strict=True))):
        out[pivot] = (value - dot(row, out)) / row[pivot]
    return out


@dataclass(frozen=True)
class Sample:
    """Exact weighted means of products of ``[1 | Φ | y]`` of one target."""

    products: Matrix

    @classmethod
    def of(cls, problem: Problem, target: int) -> Sample:
        n = len(problem.features)
        weights = np.ones(n) if problem.weights is None else problem.weights
        columns = [np.ones(n), *problem.features.T, problem.targets[:, target]]
        total = sums(columns, weights)
        return cls([[value / total[0][0] for value in row] for row in total])

    def objective(self, head: Head, target: int) -> mp.mpf:
        """The mean squared error of a head as it is."""
        line = [*exact_vector(head.intercept[[target]]), *exact_vector(head.coef[:, target]), mp.mpf(-1)]
        return dot(line, times(self.products, line))

    def quadratic(self, fit_intercept: bool) -> tuple[Matrix, Vector, mp.mpf]:
        """Gram matrix, products with the labels and their square, about the means or about zero."""
        mean = self.products[0]
        about = [
            [value - (mean[i] * mean[j] if fit_intercept else 0) for j, value in enumerate(row)]
            for i, row in enumerate(self.products)
        ]
        d = len(about) - 2
        return [row[1 : d + 1] for row in about[1 : d + 1]], about[d + 1][1 : d + 1], about[d + 1][d + 1]


def in_basis(gram: Matrix, right: Vector, basis: Matrix) -> tuple[Matrix, Vector]:
    """Write a quadratic in coordinates along the rows of a basis."""
    images = [times(gram, row) for row in basis]
    return [[dot(a, image) for image in images] for a in basis], [dot(row, right) for row in basis]


def least_in_ball(gram: Matrix, metric: Matrix, right: Vector, radius: float) -> mp.mpf:
    """Minimize ``cᵀGc − 2cᵀh`` over ``cᵀMc <= radius²``: the dual's value, a lower bound at any multiplier."""
    if radius == 0 or not gram:
        return mp.mpf(0)
    size = max(g[i] / metric[i][i] for i, g in enumerate(gram))
    if mp.isinf(radius):
        return -dot(right, solved(gram, right))
    limit, shift = mp.mpf(radius), NOTHING * size
    if size == 0:
        return mp.mpf(0)
    for _ in range(500):
        shifted = [[g + shift * m for g, m in zip(*rows, strict=True)] for rows in zip(gram, metric, strict=True)]
        at = solved(shifted, right)
        image = times(metric, at)
        norm = mp.sqrt(dot(at, image))
        if norm <= limit * (1 + mp.mpf(10) ** -50):
            break
        shift += norm**2 / dot(image, solved(shifted, image)) * (norm / limit - 1)
    return -dot(right, at) - (shift * limit**2 if norm > limit * (1 - mp.mpf(10) ** -20) else 0)


def kept_span(form: ScaledProblem, whole: bool) -> tuple[Matrix, Matrix]:
    """Rows that span the heads which count, as coefficients w and as σ ∘ w: all, or the span kept."""
    scale, divisor = exact_vector(form.scale), exact_vector(form.divisor)
    rows = [exact_vector(np.where(form.usable, v, 0.0)) for v in form.right[form.singular > 0]]
    basis = [[z / s for z, s in zip(row, divisor, strict=True)] for row in rows]
    if whole:
        basis = [[(i == j) / s for i in range(len(scale))] for j, s in enumerate(scale) if s > 0]
    return basis, [[w * s for w, s in zip(row, scale, strict=True)] for row in basis]


def least_of_span(problem: Problem, sample: Sample, heads: LinearHeads | L2Ball, radius: float) -> mp.mpf:
    """The minimum over linear heads or a ball; over the span kept only where rank was cut."""
    scale = heads.scale if isinstance(heads, L2Ball) else None
    form = ScaledProblem.of(problem.moments(), heads.fit_intercept, scale)
    gram, right, square = sample.quadratic(heads.fit_intercept)
    admitted = [i for i in range(len(gram)) if scale is None or scale[i] > 0]
    rank = len(factorized([[gram[i][j] for j in admitted] for i in admitted])[0])
    whole = rank == int(form.rank)
    if whole and scale is None:
        return square - dot(right, solved(gram, right))
    basis, scaled = kept_span(form, whole)
    metric = [[dot(a, b) for b in scaled] for a in scaled]
    return square + least_in_ball(*_with_metric(in_basis(gram, right, basis), metric), radius)


def _with_metric(
    quadratic: tuple[Matrix, Vector], metric: Matrix
) -> tuple[Matrix, Matrix, Vector]:
    return quadratic[0], metric, quadratic[1]


def least_of_hull(sample: Sample, vertices: Head) -> mp.mpf:
    """The minimum over a hull, as the least of all faces' affine minima that are in the face."""
    lines = [
        [*exact_vector(vertices.intercept[[j]]), *exact_vector(vertices.coef[:, j]), mp.mpf(-1)]
        for j in range(vertices.n_targets)
    ]
    gram, _ = in_basis(sample.products, lines[0], lines)
    least = min(gram[j][j] for j in range(len(lines)))
    for size in range(2, len(lines) + 1):
        for first, *rest in combinations(range(len(lines)), size):
            at = gram[first]
            steps = [
                [gram[i][j] - at[i] - at[j] + at[first] for j in rest] for i in rest
            ]
            right = [at[first] - at[i] for i in rest]
            share = solved(steps, right)
            if min(share) >= 0 and sum(share) <= 1:
                least = min(least, at[first] - dot(share, right))
    return least


def true_excess(problem: Problem, found: Projection, target: int) -> tuple[mp.mpf, mp.mpf]:
    """The exact excess of the returned head over the minimum, and the labels' mean square."""
    sample, heads = Sample.of(problem, target), found.heads
    if isinstance(heads, ConvexHull):
        least = least_of_hull(sample, heads.vertices)
    else:
        radius = float(heads.radius[target]) if isinstance(heads, L2Ball) else np.inf
        least = least_of_span(problem, sample, heads, radius)
    return sample.objective(found.head, target) - least, sample.products[-1][-1]


def claimed(problem: Problem, found: Projection, target: int) -> mp.mpf:
    """The claimed bound in squared units of the labels."""
    m = problem.moments()
    variance, square = m.target_variance[target], m.target_variance[target] + m.target_mean[target] ** 2
    unit = variance if variance > EPS**2 * square else square
    return mp.mpf(float(found.optimality_gap[target])) * mp.mpf(float(unit if unit > 0 else 1.0))


# Problems


def random_problem(seed: int) -> Problem:
    """Make a problem of any kind: the seed alone determines it."""
    rng = np.random.default_rng(seed)
    dtype = rng.choice([np.float32, np.float64])
    d, n, k = int(rng.integers(1, 7)), int(rng.integers(3, 41)), int(rng.integers(1, 4))
    condition = float(rng.choice([1.0, 1e6, 1e12, 10 ** rng.uniform(0, 4), 10 ** rng.uniform(0, 14)]))
    phi = _features(rng, n, d, condition)
    kind = "generic"
    if rng.uniform() < 0.2:
        kind, condition = "dependent", 1.0
        phi = _dependent(rng, np.round(rng.normal(size=(n, d)) * 256) / 256)
    phi = np.ldexp(phi, int(rng.choice([0, 0, 0, -40, 40]))).astype(dtype)
    y = _labels(rng, phi.astype(np.float64), k)
    weights = _weights(rng, n)
    heads = _heads(rng, phi.astype(np.float64), y)
    shards = int(rng.choice([1, 1, 2, 3])) if weights is None or weights.all() else 1
    stacked = bool(shards == 1 and n >= 8 * phi.shape[1] and rng.uniform() < 0.5)
    kind = "stacked" if stacked else kind
    name = {LinearHeads: "linear", L2Ball: "ball", ConvexHull: "hull"}[type(heads)]
    return Problem(f"{name} {kind}", condition, phi, y, weights, heads, shards, stacked)


def _features(rng: np.random.Generator, n: int, d: int, condition: float) -> np.ndarray:
    u, v = rng.normal(size=(n, d)), np.linalg.qr(rng.normal(size=(d, d)))[0]
    u = np.linalg.qr(u - u.mean(0))[0] if n > d else u
    s = np.geomspace(1, 1 / condition, d)
    mean = rng.choice([0.0, 1.0, 10 ** rng.uniform(-3, 3)]) * rng.normal(size=d) / np.sqrt(n)
    return u[:, : len(s)] * s @ v.T + mean


def _dependent(rng: np.random.Generator, phi: np.ndarray) -> np.ndarray:
    """Append exact copies, multiples by powers of two and integer combinations."""
    more = phi @ rng.integers(-3, 4, size=(phi.shape[1], int(rng.integers(1, 3))))
    copies = phi[:, :1] * rng.choice([1.0, -4.0, 0.5])
    return np.concatenate([phi, more, copies, np.full((len(phi), 1), rng.choice([0.0, 3.0]))], axis=1)


def _labels(rng: np.random.Generator, phi: np.ndarray, k: int) -> np.ndarray:
    spread = np.where(phi.std(0) > 0, phi.std(0), 1.0)
    noise = rng.choice([0.0, 1e-12, 1e-6, 1.0])
    if rng.uniform() < 0.5:
        y = (phi - phi.mean(0)) / spread @ rng.normal(size=(phi.shape[1], k))
    else:  # as steep along the least directions as along the others
        y = np.linalg.svd(phi - phi.mean(0), full_matrices=False)[0] @ rng.normal(size=(min(phi.shape), k))
    y = y + noise * rng.normal(size=y.shape) + rng.choice([0.0, 1.0, 1e3]) * rng.normal(size=k)
    return y * (10 ** rng.uniform(-100, 135) if rng.uniform() < 0.3 else 1.0)


def _weights(rng: np.random.Generator, n: int) -> np.ndarray | None:
    kinds = [None, rng.uniform(0.1, 1, n), 10 ** rng.uniform(-8, 8, n), (rng.uniform(size=n) < 0.8) + 0.0]
    kinds[3][:2] = 1.0
    return kinds[rng.integers(len(kinds))]


def _heads(rng: np.random.Generator, phi: np.ndarray, y: np.ndarray) -> HeadClass:
    intercept, kind = bool(rng.integers(2)), rng.choice(["linear", "ball", "ball", "hull"])
    if kind == "linear":
        return LinearHeads(intercept)
    coef = np.linalg.lstsq(phi - phi.mean(0), y - y.mean(0), rcond=1e-13)[0]
    if kind == "hull":
        return _hull(rng, coef, y.mean(0) - phi.mean(0) @ coef)
    scale = phi.std(0) * 10 ** rng.uniform(-2, 2, phi.shape[1]) if rng.uniform() < 0.3 else None
    norm = np.linalg.norm(coef * (phi.std(0) if scale is None else scale)[:, None], axis=0)
    norm = np.where(norm > 0, norm, 1.0)
    return L2Ball(norm * rng.choice([1e-6, 0.1, 0.9, 1.1, 100.0, np.inf]), intercept, scale)


def _hull(rng: np.random.Generator, coef: np.ndarray, intercept: np.ndarray) -> ConvexHull:
    """Vertices about the best head, or away from it, nearly equal or far apart."""
    m, size = int(rng.integers(1, 5)), rng.choice([1e-7, 1.0, 1e4])
    unit = np.abs(coef).max(initial=0.0)
    w = coef[:, :1] * rng.choice([0.0, 1.0]) + size * unit * rng.normal(size=(len(coef), m))
    return ConvexHull(Head(w, intercept[0] + size * np.abs(intercept[0]) * rng.normal(size=m)))


def long_problem(seed: int) -> Problem:
    """Rows enough for the moments to grow by products, where the first rows to factorize are few."""
    rng = np.random.default_rng(seed)
    condition = float(rng.choice([1.0, 1e6, 1e12, 10 ** rng.uniform(1, 3.3)]))
    n, d = int(rng.integers(1500, 4000)), int(rng.integers(1, 4))
    phi = _features(rng, n, d, condition) * np.sqrt(n)
    y = _labels(rng, phi, 1)
    heads = _heads(rng, phi, y)
    weights = rng.uniform(0.1, 1, n) if rng.uniform() < 0.5 else None
    return Problem("long", condition, phi, y, weights, heads)


def wide_problem(seed: int) -> Problem:
    """Features as many as a factorization needs to gather rounding."""
    rng = np.random.default_rng(seed)
    d = int(rng.integers(15, 40))
    condition = 10 ** rng.uniform(0, 13)
    phi = _features(rng, int(rng.integers(d + 2, 300)), d, condition)
    y = _labels(rng, phi, 1)
    return Problem("wide", condition, phi, y, None, _heads(rng, phi, y), int(rng.integers(1, 4)))


@dataclass(frozen=True)
class Outcome:
    """One target's exact excess and claim, relative to the mean square of the labels."""

    problem: Problem
    excess: float
    claim: float

    @property
    def ratio(self) -> float:
        return self.excess / (self.claim + ROUNDING)


def outcomes(problem: Problem) -> Iterator[Outcome]:
    """Project, and compare every target's claim with its exact excess."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = project(problem.moments(), problem.heads)
    for target in range(problem.targets.shape[1]):
        excess, square = true_excess(problem, found, target)
        unit = square if square > 0 else mp.mpf(1)
        yield Outcome(problem, float(excess / unit), float(claimed(problem, found, target) / unit))


def main() -> None:
    """Try many problems; report the worst ratio of excess and claim of each kind, and the median claim."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("count", type=int, nargs="?", default=5000)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--long", type=int, default=10)
    parser.add_argument("--wide", type=int, default=10)
    import weakstrong.moments
    weakstrong.moments._FIRST_BYTES=1
    options = parser.parse_args()
    seeds = range(options.start, options.start + options.count)
    found: list[Outcome] = []
    for seed in seeds:
        try:
            some = list(outcomes(random_problem(seed)))
        except Exception as error:  # noqa: BLE001
            print(f"{seed}: {type(error).__name__} {error}", flush=True)
            continue
        found += some
        for o in some:
            if o.ratio > 1:
                print(f"{seed}: {o.problem.kind} condition {o.problem.condition:.1e} {o.problem.features.dtype} excess {o.excess:.2e} claimed {o.claim:.2e}", flush=True)
    for make, count in ((long_problem, options.long), (wide_problem, options.wide)):
        for seed in range(count):
            some = list(outcomes(make(seed)))
            for o in some:
                if o.ratio > 1:
                    print(f"{seed}: {o.problem.kind} condition {o.problem.condition:.1e} {type(o.problem.heads)} excess {o.excess:.2e} claimed {o.claim:.2e}", flush=True)
            found += some
    for kind in sorted({o.problem.kind for o in found}):
        of_kind = [o for o in found if o.problem.kind == kind]
        print(f"{kind}: {len(of_kind)} claims, worst ratio {max(o.ratio for o in of_kind):.3g}")
        for dtype in (np.float32, np.float64):
            for condition in (1.0, 1e6, 1e12):
                claims = [o.claim for o in of_kind if o.problem.condition == condition and o.problem.features.dtype == dtype]
                if claims:
                    print(f"  {np.dtype(dtype).name} condition {condition:.0e}: median claim {np.median(claims):.1e} max {max(claims):.1e}")


if __name__ == "__main__":
    main()
