"""`tflm_train train`."""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from tflm_train.cli import advice, assessments, datasets, latents, shared, states, tables
from tflm_train.cli.also_evaluated import AlsoEvaluated, add_also_evaluate, show_also
from tflm_train.cli.command import Command, Parser
from tflm_train.cli.kept_run import KeptRun
from tflm_train.cli.run_log import on_log
from tflm_train.cli.run_pictures import RunPictures, add_run_pictures
from tflm_train.cli.training_runs import AUTO, TrainingRuns
from tflm_train.data.split import VALIDATION_SHARE, sampled, with_validation
from tflm_train.errors import DataError
from tflm_train.learning import RateChoice
from tflm_train.model import load
from tflm_train.records import sometimes
from tflm_train.runtime.assessment import Assessment, anomalies, assess
from tflm_train.runtime.interpreter import Interpreter
from tflm_train.runtime.metrics import ACCURACY
from tflm_train.runtime.schedule import DEFAULT_SCHEDULE, SCHEDULES
from tflm_train.runtime.training import KEEP
from tflm_train.runtime.training_record import EpochRecord, WeightSteps

_MOST_SEEDS = 1000


@dataclass(frozen=True)
class SeedRun:
    """The run of one seed.

    Attributes:
      seed: Of the samples' order.
      epochs: How many it took.
      test_accuracy: On the test samples at the end.
      val_accuracy: On the samples for validation, of the epoch that is kept.
    """

    seed: int
    epochs: int
    test_accuracy: float
    val_accuracy: float | None = sometimes()


@dataclass(frozen=True)
class SeedRuns:
    """Runs that differ in the order of the samples.

    Attributes:
      runs: In the order of the seeds.
      mean: Of their scores on the test samples.
      deviation: The standard deviation of these (of a sample, divided by n - 1).
      kept: The seed whose state is kept: the best on the samples for validation, or the one of
        the lowest loss where there are none.
    """

    runs: tuple[SeedRun, ...]
    mean: float
    deviation: float
    kept: int


