"""Run targets and keep their records; runs resume, and recompute only what changed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd

from weakstrong.errors import InputError
from weakstrong.identity import code_hash, fingerprint, provenance
from weakstrong.paper.catalogue import catalogue, with_preset
from weakstrong.paper.experiment import Experiment
from weakstrong.paper.pages import check_page, read_record, write_page
from weakstrong.paper.run_settings import Extra
from weakstrong.paper.sources import Meter, Places, Source
from weakstrong.parallel import Workers
from weakstrong.progress import Advance
from weakstrong.record import Record
from weakstrong.report.figures import plain_drawing, png
from weakstrong.storage import check_output, locked, output_folder, remove_dead_lock
from weakstrong.whole_files import keep, kept, opened, partial_files

CACHE = ".weakstrong-cache"
_LIBRARIES = ("numpy", "scipy", "torch")
_MODULES: dict[Extra, tuple[str, ...]] = {
    "none": (),
    "nn": ("torch",),
    "molecules": ("torch", "transformers", "safetensors", "rdkit", "pooch"),
}


@dataclass(frozen=True)
class Outcome:
    """The outcome of a run.

    Parameters
    ----------
    record : Record
        Without its tables and predictions, which are on disk.
    recomputed : bool
        Whether the record was computed in this run.
    """

    record: Record
    recomputed: bool


@dataclass(frozen=True)
class Origin:
    """The origin of a record, computed once for all worker processes.

    Parameters
    ----------
    key : str
        Identifies everything that it follows from.
    preset : str
        Preset that the settings start from; empty if none.
    changed : mapping
        Settings that are neither the preset's nor the experiment's own.
    provenance : mapping
    """

    key: str
    preset: str
    changed: Mapping[str, Any]
    provenance: Mapping[str, Any]


def reproduce(
    experiments: Sequence[Experiment],
    out: Path,
    *,
    places: Places | None = None,
    cache: Path | None = None,
    meter: Meter | None = None,
    workers: int | None = None,
) -> list[Outcome]:
    """Run experiments, and write a folder for each and a README.md that shows all of them.

    Parameters
    ----------
    experiments : sequence of Experiment
        With the settings to run them with.
    out : Path
        Folder of the records: ``out/<name>/`` with config.toml, tasks.csv, summary.json, figure.png and,
        last, DONE.
    places : Places, optional
        Where models and data of the experiments on molecules are.
    cache : Path, optional
        Cache folder of rows and networks; ``out/.weakstrong-cache`` unless given.
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
    for experiment in experiments:
        extra = experiment.settings.extra
        for module in (m for m in _MODULES[extra] if find_spec(m) is None):
            raise InputError(
                f"{experiment.name} needs {module}, which comes with the extra {extra}: "
                f'pip install "weakstrong[{extra}]"'
            )
    if workers is not None and workers < 1:
        raise InputError(f"workers must be at least 1; got {workers}")
    check_page(out)
    meter = meter or _no_progress
    located = [experiment.with_places(places or Places()) for experiment in experiments]
    origins = {experiment.name: _origin(experiment) for experiment in located}
    cache = cache or out / CACHE
    with _lock_cache(cache):
        missing = [e for e in located if not _is_current(out / e.name, origins[e.name].key)]
        for experiment in missing:
            check_output(out / experiment.name, overwrite=True)
        if missing:
            with Workers(workers) as pool:
                files = _compute_files(missing, cache, pool, meter)
                with meter(len(missing), "figures") as advance:
                    pieces = [(e, origins[e.name], f, out) for e, f in zip(missing, files, strict=True)]
                    pool.run(write_record, pieces, advance)
        _clear(out, located)
        write_page(out)
    names = {experiment.name for experiment in missing}
    records = [read_record(out / experiment.name) for experiment in located]
    return [Outcome(record, record.kind in names) for record in records if record is not None]


def _clear(out: Path, experiments: Sequence[Experiment]) -> None:
    """Remove what a run leaves that is killed when its records are in place."""
    for file in partial_files(out):
        file.unlink()
    for experiment in experiments:
        remove_dead_lock(out / experiment.name)


def compute_rows(
    experiments: Sequence[Experiment],
    cache: Path,
    *,
    places: Places | None = None,
    meter: Meter | None = None,
    workers: int | None = None,
) -> list[list[Path]]:
    """Return the files with the rows of every seed, for each experiment; parameters as in `reproduce`."""
    located = [experiment.with_places(places or Places()) for experiment in experiments]
    with _lock_cache(cache), Workers(workers) as pool:
        return _compute_files(located, cache, pool, meter or _no_progress)


def read_rows(files: Sequence[Path]) -> pd.DataFrame:
    """Read the rows of several seeds from their files."""
    return pd.concat([pd.read_parquet(opened(file)) for file in files], ignore_index=True)


