"""Names as people tell them apart."""

from __future__ import annotations

from tflm_train.graph.names import without_common_folder


def test_without_common_folder() -> None:
    assert without_common_folder(["a/b/c1", "a/b/c2"]) == ["c1", "c2"]
    assert without_common_folder(["a/bx/c", "a/by/c"]) == ["bx/c", "by/c"]
    assert without_common_folder(["one/alone"]) == ["one/alone"]
    assert without_common_folder(["same", "same"]) == ["same", "same"]
