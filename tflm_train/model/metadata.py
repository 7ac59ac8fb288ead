"""TFLite Metadata: what a model's inputs and outputs mean, and the names of its classes.

The metadata is a flatbuffer of its own (`metadata_schema.fbs` of TFLite Support) in the model's
metadata entry `TFLITE_METADATA`; the files it names (label lists) are a zip archive at the end of
the model. Only four of its tables are looked into. They are edited by putting new tables in front
of the old bytes, to which the new ones refer: what is not understood here stays as it was.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import flatbuffers
from flatbuffers import encode, number_types
from flatbuffers.table import Table

from tflm_train.errors import ModelError
from tflm_train.model.flatbuffer import DAMAGE
from tflm_train.model.model import Model

METADATA_NAME = "TFLITE_METADATA"

_IDENTIFIER = b"M001"
_ALIGNMENT = 16
_AXIS_LABELS = 2  # AssociatedFileType.TENSOR_AXIS_LABELS
_PRIMARY_SUBGRAPH = 0
_FILE_TYPE = 2
_UNIT_KIND = 0
_NORMALIZATION = 1  # ProcessUnitOptions.NormalizationOptions
_DAMAGE = (*DAMAGE, AssertionError, flatbuffers.builder.OffsetArithmeticError)


class _Field:
    """Fields by table; all of them are references to other tables, vectors or strings."""

    MODEL_SUBGRAPHS = 3
    SUBGRAPH_INPUTS = 2
    SUBGRAPH_OUTPUTS = 3
    TENSOR_NAME = 0
    TENSOR_DESCRIPTION = 1
    TENSOR_PROCESS_UNITS = 4
    TENSOR_FILES = 6
    UNIT_OPTIONS = 1
    OPTIONS_MEAN = 0
    OPTIONS_STD = 1
    FILE_NAME = 0


_MODEL_FIELDS = 8
_SUBGRAPH_FIELDS = 10
_TENSOR_FIELDS = 7


@dataclass(frozen=True)
class TensorNote:
    """What the metadata says of one of our own inputs or outputs."""

    name: str
    description: str


def class_names(model: Model, output: int, count: int) -> tuple[str, ...]:
    """The names of an output's classes, from the label file that the metadata gives it.

    Args:
      model: The model.
      output: Index of the output.
      count: Number of classes; a list of another length is none.

    Returns:
      The names, empty when there are none. Without metadata any text file of that many lines that
      is appended to the model is taken for them.
    """
    names = _label_files(model, output) if model.metadata(METADATA_NAME) else model.file_names
    for name in names:
        labels = _lines(model.associated_file(name))
        if len(labels) == count and name.endswith(".txt"):
            return labels
    return ()


def normalization_options(
    model: Model, index: int
) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """What the metadata says of an input: `(value - mean) / std` is what the model takes.

    Args:
      model: The model.
      index: Of the input.

    Returns:
      Mean and std, of each channel or one for all; None where nothing is said.
    """
    data = model.metadata(METADATA_NAME)
    if data is None:
        return None
    with _reading(model):
        inputs = _Reader(data).tensors(_Field.SUBGRAPH_INPUTS)
        units = _tables(inputs[index], _Field.TENSOR_PROCESS_UNITS) if index < len(inputs) else []
        for unit in units:
            kind, options = (unit.Offset(_slot(f)) for f in (_UNIT_KIND, _Field.UNIT_OPTIONS))
            is_it = kind and unit.Get(number_types.Uint8Flags, unit.Pos + kind) == _NORMALIZATION
            if is_it and options:
                table = Table(unit.Bytes, unit.Indirect(unit.Pos + options))
                return _floats(table, _Field.OPTIONS_MEAN), _floats(table, _Field.OPTIONS_STD)
    return None


def set_class_names(model: Model, output: int, old: int, labels: Sequence[str], new: int) -> None:
    """Puts the label files of an output right after its classes have changed.

    Args:
      model: The model; changed.
      output: Index of the output.
      old: How many of the old classes stay, the first ones.
      labels: Names of the new ones; empty when they have none.
      new: Number of all classes.
    """
    names = _label_files(model, output)
    added = list(labels) or [str(i) for i in range(old, new)]
    kept = []
    for name in names:
        lines = list(_lines(model.associated_file(name))[:old])
        if len(lines) == old and (old or labels):
            model.set_associated_file(name, "\n".join([*lines, *added]) + "\n")
            kept.append(name)
        else:
            # The names of classes that are no more would be lies.
            model.set_associated_file(name, None)
    if labels and not kept:
        name = _unused_name(model)
        unnamed = [str(i) for i in range(old)]
        model.set_associated_file(name, "\n".join([*unnamed, *labels]) + "\n")
        kept.append(name)
    if kept != names:
        with _reading(model):
            _Editor(model).set_label_files(output, kept)


def add_interface(
    model: Model, inputs: Sequence[TensorNote], outputs: Sequence[TensorNote]
) -> None:
    """Describes inputs and outputs that were added behind the model's own.

    A model without metadata stays without.

    Args:
      model: The model, its graph's inputs and outputs complete; changed.
      inputs: What to say of the last inputs.
      outputs: What to say of the last outputs.
    """
    if model.metadata(METADATA_NAME) is not None:
        with _reading(model):
            _Editor(model).resize_interface(inputs, outputs)


def trim_interface(model: Model) -> None:
    """Drops the descriptions of inputs and outputs that the graph has no more."""
    if model.metadata(METADATA_NAME) is not None:
        with _reading(model):
            _Editor(model).resize_interface((), ())


def _label_files(model: Model, output: int) -> list[str]:
    data = model.metadata(METADATA_NAME)
    if data is None:
        return []
    with _reading(model):
        outputs = _Reader(data).tensors(_Field.SUBGRAPH_OUTPUTS)
        if output >= len(outputs):
            return []
        found = []
        for file in _tables(outputs[output], _Field.TENSOR_FILES):
            kind = file.Offset(_slot(_FILE_TYPE))
            is_labels = kind and file.Get(number_types.Int8Flags, file.Pos + kind) == _AXIS_LABELS
            name = file.Offset(_slot(_Field.FILE_NAME))
            if is_labels and name:
                found.append(file.String(file.Pos + name).decode(errors="replace"))
        return found


@contextlib.contextmanager
def _reading(model: Model) -> Iterator[None]:
    """Turns what a damaged flatbuffer causes into a `ModelError`."""
    try:
        yield
    except _DAMAGE as error:
        raise ModelError(
            f"{model.name}: its {METADATA_NAME} is damaged ({type(error).__name__}); write it "
            "again with TFLite Support, or remove it"
        ) from error


def _lines(content: bytes | None) -> tuple[str, ...]:
    return () if content is None else tuple(content.decode(errors="replace").splitlines())


def _unused_name(model: Model) -> str:
    names = model.file_names
    return next(n for i in range(len(names) + 1) if (n := f"labels{i or ''}.txt") not in names)


def _slot(field: int) -> int:
    """The vtable offset of a field."""
    return 4 + 2 * field


def _tables(table: Table, field: int) -> list[Table]:
    """The tables of a vector."""
    offset = table.Offset(_slot(field))
    if not offset:
        return []
    start = table.Vector(offset)
    return [
        Table(table.Bytes, table.Indirect(start + 4 * i)) for i in range(table.VectorLen(offset))
    ]


def _floats(table: Table, field: int) -> tuple[float, ...]:
    """A vector of floats."""
    offset = table.Offset(_slot(field))
    if not offset:
        return ()
    start = table.Vector(offset)
    flags = number_types.Float32Flags
    return tuple(float(table.Get(flags, start + 4 * i)) for i in range(table.VectorLen(offset)))


class _Reader:
    """The primary subgraph's part of the metadata."""

    def __init__(self, data: bytes) -> None:
        root = encode.Get(flatbuffers.packer.uoffset, data, 0)
        self.model = Table(bytearray(data), root)
        self.subgraphs = _tables(self.model, _Field.MODEL_SUBGRAPHS)

    def tensors(self, field: int) -> list[Table]:
        if not self.subgraphs:
            return []
        return _tables(self.subgraphs[_PRIMARY_SUBGRAPH], field)


