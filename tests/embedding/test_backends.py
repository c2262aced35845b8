"""Every backend and precision gives the vectors of the model, near enough; and what a machine lacks is said."""

from __future__ import annotations

import dataclasses
import importlib.util
import logging
import platform
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clipwright.checkpoints.load import load_checkpoint
from clipwright.embedding.backend import BackendName, Precision
from clipwright.embedding.backends.openvino import has_bf16
from clipwright.embedding.cache import ModelCache, Shelf
from clipwright.embedding.calibration import calibrate, dead_leaves
from clipwright.embedding.load import BackendChoice, PrecisionChoice, choose, load_embedder, open_backend
from clipwright.errors import ClipwrightError, MissingExtraError, TokenizerError
from clipwright.inputs.tokenizer import Tokenizer
from clipwright.tasks.background import BACKGROUND_CAPTIONS
from tests.reference import reference_checkpoint
from tests.support import run_cli, tiny_checkpoint

VARIANTS: list[tuple[BackendName, Precision, float]] = [
    ("onnx", "int8", 0.995),
    ("openvino", "fp32", 0.99999),
    ("openvino", "int8", 0.995),
    ("torch", "fp32", 0.99999),
    ("torch", "bf16", 0.995),
]
needs_bf16 = pytest.mark.skipif(not has_bf16(), reason="this processor has no units for bf16")


@pytest.mark.parametrize(("backend", "precision", "nearest"), VARIANTS)
def test_a_variant_is_near_the_starter_in_fp32(backend: BackendName, precision: Precision, nearest: float) -> None:
    reference, variant = load_embedder("starter"), load_embedder("starter", backend=backend, precision=precision)
    assert variant.space_id == reference.space_id
    assert (variant.backend, variant.variant) == (backend, f"exact-{precision}")
    ours, exact = variant.embed_texts(BACKGROUND_CAPTIONS), reference.embed_texts(BACKGROUND_CAPTIONS)
    assert centred_cosines(ours, exact).mean() >= nearest
    pictures = [dead_leaves(seed) for seed in range(100, 116)]
    assert centred_cosines(variant.embed_images(pictures), reference.embed_images(pictures)).mean() >= nearest


