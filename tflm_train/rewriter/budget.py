"""Refuses a scheme that costs more than the target has, and says what to give up."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterator

from tflm_train.cost.estimate import step_cost
from tflm_train.errors import BudgetError, SchemeError
from tflm_train.model import Model
from tflm_train.rewriter.coins import Budget
from tflm_train.rewriter.give_up import Layers, Smaller, find_smaller, least_of
from tflm_train.rewriter.optimize import optimize
from tflm_train.rewriter.trials import OnTrial, Trials, Way, ignore_trial
from tflm_train.scheme import Scheme

_NAMED = 5  # how many layers are named one by one
_UNITS = {"": 1, "B": 1, "KB": 1024, "KIB": 1024, "MB": 1 << 20, "MIB": 1 << 20, "GB": 1 << 30}


def parse_bytes(text: str) -> int:
    """Reads a size: plain bytes, or with KB (1024), MB or GB.

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
        raise SchemeError(f"{text!r}: a size must be above 0")
    return size


def fitting_way(
    model: Model,
    scheme: Scheme,
    way: Way,
    budget: Budget,
    may_be_slower: bool = False,
    on_trial: OnTrial = ignore_trial,
) -> Way:
    """Checks a scheme against a budget.

    Args:
      model: The model.
      scheme: What is asked for.
      way: How its forward layers run.
      budget: What it may cost.
      may_be_slower: Whether the way's limit of time may be left where nothing else fits.
      on_trial: Told of each rewrite once it is done.

    Returns:
      The way, or where only that fits the same without a limit of time.

    Raises:
      BudgetError: It costs more; the message says what is lacking, and what to give up.
    """
    trials = Trials(model, on_trial)
    ways = [way, dataclasses.replace(way, max_slowdown=math.inf)] if may_be_slower else [way]
    for each in ways:
        if budget.allows(budget.spent(trials.costs(scheme, each))):
            return each
    raise BudgetError(refusal(trials, scheme, ways[-1], budget))


def refusal(
    trials: Trials, scheme: Scheme, way: Way, budget: Budget, name: str = "this scheme"
) -> str:
    """What to say of a rewrite that costs more than the budget.

    Args:
      trials: Rewrites of the model.
      scheme: What was asked for.
      way: How its forward layers run.
      budget: What it may cost.
      name: What to call the scheme.

    Returns:
      One line.
    """
    lacking = "; it ".join(budget.lacks(trials.costs(scheme, way)))
    smaller = find_smaller(trials, scheme, way, budget)
    if smaller is None:
        advice = _why_nothing(trials, scheme, way, budget)
    else:
        steps = list(_said(trials, scheme, way, smaller, budget))
        order = ", one after the other" if len(steps) > 1 else ""
        advice = f"to fit, give up{order}: {', '.join(steps)}"
    return f"{trials.model.name} with {name} {lacking}; {advice}"


def _said(
    trials: Trials, scheme: Scheme, way: Way, smaller: Smaller, budget: Budget
) -> Iterator[str]:
    """What to give up, and what it costs then; what saves nothing by itself goes with the next."""
    together: list[str] = []
    before = budget.shown(trials.costs(scheme, way))
    for label, step in _steps(trials.model, scheme, way, smaller):
        together.append(label)
        after = budget.shown(trials.costs(step.scheme, step.way))
        if after != before:
            yield f"{' with '.join(together)} ({after} then)"
            together, before = [], after
    if together:
        yield f"{' with '.join(together)} ({before} then)"


def _steps(
    model: Model, scheme: Scheme, way: Way, smaller: Smaller
) -> Iterator[tuple[str, Smaller]]:
    """What was given up, one thing after the other, and what is left each time."""
    left = Smaller(scheme, way)
    if smaller.way != way:
        left = Smaller(scheme, smaller.way)
        yield _way_given_up(way, smaller.way), left
    bits = smaller.scheme.residual_bits
    if bits != scheme.residual_bits:
        left = Smaller(dataclasses.replace(scheme, residual_bits=bits), smaller.way)
        yield f"residual_bits {scheme.residual_bits} -> {bits}", left
    layers, biases = Layers.of(model, left), len(smaller.biases)
    if biases:
        listed = ", ".join(map(str, smaller.biases))
        yield f"biases of layer{'s' * (biases > 1)} {listed}", layers.without((), biases)
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


def _way_given_up(way: Way, other: Way) -> str:
    """What is given up where layers run in another way, in words of the command."""
    if other == way.builtin():
        return "other than `--stream off --forward builtin`"
    if other == way.fastest():
        return "other than `--stream auto --forward auto --max-slowdown 0`"
    if (other.stream, other.forward) == (way.stream, way.forward):
        return f"the limit `--max-slowdown {way.max_slowdown:g}`"
    return "other than `--stream auto --forward auto`"


def _why_nothing(trials: Trials, scheme: Scheme, way: Way, budget: Budget) -> str:
    """What to say where nothing can be given up that would be enough."""
    least = least_of(trials, scheme, way, budget)
    words = f"the least of it that trains needs {least.arena_bytes:,}"
    lacking = budget.exceeded(budget.spent(least))
    if "flash" in lacking:
        words += (
            f" of RAM and {least.flash_bytes:,} of flash, of which the model as it is takes "
            f"{len(trials.model.source):,}; use a smaller model"
        )
        return words
    if "step_ms" in lacking:
        ops = trials.model.graph.ops
        inference = step_cost(ops, least.step.core, way.kernels).milliseconds(budget.clock)
        words += (
            f" of RAM and {least.step.milliseconds(budget.clock):,.0f} ms, an inference of the "
            f"model as it is {inference:,.0f}; use a smaller model or input, or a faster core"
        )
        return words
    inference_model = optimize(trials.model, way.smallest().choice).after
    peak = inference_model.peak_buffers()
    tensors = " and ".join(f"{b.name.split(';')[0]} ({b.size:,})" for b in peak[:2])
    at = (
        f"most of it at op {inference_model.peak_op} "
        f"({inference_model.op_names[inference_model.peak_op]}: {tensors})"
    )
    return (
        f"{words}, and inference alone {inference_model.minimum_bytes:,} after `optimize`, {at}; "
        "use a smaller model or input"
    )
