"""Which experiments there are, and which to run with which settings."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from weakstrong.errors import InputError
from weakstrong.paper.experiment import Experiment
from weakstrong.studies.settings import read_toml, validated


@cache
def catalogue() -> dict[str, Experiment]:
    """Return all experiments by name, from the ``EXPERIMENTS`` of every module that holds some."""
    names = [path.stem for path in Path(__file__).with_name("experiments").glob("[!_]*.py")]
    modules = [import_module(f"weakstrong.paper.experiments.{name}") for name in names]
    every = [experiment for module in modules for experiment in module.EXPERIMENTS]
    return {experiment.name: experiment for experiment in sorted(every, key=lambda e: e.name)}


def resolve(
    names: Sequence[str], given: dict[str, Any], pairs: Sequence[str] = (), file: Path | None = None
) -> list[Experiment]:
    """Return every experiment named, with its own settings under those of a file, of pairs, and `given`.

    Parameters
    ----------
    names : sequence of str
        Experiments; the file's, else the default ones, if empty.
    given : dict
        Settings by name.
    pairs : sequence of str
        Settings as ``key=value``, the value in TOML or a bare word.
    file : Path, optional
        TOML file of settings, and perhaps a ``target``.

    Raises
    ------
    InputError
        On an unknown experiment or setting, or a value that does not fit.
    """
    values = {} if file is None else read_toml(file)
    own = values.pop("target", None)
    if own is not None and not isinstance(own, str):
        raise InputError(f"{file}: target must be one name; got {own!r}")
    if own is not None and set(names) - {own}:
        raise InputError(
            f"{file}: holds the settings of {own}; they would make another target something else"
        )
    known = catalogue()
    if not names:
        names = [own] if own is not None else [e.name for e in known.values() if e.default]
    for name in names:
        if name not in known:
            close = get_close_matches(name, known, n=1)
            meant = f" (did you mean {close[0]}?)" if close else ""
            raise InputError(f"{name} is no target{meant}; targets: {', '.join(known)}")
    chosen = [_pair(pair) for pair in pairs]
    twice = [key for place, (key, _) in enumerate(chosen) if key in dict(chosen[:place])]
    if twice:
        raise InputError(f"setting {twice[0]}: given twice")
    values |= dict(chosen)
    values |= given
    source = "reproduce" if file is None else f"reproduce, {file}"
    return [_settled(known[name], values, f"{source}: {name}") for name in dict.fromkeys(names)]


def _settled(experiment: Experiment, values: dict[str, Any], source: str) -> Experiment:
    own = experiment.settings
    former: dict[str, str] = getattr(own, "renamed", {})
    kept = {name: value for name, value in own.model_dump().items() if name not in values}
    kept = {name: value for name, value in kept.items() if name not in {former.get(v) for v in values}}
    settled = experiment.changed(validated(type(own), {**kept, **values}, source))
    settled.check(source)
    return settled


def _pair(text: str) -> tuple[str, Any]:
    """A setting written as ``key=value``."""
    key, separator, value = text.partition("=")
    if not separator or not key.strip():
        raise InputError(f"setting {text}: expected key=value")
    try:
        return key.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key.strip(), value.strip()