class _Editor:
    """Writes changed metadata back to a model."""

    def __init__(self, model: Model) -> None:
        self._model = model
        data = model.metadata(METADATA_NAME)
        self._old = None if data is None else _Reader(data)
        self._inputs: list[Table | int] = [*self._tensors(_Field.SUBGRAPH_INPUTS)]
        self._outputs: list[Table | int] = [*self._tensors(_Field.SUBGRAPH_OUTPUTS)]
        self._builder: Any = flatbuffers.Builder(len(data or b"") + 4096)
        self._end = 0
        if data is not None:
            # The old metadata becomes the end of the new: its tables can be referred to.
            builder = self._builder
            builder.StartVector(1, len(data), _ALIGNMENT)
            builder.head -= len(data)
            builder.Bytes[builder.head : builder.head + len(data)] = data
            self._end = builder.Offset()
            builder.EndVector()

    def resize_interface(self, inputs: Sequence[TensorNote], outputs: Sequence[TensorNote]) -> None:
        """As many tensors as the graph has, the last ones described as given."""
        graph = self._model.graph
        self._inputs = self._resized(self._inputs, len(graph.inputs), inputs)
        self._outputs = self._resized(self._outputs, len(graph.outputs), outputs)
        self._write()

    def set_label_files(self, output: int, names: Sequence[str]) -> None:
        """Gives an output these label files, and no other associated files."""
        count = max(output + 1, len(self._model.graph.outputs))
        self._inputs = self._resized(self._inputs, len(self._model.graph.inputs), ())
        self._outputs = self._resized(self._outputs, count, ())
        files = self._vector([self._file(name) for name in names])
        self._outputs[output] = self._table(
            self._outputs[output], _TENSOR_FIELDS, {_Field.TENSOR_FILES: files if names else None}
        )
        self._write()

    def _tensors(self, field: int) -> list[Table]:
        return [] if self._old is None else self._old.tensors(field)

    def _resized(
        self, tensors: list[Table | int], count: int, notes: Sequence[TensorNote]
    ) -> list[Table | int]:
        own = count - len(notes)
        kept = tensors[:own]
        kept += [self._note(TensorNote("", "")) for _ in range(own - len(kept))]
        return [*kept, *(self._note(note) for note in notes)]

    def _note(self, note: TensorNote) -> int:
        texts = {_Field.TENSOR_NAME: note.name, _Field.TENSOR_DESCRIPTION: note.description}
        fields = {f: self._builder.CreateString(text) for f, text in texts.items() if text}
        return self._table(None, _TENSOR_FIELDS, fields)

    def _file(self, name: str) -> int:
        builder = self._builder
        texts = {0: builder.CreateString(name), 1: builder.CreateString("Names of the classes.")}
        builder.StartObject(5)
        for field, offset in texts.items():
            builder.PrependUOffsetTRelativeSlot(field, offset, 0)
        builder.PrependInt8Slot(_FILE_TYPE, _AXIS_LABELS, 0)
        return int(builder.EndObject())

    def _table(self, old: Table | int | None, count: int, changes: dict[int, int | None]) -> int:
        """A table with some fields changed (None: left out), all others as they were."""
        fields: dict[int, int | None] = {}
        if isinstance(old, Table):
            for field in range(count):
                offset = old.Offset(_slot(field))
                if offset:
                    fields[field] = self._end - old.Indirect(old.Pos + offset)
        fields |= changes
        self._builder.StartObject(count)
        for field, reference in fields.items():
            if reference is not None:
                self._builder.PrependUOffsetTRelativeSlot(field, reference, 0)
        return int(self._builder.EndObject())

    def _vector(self, tables: Sequence[Table | int]) -> int:
        self._builder.StartVector(4, len(tables), 4)
        for table in reversed(tables):
            self._builder.PrependUOffsetTRelative(self._reference(table))
        return int(self._builder.EndVector())

    def _reference(self, table: Table | int) -> int:
        return self._end - table.Pos if isinstance(table, Table) else table

    def _write(self) -> None:
        subgraphs = [] if self._old is None else self._old.subgraphs
        changes: dict[int, int | None] = {
            _Field.SUBGRAPH_INPUTS: self._vector(self._inputs),
            _Field.SUBGRAPH_OUTPUTS: self._vector(self._outputs),
        }
        first = self._table(subgraphs[0] if subgraphs else None, _SUBGRAPH_FIELDS, changes)
        vector = self._vector([first, *subgraphs[1:]])
        model = None if self._old is None else self._old.model
        root = self._table(model, _MODEL_FIELDS, {_Field.MODEL_SUBGRAPHS: vector})
        self._builder.Finish(root, file_identifier=_IDENTIFIER)
        self._model.set_metadata(METADATA_NAME, bytes(self._builder.Output()))
