"""Parses the command line, runs the command, prints its result or what went wrong."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from typing import Any, NoReturn

from absl import app
from absl.flags import argparse_flags

from tflm_train.cli.command import Command, add_to
from tflm_train.cli.commands import COMMANDS
from tflm_train.errors import TflmTrainError
from tflm_train.records import plain
from tflm_train.runtime.crashes import end_crashes_in_a_line
from tflm_train.version import VERSION

_DEBUG_VARIABLE = "TFLM_TRAIN_DEBUG"

_EPILOG = """\
typical use:
  tflm_train inspect model.tflite                        what could train, and what it costs
  tflm_train rewrite model.tflite                        writes model_train.tflite, for 256 KB
  tflm_train rewrite model.tflite --preset light --classes 10   a new head and a few layers
  tflm_train rewrite model.tflite --scheme scheme.yaml   just what a scheme names
  tflm_train memory model_train.tflite --plot arena.png  the RAM it takes, and where the peak is
  tflm_train train model_train.tflite --data data.npz    trains it in the real TFLM interpreter

a scheme:
  version: 1
  head: {classes: 10}        # optional: a fresh classifier for your classes
  update:
    biases: {last: 6}        # the biases of the 6 layers below the head
    weights: [{layer: 8}]    # the weights of layer 8, as `inspect` numbers it
"""


class _Parser(argparse_flags.ArgumentParser):
    """Says what is wrong in one line, like every other error."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def run() -> None:
    """Entry point of the `tflm_train` script."""
    app.run(_execute_alone, flags_parser=parse)


def parse(argv: list[str]) -> argparse.Namespace:
    """Parses a command line, the program's name first; leaves the process where it is wrong.

    Returns:
      The arguments, and `typed`: all of it, as a shell takes it.
    """
    parsed: argparse.Namespace = make_parser().parse_args(argv[1:])
    parsed.typed = shlex.join(["tflm_train", *argv[1:]])
    return parsed


def make_parser() -> Any:
    """The parser of all commands."""
    make: Any = _Parser
    parser = make(
        prog="tflm_train",
        description="Makes int8 .tflite models trainable by an unmodified TFLM interpreter.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        # It sees the commands' options too, and would take --log for the start of absl's own.
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"tflm_train {VERSION}")
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND", dest="command_name")
    for entry in COMMANDS:
        add_to(subparsers, entry)
    return parser


def _execute_alone(arguments: argparse.Namespace) -> int:
    """`execute` in a process that does nothing else."""
    end_crashes_in_a_line()  # After absl has made crashes print all stacks.
    return execute(arguments)


def execute(arguments: argparse.Namespace) -> int:
    """Runs the command that `parse` found; returns the exit status."""
    command = arguments.command
    try:
        return _print(command, command.run(arguments), arguments.json)
    except KeyboardInterrupt:
        print("tflm_train: interrupted", file=sys.stderr)
        return 130
    except Exception as error:
        if os.environ.get(_DEBUG_VARIABLE):
            raise
        print(f"tflm_train: {_one_line(error)}", file=sys.stderr)
        return 1


def _print(command: Command[Any], result: Any, as_json: bool) -> int:
    """Prints what a command found, as far as anybody takes it; returns the exit status."""
    try:
        if as_json:
            print(json.dumps(plain(result)))
        else:
            command.show(result)
        if sys.stdout is not None:  # It is None where it was closed before the start.
            sys.stdout.flush()
    except OSError as error:
        # What is left in the buffer must not fail again when the process ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):  # Else whoever read it has seen enough.
            print(
                f"tflm_train: error: the result cannot be printed ({error.strerror}); files that "
                "it names are written",
                file=sys.stderr,
            )
        return 1
    return 0


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, TflmTrainError):
        return f"error: {text}"
    return (
        f"internal error: {type(error).__name__}: {text} "
        f"(set {_DEBUG_VARIABLE}=1 for a traceback, and please report it)"
    )
