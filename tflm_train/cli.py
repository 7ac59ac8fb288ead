"""The command line: `tflm_train <command>`. Parses, calls, prints."""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import Any, NoReturn

from absl import app
from absl.flags import argparse_flags

from tflm_train import commands, commands_export, commands_optimize, commands_state
from tflm_train.errors import TflmTrainError
from tflm_train.memory import KernelSet
from tflm_train.rewriter.optimize import Forward, Streaming
from tflm_train.runtime.training import SCHEDULES
from tflm_train.scheme.scheme import RESIDUAL_BITS

_DEBUG_VARIABLE = "TFLM_TRAIN_DEBUG"

_EPILOG = """\
typical use:
  tflm_train inspect model.tflite                        what could train, and what it costs
  tflm_train rewrite model.tflite --scheme scheme.yaml   writes model_train.tflite
  tflm_train memory model_train.tflite --plot arena.png  the RAM it takes, and where the peak is
  tflm_train train model_train.tflite --data data.npz    trains it in the real TFLM interpreter

a scheme:
  version: 1
  head: {classes: 10}        # optional: a fresh classifier for your classes
  update:
    biases: {last: 6}        # the biases of the 6 layers below the head
    weights: [{layer: 8}]    # the weights of layer 8, as `inspect` numbers it
"""

_DATA_HELP = (
    "an .npz file with x_train, y_train, x_test, y_test (uint8 images are resized to the model's "
    "input; float arrays are quantized; y: class indices, or a value per output), or a folder of "
    "images by class"
)


