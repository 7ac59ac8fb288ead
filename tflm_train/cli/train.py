"""`tflm_train train`."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any

from tflm_train.cli import shared, tables
from tflm_train.cli.command import Command, Parser
from tflm_train.files import is_state, read_state, write_file
from tflm_train.runtime.data import load_dataset
from tflm_train.runtime.interpreter import Interpreter
from tflm_train.runtime.metrics import metric_for
from tflm_train.runtime.training import SCHEDULES, EpochRecord, StepReport, TrainingRecord, train


def _arguments(parser: Parser) -> None:
    parser.add_argument("model", help="a rewritten .tflite file")
    parser.add_argument("--data", required=True, help=shared.DATA_HELP)
    parser.add_argument("--epochs", type=int, default=3, help="default: 3")
    parser.add_argument(
        "--lr", type=float, default=1e-3, help="learning rate of the first step (default: 0.001)"
    )
    parser.add_argument(
        "--schedule",
        choices=SCHEDULES,
        default="linear",
        help="linear or cosine decay to 0, or constant with a tenth of it for the last fifth",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the samples' order (default: 0)")
    parser.add_argument("--limit", type=int, help="use only the first N training and test samples")
    parser.add_argument("--load-state", help="start from this state, not from the factory's")
    parser.add_argument("--save-state", help="write the trained state to this file")
    shared.add_force(parser)


def _run(arguments: argparse.Namespace) -> dict[str, Any]:
    interpreter = Interpreter(arguments.model)
    if arguments.load_state:
        interpreter.load_state(read_state(Path(arguments.load_state)))
    record = _train(interpreter, arguments)
    summary: dict[str, Any] = {
        "metric": record.metric,
        "test_accuracy_before": record.test_accuracy_before,
        "epochs": [dataclasses.asdict(epoch) for epoch in record.epochs],
        "test_accuracy": record.test_accuracy,
        "steps_per_second": record.steps_per_second,
    }
    if record.epochs[0].is_mute:
        summary["warnings"] = [_mute_training(interpreter, arguments.lr)]
    if arguments.save_state:
        path = Path(arguments.save_state)
        write_file(path, interpreter.state(), is_state, arguments.force)
        summary["state"] = str(path)
    return summary


def _train(interpreter: Interpreter, arguments: argparse.Namespace) -> TrainingRecord:
    """Trains with a progress bar and, where tables are wanted, a line after each epoch."""
    dataset = load_dataset(arguments.data)
    metric = metric_for(interpreter, dataset.y_train).name
    with shared.progress(arguments.json) as progress:
        task = progress.add_task("epoch 1", total=None)

        def on_step(report: StepReport) -> None:
            progress.update(
                task,
                total=report.steps,
                completed=report.step,
                description=f"epoch {report.epoch + 1}  loss {report.loss:.3f}  "
                f"{tables.score(metric, report.accuracy)}",
            )

        def on_epoch(epoch: int, record: EpochRecord) -> None:
            if arguments.json:
                return
            progress.console.print(tables.epoch_line(epoch, record, metric))
            if epoch == 0 and record.is_mute:
                warning = _mute_training(interpreter, arguments.lr)
                progress.console.print(f"warning: {warning}", style="yellow", soft_wrap=True)

        return train(
            interpreter,
            dataset,
            epochs=arguments.epochs,
            learning_rate=arguments.lr,
            schedule=arguments.schedule,
            seed=arguments.seed,
            limit=arguments.limit,
            on_step=on_step,
            on_epoch=on_epoch,
        )


def _mute_training(interpreter: Interpreter, rate: float) -> str:
    step = interpreter.require_trainable().scale
    return (
        "the loss did not move in the first epoch: the new head's outputs are all below one step "
        f"({step:g}) of the output; use a larger learning rate, such as --lr {10 * rate:g}"
    )


COMMAND = Command(
    "train",
    "Train a rewritten model on the host, every step in the real TFLM interpreter.",
    "Batch size 1, exactly the arithmetic of the device: the saved state can be loaded there.",
    _arguments,
    _run,
    tables.show_training,
)
