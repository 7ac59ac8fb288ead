"""Writes what follows from the declarations of operators, gradient rules and commands.

    python -m tools.generate [--check]

With --check nothing is written; the exit code is 1 where a file is not what it should be.
"""

from __future__ import annotations

import argparse
import sys

from .files import ROOT, generated


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="write nothing, compare")
    check = parser.parse_args().check
    stale = 0
    for name, text in generated().items():
        path = ROOT / name
        if path.exists() and path.read_text() == text:
            continue
        stale += 1
        print(f"{name}: {'is not current: run python -m tools.generate' if check else 'written'}")
        if not check:
            path.write_text(text)
    return int(check and stale > 0)


if __name__ == "__main__":
    sys.exit(main())
