"""Make ``results/synthetic/``: every target, and what the choices that the paper leaves open change.

Run ``python examples/reproduce_synthetic.py``, about an hour and a half on two cores; it resumes if it is
killed, and makes again only what settings or code changed. The records in the paper's own procedure go to
``results/paper/``. ``--report`` rewrites the tables of the pages alone.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from shared import ROOT, parser, write_pages
from weakstrong import Record
from weakstrong.paper.catalogue import resolve
from weakstrong.paper.pages import agreement_table, claims_table, records
from weakstrong.paper.reproduction import CACHE, reproduce
from weakstrong.progress import meter

RESULTS = ROOT / "results" / "synthetic"
TABLE = RESULTS / "sensitivity.csv"
AS_THE_PAPER = ROOT / "results" / "paper"
INTRODUCTION = (
    "Made by `python examples/reproduce_synthetic.py`. Every line changes one setting (`--set`), all else as "
    "in the records; in brackets the 95% interval of the median over seeds. Losses are those of equation "
    "(9), relative to the labels' variance within tasks; a seed reverses where mean gain and slope are "
    "negative."
)
FIGURES = ("fig2a", "fig2b", "fig2c", "fig3a", "fig3b", "fig3c")
NON_CONVEX = ("nonconvex-tanh", "nonconvex-relu", "nonconvex-sigmoid", "nonconvex-mlp")
TRAINED = ("fig2a", "fig2b", "fig3a", "fig3c")  # with networks pretrained by equation (9)
MAIN = {"seeds": 20}
FEWER = {"seeds": 10}
FEWEST = {"seeds": 6}
OURS, PRESET = "our defaults", "the paper's preset"
_2B, _2C, _REALIZABLE = (f"representations {which}" for which in ("of Figure 2b", "of Figure 2c", "h_s = h*"))


def training(optimizer: str, start: str, steps: int, units: str = "scaled") -> dict[str, Any]:
    """Return the settings with which equation (9) is minimized."""
    return {
        "pretraining_optimizer": optimizer,
        "pretraining_init": start,
        "pretraining_steps": steps,
        "pretraining_units": units,
        **FEWEST,
    }


# What is changed from the defaults, for which targets.
VARIANTS: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    OURS: (FIGURES, {}),
    "h* initialised by He's rule": (("fig2a", "fig2b", "fig2c", "fig3c"), {"truth_init": "he", **FEWER}),
    "representations end in a ReLU": (("fig2a", "fig2b", "fig2c", "fig3c"), {"output_relu": True, **FEWER}),
    "tasks on a sphere": (("fig2a", "fig2b", "fig2c", "fig3c"), {"task_law": "sphere", **FEWER}),
    "heads with an intercept": (("fig2a", "fig2b", "fig2c"), {"fit_intercept": True, **FEWER}),
    "networks start by He's rule": (("fig2b", "fig3c"), {"pretraining_init": "he", **FEWER}),
    "heads by Adam": (FIGURES, {"solver": "gradient", **FEWER}),
    "500 steps of pretraining": (("fig2b", "fig3c"), {"pretraining_steps": 500}),
    "2,000 steps": (("fig2b", "fig3c"), {"pretraining_steps": 2000}),
    "60,000 steps": (("fig3c",), {"pretraining_steps": 60_000}),
    "weight decay 0.1": (("fig3c",), {"weight_decay": 0.1}),
    "weight decay 0.5": (("fig3c",), {"weight_decay": 0.5}),
    "T = 5, N_r = 1000": (("fig3c",), {"pretraining_rows": 1000}),
    "T = 5, N_r = 4000": (("fig3c",), {"pretraining_rows": 4000}),
    "T = 10, N_r = 250": (("fig3c",), {"pretraining_tasks": 10}),
    "T = 20, N_r = 250": (("fig3c",), {"pretraining_tasks": 20}),
    _REALIZABLE: (NON_CONVEX, {"representations": "realizable", **FEWEST}),
    _2B: (NON_CONVEX, {"pretraining_heads": "linear", **FEWEST}),
    _2C: (NON_CONVEX, {"representations": "perturbation", **FEWEST}),
    **{
        f"{name}, {start} start, {steps:,} steps": (targets, training(optimizer, start, steps, units))
        for name, optimizer, start, units in (
            ("Muon", "muon", "uniform", "scaled"),
            ("Adam", "adam", "near-identity", "scaled"),
            ("Adam", "adam", "uniform", "scaled"),
            ("Adam on raw data", "adam", "uniform", "raw"),
            ("SGD", "sgd", "near-identity", "scaled"),
            ("SGD", "sgd", "uniform", "scaled"),
        )
        for steps, targets in ((2000, ("fig2b", "fig3c")), (20_000, TRAINED))
    },
}  # fmt: skip
STATISTICS = (
    "slope", "gain_over_misfit", "r2_misfit", "r2_minus_misfit", "ceiling_over_misfit", "mean_gain",
    "mean_misfit", "weak_pretraining_loss", "strong_pretraining_loss", "mean_excess_loss", "slope_change",
)  # fmt: skip


def run_all() -> None:
    """Make the records of all targets, those in the paper's procedure, then one table of the variants."""
    cache = RESULTS / CACHE
    main = [*resolve(FIGURES, MAIN), *resolve(("theorem2",), MAIN), *resolve(("figure1",), {})]
    reproduce([*main, *resolve(NON_CONVEX, FEWER)], RESULTS, cache=cache, meter=meter)
    outcomes = reproduce(resolve(FIGURES, FEWER, preset="paper"), AS_THE_PAPER, cache=cache, meter=meter)
    rows = [{"variant": PRESET, **row(outcome.record)} for outcome in outcomes]
    for variant, (targets, changes) in VARIANTS.items():
        print(variant, flush=True)
        folder = RESULTS if not changes else RESULTS / ".variants" / variant.replace(" ", "-")
        configs = resolve(targets, {**MAIN, **changes})
        outcomes = reproduce(configs, folder, cache=cache, meter=meter)
        rows += [{"variant": variant, **row(outcome.record)} for outcome in outcomes]
    pd.DataFrame(rows).to_csv(TABLE, index=False, float_format="%.6g")


