"""Settings of the experiments on molecules."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from weakstrong.paper.run_settings import Extra, Settings

MoleculeHeads = Literal["linear", "l2", "stopped", "steps", "adam"]
_OF_HEADS = {"descent_steps": "steps", "adam_epochs": "adam", "adam_batch": "adam", "adam_rate": "adam"}
JudgedOn = Literal["valid+test", "valid", "test"]


class MoleculeSettings(Settings):
    """Settings for encoders of molecules that supervise one another on a ChemBench set (Section 5.2).

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
    student_rows : {"others", "same"}
        Whether a student is fitted to the training rows without true labels, or to the very rows that its
        supervisor had.
    splits : {"published", "redrawn"}
        ``redrawn`` keeps the published roles of the molecules in the division of seed 0 alone: for any
        other seed each split's roles are permuted over the molecules at random.
    heads : tuple of {"linear", "l2", "stopped", "steps", "adam"}
        Classes of all heads. ``linear`` and ``l2`` are fitted exactly; ``l2`` chooses its radius by
        cross-validation on the labels it is fitted to. ``stopped`` is gradient descent on linear heads, from
        zero on the features as they are, at the rate of `weakstrong.paper.gradient_descent.DescentPath`,
        stopped after that many steps (0 to 10⁶) where its error on the valid rows is least, on the labels as
        they are fitted; ``steps`` takes a fixed number of its steps. ``adam`` is Adam on minibatches, whose
        best epoch by the same error is kept.
    n_folds : int
        Number of folds of that cross-validation.
    descent_steps : int
        Steps of ``steps``.
    adam_epochs, adam_batch, adam_rate : int, int, float
        Of ``adam``. (At PyTorch's rate, 0.001, a hundred epochs are too few for narrow weak models.)
    clip : bool
        Whether rows outside the range of the fitted ones are drawn into it, as `HeadProjection` does;
        descents never do.
    judge_on : {"valid+test", "valid", "test"}
        Rows that the verdict, the figure's first panel and the page's tables are about.
    truth : {"measured", "realizable"}
        ``realizable`` replaces the true labels of all rows by a head of the student's own features: the
        ``l2`` head fitted to the measured labels of all rows.
    noise : float
        Standard deviation of the independent normal noise on these labels, in the label's units.
    twins : {"kept", "removed"}
        Whether training rows are kept that have the connectivity of a row to judge on (stereoisomers, other
        protonation, duplicates: the same first 14 letters of the InChIKey).
    true_labels, weak_labels : int, optional
        Rows that the supervisor, and that the student is fitted to; half the training rows, and all others,
        unless given. If the student has the same rows, all training rows unless `true_labels` is given. The
        labels of the valid rows, by which ``stopped`` and ``adam`` choose, come on top.
    untrained : int
        Random initialisations of the student's encoder, for the control: divisions take them in turn.
    resamples : int
        Of the bootstrap over molecules.
    """

    renamed: ClassVar[dict[str, str]] = {"cv": "n_folds"}
    # The paper says: three splits, and a linear layer that is finetuned. The rest is what most would do:
    # gradient descent with early stopping, on all the training rows, judged on the test rows.
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "paper": {
            "student_rows": "same",
            "splits": "redrawn",
            "heads": ("stopped",),
            "judge_on": "test",
            "clip": False,
        }
    }

    seeds: int = Field(default=20, ge=1, le=10_000, strict=True)
    dataset: Literal["ESOL", "FreeSolv", "Lipop"]
    strong: str = "strong"
    weak: tuple[str, ...] = Field(
        default=tuple(f"weak-{size}" for size in (8, 12, 16, 24, 32, 48, 64, 96)), min_length=1
    )
    swap_roles: bool = False
    pooling: Literal["cls", "mean", "mean+cls"] = "cls"
    student_rows: Literal["others", "same"] = "others"
    splits: Literal["published", "redrawn"] = "published"
    heads: tuple[MoleculeHeads, ...] = Field(default=("linear", "l2"), min_length=1)
    n_folds: int = Field(default=5, ge=2, le=10_000, strict=True)
    descent_steps: int = Field(default=1000, ge=1, le=10**9, strict=True)
    adam_epochs: int = Field(default=100, ge=1, le=100_000, strict=True)
    adam_batch: int = Field(default=32, ge=1, le=10**6, strict=True)
    adam_rate: float = Field(default=0.01, gt=0, le=10)
    clip: bool = Field(default=True, strict=True)
    judge_on: JudgedOn = "valid+test"
    truth: Literal["measured", "realizable"] = "measured"
    noise: float = Field(default=0.0, ge=0)
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
    def _named_once(self) -> MoleculeSettings:
        for name in ("weak", "heads"):
            given = getattr(self, name)
            if len(set(given)) < len(given):
                raise ValueError(f"{name} must hold different names; got {list(given)}")
        if self.strong in self.weak:
            raise ValueError(
                f"{self.strong} is strong and among weak: it would supervise itself; leave it out"
            )
        return self

    @model_validator(mode="after")
    def _nothing_ignored(self) -> MoleculeSettings:
        if self.student_rows == "same" and self.weak_labels is not None:
            raise ValueError(
                "weak_labels has no effect with student_rows = same: the student has its supervisor's rows; "
                "set true_labels"
            )
        is_given_whole = self.student_rows == "same" and self.true_labels is None
        if is_given_whole and self.splits == "published" and self.seeds > 1:
            raise ValueError(
                "with student_rows = same all divisions of a published split are equal: set "
                "splits = redrawn, true_labels or seeds = 1"
            )
        for name, heads in _OF_HEADS.items():
            is_set = getattr(self, name) != type(self).model_fields[name].default
            if is_set and heads not in self.heads:
                raise ValueError(f"{name} has no effect without {heads} heads; leave it out, or add them")
        if {"stopped", "adam"} & {*self.heads} and self.judge_on != "test":
            raise ValueError(
                "stopped and adam heads choose by the valid rows, whose errors are then too small: set "
                "judge_on = test"
            )
        if self.noise > 0 and self.truth == "measured":
            raise ValueError("noise has no effect on measured labels: set truth = realizable")
        if self.truth == "realizable" and self.swap_roles:
            raise ValueError(
                "truth = realizable takes one student's features; with swap_roles there are several"
            )
        return self

    @property
    def extra(self) -> Extra:
        """Optional dependencies, for encoders, InChIKeys and downloads."""
        return "molecules"

    def of_one_seed(self) -> dict[str, Any]:
        """Return the settings that the rows of one seed depend on."""
        return self.model_dump(exclude={"seeds", "seed", "resamples", "judge_on"})

    def of_inputs(self) -> dict[str, Any]:
        """Return the settings that the features depend on."""
        return self.model_dump(include={"dataset", "strong", "weak", "swap_roles", "pooling", "untrained"})
