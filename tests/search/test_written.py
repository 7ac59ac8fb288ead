"""The scheme's file and the report say what was found, and are read by what reads them."""

from __future__ import annotations

import csv
import io

import pytest

from tests.pictures import faults_of, figure_of, texts_of
from tests.search.made_up_search import made_up_search
from tests.steps import DIGITS
from tflm_train.model import load
from tflm_train.pages.document import is_document
from tflm_train.rewriter.rewrite import rewrite
from tflm_train.scheme import Scheme
from tflm_train.search.report.page import About, html_page
from tflm_train.search.report.picture import draw_search
from tflm_train.search.report.table import csv_table, is_table
from tflm_train.search.written import is_scheme, scheme_yaml

ABOUT = About("digits<b>.tflite", "d.npz", "tflm_train search …", (600, 200, 300), 125.0)


@pytest.mark.parametrize("complete", [True, False])
def test_the_file_is_the_scheme(complete: bool) -> None:
    model = load(DIGITS)
    searched = made_up_search(model, complete=complete)
    for outcome in searched.outcomes:
        assert outcome.best is not None
        text = scheme_yaml(searched, outcome, "digits.tflite", "tflm_train search digits.tflite")
        assert is_scheme(text.encode())
        scheme = Scheme.parse(text)
        assert scheme == outcome.best.contender.scheme
        assert rewrite(model, scheme).report.layers
        assert f"{outcome.best.contender.costs.arena:,} bytes" in text
        for update in scheme.weights:
            assert not isinstance(update, str)
            gain = searched.contributions.weights[int(update.layer), update.ratio]
            line = next(x for x in text.splitlines() if f"layer: {update.layer}," in x + ",")
            assert f"{100 * gain.mean:+.1f} ± {100 * gain.error:.1f} points" in line
        assert ("seeds" in text) is complete


def test_the_table_has_all_that_was_measured() -> None:
    searched = made_up_search(load(DIGITS))
    text = csv_table(searched)
    rows = list(csv.DictReader(io.StringIO(text)))
    counts = {kind: sum(row["kind"] == kind for row in rows) for kind in ("biases", "weights")}
    assert counts == {
        "biases": len(searched.contributions.biases),
        "weights": len(searched.contributions.weights),
    }
    finals = [row for row in rows if row["kind"] == "scheme"]
    assert [float(row["score"]) for row in finals] == [
        x.score for outcome in searched.outcomes for x in outcome.ranked if x.finals
    ]
    assert is_table(text.encode())


def test_the_page_asks_for_nothing() -> None:
    page = html_page(made_up_search(load(DIGITS)), ABOUT)
    assert is_document(page.encode())
    assert "digits&lt;b&gt;.tflite" in page and "<b>" not in page
    for word in ("http", "<script", '<link rel="stylesheet', "url(", "@import", "src="):
        assert word not in page


@pytest.mark.parametrize("complete", [True, False])
@pytest.mark.parametrize("budgets", [1, 4])
def test_the_picture(budgets: int, complete: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    searched = made_up_search(load(DIGITS), budgets, complete=complete)
    figure = figure_of(lambda: draw_search(searched), monkeypatch)
    assert faults_of(figure) == []
    assert len(figure.axes) == (2 if complete else 1)
    assert ("optimum" in {text.get_text() for text in texts_of(figure)}) == complete
