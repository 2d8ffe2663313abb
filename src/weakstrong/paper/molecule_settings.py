"""Settings of the experiments on molecules."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from weakstrong.paper.run_settings import Extra, Settings
from weakstrong.studies.settings import HeadName


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
    heads : tuple of {"linear", "l2"}
        Classes of all heads. ``l2`` chooses its radius by cross-validation on the labels it is fitted to.
    n_folds : int
        Number of folds of that cross-validation.
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

    renamed: ClassVar[dict[str, str]] = {"cv": "n_folds"}

    seeds: int = Field(default=20, ge=1, le=10_000, strict=True)
    dataset: Literal["ESOL", "FreeSolv", "Lipop"]
    strong: str = "strong"
    weak: tuple[str, ...] = Field(
        default=tuple(f"weak-{size}" for size in (8, 12, 16, 24, 32, 48, 64, 96)), min_length=1
    )
    swap_roles: bool = False
    pooling: Literal["cls", "mean", "mean+cls"] = "cls"
    heads: tuple[HeadName, ...] = Field(default=("linear", "l2"), min_length=1)
    n_folds: int = Field(default=5, ge=2, le=10_000, strict=True)
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

    @property
    def extra(self) -> Extra:
        """Optional dependencies, for encoders, InChIKeys and downloads."""
        return "molecules"

    def of_one_seed(self) -> dict[str, Any]:
        """Return the settings that the rows of one seed depend on."""
        return self.model_dump(exclude={"seeds", "seed", "resamples"})

    def of_inputs(self) -> dict[str, Any]:
        """Return the settings that the features depend on."""
        return self.model_dump(include={"dataset", "strong", "weak", "swap_roles", "pooling", "untrained"})
