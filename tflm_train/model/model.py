"""A whole .tflite file: the primary subgraph as a `Graph`, everything else as it was."""

from __future__ import annotations

import copy
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tflm_train.errors import ModelError
from tflm_train.files import read_input
from tflm_train.graph import TRAINING_OP_PREFIX, Graph, Op, Quantization, Tensor
from tflm_train.model import flatbuffer, offline_plan
from tflm_train.model.check import check_calls, check_graph
from tflm_train.model.open_shapes import close_shapes, has_open_shapes
from tflm_train.model.resources import list_resources
from tflm_train.ops.builtin import BUILTINS

BUILTIN_NAMES = {
    code: name
    for name, code in vars(schema.BuiltinOperator).items()
    if isinstance(code, int) and not name.startswith("_")
}
"""The schema's names of the builtin operators by code."""
_CLOSED = "they follow from its inputs, and are written down"
_LAST_NARROW_CODE = schema.BuiltinOperator.PLACEHOLDER_FOR_GREATER_OP_CODES


class Model:
    """A .tflite model.

    Attributes:
      graph: The primary subgraph.
      other_graphs: The other subgraphs, to look at: they are written as they were.
      uncalled_subgraphs: Indices of those that the primary subgraph never runs.
      resources: The resource variables that its operators read and assign.
      name: What the model is called in messages (the file's name).
      notes: What was changed of it so that it can train; sentences.
      source: The bytes it was read from.
      has_closed_shapes: Whether the file leaves shapes open that TFLM needs; here they are known.
    """

    def __init__(self, data: bytes, name: str = "model") -> None:
        """Reads a model.

        Args:
          data: The bytes of a .tflite file.
          name: What to call it in messages.

        Raises:
          ModelError: The bytes are not a valid .tflite file.
        """
        self.name = name
        self.notes: tuple[str, ...] = ()
        self.source = bytes(data)
        self._raw, self._zip_entries = flatbuffer.parse(self.source, name)
        graphs = [self._read_graph(raw, i) for i, raw in enumerate(self._raw.subgraphs)]
        self.has_closed_shapes = False
        if has_open_shapes(graphs[0]):
            closed = self._read_graph(self._raw.subgraphs[0], 0)
            if close_shapes(closed):  # else TFLM can run it, and it stays as it is
                graphs[0], self.has_closed_shapes = closed, True
                self.notes = (f"{name} leaves shapes open, which TFLM cannot run; {_CLOSED}",)
        for index, graph in enumerate(graphs):
            check_graph(graph, name, index)
        self.graph, *self.other_graphs = graphs
        self.uncalled_subgraphs = check_calls(graphs, name)
        self.resources = list_resources(graphs, name)
        offline_plan.take_places(self)

    @property
    def newer_fields(self) -> list[str]:
        """Tables of the file with fields newer than our schema; they are lost on writing."""
        return flatbuffer.newer_fields(self.source, self.name)

    def to_bytes(self) -> bytes:
        """Writes the model: untouched parts as they were, all buffers 16-byte aligned."""
        raw = copy.copy(self._raw)
        raw.buffers = list(raw.buffers)
        raw.operatorCodes = list(raw.operatorCodes)
        plan = offline_plan.missing_plan(self)
        if plan is not None:
            _set_metadata(raw, offline_plan.METADATA_NAME, plan)
        before = _referenced_buffers(raw)
        raw.subgraphs = [self._write_graph(raw), *raw.subgraphs[1:]]
        # What no tensor refers to any more (a replaced classifier) need not lie in flash.
        for index in before - _referenced_buffers(raw):
            raw.buffers[index] = schema.BufferT()
        return flatbuffer.serialize(raw, self._zip_entries)

    def metadata(self, name: str) -> bytes | None:
        """The content of a metadata entry, None when there is none."""
        for entry in _items(self._raw.metadata):
            if entry.name == name.encode():
                data = self._raw.buffers[entry.buffer].data
                return b"" if data is None else bytes(data)
        return None

    def set_metadata(self, name: str, data: bytes) -> None:
        """Makes or replaces a metadata entry."""
        self.drop_metadata(name)
        _set_metadata(self._raw, name, data)

    @property
    def tensor_counts(self) -> list[int]:
        """How many tensors each subgraph has, the primary one as it is now."""
        others = self._raw.subgraphs[1:]
        return [len(self.graph.tensors), *(len(_items(s.tensors)) for s in others)]

    @property
    def file_names(self) -> list[str]:
        """Names of the files appended to the model (label lists and the like)."""
        return [info.filename for info, _ in self._zip_entries]

    def associated_file(self, name: str) -> bytes | None:
        """The content of a file appended to the model, None when there is none."""
        return next((data for info, data in self._zip_entries if info.filename == name), None)

    def set_associated_file(self, name: str, text: str | None) -> None:
        """Appends or replaces a file; None removes it."""
        kept = [(info, data) for info, data in self._zip_entries if info.filename != name]
        if text is not None:
            kept.append((zipfile.ZipInfo(name), text.encode()))
        self._zip_entries = kept

    @property
    def signatures(self) -> list[str]:
        """The keys of the model's signatures."""
        return [_text(s.signatureKey) for s in _items(self._raw.signatureDefs)]

    def signature_names(self) -> dict[int, str]:
        """What the signatures of the primary subgraph call its inputs and outputs, by id."""
        names: dict[int, str] = {}
        for signature in _items(self._raw.signatureDefs):
            if signature.subgraphIndex == 0:
                for item in [*_items(signature.inputs), *_items(signature.outputs)]:
                    names.setdefault(id(self.graph.tensors[item.tensorIndex]), _text(item.name))
        return names

    def add_signature(
        self, key: str, inputs: dict[str, Tensor], outputs: dict[str, Tensor]
    ) -> None:
        """Adds a signature of the primary subgraph: names of inputs and outputs."""
        indices = {id(t): i for i, t in enumerate(self.graph.tensors)}

        def maps(tensors: dict[str, Tensor]) -> list[Any]:
            return [
                schema.TensorMapT(name=name.encode(), tensorIndex=indices[id(tensor)])
                for name, tensor in tensors.items()
            ]

        signature = schema.SignatureDefT(
            inputs=maps(inputs), outputs=maps(outputs), signatureKey=key.encode(), subgraphIndex=0
        )
        self._raw.signatureDefs = [*_items(self._raw.signatureDefs), signature]

    def drop_signature(self, key: str) -> None:
        """Removes a signature, if there is one of that key."""
        kept = [s for s in _items(self._raw.signatureDefs) if _text(s.signatureKey) != key]
        self._raw.signatureDefs = kept or None

    def drop_metadata(self, name: str) -> bool:
        """Removes a metadata entry; returns whether there was one."""
        entries = _items(self._raw.metadata)
        kept = [entry for entry in entries if entry.name != name.encode()]
        if len(kept) == len(entries):
            return False
        self._raw.metadata = kept
        for entry in entries:
            if entry not in kept and entry.buffer not in _referenced_buffers(self._raw):
                self._raw.buffers[entry.buffer] = schema.BufferT()
        return True

    def renew_operator_codes(self) -> None:
        """Writes each operator's number into the wide field too, which old converters left empty.

        Interpreters look at both fields, other tools of today at the wide one alone.
        """
        codes = [copy.copy(code) for code in self._raw.operatorCodes]
        for code in codes:
            code.builtinCode = max(code.builtinCode, code.deprecatedBuiltinCode)
        self._raw.operatorCodes = codes

    def add_operator_code(self, name: str) -> None:
        """Lets new operators be of a builtin kind that the file does not have yet."""
        number = getattr(schema.BuiltinOperator, name)
        codes = self._raw.operatorCodes
        if all(max(c.builtinCode, c.deprecatedBuiltinCode) != number for c in codes):
            code = schema.OperatorCodeT()
            code.builtinCode, code.version = number, 1
            code.deprecatedBuiltinCode = min(number, _LAST_NARROW_CODE)
            self._raw.operatorCodes = [*codes, code]

    def drop_unused_tensors(self) -> int:
        """Removes tensors that nothing refers to; TFLM would keep a record of each in RAM.

        Returns:
          How many there were; 0 where an op has intermediate tensors, which have no names here.
        """
        graph = self.graph
        if any(op.raw is not None and len(_items(op.raw.intermediates)) for op in graph.ops):
            return 0
        before = list(graph.tensors)
        self._raw.signatureDefs = copy.deepcopy(self._raw.signatureDefs)
        signatures = [s for s in _items(self._raw.signatureDefs) if s.subgraphIndex == 0]
        entries = [e for s in signatures for e in [*_items(s.inputs), *_items(s.outputs)]]
        used = {id(t) for t in [*graph.walk_tensors(), *graph.inputs, *graph.outputs]}
        used |= {id(before[entry.tensorIndex]) for entry in entries}
        graph.tensors = [t for t in before if id(t) in used]
        indices = {id(t): i for i, t in enumerate(graph.tensors)}
        for entry in entries:
            entry.tensorIndex = indices[id(before[entry.tensorIndex])]
        return len(before) - len(graph.tensors)

    def _read_graph(self, raw: Any, subgraph: int) -> Graph:
        tensors = [self._read_tensor(t, i, subgraph) for i, t in enumerate(_items(raw.tensors))]
        ops = [self._read_op(o, tensors) for o in _items(raw.operators)]
        return Graph(
            tensors,
            ops,
            [tensors[i] for i in _items(raw.inputs)],
            [tensors[i] for i in _items(raw.outputs)],
        )

    def _read_tensor(self, raw: Any, index: int, subgraph: int) -> Tensor:
        shape = tuple(int(d) for d in _items(raw.shape))
        name = _name_of(raw, index)
        tensor = Tensor(name, shape, raw.type, is_variable=bool(raw.isVariable), raw=raw)
        q = raw.quantization
        if q is not None and q.scale is not None and len(q.scale) > 0:
            scale = np.asarray(q.scale, np.float32)
            zero_point = np.zeros(scale.size, np.int64)
            if q.zeroPoint is not None and len(q.zeroPoint) in (1, scale.size):
                zero_point[:] = q.zeroPoint
            elif q.zeroPoint is not None and len(q.zeroPoint) > 0:
                raise ModelError(
                    f"{self.name}: corrupt .tflite file: subgraph {subgraph}, tensor {index} "
                    f"({name!r}): impossible quantization: {len(q.zeroPoint)} zero points for "
                    f"{scale.size} scales; get an undamaged copy"
                )
            tensor.quantization = Quantization(scale, zero_point, int(q.quantizedDimension))
        if raw.sparsity is not None:
            raise ModelError(
                f"{self.name}: tensor {index} ({name!r}) is sparse, which TFLM does not read; "
                "convert the model without sparsity (its zeros stay)"
            )
        data = self._raw.buffers[raw.buffer].data
        if data is not None and len(data) > 0 and tensor.dtype is not None:
            if len(data) != tensor.nbytes:
                raise ModelError(
                    f"{self.name}: corrupt .tflite file: subgraph {subgraph}, tensor {index} "
                    f"({name!r}) needs {tensor.nbytes} bytes but its buffer holds {len(data)}; get "
                    "an undamaged copy"
                )
            tensor.data = np.frombuffer(bytes(data), tensor.dtype).reshape(shape)
        return tensor

    def _read_op(self, raw: Any, tensors: list[Tensor]) -> Op:
        code = self._raw.operatorCodes[raw.opcodeIndex]
        builtin = max(code.builtinCode, code.deprecatedBuiltinCode)
        is_custom = builtin == schema.BuiltinOperator.CUSTOM
        if is_custom:
            name = code.customCode.decode(errors="replace") if code.customCode else "CUSTOM"
        else:
            name = BUILTIN_NAMES.get(builtin, f"BUILTIN_{builtin}")
        options = raw.customOptions
        inputs = [None if i < 0 else tensors[i] for i in _items(raw.inputs)]
        return Op(
            name,
            _without_stand_ins(inputs) if _is_ours(name, is_custom) else inputs,
            [tensors[i] for i in _items(raw.outputs) if i >= 0],
            raw.builtinOptions if is_custom else _options_of(raw, name),
            None if options is None else bytes(np.asarray(options, np.uint8)),
            is_custom,
            raw,
        )

    def _write_graph(self, model: Any) -> Any:
        indices = {id(t): i for i, t in enumerate(self.graph.tensors)}
        raw = copy.copy(self._raw.subgraphs[0])
        raw.tensors = [self._write_tensor(t, i, model) for i, t in enumerate(self.graph.tensors)]
        raw.operators = [self._write_op(op, indices, model) for op in self.graph.ops]
        raw.inputs = np.array([indices[id(t)] for t in self.graph.inputs], np.int32)
        raw.outputs = np.array([indices[id(t)] for t in self.graph.outputs], np.int32)
        return raw

    def _write_tensor(self, tensor: Tensor, index: int, model: Any) -> Any:
        raw = schema.TensorT() if tensor.raw is None else copy.copy(tensor.raw)
        if tensor.raw is None or tensor.name != _name_of(tensor.raw, index):
            raw.name = tensor.name.encode()
        raw.type = tensor.type_code
        if tuple(_items(raw.shape)) != tensor.shape:
            raw.shapeSignature = None
        raw.shape = np.array(tensor.shape, np.int32)
        raw.isVariable = tensor.is_variable
        q = tensor.quantization
        if q is not None:
            raw.quantization = (
                copy.copy(raw.quantization)
                if raw.quantization
                else schema.QuantizationParametersT()
            )
            raw.quantization.scale = q.scale
            raw.quantization.zeroPoint = q.zero_point
            raw.quantization.quantizedDimension = q.axis
        raw.buffer = self._buffer_of(tensor, model)
        return raw

    def _buffer_of(self, tensor: Tensor, model: Any) -> int:
        """The index of the buffer that holds exactly this tensor's data, appended when new."""
        if tensor.data is None:
            if tensor.dtype is None and tensor.raw is not None:
                return int(tensor.raw.buffer)
            if tensor.raw is not None and not _has_data(model.buffers[tensor.raw.buffer]):
                return int(tensor.raw.buffer)
            return self._empty_buffer(model)
        payload = np.frombuffer(tensor.data.tobytes(), np.uint8)
        if tensor.raw is not None:
            existing = model.buffers[tensor.raw.buffer].data
            if existing is not None and np.array_equal(existing, payload):
                return int(tensor.raw.buffer)
        model.buffers.append(schema.BufferT(data=payload))
        return len(model.buffers) - 1

    @staticmethod
    def _empty_buffer(model: Any) -> int:
        # Buffer 0 is empty by convention; a file that breaks it gets an empty one of its own.
        for index, buffer in enumerate(model.buffers):
            if not _has_data(buffer):
                return index
        model.buffers.append(schema.BufferT())
        return len(model.buffers) - 1

    def _write_op(self, op: Op, indices: dict[int, int], model: Any) -> Any:
        raw = schema.OperatorT() if op.raw is None else copy.copy(op.raw)
        if op.raw is None:
            raw.opcodeIndex = self._opcode(op, model)
        inputs = _with_stand_ins(op.inputs) if _is_ours(op.name, op.is_custom) else op.inputs
        if has_absent_bias(op):
            inputs = inputs[:-1]
        raw.inputs = np.array([-1 if t is None else indices[id(t)] for t in inputs], np.int32)
        raw.outputs = np.array([indices[id(t)] for t in op.outputs], np.int32)
        raw.builtinOptions = op.options
        if raw.builtinOptionsType == schema.BuiltinOptions.NONE and op.options is not None:
            raw.builtinOptionsType = _options_code(op.options)
        if op.custom_options is not None:
            raw.customOptions = np.frombuffer(op.custom_options, np.uint8)
        return raw

    @staticmethod
    def _opcode(op: Op, model: Any) -> int:
        if not op.is_custom:
            return _builtin_opcode(op.name, model)
        name = op.name.encode()
        for index, code in enumerate(model.operatorCodes):
            if code.customCode == name:
                return index
        code = schema.OperatorCodeT()
        code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
        code.builtinCode = schema.BuiltinOperator.CUSTOM
        code.customCode = name
        code.version = 1
        model.operatorCodes.append(code)
        return len(model.operatorCodes) - 1


