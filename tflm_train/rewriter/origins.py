"""Notes what builtin operators our forward ops take over, so that they can be made again."""

from __future__ import annotations

from tflm_train.graph import Op
from tflm_train.model import Model
from tflm_train.model.origins import Origin, Sides, key_of, origin_of, store_origins
from tflm_train.rewriter.fold_pad import is_spatial_pad
from tflm_train.rewriter.stream import Run
from tflm_train.rewriter.training_graph import TrainOp


def origins_of(run: Run) -> tuple[Origin, ...] | None:
    """Of a STREAM's stages in order; None where one of them is not known."""
    pads = {id(op.output): op for op in run.ops if is_spatial_pad(op)}
    found: list[Origin] = []
    for op, taps in zip(run.layers, run.taps, strict=True):
        if not isinstance(op, TrainOp):
            pad = pads.get(id(op.input))
            found.append(origin_of(op, None if pad is None else _sides(pad), taps))
        elif op.origins:
            found += op.origins
        else:
            return None
    return tuple(found)


def keep_origins(model: Model) -> None:
    """Writes what is known into the model's metadata."""
    ops = [op for op in model.graph.ops if isinstance(op, TrainOp)]
    store_origins(model, {key_of(op): op.origins for op in ops if op.origins is not None})


def _sides(pad: Op) -> Sides:
    amounts = pad.inputs[1]
    assert amounts is not None and amounts.data is not None
    (top, bottom), (left, right) = amounts.data[1:3].tolist()
    return top, bottom, left, right
