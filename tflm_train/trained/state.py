"""Saved training states (`docs/NUMERICS.md`, "State blob") without an interpreter.

A blob is what the firmware's StateSave writes: a header and the bytes of the variables, in the
order in which the model's restore op fills them.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tflm_train.errors import DataError
from tflm_train.ops.contract import BLOB_HEADER, BLOB_MAGIC, BLOB_VERSION
from tflm_train.trained.trainable_model import TrainableModel, Variable, VariableKind

Array = npt.NDArray[Any]

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
        if len(data) < BLOB_HEADER.size or data[:4] != BLOB_MAGIC.to_bytes(4, "little"):
            raise DataError(f"{name}: not a saved training state")
        _, version, header, fingerprint, step, seed, size, crc = BLOB_HEADER.unpack_from(data)
        if version != BLOB_VERSION or header != BLOB_HEADER.size:
            raise DataError(
                f"{name}: written by an incompatible version (format {version}, this is "
                f"{BLOB_VERSION})"
            )
        payload = data[BLOB_HEADER.size :]
        if len(payload) != size:
            raise DataError(
                f"{name}: cut off or damaged: {len(payload)} bytes of variables, the header says "
                f"{size}"
            )
        if _checksum(data[: BLOB_HEADER.size], payload) != crc:
            raise DataError(f"{name}: damaged: the checksum does not match")
        return StateBlob(fingerprint, step, seed, payload)

    def pack(self) -> bytes:
        """The blob's bytes."""
        size = len(self.payload)
        start = (BLOB_MAGIC, BLOB_VERSION, BLOB_HEADER.size)
        crc = 0
        for _ in range(2):  # the checksum covers the header before it
            header = BLOB_HEADER.pack(*start, self.fingerprint, self.step, self.seed, size, crc)
            crc = _checksum(header, self.payload)
        return header + self.payload


_STEPPED = (VariableKind.WEIGHTS, VariableKind.GATHERED)
"""What the steps of weights change: int8, from -127 to 127."""


class StateLayout:
    """How the states of one rewritten model are laid out.

    Attributes:
      model: The model.
      payload_bytes: Size of all variables.
    """

    def __init__(self, model: TrainableModel) -> None:
        """Takes the layout of a model."""
        self.model = model
        self.payload_bytes = sum(variable.tensor.nbytes for variable in model.variables)

    def factory_state(self) -> StateBlob:
        """The state before the first step."""
        parts = [
            bytes(variable.tensor.nbytes) if variable.factory is None else variable.factory
            for variable in self.model.variables
        ]
        return StateBlob(self.model.fingerprint, 0, self.model.seed, b"".join(parts))

    def check(self, blob: StateBlob, name: str = "state") -> None:
        """Refuses a state of another model, or of no training.

        Raises:
          DataError: The fingerprint or the size differs, or a weight is -128.
        """
        model = self.model
        if blob.fingerprint != model.fingerprint:
            raise DataError(
                f"{name}: saved from another model, or another rewrite of it (fingerprint "
                f"{blob.fingerprint:016x}, {model.name} has {model.fingerprint:016x}); take the "
                "model that it was trained with, or train this one"
            )
        if len(blob.payload) != self.payload_bytes:
            raise DataError(
                f"{name}: holds {len(blob.payload)} bytes of variables, {model.name} has "
                f"{self.payload_bytes}"
            )
        for variable, data in self._parts(blob):
            if variable.kind in _STEPPED and b"\x80" in data:
                raise DataError(
                    f"{name}: not of a training: it holds weights of -128 ({variable.key!r}), and "
                    "steps stop at -127"
                )

    def values(self, blob: StateBlob, name: str = "state") -> list[Array]:
        """The variables' values, in the order of the model's variables.

        Raises:
          DataError: The state is another model's.
        """
        self.check(blob, name)
        values = []
        for variable, data in self._parts(blob):
            tensor = variable.tensor
            assert tensor.dtype is not None
            values.append(np.frombuffer(data, tensor.dtype).reshape(tensor.shape))
        return values

    def _parts(self, blob: StateBlob) -> Iterator[tuple[Variable, bytes]]:
        """Each variable with its bytes of the payload."""
        at = 0
        for variable in self.model.variables:
            end = at + variable.tensor.nbytes
            yield variable, blob.payload[at:end]
            at = end

    def pack(self, values: Sequence[Array], step: int, seed: int) -> StateBlob:
        """A state from the variables' values."""
        payload = b"".join(
            np.ascontiguousarray(value, variable.tensor.dtype).tobytes()
            for value, variable in zip(values, self.model.variables, strict=True)
        )
        return StateBlob(self.model.fingerprint, step, seed, payload)


def _checksum(header: bytes, payload: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(header[: BLOB_HEADER.size - _CHECKSUM_BYTES]))
