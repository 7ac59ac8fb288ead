"""Writes tests/cpp/numbers.json, the numbers of this version: see golden_numbers.py."""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

import golden_numbers
from generate_golden import all_suites

from tflm_train import ops


def main() -> int:
    new = golden_numbers.chosen({suite.name: suite for suite in all_suites()})
    if golden_numbers.PATH.exists():
        version, old = golden_numbers.committed()
        moved = golden_numbers.moved(old, new)
        if version == ops.VERSION and moved:
            print(
                f"version {version} gives other numbers than it did ({'; '.join(moved)}): "
                "raise ops.VERSION first, so that no model goes on with other numbers"
            )
            return 1
    content = {"version": ops.VERSION, "suites": new}
    golden_numbers.PATH.write_text(json.dumps(content, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
