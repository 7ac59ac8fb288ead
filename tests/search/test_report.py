"""The report in a real browser: on a phone, a tablet and a desk, light and dark."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.search.browser import look_at
from tests.search.made_up_search import made_up_search
from tests.search.test_written import ABOUT
from tests.steps import DIGITS
from tflm_train.model import load
from tflm_train.search.report.page import html_page


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(html_page(made_up_search(load(DIGITS)), ABOUT))
    return path


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [360, 800, 1280])
def test_nothing_is_cut_off(page: Path, width: int, dark: bool) -> None:
    picture = page.with_name(f"{width}_{dark}.png")
    seen = look_at(page, width, dark, picture)
    assert seen.console == []
    assert not seen.scrolls and seen.wide == []
    assert seen.cut == [] and seen.names == []
    back, text = (_brightness(colour) for colour in (seen.back, seen.text))
    assert (back < 60 < 200 < text) if dark else (text < 60 < 200 < back)
    with Image.open(picture) as image:
        pixels = np.asarray(image.convert("RGB"))
    assert pixels.shape[0] == seen.height
    assert np.abs(pixels[5, 5].mean() - back) < 3


def _brightness(colour: str) -> float:
    return float(np.mean([int(x) for x in colour[colour.index("(") + 1 : -1].split(",")[:3]]))
