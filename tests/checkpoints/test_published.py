"""The configs of published repositories: read as their makers' own code reads them, or refused by name.

No weights are needed: the makers' code tells names and shapes (make test-slow); arrays without bytes stand for them.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clipwright.checkpoints.checkpoint import Checkpoint
from clipwright.checkpoints.families.huggingface import read_huggingface
from clipwright.checkpoints.families.openclip import read_openclip
from clipwright.checkpoints.families.special_tokens import special_ids
from clipwright.checkpoints.folder import read_checkpoint
from clipwright.errors import CheckpointError
from clipwright.inputs.input_spec import OPENAI_MEAN, OPENAI_STD, InputSpec
from clipwright.inputs.openai_vocabulary import openai_tokenizer
from clipwright.inputs.tokenizer import Tokenizer
from clipwright.model.config import ModelConfig, ResNetConfig, TextTransformerConfig, VisionTransformerConfig
from clipwright.model.shapes import check_shapes
from tests.checkpoints.peers import STUB, run_peer
from tests.support import DATA, REFERENCE

HALF = (0.5, 0.5, 0.5)


def stand_ins(shapes: dict[str, list[int]]) -> dict[str, np.ndarray]:
    """Arrays of these shapes that take no memory."""
    return {name: np.broadcast_to(np.float32(0), shape) for name, shape in shapes.items()}


def check_weights(checkpoint: Checkpoint) -> None:
    check_shapes(checkpoint.config, {name: array.shape for name, array in checkpoint.weights.items()})


def facts(config: TextTransformerConfig | VisionTransformerConfig | ResNetConfig) -> dict[str, Any]:
    """What shapes do not show."""
    if isinstance(config, ResNetConfig):
        return {"heads": config.heads}
    return {"heads": config.heads, "activation": config.activation, "epsilon": config.epsilon, "layers": config.layers}


# OpenCLIP

ARCHITECTURES = {
    path.stem: json.loads(path.read_text())
    for folder in getattr(importlib.util.find_spec("open_clip"), "submodule_search_locations", ())
    for path in sorted((Path(folder) / "model_configs").glob("*.json"))
}
REFUSED = {
    r"EVA.*": "no tower 'eva",
    r"MobileCLIP.*": r"no tower '(fastvit_mci|vit_base_mci|vit_large_patch14_clip_224)",
    r"PE-Core.*": "no tower 'vit_pe_core",
    r"ViTamin.*": "no tower 'vitamin",
    r"convnext.*": "no tower 'convnext",
    r"swin.*|vit_.*": "no tower '(swin|vit_)",
    r"coca.*": r"captioning towers \(CoCa\)",
    r"mt5.*": "hf_model_name is 'google/mt5.*multilingual",
    r"nllb.*": "hf_model_name is 'facebook/nllb.*multilingual",
    r"xlm-roberta.*|roberta.*": "hf_model_name is '(xlm-)?roberta.*multilingual",
    r".*worldwide.*": "pool_type is 'eos'; clipwright has no multilingual text towers",
    r".*CLIPA.*": "no such pooling",
    r"ViT-M-16-alt": "no layer scale",
}
"""What is refused, with what it lacks; all others are read."""


def refusal(name: str) -> str | None:
    return next((message for pattern, message in REFUSED.items() if re.fullmatch(pattern, name)), None)


READ = [name for name in ARCHITECTURES if refusal(name) is None]
OPEN_CLIP = f"""{STUB}
import json, logging
logging.disable(logging.WARNING)
import open_clip
from open_clip.model import CLIP, CustomTextCLIP
from open_clip.pretrained import get_pretrained_cfg, list_pretrained_tags_by_model
NAMES = {{"QuickGELU": "quick_gelu", "GELUTanh": "gelu_tanh", "GELU": "gelu"}}
def activation(module):
    return "gelu_tanh" if getattr(module, "approximate", "none") == "tanh" else NAMES[type(module).__name__]
def tower(blocks):
    mlp, norm = blocks[0].mlp, getattr(blocks[0], "ln_1", None) or blocks[0].norm1
    act = activation(mlp.gelu if hasattr(mlp, "gelu") else mlp.act)
    return {{"heads": blocks[0].attn.num_heads, "activation": act, "epsilon": norm.eps, "layers": len(blocks)}}
