"""Saved training states (`docs/NUMERICS.md`, "State blob") without an interpreter.

A blob is what the firmware's StateSave writes: a header and the bytes of the variables, in the
order in which the model's restore op fills them.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tflm_train import kernel_abi as abi
from tflm_train.errors import DataError, ModelError
from tflm_train.model import Model, Op, Tensor

Array = npt.NDArray[Any]

_HEADER = abi.BLOB_HEADER
_CHECKSUM_BYTES = 4


@dataclass(frozen=True)
class StateBlob:
    """A saved state.

    Attributes:
      fingerprint: 64 bits that name the rewritten model.
      step: Training steps taken.
      seed: Of the random rounding.
      payload: The variables' bytes.
    """

    fingerprint: int
    step: int
    seed: int
    payload: bytes

    @staticmethod
    def parse(data: bytes, name: str = "state") -> StateBlob:
        """Reads a blob.

        Args:
          data: The whole blob.
          name: What to call it in messages.

        Raises:
          DataError: Not a blob, another version, cut off or damaged.
        """
        if len(data) < _HEADER.size or data[:4] != abi.BLOB_MAGIC.to_bytes(4, "little"):
            raise DataError(f"{name}: not a saved training state")
        _, version, header, fingerprint, step, seed, size, crc = _HEADER.unpack_from(data)
        if version != abi.BLOB_VERSION or header != _HEADER.size:
            raise DataError(
                f"{name}: written by an incompatible version (format {version}, this is "
                f"{abi.BLOB_VERSION})"
            )
        payload = data[_HEADER.size :]
        if len(payload) != size:
            raise DataError(
                f"{name}: cut off or damaged: {len(payload)} bytes of variables, the header says "
                f"{size}"
            )
        if _checksum(data[: _HEADER.size], payload) != crc:
            raise DataError(f"{name}: damaged: the checksum does not match")
        return StateBlob(fingerprint, step, seed, payload)

    def pack(self) -> bytes:
        """The blob's bytes."""
        size = len(self.payload)
        start = (abi.BLOB_MAGIC, abi.BLOB_VERSION, _HEADER.size)
        crc = 0
        for _ in range(2):  # the checksum covers the header before it
            header = _HEADER.pack(*start, self.fingerprint, self.step, self.seed, size, crc)
            crc = _checksum(header, self.payload)
        return header + self.payload


@dataclass(frozen=True)
class WeightPair:
    """Indices of a layer's weight variable and of the low bits kept beside it.

    Attributes:
      weights: Index among the model's variables.
      residual: Likewise; None where there is none.
      residual_bits: 0, 4 or 8.
    """

    weights: int
    residual: int | None
    residual_bits: int


