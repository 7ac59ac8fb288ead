"""The numpy reference of a whole training step: walks the training ops of a rewritten model.

Forward activations come from the interpreter (TFLM's kernels are the specification of inference);
everything after them, and the variables, live here.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import astuple
from typing import Any

import numpy as np
import numpy.typing as npt

from tflm_train import kernel_abi as abi
from tflm_train.backward_ops import conv_2d, depthwise_conv_2d, numerics, pool, split_forward
from tflm_train.backward_ops.l2_normalization import l2_norm_gradient
from tflm_train.backward_ops.losses import reference_loss
from tflm_train.backward_ops.max_pool import max_pool_gradient
from tflm_train.backward_ops.move import Move, move_gradient
from tflm_train.backward_ops.numerics import Mask, QuantizedGradient
from tflm_train.backward_ops.product import product_gradient, product_of
from tflm_train.backward_ops.resize import resize_gradient
from tflm_train.model import Model, Op, Tensor
from tflm_train.ops.constants import MaskKind, TargetKind
from tflm_train.ops.geometry import Geometry, TapWindow, TransposedGeometry
from tflm_train.qas.update import (
    multipliers,
    pack_nibbles,
    stochastic_key,
    trained_taps,
    unpack_nibbles,
    update_bias,
    update_weights,
)

Array = npt.NDArray[Any]


class WholeGraph:
    """Holds the variables of a rewritten model and steps them in numpy.

    Attributes:
      variables: By tensor name, in the order of the restore op.
      step_count: Steps taken.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        restore = next(op for op in model.graph.ops if op.name == "TFLM_TRAIN_RESTORE")
        params = abi.unpack(restore.custom_options or b"")
        assert isinstance(params, abi.RestoreParams)
        self._restore = params
        self._tensors = restore.outputs[1:]
        self.variables: dict[str, Array] = {}
        factory = restore.optional_input(1)
        values = b"" if factory is None or factory.data is None else factory.data.tobytes()
        values += bytes(sum(tensor.nbytes for tensor in self._tensors) - len(values))
        for tensor in self._tensors:
            value = np.frombuffer(values[: tensor.nbytes], tensor.dtype).reshape(tensor.shape)
            self.variables[tensor.name] = value.copy()
            values = values[tensor.nbytes :]
        self.step_count = 0
        self._gradients: dict[int, Array] = {}

    def blob(self) -> bytes:
        """The state blob of these variables, packed independently of the kernels."""
        payload = b"".join(self.variables[t.name].tobytes() for t in self._tensors)
        p = self._restore
        head = struct.pack(
            "<IHHIIIII", abi.BLOB_MAGIC, abi.BLOB_VERSION, 32,
            p.fingerprint_lo, p.fingerprint_hi, self.step_count, p.seed, len(payload),
        )  # fmt: skip
        return head + struct.pack("<I", zlib.crc32(payload, zlib.crc32(head))) + payload

    def step(
        self, activation: Callable[[Tensor], Array], label: int | Array | None, rate: float
    ) -> float:
        """One training step.

        Args:
          activation: Gives the forward value of a tensor.
          label: The class or the target values; None where the model's input is the target.
          rate: The learning rate.

        Returns:
          The loss.
        """
        self._activation = activation
        self._rate = np.float32(rate)
        self._label = label
        self._gradients = {}
        self.loss = np.float32(0)
        for op in self._model.graph.ops:
            if op.name.startswith(abi.OP_PREFIX):
                params = abi.unpack(op.custom_options or b"")
                if type(params) in self._handlers:
                    self._handlers[type(params)](op, params)
        return float(self.loss)

    @property
    def _handlers(self) -> dict[type[abi.OpParams], Callable[[Op, Any], None]]:
        """By kind of op; forward ops are the interpreter's."""
        return {
            abi.LossParams: self._run_loss,
            abi.ClampMaskParams: self._run_clamp_mask,
            abi.ConvInputGradParams: self._run_conv_input_grad,
            abi.DepthwiseInputGradParams: self._run_depthwise_input_grad,
            abi.PoolGradParams: self._run_pool_grad,
            abi.ProductGradParams: self._run_product_grad,
            abi.MoveGradParams: self._run_move_grad,
            abi.MaxPoolGradParams: self._run_max_pool_grad,
            abi.ResizeGradParams: self._run_resize_grad,
            abi.L2NormGradParams: self._run_l2_norm_grad,
            abi.AccumulateParams: self._run_accumulate,
            abi.ConvUpdateParams: self._run_update,
            abi.DepthwiseUpdateParams: self._run_update,
            abi.BiasUpdateParams: self._run_bias_update,
            abi.ChannelSaveParams: self._run_channel_save,
        }

    def _value(self, tensor: Tensor | None) -> Array:
        assert tensor is not None
        if id(tensor) in self._gradients:
            return self._gradients[id(tensor)]
        if tensor.name in self.variables:
            return self.variables[tensor.name]
        return tensor.data if tensor.data is not None else self._activation(tensor)

    def _gradient(self, tensor: Tensor | None, slot: int) -> QuantizedGradient:
        scale = self.variables["train/scales"][slot]
        return QuantizedGradient(self._value(tensor), np.float32(scale))

    def _store(self, tensor: Tensor, slot: int, q: Array, scale: np.float32) -> None:
        assert q.size == tensor.size, tensor.name
        self._gradients[id(tensor)] = q
        self.variables["train/scales"][slot] = scale

    def _mask(self, fields: abi.MaskFields, tensor: Tensor | None) -> Mask | None:
        if fields.mask_kind == MaskKind.NONE:
            return None
        kind = MaskKind(fields.mask_kind)
        return Mask(kind, self._value(tensor), fields.act_min, fields.act_max)

    def _run_loss(self, op: Op, params: abi.LossParams) -> None:
        from_input = params.target_kind == TargetKind.INPUT
        target = self._value(op.inputs[1]) if from_input else self._label
        weights = None if op.inputs[2] is None else op.inputs[2].data
        result = reference_loss(params, self._value(op.inputs[0]), target, weights)
        self.loss = result.value
        self._store(op.outputs[0], params.slot, result.gradient.q, result.gradient.scale)
        self.step_count += 1

    def _run_clamp_mask(self, op: Op, params: abi.ClampMaskParams) -> None:
        y = self._value(op.inputs[0])
        self._gradients[id(op.outputs[0])] = numerics.clamp_mask(y, params.act_min, params.act_max)

    def _run_conv_input_grad(self, op: Op, params: abi.ConvInputGradParams) -> None:
        m = conv_2d.ConvMultipliers(
            self._value(op.inputs[2]),
            np.float32(params.unit_scale),
            params.group,
            params.group_shift,
        )
        self._run_input_grad(op, params, conv_2d.input_gradient, m)

    def _run_depthwise_input_grad(self, op: Op, params: abi.DepthwiseInputGradParams) -> None:
        m = depthwise_conv_2d.DepthwiseMultipliers(
            self._value(op.inputs[2]), np.float32(params.unit_scale)
        )
        self._run_input_grad(op, params, depthwise_conv_2d.input_gradient, m)

    def _run_input_grad(self, op: Op, params: Any, function: Any, multipliers: Any) -> None:
        g = _geometry_of(params)
        incoming = self._gradient(op.inputs[0], params.slot_in)
        incoming = QuantizedGradient(incoming.q.reshape(g.out_h, g.out_w, g.out_c), incoming.scale)
        addend = None
        if params.slot_addend >= 0:
            addend = self._gradient(op.inputs[abi.InputGradInput.ADDEND], params.slot_addend)
        ranges = self.variables["train/ranges"]
        weights = self._value(op.inputs[1])
        if params.kept > 0:
            weights = self._merge(op, params)
        result = function(
            incoming,
            weights,
            multipliers,
            g,
            ranges[params.slot_out],
            self._mask(params.mask, op.inputs[abi.InputGradInput.MASK]),
            addend,
        )
        ranges[params.slot_out] = result.range_
        self._store(op.outputs[0], params.slot_out, result.q, result.scale)

    def _merge(self, op: Op, params: Any) -> Array:
        """The whole weights of a layer that trains in part."""
        constant, columns, listed = (self._value(op.inputs[i]) for i in (1, 3, 4))
        if isinstance(params, abi.DepthwiseInputGradParams):
            return split_forward.merge_depthwise_weights(constant, columns, listed)
        return split_forward.merge_conv_weights(constant, columns, listed)

    def _run_channel_save(self, op: Op, params: abi.ChannelSaveParams) -> None:
        values = self._value(op.inputs[0]).reshape(params.positions, params.channels)
        self._gradients[id(op.outputs[0])] = values[:, self._value(op.inputs[1])]

    def _run_pool_grad(self, op: Op, params: abi.PoolGradParams) -> None:
        ranges = self.variables["train/ranges"]
        mask = self._mask(params.mask, op.inputs[1])
        incoming = self._gradient(op.inputs[0], params.slot_in)
        result = pool.pool_gradient(incoming, params.geometry, ranges[params.slot_out], mask)
        ranges[params.slot_out] = result.range_
        self._store(op.outputs[0], params.slot_out, result.q, result.scale)

    def _run_move_grad(self, op: Op, params: abi.MoveGradParams) -> None:
        p = params
        move = Move(p.axis, p.offset)
        incoming = self._gradient(op.inputs[0], p.slot_in)
        result = move_gradient(incoming, move, self._mask(p.mask, op.inputs[1]), p.divisor)
        self._store(op.outputs[0], p.slot_out, result.q, result.scale)

    def _run_product_grad(self, op: Op, params: abi.ProductGradParams) -> None:
        x, table = (None if t is None else self._value(t) for t in op.inputs[1:3])
        self._requantized(
            op,
            params,
            product_gradient,
            x,
            table,
            product_of(params),
            addend=self._addend(op, params),
        )

    def _run_max_pool_grad(self, op: Op, params: abi.MaxPoolGradParams) -> None:
        x, y = (self._value(t) for t in op.inputs[1:3])
        self._requantized(op, params, max_pool_gradient, x, y, params.geometry)

    def _run_resize_grad(self, op: Op, params: abi.ResizeGradParams) -> None:
        rows, columns = (self._value(t) for t in op.inputs[1:3])
        size = (params.in_h, params.in_w)
        self._requantized(
            op, params, resize_gradient, rows, columns, size, addend=self._addend(op, params)
        )

    def _run_l2_norm_grad(self, op: Op, params: abi.L2NormGradParams) -> None:
        x, y = (self._value(t) for t in op.inputs[1:3])
        self._requantized(op, params, l2_norm_gradient, x, y, params.x_scale, params.x_zero_point)

    def _addend(self, op: Op, params: Any) -> QuantizedGradient | None:
        if params.slot_addend < 0:
            return None
        return self._gradient(op.inputs[4], params.slot_addend)

    def _requantized(self, op: Op, params: Any, function: Any, *args: Any, **more: Any) -> None:
        """An op with inputs `grad_out`, `mask` at 0 and 3."""
        ranges = self.variables["train/ranges"]
        incoming = self._gradient(op.inputs[0], params.slot_in)
        mask = self._mask(params.mask, op.inputs[3])
        result = function(incoming, *args, ranges[params.slot_out], mask, **more)
        ranges[params.slot_out] = result.range_
        self._store(op.outputs[0], params.slot_out, result.q, result.scale)

    def _run_accumulate(self, op: Op, params: abi.AccumulateParams) -> None:
        parts = []
        for tensor, slot in zip(op.inputs[:-3], params.slot_in[: params.count], strict=True):
            part = self._gradient(tensor, slot)
            parts.append(QuantizedGradient(part.q.reshape(-1), part.scale))
        result = numerics.accumulate(parts, self._mask(params.mask, op.inputs[-3]))
        self._store(op.outputs[0], params.slot_out, result.q, result.scale)

    def _run_update(self, op: Op, params: Any) -> None:
        g = _geometry_of(params)
        u: abi.UpdateFields = params.update
        depthwise = isinstance(params, abi.DepthwiseUpdateParams)
        module = depthwise_conv_2d if depthwise else conv_2d
        x, q, factors, weights, bias, residual, listed = (
            None if t is None else self._value(t) for t in op.inputs[: abi.UpdateInput.AFTER]
        )
        assert x is not None and q is not None and weights is not None and factors is not None
        kw, kb = factors[0], factors[-1]
        G, B = module.weight_gradient(q, x, u.x_zero_point, g)
        if u.residual_bits == 4:
            assert residual is not None
            residual = unpack_nibbles(residual, weights.size)
        scale = np.float32(self.variables["train/scales"][u.slot])
        new_weights, new_residual = update_weights(
            weights.reshape(G.shape),
            None if residual is None else residual.reshape(G.shape),
            G,
            multipliers(self._rate, scale, kw, u.gain_shift, u.residual_bits),
            u.gain_shift,
            channel_axis=-1 if depthwise else 0,
            residual_bits=u.residual_bits,
            key=stochastic_key(self._restore.seed, self.step_count, u.layer),
            columns=listed,
            trained=trained_taps(g, TapWindow(u.tap_y0, u.tap_y1, u.tap_x0, u.tap_x1), depthwise),
        )
        new_bias = None if bias is None else update_bias(bias, B, kb, self._rate, scale)
        if u.residual_bits == 4:
            assert new_residual is not None
            new_residual = pack_nibbles(new_residual)
        changed = op.inputs[abi.UpdateInput.WEIGHTS : abi.UpdateInput.RESIDUAL + 1]
        for tensor, value in zip(changed, (new_weights, new_bias, new_residual), strict=True):
            if tensor is not None and value is not None:
                self.variables[tensor.name] = value.reshape(tensor.shape)
        self._store_token(op)

    def _run_bias_update(self, op: Op, params: abi.BiasUpdateParams) -> None:
        gradient = self._gradient(op.inputs[0], params.slot)
        B = numerics.bias_gradient(gradient.q.reshape(params.positions, 1, params.channels))
        changed = op.inputs[abi.BiasUpdateInput.BIAS]
        assert changed is not None
        factors = self._value(op.inputs[abi.BiasUpdateInput.FACTORS])
        new = update_bias(self._value(changed), B, factors, self._rate, gradient.scale)
        self.variables[changed.name] = new
        self._store_token(op)

    def _store_token(self, op: Op) -> None:
        self._gradients[id(op.output)] = np.ones(1, np.int8)


def _geometry_of(params: Any) -> Geometry:
    g: Geometry = params.geometry
    return TransposedGeometry(*astuple(g)) if getattr(params, "transposed", 0) else g
