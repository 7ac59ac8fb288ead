"""The picture of the arena."""

from __future__ import annotations

import builtins
import io
from typing import Any

import pytest
from PIL import Image

from tests.steps import full_scheme
from tflm_train.errors import RuntimeFailure
from tflm_train.memory import memory_report
from tflm_train.memory.plot import draw_memory
from tflm_train.model import Model
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


def test_without_matplotlib(digits: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *arguments: Any) -> Any:
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(RuntimeFailure, match=r"pip install tflm_train\[plot\]"):
        draw_memory(memory_report(digits))
