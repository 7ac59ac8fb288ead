"""The scheme file: what it means, and what is refused in which words."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tflm_train.errors import SchemeError
from tflm_train.scheme import Head, Loss, Scheme, WeightUpdate, scheme
from tflm_train.scheme.signature import Signature


def docstring_example() -> str:
    """The indented block of the module's docstring."""
    assert scheme.__doc__ is not None
    lines = scheme.__doc__.split("::\n", 1)[1].splitlines()
    block = [line for line in lines if line.startswith("    ") or not line]
    end = next(i for i, line in enumerate(lines) if line and not line.startswith("    "))
    return textwrap.dedent("\n".join(block[: end + 1]))


def test_the_docstring_s_example() -> None:
    assert Scheme.parse(docstring_example()) == Scheme(
        loss=Loss("softmax_cross_entropy"),
        head=Head(classes=10, train=True),
        biases_last=22,
        weights=(
            WeightUpdate(21, 1.0),
            WeightUpdate(24, 0.25, select="magnitude"),
            WeightUpdate(27, channels=12),
        ),
        residual_bits=8,
        seed=0,
    )


def test_defaults() -> None:
    assert Scheme.parse("version: 1") == Scheme()
    assert Scheme().head.train and Scheme().residual_bits == 8 and Scheme().qas


def test_nothing_given_under_a_key() -> None:
    text = "version: 1\nhead:\nupdate:\nresidual_bits:\nseed:\nloss:\n"
    assert Scheme.parse(text) == Scheme()


def test_names_and_numbers_of_layers() -> None:
    text = """
    version: 1
    head: {train: false}
    update:
      biases: {layers: [3, features/conv, "7"]}
      weights:
        - {layer: 0x10, ratio: 1/1}
        - {layer: last_conv, channels: [5, 2], select: first}
    residual_bits: 4
    seed: 4294967295
    qas: false
    """
    assert Scheme.parse(text) == Scheme(
        head=Head(train=False),
        bias_layers=(3, "features/conv", "7"),
        weights=(WeightUpdate(16), WeightUpdate("last_conv", channels=(2, 5), select="first")),
        residual_bits=4,
        seed=2**32 - 1,
        qas=False,
    )


def test_all_layers() -> None:
    for biases in ("all", "{last: all}"):
        text = f"version: 1\nupdate: {{biases: {biases}, weights: all}}"
        assert Scheme.parse(text) == Scheme(biases_last="all", weights="all")


def test_the_model_a_scheme_is_for() -> None:
    text = "version: 1\nmodel: {name: Mine, layers: 4, channels: 96}"
    assert Scheme.parse(text) == Scheme(model=Signature("Mine", 4, 96))


@pytest.mark.parametrize(
    ("text", "loss"),
    [
        ("sigmoid_cross_entropy", Loss("sigmoid_cross_entropy")),
        ("{name: mean_squared_error, target: values}", Loss("mean_squared_error")),
        ("{name: mean_squared_error, target: input}", Loss("mean_squared_error", "input")),
        ("{target: probabilities}", Loss(target="probabilities")),
        (
            "{label_smoothing: 0.1, class_weights: [1, 2.5, 0]}",
            Loss(label_smoothing=0.1, class_weights=(1.0, 2.5, 0.0)),
        ),
    ],
)
def test_losses(text: str, loss: Loss) -> None:
    assert Scheme.parse(f"version: 1\nloss: {text}") == Scheme(loss=loss)


@pytest.mark.parametrize(
    ("text", "head"),
    [
        ("{classes: +2}", Head(add=2)),
        ("{classes: +2, labels: [cat, 7]}", Head(add=2, labels=("cat", "7"))),
        ("{reinitialise: true}", Head(reinitialise=True)),
        ("{classes: 5, hidden: [32, 16]}", Head(classes=5, hidden=(32, 16))),
        ("{hidden: [8]}", Head(hidden=(8,))),
    ],
)
def test_heads(text: str, head: Head) -> None:
    assert Scheme.parse(f"version: 1\nhead: {text}") == Scheme(head=head)


def test_a_regression_may_have_one_output() -> None:
    text = "version: 1\nloss: mean_squared_error\nhead: {classes: 1}\noutput: boxes"
    assert Scheme.parse(text) == Scheme(
        loss=Loss("mean_squared_error"), head=Head(classes=1), output="boxes"
    )


