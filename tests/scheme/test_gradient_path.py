"""How far gradients come, and what is said of where they do not."""

from __future__ import annotations

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tests import raw_model
from tests.single_op import activation, bias, weights
from tflm_train.model import Model, Op, Tensor
from tflm_train.model.layers import list_layers
from tflm_train.scheme.gradient_path import gradient_path


def test_a_float_operator_before_a_barrier_hides_no_reason() -> None:
    """FULLY_CONNECTED, NEG between DEQUANTIZE and QUANTIZE, then what has no gradient rule."""
    kinds = {"FULLY_CONNECTED": 4, "DEQUANTIZE": 2, "NEG": 1, "QUANTIZE": 1, "ZEROS_LIKE": 1}
    model = raw_model.empty_model(kinds, "barrier")
    graph = model.graph
    x, y, z, last = (activation(1, 4) for _ in range(4))
    filters = weights(4, 4)
    fully = [x, filters, bias(4, filters, x)]
    real, negative = (Tensor.make("", np.float32, (1, 4)) for _ in range(2))
    graph.ops = [
        Op("FULLY_CONNECTED", fully, [y], schema.FullyConnectedOptionsT()),
        Op("DEQUANTIZE", [y], [real], schema.DequantizeOptionsT()),
        Op("NEG", [real], [negative], schema.NegOptionsT()),
        Op("QUANTIZE", [negative], [z], schema.QuantizeOptionsT()),
        Op("ZEROS_LIKE", [z], [last], schema.ZerosLikeOptionsT()),
    ]
    for index, tensor in enumerate([*fully, y, real, negative, z, last]):
        tensor.name = f"t{index}"
        graph.add(tensor)
    graph.inputs, graph.outputs = [x], [last]
    model = Model(model.to_bytes(), "barrier")
    (layer,) = list_layers(model.graph)
    why = gradient_path(model, 0).why_not_weights(model.graph, layer)
    assert why is not None and why.startswith("op 4 (ZEROS_LIKE, 't7') between it and the loss")
