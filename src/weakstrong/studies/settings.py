"""Settings of a study, and the files they are read from."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar
from warnings import warn

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from weakstrong.class_labels import SMOOTHING
from weakstrong.data.columns import Task
from weakstrong.data.user_files import reading
from weakstrong.errors import InputError, RenamedWarning
from weakstrong.votes import Vote

_IF_GIVEN = (
    "weak",
    "weak_labels",
    "weak_columns",
    "vote",
    "each_worker",
    "budget",
    "smoothing",
)  # written if given

HeadName = Literal["linear", "l2", "logistic", "brier", "mixtures"]
_OF_NUMBERS, _OF_CLASSES = ("linear", "l2"), ("logistic", "brier", "mixtures")
Confidence = Literal["logconf", "bootstrapping"]
Model = TypeVar("Model", bound=BaseModel)

_LONGEST = 1 << 20
_PATHS = ("labels",)
_PATH_LISTS = ("weak", "weak_labels", "strong", "splits")


def _share_or_count(value: Any) -> float | int:
    """A share of rows as a float, a number of rows as an integer."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    is_whole = is_number and (isinstance(value, int) or value.is_integer())
    if not is_number or not (0 < value < 1 or (is_whole and value >= 1)):
        raise ValueError("give a share between 0 and 1, or a whole number of rows")
    return float(value) if value < 1 else int(value)


Size = Annotated[float | int, BeforeValidator(_share_or_count)]


