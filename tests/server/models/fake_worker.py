"""A worker whose model one can read, hold up and break: the real process, frames, threads and batches around it.

The model is a file of JSON, {"space": NUMBER}, and damaged where it has no space. A picture's vector is its mean
colour, -1 to 1, and that number; a text's is its length, 0, 0 and the number. Some colours and texts make the model
misbehave. While FILE.hold exists, the model waits. What it was given is written to FILE.log, a line a batch.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from clipwright.embedding.backend import BackendName, Precision
from clipwright.embedding.embedder import Embedder
from clipwright.errors import CheckpointError
from clipwright.inputs.input_spec import InputSpec
from clipwright.inputs.tokenizer import Tokens
from clipwright.server.models import worker

COMMAND = (sys.executable, __file__)
SIDE = 8
RAISES, GIVES_NAN, CRASHES = (255, 0, 0), (0, 255, 0), (0, 0, 255)
"""Colours of pictures with which the model fails, gives no numbers, or ends the process."""
CRASH, FAIL, STOP = "crash", "fail", "stop"
"""Texts that do the like; STOP stops the process, so that it answers nothing any more."""
CONTEXT = 12


class FakeModel(Embedder):
    def __init__(self, file: Path) -> None:
        described = json.loads(file.read_text())
        if "space" not in described:
            raise CheckpointError(f"{file} is damaged")
        spec = InputSpec(image_size=SIDE, context_length=CONTEXT, start_id=1, end_id=2, pad_id=0)
        self._file, self._number = file, float(described["space"])
        self._ballast = b"x" * described.get("megabytes", 0) * 2**20
        super().__init__(str(file), str(described["space"]), 4, 100.0, spec, None, NoTowers())
        self._started = False

    def embed_squares(self, squares: np.ndarray) -> np.ndarray:
        print("a library's own remark")  # on standard output, where the frames go
        os.write(1, b"\0\0\0\1 and another one")
        colours = squares.mean(axis=(1, 2))
        self._begin("picture", [tuple(int(value) for value in colour) for colour in colours])
        for colour in colours:
            if _is(colour, CRASHES):
                signal.raise_signal(signal.SIGSEGV)
            if _is(colour, RAISES):
                raise RuntimeError("this model does not like red")
        vectors = np.array([[*colour / 127.5 - 1, self._number] for colour in colours], np.float32)
        vectors[[_is(colour, GIVES_NAN) for colour in colours]] = np.nan
        return vectors

    def tokenize(self, texts: Sequence[str]) -> Tokens:
        self._texts = list(texts)
        ids = np.ones((len(texts), CONTEXT), np.int64)
        ends = np.array([min(len(text), CONTEXT - 2) + 1 for text in texts])
        return Tokens(ids, ends, tuple(max(0, len(text) - (CONTEXT - 2)) for text in texts))

    def embed_tokens(self, tokens: Tokens) -> np.ndarray:
        self._begin("text", self._texts)
        for text in self._texts:
            if text == CRASH:
                signal.raise_signal(signal.SIGSEGV)
            if text == STOP:
                os.kill(os.getpid(), signal.SIGSTOP)
                time.sleep(3600)
            if text == FAIL:
                raise RuntimeError("this model does not like that")
        return np.array([[len(text), 0, 0, self._number] for text in self._texts], np.float32)

    def _begin(self, kind: str, items: list[Any]) -> None:
        if items in ([(0, 0, 0)], ["ready"]):  # the first ones, and the checks
            return
        with Path(f"{self._file}.log").open("a") as log:
            log.write(json.dumps({"kind": kind, "items": items}) + "\n")
        while Path(f"{self._file}.hold").exists():
            time.sleep(0.002)


class NoTowers:
    name: BackendName = "onnx"
    precision: Precision = "fp32"

    def image_features(self, pixels: np.ndarray, /) -> np.ndarray:
        raise NotImplementedError

    def text_features(self, ids: np.ndarray, ends: np.ndarray, /) -> np.ndarray:
        raise NotImplementedError


def _is(colour: np.ndarray, other: tuple[int, int, int]) -> bool:
    return bool(np.abs(colour - other).max() < 8)


def _load(source: str, **_: Any) -> Embedder:
    return FakeModel(Path(source))


if __name__ == "__main__":
    worker.main(_load)