def centred_cosines(ours: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """Of the rows, after what all rows share is taken off."""
    a, b = ours - ours.mean(axis=0), exact - exact.mean(axis=0)
    return np.asarray((a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1))


@needs_bf16
def test_openvino_computes_in_bf16_only_when_asked() -> None:
    exact, halved = (load_embedder("starter", backend="openvino", precision=name) for name in ("fp32", "bf16"))
    onnx = load_embedder("starter").embed_texts(BACKGROUND_CAPTIONS)
    assert np.abs(exact.embed_texts(BACKGROUND_CAPTIONS) - onnx).max() < 1e-5
    assert np.abs(halved.embed_texts(BACKGROUND_CAPTIONS) - onnx).max() > 1e-4


@pytest.mark.parametrize(
    ("backend", "precision", "chosen"),
    [
        (None, "fp32", ("onnx", "fp32")),
        (None, "int8", ("onnx", "int8")),
        ("onnx", "auto", ("onnx", "fp32")),
        ("torch", "fp32", ("torch", "fp32")),
        ("openvino", "int8", ("openvino", "int8")),
    ],
)
def test_what_is_named_is_taken(
    backend: BackendChoice | None, precision: PrecisionChoice, chosen: tuple[BackendName, Precision]
) -> None:
    assert choose(backend, precision) == chosen


def test_auto_takes_openvino_and_bf16_where_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    assert choose(None, "auto") == ("openvino", "bf16" if has_bf16() else "fp32")
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    assert choose(None, "auto") == ("onnx", "fp32")


def test_auto_does_without_openvino_where_it_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert choose(None, "auto") == ("onnx", "fp32")
    assert choose("auto", "int8") == ("onnx", "int8")
    with pytest.raises(MissingExtraError, match="clipwright\\[openvino\\]"):
        open_backend(tiny_checkpoint(), backend="openvino")
    with pytest.raises(MissingExtraError, match="clipwright\\[train\\]"):
        open_backend(tiny_checkpoint(), backend="torch")


@pytest.mark.parametrize(("backend", "precision"), [("onnx", "bf16"), ("torch", "int8")])
def test_what_a_backend_cannot_is_refused_with_who_can(
    tiny_model: Path, photo: Path, backend: str, precision: str
) -> None:
    answer = run_cli(
        "classify", photo, "--labels", "a, b", "--model", tiny_model, "--backend", backend, "--precision", precision
    )
    assert answer.status == 2
    assert precision in answer.stderr
    assert "--backend" in answer.stderr


def test_int8_needs_the_tokenizer_to_calibrate_texts_but_not_pictures() -> None:
    checkpoint = reference_checkpoint("hf-clip")
    assert calibrate(checkpoint, "image")
    with pytest.raises(TokenizerError, match="tokenizer"):
        calibrate(checkpoint, "text")


@pytest.mark.parametrize(("backend", "precision"), [("onnx", "int8"), ("openvino", "fp32"), ("openvino", "int8")])
def test_what_was_kept_ready_gives_the_same_vectors(
    backend: BackendName, precision: Precision, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoint, cache = load_checkpoint("starter"), ModelCache(tmp_path)
    ids, ends = np.array([[4094, 300, 301, 4095]]), np.array([3])

    def features() -> np.ndarray:
        return open_backend(checkpoint, None, backend, precision, Shelf(cache, "here")).text_features(ids, ends)

    made = features()
    (entry,) = cache.entries()
    assert entry.key.startswith(f"text-{backend}-{precision}-")
    assert np.array_equal(features(), made)
    for file in entry.path.iterdir():
        file.write_bytes(file.read_bytes()[:100])
    with caplog.at_level(logging.WARNING):
        assert np.array_equal(features(), made)
    assert "made anew" in caplog.text


@pytest.mark.parametrize("backend", ["onnx", "openvino"])
@pytest.mark.parametrize("text", [{"causal": False}, {"pool": "last"}, {"causal": False, "pool": "last"}], ids=str)
def test_padding_that_a_tower_sees_is_computed_by_every_backend(text: dict[str, Any], backend: BackendName) -> None:
    """Also by a causal tower that is read at its last place: what stands there sees the text."""
    tiny = tiny_checkpoint()
    config = dataclasses.replace(tiny.config, text=dataclasses.replace(tiny.config.text, **text))
    spec = dataclasses.replace(tiny.spec, padding="context")
    checkpoint = dataclasses.replace(tiny, config=config, spec=spec)
    tokens = Tokenizer(str(tiny.tokenizer), spec).encode(["a cat", "a red car in the street", "a photo of a dog"])
    ours, torchs = (
        open_backend(checkpoint, backend=name).text_features(tokens.ids, tokens.ends) for name in (backend, "torch")
    )
    np.testing.assert_allclose(ours, torchs, atol=1e-5)
    assert calibrate(checkpoint, "text")


def test_nothing_in_gives_nothing_out() -> None:
    for backend in ("onnx", "openvino"):
        opened = open_backend(tiny_checkpoint(), backend=backend)
        assert opened.image_features(np.zeros((0, 3, 32, 32), np.float32)).shape == (0, 16)
        assert opened.text_features(np.zeros((0, 5), np.int64), np.zeros(0, np.int64)).shape == (0, 16)


def test_a_text_that_is_too_long_is_an_error_where_that_is_asked(tiny_model: Path) -> None:
    embedder = load_embedder(tiny_model, strict_length=True)
    with pytest.raises(ClipwrightError, match=r"tokens too long .* reads 16; shorten it"):
        embedder.embed_texts(["a cat", "a red car " * 20])
    answer = run_cli("embed", "--text", "a red car " * 20, "--model", tiny_model, "--strict-length")
    assert answer.status == 2
    assert "shorten it" in answer.stderr


def test_only_torch_is_compiled_on_request(tiny_model: Path) -> None:
    with pytest.raises(ClipwrightError, match="--backend torch"):
        load_embedder(tiny_model, compiled=True)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # within torch itself
def test_compiled_towers_give_the_same_vectors(tiny_model: Path) -> None:
    compiled = load_embedder(tiny_model, backend="torch", compiled=True)
    texts = ["a photo of a cat", "a red car"]
    assert np.abs(compiled.embed_texts(texts) - load_embedder(tiny_model).embed_texts(texts)).max() < 1e-5
    pictures = [dead_leaves(1), dead_leaves(2)]
    assert np.abs(compiled.embed_images(pictures) - load_embedder(tiny_model).embed_images(pictures)).max() < 1e-5
