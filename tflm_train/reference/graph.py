"""The training ops of a rewritten model in numpy, given the values of its forward pass."""

from __future__ import annotations

import zlib
from collections.abc import Callable

import numpy as np

from tflm_train import ops
from tflm_train.backward_ops.kernel import Array, Step, Target, Twin
from tflm_train.errors import ModelError
from tflm_train.graph import Op, Tensor
from tflm_train.model import Model
from tflm_train.ops.contract import BLOB_HEADER, BLOB_MAGIC, BLOB_VERSION, OP_PREFIX
from tflm_train.qas.kernels import KERNELS


class BackwardReference:
    """Holds the variables of a rewritten model and steps them in numpy.

    Attributes:
      model: The rewritten model.
      variables: Values by tensor name, in the order of RESTORE.
      step_count: Steps taken.
    """

    def __init__(self, model: Model) -> None:
        """Starts from the factory values.

        Raises:
          ModelError: The model has no training ops.
        """
        self.model = model
        restore = next((op for op in model.graph.ops if ops.Restore.is_kind_of(op)), None)
        if restore is None:
            raise ModelError(f"{model.name}: it has no training ops; rewrite it first")
        params = ops.unpack(restore.custom_options or b"", restore.name)
        assert isinstance(params, ops.Restore)
        self._restore = params
        self._tensors = ops.Restore.outputs_of(restore).variables
        factory = ops.Restore.inputs_of(restore).factory
        values = b"".join(t.data.tobytes() for t in factory if t is not None and t.data is not None)
        values += bytes(sum(tensor.nbytes for tensor in self._tensors) - len(values))
        self.variables: dict[str, Array] = {}
        for tensor in self._tensors:
            value = np.frombuffer(values[: tensor.nbytes], tensor.dtype).reshape(tensor.shape)
            self.variables[tensor.name] = value.copy()
            values = values[tensor.nbytes :]
        self.step_count = 0

    def state(self) -> bytes:
        """The variables as the kernels save them, packed independently of them."""
        payload = b"".join(self.variables[tensor.name].tobytes() for tensor in self._tensors)
        p = self._restore
        fingerprint = p.fingerprint_hi << 32 | p.fingerprint_lo
        size = BLOB_HEADER.size
        head = BLOB_HEADER.pack(
            BLOB_MAGIC, BLOB_VERSION, size, fingerprint, self.step_count, p.seed, len(payload), 0
        )[:-4]
        checksum = zlib.crc32(payload, zlib.crc32(head))
        return head + checksum.to_bytes(4, "little") + payload

    def backward(self, activation: Callable[[Tensor], Array], target: Target, rate: float) -> float:
        """One training step.

        Args:
          activation: Gives the forward value of a tensor, in its shape.
          target: The class or the target values; None where the model's input is the target.
          rate: The learning rate.

        Returns:
          The loss.

        Raises:
          DataError: The target is out of range.
        """
        number = self.step_count + 1
        seed = self._restore.seed
        step = Step(self.variables, activation, target, np.float32(rate), seed, number)
        for op in self.model.graph.ops:
            if op.name.startswith(OP_PREFIX):
                params = ops.unpack(op.custom_options or b"", op.name)
                twin = KERNELS[type(params)].twin
                if twin is not None:
                    self.run(twin, op, params, step)
        self.step_count = number
        return float(step.loss)

    def run(self, twin: Twin, op: Op, params: ops.Params, step: Step) -> None:
        """Runs one op; a subclass may look at what it leaves behind."""
        twin(op, params, step)
