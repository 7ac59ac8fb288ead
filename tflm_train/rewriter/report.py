"""What a rewrite added: the JSON report and the tables are made from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from tflm_train.backward_ops.trained_layer import TrainedLayer
from tflm_train.cost.macs import forward_macs
from tflm_train.memory import MemoryReport, memory_report
from tflm_train.memory.extra import ExtraMemory, analytic_extra_memory, kept_memory
from tflm_train.memory.report import Arena, Peak
from tflm_train.model import Model
from tflm_train.ops import (
    OP_PREFIX,
    BiasUpdate,
    ConvInputGrad,
    ConvUpdate,
    DepthwiseInputGrad,
    DepthwiseUpdate,
)
from tflm_train.records import sometimes
from tflm_train.rewriter.costs import Costs
from tflm_train.rewriter.latent_report import LatentReport
from tflm_train.rewriter.training_graph import TrainingGraph, TrainOp
from tflm_train.scheme import resolve
from tflm_train.scheme.select import select_channels

_BACKWARD = (ConvInputGrad, DepthwiseInputGrad, ConvUpdate, DepthwiseUpdate, BiasUpdate)


@dataclass(frozen=True)
class TrainedLayerReport:
    """A layer of which something trains.

    Attributes:
      index: Its number, as `inspect` and schemes count.
      name: Its name.
      op: Its operator.
      head: Whether it is the classifier.
      weights: Number of weights that train.
      biases: Number of biases that train.
      variable_bytes: RAM of its weights, residuals and biases.
      trained_taps: Height and width of the part of the kernel that trains.
      frozen_channels: Output channels with a degenerate weight scale, which stay as they are.
      flash_bytes: Of its weights and biases in the original model.
      cycles: Estimated, of its updates and of the gradient that it passes on.
    """

    index: int
    name: str
    op: str
    head: bool
    weights: int
    biases: int
    variable_bytes: int
    trained_taps: tuple[int, int]
    frozen_channels: int
    flash_bytes: int
    cycles: int


@dataclass(frozen=True)
class LeftOutLayer:
    """A layer that `all` would name but that cannot train.

    Attributes:
      index: Its number.
      name: Its name.
      why: The reason.
    """

    index: int
    name: str
    why: str


@dataclass(frozen=True)
class ExtraMemoryReport:
    """RAM that training keeps beyond inference, counted in two ways.

    Attributes:
      analytic: By the paper's formula.
      kept: What this rewrite keeps.
    """

    analytic: ExtraMemory
    kept: ExtraMemory


@dataclass(frozen=True)
class RewriteFlash:
    """What the model takes in flash; TFLM itself and the C library are not counted.

    Attributes:
      original_bytes: The original model's file.
      rewritten_bytes: The rewritten one's.
      kernel_bytes: Our ops that it uses, built with -Os for the core.
      total_bytes: The rewritten one's and the kernels.
    """

    original_bytes: int
    rewritten_bytes: int
    kernel_bytes: int
    total_bytes: int


@dataclass(frozen=True)
class RewriteReport:
    """What a rewrite added.

    Attributes:
      layers: The layers that train, in order.
      left_out: The layers that the scheme's `all` leaves out because they cannot train.
      ops: How many of our ops there are, by name.
      kernels: What runs the builtin operators, for the arenas.
      arena: The arena of the rewritten model on a Cortex-M.
      arena_before: That of the original model.
      peak: Where most of the arena is in use.
      macs_before: Multiply-accumulates of one inference of the original model.
      macs: Those of the rewritten one.
      extra_memory: RAM kept for training, beside what the paper's formula gives.
      flash: Sizes of the model files.
      warnings: What may surprise; sentences.
      latent: What training from latents costs and saves, of a scheme with `latent: true`.
    """

    layers: tuple[TrainedLayerReport, ...]
    left_out: tuple[LeftOutLayer, ...]
    ops: dict[str, int]
    kernels: str
    arena: Arena
    arena_before: Arena
    peak: Peak
    macs_before: int
    macs: int
    extra_memory: ExtraMemoryReport
    flash: RewriteFlash
    warnings: tuple[str, ...]
    latent: LatentReport | None = sometimes()


def build_report(
    original: Model,
    graph: TrainingGraph,
    costs: Costs,
    latent: LatentReport | None = None,
) -> RewriteReport:
    """Describes a finished rewrite.

    Args:
      original: The model as it was.
      graph: The finished training graph (its model's ops are in execution order).
      costs: What it costs.
      latent: What training from latents costs and saves.

    Returns:
      The report.
    """
    memory = costs.memory
    counts = Counter(
        op.name.removeprefix(OP_PREFIX)
        for op in graph.model.graph.ops
        if op.name.startswith(OP_PREFIX)
    )
    layers = sorted(
        (_describe(graph, t, costs) for t in graph.trained.values()), key=lambda x: x.index
    )
    frozen = sum(layer.frozen_channels for layer in layers)
    warnings = list(graph.warnings)
    if frozen:
        warnings.append(
            f"{frozen} channels with a degenerate weight scale (below 1e-5 of their layer's "
            "median) are frozen"
        )
    warnings += unmodelled_warnings(memory)
    return RewriteReport(
        layers=tuple(layers),
        left_out=tuple(
            LeftOutLayer(layer.index, layer.name, why) for layer, why in graph.plan.left_out
        ),
        ops=dict(counts),
        kernels=str(memory.kernels),
        arena=memory.arena(),
        arena_before=memory_report(original, memory.kernels).arena(),
        peak=memory.peak(),
        macs_before=forward_macs(original.graph),
        macs=forward_macs(graph.model.graph),
        extra_memory=_extra_memory(original, graph, memory),
        flash=RewriteFlash(
            len(original.source),
            costs.flash.model_bytes,
            costs.flash.kernel_bytes,
            costs.flash_bytes,
        ),
        warnings=tuple(warnings),
        latent=latent,
    )


def _extra_memory(original: Model, graph: TrainingGraph, memory: MemoryReport) -> ExtraMemoryReport:
    scheme = graph.plan.scheme
    plan = resolve(scheme, original)  # its weights are still constant
    body = [layer for layer in plan.layers if layer.index != plan.head.index]
    channels = {
        layer.index: len(select_channels(plan.weights[layer.index], layer, scheme.seed))
        for layer in body
        if layer.index in plan.weights
    }
    return ExtraMemoryReport(
        analytic=analytic_extra_memory(body, plan.biases, channels),
        kept=kept_memory(graph.model, memory),
    )


def unmodelled_warnings(memory: MemoryReport) -> list[str]:
    """Says which operators' memory is not counted."""
    return [
        f"the memory of {name} is not modelled: the arena's total is too low by what it allocates"
        for name in memory.persistent.unmodelled
    ]


def _describe(graph: TrainingGraph, trained: TrainedLayer, costs: Costs) -> TrainedLayerReport:
    layer = trained.layer
    y0, y1, x0, x1 = trained.taps
    return TrainedLayerReport(
        index=layer.index,
        name=layer.name,
        op=layer.op.name,
        head=layer.index == graph.plan.head.index,
        weights=0 if trained.weights is None else trained.weights.size,
        biases=0 if trained.bias is None else trained.bias.size,
        variable_bytes=sum(v.nbytes for v in trained.variables),
        trained_taps=(y1 - y0, x1 - x0),
        frozen_channels=trained.frozen_channels,
        flash_bytes=sum(t.nbytes for t in (layer.weights, layer.bias) if t is not None),
        cycles=round(sum(_backward_cycles(graph, trained, costs))),
    )


def _backward_cycles(graph: TrainingGraph, trained: TrainedLayer, costs: Costs) -> Iterator[float]:
    """Of the ops that update a layer or pass its gradient on."""
    own = {id(t) for t in (*trained.variables, trained.layer.weights)}
    for op, cost in zip(graph.model.graph.ops, costs.step.per_op, strict=True):
        reads = any(id(t) in own for t in op.inputs)
        if reads and isinstance(op, TrainOp) and isinstance(op.params, _BACKWARD):
            yield cost.cycles
