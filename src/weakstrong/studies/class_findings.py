"""What is found where labels are classes: accuracy, log loss, and how often each class is named."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from weakstrong.errors import percent, quoted
from weakstrong.estimate import Estimate
from weakstrong.studies.verdict_words import worded_verdict

_FAR = 0.05  # between class frequencies: less is not worth a line


def on_classes(estimates: Mapping[str, Estimate], facts: Mapping[str, Any]) -> list[str]:
    """Say whether the student is better in accuracy and log loss, better calibrated, and inherits a prior."""
    return [
        _in_accuracy(estimates),
        _in_log_loss(estimates, facts),
        *_calibration(estimates, facts["scores"]),
        *_prior(estimates, facts),
    ]


def _calibration(estimates: Mapping[str, Estimate], scores: Mapping[str, Mapping[str, float]]) -> list[str]:
    """How much better the student ranks rows, and how much of a gain in Brier score is calibration."""
    said = []
    if "gain_in_auroc" in estimates:
        weak, strong = (scores[of]["auroc"] for of in ("weak", "strong"))
        said.append(f"ranking: AUROC {weak:.3f} → {strong:.3f}, {_shown(estimates['gain_in_auroc'])}")
    if "gain_in_calibration" in estimates and float(estimates["misfit"].value) > 0:
        calibration, discrimination = (
            _shown(estimates[f"gain_in_{part}"]) for part in ("calibration", "discrimination")
        )
        said.append(
            f"of the gain in Brier score {calibration} is calibration and {discrimination} discrimination"
        )
    if float(estimates["gain_in_log_loss"].value) > 0 > float(estimates["gain_in_accuracy"].value):
        said.append("log loss gains while accuracy falls: its probabilities are better, its classes worse")
    return said


def _shown(estimate: Estimate) -> str:
    low, high = (float(end) for end in estimate.interval())
    return f"{float(estimate.value):+.3g} (95% interval {low:+.3g} to {high:+.3g})"


def _in_accuracy(estimates: Mapping[str, Estimate]) -> str:
    """The verdict on accuracy, from what to what."""
    if float(estimates["disagreement"].value) == 0:
        return "accuracy: the student names the same class as its supervisor everywhere"
    weak, strong = (float(estimates[f"{name}_accuracy"].value) for name in ("weak", "strong"))
    verdict = worded_verdict(
        estimates["gain_in_accuracy"],
        "the student is better than its supervisor",
        "the student is worse than its supervisor",
        "whether the student is better than its supervisor",
    )
    differ = percent(float(estimates["disagreement"].value))
    return f"accuracy {weak:.3f} → {strong:.3f}: {verdict}; they differ on {differ} of the rows"


def _in_log_loss(estimates: Mapping[str, Estimate], facts: Mapping[str, Any]) -> str:
    """The verdict on log loss, with what its size depends on."""
    verdict = worded_verdict(
        estimates["gain_in_log_loss"],
        "the student is better than its supervisor",
        "the student is worse than its supervisor",
        "whether the student is better than its supervisor",
    )
    named = {"weak": "weak labels", "strong": "the student's probabilities"}
    mixed = [name for of, name in named.items() if of in facts["smoothed"]]
    if not mixed:
        return f"log loss: {verdict}"
    others = [f"{of['gain']:+.3g} with {smoothing}" for smoothing, of in facts["sensitivity"].items()]
    return (
        f"log loss, {' and '.join(mixed)} mixed with {facts['smoothing']:g} of the uniform distribution, "
        f"as some class has none: {verdict}; its size depends on that number: {', '.join(others)}"
    )


def _prior(estimates: Mapping[str, Estimate], facts: Mapping[str, Any]) -> list[str]:
    """Say which class supervisor and student name too often, and what correcting that does."""
    truth, weak, strong = (np.array(facts["class_frequencies"][of]) for of in ("truth", "weak", "strong"))
    place = int(np.abs(weak - truth).argmax())
    off, inherited = float(weak[place] - truth[place]), float(strong[place] - truth[place])
    if abs(off) < _FAR:
        return []
    name = quoted(facts["classes"][place])
    share = inherited / off
    kept = "inherits that" if share > 0.5 else "inherits part of that" if share > 0.1 else "does not"
    kept = "goes further" if share > 1.5 else kept
    shares = [percent(float(of[place])) for of in (weak, truth, strong)]
    said = f"its supervisor gives {name} {shares[0]}, the truth {shares[1]}; the student {kept} ({shares[2]})"
    if "corrected_accuracy" not in estimates:
        return [said]
    before, after = (float(estimates[f"{of}_accuracy"].value) for of in ("strong", "corrected"))
    gained = -float(estimates["gain_over_corrected"].value)
    return [
        f"{said}; with the prior of the true labels at hand its accuracy is {after:.3f} (without, "
        f"{before:.3f}), its Brier score {'lower' if gained > 0 else 'higher'} by {abs(gained):.3g}"
    ]