answers = {{}}
for name in json.loads(sys.argv[1]):
    table = open_clip.get_model_config(name)
    kind = CustomTextCLIP if table.pop("custom_text", False) else CLIP
    with torch.device("meta"):
        model = kind(**table)
    text, visual = getattr(model, "text", model), model.visual
    if hasattr(visual, "attnpool"):
        image = {{"heads": visual.attnpool.num_heads}}
    else:
        image = tower(visual.trunk.blocks if hasattr(visual, "trunk") else visual.transformer.resblocks)
    keys = ("mean", "std", "interpolation", "resize_mode")
    tags = [get_pretrained_cfg(name, tag) for tag in list_pretrained_tags_by_model(name)]
    answers[name] = {{
        "shapes": {{key: list(tensor.shape) for key, tensor in model.state_dict().items()}},
        "vision": image,
        "image_size": visual.image_size if isinstance(visual.image_size, int) else visual.image_size[0],
        "text": tower(text.transformer.resblocks),
        "causal": text.attn_mask is not None,
        "pool": text.pool_type if text is not model else text.text_pool_type,
        "preprocess": [{{key: tag[key] for key in keys}} for tag in tags],
    }}
json.dump(answers, open(sys.argv[2], "w"))
"""


@pytest.fixture(scope="module")
def built_by_open_clip(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What open_clip builds of its own configs, and how its published weights want their pictures."""
    path = tmp_path_factory.mktemp("open_clip") / "answers.json"
    run_peer(OPEN_CLIP, json.dumps(READ), path)
    return dict(json.loads(path.read_text()))


@pytest.mark.slow
@pytest.mark.parametrize("name", READ)
def test_an_architecture_of_open_clip_is_read_as_open_clip_builds_it(
    name: str, built_by_open_clip: dict[str, Any]
) -> None:
    theirs = built_by_open_clip[name]
    plain = {"mean": OPENAI_MEAN, "std": OPENAI_STD}
    for preprocess in theirs["preprocess"] or [plain]:
        file = {"model_cfg": ARCHITECTURES[name], "preprocess_cfg": preprocess}
        checkpoint = read_openclip(file, stand_ins(theirs["shapes"]), None, {})
        check_weights(checkpoint)
        config, spec = checkpoint.config, checkpoint.spec
        assert (facts(config.vision), facts(config.text)) == (theirs["vision"], theirs["text"])
        assert (config.vision.image_size, spec.image_size) == (theirs["image_size"], theirs["image_size"])
        assert config.text.causal == theirs["causal"]
        assert config.text.pool == {"argmax": "end", "last": "last"}[theirs["pool"]]
        assert (list(spec.mean), list(spec.std)) == (list(preprocess["mean"]), list(preprocess["std"]))
        assert (spec.interpolation, spec.resize) == (
            preprocess.get("interpolation", "bicubic"),
            preprocess.get("resize_mode", "shortest"),
        )


def test_many_architectures_are_read() -> None:
    assert len(READ) > 60
    assert {"ViT-H-14-378-quickgelu", "ViT-bigG-14", "ViT-SO400M-14-SigLIP-384", "ViT-gopt-16-SigLIP2-384"} <= set(READ)


@pytest.mark.parametrize("name", [name for name in ARCHITECTURES if refusal(name) is not None])
def test_an_architecture_that_is_not_built_is_refused_with_what_is_missing(name: str) -> None:
    with pytest.raises(CheckpointError, match=str(refusal(name))):
        read_openclip({"model_cfg": ARCHITECTURES[name], "preprocess_cfg": {}}, {}, None, {})


def test_a_text_tower_without_a_projection_has_one_that_changes_nothing() -> None:
    table = ARCHITECTURES["ViT-SO400M-16-SigLIP-i18n-256"]
    file = {"model_cfg": table, "preprocess_cfg": SIGLIP_PICTURES}
    checkpoint = read_openclip(file, stand_ins(SO400M_TRUNK), None, {})
    assert np.array_equal(np.asarray(checkpoint.weights["text.projection.weight"]), np.eye(1152))
    with pytest.raises(CheckpointError, match="text_projection is unknown"):
        read_openclip(file, stand_ins(SO400M_TRUNK | {"text.text_projection.weight": [1152, 1152]}), None, {})


