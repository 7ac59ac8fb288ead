"""What can be trained, on which conditions: docs/SUPPORTED_OPS.md.

Every condition is the docstring of the function that checks it, so that the page and the messages
of `inspect` cannot differ.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any

from tflm_train.backward_ops.losses import LOSS_RULES
from tflm_train.backward_ops.rules import RULES
from tflm_train.model.layers import LAYER_OPS
from tflm_train.ops.builtin import BUILTINS, BuiltinOperator
from tflm_train.rewriter import attach_head
from tflm_train.scheme.head import FORMS

_HEAD = """\
# What can be trained

Made by `python -m tools.generate`; do not edit.

A model is trained from its output backwards: the gradient runs from the loss to the earliest layer
that the scheme trains. Only the operators on that way need to be in the table below. What lies
before the earliest trained layer may be anything that TFLM runs. `tflm_train inspect model.tflite`
says for each layer of a model whether it can train, and if not, why and what to do.

Of a model with int16 activations (and int8 weights) the last layer trains: it gets int8
activations, between two QUANTIZE, and the rest stays int16. `rewrite` says by how much that moves
its answers.
"""

_MODELS = """\
## Models

- Weights train in {layers}.
  A layer's weights must be constants, int8 with zero point 0; its bias int32.
- Layers that share their weights (the towers of a Siamese network, a detector's head on maps of
  several sizes, the steps of an unrolled RNN, GRU or LSTM) are one layer: their gradients add up,
  and the last of them is named in schemes. A bias that some of them lack does not train. Equal
  constants that the converter merged, and a bias of layers with weights of their own, are copied.
- The trained part is int8: int8 activations with one scale per tensor. Layers with int16
  activations, float or hybrid layers (int8 weights, float activations) are refused, unless they lie
  before the earliest trained layer. `tflm_train quantize MODEL --data D` makes an int8 model of a
  float or hybrid one, with your samples.
- float32 inputs and outputs are fine where a QUANTIZE follows the input and a DEQUANTIZE makes the
  output. A float32 operator that reads what a DEQUANTIZE made and is read by a QUANTIZE alone
  trains as an int8 one: so TFLM runs {floats}.
- Batch size 1. Any number of inputs; of several outputs the scheme's `output` (index or name) is
  trained.
- One subgraph is rewritten, the first; control flow (IF, WHILE) cannot lie on the gradient's way.
- A grouped CONV_2D (up to 32 groups, or one for each input channel) becomes a layer for each group
  between SPLIT and CONCATENATION, or a DEPTHWISE_CONV_2D, with the same answers.
- A scale or a bias for each channel that is a MUL, ADD or SUB by a constant (a batch normalization
  that no convolution could take in) trains as a DEPTHWISE_CONV_2D of one tap behind it, which
  begins as 1 and 0; where that is not trained, it is not there. What prepares the inputs before the
  first layer, or scales an output behind its last, stays constant. So train gamma and beta of a
  layer normalization (MEAN, SQUARED_DIFFERENCE, RSQRT, MUL, ADD): behind the last of these.
- Streaming models, which keep earlier frames in resource variables (CALL_ONCE, READ_VARIABLE,
  ASSIGN_VARIABLE): each Invoke is a frame, a training step as well. What was kept of earlier frames
  is taken as it stands: no gradient goes back through it.
"""


def support_page() -> str:
    """The page, as Markdown."""
    lines = [_HEAD, "## Operators", ""]
    lines += ["| operator | conditions |", "|---|---|"]
    for name in sorted(RULES):
        lines.append(f"| {name} | {_sentences(RULES[name].constraints())} |")
    runnable = [row for row in BUILTINS.values() if row.has_kernel]
    folded = _names(row for row in BUILTINS.values() if row.is_folded)
    shaping = _names(row for row in BUILTINS.values() if row.keeps_channels)
    lines += [
        "",
        f"Between the last layer and the output, {folded} need no rule: the loss takes them in.",
        "",
        "Before the earliest trained layer TFLM runs these as well: "
        f"{_names(row for row in runnable if row.name not in RULES and row.memory)};",
        "and these, of which `tflm_train memory` does not know what their kernels keep: "
        f"{_names(row for row in runnable if not row.memory)}.",
        "",
        _MODELS.format(layers=", ".join(LAYER_OPS), floats=_names(_float_functions())),
        "## Losses",
        "",
        "| `loss` | what for | `target` | conditions |",
        "|---|---|---|---|",
    ]
    for rule in LOSS_RULES.values():
        targets = ", ".join(f"`{target}`" for target in rule.targets)
        conditions = _sentences(rule.conditions)
        lines.append(f"| `{rule.name}` | {rule.summary} | {targets} | {conditions} |")
    lines += [
        "",
        "`label_smoothing` and `class_weights` are options of the two cross-entropies.",
        "",
        "## Heads",
        "",
        "The head is the last layer that feeds the trained output.",
        "",
        "| `head` | what becomes of it |",
        "|---|---|",
        *(f"| `{form}` | {meaning} |" for form, meaning in FORMS.items()),
        "",
        f"To be replaced, extended or initialised anew: {_sentences(attach_head.CONDITIONS, ' ')}",
        f"Between it and the output may be {shaping} (which must keep the",
        f"classes last) and {folded}.",
        "",
    ]
    return "\n".join(lines)


def _float_functions() -> list[BuiltinOperator]:
    """The operators with a rule that TFLM runs on float32 alone."""
    return [row for row in BUILTINS.values() if row.is_float_only and row.name in RULES]


def _names(rows: Iterable[BuiltinOperator]) -> str:
    return ", ".join(row.name for row in rows)


def _sentences(conditions: Iterable[Callable[..., Any]], separator: str = "<br>") -> str:
    return separator.join(_sentence(condition) for condition in conditions)


def _sentence(condition: Callable[..., Any]) -> str:
    text = inspect.getdoc(condition)
    assert text, f"{condition} has no docstring, which is its line in the support table"
    return " ".join(text.split("\n\n")[0].split())
