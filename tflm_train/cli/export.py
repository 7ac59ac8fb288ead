"""`tflm_train export`."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from tflm_train.cli import tables
from tflm_train.cli.command import Command, Parser
from tflm_train.export import FORMATS, TFLM_HEADER, export_project
from tflm_train.files import read_text
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
      trunk_arena_bytes: The trunk's part of it; 0 without `--trunk`.
      state_bytes: Size of a saved state.
      files: Paths of its files within the folder.
      front_end: What makes the model's input of recordings, in C++ as in training.
    """

    output: str
    format: str
    name: str
    ops: int
    arena_bytes: int
    trunk_arena_bytes: int
    state_bytes: int
    files: tuple[str, ...]
    front_end: str | None = sometimes()


def _arguments(parser: Parser) -> None:
    parser.add_argument("model", help="a rewritten .tflite file")
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
    parser.add_argument(
        "--class-names",
        help="names of the classes, separated by commas, or a file with one to a line "
        "(default: the labels in the model file, or numbers)",
    )
    parser.add_argument(
        "--tflm-header",
        metavar="NAME",
        default=TFLM_HEADER,
        help="for --format arduino: the header of your TFLM library, as the sketch includes it "
        "(default: %(default)s, from the Library Manager)",
    )
    parser.add_argument(
        "--all-kernels",
        action="store_true",
        help="the kernels of every training op, for a resolver that takes all of them "
        "(AddTrainOps) or other models; without it those that this model needs",
    )
    parser.add_argument("--force", action="store_true", help="overwrite existing files")


def _run(arguments: argparse.Namespace) -> Exported:
    names = None if arguments.class_names is None else _names(arguments.class_names)
    project = export_project(
        load(arguments.model),
        arguments.format,
        trunk=load(arguments.trunk) if arguments.trunk else None,
        name=arguments.name,
        class_names=names,
        tflm_header=arguments.tflm_header,
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
        trunk_arena_bytes=project.trunk_arena_bytes,
        state_bytes=project.state_bytes,
        files=tuple(sorted(project.files)),
        front_end=project.front_end,
    )


def _names(text: str) -> list[str]:
    path = Path(text)
    if not path.is_file():
        return [name.strip() for name in text.split(",")]
    return read_text(path).splitlines()


def _show(result: Exported) -> None:
    shown = vars(result) | {"files": len(result.files)}
    tables.show_mapping({key: value for key, value in shown.items() if value is not None})


COMMAND = Command(
    "export",
    "Write a firmware project: the model, its ops, a trainer, the kernels, an example.",
    "The project compiles against the TFLM that you have. docs/TRAIN_ON_YOUR_BOARD.md shows the "
    "way.",
    _arguments,
    _run,
    _show,
)
