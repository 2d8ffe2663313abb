"""Law 4 (Theorem 2 with constants), measured on worlds in which n, ε and δ are controlled.

Inputs are uniform on [0, 1] and all functions are finite cosine series, so every error on the population
is an exact sum of squared coefficients. The student's class is linear in the first C cosines. Truth and
weak labels are bounded, as Theorem 2 asks; not every head of the class is, but law 4 does not need that.
With e_1, …, e_C the cosines of the class and e_{C+1}, e_{C+2} outside of it,

    truth = √(1 − ε) · (unit vector in the class) + √ε · e_{C+1},
    weak label = (vector in the class) + √misfit · (cos φ · e_{C+1} + sin φ · e_{C+2}),

so that the best head's error is ε and the least misfit is the one of the settings. As the weak labels share
the outside part of the truth, the gain of the population's student falls short of the misfit by
√2·√(ε misfit), which is of the order that law 3 allows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field, model_validator

from weakstrong.divergence import SQUARED_ERROR
from weakstrong.heads import LinearHeads
from weakstrong.moments import Moments
from weakstrong.paper.experiment import Experiment
from weakstrong.paper.run_settings import Settings
from weakstrong.paper.worlds import stream
from weakstrong.projection import project
from weakstrong.record import Result
from weakstrong.report.figures import blank_figure, logarithmic, shades

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

_ANGLE = np.pi / 4
_DRAWS_AT_ONCE = 20  # bounds memory
_RATE_OF_N = -0.25


class Theorem2Settings(Settings):
    """Settings that control n, ε and δ of Theorem 2.

    Grids hold different numbers; that of ε has 0 and positive ones.

    Parameters
    ----------
    complexity : int
        Dimension of the student's class of linear heads.
    misfit : float
        Mean square of the weak labels' part outside the class, the least misfit, and of their error
        inside it.
    draws : int
        Samples a seed draws at each n, for the quantiles that δ asks for.
    n_grid : tuple of int
        Rows the student sees.
    epsilon_grid : tuple of float
        ε, in units in which the truth has mean square one.
    delta_grid : tuple of float
        Chance of a worse sample than the one shown; each is at least one draw's share.
    """

    complexity: int = Field(default=16, ge=1, le=100_000, strict=True)
    misfit: float = Field(default=0.2, ge=1e-6, le=1e6)
    draws: int = Field(default=200, ge=20, le=1_000_000, strict=True)
    n_grid: tuple[int, ...] = (50, 100, 200, 400, 800, 1600, 3200, 6400, 12800)
    epsilon_grid: tuple[float, ...] = (0.0, 1e-4, 1e-3, 1e-2, 1e-1)
    delta_grid: tuple[float, ...] = (0.5, 0.25, 0.1, 0.05, 0.025, 0.01)

    @model_validator(mode="after")
    def _grids(self) -> Theorem2Settings:
        for name, least, most in (
            ("n_grid", self.complexity, 10**6),
            ("epsilon_grid", 0, 1),
            ("delta_grid", 1 / self.draws, 0.99),
        ):
            grid = getattr(self, name)
            if not grid or len(set(grid)) < len(grid) or min(grid) < least or max(grid) > most:
                raise ValueError(
                    f"{name} must hold different numbers from {least:g} to {most:g}; got {list(grid)}"
                )
        if 0 not in self.epsilon_grid or len(self.epsilon_grid) < 2:
            raise ValueError("epsilon_grid must hold 0 and a positive number")
        return self


@dataclass(frozen=True)
class Theorem2(Experiment):
    """Compare law 4 with the shortfall of gain from misfit, on worlds where every error is exact."""

    settings: Theorem2Settings

    rule = (
        "Theorem 2: *yes* where law 4, the theorem with constants, is never broken and the shortfall falls "
        "with n at least as fast as n^-¼."
    )

    def rows(self, seed: int, sources: Mapping[str, Path]) -> pd.DataFrame:
        """Run the worlds of one seed."""
        return run_worlds(self.settings, seed)

    def results(self, rows: pd.DataFrame) -> tuple[Result, ...]:
        """Compute the exponents of the shortfall, the constant of the rates, and breaches of law 4."""
        statistics = shortfall_statistics(rows, self.settings.complexity)
        finding, agrees = _verdict(statistics)
        return (Result({}, {}, {**statistics, "agrees": agrees}, (finding,)),)

    def figure(self, tables: Mapping[str, pd.DataFrame], results: Sequence[Result]) -> Figure:
        """Draw the shortfall against n, ε and δ, beside law 4 and the theorem's rates."""
        shortfalls, allowances, delta = (
            shortfall(tables["tasks"]),
            allowance(tables["tasks"]),
            results[0].facts["delta_shown"],
        )
        figure = blank_figure((14.4, 9.2))
        figure.suptitle(self.title, fontsize=12)
        (along_n, along_epsilon), (along_delta, shares) = figure.subplots(2, 2)
        _draw_n(along_n, shortfalls, allowances, self.settings.complexity, delta)
        _draw_epsilon(along_epsilon, shortfalls, allowances, delta)
        _draw_delta(along_delta, shortfalls)
        _draw_share(shares, allowances, delta)
        return figure


