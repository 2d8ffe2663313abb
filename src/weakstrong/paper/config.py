"""Settings of the experiments; unknown keys are errors."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from weakstrong.neural.mlp import Initialization
from weakstrong.neural.neural_heads import HeadKind

Extra = Literal["none", "nn", "molecules"]
HeadName = Literal["linear", "l2"]


class TargetConfig(BaseModel):
    """What every experiment has.

    Parameters
    ----------
    seeds : int
        How many seeds: each is a world of its own.
    seed : int
        The first of them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    seeds: int = Field(default=6, ge=1, le=10_000, strict=True)
    seed: int = Field(default=0, ge=0, lt=2**32, strict=True)

    def all_seeds(self) -> range:
        """The seeds."""
        return range(self.seed, self.seed + self.seeds)

    @property
    def extra(self) -> Extra:
        """Which extra it takes."""
        return "none"

    def of_one_seed(self) -> dict[str, Any]:
        """What the rows of one seed follow from, beside the seed."""
        return self.model_dump(exclude={"seeds", "seed"})


class WorldConfig(TargetConfig):
    """Truth and inputs (Section 5.1).

    Parameters
    ----------
    input_dim, width, truth_depth : int
        h* is a ReLU network R^input_dim -> R^width of that many layers, all of that width.
    sigma : float
        Inputs are N(0, sigma² I).
    truth_init : {"uniform", "he"}
        Law of the weights of h*: `random_mlp`. The paper says "randomly initialised"; ``uniform`` is
        what PyTorch's layers do.
    output_relu : bool
        Whether representations end in a ReLU. The paper does not say.
    heads : {"linear", "tanh", "relu", "sigmoid", "mlp"}
        Class of the tasks and of both models' heads.
    task_law : {"normal", "sphere"}
        Direction and size of a task's coefficients: N(0, s² I), or uniform on the sphere of radius
        s√width. The paper does not say.
    task_scale : float
        s in units in which ``E ‖h*(x)‖² = 1``: labels of linear tasks have mean square s² on average.
    """

    input_dim: int = Field(default=8, ge=1, strict=True)
    width: int = Field(default=16, ge=2, strict=True)
    truth_depth: int = Field(default=5, ge=1, strict=True)
    sigma: float = Field(default=500.0, ge=1e-6, le=1e6)
    truth_init: Literal["uniform", "he"] = "uniform"
    output_relu: bool = False
    heads: HeadKind = "linear"
    task_law: Literal["normal", "sphere"] = "normal"
    task_scale: float = Field(default=1.0, ge=1e-6, le=1e6)


class WeakToStrongConfig(WorldConfig):
    """A world, two representations, and M tasks on which one model supervises the other.

    Parameters
    ----------
    representations : {"realizable", "pretraining", "perturbation"}
        ``realizable``: h_s = h*, h_w pretrained. ``pretraining``: both pretrained by equation (9).
        ``perturbation``: both are h* with noise on its weights.
    swap_roles : bool
        The strong representation supervises the weak one (Figures 3a, 3b).
    weak_depth, strong_depth : int
        Layers of the pretrained networks.
    pretraining_tasks, pretraining_rows : int
        T tasks with N_r rows each: the only data of equation (9).
    pretraining_init : {"near-identity", "he", "uniform"}
        First weights of the pretrained networks: `random_mlp`. Never those of h*.
    pretraining_steps, pretraining_batch, pretraining_rate, pretraining_momentum : int, float
        How equation (9) is minimized: `weakstrong.neural.multitask.Training`.
    weight_decay : float
        Decoupled decay of weights and biases, in the units that the networks are trained in.
    weak_sigma, strong_sigma : float
        Noise on every weight, for ``perturbation``.
    tasks, rows : int
        M finetuning tasks, N_f fresh rows for each of: the supervisor's labels, the student's
        labels, the evaluation.
    fit_intercept : bool
        Whether linear heads have an intercept.
    solver : {"exact", "gradient"}
        Exact projection, or Adam as the paper does. Heads other than linear have no exact solver.
    descent_steps, descent_batch, descent_rate, descent_starts : int, int, float, int
        Adam's one setting for all heads: `weakstrong.neural.gradient_heads.Descent`.
    """

    representations: Literal["realizable", "pretraining", "perturbation"] = "pretraining"
    swap_roles: bool = False
    weak_depth: int = Field(default=2, ge=1, strict=True)
    strong_depth: int = Field(default=8, ge=1, strict=True)
    pretraining_tasks: int = Field(default=10, ge=1, strict=True)
    pretraining_rows: int = Field(default=2000, ge=1, strict=True)
    pretraining_init: Initialization = "near-identity"
    pretraining_steps: int = Field(default=20_000, ge=1, strict=True)
    pretraining_batch: int = Field(default=256, ge=1, strict=True)
    pretraining_rate: float = Field(default=0.02, gt=0, le=10)
    pretraining_momentum: float = Field(default=0.9, ge=0, lt=1)
    weight_decay: float = Field(default=0.0, ge=0, le=10)
    weak_sigma: float = Field(default=0.05, ge=0, le=1e3)
    strong_sigma: float = Field(default=0.01, ge=0, le=1e3)
    tasks: int = Field(default=100, ge=3, strict=True)
    rows: int = Field(default=2000, ge=2, strict=True)
    fit_intercept: bool = False
    solver: Literal["exact", "gradient"] = "exact"
    descent_steps: int = Field(default=2000, ge=1, strict=True)
    descent_batch: int = Field(default=250, ge=1, strict=True)
    descent_rate: float = Field(default=0.05, gt=0, le=10)
    descent_starts: int = Field(default=1, ge=1, strict=True)

    @property
    def extra(self) -> Extra:
        """Networks are pretrained, and heads descend, in torch."""
        return "nn" if self.representations != "perturbation" or self.solver == "gradient" else "none"


