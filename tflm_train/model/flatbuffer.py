"""Bytes of a .tflite file to the schema's object tree and back.

Three things the generated schema module does not do are done here: errors of a damaged file become
one `ModelError`; every buffer is aligned to 16 bytes (TFLM reads weights in place, and the Python
packer ignores `force_align`); and a zip archive appended to the file (TFLite Metadata's associated
files, such as label lists) is carried over.
"""

import io
import struct
import zipfile
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tflm_train.errors import ModelError

FILE_IDENTIFIER = b"TFL3"
BUFFER_ALIGNMENT = 16

ZipEntries = list[tuple[zipfile.ZipInfo, bytes]]

DAMAGE = (
    struct.error,
    IndexError,
    ValueError,
    TypeError,
    AttributeError,
    OverflowError,
    MemoryError,
    KeyError,
)
"""What reading a damaged file raises."""


class _AlignedBuffer(schema.BufferT):  # type: ignore[misc]
    """A BufferT that packs its data on a 16-byte boundary."""

    def Pack(self, builder: Any) -> Any:  # noqa: N802 - the generated code calls this name
        vector = None
        if self.data is not None:
            payload = bytes(np.asarray(self.data, dtype=np.uint8))
            builder.StartVector(1, len(payload), BUFFER_ALIGNMENT)
            builder.head = builder.head - len(payload)
            builder.Bytes[builder.head : builder.head + len(payload)] = payload
            vector = builder.EndVector()
        schema.BufferStart(builder)
        if vector is not None:
            schema.BufferAddData(builder, vector)
        return schema.BufferEnd(builder)


def parse(data: bytes, name: str) -> tuple[Any, ZipEntries]:
    """Parses the bytes of a .tflite file.

    Args:
      data: The whole file.
      name: What to call the file in errors.

    Returns:
      The schema's `ModelT` object and the entries of the zip tail (empty when there is none).

    Raises:
      ModelError: The bytes are not a whole .tflite file.
    """
    if len(data) < 8 or data[4:8] != FILE_IDENTIFIER:
        raise ModelError(f"{name}: not a .tflite file (no TFL3 identifier in its first 8 bytes)")
    try:
        model = schema.ModelT.InitFromPackedBuf(data, 0)
    except DAMAGE as error:
        raise _damaged(name, error) from error
    _check_tree(model, name)
    return model, _read_zip_tail(data)


def serialize(model: Any, zip_entries: ZipEntries) -> bytes:
    """Packs a `ModelT` (its buffers 16-byte aligned) and appends the zip tail.

    Args:
      model: The schema's `ModelT` object.
      zip_entries: What `parse` returned.

    Returns:
      The bytes of a .tflite file.
    """
    for buffer in model.buffers:
        buffer.__class__ = _AlignedBuffer
    size_hint = sum(0 if b.data is None else len(b.data) + 64 for b in model.buffers)
    builder = flatbuffers.Builder(size_hint + (1 << 16))
    builder.Finish(model.Pack(builder), file_identifier=FILE_IDENTIFIER)
    data = bytes(builder.Output())
    if not zip_entries:
        return data
    stream = io.BytesIO()
    stream.write(data)
    # Metadata readers map associated files in place, so entries keep their own compression type.
    with zipfile.ZipFile(stream, "a") as archive:
        for info, content in zip_entries:
            archive.writestr(info, content)
    return stream.getvalue()


def newer_fields(data: bytes, name: str) -> list[str]:
    """Names the tables that hold fields this schema does not know (they cannot be carried over).

    Args:
      data: The whole file.
      name: What to call the file in errors.

    Returns:
      The tables, as `SubGraph 0` or `Tensor 7`.

    Raises:
      ModelError: A table's directory of fields is damaged.
    """
    try:
        return _newer_fields(data)
    except DAMAGE as error:
        raise _damaged(name, error) from error


