"""The command line, `tflm_train <command>`: a file for each command, found by `commands.COMMANDS`.

A command parses, calls the library, writes files and shows the result; nothing else computes here,
and nothing outside this folder imports it.
"""

from tflm_train.cli.main import run

__all__ = ["run"]
