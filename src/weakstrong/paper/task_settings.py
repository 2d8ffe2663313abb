"""Settings of the synthetic worlds and of the tasks on them."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from weakstrong.neural.mlp import Initialization
from weakstrong.neural.neural_heads import HeadKind
from weakstrong.neural.training import Optimizer, Schedule, Units
from weakstrong.paper.run_settings import Extra, Settings

_RATES = {"muon": 0.02, "adam": 0.001, "sgd": 0.05}  # unless one is given


class WorldSettings(Settings):
    """Settings of the truth and the inputs (Section 5.1).

    Parameters
    ----------
    input_dim, width, truth_depth : int
        h* is a ReLU network R^input_dim -> R^width of that many weight matrices, with a ReLU between any two
        and all layers of that width. (The paper's "5-layer" could also count five hidden layers.)
    sigma : float
        Inputs are N(0, sigma² I).
    truth_init : {"uniform", "he"}
        Distribution of the weights of h*: `random_mlp`. The paper says "randomly initialised"; ``uniform`` is
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

    input_dim: int = Field(default=8, ge=1, le=100_000, strict=True)
    width: int = Field(default=16, ge=2, le=100_000, strict=True)
    truth_depth: int = Field(default=5, ge=1, le=10_000, strict=True)
    sigma: float = Field(default=500.0, ge=1e-6, le=1e6)
    truth_init: Literal["uniform", "he"] = "uniform"
    output_relu: bool = False
    heads: HeadKind = "linear"
    task_law: Literal["normal", "sphere"] = "normal"
    task_scale: float = Field(default=1.0, ge=1e-6, le=1e6)


class TaskSettings(WorldSettings):
    """Settings of a world, two representations, and M tasks on which one model supervises the other.

    Parameters
    ----------
    representations : {"realizable", "pretraining", "perturbation"}
        ``realizable``: h_s = h*, h_w pretrained. ``pretraining``: both pretrained by equation (9).
        ``perturbation``: both are h* with noise on its weights.
    swap_roles : bool
        The strong representation supervises the weak one (Figures 3a, 3b).
    weak_depth, strong_depth : int
        Layers of the pretrained networks, counted as those of h*.
    pretraining_tasks, pretraining_rows : int
        T tasks with N_r rows each: the only data of equation (9).
    pretraining_heads : {"same", "linear", "tanh", "relu", "sigmoid", "mlp"}
        Class of those T tasks; the same as `heads` unless another is named.
    pretraining_init : {"near-identity", "he", "uniform"}
        First weights of the pretrained networks: `random_mlp`. Never those of h*.
    pretraining_optimizer, pretraining_schedule, pretraining_units : str
        How equation (9) is minimized: `weakstrong.neural.training.Training`. The paper says gradient descent,
        and cites Adam for its Appendix D.
    pretraining_steps, pretraining_batch, pretraining_rate, pretraining_momentum : int, float
        The same. The rate is 0.02 (muon), 0.001 (adam) or 0.05 (sgd) unless given.
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

    # What the paper says and, where it is silent, what most would do: Adam at its usual rate on data as they
    # are, from PyTorch's first weights; heads by Adam too.
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "paper": {
            "pretraining_optimizer": "adam",
            "pretraining_schedule": "constant",
            "pretraining_units": "raw",
            "pretraining_init": "uniform",
            "pretraining_steps": 10_000,
            "solver": "gradient",
        }
    }
    follows: ClassVar[dict[str, str]] = {"pretraining_rate": "pretraining_optimizer"}

    representations: Literal["realizable", "pretraining", "perturbation"] = "pretraining"
    swap_roles: bool = False
    weak_depth: int = Field(default=2, ge=1, le=10_000, strict=True)
    strong_depth: int = Field(default=8, ge=1, le=10_000, strict=True)
    pretraining_tasks: int = Field(default=10, ge=1, le=1_000_000, strict=True)
    pretraining_rows: int = Field(default=2000, ge=1, le=100_000_000, strict=True)
    pretraining_heads: Literal["same"] | HeadKind = "same"
    pretraining_init: Initialization = "near-identity"
    pretraining_optimizer: Optimizer = "muon"
    pretraining_schedule: Schedule = "linear"
    pretraining_units: Units = "scaled"
    pretraining_steps: int = Field(default=20_000, ge=1, le=1_000_000_000, strict=True)
    pretraining_batch: int = Field(default=256, ge=1, le=100_000_000, strict=True)
    pretraining_rate: float = Field(default=0.02, gt=0, le=10)
    pretraining_momentum: float = Field(default=0.9, ge=0, lt=1)
    weight_decay: float = Field(default=0.0, ge=0, le=10)
    weak_sigma: float = Field(default=0.05, ge=0, le=1e3)
    strong_sigma: float = Field(default=0.01, ge=0, le=1e3)
    tasks: int = Field(default=100, ge=3, le=1_000_000, strict=True)
    rows: int = Field(default=2000, ge=2, le=100_000_000, strict=True)
    fit_intercept: bool = False
    solver: Literal["exact", "gradient"] = "exact"
    descent_steps: int = Field(default=2000, ge=1, le=1_000_000_000, strict=True)
    descent_batch: int = Field(default=250, ge=1, le=100_000_000, strict=True)
    descent_rate: float = Field(default=0.05, gt=0, le=10)
    descent_starts: int = Field(default=1, ge=1, le=10_000, strict=True)

    @model_validator(mode="before")
    @classmethod
    def _own_rate(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Give an optimizer its own rate where none is given."""
        optimizer = values.get("pretraining_optimizer", "muon")
        known = isinstance(optimizer, str) and optimizer in _RATES
        return {"pretraining_rate": _RATES[optimizer], **values} if known else values

    @property
    def extra(self) -> Extra:
        """Optional dependencies: torch pretrains networks and fits heads by descent."""
        return "nn" if self.representations != "perturbation" or self.solver == "gradient" else "none"
