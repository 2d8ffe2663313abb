"""The command `reproduce`, which runs the paper's experiments."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from weakstrong.commands.options import Count, say
from weakstrong.errors import InputError


def reproduce(
    *targets: str,
    out: Path = Path("reproduced"),
    seeds: Count | None = None,
    seed: Count | None = None,
    solver: Literal["exact", "gradient"] | None = None,
    preset: Literal["paper"] | None = None,
    changes: Annotated[tuple[str, ...], Parameter(name="--set", negative="", show_default=False)] = (),
    config: Path | None = None,
    strong: str | None = None,
    models: Path | None = None,
    data: Path | None = None,
    workers: Count | None = None,
    listed: Annotated[bool, Parameter(name="--list", negative="", show_default=False)] = False,
) -> None:
    """Reproduce the paper's experiments: its six synthetic figures, or the targets that you name.

    OUT gets a folder for every target, with config.toml, tasks.csv (a row for each seed and task; on
    molecules a row for each division and pair of models, and also table.csv), summary.json, figure.png and,
    last, DONE; and a README.md with every figure and the paper's claims beside what came out. A killed run
    resumes; a finished target is left as it is unless its settings or the code changed. Most targets need
    the optional dependencies "nn" (torch), those on molecules the optional dependencies "molecules".

    Example: weakstrong reproduce

    Example: weakstrong reproduce --preset paper --out as-the-paper

    Example: weakstrong reproduce fig2b fig3c --seeds 20 --set pretraining_rows=500 --out record

    Example: weakstrong reproduce fig2d fig2e fig2f table1 table2 table3 --strong molbert --out molecules

    Parameters
    ----------
    targets
        fig2a, fig2b, fig2c, fig3a, fig3b, fig3c (these if none is named); on molecules fig2d (ESOL), fig2e
        (FreeSolv), fig2f (Lipop), table1 (Lipop), table2 (ESOL), table3 (FreeSolv); nonconvex-tanh,
        nonconvex-relu, nonconvex-sigmoid, nonconvex-mlp, theorem2, figure1: --list describes them.
    out
        Folder for the records, and for the files that let a run resume (.weakstrong-cache).
    seeds
        Number of seeds. Each one makes a world of its own; on molecules, a division of the training rows
        of each split. [default: 6; figure1: 1; on molecules: 20]
    seed
        First seed. [default: 0]
    solver
        Fit heads by exact projection, or by Adam as in the paper. [default: exact; nonconvex-*: gradient]
    preset
        paper: what the paper says of its procedure and, where it is silent, what most would do: networks and
        heads by Adam; on molecules heads by gradient descent, stopped by the valid rows, supervisor and
        student on the same rows, judged on the test rows, splits redrawn after the published ones. Other
        settings override it. [default: ours: exact heads, networks by Muon, other rows]
    changes
        Another setting as key=value, say tasks=50, pretraining_rows=250 or, on molecules, swap_roles=true,
        pooling=mean+cls, true_labels=50; repeat it for several. `weakstrong.paper.task_settings`
        and `weakstrong.paper.molecule_settings` explain them.
    config
        TOML file with settings, a record's config.toml for instance; flags override it.
    strong
        On molecules, the student's representation: a folder that convert or pretrain made (MolBERT's, say),
        a model in the models folder, or a file of features in the set's order. [default: strong]
    models
        Folder of encoders. [default: models in the working folder, else in the clone of this package]
    data
        ChemBench folder; the environment variable WEAKSTRONG_DATA names one too. [default: downloaded]
    workers
        Number of processes; the results do not depend on it. [default: one per core]
    listed
        List the targets and what each one needs, then stop.
    """
    from weakstrong.paper.catalogue import catalogue, resolve
    from weakstrong.report.terminal import reproduced_table, show, targets_table

    if listed:
        shown = [(e.name, e.default, e.settings.extra, e.title, e.claim) for e in catalogue().values()]
        show(targets_table(shown))
        return
    settings = {"seeds": seeds, "seed": seed, "solver": solver, "strong": strong}
    given = {k: v for k, v in settings.items() if v is not None}
    experiments = resolve(targets, given, changes, config, preset)
    for flag, folder in (("--models", models), ("--data", data)):
        if folder is not None and not any(e.settings.extra == "molecules" for e in experiments):
            names = ", ".join(e.name for e in experiments)
            raise InputError(f"{flag} {folder}: none of {names} is on molecules; leave it out")
    from weakstrong.paper.pages import agreement, findings
    from weakstrong.paper.reproduction import reproduce as run_experiments
    from weakstrong.paper.sources import Places
    from weakstrong.progress import meter

    outcomes = run_experiments(experiments, out, places=Places(models, data), meter=meter, workers=workers)
    rows = [
        (o.record.kind, o.record.facts["claim"], findings(o.record), agreement(o.record), o.recomputed)
        for o in outcomes
    ]
    show(reproduced_table(rows))
    say(f"written: {out} (README.md shows every figure)")
