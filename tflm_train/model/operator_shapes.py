"""Which shapes the outputs of each builtin operator must have, by its inputs and options.

Each function takes an operator whose inputs are there and whose options are of the right kind, and
returns the shapes of its outputs, `None` for one that only the running model knows. What cannot be
(a stride of 0, a filter for other channels) is raised as `MalformedOpError`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tflm_train.graph import Op, Tensor
from tflm_train.graph.window import window_positions

Shape = tuple[int, ...]
Shapes = Sequence[Shape | None]
ShapeRule = Callable[[Op], Shapes]

_LSTM_INPUT, _LSTM_OUTPUT_STATE, _LSTM_CELL_STATE = 0, 18, 19
_BIAS_TYPES = {"INT8": ("INT32",), "INT16": ("INT32", "INT64"), "FLOAT32": ("FLOAT32",)}
_SOFTMAX_BITS = 26
_MAX_STEP = 1 << 15
_ANY: Shapes = (None,)


class MalformedOpError(Exception):
    """Why an operator contradicts itself."""


def require(condition: bool, reason: str) -> None:
    """Raises `MalformedOpError` unless the condition holds."""
    if not condition:
        raise MalformedOpError(reason)


def tensor_of(op: Op, index: int) -> Tensor:
    """An input that must be there."""
    tensor = op.optional_input(index)
    if tensor is None:
        raise MalformedOpError(f"input {index} is missing")
    return tensor


def same_shape(op: Op) -> Shapes:
    """Elementwise, one input."""
    return (op.input.shape,)


def softmax(op: Op) -> Shapes:
    """SOFTMAX."""
    beta = op.options.beta
    require(math.isfinite(beta) and beta > 0, f"its beta is {beta}, which must be above 0")
    require(len(op.input.shape) >= 1, "its input is a scalar")
    if op.input.quantization is not None and op.input.type_name == "INT8":
        # The interpreter works in fixed point with 26 fractional bits.
        scale = beta * op.input.scale
        fits = 2.0**-_SOFTMAX_BITS < scale < 2.0 ** (31 - _SOFTMAX_BITS)
        require(fits, f"its beta times its input's scale is {scale:g}, too small or too large")
    return same_shape(op)


def leaky_relu(op: Op) -> Shapes:
    """LEAKY_RELU."""
    require(math.isfinite(op.options.alpha), f"its slope is {op.options.alpha}")
    return same_shape(op)


def unknown_shape(op: Op) -> Shapes:
    """Nothing is said of the outputs."""
    return [None] * len(op.outputs)


def same_size(op: Op) -> Shapes:
    """RESHAPE and its like: as many elements as before."""
    x, y = op.input, op.output
    require(x.size == y.size, f"{_list(x.shape)} cannot become {_list(y.shape)}")
    return _ANY


def broadcast(op: Op) -> Shapes:
    """Elementwise, two inputs."""
    return (_broadcast(tensor_of(op, 0).shape, tensor_of(op, 1).shape),)


def convolution(op: Op) -> Shapes:
    """CONV_2D; a filter for a part of the input channels is a grouped convolution."""
    x, filters = tensor_of(op, 0), tensor_of(op, 1)
    _require_rank(x, 4)
    _require_rank(filters, 4)
    out_c, kernel_h, kernel_w, depth = filters.shape
    require(
        x.shape[3] % depth == 0 and out_c % (x.shape[3] // depth) == 0,
        f"its filter is for {depth} channels, its input has {x.shape[3]}",
    )
    _require_bias(op, 2, out_c)
    return (_window_output(op, x, (kernel_h, kernel_w), out_c),)


def depthwise_convolution(op: Op) -> Shapes:
    """DEPTHWISE_CONV_2D."""
    x, filters = tensor_of(op, 0), tensor_of(op, 1)
    _require_rank(x, 4)
    _require_rank(filters, 4)
    one, kernel_h, kernel_w, out_c = filters.shape
    in_c, multiplier = x.shape[3], int(op.options.depthMultiplier)
    require(
        one == 1 and multiplier * in_c == out_c,
        f"its filter {_list(filters.shape)} and depth multiplier {multiplier} do not fit "
        f"{in_c} input channels",
    )
    _require_bias(op, 2, out_c)
    return (_window_output(op, x, (kernel_h, kernel_w), out_c),)


def transposed_convolution(op: Op) -> Shapes:
    """TRANSPOSE_CONV: the convolution of its output has the size of its input."""
    wanted, filters, x = (tensor_of(op, i) for i in range(3))
    output = op.output
    for tensor in (filters, x, output):
        _require_rank(tensor, 4)
    out_c, kernel_h, kernel_w, depth = filters.shape
    require(
        depth == x.shape[3],
        f"its filter is for {depth} channels, its input has {x.shape[3]}",
    )
    _require_bias(op, 3, out_c)
    back = _window_output(op, output, (kernel_h, kernel_w), depth)
    require(
        back == x.shape,
        f"its input should be {_list(back)} by its filter, stride and output "
        f"{_list(output.shape)}, but is {_list(x.shape)}",
    )
    if wanted.data is not None:
        return (tuple(_integers(wanted)),)
    return ((x.shape[0], *output.shape[1:3], out_c),)


def pool(op: Op) -> Shapes:
    """AVERAGE_POOL_2D, MAX_POOL_2D."""
    _require_rank(op.input, 4)
    kernel = (int(op.options.filterHeight), int(op.options.filterWidth))
    return (_window_output(op, op.input, kernel, op.input.shape[3]),)


def fully_connected(op: Op) -> Shapes:
    """FULLY_CONNECTED."""
    x, filters = tensor_of(op, 0), tensor_of(op, 1)
    _require_rank(filters, 2)
    outputs, inputs = filters.shape
    keep = bool(op.options.keepNumDims)
    fits = bool(x.shape) and (x.shape[-1] == inputs if keep else x.size % inputs == 0)
    require(fits, f"its weights are for {inputs} inputs, its input is {_list(x.shape)}")
    _require_bias(op, 2, outputs)
    if keep:
        return ((*x.shape[:-1], outputs),)
    rows = x.size // inputs
    # Only the last dimension is said: TFLM takes the others as the file has them.
    y = op.output
    require(
        bool(y.shape) and y.shape[-1] == outputs and y.size == rows * outputs,
        f"its output should be {_list((rows, outputs))}, but is {_list(y.shape)}",
    )
    return _ANY


def batch_matmul(op: Op) -> Shapes:
    """BATCH_MATMUL."""
    a, b = (list(tensor_of(op, i).shape) for i in (0, 1))
    require(min(len(a), len(b)) >= 2, "its inputs are no matrices")
    if op.options.adjX:
        a[-2:] = a[:-3:-1]
    if op.options.adjY:
        b[-2:] = b[:-3:-1]
    require(a[-1] == b[-2], f"it cannot multiply {_list(a)} with {_list(b)}")
    return ((*_broadcast(a[:-2], b[:-2]), a[-2], b[-1]),)


def concatenation(op: Op) -> Shapes:
    """CONCATENATION."""
    shapes = [tensor_of(op, i).shape for i in range(len(op.inputs))]
    axis = _axis(int(op.options.axis), len(shapes[0]))
    rests = {(*s[:axis], *s[axis + 1 :]) for s in shapes}
    fits = len(rests) == 1 and len({len(s) for s in shapes}) == 1
    require(fits, f"its inputs {_lists(shapes)} cannot be joined along axis {axis}")
    joined = sum(s[axis] for s in shapes)
    return ((*shapes[0][:axis], joined, *shapes[0][axis + 1 :]),)


def pack(op: Op) -> Shapes:
    """PACK."""
    shapes = [tensor_of(op, i).shape for i in range(len(op.inputs))]
    count = int(op.options.valuesCount)
    require(count == len(shapes), f"it has {len(shapes)} inputs, its options say {count}")
    require(len(set(shapes)) == 1, f"its inputs {_lists(shapes)} differ")
    axis = _axis(int(op.options.axis), len(shapes[0]) + 1)
    return ((*shapes[0][:axis], len(shapes), *shapes[0][axis:]),)


def unpack(op: Op) -> Shapes:
    """UNPACK."""
    shape = op.input.shape
    axis = _axis(int(op.options.axis), len(shape))
    parts = len(op.outputs)
    fits = parts == shape[axis] == int(op.options.num)
    require(fits, f"it has {parts} outputs for {shape[axis]} parts")
    return [(*shape[:axis], *shape[axis + 1 :])] * parts


def split(op: Op) -> Shapes:
    """SPLIT: input 0 is the axis."""
    axis, shape = tensor_of(op, 0), tensor_of(op, 1).shape
    parts = len(op.outputs)
    require(int(op.options.numSplits) == parts, f"it has {parts} outputs for its parts")
    if axis.data is None:
        return [None] * parts
    place = _axis(_single(axis), len(shape))
    require(shape[place] % parts == 0, f"{shape[place]} cannot be split into {parts} parts")
    return [(*shape[:place], shape[place] // parts, *shape[place + 1 :])] * parts


def split_v(op: Op) -> Shapes:
    """SPLIT_V: input 1 has the sizes, of which one may be -1, input 2 the axis."""
    shape, sizes, axis = op.input.shape, tensor_of(op, 1), tensor_of(op, 2)
    parts = len(op.outputs)
    require(int(op.options.numSplits) == parts, f"it has {parts} outputs for its parts")
    if sizes.data is None or axis.data is None:
        return [None] * parts
    place, given = _axis(_single(axis), len(shape)), _integers(sizes)
    known = sum(size for size in given if size >= 0)
    given = [shape[place] - known if size == -1 else size for size in given]
    fits = len(given) == parts and min(given) >= 0 and sum(given) == shape[place]
    require(fits, f"its parts {_list(given)} do not add up to {shape[place]}")
    return [(*shape[:place], size, *shape[place + 1 :]) for size in given]


def reduction(op: Op) -> Shapes:
    """MEAN, SUM, REDUCE_MAX, REDUCE_MIN: input 1 has the axes."""
    shape, axes = op.input.shape, tensor_of(op, 1)
    if axes.data is None:
        return _ANY
    gone = {_axis(axis, len(shape)) for axis in _integers(axes)}
    if op.options.keepDims:
        return (tuple(1 if i in gone else d for i, d in enumerate(shape)),)
    return (tuple(d for i, d in enumerate(shape) if i not in gone),)


def pad(op: Op) -> Shapes:
    """PAD, PADV2: input 1 has the elements before and after, dimension by dimension."""
    shape, paddings = op.input.shape, tensor_of(op, 1)
    if paddings.data is None:
        return _ANY
    require(paddings.shape == (len(shape), 2), f"its paddings are {_list(paddings.shape)}")
    amounts = _integers(paddings)
    require(min(amounts, default=0) >= 0, "it pads by less than nothing")
    pairs = zip(shape, amounts[::2], amounts[1::2], strict=True)
    return (tuple(d + before + after for d, before, after in pairs),)


def transpose(op: Op) -> Shapes:
    """TRANSPOSE: input 1 has the order of the dimensions."""
    shape, order = op.input.shape, tensor_of(op, 1)
    if order.data is None:
        return _ANY
    places = [axis + len(shape) if axis < 0 else axis for axis in _integers(order)]
    require(
        sorted(places) == list(range(len(shape))),
        f"{_list(places)} is no order of {len(shape)} dimensions",
    )
    return (tuple(shape[place] for place in places),)


def resize(op: Op) -> Shapes:
    """RESIZE_BILINEAR, RESIZE_NEAREST_NEIGHBOR: input 1 has the new height and width."""
    _require_rank(op.input, 4)
    size = tensor_of(op, 1)
    batch, _, _, channels = op.input.shape
    if size.data is None:
        return _ANY
    require(size.size == 2, f"its new size has {size.size} numbers, not height and width")
    return ((batch, *_integers(size), channels),)


def slice_(op: Op) -> Shapes:
    """SLICE: inputs 1 and 2 have begin and size, -1 for all that is left."""
    shape, begin, size = op.input.shape, tensor_of(op, 1), tensor_of(op, 2)
    if begin.data is None or size.data is None:
        return _ANY
    first, sizes = _integers(begin), _integers(size)
    require(len(first) == len(sizes) == len(shape), f"it does not cut all {len(shape)} dimensions")
    cut = tuple(d - b if s == -1 else s for d, b, s in zip(shape, first, sizes, strict=True))
    inside = all(b >= 0 and 0 <= s <= d - b for d, b, s in zip(shape, first, cut, strict=True))
    require(inside, f"it cuts {_list(cut)} from {_list(first)} on, beyond {_list(shape)}")
    return (cut,)


def strided_slice(op: Op) -> Shapes:
    """STRIDED_SLICE: inputs 1 to 3 have begin, end and stride of each dimension."""
    shape = op.input.shape
    bounds = [tensor_of(op, i) for i in (1, 2, 3)]
    if any(t.data is None for t in bounds):
        return _ANY
    begin, end, strides = (_integers(t) for t in bounds)
    fits = len(begin) == len(end) == len(strides) <= len(shape)
    require(fits, f"its bounds do not fit {len(shape)} dimensions")
    require(0 not in strides, "it has a stride of 0")
    options = op.options
    if options.ellipsisMask or options.newAxisMask:
        return _ANY
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


def parametric_relu(op: Op) -> Shapes:
    """PRELU: its slopes are broadcast over the input."""
    x, slopes = tensor_of(op, 0).shape, tensor_of(op, 1).shape
    require(_broadcast(x, slopes) == x, f"its slopes {_list(slopes)} do not fit {_list(x)}")
    return (x,)


def block_rearrangement(op: Op) -> Shapes:
    """SPACE_TO_DEPTH, DEPTH_TO_SPACE."""
    _require_rank(op.input, 4)
    batch, height, width, channels = op.input.shape
    block = int(op.options.blockSize)
    require(block >= 1, f"its block size is {block}")
    if op.name == "SPACE_TO_DEPTH":
        require(height % block == width % block == 0, f"{height}x{width} has no blocks of {block}")
        return ((batch, height // block, width // block, channels * block**2),)
    require(channels % block**2 == 0, f"{channels} channels have no blocks of {block}")
    return ((batch, height * block, width * block, channels // block**2),)


def svdf(op: Op) -> Shapes:
    """SVDF."""
    x, features, times, state = (tensor_of(op, i) for i in (0, 1, 2, 4))
    for tensor in (x, features, times, state):
        _require_rank(tensor, 2)
    filters, rank = features.shape[0], int(op.options.rank)
    require(rank >= 1 and filters % rank == 0, f"its rank {rank} does not fit {filters} filters")
    (batch, size), memory = x.shape, times.shape[1]
    fits = features.shape[1] == size and times.shape[0] == filters
    require(fits, f"its filters do not fit {size} inputs")
    require(state.shape == (batch, memory * filters), f"its state is {_list(state.shape)}")
    _require_bias(op, 3, filters // rank)
    return ((batch, filters // rank),)


def lstm(op: Op) -> Shapes:
    """UNIDIRECTIONAL_SEQUENCE_LSTM: what the states and the output say of each other."""
    x = tensor_of(op, _LSTM_INPUT)
    hidden, cell = tensor_of(op, _LSTM_OUTPUT_STATE), tensor_of(op, _LSTM_CELL_STATE)
    for tensor, rank in ((x, 3), (hidden, 2), (cell, 2)):
        _require_rank(tensor, rank)
    for state in (hidden, cell):
        require(state.is_variable and state.dtype is not None, f"{state.name!r} is no state")
    return ((*x.shape[:2], hidden.shape[1]),)


def _window_output(op: Op, x: Tensor, kernel: tuple[int, int], channels: int) -> Shape:
    options = op.options
    sizes = []
    for axis, taps, stride, dilation in (
        (1, kernel[0], options.strideH, getattr(options, "dilationHFactor", 1)),
        (2, kernel[1], options.strideW, getattr(options, "dilationWFactor", 1)),
    ):
        for what, value in (("kernel", taps), ("stride", stride), ("dilation", dilation)):
            fits = 1 <= value <= _MAX_STEP
            require(fits, f"its {what} is {value}; only 1 to {_MAX_STEP} makes sense")
        known = options.padding in (schema.Padding.SAME, schema.Padding.VALID)
        require(known, f"its padding {options.padding} is neither SAME nor VALID")
        same = options.padding == schema.Padding.SAME
        sizes.append(window_positions(x.shape[axis], taps, stride, dilation, same=same))
    fits = min(sizes) >= 1
    require(fits, f"its {kernel[0]}x{kernel[1]} kernel is larger than its input {_list(x.shape)}")
    return (x.shape[0], *sizes, channels)


def _require_rank(tensor: Tensor, rank: int) -> None:
    right = len(tensor.shape) == rank and min(tensor.shape) >= 1
    require(right, f"{tensor.name!r} is {_list(tensor.shape)}; {rank} dimensions are needed")


def _require_bias(op: Op, index: int, channels: int) -> None:
    bias, output = op.optional_input(index), op.output
    if bias is None:
        return
    require(bias.size == channels, f"its bias has {bias.size} values for {channels} channels")
    wanted = _BIAS_TYPES.get(output.type_name)
    if wanted is not None:
        fits = bias.type_name in wanted
        require(fits, f"its bias is {bias.type_name} beside {output.type_name} activations")


def _broadcast(a: Sequence[int], b: Sequence[int]) -> Shape:
    try:
        return np.broadcast_shapes(tuple(a), tuple(b))
    except ValueError:
        raise MalformedOpError(f"its inputs {_list(a)} and {_list(b)} do not go together") from None


def _axis(axis: int, rank: int) -> int:
    require(-rank <= axis < rank, f"axis {axis} does not exist in {rank} dimensions")
    return axis % rank


def _integers(tensor: Tensor) -> list[int]:
    assert tensor.data is not None
    require(tensor.data.dtype.kind == "i", f"{tensor.name!r} is {tensor.type_name}, no integers")
    return [int(value) for value in tensor.data.reshape(-1)]


def _single(tensor: Tensor) -> int:
    values = _integers(tensor)
    require(len(values) == 1, f"{tensor.name!r} has {len(values)} values, not one")
    return values[0]


def _list(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) if math.prod(shape) or shape else "a scalar"


def _lists(shapes: Sequence[Shape]) -> str:
    return ", ".join(map(_list, shapes))
