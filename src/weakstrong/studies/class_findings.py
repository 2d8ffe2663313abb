"""What is found where labels are classes: accuracy, log loss, and how often each class is named."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from weakstrong.class_labels import SMOOTHING
from weakstrong.class_scores import class_scores
from weakstrong.errors import percent, quoted
from weakstrong.estimate import Estimate
from weakstrong.predictions import Predictions
from weakstrong.studies.verdict_words import worded_verdict

_SCORED = ("weak", "strong", "direct", "ceiling")
_FAR = 0.05  # between class frequencies: less is not worth a line


def class_facts(part: Predictions, smoothing: float = SMOOTHING) -> dict[str, Any]:
    """Return scores of supervisor, student, direct training and ceiling, and the frequencies of classes.

    Frequencies are means of probabilities over the judged rows. ``smoothed`` names what is mixed with the
    uniform distribution where log loss is told, since it gives some class no probability.
    """
    judging = part.judging
    y, weights = judging.values("true"), judging.weights
    said = {name: judging.values(name) for name in ("weak", "strong", *judging.baselines)}
    said = {name: values for name, values in said.items() if not np.isnan(values).any()}
    of = {"truth": y, "weak": said["weak"], "strong": said["strong"]}
    means = {name: np.average(values, axis=0, weights=weights) for name, values in of.items()}
    return {
        "classes": list(part.classes),
        "class_frequencies": {name: mean.tolist() for name, mean in means.items()},
        "scores": {name: class_scores(y, said[name], weights) for name in _SCORED if name in said},
        "smoothing": smoothing,
        "smoothed": [name for name, values in said.items() if (values == 0).any()],
    }


def on_classes(estimates: Mapping[str, Estimate], facts: Mapping[str, Any]) -> list[str]:
    """Say whether the student is better in accuracy and log loss, better calibrated, and inherits a prior."""
    return [
        _in_accuracy(estimates),
        _in_log_loss(estimates, facts),
        _calibration(facts["scores"]),
        *_prior(estimates, facts),
    ]


def _calibration(scores: Mapping[str, Mapping[str, float]]) -> str:
    """How supervisor and student rank rows and how far their probabilities are from frequencies."""
    names = {"AUROC": "auroc", "discrimination": "discrimination", "miscalibration": "miscalibration"}
    parts = [f"{name} {scores['weak'][of]:.3g} → {scores['strong'][of]:.3g}" for name, of in names.items()]
    return f"ranking and calibration: {', '.join(parts)}"


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
    if "weak" not in facts["smoothed"]:
        return f"log loss: {verdict}"
    return (
        f"log loss, with weak labels mixed with {facts['smoothing']:g} of the uniform distribution, on which "
        f"its size depends: {verdict}"
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
    shares = [percent(float(of[place])) for of in (weak, truth, strong)]
    said = f"its supervisor gives {name} {shares[0]}, the truth {shares[1]}; the student {kept} ({shares[2]})"
    if "corrected_accuracy" not in estimates:
        return [said]
    before, after = (float(estimates[f"{of}_accuracy"].value) for of in ("strong", "corrected"))
    gained = -float(estimates["gain_over_corrected"].value)
    return [
        f"{said}; with the prior of the true labels at hand its accuracy is {after:.3f} (as it is "
        f"{before:.3f}), its Brier score {'lower' if gained > 0 else 'higher'} by {abs(gained):.3g}"
    ]
