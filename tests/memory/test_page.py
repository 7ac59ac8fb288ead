"""The page of the arena, in a real browser: on a phone, a tablet and a desk, light and dark."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.search.browser import look_at
from tests.steps import DIGITS, full_scheme
from tflm_train.memory import MemoryReport, memory_report
from tflm_train.memory.page import memory_page
from tflm_train.memory.ticks import size_words, ticks
from tflm_train.model import Model, load
from tflm_train.pages.document import is_document
from tflm_train.rewriter import rewrite

# Points at the first buffer and at a moment, and says in the title what was told of each.
_POINTER = """<script>{
const middle = e => { const b = e.getBoundingClientRect();
  return {clientX: b.left + b.width / 2, clientY: b.top + b.height / 2, bubbles: true}; };
const at = (e, name) => { e.dispatchEvent(new PointerEvent(name, middle(e)));
  return document.getElementById("told").textContent; };
const told = [document.getElementById("told").textContent,
  at(document.querySelector("#plot button"), "pointermove"),
  at(document.querySelector(".alive"), "click")];
const zoom = document.getElementById("zoom");
zoom.value = 3; zoom.dispatchEvent(new Event("input"));
const plot = document.getElementById("plot"), scroll = document.getElementById("scroll");
told.push(plot.clientWidth / scroll.clientWidth);
addEventListener("load", () => parent.postMessage(JSON.stringify(
  {width: innerWidth, height: 900, scrolls: false, wide: told, cut: [], names: [], back: "",
   text: ""}), "*"));
}</script>"""


@pytest.fixture(scope="module")
def report() -> MemoryReport:
    digits = load(DIGITS)
    return memory_report(Model(rewrite(digits, full_scheme(digits)).model_bytes, "m.tflite"))


@pytest.fixture(scope="module")
def page(report: MemoryReport, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("memory") / "arena.html"
    path.write_text(memory_page(report))
    return path


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [360, 800, 1280])
def test_nothing_is_cut_off(page: Path, width: int, dark: bool) -> None:
    seen = look_at(page, width, dark, page.with_name(f"{width}_{dark}.png"))
    assert seen.console == []
    assert not seen.scrolls and seen.wide == [] and seen.cut == []


def test_what_is_pointed_at_is_told(page: Path, report: MemoryReport) -> None:
    pointed = page.with_name("pointed.html")
    text = page.read_text().replace("</body>", f"{_POINTER}</body>")
    pointed.write_text(text)
    seen = look_at(pointed, 800, False, page.with_name("pointed.png"))
    assert seen.console == []
    first, buffer, moment, wider = seen.wide
    assert first.startswith(f"The peak, op {report.peak_op} (")
    assert f"{report.peak_bytes:,} bytes alive" in first
    expected = report.plan.buffers[0]
    assert buffer.startswith(expected.name) and f"{expected.size:,} bytes" in buffer
    assert re.match(r"(The peak, o|O)p \d+ \(\w+\): [\d,]+ bytes alive", moment)
    assert float(wider) > 2.5


def test_it_has_every_buffer_and_needs_nothing_else(page: Path, report: MemoryReport) -> None:
    text = page.read_text()
    assert is_document(text.encode())
    assert "http" not in text.replace("http-equiv", "")
    found = re.search(r"id='data'>(.*?)</script>", text)
    assert found is not None
    data = json.loads(found[1])
    assert len(data["buffers"]) == len(report.plan.buffers) == text.count("data-buffer=")
    assert data["alive"] == report.plan.live_bytes() and data["peak"] == report.peak_op


def test_a_name_cannot_end_the_script(report: MemoryReport, digits: Model) -> None:
    model = Model(digits.source, "</script><b>.tflite")
    model.graph.ops[0].output.name = "</script><img src=x>"
    text = memory_page(memory_report(model))
    assert text.count("</script>") == memory_page(report).count("</script>")
    assert "<img" not in text


@pytest.mark.parametrize("most", [0, 1, 3, 10, 151, 999, 23456])
def test_ticks_are_whole_and_few(most: int) -> None:
    for binary in (False, True):
        found = ticks(most, 6, binary=binary)
        assert found[0] == 0 and found[-1] <= most and len(found) <= 7
        assert len(found) >= min(most, 2)
        step = found[1] if len(found) > 1 else 1
        assert str(step).rstrip("0") in {"1", "2", "5"} if not binary else step & (step - 1) == 0


def test_sizes_in_words() -> None:
    assert [size_words(x) for x in (0, 490, 1024, 8000, 2252356)] == [
        "0", "490 B", "1 KB", "7.8 KB", "2,199.6 KB",
    ]  # fmt: skip
