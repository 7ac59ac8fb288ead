"""A public microWakeWord model learns another wake word, as a device that hears it would.

    python -m benchmarks.wake_word [--model MODEL] [--word DIGIT] [--json] [--save FILE]

The model is a stream: each `Invoke()` takes one or a few frames of 40 log-mel channels, and
resource variables keep the earlier ones. It learns a spoken digit of the recordings in
`../shared/data`; the other digits and spoken phrases are what it must not answer to. The phrases of
the test are others than those that it trains on. The recordings are there as 10 MFCCs a frame; the
inverse DCT makes smooth log-mel channels of them, in the range of the model's input. Every clip
comes after silence; where a word ends, three invocations are training steps, all others inference.
Words are heard twice in a pass, what is none of them once, at any moment of its clip. Rates are
chosen on held-out training clips. A clip is accepted where the mean of three answers in a row is
above the cutoff that lets 1 % of the held-out negatives in.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.report import Column, parser_of, publish, show
from benchmarks.tasks import SHARED
from tflm_train.runtime.schedule import DEFAULT_SCHEDULE, learning_rate_at

Array = npt.NDArray[Any]
_MODEL = SHARED / "cases" / "zoo" / "resource_variables_04.tflite"
_CHANNELS = 40
_QUIET = -12.0
"""Below it a channel holds digital silence."""
_SILENT, _TAIL = 8, 3
"""Invocations of silence before a clip, and how many of its last ones train."""
_RATES = (3e-3, 1e-2, 3e-2)
_EPOCHS = 12
_POSITIVES, _NEGATIVES, _PHRASES, _HELD_OUT = 112, 560, 280, 300
_TIMES = 2
_ACCEPTED = 0.01
_MEAN_OF = 3


@dataclass(frozen=True)
class Clips:
    """Recordings as the model hears them.

    Attributes:
      x: [clips, invocations, frames, channels], in the type of the model's input.
      end: The invocation in which each one's sound ends.
      y: Whether it is the word.
    """

    x: Array
    end: Array
    y: Array

    def __getitem__(self, which: Array) -> Clips:
        return Clips(self.x[which], self.end[which], self.y[which])

    def with_others(self, others: Clips) -> Clips:
        """These and others, one after the other."""
        pairs = ((self.x, others.x), (self.end, others.end), (self.y, others.y))
        return Clips(*(np.concatenate(pair) for pair in pairs))


def log_mel(mfcc: Array) -> Array:
    """[n, frames, 10] MFCCs as [n, frames, 40] smooth log-mel channels (the inverse of DCT-II)."""
    count = mfcc.shape[-1]
    place = (np.arange(_CHANNELS) + 0.5) * np.pi / _CHANNELS
    basis = np.cos(np.outer(np.arange(count), place)) * np.sqrt(2 / _CHANNELS)
    basis[0] /= np.sqrt(2)
    return mfcc @ basis


def clips_of(mfcc: Array, y: Array, tensor: Any, limits: tuple[float, float]) -> Clips:
    """Cuts recordings into what each invocation takes."""
    mel = log_mel(mfcc[..., 0].astype(np.float64))
    low, high = limits
    share = np.clip((mel - low) / (high - low), 0, 1)
    q = np.round(share * 255 - 128).astype(np.int8)
    frames = tensor.shape[1]
    count = q.shape[1] // frames
    sounding = mel.mean(axis=2) > low
    last = np.where(sounding.any(1), q.shape[1] - 1 - np.argmax(sounding[:, ::-1], axis=1), 0)
    end = np.minimum(last // frames + 1, count - 1)
    return Clips(q[:, : count * frames].reshape(len(q), count, frames, _CHANNELS), end, y)


class Listener:
    """The model, hearing clip after clip."""

    def __init__(self, data: bytes) -> None:
        import tflm_train as tt

        self.interpreter = tt.Interpreter(data)
        tensor = self.interpreter.model.graph.inputs[0]
        self._silence = np.full(tensor.shape, -128, np.int8)
        output = self.interpreter.model.graph.outputs[0]
        self._scale, self._zero = output.scale, output.zero_point

    def hear(self, clips: Clips) -> Array:
        """The answer to each clip: the largest mean of three probabilities in a row."""
        answers = []
        for clip in clips.x:
            self._wait()
            found = [self._answer(frames) for frames in clip]
            means = np.convolve(found, np.ones(_MEAN_OF) / _MEAN_OF, "valid")
            answers.append(means.max())
        return np.array(answers)

    def learn(self, clips: Clips, rate: float, seed: int) -> None:
        """Passes over the clips, in random orders; the last invocations of a word train."""
        rng, step = np.random.default_rng(seed), 0
        orders = [rng.permutation(len(clips.x)) for _ in range(_EPOCHS)]
        total = _TAIL * _EPOCHS * len(clips.x)
        for index in np.concatenate(orders):
            self._wait()
            first = max(0, int(clips.end[index]) - _TAIL + 1)
            if not clips.y[index]:  # what is not the word is so at any time
                first = int(rng.integers(clips.x.shape[1] - _TAIL + 1))
            target = np.array([clips.y[index]], np.float32)
            for place, frames in enumerate(clips.x[index][: first + _TAIL]):
                if place < first:
                    self.interpreter.infer(frames[None])
                else:
                    now = learning_rate_at(DEFAULT_SCHEDULE, rate, step, total)
                    self.interpreter.train_step(frames[None], target, now)
                    step += 1

    def _wait(self) -> None:
        for _ in range(_SILENT):
            self.interpreter.infer(self._silence)

    def _answer(self, frames: Array) -> float:
        value = self.interpreter.infer(frames[None]).reshape(-1)[0]
        return float((int(value) - self._zero) * self._scale)


def rates_of(answers: Array, y: Array, cutoff: float) -> tuple[float, float]:
    """The shares of words that are rejected and of others that are accepted, in percent."""
    accepted = answers > cutoff
    return 100 * float(np.mean(~accepted[y])), 100 * float(np.mean(accepted[~y]))


def cutoff_of(answers: Array, y: Array) -> float:
    """What lets so many of the others in as is allowed, and is no less than a half."""
    return max(0.5, float(np.quantile(answers[~y], 1 - _ACCEPTED)))


def main(arguments: argparse.Namespace) -> int:
    """Trains each preset; the status is 1 where one does not learn the word."""
    import tflm_train as tt
    from tflm_train.scheme.presets import preset_scheme

    model = tt.load(arguments.model)
    tensor = model.graph.inputs[0]
    digits = np.load(SHARED / "data" / "fsdd_mfcc_49x10.npz")
    phrases = np.load(SHARED / "data" / "stories" / "new_words.npz")
    mel = log_mel(digits["x_train"][..., 0])
    heard = mel[mel > _QUIET]
    limits = (float(np.quantile(heard, 0.05)), float(np.quantile(heard, 0.999)))
    rng = np.random.default_rng(arguments.seed)

    def part(name: str) -> Clips:
        y = digits[f"y_{name}"] == arguments.word
        return clips_of(digits[f"x_{name}"], y, tensor, limits)

    train, test = part("train"), part("test")
    known, others = (
        clips_of(x, np.zeros(len(x), bool), tensor, limits)
        for x in (
            np.concatenate([phrases[f"x_{part}{end}"] for end in ends])
            for part, ends in (("factory", ("", "_test")), ("field", ("_train", "_test")))
        )
    )
    words, rest = (rng.permutation(np.flatnonzero(train.y == v)) for v in (True, False))
    often = np.r_[np.tile(words[:_POSITIVES], _TIMES), rest[:_NEGATIVES]]
    apart = np.r_[words[_POSITIVES:], rest[_NEGATIVES : _NEGATIVES + _HELD_OUT]]
    mixed = rng.permutation(len(known.x))
    learned = train[often].with_others(known[mixed[:_PHRASES]])
    held = train[apart].with_others(known[mixed[_PHRASES:]])
    rows: list[dict[str, Any]] = []

    def judge(name: str, data: bytes, rate: float | None, arena: int | None) -> None:
        listener = Listener(data)
        answers = listener.hear(held)
        cutoff = cutoff_of(answers, held.y)
        missed, wrong = rates_of(listener.hear(test), test.y, cutoff)
        foreign = 100 * float(np.mean(listener.hear(others) > cutoff))
        row = {"trained": name, "rate": rate, "cutoff": cutoff, "rejects": missed}
        rows.append(row | {"accepts": wrong, "phrases": foreign, "arena": arena})

    judge("nothing (the factory's word)", model.source, None, None)
    for preset in arguments.presets.split(","):
        result = tt.rewrite(model, preset_scheme(preset, model))
        best: tuple[float, float, bytes] | None = None
        for rate in _RATES:
            listener = Listener(result.model_bytes)
            listener.learn(learned, rate, arguments.seed)
            state = listener.interpreter.state()
            merged = tt.merge(result.model_bytes, state)
            answers = Listener(merged).hear(held)
            missed, _ = rates_of(answers, held.y, cutoff_of(answers, held.y))
            if best is None or missed < best[0]:
                best = missed, rate, merged
        assert best is not None
        judge(preset, best[2], best[1], result.memory.total_bytes)
    if not arguments.json:
        columns = (
            Column("trained", "trained"),
            Column("rate", "rate", "{:g}"),
            Column("cutoff", "cutoff", "{:.2f}"),
            Column("false rejects, %", "rejects", "{:.1f}"),
            Column("false accepts, other digits, %", "accepts", "{:.1f}"),
            Column("false accepts, phrases, %", "phrases", "{:.1f}"),
            Column("arena, bytes", "arena", "{:,}"),
        )
        counts = (
            f"{int(test.y.sum())} words, {int((~test.y).sum())} digits, {len(others.x)} phrases"
        )
        show(f"{model.name} learns the word {arguments.word}; tested on {counts}", columns, rows)
    publish("wake_word", {"rows": rows}, arguments)
    return 0 if min(row["rejects"] for row in rows[1:]) < rows[0]["rejects"] else 1


def _parse() -> argparse.Namespace:
    parser = parser_of(__doc__)
    parser.add_argument("--model", type=Path, default=_MODEL)
    parser.add_argument("--word", type=int, default=7, help="the digit that it learns")
    parser.add_argument(
        "--presets", default="head,light,full", help="what trains, one after another"
    )
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main(_parse()))
