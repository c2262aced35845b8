"""Every published layout gives its maker's numbers, on torch and on ONNX Runtime; what is not built is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from clipwright.checkpoints.families import timm_siglip
from clipwright.checkpoints.folder import read_checkpoint
from clipwright.checkpoints.tensor_files import read_tensors
from clipwright.embedding.backend import BACKENDS, BackendName
from clipwright.embedding.backends.onnx import OnnxBackend
from clipwright.embedding.embedder import unit_rows
from clipwright.embedding.load import embedder_from, open_backend
from clipwright.errors import CheckpointError
from clipwright.inputs.input_spec import OPENAI_MEAN, OPENAI_STD
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


def changed_tensors(path: Path, changes: dict[str, Any]) -> None:
    """Each tensor named replaced, or left out where None stands for it."""
    tensors = load_file(path) | changes
    save_file({name: array for name, array in tensors.items() if array is not None}, path)


@pytest.mark.parametrize(
    ("layout", "name", "shape", "message"),
    [
        ("hf-clip", "logit_scale", (3, 7), r"logit_scale has shape \(3, 7\) instead of \(\)"),
        ("hf-clip", "text_model.encoder.layers.0.self_attn.k_proj.weight", None, r"0.attention.qkv.weight is missing"),
        ("hf-clip", "text_model.encoder.layers.0.self_attn.q_proj.bias", None, r"0.attention.qkv.bias is missing"),
        (
            "hf-clip",
            "text_model.encoder.layers.0.self_attn.v_proj.weight",
            (64, 7),
            r"should have one shape.*\(64, 7\)",
        ),
        (
            "hf-clip",
            "text_model.encoder.layers.9.self_attn.v_proj.weight",
            (64, 64),
            r"9.self_attn.v_proj.* is unknown",
        ),
        ("hf-siglip", "vision_model.head.attention.in_proj_weight", (7, 7), r"head.query.weight is missing.* 1 more"),
        ("hf-siglip", "vision_model.head.probe", (2, 1, 96), r"head.probe has shape \(192,\) instead of \(96,\)"),
        ("openclip-rn", "visual.attnpool.k_proj.bias", None, "pool.key.bias is missing"),
        ("openclip-siglip-timm", "visual.trunk.patch_embed.proj.weight", None, r"patch_embed.proj.weight is missing"),
        ("openclip-siglip-timm", "visual.trunk.blocks.1.norm1.weight", None, r"1.attention_norm.weight is missing"),
        ("openclip-siglip-timm", "visual.trunk.attn_pool.kv.weight", (7, 64), r"head.key.weight is missing"),
        (
            "openclip-siglip-timm",
            "visual.trunk.pos_embed",
            (3, 16, 64),
            r"embedding has shape \(3, 16, 64\) instead of",
        ),
    ],
)
def test_one_wrong_tensor_is_named_whatever_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str, name: str, shape: Any, message: str
) -> None:
    monkeypatch.setitem(timm_siglip.TIMM_HEADS, "base", 2)  # as in the small tower, whose name does not say it
    folder = copied(tmp_path, layout)
    changed_tensors(next(folder.glob("*.safetensors")), {name: None if shape is None else np.zeros(shape, np.float32)})
    with pytest.raises(CheckpointError, match=message):
        read_checkpoint(folder)


def openai_state(tmp_path: Path, changes: dict[str, Any], dtype: Any = None) -> Path:
    """OpenAI's small model as safetensors, with changes."""
    state = read_tensors(REFERENCE / "openai-vit-state.pt") | changes
    path = tmp_path / "state.safetensors"
    arrays = {name: np.array(array, dtype) for name, array in state.items() if array is not None}
    save_file(arrays, path)
    return path


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("ln_final.weight", "ln_final.weight"),
        ("visual.conv1.weight", "visual.conv1.weight"),
        ("text_projection", "text_projection"),
        ("visual.proj", "vision.projection.weight"),
        ("transformer.resblocks.0.ln_1.weight", "text.blocks.0.attention_norm.weight"),
    ],
)
def test_a_weight_that_openais_file_lacks_is_named(tmp_path: Path, name: str, ours: str) -> None:
    with pytest.raises(CheckpointError, match=f"{ours} is missing"):
        read_checkpoint(openai_state(tmp_path, {name: None}))


