"""The numbers that this version of the operators gives, which no change may move unnoticed.

tests/cpp/numbers.json holds a case or two of every training op: parameters, inputs, results. The
numpy reference is compared with it (test_numbers.py) and so are the kernels, on all cores, since
its cases are in the golden tables as they stand. A change of both alike is thus seen: whoever means
it raises `ops.VERSION`, because a model in training must go on with the numbers that it began with,
and makes the file anew, `python tests/cpp/freeze_numbers.py`, which refuses another result for the
same inputs under the same version.
"""

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from golden_inputs import Array, Field, Suite

from tflm_train import ops
from tflm_train.ops.declaration import HEADER

PATH = Path(__file__).parent / "numbers.json"

RESULTS: Mapping[str, int] = {
    "conv_input_grad": 3,
    "depthwise_input_grad": 3,
    "pool_grad": 3,
    "accumulate": 2,
    "clamp_mask": 1,
    "loss": 3,
    "move_grad": 2,
    "product_grad": 3,
    "max_pool_grad": 3,
    "resize_grad": 3,
    "l2_norm_grad": 3,
    "conv_update": 3,
    "depthwise_update": 3,
    "bias_update": 1,
    "split_conv": 1,
    "split_depthwise": 1,
    "channel_save": 1,
    "add_row": 1,
}
"""The suites, and how many of their last fields are results."""

WITHOUT_NUMBERS = (ops.Restore, ops.Finish)
"""The ops that only move what others made."""
_CASES = 2
_MOST_BYTES = 2048  # of a case

Row = list[Any]
Numbers = dict[str, dict[str, Row]]


def chosen(suites: Mapping[str, Suite]) -> Numbers:
    """The first small cases of each suite, encoded."""
    found: Numbers = {}
    for name in RESULTS:
        rows = {k: row for k, row in suites[name].rows.items() if _nbytes(row) <= _MOST_BYTES}
        first = list(rows)[:_CASES]
        assert first, f"{name}: no case is small"
        found[name] = {key: [encoded(field) for field in rows[key]] for key in first}
    return found


def add_to(suites: Mapping[str, Suite]) -> None:
    """Adds the committed cases to their suites."""
    for name, rows in committed()[1].items():
        for number, (key, row) in enumerate(rows.items()):
            # The smallest board has room for one of each.
            suites[name].case(f"frozen_{key}", *map(decoded, row), small=number == 0)


def committed() -> tuple[int, Numbers]:
    """The file's version and cases."""
    content = json.loads(PATH.read_text())
    return content["version"], content["suites"]


def moved(old: Numbers, new: Numbers) -> list[str]:
    """The cases of the same inputs and other results."""
    found = []
    for suite, count in RESULTS.items():
        for key, row in old.get(suite, {}).items():
            other = new.get(suite, {}).get(key, [])
            if row[:-count] == other[:-count] and row != other:
                found.append(f"{suite}: {key}")
    return found


def encoded(field: Field) -> Any:
    """A field as JSON has it."""
    if field is None or isinstance(field, int | np.integer):
        return None if field is None else int(field)
    data: Array = np.frombuffer(field, np.uint8) if isinstance(field, bytes) else field
    return f"{data.dtype.name}:{base64.b64encode(data.tobytes()).decode()}"


def decoded(field: Any) -> Field:
    """The inverse; arrays are flat."""
    if not isinstance(field, str):
        return field  # type: ignore[no-any-return]
    dtype, text = field.split(":")
    return np.frombuffer(base64.b64decode(text), dtype)


def kinds(numbers: Numbers) -> set[int]:
    """The kinds of op that the cases are of: each begins with an op's parameters."""
    rows = [row for rows in numbers.values() for row in rows.values()]
    return {HEADER.unpack_from(np.asarray(decoded(row[0])).tobytes())[0] for row in rows}


def _nbytes(row: tuple[Field, ...]) -> int:
    arrays = (f for f in row if isinstance(f, np.ndarray | bytes))
    return sum(f.nbytes if isinstance(f, np.ndarray) else len(f) for f in arrays)
