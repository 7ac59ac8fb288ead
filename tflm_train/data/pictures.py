"""Pictures on disk, and their way into the int8 input of a model."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from tflm_train.data.npz import reason
from tflm_train.errors import DataError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg"})
# A damaged picture is one line of ours; what Pillow logs of it would be lines before that.
logging.getLogger("PIL").addHandler(logging.NullHandler())


class ImageFiles:
    """Pictures on disk, decoded when asked for. A selection of it is a shorter `ImageFiles`."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = tuple(paths)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: slice | npt.NDArray[np.int64]) -> ImageFiles:
        if isinstance(index, slice):
            return ImageFiles(self.paths[index])
        return ImageFiles([self.paths[i] for i in index])

    def decode(self, index: int) -> npt.NDArray[np.uint8]:
        """One picture as uint8 [height, width, channels], 1 channel if the file is grey, else 3.

        Raises:
            DataError: the file cannot be read as a picture.
        """
        with _picture(self.paths[index]) as image:
            grey = image.mode in ("1", "L", "LA")
            pixels = np.asarray(image.convert("L" if grey else "RGB"), dtype=np.uint8)
        return pixels[:, :, np.newaxis] if pixels.ndim == 2 else pixels


def resize_picture(
    pixels: npt.NDArray[np.uint8], target: tuple[int, ...], name: str
) -> npt.NDArray[np.uint8]:
    """A picture in the shape of a model's input.

    Args:
        pixels: [h, w], [h, w, 1] or [h, w, 3].
        target: the shape, batch left out.
        name: what to call the picture in messages.

    Raises:
        DataError: one of the two is no picture.
    """
    if pixels.shape != target:
        if len(target) != 3 or target[2] not in (1, 3):
            raise DataError(
                f"{name}: the model's input {list(target)} is no picture (height, width, 1 or 3 "
                f"channels), so uint8 samples must have exactly its shape, not {list(pixels.shape)}"
            )
        pixels = pixels[:, :, 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
        if pixels.ndim != 2 and (pixels.ndim != 3 or pixels.shape[2] != 3):
            raise DataError(
                f"{name}: a uint8 sample of shape {list(pixels.shape)} is no picture "
                f"(height, width, 1 or 3 channels)"
            )
        height, width, channels = target
        image = Image.fromarray(np.ascontiguousarray(pixels))
        image = image.convert("L" if channels == 1 else "RGB")
        if image.size != (width, height):
            image = image.resize((width, height), Image.Resampling.BILINEAR)
        pixels = np.asarray(image, dtype=np.uint8).reshape(target)
    return pixels


def verify_pictures(files: Sequence[Path]) -> None:
    """Opens each picture once, to name a bad one before training.

    Raises:
        DataError: a file cannot be read as a picture.
    """
    for file in files:
        with _picture(file) as image:
            image.verify()


@contextlib.contextmanager
def _picture(path: Path) -> Iterator[Image.Image]:
    """An open picture.

    Raises:
        DataError: it is none, or has more pixels than Pillow takes for a picture that is meant
            well; also where what is done with it finds that.
    """
    if not path.is_file():
        raise DataError(f"{path} is no regular file; remove it from the data")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                yield image
    except Exception as error:  # Pillow's decoders stumble over damaged files in any way
        raise DataError(f"{path}: not a readable picture ({reason(error)})") from error
