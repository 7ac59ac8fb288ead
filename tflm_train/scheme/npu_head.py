"""A last layer behind an NPU: what a fresh head replaces where the NPU computes everything.

A backbone that Vela has compiled whole gives a vector of features. A fully connected layer of the
processor behind it is a head as any other: the output keeps its place and name, and becomes the
class scores; the features are a tensor of their own, where the NPU writes them.
"""

from __future__ import annotations

import math

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tflm_train.graph import Graph, Op, Quantization, Tensor
from tflm_train.model.model import Model
from tflm_train.ops.npu import ETHOS_U
from tflm_train.scheme.head import Head

_PROBABILITIES = (1 / 256, -128)  # TFLite's scale and zero point of SOFTMAX and LOGISTIC
_ANY_SCALE = np.float32(1)  # The head that takes this layer's place chooses its own.
_KIND = "FULLY_CONNECTED"


def why_no_features(graph: Graph, output: int) -> str | None:
    """Why no head can stand behind an output that an NPU makes; None where one can.

    Args:
      graph: Of any model.
      output: Index of one of its outputs.
    """
    tensor = _before_float(graph, graph.outputs[output])
    op = graph.producer(tensor)
    if op is None or not ETHOS_U.is_kind_of(op):
        return f"{tensor.short_name!r} is not what the NPU makes"
    quantization = tensor.quantization
    if tensor.type_name != "INT8" or quantization is None or not quantization.per_tensor:
        return f"{tensor.short_name!r} is {tensor.type_name}, not int8 with one scale"
    if tensor.size < 2 or tensor.size != tensor.shape[-1]:
        shape = "x".join(map(str, tensor.shape))
        return f"it ({shape}) is no vector of features"
    scale, zero_point = _PROBABILITIES
    if math.isclose(tensor.scale, scale, rel_tol=1e-6) and tensor.zero_point == zero_point:
        return "it gives probabilities (its scale is 1/256), no features"
    return None


def with_npu_head(model: Model, output: int, head: Head) -> Model:
    """The model, with a last layer if a fresh head needs one and there is none.

    Args:
      model: Any model; not changed.
      output: Index of the trained output.
      head: What is to become of the last layer.

    Returns:
      A copy that has one, of zeros; the model itself where none is needed or can be.
    """
    if head.classes is None or why_no_features(model.graph, output) is not None:
        return model
    work = Model(model.source, model.name)
    _add_layer(work, output, head.classes)
    return work


def _before_float(graph: Graph, output: Tensor) -> Tensor:
    """The int8 tensor of which a DEQUANTIZE makes an output; the output where none does."""
    op = graph.producer(output)
    return op.input if op is not None and op.name == "DEQUANTIZE" else output


def _add_layer(model: Model, output: int, classes: int) -> None:
    """Puts a FULLY_CONNECTED of zeros between what an NPU makes and an output, in place."""
    graph = model.graph
    scores = _before_float(graph, graph.outputs[output])
    call = graph.producer(scores)
    assert call is not None and scores.quantization is not None
    features = Tensor.make(
        f"{scores.name}/features", np.int8, scores.shape, quantization=scores.quantization
    )
    features.place, scores.place = scores.place, None
    graph.add(features)
    count = features.size
    # As large as He et al. begin with (see `attach_head`): weights from 0 can grow beyond that.
    step = np.float32(2 * np.sqrt(6 / count) / 127)
    weights = Tensor.make(
        "head/weights", np.int8, (classes, count),
        data=np.zeros((classes, count), np.int8), quantization=_per_tensor(step),
    )  # fmt: skip
    bias = Tensor.make(
        "head/bias", np.int32, (classes,),
        data=np.zeros(classes, np.int32),
        quantization=_per_tensor(np.float32(features.scale) * step),
    )  # fmt: skip
    for op in graph.ops:
        op.inputs = [features if t is scores and op.name != "DEQUANTIZE" else t for t in op.inputs]
    call.outputs = [features if t is scores else t for t in call.outputs]
    scores.shape, scores.quantization = (1, classes), _per_tensor(_ANY_SCALE)
    model.add_operator_code(_KIND)
    layer = Op(_KIND, [features, graph.add(weights), graph.add(bias)], [scores])
    layer.options = schema.FullyConnectedOptionsT()
    graph.ops.insert(graph.index(call) + 1, layer)
    dequantized = graph.outputs[output]
    if dequantized is not scores:
        dequantized.shape = scores.shape


def _per_tensor(scale: np.float32) -> Quantization:
    return Quantization(np.array([scale], np.float32), np.zeros(1, np.int64))
