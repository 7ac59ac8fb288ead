"""Links of the documents lead somewhere; the pages of the site are made of them and the sources."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

import tflm_train
from tests.requirements import ROOT
from tflm_train.cli.commands import COMMANDS
from tools.docs_site import anchors_of, links_of, page_of, write_pages

DOCUMENTS = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "benchmarks/README.md"]
DOCUMENTS += sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("docs/**/*.md"))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document: str) -> None:
    for target, part in links_of(document):
        assert target.exists(), f"{document} links {target}"
        if part and target.suffix == ".md":
            assert part in anchors_of(target), f"{document} links #{part} of {target.name}"


def test_readme_links_every_document() -> None:
    linked = {target.resolve() for target, _ in links_of("README.md")}
    assert {(ROOT / d).resolve() for d in DOCUMENTS[1:]} <= linked


def _entries(found: object) -> list[str]:
    if isinstance(found, dict):
        return [entry for value in found.values() for entry in _entries(value)]
    if isinstance(found, list):
        return [entry for value in found for entry in _entries(value)]
    return [str(found)]


def test_the_site_has_every_page(tmp_path: Path) -> None:
    write_pages(tmp_path / "pages")
    pages = {p.relative_to(tmp_path / "pages").as_posix() for p in tmp_path.rglob("*.md")}
    assert {page_of(document) for document in DOCUMENTS} <= pages
    site = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    assert sorted(_entries(site["nav"])) == sorted(pages)
    for document in DOCUMENTS:
        for target, _ in links_of(document):
            if target.is_file() and target.suffix != ".md":
                assert (tmp_path / "pages" / target.resolve().relative_to(ROOT)).exists()


def test_code_needs_no_scrolling(tmp_path: Path) -> None:
    write_pages(tmp_path)
    for name in ("CLI", "PYTHON"):
        text = (tmp_path / "reference" / f"{name}.md").read_text(encoding="utf-8")
        for block in re.findall(r"^```\w+\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
            wide = [line for line in block.splitlines() if len(line) > 80]
            # A list of choices is one word, and a parameter is one line.
            assert [x for x in wide if not re.search(r"\{\S+$|^    \w+: .*,$", x)] == []


def test_the_references_name_all_there_is(tmp_path: Path) -> None:
    write_pages(tmp_path)
    cli, python, cpp = (
        (tmp_path / "reference" / f"{name}.md").read_text(encoding="utf-8")
        for name in ("CLI", "PYTHON", "CPP")
    )
    assert all(f"\n## {command.name}\n" in cli for command in COMMANDS)
    assert "### state average" in cli and "--measure" in cli
    assert all(f"\n## {name}\n" in python for name in tflm_train.__all__)
    assert "    x_train: Samples,\n" in python and "\n- `x_train`: samples [n, ...]" in python
    assert not re.search(r"^- ` ", python, re.MULTILINE)
    assert "- `budget`: The largest arena" in python
    assert "StateLoad(" in cpp and "AddTrainOps(" in cpp and "class Journal" in cpp
