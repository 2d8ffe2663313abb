"""Claimed optimality gaps against excesses that are exact: sums in integers, minima at 120 digits.

``python -m tests.test_certificates 5000`` tries that many problems and reports how near claims come to the
truth and how loose they are; the suite tries a few hundred.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations, product
from operator import mul
from unittest.mock import patch

import mpmath as mp
import numpy as np
import pytest

from tests.test_projection import classes, oracle, sample
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
    route: str = "rows"  # "stacked": beside other samples; "grown": whitened by few first rows

    def moments(self) -> Moments:
        if self.route == "stacked":
            two = [a if a is None else np.stack([a, a]) for a in (self.features, self.targets, self.weights)]
            return Moments.of(two[0], two[1], sample_weight=two[2])[0]
        with patch("weakstrong.accumulation._FIRST_BYTES", 1 if self.route == "grown" else 1 << 20):
            return Moments.merge(self._shard(slice(s, None, self.shards)) for s in range(self.shards))

    def _shard(self, rows: slice) -> Moments:
        omega = None if self.weights is None else self.weights[rows]
        return Moments.of(self.features[rows], self.targets[rows], sample_weight=omega)


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
    """Minimize ``cᵀGc − 2cᵀh`` over ``cᵀMc <= radius²``: the dual's value, a bound at any multiplier."""
    if radius == 0 or not gram:
        return mp.mpf(0)
    size = max(g[i] / metric[i][i] for i, g in enumerate(gram))
    if mp.isinf(radius):
        return -dot(right, solved(gram, right))
    limit, shift = mp.mpf(radius), NOTHING * size
    if size == 0:
        return mp.mpf(0)
    for _ in range(500):
        shifted = [
            [g + shift * m for g, m in zip(*rows, strict=True)] for rows in zip(gram, metric, strict=True)
        ]
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


def least_of_span(moments: Moments, sample: Sample, heads: LinearHeads | L2Ball, radius: float) -> mp.mpf:
    """The minimum over linear heads or a ball; over the span kept only where rank was cut."""
    scale = heads.scale if isinstance(heads, L2Ball) else None
    form = ScaledProblem.of(moments, heads.fit_intercept, scale)
    gram, right, square = sample.quadratic(heads.fit_intercept)
    admitted = [i for i in range(len(gram)) if scale is None or scale[i] > 0]
    rank = len(factorized([[gram[i][j] for j in admitted] for i in admitted])[0])
    whole = rank == int(form.rank)
    if whole and scale is None:
        return square - dot(right, solved(gram, right))
    basis, scaled = kept_span(form, whole)
    metric = [[dot(a, b) for b in scaled] for a in scaled]
    gram, right = in_basis(gram, right, basis)
    return square + least_in_ball(gram, metric, right, radius)


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
            steps = [[gram[i][j] - at[i] - at[j] + at[first] for j in rest] for i in rest]
            right = [at[first] - at[i] for i in rest]
            share = solved(steps, right)
            if min(share) >= 0 and sum(share) <= 1:
                least = min(least, at[first] - dot(share, right))
    return least


def true_excess(problem: Problem, moments: Moments, found: Projection, target: int) -> tuple[mp.mpf, mp.mpf]:
    """The exact excess of the returned head over the minimum, and the labels' mean square."""
    sample, heads = Sample.of(problem, target), found.heads
    if isinstance(heads, ConvexHull):
        least = least_of_hull(sample, heads.vertices)
    else:
        radius = float(heads.radius[target]) if isinstance(heads, L2Ball) else np.inf
        least = least_of_span(moments, sample, heads, radius)
    return sample.objective(found.head, target) - least, sample.products[-1][-1]


def claimed(moments: Moments, found: Projection, target: int) -> mp.mpf:
    """The claimed bound in squared units of the labels."""
    variance = moments.target_variance[target]
    square = variance + moments.target_mean[target] ** 2
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
    stacked = shards == 1 and n >= 8 * phi.shape[1] and rng.uniform() < 0.5
    kind, route = ("stacked", "stacked") if stacked else (kind, "rows")
    name = {LinearHeads: "linear", L2Ball: "ball", ConvexHull: "hull"}[type(heads)]
    return Problem(f"{name} {kind}", condition, phi, y, weights, heads, shards, route)


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
    if rng.uniform() < 0.3:  # later rows are unlike the first
        phi[1024:] = phi[1024:] * rng.choice([0.01, 10.0]) @ np.linalg.qr(rng.normal(size=(d, d)))[0]
    y = _labels(rng, phi, 1)
    heads = _heads(rng, phi, y)
    weights = rng.uniform(0.1, 1, n) if rng.uniform() < 0.5 else None
    return Problem("long", condition, phi, y, weights, heads, route="grown")


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
    found: Projection
    excess: float
    claim: float

    @property
    def ratio(self) -> float:
        return self.excess / (self.claim + ROUNDING)

    def __str__(self) -> str:
        p = self.problem
        what = f"{p.kind}, condition {p.condition:.1e}, {p.features.dtype} {p.features.shape}"
        return f"{what}: excess {self.excess:.2e}, claimed {self.claim:.2e}"


