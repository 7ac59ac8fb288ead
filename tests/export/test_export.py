"""Exported projects: their files, their manifests, and what is in the headers of each loss."""

from __future__ import annotations

import configparser
import dataclasses
import hashlib
import itertools
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import tflm_train as tt
from tests import raw_model
from tests.export.builds import ARDUINO, ROOT, as_cpp, check_syntax
from tests.loss_models import loss_model
from tests.steps import weights_of
from tflm_train import ops
from tflm_train.errors import DataError, TflmTrainError, UnsupportedError
from tflm_train.export import FORMATS, export_project, latents
from tflm_train.export.arena import plan_arena
from tflm_train.export.provenance import SPDX
from tflm_train.export.resolver import exact_resolver, resolver_method
from tflm_train.memory import KernelSet, memory_report
from tflm_train.model import Model
from tflm_train.rewriter import rewrite
from tflm_train.scheme import Loss, Scheme
from tflm_train.trained.trainable_model import TrainableModel, VariableKind
from tflm_train.version import VERSION


@pytest.mark.parametrize("format", FORMATS)
def test_every_project_has_the_same_core(format: str, digits_train: Model) -> None:
    files = export_project(digits_train, format, name="digits", all_kernels=True).files
    folder = "" if format == "c-array" else "src/"
    for path in ("digits.h", "digits_model.cc", "digits_ops.h", "digits_training.h"):
        assert f"{folder}{path}" in files
    assert files[f"{folder}tflm_kernels/LICENSE"] == (ROOT / "LICENSE").read_bytes()
    kernels = {p for p in files if re.match(rf"{folder}tflm_kernels/.*\.(h|cc)$", p)}
    expected = {
        f"{folder}{p.relative_to(ROOT).as_posix()}"
        for p in (ROOT / "tflm_kernels").rglob("*")
        if p.suffix in (".h", ".cc") and not {"host", "audio"} & set(p.parts)
    }
    assert kernels == expected
    for path in kernels:
        assert files[path] == SPDX + (ROOT / path.removeprefix("src/")).read_bytes()
    examples = [p for p in files if re.search(r"(main\.(cc|cpp)|\.ino)$", p)]
    assert len(examples) == 1
    text = files[examples[0]].decode()
    for call in ("Infer()", ".Train(", "StateSave(", "StateLoad("):
        assert call in text
    for path, data in files.items():
        assert re.fullmatch(r"[A-Za-z0-9_./-]+", path)
        assert not re.search(rb"@[A-Z_]+@", data), f"{path}: a placeholder is left"


@pytest.mark.parametrize("format", FORMATS)
def test_every_project_says_where_it_comes_from(format: str, digits_train: Model) -> None:
    files = export_project(digits_train, format, name="digits", all_kernels=True).files
    sources = {p: data for p, data in files.items() if p.endswith((".h", ".cc", ".cpp", ".ino"))}
    assert len(sources) > 50
    for path, data in sources.items():
        assert data.count(b"SPDX-License-Identifier: Apache-2.0") == 1, path
        assert data.startswith(SPDX), path
    (header,) = (data.decode() for p, data in files.items() if p.endswith("digits_model.h"))
    trainable = TrainableModel.read(digits_train)
    for line in (
        f"//   tool         tflm_train {VERSION}, operators version {ops.VERSION}",
        f"//   model        {digits_train.name}, {len(digits_train.source):,} bytes",
        f"//     sha256     {hashlib.sha256(digits_train.source).hexdigest()}",
        f"//   fingerprint  {trainable.fingerprint:016x}, of the states that it loads",
        "//   scheme       loss softmax_cross_entropy of output 0",
        f"//                seed {trainable.seed} of the random rounding",
    ):
        assert f"{line}\n" in header
    trained = re.findall(
        r"^//     trains     (weights|bias) (\[.*?\]) of (\S+?)(?:,|$)", header, re.M
    )
    kinds = [v.kind for v in trainable.variables]
    for word, kind in (("weights", VariableKind.WEIGHTS), ("bias", VariableKind.BIAS)):
        assert sum(what == word for what, _, _ in trained) == kinds.count(kind) > 0


def test_odd_names_stay_in_their_comment(digits_train: Model) -> None:
    odd = Model(digits_train.source, "a\\\n??/*b\u2028\\")
    text = export_project(odd, "c-array", name="d").files["d_model.h"].decode()
    assert "//   model        a____/_b__, " in text


