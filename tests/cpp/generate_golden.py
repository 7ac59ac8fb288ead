"""Writes the golden cases of the C++ kernel tests: inputs and, from the numpy reference, results.

`python tests/cpp/generate_golden.py [folder]` writes `<suite>.inc` files, C arrays and a table of
cases for `<suite>_test.cc` to include; by default to tests/cpp/generated, which is not in git but
which the Bazel and cross builds read. The same cases come out every time (fixed seeds).

Cases in the "small" part are also run where there is little memory (TFLM_TRAIN_SMALL_TARGET).
Operator parameters are given as the bytes of the op ABI, so that the structs of `op_params.h` are
checked against `tflm_train/ops` on the way.
"""

import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

import golden_bounds
import golden_front_end
import golden_gradients
import golden_numbers
import golden_operators
import golden_partial
import golden_rules
import golden_training
import golden_updates
from golden_inputs import Array, Suite, bits, random_int8

from tflm_train import ops
from tflm_train.backward_ops import numerics, split_forward

_FEW = 150
"""Values of a table where there is little memory."""


def primitives() -> Iterator[Suite]:
    """One table for each scalar function, `{name, [operands], count, results}`."""
    rng = np.random.default_rng(11)
    edges = np.array([0, 1, -1, 2, -2, 3, -3, 2**31 - 1, -(2**31), 2**30, -(2**30)], np.int64)
    wide = rng.integers(-(2**31), 2**31, 300)
    a = np.concatenate([np.repeat(edges, 32), wide]).astype(np.int32)
    n = np.concatenate([np.tile(np.arange(32), edges.size), rng.integers(0, 32, 300)])
    table = Suite("round_shift", "RoundShiftTable")
    n32 = n.astype(np.int32)
    table.case("table", a.size, a, n32, numerics.round_shift(a, n), small=True)
    yield table

    pairs = np.array(np.meshgrid(edges, edges)).reshape(2, -1)
    left = np.concatenate([pairs[0], wide]).astype(np.int32)
    right = np.concatenate([pairs[1], rng.permutation(wide)]).astype(np.int32)
    table = Suite("high_mul", "HighMulTable")
    table.case("table", left.size, left, right, numerics.high_mul(left, right), small=True)
    yield table

    shifts = np.concatenate([np.tile([-31, -8, -1, 0, 3, 7], 50), rng.integers(-31, 8, 300)])
    scaled = rng.integers(-(2**31), 2**31, 600) >> np.maximum(0, shifts + rng.integers(0, 20, 600))
    mantissas = rng.integers(2**30, 2**31, 600)
    # Halves of the first rounding and of the second; the largest products.
    scaled[:4], mantissas[:4], shifts[:4] = [1, -1, 3, -3], 2**30, [0, 0, -1, -1]
    scaled[4:6], mantissas[4:6], shifts[4:6] = [2**31 - 1, -(2**31)], 2**31 - 1, 0
    values = [v.astype(np.int32) for v in (scaled, mantissas, shifts)]
    table = Suite("requantize", "RequantizeTable")
    want = split_forward.requantize(*values)
    table.case("table", want.size, *values, want, small=True)
    yield table

    halves = np.arange(-20, 21) / 2
    big = 2147483520.0
    special = [
        0.0,
        -0.0,
        np.nan,
        np.inf,
        -np.inf,
        big,
        -big,
        2.0**31,
        -(2.0**31),
        8388607.5,
    ]
    special += [
        -8388607.5,
        0.49999997,
        -0.49999997,
        1e-45,
        3.4e38,
        -3.4e38,
        2147483392.0,
    ]
    x = np.concatenate([halves, special, rng.normal(0, 1000, 100), rng.normal(0, 1e9, 100)])
    yield _float_table("round_to_int32", "RoundToInt32Table", x, numerics.round_to_int32)

    t = np.concatenate(
        [
            [0, -0.0, 0.5, 1, 124.99999, 125, 126, 1e30, np.inf],
            np.arange(1, 125),
            rng.uniform(0, 126, 300),
        ]
    )
    yield _float_table("exp2_neg", "Exp2NegTable", t, lambda v: bits(numerics.exp2_neg(v)))

    above_one = np.concatenate(
        [[1, 1.0000001, 2, 1.9999999, 3.4e38], np.exp(rng.uniform(0, 80, 300))]
    )
    yield _float_table("log", "LogTable", above_one, lambda v: bits(numerics.log(v)))

    squares = np.concatenate([np.arange(20), rng.integers(0, 2**32, 60), [2**32 - 1, 2**30]])
    squares = np.concatenate([squares, (rng.integers(0, 2**16, 30) ** 2)]).astype(np.uint32)
    roots = np.array([numerics.sqrt32(int(x)) for x in squares], np.uint32)
    table = Suite("sqrt", "SqrtTable")
    table.case("table", squares.size, squares, roots, small=True)
    yield table

    words = rng.integers(0, 2**32, 64).astype(np.uint32)
    words[:3] = [0, 1, 2**32 - 1]
    table = Suite("hash", "HashTable")
    table.case("table", words.size, words, numerics.hash32(words), small=True)
    yield table


def _float_table(
    name: str, struct: str, x: npt.ArrayLike, function: Callable[[Array], Array]
) -> Suite:
    with np.errstate(over="ignore"):
        single = np.asarray(x).astype(np.float32)
    table = Suite(name, struct)
    for part, values in (("table", single[:_FEW]), ("rest", single[_FEW:])):
        small = part == "table"
        table.case(part, values.size, bits(values), function(values), small=small)
    return table


def state_blob() -> Suite:
    """A saved state as `docs/NUMERICS.md` lays it out, with the CRC of zlib."""
    suite = Suite("state_blob", "StateBlobCase")
    rng = np.random.default_rng(12)
    for sizes in ((5,), (3, 16, 8), (1, 2, 3, 4)):
        variables = [random_int8(rng, size) for size in sizes]
        payload = b"".join(v.tobytes() for v in variables)
        fingerprint, step, seed = int(rng.integers(2**63)), 1234567, 0xFEDCBA98
        head = (
            ops.BLOB_MAGIC,
            ops.BLOB_VERSION,
            ops.BLOB_HEADER.size,
            fingerprint,
            step,
            seed,
        )
        unsealed = ops.BLOB_HEADER.pack(*head, len(payload), 0)[:-4]
        crc = zlib.crc32(unsealed + payload)
        blob = ops.BLOB_HEADER.pack(*head, len(payload), crc) + payload
        suite.case(
            f"{len(sizes)}_variables",
            fingerprint & 0xFFFFFFFF,
            fingerprint >> 32,
            step,
            seed,
            len(sizes),
            np.array(sizes, np.uint32),
            payload,
            len(blob),
            blob,
            small=True,
        )
    return suite


def all_suites() -> Iterator[Suite]:
    yield from golden_gradients.suites()
    yield from golden_operators.suites()
    yield from golden_updates.suites()
    yield from golden_rules.suites()
    yield from golden_partial.suites()
    yield from golden_training.suites()
    yield from golden_front_end.suites()
    yield from primitives()
    yield state_blob()
    yield Suite("reach", "ReachCase")


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "generated"
    folder.mkdir(parents=True, exist_ok=True)
    suites = {suite.name: suite for suite in all_suites()}
    golden_numbers.add_to(suites)
    golden_bounds.add_to(suites)
    for suite in suites.values():
        suite.write(folder)


if __name__ == "__main__":
    main()
