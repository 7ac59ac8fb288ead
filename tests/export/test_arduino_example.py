"""The Arduino example: its sketch against the exported library, its protocol against the PC tool.

The sketch is compiled for Cortex-M4F with the real export (`builds.py` says against which
TFLM), and for the host with stand-ins for Arduino's core and for the model, where the PC tool talks
to it through pipes.
"""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.export.builds import as_cpp, check_syntax
from tflm_train.errors import DataError
from tflm_train.export import export_project
from tflm_train.trained.state import StateBlob

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "arduino_example"
STUB = Path(__file__).with_name("arduino_stub")
TRAINER_STUB = Path(__file__).with_name("trainer_stub")
HOST_FLAGS = "-std=gnu++14 -O1 -g -Wall -Wextra -Werror -fsanitize=address,undefined".split()


@pytest.mark.parametrize("model", ["digits_train", "digits_latent"])
def test_the_sketch_compiles(model: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    project = export_project(request.getfixturevalue(model), "arduino", name="digits")
    project.write(tmp_path)
    sketch = as_cpp(EXAMPLE / "learn" / "learn.ino", tmp_path / "learn.ino.cpp")
    check_syntax([sketch], "-std=gnu++17", f"-I{tmp_path / 'src'}", f"-I{STUB}")


class Pipe:
    """A serial port that is a process's standard input and output."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None and process.stdout is not None
        self._in, self._out = process.stdin, process.stdout

    def write(self, data: bytes) -> None:
        self._in.write(data)
        self._in.flush()

    def read(self, size: int) -> bytes:
        return self._out.read(size)

    def readline(self) -> bytes:
        return self._out.readline()


@pytest.fixture(scope="module")
def feed() -> Any:
    spec = importlib.util.spec_from_file_location("feed", EXAMPLE / "tools" / "feed.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def sketch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sketch as a program for the host."""
    folder = tmp_path_factory.mktemp("sketch")
    sources = [as_cpp(EXAMPLE / "learn" / "learn.ino", folder / "learn.ino.cpp")]
    sources += [STUB / "host_serial.cc", *sorted((ROOT / "tflm_kernels/state").glob("*.cc"))]
    program = folder / "learn"
    command = ["c++", *HOST_FLAGS, f"-I{STUB}", f"-I{ROOT}", *map(str, sources)]
    finished = subprocess.run(
        [*command, f"-I{TRAINER_STUB}", "-o", str(program)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return program


@pytest.fixture
def pipe(sketch: Path) -> Iterator[Pipe]:
    process = subprocess.Popen([sketch], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    pipe = Pipe(process)
    yield pipe
    assert process.stdin is not None and process.stdout is not None
    process.stdin.close()
    assert process.wait(timeout=10) == 0
    process.stdout.close()


def sample(first: int) -> np.ndarray:
    return np.array([first, 0, 0, 0, 0, 0, 0, 0], np.int8)


def test_the_board_learns_over_the_port(feed: Any, pipe: Pipe) -> None:
    board = feed.Board(pipe)
    assert (board.name, board.input_bytes, board.classes, board.step) == ("digits", 8, 4, 0)
    assert [board.classify(sample(i)) for i in range(4)] == [0, 1, 2, 3]
    x = np.stack([sample(i) for i in range(4)])
    y = np.arange(4)
    losses = list(feed.feed(board, x, y, epochs=2, rate=0.5))
    # The stand-in's loss is the label plus the rate: the order is the training loop's.
    order = [int(i) for e in range(2) for i in np.random.default_rng([0, e]).permutation(4)]
    assert losses == pytest.approx([i + 0.5 for i in order])
    assert feed.accuracy(board, x, y) == 1.0  # eight steps: the weight is 8, 0 modulo 4
    assert feed.Board(pipe).step == 8


def test_states_travel_both_ways(feed: Any, pipe: Pipe) -> None:
    board = feed.Board(pipe)
    factory = board.get_state()
    assert StateBlob.parse(factory).step == 0
    for _ in range(3):
        board.train(sample(0), 1, 0.5)
    trained = board.get_state()
    assert StateBlob.parse(trained).step == 3
    board.save()
    board.reset()
    assert board.get_state() == factory
    board.put_state(trained)
    assert board.get_state() == trained
    damaged = bytes([*trained[:-1], trained[-1] ^ 1])
    with pytest.raises(DataError, match="the checksum does not match"):
        board.put_state(damaged)
    assert board.get_state() == trained
    with pytest.raises(DataError, match="the state has 3 bytes"):
        board.put_state(b"abc")


def test_errors_are_told(feed: Any, pipe: Pipe) -> None:
    board = feed.Board(pipe)
    with pytest.raises(DataError, match="label or rate out of range"):
        board.train(sample(0), 9, 0.5)
    with pytest.raises(DataError, match="label or rate out of range"):
        board.train(sample(0), 1, float("nan"))
    with pytest.raises(DataError, match="a sample has 2 bytes, the board takes 8"):
        board.classify(np.zeros(2, np.int8))
    pipe.write(b"x")
    assert pipe.readline() == b"error unknown command, h for help\r\n"
    pipe.write(b"i\1\2")  # a frame that stops
    assert pipe.readline() == b"error the frame stopped\r\n"
    assert board.classify(sample(2)) == 2


def test_a_person_gets_help(pipe: Pipe) -> None:
    """Every command, at the Serial Monitor: what ends its lines is no command."""
    pipe.write(b"h\r\n?\n")
    words = (pipe.readline() + pipe.readline()).decode().split()
    sketch = (EXAMPLE / "learn" / "learn.ino").read_text()
    commands = set(re.findall(r"case '([a-z?])':", sketch)) - {"h"}
    assert commands and commands <= set(words)
    assert pipe.readline().startswith(b"model digits ")


def test_the_curve_is_drawn(feed: Any, tmp_path: Path) -> None:
    picture = tmp_path / "curve.png"
    feed.plot([1.0 / (1 + i) for i in range(120)], picture)
    assert picture.read_bytes()[:4] == b"\x89PNG"


def test_the_tool_says_what_is_missing() -> None:
    finished = subprocess.run(
        [sys.executable, str(EXAMPLE / "tools" / "feed.py"), "--port", "x", "--data", "absent"],
        capture_output=True, text=True, check=False, cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert finished.returncode == 1
    assert "absent: no such file or folder" in finished.stderr