SIGLIP_TRUNK = {
    "visual.trunk.patch_embed.proj.weight": [768, 3, 16, 16],
    "visual.trunk.blocks.0.mlp.fc1.weight": [3072, 768],
}


SO400M_TRUNK = {
    "visual.trunk.patch_embed.proj.weight": [1152, 3, 16, 16],
    "visual.trunk.blocks.0.mlp.fc1.weight": [4304, 1152],
}


def openclip_spec(
    name: str, shapes: dict[str, list[int]], preprocess: dict[str, Any], tokenizer: str | None = None, **more: Any
) -> InputSpec:
    file = {"model_cfg": ARCHITECTURES[name], "preprocess_cfg": preprocess}
    return read_openclip(file, stand_ins(shapes), tokenizer, more).spec


def document(*tokens: str) -> str:
    """As much of a tokenizer.json as tells ids."""
    return json.dumps({"added_tokens": [{"content": token, "id": number} for number, token in enumerate(tokens)]})


SIGLIP_PICTURES = {"mean": list(HALF), "std": list(HALF), "interpolation": "bicubic", "resize_mode": "squash"}


@pytest.mark.parametrize(
    ("name", "pad"), [("ViT-B-16-SigLIP", 1), ("ViT-B-16-SigLIP-i18n-256", 1), ("ViT-B-16-SigLIP2-256", 0)]
)
def test_siglip_of_timm_is_padded_with_its_own_token(name: str, pad: int) -> None:
    spec = openclip_spec(name, SIGLIP_TRUNK, SIGLIP_PICTURES)
    assert (spec.start_id, spec.end_id, spec.pad_id) == (None, 1, pad)
    assert (spec.padding, spec.context_length, spec.text_cleaning) == ("context", 64, "mended_canonical")
    assert (spec.resize, spec.mean) == ("squash", HALF)


def test_the_tokenizer_files_say_what_pads() -> None:
    told = openclip_spec(
        "ViT-B-16-SigLIP", SIGLIP_TRUNK, SIGLIP_PICTURES, document("a", "b", "<pad>", "<eos>"),
        pad_token="<pad>", eos_token={"content": "<eos>"},
    )  # fmt: skip
    assert (told.end_id, told.pad_id) == (3, 2)


@pytest.mark.parametrize("tokens", ['[{"content": "a"}]', "[1]", "[{]"])
def test_a_damaged_list_of_tokens_is_refused(tokens: str) -> None:
    with pytest.raises(CheckpointError, match=r"tokenizer.json cannot be read"):
        special_ids(f'{{"version": "1.0", "added_tokens" : {tokens}, "model": {{}}}}', {"pad_token": "a"})


def test_tokens_are_told_by_both_files_together() -> None:
    text = document("<pad>", "<eos>")
    assert special_ids(text, {"pad_token": "<pad>", "eos_token": {"content": "<eos>"}, "bos_token": "<bos>"}) == {
        "pad_token": 0,
        "eos_token": 1,
    }
    assert (
        special_ids(text, {})
        == special_ids(None, {"pad_token": "<pad>"})
        == special_ids("{}", {"pad_token": "a"})
        == {}
    )


def test_a_vocabulary_of_which_nothing_says_what_pads_is_refused() -> None:
    table = ARCHITECTURES["ViT-B-16-SigLIP"]
    table = table | {"text_cfg": table["text_cfg"] | {"vocab_size": 1234}}
    with pytest.raises(CheckpointError, match="does not say which token pads a text, and a vocabulary of 1234"):
        read_openclip({"model_cfg": table}, stand_ins(SIGLIP_TRUNK), document("a"), {})


def test_dfn_squashes_and_has_quick_gelu() -> None:
    """apple/DFN5B-CLIP-ViT-H-14-378 states all of this."""
    pictures = {"mean": OPENAI_MEAN, "std": OPENAI_STD, "interpolation": "bicubic", "resize_mode": "squash"}
    file = {"model_cfg": ARCHITECTURES["ViT-H-14-378-quickgelu"], "preprocess_cfg": pictures}
    checkpoint = read_openclip(file, {}, None, {})
    assert isinstance(checkpoint.config.vision, VisionTransformerConfig)
    assert (checkpoint.config.vision.activation, checkpoint.config.text.activation) == ("quick_gelu", "quick_gelu")
    assert (checkpoint.config.vision.heads, checkpoint.config.vision.image_size) == (16, 378)
    assert (checkpoint.spec.resize, checkpoint.spec.image_size) == ("squash", 378)


