"""A process that embeds a few texts gets the same vectors, and starts no runtime for them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from clipwright.embedding.load import BackendChoice, load_embedder
from clipwright.tasks.background import BACKGROUND_CAPTIONS


@pytest.mark.parametrize("backend", ["onnx", "openvino"])
def test_vectors_are_the_backends(backend: BackendChoice) -> None:
    few, whole = (load_embedder("starter", backend=backend, few_texts=few) for few in (True, False))
    captions = BACKGROUND_CAPTIONS[:20]
    assert (few.space_id, few.variant, few.backend) == (whole.space_id, whole.variant, backend)
    assert np.abs(few.embed_texts(captions) - whole.embed_texts(captions)).max() < 1e-6
    assert few.embed_texts([]).shape == (0, whole.embed_dim)


def test_pictures_run_on_the_backend(tiny_model: Path, photo: Path) -> None:
    few, whole = (load_embedder(tiny_model, few_texts=few) for few in (True, False))
    assert np.array_equal(few.embed_images([photo]), whole.embed_images([photo]))


def test_texts_are_computed_in_what_was_asked_for(tiny_model: Path) -> None:
    few, whole = (load_embedder(tiny_model, precision="int8", few_texts=few) for few in (True, False))
    assert few.variant == "exact-int8"
    assert np.array_equal(few.embed_texts(["a cat"]), whole.embed_texts(["a cat"]))


def test_texts_start_no_runtime(tiny_model: Path) -> None:
    code = (
        "import sys; from clipwright.embedding.load import load_embedder\n"
        f"load_embedder({str(tiny_model)!r}, few_texts=True).embed_texts(['a cat'])\n"
        "sys.exit(len({'onnxruntime', 'openvino', 'onnx', 'torch'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_nothing_is_kept_for_texts(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLIPWRIGHT_HOME", str(tmp_path))
    load_embedder(tiny_model, few_texts=True).embed_texts(["a cat"])
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["space-ids"]
