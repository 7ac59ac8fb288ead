"""The persistent part of the arena: what TFLM allocates from its tail, in TFLM's order.

The tail grows downwards and every allocation is aligned to its own type's alignment, so what one
loses to alignment depends on all before it. The order is that of `MicroAllocator::Create`,
`MicroInterpreter::AllocateTensors` and `MicroAllocator::CommitStaticMemoryPlan`.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tflm_train.graph import Graph, Op, Tensor
from tflm_train.memory.planner import is_planned
from tflm_train.memory.scratch import persistent_of, scratch_of
from tflm_train.model import Model
from tflm_train.model.resources import ASSIGN, resource_names
from tflm_train.ops.builtin import KernelMemory, KernelSet, kernel_memory, layer_form_of
from tflm_train.ops.reading import is_ours, read_params
from tflm_train.ops.target import Struct, Target, align

ALIGNMENT = 16

_ALLOCATOR: Struct = ("PPPPPPPPi",)  # SingleArenaBufferAllocator: two vtables, 5 pointers, a sum
_PLANNER: Struct = ("PiiPPPPiiPb",)  # GreedyMemoryPlanner
_MICRO_ALLOCATOR: Struct = ("PPPPPbPPP",)  # MicroAllocator
_RECORDED = "PPP"  # RecordedAllocation
_EVAL_TENSOR: Struct = ("PPe",)
_TENSOR: Struct = (("eP",), ("fi",), "PPPeeb")  # TfLiteTensor
_AFFINE_QUANTIZATION: Struct = ("PPi",)
_NODE: Struct = (("PPPPPPi",), "P")  # NodeAndRegistration
_RESOURCES: Struct = ("Pii",)  # MicroResourceVariables
_RESOURCE: Struct = ("PPPPb",)  # of one of them

_REQUEST: Struct = ("Pii",)  # ScratchBufferRequest
_REQUESTS_PER_OP = 12
_ALLOCATION_INFO: Struct = ("PPiiib",)
_PLANNER_BYTES_PER_BUFFER = 40


class Category(enum.StrEnum):
    """What a persistent allocation is for."""

    ALLOCATOR = "allocator and planner"
    TENSORS = "tensors"
    NODES = "nodes"
    INTERFACE = "inputs and outputs"
    SCRATCH_HANDLES = "scratch handles"
    KERNELS = "builtin kernels"
    CHANNELS = "per-channel requantization"
    TRAINING_OPS = "training ops"
    VARIABLES = "variables"


@dataclass(frozen=True)
class Allocation:
    """One persistent allocation.

    Attributes:
      category: What it is for.
      owner: The op or tensor it belongs to.
      requested: Bytes asked for.
      used: Bytes the arena lost, alignment included.
    """

    category: Category
    owner: str
    requested: int
    used: int


@dataclass(frozen=True)
class PersistentPart:
    """The tail of the arena.

    Attributes:
      allocations: In order.
      scratch: Sizes of the scratch buffers by op index.
      preparing_bytes: The most that tail and head together take while an operator's Prepare runs.
      planning_bytes: What they take while the plan is made.
      unmodelled: Names of operators whose memory is not known (counted as none).
    """

    allocations: tuple[Allocation, ...]
    scratch: dict[int, tuple[int, ...]]
    preparing_bytes: int
    planning_bytes: int
    unmodelled: tuple[str, ...]

    @property
    def bytes(self) -> int:
        """Size of the tail."""
        return sum(a.used for a in self.allocations)

    def bytes_of(self, *categories: Category) -> int:
        """Bytes of some categories, alignment included."""
        return sum(a.used for a in self.allocations if a.category in categories)


def persistent_part(
    model: Model,
    kernels: KernelSet,
    target: Target,
    misalignment: int = 0,
    pinned: Mapping[int, int] | None = None,
) -> PersistentPart:
    """Models the tail of the arena after AllocateTensors.

    Args:
      model: The model.
      kernels: What runs the builtin operators.
      target: Decides the sizes of structs.
      misalignment: How far the arena's end lies beyond a 16-byte boundary.
      pinned: Offsets of the tensors that the model places itself, by the tensor's id.

    Returns:
      All allocations, and the scratch the operators ask for.

    Raises:
      ModelError: A training op's parameters are damaged.
    """
    tail = _Tail(target, misalignment)
    graphs = [model.graph, *model.other_graphs]
    offsets = {} if pinned is None else pinned
    operators = [
        (op, _operator(op, graph, kernels, target, model.name))
        for graph in graphs
        for op in graph.ops
    ]
    _create_allocator(tail)
    _create_resources(tail, len(model.resources))
    tail.struct(Category.ALLOCATOR, "builtin data allocator", ("PP",))
    subgraph = ("PPP" if target.compression else "PP",)
    tail.structs(Category.ALLOCATOR, "subgraphs", subgraph, len(graphs))
    for graph in graphs:
        tail.structs(Category.TENSORS, "all tensors", _EVAL_TENSOR, len(graph.tensors))
    for graph in graphs:
        tail.structs(Category.NODES, "all nodes", _NODE, len(graph.ops))
    for op, memory in operators:
        if memory.options is not None:
            tail.struct(Category.KERNELS, _owner(op), memory.options)
    for op, memory in operators:
        if memory.data is not None:
            size = target.size_of(*memory.data)
            tail.allocate(_data_category(op), _owner(op), size, ALIGNMENT)
    preparing, handles = _prepare(tail, model, operators)
    scratch = {i: m.scratch for i, (_, m) in enumerate(operators) if m.scratch}
    if handles:
        tail.structs(Category.SCRATCH_HANDLES, "all handles", ("P",), handles)
    for graph in graphs:
        for tensor in graph.tensors:
            if tensor.is_variable and id(tensor) not in offsets:
                tail.allocate(Category.VARIABLES, tensor.name, tensor.nbytes, ALIGNMENT)
    planning = align(tail.bytes, ALIGNMENT) + _planning_bytes(graphs, handles, target, offsets)
    for tensors in (model.graph.inputs, model.graph.outputs):
        _allocate_interface(tail, tensors)
    unmodelled = {op.name for op, m in operators if m is _UNMODELLED}
    return PersistentPart(
        tuple(tail.allocations), scratch, preparing, planning, tuple(sorted(unmodelled))
    )


def _prepare(
    tail: _Tail, model: Model, operators: Sequence[tuple[Op, KernelMemory]]
) -> tuple[int, int]:
    """What operators allocate in Prepare.

    Returns:
      The most that tail and head together take meanwhile, and the number of scratch buffers.
    """
    preparing = handles = 0
    waiting = {resource.name: resource.nbytes for resource in model.resources}
    names = resource_names([model.graph, *model.other_graphs])
    for op, memory in operators:
        # The first assignment of a resource variable makes room for it.
        size = waiting.pop(names.get(id(op.input), ""), 0) if op.name == ASSIGN else 0
        if size:
            tail.allocate(Category.VARIABLES, _owner(op), size, ALIGNMENT)
        for size in memory.channels:
            tail.allocate(Category.CHANNELS, _owner(op), size, ALIGNMENT)
        for size in memory.buffers:
            tail.allocate(_data_category(op), _owner(op), size, ALIGNMENT)
        preparing = max(preparing, tail.bytes + _preparing_bytes(op, handles, tail.target))
        handles += len(memory.scratch)
    return preparing, handles


@dataclass
class _Tail:
    target: Target
    misalignment: int
    allocations: list[Allocation] = field(default_factory=list)
    bytes: int = 0

    def allocate(self, category: Category, owner: str, size: int, alignment: int) -> None:
        # The address is (a multiple of 16) + misalignment - bytes.
        before = self.bytes
        address = self.misalignment - before - size
        self.bytes = self.misalignment - address // alignment * alignment
        self.allocations.append(Allocation(category, owner, size, self.bytes - before))

    def structs(self, category: Category, owner: str, struct: Struct, count: int) -> None:
        size, alignment = self.target.size_of(*struct), self.target.align_of(*struct)
        self.allocate(category, owner, size * count, alignment)

    def struct(self, category: Category, owner: str, struct: Struct) -> None:
        self.structs(category, owner, struct, 1)


def _create_allocator(tail: _Tail) -> None:
    arena, allocator = _ALLOCATOR, _MICRO_ALLOCATOR
    if tail.target.recording:
        categories = 8 if tail.target.compression else 7
        arena = (*arena, "PPPP")
        allocator = (*allocator, "P", *(_RECORDED,) * categories)
    tail.struct(Category.ALLOCATOR, "arena allocator", arena)
    tail.struct(Category.ALLOCATOR, "memory planner", _PLANNER)
    tail.struct(Category.ALLOCATOR, "micro allocator", allocator)


def _create_resources(tail: _Tail, count: int) -> None:
    """`MicroResourceVariables::Create`, which the firmware calls for a model that has some."""
    if count:
        size = tail.target.size_of(*_RESOURCES)
        tail.allocate(Category.VARIABLES, "resource variables", size, ALIGNMENT)
        size = count * tail.target.size_of(*_RESOURCE)
        tail.allocate(Category.VARIABLES, "resource variables", size, ALIGNMENT)


def _allocate_interface(tail: _Tail, tensors: list[Tensor]) -> None:
    pointers = tail.target.pointer * len(tensors)
    tail.allocate(Category.INTERFACE, "pointers", pointers, ALIGNMENT)
    for tensor in tensors:
        tail.struct(Category.INTERFACE, tensor.name, _TENSOR)
        channels = _quantized_channels(tensor)
        if channels:
            tail.struct(Category.INTERFACE, tensor.name, _AFFINE_QUANTIZATION)
            tail.structs(Category.INTERFACE, tensor.name, ("i",), 1 + channels)


def _quantized_channels(tensor: Tensor) -> int:
    """How many scales TFLM copies; it ignores a tensor without zero points."""
    if tensor.quantization is None:
        return 0
    raw = tensor.raw
    if raw is not None and (raw.quantization is None or raw.quantization.zeroPoint is None):
        return 0
    return int(tensor.quantization.scale.size)


def _preparing_bytes(op: Op, handles: int, target: Target) -> int:
    """The head while an op's Prepare runs: scratch requests, and a TfLiteTensor of each tensor.

    They lie one after the other, and are given back only after Prepare. TFLM does not notice when
    a persistent buffer that Prepare asks for afterwards overwrites them, so room for both counts.
    """
    end = target.size_of(*_REQUEST) * (handles + _REQUESTS_PER_OP)
    if is_ours(op):
        return end
    tensors = [*op.inputs, *op.outputs]
    form = layer_form_of(op)
    if form is not None and form.prepared_twice:
        tensors = [op.inputs[form.input], op.inputs[form.weights], *op.outputs, *tensors]
    for tensor in tensors:
        if tensor is not None:
            end = align(end, target.pointer) + _tensor_bytes(tensor, target)
    return end


def _tensor_bytes(tensor: Tensor, target: Target) -> int:
    """A TfLiteTensor and its quantization, one after the other."""
    channels = _quantized_channels(tensor)
    if not channels:
        return target.size_of(*_TENSOR)
    zero_points = target.size_of("i") * (1 + channels)
    return target.size_of(*_TENSOR) + target.size_of(*_AFFINE_QUANTIZATION) + zero_points


def _planning_bytes(
    graphs: Sequence[Graph], handles: int, target: Target, pinned: Mapping[int, int]
) -> int:
    """The head while the plan is made: scratch requests, lifetimes, the planner's own tables."""
    requests = target.size_of(*_REQUEST) * (handles + _REQUESTS_PER_OP)
    tensors = [tensor for graph in graphs for tensor in graph.tensors]
    lifetimes = target.size_of(*_ALLOCATION_INFO) * (len(tensors) + handles)
    planned = sum(is_planned(t, pinned) for t in tensors)
    subgraph_offsets = target.pointer * len(graphs)
    fixed = align(requests + subgraph_offsets + lifetimes, ALIGNMENT)
    return fixed + _PLANNER_BYTES_PER_BUFFER * (planned + handles)


_UNMODELLED = KernelMemory()


def _operator(op: Op, graph: Graph, kernels: KernelSet, target: Target, name: str) -> KernelMemory:
    if is_ours(op):
        params = read_params(op, graph, name)
        scratch, table = scratch_of(params), persistent_of(params, target)
        return KernelMemory(
            scratch=(scratch,) if scratch else (),
            buffers=(table,) if table else (),
        )
    memory = kernel_memory(op, kernels, target)
    return _UNMODELLED if memory is None else memory


def _data_category(op: Op) -> Category:
    return Category.TRAINING_OPS if is_ours(op) else Category.KERNELS


def _owner(op: Op) -> str:
    return f"{op.name} {op.outputs[0].short_name}" if op.outputs else op.name
