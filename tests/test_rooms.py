"""Which room may import which: arrows go one way, commands -> paper -> molecules -> studies -> core."""

from __future__ import annotations

import pytest

from weakstrong import identity

CORE = {
    "accumulation", "arrays", "bootstrap", "brier_heads", "class_gains", "class_kinds", "class_labels",
    "class_laws", "class_predictions", "class_scores", "class_solvers", "classifier", "cluster_means",
    "cross_entropy", "cross_validation", "disagreement", "divergence", "errors", "estimate", "estimator",
    "feature_range", "gain", "gain_inputs", "heads", "identity", "lazy", "least_squares", "links",
    "mixture_losses", "mixture_projection", "mixtures", "moments", "optimality", "parallel", "predictions",
    "progress", "projection", "quasi_newton", "record", "serialization", "softmax_basis", "softmax_fits",
    "softmax_folds", "softmax_heads", "softmax_optimality", "softmax_solver", "stacking", "storage", "votes",
    "whitening", "whole_files", "wild_bootstrap",
}  # fmt: skip
# Each room with the rooms that it may import.
ROOMS = {
    "core": set(),
    "data": {"core"},
    "saved_model": {"core", "data"},
    "report": {"core", "saved_model"},
    "studies": {"core", "data", "report"},
    "neural": {"core"},
    "molecules": {"core", "data", "neural"},
    "paper": {"core", "data", "studies", "neural", "molecules", "report"},
    "commands": {"core", "data", "saved_model", "studies", "neural", "molecules", "paper", "report"},
    "cli": {"core", "commands"},
    "__main__": {"cli"},
}


def room_of(module: str) -> str:
    name = module.removeprefix("weakstrong.").split(".")[0]
    return "core" if name in CORE else name


@pytest.mark.parametrize("module", sorted(set(identity._modules()) - {"weakstrong"}))
def test_arrows_go_one_way(module: str) -> None:
    here = room_of(module)
    assert here in ROOMS, f"{module} is in no room: name it here, with what it may import"
    there = {room_of(name) for name in identity.imports_of(module) if name != "weakstrong"}
    assert there - {here} <= ROOMS[here]


def test_no_two_modules_have_one_name() -> None:
    names = [m.rsplit(".", 1)[-1] for m, path in identity._modules().items() if path.name != "__init__.py"]
    assert len(set(names)) == len(names)
