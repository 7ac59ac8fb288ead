"""`tflm_train export`."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from tflm_train.cli import datasets, tables
from tflm_train.cli.command import Command, Parser
from tflm_train.export import FORMATS, LEARNING_RATE, TFLM_HEADER, export_project
from tflm_train.export.answer import listed
from tflm_train.model import load
from tflm_train.records import sometimes


@dataclass(frozen=True)
class Exported:
    """A firmware project.

    Attributes:
      output: Its folder.
      format: What kind of project it is.
      name: Its C++ namespace and the stem of its files.
      ops: How many operators it registers.
      arena_bytes: Size of the tensor arena that it declares.
      arena_margin: How much of it is added to what is predicted, to be safe.
      trunk_arena_bytes: The trunk's part of it; 0 without `--trunk`.
      trains: Whether it learns; False where the model holds no training ops, and it infers only.
      state_bytes: Size of a saved state; 0 where it does not train.
      learning_rate: Of the example's steps.
      files: Paths of its files within the folder.
      class_names: Of the classes, as the firmware holds them.
      front_end: What makes the model's input of recordings, in C++ as in training.
    """

    output: str
    format: str
    name: str
    ops: int
    arena_bytes: int
    arena_margin: int
    trunk_arena_bytes: int
    trains: bool
    state_bytes: int
    learning_rate: float
    files: tuple[str, ...]
    class_names: tuple[str, ...] | None = sometimes()
    front_end: str | None = sometimes()


def _arguments(parser: Parser) -> None:
    parser.add_argument(
        "model",
        help="a rewritten .tflite file; with any other (of `optimize`, of `merge`) the firmware "
        "infers only",
    )
    parser.add_argument(
        "--trunk",
        metavar="FILE",
        help="MODEL is the tail that `rewrite --split` wrote, FILE the trunk: both run in one "
        "firmware, which is given samples",
    )
    parser.add_argument("--format", required=True, choices=FORMATS, help="what to make")
    parser.add_argument("-o", "--output", required=True, help="the project's folder")
    parser.add_argument(
        "--name", help="C++ namespace and stem of the files (default: from the model's file name)"
    )
    datasets.add_names(parser)
    parser.add_argument(
        "--tflm-header",
        metavar="NAME",
        default=TFLM_HEADER,
        help="for --format arduino: the header of your TFLM library, as the sketch includes it "
        "(default: %(default)s, from the Library Manager)",
    )
    parser.add_argument(
        "--lr",
        type=float,
        default=LEARNING_RATE,
        metavar="RATE",
        help="the learning rate of the example's steps: what `train` reported (default: "
        "%(default)s)",
    )
    parser.add_argument(
        "--all-kernels",
        action="store_true",
        help="the kernels of every training op, for a resolver that takes all of them "
        "(AddTrainOps) or other models; without it those that this model needs",
    )
    parser.add_argument("--force", action="store_true", help="overwrite existing files")


def _run(arguments: argparse.Namespace) -> Exported:
    project = export_project(
        load(arguments.model),
        arguments.format,
        trunk=load(arguments.trunk) if arguments.trunk else None,
        name=arguments.name,
        class_names=datasets.read_names(arguments),
        tflm_header=arguments.tflm_header,
        learning_rate=arguments.lr,
        all_kernels=arguments.all_kernels,
    )
    folder = Path(arguments.output)
    project.write(folder, arguments.force)
    return Exported(
        output=str(folder),
        format=project.format,
        name=project.name,
        ops=project.op_count,
        arena_bytes=project.arena_bytes,
        arena_margin=project.arena_margin,
        trunk_arena_bytes=project.trunk_arena_bytes,
        trains=project.trains,
        state_bytes=project.state_bytes,
        learning_rate=arguments.lr,
        files=tuple(sorted(project.files)),
        class_names=project.class_names or None,
        front_end=project.front_end,
    )


def _show(result: Exported) -> None:
    names = result.class_names
    predicted = result.arena_bytes - result.arena_margin
    shown = vars(result) | {
        "arena_bytes": f"{result.arena_bytes:,} ({predicted:,} predicted, and a margin)",
        "files": len(result.files),
        "trunk_arena_bytes": result.trunk_arena_bytes or None,
        "state_bytes": result.state_bytes if result.trains else None,
        "learning_rate": _rate_said(result.learning_rate) if result.trains else None,
        "class_names": None if names is None else _shown(names),
    }
    del shown["trains"], shown["arena_margin"]
    tables.show_mapping({key: value for key, value in shown.items() if value is not None})
    if not result.trains:
        tables.console().print(
            "infers only: the model holds no training ops; `tflm_train rewrite` adds them",
            soft_wrap=True,
        )


def _rate_said(rate: float) -> str:
    if rate == LEARNING_RATE:
        return f"{rate:g} in the example, a guess; --lr takes the one that `train` reported"
    return f"{rate:g} in the example"


def _shown(names: tuple[str, ...]) -> str:
    if names == tuple(map(str, range(len(names)))):
        return f"0 to {names[-1]}, since the model has none; --class-names or --data gives them"
    return listed(names)


COMMAND = Command(
    "export",
    "Write a firmware project: the model, its ops, a trainer, the kernels, an example.",
    "With a model that does not train, such as `optimize` writes, it infers only.\n"
    "The project compiles against the TFLM that you have.\n"
    "docs/TRAIN_ON_YOUR_BOARD.md shows the way.",
    _arguments,
    _run,
    _show,
)
