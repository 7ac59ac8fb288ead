"""The files that CONTRIBUTING.md sends one to are there."""

import re

import pytest

from tools.generate.files import ROOT

PAGE = (ROOT / "CONTRIBUTING.md").read_text()
PATHS = sorted({p for p in re.findall(r"`([\w./]+)`", PAGE) if "/" in p and "NAME" not in p})


def test_paths_are_found() -> None:
    assert len(PATHS) > 25


@pytest.mark.parametrize("path", PATHS)
def test_file_exists(path: str) -> None:
    assert (ROOT / path).exists()


@pytest.mark.parametrize("folder", re.findall(r"`([\w/]+)/(?:test_)?NAME\.\w+`", PAGE))
def test_folder_of_a_new_file_exists(folder: str) -> None:
    assert (ROOT / folder).is_dir()