REFUSED = [
    # text after `version: 1`, line, words
    ("los: x", 2, "unknown key 'los'; did you mean 'loss'?"),
    ("learning: fast", 2, "unknown key 'learning'; valid keys: "),
    ("update: {biases: every}", 2, "update.biases: must be a mapping of key: value"),
    ("update: {weights: every}", 2, "update.weights: must be a list"),
    ("model: {name: x}", 2, "model: key 'layers' is missing"),
    ("update: {bias: {last: 1}}", 2, "unknown key 'bias'; did you mean 'biases'?"),
    ("update:\n  biases: {lats: 1}", 3, "unknown key 'lats'; did you mean 'last'?"),
    ("update:\n  weights:\n  - {layer: 1,\n     ration: 1}", 5, "did you mean 'ratio'?"),
    ("head: {clases: 3}", 2, "unknown key 'clases'; did you mean 'classes'?"),
    ("head:\n  zzz: 3", 3, "unknown key 'zzz'; valid keys: classes, train, reinitialise, hidden"),
    ("head: {classes: +0}", 2, "head.classes: must be from 1 to 4095, not 0"),
    ("head: {classes: +x}", 2, "head.classes: must be a whole number, not '+x'"),
    ("head: {classes: +2, hidden: [4]}", 2, "`classes: +N` keeps the old classes' weights"),
    ("head: {classes: +2, reinitialise: true}", 2, "give the number of all classes instead"),
    ("head: {classes: +2, train: false}", 2, "a fresh head that does not train"),
    ("head: {reinitialise: true, train: false}", 2, "a fresh head that does not train"),
    ("head: {hidden: 8}", 2, "head.hidden: must be a list"),
    ("head: {hidden: [0]}", 2, "head.hidden[0]: must be from 1 to 4096, not 0"),
    ("head: {hidden: [1, 1, 1, 1, 1]}", 2, "at most 4 hidden layers"),
    ("head: {classes: 3, labels: [a]}", 2, "1 labels for 3 new classes; give one for each"),
    ("head: {labels: [a]}", 2, "1 labels for no new classes; give one for each, with `classes`"),
    ("zzzzzz: 3", 2, "valid keys: version, model, loss, head, output, update"),
    ("seed: 1\nseed: 2", 3, "key 'seed' stands twice"),
    ("loss: mse", 2, "loss: 'mse' is not one of softmax_cross_entropy, sigmoid_cross_entropy,"),
    ("loss: {nam: x}", 2, "unknown key 'nam'; did you mean 'name'?"),
    ("loss: {target: input}", 2, "loss.target: 'input' is not one of label, probabilities"),
    ("loss: {label_smoothing: 1}", 2, "loss.label_smoothing: must be from 0 to 0.9, not 1"),
    ("loss: {label_smoothing: x}", 2, "loss.label_smoothing: must be a number, not 'x'"),
    ("loss: {class_weights: 2}", 2, "loss.class_weights: must be a list"),
    ("loss: {class_weights: [1, -1]}", 2, "loss.class_weights[1]: must be from 0 to 1000, not -1"),
    ("loss: {class_weights: [0, 0]}", 2, "class_weights are all zero"),
    (
        "loss: {name: mean_squared_error,\n  label_smoothing: 0.1}",
        3,
        "mean_squared_error has no classes; leave it out",
    ),
    ("loss: {name: mean_squared_error, class_weights: [1]}", 2, "has no classes; leave it out"),
    ("output: -1", 2, "output: must be at least 0, not -1"),
    ("loss: softmax_crossentropy", 2, "did you mean 'softmax_cross_entropy'?"),
    ("head: 10", 2, "head: must be a mapping"),
    ("head: {classes: 1}", 2, "head.classes: must be from 2 to 4096, not 1"),
    ("head: {classes: ten}", 2, "head.classes: must be a whole number, not 'ten'"),
    ("head: {classes: 2.5}", 2, "head.classes: must be a whole number, not '2.5'"),
    ("head: {train: maybe}", 2, "head.train: must be true or false, not 'maybe'"),
    ("head: {classes: 3, train: false}", 2, "a fresh head that does not train"),
    ("seed: -1", 2, "seed: must be from 0 to 4294967295, not -1"),
    ("seed: [1]", 2, "seed: must be a whole number"),
    ("qas: 1", 2, "qas: must be true or false, not '1'"),
    ("update: [1]", 2, "update: must be a mapping"),
    ("update:\n  biases: {last: -2}", 3, "update.biases.last: must be at least 0, not -2"),
    ("update:\n  biases: {last: 1, layers: [1]}", 3, "give either `last` or `layers`, not both"),
    ("update:\n  biases: {layers: 4}", 3, "update.biases.layers: must be a list"),
    ("update:\n  biases:\n    layers: [1,\n      {a: 1}]", 5, "update.biases.layers[1]: must be a"),
    ("update:\n  biases: {layers: [-1]}", 3, "update.biases.layers[0]: must be at least 0"),
    ("update:\n  weights: {layer: 1}", 3, "update.weights: must be a list"),
    ("update:\n  weights:\n  - {layer: 1}\n  - 2", 5, "update.weights[1]: must be a mapping"),
    ("update:\n  weights:\n  - {ratio: 1}", 4, "update.weights[0]: key 'layer' is missing"),
    ("update:\n  weights:\n  - {layer: 1}\n  - {layer: 1}", 5, "layer 1 is named twice"),
    ("update:\n  weights:\n  - {layer: 1, ratio: x}", 4, "ratio must be a number such as 1 or 1/4"),
    ("update:\n  weights:\n  - {layer: 1, ratio: 1/0}", 4, "ratio must be a number"),
    ("update:\n  weights:\n  - {layer: 1, ratio: 0}", 4, "ratio must lie in (0, 1], not 0"),
    ("update:\n  weights:\n  - {layer: 1, ratio: 1.5}", 4, "ratio must lie in (0, 1], not 1.5"),
    ("residual_bits: 5", 2, "residual_bits must be one of (0, 4, 8), not 5"),
    (
        "update:\n  weights:\n  - {layer: 1, ratio: 1, channels: 2}",
        4,
        "either `ratio` or",
    ),
    ("update:\n  weights:\n  - {layer: 1, channels: 0}", 4, "channels: must be at least 1, not 0"),
    ("update:\n  weights:\n  - {layer: 1, channels: []}", 4, "must list at least one channel"),
    ("update:\n  weights:\n  - {layer: 1, channels: [1, 1]}", 4, "at least one channel, each once"),
    ("update:\n  weights:\n  - {layer: 1, select: frist}", 4, "did you mean 'first'?"),
    ("a: b: c", 2, "not YAML"),
    ("loss: 'x", 2, "not YAML"),
]


