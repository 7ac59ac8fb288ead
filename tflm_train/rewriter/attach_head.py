"""Replaces, extends or re-initialises the classifier, and puts hidden layers before it.

A fresh head starts at zero: weights and bias zero, weight scale the old classifier's median, and an
output scale of 0.25 (or the old one's when it is sane), because logits on a finer scale saturate
before they can express confidence: 0.06 was measured to destroy training. A regression's output
keeps its scale, which is that of the values it predicts.

An extended head keeps the old classes' weights; the added classes start at zero.

A hidden layer starts with He's uniform weights (He et al., "Delving Deep into Rectifiers", 2015),
which keep the mean square of the activations, so its RELU output gets the range of its input. The
weights fill half of the int8 range, so that they can grow.
"""

from __future__ import annotations

import copy

import numpy as np
import numpy.typing as npt

from tflm_train.backward_ops.losses import SOFTMAX_CROSS_ENTROPY, LossRule
from tflm_train.errors import UnsupportedError
from tflm_train.model import Model, Op, Quantization, Tensor
from tflm_train.model.layers import Layer
from tflm_train.ops.builtin import builtin_of
from tflm_train.ops.constants import LossKind
from tflm_train.scheme.head import Head

LOGITS_SCALE = 0.25
LOGITS_SCALE_RANGE = (0.12, 0.5)

_NO_ACTIVATION = 0
_RELU = 1
_VALID = 1
_INITIAL_STEPS = 64


def attach_head(
    model: Model,
    layer: Layer,
    head: Head,
    loss: LossRule = SOFTMAX_CROSS_ENTROPY,
    seed: int = 0,
) -> list[Op]:
    """Changes a model's last layer in place, and the shapes of all between it and the output.

    Args:
      model: The model; changed.
      layer: Its last layer.
      head: What becomes of it.
      loss: What it will be trained with.
      seed: Of the hidden layers' weights.

    Returns:
      The hidden layers, now ops of the model.

    Raises:
      UnsupportedError: The layer cannot be replaced, or something after it mixes classes.
    """
    for condition in CONDITIONS:
        reason = condition(model, layer)
        if reason is not None:
            raise UnsupportedError(
                f"head.classes: {layer} {reason}; leave `head` out to train the classifier the "
                "model has"
            )
    old = layer.out_channels
    new = old + head.add if head.classes is None else head.classes
    hidden: list[Op] = []
    if head.add:
        _extend_layer(layer, new)
    else:
        hidden = _insert_hidden(model, layer, head.hidden, seed)
        _replace_layer(layer, new)
    if loss.kind is not LossKind.MEAN_SQUARED_ERROR:
        _rescale_logits(layer, keep_coarse=bool(head.add))
    layer.op.output.shape = (*layer.op.output.shape[:-1], new)
    _resize_followers(model, layer, old, new)
    return hidden


def head_is_convolution(model: Model, layer: Layer) -> str | None:
    """The head is a CONV_2D or FULLY_CONNECTED."""
    del model
    if layer.form.is_resizable:
        return None
    return "cannot be replaced; only CONV_2D and FULLY_CONNECTED heads can"


def head_is_quantized(model: Model, layer: Layer) -> str | None:
    """Its input and output are int8, its weights and bias quantized constants."""
    del model
    for tensor in (layer.x, layer.op.output):
        if tensor.type_name != "INT8" or tensor.quantization is None:
            return f"cannot be replaced: {tensor.name!r} is {tensor.type_name}, not quantized int8"
    for tensor in _parameters(layer):
        if tensor.data is None or tensor.quantization is None:
            return f"cannot be replaced: {tensor.name!r} is no quantized constant"
    return None


def head_is_its_own(model: Model, layer: Layer) -> str | None:
    """No other operator shares its weights or bias."""
    for tensor in _parameters(layer):
        if len(model.graph.consumers(tensor)) != 1:
            return f"cannot be replaced: {tensor.name!r} is shared with another op"
    return None


CONDITIONS = (head_is_convolution, head_is_quantized, head_is_its_own)
"""Why a head cannot be replaced, None when it can; the docstrings say what for."""


def _parameters(layer: Layer) -> list[Tensor]:
    return [t for t in (layer.weights, layer.bias) if t is not None]


def _replace_layer(layer: Layer, classes: int) -> None:
    quantization = layer.weights.quantization
    assert quantization is not None
    rows = np.zeros((classes, *layer.weights.shape[1:]), np.int8)
    scale = np.full(classes, np.median(quantization.scale), np.float32)
    _set_rows(layer, rows, scale, np.zeros(classes, np.int32))
    layer.op.options.fusedActivationFunction = _NO_ACTIVATION


def _extend_layer(layer: Layer, classes: int) -> None:
    weights, bias = layer.weights, layer.bias
    assert weights.quantization is not None and weights.data is not None
    count = classes - layer.out_channels
    old = np.broadcast_to(weights.quantization.scale, (layer.out_channels,))
    rows = np.zeros((count, *weights.shape[1:]), np.int8)
    biases = None if bias is None else bias.data
    if biases is None:
        biases = np.zeros(layer.out_channels, np.int32)
    _set_rows(
        layer,
        np.concatenate([weights.data, rows]),
        np.concatenate([old, np.full(count, np.median(old), np.float32)]),
        np.concatenate([biases, np.zeros(count, np.int32)]),
    )


