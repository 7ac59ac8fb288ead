"""A .tflite file as the schema's own objects, for what `tflm_train.model` must not lose."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tflm_train.model import Model
from tflm_train.model.flatbuffer import BUFFER_ALIGNMENT, serialize


def read(data: bytes) -> Any:
    """The schema's `ModelT`."""
    return schema.ModelT.InitFromPackedBuf(data, 0)


def edit(data: bytes, change: Callable[[Any], None]) -> bytes:
    """The file after `change` has altered its `ModelT`."""
    model = read(data)
    change(model)
    return serialize(model, [])


def empty_model(versions: Mapping[str, int], name: str) -> Model:
    """A model without operators and tensors, for a graph made by hand; no converter is needed.

    Args:
      versions: The builtin operators that it may hold, and the version of each.
      name: What to call it in messages.
    """
    raw = schema.ModelT()
    raw.version = 3
    raw.buffers = [schema.BufferT()]
    raw.operatorCodes = []
    for operator, version in {"ADD": 2, **versions}.items():
        code = schema.OperatorCodeT()
        builtin = getattr(schema.BuiltinOperator, operator)
        code.builtinCode = builtin
        code.deprecatedBuiltinCode = min(
            builtin, schema.BuiltinOperator.PLACEHOLDER_FOR_GREATER_OP_CODES
        )
        code.version = version
        raw.operatorCodes.append(code)
    raw.subgraphs = [_one_add()]
    model = Model(serialize(raw, []), name)
    graph = model.graph
    graph.ops, graph.tensors, graph.inputs, graph.outputs = [], [], [], []
    return model


def _one_add() -> Any:
    """A graph to begin with: a file without operators cannot be read."""
    graph = schema.SubGraphT()
    graph.tensors = []
    for name in (b"x", b"y"):
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type = name, [1], schema.TensorType.INT8
        graph.tensors.append(tensor)
    add = schema.OperatorT()
    add.opcodeIndex, add.inputs, add.outputs = 0, [0, 0], [1]
    add.builtinOptionsType = schema.BuiltinOptions.AddOptions
    add.builtinOptions = schema.AddOptionsT()
    graph.operators, graph.inputs, graph.outputs = [add], [0], [1]
    return graph


def plain(node: Any) -> Any:
    """Any schema object as nested dicts, lists and numbers; empty and absent vectors are alike."""
    if isinstance(node, np.ndarray):
        return node.tolist() or None
    if isinstance(node, list):
        return [plain(item) for item in node] or None
    if hasattr(node, "__dict__"):
        return {key: plain(value) for key, value in vars(node).items()}
    return node


def misaligned_buffers(data: bytes) -> list[int]:
    """Buffers whose data does not begin at a multiple of 16 bytes in the file."""
    model = schema.Model.GetRootAs(data, 0)
    found = []
    for index in range(model.BuffersLength()):
        table = model.Buffers(index)._tab
        field = table.Offset(4)
        if field and table.Vector(field) % BUFFER_ALIGNMENT and table.VectorLen(field):
            found.append(index)
    return found


def add_metadata(model: Any, name: bytes, content: bytes) -> None:
    buffer = schema.BufferT(data=np.frombuffer(content, np.uint8))
    entry = schema.MetadataT()
    entry.name, entry.buffer = name, len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or []), entry]


def make_custom(model: Any, builtin: int, name: bytes, options: bytes) -> None:
    """Turns every op of one builtin kind into a custom op."""
    for index, code in enumerate(model.operatorCodes):
        if code.builtinCode == builtin:
            code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
            code.customCode = name
            for op in model.subgraphs[0].operators:
                if op.opcodeIndex == index:
                    op.builtinOptions, op.builtinOptionsType = None, 0
                    op.customOptions = np.frombuffer(options, np.uint8)
