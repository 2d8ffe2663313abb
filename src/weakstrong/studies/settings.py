"""Settings of a study, and the files they are read from."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from weakstrong.errors import InputError

Heads = Literal["linear", "l2"]
Model = TypeVar("Model", bound=BaseModel)

_PATHS = ("strong", "labels")
_PATH_LISTS = ("weak", "splits")


class StudyOptions(BaseModel):
    """How a study is run; unknown keys are errors.

    Parameters
    ----------
    heads : {"linear", "l2"}
        Class of every head. ``"l2"`` chooses its radius by cross-validation on the labels it
        is fitted to.
    cv : int
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
    cv: int = Field(default=5, ge=2, strict=True)
    supervised_fraction: float = Field(default=0.5, gt=0, lt=1)
    test_size: float = Field(default=0.2, gt=0, lt=1)
    repeats: int = Field(default=10, ge=1, strict=True)
    seed: int = Field(default=0, ge=0, strict=True)

    def options(self) -> StudyOptions:
        """These settings without what says where the data are."""
        return StudyOptions(**{name: getattr(self, name) for name in StudyOptions.model_fields})


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

    @model_validator(mode="after")
    def _nothing_ignored(self) -> StudyConfig:
        for name, needed in (("test_size", not self.splits), ("evaluate_on", bool(self.splits))):
            if name in self.model_fields_set and not needed:
                raise ValueError(f"{name} has no effect {'with' if self.splits else 'without'} splits")
        return self

    def saved(self, folder: Path) -> dict[str, Any]:
        """What a configuration file in a folder says of this study, with paths relative to the folder."""
        unused = {"out", *(["test_size"] if self.splits else [])}
        if "evaluate_on" not in self.model_fields_set:
            unused.add("evaluate_on")
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
        """What a configuration file in a folder says of this study: all but `out`."""
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
        values = read_toml(path)
        for key in (*_PATHS, *_PATH_LISTS, "out"):
            if key in values:
                values[key] = _mapped(values[key], lambda name: Path(path).parent / name)
        for key in _PATH_LISTS:
            if isinstance(values.get(key), Path):
                values[key] = [values[key]]
    values, source = {**values, **given}, str(path) if path else "study"
    if "example" not in values:
        return validated(StudyConfig, values, source)
    clash = [k for k in values if k in StudyConfig.model_fields and k not in ExampleConfig.model_fields]
    if clash:
        raise InputError(f"{source}: an example brings its own data; leave out {_flag(clash[0])}")
    return validated(ExampleConfig, values, source)


def read_toml(path: Path) -> dict[str, Any]:
    """What a TOML file says.

    Raises
    ------
    InputError
        If it cannot be read or is not TOML.
    """
    try:
        return tomllib.loads(Path(path).read_text())
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeError) as error:
        raise InputError(f"{path}: not TOML ({error})") from error


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
    try:
        return model(**values)
    except ValidationError as error:
        first = min(error.errors(), key=lambda e: e["type"] == "missing")  # a misspelt key explains one
        name = str(first["loc"][0]) if first["loc"] else ""
        if first["type"] == "missing":
            said = f"{name} is missing; give it ({_flag(name)}, or in a --config file)"
        elif first["type"] == "extra_forbidden":
            close = get_close_matches(name, model.model_fields, n=1)
            meant = f" (did you mean {close[0]}?)" if close else ""
            said = f"{name} is no setting{meant}; settings: {', '.join(model.model_fields)}"
        else:
            shown = f"{name} (got {first['input']!r}): " if name else ""
            said = shown + first["msg"].removeprefix("Value error, ")
        raise InputError(f"{source}: {said}") from error


def _flag(name: str) -> str:
    """The command line's name of a setting."""
    return "--" + name.replace("_", "-")
