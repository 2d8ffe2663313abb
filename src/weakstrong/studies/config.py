"""Settings of a study."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from weakstrong.errors import InputError

Heads = Literal["linear", "l2"]
Model = TypeVar("Model", bound=BaseModel)


class StudyOptions(BaseModel):
    """How a study is run; unknown keys are errors.

    Parameters
    ----------
    heads : {"linear", "l2"}
        Class of every head. ``"l2"`` chooses its radius by cross-validation on the labels it
        is fitted to.
    n_folds : int
        Folds of that cross-validation.
    supervised_fraction : float
        Share of the training rows whose true labels the supervisor (and the direct baseline)
        sees; the student is trained on the others.
    test_size : float
        Share of the rows held out, where no splits are given.
    repeats : int
        Random divisions: of the training rows of each split, or of all rows.
    seed : int
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    heads: Heads = "l2"
    n_folds: int = Field(default=5, ge=2)
    supervised_fraction: float = Field(default=0.5, gt=0, lt=1)
    test_size: float = Field(default=0.2, gt=0, lt=1)
    repeats: int = Field(default=10, ge=1)
    seed: int = Field(default=0, ge=0)


class StudyConfig(StudyOptions):
    """A study of files: `StudyOptions` and where the data are.

    Parameters
    ----------
    weak : tuple of Path
        Features of the supervisors.
    strong : Path
        Features of the student.
    labels : Path
        Table of true labels.
    target, id, groups : str, optional
        Columns of that table: target (needed if there are several), ids that join it to the
        features, and groups whose rows stay together and are not independent.
    splits : tuple of Path
        Tables with a column a split: ``train``, ``test``, other roles, or empty; or 0 and 1
        (1 is held out). Or ChemBench's published index files, one a split.
    evaluate_on : tuple of str
        Roles that are held out for judging.
    out : Path, optional
        Folder for the record.
    """

    weak: tuple[Path, ...] = Field(min_length=1)
    strong: Path
    labels: Path
    target: str | None = None
    id: str | None = None
    groups: str | None = None
    splits: tuple[Path, ...] = ()
    evaluate_on: tuple[str, ...] = ("test",)
    out: Path | None = None


def validated(model: type[Model], values: dict[str, Any], source: str) -> Model:
    """A checked settings object.

    Raises
    ------
    InputError
        With the first fault as one line, naming its source.
    """
    try:
        return model(**values)
    except ValidationError as error:
        first = min(error.errors(), key=lambda e: e["type"] == "missing")  # a misspelt key explains one
        name = ".".join(map(str, first["loc"])) or "settings"
        known = f"; known keys: {', '.join(model.model_fields)}" if first["type"] == "extra_forbidden" else ""
        flag = "--" + name.split(".")[0].replace("_", "-")
        need = f"; give it ({flag} or in the file)" if first["type"] == "missing" else ""
        shown = "" if first["type"] == "missing" else f" (got {first['input']!r})"
        raise InputError(f"{source}: {name}: {first['msg']}{shown}{known}{need}") from error
