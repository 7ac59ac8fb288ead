"""The training ops of a rewritten model in numpy, given the values of its forward pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from tflm_train import ops
from tflm_train.backward_ops.kernel import Array, Step, Target, Twin
from tflm_train.graph import Op, Tensor
from tflm_train.model import Model
from tflm_train.ops.contract import OP_PREFIX
from tflm_train.qas.kernels import KERNELS
from tflm_train.trained.state import StateBlob
from tflm_train.trained.trainable_model import TrainableModel, VariableKind


class BackwardReference:
    """Holds the variables of a rewritten model and steps them in numpy.

    Attributes:
      trainable: The rewritten model.
      step_count: Steps taken.
    """

    def __init__(self, model: Model) -> None:
        """Starts from the factory values.

        Raises:
          ModelError: The model has no training ops, or damaged ones.
        """
        self.trainable = TrainableModel.read(model)
        self.step_count = 0
        self._values: dict[int, Array] = {}
        for variable in self.trainable.variables:
            tensor = variable.tensor
            data = bytes(tensor.nbytes) if variable.factory is None else variable.factory
            values = np.frombuffer(data, tensor.dtype).reshape(tensor.shape)
            self._values[id(tensor)] = values.copy()

    @property
    def variables(self) -> dict[str, Array]:
        """The variables' values as `Interpreter.variables` has them."""
        return {v.key: self._values[id(v.tensor)] for v in self.trainable.variables}

    def set_variables(self, values: Mapping[str, Array]) -> None:
        """Replaces some variables' values.

        Args:
          values: By the keys of `variables`, each in its variable's type and size.
        """
        for variable in self.trainable.variables:
            if variable.key in values:
                tensor = variable.tensor
                value = np.asarray(values[variable.key], tensor.dtype).reshape(tensor.shape)
                self._values[id(tensor)] = value.copy()

    def state(self) -> bytes:
        """The variables as the kernels save them."""
        payload = b"".join(value.tobytes() for value in self.variables.values())
        model = self.trainable
        return StateBlob(model.fingerprint, self.step_count, model.seed, payload).pack()

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
        step = Step(
            variables=self._values,
            scales=self._values_of(VariableKind.SCALES),
            ranges=self._values_of(VariableKind.RANGES),
            activation=activation,
            target=target,
            rate=np.float32(rate),
            seed=self.trainable.seed,
            number=self.step_count + 1,
        )
        for op in self.trainable.model.graph.ops:
            if op.name.startswith(OP_PREFIX):
                params = ops.unpack(op.custom_options or b"", op.name)
                twin = KERNELS[type(params)].twin
                if twin is not None:
                    self.run(twin, op, params, step)
        self.step_count = step.number
        return float(step.loss)

    def run(self, twin: Twin, op: Op, params: ops.Params, step: Step) -> None:
        """Runs one op; a subclass may look at what it leaves behind."""
        twin(op, params, step)

    def _values_of(self, kind: VariableKind) -> Array:
        """Those of scales or ranges; none where no op of the model has a use for them."""
        tensors = [v.tensor for v in self.trainable.variables if v.kind is kind]
        return self._values[id(tensors[0])] if tensors else np.zeros(0, np.float32)
