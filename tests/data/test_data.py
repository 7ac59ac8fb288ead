"""Data sets: what is read, how it reaches the model's input, what is refused in which words."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tflm_train.data import Dataset, Normalization, Reading, load_dataset, quantise, to_model_input
from tflm_train.data.pictures import ImageFiles
from tflm_train.errors import DataError


def arrays(**changes: Any) -> dict[str, Any]:
    """A valid data set of four 6x5 RGB pictures and two classes, with changes; None drops a key."""
    pixels = np.arange(4 * 6 * 5 * 3, dtype=np.uint8).reshape(4, 6, 5, 3)
    labels = np.array([0, 1, 1, 0], np.uint8)
    base: dict[str, Any] = {
        "x_train": pixels,
        "y_train": labels,
        "x_test": pixels[:2],
        "y_test": labels[:2],
    }
    base.update(changes)
    return {key: value for key, value in base.items() if value is not None}


def save(folder: Path, **changes: Any) -> Path:
    path = folder / "data.npz"
    np.savez(path, **arrays(**changes))
    return path


def save_picture(path: Path, pixels: npt.NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def flat(value: int, *shape: int) -> npt.NDArray[np.uint8]:
    return np.full(shape, value, np.uint8)


class TestNpz:
    def test_reads_everything(self, tmp_path: Path) -> None:
        dataset = load_dataset(save(tmp_path, class_names=np.array(["cat", "dog"])))
        assert isinstance(dataset.x_train, np.ndarray)
        np.testing.assert_array_equal(dataset.x_train, arrays()["x_train"])
        assert dataset.y_train.tolist() == [0, 1, 1, 0]
        assert dataset.y_train.dtype == np.int64
        assert len(dataset.x_test) == 2
        assert dataset.class_names == ("cat", "dog")

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"y_test": None, "x_test": None}, "x_test, y_test missing"),
            ({"y_train": np.array([0, 1, 1])}, "x_train has 4 samples but y_train has 3"),
            ({"y_train": np.array([0, 1, -1, 0])}, r"y_train\[2\] is -1.*\(y_train > 0\)"),
            ({"y_train": np.array(list("abcd"))}, r"y_test is uint8 of shape \[2\], other labels"),
            (
                {"y_train": np.zeros(4, np.complex64)},
                r"is complex64.*y_train.astype\(int\)",
            ),
            ({"y_train": np.array([0, np.nan, 1, 1])}, r"y_train\[1\] contains NaN or infinity"),
            ({"x_train": np.empty((0, 6)), "y_train": np.empty(0, np.int8)}, "y_train is empty"),
            ({"x_test": np.zeros((2, 6, 5, 1), np.uint8)}, r"\[6, 5, 3\] but x_test.*\[6, 5, 1\]"),
            ({"x_train": np.zeros((4, 6), np.int64)}, "x_train is int64"),
            ({"x_train": np.zeros(4, np.float32)}, r"x_train has shape \[4\]"),
            (
                {"x_train": np.array([[0.0], [1.0], [np.nan], [0.0]]), "x_test": np.zeros((2, 1))},
                r"x_train\[2\] contains NaN",
            ),
            (
                {"x_test": np.array([[0.0], [np.inf]]), "x_train": np.zeros((4, 1))},
                r"x_test\[1\] contains NaN or infinity",
            ),
            ({"class_names": np.array(["only"])}, r"y_train\[1\] is 1, but there are 1 classes"),
            ({"class_names": np.array("cat")}, "class_names must be a list"),
            ({"x_train": np.array([{}] * 4, dtype=object)}, "x_train is a pickled object array"),
        ],
    )
    def test_refuses(self, tmp_path: Path, changes: dict[str, Any], words: str) -> None:
        path = save(tmp_path, **changes)
        with pytest.raises(DataError, match=words) as caught:
            load_dataset(path)
        assert str(caught.value).startswith(str(path))
        assert "\n" not in str(caught.value)

    def test_refuses_what_is_no_npz(self, tmp_path: Path) -> None:
        text = tmp_path / "text.npz"
        text.write_text("x_train, y_train")
        with pytest.raises(DataError, match=r"not an \.npz file"):
            load_dataset(text)
        single = tmp_path / "single.npy"
        np.save(single, np.zeros(3))
        with pytest.raises(DataError, match=r"not an \.npz file"):
            load_dataset(single)
        with pytest.raises(DataError, match="no such file"):
            load_dataset(tmp_path / "absent.npz")

    def test_refuses_a_damaged_npz(self, tmp_path: Path) -> None:
        path = save(tmp_path)
        content = bytearray(path.read_bytes())
        content[200] ^= 0xFF  # in the first array's data: its CRC no longer fits
        path.write_bytes(content)
        with pytest.raises(DataError, match="x_train cannot be read"):
            load_dataset(path)
        path.write_bytes(content[: len(content) // 2])
        with pytest.raises(DataError, match=r"not an \.npz file"):
            load_dataset(path)

    def test_labels_beyond_the_model(self, tmp_path: Path) -> None:
        dataset = load_dataset(save(tmp_path, y_test=np.array([0, 7])))
        dataset.check_classes(8)
        with pytest.raises(DataError, match=r"y_test\[1\] is 7, but there are 2 classes"):
            dataset.check_classes(2)


class TestFolder:
    def test_split_by_class(self, tmp_path: Path) -> None:
        for name in ("dog", "cat"):
            for i in range(10):
                save_picture(tmp_path / name / f"{i}.png", flat(i, 4, 4, 3))
        (tmp_path / ".hidden").mkdir()
        dataset = load_dataset(tmp_path, Reading(test_share=0.3, seed=5))
        assert dataset.class_names == ("cat", "dog")
        assert dataset.y_test.tolist() == [0] * 3 + [1] * 3
        assert dataset.y_train.tolist() == [0] * 7 + [1] * 7
        assert isinstance(dataset.x_train, ImageFiles)
        assert isinstance(dataset.x_test, ImageFiles)
        assert len({*dataset.x_train.paths, *dataset.x_test.paths}) == 20
        again = load_dataset(tmp_path, Reading(test_share=0.3, seed=5))
        other = load_dataset(tmp_path, Reading(test_share=0.3, seed=6))
        assert isinstance(again.x_test, ImageFiles)
        assert isinstance(other.x_test, ImageFiles)
        assert again.x_test.paths == dataset.x_test.paths
        assert other.x_test.paths != dataset.x_test.paths

    @pytest.mark.parametrize(("test_share", "test"), [(0.01, 1), (0.5, 1), (0.99, 2)])
    def test_either_part_gets_a_picture_of_each_class(
        self, tmp_path: Path, test_share: float, test: int
    ) -> None:
        for name, count in (("cat", 2), ("dog", 3)):
            for i in range(count):
                save_picture(tmp_path / name / f"{i}.png", flat(i, 4, 4, 3))
        dataset = load_dataset(tmp_path, Reading(test_share=test_share))
        assert dataset.y_test.tolist().count(0) == dataset.y_train.tolist().count(0) == 1
        dogs = test if test_share != 0.5 else 2
        assert dataset.y_test.tolist().count(1) == dogs
        assert dataset.y_train.tolist().count(1) == 3 - dogs

    def test_given_split(self, tmp_path: Path) -> None:
        save_picture(tmp_path / "train" / "a" / "0.png", flat(10, 3, 3))
        save_picture(tmp_path / "train" / "b" / "0.jpg", flat(20, 5, 4, 3))
        save_picture(tmp_path / "test" / "b" / "1.PNG", flat(30, 3, 3))
        dataset = load_dataset(tmp_path)
        assert dataset.class_names == ("a", "b")
        assert (dataset.y_train.tolist(), dataset.y_test.tolist()) == ([0, 1], [1])
        x = to_model_input(dataset.x_train, (1, 2, 2, 1), 1.0, 0)
        assert x.shape == (2, 2, 2, 1)
        assert set(x[0].ravel()) == {10 - 128}
        # A file of another size, in colour: resized and turned grey.
        np.testing.assert_allclose(x[1].astype(int), 20 - 128, atol=2)

    def test_refuses(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="no class folders with data in it"):
            load_dataset(tmp_path)
        save_picture(tmp_path / "0.png", flat(0, 2, 2))
        with pytest.raises(DataError, match="no class folders in it; expected <class>/<file>"):
            load_dataset(tmp_path)
        (tmp_path / "b").mkdir()
        save_picture(tmp_path / "a" / "0.png", flat(0, 2, 2))
        with pytest.raises(DataError, match=r"b: no files of this class that end in \.jpeg, \.jpg"):
            load_dataset(tmp_path)
        (tmp_path / "b").rmdir()
        with pytest.raises(DataError, match="class a has one sample only"):
            load_dataset(tmp_path)
        (tmp_path / "a" / "1.png").write_bytes(b"GIF?")
        with pytest.raises(DataError, match=r"1\.png: not a readable picture"):
            load_dataset(tmp_path)
        with pytest.raises(DataError, match="between 0 and 1"):
            load_dataset(tmp_path, Reading(test_share=1.0))

    def test_refuses_an_unknown_test_class(self, tmp_path: Path) -> None:
        save_picture(tmp_path / "train" / "a" / "0.png", flat(0, 2, 2))
        save_picture(tmp_path / "test" / "z" / "0.png", flat(0, 2, 2))
        with pytest.raises(DataError, match="z: no such class"):
            load_dataset(tmp_path)

    def test_a_truncated_picture_is_named_when_it_is_decoded(self, tmp_path: Path) -> None:
        path = tmp_path / "a" / "0.jpg"
        rng = np.random.default_rng(0)
        save_picture(path, rng.integers(0, 256, (64, 64, 3)).astype(np.uint8))
        path.write_bytes(path.read_bytes()[:900])
        with pytest.raises(DataError, match=r"0\.jpg: not a readable picture"):
            to_model_input(ImageFiles([path]), (1, 8, 8, 3), 1.0, 0)


class TestToModelInput:
    @pytest.mark.parametrize(
        ("scale", "zero_point"),
        [(1 / 255, -128), (2 / 255, 0), (2 / 255, -1), (1.0, -128), (1.0, 0), (0.98 / 255, -128)],
    )
    def test_each_byte_is_a_step_where_the_range_is_that_of_pixels(
        self, scale: float, zero_point: int
    ) -> None:
        x = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
        out = to_model_input(x, (1, 16, 16, 1), scale, zero_point)
        assert out.ravel().tolist() == list(range(-128, 128)) or scale == 0.98 / 255
        if scale == 0.98 / 255:  # A range that was measured: white is beyond it.
            assert out.ravel().tolist() == [min(127, round(i / 0.98) - 128) for i in range(256)]

    def test_mean_and_std(self) -> None:
        x = np.array([[0, 128, 255]], np.uint8).reshape(1, 1, 1, 3)
        norm = Normalization((0.0, 127.5, 100.0), (255.0, 127.5, 50.0))
        out = to_model_input(x, (1, 1, 1, 3), 0.02, 10, normalization=norm)
        real = np.array([0.0, 0.5 / 127.5, 155 / 50])
        assert out.ravel().tolist() == [*np.clip(np.round(real / 0.02) + 10, -128, 127)]
        floats = x.astype(np.float32)
        np.testing.assert_array_equal(
            to_model_input(floats, (1, 1, 1, 3), 0.02, 10, normalization=norm), out
        )
        with pytest.raises(DataError, match="pictures of 3 channels, --mean and --std are for 2"):
            to_model_input(x, (1, 1, 1, 3), 0.02, 0, "x", Normalization((0.0,), (1.0, 2.0)))
        with pytest.raises(DataError, match="already; leave out --mean and --std"):
            to_model_input(x.astype(np.int8), (1, 1, 1, 3), 0.02, 0, "x", norm)

    def test_a_range_that_no_rule_explains(self) -> None:
        x = flat(0, 1, 2, 2, 1)
        words = r"takes -2\.127 to 2\.631, .* give --mean and --std of the pixels"
        with pytest.raises(DataError, match=words):
            to_model_input(x, (1, 2, 2, 1), 4.758 / 255, -14, "x_train")

    def test_resizes_like_pillow(self) -> None:
        rng = np.random.default_rng(1)
        x = rng.integers(0, 256, (2, 8, 6, 3)).astype(np.uint8)
        out = to_model_input(x, (1, 20, 30, 3), 1.0, 0)
        for sample, got in zip(x, out, strict=True):
            image = Image.fromarray(sample).resize((30, 20), Image.Resampling.BILINEAR)
            np.testing.assert_array_equal(got, np.asarray(image).astype(int) - 128)

    @pytest.mark.parametrize("shape", [(2, 4, 4), (2, 4, 4, 1)])
    def test_grey_to_rgb(self, shape: tuple[int, ...]) -> None:
        out = to_model_input(flat(77, *shape), (1, 4, 4, 3), 1.0, 0)
        assert out.shape == (2, 4, 4, 3)
        assert set(out.ravel()) == {77 - 128}

    def test_rgb_to_grey(self) -> None:
        pixel = np.array([200, 100, 50], np.uint8).reshape(1, 1, 1, 3)
        out = to_model_input(pixel, (1, 1, 1, 1), 1.0, 0)
        assert out.item() == round(0.299 * 200 + 0.587 * 100 + 0.114 * 50) - 128

    def test_int8_is_taken_as_it_is(self) -> None:
        x = np.arange(-6, 6, dtype=np.int8).reshape(2, 6)
        np.testing.assert_array_equal(to_model_input(x, (1, 6), 0.5, 9), x)

    def test_float_rounds_half_away_and_saturates(self) -> None:
        x = np.array([[0.25, -0.25, 0.24, 0.75, -0.75, 1e9, -1e9, 0.0]], np.float32)
        out = to_model_input(x, (1, 8), 0.5, 1)
        assert out.tolist() == [[2, 0, 1, 3, -1, 127, -128, 1]]

    def test_float_without_channel_axis(self) -> None:
        assert to_model_input(np.ones((2, 3, 4)), (1, 3, 4, 1), 1.0, 0).shape == (2, 3, 4, 1)

    @given(
        st.lists(st.floats(-(2**20), 2**20, width=32), min_size=1, max_size=20),
        st.floats(2**-13, 128, width=32),
        st.integers(-128, 127),
    )
    def test_quantised_values_are_nearest(
        self, values: list[float], scale: float, zero_point: int
    ) -> None:
        x = np.array(values, np.float32)
        q = quantise(x, scale, zero_point).astype(np.float64)
        exact = x.astype(np.float64) / scale + zero_point
        inside = (exact >= -128) & (exact <= 127)
        assert np.all(np.abs(q - exact)[inside] <= 0.5 + 1e-9)
        assert np.all(q[exact > 127] == 127)
        assert np.all(q[exact < -128] == -128)

    @pytest.mark.parametrize(
        ("x", "shape", "words"),
        [
            (np.zeros((1, 5), np.float32), (1, 6), r"\[5\] do not fit the model's input \[6\]"),
            (np.zeros((1, 8, 8, 3), np.float32), (1, 4, 4, 3), "only uint8 pictures are resized"),
            (np.zeros((1, 5), np.uint8), (1, 4, 4, 3), "is no picture"),
            (np.zeros((1, 4, 4, 2), np.uint8), (1, 4, 4, 3), "is no picture"),
            (np.zeros((1, 4, 4, 3), np.uint8), (1, 10), r"input \[10\] is no picture"),
            (np.full((2, 3), np.nan), (1, 3), r"x\[0\] contains NaN"),
            (np.zeros((1, 3), np.complex64), (1, 3), "x is complex64"),
        ],
    )
    def test_refuses(self, x: npt.NDArray[Any], shape: tuple[int, ...], words: str) -> None:
        with pytest.raises(DataError, match=words):
            to_model_input(x, shape, 1.0, 0)

    @pytest.mark.parametrize("shape", [(1, 3, 1, 4), (1, 12), (1, 3, 4)])
    def test_axes_of_one_element_do_not_matter(self, shape: tuple[int, ...]) -> None:
        x = np.arange(12, dtype=np.float32).reshape(1, 3, 4)
        out = to_model_input(x, shape, 1.0, 0)
        assert out.shape == shape and out.ravel().tolist() == list(range(12))

    def test_makes_no_copy_beyond_the_result(self) -> None:
        x = np.zeros((400, 16, 16, 3), np.uint8)
        tracemalloc.start()
        out = to_model_input(x, (1, 64, 64, 3), 1.0, 0)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < out.nbytes * 1.2


def test_a_data_set_checks_arrays_made_in_memory() -> None:
    with pytest.raises(DataError, match="x_test has 1 samples but y_test has 2"):
        Dataset(**arrays(x_test=arrays()["x_train"][:1]))


class TestTargets:
    def test_values_and_labels(self, tmp_path: Path) -> None:
        values = np.arange(12, dtype=np.float64).reshape(4, 3)
        dataset = load_dataset(save(tmp_path, y_train=values, y_test=values[:2]))
        assert dataset.y_train.dtype == np.float32 and dataset.y_train.shape == (4, 3)
        labels = np.eye(4, dtype=bool)
        dataset = load_dataset(save(tmp_path, y_train=labels, y_test=labels[:2]))
        assert dataset.y_train.dtype == np.float32
        dataset.check_classes(1)  # only class indices can be too large

    def test_none_at_all(self, tmp_path: Path) -> None:
        dataset = load_dataset(save(tmp_path, y_train=None, y_test=None))
        assert dataset.y_train.shape == (4, 0) and dataset.y_test.shape == (2, 0)
        with pytest.raises(DataError, match="y_test missing"):
            load_dataset(save(tmp_path, y_test=None))


def test_int16_inputs() -> None:
    q = quantise(np.array([-9.0, 0.25, 9.0]), 2.0**-13, 5, np.int16)
    assert q.dtype == np.int16 and q.tolist() == [-32768, 2053, 32767]
