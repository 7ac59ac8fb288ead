"""docs/SUPPORTED_OPS.md is what the code says."""

from pathlib import Path

import pytest

from tflm_train.backward_ops.losses import LOSS_RULES
from tflm_train.backward_ops.rules import RULES
from tflm_train.support_table import support_table

PAGE = Path(__file__).resolve().parents[1] / "docs" / "SUPPORTED_OPS.md"


def test_the_page_is_current() -> None:
    assert PAGE.read_text() == support_table(), (
        "run `python -m tflm_train.support_table docs/SUPPORTED_OPS.md`"
    )


@pytest.mark.parametrize("name", sorted(RULES))
def test_every_condition_is_a_sentence(name: str) -> None:
    conditions = RULES[name].constraints()
    assert conditions
    for condition in conditions:
        text = condition.__doc__
        assert text and text[0].isupper() and text.rstrip().endswith("."), condition
        assert f"| {name} |" in support_table()


def test_losses_are_listed() -> None:
    for rule in LOSS_RULES.values():
        assert f"| `{rule.name}` |" in support_table()
        for condition in rule.conditions:
            assert condition.__doc__
