"""Operators that move elements, or only look at them otherwise: RESHAPE, PAD, SLICE, RESIZE."""

from __future__ import annotations

from ai_edge_litert import schema_py_generated as schema

from tflm_train.graph import Op
from tflm_train.ops.builtin.memory import WORD, KernelCase, KernelMemory, fixed, writable_shape
from tflm_train.ops.builtin.operator import BuiltinOperator
from tflm_train.ops.builtin.shapes import (
    ANY,
    Shape,
    Shapes,
    axis_of,
    integers,
    listed,
    require,
    require_rank,
    same_size,
    single,
    tensor_of,
    unknown_shape,
)

_TWO, _THREE = (2, 2), (3, 3)
_PAD_MEMORY = fixed(None, "biiiiibiiiiibi")


def _pad_shape(op: Op) -> Shapes:
    """PAD, PADV2: input 1 has the elements before and after, dimension by dimension."""
    shape, paddings = op.input.shape, tensor_of(op, 1)
    if paddings.data is None:
        return ANY
    require(paddings.shape == (len(shape), 2), f"its paddings are {listed(paddings.shape)}")
    amounts = integers(paddings)
    require(min(amounts, default=0) >= 0, "it pads by less than nothing")
    pairs = zip(shape, amounts[::2], amounts[1::2], strict=True)
    return (tuple(d + before + after for d, before, after in pairs),)


def _transpose_shape(op: Op) -> Shapes:
    """TRANSPOSE: input 1 has the order of the dimensions."""
    shape, order = op.input.shape, tensor_of(op, 1)
    if order.data is None:
        return ANY
    places = [axis + len(shape) if axis < 0 else axis for axis in integers(order)]
    require(
        sorted(places) == list(range(len(shape))),
        f"{listed(places)} is no order of {len(shape)} dimensions",
    )
    return (tuple(shape[place] for place in places),)


def _resize_shape(op: Op) -> Shapes:
    """RESIZE_BILINEAR, RESIZE_NEAREST_NEIGHBOR: input 1 has the new height and width."""
    require_rank(op.input, 4)
    size = tensor_of(op, 1)
    batch, _, _, channels = op.input.shape
    if size.data is None:
        return ANY
    require(size.size == 2, f"its new size has {size.size} numbers, not height and width")
    return ((batch, *integers(size), channels),)


def _slice_shape(op: Op) -> Shapes:
    """SLICE: inputs 1 and 2 have begin and size, -1 for all that is left."""
    shape, begin, size = op.input.shape, tensor_of(op, 1), tensor_of(op, 2)
    if begin.data is None or size.data is None:
        return ANY
    first, sizes = integers(begin), integers(size)
    require(len(first) == len(sizes) == len(shape), f"it does not cut all {len(shape)} dimensions")
    cut = tuple(d - b if s == -1 else s for d, b, s in zip(shape, first, sizes, strict=True))
    inside = all(b >= 0 and 0 <= s <= d - b for d, b, s in zip(shape, first, cut, strict=True))
    require(inside, f"it cuts {listed(cut)} from {listed(first)} on, beyond {listed(shape)}")
    return (cut,)


def _strided_slice_shape(op: Op) -> Shapes:
    """STRIDED_SLICE: inputs 1 to 3 have begin, end and stride of each dimension."""
    shape = op.input.shape
    bounds = [tensor_of(op, i) for i in (1, 2, 3)]
    if any(t.data is None for t in bounds):
        return ANY
    begin, end, strides = (integers(t) for t in bounds)
    fits = len(begin) == len(end) == len(strides) <= len(shape)
    require(fits, f"its bounds do not fit {len(shape)} dimensions")
    require(0 not in strides, "it has a stride of 0")
    options = op.options
    if options.ellipsisMask or options.newAxisMask:
        return ANY
    result: list[int] = []
    for axis, dimension in enumerate(shape):
        if axis >= len(begin):
            result.append(dimension)
        elif options.shrinkAxisMask >> axis & 1:
            inside = -dimension <= begin[axis] < dimension
            require(inside, f"it takes element {begin[axis]} of {dimension}")
        else:
            first = None if options.beginMask >> axis & 1 else begin[axis]
            last = None if options.endMask >> axis & 1 else end[axis]
            result.append(len(range(dimension)[first : last : strides[axis]]))
    return (tuple(result),)