class Theorem2Config(TargetConfig):
    """Worlds in which n, ε and δ of Theorem 2 are controlled: `weakstrong.paper.theorem2`.

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

    complexity: int = Field(default=16, ge=1, strict=True)
    misfit: float = Field(default=0.2, ge=1e-6, le=1e6)
    draws: int = Field(default=200, ge=20, strict=True)
    n_grid: tuple[int, ...] = (50, 100, 200, 400, 800, 1600, 3200, 6400, 12800)
    epsilon_grid: tuple[float, ...] = (0.0, 1e-4, 1e-3, 1e-2, 1e-1)
    delta_grid: tuple[float, ...] = (0.5, 0.25, 0.1, 0.05, 0.025, 0.01)

    @model_validator(mode="after")
    def _grids(self) -> Theorem2Config:
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


class Figure1Config(WorldConfig):
    """The projection of Figure 1, from a world of Figure 2a.

    Parameters
    ----------
    rows : int
        Rows of the sample onto whose span the subspace is projected.
    ball_rows : int
        Rows for the ball; no more than the width, so that the ball is a solid body there.
    weak_sigma : float
        Noise on the weights of h*, for the supervisor's representation.
    """

    seeds: int = Field(default=1, ge=1, le=10_000, strict=True)
    heads: Literal["linear"] = "linear"
    rows: int = Field(default=2000, ge=1, strict=True)
    ball_rows: int = Field(default=8, ge=3, strict=True)
    weak_sigma: float = Field(default=0.15, gt=0, le=1e3)

    @model_validator(mode="after")
    def _sizes(self) -> Figure1Config:
        if self.ball_rows > self.width or self.rows <= self.width:
            raise ValueError(f"ball_rows must be at most the width, {self.width}, and rows more than it")
        return self


class MoleculesConfig(TargetConfig):
    """Encoders of molecules supervising one another on a ChemBench set (Section 5.2).

    A representation is named by a model of the models folder (``weak-8``), else by a folder that ``pretrain``
    or ``convert`` made, or by a file of features in the set's row order, in which ``{dataset}`` stands for
    the set's name.

    Parameters
    ----------
    seeds : int
        Divisions of each split's training rows into those with true labels and those that the student has.
    dataset : {"ESOL", "FreeSolv", "Lipop"}
    strong : str
        The student's representation.
    weak : tuple of str
        The supervisors' representations.
    swap_roles : bool
        The strong representation supervises each of the weak ones.
    pooling : {"cls", "mean", "mean+cls"}
        Features of encoders: `weakstrong.molecules.SmilesEncoder`. ``cls`` is MolBERT's.
    heads : tuple of {"linear", "l2"}
        Classes of all heads. ``l2`` chooses its radius by cross-validation on the labels it is fitted to.
    cv : int
        Folds of that cross-validation.
    twins : {"kept", "removed"}
        Whether training rows are kept that have the connectivity of a row to judge on (stereoisomers, other
        protonation, duplicates: the same first 14 letters of the InChIKey).
    true_labels, weak_labels : int, optional
        Rows that the supervisor, and that the student is fitted to; half the training rows, and all others,
        unless given.
    untrained : int
        Random initialisations of the student's encoder, for the control: divisions take them in turn.
    resamples : int
        Of the bootstrap over molecules.
    """

    seeds: int = Field(default=20, ge=1, le=10_000, strict=True)
    dataset: Literal["ESOL", "FreeSolv", "Lipop"]
    strong: str = "strong"
    weak: tuple[str, ...] = Field(
        default=tuple(f"weak-{size}" for size in (8, 12, 16, 24, 32, 48, 64, 96)), min_length=1
    )
    swap_roles: bool = False
    pooling: Literal["cls", "mean", "mean+cls"] = "cls"
    heads: tuple[HeadName, ...] = Field(default=("linear", "l2"), min_length=1)
    cv: int = Field(default=5, ge=2, strict=True)
    twins: Literal["kept", "removed"] = "kept"
    true_labels: int | None = Field(default=None, ge=2, strict=True)
    weak_labels: int | None = Field(default=None, ge=2, strict=True)
    untrained: int = Field(default=3, ge=0, le=100, strict=True)
    resamples: int = Field(default=1000, ge=100, le=100_000, strict=True)

    @field_validator("weak", "heads", mode="before")
    @classmethod
    def _one_is_a_list(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _named_once(self) -> MoleculesConfig:
        for name in ("weak", "heads"):
            given = getattr(self, name)
            if len(set(given)) < len(given):
                raise ValueError(f"{name} must hold different names; got {list(given)}")
        if self.strong in self.weak:
            raise ValueError(
                f"{self.strong} is strong and among weak: it would supervise itself; leave it out"
            )
        return self

    @property
    def extra(self) -> Extra:
        """Encoders, InChIKeys and downloads."""
        return "molecules"

    def of_one_seed(self) -> dict[str, Any]:
        """What the rows of one seed follow from, beside the seed and the content of what is named."""
        return self.model_dump(exclude={"seeds", "seed", "resamples"})

    def of_inputs(self) -> dict[str, Any]:
        """What the features follow from, beside the content of what is named."""
        return self.model_dump(include={"dataset", "strong", "weak", "swap_roles", "pooling", "untrained"})
