"""How good an answer is: accuracy for classes and labels, mean squared error for values."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tflm_train.model import Tensor
from tflm_train.model.ending import ending_of
from tflm_train.ops.builtin import builtin_of
from tflm_train.ops.constants import LossKind
from tflm_train.runtime.interpreter import Interpreter

Array = npt.NDArray[Any]

ACCURACY = "accuracy"
MEAN_SQUARED_ERROR = "mean_squared_error"
_EVEN_ODDS = 0.5
_LITTLE = 0.05


@dataclass(frozen=True)
class Metric:
    """Scores single answers; their mean is the score of a data set.

    Attributes:
      name: `accuracy` (a share, more is better) or `mean_squared_error` (in real units).
      output: The output that is scored.
      threshold: Where yes begins for yes-or-no labels; None for one class of several.
      gives_probabilities: Whether the output holds these, not what a SOFTMAX or LOGISTIC takes.
      is_class: Whether the output is the number of the class itself.
      positions: How many positions of a map are classified one by one; accuracy counts them.
    """

    name: str
    output: Tensor
    threshold: float | None = None
    gives_probabilities: bool = False
    is_class: bool = False
    positions: int = 1

    @property
    def is_accuracy(self) -> bool:
        """Whether more is better."""
        return self.name == ACCURACY

    def score(self, answer: Array, target: Array) -> float:
        """The score of one sample.

        Args:
          answer: The model's output as it comes.
          target: A class index, or a value per output.
        """
        values = real_values(answer, self.output).reshape(-1)
        wanted = np.asarray(target)
        if self.positions > 1:
            return float(np.mean(self.found(answer) == self.labels(target)))
        if self.name == MEAN_SQUARED_ERROR:
            return float(np.mean((values - wanted.reshape(-1)) ** 2))
        if self.threshold is not None:
            yes = values > self.threshold
            return float(np.mean(yes == (wanted.reshape(-1) > _EVEN_ODDS)))
        label = int(wanted) if wanted.ndim == 0 else int(np.argmax(wanted))
        return float((values[0] if self.is_class else np.argmax(values)) == label)

    def found(self, answer: Array) -> npt.NDArray[np.intp]:
        """The class that an answer gives each position."""
        rows = real_values(answer, self.output).reshape(self.positions, -1)
        classes: npt.NDArray[np.intp] = np.argmax(rows, axis=1)
        if self.is_class:
            classes = rows[:, 0].astype(np.intp)
        elif self.threshold is not None:
            classes = (rows[:, 0] > self.threshold).astype(np.intp)
        return classes

    def labels(self, target: Array) -> npt.NDArray[np.intp]:
        """The class of each position, of indices or of a value per output."""
        wanted = np.asarray(target).reshape(self.positions, -1)
        classes: npt.NDArray[np.intp] = np.argmax(wanted, axis=1)
        if wanted.shape[1] == 1:
            classes = wanted[:, 0].astype(np.intp)
        return classes

    def error(self, answer: Array, target: Array) -> float:
        """How wrong one answer is, lower is better; it tells apart what one score does not.

        For classes: 1 if it is wrong, plus the share of other classes that it puts before the right
        one, plus a little for probabilities that are off. The order counts most, because a model
        that has forgotten all and says so is surer to be half right than one that still learns. For
        labels the share that is wrong, and the squared error of the probabilities; for values
        their mean squared error.

        Args:
          answer: As for `score`.
          target: Likewise.
        """
        score = self.score(answer, target)
        if self.name == MEAN_SQUARED_ERROR:
            return score
        if self.is_class:
            return 1.0 - score
        if self.positions > 1:
            return 1.0 - score + self._map_error(answer, target)
        values = real_values(answer, self.output).reshape(-1)
        wanted = np.asarray(target, np.float64).reshape(-1)
        if np.ndim(target) == 0 and values.size > 1:
            wanted = np.eye(values.size)[int(target)]
        if self.threshold is not None:
            given = values if self.gives_probabilities else 0.5 + 0.5 * np.tanh(0.5 * values)
            return 1.0 - score + float(np.mean((given - wanted) ** 2))
        given = values if self.gives_probabilities else _softmax(values)
        right = values[int(np.argmax(wanted))]
        before = np.sum(values > right) + 0.5 * (np.sum(values == right) - 1)
        order = float(before) / max(1, values.size - 1)
        return 1.0 - score + order + _LITTLE * float(np.sum((given - wanted) ** 2))

    def _map_error(self, answer: Array, target: Array) -> float:
        """What `error` adds to the share of wrong positions: the mean over them."""
        rows = real_values(answer, self.output).reshape(self.positions, -1)
        wanted = np.eye(rows.shape[1])[self.labels(target)]
        right = np.sum(rows * wanted, axis=1, keepdims=True)
        before = np.sum(rows > right, axis=1) + 0.5 * (np.sum(rows == right, axis=1) - 1)
        given = rows
        if not self.gives_probabilities:
            given = np.exp(rows - rows.max(axis=1, keepdims=True))
            given /= given.sum(axis=1, keepdims=True)
        squares = np.sum((given - wanted) ** 2, axis=1)
        return float(np.mean(before / (rows.shape[1] - 1) + _LITTLE * squares))


@dataclass(frozen=True, eq=False)
class Answers:
    """What a model answered for samples.

    Attributes:
      metric: What they are scored by.
      given: [n, ...] the answers, as the output holds them.
      wanted: [n] class indices, or [n, ...] a value per output.
    """

    metric: Metric
    given: Array
    wanted: Array

    @functools.cached_property
    def scores(self) -> npt.NDArray[np.float64]:
        """[n] the score of each."""
        pairs = zip(self.given, self.wanted, strict=True)
        return np.array([self.metric.score(*pair) for pair in pairs], np.float64)

    @property
    def score(self) -> float:
        """Of all: their accuracy, or their mean squared error."""
        return float(np.mean(self.scores))

    @property
    def standard_error(self) -> float:
        """Of `score`, over the samples."""
        return float(np.std(self.scores)) / math.sqrt(len(self.scores))

    @property
    def errors(self) -> npt.NDArray[np.float64]:
        """[n] how wrong each is (`Metric.error`)."""
        pairs = zip(self.given, self.wanted, strict=True)
        return np.array([self.metric.error(*pair) for pair in pairs], np.float64)


def map_positions(interpreter: Interpreter) -> int:
    """How many positions a model classifies one by one; 1 where it answers for the whole sample."""
    if interpreter.loss is not None:
        return interpreter.loss.positions
    graph = interpreter.model.graph
    output = graph.outputs[interpreter.trained_output]
    rows = [builtin_of(op) for op in ending_of(graph, output)]
    ends = any(row is not None and row.loss is LossKind.SOFTMAX_CROSS_ENTROPY for row in rows)
    return output.size // output.shape[-1] if ends and output.shape and output.shape[-1] > 1 else 1


def chooses_one(interpreter: Interpreter) -> bool:
    """Whether exactly one class is right: by the loss, else by how the model ends."""
    if interpreter.loss is not None:
        return interpreter.is_one_of_several
    output = interpreter.model.graph.outputs[interpreter.trained_output]
    rows = [builtin_of(op) for op in ending_of(interpreter.model.graph, output)]
    return any(row is not None and row.loss is LossKind.SOFTMAX_CROSS_ENTROPY for row in rows)


def metric_for(interpreter: Interpreter, y: Array) -> Metric:
    """The metric that fits a model and the form of its targets.

    A rewritten model is scored as its loss asks. Another one by its targets: class indices by
    accuracy; a value per output as labels where the model ends in LOGISTIC, as a distribution
    where it ends in SOFTMAX, as values otherwise.

    Args:
      interpreter: The model.
      y: [n] class indices, or [n, ...] a value per output.
    """
    output = interpreter.model.graph.outputs[interpreter.trained_output]
    rows = [builtin_of(op) for op in ending_of(interpreter.model.graph, output)]
    ending = [row.loss for row in rows if row is not None and not row.is_logarithm]
    positions = map_positions(interpreter)
    if positions > 1 and not interpreter.is_regression:
        probabilities = LossKind.SOFTMAX_CROSS_ENTROPY in ending
        return Metric(ACCURACY, output, None, probabilities, positions=positions)
    if any(row is not None and row.chooses_largest for row in rows):
        return Metric(ACCURACY, output, is_class=True)
    indices = y.ndim == 1 and y.dtype.kind in "iu" and output.size > 1
    if interpreter.is_regression:
        return Metric(MEAN_SQUARED_ERROR, output)
    is_distribution = LossKind.SOFTMAX_CROSS_ENTROPY in ending or interpreter.is_one_of_several
    if indices or (y.ndim > 1 and is_distribution):
        return Metric(
            ACCURACY, output, gives_probabilities=LossKind.SOFTMAX_CROSS_ENTROPY in ending
        )
    are_probabilities = LossKind.SIGMOID_CROSS_ENTROPY in ending
    if are_probabilities or interpreter.loss is not None:
        threshold = _EVEN_ODDS if are_probabilities else 0.0
        return Metric(ACCURACY, output, threshold, are_probabilities)
    return Metric(MEAN_SQUARED_ERROR, output)


def real_values(values: Array, tensor: Tensor) -> npt.NDArray[np.float64]:
    """A tensor's values in real units."""
    if tensor.quantization is None:
        return values.astype(np.float64)
    return (values.astype(np.float64) - tensor.zero_point) * tensor.scale


def _softmax(values: Array) -> Array:
    powers: Array = np.exp(values - values.max())
    powers /= powers.sum()
    return powers
