"""Every published layout gives its maker's numbers, on torch and on ONNX Runtime; what is not built is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from clipwright.checkpoints.folder import read_checkpoint
from clipwright.embedding.backend import BACKENDS, BackendName
from clipwright.embedding.backends.onnx import OnnxBackend
from clipwright.embedding.embedder import unit_rows
from clipwright.embedding.load import embedder_from, open_backend
from clipwright.errors import CheckpointError
from tests.reference import LAYOUTS, answers, reference_checkpoint
from tests.support import REFERENCE, equal_to_reference


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", BACKENDS)
def test_features_are_those_of_the_maker(layout: str, kind: BackendName) -> None:
    checkpoint, theirs = reference_checkpoint(layout), answers(layout)
    backend = open_backend(checkpoint, backend=kind)
    ends = (theirs.ids == checkpoint.spec.end_id).argmax(axis=1)
    images, texts = backend.image_features(theirs.pixels), backend.text_features(theirs.ids, ends)
    if theirs.unit:
        images, texts = unit_rows(images), unit_rows(texts)
    assert equal_to_reference(images, theirs.image_features)
    assert equal_to_reference(texts, theirs.text_features)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_scaled_similarities_are_those_of_the_maker(layout: str) -> None:
    checkpoint, theirs = reference_checkpoint(layout), answers(layout)
    embedder = embedder_from(checkpoint, layout)
    if theirs.logits_per_image is None:
        assert theirs.logit_scale is not None
        assert embedder.scale == pytest.approx(float(np.exp(theirs.logit_scale)), rel=1e-6)
        assert embedder.bias == (None if theirs.logit_bias is None else pytest.approx(float(theirs.logit_bias)))
        return
    similarities = unit_rows(theirs.image_features) @ unit_rows(theirs.text_features).T
    assert equal_to_reference(embedder.scale * similarities + (embedder.bias or 0), theirs.logits_per_image, 2e-5)


@pytest.mark.parametrize("layout", ["openai-vit", "openai-rn"])
def test_an_archive_and_a_plain_state_dict_are_one_model(layout: str) -> None:
    archive, plain = (read_checkpoint(REFERENCE / f"{layout}{end}") for end in (".pt", "-state.pt"))
    assert archive.space_id() == plain.space_id()


def test_padding_changes_nothing_where_the_tower_is_causal() -> None:
    checkpoint, theirs = reference_checkpoint("openclip-vit-gelu"), answers("openclip-vit-gelu")
    ends = (theirs.ids == checkpoint.spec.end_id).argmax(axis=1)
    backend = OnnxBackend(checkpoint)
    short = backend.text_features(theirs.ids[:, : ends.max() + 1], ends)
    assert equal_to_reference(short, backend.text_features(theirs.ids, ends))


def test_siglip_is_padded_to_the_context_and_judges_each_text_by_itself() -> None:
    checkpoint = reference_checkpoint("hf-siglip")
    assert checkpoint.spec.padding == "context"
    assert checkpoint.spec.resize == "squash"
    assert checkpoint.config.scores == "sigmoid"
    assert embedder_from(checkpoint, "hf-siglip").bias is not None


def copied(tmp_path: Path, layout: str) -> Path:
    return Path(shutil.copytree(REFERENCE / layout, tmp_path / layout))


def changed_json(path: Path, change: Any) -> None:
    table = json.loads(path.read_text())
    change(table)
    path.write_text(json.dumps(table))


def test_a_sharded_folder_is_the_same_model(tmp_path: Path) -> None:
    folder = copied(tmp_path, "hf-clip")
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    table: dict[str, str] = {}
    for number, names in enumerate((sorted(tensors)[::2], sorted(tensors)[1::2]), 1):
        name = f"model-{number:05}-of-00002.safetensors"
        save_file({key: tensors[key] for key in names}, folder / name)
        table |= dict.fromkeys(names, name)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": table}))
    assert read_checkpoint(folder).space_id() == read_checkpoint(REFERENCE / "hf-clip").space_id()
    index.write_text(json.dumps({"weight_map": table | {"logit_scale": "../secret.safetensors"}}))
    with pytest.raises(CheckpointError, match="outside the folder"):
        read_checkpoint(folder)


def test_weights_that_are_missing_extra_or_misshapen_are_named_and_counted(tmp_path: Path) -> None:
    folder = copied(tmp_path, "openclip-vit-gelu")
    path = folder / "open_clip_model.safetensors"
    tensors = load_file(path)
    del tensors["ln_final.weight"]
    tensors["surplus"] = np.zeros(3, np.float32)
    tensors["visual.class_embedding"] = np.zeros(5, np.float32)
    tensors["visual.ln_pre.weight"] = np.zeros(5, np.float32)
    save_file(tensors, path)
    with pytest.raises(CheckpointError, match=r"text.output_norm.weight is missing; surplus is unknown; .* and 1 more"):
        read_checkpoint(folder)


@pytest.mark.parametrize(
    ("part", "key", "value", "message"),
    [
        ("text_cfg", "hf_model_name", "xlm-roberta-base", "xlm-roberta-base.*multilingual"),
        ("vision_cfg", "timm_model_name", "eva02_base_patch16_clip_224", "no tower 'eva02_base_patch16_clip_224'"),
        ("vision_cfg", "pool_type", "avg", "pool_type is 'avg'"),
        ("vision_cfg", "attentional_pool", True, "attentional pooler"),
        ("vision_cfg", "ls_init_value", 1e-4, "layer scale"),
        ("vision_cfg", "brand_new_key", 3, "'brand_new_key', which is not known"),
        ("text_cfg", "pool_type", "eos", "pool_type is 'eos'"),
    ],
)
def test_a_tower_that_is_not_built_is_refused_by_name(
    tmp_path: Path, part: str, key: str, value: Any, message: str
) -> None:
    folder = copied(tmp_path, "openclip-vit-gelu")
    changed_json(folder / "open_clip_config.json", lambda table: table["model_cfg"][part].update({key: value}))
    with pytest.raises(CheckpointError, match=message):
        read_checkpoint(folder)


def test_patch_dropout_changes_nothing(tmp_path: Path) -> None:
    folder = copied(tmp_path, "openclip-vit-gelu")
    changed_json(
        folder / "open_clip_config.json", lambda table: table["model_cfg"]["vision_cfg"].update(patch_dropout=0.5)
    )
    assert read_checkpoint(folder).space_id() == read_checkpoint(REFERENCE / "openclip-vit-gelu").space_id()


def test_an_unknown_activation_is_refused(tmp_path: Path) -> None:
    folder = copied(tmp_path, "hf-clip")
    changed_json(folder / "config.json", lambda table: table["text_config"].update(hidden_act="swish"))
    with pytest.raises(CheckpointError, match="activation 'swish'"):
        read_checkpoint(folder)


def test_pictures_are_not_prepared_by_guess(tmp_path: Path) -> None:
    folder = copied(tmp_path, "hf-clip")
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(CheckpointError, match=r"preprocessor_config.json is missing"):
        read_checkpoint(folder)


def test_a_folder_without_a_model_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"open_clip_config.json \(OpenCLIP\) and config.json"):
        read_checkpoint(tmp_path)


def test_a_folder_with_a_config_and_no_weights_says_so(tmp_path: Path) -> None:
    folder = copied(tmp_path, "hf-clip")
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"no weights: looked for model.safetensors, pytorch_model.bin"):
        read_checkpoint(folder)


def test_a_bert_is_refused_by_its_kind(tmp_path: Path) -> None:
    folder = copied(tmp_path, "hf-clip")
    changed_json(folder / "config.json", lambda table: table.update(model_type="bert"))
    with pytest.raises(CheckpointError, match="'bert' model"):
        read_checkpoint(folder)