def _newer_fields(data: bytes) -> list[str]:
    model = schema.Model.GetRootAs(data, 0)
    found = []
    tables: list[tuple[str, Any, Any]] = [("Model", model, schema.ModelStart)]
    for s in range(model.SubgraphsLength()):
        subgraph = model.Subgraphs(s)
        tables.append((f"SubGraph {s}", subgraph, schema.SubGraphStart))
        for t in range(subgraph.TensorsLength()):
            tables.append((f"Tensor {t}", subgraph.Tensors(t), schema.TensorStart))
        for o in range(subgraph.OperatorsLength()):
            tables.append((f"Operator {o}", subgraph.Operators(o), schema.OperatorStart))
    for label, table, start in tables:
        position = table._tab.Pos
        vtable = position - struct.unpack_from("<i", data, position)[0]
        slots = (struct.unpack_from("<H", data, vtable)[0] - 4) // 2
        known = _field_count(start)
        extra = struct.unpack_from(f"<{slots}H", data, vtable + 4)[known:]
        if any(extra):
            found.append(label)
    return found


def _damaged(name: str, error: Exception) -> ModelError:
    return ModelError(
        f"{name}: truncated or corrupt .tflite file ({type(error).__name__}: {error}); "
        "get an undamaged copy"
    )


def _field_count(start: Any) -> int:
    class Counter:
        count = 0

        def StartObject(self, count: int) -> None:  # noqa: N802 - flatbuffers' name
            self.count = count

    counter = Counter()
    start(counter)
    return counter.count


def _read_zip_tail(data: bytes) -> ZipEntries:
    stream = io.BytesIO(data)
    if not zipfile.is_zipfile(stream):
        return []
    try:
        with zipfile.ZipFile(stream) as archive:
            return [(info, archive.read(info)) for info in archive.infolist()]
    except (zipfile.BadZipFile, NotImplementedError, OSError, EOFError):
        # Bytes that only look like an archive (weights can) are no associated files.
        return []


def _check_tree(model: Any, name: str) -> None:
    """Checks every index that later code follows."""

    def require(condition: bool, what: str) -> None:
        if not condition:
            raise ModelError(f"{name}: corrupt .tflite file: {what}; get an undamaged copy")

    require(bool(model.subgraphs), "it has no subgraph")
    require(bool(model.buffers), "it has no buffer table")
    require(model.operatorCodes is not None, "it has no operator codes")
    for s, subgraph in enumerate(model.subgraphs):
        tensors = subgraph.tensors if subgraph.tensors is not None else []
        operators = subgraph.operators if subgraph.operators is not None else []
        count = len(tensors)
        for t, tensor in enumerate(tensors):
            where = f"subgraph {s}, tensor {t}"
            require(tensor is not None, f"{where} is missing")
            require(0 <= tensor.buffer < len(model.buffers), f"{where} points at no buffer")
            shape = [] if tensor.shape is None else list(tensor.shape)
            require(all(0 <= d < 1 << 28 for d in shape), f"{where} has an absurd shape")
        for o, operator in enumerate(operators):
            where = f"subgraph {s}, operator {o}"
            require(0 <= operator.opcodeIndex < len(model.operatorCodes), f"{where} has no opcode")
            for role in ("inputs", "outputs", "intermediates"):
                indices = getattr(operator, role)
                for index in [] if indices is None else indices:
                    require(-1 <= index < count, f"{where} names tensor {index}")
        for role in ("inputs", "outputs"):
            indices = getattr(subgraph, role)
            for index in [] if indices is None else indices:
                require(0 <= index < count, f"subgraph {s} {role} name tensor {index}")
    for entry in model.metadata or []:
        where = f"metadata {entry.name!r}"
        require(0 <= entry.buffer < len(model.buffers), f"{where} points at no buffer")
    for signature in model.signatureDefs or []:
        where = f"signature {signature.signatureKey!r}"
        require(0 <= signature.subgraphIndex < len(model.subgraphs), f"{where} has no subgraph")
        tensors = model.subgraphs[signature.subgraphIndex].tensors or []
        for entry in [*(signature.inputs or []), *(signature.outputs or [])]:
            index = entry.tensorIndex
            require(0 <= index < len(tensors), f"{where} names tensor {index}")
