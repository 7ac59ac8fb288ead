"""Whole training steps: TFLM's forward pass, then everything else in numpy."""

from __future__ import annotations

from typing import Any

from tflm_train.backward_ops.kernel import Target
from tflm_train.model import Model
from tflm_train.reference.graph import BackwardReference
from tflm_train.runtime import Interpreter


class Reference(BackwardReference):
    """Trains a rewritten model in numpy.

    The builtin kernels specify inference, so the forward pass is the interpreter's, with this
    reference's variables.
    """

    def __init__(self, model: Model) -> None:
        """Starts from the factory values.

        Raises:
          ModelError: The model has no training ops.
        """
        super().__init__(model)
        self._forward = Interpreter(model, preserve_all=True)

    def step(self, inputs: Any, label: Target, rate: float) -> float:
        """One training step.

        Args:
          inputs: The model's input, or a list of them, as `Interpreter.train_step` takes it.
          label: The class or the target values; None where the model's input is the target.
          rate: The learning rate.

        Returns:
          The loss, the same as `Interpreter.train_step` returns from the same state.

        Raises:
          DataError: An input or the label does not fit the model.
        """
        self._forward.load_state(self.state())
        self._forward.infer(*(inputs if isinstance(inputs, list) else [inputs]))
        return self.backward(self._forward.tensor, label, rate)