def test_the_array_is_the_model(digits_train: Model) -> None:
    text = export_project(digits_train, "c-array", name="digits").files["digits_model.cc"].decode()
    assert "alignas(16) const unsigned char kModel" in text
    values = [int(v, 16) for v in re.findall(r"0x([0-9a-f]{2})\b", text)]
    assert bytes(values) == digits_train.source


def test_the_resolver_is_exact(digits_train: Model) -> None:
    calls = exact_resolver(digits_train).calls
    assert len(calls) == len(set(calls)) == len({op.name for op in digits_train.graph.ops})
    for op in digits_train.graph.ops:
        kind = op.name.removeprefix(ops.OP_PREFIX)
        if op.is_custom:
            assert any(f"Register_TRAIN_{kind}()" in call for call in calls)
    assert "resolver.AddDepthwiseConv2D()" in calls and "resolver.AddSoftmax()" in calls
    header = export_project(digits_train, "c-array", name="d").files["d_ops.h"].decode()
    assert f"kOpCount = {len(calls)};" in header


def test_ops_of_somebody_else_are_declared_for_the_firmware(digits_train: Model) -> None:
    from ai_edge_litert import schema_py_generated as schema

    def change(raw: Any) -> None:
        raw_model.make_custom(raw, schema.BuiltinOperator.MEAN, b"My-Pool", b"")

    model = Model(raw_model.edit(digits_train.source, change), "own")
    header = export_project(model, "c-array", name="d").files["d_ops.h"].decode()
    assert "\nconst TFLMRegistration* Register_My_Pool();\n" in header
    assert 'add(resolver.AddCustom("My-Pool", Register_My_Pool()));' in header
    plain = export_project(digits_train, "c-array", name="d").files["d_ops.h"].decode()
    assert "const TFLMRegistration*" not in plain


def test_ops_without_a_kernel_are_named() -> None:
    from ai_edge_litert import schema_py_generated as schema

    codes = schema.BuiltinOperator
    assert resolver_method(codes.UNIDIRECTIONAL_SEQUENCE_LSTM, "m") == "UnidirectionalSequenceLSTM"
    assert resolver_method(codes.BATCH_TO_SPACE_ND, "m") == "BatchToSpaceNd"
    assert resolver_method(codes.L2_POOL_2D, "m") == "L2Pool2D"
    with pytest.raises(UnsupportedError, match="no kernel for the operator SKIP_GRAM"):
        resolver_method(codes.SKIP_GRAM, "m")


def test_the_headers_tell_the_contract(digits_train: Model) -> None:
    project = export_project(digits_train, "c-array", name="digits")
    text = (project.files["digits_model.h"] + project.files["digits_training.h"]).decode()
    graph = digits_train.graph
    numbers = {
        "kLabelInput": [t.name for t in graph.inputs].index("train/label"),
        "kLearningRateInput": [t.name for t in graph.inputs].index("train/learning_rate"),
        "kLossOutput": [t.name for t in graph.outputs].index("train/loss"),
        "kStateOutput": [t.name for t in graph.outputs].index("train/state"),
        "kInputSize": graph.inputs[0].size,
        "kOutputSize": 10,
        "kStateBytes": len(tt.Interpreter(digits_train).state()),
    }
    for name, value in numbers.items():
        assert re.search(rf"\b{name} = {value};", text), name
    arena = plan_arena(digits_train)
    needs = [memory_report(digits_train, kernels).minimum_bytes for kernels in KernelSet]
    assert arena.bytes >= max(needs) + 1024 and arena.bytes % 16 == 0
    assert f"kArenaBytes = {arena.bytes};" in text
    assert f"margin of {arena.margin} bytes" in text
    assert project.arena_bytes == arena.bytes


def test_names(digits_train: Model) -> None:
    assert export_project(digits_train, "c-array").name == "digits_train"
    odd = Model(digits_train.source, "2nd model-v1.tflite")
    assert export_project(odd, "c-array").name == "model_2nd_model_v1"
    for name in ("class", "a b", "1x", "a__b", "tflite", ""):
        with pytest.raises(DataError, match="cannot name a C"):
            export_project(digits_train, "c-array", name=name)
    with pytest.raises(DataError, match="is none of arduino, cmake"):
        export_project(digits_train, "mbed")


