"""The graph that everything works on: operators that hold their tensors; knows no file."""

from tflm_train.graph.graph import (
    TRAINING_OP_PREFIX,
    Graph,
    Op,
    Quantization,
    Tensor,
    type_code_of,
)

__all__ = ["TRAINING_OP_PREFIX", "Graph", "Op", "Quantization", "Tensor", "type_code_of"]
