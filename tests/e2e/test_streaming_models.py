"""Models that keep the state of a stream in resource variables, as wake word models do.

They lie beside the repository, in `shared/cases`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

import tflm_train as tt
from tests import requirements
from tests.export.builds import check_syntax
from tests.memory.test_memory_report import assert_predicted
from tests.steps import random_inputs
from tflm_train.errors import ModelError
from tflm_train.export import export_project
from tflm_train.model import Model
from tflm_train.rewriter import rewrite
from tflm_train.rewriter.inspection import inspect_model
from tflm_train.scheme.presets import preset_scheme

MODELS = ("reports/01_call_once_streaming", *(f"zoo/resource_variables_0{i}" for i in range(1, 5)))
_FRAMES, _RATE = 8, 0.2

Frames = list[npt.NDArray[np.int8]]


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> Model:
    return tt.load(requirements.shared() / "cases" / f"{request.param}.tflite")


def outputs(model: Model | bytes, frames: Frames) -> list[list[int]]:
    interpreter = tt.Interpreter(model)
    return [interpreter.infer(frame).reshape(-1).tolist() for frame in frames]


def on_litert(data: bytes, frames: Frames) -> list[list[int]]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=data)
    interpreter.allocate_tensors()
    found = []
    for frame in frames:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], frame)
        interpreter.invoke()
        found.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))
    return [y.reshape(-1).tolist() for y in found]


def test_every_layer_trains_and_memory_is_exact(model: Model) -> None:
    described = inspect_model(model)
    assert all(layer.trainable for layer in described.layers) and not described.barriers
    assert_predicted(model)
    for preset in ("head", "full"):
        result = rewrite(model, preset_scheme(preset, model))
        assert not result.memory.persistent.unmodelled
        assert_predicted(Model(result.model_bytes))


def test_the_answers_stay_and_those_of_litert_are_alike(model: Model) -> None:
    frames = random_inputs(model.graph, _FRAMES)
    expected = outputs(model, frames)
    for preset in ("head", "full"):
        trainable = rewrite(model, preset_scheme(preset, model)).model_bytes
        assert outputs(trainable, frames) == expected
    pairs = zip(expected, on_litert(model.source, frames), strict=True)
    assert np.abs(np.subtract(*map(np.array, zip(*pairs, strict=True)))).max() <= 1


def test_earlier_frames_matter() -> None:
    model = tt.load(requirements.shared() / "cases" / f"{MODELS[0]}.tflite")
    frames = random_inputs(model.graph, _FRAMES)
    assert outputs(model, frames)[-1] != outputs(model, frames[-1:])[0]


def test_training_is_not_the_streams_business(model: Model) -> None:
    """A step is a frame like any other; saving and loading weights leave the stream alone."""
    frames = random_inputs(model.graph, _FRAMES)
    trainable = rewrite(model, preset_scheme("head", model)).model_bytes
    interpreter, plain = tt.Interpreter(trainable), tt.Interpreter(model)
    plain.infer(frames[0])
    interpreter.infer(frames[0])
    factory = interpreter.state()
    for frame in frames[1:]:
        plain.infer(frame)
        interpreter.train_step(frame, 1, _RATE)
    assert interpreter.state() != factory
    interpreter.load_state(factory)
    for frame in frames:
        np.testing.assert_array_equal(interpreter.infer(frame), plain.infer(frame))


def test_the_merged_model_answers_alike(model: Model) -> None:
    frames = random_inputs(model.graph, _FRAMES)
    trainable = rewrite(model, preset_scheme("head", model)).model_bytes
    interpreter = tt.Interpreter(trainable)
    for frame in frames:
        interpreter.train_step(frame, 1, _RATE)
    merged = tt.merge(trainable, interpreter.state())
    learned = [interpreter.infer(frame).reshape(-1).tolist() for frame in frames]
    assert learned != outputs(model, [*frames, *frames])[_FRAMES:]
    assert learned == outputs(merged, [*frames, *frames])[_FRAMES:]
    on_litert(merged, frames)


def test_firmware(tmp_path: Path) -> None:
    model = tt.load(requirements.shared() / "cases" / f"{MODELS[0]}.tflite")
    trainable = Model(rewrite(model, preset_scheme("head", model)).model_bytes, "wake.tflite")
    export_project(trainable, "c-array").write(tmp_path)
    header = (tmp_path / "wake.h").read_text(encoding="utf-8")
    assert "MicroResourceVariables::Create(allocator_, 1)" in header
    text = (tmp_path / "wake_ops.h").read_text(encoding="utf-8")
    for method in ("CallOnce", "VarHandle", "ReadVariable", "AssignVariable"):
        assert f"resolver.Add{method}()" in text
    check_syntax([tmp_path / "main.cc"], "-std=c++17", f"-I{tmp_path}")


def test_a_variable_of_two_sizes_is_damage() -> None:
    model = tt.load(requirements.shared() / "cases" / f"{MODELS[0]}.tflite")
    assign = next(op for op in model.graph.ops if op.name == "ASSIGN_VARIABLE")
    assign.inputs[1] = next(op.output for op in model.graph.ops if op.name == "CONCATENATION")
    with pytest.raises(ModelError, match="'Variable_1' has 12 bytes in one place and 8 in another"):
        Model(model.to_bytes())
