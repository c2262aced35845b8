"""What is no model for clipwright is refused by what it is, with what was found."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from clipwright.checkpoints.folder import read_checkpoint, read_model
from clipwright.errors import CheckpointError
from tests.support import REFERENCE, run_cli


def write(folder: Path, **files: object) -> Path:
    """A folder with tables as JSON files, and files without anything in them."""
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        path = folder / name.replace("__", ".")
        path.write_text(json.dumps(content) if content is not None else "")
    return folder


CONFIG = {"model_type": "clip"}
MODULES = [{"type": "sentence_transformers.models.Transformer"}, {"type": "sentence_transformers.models.Pooling"}]
FOLDERS: dict[str, tuple[Callable[[Path], object], str]] = {
    "an adapter": (
        lambda folder: write(
            folder, adapter_config__json={"base_model_name_or_path": "openai/clip"}, x__safetensors=None
        ),
        "holds a LoRA adapter for openai/clip; merge it into its model first",
    ),
    "GGUF": (lambda folder: write(folder, clip__gguf=None), "holds GGUF files, for llama.cpp"),
    "TensorFlow": (
        lambda folder: write(folder, config__json=CONFIG, tf_model__h5=None),
        "holds weights for TensorFlow alone",
    ),
    "Flax": (
        lambda folder: write(folder, config__json=CONFIG, flax_model__msgpack=None),
        "holds weights for Flax alone",
    ),
    "texts alone": (
        lambda folder: write(folder, modules__json=MODULES),
        "is a model of sentence-transformers made of Transformer, Pooling, which is no CLIP",
    ),
    "a config alone": (
        lambda folder: write(folder, config__json=CONFIG, notes__txt=None),
        "has a config but no weights: looked for model.safetensors, pytorch_model.bin, or ready graphs",
    ),
    "nothing of it": (
        lambda folder: write(folder, **{f"{letter}__txt": None for letter in "gfedcba"}),
        "; found 7 files (a.txt, b.txt, c.txt, d.txt, e.txt ...)",
    ),
    "nothing": (write, "; found 0 files"),
}


@pytest.mark.parametrize("case", FOLDERS)
def test_a_folder_is_refused_by_what_is_in_it(tmp_path: Path, case: str) -> None:
    make, said = FOLDERS[case]
    make(tmp_path / "model")
    answer = run_cli("info", tmp_path / "model")
    assert (answer.status, answer.stdout) == (2, "")
    assert said in answer.stderr
    assert answer.stderr.startswith(f"error: {str(tmp_path / 'model')!r} ")


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("jina_clip", "'jina_clip' model; clipwright has no text towers of BERT's kind"),
        ("nomic_bert", "'nomic_bert' model; clipwright has no towers of BERT's kind"),
        ("never_heard_of", "'never_heard_of' model; clipwright reads clip and siglip"),
    ],
)
@pytest.mark.parametrize("own_code", [True, False])
def test_that_a_model_needs_its_repositorys_own_code_is_said(
    tmp_path: Path, kind: str, said: str, own_code: bool
) -> None:
    folder = Path(shutil.copytree(REFERENCE / "hf-clip", tmp_path / "model"))
    table = {"model_type": kind} | ({"auto_map": {"AutoModel": "modeling.Model"}} if own_code else {})
    (folder / "config.json").write_text(json.dumps(table))
    with pytest.raises(CheckpointError) as raised:
        read_checkpoint(folder)
    assert said in str(raised.value)
    assert ("needs the repository's own code (auto_map)" in str(raised.value)) == own_code


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("blip", "towers of BLIP's kind"),
        ("blip-2", "towers of BLIP's kind"),
        ("clipseg", "decoder that marks regions of a picture"),
        ("align", "text towers of BERT's kind, nor EfficientNet"),
        ("altclip", "multilingual text towers"),
        ("chinese_clip", "text towers of BERT's kind"),
        ("owlvit", "towers that find objects"),
        ("xclip", "towers that read videos"),
    ],
)
def test_a_relative_of_clip_is_refused_by_what_it_has(tmp_path: Path, kind: str, said: str) -> None:
    folder = Path(shutil.copytree(REFERENCE / "hf-clip", tmp_path / "model"))
    (folder / "config.json").write_text(json.dumps({"model_type": kind}))
    (folder / "model.safetensors").write_bytes(b"not looked at")
    with pytest.raises(CheckpointError, match=f"is of a '{kind}' model; clipwright has no {said}"):
        read_model(folder)


def test_an_image_tower_of_timms_is_refused_by_what_it_is(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(REFERENCE / "hf-clip", tmp_path / "model"))
    (folder / "config.json").write_text(json.dumps({"architecture": "vit_base_patch16_siglip_224", "num_classes": 0}))
    with pytest.raises(CheckpointError, match="of timm's 'vit_base_patch16_siglip_224', an image tower alone"):
        read_model(folder)


def test_a_graph_by_itself_says_what_to_name(tmp_path: Path) -> None:
    (tmp_path / "vision_model.onnx").write_bytes(b"a graph")
    with pytest.raises(CheckpointError, match=r"vision_model.onnx' is a graph; name the folder that holds it"):
        read_model(tmp_path / "vision_model.onnx")


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (
            ("visual_encoder.a", "text_decoder.b"),
            r"holds 2 tensors \(text_decoder.b, visual_encoder.a\) that are neither",
        ),
        (
            ("base_model.model.q.lora_A.weight",),
            r"holds 1 tensor \(base_model.model.q.lora_A.weight\) of a LoRA adapter",
        ),
        (("visual.conv1.weight", "visual.proj"), r"holds 2 tensors \(.*\) of an image tower alone; .*: FILE\+MODEL"),
        (("vision_model.a", "text_model.b"), r"name the architecture or the config behind it: FILE:ViT-B-32"),
    ],
)
def test_tensors_are_refused_with_their_names(tmp_path: Path, names: tuple[str, ...], said: str) -> None:
    save_file({name: np.zeros(1) for name in names}, tmp_path / "a.safetensors")
    with pytest.raises(CheckpointError, match=said):
        read_checkpoint(tmp_path / "a.safetensors")
