"""`tflm_train quantize`."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from tflm_train.cli import datasets, shared, tables
from tflm_train.cli.command import Command, Parser
from tflm_train.files import write_file
from tflm_train.quantization import LayerError, load_float, quantize
from tflm_train.quantization.quantize import CALIBRATION_SAMPLES, PIXELS, TEST_SAMPLES
from tflm_train.records import sometimes

_SHOWN_LAYERS = 3


@dataclass(frozen=True)
class QuantizedFile:
    """An int8 model made of a float one, and what that cost.

    Attributes:
      output: Its file.
      bytes: The file's size.
      float_bytes: The size of the float .tflite it was made of.
      calibration_samples: How many training samples its ranges come from.
      tested: How many test samples both models ran.
      metric: What the scores are: `accuracy`, a share in 0 to 1, or `mean_squared_error`, in
        squared real units; left out where the data has no targets that fit.
      before: The score of the float model.
      after: That of the int8 one.
      output_error: Root mean square of the difference of their outputs, relative to that of the
        float outputs.
      layers: How far the output of each layer is off, likewise; the worst first.
      stays_float: Operators that compute in float still: nothing before them trains.
    """

    output: str
    bytes: int
    float_bytes: int
    calibration_samples: int
    tested: int
    output_error: float
    layers: tuple[LayerError, ...]
    stays_float: tuple[str, ...]
    metric: str | None = sometimes()
    before: float | None = sometimes()
    after: float | None = sometimes()


def _arguments(parser: Parser) -> None:
    parser.add_argument(
        "model",
        help="a float or hybrid .tflite file; with TensorFlow installed also a Keras file (.keras, "
        ".h5) or a SavedModel folder",
    )
    datasets.add_data(
        parser,
        f"{datasets.DATA_HELP}; samples are the float values that the model takes, or pictures",
    )
    parser.add_argument("-o", "--output", help="where to write (default: MODEL_int8.tflite)")
    parser.add_argument(
        "--samples",
        type=int,
        default=CALIBRATION_SAMPLES,
        metavar="N",
        help=f"take the ranges from N training samples (default: {CALIBRATION_SAMPLES})",
    )
    parser.add_argument(
        "--limit",
        type=int,
        default=TEST_SAMPLES,
        metavar="N",
        help=f"compare on N test samples (default: {TEST_SAMPLES})",
    )
    parser.add_argument(
        "--pixels",
        type=float,
        nargs=2,
        default=PIXELS,
        metavar=("BLACK", "WHITE"),
        help="what the float model takes for a black and a white pixel (default: 0 1; many take "
        "-1 1 or 0 255)",
    )
    shared.add_force(parser)


def _run(arguments: argparse.Namespace) -> QuantizedFile:
    source = Path(arguments.model)
    output = Path(arguments.output or source.with_name(f"{source.stem}_int8.tflite"))
    shared.require_another_file(output, source)
    model = load_float(source)
    result = quantize(
        model,
        datasets.read_data(arguments, model),
        samples=arguments.samples,
        tested=arguments.limit,
        pixels=tuple(arguments.pixels),
    )
    data, loss = result.model.source, result.loss
    write_file(output, data, lambda _: False, arguments.force)
    return QuantizedFile(
        output=str(output),
        bytes=len(data),
        float_bytes=len(model.source),
        calibration_samples=result.calibration_samples,
        tested=loss.samples,
        output_error=loss.output_error,
        layers=loss.layers,
        stays_float=result.stays_float,
        metric=loss.metric,
        before=loss.before,
        after=loss.after,
    )


def _show(result: QuantizedFile) -> None:
    console = tables.console()
    if result.metric is not None and result.before is not None and result.after is not None:
        before, after = (tables.score(result.metric, x) for x in (result.before, result.after))
        console.print(f"float: {before}; int8: {after} ({result.tested} test samples)")
    console.print(f"the outputs differ by {result.output_error:.1%} of their size (RMS)")
    worst = ", ".join(
        f"{layer.layer} ({layer.name}) {layer.error:.1%}" for layer in result.layers[:_SHOWN_LAYERS]
    )
    if worst:
        console.print(f"the layers that are off most: {worst}")
    if result.stays_float:
        names = ", ".join(result.stays_float)
        tables.show_warnings([f"{names}: computed in float still; nothing before it trains"])
    console.print(
        f"{result.bytes:,} bytes instead of {result.float_bytes:,}; ranges of "
        f"{result.calibration_samples} training samples"
    )
    tables.show_written(result.output)


COMMAND = Command(
    "quantize",
    "Make an int8 model of a float one, with your data; `rewrite` takes the result.",
    "Activations, input and output become int8, in the ranges that the training samples show;\n"
    "weights int8 with one scale per output channel. What that costs is measured on the test\n"
    "samples. Needs ai-edge-quantizer: pip install 'tflm_train[quantize]'.",
    _arguments,
    _run,
    _show,
)