@pytest.mark.parametrize("format", FORMATS)
def test_a_model_that_only_infers_has_nothing_of_training(
    format: str, digits_optimized: Model
) -> None:
    project = export_project(digits_optimized, format, name="digits")
    files = {path.removeprefix("src/"): data.decode() for path, data in project.files.items()}
    assert (project.trains, project.state_bytes) == (False, 0)
    kernels = {path for path in files if path.startswith("tflm_kernels/")}
    sources = {path for path in kernels if path.endswith(".cc")}
    assert "tflm_kernels/micro/stream_op.cc" in sources
    assert not [path for path in sources if "/state/" in path or "update" in path or "grad" in path]
    own = {path: text for path, text in files.items() if path not in kernels and path != "LICENSE"}
    word = re.compile(r"trainer|Train\b|trains|[Ll]earn|[Ss]tate(?!n)|[Ll]atent|@if|@end@|@else@")
    for path, text in own.items():
        if path != "README.md":
            assert not (found := word.search(text)), f"{path}: {found}"
        assert not re.search(r"@[A-Z_]+@", text), f"{path}: a placeholder is left"
        assert "\n\n\n" not in text, f"{path}: two empty lines"
    header = files["digits_model.h"]
    assert f"sha256     {hashlib.sha256(digits_optimized.source).hexdigest()}\n" in header
    assert f"kArenaBytes = {plan_arena(digits_optimized).bytes};" in header
    assert "Register_TRAIN_STREAM()" in files["digits_ops.h"]
    assert "class Predictor {" in files["digits.h"] and "predictor.Infer()" in files["README.md"]


def test_a_model_of_builtin_ops_needs_no_kernels_of_ours(digits: Model) -> None:
    files = export_project(digits, "c-array", name="d").files
    assert [path for path in files if path.endswith(".cc")] == ["d_model.cc", "main.cc"]
    assert b"train_ops.h" not in files["d_ops.h"]


def test_what_tflm_cannot_run_is_not_exported(digits: Model) -> None:
    from ai_edge_litert import schema_py_generated as schema

    def change(raw: Any) -> None:
        raw_model.make_custom(raw, schema.BuiltinOperator.MEAN, b"FlexMean", b"")

    model = Model(raw_model.edit(digits.source, change), "flex.tflite")
    with pytest.raises(UnsupportedError, match=r"flex\.tflite: TFLM cannot run it: .*Flex"):
        export_project(model, "c-array")


def test_existing_files_stay(digits_train: Model, tmp_path: Path) -> None:
    project = export_project(digits_train, "cmake", name="digits")
    mine = tmp_path / "src" / "digits_training.h"
    mine.parent.mkdir()
    mine.write_text("// mine\n")
    with pytest.raises(TflmTrainError, match=r"digits_training\.h exists and differs"):
        project.write(tmp_path)
    assert mine.read_text() == "// mine\n"
    assert not (tmp_path / "CMakeLists.txt").exists(), "nothing is written when something is not"
    project.write(tmp_path, force=True)
    project.write(tmp_path)  # the same again is no harm
    assert mine.read_bytes() == project.files["src/digits_training.h"]
    (tmp_path / "file").write_text("")
    with pytest.raises(TflmTrainError, match="is a file, and a project a folder"):
        project.write(tmp_path / "file")