@pytest.mark.parametrize(("text", "line", "words"), REFUSED, ids=[t for t, _, _ in REFUSED])
def test_refusals_name_file_line_and_key(text: str, line: int, words: str) -> None:
    with pytest.raises(SchemeError) as refusal:
        Scheme.parse("version: 1\n" + text, "s.yaml")
    message = str(refusal.value)
    assert message.startswith(f"s.yaml, line {line}: ")
    assert words in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "s.yaml: a scheme is a mapping of key: value; start with `version: 1`"),
        ("- 1", "s.yaml: a scheme is a mapping"),
        ("[" * 3000, "s.yaml: a scheme is never nested that deep"),
        ("a: " + "{a: " * 3000, "s.yaml: a scheme is never nested that deep"),
        ("loss: softmax_cross_entropy", "s.yaml, line 1: key 'version' is missing"),
        ("version: 2", "s.yaml, line 1: version: version 2 is not known; this tool reads 1"),
        ("version: one", "s.yaml, line 1: version: must be a whole number, not 'one'"),
        ("version:", "s.yaml, line 1: version: must be a whole number"),
        ("a: \x00", "s.yaml"),
    ],
)
def test_refused_from_the_start(text: str, words: str) -> None:
    with pytest.raises(SchemeError) as refusal:
        Scheme.parse(text, "s.yaml")
    assert str(refusal.value).startswith(words)
    assert "\n" not in str(refusal.value)


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "good.yaml"
    path.write_text(docstring_example())
    assert Scheme.load(path) == Scheme.parse(docstring_example())
    with pytest.raises(SchemeError, match=r"none\.yaml: cannot be read \(No such file"):
        Scheme.load(tmp_path / "none.yaml")
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SchemeError, match=r"good\.yaml: not a text file"):
        Scheme.load(path)
    path.write_text("version: 1\nfoo: 1")
    with pytest.raises(SchemeError, match=r"good\.yaml, line 2: unknown key 'foo'"):
        Scheme.load(path)


@given(st.text(alphabet="version: 1\n{}[]-,&*!|>'\"%@`?#headlupt", max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        Scheme.parse(text)
    except SchemeError as error:
        assert "\n" not in str(error)
