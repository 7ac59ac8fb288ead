"""Runs original and rewritten models in the real, unmodified TFLM interpreter."""

from __future__ import annotations

import ctypes
import math
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tflm_train.errors import DataError, ModelError, RuntimeFailure
from tflm_train.model import Model, Tensor, load
from tflm_train.ops import Loss
from tflm_train.ops.constants import LossKind, TargetKind
from tflm_train.ops.contract import STATE_WORDS
from tflm_train.runtime.crashes import name_crashes
from tflm_train.runtime.host_library import (
    captured_stderr,
    host_library,
    last_error,
)
from tflm_train.runtime.loading import load_into_tflm, uses_kernels
from tflm_train.runtime.targets import target_array
from tflm_train.trained.state import StateBlob, StateLayout
from tflm_train.trained.trainable_model import TrainableModel

_SAMPLE, _LATENT = 0, 1
"""Values of `train/source`."""
_RESTORE_ONLY = float(np.finfo(np.float32).min)
"""As learning rate: RESTORE fills the variables and ends the run (kRestoreOnly in state.h)."""
_LATENT_WORDS = slice(13, 16)
"""The words of `train/state` that say where the latent is; FINISH writes them."""


class Interpreter:
    """A model in the TFLM interpreter.

    Attributes:
      model: The model that runs.
      trainable: What trains in it; None for a model without training ops.
    """

    def __init__(
        self,
        model: bytes | Model | str | os.PathLike[str],
        *,
        preserve_all: bool = False,
    ) -> None:
        """Loads a model.

        Args:
          model: Bytes, a `Model` or the path of a .tflite file.
          preserve_all: Keep every intermediate readable through `tensor`; needs more memory.

        Raises:
          ModelError: Not a valid model, or one that TFLM cannot run.
          RuntimeFailure: The interpreter or the kernels are not installed.
        """
        if isinstance(model, bytes):
            model = Model(model)
        elif not isinstance(model, Model):
            model = load(model)
        self.model = model
        self.trainable = TrainableModel.find(model)
        self._uses_kernels = uses_kernels(model)
        self._preserve_all = preserve_all
        name_crashes(model.name)
        self._interpreter = load_into_tflm(model, preserve_all)
        self._fresh = True
        self._learning_rate = 0.0
        self._source = _SAMPLE
        self._latent_words = self._find_latent()

    @property
    def is_trainable(self) -> bool:
        """Whether the model holds training ops."""
        return self.trainable is not None

    @property
    def loss(self) -> Loss | None:
        """Parameters of the training loss; None when not trainable."""
        return None if self.trainable is None else self.trainable.loss

    @property
    def fingerprint(self) -> int:
        """64 bits that name the model in saved states; 0 when not trainable."""
        return 0 if self.trainable is None else self.trainable.fingerprint

    @property
    def trained_output(self) -> int:
        """Index of the output that trains; the first when not trainable."""
        return 0 if self.trainable is None else self.trainable.trained_output

    def infer(self, *inputs: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Runs inference.

        Args:
          *inputs: One array per original input, of its type, with or without the batch dimension.

        Returns:
          A copy of the trained output (of the first when the model does not train).
        """
        self._set_inputs(inputs)
        self._set_learning_rate(0.0)
        self._invoke()
        return self.output()

    @property
    def classes(self) -> int:
        """Number of classes (outputs) of the loss; 0 when not trainable."""
        return 0 if self.loss is None else self.loss.classes

    @property
    def is_regression(self) -> bool:
        """Whether the loss is the mean squared error."""
        return self.loss is not None and self.loss.loss_kind == LossKind.MEAN_SQUARED_ERROR

    @property
    def is_one_of_several(self) -> bool:
        """Whether the loss is softmax cross-entropy: exactly one class is right."""
        return self.loss is not None and self.loss.loss_kind == LossKind.SOFTMAX_CROSS_ENTROPY

    @property
    def learns_its_input(self) -> bool:
        """Whether the target is the model's own input."""
        return self.loss is not None and self.loss.target_kind == TargetKind.INPUT

    @property
    def input_count(self) -> int:
        """Number of the original model's inputs."""
        return len((self.model.graph if self.trainable is None else self.trainable).inputs)

    def train_step(
        self,
        x: npt.NDArray[Any] | Sequence[npt.NDArray[Any]],
        target: npt.ArrayLike | None,
        learning_rate: float,
    ) -> float:
        """Runs one training step of batch size 1.

        It infers as well: `output` then gives the answer before the update. A model with a memory
        of its own (LSTM, SVDF, resource variables) takes each run for a step in time, so give it a
        frame that it learns here alone, not to `infer` as well.

        Args:
          x: The input, of the model's type, with or without the batch dimension; a list of them for
            a model with several.
          target: What the output should be: a class index for softmax cross-entropy, one for each
            position of a map; a float per output (0 to 1) for probabilities and for sigmoid
            cross-entropy, where a class index stands for that label alone (0 or 1 where there is
            one output); real values for mean squared error; None where the target is the model's
            own input.
          learning_rate: In real units, as in float training; above 0.

        Returns:
          The loss before the update.

        Raises:
          DataError: A target or learning rate out of range; nothing has changed.
          ModelError: The model holds no training ops.
        """
        value = _checked(self.require_trainable().loss, target, learning_rate)
        self._set_inputs(tuple(x) if isinstance(x, list | tuple) else (np.asarray(x),))
        return self._train(value, learning_rate)

    @property
    def trains_from_latents(self) -> bool:
        """Whether the model was rewritten with `latent: true`."""
        return self.trainable is not None and self.trainable.latent is not None

    def latent(self) -> npt.NDArray[np.int8]:
        """A copy of the activation at the boundary between the frozen and the trained part.

        Returns:
          int8, in the tensor's shape: of the sample of the last run, or what was put there since.

        Raises:
          ModelError: The model was not rewritten with `latent: true`.
        """
        latent, output, _ = self._latent_place()
        if self._fresh:
            return np.zeros(latent.shape, np.int8)
        return np.array(self._interpreter.get_output(output))

    def train_from_latent(
        self, latent: npt.NDArray[np.int8], target: npt.ArrayLike | None, learning_rate: float
    ) -> float:
        """Runs one training step without the frozen layers.

        Args:
          latent: What `latent` gave for the sample.
          target: As for `train_step`.
          learning_rate: As for `train_step`.

        Returns:
          The loss before the update: bit for bit what the sample itself gives.

        Raises:
          DataError: A latent, target or learning rate that does not fit; nothing has changed.
          ModelError: The model was not rewritten with `latent: true`.
        """
        value = _checked(self.require_trainable().loss, target, learning_rate)
        self._set_latent(latent)
        return self._train(value, learning_rate)

    def infer_from_latent(self, latent: npt.NDArray[np.int8]) -> npt.NDArray[Any]:
        """Runs inference without the frozen layers; otherwise as `infer`."""
        self._set_latent(latent)
        self._set_learning_rate(0.0)
        self._invoke()
        return self.output()

    def output(self, index: int | None = None) -> npt.NDArray[Any]:
        """A copy of one of the original model's outputs (the trained one) after the last run."""
        return np.array(
            self._interpreter.get_output(self.trained_output if index is None else index)
        )

    def reset(self) -> None:
        """Back to factory weights: the state is as it was after loading the model."""
        self._interpreter.reset()
        self._fresh = True
        self._learning_rate = 0.0
        self._source = _SAMPLE

    def state(self) -> bytes:
        """The trained state as a blob: what the firmware's StateSave writes.

        Raises:
          ModelError: The model holds no training ops.
        """
        handle = self._state_handle()
        library = host_library()
        size = library.TflmTrainStateSize(handle)
        blob = ctypes.create_string_buffer(size)
        self._check(library.TflmTrainStateSave, handle, blob, size)
        return blob.raw

    def load_state(self, blob: bytes) -> None:
        """Puts a saved state back.

        Args:
          blob: What `state` returned.

        Raises:
          DataError: The blob is damaged or belongs to another model; nothing has changed.
        """
        self._check(host_library().TflmTrainStateLoad, self._state_handle(), blob, len(blob))

    def variables(self) -> dict[str, npt.NDArray[Any]]:
        """All variables' values: weights, biases, residuals, ranges, scales.

        Returns:
          The values by `Variable.key`: the tensor's name, made unique where several share it.

        Raises:
          ModelError: The model holds no training ops.
        """
        trainable = self.require_trainable()
        values = StateLayout(trainable).values(StateBlob.parse(self.state()))
        return {v.key: value for v, value in zip(trainable.variables, values, strict=True)}

    @property
    def step(self) -> int:
        """Training steps taken since the factory state."""
        return int(host_library().TflmTrainStateStep(self._state_handle()))

    def tensor(self, tensor: Tensor | str) -> npt.NDArray[Any]:
        """A copy of any tensor after the last run; needs `preserve_all=True`.

        Args:
          tensor: A tensor of `model.graph`, or a tensor's name.

        Raises:
          RuntimeFailure: The interpreter was made without `preserve_all`.
          ModelError: No tensor has that name.
        """
        if not self._preserve_all:
            raise RuntimeFailure("make the Interpreter with preserve_all=True to read its tensors")
        tensors = self.model.graph.tensors
        for index, candidate in enumerate(tensors):
            if candidate is tensor or candidate.name == tensor:
                return np.array(self._interpreter.GetTensor(index, 0)["tensor_data"])
        raise ModelError(f"{self.model.name} has no tensor {tensor!r}")

    def _invoke(self) -> None:
        try:
            self._interpreter.invoke()
        except RuntimeError as error:
            detail = last_error() if self._uses_kernels else ""
            raise RuntimeFailure(detail or str(error)) from error
        self._fresh = False

    def _train(self, target: npt.NDArray[Any] | None, learning_rate: float) -> float:
        trainable = self.require_trainable()
        if trainable.label is not None and target is not None:
            label = target.reshape(trainable.label.shape)
            self._interpreter.set_input(label, trainable.label_input)
        self._set_learning_rate(learning_rate)
        self._invoke()
        return float(self._interpreter.get_output(trainable.loss_output)[0])

    def _set_inputs(self, inputs: tuple[npt.NDArray[Any], ...]) -> None:
        if len(inputs) != self.input_count:
            raise DataError(f"{len(inputs)} inputs given, the model has {self.input_count}")
        for index, value in enumerate(inputs):
            tensor = self.model.graph.inputs[index]
            array = np.asarray(value)
            if array.shape == tensor.shape[1:]:
                array = array[np.newaxis]
            if array.shape != tensor.shape or array.dtype != tensor.dtype:
                raise DataError(
                    f"input {index} ({tensor.name!r}) is {array.dtype} {array.shape}, the model "
                    f"takes {tensor.dtype} {tensor.shape}; convert it with `to_model_input`"
                )
            self._interpreter.set_input(np.ascontiguousarray(array), index)
        self._set_source(_SAMPLE)

    def _latent_place(self) -> tuple[Tensor, int, int]:
        """The latent, its index among the outputs, that of the source among the inputs."""
        trainable = self.require_trainable()
        output, source = trainable.latent_output, trainable.source_input
        if trainable.latent is None or output is None or source is None:
            raise ModelError(
                f"{self.model.name} trains from samples only; rewrite the original model with "
                "`latent: true` in its scheme"
            )
        return trainable.latent, output, source

    def _set_latent(self, value: npt.NDArray[np.int8]) -> None:
        latent = self._latent_place()[0]
        array = np.ascontiguousarray(value)
        if array.dtype != np.int8 or array.size != latent.size:
            raise DataError(
                f"the latent is {array.dtype} {array.shape}, the model takes int8 {latent.shape}"
            )
        handle = self._latent_handle()
        self._check(host_library().TflmTrainLatentSet, handle, array.ctypes.data, array.nbytes)
        self._set_source(_LATENT)

    def _set_source(self, value: int) -> None:
        # A variable, too.
        if value != self._source:
            source = self._latent_place()[2]
            self._interpreter.set_input(np.array([value], np.int32), source)
            self._source = value

    def _set_learning_rate(self, value: float) -> None:
        # The input is a variable: it keeps its value, so only changes are written.
        trainable = self.trainable
        if trainable is not None and (value != self._learning_rate or self._fresh):
            rate = np.array([value], np.float32)
            self._interpreter.set_input(rate, trainable.rate_input)
            self._learning_rate = value

    def _check(self, transfer: Any, *arguments: Any) -> None:
        with captured_stderr():
            status = transfer(*arguments)
        if status != 0:
            raise DataError(f"{self.model.name}: {last_error()}")

    def _state_handle(self) -> ctypes.Array[ctypes.c_char]:
        """A copy of `train/state`, which leads the kernels to the live one."""
        trainable = self.require_trainable()
        if self._fresh:
            # The restore op fills the variable table; the model does not run, since a layer of it
            # may remember what it was given.
            self._set_learning_rate(_RESTORE_ONLY)
            self._invoke()
        return ctypes.create_string_buffer(self._state_words(trainable).tobytes())

    def _state_words(self, trainable: TrainableModel) -> npt.NDArray[np.int32]:
        output = self._interpreter.get_output(trainable.state_output)
        return np.array(output, np.int32)

    def _find_latent(self) -> npt.NDArray[np.int32] | None:
        """What `train/state` says of where the latent is, which only a whole run tells.

        The model is fresh before and after: what its layers remember of the run is undone.
        """
        if self.trainable is None or self.trainable.latent is None:
            return None
        self._set_learning_rate(0.0)
        self._invoke()
        words = self._state_words(self.trainable)[_LATENT_WORDS]
        self.reset()
        return words

    def _latent_handle(self) -> ctypes.Array[ctypes.c_char]:
        """As `_state_handle`, and it leads to the latent too."""
        words = np.frombuffer(self._state_handle().raw[: 4 * STATE_WORDS], np.int32).copy()
        if self._latent_words is not None:
            words[_LATENT_WORDS] = self._latent_words
        return ctypes.create_string_buffer(words.tobytes())

    def require_trainable(self) -> TrainableModel:
        """What trains in the model.

        Raises:
          ModelError: It holds no training ops.
        """
        return TrainableModel.read(self.model) if self.trainable is None else self.trainable


def _checked(
    loss: Loss, target: npt.ArrayLike | None, learning_rate: float
) -> npt.NDArray[Any] | None:
    """The target as the model takes it; the learning rate is looked at as well."""
    value = target_array(loss, target)
    check_rate(learning_rate)
    return value


def check_rate(learning_rate: float) -> None:
    """Whether a learning rate can be given to a step.

    Raises:
      DataError: It is not above 0, or more or less than a 32-bit float holds.
    """
    if not math.isfinite(learning_rate) or learning_rate <= 0:
        raise DataError(f"learning rate {learning_rate} must be a finite number above 0")
    with np.errstate(over="ignore", under="ignore"):
        held = np.float32(learning_rate)
    if not np.isfinite(held) or held == 0:
        raise DataError(
            f"learning rate {learning_rate:g} is beyond what a 32-bit float holds; steps are "
            "limited long before that, and none moves a weight at the other end: use one from "
            "1e-6 to 1e3"
        )
