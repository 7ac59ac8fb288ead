"""Float models become int8 models that say what they lost, and that train."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tests import requirements
from tests.steps import assert_follows_reference
from tflm_train.data import Dataset
from tflm_train.errors import DataError, ModelError, UnsupportedError
from tflm_train.model import Model
from tflm_train.quantization import load_float, quantize
from tflm_train.rewriter import rewrite
from tflm_train.rewriter.inspection import inspect_model
from tflm_train.scheme.presets import preset_scheme

ZOO = (*(f"float32_0{i}" for i in range(1, 9)), *(f"hybrid_0{i}" for i in range(1, 5)))
_CLASSES, _SHAPE = 3, (8, 8, 2)


def blobs(count: int, seed: int = 0) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Three kinds of images: where in them it is bright."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, _CLASSES, count)
    x = rng.normal(0, 0.4, (count, *_SHAPE)).astype(np.float32)
    for image, kind in zip(x, y, strict=True):
        image[:, 2 * kind : 2 * kind + 3] += 1.5
    return x, y


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return Dataset(*blobs(120), *blobs(60, 1))


@pytest.fixture(scope="module")
def keras_model() -> Any:
    import tensorflow as tf

    tf.keras.utils.set_random_seed(1)
    layers = tf.keras.layers
    inputs = layers.Input(_SHAPE)
    x = layers.Conv2D(6, 3, activation="relu")(inputs)
    x = layers.Reshape((36, 6))(x)
    x = layers.MaxPooling1D(2)(layers.Conv1D(8, 3, activation="relu")(x))
    x = layers.Flatten()(x)
    model = tf.keras.Model(inputs, layers.Dense(_CLASSES, activation="softmax")(x))
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(*blobs(300, 2), epochs=8, verbose=0)
    return model


def converted(keras: Any, change: Callable[[Any], None] | None, folder: Path) -> Path:
    import tensorflow as tf

    keras.export(folder / "saved", verbose=False)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder / "saved"))
    if change is not None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        change(converter)
    (folder / "m.tflite").write_bytes(converter.convert())
    return folder / "m.tflite"


def _half(converter: Any) -> None:
    import tensorflow as tf

    converter.target_spec.supported_types = [tf.float16]


@pytest.mark.parametrize(
    "change", [None, lambda converter: None, _half], ids=["float", "hybrid", "float16"]
)
def test_a_classifier_stays_as_good_and_trains(
    change: Any, keras_model: Any, dataset: Dataset, tmp_path: Path
) -> None:
    result = quantize(load_float(converted(keras_model, change, tmp_path)), dataset)
    loss = result.loss
    assert loss.metric == "accuracy" and loss.before is not None and loss.before > 0.9
    assert loss.after is not None and loss.after >= loss.before - 0.02
    assert loss.output_error < 0.05
    assert [layer.error for layer in loss.layers] == sorted(x.error for x in loss.layers)[::-1]
    assert len(loss.layers) == 3 and loss.layers[0].error < 0.05
    assert result.stays_float == () and result.calibration_samples == 120
    model = result.model
    assert {t.type_name for t in [*model.graph.inputs, *model.graph.outputs]} == {"INT8"}
    assert all(layer.trainable for layer in inspect_model(model).layers)
    weights = model.graph.ops[0].inputs[1]
    assert weights is not None and weights.quantization is not None
    assert weights.quantization.scale.size == 6
    trainable = Model(rewrite(model, preset_scheme("full", model)).model_bytes)
    assert_follows_reference(trainable, rate=0.05)


@pytest.mark.parametrize("suffix", [".keras", ".h5", ""])
def test_keras_files_and_saved_models(
    suffix: str, keras_model: Any, dataset: Dataset, tmp_path: Path
) -> None:
    path = tmp_path / f"model{suffix}"
    if suffix:
        keras_model.save(path)
    else:
        keras_model.export(path, verbose=False)
    loss = quantize(load_float(path), dataset, samples=40, tested=20).loss
    assert loss.samples == 20 and loss.output_error < 0.1


def test_pictures_keep_the_range_of_their_pixels(keras_model: Any, tmp_path: Path) -> None:
    """The int8 model's input is then the pixel minus 128, as `train` and cameras give it."""
    rng = np.random.default_rng(0)
    x, y = rng.integers(20, 200, (20, *_SHAPE), np.uint8), rng.integers(0, _CLASSES, 20)
    model = load_float(converted(keras_model, None, tmp_path))
    for low, high in ((0.0, 1.0), (-1.0, 1.0)):
        result = quantize(model, Dataset(x, y, x, y), pixels=(low, high))
        tensor = result.model.graph.inputs[0]
        assert tensor.scale == pytest.approx((high - low) / 255)
        assert (-128 - tensor.zero_point) * tensor.scale == pytest.approx(low, abs=tensor.scale)
        assert result.loss.output_error < 0.1
    with pytest.raises(DataError, match="black must be below white"):
        quantize(model, Dataset(x, y, x, y), pixels=(1.0, 0.0))


@pytest.mark.parametrize("name", ZOO)
def test_public_models(name: str) -> None:
    model = load_float(requirements.shared() / "cases" / "zoo" / f"{name}.tflite")
    rng = np.random.default_rng(0)
    x = rng.normal(0, 0.2, (48, *model.graph.inputs[0].shape[1:])).astype(np.float32)
    y = np.zeros((48, 0), np.float32)
    result = quantize(model, Dataset(x, y, x, y))
    assert result.loss.metric is None
    assert result.loss.output_error < 0.06
    assert any(layer.trainable for layer in inspect_model(result.model).layers)


def test_what_is_quantized_already_is_refused(digits: Model, tmp_path: Path) -> None:
    (tmp_path / "d.tflite").write_bytes(digits.source)
    with pytest.raises(UnsupportedError, match="is quantized already: `tflm_train inspect` says"):
        load_float(tmp_path / "d.tflite")
    old = requirements.shared() / "cases" / "zoo" / "uint8_01.tflite"
    with pytest.raises(UnsupportedError, match="uint8, which TFLM's kernels take no more"):
        load_float(old)


def test_samples_that_do_not_fit(keras_model: Any, dataset: Dataset, tmp_path: Path) -> None:
    model = load_float(converted(keras_model, None, tmp_path))
    x, y = np.zeros((4, 5), np.float32), np.zeros(4, np.int64)
    with pytest.raises(DataError, match=r"samples of shape \[5\] do not fit the model's input"):
        quantize(model, Dataset(x, y, x, y))
    x8 = np.zeros((4, *_SHAPE), np.int8)
    with pytest.raises(DataError, match="x_train is int8, the input of some int8 model"):
        quantize(model, Dataset(x8, y, x8, y))
    with pytest.raises(ModelError, match="TensorFlow cannot convert it"):
        (tmp_path / "broken.keras").write_bytes(b"no model")
        load_float(tmp_path / "broken.keras")