def row(record: Record) -> dict[str, Any]:
    """Return one row of the table: medians over seeds with intervals, and the seeds that reverse."""
    [result] = record.results
    estimates, reverse = result.estimates, result.facts["seeds_reversed"]
    out: dict[str, Any] = {"target": record.kind, "seeds": record.facts["seeds"], "reversed": reverse}
    for name in (s for s in STATISTICS if s in estimates):
        e = estimates[name]
        out |= {name: e.value, f"{name}_low": e.low, f"{name}_high": e.high}
    return out


def page_tables() -> dict[str, dict[str, list[str]]]:
    """Return the blocks of other pages: claims, variants of Figure 3c, and a table for the front page."""
    return {
        "docs/paper.md": {
            "synthetic": claims_table(records(RESULTS)),
            "training": training_table(pd.read_csv(TABLE)),
            "low sample": low_sample(pd.read_csv(TABLE)),
            "not convex": not_convex_table(pd.read_csv(TABLE)),
        },
        "README.md": {"reproduced": agreement_table(ROOT)},
    }


def low_sample(table: pd.DataFrame) -> list[str]:
    """Return a table of Figure 3c under every variant."""
    lines = ["| Figure 3c, but | seeds that reverse | median slope | loss of h_w on its rows | of h_s |"]
    lines.append("|---|---:|---:|---:|---:|")
    for _, variant in table[table["target"] == "fig3c"].iterrows():
        losses = (f"{100 * variant[f'{role}_pretraining_loss']:.2g}%" for role in ("weak", "strong"))
        reverse = f"{variant['reversed']} of {variant['seeds']}"
        lines.append(
            f"| {variant['variant']} | {reverse} | {_interval(variant, 'slope')} | {' | '.join(losses)} |"
        )
    return lines


