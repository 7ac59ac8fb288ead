"""Models, schemes and data of `benchmarks.refusals`, by the name of their file."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tests import raw_model
from tests.loss_models import loss_model, other_model
from tests.models import convert, converted_model
from tests.single_op import activation, model_of

_CLASSES = 4


def _classifier(function: Callable[[Any], Any] | None = None, batch: int = 1) -> bytes:
    """CONV_2D, a function of its output, a pool, FULLY_CONNECTED, SOFTMAX."""

    def build(layers: Any) -> Any:
        import tensorflow as tf

        x = inputs = layers.Input((8, 8, 2), batch_size=batch)
        x = layers.Conv2D(6, 3, padding="same")(x)
        x = layers.Lambda(function or tf.nn.relu)(x)
        x = layers.GlobalAveragePooling2D()(x)
        return inputs, layers.Softmax()(layers.Dense(_CLASSES)(x))

    return convert(build, 11)


def _gelu() -> bytes:
    def gelu(x: Any) -> Any:
        import tensorflow as tf

        return tf.nn.gelu(x)

    return _classifier(gelu)


def _batch_mixed() -> bytes:
    def shifted(x: Any) -> Any:
        import tensorflow as tf

        return x + tf.reduce_mean(x, axis=0, keepdims=True)

    return _classifier(shifted, batch=2)


def _barrier(behind: int, outputs: int = 1) -> bytes:
    """SPACE_TO_DEPTH, which has no gradient, with so many layers behind it."""

    def build(layers: Any) -> Any:
        import tensorflow as tf

        x = inputs = layers.Input((8, 8, 2), batch_size=1)
        x = before = layers.Conv2D(4, 3, padding="same", activation="relu")(x)
        x = layers.Lambda(lambda t: tf.nn.space_to_depth(t, 2))(layers.Conv2D(4, 1)(x))
        for _ in range(behind):
            x = layers.Conv2D(4, 1)(x)
        x = layers.GlobalAveragePooling2D()(x) if behind else x
        if outputs == 1:
            return inputs, x
        return inputs, [x, layers.Dense(3)(layers.GlobalAveragePooling2D()(before))]

    return convert(build, 12)


def _no_bias() -> bytes:
    def build(layers: Any) -> Any:
        x = inputs = layers.Input((6,), batch_size=1)
        x = layers.Dense(8, use_bias=False, activation="relu")(x)
        return inputs, layers.Dense(_CLASSES)(x)

    def without(raw: Any) -> None:
        op = raw.subgraphs[0].operators[0]
        op.inputs = np.array([*op.inputs[:2], -1], np.int32)

    return raw_model.edit(convert(build, 13), without)


def _mixed_classes() -> bytes:
    """Behind the head, something computes with the classes."""

    def build(layers: Any) -> Any:
        import tensorflow as tf

        x = inputs = layers.Input((6,), batch_size=1)
        x = layers.Dense(4)(layers.Dense(8, activation="relu")(x))
        return inputs, layers.Lambda(lambda t: tf.concat([t[:, 1:], t[:, :1]], 1) - t)(x)

    return convert(build, 14)


def _with_code(data: bytes, name: bytes, rename: str) -> bytes:
    """The model with its operator `rename` as a custom one of a name."""

    def change(raw: Any) -> None:
        number = getattr(schema.BuiltinOperator, rename)
        code = next(c for c in raw.operatorCodes if c.builtinCode == number)
        code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
        code.customCode = name
        for op in raw.subgraphs[0].operators:
            if raw.operatorCodes[op.opcodeIndex] is code:
                op.builtinOptionsType, op.builtinOptions = schema.BuiltinOptions.NONE, None

    return raw_model.edit(data, change)


def _float_only() -> bytes:
    """An int8 FLOOR, as other converters write it."""

    def change(raw: Any) -> None:
        code = next(c for c in raw.operatorCodes if c.builtinCode == schema.BuiltinOperator.TANH)
        code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.FLOOR

    return raw_model.edit(_classifier(_tanh), change)


def _sparse() -> bytes:
    def change(raw: Any) -> None:
        tensor = next(t for t in raw.subgraphs[0].tensors if len(t.shape) == 4 and t.buffer)
        tensor.sparsity = schema.SparsityParametersT()
        tensor.sparsity.traversalOrder = np.arange(4, dtype=np.int32)

    return raw_model.edit(_classifier(), change)


def _uint8() -> bytes:
    def change(raw: Any) -> None:
        for tensor in raw.subgraphs[0].tensors:
            if tensor.type == schema.TensorType.INT8:
                tensor.type = schema.TensorType.UINT8
                tensor.quantization.zeroPoint = np.full(len(tensor.quantization.scale), 128)

    return raw_model.edit(loss_model("regression"), change)


def _trained(name: str = "relu") -> bytes:
    import tflm_train as tt
    from tflm_train.model import Model
    from tflm_train.scheme.presets import preset_scheme

    model = Model(MODELS[name](), f"{name}.tflite")
    return tt.rewrite(model, preset_scheme("head", model)).model_bytes


def _older() -> bytes:
    """A rewritten model whose operators say that they are of version 1."""

    def change(raw: Any) -> None:
        for op in raw.subgraphs[0].operators:
            if op.customOptions is not None:
                op.customOptions = np.array(op.customOptions)
                op.customOptions[2:4] = 1, 0

    return raw_model.edit(_trained(), change)


def _npu() -> bytes:
    """One operator of an Ethos-U from the input to the output."""
    data = model_of("ABS", [activation(1, 4)], [activation(1, 4)], None).source
    return _with_code(data, b"ethos-u", "ABS")


MODELS: dict[str, Callable[[], bytes]] = {
    name: functools.cache(make)
    for name, make in {
        "float": lambda: other_model("float"),
        "hybrid": lambda: other_model("hybrid"),
        "uint8": _uint8,
        "regression": lambda: loss_model("regression"),
        "two_outputs": lambda: loss_model("two_outputs"),
        "two_inputs": lambda: loss_model("two_inputs"),
        "relu": _classifier,
        "gelu": _gelu,
        "float_only": _float_only,
        "flex": lambda: _with_code(_classifier(_tanh), b"FlexErf", "TANH"),
        "custom": lambda: _with_code(_classifier(_tanh), b"MyTanh", "TANH"),
        "sparse": _sparse,
        "bare": lambda: model_of("ABS", [activation(1, 4)], [activation(1, 4)], None).source,
        "damaged": lambda: _classifier()[:-700],
        "relu_train": _trained,
        "regression_train": lambda: _trained("regression"),
        "older_train": _older,
        "batch_mixed": _batch_mixed,
        "barrier": lambda: _barrier(2),
        "barrier_last": lambda: _barrier(0),
        "barrier_two_outputs": lambda: _barrier(0, 2),
        "no_bias": _no_bias,
        "tied": lambda: converted_model("siamese"),
        "heads": lambda: converted_model("heads"),
        "mixed_classes": _mixed_classes,
        "npu": _npu,
    }.items()
}
"""Makes the bytes of each."""


def _tanh(x: Any) -> Any:
    import tensorflow as tf

    return tf.tanh(x)


def _scheme(text: str) -> str:
    return f"version: 1\n{text}\n"


def _layer_beside() -> str:
    """The layer of the other output, whose number is the converter's choice."""
    from tflm_train.model import Model
    from tflm_train.model.layers import list_layers
    from tflm_train.scheme.resolve import feeding_layers

    model = Model(MODELS["two_outputs"]())
    feeding = {layer.index for layer in feeding_layers(model, 0)}
    beside = {layer.index for layer in list_layers(model.graph)} - feeding
    return _scheme(f"update: {{weights: [{{layer: {beside.pop()}}}]}}")


