"""Runs the passes: bytes and a scheme in, bytes and a report out."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import math
from dataclasses import dataclass

from tflm_train import ops
from tflm_train.cost.cores import Core
from tflm_train.cost.estimate import StepCost
from tflm_train.cost.flash import Flash
from tflm_train.errors import UnsupportedError
from tflm_train.memory import KernelSet, MemoryReport, memory_report
from tflm_train.model import Model, Op, offline_plan
from tflm_train.model.batch import one_sample
from tflm_train.model.narrowed import has_narrow_head
from tflm_train.model.per_channel import channel_layers, channel_notes, drop_channel_layers
from tflm_train.model.prepared import prepared
from tflm_train.model.runnable import require_runnable
from tflm_train.model.written import write, write_checked
from tflm_train.ops.constants import LossKind
from tflm_train.ops.reading import is_ours
from tflm_train.rewriter.attach_head import attach_head
from tflm_train.rewriter.choose_variables import CHOOSE_VARIABLES
from tflm_train.rewriter.close_step import CLOSE_STEP
from tflm_train.rewriter.costs import Costs, costs_of
from tflm_train.rewriter.describe import describe_head, describe_interface
from tflm_train.rewriter.differentiate import DIFFERENTIATE
from tflm_train.rewriter.fold_pad import fold_pads
from tflm_train.rewriter.frozen import NoFormError
from tflm_train.rewriter.fuse_bias import FUSE_BIAS
from tflm_train.rewriter.hold_latent import HOLD_LATENT, KEEP_APART
from tflm_train.rewriter.latent_report import describe_latent
from tflm_train.rewriter.mark_step import MARK_STEP, MARKED
from tflm_train.rewriter.moved_outputs import moved_outputs
from tflm_train.rewriter.npu_memory import NpuMemory
from tflm_train.rewriter.optimize import Choice, Forward, Streaming, stream_layers
from tflm_train.rewriter.order_ops import order_ops
from tflm_train.rewriter.origins import keep_origins
from tflm_train.rewriter.passes import Pass, run_passes
from tflm_train.rewriter.properties import IN_ORDER, LAYERS_SPLIT, ONE_PRODUCER, UPDATED
from tflm_train.rewriter.report import RewriteReport, build_report
from tflm_train.rewriter.run_costs import KnownRuns
from tflm_train.rewriter.save_masks import SAVE_MASKS
from tflm_train.rewriter.schedule import Order
from tflm_train.rewriter.split_layers import SPLIT_LAYERS
from tflm_train.rewriter.training_graph import TrainingGraph
from tflm_train.scheme import Scheme, resolve
from tflm_train.scheme.npu_head import with_npu_head
from tflm_train.scheme.resolve import find_output
from tflm_train.trained.builtin_layers import with_builtins

# Real activations of a calibrated model have scales of 1e-3 to 1.
_TINY_SCALE = 1e-6


@dataclass(frozen=True)
class RewriteResult:
    """What `rewrite` returns.

    Attributes:
      model_bytes: The rewritten .tflite file.
      report: What was added.
      memory: The arena on a Cortex-M.
      memory_unstreamed: What it would be with every forward layer a builtin op.
      slowdown: Estimated time of the forward layers relative to that.
      flash: The model's file and the kernels that it needs.
      step: The estimated time of a training step.
    """

    model_bytes: bytes
    report: RewriteReport
    memory: MemoryReport
    memory_unstreamed: MemoryReport
    slowdown: float
    flash: Flash
    step: StepCost


def original_of(model: Model) -> Model:
    """The model to rewrite: one that is not ready to train is made so, which its notes say.

    An optimized one gets its builtin operators back; one that was made for several samples at a
    time is made for one; a last layer of int16 activations gets int8 ones; groups of a convolution
    become layers, and constant scales and biases of channels get some.

    Raises:
      UnsupportedError: The model is rewritten already, TFLM cannot run it, or its operators mix the
        samples of a batch.
      ModelError: It was optimized by another version, which did not say what its layers were.
    """
    original = with_builtins(model)
    if any(map(is_ours, original.graph.ops)):
        raise UnsupportedError(
            f"{model.name} holds training ops already; rewrite the original model instead"
        )
    require_runnable(original)
    made = prepared(original)
    if has_narrow_head(original, made):
        before = one_sample(original)
        made.notes = (*made.notes, *moved_outputs("an int8 last layer", before, made))
    return made


def rewrite(
    model: Model,
    scheme: Scheme,
    kernels: KernelSet | str = KernelSet.CMSIS_NN,
    *,
    order: Order = Order.BEST,
    stream: Streaming = Streaming.OFF,
    forward: Forward = Forward.BUILTIN,
    max_slowdown: float = math.inf,
    core: Core | None = None,
    apart: bool = False,
    pins: bool = True,
) -> RewriteResult:
    """Makes a model trainable.

    Args:
      model: An int8 model; not changed.
      scheme: What to train.
      order: Of the backward pass; the naive one is for comparison.
      kernels: What will run the builtin operators; only the memory report depends on it.
      stream: Whether runs of layers become one op each, to save memory.
      forward: Whether other layers leave their builtin op for one with constants in flash.
      max_slowdown: Largest estimated time of the forward layers relative to builtin ops.
      core: What the time is estimated for; None: a core on which these kernels run.
      apart: Keep the frozen layers before what trains in their builtin ops, for `split_model`.
      pins: Whether tensors may have fixed places in the arena (`Choice.pins`).

    Returns:
      The rewritten model and the report.

    Raises:
      SchemeError: The scheme does not fit the model.
      UnsupportedError: Something between the loss and a trained layer cannot be differentiated.
    """
    model = original_of(model)
    choice = Choice(stream, forward, max_slowdown, KernelSet(kernels), core, pins)
    built = _build(model, scheme, choice, order, apart)
    latent = None
    if built.graph.gated is not None:
        without = _build(model, dataclasses.replace(scheme, latent=False), choice, order)
        more = built.memory.total_bytes - without.memory.total_bytes
        latent = describe_latent(built.graph, built.graph.gated, choice, more)
    work = built.graph.model
    keep_origins(work)
    data = write_checked(work)
    costs = costs_of(work, data, built.memory, choice)
    if built.graph.clipped:
        built.graph.warnings += moved_outputs("clipping", model, Model(data, model.name))
    report = build_report(model, built.graph, costs, latent)
    return RewriteResult(
        data, report, built.memory, built.unstreamed, built.slowdown, costs.flash, costs.step
    )


def rewritten_costs(
    model: Model, scheme: Scheme, choice: Choice, known: KnownRuns | None = None
) -> Costs:
    """What the model that `rewrite` leads to costs, without reading it back.

    Args:
      model: An int8 model; not changed.
      scheme: What to train.
      choice: How the forward layers run.
      known: What is known of runs of layers from other rewrites of the model; it grows.

    Raises:
      SchemeError, UnsupportedError: As of `rewrite`.
    """
    built = _build(original_of(model), scheme, choice, known=known)
    work = built.graph.model
    keep_origins(work)
    return costs_of(work, write(work), built.memory, choice)


@dataclass(frozen=True)
class _Built:
    """A model that trains, not yet written; the fields of the result that go with it."""

    graph: TrainingGraph
    memory: MemoryReport
    unstreamed: MemoryReport
    slowdown: float


def _build(
    model: Model,
    scheme: Scheme,
    choice: Choice,
    order: Order = Order.BEST,
    apart: bool = False,
    known: KnownRuns | None = None,
) -> _Built:
    """Runs the passes on a copy of the model, which has no ops of ours."""
    work = _with_npu_head(Model(model.source, model.name), scheme)
    npu_memory = NpuMemory(work.graph)
    streams = choice.changes_anything or scheme.latent
    if streams:
        fold_pads(work.graph)
    plan = resolve(scheme, work)
    if not scheme.head.is_kept:
        classes = plan.head.out_channels
        added = attach_head(work, plan.head, scheme.head, scheme.loss.rule, scheme.seed)
        describe_head(work, scheme.head, plan.output, classes)
        plan = plan.with_new_layers(work.graph, added)
    drop_channel_layers(work.graph, {id(layer.op) for layer in plan.trained})
    added_layers = channel_layers(work.graph)
    graph = TrainingGraph.start(work, plan)
    graph.warnings += [*model.notes, *channel_notes(added_layers), *_model_warnings(work)]
    order_all = functools.partial(order_ops, order=order, fingerprint=_fingerprint(model, scheme))
    made = (CHOOSE_VARIABLES, DIFFERENTIATE, SAVE_MASKS, SPLIT_LAYERS)
    ordered = Pass("order_ops", order_all, requires=(UPDATED, LAYERS_SPLIT), ensures=(IN_ORDER,))
    frozen = (HOLD_LATENT,) if scheme.latent else (KEEP_APART,) if apart else ()
    passes = (*made, ordered, *frozen, CLOSE_STEP, MARK_STEP)
    held = run_passes(graph, passes, held=(ONE_PRODUCER,))
    graph.warnings += _scale_warnings(graph)
    describe_interface(graph)
    unstreamed = memory = memory_report(work, choice.kernels)
    time = sum(map(choice.time_of, work.graph.ops))
    if streams:
        streamed = Pass(
            "stream_layers",
            lambda graph: stream_layers(graph.model, choice, graph.frozen, known),
            requires=(MARKED,),
        )
        try:
            run_passes(graph, (FUSE_BIAS, MARK_STEP, streamed), held)
        except NoFormError as error:
            raise UnsupportedError(_why_no_latent(model, error.op)) from error
        memory = memory_report(work, choice.kernels)
    npu_memory.require_kept(work.graph, model.name)
    slowdown = sum(map(choice.time_of, work.graph.ops)) / time if time else 1.0
    return _Built(graph, memory, unstreamed, slowdown)


def _with_npu_head(model: Model, scheme: Scheme) -> Model:
    """The model, with a layer for a fresh head where an NPU computes all of it.

    Raises:
      UnsupportedError: The head is to predict values, and nothing says how large these are.
    """
    made = with_npu_head(model, find_output(scheme.output, model), scheme.head)
    if made is not model and scheme.loss.rule.kind is LossKind.MEAN_SQUARED_ERROR:
        raise UnsupportedError(
            f"{model.name}: a fresh head behind the NPU gives class scores, not values for "
            "`loss: mean_squared_error`: their range is not known; train with a cross-entropy, or "
            "put the last layer into the model before Vela and keep it from the NPU"
        )
    return made


def _why_no_latent(model: Model, frozen: Op) -> str:
    """Says of a frozen op that it has to run in every step, and what would work."""
    name = frozen.output.name
    index = next(i for i, op in enumerate(model.graph.ops) if name in (t.name for t in op.outputs))
    return (
        f"{model.name}: op {index} ({frozen.name}, {name!r}) is frozen, and there is no form of it "
        "that a step from a latent could leave out; `rewrite --split` writes the frozen and the "
        "trained part as two models"
    )


def _fingerprint(model: Model, scheme: Scheme) -> int:
    """64 bits that tell which model and scheme a saved state belongs to."""
    digest = hashlib.sha256(model.source)
    settings = scheme.to_dict()
    del settings["model"]  # that is in the digest itself
    del settings["latent"]  # states are the same with and without
    digest.update(json.dumps(settings, sort_keys=True).encode())
    digest.update(ops.VERSION.to_bytes(2, "little"))
    return int.from_bytes(digest.digest()[:8], "little")


def _model_warnings(model: Model) -> list[str]:
    warnings = []
    newer = model.newer_fields
    if newer:
        warnings.append(f"fields newer than this tool's schema are not carried over: {newer[0]}")
    # What an NPU expects of the plan stays; the rest TFLM plans anew, as well as Vela did.
    if model.drop_metadata(offline_plan.METADATA_NAME) and not offline_plan.npu_places(model.graph):
        warnings.append(
            f"the model's {offline_plan.METADATA_NAME} metadata was dropped: it cannot hold the "
            "training tensors"
        )
    return warnings


def _scale_warnings(graph: TrainingGraph) -> list[str]:
    tiny = [t.layer for t in graph.trained.values() if t.layer.x.scale < _TINY_SCALE]
    if not tiny:
        return []
    return [
        f"the inputs of {len(tiny)} trained layers have scales as small as "
        f"{min(layer.x.scale for layer in tiny):.2g} ({tiny[-1]}): the model was quantized on data "
        "that left them at zero, so they cannot learn; quantize it again on representative data"
    ]
