"""Which TFLite operators can be differentiated, and by which rule.

Each file beside this one that holds rules names the operators they are for in a `RULES` of its
own, so that an operator is added by adding its file.
"""

from __future__ import annotations

from tflm_train.backward_ops.layer_rule import LayerRule
from tflm_train.backward_ops.registry import declared
from tflm_train.backward_ops.rule import GradientRule
from tflm_train.graph import Op

RULES: dict[str, GradientRule] = dict(sorted(declared("RULES", by=__name__).items()))
"""The rules by operator; each of them has a row in `ops.builtin`."""
TRAINING_IN_PART = tuple(
    name for name, rule in RULES.items() if isinstance(rule, LayerRule) and rule.trains_in_part
)
"""The layers of which some of the input channels can train without the others."""


def layer_rule_of(op: Op) -> LayerRule:
    """The rule of an operator with weights."""
    rule = RULES[op.name]
    assert isinstance(rule, LayerRule)
    return rule
