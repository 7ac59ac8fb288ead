"""The C++ latent store, through the host library."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

from tflm_train.runtime.host_library import host_library
from tflm_train.runtime.latent_store import Balance

OK, NOT_KEPT, EMPTY, BAD_STORAGE = 0, 1, 2, 4
NONE = 0xFFFF
FLASH = (8 * 1024, 1024, 8)
"""Bytes, erase block, program unit."""


def capacity(payload_bytes: int, groups: int, flash: Sequence[int] = FLASH) -> int:
    """The most records of a flash."""
    return int(
        host_library().TflmTrainLatentCapacity(payload_bytes, groups, (ctypes.c_uint32 * 3)(*flash))
    )


class LatentStore:
    """A store of latents of `latent_bytes` with int32 classes as labels.

    In RAM, or with `flash` in a storage whose contents are `memory`, to be given to the next store.
    """

    def __init__(
        self,
        latent_bytes: int,
        records: int,
        groups: int,
        *,
        seed: int = 0,
        replay_seed: int = 0,
        flash: Sequence[int] | None = None,
        balance: Balance = Balance.CLASSES,
        memory: ctypes.Array[ctypes.c_char] | None = None,
    ):
        self._library = host_library()
        new = self._library.TflmTrainLatentNew
        new.restype = ctypes.c_void_p
        self.latent_bytes = latent_bytes
        self.memory = memory
        if flash is not None and memory is None:
            self.memory = ctypes.create_string_buffer(flash[0])
        sizes = None if flash is None else (ctypes.c_uint32 * 3)(*flash)
        arguments = (latent_bytes, balance.value, records, groups, ctypes.c_uint32(seed))
        self._store = ctypes.c_void_p(
            new(*arguments, ctypes.c_uint32(replay_seed), sizes, self.memory)
        )
        self.opened = self._library.TflmTrainLatentOpen(self._store)

    def close(self) -> None:
        self._library.TflmTrainLatentClose(self._store)

    def add(self, latent: bytes, label: int, domain: int = 0) -> int:
        return int(
            self._library.TflmTrainLatentAdd(
                self._store, latent, ctypes.byref(ctypes.c_int32(label)), domain
            )
        )

    def read(self, index: int) -> tuple[bytes, int, int] | None:
        """Latent, label, domain; None where there is no record."""
        latent = ctypes.create_string_buffer(self.latent_bytes)
        label, domain = ctypes.c_int32(), ctypes.c_uint16()
        status = self._library.TflmTrainLatentRead(
            self._store, index, latent, ctypes.byref(label), ctypes.byref(domain)
        )
        return (latent.raw, label.value, domain.value) if status == OK else None

    def checkpoint(self) -> int:
        return int(self._library.TflmTrainLatentCheckpoint(self._store))

    def wear(self) -> tuple[int, int, int]:
        """Numbers written, erases, sectors."""
        wear = (ctypes.c_uint32 * 3)()
        self._library.TflmTrainLatentWear(self._store, wear)
        return tuple(wear)

    def forget_counts(self) -> None:
        """As if no sample had come: the next one is kept, whatever it is."""
        self._library.TflmTrainLatentForgetCounts(self._store)

    def draw(self) -> int | None:
        index = int(self._library.TflmTrainLatentDraw(self._store))
        return None if index == NONE else index

    def epoch(self) -> list[int]:
        self._library.TflmTrainLatentEpoch(self._store)
        order: list[int] = []
        while (index := self._library.TflmTrainLatentNext(self._store)) != NONE:
            order.append(index)
        return order
