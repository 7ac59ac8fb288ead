"""The op resolver that holds just the ops of one model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ai_edge_litert import schema_py_generated as schema

from tflm_train import kernel_abi as abi
from tflm_train.errors import UnsupportedError
from tflm_train.graph import NPU_OP
from tflm_train.model import Model, flatbuffer

# Custom ops that MicroMutableOpResolver has a method for: Vela's call of the Ethos-U.
_CUSTOM = {NPU_OP: "EthosU"}
# MicroMutableOpResolver's methods (as of August 2026) whose names do not follow from the schema's.
_IRREGULAR = {
    "BATCH_MATMUL": "BatchMatMul",
    "CUMSUM": "CumSum",
    "PADV2": "PadV2",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "UnidirectionalSequenceLSTM",
}
_REGULAR = frozenset(
    """
    ABS ADD ADD_N ARG_MAX ARG_MIN ASSIGN_VARIABLE AVERAGE_POOL_2D BATCH_TO_SPACE_ND
    BROADCAST_ARGS BROADCAST_TO CALL_ONCE CAST CEIL CONCATENATION CONV_2D COS DEPTH_TO_SPACE
    DEPTHWISE_CONV_2D DEQUANTIZE DIV DYNAMIC_UPDATE_SLICE EMBEDDING_LOOKUP ELU EQUAL EXP EXPAND_DIMS
    FILL FLOOR FLOOR_DIV FLOOR_MOD FULLY_CONNECTED GATHER GATHER_ND GREATER GREATER_EQUAL HARD_SWISH
    IF L2_NORMALIZATION L2_POOL_2D LEAKY_RELU LESS LESS_EQUAL LOG LOGICAL_AND LOGICAL_NOT LOGICAL_OR
    LOGISTIC LOG_SOFTMAX MAXIMUM MAX_POOL_2D MEAN MINIMUM MIRROR_PAD MUL NEG NOT_EQUAL PACK PAD
    PRELU QUANTIZE READ_VARIABLE REDUCE_ALL REDUCE_MAX REDUCE_MIN RELU RELU6 RESHAPE RESIZE_BILINEAR
    RESIZE_NEAREST_NEIGHBOR REVERSE_V2 ROUND RSQRT SELECT_V2 SHAPE SIN SLICE SOFTMAX
    SPACE_TO_BATCH_ND SPACE_TO_DEPTH SPLIT SPLIT_V SQRT SQUARE SQUARED_DIFFERENCE SQUEEZE
    STRIDED_SLICE SUB SUM SVDF TANH TRANSPOSE TRANSPOSE_CONV UNPACK VAR_HANDLE WHILE ZEROS_LIKE
    """.split()
)


@dataclass(frozen=True)
class Resolver:
    """The ops to register.

    Attributes:
      calls: C++ expressions of the type TfLiteStatus, each registering one op in `resolver`.
    """

    calls: tuple[str, ...]


def exact_resolver(model: Model) -> Resolver:
    """Finds the ops that all subgraphs of a model use.

    Args:
      model: A rewritten model.

    Returns:
      The registrations, TFLM's own ops first, each group in the order of first use.

    Raises:
      UnsupportedError: An op that TFLM has no kernel for, or a custom op of neither us nor TFLM.
    """
    builtins: list[str] = []
    training: list[str] = []
    for code in _used_codes(model):
        builtin = max(code.builtinCode, code.deprecatedBuiltinCode)
        if builtin == schema.BuiltinOperator.CUSTOM:
            name = code.customCode.decode(errors="replace") if code.customCode else ""
            if name in _CUSTOM:
                builtins.append(f"resolver.Add{_CUSTOM[name]}()")
                continue
            if not name.startswith(abi.OP_PREFIX):
                raise UnsupportedError(
                    f"{model.name}: custom op {name!r} is not ours: register it beside AddOps"
                )
            kind = name.removeprefix(abi.OP_PREFIX)
            call = f"::tflm_train::AddTrainOp(resolver, ::tflm_train::Register_TRAIN_{kind}())"
            training.append(call)
        else:
            builtins.append(f"resolver.Add{resolver_method(builtin, model.name)}()")
    # Several versions of one op are one kernel.
    return Resolver(tuple(dict.fromkeys([*builtins, *training])))


def resolver_method(builtin: int, model_name: str) -> str:
    """The part of `MicroMutableOpResolver::Add...` after Add.

    Raises:
      UnsupportedError: TFLM has no kernel for the op.
    """
    names = {v: k for k, v in vars(schema.BuiltinOperator).items() if isinstance(v, int)}
    name = names.get(builtin, f"number {builtin}")
    if name in _IRREGULAR:
        return _IRREGULAR[name]
    if name not in _REGULAR:
        raise UnsupportedError(f"{model_name}: TFLM has no kernel for the operator {name}")
    words = name.split("_")
    return "".join(word if word[0].isdigit() else word.capitalize() for word in words)


def _used_codes(model: Model) -> list[Any]:
    raw, _ = flatbuffer.parse(model.source, model.name)
    order: dict[int, None] = {}
    for subgraph in raw.subgraphs:
        for operator in [] if subgraph.operators is None else subgraph.operators:
            order[operator.opcodeIndex] = None
    return [raw.operatorCodes[index] for index in order]
