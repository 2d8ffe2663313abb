"""What can be reproduced: each target with the paper's claim, its settings and what it needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from weakstrong.neural.neural_heads import HeadKind
from weakstrong.paper.config import (
    Figure1Config,
    MoleculesConfig,
    TargetConfig,
    Theorem2Config,
    WeakToStrongConfig,
)

Expectation = Literal["misfit", "minus misfit", "reversal", "ranking"]


@dataclass(frozen=True)
class Target:
    """An experiment that can be named.

    Parameters
    ----------
    title : str
        What it is, as a figure's title says it.
    claim : str
        What the paper says of it.
    settings : TargetConfig
        Its own; the command line overrides them.
    expects : {"misfit", "minus misfit", "reversal", "ranking"}, optional
        What the claim says of the gain, or of picking among students.
    default : bool
        Whether it is run when no target is named.
    note : str
        What a reader must know.
    """

    title: str
    claim: str
    settings: TargetConfig
    expects: Expectation | None = None
    default: bool = False
    note: str = ""

    @property
    def needs(self) -> str:
        """The extra that it needs, if any."""
        return self.settings.extra


_SIX = {
    "fig2a": Target(
        "Figure 2a: realizable, h_s = h*, h_w a pretrained 2-layer network",
        "gain is more or less exactly the misfit",
        WeakToStrongConfig(representations="realizable"),
        "misfit",
        True,
    ),
    "fig2b": Target(
        "Figure 2b: not realizable, h_w 2 layers and h_s 8 layers, both pretrained",
        "gain is more or less exactly the misfit",
        WeakToStrongConfig(),
        "misfit",
        True,
    ),
    "fig2c": Target(
        "Figure 2c: not realizable, h_w and h_s are h* with noise of 0.05 and 0.01",
        "gain is more or less exactly the misfit",
        WeakToStrongConfig(representations="perturbation"),
        "misfit",
        True,
    ),
    "fig3a": Target(
        "Figure 3a: roles of Figure 2b swapped, h_w 8 layers and h_s 2 layers",
        "mirror image of Figure 2b: gain is minus the misfit",
        WeakToStrongConfig(swap_roles=True),
        "minus misfit",
        True,
    ),
    "fig3b": Target(
        "Figure 3b: roles of Figure 2c swapped, noise 0.01 for h_w and 0.05 for h_s",
        "mirror image of Figure 2c: gain is minus the misfit",
        WeakToStrongConfig(representations="perturbation", swap_roles=True),
        "minus misfit",
        True,
    ),
    "fig3c": Target(
        "Figure 3c: Figure 2b with little to pretrain on, T = 5 and N_r = 250",
        "the simpler model has the better representation: roles reverse, gain falls as misfit grows",
        WeakToStrongConfig(pretraining_tasks=5, pretraining_rows=250),
        "reversal",
        True,
    ),
}

_CHARACTERIZED = "gain is accurately characterized by the misfit"
_HEURISTIC = "of the students, that of least weak error − misfit has the least true error"
_PLACES: dict[str, tuple[Literal["misfit", "ranking"], str, Literal["ESOL", "FreeSolv", "Lipop"]]] = {
    "fig2d": ("misfit", "Figure 2d", "ESOL"),
    "fig2e": ("misfit", "Figure 2e", "FreeSolv"),
    "fig2f": ("misfit", "Figure 2f", "Lipop"),
    "table1": ("ranking", "Table 1", "Lipop"),
    "table2": ("ranking", "Table 2 (Appendix B)", "ESOL"),
    "table3": ("ranking", "Table 3 (Appendix B)", "FreeSolv"),
}
_MOLECULES = {
    name: Target(
        f"{place}: encoders of SMILES on {dataset}"
        if expects == "misfit"
        else f"{place}: choosing among supervisors on {dataset}",
        _CHARACTERIZED if expects == "misfit" else _HEURISTIC,
        MoleculesConfig(dataset=dataset),
        expects,
    )
    for name, (expects, place, dataset) in _PLACES.items()
}

_RECONSTRUCTED = (
    "Appendix C is not in the text at hand: tasks and both models' heads are of this class, "
    "representations are pretrained as in Figure 2b, heads are fitted by Adam from three starts"
)
_NON_CONVEX_HEADS: dict[HeadKind, str] = {
    "tanh": "tanh of a linear map",
    "relu": "ReLU of a linear map",
    "sigmoid": "sigmoid of a linear map",
    "mlp": "one hidden layer of 16 ReLU units",
}
_NON_CONVEX = {
    f"nonconvex-{kind}": Target(
        f"Heads that are not a convex class: {name} (our reconstruction of Appendix C)",
        "the result holds, at least qualitatively, beyond the convex case",
        WeakToStrongConfig(heads=kind, solver="gradient", descent_starts=3),
        "misfit",
        note=_RECONSTRUCTED,
    )
    for kind, name in _NON_CONVEX_HEADS.items()
}

TARGETS: dict[str, Target] = {
    **_SIX,
    **_MOLECULES,
    **_NON_CONVEX,
    "theorem2": Target(
        "Theorem 2: what falls short of the misfit, against n, ε and δ",
        "gain ≥ misfit − O(√ε) − O((C/n)^¼) − O((log(1/δ)/n)^¼)",
        Theorem2Config(),
        note=(
            "worlds of ours in which every error is exact; that ε acts by its root is built in, how the "
            "sample acts is found; not every linear head is bounded, as the theorem asks"
        ),
    ),
    "figure1": Target(
        "Figure 1: the student is the projection of the weak labels",
        "C ≥ A + B: the angle at the projection is right (subspace) or obtuse (any convex set)",
        Figure1Config(),
        note="drawn from a world of Figure 2a, with noise on h_w in place of pretraining",
    ),
}
