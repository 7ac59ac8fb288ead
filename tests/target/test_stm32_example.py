"""`stm32_example` on emulated boards, with a real TFLM: it learns bit for bit as the host does.

`TFLM_LIB` and `TFLM_INCLUDE` as for the other tests of this folder (`firmware.py`). A library for
Cortex-M4 runs on both boards, one for Cortex-M7 on the larger only.
"""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import tflm_train as tt
from tests import requirements
from tests.steps import DIGITS
from tests.target.firmware import library_kernels
from tflm_train.demo.data import field_data
from tflm_train.memory import memory_report
from tflm_train.model import load
from tflm_train.rewriter import rewrite
from tflm_train.runtime.latent_store import Replay, Reservoir
from tflm_train.runtime.model_data import model_inputs
from tools import boards

ROOT = boards.ROOT
TRAIN, TEST, RATE = 300, 100, 0.01
STORED = 10  # samples that a model with latents begins with
BOARDS = {"netduinoplus2": "stm32f405", "mps2-an500": "mps2-an500"}
RUN_SECONDS = 900  # a slow machine that compiles all kernels


@pytest.fixture(scope="module", params=[False, True], ids=["samples", "latents"])
def project(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the rewritten model, its CMake export and the samples."""
    requirements.tflm()
    requirements.programs("cmake")
    folder = tmp_path_factory.mktemp("stm32")
    scheme = tt.Scheme.load(DIGITS.with_name("scheme.yaml"))
    scheme = dataclasses.replace(scheme, latent=request.param)
    model = folder / "digits_train.tflite"
    model.write_bytes(rewrite(load(DIGITS), scheme).model_bytes)
    run(
        sys.executable, "-m", "tflm_train", "export", model,
        "--format", "cmake", "--name", "digits", "-o", folder / "model",
    )  # fmt: skip
    run(
        sys.executable, ROOT / "stm32_example/make_samples.py", "--model", model, "--demo",
        "--train", TRAIN, "--test", TEST, "-o", folder / "samples.cc",
    )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def host(project: Path) -> dict[str, object]:
    """The same training on the host."""
    interpreter = tt.Interpreter(project / "digits_train.tflite")
    data = field_data()
    x = model_inputs(interpreter, data.x_train[:TRAIN], "x_train")
    x_test = model_inputs(interpreter, data.x_test[:TEST], "x_test")
    y_test = data.y_test[:TEST]

    def right() -> int:
        return sum(
            int(np.argmax(interpreter.infer(x)) == y) for x, y in zip(x_test, y_test, strict=True)
        )

    result: dict[str, object] = {"before": right()}
    if interpreter.trains_from_latents:
        learn_from_ten(interpreter, x, data.y_train)
    for sample, label in zip(x, data.y_train[:TRAIN], strict=True):
        interpreter.train_step(sample, int(label), float(np.float32(RATE)))
    return result | {"after": right(), "state": interpreter.state()}


def learn_from_ten(
    interpreter: tt.Interpreter, x: Sequence[npt.NDArray[Any]], y: npt.NDArray[Any]
) -> None:
    """Ten samples, then an epoch over what is stored of them, in the order of the firmware."""
    rate = float(np.float32(RATE))
    store = Reservoir(STORED)
    latents = {}
    for sample, label in zip(x[:STORED], y[:STORED], strict=True):
        interpreter.train_step(sample, int(label), rate)
        index = store.add(int(label))
        latents[index] = (interpreter.latent(), int(label))
    for index in Replay(store, seed=1).epoch():
        interpreter.train_from_latent(*latents[index], learning_rate=rate)


@pytest.mark.parametrize("board", BOARDS)
def test_learns_what_the_host_learns(board: str, project: Path, host: dict[str, object]) -> None:
    if board == "netduinoplus2":
        requirements.tflm_for_cortex_m4()
    build = project / board
    run(
        "cmake", "-S", ROOT / "stm32_example", "-B", build,
        f"-DCMAKE_TOOLCHAIN_FILE={ROOT / 'stm32_example/arm-none-eabi.cmake'}",
        f"-DBOARD={BOARDS[board]}", f"-DMODEL_DIR={project / 'model'}",
        f"-DSAMPLES={project / 'samples.cc'}", f"-DLEARNING_RATE={RATE}f",
        f"-DTFLM_INCLUDE={os.environ['TFLM_INCLUDE'].replace(':', ';')}",
        f"-DTFLM_LIB={os.environ['TFLM_LIB']}",
    )  # fmt: skip
    run("cmake", "--build", build, "--parallel", "2")
    output = run(
        "qemu-system-arm", "-M", board, "-nographic", "-monitor", "none", "-serial", "none",
        "-semihosting-config", "enable=on,target=native", "-kernel", build / "stm32_example.elf",
        folder=build,
    )  # fmt: skip
    assert output.endswith("done\n"), output
    lines = dict(re.findall(r"^(\w+):? (\d+) of", output, re.MULTILINE))
    report = memory_report(load(project / "digits_train.tflite"), library_kernels())
    assert int(lines["arena_used_bytes"]) == report.total_bytes
    assert int(lines["before"]) == int(lines["factory"]) == host["before"]
    assert int(lines["after"]) == int(lines["loaded"]) == host["after"]
    assert int(lines["after"]) > 2 * int(lines["before"])
    assert (build / "trained.state").read_bytes() == host["state"]


def run(*command: object, folder: Path = ROOT) -> str:
    finished = subprocess.run(
        [str(part) for part in command], cwd=folder, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, errors="replace", timeout=RUN_SECONDS, check=False,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout + finished.stderr