def training_table(table: pd.DataFrame) -> list[str]:
    """Return a table of slopes by how networks are trained: optimizer, first weights and number of steps."""
    lines = [
        f"| networks by | seeds | {' | '.join(f'slope in {t[3:]}' for t in TRAINED)} | loss of h_s in 2b |"
    ]
    lines.append("|---|---:|" + "---:|" * (len(TRAINED) + 1))
    names = {OURS: "Muon, near-identity start, 20,000 steps (ours)", "2,000 steps": "the same, 2,000 steps"}
    names |= {name: name for name in VARIANTS if " start, " in name}
    names[PRESET] = (
        "Adam on raw data, uniform start, 10,000 steps at a constant rate, heads by Adam (the preset)"
    )
    for variant, title in names.items():
        of_target = table[table["variant"] == variant].set_index("target")
        cells = [_interval(of_target.loc[t], "slope") if t in of_target.index else "" for t in TRAINED]
        of_2b = of_target.loc["fig2b"]
        loss = f"{100 * of_2b['strong_pretraining_loss']:.2g}%"
        lines.append(f"| {title} | {of_2b['seeds']} | {' | '.join(cells)} | {loss} |")
    return lines


def not_convex_table(table: pd.DataFrame) -> list[str]:
    """Return a table of slopes of heads that are not convex, by where the representations come from."""
    own = pd.DataFrame([{"variant": OURS, **row(record)} for record in records(RESULTS).values()
                        if record.kind in NON_CONVEX])  # fmt: skip
    rows = pd.concat([own, table]).set_index(["variant", "target"])
    titles = {
        OURS: "pretrained on tasks of the same heads (the targets)",
        _2B: "pretrained on linear tasks, as in 2b", _2C: "h* with noise, as in 2c",
        _REALIZABLE: "h_s = h*, as in 2a",
    }  # fmt: skip
    lines = [f"| representations | seeds | {' | '.join(t.partition('-')[2] for t in NON_CONVEX)} |"]
    lines.append("|---|---:|" + "---:|" * len(NON_CONVEX))
    for variant, title in titles.items():
        cells = [_interval(rows.loc[(variant, t)], "slope") for t in NON_CONVEX]
        lines.append(f"| {title} | {rows.loc[(variant, NON_CONVEX[0]), 'seeds']} | {' | '.join(cells)} |")
    return lines


def all_variants(table: pd.DataFrame) -> list[str]:
    """Return a table of every variant of every target."""
    headings = {
        "slope": "slope", "gain_over_misfit": "gain / misfit", "r2_misfit": "R² of gain = misfit",
        "r2_minus_misfit": "R² of gain = −misfit",
        "ceiling_over_misfit": "ceiling error / misfit", "weak_pretraining_loss": "loss of h_w",
        "strong_pretraining_loss": "loss of h_s", "mean_excess_loss": "excess loss of heads",
        "slope_change": "slope less that of exact heads",
    }  # fmt: skip
    lines = [f"| target | variant | seeds | reverse | {' | '.join(headings.values())} |"]
    lines.append("|---|---|" + "---:|" * (2 + len(headings)))
    ordered = table.assign(place=table["target"].map((*FIGURES, *NON_CONVEX).index)).sort_values(
        "place", kind="stable"
    )
    for _, variant in ordered.iterrows():
        cells = [_interval(variant, name) for name in headings]
        start = f"| {variant['target']} | {variant['variant']} | {variant['seeds']} | {variant['reversed']} |"
        lines.append(f"{start} {' | '.join(cells)} |")
    return lines


def _interval(variant: pd.Series, name: str) -> str:
    """Format a median over seeds with its 95% interval."""
    if name not in variant or pd.isna(variant[name]):
        return ""
    shown = "{:.1e}" if abs(variant[name]) < 1e-3 else "{:.3g}"
    bounds = [variant[f"{name}_{end}"] for end in ("low", "high")]
    interval = "" if any(map(pd.isna, bounds)) else f" [{shown.format(bounds[0])}, {shown.format(bounds[1])}]"
    return shown.format(variant[name]) + interval


def report() -> None:
    """Rewrite sensitivity.md and the blocks of other pages."""
    table = pd.read_csv(TABLE)
    earlier = " Lines without gain / misfit are of an earlier version of the code."
    introduction = INTRODUCTION + earlier * bool(table["gain_over_misfit"].isna().any())
    page = ["# What the choices that the paper leaves open change", "", introduction, ""]
    page += all_variants(table)
    (RESULTS / "sensitivity.md").write_text("\n".join(page) + "\n", encoding="utf-8")
    write_pages(page_tables())


def main() -> None:
    """Parse, make what is not there yet, and write the pages."""
    if not parser(__doc__).parse_args().report:
        run_all()
    report()


if __name__ == "__main__":
    main()
