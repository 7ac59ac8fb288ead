"""Small models from bug reports: those that are right are taken, and learn.

They lie beside the repository, in `shared/cases/reports`.
"""

from __future__ import annotations

import re

import numpy as np
import pytest

import tflm_train as tt
from tests import requirements
from tests.steps import assert_follows_reference, random_inputs, random_target
from tflm_train.data import load_dataset
from tflm_train.errors import ModelError, UnsupportedError
from tflm_train.model import Model
from tflm_train.model.batch import one_sample
from tflm_train.model.layers import list_layers, uses_of
from tflm_train.reference import Reference
from tflm_train.rewriter import rewrite
from tflm_train.rewriter.inspection import inspect_model
from tflm_train.runtime.model_data import model_inputs
from tflm_train.scheme import Scheme
from tflm_train.scheme.presets import preset_scheme

LEARN = (
    "03_depthwise_no_bias_minus1",
    "05_reshape_after_softmax",
    "06_argmax_end",
    "07_fc_without_options",
    "09_equal_tensor_names",
    "10_weight_minus128",
    "12_hidden_layer_is_output",
    "13_shared_bias_tensor",
    "14_equal_layers_merged",
    "17_uint8_input",
)
_STEPS, _RATE = 5, 0.1
COMPILED_FOR_AN_NPU = ("16_vela_like_cpu_head",)


@pytest.mark.parametrize("name", LEARN)
def test_it_learns(name: str) -> None:
    model = tt.load(requirements.shared() / "cases" / "reports" / f"{name}.tflite")
    result = rewrite(model, preset_scheme("light", model))
    interpreter = tt.Interpreter(result.model_bytes)
    before = interpreter.state()
    rng = np.random.default_rng(0)
    kind = model.graph.inputs[0].type_name
    for sample in random_inputs(model.graph, _STEPS):
        x = sample / np.float32(64) if kind == "FLOAT32" else sample.view(kind.lower())
        interpreter.train_step(x, random_target(interpreter, rng), _RATE)
    assert interpreter.state() != before
    tt.Interpreter(tt.merge(result.model_bytes, interpreter.state()))


@pytest.mark.parametrize("name", COMPILED_FOR_AN_NPU)
def test_the_head_behind_an_npu_trains(name: str) -> None:
    model = tt.load(requirements.shared() / "cases" / "reports" / f"{name}.tflite")
    result = rewrite(model, preset_scheme("head", model))
    assert tt.Model(result.model_bytes).graph.ops[1].name == "ethos-u"


def case(name: str) -> Model:
    return tt.load(requirements.shared() / "cases" / "reports" / f"{name}.tflite")


def scheme(name: str) -> Scheme:
    return Scheme.load(requirements.shared() / "cases" / "reports" / f"{name}.yaml")


@pytest.mark.parametrize("name", ["weights0", "biases_last4", "head_only"])
def test_tied_layers_train_as_one(name: str) -> None:
    model = case("02_siamese_tied_layers")
    new = Model(rewrite(model, scheme(name)).model_bytes)
    interpreter, reference = tt.Interpreter(new), Reference(new)
    first, second = random_inputs(model.graph, 2)
    for _ in range(2):
        assert interpreter.train_step([first, second], 1, 0.5) == reference.step(
            [first, second], 1, 0.5
        )
        assert interpreter.state() == reference.state()
    merged = Model(tt.merge(new, interpreter.state()))
    assert [len(uses_of(list_layers(merged.graph), x)) for x in list_layers(merged.graph)] == [
        *(2, 2, 2, 2),
        1,
    ]


def test_a_layer_of_a_constant_trains_in_part() -> None:
    model = case("04_constant_input_layer")
    for name in ("quarter_layer0_r0", "head_only"):
        tt.Interpreter(Model(rewrite(model, scheme(name)).model_bytes))


def test_what_tflm_lacks_is_said_first() -> None:
    model = case("08_op_unknown_to_tflm_gelu")
    words = r"op 1 \(GELU, .*TFLM has no kernel for it"
    assert any(re.search(words, note) for note in inspect_model(model).notes)
    with pytest.raises(UnsupportedError, match=words):
        rewrite(model, scheme("head_only"))
    with pytest.raises(ModelError, match=words):
        tt.Interpreter(model)


def test_a_batch_becomes_one_sample() -> None:
    """With the answers that TFLM gives to each sample of the batch."""
    model = case("11_batch4")
    described = inspect_model(model)
    assert all(layer.trainable for layer in described.layers)
    result = rewrite(model, preset_scheme("full", one_sample(model)))
    assert any("takes 4 samples at a time" in warning for warning in result.report.warnings)
    trainable, plain = tt.Interpreter(result.model_bytes), tt.Interpreter(model)
    (batch,) = random_inputs(model.graph, 1)
    expected = plain.infer(batch)
    for index in range(4):
        np.testing.assert_array_equal(trainable.infer(batch[index])[0], expected[index])
    assert_follows_reference(Model(result.model_bytes))


def test_cameras_give_uint8() -> None:
    model = case("17_uint8_input")
    folder = requirements.shared() / "cases" / "reports"
    dataset = load_dataset(folder / "data_8x8x2_uint8.npz")
    interpreter = tt.Interpreter(model)
    x = model_inputs(interpreter, dataset.x_train, "x_train")
    np.testing.assert_array_equal(x, dataset.x_train)
    tensor = model.graph.inputs[0]
    real = (dataset.x_train.astype(np.float32) - tensor.zero_point) * np.float32(tensor.scale)
    np.testing.assert_array_equal(model_inputs(interpreter, real, "x_train"), dataset.x_train)


def test_sparse_weights_are_no_damage() -> None:
    with pytest.raises(ModelError, match="is sparse, which TFLM does not read"):
        tt.load(requirements.shared() / "cases" / "zoo" / "sparse_01.tflite")


def test_flex_and_custom_operators_are_named() -> None:
    zoo = requirements.shared() / "cases" / "zoo"
    flex = tt.load(zoo / "resource_variables_05.tflite")
    with pytest.raises(UnsupportedError, match=r"\(Flex.*TensorFlow \(Flex\)"):
        rewrite(flex, preset_scheme("head", flex))
    custom = inspect_model(tt.load(zoo / "refused_other_01.tflite"))
    assert "(ZeroOut, " in custom.notes[0]


@pytest.mark.parametrize(
    ("name", "words"), [("uint8_01", "no uint8 layers"), ("hybrid_01", "dynamic range")]
)
def test_quantizations_that_tflm_lacks_say_what_to_do(name: str, words: str) -> None:
    model = tt.load(requirements.shared() / "cases" / "zoo" / f"{name}.tflite")
    assert words in inspect_model(model).notes[0]
    for attempt in (tt.Interpreter, lambda m: rewrite(m, Scheme())):
        with pytest.raises((ModelError, UnsupportedError), match=f"{words}.*tflm_train quantize"):
            attempt(model)
