"""Options of builtin layers that a custom op has taken over, kept for the way back.

A custom op must not carry builtin options: no interpreter reads them, and Arm's Vela takes the op
for the builtin one and falls over its inputs. So they lie in the model's metadata, as JSON: by the
name of the op's output the class of the schema and what differs from its defaults.
"""

from __future__ import annotations

import json
from typing import Any

from ai_edge_litert import schema_py_generated as schema

from tflm_train.model.model import Model

METADATA_NAME = "tflm_train/layer_options"


def store_layer_options(model: Model) -> None:
    """Moves the options of custom ops into metadata."""
    found: dict[str, tuple[str, dict[str, Any]]] = {}
    for op in model.graph.ops:
        if op.is_custom and op.options is not None:
            defaults = vars(type(op.options)())
            changed = {k: v for k, v in vars(op.options).items() if v != defaults[k]}
            found[op.output.name] = (type(op.options).__name__, changed)
            op.options = None
    if found:
        text = json.dumps(found, separators=(",", ":"))
        model.set_metadata(METADATA_NAME, text.encode())


def restore_layer_options(model: Model) -> None:
    """Gives custom ops the options that `store_layer_options` took; damaged ones are left out."""
    data = model.metadata(METADATA_NAME)
    model.drop_metadata(METADATA_NAME)
    try:
        found = json.loads(data or b"{}")
        for op in model.graph.ops:
            if op.is_custom and op.outputs and op.output.name in found:
                name, changed = found[op.output.name]
                op.options = getattr(schema, name)()
                vars(op.options).update(changed)
    except (ValueError, TypeError, AttributeError):
        return
