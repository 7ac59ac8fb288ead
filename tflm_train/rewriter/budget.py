"""Refuses a scheme whose arena is larger than the target has, and says what to give up."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator

from tflm_train.errors import BudgetError, SchemeError
from tflm_train.memory import KernelSet, MemoryReport, memory_report
from tflm_train.model import Model
from tflm_train.rewriter.rewrite import rewrite
from tflm_train.scheme import Scheme
from tflm_train.scheme.scheme import ALL

_UNITS = {"": 1, "B": 1, "KB": 1024, "KIB": 1024, "MB": 1 << 20, "MIB": 1 << 20}
_NAMED = 5  # how many proposals a message lists


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


def require_fit(model: Model, scheme: Scheme, memory: MemoryReport, budget: int) -> None:
    """Checks a rewrite against a budget.

    Args:
      model: The original model.
      scheme: What was asked for.
      memory: The rewritten model's report.
      budget: Bytes of RAM for the arena.

    Raises:
      BudgetError: The arena is larger; the message has the parts, what to give up and what it
        saves.
    """
    needed = memory.minimum_bytes
    if needed <= budget:
        return
    parts = memory.arena().parts()
    listed = ", ".join(f"{label} {size:,}" for label, size in parts.items() if size)
    message = (
        f"{model.name} with this scheme needs {needed:,} bytes of arena (Cortex-M, "
        f"{memory.kernels} kernels), {needed - budget:,} more than the budget of {budget:,}: "
        f"{listed}; {_advice(model, scheme, memory, budget)}"
    )
    raise BudgetError(message)


def _advice(model: Model, scheme: Scheme, memory: MemoryReport, budget: int) -> str:
    inference = memory_report(model, memory.kernels)
    if inference.minimum_bytes > budget:
        peak = inference.peak_buffers()
        tensors = " and ".join(f"{b.name.split(';')[0]} ({b.size:,})" for b in peak[:2])
        return (
            f"inference alone needs {inference.minimum_bytes:,}, most of it at op "
            f"{inference.peak_op} ({inference.op_names[inference.peak_op]}: {tensors}), so no "
            "scheme fits; use a smaller model or input"
        )
    savings = []
    for label, smaller in _proposals(scheme):
        saved = memory.minimum_bytes - _needed(model, smaller, memory.kernels)
        if saved > 0:
            savings.append((saved, label))
    savings.sort(reverse=True)
    if not savings:
        return f"inference alone needs {inference.minimum_bytes:,}"
    named = "; ".join(f"{label} saves {saved:,}" for saved, label in savings[:_NAMED])
    return f"to give up: {named}. {_way_out(model, scheme, memory, budget, savings)}"


def _way_out(
    model: Model,
    scheme: Scheme,
    memory: MemoryReport,
    budget: int,
    savings: list[tuple[int, str]],
) -> str:
    """What together is enough, taking the largest savings first."""
    given_up: list[str] = []
    for _, label in savings:
        smaller = dict(_proposals(scheme)).get(label)
        if smaller is None:
            continue
        given_up.append(label)
        scheme = smaller
        needed = _needed(model, scheme, memory.kernels)
        if needed <= budget:
            return f"Enough together: {', '.join(given_up)} ({needed:,} bytes)"
    return "All of it together is not enough"


def _needed(model: Model, scheme: Scheme, kernels: KernelSet) -> int:
    return rewrite(model, scheme, kernels).memory.minimum_bytes


def _proposals(scheme: Scheme) -> Iterator[tuple[str, Scheme]]:
    """Smaller schemes, each by one thing."""
    for bits in (0, 4):
        if bits < scheme.residual_bits:
            label = f"residual_bits {scheme.residual_bits} -> {bits}"
            yield label, dataclasses.replace(scheme, residual_bits=bits)
    named = () if scheme.weights == ALL else scheme.weights
    for index, update in enumerate(named):
        rest = named[:index] + named[index + 1 :]
        if rest or scheme.head.train or scheme.biases_last or scheme.bias_layers:
            label = f"weights of layer {update.layer}"
            yield label, dataclasses.replace(scheme, weights=rest)
    if scheme.biases_last != ALL and scheme.biases_last > 1:
        fewer = scheme.biases_last // 2
        label = f"biases: last {scheme.biases_last} -> {fewer}"
        yield label, dataclasses.replace(scheme, biases_last=fewer)
