"""`tflm_train train`."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tflm_train.cli import advice, assessments, datasets, latents, shared, tables
from tflm_train.cli.also_evaluated import AlsoEvaluated, OtherData, add_also_evaluate, show_also
from tflm_train.cli.command import Command, Parser
from tflm_train.cli.kept_run import KeptRun
from tflm_train.data import Dataset
from tflm_train.data.split import VALIDATION_SHARE, sampled, with_validation
from tflm_train.files import read_input
from tflm_train.learning import LatentCache, RateChoice, train
from tflm_train.learning.split_pair import data_for_tail
from tflm_train.model import load
from tflm_train.records import sometimes
from tflm_train.runtime.assessment import Assessment, anomalies, assess
from tflm_train.runtime.interpreter import Interpreter
from tflm_train.runtime.metrics import metric_for
from tflm_train.runtime.schedule import DEFAULT_SCHEDULE, PLATEAU, SCHEDULES
from tflm_train.runtime.training import KEEP
from tflm_train.runtime.training_record import EpochRecord, StepReport, TrainingRecord, WeightSteps

AUTO = "auto"
"""The value of `--lr` for a rate that is chosen, of `--epochs` for a run that ends by itself."""


@dataclass(frozen=True)
class TrainSummary:
    """A run of training.

    Attributes:
      metric: What the accuracies are: `accuracy`, shares in 0 to 1, or `mean_squared_error`, in
        squared real units.
      learning_rate: Of the first step.
      rate_choice: What `--lr auto` tried.
      test_accuracy_before: On the test samples before the first step.
      epochs: The epochs in order.
      test_accuracy: On the test samples after the last step.
      steps_per_second: On this host.
      weight_steps: What became of the steps of single weights.
      warnings: What went wrong, and what to do about it; sentences.
      state: The file that the trained state was written to.
      kept_epoch: The epoch, from 1, that the state is of, with `--keep best`.
      test: All that the answers to the test samples say after the training.
      also: The data of `--also-evaluate`.
    """

    metric: str
    learning_rate: float
    test_accuracy_before: float
    epochs: tuple[EpochRecord, ...]
    test_accuracy: float
    steps_per_second: float
    weight_steps: WeightSteps
    test: Assessment
    rate_choice: RateChoice | None = sometimes()
    warnings: tuple[str, ...] | None = sometimes()
    state: str | None = sometimes()
    kept_epoch: int | None = sometimes()
    also: tuple[AlsoEvaluated, ...] | None = sometimes()


def _arguments(parser: Parser) -> None:
    parser.add_argument("model", help="a rewritten .tflite file")
    datasets.add_data(parser)
    parser.add_argument(
        "--epochs",
        type=_epochs,
        help="how often to go through the training samples, or auto: until that brings no more on "
        "the samples for validation, with a rate that falls to a third when it does not (default: "
        "3, more often where these are fewer than 1000: about 3000 steps, 30 epochs at most)",
    )
    parser.add_argument(
        "--patience",
        type=int,
        metavar="N",
        help="stop when N epochs in succession were no better on the samples for validation",
    )
    parser.add_argument(
        "--lr",
        type=_rate,
        default=AUTO,
        help="learning rate of the first step, or auto: chosen by short runs on a split of the "
        "training data (default: auto)",
    )
    parser.add_argument(
        "--schedule",
        choices=SCHEDULES,
        default=DEFAULT_SCHEDULE,
        help="linear or cosine decay to 0, constant with a tenth of it for the last fifth, or "
        "plateau: what --epochs auto does, with --epochs as the most",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the samples' order (default: 0)")
    parser.add_argument(
        "--limit", type=int, help="use only N samples of each part, every class in its share"
    )
    parser.add_argument(
        "--val-share",
        type=float,
        default=VALIDATION_SHARE,
        metavar="X",
        help="where no part of the data is for validation, the share of the training samples that "
        f"becomes it; 0: none (default: {VALIDATION_SHARE:g})",
    )
    parser.add_argument("--load-state", help="start from this state, not from the factory's")
    parser.add_argument(
        "--save-state",
        help="write the trained state to this file; after each epoch FILE.checkpoint has what "
        "--resume needs",
    )
    parser.add_argument(
        "--keep",
        choices=KEEP,
        help="save the state after the last epoch, or of the epoch that did best on the samples "
        "for validation (default: best, where there are such)",
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on where the same command was broken off, at the last whole epoch, to the same "
        "bits",
    )
    parser.add_argument(
        "--trunk",
        help="the first of the two models of `rewrite --split`, when MODEL is the second: the data "
        "go through it",
    )
    add_also_evaluate(parser)
    latents.add_cache(parser)
    shared.add_force(parser)


def _epochs(text: str) -> int | str:
    if text == AUTO:
        return text
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number nor {AUTO}") from None


def _rate(text: str) -> float | None:
    """A number; None for `auto`."""
    if text == AUTO:
        return None
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number nor {AUTO}") from None


def _run(arguments: argparse.Namespace) -> TrainSummary:
    kept = KeptRun.of(arguments.save_state, arguments.keep, arguments.resume, arguments.force)
    interpreter = Interpreter(arguments.model)
    if arguments.load_state:
        interpreter.load_state(read_input(Path(arguments.load_state)))
    source = load(arguments.trunk) if arguments.trunk else interpreter.model
    dataset = sampled(datasets.read_data(arguments, source), arguments.limit)
    dataset = with_validation(dataset, arguments.val_share)
    warnings = kept.warnings + advice.on_data(interpreter, dataset, source)
    choices: list[RateChoice] = []
    others: list[OtherData] = []

    def begin() -> None:
        _warn(warnings, arguments.json)

    try:
        record = _train(interpreter, dataset, arguments, kept, choices.append, begin, others)
    except KeyboardInterrupt:
        if arguments.lr is not None or choices or arguments.resume:  # Else it only tried rates.
            said = kept.save_interrupted(interpreter)
            _warn([] if said is None else [said], arguments.json)
        raise
    choice = choices[0] if choices else None
    after = advice.on_run(interpreter, record, choice, dataset)
    _warn(after, arguments.json)
    warnings += after
    kept.save(interpreter)
    names = assessments.names_of_classes(interpreter, dataset)
    return TrainSummary(
        metric=record.metric,
        learning_rate=record.learning_rate,
        test_accuracy_before=record.test_accuracy_before,
        epochs=record.epochs,
        test_accuracy=record.test_accuracy,
        steps_per_second=record.steps_per_second,
        weight_steps=record.weight_steps,
        rate_choice=choice,
        warnings=tuple(warnings) or None,
        state=arguments.save_state,
        kept_epoch=None if record.best_epoch is None else record.best_epoch + 1,
        test=assess(
            record.test, names, anomalies(dataset) if interpreter.learns_its_input else None
        ),
        also=tuple(other.measured() for other in others) or None,
    )


def _warn(sentences: Sequence[str], quiet: bool) -> None:
    for sentence in () if quiet else sentences:
        tables.error_console().print(f"warning: {sentence}", style="yellow", soft_wrap=True)


def _train(
    interpreter: Interpreter,
    dataset: Dataset,
    arguments: argparse.Namespace,
    kept: KeptRun,
    keep_choice: Callable[[RateChoice], None],
    on_begin: Callable[[], None],
    others: list[OtherData],
) -> TrainingRecord:
    """Trains with a progress bar and, where tables are wanted, a line after each epoch.

    Before that `others` is filled with what --also-evaluate names.
    """
    metric = metric_for(interpreter, dataset.y_train).name
    cache = LatentCache.of_user(arguments.cache)
    with shared.progress(arguments.json) as progress:
        on_latent = latents.frozen_layers(progress, arguments.json)
        trunk = load(arguments.trunk) if arguments.trunk else None
        others += OtherData.of(arguments, interpreter, trunk, cache, on_latent)
        if trunk is not None:
            dataset = data_for_tail(
                trunk, interpreter.model, dataset, cache=cache, on_latent=on_latent
            )
        trials = progress.add_task("learning rate", visible=arguments.lr is None)
        task = progress.add_task("epoch 1", total=None)

        def on_trial(rate: float, step: int, steps: int) -> None:
            progress.update(
                trials, total=steps, completed=step, description=f"learning rate: trying {rate:g}"
            )

        def on_rate(choice: RateChoice) -> None:
            keep_choice(choice)
            progress.update(trials, visible=False)
            if not arguments.json:
                for line in _choice_lines(choice, metric):
                    progress.console.print(line, soft_wrap=True)

        def on_step(report: StepReport) -> None:
            progress.update(
                task,
                total=report.steps,
                completed=report.step,
                description=f"epoch {report.epoch + 1}  loss {report.loss:.3f}  "
                f"{tables.score(metric, report.accuracy)}",
            )

        def on_epoch(epoch: int, record: EpochRecord) -> None:
            kept.after_epoch(interpreter, record, metric)
            if not arguments.json:
                progress.console.print(_epoch_line(epoch, record, metric))

        return train(
            interpreter,
            dataset,
            cache=cache,
            on_latent=on_latent,
            epochs=None if arguments.epochs == AUTO else arguments.epochs,
            learning_rate=arguments.lr,
            on_trial=on_trial,
            on_rate=on_rate,
            schedule=PLATEAU if arguments.epochs == AUTO else arguments.schedule,
            patience=arguments.patience,
            keep=arguments.keep,
            on_begin=on_begin,
            seed=arguments.seed,
            on_step=on_step,
            on_epoch=on_epoch,
            on_checkpoint=kept.write_checkpoint if arguments.save_state else None,
            resume=kept.resumed,
        )


def _choice_lines(choice: RateChoice, metric: str) -> list[str]:
    """What was tried: a line, and one for each rate."""
    lines = [f"learning rate {choice.rate:g}, chosen in {choice.steps} steps of short runs:"]
    for tried in choice.tried:
        kind = "held-out" if tried.is_held_out else "training"
        line = f"  {tried.rate:<8g} {tried.steps:>5} steps, loss {tried.loss:.4f}, "
        line += f"{kind} {tables.score(metric, tried.score)}"
        lines.append(line)
    return lines


def _epoch_line(epoch: int, record: EpochRecord, metric: str) -> str:
    """One line about a finished epoch."""
    line = f"epoch {epoch + 1}: loss {record.loss:.4f}, "
    line += f"training {tables.score(metric, record.train_accuracy)}"
    if record.val_accuracy is not None:
        line += f", validation {tables.score(metric, record.val_accuracy)}"
    return line


def _show(result: TrainSummary) -> None:
    before = tables.score(result.metric, result.test_accuracy_before)
    after = assessments.score_with_error(result.test)
    speed = f"{result.steps_per_second:.1f} steps per second"
    assessments.show_assessment(result.test)
    tables.console().print(f"before: test {before}; after: test {after} ({speed})")
    show_also(result.metric, result.also or ())
    if result.state is not None:
        of = "" if result.kept_epoch is None else f" (of epoch {result.kept_epoch}, the best)"
        tables.console().print(f"state written: {result.state}{of}")


COMMAND = Command(
    "train",
    "Train a rewritten model on the host, every step in the real TFLM interpreter.",
    "Batch size 1, exactly the arithmetic of the device: the saved state can be loaded there.\n"
    "What the frozen layers give for a sample is computed once and kept (--cache).",
    _arguments,
    _run,
    _show,
)
