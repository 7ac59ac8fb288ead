"""Operators that TFLM runs and of which nothing else is known here.

Their structure is not checked, and memory reports name them as not counted.
"""

from __future__ import annotations

from tflm_train.ops.builtin.operator import BuiltinOperator

_NAMES = """
    ABS ADD_N ASSIGN_VARIABLE BROADCAST_ARGS BROADCAST_TO CALL_ONCE CAST CEIL COS
    DYNAMIC_UPDATE_SLICE ELU EMBEDDING_LOOKUP EQUAL EXP FILL FLOOR FLOOR_DIV FLOOR_MOD GATHER
    GATHER_ND GREATER GREATER_EQUAL IF L2_POOL_2D LESS LESS_EQUAL LOG LOGICAL_AND LOGICAL_NOT
    LOGICAL_OR LOG_SOFTMAX MIRROR_PAD NEG NOT_EQUAL READ_VARIABLE REDUCE_ALL REVERSE_V2 ROUND
    RSQRT SELECT_V2 SHAPE SIN SPACE_TO_BATCH_ND SQRT SQUARE SQUARED_DIFFERENCE VAR_HANDLE
    WHILE ZEROS_LIKE
"""

ROWS = (
    *(BuiltinOperator(name) for name in _NAMES.split()),
    BuiltinOperator("CUMSUM", method="CumSum"),
)
