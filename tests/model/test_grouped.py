"""Groups of a convolution become layers: the same answers, and each of them learns."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tflm_train as tt
from tests.models import convert
from tflm_train.model import Model
from tflm_train.model.grouped import ungrouped
from tflm_train.rewriter.inspection import inspect_model
from tflm_train.scheme.presets import preset_scheme


def grouped(groups: int, width: int = 8) -> Model:
    def build(layers: Any) -> Any:
        x = inputs = layers.Input((6, 6, 2), batch_size=1)
        x = layers.Conv2D(8, 3, padding="same", activation="relu")(x)
        x = layers.Conv2D(width, 3, padding="same", groups=groups, activation="relu")(x)
        x = layers.Conv2D(8, 1, strides=2)(x)
        x = layers.GlobalAveragePooling2D()(x)
        return inputs, layers.Softmax()(layers.Dense(4)(x))

    model = Model(convert(build, 31), "grouped.tflite")
    assert any(
        op.name == "CONV_2D" and op.inputs[1].shape[3] != op.input.shape[3]  # type: ignore[union-attr]
        for op in model.graph.ops
    )
    return model


@pytest.mark.parametrize(("groups", "width"), [(2, 8), (4, 12), (8, 8), (8, 16)])
def test_the_same_answers_and_all_of_it_trains(groups: int, width: int) -> None:
    model = grouped(groups, width)
    plain = ungrouped(model)
    names = [op.name for op in plain.graph.ops]
    assert ("DEPTHWISE_CONV_2D" in names) == (groups == 8)
    assert all(layer.trainable for layer in inspect_model(model).layers)
    result = tt.rewrite(model, preset_scheme("full", plain))
    before, after = tt.Interpreter(model), tt.Interpreter(result.model_bytes)
    samples = np.full((2, 1, 6, 6, 2), -100, np.int8)
    samples[0, ..., 0], samples[1, ..., 1] = 100, 100
    for x in samples:
        assert np.array_equal(before.infer(x), after.infer(x))
    found = []
    for rate in (0.03, 0.3):
        after.reset()
        losses = [[after.train_step(x, i, rate) for i, x in enumerate(samples)] for _ in range(20)]
        found.append(np.mean(losses[-1]) / np.mean(losses[0]))
    # Random logits span little, so that the loss cannot fall far.
    assert min(found) < 0.95, found
    merged = tt.Interpreter(tt.merge(result.model_bytes, after.state()))
    assert all(np.array_equal(merged.infer(x), after.infer(x)) for x in samples)


def test_what_was_done_is_said_and_others_stay() -> None:
    model = grouped(2)
    (note,) = ungrouped(model).notes
    assert note.startswith("op 1 (CONV_2D, '") and "has 2 groups; it becomes 2 layers" in note
    plain = ungrouped(model)
    assert ungrouped(plain) is plain


def test_presets_name_the_layers_that_it_becomes(tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(grouped(2).source)
    for command in ("inspect", "rewrite --preset full", "scheme show full --model"):
        words = [sys.executable, "-m", "tflm_train", *command.split(), "m.tflite", "--json"]
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        # First layer, two groups, last convolution, head.
        layers = json.loads(done.stdout).get("layers")
        assert layers is None or len(layers) == 5, command
        assert layers or "layer: 3" in done.stdout
