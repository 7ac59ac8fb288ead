"""One sentence for each thing that goes wrong in a training, with what to do about it."""

from __future__ import annotations

import math

import numpy as np

from tflm_train.data import Dataset
from tflm_train.data.dataset import TEST, TRAIN
from tflm_train.data.oddities import oddities
from tflm_train.learning import RateChoice
from tflm_train.learning.rates import LOWEST_RATE
from tflm_train.model import Model
from tflm_train.runtime.assessment import assess
from tflm_train.runtime.interpreter import Interpreter
from tflm_train.runtime.metrics import ACCURACY
from tflm_train.runtime.model_data import part_for, real_range
from tflm_train.runtime.training_record import TrainingRecord

_CLIPPED = 0.05
"""A share of input values beyond the range that is worth a sentence."""
_DISTORTED = 0.1
"""A picture that becomes wider or higher by more than this is worth a sentence."""
_GUESSED = 1.5
"""Times the share of right answers that guessing gives."""
_GUESSING, _STILL, _FALLING = 0.97, 0.01, 0.75
_BETTER, _WORSE, _RISEN = 0.01, 0.02, 0.1
_LIMITED, _VANISHED = 0.3, 0.9
_TIED = 0.05
_FEWEST_TIED = 5
"""A share, and a number, of test samples that ties decide: from there on that is worth saying."""
_LIKE_THE_MEAN = 0.97
"""Of the error of one answer for all: no better than that."""


def on_data(interpreter: Interpreter, data: Dataset, source: Model) -> list[str]:
    """What is wrong with training data before the first step.

    Args:
      interpreter: The rewritten model.
      data: What is used of the data.
      source: What takes the samples: the same model, or the trunk before it.
    """
    classes = interpreter.classes if interpreter.is_one_of_several else 0
    return [*oddities(data, classes), *_squeezed(source, data), *_clipped(source, data)]


def on_run(
    interpreter: Interpreter, run: TrainingRecord, choice: RateChoice | None, data: Dataset
) -> list[str]:
    """What went wrong in a training.

    Args:
      interpreter: The rewritten model.
      run: How it went.
      choice: How its rate was chosen; None if the user gave it.
      data: What was used of the data.
    """
    vanished = _vanished(run, choice)
    if run.epochs[0].is_mute:
        return [*filter(None, [vanished]), mute(interpreter, run.learning_rate)]
    guessing = _guessing(interpreter, run, choice)
    if run.test_accuracy_before > _GUESSED / max(1, interpreter.classes):
        guessing = _too_large(run, choice) or guessing  # It had something to lose.
    found = vanished or guessing or _too_large(run, choice) or _limited(run, choice)
    found = found or _still(run, choice) or _like_the_mean(interpreter, run, data)
    found = found or _falling(run) or _tied(run, choice)
    return [] if found is None else [found]


def mute(interpreter: Interpreter, rate: float) -> str:
    """A new head has not reached one step of the output."""
    step = interpreter.require_trainable().loss.scale
    return (
        "the loss did not move in the first epoch: the new head's outputs are all below one step "
        f"({step:g}) of the output; use a larger learning rate, such as --lr {_larger(rate):g}"
    )


def _larger(rate: float) -> float:
    """A decade up, or where rates begin to move weights."""
    return max(10 * rate, LOWEST_RATE)


def _squeezed(source: Model, data: Dataset) -> list[str]:
    """Pictures in memory of another shape than the model's input are brought to it."""
    x, shape = data.x_train, source.graph.inputs[0].shape
    if not isinstance(x, np.ndarray) or x.dtype != np.uint8 or x.ndim < 3 or len(shape) != 4:
        return []
    (height, width), (high, wide) = x.shape[1:3], shape[1:3]
    if abs(width * high - height * wide) <= _DISTORTED * height * wide:
        return []
    return [
        f"the pictures in x_train are {height} by {width} pixels, the model takes {high} by {wide}:"
        " they are squeezed into that; crop them, if the model was first trained with undistorted"
        " ones"
    ]


def _clipped(source: Model, data: Dataset) -> list[str]:
    tensor = source.graph.inputs[0]
    x, norm = data.x_train, data.normalization
    if tensor.quantization is None or not isinstance(x, np.ndarray) or x.dtype == np.int8:
        return []
    if norm is not None:
        x = norm.real_values(x, "x_train")
    elif x.dtype == np.uint8:  # It follows the rule of the input's range.
        return []
    low, high = real_range(tensor)
    # A value in the last half step is rounded, not clipped.
    beyond = (x < low - tensor.scale / 2) | (x > high + tensor.scale / 2)
    share = float(np.mean(beyond))
    if share <= _CLIPPED:
        return []
    return [
        f"{100 * share:.0f} % of the values in x_train lie beyond what the model's input takes "
        f"({low:.4g} to {high:.4g}; the samples reach from {x.min():.4g} to {x.max():.4g}) and are "
        "clipped; prepare the samples as those that the model was first trained with (--mean, "
        "--std)"
    ]


def _losses(run: TrainingRecord) -> list[float]:
    """Mean losses of the epochs, or of the halves of a single one."""
    if len(run.epochs) > 1:
        return [epoch.loss for epoch in run.epochs]
    half = len(run.losses) // 2
    return [float(np.mean(part)) for part in (run.losses[:half], run.losses[half:]) if len(part)]


def _gain(before: float, after: float, metric: str) -> float:
    """By how much a score is better, as a share of what it was for an error."""
    return after - before if metric == ACCURACY else (before - after) / max(before, 1e-12)


