"""`reproduce`: the paper's experiments."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from weakstrong.commands.options import Count


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
