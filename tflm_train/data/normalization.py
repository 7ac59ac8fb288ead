"""Mean and deviation by which samples are brought to what a model was trained on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tflm_train.errors import DataError


@dataclass(frozen=True)
class Normalization:
    """The model sees `(value - mean) / std`.

    Attributes:
        mean: of each channel (the last axis of a sample), or one for all; of pictures in units of
            a pixel, 0 to 255.
        std: likewise, above 0.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.mean or not self.std or min(self.std) <= 0.0:
            raise DataError(f"--std {_listed(self.std)} must be above 0, and --mean be given")
        if len(self.mean) != len(self.std) and 1 not in (len(self.mean), len(self.std)):
            raise DataError(
                f"--mean has {len(self.mean)} values and --std {len(self.std)}; give one for each "
                "channel, or one for all"
            )

    @staticmethod
    def of_pixels(black: float, white: float) -> Normalization:
        """By what pixels of 0 to 255 become values from `black` to `white`."""
        std = 255.0 / (white - black)
        return Normalization((-black * std,), (std,))

    @property
    def channels(self) -> int:
        """How many a sample must have; 1 for any number."""
        return max(len(self.mean), len(self.std))

    def real_values(self, values: npt.NDArray[np.generic], name: str) -> npt.NDArray[np.float64]:
        """What the model is to see.

        Args:
            values: [..., channels].
            name: what to call them in messages.

        Raises:
            DataError: they have another number of channels.
        """
        channels = values.shape[-1] if values.ndim else 1
        if self.channels not in (1, channels):
            raise DataError(
                f"{name}: samples have {channels} channels, --mean and --std {self.channels}"
            )
        found: npt.NDArray[np.float64] = values.astype(np.float64) - np.array(self.mean)
        found /= np.array(self.std)
        return found


def _listed(values: tuple[float, ...]) -> str:
    return ",".join(f"{value:g}" for value in values)
