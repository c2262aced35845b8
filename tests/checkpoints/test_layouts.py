"""Which files make a model is told by their names alone, in a folder as in a repository."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from clipwright.checkpoints.folder import read_checkpoint
from clipwright.checkpoints.layouts import find_model
from clipwright.checkpoints.load import load_checkpoint
from clipwright.embedding.backends.onnx import OnnxBackend
from clipwright.embedding.embedder import unit_rows
from clipwright.errors import CheckpointError
from tests.reference import answers
from tests.support import REFERENCE, equal_to_reference

SMALL = ("config.json", "preprocessor_config.json", "tokenizer.json")
SPLIT = ("onnx/vision_model{}.onnx", "onnx/text_model{}.onnx")


def split(variant: str = "") -> tuple[str, ...]:
    return tuple(name.format(variant) for name in SPLIT)


# Which files are taken


@pytest.mark.parametrize(
    ("names", "which", "taken"),
    [
        (("model.safetensors", "pytorch_model.bin", *split()), None, ("model.safetensors",)),
        (("model.fp16.safetensors", "model.safetensors"), None, ("model.safetensors",)),
        (("model.fp16.safetensors", "model.safetensors"), "fp16", ("model.fp16.safetensors",)),
        (("model.bf16.safetensors", "model.fp16.safetensors"), None, ("model.fp16.safetensors",)),
        (("pytorch_model.fp16.bin",), None, ("pytorch_model.fp16.bin",)),
        (("model.fp16.safetensors", *split()), None, ("model.fp16.safetensors",)),
        (
            (
                "model.safetensors.index.fp16.json",
                "model.fp16-00001-of-00002.safetensors",
                "model-00001-of-00002.safetensors",
            ),
            None,
            ("model.safetensors.index.fp16.json", "model.fp16-00001-of-00002.safetensors"),
        ),
        ((*split(), *split("_quantized")), None, split()),
        ((*split(), *split("_quantized")), "quantized", split("_quantized")),
        ((*split("_quantized"), *split("_fp16"), *split("_bnb4")), None, split("_fp16")),
        (split("_made_smaller"), None, split("_made_smaller")),
        ((split()[0], split("_int8")[1]), None, (split()[0], split("_int8")[1])),
        (("onnx/model.onnx", *split()), None, split()),
        (("onnx/model.onnx", *split("_quantized")), None, ("onnx/model.onnx",)),
        (("onnx/model_fp16.onnx",), None, ("onnx/model_fp16.onnx",)),
        (("vision_model.onnx", "text_model.onnx"), None, ("vision_model.onnx", "text_model.onnx")),
        (("openvino_model.xml", "openvino_model.bin", "model.onnx"), None, ("model.onnx",)),
        (("openvino/openvino_model.xml",), None, ("openvino/openvino_model.xml",)),
        (("openvino_model_vision.xml",), None, None),
        ((split()[0],), None, None),
        ((*split(),), "q4", None),
        (("model.safetensors",), "ViT-B-32", None),
    ],
)
def test_of_several_the_nearest_to_the_original_is_taken(
    names: tuple[str, ...], which: str | None, taken: tuple[str, ...] | None
) -> None:
    found = find_model((*SMALL, *names), which)
    assert (found and (found.weights or found.graphs)) == taken


@pytest.mark.parametrize(
    ("names", "layout"),
    [
        (("open_clip_config.json", "open_clip_pytorch_model.bin", "config.json", "model.safetensors"), "openclip"),
        (("open_clip_config.json", "config.json", "model.safetensors"), "huggingface"),
        (("open_clip_config.json", "model.safetensors"), "openclip"),
        (("modules.json", "0_CLIPModel/config.json", "0_CLIPModel/pytorch_model.bin"), "sentence-transformers"),
        (("input.json", "image.onnx", "text.onnx"), "export"),
        (("config.json", "visual/model.onnx", "textual/model.onnx", "onnx/model.onnx"), "immich"),
        (("open_clip_config.json", "openvino_model_vision.xml", "openvino_model_text.xml"), "openvino"),
    ],
)
def test_the_layout_is_told_by_its_config(names: tuple[str, ...], layout: str) -> None:
    found = find_model(names)
    assert found is not None
    assert found.layout.name == layout


# Halves of the space


def halved(source: str, folder: Path, names: tuple[str, str]) -> Path:
    """A layout's weights as float16 twice: under a variant's name, and rounded, under their own."""
    for name, dtype in zip(names, (np.float16, np.float32), strict=True):
        tensors = load_file(next((REFERENCE / source).glob("*.safetensors")))
        rounded = {key: array.astype(np.float16).astype(dtype) for key, array in tensors.items()}
        target = folder / str(np.dtype(dtype))
        shutil.copytree(REFERENCE / source, target, ignore=shutil.ignore_patterns("*.safetensors", "*.npz"))
        save_file(rounded, target / name)
    return folder


@pytest.mark.parametrize(
    ("layout", "names"),
    [
        ("hf-clip", ("model.fp16.safetensors", "model.safetensors")),
        ("openclip-rn", ("open_clip_model.fp16.safetensors", "open_clip_model.safetensors")),
    ],
)
def test_a_variant_alone_is_the_model(tmp_path: Path, layout: str, names: tuple[str, str]) -> None:
    folder = halved(layout, tmp_path, names)
    assert read_checkpoint(folder / "float16").space_id() == read_checkpoint(folder / "float32").space_id()


def test_the_variants_of_one_folder_are_two_models_and_named_so(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(REFERENCE / "hf-clip", tmp_path / "model"))
    rounded = {name: array.astype(np.float16) for name, array in load_file(folder / "model.safetensors").items()}
    save_file(rounded, folder / "model.fp16.safetensors")
    whole, half = load_checkpoint(folder), load_checkpoint(f"{folder}:fp16")
    assert whole.space_id() == read_checkpoint(REFERENCE / "hf-clip").space_id() != half.space_id()
    assert half.weights["text.token_embedding.weight"].dtype == np.float16  # type: ignore[union-attr]
    assert whole.files != half.files
    with pytest.raises(CheckpointError, match=r"holds no weights and no graphs that are called 'bf16'; found 5 files"):
        load_checkpoint(f"{folder}:bf16")


def test_a_sharded_variant_is_the_model(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(REFERENCE / "hf-clip", folder, ignore=shutil.ignore_patterns("*.safetensors"))
    tensors, table = load_file(REFERENCE / "hf-clip" / "model.safetensors"), dict[str, str]()
    for number, names in enumerate((sorted(tensors)[::2], sorted(tensors)[1::2]), 1):
        part = f"model.fp16-{number:05}-of-00002.safetensors"
        save_file({name: tensors[name] for name in names}, folder / part)
        table |= dict.fromkeys(names, part)
    (folder / "model.safetensors.index.fp16.json").write_text(json.dumps({"weight_map": table}))
    assert read_checkpoint(folder).space_id() == read_checkpoint(REFERENCE / "hf-clip").space_id()
    assert len(read_checkpoint(folder).files) == 5


# sentence-transformers


def sentence_transformers(folder: Path, layout: str, *more: str, inside: str = "0_CLIPModel") -> Path:
    shutil.copytree(REFERENCE / layout, folder / inside)
    kinds = ("CLIPModel", *more)
    modules: list[dict[str, Any]] = [
        {"idx": number, "name": str(number), "path": f"{number}_{kind}", "type": f"sentence_transformers.models.{kind}"}
        for number, kind in enumerate(kinds)
    ]
    modules[0]["path"] = inside
    (folder / "modules.json").write_text(json.dumps(modules))
    return folder


@pytest.mark.parametrize("layout", ["hf-clip", "hf-clip-eos2", "hf-siglip"])
@pytest.mark.parametrize("inside", ["0_CLIPModel", ""])
@pytest.mark.parametrize("more", [(), ("Normalize",)])
def test_a_clip_of_sentence_transformers_is_read(
    tmp_path: Path, layout: str, inside: str, more: tuple[str, ...]
) -> None:
    folder = sentence_transformers(tmp_path / "model", layout, *more, inside=inside) if inside else tmp_path / "model"
    if not inside:
        shutil.copytree(REFERENCE / layout, folder)
        (folder / "modules.json").write_text(json.dumps([{"type": "a.CLIPModel"}, *({"type": kind} for kind in more)]))
    checkpoint, theirs = read_checkpoint(folder), answers(layout)
    backend, ends = OnnxBackend(checkpoint), (theirs.ids == checkpoint.spec.end_id).argmax(axis=1)
    assert equal_to_reference(unit_rows(backend.image_features(theirs.pixels)), theirs.image_features)
    assert equal_to_reference(unit_rows(backend.text_features(theirs.ids, ends)), theirs.text_features)


def test_a_layer_behind_the_clip_is_refused_by_name(tmp_path: Path) -> None:
    folder = sentence_transformers(tmp_path / "model", "hf-clip", "Dense", "Normalize")
    with pytest.raises(CheckpointError, match=r"made of CLIPModel, Dense, Normalize; clipwright .* without Dense$"):
        read_checkpoint(folder)


@pytest.mark.parametrize("content", ["{}", "[1]", "not JSON", '[{"path": ""}]'])
def test_a_damaged_list_of_modules_is_refused(tmp_path: Path, content: str) -> None:
    folder = sentence_transformers(tmp_path / "model", "hf-clip")
    (folder / "modules.json").write_text(content)
    if content == "{}":
        assert read_checkpoint(folder).embed_dim == 48  # it lists nothing that would be left out
        return
    with pytest.raises(CheckpointError, match=r"modules.json' cannot be read as a list of modules"):
        read_checkpoint(folder)
