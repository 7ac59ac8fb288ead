"""Latents: what the frozen part of a model gives for samples, computed once for each."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tflm_train.model import Model
from tflm_train.runtime.data import Dataset, Samples
from tflm_train.runtime.interpreter import Interpreter
from tflm_train.runtime.training import model_inputs
from tflm_train.trained.cut import Cut


class Latents:
    """Runs the trunk of a cut model and remembers what it gave.

    Args:
        model: the whole model; its input says how samples are converted.
        parts: the model cut in two.
        cache: folder to keep activations in, or None.
    """

    def __init__(self, model: Model, parts: Cut, cache: Path | None = None) -> None:
        self._whole = Interpreter(model)
        self._trunk = None if parts.trunk is None else Interpreter(parts.trunk)
        self._source = b"" if parts.trunk is None else parts.trunk.source
        self._cache = cache

    def activations(self, x: Samples, name: str = "x") -> npt.NDArray[np.int8]:
        """int8 activations [n, ...] at the boundary, for samples of a data set."""
        inputs = model_inputs(self._whole, x, name)
        if self._trunk is None:
            return inputs
        file = self._file(inputs)
        if file is not None and file.exists():
            stored: npt.NDArray[np.int8] = np.load(file)
            return stored
        # `infer` keeps the boundary's batch dimension of 1.
        made = np.concatenate([self._trunk.infer(sample) for sample in inputs])
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            partial = file.with_suffix(".partial.npy")
            np.save(partial, made)
            partial.replace(file)
        return made

    def dataset(self, data: Dataset, limit: int | None = None) -> Dataset:
        """The data set that the tail trains on: int8 activations, the same labels and order."""
        return Dataset(
            self.activations(data.x_train[:limit], "x_train"),
            data.y_train[:limit],
            self.activations(data.x_test[:limit], "x_test"),
            data.y_test[:limit],
            data.class_names,
        )

    def _file(self, inputs: npt.NDArray[np.int8]) -> Path | None:
        if self._cache is None:
            return None
        digest = hashlib.sha256(self._source)
        digest.update(repr(inputs.shape).encode())
        digest.update(np.ascontiguousarray(inputs).data)
        return self._cache / f"{digest.hexdigest()[:32]}.npy"
