"""A model made ready in TFLM's interpreter, or refused with what TFLM itself would crash over."""

from __future__ import annotations

from typing import Any

from tflm_train.errors import ModelError
from tflm_train.model import Model
from tflm_train.model.offline_plan import METADATA_NAME
from tflm_train.model.runnable import missing_kernels, runnable_source
from tflm_train.ops.npu import ETHOS_U
from tflm_train.ops.reading import is_ours
from tflm_train.runtime.host_library import (
    REGISTERER,
    captured_stderr,
    host_library,
    tflm_runtime,
)


def uses_kernels(model: Model) -> bool:
    """Whether it holds ops of ours: a model that trains, or an optimized one."""
    return any(is_ours(op) for op in model.graph.ops)


def load_into_tflm(model: Model, preserve_all: bool) -> Any:
    """Makes TFLM's interpreter of a model.

    Args:
      model: The model.
      preserve_all: Keep every intermediate readable; needs more memory.

    Returns:
      The interpreter of TFLM's own Python package.

    Raises:
      ModelError: TFLM cannot run the model.
      RuntimeFailure: The interpreter or the kernels are not installed.
    """
    _refuse(model)
    registerers = []
    if uses_kernels(model):
        host_library()
        registerers.append(REGISTERER)
    runtime = tflm_runtime()
    config = (
        runtime.InterpreterConfig.kPreserveAllTensors
        if preserve_all
        else runtime.InterpreterConfig.kAllocationRecording
    )
    refusal = ""
    with captured_stderr() as lines:
        try:
            return runtime.Interpreter.from_bytes(
                _without_plan(model) if preserve_all else runnable_source(model),
                custom_op_registerers=registerers,
                arena_size=_arena_bound(model),
                intrepreter_config=config,
            )
        except RuntimeError as error:
            refusal = str(error)
    detail = next((line for line in lines if line.strip()), refusal)
    raise ModelError(f"{model.name}: TFLM cannot run this model: {detail.strip()}")


def _refuse(model: Model) -> None:
    """Refuses what TFLM would crash over, or says worse."""
    if model.uncalled_subgraphs:
        # TFLM would crash over the scratch buffers that their operators ask for.
        raise ModelError(
            f"{model.name}: TFLM cannot run this model: no operator calls subgraph "
            f"{model.uncalled_subgraphs[0]}; convert it with one signature only"
        )
    npu = next((op for op in model.graph.ops if ETHOS_U.is_kind_of(op)), None)
    if npu is not None:
        raise ModelError(
            f"{model.name}: op {model.graph.index(npu)} ({npu.name}) runs on an Ethos-U, not "
            "here; take the model as it was before Vela, whose states are the same; of one "
            "rewritten after it, the tail of `rewrite --split` runs here, on latents of a board"
        )
    for missing in missing_kernels(model):
        # Some kernels refuse a type only when they run.
        raise ModelError(f"{model.name}: TFLM cannot run this model: {missing.reason}")


def _without_plan(model: Model) -> bytes:
    """The model for a planner that keeps all tensors apart: it takes no offsets."""
    copy = Model(model.source, model.name)
    return copy.to_bytes() if copy.drop_metadata(METADATA_NAME) else runnable_source(model)


def _arena_bound(model: Model) -> int:
    """An arena that is always large enough on the host: every tensor at once, and then some."""
    graphs = [model.graph, *model.other_graphs]
    all_tensors = [t for graph in graphs for t in graph.tensors]
    tensors = sum(t.nbytes + 256 for t in all_tensors if t.data is None)
    constants = sum(t.size for t in all_tensors if t.data is not None and t.size < 1 << 16)
    return 2 * tensors + 2048 * sum(len(graph.ops) for graph in graphs) + constants + (1 << 20)
