"""Which TFLite operators can be differentiated, and by which rule.

Each module beside this one that holds rules names the operators they are for in a `RULES` of its
own, so that an operator is added by adding its file.
"""

from __future__ import annotations

import importlib
import pkgutil

from tflm_train import backward_ops
from tflm_train.backward_ops.layer_rule import LayerRule
from tflm_train.backward_ops.rule import GradientRule
from tflm_train.graph import Op


def _collect() -> dict[str, GradientRule]:
    rules: dict[str, GradientRule] = {}
    for found in pkgutil.iter_modules(backward_ops.__path__, f"{backward_ops.__name__}."):
        if found.name == __name__:
            continue
        declared = getattr(importlib.import_module(found.name), "RULES", {})
        twice = rules.keys() & declared.keys()
        assert not twice, f"{found.name} declares {sorted(twice)} again"
        rules |= declared
    return dict(sorted(rules.items()))


RULES: dict[str, GradientRule] = _collect()
"""The rules by operator; each of them has a row in `ops.builtin`."""


def layer_rule_of(op: Op) -> LayerRule:
    """The rule of an operator with weights."""
    rule = RULES[op.name]
    assert isinstance(rule, LayerRule)
    return rule