def _is_ours(name: str, is_custom: bool) -> bool:
    return is_custom and name.startswith(TRAINING_OP_PREFIX)


def has_absent_bias(op: Op) -> bool:
    """Whether this is a DEPTHWISE_CONV_2D that names its bias and has none.

    TFLM's kernel reads a third input that is named, through a null pointer; it takes two inputs.
    """
    return op.name == "DEPTHWISE_CONV_2D" and not op.is_custom and op.inputs[2:] == [None]


def _with_stand_ins(inputs: list[Tensor | None]) -> list[Tensor | None]:
    """In the file an absent input of a training op is a repetition of the last one.

    Other tools lose inputs that are left out of a custom op, and move up those behind them.
    """
    return [inputs[-1] if tensor is None else tensor for tensor in inputs]


def _without_stand_ins(inputs: list[Tensor | None]) -> list[Tensor | None]:
    return [None if t is inputs[-1] else t for t in inputs[:-1]] + inputs[-1:]


def _builtin_opcode(name: str, model: Any) -> int:
    """The newest version of a builtin op that the file knows; its kernels take int8."""
    versions = {
        code.version: index
        for index, code in enumerate(model.operatorCodes)
        if BUILTIN_NAMES.get(max(code.builtinCode, code.deprecatedBuiltinCode)) == name
    }
    if not versions:
        raise ModelError(f"the file has no operator code for {name}, which it must have held once")
    return versions[max(versions)]