class StudyOptions(BaseModel):
    """Settings of a study; unknown keys are errors.

    Parameters
    ----------
    heads : tuple of {"linear", "l2"} or of {"logistic", "brier", "mixtures"}
        Classes of heads, each a study of its own: the first two where labels are numbers, the others where
        they are classes; ``"l2"`` or ``"logistic"`` unless given. All but ``"linear"`` choose a radius by
        cross-validation on the labels that they are fitted to. ``"brier"`` is least squares on a column for
        each class, ``"mixtures"`` the hull of logistic heads of several radii.
    n_folds : int
        Number of folds of that cross-validation.
    true_labels : float or int
        Training rows whose true labels the supervisors (and the direct baseline) see: a share of them, or
        how many. With groups a share is of the rows too, as near as whole groups allow, and a number is of
        as many as whole groups fit into. Where few rows have true labels a share takes those that there are.
    student_rows : float or int, optional
        Training rows that the students are fitted to, of the others: a share of all training rows, or how
        many; all of them unless given.
    budget : tuple of int
        Numbers of true labels with which the direct baseline is fitted too, to see how many the student is
        worth.
    test_size : float
        Share of the rows that is held out, where no splits are given; with groups as near as whole groups
        allow. Where parts take turns (see `weakstrong.studies.divisions.divisions`) it is one over a whole
        number.
    seeds : int
        How many seeds: each divides the training rows of each split, or all rows, at random.
    seed : int
        Number that the seeds of the divisions are made from, and the seed of the folds.
    clip : bool
        Whether new rows are drawn into about the range of the fitted ones, as `HeadProjection` does.
    task : {"regression", "classification"}, optional
        Whether labels are numbers or classes, where that is not plain: a few distinct whole numbers.
    smoothing : float
        Where labels are classes, the share of the uniform distribution that labels (and predictions) that
        give some class no probability are mixed with in log loss, one for all supervisors.
    confidence : tuple of {"logconf", "bootstrapping"}
        Losses by which logistic students that trust themselves are fitted, as baselines.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    renamed: ClassVar[dict[str, str]] = {
        "cv": "n_folds",
        "repeats": "seeds",
        "supervised_fraction": "true_labels",
        "weak_labels": "student_rows",
    }

    heads: tuple[HeadName, ...] = Field(default=("l2",), min_length=1)
    n_folds: int = Field(default=5, ge=2, le=10_000, strict=True)
    true_labels: Size = 0.5
    student_rows: Size | None = None
    budget: tuple[int, ...] = ()
    test_size: float = Field(default=0.2, gt=0, lt=1)
    seeds: int = Field(default=10, ge=1, le=10_000, strict=True)
    seed: int = Field(default=0, ge=0, strict=True)
    clip: bool = Field(default=True, strict=True)
    task: Task | None = None
    smoothing: float = Field(default=SMOOTHING, gt=0, lt=1)
    confidence: tuple[Confidence, ...] = ()

    @field_validator("heads", "budget", "confidence", mode="before")
    @classmethod
    def _one_is_a_list(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str | int) else value

    @field_validator("budget")
    @classmethod
    def _counts(cls, value: tuple[int, ...], info: ValidationInfo) -> tuple[int, ...]:
        least = info.data.get("n_folds", 1) if {*info.data.get("heads", ())} - {"linear"} else 1
        few = [number for number in value if number < least]
        if few:
            what = f"the {least} folds" if least > 1 else "1"
            raise ValueError(f"{few[0]} true labels are fewer than {what}: ask for more")
        return tuple(sorted(set(value)))

    @field_validator("heads")
    @classmethod
    def _named_once(cls, value: tuple[HeadName, ...]) -> tuple[HeadName, ...]:
        if len(set(value)) < len(value):
            raise ValueError(f"must hold different names; got {list(value)}")
        return value

    def of_task(self, *, classes: bool) -> Self:
        """These options with the default class of heads of a task, if none is named; others are refused."""
        mine, what = (_OF_CLASSES, "classes") if classes else (_OF_NUMBERS, "numbers")
        named = self.heads if "heads" in self.model_fields_set else mine[:1] if classes else ("l2",)
        wrong = [name for name in named if name not in mine]
        if wrong:
            raise InputError(
                f"heads {wrong[0]!r}: labels are {what}, and their heads are {', '.join(mine)}", "heads"
            )
        if self.confidence and "logistic" not in named:
            raise InputError(
                "confidence is of logistic heads, where labels are classes; leave it out", "confidence"
            )
        return self.model_copy(update={"heads": named})

    def options(self) -> StudyOptions:
        """These settings without those that say where the data are."""
        given = self.model_fields_set & set(StudyOptions.model_fields)
        return StudyOptions(**{name: getattr(self, name) for name in given})


class StudyConfig(StudyOptions):
    """A study of files: `StudyOptions` and where the data are.

    Parameters
    ----------
    weak : tuple of Path
        Features of the supervisors whose heads are to be fitted to true labels.
    weak_labels : tuple of Path
        Tables of labels that exist already: a supervisor in each column, or a worker's label in each row.
    weak_columns : tuple of str
        Columns of those labels; all that have no other use unless given.
    worker : str, optional
        Column of who gave a row's label, where a table has several labels of an id, to be combined.
    vote : {"mean", "majority"}
        How they are combined.
    each_worker : bool
        Whether each worker is a supervisor too.
    strong : tuple of Path
        Features of the students.
    labels : Path
        Table of true labels. Rows that it lacks, or whose cell is empty, have none.
    target, id, groups : str, optional
        Columns of that table: target (needed if there are several), ids that join it to the
        features, and groups whose rows stay together and are not independent.
    weights, label_probability : str, optional
        Columns: what each row counts for, and the probability with which it was drawn to get its true label.
        Groups and weights of rows that this table lacks are looked for in those of weak labels.
    splits : tuple of Path
        Tables with one column per split: ``train``, ``test``, other roles, or empty; or 0 and 1
        (1 is held out); or ``supervised``, ``student`` and ``test``, which give a division whole. Or
        ChemBench's published index files, one per split.
    evaluate_on : tuple of str
        Roles that are held out for judging.
    out : Path, optional
        Folder for the record.
    """

    renamed: ClassVar[dict[str, str]] = {
        old: new for old, new in StudyOptions.renamed.items() if old != "weak_labels"
    }

    weak: tuple[Path, ...] = ()
    weak_labels: tuple[Path, ...] = ()
    weak_columns: tuple[str, ...] = ()
    worker: str | None = None
    vote: Vote = "mean"
    each_worker: bool = Field(default=False, strict=True)
    strong: tuple[Path, ...] = Field(min_length=1)
    labels: Path
    target: str | None = None
    id: str | None = None
    groups: str | None = None
    weights: str | None = None
    label_probability: str | None = None
    splits: tuple[Path, ...] = ()
    evaluate_on: tuple[str, ...] = ("test",)
    out: Path | None = None

    @model_validator(mode="after")
    def _nothing_ignored(self) -> StudyConfig:
        if not self.weak and not self.weak_labels:
            raise ValueError("give weak, features of supervisors, or weak_labels, tables of their labels")
        given = self.model_fields_set
        for name, by, what in (
            ("weak_columns", self.weak_labels, "weak_labels"), ("worker", self.weak_labels, "weak_labels"),
            ("vote", self.worker, "worker"), ("each_worker", self.worker, "worker"),
        ):  # fmt: skip
            if name in given and not by:
                raise ValueError(f"{name} has no effect without {what}")
        for name, needed in (("test_size", not self.splits), ("evaluate_on", bool(self.splits))):
            if name in self.model_fields_set and not needed:
                raise ValueError(f"{name} has no effect {'with' if self.splits else 'without'} splits")
        return self

    def saved(self, folder: Path) -> dict[str, Any]:
        """The study as a configuration file in a folder has it, with paths relative to the folder."""
        unused = {"out", *(["test_size"] if self.splits else [])}
        if "evaluate_on" not in self.model_fields_set:
            unused.add("evaluate_on")
        unused |= {name for name in _IF_GIVEN if name not in self.model_fields_set}
        values = self.model_dump(exclude=unused, exclude_none=True)
        for key in (*_PATHS, *_PATH_LISTS):
            if key in values:
                values[key] = _mapped(values[key], lambda path: os.path.relpath(path, folder))
        return values


class ExampleConfig(StudyOptions):
    """A study of data that ship with a library.

    Parameters
    ----------
    example : str
        Its name.
    out : Path, optional
        Folder for the record.
    """

    example: str
    out: Path | None = None

    def saved(self, folder: Path) -> dict[str, Any]:
        """The study as a configuration file in a folder has it, without `out`."""
        return self.model_dump(exclude={"out"})


def load_config(path: Path | None, given: dict[str, Any]) -> StudyConfig | ExampleConfig:
    """Settings of a TOML file, overridden by those given; paths in the file are relative to it.

    Raises
    ------
    InputError
        On a file that is not TOML, an unknown key, or a value that does not fit.
    """
    values: dict[str, Any] = {}
    if path is not None:
        values = _count_of_rows(read_toml(path), str(path))
        for key in (*_PATHS, *_PATH_LISTS, "out"):
            if key in values:
                values[key] = _mapped(values[key], partial(_beside, Path(path).parent))
        for key in _PATH_LISTS:
            if isinstance(values.get(key), Path):
                values[key] = [values[key]]
    source = str(path) if path else "study"
    values = {**values, **_count_of_rows(given, source)}
    if "example" not in values:
        return validated(StudyConfig, values, source)
    clash = [k for k in values if k in StudyConfig.model_fields and k not in ExampleConfig.model_fields]
    if clash:
        raise InputError(f"{source}: an example brings its own data; leave it out", clash[0])
    return validated(ExampleConfig, values, source)


def _count_of_rows(values: dict[str, Any], source: str) -> dict[str, Any]:
    """Settings in which weak_labels are tables: a number of rows, as they were once, is student_rows."""
    given = values.get("weak_labels")
    given = given[0] if isinstance(given, list | tuple) and len(given) == 1 else given
    try:
        count = float(str(given))
    except ValueError:
        return values
    if isinstance(given, str | Path) and Path(given).exists():
        return values
    others = {name: value for name, value in values.items() if name != "weak_labels"}
    return others | _under_present_names(StudyOptions, {"weak_labels": count}, source)


def read_toml(path: Path) -> dict[str, Any]:
    """The content of a TOML file.

    Raises
    ------
    InputError
        If it cannot be read or is not TOML.
    """
    path = Path(path)
    with reading(path, "TOML"):
        if path.stat().st_size > _LONGEST:
            raise InputError(f"{path}: too long for settings ({path.stat().st_size:,} bytes)")
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))


def _beside(folder: Path, name: str | Path) -> Path:
    """A path that is relative to a folder; ~ is the home folder."""
    if "\0" in str(name):
        raise InputError(f"{name}: no path has a NUL character; correct it")
    path = folder / os.path.expanduser(name)
    plain = Path(os.path.normpath(path))  # the same file in the same words, whichever folder names it
    return plain if plain.exists() and path.exists() and plain.samefile(path) else path


def _mapped(value: Any, change: Callable[[Any], Any]) -> Any:
    """A path changed, or every path of a list; anything else as it is, for validation to refuse."""
    if isinstance(value, list | tuple):
        return [_mapped(v, change) for v in value]
    return change(value) if isinstance(value, str | Path) else value


def validated(model: type[Model], values: dict[str, Any], source: str) -> Model:
    """A checked settings object.

    Raises
    ------
    InputError
        With the first fault as one line, naming its source.
    """
    values = _under_present_names(model, values, source)
    try:
        return model(**values)
    except ValidationError as error:
        first = min(error.errors(), key=lambda e: e["type"] == "missing")  # a misspelt key explains one
        name = str(first["loc"][0]) if first["loc"] else ""
        if first["type"] == "missing":
            raise InputError(f"{source}: {name} is missing; give it", name, "config") from error
        if first["type"] == "extra_forbidden":
            close = get_close_matches(name, model.model_fields, n=1)
            meant = f" (did you mean {close[0]}?)" if close else ""
            message = f"{name} is no setting{meant}; settings: {', '.join(model.model_fields)}"
        else:
            shown = f"{name} (got {first['input']!r}): " if name else ""
            message = shown + first["msg"].removeprefix("Value error, ")
        raise InputError(f"{source}: {message}") from error


def _under_present_names(model: type[BaseModel], values: dict[str, Any], source: str) -> dict[str, Any]:
    """Settings with former names replaced by present ones, with a warning."""
    former: dict[str, str] = getattr(model, "renamed", {})
    for old in [name for name in values if name in former]:
        new = former[old]
        if new in values:
            raise InputError(f"{source}: {old} is the former name of {new}, which is given too; leave it out")
        warn(f"{source}: {old} is now called {new}", RenamedWarning, stacklevel=2)
        values = {new if name == old else name: value for name, value in values.items()}
    return values
