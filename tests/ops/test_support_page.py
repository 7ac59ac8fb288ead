"""docs/SUPPORTED_OPS.md has a sentence for every condition."""

import pytest

from tflm_train.backward_ops.losses import LOSS_RULES
from tflm_train.backward_ops.rules import RULES
from tools.generate.support_page import support_page


@pytest.mark.parametrize("name", sorted(RULES))
def test_every_condition_is_a_sentence(name: str) -> None:
    conditions = RULES[name].constraints()
    assert conditions
    for condition in conditions:
        text = condition.__doc__
        assert text and text[0].isupper() and text.rstrip().endswith("."), condition
        assert f"| {name} |" in support_page()


def test_losses_are_listed() -> None:
    for rule in LOSS_RULES.values():
        assert f"| `{rule.name}` |" in support_page()
        for condition in rule.conditions:
            assert condition.__doc__