def _set_rows(
    layer: Layer,
    weights: npt.NDArray[np.int8],
    scale: npt.NDArray[np.float32],
    bias: npt.NDArray[np.int32],
) -> None:
    """Gives a layer other output channels; `scale` has one entry for each."""
    tensor = layer.weights
    assert tensor.quantization is not None
    if tensor.quantization.per_tensor:
        scale = scale[:1]
    zeros = np.zeros(scale.size, np.int64)
    tensor.quantization = Quantization(scale, zeros, tensor.quantization.axis)
    tensor.shape, tensor.data = weights.shape, weights
    if layer.bias is not None:
        layer.bias.shape, layer.bias.data = bias.shape, bias
        bias_scale = (np.float32(layer.x.scale) * scale).astype(np.float32)
        layer.bias.quantization = Quantization(bias_scale, zeros, 0)


def _rescale_logits(layer: Layer, keep_coarse: bool) -> None:
    output = layer.op.output
    low, high = LOGITS_SCALE_RANGE
    if not (low <= output.scale <= high or (keep_coarse and output.scale > high)):
        output.quantization = _per_tensor(LOGITS_SCALE, 0)
    elif not keep_coarse:
        output.quantization = _per_tensor(output.scale, 0)


def _insert_hidden(model: Model, layer: Layer, widths: tuple[int, ...], seed: int) -> list[Op]:
    """Puts layers with RELU before a head, whose weights then have as many columns."""
    rng = np.random.default_rng([seed, layer.index])
    x = layer.x
    added: list[Op] = []
    for number, width in enumerate(widths):
        op = _hidden_layer(model, layer, x, f"head/hidden_{number}", width, rng)
        model.graph.ops.insert(model.graph.index(layer.op), op)
        added.append(op)
        x = op.output
    if added:
        layer.op.inputs[0] = x
        layer.weights.shape = (*layer.weights.shape[:-1], x.shape[-1])
    return added


def _hidden_layer(
    model: Model, head: Layer, x: Tensor, name: str, width: int, rng: np.random.Generator
) -> Op:
    fan_in = head.weights.shape[-1] if x is head.x else x.shape[-1]
    convolution = head.form.is_window
    scale = np.float32(2 * np.sqrt(6 / fan_in) / 127)
    shape = (width, 1, 1, fan_in) if convolution else (width, fan_in)
    data = rng.integers(-_INITIAL_STEPS, _INITIAL_STEPS + 1, shape).astype(np.int8)
    weights = Tensor.make(
        f"{name}/weights", np.int8, shape, data=data, quantization=_per_tensor(scale, 0)
    )
    bias = Tensor.make(
        f"{name}/bias",
        np.int32,
        (width,),
        data=np.zeros(width, np.int32),
        quantization=_per_tensor(np.float32(x.scale) * scale, 0),
    )
    options = copy.copy(head.op.options)
    options.fusedActivationFunction = _RELU
    if convolution:
        options.padding = _VALID
        options.strideH = options.strideW = 1
        options.dilationHFactor = options.dilationWFactor = 1
    same_shape = convolution or (len(x.shape) > 1 and x.shape[-1] == fan_in and options.keepNumDims)
    y = Tensor.make(
        name,
        np.int8,
        (*x.shape[:-1], width) if same_shape else (x.size // fan_in, width),
        quantization=_per_tensor(_largest(x) / 255, -128),
    )
    tensors = [model.graph.add(t) for t in (weights, bias, y)]
    return Op(head.op.name, [x, *tensors[:2]], [y], options)


def _largest(x: Tensor) -> float:
    """The largest magnitude that an int8 activation can have, in real units."""
    return x.scale * max(127 - x.zero_point, x.zero_point + 128)


def _resize_followers(model: Model, layer: Layer, old: int, new: int) -> None:
    changed = {id(layer.op.output)}
    for op in model.graph.ops[model.graph.index(layer.op) + 1 :]:
        source = next((t for t in op.inputs if t is not None and id(t) in changed), None)
        if source is None or (old == new and not _keeps_channels(op)):
            continue
        _replace_follower(model, op, source, old, new)
        changed.add(id(op.output))


def _replace_follower(model: Model, op: Op, source: Tensor, old: int, new: int) -> None:
    where = f"op {model.graph.index(op)} ({op.name}, {op.output.name!r})"
    row = builtin_of(op)
    if row is not None and row.chooses_largest:
        return
    if row is None or not (row.keeps_channels or row.is_folded) or not op.output.shape:
        raise UnsupportedError(
            f"head.classes: {where} stands between the head and the output and cannot be resized; "
            "leave `head.classes` out to train the classifier the model has"
        )
    if op.output.shape[-1] != old:
        raise UnsupportedError(
            f"head.classes: {where} changes the class dimension ({op.output.shape}); "
            "leave `head.classes` out to train the classifier the model has"
        )
    op.output.shape = (*op.output.shape[:-1], new)
    if row.keeps_channels and source.quantization is not None:
        op.output.quantization = _per_tensor(source.scale, source.zero_point)
    if row.shape_input is not None:
        target = op.optional_input(row.shape_input)
        if target is not None and target.data is not None:
            shape = np.array(op.output.shape, np.int32)
            # A tensor of its own: the old shape constant may serve other ops.
            op.inputs[row.shape_input] = model.graph.add(
                Tensor.constant(f"{op.output.name}/shape", shape)
            )
        if op.options is not None:
            op.options.newShape = np.array(op.output.shape, np.int32)


def _keeps_channels(op: Op) -> bool:
    row = builtin_of(op)
    return row is not None and row.keeps_channels


def _per_tensor(scale: float | np.float32, zero_point: int) -> Quantization:
    return Quantization(np.array([scale], np.float32), np.array([zero_point], np.int64))
