"""Run targets and keep their records: resumable, and recomputed only where something changed."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from weakstrong.errors import InputError
from weakstrong.identity import code_hash, fingerprint
from weakstrong.paper.config import (
    Extra,
    Figure1Config,
    MoleculesConfig,
    TargetConfig,
    Theorem2Config,
    WeakToStrongConfig,
)
from weakstrong.paper.molecule_inputs import Places, contents, prepare
from weakstrong.paper.networks import batches, needed, train
from weakstrong.paper.pages import check_page, write_page
from weakstrong.paper.record import Run, finished, write_record
from weakstrong.paper.rows import keep_rows
from weakstrong.parallel import Workers
from weakstrong.progress import Advance
from weakstrong.storage import check_output

try:
    import fcntl
except ImportError:  # not on Windows: two runs in one folder are then not told from one
    fcntl = None  # type: ignore[assignment]

Meter = Callable[[int, str], AbstractContextManager[Advance]]

CACHE = ".weakstrong-cache"
_LIBRARIES = ("numpy", "scipy", "torch")
_MODULES: dict[Extra, tuple[str, ...]] = {
    "none": (),
    "nn": ("torch",),
    "molecules": ("torch", "transformers", "safetensors", "rdkit", "pooch"),
}
# The modules that make the rows of each kind of experiment; statistics and figures can change without them.
_MAKERS: dict[type[TargetConfig], str] = {
    WeakToStrongConfig: "weakstrong.paper.tasks",
    Theorem2Config: "weakstrong.paper.theorem2",
    Figure1Config: "weakstrong.paper.figure1",
    MoleculesConfig: "weakstrong.paper.molecule_divisions",
}
_NETWORKS, _INPUTS = "weakstrong.paper.networks", "weakstrong.paper.molecule_inputs"


@dataclass(frozen=True)
class Outcome:
    """What a run came to.

    Parameters
    ----------
    name : str
    summary : dict
    recomputed : bool
        Whether anything had to be done.
    """

    name: str
    summary: dict[str, Any]
    recomputed: bool


def reproduce(
    configs: Mapping[str, TargetConfig],
    out: Path,
    *,
    places: Places | None = None,
    cache: Path | None = None,
    meter: Meter | None = None,
    workers: int | None = None,
) -> list[Outcome]:
    """Run targets and write a folder for each, and a README.md of all that are there.

    Parameters
    ----------
    configs : mapping of target name to its settings
    out : Path
        Folder of the records: ``out/<target>/`` with config.toml, tasks.csv, summary.json, figure.png
        and, last, DONE.
    places : Places, optional
        Where models and data of the experiments on molecules are.
    cache : Path, optional
        Folder of rows and networks already made; ``out/.weakstrong-cache`` unless given.
    meter : callable, optional
        ``meter(total, description)`` shows progress.
    workers : int, optional
        Processes, each of one thread; as many as there are cores unless given. Numbers don't depend
        on it.

    Returns
    -------
    list of Outcome

    Raises
    ------
    InputError
        If an extra is needed and not installed, a folder cannot be written or is in use by another run,
        models or data are missing, or settings lead to numbers that cannot be computed with.
    """
    places = places or Places()
    for name, config in configs.items():
        for module in (m for m in _MODULES[config.extra] if find_spec(m) is None):
            raise InputError(
                f"{name} needs {module}, which comes with the extra {config.extra}: "
                f'pip install "weakstrong[{config.extra}]"'
            )
    if workers is not None and workers < 1:
        raise InputError(f"workers must be at least 1; got {workers}")
    for name in configs:
        check_output(out / name, overwrite=True)
    check_page(out)
    libraries, meter = _libraries(), meter or _silent
    runs = []
    for name, config in configs.items():
        content = _content(config, places)
        key = fingerprint(code_hash(write_record.__module__), libraries, name, config.model_dump(), content)
        runs.append(Run(name, config, key, content))
    missing = [run for run in runs if finished(run, out) is None]
    if missing:
        cache = cache or out / CACHE
        with _alone_in(cache), Workers(workers) as pool:
            files = _computed(missing, cache, places, pool, meter)
            with meter(len(missing), "figures") as advance:
                pieces = [(run, f, out, libraries) for run, f in zip(missing, files, strict=True)]
                pool.run(write_record, pieces, advance)
    write_page(out)
    summaries = [(run, finished(run, out)) for run in runs]
    return [Outcome(run.name, found, run in missing) for run, found in summaries if found is not None]


def rows_of(
    configs: Sequence[TargetConfig],
    cache: Path,
    *,
    places: Places | None = None,
    meter: Meter | None = None,
    workers: int | None = None,
) -> list[list[Path]]:
    """Files with the rows of every seed, for each of the settings; parameters as of `reproduce`."""
    places = places or Places()
    runs = [Run("", config, "", _content(config, places)) for config in configs]
    with _alone_in(cache), Workers(workers) as pool:
        return _computed(runs, cache, places, pool, meter or _silent)


def _libraries() -> dict[str, str]:
    return {name: _version(name) for name in _LIBRARIES}


def _content(config: TargetConfig, places: Places) -> dict[str, Any]:
    return contents(config, places) if isinstance(config, MoleculesConfig) else {}


def _computed(runs: list[Run], cache: Path, places: Places, pool: Workers, meter: Meter) -> list[list[Path]]:
    """Pretrain or embed what is missing, then compute the rows that are missing: their files, by run."""
    files = [_files(run, cache) for run in runs]
    networks = _of_this_code(cache, "networks", _NETWORKS)
    units = {
        file: (run.config, seed, _source(run, cache, networks), file)
        for run, own in zip(runs, files, strict=True)
        for seed, file in zip(run.config.all_seeds(), own, strict=True)
        if not file.exists()
    }
    jobs = {
        job.key: job
        for config, seed, *_ in units.values()
        if isinstance(config, WeakToStrongConfig)
        for job in needed(config, seed).values()
    }
    lots = batches([job for job in jobs.values() if not job.file(networks).exists()])
    if lots:
        steps = sum(lot[0].training.steps for lot in lots)
        with meter(steps, f"pretraining {sum(map(len, lots))} networks: steps") as advance:
            pool.run(train, [(lot, networks) for lot in lots], advance)
    for config, _, source, _ in units.values():
        if isinstance(config, MoleculesConfig) and not source.exists():
            prepare(config, places, meter).save(source)
    if units:
        with meter(len(units), "targets and seeds") as advance:
            pool.run(keep_rows, list(units.values()), advance)
    return files


def _files(run: Run, cache: Path) -> list[Path]:
    """Where the rows of every seed are kept, by what they follow from: targets may share them."""
    kind = type(run.config)
    folder = _of_this_code(cache, kind.__name__, _MAKERS[kind])
    folder /= fingerprint(run.config.of_one_seed(), run.content)[:16]
    return [folder / f"seed-{seed}.parquet" for seed in run.config.all_seeds()]


def _source(run: Run, cache: Path, networks: Path) -> Path:
    """Where the networks of a run are, or on molecules its features: runs may share them."""
    if not isinstance(run.config, MoleculesConfig):
        return networks
    folder = _of_this_code(cache, "inputs", _INPUTS)
    return folder / f"{fingerprint(run.config.of_inputs(), run.content)[:16]}.npz"


def _of_this_code(cache: Path, kind: str, module: str) -> Path:
    """The folder of what the present code of a module makes; what other code made is dropped."""
    folder = cache / f"{kind}-{fingerprint(code_hash(module), _libraries())[:16]}"
    for other in cache.glob(f"{kind}-*"):
        if other != folder:
            shutil.rmtree(other, ignore_errors=True)
    folder.mkdir(exist_ok=True)
    return folder


@contextmanager
def _alone_in(cache: Path) -> Iterator[None]:
    """Hold the cache for this run; the system lets go of it however the run ends."""
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with (cache / "lock").open("w") as lock:
            if fcntl is not None:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
    except BlockingIOError as error:
        raise InputError(
            f"{cache.parent}: another run is at work there; wait for it or choose another --out"
        ) from error
    except PermissionError as error:
        raise InputError(
            f"{cache.parent}: cannot be written ({error.strerror}); choose another --out"
        ) from error


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


def _silent(total: int, description: str) -> AbstractContextManager[Advance]:
    return nullcontext(lambda more: None)