def outcomes(problem: Problem) -> Iterator[Outcome]:
    """Project, and compare every target's claim with its exact excess; a warning is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        moments = problem.moments()
        found = project(moments, problem.heads)
    for target in range(problem.targets.shape[1]):
        excess, square = true_excess(problem, moments, found, target)
        unit = square if square > 0 else mp.mpf(1)
        yield Outcome(problem, found, float(excess / unit), float(claimed(moments, found, target) / unit))


def tried(make: Callable[[int], Problem], seeds: Iterable[int]) -> list[Outcome]:
    return [outcome for seed in seeds for outcome in outcomes(make(seed))]


RUNS = [(random_problem, start, 50) for start in range(0, 300, 50)]


@pytest.mark.parametrize(("make", "start", "count"), [*RUNS, (long_problem, 0, 20), (wide_problem, 0, 4)])
def test_no_claimed_gap_is_below_the_true_excess(
    make: Callable[[int], Problem], start: int, count: int
) -> None:
    assert [str(o) for o in tried(make, range(start, start + count)) if o.ratio > 1] == []


@pytest.mark.parametrize("far", [1e3, 1e6, 1e9])
@pytest.mark.parametrize("route", ["rows", "stacked"])
def test_a_first_row_far_away_and_of_hardly_any_weight_costs_no_digits(far: float, route: str) -> None:
    rng = np.random.default_rng(1)
    phi, y = _features(rng, 40, 4, 1e2), rng.normal(size=(40, 1))
    phi[0] = far * rng.normal(size=4)
    weights = np.r_[1e-25, np.ones(39)]
    (found,) = outcomes(Problem("far", 1e2, phi, y, weights, LinearHeads(), route=route))
    assert found.ratio <= 1
    assert found.excess < 1e-20


def test_gaps_are_tight_where_features_are_well_conditioned() -> None:
    found = [o for o in tried(random_problem, range(100)) if o.problem.condition == 1]
    spans = [o.claim for o in found if "hull" not in o.problem.kind]
    assert len(spans) > 20
    assert max(spans) < 1e-12
    phi, y, _ = sample(0)
    vertices = Head(np.random.default_rng(0).normal(size=(5, 4)), np.zeros(4))
    assert project(Moments.of(phi, y), ConvexHull(vertices)).optimality_gap[0] < 1e-11


def test_claims_that_count_no_rounding_are_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("weakstrong.optimality._ROUNDINGS", 1e-6)
    monkeypatch.setattr("weakstrong.optimality._MEAN_ROUNDINGS", 0.0)
    false = {o.problem.kind.split()[0] for o in tried(random_problem, range(100)) if o.ratio > 1}
    assert false >= {"linear", "ball"}


@pytest.mark.parametrize("seed", range(3))
def test_exact_minima_are_those_of_interior_points(seed: int) -> None:
    phi, y, weights = sample(seed)
    for heads in classes(np.random.default_rng(seed), 5):
        (found,) = outcomes(Problem("plain", 1.0, phi, y[:, None], weights, heads))
        square = np.average(y**2, weights=weights)
        least = oracle(phi, y, weights, heads)
        assert found.found.error[0] - found.excess * square == pytest.approx(least, rel=1e-6)


@pytest.mark.parametrize("size", [1e-139, 1e134, 9e139])
@pytest.mark.parametrize("condition", [1.0, 1e12])
def test_balls_of_any_scale_are_exact(size: float, condition: float) -> None:
    """Labels, scales and radii near the ends of float64: no warning, a head of the ball, a true claim."""
    rng = np.random.default_rng(0)
    phi, y = _features(rng, 20, 4, condition), rng.uniform(-1, 1, size=(20, 1))
    best = np.linalg.lstsq(phi - phi.mean(0), y - y.mean(), rcond=1e-15)[0][:, 0]
    sigmas = [None, *(rng.uniform(0.5, 2, 4) * s for s in (1e-200, 1e-150, 1.0, 1e150, 1e200))]
    for sigma, share, intercept in product(sigmas, (1e-300, 1e-9, 0.1, 1.5, 1e300), (True, False)):
        with np.errstate(over="ignore", under="ignore"):
            radius = np.linalg.norm(best * phi.std(0)) if sigma is None else np.abs(best * sigma).max()
            radius = float(radius * size * share)
        heads = L2Ball(radius, intercept, sigma)
        (found,) = outcomes(Problem("ball", condition, phi, y * size, None, heads))
        assert found.ratio <= 1
        assert found.excess <= max(1e-12, 1e3 * (EPS * condition) ** 2)
        head, scale = found.found.head, exact_vector(found.found.heads.scale)
        z = [w * along for w, along in zip(exact_vector(head.coef[:, 0]), scale, strict=True)]
        assert mp.sqrt(dot(z, z)) <= mp.mpf(radius) * (1 + mp.mpf(1e-9))


def main() -> None:
    """Try many problems; report the worst ratio of excess and claim of each kind, and the median claim."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("count", type=int, nargs="?", default=5000)
    count = parser.parse_args().count
    runs = ((random_problem, count), (long_problem, count // 20), (wide_problem, count // 100))
    found = [outcome for make, number in runs for outcome in tried(make, range(number))]
    for outcome in found:
        if outcome.ratio > 1:
            print(outcome)
    for kind in sorted({o.problem.kind for o in found}):
        some = [o for o in found if o.problem.kind == kind]
        print(f"{kind}: {len(some)} claims, {max(o.ratio for o in some):.2g} is the worst ratio to the truth")
        for condition in (1.0, 1e6, 1e12):
            claims = [o.claim for o in some if o.problem.condition == condition]
            if claims:
                print(f"  condition {condition:.0e}: claims {np.median(claims):.1e} at the median")


if __name__ == "__main__":
    main()