def _output(name: str, is_behind: bool) -> str:
    """The output that comes of an operator, or the other one; their order is the converter's."""
    from tflm_train.model import Model

    graph = Model(MODELS["barrier_two_outputs"]()).graph
    makers = [getattr(graph.producer(output), "name", "") for output in graph.outputs]
    place = next(i for i, maker in enumerate(makers) if (maker == name) == is_behind)
    return _scheme(f"output: {place}\nupdate: {{biases: all}}")


SCHEMES: dict[str, Callable[[], str] | str] = {
    "layer_beside": _layer_beside,
    "barrier_output": lambda: _output("SPACE_TO_DEPTH", True),
    "other_output": lambda: _output("SPACE_TO_DEPTH", False),
    **{f"layer_{i}": _scheme(f"update: {{weights: [{{layer: {i}}}]}}") for i in (0, 1, 2, 99)},
    **{
        f"channel_{i}": _scheme(f"update: {{weights: [{{layer: 0, channels: [{i}]}}]}}")
        for i in (0, 99)
    },
    **{f"output_{i}": _scheme(f"output: {i}\nupdate: {{biases: all}}") for i in (0, 1, 9)},
    "biases_99": _scheme("update: {biases: {last: 99}}"),
    "biases_all": _scheme("update: {biases: all}"),
    "bias_0": _scheme("update: {biases: {layers: [0]}}"),
    "other_model": _scheme(
        "model: {name: mcunet.tflite, layers: 43, channels: 1000}\nupdate: {biases: {last: 1}}"
    ),
    "class_weights_2": _scheme("loss: {class_weights: [1, 2]}"),
    "class_weights_4": _scheme("loss: {class_weights: [1, 2, 1, 1]}"),
    "tied_twice": _scheme("update: {weights: [{layer: 0, ratio: 1}, {layer: 3, ratio: 0.5}]}"),
    "tied_once": _scheme("update: {weights: [{layer: 0, ratio: 1}]}"),
    "sigmoid": _scheme("loss: sigmoid_cross_entropy"),
    "softmax": _scheme("loss: softmax_cross_entropy"),
    "squared": _scheme("loss: mean_squared_error"),
    "target_input": _scheme("loss: {name: mean_squared_error, target: input}"),
}
"""The text of each."""


def write_data() -> None:
    """Writes the data sets into the current folder."""
    rng = np.random.default_rng(0)

    def save(name: str, shape: tuple[int, ...], y: Any) -> None:
        x = rng.uniform(-1, 1, (24, *shape)).astype(np.float32)
        np.savez(name, x_train=x[:16], y_train=y[:16], x_test=x[16:], y_test=y[16:])

    save("vectors.npz", (6,), rng.normal(size=(24, 3)).astype(np.float32))
    save("images.npz", (8, 8, 2), rng.integers(0, _CLASSES, 24))