def write_rows(
    experiment: Experiment, seed: int, sources: Mapping[str, Path], file: Path, advance: Advance
) -> None:
    """Compute the rows of a seed and write them to a file."""
    try:
        rows = experiment.rows(seed, sources)
    except InputError as error:
        raise InputError(f"{experiment.name}, seed {seed}: {error}", *error.settings) from error
    file.parent.mkdir(parents=True, exist_ok=True)
    keep(file, rows.to_parquet(index=False))
    advance(1)


def write_record(
    experiment: Experiment, origin: Origin, files: list[Path], out: Path, advance: Advance
) -> None:
    """Write ``out/<name>/`` from the rows of all seeds."""
    rows = read_rows(files)
    results = experiment.results(rows)
    tables = experiment.tables(rows, results)
    settings = experiment.settings
    with plain_drawing():
        figure = png(experiment.figure(tables, results))
    record = Record(
        kind=experiment.name,
        title=experiment.title,
        settings={"target": experiment.name, **settings.model_dump()},
        results=results,
        facts={
            "claim": experiment.claim,
            "caveat": experiment.caveat,
            "seeds": settings.seeds,
            "preset": origin.preset,
            "changed": origin.changed,
        },
        notes=experiment.notes(),
        provenance=origin.provenance,
        key=origin.key,
        tables=tables,
        predictions=experiment.predictions(rows),
        figures={"figure.png": figure},
    )
    with output_folder(out / experiment.name, overwrite=True) as stage:
        record.write(stage, float_format=experiment.float_format)
    advance(1)


def _origin(experiment: Experiment) -> Origin:
    """Find what a record comes from; the key hashes code, libraries, settings and the content of files."""
    code = code_hash(__name__, type(experiment).__module__)
    settings = experiment.settings
    key = fingerprint(
        code, _libraries(), experiment.name, experiment.preset, settings.model_dump(), experiment.content
    )
    own = catalogue().get(experiment.name, experiment)
    if experiment.preset:
        own = with_preset(own, experiment.preset)
    values, before = (e.settings.model_dump(exclude={"seeds", "seed"}) for e in (experiment, own))
    changed = {name: value for name, value in values.items() if value != before[name]}
    return Origin(key, experiment.preset, changed, {**provenance(), **_libraries()})


def _is_current(folder: Path, key: str) -> bool:
    record = read_record(folder)
    return record is not None and record.key == key


def _libraries() -> dict[str, str]:
    return {name: _version(name) for name in _LIBRARIES}


def _compute_files(
    experiments: Sequence[Experiment], cache: Path, pool: Workers, meter: Meter
) -> list[list[Path]]:
    """Make missing sources and rows, and return the files of rows for each experiment."""
    files = [_row_files(experiment, cache) for experiment in experiments]
    pending = {
        file: (experiment, seed, experiment.sources(seed))
        for experiment, seed_files in zip(experiments, files, strict=True)
        for seed, file in zip(experiment.settings.all_seeds(), seed_files, strict=True)
        if kept(file) is None
    }
    all_sources = {s.file_name: s for *_, sources in pending.values() for s in sources.values()}
    folders = {type(s): _code_folder(cache, s.kind, s.module) for s in all_sources.values()}
    for kind, folder in folders.items():
        missing = [s for s in all_sources.values() if type(s) is kind and kept(folder / s.file_name) is None]
        if missing:
            kind.make(missing, folder, pool, meter)
    if pending:
        with meter(len(pending), "targets and seeds") as advance:
            pieces = [
                (experiment, seed, _source_paths(sources, folders), file)
                for file, (experiment, seed, sources) in pending.items()
            ]
            pool.run(write_rows, pieces, advance)
    return files


def _source_paths(sources: Mapping[str, Source], folders: Mapping[type[Source], Path]) -> dict[str, Path]:
    return {name: folders[type(source)] / source.file_name for name, source in sources.items()}


def _row_files(experiment: Experiment, cache: Path) -> list[Path]:
    """Return the file of each seed's rows; experiments with the same rows share them."""
    folder = _code_folder(cache, type(experiment).__name__, experiment.rows_module)
    folder /= fingerprint(experiment.settings.of_one_seed(), experiment.content)[:16]
    return [folder / f"seed-{seed}.parquet" for seed in experiment.settings.all_seeds()]


def _code_folder(cache: Path, kind: str, module: str) -> Path:
    """Return the cache folder of a module's present code, and drop those of other versions."""
    folder = cache / f"{kind}-{fingerprint(code_hash(module), _libraries())[:16]}"
    for other in cache.glob(f"{kind}-*"):
        if other != folder:
            shutil.rmtree(other, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def _lock_cache(cache: Path) -> Iterator[None]:
    """Keep other runs from a cache, and clear it of what killed runs left half-written."""
    with locked(cache):
        for folder in [p for p in (cache, *cache.rglob("*")) if p.is_dir()]:
            for file in partial_files(folder):
                file.unlink()
        yield


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


def _no_progress(total: int, description: str) -> AbstractContextManager[Advance]:
    return nullcontext(lambda more: None)