class _Parser(argparse_flags.ArgumentParser):
    """Says what is wrong in one line, like every other error."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def run() -> None:
    """Entry point of the `tflm_train` script."""
    app.run(_main, flags_parser=_parse)


def _parse(argv: list[str]) -> argparse.Namespace:
    make: Any = _Parser
    parser = make(
        prog="tflm_train",
        description="Makes int8 .tflite models trainable by an unmodified TFLM interpreter.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_inspect(subparsers)
    _add_rewrite(subparsers)
    _add_memory(subparsers)
    _add_train(subparsers)
    _add_evaluate(subparsers)
    _add_scheme(subparsers)
    commands_state.add_parsers(subparsers, _add)
    commands_export.add_parsers(subparsers, _add)
    commands_optimize.add_parsers(subparsers, _add)
    parsed: argparse.Namespace = parser.parse_args(argv[1:])
    return parsed


def _add(subparsers: Any, name: str, summary: str, details: str) -> Any:
    parser = subparsers.add_parser(
        name,
        help=summary,
        description=f"{summary}\n\n{details}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        inherited_absl_flags=None,
    )
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object instead of tables"
    )
    return parser


def _add_inspect(subparsers: Any) -> None:
    parser = _add(
        subparsers,
        "inspect",
        "List a model's layers, what training each would cost, or why it cannot train.",
        "Layers are numbered over CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED and TRANSPOSE_CONV\n"
        "in execution order from 0; schemes use these numbers, or the names.",
    )
    parser.add_argument("model", help="a .tflite file")
    parser.add_argument(
        "--output", default="0", help="index or name of the output to train (default: 0)"
    )
    _add_kernels(parser)
    parser.set_defaults(function=commands.inspect)


def _add_rewrite(subparsers: Any) -> None:
    parser = _add(
        subparsers,
        "rewrite",
        "Add training to a quantized model: backward and update ops for what the scheme names.",
        "The result still runs inference in any TFLM interpreter that has our kernels registered,\n"
        "bit for bit as before, and trains when its learning-rate input is above 0.",
    )
    parser.add_argument("model", help="an int8 .tflite file")
    parser.add_argument(
        "--scheme",
        required=True,
        help="what to train: a YAML file, or the name of a ready scheme (`scheme list`)",
    )
    parser.add_argument(
        "--classes", help="instead of the scheme's number of classes; +N adds N classes"
    )
    parser.add_argument(
        "--residual-bits", type=int, choices=RESIDUAL_BITS, help="instead of the scheme's"
    )
    parser.add_argument("-o", "--output", help="where to write (default: <stem>_train.tflite)")
    parser.add_argument("--report", help="also write the report as JSON to this file")
    parser.add_argument("--force", action="store_true", help="overwrite files that are not ours")
    parser.add_argument(
        "--plot",
        metavar="STEM",
        help="draw the arena over time, without and with --stream and --forward: STEM_before.png, "
        "STEM_after.png",
    )
    commands_optimize.add_choices(parser, Streaming.OFF, Forward.BUILTIN)
    _add_kernels(parser)
    parser.add_argument(
        "--budget",
        metavar="SIZE",
        help="refuse, and say what to give up, when the arena would be larger (256KB, 1MB, bytes)",
    )
    parser.set_defaults(function=commands.rewrite)


def _add_memory(subparsers: Any) -> None:
    parser = _add(
        subparsers,
        "memory",
        "Predict the arena a model takes on a Cortex-M, to the byte, and what it is made of.",
        "The total is what arena_used_bytes() will return; the peak names the tensors to blame.",
    )
    parser.add_argument("model", help="a .tflite file, original or rewritten")
    _add_kernels(parser)
    parser.add_argument("--plot", metavar="FILE", help="draw the arena over time (PNG)")
    parser.add_argument("--force", action="store_true", help="overwrite files that are not ours")
    parser.set_defaults(function=commands.memory)


def _add_kernels(parser: Any) -> None:
    parser.add_argument(
        "--kernels",
        choices=[str(kernels) for kernels in KernelSet],
        default=str(KernelSet.CMSIS_NN),
        help="what runs the builtin operators: TFLM's reference kernels, or CMSIS-NN on a core "
        "with the DSP extension (cmsis_nn, default), with Helium, or with neither (_basic)",
    )


def _add_train(subparsers: Any) -> None:
    parser = _add(
        subparsers,
        "train",
        "Train a rewritten model on the host, every step in the real TFLM interpreter.",
        "Batch size 1, exactly the arithmetic of the device: the saved state can be loaded there.",
    )
    parser.add_argument("model", help="a rewritten .tflite file")
    parser.add_argument("--data", required=True, help=_DATA_HELP)
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
    parser.add_argument("--force", action="store_true", help="overwrite files that are not ours")
    parser.set_defaults(function=commands.train)


def _add_evaluate(subparsers: Any) -> None:
    parser = _add(
        subparsers,
        "evaluate",
        "Measure the test accuracy of a model, original or rewritten.",
        "Of a regression or an autoencoder the mean squared error; with class names also each\n"
        "class's share. A rewritten model runs with its factory weights unless --load-state names\n"
        "a state.",
    )
    parser.add_argument("model", help="a .tflite file")
    parser.add_argument("--data", required=True, help=_DATA_HELP)
    parser.add_argument("--limit", type=int, help="use only the first N test samples")
    parser.add_argument("--load-state", help="a state that `train --save-state` wrote")
    parser.set_defaults(function=commands.evaluate)


def _add_scheme(subparsers: Any) -> None:
    parser = _add(
        subparsers,
        "scheme",
        "List the schemes that come with the package, or show one.",
        "They are those of the paper for its three networks; `rewrite --scheme NAME` takes them,\n"
        "and as a file they are a start for your own.",
    )
    parser.add_argument("action", choices=("list", "show"))
    parser.add_argument("name", nargs="?", help="of the scheme to show")
    parser.set_defaults(function=commands.scheme)


def _main(arguments: argparse.Namespace) -> int:
    try:
        result = arguments.function(arguments)
    except KeyboardInterrupt:
        print("tflm_train: interrupted", file=sys.stderr)
        return 130
    except Exception as error:
        if os.environ.get(_DEBUG_VARIABLE):
            raise
        print(f"tflm_train: {_one_line(error)}", file=sys.stderr)
        return 1
    if arguments.json:
        print(json.dumps(result))
    return 0


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, TflmTrainError):
        return f"error: {text}"
    return (
        f"internal error: {type(error).__name__}: {text} "
        f"(set {_DEBUG_VARIABLE}=1 for a traceback, and please report it)"
    )
