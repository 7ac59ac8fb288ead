"""`tflm_train analyze`."""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from tflm_train.cli import datasets, shared, tables
from tflm_train.cli.command import Command, Parser
from tflm_train.cli.work import WorkProgress, add_workers, going_on, workers_for
from tflm_train.errors import DataError
from tflm_train.files import write_file
from tflm_train.model import Model, load
from tflm_train.records import sometimes
from tflm_train.runtime.metrics import ACCURACY
from tflm_train.scheme.resolve import feeding_layers
from tflm_train.search.candidates import RATIOS
from tflm_train.search.contributions import SEEDS, Contributions, Gain, analyze, is_contributions
from tflm_train.search.split_data import split_data

_COLUMNS = 80
_BAR = 20


@dataclass(frozen=True)
class BiasGain:
    """What the biases of the last layers bring.

    Attributes:
      last: Of so many layers below the head.
      layer: Index of the first of them.
      name: Its name.
      gain: Score above that of the head alone.
      error: Standard error of that.
      seeds: Runs that it is the mean of.
      rate: Learning rate (the largest of a run) that they were measured with.
    """

    last: int
    layer: int
    name: str
    gain: float
    error: float
    seeds: int
    rate: float


@dataclass(frozen=True)
class WeightGain:
    """What weights of one layer bring.

    Attributes:
      layer: Its index.
      name: Its name.
      ratio: Share of its input channels that train.
      gain: Score above that of the biases of this layer and those behind it.
      error: Standard error of that.
      seeds: Runs that it is the mean of; 0 where it is only predicted.
      rate: Learning rate (the largest of a run) that they were measured with; 0 where predicted.
    """

    layer: int
    name: str
    ratio: float
    gain: float
    error: float
    seeds: int
    rate: float


@dataclass(frozen=True)
class Analyzed:
    """What each part of a model brings when it trains.

    Attributes:
      metric: What the score is: `accuracy`, a share of right answers, or `mean_squared_error`, in
        squared real units with a minus before it. More is better.
      base: Score with only the head trained, on samples that did not train.
      base_error: Standard error of that.
      biases: For the last layers below the head, one more in each row.
      weights: By layer, the last one first, and share.
      steps: Training steps of each run.
      samples: Samples that trained, and samples that the scores are of.
      stopped: Hopeless candidates, which got one seed only.
      unfinished: Candidates of which the time left runs undone.
      seconds: How long it took.
      output: The file that the contributions were written to.
    """

    metric: str
    base: float
    base_error: float
    biases: tuple[BiasGain, ...]
    weights: tuple[WeightGain, ...]
    steps: int
    samples: tuple[int, int]
    stopped: int
    unfinished: int
    seconds: float
    output: str | None = sometimes()


def _arguments(parser: Parser) -> None:
    parser.add_argument("model", help="the .tflite file as it comes from the factory")
    datasets.add_data(parser)
    shared.add_classes(parser)
    parser.add_argument(
        "--steps", type=int, help="of each fine-tune (default: once through the data, 600 to 1000)"
    )
    parser.add_argument(
        "--seeds", type=int, default=SEEDS, help=f"runs of each candidate (default: {SEEDS})"
    )
    parser.add_argument(
        "--layers",
        type=int,
        metavar="N",
        help="look at the last N layers below the head (default: all)",
    )
    parser.add_argument(
        "--minutes", type=float, help="stop after that time, with what is known then"
    )
    parser.add_argument(
        "--fast",
        action="store_true",
        help="fine-tune about a dozen of the weights, with one seed, and predict the others from "
        "one pass over the data",
    )
    add_workers(parser)
    parser.add_argument("-o", "--output", help="write the contributions, for `search`")
    shared.add_force(parser)


def _run(arguments: argparse.Namespace) -> Analyzed:
    for name, least in (("steps", 1), ("seeds", 1), ("layers", 1), ("minutes", 0)):
        value = getattr(arguments, name)
        if value is not None and not value >= least:
            raise DataError(f"--{name} {value} must be at least {least}")
    model = load(arguments.model)
    data = split_data(datasets.read_data(arguments, model), model)
    started = time.monotonic()
    with workers_for(arguments, model, data) as (workers, results):
        try:
            with WorkProgress(arguments.json) as progress:
                found = analyze(
                    model,
                    data,
                    shared.chosen_head(arguments),
                    workers,
                    results,
                    seeds=arguments.seeds,
                    fast=arguments.fast,
                    steps=arguments.steps,
                    depth=arguments.layers,
                    seconds=None if arguments.minutes is None else 60 * arguments.minutes,
                    on_progress=progress,
                )
        except KeyboardInterrupt:
            print(f"tflm_train: {going_on()}", file=sys.stderr)
            raise
    if arguments.output:
        text = found.to_json().encode()
        write_file(Path(arguments.output), text, is_contributions, arguments.force)
    seconds = time.monotonic() - started
    samples = (len(data.y_train), len(data.y_select))
    return _analyzed(found, model, samples, seconds, arguments.output)