@dataclass(frozen=True)
class TrainSummary:
    """A run of training.

    Attributes:
      metric: What the accuracies are: `accuracy`, shares in 0 to 1, or `mean_squared_error`, in
        squared real units.
      learning_rate: The largest of the run.
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
      seeds: The runs of `--seeds`; all else is of the one that is kept.
      log: The folders of `--log`, one for each run.
      plot: The picture of `--plot`.
      report: The page of `--report`.
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
    seeds: SeedRuns | None = sometimes()
    log: tuple[str, ...] | None = sometimes()
    plot: str | None = sometimes()
    report: str | None = sometimes()


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
        help="the largest learning rate of the run, or auto: chosen by short runs on a split of "
        "the training data (default: auto)",
    )
    parser.add_argument(
        "--schedule",
        choices=SCHEDULES,
        default=DEFAULT_SCHEDULE,
        help="linear or cosine decay to 0, warmup: linear, after a rise in the first tenth, "
        "constant with a tenth of it for the last fifth, or plateau: what --epochs auto does, "
        f"with --epochs as the most (default: {DEFAULT_SCHEDULE})",
    )
    seeds = parser.add_mutually_exclusive_group()
    seeds.add_argument("--seed", type=int, default=0, help="of the samples' order (default: 0)")
    seeds.add_argument(
        "--seeds",
        type=_several_seeds,
        metavar="A..B",
        help="train once with each of these seeds (0..4, or 0,3,7), say the mean and the standard "
        "deviation, and save the state of the one that did best on the samples for validation; "
        "--lr auto chooses once, with the first",
    )
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
        help="save the state after the last epoch, or of the last one that is no worse, on the "
        "samples for validation, than the best by a standard error (default: best, where there are "
        "such)",
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
    parser.add_argument(
        "--log",
        metavar="DIR",
        help="make a folder in DIR for each run: epochs.csv, and a file of events for TensorBoard "
        "(pip install 'tflm_train[log]')",
    )
    add_run_pictures(parser)
    latents.add_cache(parser)
    shared.add_force(parser)


def _epochs(text: str) -> int | str:
    if text == AUTO:
        return text
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number nor {AUTO}") from None


def _several_seeds(text: str) -> tuple[int, ...]:
    first, dots, last = text.partition("..")
    try:
        if dots:
            seeds = tuple(range(int(first), int(last) + 1))
        else:
            seeds = tuple(int(seed) for seed in text.split(","))
    except ValueError:
        seeds = ()
    if not seeds or len(set(seeds)) < len(seeds) or min(seeds) < 0 or len(seeds) > _MOST_SEEDS:
        raise argparse.ArgumentTypeError(
            f"{text!r}: give seeds as 0..4 or 0,3,7, at most {_MOST_SEEDS}, each once and not "
            "below 0"
        )
    return seeds


def _rate(text: str) -> float | None:
    """A number; None for `auto`."""
    if text == AUTO:
        return None
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number nor {AUTO}") from None


def _run(arguments: argparse.Namespace) -> TrainSummary:
    seeds = arguments.seeds or (arguments.seed,)
    if arguments.resume and len(seeds) > 1:
        raise DataError("--resume goes on with one run; give --seed instead of --seeds")
    kept = KeptRun.of(arguments.save_state, arguments.keep, arguments.resume, arguments.force)
    pictures = RunPictures.of(arguments)
    interpreter = Interpreter(arguments.model)
    if arguments.load_state:
        states.put_state(interpreter, arguments.load_state)
    source = load(arguments.trunk) if arguments.trunk else interpreter.model
    dataset = sampled(datasets.read_data(arguments, source), arguments.limit)
    dataset = with_validation(dataset, arguments.val_share)
    warnings = kept.warnings + on_log(arguments.log)
    warnings += advice.on_data(interpreter, dataset, source)
    runs = TrainingRuns(
        interpreter, dataset, arguments, seeds, kept, lambda: _warn(warnings, arguments.json)
    )
    try:
        runs.all()
    except KeyboardInterrupt:
        said = runs.save_interrupted()
        _warn([] if said is None else [said], arguments.json)
        raise
    best = runs.best
    after = advice.on_run(interpreter, best.record, runs.choice, dataset)
    _warn(after, arguments.json)
    kept.save(interpreter)
    summary = _summary(runs, warnings + after)
    pictures.write(runs, summary)
    return summary


def _summary(runs: TrainingRuns, warnings: list[str]) -> TrainSummary:
    best, interpreter, asked = runs.best, runs.interpreter, runs.arguments
    record = best.record
    names = assessments.names_of_classes(interpreter, runs.dataset)
    anomalous = anomalies(runs.dataset) if interpreter.learns_its_input else None
    return TrainSummary(
        metric=record.metric,
        learning_rate=record.learning_rate,
        test_accuracy_before=record.test_accuracy_before,
        epochs=record.epochs,
        test_accuracy=record.test_accuracy,
        steps_per_second=record.steps_per_second,
        weight_steps=record.weight_steps,
        test=assess(record.test, names, anomalous),
        rate_choice=runs.choice,
        warnings=tuple(warnings) or None,
        state=asked.save_state,
        kept_epoch=None if record.best_epoch is None else record.best_epoch + 1,
        also=best.also or None,
        seeds=_seeds(runs) if len(runs.seeds) > 1 else None,
        log=tuple(run.log for run in runs.finished if run.log is not None) or None,
        plot=asked.plot,
        report=asked.report,
    )


def _seeds(runs: TrainingRuns) -> SeedRuns:
    scores = [run.record.test_accuracy for run in runs.finished]
    return SeedRuns(
        runs=tuple(
            SeedRun(run.seed, len(run.record.epochs), run.record.test_accuracy, run.validated)
            for run in runs.finished
        ),
        mean=statistics.fmean(scores),
        deviation=statistics.stdev(scores),
        kept=runs.best.seed,
    )


def _warn(sentences: Sequence[str], quiet: bool) -> None:
    for sentence in () if quiet else sentences:
        tables.error_console().print(f"warning: {sentence}", style="yellow", soft_wrap=True)


def _show(result: TrainSummary) -> None:
    before = tables.score(result.metric, result.test_accuracy_before)
    after = assessments.score_with_error(result.test)
    rate = result.steps_per_second
    speed = f"{rate:,.0f}" if rate >= 10 else f"{rate:.1f}"
    tables.console().print(
        f"before: test {before}; after: test {after} ({speed} steps a second on this PC)",
        soft_wrap=True,
    )
    show_also(result.metric, result.also or ())
    if result.seeds is not None:
        _show_seeds(result.metric, result.seeds)
    assessments.show_assessment(result.test)
    if result.state is not None:
        of = "" if result.kept_epoch is None else f" (of epoch {result.kept_epoch})"
        tables.console().print(f"state written: {result.state}{of}", soft_wrap=True)
    for what, path in (("plot", result.plot), ("report", result.report)):
        if path is not None:
            tables.console().print(f"{what} written: {path}", soft_wrap=True)
    for folder in result.log or ():
        tables.console().print(f"log written: {folder}", soft_wrap=True)


def _show_seeds(metric: str, seeds: SeedRuns) -> None:
    shown = f"{100 * seeds.deviation:.1f}" if metric == ACCURACY else f"{seeds.deviation:.2g}"
    tables.console().print(
        f"{len(seeds.runs)} seeds: test {tables.score(metric, seeds.mean)}, standard deviation "
        f"{shown}; all else is of seed {seeds.kept}, the best before the test samples were seen",
        soft_wrap=True,
    )


COMMAND = Command(
    "train",
    "Train a rewritten model on the host, every step in the real TFLM interpreter.",
    "Batch size 1, exactly the arithmetic of the device: the saved state can be loaded there.\n"
    "What the frozen layers give for a sample is computed once and kept (--cache).",
    _arguments,
    _run,
    _show,
)
