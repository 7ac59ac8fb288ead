"""What is written from the declarations is what is committed."""

import pytest

from tools.generate.files import ROOT, generated


@pytest.mark.parametrize("name", generated())
def test_generated_file_is_current(name: str) -> None:
    assert (ROOT / name).read_text() == generated()[name], "run python -m tools.generate"