def clip_document() -> str:
    """OpenAI's vocabulary in the spelling of transformers, which cleans otherwise."""
    table = json.loads(openai_tokenizer())
    table["normalizer"] = {"type": "Lowercase"}
    return json.dumps(table)


def test_the_copy_of_openais_tokenizer_in_laions_folders_is_not_taken() -> None:
    """OpenCLIP itself never reads it: it mends mojibake, which the copy cannot."""
    file = {"model_cfg": ARCHITECTURES["ViT-B-32"], "preprocess_cfg": {"mean": OPENAI_MEAN, "std": OPENAI_STD}}
    with_copy, without = (read_openclip(file, {}, tokenizer, {}) for tokenizer in (clip_document(), None))
    assert (with_copy.tokenizer, with_copy.spec) == (without.tokenizer, without.spec)
    assert with_copy.spec.text_cleaning == "lower"
    assert (with_copy.spec.start_id, with_copy.spec.end_id) == (49406, 49407)


def test_a_tokenizer_that_is_named_is_taken_with_its_cleaning() -> None:
    table = ARCHITECTURES["ViT-B-32"]
    table = table | {"text_cfg": table["text_cfg"] | {"hf_tokenizer_name": "someone/clip"}}
    file = {"model_cfg": table, "preprocess_cfg": {"mean": OPENAI_MEAN, "std": OPENAI_STD}}
    checkpoint = read_openclip(file, {}, clip_document(), {})
    assert (checkpoint.tokenizer, checkpoint.spec.text_cleaning) == (clip_document(), "mended")


def test_a_tokenizer_that_is_named_and_not_there_is_replaced_aloud(caplog: pytest.LogCaptureFixture) -> None:
    table = ARCHITECTURES["ViT-B-32"]
    table = table | {"text_cfg": table["text_cfg"] | {"hf_tokenizer_name": "someone/clip"}}
    file = {"model_cfg": table, "preprocess_cfg": {"mean": OPENAI_MEAN, "std": OPENAI_STD}}
    assert read_openclip(file, {}, None, {}).tokenizer == openai_tokenizer()
    assert "'someone/clip', which is not there" in caplog.text


# Hugging Face