def _options_of(raw: Any, name: str) -> Any:
    """An operator's options; where the file has none, interpreters take the defaults."""
    row = BUILTINS.get(name)
    if raw.builtinOptions is None and row is not None and row.options is not None:
        return row.options()
    return raw.builtinOptions


def _options_code(options: Any) -> int:
    """Which member of the schema's union an options object is."""
    return int(getattr(schema.BuiltinOptions, type(options).__name__.removesuffix("T")))


def load(path: str | os.PathLike[str]) -> Model:
    """Reads a .tflite file.

    Args:
      path: The file.

    Returns:
      The model, named after the file.

    Raises:
      ModelError: The file cannot be read or is not a valid .tflite file.
    """
    file = Path(path)
    return Model(read_input(file, ModelError), file.name)


def _text(value: bytes | None) -> str:
    return "" if value is None else value.decode(errors="replace")


def _items(vector: Any) -> Any:
    return [] if vector is None else vector


def _name_of(raw: Any, index: int) -> str:
    return raw.name.decode(errors="replace") if raw.name else f"tensor_{index}"


def _set_metadata(raw: Any, name: str, data: bytes) -> None:
    """Makes or replaces a metadata entry of the schema's `ModelT`; its lists are made anew."""
    raw.buffers = [*raw.buffers, schema.BufferT(data=np.frombuffer(data, np.uint8))]
    entry = schema.MetadataT(name=name.encode(), buffer=len(raw.buffers) - 1)
    raw.metadata = [*(e for e in _items(raw.metadata) if e.name != entry.name), entry]


def _referenced_buffers(raw: Any) -> set[int]:
    found = {int(t.buffer) for subgraph in raw.subgraphs for t in _items(subgraph.tensors)}
    found.update(int(entry.buffer) for entry in _items(raw.metadata))
    return found


def _has_data(buffer: Any) -> bool:
    return buffer.data is not None and len(buffer.data) > 0
