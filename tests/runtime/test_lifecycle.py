"""What firmware does with an interpreter's life: two threads, a watchdog, a second allocation.

With the interpreter of the tflite-micro wheel itself, in C++ (`lifecycle.cc`): that of the current
wheel, whose C++ names older generations do not have.
"""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import tflm_train as tt
from tests import requirements
from tests.steps import DIGITS, full_scheme
from tflm_train.memory import memory_report
from tflm_train.model import Model, load
from tflm_train.rewriter import rewrite
from tflm_train.runtime.host_library import LIBRARY, tflm_runtime

STEPS, RATE = 60, 0.05
_ROOT = Path(__file__).resolve().parents[2]
_SOURCE = Path(__file__).with_name("lifecycle.cc")
_FLAGS = "-std=c++17 -O2 -fPIC -shared -Wall -Wextra -Werror -pthread".split()


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    requirements.programs("c++")
    target = tmp_path_factory.mktemp("lifecycle") / "lifecycle.so"
    sources = [_SOURCE, *sorted((_ROOT / "tflm_kernels/state").glob("*.cc"))]
    command = ["c++", *_FLAGS, f"-I{_ROOT}", *map(str, sources), "-o", str(target)]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    ctypes.CDLL(tflm_runtime()._runtime.__file__, mode=ctypes.RTLD_GLOBAL)
    ctypes.CDLL(str(LIBRARY), mode=ctypes.RTLD_GLOBAL)
    made = ctypes.CDLL(str(target))
    made.Open.restype = ctypes.c_void_p
    return made


class Session:
    """An interpreter of a model that trains, as firmware has it."""

    def __init__(self, library: ctypes.CDLL, model: Model, arenas: int = 1) -> None:
        self._library = library
        self.model = model
        self._source = ctypes.create_string_buffer(model.source, len(model.source))
        graph = model.graph
        sizes = [len(graph.inputs), len(graph.outputs), graph.inputs[0].size, 10]
        arena_bytes = arenas * 2 * memory_report(model).total_bytes  # pointers of 8 bytes
        self._handle = library.Open(
            self._source, ctypes.c_size_t(arena_bytes), (ctypes.c_int32 * 4)(*sizes)
        )
        assert self._handle
        self._state_bytes = len(tt.Interpreter(model).state())

    def call(self, function: str, *arguments: object) -> int:
        """Calls a function of lifecycle.cc with this session."""
        result: int = getattr(self._library, function)(self.handle, *arguments)
        return result

    @property
    def handle(self) -> ctypes.c_void_p:
        return ctypes.c_void_p(self._handle)

    def state(self) -> bytes:
        blob = ctypes.create_string_buffer(self._state_bytes)
        assert self.call("Save", blob, ctypes.c_size_t(len(blob))) == 0
        return blob.raw

    def load(self, blob: bytes) -> None:
        assert self.call("Load", blob, ctypes.c_size_t(len(blob))) == 0

    def close(self) -> None:
        self._library.Close(self.handle)


Open = Callable[..., Session]


@pytest.fixture
def open_session(library: ctypes.CDLL) -> Iterator[Open]:
    sessions: list[Session] = []

    def opened(model: Model, **options: Any) -> Session:
        sessions.append(Session(library, model, **options))
        return sessions[-1]

    yield opened
    for session in sessions:
        session.close()


@pytest.fixture(scope="module")
def digits_train() -> Model:
    digits = load(DIGITS)
    return Model(rewrite(digits, full_scheme(digits)).model_bytes, "digits_train")


@pytest.fixture(scope="module")
def other() -> Model:
    digits = load(DIGITS)
    scheme = full_scheme(digits, residual_bits=0, seed=7)
    return Model(rewrite(digits, scheme).model_bytes, "other")


def train_at_once(library: ctypes.CDLL, sessions: Sequence[Session], steps: int = STEPS) -> None:
    handles = (ctypes.c_void_p * len(sessions))(*(session.handle for session in sessions))
    rate = ctypes.c_float(RATE)
    assert library.TrainAtOnce(handles, len(sessions), steps, rate) == len(sessions)


def test_two_threads_learn_what_one_does(
    library: ctypes.CDLL, open_session: Open, digits_train: Model, other: Model
) -> None:
    """Each with an interpreter of its own, at the same time: the kernels share nothing."""
    models = (digits_train, other, digits_train)
    alone = [open_session(model) for model in models]
    for session in alone:
        train_at_once(library, [session])
    together = [open_session(model) for model in models]
    factory = [session.state() for session in together]
    train_at_once(library, together)
    states = [session.state() for session in together]
    assert states == [session.state() for session in alone]
    assert states[0] == states[2] and all(s != f for s, f in zip(states, factory, strict=True))


def test_one_interpreter_trains_and_infers_under_a_lock(
    library: ctypes.CDLL, open_session: Open, digits_train: Model
) -> None:
    """Inference of another thread between any two steps leaves no trace in what is learnt."""
    alone, shared = open_session(digits_train), open_session(digits_train)
    train_at_once(library, [alone])
    assert shared.call("TrainWhileInferring", STEPS, ctypes.c_float(RATE)) >= STEPS
    assert shared.state() == alone.state()


def test_a_profiler_is_called_around_each_op(
    library: ctypes.CDLL, open_session: Open, digits_train: Model
) -> None:
    """So it can feed a watchdog that has to wait for the longest op only."""
    session = open_session(digits_train)
    assert session.call("TakeEvents") == 0, "nothing runs in AllocateTensors"
    train_at_once(library, [session], steps=3)
    assert session.call("TakeEvents") == 3 * len(digits_train.graph.ops)


@pytest.mark.parametrize("wipe", ["Allocate", "Reset"])
def test_what_wipes_training_and_what_brings_it_back(
    wipe: str, library: ctypes.CDLL, open_session: Open, digits_train: Model
) -> None:
    session = open_session(digits_train, arenas=2)  # each allocation takes its own persistent part
    factory = session.state()
    train_at_once(library, [session])
    trained = session.state()
    assert session.call(wipe) == 0
    assert session.state() == factory != trained
    train_at_once(library, [session], steps=2)
    assert session.call(wipe) == 0
    session.load(trained)  # the line after it, before any Invoke
    assert session.state() == trained
    undisturbed = open_session(digits_train)
    undisturbed.load(trained)
    for each in (session, undisturbed):
        train_at_once(library, [each], steps=5)
    assert session.state() == undisturbed.state() != trained
