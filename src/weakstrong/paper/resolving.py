"""Which targets to run with which settings, from what the command line or a file says."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from weakstrong.errors import InputError
from weakstrong.paper.config import MoleculesConfig, TargetConfig, WeakToStrongConfig
from weakstrong.paper.targets import TARGETS
from weakstrong.studies.settings import read_toml, validated


def resolve(
    names: Sequence[str], given: dict[str, Any], pairs: Sequence[str] = (), file: Path | None = None
) -> dict[str, TargetConfig]:
    """Settings of every target named: its own, under those of a file, of pairs, and of `given`.

    Parameters
    ----------
    names : sequence of str
        Targets; the file's, else the six figures, if empty.
    given : dict
        Settings by name.
    pairs : sequence of str
        Settings as ``key=value``, the value in TOML or a bare word.
    file : Path, optional
        TOML file of settings, and perhaps a ``target``.

    Raises
    ------
    InputError
        On an unknown target or setting, or a value that does not fit.
    """
    values = {} if file is None else read_toml(file)
    own = values.pop("target", None)
    if own is not None and not isinstance(own, str):
        raise InputError(f"{file}: target must be one name; got {own!r}")
    if own is not None and set(names) - {own}:
        raise InputError(
            f"{file}: holds the settings of {own}; they would make another target something else"
        )
    if not names:
        names = [own] if own is not None else [name for name, t in TARGETS.items() if t.default]
    for name in names:
        if name not in TARGETS:
            close = get_close_matches(name, TARGETS, n=1)
            meant = f" (did you mean {close[0]}?)" if close else ""
            raise InputError(f"{name} is no target{meant}; targets: {', '.join(TARGETS)}")
    chosen = [_pair(pair) for pair in pairs]
    twice = [key for place, (key, _) in enumerate(chosen) if key in dict(chosen[:place])]
    if twice:
        raise InputError(f"--set {twice[0]}: given twice")
    values |= dict(chosen)
    values |= given
    source = "reproduce" if file is None else f"reproduce --config {file}"
    return {name: _settled(name, values, source) for name in dict.fromkeys(names)}


def _settled(name: str, values: dict[str, Any], source: str) -> TargetConfig:
    settings = TARGETS[name].settings
    config = validated(type(settings), {**settings.model_dump(), **values}, f"{source}: {name}")
    if isinstance(settings, MoleculesConfig) and values.get("dataset", settings.dataset) != settings.dataset:
        raise InputError(f"{source}: {name} is on {settings.dataset}; leave dataset out")
    if isinstance(config, WeakToStrongConfig) and config.solver == "exact" and config.heads != "linear":
        raise InputError(
            f"{source}: {name}: heads={config.heads} are no convex class and have no exact solver; "
            "use solver=gradient"
        )
    if isinstance(config, WeakToStrongConfig) and config.fit_intercept and config.solver == "gradient":
        raise InputError(f"{source}: {name}: fit_intercept is for exact linear heads; Adam's have none")
    return config


def _pair(text: str) -> tuple[str, Any]:
    """A setting of the command line."""
    key, separator, value = text.partition("=")
    if not separator or not key.strip():
        raise InputError(f"--set {text}: expected key=value")
    try:
        return key.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key.strip(), value.strip()
