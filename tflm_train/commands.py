"""What each command does: call the library, write files, show the result.

Every function takes the parsed arguments and returns what `--json` prints.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from tflm_train import tables
from tflm_train.commands_optimize import draw_both
from tflm_train.errors import DataError, SchemeError, TflmTrainError
from tflm_train.files import (
    is_json_report,
    is_png,
    is_rewritten_model,
    is_state,
    read_state,
    write_file,
)
from tflm_train.memory import memory_report
from tflm_train.memory.plot import draw_memory
from tflm_train.model import load
from tflm_train.model.metadata import class_names
from tflm_train.rewriter import rewrite as rewrite_model
from tflm_train.rewriter.budget import parse_bytes, require_fit
from tflm_train.rewriter.inspection import inspect_model
from tflm_train.rewriter.optimize import Forward, Streaming
from tflm_train.runtime.data import Dataset, load_dataset
from tflm_train.runtime.interpreter import Interpreter
from tflm_train.runtime.metrics import metric_for
from tflm_train.runtime.training import (
    EpochRecord,
    StepReport,
    has_mute_head,
    model_inputs,
    scores,
    targets,
)
from tflm_train.runtime.training import train as train_model
from tflm_train.scheme import Scheme
from tflm_train.scheme.head import MAX_CLASSES, parse_classes
from tflm_train.scheme.library import find_scheme, library_names, library_text
from tflm_train.scheme.resolve import find_output

_MUTE_EVALUATION = (
    "all outputs are alike whatever the input: the head has learnt nothing yet; train it, or give "
    "a trained state with --load-state"
)


def inspect(arguments: argparse.Namespace) -> dict[str, Any]:
    """`tflm_train inspect`."""
    model = load(arguments.model)
    chosen = arguments.output
    output = find_output(int(chosen) if chosen.isdecimal() else chosen, model)
    description = inspect_model(model, arguments.kernels, output)
    if not arguments.json:
        tables.show_inspection(description)
    return description


def rewrite(arguments: argparse.Namespace) -> dict[str, Any]:
    """`tflm_train rewrite`."""
    source = Path(arguments.model)
    output = Path(arguments.output or source.with_name(f"{source.stem}_train.tflite"))
    if output.resolve() == source.resolve():
        raise TflmTrainError(f"{output} is the input model itself; choose another name with -o")
    scheme = _chosen_scheme(arguments)
    budget = None if arguments.budget is None else parse_bytes(arguments.budget)
    model = load(source)
    result = rewrite_model(
        model,
        scheme,
        arguments.kernels,
        stream=Streaming(arguments.stream),
        forward=Forward(arguments.forward),
    )
    if budget is not None:
        require_fit(model, scheme, result.memory, budget)
    summary = {"output": str(output), **result.report}
    if arguments.plot:
        summary["plots"] = draw_both(arguments, result.memory_unstreamed, result.memory)
    write_file(output, result.model_bytes, is_rewritten_model, arguments.force)
    if arguments.report:
        text = json.dumps(summary, indent=2).encode() + b"\n"
        write_file(Path(arguments.report), text, is_json_report, arguments.force)
    if not arguments.json:
        tables.show_rewrite(summary)
    return summary


def memory(arguments: argparse.Namespace) -> dict[str, Any]:
    """`tflm_train memory`."""
    model = load(arguments.model)
    report = memory_report(model, arguments.kernels)
    summary: dict[str, Any] = report.to_dict()
    summary["flash"] = {"model_bytes": len(model.source)}
    if arguments.plot:
        path = Path(arguments.plot)
        write_file(path, draw_memory(report), is_png, arguments.force)
        summary["plot"] = str(path)
    if not arguments.json:
        tables.show_memory(summary)
    return summary


def scheme(arguments: argparse.Namespace) -> dict[str, Any]:
    """`tflm_train scheme`."""
    if arguments.action == "list":
        if not arguments.json:
            tables.show_lines(library_names())
        return {"schemes": library_names()}
    if arguments.name is None:
        raise SchemeError("name the scheme to show (see `tflm_train scheme list`)")
    text = library_text(arguments.name)
    if not arguments.json:
        tables.show_lines(text.splitlines())
    return {"name": arguments.name, "scheme": Scheme.parse(text).to_dict()}


def train(arguments: argparse.Namespace) -> dict[str, Any]:
    """`tflm_train train`."""
    interpreter = Interpreter(arguments.model)
    if arguments.load_state:
        interpreter.load_state(read_state(Path(arguments.load_state)))
    dataset = load_dataset(arguments.data)
    metric = metric_for(interpreter, dataset.y_train).name
    with _progress(arguments.json) as progress:
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

        record = train_model(
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
    if not arguments.json:
        tables.show_training(summary)
    return summary


def evaluate(arguments: argparse.Namespace) -> dict[str, Any]:
    """`tflm_train evaluate`."""
    interpreter = Interpreter(arguments.model)
    if arguments.load_state:
        interpreter.load_state(read_state(Path(arguments.load_state)))
    dataset = load_dataset(arguments.data)
    if arguments.limit is not None and arguments.limit < 1:
        raise DataError("--limit must be at least 1")
    x = model_inputs(interpreter, dataset.x_test[: arguments.limit], "x_test")
    _, wanted = targets(interpreter, dataset, x, x, arguments.limit)
    with _progress(arguments.json) as progress:
        task = progress.add_task("evaluating", total=len(wanted))
        found = scores(interpreter, x, wanted, lambda done: progress.update(task, completed=done))
    summary: dict[str, Any] = {
        "model": arguments.model,
        "samples": len(wanted),
        "metric": metric_for(interpreter, wanted).name,
        "test_accuracy": float(np.mean(found)),
    }
    if has_mute_head(interpreter, x):
        summary["warnings"] = [_MUTE_EVALUATION]
    names = _class_names(interpreter, dataset)
    if names and wanted.ndim == 1:
        summary["classes"] = [
            {
                "class": name,
                "samples": int(np.count_nonzero(wanted == index)),
                "right": int(found[wanted == index].sum()),
            }
            for index, name in enumerate(names)
        ]
    if not arguments.json:
        tables.show_evaluation(summary)
    return summary


def _mute_training(interpreter: Interpreter, rate: float) -> str:
    step = interpreter.require_trainable().scale
    return (
        "the loss did not move in the first epoch: the new head's outputs are all below one step "
        f"({step:g}) of the output; use a larger learning rate, such as --lr {10 * rate:g}"
    )


def _class_names(interpreter: Interpreter, dataset: Dataset) -> tuple[str, ...]:
    """The data set's names of the classes, else the model's."""
    output = interpreter.trained_output
    count = interpreter.model.graph.outputs[output].size
    if len(dataset.class_names) == count:
        return dataset.class_names
    return class_names(interpreter.model, output, count)


def _chosen_scheme(arguments: argparse.Namespace) -> Scheme:
    chosen = find_scheme(arguments.scheme)
    if arguments.classes is not None:
        parsed = parse_classes(arguments.classes)
        if parsed is None:
            raise SchemeError(
                f"--classes must be a number from 1 to {MAX_CLASSES}, or +N to add N classes, not "
                f"{arguments.classes!r}"
            )
        classes, add = parsed
        head = dataclasses.replace(chosen.head, classes=classes, add=add)
        chosen = dataclasses.replace(chosen, head=head)
    if arguments.residual_bits is not None:
        chosen = dataclasses.replace(chosen, residual_bits=arguments.residual_bits)
    return chosen


def _progress(quiet: bool) -> Progress:
    console = tables.error_console()
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TimeRemainingColumn(),
        console=console,
        # In a pipe or a log file a bar is nothing but stray blank lines.
        disable=quiet or not console.is_terminal,
        transient=True,
    )
