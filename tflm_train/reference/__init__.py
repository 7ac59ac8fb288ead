"""The numpy reference of a whole training step, bit for bit what the kernels do.

    reference = Reference(rewritten_model)
    loss = reference.step(sample, label, learning_rate)
    reference.variables["train/scales"]

Each training op's twin lives beside its gradient (`backward_ops/`) or its update rule; here they
are joined to a step.
"""

from tflm_train.reference.graph import BackwardReference
from tflm_train.reference.reference import Reference

__all__ = ["BackwardReference", "Reference"]