def _analyzed(
    found: Contributions,
    model: Model,
    samples: tuple[int, int],
    seconds: float,
    output: str | None,
) -> Analyzed:
    layers = feeding_layers(model, 0)
    names = {layer.index: layer.name for layer in layers}
    below = [layer.index for layer in layers[:-1]]
    return Analyzed(
        found.metric,
        found.base,
        found.noise,
        tuple(
            BiasGain(last, below[-last], names[below[-last]], *_values(gain))
            for last, gain in found.biases
        ),
        tuple(
            WeightGain(layer, names[layer], ratio, *_values(gain))
            for (layer, ratio), gain in found.weights.items()
        ),
        found.steps,
        samples,
        found.stopped,
        found.unfinished,
        seconds,
        output,
    )


def _values(gain: Gain) -> tuple[float, float, int, float]:
    return gain.mean, gain.error, gain.seeds, gain.rate


def _show(result: Analyzed) -> None:
    console = Console(width=_COLUMNS, markup=False, emoji=False)
    train, select = result.samples
    console.print(
        f"head alone: {tables.score(result.metric, abs(result.base))} "
        f"± {_number(result.metric, result.base_error)} "
        f"({result.steps} steps on {train} samples, scored on {select} others)"
    )
    _show_biases(console, result)
    _show_weights(console, result)
    if result.stopped:
        console.print(
            f"* hopeless after one seed: {result.stopped} of {len(result.weights)} got no others"
        )
    if any(not row.seeds for row in result.weights):
        console.print("? predicted by gradient times update, not fine-tuned")
    if result.unfinished:
        console.print(
            f"{result.unfinished} candidates lack runs for which there was no time; {going_on()}"
        )
    if result.output is not None:
        console.print(f"written: {result.output}")


def _show_biases(console: Console, result: Analyzed) -> None:
    title = "biases of the last layers, above the head alone"
    table = tables.new_table(title, ("last", "layer", "gain", "error", "rate", ""), [""])
    most = max((row.gain for row in result.biases), default=0.0)
    for row in result.biases:
        bar = "#" * round(_BAR * max(0.0, row.gain) / most) if most > 0 else ""
        table.add_row(
            str(row.last),
            str(row.layer),
            _number(result.metric, row.gain),
            _number(result.metric, row.error),
            f"{row.rate:g}",
            bar,
        )
    console.print(table)


def _show_weights(console: Console, result: Analyzed) -> None:
    shares = {ratio: "all" if ratio == 1 else f"1/{round(1 / ratio)}" for ratio in RATIOS}
    title = "weights of one layer (share of its input channels), above biases alone"
    table = tables.new_table(title, ("layer", *shares.values(), "rate"), [])
    by_layer: dict[int, dict[float, WeightGain]] = {}
    for row in result.weights:
        by_layer.setdefault(row.layer, {})[row.ratio] = row
    most_seeds = max((row.seeds for row in result.weights), default=0)
    for layer, rows in by_layer.items():
        cells = []
        for ratio in shares:
            found = rows.get(ratio)
            if found is None:
                cells.append("")
                continue
            star = "?" if not found.seeds else "*" if found.seeds < most_seeds else ""
            gain, error = (_number(result.metric, x) for x in (found.gain, found.error))
            cells.append(f"{gain} ± {error}{star}")
        rates = sorted({row.rate for row in rows.values() if row.seeds}) or [0.0]
        shown = rates if len(rates) == 1 else [rates[0], rates[-1]]
        text = " to ".join(f"{rate:g}" for rate in shown if rate)
        table.add_row(str(layer), *cells, text)
    console.print(table)


def _number(metric: str, value: float) -> str:
    """A difference of scores: in points where it is one of accuracies."""
    return f"{100 * value:.1f}" if metric == ACCURACY else f"{value:.3g}"


COMMAND = Command(
    "analyze",
    "Measure what each part of a model brings when it trains, on your data.",
    "Fine-tunes the biases of the last k layers, and the weights of each layer, in the real TFLM\n"
    "interpreter on three quarters of the training samples, and scores them on the rest; each\n"
    "with a learning rate of its own and several seeds. What is measured is kept (--cache): a run\n"
    "that was broken off goes on where it was. The test part of the data is not touched.",
    _arguments,
    _run,
    _show,
)