def _space_to_depth_shape(op: Op) -> Shapes:
    """SPACE_TO_DEPTH."""
    batch, height, width, channels = _image_shape(op)
    block = _block_size(op)
    require(height % block == width % block == 0, f"{height}x{width} has no blocks of {block}")
    return ((batch, height // block, width // block, channels * block**2),)


def _depth_to_space_shape(op: Op) -> Shapes:
    """DEPTH_TO_SPACE."""
    batch, height, width, channels = _image_shape(op)
    block = _block_size(op)
    require(channels % block**2 == 0, f"{channels} channels have no blocks of {block}")
    return ((batch, height * block, width * block, channels // block**2),)


def _image_shape(op: Op) -> Shape:
    require_rank(op.input, 4)
    return op.input.shape


def _block_size(op: Op) -> int:
    block = int(op.options.blockSize)
    require(block >= 1, f"its block size is {block}")
    return block


def _gather_shape(op: Op) -> Shapes:
    """GATHER: input 1 has the places that are taken along the axis."""
    shape, places = op.input.shape, tensor_of(op, 1)
    axis = axis_of(int(op.options.axis), len(shape))
    batch = axis_of(int(op.options.batchDims), len(places.shape) + 1)
    require(batch <= axis, f"it takes batches along {batch} dimensions, but elements along {axis}")
    if places.data is not None:
        inside = all(0 <= place < shape[axis] for place in integers(places))
        require(inside, f"it takes elements beyond the {shape[axis]} that there are")
    return ((*shape[:axis], *places.shape[batch:], *shape[axis + 1 :]),)


def _cumsum_shape(op: Op) -> Shapes:
    """CUMSUM: input 1 has the axis."""
    axis = tensor_of(op, 1)
    if axis.data is not None:
        axis_of(single(axis), len(op.input.shape))
    return (op.input.shape,)


def _gather_memory(case: KernelCase) -> KernelMemory:
    return KernelMemory(("ii",), buffers=(writable_shape(case.op.output),))


def _cumsum_memory(case: KernelCase) -> KernelMemory:
    # Its data are made in Prepare, for int8 alone.
    return KernelMemory(("bb",), buffers=(9 * WORD,) if case.is_int8 else ())


def _blocks_memory(case: KernelCase) -> KernelMemory:
    return KernelMemory(("i",), buffers=(writable_shape(case.op.output),))


ROWS = (
    BuiltinOperator(
        "CUMSUM",
        _cumsum_shape,
        _TWO,
        schema.CumsumOptionsT,
        memory=_cumsum_memory,
        method="CumSum",
    ),
    BuiltinOperator("GATHER", _gather_shape, _TWO, schema.GatherOptionsT, memory=_gather_memory),
    BuiltinOperator("BATCH_TO_SPACE_ND", unknown_shape, _THREE, memory=fixed(None)),
    BuiltinOperator(
        "DEPTH_TO_SPACE",
        _depth_to_space_shape,
        options=schema.DepthToSpaceOptionsT,
        memory=_blocks_memory,
    ),
    BuiltinOperator("EXPAND_DIMS", same_size, _TWO, memory=fixed(None), keeps_elements=True),
    BuiltinOperator("PAD", _pad_shape, _TWO, memory=_PAD_MEMORY, pads_with_zero=True),
    BuiltinOperator("PADV2", _pad_shape, _THREE, memory=_PAD_MEMORY, method="PadV2"),
    BuiltinOperator(
        "RESHAPE",
        same_size,
        (1, 2),
        keeps_elements=True,
        memory=fixed("iiiiiiiii"),
        keeps_channels=True,
        shape_input=1,
    ),
    BuiltinOperator(
        "RESIZE_BILINEAR", _resize_shape, _TWO, schema.ResizeBilinearOptionsT, memory=fixed("bb")
    ),
    BuiltinOperator(
        "RESIZE_NEAREST_NEIGHBOR",
        _resize_shape,
        _TWO,
        schema.ResizeNearestNeighborOptionsT,
        memory=fixed("bb"),
    ),
    BuiltinOperator("SLICE", _slice_shape, _THREE, memory=fixed(None)),
    BuiltinOperator(
        "SPACE_TO_DEPTH",
        _space_to_depth_shape,
        options=schema.SpaceToDepthOptionsT,
        memory=_blocks_memory,
    ),
    BuiltinOperator(
        "SQUEEZE", same_size, memory=fixed("iiiiiiiii"), keeps_elements=True, keeps_channels=True
    ),
    BuiltinOperator(
        "STRIDED_SLICE",
        _strided_slice_shape,
        (4, 4),
        schema.StridedSliceOptionsT,
        memory=fixed("iiiiib", "biiiiibiiiiibiiiiihhhhhb"),
    ),
    BuiltinOperator("TRANSPOSE", _transpose_shape, _TWO, memory=fixed(None)),
)