def run_worlds(config: Theorem2Settings, seed: int) -> pd.DataFrame:
    """Run every ε, n and δ on the world of one seed, and return one row for each.

    A row shows one of the drawn samples: the one with a share δ of the draws below its cross term.
    ``n`` is 0 where the student is the population's projection. ``eta`` is the student's excess
    misfit, ``law_4_slack`` is ``gain − (misfit − 2√(εB) − 2√(ηC) − 2η)``. All are exact.
    """
    rows = []
    deviations = {n: _deviations(config, n, stream(seed, "theorem 2 draws", n)) for n in config.n_grid}
    for epsilon in config.epsilon_grid:
        y, w = _world(config, epsilon, stream(seed, "theorem 2 world"))
        best = w.copy()
        best[config.complexity :] = 0
        rows.append({"n": 0, "epsilon": epsilon, "delta": 0.0, **_errors(config, y, w, best[None]).iloc[0]})
        for n in config.n_grid:
            errors = _errors(config, y, w, best + deviations[n])
            order = errors.sort_values("cross_term", kind="stable")
            for delta in config.delta_grid:
                sample = order.iloc[int(np.floor(delta * config.draws))]
                rows.append({"n": n, "epsilon": epsilon, "delta": delta, **sample})
    frame = pd.DataFrame(rows)
    frame.insert(0, "task", np.arange(len(frame)))
    frame.insert(0, "seed", seed)
    return frame


def _world(config: Theorem2Settings, epsilon: float, rng: np.random.Generator) -> tuple[Array, Array]:
    """Return the coefficients of truth and weak labels on the cosines."""
    direction, error = rng.standard_normal((2, config.complexity))
    direction, error = direction / np.linalg.norm(direction), error / np.linalg.norm(error)
    inside = np.sqrt(1 - epsilon) * direction
    weak = np.concatenate([inside + np.sqrt(config.misfit) * error, _outside(config)])
    return np.concatenate([inside, [np.sqrt(epsilon), 0.0]]), weak


def _outside(config: Theorem2Settings) -> Array:
    """Return the coefficients of the weak labels outside the class."""
    return np.sqrt(config.misfit) * np.array([np.cos(_ANGLE), np.sin(_ANGLE)])


