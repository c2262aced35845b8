"""What several test files need."""

from __future__ import annotations

import contextlib
import functools
import io
import logging
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from clipwright import cli
from clipwright.checkpoints.checkpoint import Checkpoint
from clipwright.embedding.backend import BackendName, Precision
from clipwright.embedding.embedder import Embedder
from clipwright.inputs.input_spec import InputSpec
from clipwright.inputs.tokenizer import Tokenizer, end_ids, train_tokenizer
from clipwright.model.config import ModelConfig, TextTransformerConfig, VisionTransformerConfig
from clipwright.model.dual_encoder import DualEncoder
from clipwright.model.weights import weights_of

COMMAND = Path(sys.executable).parent / "clipwright"
"""The real entry point, for tests that need a process of its own."""
DATA = Path(__file__).parent / "data"
REFERENCE = DATA / "reference"
"""Answers of the makers' own code; ../shared/reference tells how they were made."""


def folder_of(package: str) -> Path:
    """Where an installed package lies, which need not be imported: that could take seconds."""
    spec = find_spec(package)
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0])


def equal_to_reference(ours: np.ndarray, theirs: np.ndarray, tolerance: float = 1e-5) -> bool:
    """Whether two fp32 results are the same, by the largest difference in units of the reference's largest."""
    largest = np.abs(theirs).max()
    return bool(np.abs(ours / largest - theirs / largest).max() < tolerance)


def tiny_checkpoint() -> Checkpoint:
    """A seeded model of two small towers that reads 32 px pictures; its vocabulary knows a few words."""
    torch.manual_seed(0)
    document = train_tokenizer(["a photo of a cat", "a photo of a dog", "a red car in the street"] * 3, 560)
    start, end = end_ids(document)
    config = ModelConfig(
        embed_dim=16,
        vision=VisionTransformerConfig(image_size=32, patch_size=8, width=32, layers=2, heads=2, mlp_width=64),
        text=TextTransformerConfig(context_length=16, vocab_size=560, width=32, layers=2, heads=2, mlp_width=64),
    )
    spec = InputSpec(image_size=32, context_length=16, start_id=start, end_id=end, pad_id=0)
    return Checkpoint(
        config=config,
        spec=spec,
        tokenizer=document,
        weights=weights_of(DualEncoder(config)),
        provenance={"name": "tiny", "licence": "MIT"},
    )


FAKE_COLOURS = {"red": (220, 30, 30), "green": (30, 200, 40), "blue": (30, 50, 220)}
"""The words that FakeBackend knows, and what they look like."""


@functools.cache
def fake_tokenizer() -> Tokenizer:
    """One in whose vocabulary each of FAKE_COLOURS is a token."""
    document = train_tokenizer([f"a photo of a {word} square" for word in FAKE_COLOURS] * 4, 600)
    start, end = end_ids(document)
    half = (0.5, 0.5, 0.5)
    spec = InputSpec(image_size=8, mean=half, std=half, context_length=12, start_id=start, end_id=end, pad_id=0)
    return Tokenizer(document, spec)


class FakeBackend:
    """Towers one can read: features are a mean colour (-1 to 1) and a 1, of a picture's pixels or of a text's words.

    So a square of one colour is nearest to the text that names it; grey is [0, 0, 0, 1], as is a text without colours.
    """

    name: BackendName = "onnx"
    precision: Precision = "fp32"

    def __init__(self) -> None:
        words = fake_tokenizer().encode(list(FAKE_COLOURS))
        assert words.ids.shape == (len(FAKE_COLOURS), 3)  # start, the word, end
        colours = np.array(list(FAKE_COLOURS.values()), np.float32) / 127.5 - 1
        self._colours = dict(zip(words.ids[:, 1].tolist(), colours, strict=True))
        self.batch_sizes: list[int] = []
        """Of the pictures, as they came."""
        self.ends: list[int] = []
        """Where the texts were said to end."""

    def image_features(self, pixels: np.ndarray) -> np.ndarray:
        self.batch_sizes.append(len(pixels))
        return np.array([[*picture.mean(axis=(1, 2)), 1] for picture in pixels], np.float32)

    def text_features(self, ids: np.ndarray, ends: np.ndarray) -> np.ndarray:
        self.ends += ends.tolist()
        return np.array([[*self._colour(row[:end]), 1] for row, end in zip(ids, ends, strict=True)], np.float32)

    def _colour(self, ids: np.ndarray) -> np.ndarray:
        named = [self._colours[token] for token in ids.tolist() if token in self._colours]
        return np.mean(named, axis=0) if named else np.zeros(3, np.float32)


def fake_embedder(backend: FakeBackend | None = None) -> Embedder:
    tokenizer = fake_tokenizer()
    return Embedder("fake", "fake-space", 4, 100.0, tokenizer.spec, tokenizer, backend or FakeBackend())


@dataclass(frozen=True)
class Answer:
    """What a command line gave back."""

    status: int
    stdout: str
    stderr: str


def run_cli(*arguments: str | Path, encoding: str = "utf-8") -> Answer:
    """The command line in this process, its streams encoded as a terminal's are; the process is left as it was."""
    written, said = io.BytesIO(), io.BytesIO()
    out = io.TextIOWrapper(written, encoding, write_through=True)
    err = io.TextIOWrapper(said, encoding, "backslashreplace", write_through=True)
    logger, interrupt = logging.getLogger("clipwright"), signal.getsignal(signal.SIGINT)
    handlers, level = list(logger.handlers), logger.level
    try:
        with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            patch.setattr(sys, "argv", ["clipwright", *map(str, arguments)])
            with pytest.raises(SystemExit) as ended:
                cli.main()
    finally:
        logger.handlers[:] = handlers
        logger.setLevel(level)
        signal.signal(signal.SIGINT, interrupt)
    assert isinstance(ended.value.code, int)
    return Answer(ended.value.code, written.getvalue().decode(encoding), said.getvalue().decode(encoding))


def run_on_full_disk(limit: int, *arguments: str | Path) -> Answer:
    """The command line in a process whose files may not grow beyond limit bytes, as if the disk were full."""
    import resource  # no such thing on Windows

    done = subprocess.run(
        [COMMAND, *arguments],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},  # a cached module would be cut off too
    )
    return Answer(done.returncode, done.stdout, done.stderr)