def _too_large(run: TrainingRecord, choice: RateChoice | None) -> str | None:
    gain = _gain(run.test_accuracy_before, run.test_accuracy, run.metric)
    first, last = _losses(run)[0], _losses(run)[-1]
    if math.isfinite(last) and gain > -_WORSE and last <= (1 + _RISEN) * first:
        return None
    score = "accuracy" if run.metric == ACCURACY else "mean squared error"
    what = (
        f"the model got worse (loss {first:.4g} at first and {last:.4g} at last, test {score} "
        f"{run.test_accuracy_before:.3g} before and {run.test_accuracy:.3g} after)"
    )
    if choice is None:
        return (
            f"{what}: the learning rate {run.learning_rate:g} is too large; use a smaller one, "
            f"such as --lr {run.learning_rate / 10:g}, or leave --lr out and one is chosen"
        )
    return (
        f"{what} at the best learning rate of those tried: the training samples are too few, or "
        "unlike the test samples; add samples, or train less (`rewrite --preset head`)"
    )


def _guessing(
    interpreter: Interpreter, run: TrainingRecord, choice: RateChoice | None
) -> str | None:
    classes = interpreter.classes
    if not interpreter.is_one_of_several or classes < 2:
        return None
    last = run.epochs[-1].loss
    if last < _GUESSING * math.log(classes):
        return None
    what = (
        f"the loss ended at {last:.4g}, no better than guessing among {classes} classes "
        f"(ln {classes} = {math.log(classes):.4g})"
    )
    if choice is None:
        return f"{what}: leave --lr out, and a learning rate is chosen"
    return (
        f"{what} at the best learning rate of those tried; train more of the model (`rewrite` with "
        "another --preset or a larger --budget), longer (--epochs), or look whether the labels fit "
        "the samples"
    )


def _still(run: TrainingRecord, choice: RateChoice | None) -> str | None:
    first, last = _losses(run)[0], _losses(run)[-1]
    right = run.metric == ACCURACY and run.epochs[-1].train_accuracy > 1 - _BETTER
    if abs(last - first) > _STILL * abs(first) or right:
        return None
    if choice is None:
        return (
            f"the loss stood still at {last:.4g}: the learning rate {run.learning_rate:g} is too "
            f"small; use a larger one, such as --lr {_larger(run.learning_rate):g}, or leave --lr "
            "out and one is chosen"
        )
    return (
        f"the loss stood still at {last:.4g} at the best learning rate of those tried: what trains "
        "cannot learn this; train more of the model (`rewrite` with another --preset or --budget)"
    )


def _like_the_mean(interpreter: Interpreter, run: TrainingRecord, data: Dataset) -> str | None:
    """What is said of an autoencoder that gives all inputs the same answer."""
    if not interpreter.learns_its_input:
        return None
    (_, train), (_, test) = (part_for(interpreter, data, part) for part in (TRAIN, TEST))
    floor = float(np.mean((test - train.mean(axis=0)) ** 2))
    if run.test_accuracy < _LIKE_THE_MEAN * floor:
        return None
    return (
        f"the model tells samples apart no better than one that always answers the mean of the "
        f"training samples (test mean squared error {run.test_accuracy:.4g}, of the mean "
        f"{floor:.4g}): what lies before its last layer changed too much; train less of it "
        "(`rewrite --preset head`)"
    )


def _falling(run: TrainingRecord) -> str | None:
    losses = _losses(run)
    scores = [e.train_accuracy if e.val_accuracy is None else e.val_accuracy for e in run.epochs]
    if len(scores) < 2 or losses[-1] > _FALLING * losses[-2]:
        return None
    if _gain(scores[-2], scores[-1], run.metric) <= _BETTER:
        return None
    return (
        f"the loss still fell fast at the end ({losses[-2]:.4g} to {losses[-1]:.4g}) and the score "
        f"gained by it: train longer, such as --epochs {3 * len(run.epochs)}"
    )


def _limited(run: TrainingRecord, choice: RateChoice | None) -> str | None:
    counts, rate = run.weight_steps, run.learning_rate
    if choice is not None or counts.limited <= _LIMITED * counts.steps:
        return None
    return (
        f"{100 * counts.limited / counts.steps:.0f} % of the steps of weights were limited: the "
        f"learning rate {rate:g} is larger than the model can use; use a smaller one, such as --lr "
        f"{rate / 10:g}, or leave --lr out and one is chosen"
    )


def _vanished(run: TrainingRecord, choice: RateChoice | None) -> str | None:
    counts, rate = run.weight_steps, run.learning_rate
    if choice is not None or counts.vanished <= _VANISHED * counts.steps:
        return None
    if _gain(run.test_accuracy_before, run.test_accuracy, run.metric) <= -_WORSE:
        return None  # The few that were not did it.
    return (
        f"{100 * counts.vanished / counts.steps:.0f} % of the steps of weights were rounded to "
        f"nothing, because the learning rate {rate:g} is too small for int8 weights; use a larger "
        f"one, such as --lr {_larger(rate):g}, or leave --lr out and one is chosen"
    )


def _tied(run: TrainingRecord, choice: RateChoice | None) -> str | None:
    """Outputs that training has not yet moved far apart, in steps of int8."""
    if choice is not None:
        return None
    ties = assess(run.test).ties
    if ties is None or ties < _TIED:
        return None
    if ties * len(run.test.wanted) < _FEWEST_TIED:
        return None
    return (
        f"the two largest outputs were equal in {100 * ties:.0f} % of the test samples: training "
        f"has not moved them far apart; use a larger learning rate, such as --lr "
        f"{_larger(run.learning_rate):g}, leave --lr out and one is chosen, or train longer"
    )
