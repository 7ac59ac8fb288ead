"""What the answers to the test samples say of a model, beyond its score."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tflm_train.data import Dataset
from tflm_train.records import sometimes
from tflm_train.runtime.metrics import Answers, Metric, real_values

Array = npt.NDArray[Any]

_TOP = (2, 3, 5)
_EVEN_ODDS = 0.5


@dataclass(frozen=True)
class ClassScore:
    """The test samples of one class.

    Attributes:
      class_: Its name, else its number.
      samples: How many there are; of a model that classifies each position of a map, positions.
      right: How many of them the model gets right.
      found: How many samples the model gives that class.
      precision: The share of those found that are of the class; null where none is found.
      recall: The share of those there that are found; null where there is none.
      f1: The harmonic mean of precision and recall; 0 where the class is neither there nor found.
      auc: Of a label that a sample may have beside others, as `auc` of the whole.
    """

    class_: str
    samples: int
    right: int
    found: int
    precision: float | None
    recall: float | None
    f1: float
    auc: float | None = sometimes()


@dataclass(frozen=True, kw_only=True)
class Assessment:
    """How well a model does on test samples.

    Attributes:
      samples: Number of test samples.
      metric: What the accuracy is: `accuracy`, a share in 0 to 1, or `mean_squared_error`, in
        squared real units.
      test_accuracy: Over all test samples.
      standard_error: Of that, over the samples.
      classes: By class, or by label.
      confusion: For each class that is right the number of samples that the model gives each
        class, in the order of `classes`.
      top_k: By k, the share of samples whose class is among the k that the model holds most likely.
      auc: The probability that of two samples, one of either class, the model ranks the right one
        higher (the area under the ROC curve): of two classes, or of anomalies by how far an
        autoencoder is off.
      ties: The share of samples whose largest output several classes share, so that the order of
        the classes decides.
      r2: Of a regression, 1 minus the squared error relative to that of the mean of the targets;
        null where these are all alike.
      mean_absolute_error: Of a regression, in units of its targets.
      root_mean_squared_error: Likewise.
    """

    samples: int
    metric: str
    test_accuracy: float
    standard_error: float
    classes: tuple[ClassScore, ...] | None = sometimes()
    confusion: tuple[tuple[int, ...], ...] | None = sometimes()
    top_k: dict[str, float] | None = sometimes()
    auc: float | None = sometimes()
    ties: float | None = sometimes()
    r2: float | None = sometimes()
    mean_absolute_error: float | None = sometimes()
    root_mean_squared_error: float | None = sometimes()


def assess(
    answers: Answers, names: Sequence[str] = (), anomalous: Array | None = None
) -> Assessment:
    """All that is known of answers.

    Args:
      answers: To the test samples.
      names: Of the classes; those that do not fit are not used.
      anomalous: [n] which samples are none of what an autoencoder has learnt, where that is known.
    """
    metric = answers.metric
    scores = answers.scores
    found = _Found(answers, tuple(names))
    if not metric.is_accuracy:
        kind = found.of_values(scores, anomalous)
    elif metric.threshold is not None and metric.output.size > 1:
        kind = {"classes": found.labels()}
    else:
        kind = found.of_classes()
    return Assessment(
        samples=len(scores),
        metric=metric.name,
        test_accuracy=answers.score,
        standard_error=answers.standard_error,
        **kind,
    )


def anomalies(dataset: Dataset) -> Array | None:
    """Which test samples are anomalous, of data for an autoencoder that are labelled.

    What it learnt from is normal: the classes of the training samples; where these are of all
    classes, class 0.

    Returns:
      [n] booleans; None where the data are not labelled, or all are normal or none is.
    """
    train, test = dataset.y_train, dataset.y_test
    if train.ndim != 1 or test.ndim != 1 or not test.size or test.dtype.kind not in "iu":
        return None
    is_anomalous: Array = ~np.isin(test, train)
    if not is_anomalous.any():
        is_anomalous = test != 0
    return is_anomalous if 0 < np.count_nonzero(is_anomalous) < len(test) else None


def auc(values: Array, is_positive: Array) -> float | None:
    """The area under the ROC curve, by ranks (Mann and Whitney): ties count half.

    Args:
      values: [n] larger where positive is more likely.
      is_positive: [n] what is right.

    Returns:
      None where all samples are of one kind.
    """
    positives = int(np.count_nonzero(is_positive))
    negatives = len(values) - positives
    if not positives or not negatives:
        return None
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks = (last - (counts - 1) / 2)[places.reshape(-1)]  # From 1; the mean one of those alike.
    above = float(ranks[is_positive].sum()) - positives * (positives + 1) / 2
    return above / (positives * negatives)


@dataclass
class _Found:
    """The answers in real values, and what is counted in them."""

    answers: Answers
    names: tuple[str, ...]

    @property
    def metric(self) -> Metric:
        """What scores them."""
        return self.answers.metric

    @functools.cached_property
    def rows(self) -> Array:
        """[n, outputs]."""
        values = real_values(self.answers.given, self.metric.output)
        return values.reshape(len(values), -1)

    def of_values(self, scores: Array, anomalous: Array | None) -> dict[str, Any]:
        """What is said of a regression, or of an autoencoder."""
        wanted = np.asarray(self.answers.wanted, np.float64).reshape(len(scores), -1)
        values = self.rows.reshape(wanted.shape)
        spread = float(np.sum((wanted - wanted.mean(axis=0)) ** 2))
        r2 = None if not spread else 1.0 - float(np.sum((values - wanted) ** 2)) / spread
        return {
            "auc": None if anomalous is None else auc(scores, anomalous),
            "r2": r2,
            "mean_absolute_error": float(np.mean(np.abs(values - wanted))),
            "root_mean_squared_error": float(np.sqrt(np.mean(scores))),
        }

    def labels(self) -> tuple[ClassScore, ...]:
        """Of labels that are given or not, each for itself."""
        wanted = np.asarray(self.answers.wanted).reshape(len(self.rows), -1) > _EVEN_ODDS
        given = self.rows > self.metric.threshold
        count = self.rows.shape[1]
        names = self._class_names(count)
        return tuple(
            _class_score(
                names[i],
                int(wanted[:, i].sum()),
                int((wanted & given)[:, i].sum()),
                int(given[:, i].sum()),
                auc(self.rows[:, i], wanted[:, i]),
            )
            for i in range(count)
        )

    def of_classes(self) -> dict[str, Any]:
        """Where exactly one class is right."""
        right = np.concatenate([self.metric.labels(target) for target in self.answers.wanted])
        outputs = self.metric.output.size // self.metric.positions
        found = np.concatenate([self.metric.found(answer) for answer in self.answers.given])
        count = outputs
        if self.metric.is_class:
            count = max(len(self.names), int(max(right.max(), found.max())) + 1)
        elif outputs == 1:
            count = 2
        confusion = np.zeros((count, count), np.int64)
        np.add.at(confusion, (right, found), 1)
        names = self._class_names(count)
        made: dict[str, Any] = {
            "classes": tuple(
                _class_score(
                    names[i],
                    int(confusion[i].sum()),
                    int(confusion[i, i]),
                    int(confusion[:, i].sum()),
                )
                for i in range(count)
            ),
            "confusion": tuple(tuple(row) for row in confusion.tolist()),
        }
        if self.metric.positions > 1:  # There are too many of them for more.
            return made
        if count == 2 and not self.metric.is_class:
            made["auc"] = auc(self.rows[:, -1] - (self.rows[:, 0] if outputs > 1 else 0), right > 0)
        if outputs > 1:
            largest = self.rows == self.rows.max(axis=1, keepdims=True)
            made["ties"] = float(np.mean(largest.sum(axis=1) > 1))
            made["top_k"] = self._top_k(right) or None
        return made

    def _top_k(self, right: Array) -> dict[str, float]:
        """Of classes with equal outputs the first counts as more likely, as it does for argmax."""
        own = np.take_along_axis(self.rows, right[:, np.newaxis], axis=1)
        earlier = np.arange(self.rows.shape[1]) < right[:, np.newaxis]
        before = ((self.rows > own) | ((self.rows == own) & earlier)).sum(axis=1)
        return {str(k): float(np.mean(before < k)) for k in _TOP if k < self.rows.shape[1]}

    def _class_names(self, count: int) -> Sequence[str]:
        return self.names if len(self.names) == count else [str(i) for i in range(count)]


def _class_score(
    name: str, there: int, right: int, found: int, area: float | None = None
) -> ClassScore:
    return ClassScore(
        name,
        there,
        right,
        found,
        right / found if found else None,
        right / there if there else None,
        2 * right / (there + found) if there + found else 0.0,
        area,
    )
