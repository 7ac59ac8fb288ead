"""`train --also-evaluate`: how well the model does elsewhere, before and after the training."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from tflm_train.cli import datasets, tables
from tflm_train.cli.command import Parser
from tflm_train.data.dataset import TEST
from tflm_train.data.split import sampled
from tflm_train.errors import DataError
from tflm_train.learning import LatentCache
from tflm_train.learning.frozen_once import FrozenOnce, OnLatent
from tflm_train.learning.split_pair import data_for_tail
from tflm_train.model import Model
from tflm_train.runtime.interpreter import Interpreter
from tflm_train.runtime.model_data import part_for
from tflm_train.runtime.training import Inputs, answers_of


@dataclass(frozen=True)
class AlsoEvaluated:
    """Test samples of other data, such as the old classes, before and after the training.

    Attributes:
      data: The file or folder.
      samples: How many test samples it has.
      before: The score before the first step, of the run's `metric`.
      after: After the training.
    """

    data: str
    samples: int
    before: float
    after: float


def add_also_evaluate(parser: Parser) -> None:
    """Adds --also-evaluate, for `OtherData.of`."""
    parser.add_argument(
        "--also-evaluate",
        metavar="DATA",
        action="append",
        default=[],
        help="measure the test samples of these data too, before and after: what the model could "
        "do before, such as the old classes or persons, and may forget; more than once for several",
    )


@dataclass
class OtherData:
    """Data that are measured and never trained on.

    Attributes:
      path: The file or folder.
      once: What runs the model.
      inputs: Of its test samples.
      wanted: Their targets.
      before: Their score before the training.
    """

    path: str
    once: FrozenOnce
    inputs: Inputs
    wanted: npt.NDArray[Any]
    before: float = 0.0

    @staticmethod
    def of(
        arguments: argparse.Namespace,
        interpreter: Interpreter,
        trunk: Model | None,
        cache: LatentCache | None,
        on_latent: OnLatent,
    ) -> list[OtherData]:
        """Reads what --also-evaluate names, and measures it in the state that the model has.

        Args:
          arguments: Of the command line; the data are read as those of --data are.
          interpreter: The model.
          trunk: What the data go through first, of a split model.
          cache: Where latents are kept.
          on_latent: Told of the progress while latents are computed.

        Raises:
          DataError: Data cannot be read or do not fit the model.
        """
        found = []
        for path in arguments.also_evaluate:
            own = argparse.Namespace(**{**vars(arguments), "data": path})
            source = interpreter.model if trunk is None else trunk
            dataset = sampled(datasets.read_data(own, source), arguments.limit)
            if trunk is not None:
                dataset = data_for_tail(
                    trunk, interpreter.model, dataset, cache=cache, on_latent=on_latent
                )
            try:
                x, wanted = part_for(interpreter, dataset, TEST)
            except DataError as error:
                raise DataError(f"--also-evaluate {path}: {error}") from error
            once = FrozenOnce(interpreter, cache, on_latent)
            (inputs,) = once.inputs(x)
            other = OtherData(path, once, inputs, wanted)
            other.before = other.score()
            found.append(other)
        return found

    def score(self) -> float:
        """In the state that the model has now."""
        self.once.take_over()
        return answers_of(self.once.tail, self.inputs, self.wanted).score

    def measured(self) -> AlsoEvaluated:
        """Before, and as the model is now."""
        return AlsoEvaluated(self.path, len(self.wanted), self.before, self.score())


def show_also(metric: str, found: Sequence[AlsoEvaluated]) -> None:
    """Prints a line for each."""
    for one in found:
        before, after = (tables.score(metric, value) for value in (one.before, one.after))
        tables.console().print(
            f"{one.data}: before: test {before}; after: test {after} ({one.samples:,} samples)",
            soft_wrap=True,
        )
