"""The picture of the arena."""

from __future__ import annotations

import builtins
import io
from typing import Any

import pytest
from PIL import Image

from tests.pictures import faults_of, figure_of, texts_of
from tests.stacks import Stack
from tests.steps import full_scheme
from tflm_train.errors import RuntimeFailure
from tflm_train.memory import memory_report
from tflm_train.memory.plot import draw_memory
from tflm_train.model import Model
from tflm_train.pages.labels import Box, Labels
from tflm_train.rewriter import rewrite


@pytest.mark.parametrize("rewritten", [False, True])
def test_draws_every_buffer(digits: Model, rewritten: bool) -> None:
    model = digits
    if rewritten:
        model = Model(rewrite(digits, full_scheme(digits)).model_bytes)
    picture = Image.open(io.BytesIO(draw_memory(memory_report(model)))).convert("RGB")
    colours = {colour for _, colour in picture.getcolors(1 << 24) or []}
    assert picture.width > 1000
    assert (0x9E, 0xCA, 0xE1) in colours  # forward
    assert ((0x74, 0xC4, 0x76) in colours) == rewritten  # gradients
    assert ((0xFF, 0xF3, 0xE0) in colours) == rewritten  # the backward pass, shaded


def stack(layers: int, name: str) -> Model:
    """Layers of growing size, their tensors named alike."""
    made = Stack.start(12, 12, 3, seed=0)
    for index in range(layers):
        made.conv(3 + index % 7, 3, 1, same=True, activation=1)
        made.top.name = name.format(index)
    return made.finish(trainable=True)


@pytest.mark.parametrize(
    "name", ["a/long/folder/{0}/conv_{0}/Relu6", "$x_{{{0}}}$ {0}", "{0}" * 60]
)
@pytest.mark.parametrize("layers", [1, 3, 40, 150])
def test_every_text_can_be_read(layers: int, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    report = memory_report(stack(layers, name))
    assert faults_of(figure_of(lambda: draw_memory(report), monkeypatch)) == []


def test_every_text_of_a_step_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    model = stack(30, "network/block_{0}/conv_{0}/Relu6")
    model = Model(rewrite(model, full_scheme(model)).model_bytes, f"{'long_' * 30}name.tflite")
    figure = figure_of(lambda: draw_memory(memory_report(model)), monkeypatch)
    assert faults_of(figure) == []
    texts = [text.get_text() for text in texts_of(figure)]
    assert "backward pass" in texts and "conv_13/Relu6" in " ".join(texts)
    assert not any("TFLM_TRAIN" in text for text in texts)


def test_names_take_the_room_there_is() -> None:
    labels = Labels(lambda text: (10.0 * len(text), 12.0))
    wide = labels.place(Box(0, 0, 200, 20), ["a/name/that/is/too/long", "is/too/long"])
    assert wide is not None and (wide.text, wide.x, wide.y) == ("is/too/long", 100, 10)
    again = labels.place(Box(0, 0, 200, 20), ["short"])
    assert again is None  # The other one lies there.
    tall = labels.place(Box(300, 0, 20, 100), ["layer_number_7"])
    assert tall is not None and tall.is_up and tall.text == "layer…er_7"
    assert labels.place(Box(500, 0, 70, 20), ["layer_number_7"]) is None
    beside = labels.beside(695, 50, 5, "best", Box(600, 0, 100, 100))
    assert beside is not None and beside.x == 670


def test_without_matplotlib(digits: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *arguments: Any) -> Any:
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(RuntimeFailure, match=r"pip install 'tflm_train\[plot\]'"):
        draw_memory(memory_report(digits))
