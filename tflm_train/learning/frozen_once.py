"""A model whose frozen layers run once for each sample, and whose other layers run fastest.

The model is cut where the part begins that trains. The trunk gives each sample's latent, which is
kept; every training step and every inference then runs the tail alone, in the unmodified TFLM
interpreter. Both parts run in their fastest form, after a sample has shown that its bits are those
of the form they had. A model that cannot be cut, or that remembers earlier samples, runs as it is.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tflm_train.errors import TflmTrainError
from tflm_train.graph import Graph
from tflm_train.learning.host_form import host_form
from tflm_train.learning.latent_cache import LatentCache
from tflm_train.model import Model
from tflm_train.model.written import write_checked
from tflm_train.runtime.interpreter import Interpreter
from tflm_train.runtime.training import Inputs
from tflm_train.trained.cut import Cut, CutError, cut, has_memory
from tflm_train.version import VERSION

Array = npt.NDArray[Any]
OnLatent = Callable[[int, int], None]
"""Called with the number of samples done and of all."""

_CHUNK = 64
"""So many samples are an entry of the cache: a run that is broken off keeps what it has."""
_MOST_BYTES = 2 << 30
"""A data set whose latents are larger than that is not held in memory."""
_SMALL_RATE = 1e-6


class FrozenOnce:
    """The parts of a model on the host.

    Attributes:
      tail: What runs for each step; the given interpreter itself where there is nothing to gain.
    """

    def __init__(
        self,
        interpreter: Interpreter,
        cache: LatentCache | None = None,
        on_latent: OnLatent | None = None,
    ) -> None:
        """Cuts a model.

        Args:
          interpreter: Any model with one input, in whatever state it is.
          cache: Where latents are kept beyond this object.
          on_latent: Told of the progress while latents are computed.
        """
        self.tail = interpreter
        self._whole = interpreter
        self._cache = cache
        self._on_latent = on_latent
        self._trunk: Trunk | None = None
        self._parts = _parts_of(interpreter)

    @property
    def computed(self) -> int:
        """How many latents the trunk has computed."""
        return 0 if self._trunk is None else self._trunk.computed

    @property
    def found(self) -> int:
        """How many were in the cache."""
        return 0 if self._trunk is None else self._trunk.found

    def inputs(self, x: Array, *others: Array) -> list[Inputs]:
        """What the tail takes for each sample.

        Args:
          x: [n, ...] inputs as the whole model takes them.
          *others: More of them, of another part of the data.

        Returns:
          For `x` and each of `others` the inputs for the tail, in their order.
        """
        given = [x, *others]
        count = sum(map(len, given))
        if self._parts is None or not count:
            return [*given]
        trunk = self._parts.trunk
        if trunk is not None and count * trunk.graph.outputs[0].nbytes > _MOST_BYTES:
            self._parts = None
            return [*given]
        made: list[Inputs] = [*given]
        if trunk is not None:
            if self._trunk is None:
                some = np.concatenate([part[:2] for part in given])
                self._trunk = Trunk(trunk, some, self._cache, self._on_latent)
            made = [self._trunk.latents(part, count) for part in given]
            if self._parts.takes_sample:
                made = [list(zip(*pair, strict=True)) for pair in zip(made, given, strict=True)]
        self._start(next(part for part in made if len(part))[0])
        return made

    def hand_back(self) -> None:
        """Gives the whole model the state that the tail has."""
        if self.tail is not self._whole:
            self._whole.load_state(self.tail.state())

    def take_over(self) -> None:
        """Gives the tail the state that the whole model has."""
        if self.tail is not self._whole:
            self.tail.load_state(self._whole.state())

    def _start(self, x: Any) -> None:
        """Makes the tail, in the state that the whole model has; `x` is one of its inputs."""
        if self.tail is not self._whole or self._parts is None:
            return
        state = self._whole.state()
        plain = Interpreter(self._parts.tail)
        try:
            self.tail = Interpreter(host_form(self._parts.tail))
            if not _trains_alike(plain, self.tail, x, state):
                self.tail = plain
        except TflmTrainError:
            self.tail = plain
        self.tail.load_state(state)


def fill_cache(
    interpreters: Sequence[Interpreter],
    cache: LatentCache,
    *parts: Array,
    on_latent: OnLatent | None = None,
) -> None:
    """Computes at once what the frozen layers of several models of one origin give.

    A `FrozenOnce` of each of them then finds its latents in the cache: layers that are frozen in
    several of the models have run once for all.

    Args:
      interpreters: One factory model, rewritten by different schemes.
      cache: Where the latents go.
      *parts: Inputs as the whole model takes them, in the parts that `FrozenOnce.inputs` will get.
      on_latent: Told of the progress.
    """
    samples = np.concatenate([part[:2] for part in parts])
    trunks: dict[str, Model] = {}
    for interpreter in interpreters:
        found = _parts_of(interpreter)
        if found is not None and found.trunk is not None:
            trunks.setdefault(found.boundary, found.trunk)
    missing = {}
    for name, trunk in trunks.items():
        ready = Trunk(trunk, samples)
        chunks = [chunk for part in parts for chunk in _chunks(part)]
        if any(cache.get(ready.key_of(chunk)) is None for chunk in chunks):
            missing[name] = ready
    together = _together({name: trunks[name] for name in missing}, samples)
    if together is None:
        return
    interpreter, names = together
    count, done = sum(map(len, parts)), 0
    for chunk in (chunk for part in parts for chunk in _chunks(part)):
        latents: list[list[Array]] = [[] for _ in names]
        for sample in chunk:
            interpreter.infer(sample)
            for index, found_so_far in enumerate(latents):
                found_so_far.append(interpreter.output(index))
            done += 1
            if on_latent is not None:
                on_latent(done, count)
        for name, values in zip(names, latents, strict=True):
            cache.put(missing[name].key_of(chunk), np.concatenate(values))


def _together(trunks: dict[str, Model], samples: Array) -> tuple[Interpreter, list[str]] | None:
    """The longest trunk with the ends of the others as outputs; None where there are no two."""
    if len(trunks) < 2:
        return None
    longest = max(trunks.values(), key=lambda trunk: len(trunk.graph.ops))
    model = Model(longest.source, longest.name)
    made = {op.output.name: op.output for op in model.graph.ops}
    names = [name for name in trunks if name in made]
    model.graph.outputs = [made[name] for name in names]
    plain = Interpreter(Model(write_checked(model), model.name))
    try:
        fast = Interpreter(host_form(plain.model))
    except TflmTrainError:
        fast = plain
    apart = [Interpreter(trunks[name]) for name in names]
    for interpreter in (fast, plain):
        if all(_gives_the_same(interpreter, apart, sample) for sample in samples):
            return interpreter, names
    return None


def _gives_the_same(together: Interpreter, apart: Sequence[Interpreter], sample: Array) -> bool:
    together.infer(sample)
    return all(
        np.array_equal(together.output(index), one.infer(sample)) for index, one in enumerate(apart)
    )


def _chunks(x: Array) -> Iterator[Array]:
    """What is an entry of the cache each."""
    for start in range(0, len(x), _CHUNK):
        yield np.ascontiguousarray(x[start : start + _CHUNK])


class Trunk:
    """The frozen part.

    Attributes:
      computed: How many latents it has computed.
      found: How many were in the cache.
    """

    def __init__(
        self,
        trunk: Model,
        samples: Array,
        cache: LatentCache | None = None,
        on_latent: OnLatent | None = None,
    ) -> None:
        """Names what it gives.

        Args:
          trunk: The model of the frozen part.
          samples: [n, ...] a few inputs that its forms are compared with.
          cache: Where latents are kept beyond this object.
          on_latent: Told of the progress while latents are computed.
        """
        self._trunk, self._samples = trunk, samples
        self.computed = self.found = 0
        self._cache = cache
        self._on_latent = on_latent
        # Other kernels may give other bits, so their versions are part of the key.
        versions = f"{VERSION} {importlib.metadata.version('tflite-micro')}"
        self._digest = hashlib.sha256(versions.encode())
        for part in _content_of(trunk.graph):
            self._digest.update(hashlib.sha256(part).digest())

    @functools.cached_property
    def interpreter(self) -> Interpreter:
        """It in its fastest form, which takes a while to find: latents may be known already."""
        plain = Interpreter(self._trunk)
        try:
            fast = Interpreter(host_form(self._trunk))
            pairs = [(fast.infer(x), plain.infer(x)) for x in self._samples]
            if all(np.array_equal(*pair) for pair in pairs):
                return fast
        except TflmTrainError:
            pass  # It stays as it is.
        return plain

    def key_of(self, samples: Array) -> str:
        """Names the latents of these samples."""
        digest = self._digest.copy()
        digest.update(f"{samples.dtype} {samples.shape}".encode())
        digest.update(samples.data)
        return digest.hexdigest()

    def latents(self, x: Array, count: int) -> Array:
        """Gives the latents of samples.

        Args:
          x: [n, ...] inputs of the trunk.
          count: How many samples there are in all, for progress.
        """
        made = []
        for chunk in _chunks(x):
            key = self.key_of(chunk)
            latents = None if self._cache is None else self._cache.get(key)
            if latents is None:
                latents = np.concatenate([self._run(sample, count) for sample in chunk])
                if self._cache is not None:
                    self._cache.put(key, latents)
            else:
                self.found += len(chunk)
                self._tell(count)
            made.append(latents)
        return np.concatenate(made) if made else x[:0]

    def _run(self, sample: Array, count: int) -> Array:
        latent = self.interpreter.infer(sample)
        self.computed += 1
        self._tell(count)
        return latent

    def _tell(self, count: int) -> None:
        if self._on_latent is not None:
            self._on_latent(self.computed + self.found, count)


def _content_of(graph: Graph) -> Iterator[bytes]:
    """All that the results depend on: the same for trunks of one model, whatever trains behind."""
    numbers: dict[int, int] = {}
    for op in graph.ops:
        options = {} if op.options is None else vars(op.options)
        yield repr((op.name, sorted((key, str(value)) for key, value in options.items()))).encode()
        yield op.custom_options or b""
        for tensor in [*op.inputs, *op.outputs]:
            if tensor is None:
                yield b"absent"
                continue
            place = numbers.setdefault(id(tensor), len(numbers))
            yield repr((place, tensor.type_code, tensor.shape)).encode()
            quantization = tensor.quantization
            if quantization is not None:
                yield quantization.scale.tobytes()
                yield quantization.zero_point.tobytes()
                yield str(quantization.axis).encode()
            yield b"" if tensor.data is None else tensor.data.tobytes()


def _parts_of(interpreter: Interpreter) -> Cut | None:
    """The model in two parts; None where it has to run as it is."""
    model = interpreter.model
    if not interpreter.is_trainable or interpreter.input_count != 1 or has_memory(model.graph):
        return None
    try:
        return cut(model)
    except CutError:
        return None


def _trains_alike(one: Interpreter, other: Interpreter, x: Any, state: bytes) -> bool:
    """Whether two forms of a model give the same bits in inference and in a step."""
    given = x if isinstance(x, tuple) else (x,)
    found = []
    for interpreter in (one, other):
        interpreter.load_state(state)
        answer = interpreter.infer(*given)
        loss = interpreter.train_step(given, _some_target(interpreter), _SMALL_RATE)
        found.append((answer.tobytes(), loss, interpreter.output().tobytes(), interpreter.state()))
    return found[0] == found[1]


def _some_target(interpreter: Interpreter) -> Any:
    """A target that the loss takes."""
    label = interpreter.require_trainable().label
    if label is None:
        return None
    if label.type_name == "INT32":
        return np.zeros(label.size, np.int32)
    target = np.zeros(label.size, np.float32)
    target[0] = 1.0  # A distribution, labels, or values.
    return target