@pytest.mark.parametrize("written", [0, 1, 20])
def test_a_full_disk_leaves_nothing(
    digits_train: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    project = export_project(digits_train, "cmake", name="digits")
    left = itertools.count(written, -1)

    def fail(_: int) -> None:
        if next(left) <= 0:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("tflm_train.files.os.fsync", fail)
    with pytest.raises(TflmTrainError, match=r"cannot be written \(No space"):
        project.write(tmp_path / "deep" / "project")
    assert not list(tmp_path.iterdir())


def test_the_command(digits_train: Model, tmp_path: Path) -> None:
    model = tmp_path / "model.tflite"
    model.write_bytes(digits_train.source)
    names = tmp_path / "names.txt"
    names.write_text("\n".join("abcdefghij") + "\n")
    command = [sys.executable, "-m", "tflm_train", "export", str(model), "--format", "c-array"]
    command += ["-o", str(tmp_path / "out"), "--class-names", str(names), "--json"]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    summary: dict[str, Any] = json.loads(finished.stdout)
    assert summary["name"] == "model" and summary["trains"] is True
    assert summary["class_names"] == list("abcdefghij")
    written = sorted(
        p.relative_to(tmp_path / "out").as_posix()
        for p in (tmp_path / "out").rglob("*")
        if p.is_file()
    )
    assert written == summary["files"]
    assert '{"a", "b",' in (tmp_path / "out" / "model_model.h").read_text()
    (tmp_path / "out" / "main.cc").write_text("int main() {}\n")
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 1 and "--force" in again.stderr


LOSSES = {
    "labels": ("tagger", Loss("sigmoid_cross_entropy")),
    "yes or no": ("detector", Loss("sigmoid_cross_entropy")),
    "values": ("regression", Loss("mean_squared_error")),
    "autoencoder": ("autoencoder", Loss("mean_squared_error", "input")),
    "two outputs": ("two_outputs", Loss()),
    "two inputs": ("two_inputs", Loss()),
}


@pytest.mark.parametrize("trains", [True, False], ids=["trains", "infers"])
@pytest.mark.parametrize("case", LOSSES)
def test_projects_of_other_losses_compile(case: str, trains: bool, tmp_path: Path) -> None:
    name, loss = LOSSES[case]
    model = Model(loss_model(name), "m.tflite")
    if trains:
        rewritten = rewrite(model, Scheme(loss=loss, weights=weights_of(0)))
        model = Model(rewritten.model_bytes, "m.tflite")
    project = export_project(model, "arduino", name="m")
    if trains:
        header = project.files["src/m_training.h"].decode()
        assert ("kLabelInput" in header) == (case != "autoencoder")
    has_names = trains and loss.name != "mean_squared_error"
    assert ("kClassNames" in project.files["src/m_model.h"].decode()) == has_names
    project.write(tmp_path / "arduino")
    export_project(model, "c-array", name="m").write(tmp_path / "plain")
    sketch_name = "Train" if trains else "Infer"
    source = tmp_path / f"arduino/examples/{sketch_name}/{sketch_name}.ino"
    sketch = as_cpp(source, tmp_path / "sketch.cpp")
    includes = [f"-I{tmp_path / 'arduino/src'}", f"-I{ARDUINO}"]
    check_syntax([sketch], "-std=gnu++17", *includes)
    check_syntax([tmp_path / "plain/main.cc"], "-std=c++17", f"-I{tmp_path / 'plain'}")


@pytest.mark.parametrize("case", ["labels", "values", "autoencoder"])
def test_trainers_of_latents_compile(case: str, tmp_path: Path) -> None:
    name, loss = LOSSES[case]
    model = Model(loss_model(name), name)
    scheme = Scheme(loss=loss, latent=True)
    if case != "labels":  # a frozen FULLY_CONNECTED always runs: the latent is the input
        scheme = dataclasses.replace(scheme, weights=weights_of(0))
    rewritten = Model(rewrite(model, scheme).model_bytes, "m.tflite")
    project = export_project(rewritten, "c-array", name="m")
    text = project.files["m_training.h"].decode()
    graph = rewritten.graph
    assert f"kSourceInput = {len(graph.inputs) - 1};" in text
    assert f"kLatentOutput = {len(graph.outputs) - 1};" in text
    assert f"kLatentSize = {graph.outputs[-1].size};" in text
    project.write(tmp_path)
    array = "" if graph.inputs[1].size == 1 else "[m::kLabelSize]"
    label = "" if case == "autoencoder" else f"m::Label label{array} = {{}};"
    use = f"""
#include "m.h"
float Learn(m::Trainer& trainer, int8_t* kept) {{
  {label}
  if (trainer.Infer() < 0) return -1.0f;
  std::memcpy(kept, trainer.latent(), m::kLatentSize);
  std::memcpy(trainer.latent(), kept, m::kLatentSize);
  trainer.InferFromLatent();
  return trainer.TrainFromLatent({label and "label, "}m::kLearningRate);
}}
"""
    (tmp_path / "use.cc").write_text(use)
    sketches = export_project(rewritten, "arduino", name="m").files
    (tmp_path / "Train.ino").write_bytes(sketches["examples/Train/Train.ino"])
    sketch = as_cpp(tmp_path / "Train.ino", tmp_path / "sketch.cc")
    check_syntax([tmp_path / "use.cc", tmp_path / "main.cc"], "-std=c++17", f"-I{tmp_path}")
    check_syntax([sketch], "-std=gnu++17", f"-I{tmp_path}", f"-I{ARDUINO}")
    for text in ((tmp_path / "main.cc").read_text(), sketch.read_text()):
        assert "latents.Add(trainer.latent()" in text and "replay.LearnNext(" in text


@pytest.mark.parametrize("model", ["digits_train", "digits_latent"])
def test_the_stm32_example_compiles(
    model: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    export_project(request.getfixturevalue(model), "c-array", name="digits").write(tmp_path)
    options = ["-DEPOCHS=2", "-DLEARNING_RATE=0.01f", f"-I{tmp_path}"]
    check_syntax([ROOT / "stm32_example/main.cc"], "-std=c++17", *options)


@pytest.mark.parametrize(("room", "least"), [(1, 4), (1 << 20, 10)])
def test_a_store_of_few_large_latents_is_learnt_from(
    room: int, least: int, digits_latent: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(latents, "_STORE_BYTES", room)
    files = export_project(digits_latent, "arduino", name="d").files
    sketch = files["examples/Train/Train.ino"].decode()
    stored = re.search(r"kStored = (\d+);", sketch)
    assert stored is not None and int(stored[1]) >= least
    assert f"if (latents.size() >= {least}) {{" in sketch


def test_a_sketch_saves_after_samples_not_steps(digits_latent: Model) -> None:
    """A sample brings steps from latents with it, whose number may share factors with any other."""
    files = export_project(digits_latent, "arduino", name="d").files
    sketch = files["examples/Train/Train.ino"].decode()
    assert "if (++samples % 10 == 0) {" in sketch and "StateStep" not in sketch


def test_models_without_latents_have_no_word_of_them(digits_train: Model) -> None:
    files = export_project(digits_train, "c-array", name="d").files
    names = ("d.h", "d_model.h", "d_training.h", "main.cc")
    assert not any(re.search(rb"[Ll]atent", files[name]) for name in names)


@pytest.fixture(params=["digits_train", "digits_optimized"])
def either(request: pytest.FixtureRequest) -> Model:
    """A model that trains, and one that only infers."""
    model: Model = request.getfixturevalue(request.param)
    return model


def example_of(model: Model) -> str:
    return "train" if TrainableModel.find(model) else "infer"


def test_arduino_manifest(either: Model) -> None:
    """The rules of arduino-lint for library.properties and the 1.5 layout."""
    files = export_project(either, "arduino", name="digits").files
    lines = files["library.properties"].decode().splitlines()
    fields = dict(line.split("=", 1) for line in lines)
    required = {"name", "version", "author", "maintainer", "sentence", "paragraph", "category"}
    assert required | {"url", "architectures"} <= fields.keys()
    assert len(fields) == len(lines), "a field is given twice"
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.\- ]{0,62}", fields["name"])
    assert not fields["name"].lower().startswith("arduino")
    assert re.fullmatch(r"\d+\.\d+\.\d+", fields["version"]) and fields["version"] == VERSION
    assert fields["category"] in {
        "Display", "Communication", "Signal Input/Output", "Sensors", "Device Control", "Timing",
        "Data Storage", "Data Processing", "Other",
    }  # fmt: skip
    assert not fields["paragraph"].startswith(fields["sentence"])
    assert fields["sentence"].endswith(".") and fields["url"].startswith("https://")
    assert f"src/{fields['includes']}" in files
    sketch = example_of(either).capitalize()
    assert f"examples/{sketch}/{sketch}.ino" in files, "a sketch is named as its folder"
    assert not any(p.startswith(("utility/", "extras/", "Examples/")) for p in files)
    keywords = [row for row in files["keywords.txt"].decode().splitlines() if row and row[0] != "#"]
    headers = b"".join(data for path, data in files.items() if path.endswith(".h"))
    for row in keywords:
        word, kind = row.split("\t")  # one tab: the IDE takes nothing else
        assert kind in {"KEYWORD1", "KEYWORD2", "LITERAL1"}
        assert re.search(rf"\b{word}\b".encode(), headers), word
    assert len(set(keywords)) == len(keywords) > 8


def test_platformio_manifest(either: Model) -> None:
    files = export_project(either, "platformio", name="digits").files
    manifest = json.loads(files["library.json"])
    assert re.fullmatch(r"[^:;/\\,@<>]{1,100}", manifest["name"])
    assert re.fullmatch(r"\d+\.\d+\.\d+", manifest["version"])
    assert manifest["license"] == "Apache-2.0" and isinstance(manifest["keywords"], list)
    assert all(p.startswith("src/") for p in files if "tflm_kernels" in p)
    assert manifest["build"]["srcDir"] == manifest["build"]["includeDir"] == "src"
    assert f"src/{manifest['headers']}" in files
    (example,) = manifest["examples"]
    assert all(f"{example['base']}/{name}" in files for name in example["files"])
    settings = configparser.ConfigParser()
    name = example_of(either)
    settings.read_string(files[f"examples/{name}/platformio.ini"].decode())
    assert {"platform", "board", "framework"} <= set(settings[f"env:{name}"])
    # PlatformIO compiles a library with that library's flags alone, the project without them.
    for_all = settings[f"env:{name}"]["build_flags"]
    assert for_all == "-std=gnu++17 -DTF_LITE_STATIC_MEMORY"
    assert f"build_flags = {for_all}\n" in files["README.md"].decode()


def test_esp_idf_manifest(either: Model) -> None:
    files = export_project(either, "esp-idf", name="digits").files
    manifest = yaml.safe_load(files["idf_component.yml"])
    assert re.fullmatch(r"\d+\.\d+\.\d+", manifest["version"])
    assert set(manifest["dependencies"]) == {"idf", "espressif/esp-tflite-micro"}
    assert set(manifest) <= {"version", "description", "license", "dependencies", "url"}
    listed = re.findall(r"src/\S+\.cc", files["CMakeLists.txt"].decode())
    assert sorted(listed) == sorted(p for p in files if re.match(r"src/.*\.cc$", p))
    assert b'extern "C" void app_main()' in files[f"examples/{example_of(either)}/main/main.cc"]


def test_zephyr_manifest(either: Model) -> None:
    files = export_project(either, "zephyr", name="digits").files
    manifest = yaml.safe_load(files["zephyr/module.yml"])
    assert set(manifest) <= {"name", "build", "samples", "tests", "blobs"}
    build = manifest["build"]
    assert f"{build['cmake']}/CMakeLists.txt" in files and build["kconfig"] in files
    assert any(path.startswith(f"{manifest['samples'][0]}/") for path in files)
    name = example_of(either)
    symbol = "DIGITS_TRAINABLE_MODEL" if name == "train" else "DIGITS_MODEL"
    assert f"config {symbol}\n".encode() in files["zephyr/Kconfig"]
    assert f"CONFIG_{symbol}=y".encode() in files[f"samples/{name}/prj.conf"]
    assert f"if(CONFIG_{symbol})".encode() in files["zephyr/CMakeLists.txt"]
    listed = re.findall(r"\.\./(src/\S+\.cc)", files["zephyr/CMakeLists.txt"].decode())
    assert sorted(listed) == sorted(p for p in files if re.match(r"src/.*\.cc$", p))
    sample = yaml.safe_load(files[f"samples/{name}/sample.yaml"])
    assert sample["sample"]["name"] and len(sample["tests"]) == 1


@pytest.mark.parametrize("trains", [True, False], ids=["trains", "infers"])
@pytest.mark.parametrize("format", FORMATS)
def test_the_readme_names_what_is_there(
    format: str, trains: bool, digits_train: Model, digits_optimized: Model
) -> None:
    project = export_project(digits_train if trains else digits_optimized, format, name="digits")
    text = project.files["README.md"].decode()
    named = re.findall(r"^\| `([^`]+)`(?:, `(\.cc)`)?", text, re.MULTILINE)
    assert len(named) == (6 if trains else 5)
    for path, other in named:
        assert any(file.startswith(path) for file in project.files), path
        assert not other or path.removesuffix(".h") + other in project.files
    assert f"`kArenaBytes` is {project.arena_bytes}:" in text and "September 2022" in text
    assert ("trainer.Train(label, digits::kLearningRate);" in text) == trains