CLIP_PICTURES: dict[str, Any] = {
    "crop_size": 224,
    "do_center_crop": True,
    "do_normalize": True,
    "do_resize": True,
    "feature_extractor_type": "CLIPFeatureExtractor",
    "image_mean": list(OPENAI_MEAN),
    "image_std": list(OPENAI_STD),
    "resample": 3,
    "size": 224,
}
"""As openai/clip-vit-* came at first."""
NEW_CLIP_PICTURES: dict[str, Any] = CLIP_PICTURES | {
    "crop_size": {"height": 224, "width": 224},
    "do_convert_rgb": True,
    "do_rescale": True,
    "image_processor_type": "CLIPImageProcessor",
    "rescale_factor": 0.00392156862745098,
    "size": {"shortest_edge": 224},
}
SIGLIP_SQUARES: dict[str, Any] = {
    "do_convert_rgb": None,
    "do_normalize": True,
    "do_rescale": True,
    "do_resize": True,
    "image_mean": list(HALF),
    "image_processor_type": "SiglipImageProcessor",
    "image_std": list(HALF),
    "processor_class": "SiglipProcessor",
    "resample": 3,
    "rescale_factor": 0.00392156862745098,
    "size": {"height": 224, "width": 224},
}
BASE_TEXT = {"hidden_size": 512, "intermediate_size": 2048, "num_attention_heads": 8, "num_hidden_layers": 12}
LARGE_TEXT = {"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12, "num_hidden_layers": 12}
HUGE_TEXT = {"hidden_size": 1024, "intermediate_size": 4096, "num_attention_heads": 16, "num_hidden_layers": 24}
BIG_TEXT = {"hidden_size": 1280, "intermediate_size": 5120, "num_attention_heads": 20, "num_hidden_layers": 32}
BASE = {"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12, "num_hidden_layers": 12}
LARGE = {"hidden_size": 1024, "intermediate_size": 4096, "num_attention_heads": 16, "num_hidden_layers": 24}
HUGE = {"hidden_size": 1280, "intermediate_size": 5120, "num_attention_heads": 16, "num_hidden_layers": 32}
GIANT = {"hidden_size": 1408, "intermediate_size": 6144, "num_attention_heads": 16, "num_hidden_layers": 40}
BIG = {"hidden_size": 1664, "intermediate_size": 8192, "num_attention_heads": 16, "num_hidden_layers": 48}
SO400M = {"hidden_size": 1152, "intermediate_size": 4304, "num_attention_heads": 16, "num_hidden_layers": 27}
GIANT_OPT = {"hidden_size": 1536, "intermediate_size": 6144, "num_attention_heads": 16, "num_hidden_layers": 40}


def clip(text: dict[str, Any], vision: dict[str, Any], projection_dim: int, **more: Any) -> dict[str, Any]:
    old = {"hidden_act": "quick_gelu", "eos_token_id": 2, "bos_token_id": 0, "pad_token_id": 1, "bad_words_ids": None}
    return {
        "model_type": "clip",
        "projection_dim": projection_dim,
        "text_config": old | text,
        "vision_config": {"hidden_act": "quick_gelu", "patch_size": 14, "image_size": 224} | vision,
        **more,
    }


def siglip(text: dict[str, Any], vision: dict[str, Any]) -> dict[str, Any]:
    """Only what is not at its default is stated in Google's repositories."""
    return {"model_type": "siglip", "text_config": text, "vision_config": vision}


GEMMA = {"vocab_size": 256_000}
GELU = {"hidden_act": "gelu"}
PUBLISHED: dict[str, dict[str, Any]] = {
    "openai/clip-vit-base-patch32": clip(BASE_TEXT, {"patch_size": 32}, 512, text_config_dict=None),
    "openai/clip-vit-base-patch16": clip(BASE_TEXT, {"patch_size": 16}, 512),
    "openai/clip-vit-large-patch14": clip(
        LARGE_TEXT, LARGE, 768, text_config_dict=LARGE_TEXT, vision_config_dict=LARGE | {"patch_size": 14}
    ),
    "openai/clip-vit-large-patch14-336": clip(
        LARGE_TEXT,
        LARGE | {"image_size": 336},
        768,
        text_config_dict=LARGE_TEXT,
        vision_config_dict=LARGE | {"patch_size": 14, "image_size": 336},
    ),
    "laion/CLIP-ViT-H-14": clip(
        HUGE_TEXT | GELU,
        HUGE | GELU,
        1024,
        text_config_dict=HUGE_TEXT | GELU,
        vision_config_dict=HUGE | GELU | {"patch_size": 14},
    ),
    "laion/CLIP-ViT-g-14": clip(HUGE_TEXT | GELU, GIANT | GELU, 1024),
    "laion/CLIP-ViT-bigG-14": clip(BIG_TEXT | GELU, BIG | GELU, 1280),
    "facebook/metaclip-h14-fullcc2.5b": clip(HUGE_TEXT, HUGE, 1024),
    "google/siglip-base-patch16-224": siglip({}, {}),
    "google/siglip-base-patch16-512": siglip({}, {"image_size": 512}),
    "google/siglip-base-patch16-256-multilingual": siglip({"vocab_size": 250_000}, {"image_size": 256}),
    "google/siglip-large-patch16-384": siglip(LARGE, LARGE | {"image_size": 384}),
    "google/siglip-so400m-patch14-384": siglip(SO400M, SO400M | {"image_size": 384, "patch_size": 14}),
    "google/siglip2-base-patch16-224": siglip(GEMMA, {}),
    "google/siglip2-base-patch32-256": siglip(GEMMA, {"image_size": 256, "patch_size": 32}),
    "google/siglip2-large-patch16-512": siglip(LARGE | GEMMA, LARGE | {"image_size": 512}),
    "google/siglip2-so400m-patch14-224": siglip(SO400M | GEMMA, SO400M | {"patch_size": 14}),
    "google/siglip2-so400m-patch16-512": siglip(SO400M | GEMMA, SO400M | {"image_size": 512}),
    "google/siglip2-giant-opt-patch16-384": siglip(
        SO400M | GEMMA | {"projection_size": 1536}, GIANT_OPT | {"image_size": 384}
    ),
}
"""What decides in their config.json."""
TRANSFORMERS = """
import json, sys, torch
from transformers import CLIPConfig, CLIPModel, SiglipConfig, SiglipModel
answers = {}
def tower(config):
    names = {"quick_gelu": "quick_gelu", "gelu": "gelu", "gelu_pytorch_tanh": "gelu_tanh"}
    return {"heads": config.num_attention_heads, "activation": names[config.hidden_act],
            "epsilon": config.layer_norm_eps, "layers": config.num_hidden_layers}
for name, table in json.load(open(sys.argv[1])).items():
    kinds = {"clip": (CLIPConfig, CLIPModel), "siglip": (SiglipConfig, SiglipModel)}[table.pop("model_type")]
    config = kinds[0](**table)
    with torch.device("meta"):
        model = kinds[1](config)
    answers[name] = {
        "shapes": {key: list(tensor.shape) for key, tensor in model.state_dict().items()},
        "vision": tower(config.vision_config),
        "text": tower(config.text_config),
    }
json.dump(answers, open(sys.argv[2], "w"))
"""


@pytest.fixture(scope="module")
def built_by_transformers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("transformers")
    (folder / "configs.json").write_text(json.dumps(PUBLISHED))
    run_peer(TRANSFORMERS, folder / "configs.json", folder / "answers.json")
    return dict(json.loads((folder / "answers.json").read_text()))


def pictures_of(table: dict[str, Any]) -> dict[str, Any]:
    """Of a repository with this config, at its size."""
    side = table["vision_config"].get("image_size", 224)
    if table["model_type"] == "clip":
        return CLIP_PICTURES | {"size": side, "crop_size": side}
    return SIGLIP_SQUARES | {"size": {"height": side, "width": side}}


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_config_is_read_as_transformers_builds_it(
    name: str, built_by_transformers: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    theirs, table = built_by_transformers[name], PUBLISHED[name]
    checkpoint = read_huggingface(table, pictures_of(table), stand_ins(theirs["shapes"]), None, {})
    check_weights(checkpoint)
    assert (facts(checkpoint.config.vision), facts(checkpoint.config.text)) == (theirs["vision"], theirs["text"])
    assert caplog.text == ""  # nothing had to be guessed


def huggingface_spec(name: str, pictures: dict[str, Any], tokenizer: str | None = None, **more: Any) -> InputSpec:
    return read_huggingface(PUBLISHED[name], pictures, {}, tokenizer, more).spec


@pytest.mark.parametrize("pictures", [CLIP_PICTURES, NEW_CLIP_PICTURES], ids=["old", "new"])
@pytest.mark.parametrize("name", ["openai/clip-vit-base-patch32", "openai/clip-vit-large-patch14"])
def test_openais_repositories_say_the_same_in_old_and_new_spelling(name: str, pictures: dict[str, Any]) -> None:
    spec = huggingface_spec(name, pictures)
    assert (spec.image_size, spec.resize, spec.crop_rounding, spec.interpolation) == (
        224,
        "shortest",
        "floor",
        "bicubic",
    )
    assert (spec.mean, spec.std) == (OPENAI_MEAN, OPENAI_STD)
    assert (spec.start_id, spec.end_id, spec.padding, spec.text_cleaning) == (49406, 49407, "longest", "lower")


def test_a_repeated_tower_overrules_with_its_defaults_too() -> None:
    """openai/clip-vit-large-patch14 says eos_token_id 2 in text_config, and nothing of it in text_config_dict."""
    table = clip(BASE_TEXT | {"max_position_embeddings": 40}, {"patch_size": 32}, 512, text_config_dict=BASE_TEXT)
    assert read_huggingface(table, CLIP_PICTURES, {}, None, {}).config.text.context_length == 77


FIRST = {"tokenizer_class": "SiglipTokenizer", "do_lower_case": True, "eos_token": "</s>", "pad_token": "</s>"}
LATER = {
    "tokenizer_class": "GemmaTokenizer",
    "eos_token": "<eos>",
    "pad_token": "<pad>",
    "bos_token": "<bos>",
    "padding_side": "right",
}
END = {"id": "<eos>", "ids": [1], "tokens": ["<eos>"]}
ENDS = {
    "type": "TemplateProcessing",
    "single": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "<eos>", "type_id": 0}}],
    "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
    "special_tokens": {"<eos>": END},
}
LATER_DOCUMENT = json.dumps(json.loads(document("<pad>", "<eos>", "<bos>")) | {"post_processor": ENDS})


