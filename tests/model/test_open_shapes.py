"""Sizes that a model works out while it runs become constants, with the same answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

import tflm_train as tt
from tests import raw_model
from tests.single_op import activation, integers
from tflm_train.model import Graph, Model, Op, Tensor
from tflm_train.model.batch import one_sample
from tflm_train.model.open_shapes import close_shapes
from tflm_train.rewriter.optimize import optimize
from tflm_train.scheme.presets import preset_scheme

TensorFlow = Any
SIZE_OPS = {"SHAPE", "STRIDED_SLICE", "PACK", "CONCATENATION", "CAST", "SLICE"}


def _options(kind: type, **fields: Any) -> Any:
    options = kind()
    vars(options).update(fields)
    return options


def names_of(model: Model) -> set[str]:
    return {op.name for op in model.graph.ops}


def flattened(tf: TensorFlow, x: Any) -> Any:
    """What Keras' Flatten is for an unknown batch; TFLM runs it."""
    return tf.reshape(x, tf.stack([tf.shape(x)[0], 64]))


def by_products(tf: TensorFlow, x: Any) -> Any:
    """Sizes that are computed."""
    sizes = tf.shape(x)
    return tf.reshape(x, tf.stack([sizes[0], sizes[1] * sizes[2] * sizes[3] // 2 + sizes[1] * 8]))


def converted(flatten: Callable[[TensorFlow, Any], Any]) -> bytes:
    """CONV_2D, `flatten`, FULLY_CONNECTED, SOFTMAX in int8, for any number of samples."""
    import tensorflow as tf

    rng = np.random.default_rng(3)
    kernel = tf.constant(rng.normal(0, 0.4, (3, 3, 2, 4)), tf.float32)
    weights = tf.constant(rng.normal(0, 0.2, (64, 5)), tf.float32)

    @tf.function(input_signature=[tf.TensorSpec((None, 4, 4, 2), tf.float32)])
    def model(x: Any) -> Any:
        x = tf.nn.relu(tf.nn.conv2d(x, kernel, 1, "SAME"))
        return tf.nn.softmax(tf.linalg.matmul(flatten(tf, x), weights))

    samples = [rng.uniform(-1, 1, (1, 4, 4, 2)).astype(np.float32) for _ in range(12)]
    converter = tf.lite.TFLiteConverter.from_concrete_functions([model.get_concrete_function()])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([sample] for sample in samples)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    return bytes(converter.convert())


def with_a_shape_of_ones(data: bytes) -> bytes:
    """As converters write the outputs of RESHAPEs whose sizes they do not follow."""

    def change(raw: Any) -> None:
        graph = raw.subgraphs[0]
        code = {raw.operatorCodes[op.opcodeIndex].builtinCode: op for op in graph.operators}
        tensor = graph.tensors[code[schema.BuiltinOperator.RESHAPE].outputs[0]]
        tensor.shape, tensor.shapeSignature = np.array([1, 1]), np.array([-1, -1])

    return raw_model.edit(data, change)


def of_litert(data: bytes, x: np.ndarray) -> np.ndarray:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    # Without XNNPACK, whose rounding is its own.
    kind = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(model_content=data, experimental_op_resolver_type=kind)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


@pytest.mark.parametrize("is_known", [True, False])
@pytest.mark.parametrize("flatten", [flattened, by_products])
def test_a_model_with_open_shapes_trains(
    flatten: Callable[[Any, Any], Any], is_known: bool
) -> None:
    data = converted(flatten) if is_known else with_a_shape_of_ones(converted(flatten))
    model = Model(data, "open.tflite")
    original = one_sample(model)
    assert not SIZE_OPS & names_of(original)
    result = tt.rewrite(model, preset_scheme("full", original))
    trained = tt.Interpreter(result.model_bytes)
    rng = np.random.default_rng(5)
    samples = rng.integers(-128, 128, (6, 1, 4, 4, 2)).astype(np.int8)
    for x in samples:
        expected = of_litert(data, x)
        assert np.abs(trained.infer(x).astype(int) - expected).max() <= 1
        assert np.array_equal(trained.infer(x), tt.Interpreter(model).infer(x))
    losses = [[trained.train_step(x, i % 5, 0.05) for i, x in enumerate(samples)] for _ in range(9)]
    assert np.mean(losses[-1]) < 0.8 * np.mean(losses[0])
    merged = tt.merge(result.model_bytes, trained.state())
    for x in samples:
        assert np.array_equal(tt.Interpreter(merged).infer(x), trained.infer(x))
        assert np.abs(of_litert(merged, x).astype(int) - trained.infer(x)).max() <= 1


def test_optimize_takes_the_operators_out() -> None:
    optimized = optimize(Model(converted(flattened)))
    assert not SIZE_OPS & names_of(Model(optimized.model_bytes))


def test_shapes_that_tflm_needs_are_said() -> None:
    model = Model(with_a_shape_of_ones(converted(flattened)), "open.tflite")
    assert model.has_closed_shapes
    assert model.notes == (
        "open.tflite leaves shapes open, which TFLM cannot run; they follow from its inputs, and "
        "are written down",
    )
    again = Model(model.to_bytes(), "again")
    assert not again.has_closed_shapes and again.notes == ()
    assert not Model(converted(flattened)).has_closed_shapes


def test_what_tflm_runs_is_read_as_it_is() -> None:
    assert {"SHAPE", "STRIDED_SLICE", "PACK"} <= names_of(Model(converted(flattened)))


@pytest.mark.parametrize(
    ("name", "options", "others", "sizes"),
    [
        ("ADD", schema.AddOptionsT(), [integers(1)], [3, 5, 7, 3]),
        ("SUB", schema.SubOptionsT(), [integers(1)], [1, 3, 5, 1]),
        ("MUL", schema.MulOptionsT(), [integers(2)], [4, 8, 12, 4]),
        ("FLOOR_DIV", None, [integers(2)], [1, 2, 3, 1]),
        ("MAXIMUM", None, [integers(3)], [3, 4, 6, 3]),
        ("MINIMUM", None, [integers(3)], [2, 3, 3, 2]),
        ("GATHER", _options(schema.GatherOptionsT, axis=0), [integers(2, 1)], [6, 4]),
        ("SLICE", None, [integers(1), integers(-1)], [4, 6, 2]),
        ("SLICE", None, [integers(1), integers(2)], [4, 6]),
        ("REDUCE_PROD", schema.ReducerOptionsT(), [integers(0)], 96),
        ("EXPAND_DIMS", None, [Tensor.constant("", np.int32(0))], [[2, 4, 6, 2]]),
        ("RESHAPE", None, [integers(2, -1)], [[2, 4], [6, 2]]),
        ("SQUEEZE", schema.SqueezeOptionsT(), [], [2, 4, 6, 2]),
        ("CAST", None, [], [2, 4, 6, 2]),
    ],
)
def test_sizes(name: str, options: Any, others: list[Tensor], sizes: Any) -> None:
    x = activation(2, 4, 6, 2)
    shape, result = Tensor.make("s", np.int32, (4,)), Tensor.make("r", np.int32, (1,))
    read = Tensor.make("y", np.int32, (1,))
    ops = [
        Op("SHAPE", [x], [shape]),
        Op(name, [shape, *others], [result], options),
        Op("RESHAPE", [result, integers(-1)], [read]),
    ]
    graph = Graph([x, shape, result, read, *others], ops, [x], [read])
    close_shapes(graph)
    assert graph.ops[-1].inputs[0] is result and result.data is not None
    assert np.array_equal(result.data, np.array(sizes)) and result.data.dtype == np.int32
