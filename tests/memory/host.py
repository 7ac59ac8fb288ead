"""The interpreter of this environment, for comparisons with the memory model."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

from tflm_train.ops.target import HOST, HOST_CLASSIC, Target

ALIGNMENT = 16
_FIRST_OF_ITS_GENERATION = "0.dev20261009"
_ROOT = Path(__file__).resolve().parents[2]

# Each size is tried in a child of its own: without room some kernels fall over null pointers.
_PROBE = """
import os, sys
from tflite_micro.python.tflite_micro import runtime
from tflm_train.runtime.host_library import REGISTERER, host_library
data = open(sys.argv[1], "rb").read()
ours = [REGISTERER] if b"TFLM_TRAIN" in data else []
if ours:
    host_library()
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        try:
            runtime.Interpreter.from_bytes(
                data,
                custom_op_registerers=ours,
                arena_size=int(line),
                intrepreter_config=runtime.InterpreterConfig.kAllocationRecording,
            )
        except RuntimeError:
            os._exit(1)
        os._exit(0)
    print(os.waitpid(child, 0)[1], flush=True)
"""


def host_target() -> Target:
    """How the installed interpreter was built."""
    modern = importlib.metadata.version("tflite-micro") >= _FIRST_OF_ITS_GENERATION
    return HOST if modern else HOST_CLASSIC


def smallest_arena(model: Path, enough: int) -> int:
    """The smallest arena, a multiple of 16, with which AllocateTensors succeeds.

    Args:
      model: A .tflite file.
      enough: An arena that is large enough.
    """
    command = [sys.executable, "-c", _PROBE, str(model)]
    environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as probe:
        assert probe.stdin is not None and probe.stdout is not None
        refused, accepted = 0, -(-enough // ALIGNMENT)
        size = accepted
        while True:
            probe.stdin.write(f"{size * ALIGNMENT}\n")
            probe.stdin.flush()
            if int(probe.stdout.readline()) == 0:
                accepted = size
            else:
                assert size < accepted, "the arena said to be enough is not"
                refused = size
            if accepted - refused <= 1:
                return accepted * ALIGNMENT
            size = (accepted + refused) // 2