@pytest.mark.parametrize(
    ("name", "tokenizer", "settings", "cleaning", "pad"),
    [
        ("google/siglip-base-patch16-224", document("<pad>", "</s>", "<unk>"), FIRST, "canonical", 1),
        ("google/siglip-base-patch16-224", None, {}, "canonical", 1),
        ("google/siglip-base-patch16-256-multilingual", document("<pad>", "</s>"), FIRST, "canonical", 1),
        ("google/siglip-base-patch16-256-multilingual", None, {}, "canonical", 1),
        ("google/siglip2-base-patch16-224", LATER_DOCUMENT, LATER, "none", 0),
        ("google/siglip2-base-patch16-224", LATER_DOCUMENT, LATER | {"do_lower_case": True}, "none", 0),
        ("google/siglip2-base-patch16-224", None, {}, "lower_case", 0),
    ],
)
def test_googles_repositories_clean_and_pad_as_their_tokenizers_do(
    name: str, tokenizer: str | None, settings: dict[str, Any], cleaning: str, pad: int
) -> None:
    spec = huggingface_spec(name, pictures_of(PUBLISHED[name]) | {"resample": 2}, tokenizer, **settings)
    assert (spec.text_cleaning, spec.start_id, spec.end_id, spec.pad_id) == (cleaning, None, 1, pad)
    assert (spec.padding, spec.context_length) == ("context", 64)
    assert (spec.resize, spec.interpolation, spec.mean, spec.std) == ("squash", "bilinear", HALF, HALF)


