"""`tflm_train evaluate`."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from tflm_train.cli import assessments, datasets, latents, shared, states, tables
from tflm_train.cli.command import Command, Parser
from tflm_train.data.dataset import TEST
from tflm_train.data.split import sampled
from tflm_train.learning import LatentCache
from tflm_train.learning.frozen_once import FrozenOnce
from tflm_train.records import sometimes
from tflm_train.runtime.assessment import Assessment, anomalies, assess
from tflm_train.runtime.interpreter import Interpreter
from tflm_train.runtime.model_data import part_for
from tflm_train.runtime.training import answers_of, has_mute_head

_MUTE = (
    "all outputs are alike whatever the input: the head has learnt nothing yet; train it, or give "
    "a trained state with --load-state"
)


@dataclass(frozen=True, kw_only=True)
class Evaluation(Assessment):
    """How well a model does on test samples.

    Attributes:
      model: The file, as it was named.
      warnings: What went wrong; sentences.
    """

    model: str
    warnings: tuple[str, ...] | None = sometimes()


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
        states.put_state(interpreter, arguments.load_state)
    dataset = sampled(datasets.read_data(arguments, interpreter.model), arguments.limit)
    x, wanted = part_for(interpreter, dataset, TEST)
    with shared.progress(arguments.json) as progress:
        on_latent = latents.frozen_layers(progress, arguments.json)
        once = FrozenOnce(interpreter, LatentCache.of_user(arguments.cache), on_latent)
        (inputs,) = once.inputs(x)
        task = progress.add_task("evaluating", total=len(wanted))
        answers = answers_of(
            once.tail, inputs, wanted, lambda n: progress.update(task, completed=n)
        )
    is_autoencoder = answers.wanted.shape == x.shape
    found = assess(
        answers,
        assessments.names_of_classes(interpreter, dataset),
        anomalies(dataset) if is_autoencoder else None,
    )
    return Evaluation(
        model=arguments.model,
        warnings=(_MUTE,) if has_mute_head(once.tail, inputs) else None,
        **vars(found),
    )


def _show(result: Evaluation) -> None:
    tables.console().print(
        f"test {assessments.score_with_error(result)} ({result.samples:,} samples)"
    )
    assessments.show_assessment(result)
    tables.show_warnings(result.warnings or ())


COMMAND = Command(
    "evaluate",
    "Measure the test accuracy of a model, original or rewritten.",
    "Of classes also precision, recall, the confusion matrix, and how much a tie decides; of\n"
    "a regression or an autoencoder the mean squared error. A rewritten model runs with its\n"
    "factory weights unless --load-state names a state.",
    _arguments,
    _run,
    _show,
)
