"""The worker itself, with models that compute."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clipwright.checkpoints.model_file import save_model
from clipwright.embedding.load import load_embedder
from clipwright.server.models import model_pool, served_model
from tests.server.models.fake_models import opened, run, soon
from tests.support import tiny_checkpoint


def test_the_real_worker_gives_the_vectors_that_the_embedder_gives(
    tiny_model: Path, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts, data = ["a photo of a cat", "a red car in the street"], photo.read_bytes()

    async def test() -> None:
        async with opened(str(tiny_model), precision="fp32", pixels="exact") as pool:
            facts = await pool.facts()
            embedder = load_embedder(tiny_model)
            assert facts.name == "tiny"
            assert (facts.space_id, facts.spec, facts.scale) == (embedder.space_id, embedder.spec, embedder.scale)
            assert np.allclose((await pool.embed_texts(None, texts, soon())).vectors, embedder.embed_texts(texts))
            vectors = await pool.embed_pictures(None, [data, data], soon())
            assert isinstance(vectors[0], np.ndarray)
            assert np.allclose(vectors[0], embedder.embed_images([photo])[0], atol=1e-6)

    run(test())


def test_the_real_worker_opens_a_retrained_model_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_pool, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(served_model, "SETTLED_SECONDS", 0.05)
    checkpoint = tiny_checkpoint()
    save_model(tmp_path / "tiny.safetensors", checkpoint)

    async def test() -> None:
        async with opened(str(tmp_path / "tiny.safetensors")) as pool:
            before = (await pool.facts()).space_id
            weights = {**checkpoint.weights, "logit_scale": np.array(2.0, np.float32)}
            save_model(tmp_path / "tiny.safetensors", replace(checkpoint, weights=weights))
            while (await pool.facts()).space_id == before:
                await pool.embed_texts(None, ["a photo of a cat"], soon())

    run(test())


def test_the_server_imports_no_runtime() -> None:
    code = (
        "import sys, clipwright.server.app\n"
        "sys.exit(len({'torch', 'onnxruntime', 'openvino', 'onnx'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