@pytest.mark.parametrize(("stated", "end"), [({"eos_token_id": 49407}, 1), ({"eos_token_id": 31_999}, 31_999)])
def test_the_end_that_siglip_took_over_from_clip_is_not_believed(stated: dict[str, int], end: int) -> None:
    table = siglip({"vocab_size": 32_000} | stated, {})
    assert read_huggingface(table, SIGLIP_SQUARES, {}, None, {}).spec.end_id == end


def test_so400m_at_384_reads_27_patches_a_side() -> None:
    name = "google/siglip-so400m-patch14-384"
    config = read_huggingface(PUBLISHED[name], pictures_of(PUBLISHED[name]), {}, None, {}).config
    assert isinstance(config, ModelConfig)
    assert isinstance(config.vision, VisionTransformerConfig)
    assert (config.vision.image_size, config.vision.patch_size) == (384, 14)


def test_a_tokenizer_of_which_nothing_is_known_cleans_by_itself_aloud(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    table = siglip({"vocab_size": 5000}, {})
    assert read_huggingface(table, SIGLIP_SQUARES, {}, document("a"), {}).spec.text_cleaning == "none"
    assert "states no tokenizer_class" in caplog.text


def test_a_folder_with_a_sentencepiece_file_alone_reads_texts(tmp_path: Path) -> None:
    """As SiglipTokenizer of transformers saves it."""
    folder = Path(shutil.copytree(REFERENCE / "hf-siglip", tmp_path / "model"))
    shutil.copy(DATA / "spiece" / "spiece.model", folder)
    (folder / "tokenizer_config.json").write_text(json.dumps(FIRST))
    checkpoint = read_checkpoint(folder)
    assert (checkpoint.spec.end_id, checkpoint.spec.pad_id, checkpoint.spec.text_cleaning) == (1, 1, "canonical")
    tokens = Tokenizer(str(checkpoint.tokenizer), checkpoint.spec).encode(["A photo, of a cat!"])
    assert tokens.ids.shape == (1, 16)
    (folder / "spiece.model").write_bytes(b"no such model")
    with pytest.raises(CheckpointError, match=r"spiece.model.*cannot be read"):
        read_checkpoint(folder)
