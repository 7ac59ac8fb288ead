"""Data files that lie about what they hold."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from numpy.lib import format as npy
from PIL import Image

from tflm_train.data import Reading, load_dataset
from tflm_train.data.npz import NpzFile
from tflm_train.errors import DataError


def _member(header: bytes, data: bytes = b"") -> bytes:
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + data


def _file(path: Path, member: bytes, compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for key in ("x_train", "y_train", "x_test", "y_test"):
            archive.writestr(f"{key}.npy", member)
    return path


def _header(shape: tuple[int, ...], dtype: str = "|u1") -> bytes:
    stream = io.BytesIO()
    npy.write_array_header_1_0(stream, {"descr": dtype, "fortran_order": False, "shape": shape})
    return stream.getvalue()


@pytest.mark.parametrize(
    ("member", "words"),
    [
        (_header((1 << 40, 3)), "it should have 3,298,534,883,328 bytes, and the file holds"),
        (_header((1 << 62, 1 << 62)), "it should have"),
        (_member(b"(" * 60000), "its header says neither shape nor type"),
        (_member(b"[" * 900 + b"\n"), "its header says neither shape nor type"),
        (_member(b"{'descr': '|u1'}\n"), "its header says neither shape nor type"),
        (_header((2, 2), "|O"), "pickled"),
        (_header((-1, 2)) + b"ab", "cannot be read"),
        (b"abc", "is not a numpy array"),
        (b"", "is not a numpy array"),
    ],
)
def test_a_member_that_lies(tmp_path: Path, member: bytes, words: str) -> None:
    path = _file(tmp_path / "d.npz", member)
    with pytest.raises(DataError, match="x_train") as refused:
        load_dataset(path)
    assert words in str(refused.value) and "\n" not in str(refused.value)


def test_a_file_that_unpacks_to_more_than_is_allowed(tmp_path: Path) -> None:
    size = 1 << 20
    path = _file(tmp_path / "d.npz", _header((1, size)) + bytes(size))
    assert path.stat().st_size < size // 100
    with NpzFile(path, 2 * size) as file:
        assert file.read(["x_train", "y_train"])["x_train"].shape == (1, size)
    with pytest.raises(DataError, match=r"more than 2,097,152 bytes of memory .*--max-data"):
        load_dataset(path, Reading(most_bytes=2 * size))


@pytest.mark.parametrize(
    ("at", "value", "words"),
    [(6, 88, "damaged .npz file"), (8, 1, "encrypted"), (10, 99, "x_train cannot be read")],
    ids=["version", "encrypted", "method"],
)
def test_an_archive_of_another_kind(tmp_path: Path, at: int, value: int, words: str) -> None:
    """By a byte of the first entry in the list of members."""
    path = _file(tmp_path / "d.npz", _header((1,)) + b"a")
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + at] = value
    path.write_bytes(data)
    with pytest.raises(DataError, match=words) as refused:
        load_dataset(path)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("letter", [0x110000, 0xFFFFFFFF, 0xD800], ids=hex)
def test_names_of_letters_that_do_not_exist(tmp_path: Path, letter: int) -> None:
    names = np.array([letter], np.uint32).view("<U1")
    x = np.zeros((2, 3), np.float32)
    np.savez(tmp_path / "d.npz", x_train=x, x_test=x, class_names=names)
    with pytest.raises(DataError, match="class_names holds characters that do not exist"):
        load_dataset(tmp_path / "d.npz")


def test_the_arrays_are_numpy_s(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    arrays = {
        "a": rng.normal(size=(3, 4)),
        "b": np.asfortranarray(rng.integers(0, 9, (5, 2))),
        "c": np.array(["zero", "one"]),
        "d": np.float32(3),
    }
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "d.npz", **arrays)  # type: ignore[arg-type]
        with NpzFile(tmp_path / "d.npz") as file:
            assert file.keys == arrays.keys()
            for key, found in file.read(arrays).items():
                np.testing.assert_array_equal(found, arrays[key])


def test_a_picture_that_unpacks_to_gigabytes(tmp_path: Path) -> None:
    """A few kilobytes of one colour, 10,000 on a side."""
    for name in ("no", "yes"):
        (tmp_path / name).mkdir()
        for index in range(2):
            Image.new("L", (4, 4)).save(tmp_path / name / f"{index}.png")
    Image.new("1", (10_000, 10_000)).save(tmp_path / "yes" / "1.png")
    with pytest.raises(DataError, match=r"yes/1.png: not a readable picture .*limit"):
        load_dataset(tmp_path)


def test_a_picture_that_its_decoder_stumbles_over(
    tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    """A TIFF whose tags are cut off; Pillow's own warnings are not for users."""
    for name in ("no", "yes"):
        (tmp_path / name).mkdir()
        for index in range(2):
            Image.new("L", (4, 4)).save(tmp_path / name / f"{index}.png")
    stream = io.BytesIO()
    Image.new("RGB", (5, 5)).save(stream, "TIFF")
    tags = stream.getvalue()
    for length in range(8, len(tags)):
        (tmp_path / "yes" / "1.png").write_bytes(tags[:length])
        try:
            load_dataset(tmp_path).x_train.decode(0)  # type: ignore[union-attr]
        except DataError as error:
            assert "not a readable picture" in str(error)
    assert not recwarn.list
