"""`tflm_train evaluate`."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tflm_train.cli import datasets, latents, shared, tables
from tflm_train.cli.command import Command, Parser
from tflm_train.data import Dataset
from tflm_train.data.dataset import TEST
from tflm_train.data.split import sampled
from tflm_train.files import read_input
from tflm_train.learning import LatentCache
from tflm_train.learning.frozen_once import FrozenOnce
from tflm_train.model.metadata import class_names
from tflm_train.records import sometimes
from tflm_train.runtime.interpreter import Interpreter
from tflm_train.runtime.metrics import map_positions, metric_for
from tflm_train.runtime.model_data import part_for
from tflm_train.runtime.training import has_mute_head, scores

_MUTE = (
    "all outputs are alike whatever the input: the head has learnt nothing yet; train it, or give "
    "a trained state with --load-state"
)


@dataclass(frozen=True)
class ClassScore:
    """The test samples of one class.

    Attributes:
      class_: Its name.
      samples: How many there are; of a model that classifies each position of a map, positions.
      right: How many of them the model gets right.
      f1: Of such a model, the harmonic mean of precision and recall over all positions; 0 where
        the class is neither there nor found.
    """

    class_: str
    samples: int
    right: int
    f1: float | None = sometimes()


@dataclass(frozen=True)
class Evaluation:
    """How well a model does on test samples.

    Attributes:
      model: The file, as it was named.
      samples: Number of test samples.
      metric: What the accuracy is: `accuracy`, a share in 0 to 1, or `mean_squared_error`, in
        squared real units.
      test_accuracy: Over all test samples.
      warnings: What went wrong; sentences.
      classes: By class, where classes have names.
    """

    model: str
    samples: int
    metric: str
    test_accuracy: float
    warnings: tuple[str, ...] | None = sometimes()
    classes: tuple[ClassScore, ...] | None = sometimes()


def _arguments(parser: Parser) -> None:
    parser.add_argument("model", help="a .tflite file")
    datasets.add_data(parser)
    parser.add_argument(
        "--limit", type=int, help="use only N test samples, every class in its share"
    )
    parser.add_argument("--load-state", help="a state that `train --save-state` wrote")
    latents.add_cache(parser)


def _run(arguments: argparse.Namespace) -> Evaluation:
    interpreter = Interpreter(arguments.model)
    if arguments.load_state:
        interpreter.load_state(read_input(Path(arguments.load_state)))
    dataset = sampled(datasets.read_data(arguments, interpreter.model), arguments.limit)
    x, wanted = part_for(interpreter, dataset, TEST)
    with shared.progress(arguments.json) as progress:
        on_latent = latents.frozen_layers(progress, arguments.json)
        once = FrozenOnce(interpreter, LatentCache.of_user(arguments.cache), on_latent)
        (inputs,) = once.inputs(x)
        task = progress.add_task("evaluating", total=len(wanted))
        confusion: list[list[int]] = []
        found = scores(
            once.tail, inputs, wanted, lambda n: progress.update(task, completed=n), confusion
        )
    names = _class_names(interpreter, dataset)
    classes = None
    if confusion:
        classes = _map_scores(np.array(confusion), names)
    elif names and wanted.ndim == 1:
        classes = tuple(
            ClassScore(
                class_=name,
                samples=int(np.count_nonzero(wanted == index)),
                right=int(found[wanted == index].sum()),
            )
            for index, name in enumerate(names)
        )
    return Evaluation(
        model=arguments.model,
        samples=len(wanted),
        metric=metric_for(interpreter, wanted).name,
        test_accuracy=float(np.mean(found)),
        warnings=(_MUTE,) if has_mute_head(once.tail, inputs) else None,
        classes=classes,
    )


def _map_scores(confusion: npt.NDArray[np.int64], names: tuple[str, ...]) -> tuple[ClassScore, ...]:
    """Of positions, counted by [right class, found class]."""
    scored = []
    for index in range(len(confusion)):
        there, found = int(confusion[index].sum()), int(confusion[:, index].sum())
        right = int(confusion[index, index])
        f1 = 2 * right / (there + found) if there + found else 0.0
        scored.append(ClassScore(names[index] if names else str(index), there, right, f1))
    return tuple(scored)


def _class_names(interpreter: Interpreter, dataset: Dataset) -> tuple[str, ...]:
    """The data set's names of the classes, else the model's."""
    output = interpreter.trained_output
    count = interpreter.model.graph.outputs[output].size // map_positions(interpreter)
    if len(dataset.class_names) == count:
        return dataset.class_names
    return class_names(interpreter.model, output, count)


def _show(result: Evaluation) -> None:
    tables.show_records("classes", result.classes or ())
    tables.console().print(
        f"test {tables.score(result.metric, result.test_accuracy)} ({result.samples} samples)"
    )
    tables.show_warnings(result.warnings or ())


COMMAND = Command(
    "evaluate",
    "Measure the test accuracy of a model, original or rewritten.",
    "Of a regression or an autoencoder the mean squared error; with class names also each\n"
    "class's share. A rewritten model runs with its factory weights unless --load-state names\n"
    "a state.",
    _arguments,
    _run,
    _show,
)
