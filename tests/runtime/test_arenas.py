"""Arenas of every size from nothing to enough: our operators end in a status each time.

Without room TFLM's planner and some of its kernels write through null pointers of their own; sizes
at which they do are told apart from those at which one of our operators was running. All multiples
of 16 of the smallest model are tried, and some of larger ones; TFLM_TRAIN_ARENAS=1 tries all.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from tests.memory.host import ALIGNMENT
from tests.random_layers import random_stack
from tests.stacks import Stack
from tests.steps import full_scheme
from tflm_train.memory import memory_report
from tflm_train.model import Model
from tflm_train.rewriter import rewrite
from tflm_train.rewriter.optimize import Forward, Streaming
from tflm_train.scheme import Scheme, WeightUpdate

_SOURCE = Path(__file__).with_name("crash_owner.cc")
_ROOT = Path(__file__).resolve().parents[2]
_FITS, _REFUSED, _FAILED, _OURS, _THEIRS = 0, 1, 2, 70, 71
_SOME = 80
"""Sizes that are tried of a larger model."""

# A child for each size: it allocates, and where that succeeds it takes two training steps.
_PROBE = """
import os, sys
import numpy as np
from tflite_micro.python.tflite_micro import runtime
from tflm_train.runtime.host_library import REGISTERER, host_library
host_library()
data = open(sys.argv[1], "rb").read()
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        try:
            model = runtime.Interpreter.from_bytes(
                data, custom_op_registerers=[REGISTERER], arena_size=int(line)
            )
        except RuntimeError:
            os._exit(1)
        try:
            for i in 2 * list(range(int(sys.argv[2]))):
                about = model.get_input_details(i)
                fill = 0.01 if about["dtype"] == np.float32 else 0
                model.set_input(np.full(about["shape"], fill, about["dtype"]), i)
                if about["dtype"] == np.float32:  # the learning rate is the last one
                    model.invoke()
        except RuntimeError:
            os._exit(2)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.fixture(scope="module")
def crash_owner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    library = tmp_path_factory.mktemp("crash") / "crash_owner.so"
    command = ["c++", "-std=c++17", "-O1", "-fPIC", "-shared", str(_SOURCE), "-o", str(library)]
    subprocess.run([*command, "-ldl"], check=True)
    return library


def _outcomes(model: Path, sizes: Iterable[int], crash_owner: Path) -> Iterator[tuple[int, int]]:
    inputs = len(Model(model.read_bytes()).graph.inputs)
    environment = {**os.environ, "PYTHONPATH": str(_ROOT), "LD_PRELOAD": str(crash_owner)}
    with subprocess.Popen(
        [sys.executable, "-c", _PROBE, str(model), str(inputs)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as probe:
        assert probe.stdin is not None and probe.stdout is not None
        for size in sizes:
            probe.stdin.write(f"{size}\n")
            probe.stdin.flush()
            yield size, int(probe.stdout.readline())


def _tiny() -> bytes:
    stack = Stack.start(3, 3, 2, 1)
    stack.conv(3, 1, 1, True, 0)
    stack.depthwise(1, 3, 1, True, 0)
    scheme = Scheme(weights=(WeightUpdate(0, ratio=0.5),), biases_last=1, residual_bits=4)
    return rewrite(stack.finish(trainable=True), scheme).model_bytes


def _random(seed: int) -> bytes:
    rng = random.Random(seed)
    model = random_stack(rng.randint, 400).finish(trainable=True)
    stream, forward = rng.choice([*Streaming]), rng.choice([*Forward])
    return rewrite(model, full_scheme(model), stream=stream, forward=forward).model_bytes


MODELS = {"tiny": _tiny, **{f"random_{i}": (lambda i=i: _random(i)) for i in range(4)}}


@pytest.mark.parametrize("name", MODELS)
def test_every_size_ends_in_a_status(name: str, tmp_path: Path, crash_owner: Path) -> None:
    model = tmp_path / "model.tflite"
    model.write_bytes(MODELS[name]())
    enough = 2 * memory_report(Model(model.read_bytes())).minimum_bytes
    sizes = list(range(0, enough + ALIGNMENT, ALIGNMENT))
    if name != "tiny" and "TFLM_TRAIN_ARENAS" not in os.environ:
        sizes = sorted({*random.Random(name).sample(sizes, _SOME), sizes[-1]})
    found = dict(_outcomes(model, sizes, crash_owner))
    counts = Counter(found.values())
    print(name, len(sizes), "sizes:", counts)
    assert set(counts) <= {_FITS, _REFUSED, _THEIRS}, counts
    # Where it fits, any more is enough.
    smallest = min(size for size, outcome in found.items() if outcome == _FITS)
    assert all((outcome == _FITS) == (size >= smallest) for size, outcome in found.items())
    assert counts[_REFUSED] > len(sizes) // 4


def test_a_crash_of_ours_is_told_apart(crash_owner: Path) -> None:
    library = "from tflm_train.runtime.host_library import host_library"
    ours = f"{library}; host_library().TflmTrainKernelScratchBytes(1, 1, 1)"
    for code, status in ((ours, _OURS), ("import ctypes; ctypes.string_at(1)", _THEIRS)):
        environment = {**os.environ, "PYTHONPATH": str(_ROOT), "LD_PRELOAD": str(crash_owner)}
        ended = subprocess.run([sys.executable, "-c", code], env=environment, check=False)
        assert ended.returncode == status