def test_weights_that_do_not_say_their_activation_are_taken_for_openais_aloud(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = openai_state(tmp_path, {}, np.float32)
    assert read_checkpoint(path).space_id() == read_checkpoint(REFERENCE / "openai-vit-state.pt").space_id()
    assert "does not say which activation" in caplog.text


@pytest.mark.parametrize("layout", LAYOUTS[:4])
def test_openais_own_files_need_no_such_warning(layout: str, caplog: pytest.LogCaptureFixture) -> None:
    read_checkpoint(REFERENCE / layout)
    assert caplog.text == ""


@pytest.mark.parametrize("name", ["open_clip_model.safetensors", "epoch_32.safetensors"])
def test_a_file_is_read_with_the_config_beside_it(tmp_path: Path, name: str) -> None:
    """OpenCLIP's names are OpenAI's, so without its config a GELU would have been taken for a QuickGELU."""
    folder = copied(tmp_path, "openclip-vit-gelu")
    (folder / "open_clip_model.safetensors").rename(folder / name)
    assert read_checkpoint(folder / name).space_id() == read_checkpoint(REFERENCE / "openclip-vit-gelu").space_id()


def test_a_file_of_hugging_face_under_another_name_is_read_with_its_config(tmp_path: Path) -> None:
    folder = copied(tmp_path, "hf-clip")
    (folder / "model.safetensors").rename(folder / "mine.safetensors")
    ours = read_checkpoint(folder / "mine.safetensors")
    assert ours.space_id() == read_checkpoint(REFERENCE / "hf-clip").space_id()


@pytest.mark.parametrize(
    ("part", "key", "value", "message"),
    [
        ("text_cfg", "hf_model_name", "xlm-roberta-base", "xlm-roberta-base.*multilingual"),
        ("vision_cfg", "timm_model_name", "eva02_base_patch16_clip_224", "no tower 'eva02_base_patch16_clip_224'"),
        ("vision_cfg", "pool_type", "avg", "pool_type is 'avg'"),
        ("vision_cfg", "attentional_pool", True, "attentional pooler"),
        ("vision_cfg", "ls_init_value", 1e-4, "layer scale"),
        ("vision_cfg", "brand_new_key", 3, "'brand_new_key', which is not known"),
        ("text_cfg", "pool_type", "eos", "pool_type is 'eos'; clipwright has no multilingual text towers"),
        ("text_cfg", "tokenizer_mode", "clips", "tokenizer_mode is 'clips'"),
        ("text_cfg", "tokenizer_kwargs", {"strip_sep_token": True}, "'strip_sep_token', which is not known"),
        ("text_cfg", "tokenizer_kwargs", {"clean": "shout"}, "texts cleaned as 'shout'"),
        ("text_cfg", "layers", "two", "text_cfg.layers must be a whole number above 0, not 'two'"),
        ("vision_cfg", "image_size", [64, 96], r"image_size is \[64, 96\]; clipwright's towers read squares"),
        ("vision_cfg", "head_width", 0, "head_width must be a whole number above 0, not 0"),
        ("vision_cfg", "layers", [3, 4], r"four whole numbers, not \[3, 4\]"),
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


SMALL = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "max_position_embeddings": 16,
    "vocab_size": 600,
    "eos_token_id": 599,
}
"""Sizes of the small model's text tower."""


@pytest.mark.parametrize(
    ("file", "change", "said"),
    [
        ("config.json", lambda table: table["text_config"].pop("hidden_act"), "not state text_config.hidden_act"),
        (
            "config.json",
            lambda table: (table["text_config"].update(hidden_act="gelu"), table.update(text_config_dict=SMALL)),
            "text_config.hidden_act says 'gelu', but text_config_dict, which counts more, 'quick_gelu'",
        ),
        ("preprocessor_config.json", lambda table: table.pop("resample"), "does not state resample; bicubic"),
    ],
)
def test_what_is_taken_without_being_stated_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, file: str, change: Any, said: str
) -> None:
    folder = copied(tmp_path, "hf-clip")
    changed_json(folder / file, change)
    assert read_checkpoint(folder).config == read_checkpoint(REFERENCE / "hf-clip").config
    assert said in caplog.text


def test_openclips_defaults_for_pictures_are_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = copied(tmp_path, "openclip-vit-gelu")
    changed_json(folder / "open_clip_config.json", lambda table: table.pop("preprocess_cfg"))
    spec = read_checkpoint(folder).spec
    assert (spec.mean, spec.std, spec.resize) == (OPENAI_MEAN, OPENAI_STD, "shortest")
    assert "does not state preprocess_cfg.mean" in caplog.text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_mean": None}, "does not state image_mean"),
        ({"image_mean": [0.5, 0.5]}, "image_mean must be three numbers"),
        ({"size": None}, "does not say to which size"),
        ({"size": "big"}, "does not say to which size"),
        ({"do_resize": False}, "does not say to which size"),
        ({"size": {"longest_edge": 64}}, "another size"),
        ({"crop_size": 32}, "another size"),
        ({"size": {"shortest_edge": 72}}, "another size"),
        ({"do_center_crop": False}, "longer than they are wide"),
        ({"resample": 1}, "filter 1 is not known"),
        ({"do_rescale": False}, "leaves pixels at 0 to 255"),
        ({"rescale_factor": 1 / 127.5}, "scales by"),
        ({"image_processor_type": "Siglip2ImageProcessor"}, "'Siglip2ImageProcessor', which is not known"),
        ({"image_processor_type": "ViTImageProcessor"}, "'ViTImageProcessor', which is not known"),
        ({"image_processor_type": "SiglipImageProcessorFast", "do_center_crop": None}, "longer than they are wide"),
    ],
)
def test_pictures_that_would_be_prepared_otherwise_are_refused(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    folder = copied(tmp_path, "hf-clip")
    changed_json(folder / "preprocessor_config.json", lambda table: table.update(change))
    with pytest.raises(CheckpointError, match=message):
        read_checkpoint(folder)


def test_pictures_that_are_not_normalised_are_read_so(tmp_path: Path) -> None:
    folder = copied(tmp_path, "hf-clip")
    changed_json(folder / "preprocessor_config.json", lambda table: table.update(do_normalize=False))
    spec = read_checkpoint(folder).spec
    assert (spec.mean, spec.std) == ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


def test_the_processor_file_of_transformers_5_is_read(tmp_path: Path) -> None:
    folder = copied(tmp_path, "hf-clip")
    table = json.loads((folder / "preprocessor_config.json").read_text())
    (folder / "preprocessor_config.json").unlink()
    (folder / "processor_config.json").write_text(json.dumps({"image_processor": table, "processor_class": "P"}))
    assert read_checkpoint(folder).spec == read_checkpoint(REFERENCE / "hf-clip").spec


def test_pictures_are_not_prepared_by_guess(tmp_path: Path) -> None:
    folder = copied(tmp_path, "hf-clip")
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(CheckpointError, match=r"preprocessor_config.json is missing"):
        read_checkpoint(folder)


def test_a_folder_without_a_model_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"open_clip_config.json \(OpenCLIP\), config.json"):
        read_checkpoint(tmp_path)


def test_a_folder_with_a_config_and_no_weights_says_so(tmp_path: Path) -> None:
    folder = copied(tmp_path, "hf-clip")
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"no weights: looked for model.safetensors, pytorch_model.bin"):
        read_checkpoint(folder)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("bert", "'bert' model; clipwright reads clip and siglip"),
        ("siglip2", r"'siglip2' model; clipwright has no towers that read pictures of any shape \(NaFlex\)"),
        ("metaclip_2", "no multilingual text towers"),
        ("clip_vision_model", "no models of an image tower alone"),
        (None, "states no model_type"),
    ],
)
def test_other_models_of_transformers_are_refused_by_their_kind(tmp_path: Path, kind: str | None, message: str) -> None:
    folder = copied(tmp_path, "hf-clip")
    changed_json(folder / "config.json", lambda table: table.update(model_type=kind))
    with pytest.raises(CheckpointError, match=message):
        read_checkpoint(folder)
