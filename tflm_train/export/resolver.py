"""The op resolver that holds just the ops of one model."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from ai_edge_litert import schema_py_generated as schema

from tflm_train import ops
from tflm_train.errors import UnsupportedError
from tflm_train.export.c_source import c_string
from tflm_train.model import Model, flatbuffer
from tflm_train.model.model import BUILTIN_NAMES
from tflm_train.ops.builtin import BUILTINS
from tflm_train.ops.npu import ETHOS_U


@dataclass(frozen=True)
class Resolver:
    """The ops to register.

    Attributes:
      calls: C++ expressions of the type TfLiteStatus, each registering one op in `resolver`.
      declarations: Of the functions that they call and the firmware has to define: one for each
        custom op that is neither TFLM's nor ours.
      has_ours: Whether there are ops of ours among them.
    """

    calls: tuple[str, ...]
    declarations: tuple[str, ...] = ()
    has_ours: bool = False


def exact_resolver(model: Model) -> Resolver:
    """Finds the ops that all subgraphs of a model use.

    Args:
      model: The model.

    Returns:
      The registrations, TFLM's own ops first, each group in the order of first use.

    Raises:
      UnsupportedError: An op that TFLM has no kernel for.
    """
    builtins: list[str] = []
    declarations: list[str] = []
    training: list[str] = []
    for code in _used_codes(model):
        builtin = max(code.builtinCode, code.deprecatedBuiltinCode)
        if builtin == schema.BuiltinOperator.CUSTOM:
            name = code.customCode.decode(errors="replace") if code.customCode else ""
            if name == ETHOS_U.name:
                builtins.append(f"resolver.Add{ETHOS_U.method}()")
                continue
            if not name.startswith(ops.OP_PREFIX):
                function = "Register_" + re.sub(r"\W", "_", name)
                declarations.append(f"const TFLMRegistration* {function}();")
                builtins.append(f"resolver.AddCustom({c_string(name)}, {function}())")
                continue
            kind = name.removeprefix(ops.OP_PREFIX)
            call = f"::tflm_train::AddTrainOp(resolver, ::tflm_train::Register_TRAIN_{kind}())"
            training.append(call)
        else:
            builtins.append(f"resolver.Add{resolver_method(builtin, model.name)}()")
    # Several versions of one op are one kernel.
    calls = tuple(dict.fromkeys([*builtins, *training]))
    return Resolver(calls, tuple(dict.fromkeys(declarations)), bool(training))


def resolver_method(builtin: int, model_name: str) -> str:
    """The part of `MicroMutableOpResolver::Add...` after Add.

    Raises:
      UnsupportedError: TFLM has no kernel for the op.
    """
    name = BUILTIN_NAMES.get(builtin, f"number {builtin}")
    row = BUILTINS.get(name)
    if row is None or not row.has_kernel:
        raise UnsupportedError(f"{model_name}: TFLM has no kernel for the operator {name}")
    return row.resolver_method


def _used_codes(model: Model) -> list[Any]:
    raw, _ = flatbuffer.parse(model.source, model.name)
    order: dict[int, None] = {}
    for subgraph in raw.subgraphs:
        for operator in [] if subgraph.operators is None else subgraph.operators:
            order[operator.opcodeIndex] = None
    return [raw.operatorCodes[index] for index in order]