class StateLayout:
    """Which variables a rewritten model's states hold.

    Attributes:
      fingerprint: Of the model.
      seed: Of the factory state.
      variables: The tensors, in the order of the blob.
      factory: The bytes each is restored from; None for zeros.
      pairs: The weights that train.
    """

    def __init__(self, model: Model) -> None:
        """Reads the layout.

        Args:
          model: A rewritten model.

        Raises:
          ModelError: It holds no training ops, or damaged ones.
        """
        name = abi.OP_PREFIX + abi.RestoreParams.OP
        restore = next((op for op in model.graph.ops if op.name == name), None)
        if restore is None:
            raise ModelError(
                f"{model.name} holds no training ops; run `tflm_train rewrite` on it first"
            )
        params = unpack_params(restore, model)
        assert isinstance(params, abi.RestoreParams)
        self.model_name = model.name
        self.fingerprint = params.fingerprint_lo | params.fingerprint_hi << 32
        self.seed = params.seed
        self.variables: list[Tensor] = restore.outputs[1:]
        self._check_factory(restore, model)
        self.factory = self._read_factory(restore)
        self.pairs = [
            self._pair(op, model)
            for op in model.graph.ops
            if op.name.endswith(("CONV_UPDATE", "DEPTHWISE_UPDATE"))
            and op.name.startswith(abi.OP_PREFIX)
        ]

    @property
    def payload_bytes(self) -> int:
        """Size of all variables."""
        return sum(t.nbytes for t in self.variables)

    def factory_state(self) -> StateBlob:
        """The state before the first step."""
        parts = [
            bytes(variable.nbytes) if f is None else f
            for variable, f in zip(self.variables, self.factory, strict=True)
        ]
        return StateBlob(self.fingerprint, 0, self.seed, b"".join(parts))

    def check(self, blob: StateBlob, name: str = "state") -> None:
        """Refuses a state of another model.

        Raises:
          DataError: The fingerprint or the size differs.
        """
        if blob.fingerprint != self.fingerprint:
            raise DataError(
                f"{name}: saved from another model (fingerprint {blob.fingerprint:016x}, "
                f"{self.model_name} has {self.fingerprint:016x})"
            )
        if len(blob.payload) != self.payload_bytes:
            raise DataError(
                f"{name}: holds {len(blob.payload)} bytes of variables, {self.model_name} has "
                f"{self.payload_bytes}"
            )

    def values(self, blob: StateBlob, name: str = "state") -> list[Array]:
        """The variables' values, in the order of `variables`.

        Raises:
          DataError: The state is another model's.
        """
        self.check(blob, name)
        values = []
        offset = 0
        for tensor in self.variables:
            assert tensor.dtype is not None
            chunk = blob.payload[offset : offset + tensor.nbytes]
            values.append(np.frombuffer(chunk, tensor.dtype).reshape(tensor.shape))
            offset += tensor.nbytes
        return values

    def pack(self, values: Sequence[Array], step: int, seed: int) -> StateBlob:
        """A state from the variables' values."""
        payload = b"".join(
            np.ascontiguousarray(value, tensor.dtype).tobytes()
            for value, tensor in zip(values, self.variables, strict=True)
        )
        return StateBlob(self.fingerprint, step, seed, payload)

    def _check_factory(self, restore: Op, model: Model) -> None:
        """One tensor has the values of the first variables, one after another; others are zero."""
        same = all(v.is_variable and v.dtype is not None for v in self.variables)
        if len(restore.inputs) > 1:
            joint = restore.inputs[1]
            same &= len(restore.inputs) == 2 and joint is not None and joint.data is not None
            same &= joint is not None and joint.type_name == "INT8"
            same &= joint is not None and joint.nbytes <= self.payload_bytes
        if not same:
            raise ModelError(
                f"{model.name}: op {model.graph.index(restore)} ({restore.name}): its constants do "
                "not fit its variables; rewrite the original model again"
            )

    def _read_factory(self, restore: Op) -> list[bytes | None]:
        joint = restore.optional_input(1)
        values = b"" if joint is None or joint.data is None else joint.data.tobytes()
        found: list[bytes | None] = []
        at = 0
        for variable in self.variables:
            part = values[at : at + variable.nbytes]
            found.append(part + bytes(variable.nbytes - len(part)) if part else None)
            at += variable.nbytes
        return found

    def _pair(self, op: Op, model: Model) -> WeightPair:
        params = unpack_params(op, model)
        assert isinstance(params, abi.ConvUpdateParams | abi.DepthwiseUpdateParams)
        residual = op.optional_input(abi.UpdateInput.RESIDUAL)
        return WeightPair(
            self._index(op.optional_input(abi.UpdateInput.WEIGHTS), model),
            None if residual is None else self._index(residual, model),
            params.update.residual_bits,
        )

    def _index(self, tensor: Tensor | None, model: Model) -> int:
        for index, variable in enumerate(self.variables):
            if variable is tensor:
                return index
        raise ModelError(f"{model.name}: an update op's weights are not among the variables")


def unpack_params(op: Op, model: Model) -> abi.OpParams:
    """The parameters of one of our ops.

    Raises:
      ModelError: Another version, or damaged.
    """
    try:
        return abi.unpack(op.custom_options or b"", op.name)
    except ValueError as error:
        raise ModelError(
            f"{model.name}: op {model.graph.index(op)} ({op.name}): {error}"
        ) from error


def _checksum(header: bytes, payload: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(header[: _HEADER.size - _CHECKSUM_BYTES]))
