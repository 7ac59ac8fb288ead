"""The typed graph that the rewriter's passes work on: operators that hold their tensors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

_DTYPES: dict[int, np.dtype[Any]] = {
    schema.TensorType.FLOAT32: np.dtype(np.float32),
    schema.TensorType.FLOAT16: np.dtype(np.float16),
    schema.TensorType.INT32: np.dtype(np.int32),
    schema.TensorType.UINT8: np.dtype(np.uint8),
    schema.TensorType.INT64: np.dtype(np.int64),
    schema.TensorType.BOOL: np.dtype(np.bool_),
    schema.TensorType.INT16: np.dtype(np.int16),
    schema.TensorType.INT8: np.dtype(np.int8),
    schema.TensorType.UINT32: np.dtype(np.uint32),
    schema.TensorType.FLOAT64: np.dtype(np.float64),
}
_TYPE_CODES = {dtype: code for code, dtype in _DTYPES.items()}
_TYPE_NAMES: dict[int, str] = {
    code: name
    for name, code in vars(schema.TensorType).items()
    if isinstance(code, int) and not name.startswith("_")
}
TRAINING_OP_PREFIX = "TFLM_TRAIN_"
"""What the names of our custom ops begin with."""


@dataclass(frozen=True)
class Quantization:
    """Affine quantization: real = scale * (q - zero_point).

    Attributes:
      scale: float32 [1], or [n] along `axis`.
      zero_point: int64, same length as `scale`.
      axis: The quantized dimension when per channel.
    """

    scale: npt.NDArray[np.float32]
    zero_point: npt.NDArray[np.int64]
    axis: int = 0

    @property
    def per_tensor(self) -> bool:
        """Whether one scale serves the whole tensor."""
        return bool(self.scale.size == 1)


@dataclass(eq=False)
class Tensor:
    """One tensor of a subgraph. Compared by identity.

    Attributes:
      name: The name in the file.
      shape: Dimensions.
      type_code: `schema.TensorType`.
      quantization: None when not quantized.
      data: The constant's values, None for an activation or a variable.
      is_variable: TFLM keeps it between invocations.
      place: Its offset in the arena in bytes, where the commands of an NPU expect it; None where
        any place will do.
      raw: The schema object it came from (None for a tensor made by us); unknown things live there.
    """

    name: str
    shape: tuple[int, ...]
    type_code: int
    quantization: Quantization | None = None
    data: npt.NDArray[Any] | None = None
    is_variable: bool = False
    place: int | None = None
    raw: Any = field(default=None, repr=False)

    @property
    def dtype(self) -> np.dtype[Any] | None:
        """The numpy type, None for types numpy has not (strings, resources, int4)."""
        return _DTYPES.get(self.type_code)

    @property
    def short_name(self) -> str:
        """The name up to the first `;`: TensorFlow's converter joins the names of all it fused."""
        return self.name.split(";")[0]

    @property
    def type_name(self) -> str:
        """The type as the schema calls it: INT8, FLOAT32, ..."""
        return _TYPE_NAMES.get(self.type_code, str(self.type_code))

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def nbytes(self) -> int:
        """Size in bytes (0 for types without a fixed element size)."""
        return 0 if self.dtype is None else self.size * self.dtype.itemsize

    @property
    def scale(self) -> float:
        """The per-tensor scale."""
        assert self.quantization is not None
        return float(self.quantization.scale[0])

    @property
    def zero_point(self) -> int:
        """The per-tensor zero point."""
        assert self.quantization is not None
        return int(self.quantization.zero_point[0])

    @staticmethod
    def make(
        name: str,
        dtype: npt.DTypeLike,
        shape: tuple[int, ...],
        *,
        data: npt.NDArray[Any] | None = None,
        quantization: Quantization | None = None,
        is_variable: bool = False,
    ) -> Tensor:
        """Makes a new tensor of a numpy type."""
        code = _TYPE_CODES[np.dtype(dtype)]
        if data is not None:
            data = np.ascontiguousarray(data, dtype=dtype).reshape(shape)
        return Tensor(name, tuple(shape), code, quantization, data, is_variable)

    @staticmethod
    def constant(name: str, data: npt.NDArray[Any]) -> Tensor:
        """Makes a constant of the array's own type and shape."""
        return Tensor.make(name, data.dtype, data.shape, data=data)


@dataclass(eq=False)
class Op:
    """One operator.

    Attributes:
      name: Builtin name (CONV_2D) or the custom op's name.
      inputs: Tensors, None where an optional input is left out.
      outputs: Tensors.
      options: The builtin options object of the schema, or None.
      custom_options: The bytes of a custom op's options.
      is_custom: Whether `name` is a custom op's.
      raw: The schema object it came from, None for an op made by us.
    """

    name: str
    inputs: list[Tensor | None]
    outputs: list[Tensor]
    options: Any = None
    custom_options: bytes | None = None
    is_custom: bool = False
    raw: Any = field(default=None, repr=False)

    @property
    def input(self) -> Tensor:
        """The first input, which every differentiable op has."""
        assert self.inputs[0] is not None
        return self.inputs[0]

    @property
    def output(self) -> Tensor:
        """The first output."""
        return self.outputs[0]

    def optional_input(self, index: int) -> Tensor | None:
        """Input `index`, None where it is left out."""
        return self.inputs[index] if index < len(self.inputs) else None


@dataclass(eq=False)
class Graph:
    """One subgraph.

    Attributes:
      tensors: All of its tensors; those of the file first, in the file's order, so that indices in
        signatures and metadata stay valid.
      ops: Operators in execution order.
      inputs: Subgraph inputs.
      outputs: Subgraph outputs.
    """

    tensors: list[Tensor]
    ops: list[Op]
    inputs: list[Tensor]
    outputs: list[Tensor]

    def add(self, tensor: Tensor) -> Tensor:
        """Registers a new tensor and returns it."""
        self.tensors.append(tensor)
        return tensor

    def producer(self, tensor: Tensor) -> Op | None:
        """The op that writes `tensor`; None for inputs and constants."""
        return next((op for op in self.ops if tensor in op.outputs), None)

    def consumers(self, tensor: Tensor) -> list[Op]:
        """The ops that read `tensor`, in execution order."""
        return [op for op in self.ops if tensor in op.inputs]

    def index(self, op: Op) -> int:
        """The position of `op` in execution order, as errors name it."""
        return self.ops.index(op)

    def walk_tensors(self) -> Iterator[Tensor]:
        """Every tensor that an op or the subgraph's interface uses."""
        seen: set[int] = set()
        for op in self.ops:
            for tensor in [*op.inputs, *op.outputs]:
                if tensor is not None and id(tensor) not in seen:
                    seen.add(id(tensor))
                    yield tensor


def type_code_of(dtype: npt.DTypeLike) -> int:
    """The schema's code of a numpy type."""
    return _TYPE_CODES[np.dtype(dtype)]
