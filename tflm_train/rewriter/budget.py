"""Refuses a scheme whose arena is larger than the target has, and says what to give up."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterator

from tflm_train.errors import BudgetError, SchemeError
from tflm_train.model import Model
from tflm_train.rewriter.give_up import Layers, Smaller, find_smaller, least_of
from tflm_train.rewriter.optimize import optimize
from tflm_train.rewriter.trials import Trials, Way
from tflm_train.scheme import Scheme

_NAMED = 5  # how many layers are named one by one
_UNITS = {"": 1, "B": 1, "KB": 1024, "KIB": 1024, "MB": 1 << 20, "MIB": 1 << 20}


def parse_bytes(text: str) -> int:
    """Reads a size: plain bytes, or with KB (1024) or MB.

    Args:
      text: For example `256KB`, `1.5MB` or `262144`.

    Returns:
      Bytes.

    Raises:
      SchemeError: Not a size.
    """
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)\s*", text)
    if match is None or match[2].upper() not in _UNITS:
        raise SchemeError(f"{text!r} is no size; write bytes, or for example 256KB or 1.5MB")
    size = int(float(match[1]) * _UNITS[match[2].upper()])
    if size <= 0:
        raise SchemeError(f"{text!r}: a budget must be above 0")
    return size


def fitting_way(
    model: Model, scheme: Scheme, way: Way, budget: int, may_be_slower: bool = False
) -> Way:
    """Checks a scheme against a budget.

    Args:
      model: The model.
      scheme: What is asked for.
      way: How its forward layers run.
      budget: Bytes of RAM for the arena.
      may_be_slower: Whether the way's limit of time may be left where nothing else fits.

    Returns:
      The way, or where only that fits the same without a limit of time.

    Raises:
      BudgetError: The arena is larger; the message has its parts, and what to give up.
    """
    trials = Trials(model)
    ways = [way, dataclasses.replace(way, max_slowdown=math.inf)] if may_be_slower else [way]
    for each in ways:
        if trials.arena(scheme, each) <= budget:
            return each
    raise BudgetError(refusal(trials, scheme, ways[-1], budget))


def refusal(
    trials: Trials, scheme: Scheme, way: Way, budget: int, name: str = "this scheme"
) -> str:
    """What to say of a rewrite whose arena is larger than the budget.

    Args:
      trials: Rewrites of the model.
      scheme: What was asked for.
      way: How its forward layers run.
      budget: Bytes of the arena.
      name: What to call the scheme.

    Returns:
      One line.
    """
    memory = trials.memory(scheme, way)
    needed = memory.minimum_bytes
    parts = ", ".join(f"{label} {size:,}" for label, size in memory.arena().parts().items() if size)
    smaller = find_smaller(trials, scheme, way, budget)
    if smaller is None:
        advice = _why_nothing(trials, scheme, way)
    else:
        steps = _steps(trials.model, scheme, way, smaller)
        advice = "to fit, give up: " + ", ".join(
            f"{label} ({trials.arena(step.scheme, step.way):,} bytes then)" for label, step in steps
        )
    return (
        f"{trials.model.name} with {name} needs {needed:,} bytes of arena (Cortex-M, "
        f"{memory.kernels} kernels), {needed - budget:,} more than the budget of {budget:,}: "
        f"{parts}; {advice}"
    )


def _steps(
    model: Model, scheme: Scheme, way: Way, smaller: Smaller
) -> Iterator[tuple[str, Smaller]]:
    """What was given up, one thing after the other, and what is left each time."""
    left = Smaller(scheme, way)
    if smaller.way != way:
        slower = (smaller.way.stream, smaller.way.forward) == (way.stream, way.forward)
        limit = f"the limit `--max-slowdown {way.max_slowdown:g}`"
        left = Smaller(scheme, smaller.way)
        yield limit if slower else "other than `--stream auto --forward auto`", left
    bits = smaller.scheme.residual_bits
    if bits != scheme.residual_bits:
        left = Smaller(dataclasses.replace(scheme, residual_bits=bits), smaller.way)
        yield f"residual_bits {scheme.residual_bits} -> {bits}", left
    layers, biases = Layers.of(model, left), len(smaller.biases)
    if biases:
        listed = ", ".join(map(str, smaller.biases))
        yield f"biases of layers {listed}", layers.without((), biases)
    weights = smaller.weights
    if len(weights) > _NAMED:
        listed = ", ".join(map(str, sorted(weights)))
        yield f"weights of layers {listed}", layers.without(weights, biases)
    else:
        for count, index in enumerate(weights):
            yield f"weights of layer {index}", layers.without(weights[: count + 1], biases)
    if smaller.head_share < 1:
        share = f"1/{1 / smaller.head_share:g}"
        yield f"all but {share} of the head's input channels (`ratio: {share}`)", smaller


def _why_nothing(trials: Trials, scheme: Scheme, way: Way) -> str:
    inference = optimize(trials.model, way.smallest().choice).after
    peak = inference.peak_buffers()
    tensors = " and ".join(f"{b.name.split(';')[0]} ({b.size:,})" for b in peak[:2])
    at = (
        f"most of it at op {inference.peak_op} ({inference.op_names[inference.peak_op]}: {tensors})"
    )
    least = least_of(trials, scheme, way)
    return (
        f"the least of it that trains needs {least:,}, and inference alone "
        f"{inference.minimum_bytes:,} after `optimize`, {at}; use a smaller model or input"
    )
