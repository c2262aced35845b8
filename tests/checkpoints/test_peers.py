"""Folders that are written here open in transformers and in open_clip themselves, with the same features."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clipwright.checkpoints.checkpoint import Checkpoint
from clipwright.checkpoints.load import load_checkpoint
from clipwright.checkpoints.save import Layout, save_checkpoint
from clipwright.embedding.backends.onnx import OnnxBackend
from clipwright.embedding.embedder import unit_rows
from clipwright.inputs.tokenizer import Tokenizer
from clipwright.model.config import VisionTransformerConfig
from tests.checkpoints.peers import STUB, run_peer
from tests.checkpoints.test_huggingface_writer import uneven_siglip
from tests.reference import reference_checkpoint
from tests.support import equal_to_reference, tiny_checkpoint

TRANSFORMERS = """
import sys, json, numpy as np, torch
from transformers import AutoModel, AutoTokenizer
folder, inputs, out = sys.argv[1:]
model = AutoModel.from_pretrained(folder).eval()
given = np.load(inputs)
with torch.inference_mode():
    answer = model(input_ids=torch.tensor(given["ids"]), pixel_values=torch.tensor(given["pixels"]))
rows = []
if "texts" in given:
    rows = AutoTokenizer.from_pretrained(folder)([str(text) for text in given["texts"]])["input_ids"]
np.savez(out, images=answer.image_embeds.numpy(), texts=answer.text_embeds.numpy(), rows=json.dumps(rows))
"""
OPEN_CLIP = f"""{STUB}
import numpy as np
import open_clip
folder, inputs, out = sys.argv[1:]
model = open_clip.create_model("local-dir:" + folder).eval()
given = np.load(inputs)
with torch.inference_mode():
    images = model.encode_image(torch.tensor(given["pixels"])).numpy()
    texts = model.encode_text(torch.tensor(given["ids"])).numpy()
np.savez(out, images=images, texts=texts, rows="[]")
"""


def answers(script: str, folder: Path, tmp_path: Path, inputs: dict[str, Any]) -> Any:
    np.savez(tmp_path / "inputs.npz", **inputs)
    run_peer(script, folder, tmp_path / "inputs.npz", tmp_path / "out.npz")
    return np.load(tmp_path / "out.npz")


def inputs_of(checkpoint: Checkpoint) -> dict[str, Any]:
    random = np.random.default_rng(0)
    side, text = checkpoint.config.vision.image_size, checkpoint.config.text
    ids = random.integers(2, text.vocab_size - 2, (4, text.context_length))
    ids[:, 5 if text.causal else -1] = checkpoint.spec.end_id
    ids[:, 6:] = ids[:, 6:] if not text.causal else checkpoint.spec.pad_id
    return {"pixels": random.standard_normal((4, 3, side, side)).astype(np.float32), "ids": ids}


def check(checkpoint: Checkpoint, layout: Layout, script: str, tmp_path: Path) -> Any:
    save_checkpoint(checkpoint, tmp_path / "model", layout)
    inputs = inputs_of(checkpoint)
    if checkpoint.tokenizer is not None:
        inputs["texts"] = ["a photo of a cat", "A  red CAR in the street", "12 dogs!"]
    theirs = answers(script, tmp_path / "model", tmp_path, inputs)
    backend = OnnxBackend(checkpoint)
    ends = (inputs["ids"] == checkpoint.spec.end_id).argmax(axis=1)
    assert equal_to_reference(unit_rows(backend.image_features(inputs["pixels"])), unit_rows(theirs["images"]))
    assert equal_to_reference(unit_rows(backend.text_features(inputs["ids"], ends)), unit_rows(theirs["texts"]))
    rows = json.loads(str(theirs["rows"]))
    if rows:
        tokens = Tokenizer(str(checkpoint.tokenizer), checkpoint.spec).encode(inputs["texts"])
        lengths = tokens.ends + 1
        assert rows == [row[:length].tolist() for row, length in zip(tokens.ids, lengths, strict=True)]
    return theirs


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["openai-vit.pt", "openclip-vit-gelu", "hf-siglip", "openclip-siglip-timm"])
def test_transformers_opens_what_is_saved_for_it(tmp_path: Path, layout: str) -> None:
    check(reference_checkpoint(layout), "huggingface", TRANSFORMERS, tmp_path)


@pytest.mark.slow
def test_transformers_ignores_the_same_rest_of_a_picture_that_patches_do_not_fill(tmp_path: Path) -> None:
    model = reference_checkpoint("hf-siglip")
    vision = model.config.vision
    assert isinstance(vision, VisionTransformerConfig)
    side = vision.image_size + vision.patch_size - 1
    config = replace(model.config, vision=replace(vision, image_size=side))
    wider = replace(model, config=config, spec=replace(model.spec, image_size=side))
    check(wider, "huggingface", TRANSFORMERS, tmp_path)


@pytest.mark.slow
def test_transformers_opens_a_siglip_with_towers_of_different_width(tmp_path: Path) -> None:
    check(uneven_siglip(), "huggingface", TRANSFORMERS, tmp_path)


@pytest.mark.slow
def test_transformers_reads_texts_and_pictures_of_a_model_trained_here(tmp_path: Path) -> None:
    theirs = check(tiny_checkpoint(), "huggingface", TRANSFORMERS, tmp_path)
    assert json.loads(str(theirs["rows"]))


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["openai-vit.pt", "openai-rn.pt", "hf-clip"])
def test_open_clip_opens_what_is_saved_for_it(tmp_path: Path, layout: str) -> None:
    check(reference_checkpoint(layout), "openclip", OPEN_CLIP, tmp_path)


@pytest.mark.slow
def test_open_clip_opens_the_starter(tmp_path: Path) -> None:
    check(load_checkpoint("starter"), "openclip", OPEN_CLIP, tmp_path)