def _deviations(config: Theorem2Settings, n: int, rng: np.random.Generator) -> Array:
    """Return how far students of n rows deviate from the population's projection, shape (draws, C + 2).

    The student is the population's projection plus this result, whatever the part inside the class is.
    """
    cosines = np.arange(1, config.complexity + 3)
    coefficients = []
    for draws in np.array_split(np.arange(config.draws), -(-config.draws // _DRAWS_AT_ONCE)):
        basis = np.sqrt(2) * np.cos(np.pi * cosines * rng.random((len(draws), n, 1)))
        labels = basis[..., config.complexity :] @ _outside(config)
        moments = Moments.of(basis[..., : config.complexity], labels)
        coefficients.append(project(moments, LinearHeads(fit_intercept=False)).head.coef[..., 0])
    return np.pad(np.concatenate(coefficients), ((0, 0), (0, 2)))


def _errors(config: Theorem2Settings, y: Array, w: Array, students: Array) -> pd.DataFrame:
    """Compute errors on the population, for students with coefficients of shape (draws, C + 2)."""
    coefficients = SQUARED_ERROR.of_rows(y, np.broadcast_to(w, students.shape), students)
    frame = pd.DataFrame({name: values.sum(1) for name, values in coefficients.items()})
    frame["gain"] = frame["weak_error"] - frame["strong_error"]
    frame["ceiling_error"] = (y[config.complexity :] ** 2).sum()
    frame["eta"] = ((students - w)[:, : config.complexity] ** 2).sum(1)
    allowed = 2 * np.sqrt(frame["ceiling_error"] * frame["misfit"])
    allowed += 2 * np.sqrt(frame["eta"] * frame["weak_error"]) + 2 * frame["eta"]
    frame["law_4_slack"] = frame["cross_term"] + allowed
    return frame


def shortfall_statistics(frame: pd.DataFrame, complexity: int) -> dict[str, Any]:
    """Compute the exponents of the shortfall in ε and n, the constant of the rates, and breaches of law 4.

    Exponents are slopes of least squares lines on logarithms: in ε for the population's projection, in n
    at ε = 0 and the δ nearest to 0.1, from ten rows for each dimension. ``constant`` is the largest
    shortfall over ``√ε + (C/n)^¼ + (log(1/δ)/n)^¼``, whose units are those of a truth of mean square one.
    """
    shortfalls = shortfall(frame)
    sampled = frame[frame["n"] > 0]
    deltas = np.unique(sampled["delta"])
    delta_shown = float(deltas[np.abs(deltas - 0.1).argmin()])
    along_epsilon = shortfalls.xs((0, 0.0), level=("n", "delta"))
    along_n = shortfalls.xs((0.0, delta_shown), level=("epsilon", "delta"))
    along_n = along_n[along_n.index >= 10 * complexity]
    rates = (
        np.sqrt(sampled["epsilon"])
        + (complexity / sampled["n"]) ** 0.25
        + (np.log(1 / sampled["delta"]) / sampled["n"]) ** 0.25
    )
    broken = frame["law_4_slack"] < -1e-12 * frame["weak_error"]
    return {
        "exponents": {"epsilon": _exponent(along_epsilon), "n": _exponent(along_n)},
        "constant": float(((sampled["misfit"] - sampled["gain"]) / rates).max()),
        "delta_shown": delta_shown,
        "law_4": {"rows": len(frame), "below": int(broken.sum())},
    }


def _exponent(line: pd.Series) -> float:
    """Compute the slope of log values on log index, where both are positive."""
    x, y = line.index.to_numpy(dtype=float), line.to_numpy()
    usable = (x > 0) & (y > 0)
    if usable.sum() < 2:
        return float("nan")
    return float(np.polyfit(np.log(x[usable]), np.log(y[usable]), 1)[0])


def shortfall(frame: pd.DataFrame) -> pd.Series:
    """Return misfit minus gain, median over seeds, by n, ε and δ."""
    return _by_setting(frame, frame["misfit"] - frame["gain"])


def allowance(frame: pd.DataFrame) -> pd.Series:
    """Return the shortfall that law 4 allows, median over seeds, by n, ε and δ."""
    return _by_setting(frame, frame["law_4_slack"] - frame["cross_term"])


def _by_setting(frame: pd.DataFrame, values: pd.Series) -> pd.Series:
    return values.groupby([frame[name] for name in ("n", "epsilon", "delta")]).median()


def _verdict(summary: Mapping[str, Any]) -> tuple[str, str]:
    """Return the finding in words, and whether it agrees with the claim."""
    power, law = summary["exponents"], summary["law_4"]
    finding = (
        f"misfit − gain ∝ n^{power['n']:.2f} at ε = 0 and ε^{power['epsilon']:.2f} with no sample (built in)"
    )
    finding += f", at most {summary['constant']:.1f} times the sum of the three rates"
    finding += f"; law 4, with constants, broken in {law['below']} of {law['rows']} rows"
    if not isfinite(power["n"]):
        return f"{finding}; too few n from ten a dimension to see a rate", "not shown"
    holds = law["below"] == 0 and power["n"] <= _RATE_OF_N
    return finding, "yes" if holds else "no"


def _draw_n(axes: Axes, shortfalls: pd.Series, allowed: pd.Series, complexity: int, delta: float) -> None:
    epsilons = shortfalls.index.unique("epsilon")
    for colour, epsilon in zip(shades(len(epsilons)), epsilons, strict=True):
        for series, style in ((shortfalls, "o-"), (allowed, ":")):
            line = series.xs((epsilon, delta), level=("epsilon", "delta"))
            label = f"ε = {epsilon:g}" if style == "o-" else None
            axes.plot(line.index, line, style, color=colour, markersize=3, linewidth=1.2, label=label)
    n = np.asarray(sorted(k for k in shortfalls.index.unique("n") if k > 0))
    axes.plot(n, (complexity / n) ** 0.25, color="0.4", linestyle="--", linewidth=1, label="(C/n)^¼")
    logarithmic(axes, "n, rows the student sees", f"misfit − gain, at δ = {delta:g}")
    axes.set_title("drawn: shortfall; dotted: what law 4 allows", fontsize=10)


def _draw_epsilon(axes: Axes, shortfalls: pd.Series, allowances: pd.Series, delta: float) -> None:
    positive = shortfalls.index.get_level_values("epsilon") > 0
    shortfalls, allowances = shortfalls[positive], allowances[positive]
    sizes = [n for n in shortfalls.index.unique("n") if n > 0]
    for colour, n in zip(shades(len(sizes)), sizes, strict=True):
        line = shortfalls.xs((n, delta), level=("n", "delta"))
        axes.plot(line.index, line, "o-", color=colour, markersize=3, linewidth=1, label=f"n = {n}")
    population, allowed = (s.xs((0, 0.0), level=("n", "delta")) for s in (shortfalls, allowances))
    axes.plot(population.index, population, "k-", linewidth=2, label="population")
    axes.plot(allowed.index, allowed, "k:", label="law 3: 2√(εB)")
    grid = np.asarray(population.index, dtype=float)
    axes.plot(grid, np.sqrt(grid), color="0.4", linestyle="--", linewidth=1, label="√ε")
    logarithmic(axes, "ε, error of the best head", f"misfit − gain, at δ = {delta:g}")
    axes.set_title("a floor from n where ε is small, √ε where it is not", fontsize=10)


def _draw_delta(axes: Axes, shortfalls: pd.Series) -> None:
    sizes = [n for n in shortfalls.index.unique("n") if n > 0]
    sizes = sizes[1::2] or sizes
    for colour, n in zip(shades(len(sizes)), sizes, strict=True):
        line = shortfalls.xs((n, 0.0), level=("n", "epsilon"))
        log = np.log(1 / line.index.to_numpy(dtype=float))
        axes.plot(log, line, "o-", color=colour, markersize=3, linewidth=1, label=f"n = {n}")
        axes.plot(log, (log / n) ** 0.25, "--", color=colour, linewidth=1)
    logarithmic(axes, "log(1/δ)", "misfit − gain, at ε = 0")
    axes.set_title("drawn: shortfall; dashed: (log(1/δ)/n)^¼", fontsize=10)


def _draw_share(axes: Axes, allowances: pd.Series, delta: float) -> None:
    """Draw the share of law 4's allowance that is its ε term, 2√(ε · least misfit), by n and ε."""
    sample = allowances[(allowances.index.get_level_values("n") > 0)].xs(delta, level="delta").unstack("n")
    ideal = allowances.xs((0, 0.0), level=("n", "delta"))
    share = sample.rdiv(ideal, axis=0).loc[ideal.index > 0]
    mesh = axes.imshow(share, origin="lower", aspect="auto", cmap="PuOr", vmin=0, vmax=1)
    axes.set_xticks(range(share.shape[1]), [str(n) for n in share.columns])
    axes.set_yticks(range(share.shape[0]), [f"{e:g}" for e in share.index])
    axes.set_xlabel("n")
    axes.set_ylabel("ε")
    axes.set_title("which term dominates law 4's allowance", fontsize=10)
    bar = axes.figure.colorbar(mesh, ax=axes)
    bar.set_label("the ε term without a sample / all of it")


EXPERIMENTS = [
    Theorem2(
        "theorem2",
        "Theorem 2: what falls short of the misfit, against n, ε and δ",
        "gain ≥ misfit − O(√ε) − O((C/n)^¼) − O((log(1/δ)/n)^¼)",
        Theorem2Settings(),
        note="worlds of ours in which every error is exact; that ε acts by its root is built in, how the "
        "sample acts is found; not every linear head is bounded, as the theorem asks",
    )
]
