"""The catalogue of experiments, and how names and settings choose what to run."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
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
    """Return all experiments by name, from each module of `weakstrong.paper.experiments`."""
    names = [path.stem for path in Path(__file__).with_name("experiments").glob("[!_]*.py")]
    modules = [import_module(f"weakstrong.paper.experiments.{name}") for name in names]
    experiments = [experiment for module in modules for experiment in module.EXPERIMENTS]
    return {experiment.name: experiment for experiment in sorted(experiments, key=lambda e: e.name)}


def resolve(
    names: Sequence[str],
    settings: dict[str, Any],
    pairs: Sequence[str] = (),
    file: Path | None = None,
    preset: str | None = None,
) -> list[Experiment]:
    """Return the named experiments, their defaults replaced by a preset, then by a file, pairs and a dict.

    Parameters
    ----------
    names : sequence of str
        Experiments; the file's, else the default ones, if empty.
    settings : dict
        Settings by name.
    pairs : sequence of str
        Settings as ``key=value``, the value in TOML or a bare word.
    file : Path, optional
        TOML file of settings, and perhaps a ``target``.
    preset : str, optional
        Name of a preset that the settings of every experiment have.

    Raises
    ------
    InputError
        On an unknown experiment or setting, or a value that does not fit.
    """
    values = {} if file is None else read_toml(file)
    if preset is not None and "target" in values:
        raise InputError(
            f"{file}: is a record's, with all its settings; leave it or the preset out", "preset"
        )
    target = values.pop("target", None)
    if target is not None and not isinstance(target, str):
        raise InputError(f"{file}: target must be one name; got {target!r}")
    if target is not None and set(names) - {target}:
        raise InputError(
            f"{file}: holds the settings of {target}; they would make another target something else"
        )
    experiments = catalogue()
    if not names:
        names = [target] if target is not None else [e.name for e in experiments.values() if e.default]
    for name in names:
        if name not in experiments:
            matches = get_close_matches(name, experiments, n=1)
            hint = f" (did you mean {matches[0]}?)" if matches else ""
            raise InputError(f"{name} is no target{hint}; targets: {', '.join(experiments)}")
    assignments = [_parse_pair(pair) for pair in pairs]
    repeated = [key for position, (key, _) in enumerate(assignments) if key in dict(assignments[:position])]
    if repeated:
        raise InputError(f"setting {repeated[0]}: given twice")
    values |= dict(assignments)
    values |= settings
    source = "reproduce" if file is None else f"reproduce, {file}"
    chosen = [experiments[name] for name in dict.fromkeys(names)]
    if preset is not None:
        chosen = [with_preset(experiment, preset) for experiment in chosen]
    return [_configured(experiment, values, f"{source}: {experiment.name}") for experiment in chosen]


def with_preset(experiment: Experiment, name: str) -> Experiment:
    """Return an experiment with the settings of a preset.

    Raises
    ------
    InputError
        If it has no such preset.
    """
    presets = experiment.settings.presets
    if name not in presets:
        known = f"its presets: {', '.join(presets)}" if presets else "it has none"
        raise InputError(f"{experiment.name} has no preset {name} ({known}); leave one of them out", "preset")
    return replace(_configured(experiment, presets[name], f"preset {name}: {experiment.name}"), preset=name)


def _configured(experiment: Experiment, values: Mapping[str, Any], source: str) -> Experiment:
    defaults = experiment.settings
    renamed: dict[str, str] = getattr(defaults, "renamed", {})
    replaced = {*values, *(renamed.get(name) for name in values)}
    replaced |= {name for name, leader in defaults.follows.items() if leader in values}
    base = {name: value for name, value in defaults.model_dump().items() if name not in replaced}
    configured = experiment.with_settings(validated(type(defaults), {**base, **values}, source))
    configured.check(source)
    return configured


def _parse_pair(text: str) -> tuple[str, Any]:
    """Split a setting written as ``key=value``."""
    key, separator, value = text.partition("=")
    if not separator or not key.strip():
        raise InputError(f"setting {text}: expected key=value")
    try:
        return key.strip(), tomllib.loads(f"value = {value}")["value"]
    except RecursionError as error:
        raise InputError(f"setting {key.strip()}: nested too deeply; give a plain value") from error
    except tomllib.TOMLDecodeError:
        return key.strip(), value.strip()
