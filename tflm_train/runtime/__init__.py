"""Host execution in the real TFLM interpreter: steps, training loop, data, states."""

from tflm_train.runtime.interpreter import Interpreter

__all__ = ["Interpreter"]
