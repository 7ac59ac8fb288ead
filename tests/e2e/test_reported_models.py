"""Small models from bug reports: those that are right are taken, and learn.

They lie beside the repository, in `shared/cases/reports`.
"""

from __future__ import annotations

import numpy as np
import pytest

import tflm_train as tt
from tests import requirements
from tests.steps import random_inputs, random_target
from tflm_train.scheme.presets import preset_scheme

LEARN = (
    "05_reshape_after_softmax",
    "06_argmax_end",
    "07_fc_without_options",
    "09_equal_tensor_names",
    "12_hidden_layer_is_output",
)
_STEPS, _RATE = 5, 0.1
COMPILED_FOR_AN_NPU = ("16_vela_like_cpu_head",)


@pytest.mark.parametrize("name", LEARN)
def test_it_learns(name: str) -> None:
    model = tt.load(requirements.shared() / "cases" / "reports" / f"{name}.tflite")
    result = tt.rewrite(model, preset_scheme("light", model))
    interpreter = tt.Interpreter(result.model_bytes)
    before = interpreter.state()
    rng = np.random.default_rng(0)
    for sample in random_inputs(model.graph, _STEPS):
        x = sample / np.float32(64) if model.graph.inputs[0].type_name == "FLOAT32" else sample
        interpreter.train_step(x, random_target(interpreter, rng), _RATE)
    assert interpreter.state() != before
    tt.Interpreter(tt.merge(result.model_bytes, interpreter.state()))


@pytest.mark.parametrize("name", COMPILED_FOR_AN_NPU)
def test_the_head_behind_an_npu_trains(name: str) -> None:
    model = tt.load(requirements.shared() / "cases" / "reports" / f"{name}.tflite")
    result = tt.rewrite(model, preset_scheme("head", model))
    assert tt.Model(result.model_bytes).graph.ops[1].name == "ethos-u"
