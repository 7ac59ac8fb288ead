"""The whole-step table: what counts as what, and what the committed results say."""

from __future__ import annotations

import json

from benchmarks import kernels, whole_step
from tflm_train.ops import ALL, BiasUpdate, ClampMask, MaskFields

RESULTS = kernels.BASELINE.with_name("whole_step.json")


def test_equal_ops_are_counted_once_and_all_are_found(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    ops = [ClampMask(size, -128, 127) for size in (*range(1, 300), 1, 2)]
    seen: list[int] = []

    def count(core: str, operators: list[ClampMask]) -> list[int]:
        assert core == "m7"
        seen.extend(op.size for op in operators)
        return [op.size * 10 for op in operators]

    monkeypatch.setattr(whole_step.instructions, "count", count)
    counts = whole_step.count_ops("m7", ops)
    assert seen == list(range(1, 300))
    assert [counts[op.pack()] for op in ops] == [op.size * 10 for op in ops]


def test_tiny_engine_figures() -> None:
    none = MaskFields()
    point = kernels.layer(8, 48, 288)
    small, large, strided = (
        kernels.layer(*c) for c in ((4, 8, 8, 3), (8, 8, 8, 3), (8, 8, 8, 3, 2))
    )
    figures = [
        (kernels.conv_input_grad(point, none), 3.41 * 8 * 8 * 48 * 288),
        (kernels.update(point, 8, False), 3.8 * 8 * 8 * 48 * 288),
        (kernels.depthwise_input_grad(small, none), 4.0 * 4 * 4 * 8 * 9),
        (kernels.depthwise_input_grad(large, none), 3.4 * 8 * 8 * 8 * 9),
        (kernels.depthwise_input_grad(strided, none), 11.9 * 4 * 4 * 8 * 9),
        (BiasUpdate(64, 8, 0), 0.0),
    ]
    assert [whole_step.tiny_engine(params) for params, _ in figures] == [n for _, n in figures]


def test_every_kind_of_op_has_a_phase() -> None:
    kinds = {kind.OP: whole_step.phase_of(kind.__new__(kind)) for kind in ALL}
    updates = [op for op, phase in kinds.items() if phase is whole_step.Phase.UPDATE]
    forward = [op for op, phase in kinds.items() if phase is whole_step.Phase.FORWARD]
    assert updates == ["CONV_UPDATE", "DEPTHWISE_UPDATE", "BIAS_UPDATE"]
    assert forward == ["SPLIT_CONV", "SPLIT_DEPTHWISE", "STREAM"]


def test_half_of_the_forward_pass_is_too_much() -> None:
    assert whole_step.within_limit([{"share_a": 0.49, "share_b": None, "tiny_share": 0.7}])
    assert not whole_step.within_limit([{"share_a": 0.1, "share_b": 0.5}])


def test_the_committed_results_keep_the_limit() -> None:
    rows = json.loads(RESULTS.read_text())["rows"]
    assert {row["network"] for row in rows} == set(whole_step.SCHEMES)
    assert {row["residual_bits"] for row in rows} == set(whole_step.RESIDUALS)
    assert whole_step.within_limit([row for row in rows if row["core"] == "m7"])
