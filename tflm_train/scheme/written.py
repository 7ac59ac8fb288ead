"""A scheme as a YAML file that people may edit: one line for each layer, with a comment."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from tflm_train.scheme.head import Head
from tflm_train.scheme.loss import Loss
from tflm_train.scheme.scheme import ALL, VERSION, LayerRef, Scheme, WeightUpdate

Comment = Callable[[LayerRef], str]
"""What to say of a layer; an empty text says nothing."""
_WORDS = ("name", "target", "select", "classes")


def scheme_text(
    scheme: Scheme,
    title: str = "",
    of_bias: Comment = lambda _: "",
    of_weights: Comment = lambda _: "",
) -> str:
    """Writes a scheme.

    Args:
      scheme: The scheme; its `optimizer`, `qas` and `model` must be the defaults.
      title: Comment lines for the top.
      of_bias: A comment on a layer whose bias trains.
      of_weights: A comment on a layer whose weights train.

    Returns:
      YAML, from which `Scheme.parse` reads the same scheme.
    """
    lines = [f"# {line}" for line in title.splitlines()]
    lines.append(f"version: {VERSION}")
    loss, head = _loss(scheme.loss), _head(scheme.head)
    lines.append(f"loss: {_flow(loss) if len(loss) > 1 else scheme.loss.name}")
    if head:
        lines.append(f"head: {_flow(head)}")
    if scheme.output != 0:
        lines.append(f"output: {json.dumps(scheme.output)}")
    if scheme.biases_last or scheme.bias_layers or scheme.weights:
        lines.append("update:")
    if scheme.biases_last:
        lines.append(f"  biases: {{last: {scheme.biases_last}}}")
    if scheme.bias_layers:
        lines += ["  biases:", "    layers:"]
        lines += [_line(f"      - {json.dumps(x)}", of_bias(x)) for x in scheme.bias_layers]
    if scheme.weights == ALL:
        lines.append(f"  weights: {ALL}")
    elif scheme.weights:
        lines.append("  weights:")
        lines += [_line(f"    - {_weights(x)}", of_weights(x.layer)) for x in scheme.weights]
    if scheme.residual_bits != Scheme().residual_bits:
        lines.append(f"residual_bits: {scheme.residual_bits}")
    if scheme.seed:
        lines.append(f"seed: {scheme.seed}")
    return "\n".join(lines) + "\n"


def _line(entry: str, comment: str) -> str:
    return f"{entry}  # {comment}" if comment else entry


def _flow(values: Mapping[str, object]) -> str:
    return "{" + ", ".join(f"{key}: {_value(key, value)}" for key, value in values.items()) + "}"


def _value(key: str, value: object) -> str:
    """JSON is YAML; what our own words stand for needs no quotes."""
    return str(value) if key in _WORDS else json.dumps(value)


def _loss(loss: Loss) -> dict[str, object]:
    values: dict[str, object] = {"name": loss.name}
    if loss.target:
        values["target"] = loss.target
    if loss.label_smoothing:
        values["label_smoothing"] = loss.label_smoothing
    if loss.class_weights:
        values["class_weights"] = loss.class_weights
    return values


def _head(head: Head) -> dict[str, object]:
    values: dict[str, object] = {}
    if head.classes is not None or head.add:
        values["classes"] = f"+{head.add}" if head.add else head.classes
    for key in ("reinitialise", "hidden", "labels"):
        if getattr(head, key):
            values[key] = getattr(head, key)
    if not head.train:
        values["train"] = False
    return values


def _weights(update: WeightUpdate) -> str:
    default = WeightUpdate(update.layer)
    values: dict[str, object] = {"layer": update.layer}
    for key in ("ratio", "channels", "select"):
        if getattr(update, key) != getattr(default, key):
            values[key] = getattr(update, key)
    return _flow(values)
