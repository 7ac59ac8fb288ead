"""Writes a firmware project for a model: one that trains, or one that only infers."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tflm_train.data.preparation import Preparation
from tflm_train.errors import DataError, TflmTrainError
from tflm_train.export.description import describe
from tflm_train.export.layouts import ALL_KERNELS, LAYOUTS, Files
from tflm_train.export.provenance import signed
from tflm_train.export.training import STATE_BYTES, TRAINS
from tflm_train.files import NewFile, write_files
from tflm_train.learning.split_pair import check_pair
from tflm_train.model import Model
from tflm_train.model.runnable import require_runnable, runnable_source
from tflm_train.runtime.interpreter import check_rate
from tflm_train.trained.trainable_model import TrainableModel
from tflm_train.version import VERSION

FORMATS = tuple(LAYOUTS)
TFLM_HEADER = "Chirale_TensorFlowLite.h"
"""Of the TFLM in Arduino's Library Manager."""
LEARNING_RATE = 0.005
"""Of an example's steps, by default: within the decade that most presets learn best in."""

_HEADER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./+-]*")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
# Names that would not compile, or hide what the generated code uses.
_TAKEN = frozenset(
    """
    tflite tflm_train std main setup loop arena trainer predictor auto bool break case catch char
    class const default delete do double else enum explicit export extern false float for friend
    goto if inline int long mutable namespace new operator private protected public register return
    short signed sizeof static struct switch template this throw true try typedef union unsigned
    using virtual void volatile while and or not xor asm
    """.split()
)


@dataclass(frozen=True)
class Project:
    """A project not yet written.

    Attributes:
      format: One of `FORMATS`.
      name: C++ namespace, stem of the files, library name.
      files: Contents by path relative to the project's folder.
      arena_bytes: Size of the tensor arena it declares.
      arena_margin: How much of it is added to what is predicted, to be safe.
      trunk_arena_bytes: The trunk's part of it; 0 without a trunk.
      state_bytes: Size of its saved states; 0 where nothing trains.
      class_names: Of the classes, as it holds them; empty where it has none.
      trains: Whether it does more than infer.
      op_count: Ops that its resolver registers.
      front_end: What makes the model's input of recordings, in words; None where none is declared.
    """

    format: str
    name: str
    files: Files
    arena_bytes: int
    arena_margin: int
    trunk_arena_bytes: int
    state_bytes: int
    class_names: tuple[str, ...]
    trains: bool
    op_count: int
    front_end: str | None

    def write(self, folder: Path, force: bool = False) -> None:
        """Writes all files, or none when one is in the way.

        Args:
          folder: Where to; made if need be.
          force: Overwrite files that differ.

        Raises:
          TflmTrainError: A file exists with another content, or cannot be written.
        """
        paths = {folder / path: data for path, data in self.files.items()}
        made: list[Path] = []
        try:
            if folder.exists() and not folder.is_dir():
                raise TflmTrainError(
                    f"{folder} is a file, and a project a folder: choose another name"
                )
            if not force:
                for path, data in paths.items():
                    if path.exists() and path.read_bytes() != data:
                        raise TflmTrainError(
                            f"{path} exists and differs; choose another folder or --force"
                        )
            for path in paths:
                made += [parent for parent in path.parents if not parent.exists()]
                path.parent.mkdir(parents=True, exist_ok=True)
            write_files([NewFile(*item, lambda _: True) for item in paths.items()], force=True)
        except (OSError, TflmTrainError) as error:
            for parent in sorted(made, reverse=True):  # What is deeper comes first.
                with contextlib.suppress(OSError):
                    parent.rmdir()
            if isinstance(error, TflmTrainError):
                raise
            raise TflmTrainError(f"{folder}: cannot be written ({error.strerror})") from error


def export_project(
    model: Model,
    format: str,
    *,
    trunk: Model | None = None,
    name: str | None = None,
    class_names: Sequence[str] | None = None,
    tflm_header: str = TFLM_HEADER,
    learning_rate: float = LEARNING_RATE,
    all_kernels: bool = False,
) -> Project:
    """Makes a firmware project.

    Args:
      model: A rewritten model, for firmware that trains; any other that TFLM and our kernels run,
        such as one of `optimize` or `merge`, for firmware that infers.
      format: One of `FORMATS`.
      trunk: What gives the model's input, from the same `rewrite --split`: both run in one
        firmware.
      name: C++ namespace and stem of the files; the model's file name by default.
      class_names: Names of the classes; by default the labels in the file, or numbers.
      tflm_header: The header by which the Arduino IDE finds the user's library of TFLM.
      learning_rate: Of the example's steps.
      all_kernels: Whether it holds the kernels of every op, for `AddTrainOps` and other models, not
        just of those that this model uses.

    Returns:
      The project.

    Raises:
      ModelError: Its training ops are damaged, or the model of a trunk holds none.
      UnsupportedError: An op or a type that cannot be exported.
      DataError: An unusable name, header or rate, another number of names than of
        classes, or a trunk that gives something else.
    """
    if format not in LAYOUTS:
        raise DataError(f"format {format!r} is none of {', '.join(FORMATS)}")
    chosen = _namespace(_identifier(model.name) if name is None else name)
    if not _HEADER.fullmatch(tflm_header):
        raise DataError(
            f"--tflm-header {tflm_header!r} is no name of a header, such as {TFLM_HEADER}"
        )
    check_rate(learning_rate)
    if trunk is not None:
        check_pair(trunk, model)
        TrainableModel.read(model)  # The tail trains: it is the use of the trunk's latents.
    elif TrainableModel.find(model) is None:
        require_runnable(model)
        model = Model(runnable_source(model), model.name)
    values, names = describe(model, chosen, class_names, trunk)
    values |= {"VERSION": VERSION, "TFLM_HEADER": tflm_header}
    values |= {"LEARNING_RATE": f"{float(learning_rate)!r}f"}
    values |= {ALL_KERNELS: "yes" if all_kernels else ""}
    files = signed(LAYOUTS[format].files(values))
    front_end = Preparation.of(model if trunk is None else trunk).front_end
    return Project(
        format=format,
        name=chosen,
        files=files,
        arena_bytes=int(values["ARENA_BYTES"]),
        arena_margin=int(values["ARENA_MARGIN"]),
        trunk_arena_bytes=int(values["TRUNK_ARENA_BYTES"]),
        state_bytes=int(values.get(STATE_BYTES, 0)),
        class_names=names,
        trains=bool(values[TRAINS]),
        op_count=int(values["OP_COUNT"]),
        front_end=None if front_end is None else front_end.said(),
    )


def _namespace(name: str) -> str:
    """Refuses a name that no C++ namespace can have."""
    if not _NAME.fullmatch(name) or name in _TAKEN or "__" in name:
        raise DataError(
            f"--name {name!r} cannot name a C++ namespace: letters, digits and single _, and no "
            "word of the language"
        )
    return name


def _identifier(file_name: str) -> str:
    """A name made of a file's: `my-model.tflite` gives `my_model`."""
    stem = re.sub(r"[^a-z0-9]+", "_", Path(file_name).stem.lower()).strip("_")
    return stem if stem and stem[0].isalpha() else f"model_{stem}".rstrip("_")
