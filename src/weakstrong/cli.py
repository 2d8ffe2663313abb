"""The command line: parses, calls the library, prints. Input at fault is one line and exit code 2."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, CycloptsError, Parameter

from weakstrong import __version__
from weakstrong.errors import InputError

app = App(
    name="weakstrong",
    help="Quantify, predict and steer weak-to-strong generalization.",
    version=__version__,
    help_format="markdown",
)

Columns = Annotated[tuple[str, ...], Parameter(negative="", show_default=False, consume_multiple=True)]
Paths = Annotated[tuple[Path, ...], Parameter(negative="", show_default=False, consume_multiple=True)]
Count = Annotated[int, Parameter(converter=lambda _, tokens: int(tokens[0].value))]  # 2.5 is no count
Switch = Annotated[bool, Parameter(negative="", show_default=False)]


@app.command
def fit(
    *,
    features: Path,
    weak_labels: Path,
    out: Path,
    target: Columns = (),
    id: str | None = None,
    weights: str | None = None,
    groups: str | None = None,
    heads: Literal["linear", "l2"] = "l2",
    cv: Count = 5,
    seed: Count = 0,
    overwrite: Switch = False,
) -> None:
    """Fit a student to weak labels from anywhere: a model, a rule, a person.

    Rows without a weak label (an empty cell, or an id the table lacks) are predicted, not fitted.
    OUT gets head.npz, model.json, predictions.csv and, last, DONE.

    Example: weakstrong fit --features features.npy --weak-labels labels.csv --target y --out student

    Parameters
    ----------
    features
        Frozen features: .npy, .npz (array `features`, optional `ids`), .csv or .parquet.
    weak_labels
        Table with the weak labels: .csv or .parquet.
    out
        Folder to make.
    target
        Label columns; needed if there are several.
    id
        Id column that joins both tables; without it rows are matched by position.
    weights
        Column of row weights in the labels' table.
    groups
        Column of groups; rows of a group stay in one fold.
    heads
        Class of heads: linear, or an L2 ball with its radius chosen by cross-validation.
    cv
        Folds of the cross-validation.
    seed
        Seed of the folds.
    overwrite
        Replace a finished run in OUT.
    """
    from weakstrong.records import check_output, output_folder, write_atomically
    from weakstrong.report.tables import show, student_table
    from weakstrong.student import fit_files

    if cv < 2:
        raise InputError(f"--cv {cv}: at least 2 folds are needed")
    check_output(out, overwrite)
    student, predictions, labels = fit_files(
        features, weak_labels, targets=target, id_column=id, weights=weights, groups=groups,
        heads=heads, n_folds=cv, seed=seed,
    )  # fmt: skip
    with output_folder(out, overwrite=overwrite) as stage:
        student.save(stage)
        write_atomically(stage / "predictions.csv", predictions.to_csv(index=False).encode())
    show(student_table(student, labels.notes))
    print(f"written: {out}")


@app.command
def predict(
    *, model: Path, features: Path, out: Path, id: str | None = None, overwrite: Switch = False
) -> None:
    """Predict with a fitted student.

    Example: weakstrong predict --model student --features new.npy --out predictions.csv

    Parameters
    ----------
    model
        Folder that `weakstrong fit` made.
    features
        Features of the same representation: .npy, .npz, .csv or .parquet.
    out
        Table to write: .csv, .csv.gz or .parquet.
    id
        Id column of the features' table.
    overwrite
        Replace OUT if it is there.
    """
    from weakstrong.data.tables import read_features, write_table
    from weakstrong.student import Student

    if out.exists() and not overwrite:
        raise InputError(f"{out}: is there already; choose another --out or pass --overwrite")
    matrix = read_features(features, id)
    if id is not None and matrix.ids is None:
        raise InputError(f"{features}: holds no ids, so leave --id out (or save an .npz with `ids`)")
    predictions = Student.load(model).predict(matrix)
    write_table(predictions, out)
    print(f"written: {out} ({len(predictions)} rows)")


@app.command
def study(
    *,
    weak: Paths = (),
    strong: Path | None = None,
    labels: Path | None = None,
    target: str | None = None,
    id: str | None = None,
    groups: str | None = None,
    splits: Paths = (),
    evaluate_on: Columns = (),
    test_size: float | None = None,
    repeats: Count | None = None,
    supervised_fraction: float | None = None,
    heads: Literal["linear", "l2"] | None = None,
    cv: Count | None = None,
    seed: Count | None = None,
    out: Path | None = None,
    config: Path | None = None,
    example: str | None = None,
    overwrite: Switch = False,
) -> None:
    """Study on your frozen features whether a student is worth having.

    On each division of the rows the supervisor's head is fitted to true labels on one part of the
    training rows, labels the other, and the student's head is fitted to those labels. Held-out rows
    judge both, beside the ceiling, training directly on the supervisor's labels, and the mean.

    Example: weakstrong study --weak small.npy --strong large.npy --labels labels.csv --target y --out record

    Example: weakstrong study --example diabetes

    Parameters
    ----------
    weak
        Features of the supervisors, a file each: .npy, .npz, .csv or .parquet.
    strong
        Features of the student.
    labels
        Table of true labels: .csv or .parquet.
    target
        Label column, if there are several.
    id
        Id column that joins the tables; without it rows are matched by position.
    groups
        Column of groups in LABELS: kept on one side of every division, one cluster in intervals.
    splits
        Tables with a column a split: train, test, other roles or empty; or 0 and 1 (1 is held out). Or
        index files as ChemBench publishes them, under their own names (.ind.pkl).
    evaluate_on
        Roles to hold out and judge on, with --splits. [default: test]
    test_size
        Share of rows held out, without --splits. [default: 0.2]
    repeats
        Random divisions (of the training rows of each split, with --splits). [default: 10]
    supervised_fraction
        Share of training rows whose true labels the supervisor sees. [default: 0.5]
    heads
        Class of every head: linear, or an L2 ball with cross-validated radius. [default: l2]
    cv
        Folds of that cross-validation. [default: 5]
    seed
        Seed of divisions and folds. [default: 0]
    out
        Folder for summary.json, splits.csv, predictions.csv, figure.png and config.toml.
    config
        TOML file with these settings (underscores for dashes); flags override it. Every record has one.
    example
        Run on data that ship with scikit-learn instead: diabetes.
    overwrite
        Replace a finished run in OUT.
    """
    from weakstrong.records import check_output
    from weakstrong.report.progress import track
    from weakstrong.report.tables import show, study_table
    from weakstrong.studies.config import ExampleConfig, load_config
    from weakstrong.studies.examples import load_example
    from weakstrong.studies.files import read_inputs
    from weakstrong.studies.run import run

    options = {
        "test_size": test_size, "repeats": repeats, "supervised_fraction": supervised_fraction,
        "heads": heads, "cv": cv, "seed": seed,
    }  # fmt: skip
    files = {
        "weak": weak or None, "strong": strong, "labels": labels, "target": target, "id": id,
        "groups": groups, "splits": splits or None, "evaluate_on": evaluate_on or None, "out": out,
        "example": example,
    }  # fmt: skip
    given = {k: v for k, v in {**options, **files}.items() if v is not None}
    settled = load_config(config, given)
    if settled.out is not None:
        check_output(settled.out, overwrite)
    inputs = load_example(settled.example) if isinstance(settled, ExampleConfig) else read_inputs(settled)
    found = run(
        inputs, settled.options(), out=settled.out, overwrite=overwrite, track=track,
        settings=None if settled.out is None else settled.saved(settled.out),
    )  # fmt: skip
    show(study_table(found.summary))
    print(f"written: {settled.out}" if settled.out else "give --out DIR to keep the record and its figure")


@app.command
def reproduce(
    *targets: str,
    out: Path = Path("reproduced"),
    seeds: Count | None = None,
    seed: Count | None = None,
    solver: Literal["exact", "gradient"] | None = None,
    changes: Annotated[tuple[str, ...], Parameter(name="--set", negative="", show_default=False)] = (),
    config: Path | None = None,
    workers: Count | None = None,
    catalogue: Annotated[bool, Parameter(name="--list", negative="", show_default=False)] = False,
) -> None:
    """Reproduce the paper's experiments: the six synthetic figures, or the targets named.

    OUT gets a folder for every target, with config.toml, tasks.csv (a row for each seed and task),
    summary.json, figure.png and, last, DONE; and a README.md with every figure and the paper's
    claims beside what came out. A killed run resumes; a finished target is left as it is unless its
    settings or the code changed. Most need the extra nn (torch).

    Example: weakstrong reproduce

    Example: weakstrong reproduce fig2b fig3c --seeds 20 --set pretraining_rows=500 --out record

    Parameters
    ----------
    targets
        fig2a, fig2b, fig2c, fig3a, fig3b, fig3c (these if none is named), nonconvex-tanh,
        nonconvex-relu, nonconvex-sigmoid, nonconvex-mlp, theorem2, figure1: --list describes them.
    out
        Folder of the records, and of what lets a run resume (.weakstrong-cache).
    seeds
        How many seeds, each a world of its own. [default: 6; figure1: 1]
    seed
        The first of them. [default: 0]
    solver
        Heads by exact projection, or by Adam as in the paper. [default: exact; nonconvex-*: gradient]
    changes
        Another setting as key=value, say tasks=50 or pretraining_rows=250; repeat it for several. Every
        config.toml shows them all, `weakstrong.experiments.config` explains them.
    config
        TOML file with settings, a record's config.toml for instance; flags override it.
    workers
        Processes; numbers do not depend on it. [default: one a core]
    catalogue
        Show the targets with what they need, and stop.
    """
    from weakstrong.experiments.settings import resolve
    from weakstrong.experiments.tables import ours
    from weakstrong.experiments.targets import TARGETS
    from weakstrong.report.tables import reproduced_table, show, targets_table

    if catalogue:
        show(targets_table([(n, t.default, t.needs, t.title, t.claim) for n, t in TARGETS.items()]))
        return
    given = {k: v for k, v in {"seeds": seeds, "seed": seed, "solver": solver}.items() if v is not None}
    configs = resolve(targets, given, changes, config)
    from weakstrong.experiments.reproduce import reproduce as run_targets
    from weakstrong.report.progress import meter

    outcomes = run_targets(configs, out, meter=meter, workers=workers)
    show(reproduced_table([(o.name, o.summary, ours(o.summary), o.recomputed) for o in outcomes]))
    print(f"written: {out} (README.md shows every figure)")


def main() -> None:
    """Run a command; faults in the input are one line on stderr and exit code 2."""
    try:
        app(sys.argv[1:], exit_on_error=False, print_error=False)
    except (InputError, CycloptsError, OSError) as error:  # OSError: a full disk, a file taken away
        print("weakstrong: " + " ".join(str(error).split()), file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print(
            "weakstrong: interrupted; a study with --out, or reproduce, goes on where it stopped",
            file=sys.stderr,
        )
        sys.exit(130)
