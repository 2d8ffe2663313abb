"""Quantify, predict and steer weak-to-strong generalization.

After Charikar, Pabbaraju and Shiragur, "Quantifying the Gain in Weak-to-Strong Generalization"
(2024): what a strong model gains when it is trained on a weaker model's labels.
"""

from typing import TYPE_CHECKING

from weakstrong.lazy import lazy_names

if TYPE_CHECKING:
    from weakstrong.classifier import HeadClassifier as HeadClassifier
    from weakstrong.errors import InputError as InputError
    from weakstrong.estimate import Estimate as Estimate
    from weakstrong.estimator import HeadProjection as HeadProjection
    from weakstrong.estimator import weak_to_strong as weak_to_strong
    from weakstrong.gain import Gain as Gain
    from weakstrong.gain import measure as measure
    from weakstrong.heads import ConvexHull as ConvexHull
    from weakstrong.heads import Head as Head
    from weakstrong.heads import HeadClass as HeadClass
    from weakstrong.heads import L2Ball as L2Ball
    from weakstrong.heads import LinearHeads as LinearHeads
    from weakstrong.mixtures import Mixtures as Mixtures
    from weakstrong.moments import Moments as Moments
    from weakstrong.predictions import Predictions as Predictions
    from weakstrong.projection import Projection as Projection
    from weakstrong.projection import project as project
    from weakstrong.projection import solve as solve
    from weakstrong.record import Record as Record
    from weakstrong.record import Result as Result
    from weakstrong.studies.run import study as study

__version__ = "0.1.0"

_HOME = {
    "ConvexHull": "heads",
    "Estimate": "estimate",
    "Gain": "gain",
    "Head": "heads",
    "HeadClass": "heads",
    "HeadClassifier": "classifier",
    "HeadProjection": "estimator",
    "InputError": "errors",
    "L2Ball": "heads",
    "LinearHeads": "heads",
    "Mixtures": "mixtures",
    "Moments": "moments",
    "Predictions": "predictions",
    "Projection": "projection",
    "Record": "record",
    "Result": "record",
    "measure": "gain",
    "project": "projection",
    "solve": "projection",
    "study": "studies.run",
    "weak_to_strong": "estimator",
}
__all__ = sorted(_HOME)  # noqa: PLE0605
__getattr__, __dir__ = lazy_names(__name__, _HOME)
