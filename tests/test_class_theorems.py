"""The laws of weak-to-strong generalization on classes over random worlds, each with its negative control.

A world is a finite population with weights, so "population" is exact. Per row w, s, y are the distributions
of supervisor, student and truth over c classes and ℓ = log(s/w); E is the weighted mean over rows. With D the
divergence, C = E D(y, w), A = E D(y, s), B = E D(s, w), G = C − A and X = G − B by its own formula. F is a
class of heads: mixtures of given probabilities, or softmaxes of linear heads.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax
from scipy.stats import t as student_t
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score

from weakstrong import ConvexHull, Head, L2Ball, LinearHeads, Moments, project
from weakstrong.divergence import Brier, Divergence, LogLoss, ZeroOne, hardened
from weakstrong.heads import HeadClass
from weakstrong.mixture_projection import project_mixture

SEEDS = range(25)
MANY = range(100)  # worlds of controls, whose failures are counted
ROUNDING = 1e-9  # gaps of the solvers included
LOG = LogLoss()


class World(NamedTuple):
    phi: np.ndarray  # (n, d)
    members: np.ndarray  # (m, n, c): probabilities whose mixtures are F
    weak: np.ndarray  # (n, c), of full support
    weights: np.ndarray
    rng: np.random.Generator


class Measured(NamedTuple):
    A: float
    B: float
    C: float
    X: float

    @property
    def G(self) -> float:
        return self.C - self.A


def make_world(seed: int, c: int | None = None, n: int | None = None) -> World:
    rng = np.random.default_rng(seed)
    n, d = n or int(rng.integers(20, 60)), int(rng.integers(1, 4))
    c = c or int(rng.integers(2, 5))
    phi = rng.normal(size=(n, d))
    members = np.stack(
        [
            softmax(phi @ rng.normal(size=(d, c)) * rng.gamma(2.0) + rng.normal(size=c), axis=1)
            for _ in range(5)
        ]
    )
    weak = softmax(1.5 * np.tanh(phi @ rng.normal(size=(d, c))) + rng.normal(size=(n, c)), axis=1)
    return World(phi, members, weak, rng.uniform(0.2, 2.0, size=n), rng)


def mean(world: World, rows: np.ndarray) -> float:
    return float(np.average(rows, weights=world.weights))


def measured(world: World, y: np.ndarray, s: np.ndarray, divergence: Divergence = LOG) -> Measured:
    rows = divergence.of_rows(y, world.weak, s)
    return Measured(*(mean(world, rows[k]) for k in ("strong_error", "misfit", "weak_error", "cross_term")))


def kl(world: World, a: np.ndarray, b: np.ndarray) -> float:
    return mean(world, (a * np.log(a / b)).sum(1))


def mixture(world: World, spread: float = 0.5) -> np.ndarray:
    """A random mixture: a truth that is realizable."""
    return np.tensordot(world.rng.dirichlet(np.full(len(world.members), spread)), world.members, axes=1)


def projected(world: World, labels: np.ndarray, divergence: str = "log") -> np.ndarray:
    found = project_mixture(world.members, labels, world.weights, divergence=divergence)
    assert found.optimality_gap <= 1e-10
    return np.tensordot(found.alpha, world.members, axes=1)


def distribution(world: World, spread: float = 1.0) -> np.ndarray:
    """A truth that is anything."""
    n, c = world.weak.shape
    return np.maximum(world.rng.dirichlet(np.full(c, spread), size=n), 1e-12)


def sampled(world: World, y: np.ndarray) -> np.ndarray:
    """Hard labels drawn from the truth."""
    drawn = (y.cumsum(1) < world.rng.uniform(size=(len(y), 1))).sum(1)
    return np.eye(y.shape[1])[np.minimum(drawn, y.shape[1] - 1)]


class LogitFit(NamedTuple):
    student: np.ndarray  # (n, c)
    coef: np.ndarray  # (d, c)


def logits(world: World, scale: float = 1.0) -> np.ndarray:
    """Coefficients of a random linear head; those of an intercept, if there is one, are in the first row."""
    return scale * world.rng.normal(size=(world.phi.shape[1], world.weak.shape[1]))


def logit_projection(world: World, strength: float = 0.0, intercept: bool = False) -> LogitFit:
    """Fit ``argmin_W E KL(w ‖ softmax(Φ W)) + strength ‖W‖²/2``: that of the ball of radius ‖W‖ as well."""
    phi = np.column_stack([np.ones(len(world.phi)), world.phi]) if intercept else world.phi
    omega = world.weights / world.weights.sum()
    shape = (phi.shape[1], world.weak.shape[1])

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        w = flat.reshape(shape)
        scores = phi @ w
        value = -omega @ (world.weak * log_softmax(scores, axis=1)).sum(1) + strength * (w**2).sum() / 2
        gradient = phi.T @ (omega[:, None] * (softmax(scores, axis=1) - world.weak)) + strength * w
        return value, gradient.ravel()

    def hessian(flat: np.ndarray) -> np.ndarray:
        s = softmax(phi @ flat.reshape(shape), axis=1)
        spread = omega[:, None, None] * (s[:, :, None] * np.eye(shape[1]) - s[:, :, None] * s[:, None, :])
        flat_hessian = np.einsum("ni,nab,nj->iajb", phi, spread, phi).reshape(flat.size, flat.size)
        return flat_hessian + strength * np.eye(flat.size)

    flat = np.zeros(int(np.prod(shape)))
    for _ in range(100):
        value, gradient = loss(flat)
        step = np.linalg.lstsq(hessian(flat), -gradient, rcond=1e-12)[0]
        size = 1.0
        while size > 1e-9 and loss(flat + size * step)[0] > value + size * (gradient @ step) / 1e4 + 1e-15:
            size /= 2
        if np.abs(gradient).max() < 1e-13 or size <= 1e-9:
            break
        flat = flat + size * step
    assert np.abs(loss(flat)[1]).max() < 1e-10
    return LogitFit(softmax(phi @ flat.reshape(shape), axis=1), flat.reshape(shape))


def reverse_logit_projection(world: World) -> np.ndarray:
    """Find ``argmin_W E KL(softmax(Φ W) ‖ w)``, which is not convex in W, from several starts."""
    omega, log_w = world.weights / world.weights.sum(), np.log(world.weak)
    shape = (world.phi.shape[1], world.weak.shape[1])

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        scores = world.phi @ flat.reshape(shape)
        s, ratio = softmax(scores, axis=1), log_softmax(scores, axis=1) - log_w
        value = (s * ratio).sum(1)
        return omega @ value, (world.phi.T @ (omega[:, None] * s * (ratio - value[:, None]))).ravel()

    starts = [np.zeros(shape), logit_projection(world).coef, logits(world)]
    found = [
        minimize(loss, start.ravel(), jac=True, method="BFGS", options={"gtol": 1e-9}) for start in starts
    ]
    return softmax(world.phi @ min(found, key=lambda f: f.fun).x.reshape(shape), axis=1)


# ---------------------------------------------------------------------------------------- C1, the identity

GENERATORS: dict[str, tuple[Callable, Callable]] = {  # φ and its gradient
    "log": (lambda p: (p * np.log(p)).sum(-1), lambda p: np.log(p) + 1),
    "brier": (lambda p: (p**2).sum(-1), lambda p: 2 * p),
    "itakura-saito": (lambda p: -np.log(p).sum(-1), lambda p: -1 / p),
}


def bregman(name: str, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    phi, slope = GENERATORS[name]
    return phi(a) - phi(b) - (slope(b) * (a - b)).sum(-1)


@pytest.mark.parametrize("seed", SEEDS)
def test_c1_gain_is_misfit_plus_cross_term_for_any_bregman_divergence(seed: int) -> None:
    """D(y,w) − D(y,s) = D(s,w) + ⟨y − s, ∇φ(s) − ∇φ(w)⟩.

    Write each D as φ(a) − φ(b) − ⟨∇φ(b), a − b⟩: φ(y) cancels at the left, φ(s) − φ(w) is on both sides, and
    what is left, ⟨∇φ(s), y − s⟩ − ⟨∇φ(w), y − w⟩ + ⟨∇φ(w), s − w⟩, is ⟨∇φ(s) − ∇φ(w), y − s⟩.
    """
    world = make_world(seed)
    y, s, w = distribution(world), distribution(world), world.weak
    for name, (_, slope) in GENERATORS.items():
        cross = ((y - s) * (slope(s) - slope(w))).sum(1)
        gain, misfit = bregman(name, y, w) - bregman(name, y, s), bregman(name, s, w)
        np.testing.assert_allclose(gain, misfit + cross, rtol=1e-6, atol=1e-9)
        divergence = {"log": LOG, "brier": Brier()}.get(name)
        if divergence is not None:
            rows = divergence.of_rows(y, w, s)
            for key, expected in (("gain", gain), ("misfit", misfit), ("cross_term", cross)):
                np.testing.assert_allclose(rows[key], expected, atol=1e-9)


@pytest.mark.parametrize("divergence", [LOG, Brier(), ZeroOne()], ids=lambda d: d.name)
@pytest.mark.parametrize("seed", SEEDS)
def test_c1_holds_for_hard_labels_and_the_gain_is_affine_in_the_truth(
    seed: int, divergence: Divergence
) -> None:
    """G(y) = Σ_c y_c G(e_c): so hard labels drawn from y estimate the gain at y without bias.

    D(y,w) − D(y,s) = ⟨y, ∇φ(s) − ∇φ(w)⟩ + what does not depend on y: φ(y), the entropy, cancels.
    """
    world = make_world(seed)
    y, s, w = distribution(world), distribution(world), world.weak
    hard = [np.broadcast_to(e, y.shape) for e in np.eye(y.shape[1])]
    rows = [divergence.of_rows(e, w, s) for e in hard]
    for found in rows:
        np.testing.assert_allclose(found["gain"], found["misfit"] + found["cross_term"], atol=1e-12)
    expected = np.stack([found["gain"] for found in rows], 1)
    np.testing.assert_allclose((y * expected).sum(1), divergence.of_rows(y, w, s)["gain"], atol=1e-12)
    if divergence is LOG:
        np.testing.assert_allclose(expected, np.log(s / w), atol=1e-12)


def test_c1_fails_with_the_misfit_the_other_way_round() -> None:
    """Negative control: KL(w‖s), the supervisor first, is not what the identity has."""
    off = []
    for seed in SEEDS:
        world = make_world(seed)
        y, s = distribution(world), distribution(world)
        found = measured(world, y, s)
        off.append(abs(found.G - kl(world, world.weak, s) - found.X) / found.C)
    assert np.median(off) > 0.05


# ------------------------------------------------------------------------------------------- C2, the slope


@pytest.mark.parametrize("seed", SEEDS)
def test_c2_the_slope_gives_the_gain_and_says_who_is_better(seed: int) -> None:
    """G = (1 − θ) B − θ B', θ = E⟨s − y, ℓ⟩ / (B + B'); G > 0 iff θ < B/(B + B').

    X = −E⟨s − y, ℓ⟩ = −θ (B + B'), and G = B + X. For squares ∇φ is linear, so B = B' and the bound is 1/2.
    """
    world = make_world(seed)
    for _ in range(10):
        y, s = distribution(world), distribution(world)
        found, back = measured(world, y, s), kl(world, world.weak, s)
        theta = mean(world, ((s - y) * np.log(s / world.weak)).sum(1)) / (found.B + back)
        assert pytest.approx((1 - theta) * found.B - theta * back, abs=1e-12) == found.G
        assert (found.G > 0) == (theta < found.B / (found.B + back))
        square = measured(world, y, s, Brier())
        slope = mean(world, 2 * ((s - y) * (s - world.weak)).sum(1)) / (2 * square.B)
        assert (square.G > 0) == (slope < 1 / 2)


def test_c2_one_half_is_not_the_bound_in_log_loss() -> None:
    """Negative control: a slope between 1/2 and B/(B + B') has the sign of G wrong.

    The slope at y = λ w + (1 − λ) s is λ, since E⟨s − w, ℓ⟩ = B + B'.
    """
    apart = 0
    for world in map(make_world, MANY):
        s = distribution(world, 0.3)
        share = 1 / (1 + kl(world, world.weak, s) / measured(world, s, s).B)
        apart += abs(share - 1 / 2) > 0.05
        theta = (share + 1 / 2) / 2
        found = measured(world, theta * world.weak + (1 - theta) * s, s)
        assert (found.G > 0) == (theta < share) != (theta < 1 / 2)
    assert apart >= len(MANY) / 2


def test_c2_its_interval_from_few_labels_covers_the_gain() -> None:
    """Ĝ = mean_N KL(s‖w) − θ̂ J̄_N with CR2-like errors on n = 30 labels covers about as often as it says."""
    covered, n, tries = 0, 30, 400
    for seed in range(tries):
        world = make_world(seed, n=400)
        world = world._replace(weights=np.ones(400))
        s = projected(world, world.weak)
        y = sampled(world, 0.8 * mixture(world) + 0.2 * distribution(world))
        J = ((s - world.weak) * np.log(s / world.weak)).sum(1)
        z = (np.log(s / world.weak) * (s - y)).sum(1)
        some = world.rng.choice(400, n, replace=False)
        total = J[some].sum()
        theta, h = z[some].sum() / total, J[some] / total
        gain = LOG.misfit(s, world.weak).mean() - theta * J.mean()
        r = z[some] - theta * J[some]
        error = J.mean() / total * np.sqrt((r**2 / (1 - h)).sum())
        freedom = 1 / (h**2).sum() - 1
        covered += abs(gain - measured(world, y, s).G) <= student_t.ppf(0.975, freedom) * error
    assert covered >= 0.9 * tries


# ------------------------------------------------------------------------------------------- C3, Theorem 1


@pytest.mark.parametrize("seed", SEEDS)
def test_c3_theorem_1_a_realizable_truth_gives_a_gain_of_the_misfit(seed: int) -> None:
    """F mixtures, s = argmin_F E KL(s‖w), P(Y|x) in F: G >= B.

    Going from s to y stays in F, so the objective cannot fall: its slope there, E⟨ℓ + 1, y − s⟩ = X, is >= 0.
    """
    world = make_world(seed)
    s = projected(world, world.weak)
    for spread in (0.1, 0.5, 5.0):
        found = measured(world, mixture(world, spread), s)
        assert found.B > 1e-3
        assert found.X >= -ROUNDING
        assert found.G >= found.B - ROUNDING


def test_c3_is_strict_in_some_worlds() -> None:
    """X > 0 happens: the test of X >= 0 is not one of X = 0."""
    seen = [measured(w, mixture(w, 0.1), projected(w, w.weak)).X for w in map(make_world, SEEDS)]
    assert max(seen) > 0.1


def test_c3_fails_for_a_truth_outside_the_class() -> None:
    """Negative control: P(Y|x) no mixture of the members, and G < B."""
    found = [measured(w, distribution(w), projected(w, w.weak)) for w in map(make_world, MANY)]
    assert sum(f.G < f.B - ROUNDING for f in found) >= len(MANY) / 4


def test_c3_fails_for_the_hard_labels_of_a_sample() -> None:
    """Negative control: P(Y|x) is in F, but the drawn labels are not, and 50 of them break G >= B."""
    broken = 0
    for seed in MANY:
        world = make_world(seed, n=50)
        y = mixture(world)
        s = projected(world, world.weak)
        hard = measured(world, sampled(world, y), s)
        assert measured(world, y, s).X >= -ROUNDING
        broken += hard.G < hard.B - ROUNDING
    assert broken >= len(MANY) / 4


def test_c3_fails_for_a_class_that_is_not_convex() -> None:
    """Negative control: the members alone, not their mixtures; the truth is one of them, and G < B."""
    broken = 0
    for seed in MANY:
        world = make_world(seed)
        best = min(world.members, key=lambda p: kl(world, p, world.weak))
        found = [measured(world, p, best) for p in world.members]
        broken += any(f.G < f.B - ROUNDING for f in found)
    assert broken >= len(MANY) / 2


# ------------------------------------------------------------------------------- C4, the plain cross entropy


@pytest.mark.parametrize("seed", SEEDS)
def test_c4_plain_cross_entropy_gives_a_gain(seed: int) -> None:
    """s = argmin_F E KL(w‖s), y in F: G >= −log E Σ w y / s >= 0; s with Frank-Wolfe gap g: G >= −log(1 + g).

    G = −E Σ y log(w/s) >= −log E Σ y w/s (Jensen); at s the slope towards y is 1 − E Σ w y/s >= −g.
    """
    world = make_world(seed)
    s = projected(world, world.weak, "cross-entropy")
    for spread in (0.1, 0.5, 5.0):
        y = mixture(world, spread)
        ratio = mean(world, (world.weak * y / s).sum(1))
        found = measured(world, y, s)
        assert -np.log(ratio) - ROUNDING <= found.G
        assert -np.log(ratio) >= -ROUNDING
        for size in (0.3, 3.0):  # students that are not the minimum
            other = mixture(world, size)
            gap = max(mean(world, (world.weak * p / other).sum(1)) for p in world.members) - 1
            assert gap > 0
            assert -np.log1p(gap) - ROUNDING <= measured(world, y, other).G


def test_c4_has_no_misfit_in_it() -> None:
    """Negative control: after plain cross entropy the gain is below KL(s‖w) in many worlds."""
    below = 0
    for world in map(make_world, MANY):
        found = measured(world, mixture(world), projected(world, world.weak, "cross-entropy"))
        below += found.G < found.B - ROUNDING
    assert below >= len(MANY) / 8


# ---------------------------------------------------------------------- C5, C6: not realizable, not optimal


@pytest.mark.parametrize("seed", SEEDS)
def test_c5_a_truth_outside_the_class_costs_at_most_a_root(seed: int) -> None:
    """G >= B − √(½ ε E osc(ℓ)²) − γ, ε = E KL(y‖g) for any g in F, γ the Frank-Wolfe gap of s.

    X = E⟨ℓ, g − s⟩ + E⟨ℓ, y − g⟩. The first is >= −γ as in C3; the second is at most E osc(ℓ) TV(y, g), where
    TV <= √(KL/2) (Pinsker), and Cauchy-Schwarz parts the product.
    """
    world = make_world(seed)
    for s in (projected(world, world.weak), mixture(world)):
        ratio = np.log(s / world.weak)
        square = mean(world, np.ptp(ratio, axis=1) ** 2)
        gap = max(mean(world, ((s - p) * ratio).sum(1)) for p in world.members)
        for share in (0.01, 0.1, 0.5, 1.0):
            y = (1 - share) * mixture(world) + share * distribution(world)
            found = measured(world, y, s)
            for g in (projected(world, y, "cross-entropy"), mixture(world)):
                slack = np.sqrt(kl(world, y, g) * square / 2) + gap
                assert found.B - slack - ROUNDING <= found.G


@pytest.mark.parametrize("seed", SEEDS)
def test_c6_a_student_within_eta_of_the_least_misfit(seed: int) -> None:
    """X >= −2√(η E χ²(g‖s)) for η <= E χ², else −(η + E χ²), g in F; C5's root besides for y ≠ g.

    The point s + t (g − s) is in F. Its misfit, at least B − η, is B + t X + E KL(s + t (g − s)‖s), which is
    at most B + t X + t² E χ². So X >= −η/t − t E χ² for 0 < t <= 1; take t = √(η/Eχ²), or 1.
    """
    world = make_world(seed)
    least = measured(world, world.weak, projected(world, world.weak)).B
    for step in (1e-3, 0.1, 1.0):
        s = (1 - step) * projected(world, world.weak) + step * mixture(world)
        g = mixture(world)
        y = 0.8 * g + 0.2 * distribution(world)
        eta = measured(world, g, s).B - least
        assert eta > 0
        chi = mean(world, ((g - s) ** 2 / s).sum(1))
        slack = 2 * np.sqrt(eta * chi) if eta <= chi else eta + chi
        assert -slack - ROUNDING <= measured(world, g, s).X
        square = mean(world, np.ptp(np.log(s / world.weak), axis=1) ** 2)
        root = np.sqrt(kl(world, y, g) * square / 2)
        assert -slack - root - ROUNDING <= measured(world, y, s).X


def test_c6_holds_and_c3_fails_for_a_student_fitted_to_a_sample() -> None:
    """Negative control: the projection on 15 rows is none on all rows: X < 0 there, within what C6 allows."""
    negative = 0
    for seed in MANY:
        world = make_world(seed, n=60)
        rows = world.rng.choice(60, 15, replace=False)
        fit = project_mixture(world.members[:, rows], world.weak[rows], world.weights[rows])
        s, g = np.tensordot(fit.alpha, world.members, axes=1), mixture(world)
        found = measured(world, g, s)
        eta = found.B - measured(world, g, projected(world, world.weak)).B
        chi = mean(world, ((g - s) ** 2 / s).sum(1))
        assert -(2 * np.sqrt(eta * chi) if eta <= chi else eta + chi) - ROUNDING <= found.X
        negative += found.X < -ROUNDING
    assert negative >= len(MANY) / 8


# ------------------------------------------------------------------------- C7, C8: softmax of linear heads


@pytest.mark.parametrize("seed", SEEDS)
def test_c7_plain_cross_entropy_of_logit_heads_is_nearer_to_the_truth_in_reverse(seed: int) -> None:
    """F convex in logits, s = argmin_F E KL(w‖s), y in F: KL(w‖y) >= KL(w‖s) + KL(s‖y), for a subspace =.

    The difference is E⟨w − s, log s − log y⟩ = E⟨w − s, Φ (W_s − W_y)⟩, since normalizers do not depend on
    the class: the slope at W_s towards W_y, which is zero for a subspace and >= 0 for a convex set.
    """
    world = make_world(seed)
    for strength in (0.0, 0.03):
        fit = logit_projection(world, strength)
        W = logits(world)
        if strength:  # a ball of the radius that the penalty stands for, and a truth in it
            W *= world.rng.uniform() * np.linalg.norm(fit.coef) / np.linalg.norm(W)
        y, s, w = softmax(world.phi @ W, axis=1), fit.student, world.weak
        left = kl(world, w, y) - kl(world, w, s) - kl(world, s, y)
        assert kl(world, w, s) > 1e-3
        assert left >= -ROUNDING
        if not strength:
            assert left <= ROUNDING


def test_c7_is_strict_in_a_ball_and_fails_for_a_truth_outside_of_it() -> None:
    """Negative control: the inequality is one, and a truth beyond the ball breaks it."""
    inside, outside = [], []
    for world in map(make_world, SEEDS):
        fit = logit_projection(world, 0.1)
        s, w, W = fit.student, world.weak, fit.coef
        for scale, into in ((-0.9, inside), (4.0, outside)):
            y = softmax(world.phi @ (scale * W), axis=1)
            into.append(kl(world, w, y) - kl(world, w, s) - kl(world, s, y))
    assert min(inside) > 0.001
    assert max(outside) < -0.001


def test_c7_gives_no_gain_of_the_misfit() -> None:
    """Negative control: for such students and realizable truths near to them G >= KL(s‖w) fails."""
    below = 0
    for world in map(make_world, MANY):
        fit = logit_projection(world)
        y = softmax(world.phi @ (fit.coef + logits(world, 0.5)), axis=1)
        found = measured(world, y, fit.student)
        below += found.G < found.B - ROUNDING
    assert below >= len(MANY) / 4


@pytest.mark.parametrize("seed", SEEDS)
def test_c7_a_head_that_is_not_the_minimum_lacks_its_gap_at_most(seed: int) -> None:
    """In a ball of radius r: KL(w‖y) >= KL(w‖s) + KL(s‖y) − g, g = r ‖∇‖ + ⟨∇, W_s⟩ at any W_s in it.

    The difference is the slope ⟨∇, W_y − W_s⟩, and ⟨∇, W_y⟩ >= −r ‖∇‖.
    """
    world = make_world(seed)
    omega, w = world.weights / world.weights.sum(), world.weak
    for _ in range(10):
        W_s, W_y = (W / np.linalg.norm(W) * world.rng.uniform() for W in (logits(world), logits(world)))
        s, y = (softmax(world.phi @ W, axis=1) for W in (W_s, W_y))
        slope = world.phi.T @ (omega[:, None] * (s - w))
        gap = np.linalg.norm(slope) + (slope * W_s).sum()
        assert kl(world, w, y) - kl(world, w, s) - kl(world, s, y) >= -gap - ROUNDING


def test_c7_a_world_of_two_rows_in_which_a_realizable_truth_is_lost() -> None:
    """Logit heads, plain cross entropy, truth in F: G = −.254 at a misfit of .022."""
    y = np.array([0.383, 0.105])
    weak = np.array([0.816, 0.957])
    world = World(
        np.array([[-0.19], [-0.853]]),
        np.empty((0, 2, 2)),
        np.stack([1 - weak, weak], 1),
        np.ones(2),
        np.random.default_rng(0),
    )
    slopes = np.log(y / (1 - y)) / world.phi[:, 0]
    assert np.ptp(slopes) < 0.01  # the truth is in F to the digits given
    fit = logit_projection(world)
    found = measured(world, np.stack([1 - y, y], 1), fit.student)
    assert fit.coef[0, 1] - fit.coef[0, 0] == pytest.approx(-4.64, abs=0.005)
    assert pytest.approx(-0.254, abs=5e-4) == found.G
    assert pytest.approx(0.022, abs=5e-4) == found.B


def test_reverse_kl_gives_no_gain_of_the_misfit_for_logit_heads() -> None:
    """Negative control of C3: softmaxes of linear heads are not convex as distributions, and G < B."""
    below = 0
    for world in map(make_world, range(60)):
        s = reverse_logit_projection(world)
        found = measured(world, softmax(world.phi @ logits(world), axis=1), s)
        assert found.B <= measured(world, world.weak, logit_projection(world).student).B + ROUNDING
        below += found.G < found.B - ROUNDING
    assert below >= 15


@pytest.mark.parametrize("seed", SEEDS)
def test_c8_the_student_inherits_the_class_frequencies_of_the_supervisor(seed: int) -> None:
    """With a free intercept b, s = argmin E KL(w‖s): E s = E w, since ∂/∂b = E (s − w) = 0."""
    world = make_world(seed)
    s = logit_projection(world, intercept=True).student
    frequencies = [np.average(p, axis=0, weights=world.weights) for p in (s, world.weak)]
    np.testing.assert_allclose(*frequencies, atol=1e-10)
    other = logit_projection(world).student  # negative control: no intercept
    assert np.abs(np.average(other, axis=0, weights=world.weights) - frequencies[1]).max() > 1e-4


# ------------------------------------------------------------------------------------------- C9, Brier score


def linear_truth(world: World, size: float = 0.9) -> np.ndarray:
    """A distribution that is affine in the features: ``1/c + Φ W``, as far as it stays in the simplex."""
    c = world.weak.shape[1]
    W = logits(world)
    y = world.phi @ (W - W.mean(1, keepdims=True))
    return 1 / c + size * y / (c * -y.min())


def least_squares(world: World, heads: HeadClass, labels: np.ndarray) -> np.ndarray:
    head = project(Moments.of(world.phi, labels, sample_weight=world.weights), heads).head
    return head(world.phi)


def brier_classes(world: World) -> list[HeadClass]:
    d = world.phi.shape[1]
    vertices = Head(world.rng.normal(size=(d, 5)), world.rng.normal(size=5))
    return [LinearHeads(), L2Ball(0.1, scale=np.ones(d)), ConvexHull(vertices)]


def onto_simplex(points: np.ndarray) -> np.ndarray:
    """Project each row onto the simplex: the least shift that makes the positive parts sum to one."""
    ordered = -np.sort(-points, axis=1)
    shifts = (ordered.cumsum(1) - 1) / np.arange(1, points.shape[1] + 1)
    last = (ordered > shifts).sum(1) - 1
    return np.maximum(points - shifts[np.arange(len(points)), last][:, None], 0)


@pytest.mark.parametrize("seed", SEEDS)
def test_c9_theorem_1_on_columns_of_classes(seed: int) -> None:
    """Brier is squared error summed over columns, so laws 1 to 4 of squares hold as they stand.

    Projecting s onto the simplex moves it no further from what is in it: A' <= A, B' <= B, so C >= A' + B'.
    """
    world = make_world(seed)
    y = linear_truth(world)
    for labels in (world.weak, sampled(world, world.weak)):
        world = world._replace(weak=labels)
        s = least_squares(world, LinearHeads(), labels)
        found = measured(world, y, s, Brier())
        assert found.B > 1e-3
        assert abs(found.X) <= ROUNDING
        inside = measured(world, y, onto_simplex(s), Brier())
        assert inside.A <= found.A + ROUNDING
        assert inside.B <= found.B + ROUNDING
        assert found.C >= inside.A + inside.B - ROUNDING
        W = np.linalg.lstsq(np.column_stack([np.ones(len(y)), world.phi]), y, rcond=None)[0][1:]
        ball = L2Ball(1.01 * np.linalg.norm(W, axis=0).max(), scale=np.ones(len(W)))
        assert measured(world, y, least_squares(world, ball, labels), Brier()).X >= -ROUNDING


@pytest.mark.parametrize("seed", SEEDS)
def test_c9_laws_1_3_and_4_on_columns_of_classes(seed: int) -> None:
    """G = B + X; G >= B − 2√(εB); for s within η of the least misfit B − 2√(εB) − 2√(ηC) − 2η.

    Column by column these are the laws of squares; roots of products add up by Cauchy-Schwarz.
    """
    world = make_world(seed)
    world = world._replace(weak=sampled(world, world.weak))
    for heads in brier_classes(world):
        best = least_squares(world, heads, world.weak)
        other = least_squares(world, heads, distribution(world))
        for y in (distribution(world), sampled(world, world.weak), linear_truth(world)):
            eps = mean(world, Brier().error(least_squares(world, heads, y), y))
            for step in (0.0, 0.05, 0.5):
                s = (1 - step) * best + step * other
                found = measured(world, y, s, Brier())
                eta = found.B - measured(world, y, best, Brier()).B
                assert pytest.approx(found.B + found.X, abs=1e-12) == found.G
                slack = 2 * np.sqrt(eps * found.B) + 2 * np.sqrt(max(eta, 0) * found.C) + 2 * eta
                assert found.B - slack - ROUNDING <= found.G


def test_c9_fails_for_a_truth_outside_and_for_clipped_rows_divided_by_their_sum() -> None:
    """Negative controls: X < 0 for any truth; clipping and dividing is no projection: B may grow."""
    outside, grown = 0, 0
    for drawn in map(make_world, MANY):
        world = drawn._replace(weak=sampled(drawn, drawn.weak))
        s = least_squares(world, LinearHeads(), world.weak)
        outside += measured(world, sampled(world, world.weak), s, Brier()).X < -ROUNDING
        clipped = np.maximum(s, 0)
        clipped /= clipped.sum(1, keepdims=True)
        misfits = [Brier().misfit(p, world.weak) for p in (s, clipped, onto_simplex(s))]
        assert (misfits[2] <= misfits[0] + ROUNDING).all()
        grown += bool((misfits[1] > misfits[0] + ROUNDING).any())
    assert outside >= len(MANY) / 2
    assert grown >= len(MANY) / 8


# ---------------------------------------------------------------------------------------------- C10, accuracy


@pytest.mark.parametrize("seed", SEEDS)
def test_c10_the_gain_in_accuracy_is_made_where_the_two_differ(seed: int) -> None:
    """Two classes: gain = P(ŵ ≠ ŝ) (2 a − 1), a = acc(ŝ | ŵ ≠ ŝ); any number: P(ŵ ≠ ŝ) (π₊ − π₋).

    Where they agree both err or none does; where two classes differ just one is right, so 1 − a is the
    supervisor's accuracy there.
    """
    for c in (2, 3):
        world = make_world(seed, c=c)
        y, s = sampled(world, distribution(world)), distribution(world)
        guess, said, true = s.argmax(1), world.weak.argmax(1), y.argmax(1)
        differ = guess != said
        share = mean(world, differ)
        among = world._replace(weights=world.weights * differ)
        right, wrong = mean(among, guess == true), mean(among, said == true)
        found = measured(world, y, s, ZeroOne())
        accuracy = mean(world, (guess == true).astype(float) - (said == true))
        assert pytest.approx(accuracy, abs=1e-12) == found.G
        assert pytest.approx(share * (right - wrong), abs=1e-12) == found.G
        assert pytest.approx(share, abs=1e-12) == found.B
        if c == 2:
            assert pytest.approx(share * (2 * right - 1), abs=1e-12) == found.G


def test_c10_of_two_classes_fails_for_three() -> None:
    """Negative control: of three classes both may be wrong where they differ, and 2 a − 1 is too low."""
    off = []
    for world in (make_world(seed, c=3) for seed in SEEDS):
        y, s = sampled(world, distribution(world)), distribution(world)
        differ = s.argmax(1) != world.weak.argmax(1)
        among = world._replace(weights=world.weights * differ)
        a = mean(among, s.argmax(1) == y.argmax(1))
        off.append(measured(world, y, s, ZeroOne()).G - mean(world, differ) * (2 * a - 1))
    assert min(off) > 0.01


# ----------------------------------------------------------------------------------- C11, several supervisors


def of_supervisors(seed: int, average: Callable[[np.ndarray], np.ndarray]) -> tuple[float, float]:
    """What an average of supervisors gains over their mean error, and its mean divergence to them."""
    world = make_world(seed)
    weak = np.stack([distribution(world) for _ in range(int(world.rng.integers(2, 6)))])
    centre = average(weak)
    y = distribution(world) if seed % 2 else sampled(world, world.weak)
    errors = [mean(world, LOG.error(w, y)) for w in weak]
    spread = np.mean([mean(world, LOG.between(centre, w)) for w in weak])
    return float(np.mean(errors) - mean(world, LOG.error(centre, y))), float(spread)


@pytest.mark.parametrize("seed", SEEDS)
def test_c11_the_geometric_mean_of_supervisors_gains_their_mean_divergence(seed: int) -> None:
    """mean_k KL(y‖w_k) − KL(y‖w̄) = mean_k KL(w̄‖w_k), w̄ ∝ exp mean_k log w_k, hard y included.

    log w̄ − mean_k log w_k = −log Z is the same for all classes, so its mean under y is that under w̄.
    """
    gain, spread = of_supervisors(seed, lambda weak: softmax(np.log(weak).mean(0), axis=1))
    assert spread > 0.01
    assert gain == pytest.approx(spread, abs=1e-10)


def test_c11_fails_for_the_arithmetic_mean() -> None:
    """Negative control: the mean of probabilities gains, but not its mean divergence."""
    found = np.array([of_supervisors(seed, lambda weak: weak.mean(0)) for seed in SEEDS])
    assert (found[:, 0] >= -ROUNDING).all()  # by convexity of −log
    assert (np.abs(found[:, 0] - found[:, 1]) > 0.01).mean() > 0.9


# ------------------------------------------------------------------------------------------ further controls


def test_reverse_cross_entropy_is_no_projection() -> None:
    """Negative control: E⟨s, −log w⟩ is linear in s, so a vertex is least, even where w itself is in F.

    Of all distributions the least is one class in each row: the most probable of w.
    """
    below = 0
    for drawn in map(make_world, MANY):
        weak = mixture(drawn, 5.0)
        world = drawn._replace(weak=weak)

        def loss(s: np.ndarray, w: np.ndarray = weak, world: World = world) -> float:
            return mean(world, -(s * np.log(w)).sum(1))

        vertex = min(world.members, key=loss)
        assert loss(vertex) < loss(weak) - 1e-3  # though w in F has no misfit at all
        assert all(loss(mixture(world)) >= loss(vertex) for _ in range(10))
        assert loss(hardened(weak)) < loss(vertex)
        found = measured(world, weak, vertex)  # and where the supervisor is right:
        assert found.G < 0
        below += found.B > 0.05
    assert below > len(MANY) / 4


def test_the_gain_in_log_loss_may_be_positive_while_accuracy_falls() -> None:
    """Negative control: Theorem 1 promises log loss; in some worlds the student is less often right."""
    falls = 0
    for world in map(make_world, MANY):
        y, s = mixture(world), projected(world, world.weak)
        assert measured(world, y, s).G > 0
        falls += measured(world, y, s, ZeroOne()).G < -1e-9
    assert falls >= len(MANY) / 25


def test_a_recalibrated_supervisor_gains_in_log_loss_and_ranks_no_better() -> None:
    """Negative control: a monotone map of an overconfident supervisor is a gain with no new knowledge."""
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        scores = rng.normal(size=400)
        y = (rng.uniform(size=400) < 1 / (1 + np.exp(-scores))).astype(int)
        confident = 4 * (scores + 0.3 * rng.normal(size=400))
        fit = LogisticRegression(C=np.inf).fit(confident[:200, None], y[:200])
        truth, rest = np.eye(2)[y[200:]], slice(200, None)
        weak = softmax(np.stack([0 * confident, confident], 1), axis=1)[rest]
        s = fit.predict_proba(confident[:, None])[rest]
        gain = LOG.of_rows(truth, weak, s)["gain"].mean()
        assert gain == pytest.approx(log_loss(y[rest], weak[:, 1]) - log_loss(y[rest], s[:, 1]), abs=1e-9)
        assert gain > 0.1
        assert roc_auc_score(y[rest], s[:, 1]) == roc_auc_score(y[rest], weak[:, 1])
