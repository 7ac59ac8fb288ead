"""The gallery sees what is wrong with a screen and with a page."""

from __future__ import annotations

from pathlib import Path

from tests import requirements
from tests.steps import DIGITS
from tools import gallery


def test_lines_of_tables_that_are_too_wide() -> None:
    table = "name      bytes\n───────────────\nfirst        12\nsecond       34567890\n\n"
    sentence = "a sentence that is broken by the terminal, and " * 3
    (fault,) = gallery.too_wide(table + sentence, 20)
    assert fault == "21 columns wide: second       34567890"
    assert not list(gallery.too_wide(table + sentence, 30))


def test_screens_at_every_width(tmp_path: Path) -> None:
    made = gallery.Gallery(tmp_path)
    made.screens("inspect", "inspect", DIGITS)
    made.screens("refused", "inspect", "nothing.tflite")
    made.finish()
    assert [fault.split(":")[0] for fault in made.faults] == [
        f"refused.{width}.txt" for width in gallery.WIDTHS
    ]
    for width in gallery.WIDTHS:
        text = (tmp_path / f"inspect.{width}.txt").read_text(encoding="utf-8")
        assert "training adds" in text
        assert text.splitlines()[0] in (tmp_path / "index.html").read_text(encoding="utf-8")


def test_what_a_page_writes_to_the_console(tmp_path: Path) -> None:
    requirements.programs("chromium")
    (tmp_path / "page.html").write_text("<!doctype html><body><script>missing()</script></body>")
    made = gallery.Gallery(tmp_path)
    made.page("page.html")
    pictures = [
        f"page.html.{width}.{mode}.png"
        for width in gallery.PAGE_WIDTHS
        for mode in ("light", "dark")
    ]
    for picture in pictures:
        assert any(
            fault.startswith(f"{picture}: ") and "missing is not defined" in fault
            for fault in made.faults
        )
        assert (tmp_path / picture).exists()
