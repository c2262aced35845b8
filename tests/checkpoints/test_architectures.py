"""Weights that come without a config are read as the architecture that is named behind their file."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import clipwright
from clipwright.checkpoints import folder as reading
from clipwright.checkpoints.architectures import ARCHITECTURES, architecture
from clipwright.checkpoints.families.openclip import read_openclip
from clipwright.checkpoints.load import load_checkpoint
from clipwright.checkpoints.model_file import save_model
from clipwright.checkpoints.save import save_checkpoint
from clipwright.embedding.backends.onnx import OnnxBackend
from clipwright.errors import CheckpointError
from clipwright.inputs.openai_vocabulary import OPENAI_VOCAB_SIZE
from clipwright.model.config import ModelConfig
from tests.checkpoints.peers import STUB, run_peer
from tests.reference import answers, reference_checkpoint
from tests.support import REFERENCE, equal_to_reference, run_cli, tiny_checkpoint

SPEC = find_spec("open_clip")
assert SPEC is not None
assert SPEC.submodule_search_locations is not None
OPENCLIP = Path(SPEC.submodule_search_locations[0]) / "model_configs"
GELU = REFERENCE / "openclip-vit-gelu"


def as_openclip_reads(table: dict[str, Any], quick: bool = False) -> ModelConfig | None:
    """The towers of one of its configs, where they are OpenAI's kind and built here; without a vocabulary to parse."""
    if table["text_cfg"].get("vocab_size", OPENAI_VOCAB_SIZE) != OPENAI_VOCAB_SIZE:
        return None
    text_cfg = {**table["text_cfg"], "vocab_size": 600}
    try:
        config = read_openclip({"model_cfg": {**table, "quick_gelu": quick, "text_cfg": text_cfg}}, {}, None, {}).config
    except CheckpointError:
        return None
    return replace(config, text=replace(config.text, vocab_size=OPENAI_VOCAB_SIZE)) if config.text.causal else None


def test_a_name_means_what_it_means_to_openclip() -> None:
    tables = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in OPENCLIP.glob("*.json")}
    built = {name: table for name, table in tables.items() if as_openclip_reads(table) is not None}
    assert {name.removesuffix("-quickgelu") for name in built} == set(ARCHITECTURES)
    for name, table in built.items():
        assert architecture(name) == as_openclip_reads(table, name.endswith("-quickgelu"))


def test_the_page_of_models_lists_the_names() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "models.md").read_text(encoding="utf-8")
    assert ", ".join(f"`{name}`" for name in ARCHITECTURES) in page


@pytest.mark.parametrize("name", ["ViT-B/32", "vit-b-32", "ViT-B-31"])
def test_a_mistyped_architecture_is_answered_with_the_nearest(name: str) -> None:
    with pytest.raises(CheckpointError, match=rf"'{name}' is no architecture: .*; did you mean '.*ViT-B-32"):
        architecture(name)


# Of a file


def bare(tmp_path: Path, source: Path = GELU) -> Path:
    """The weights of a layout in a folder of their own."""
    return Path(shutil.copyfile(next(source.glob("*.safetensors")), tmp_path / "epoch_10.safetensors"))


def test_an_architecture_is_taken_before_openais(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    named = reference_checkpoint("openclip-vit-gelu").config
    monkeypatch.setattr(reading, "_architecture", {"ViT-tiny": named}.__getitem__)
    checkpoint, theirs = load_checkpoint(f"{bare(tmp_path)}:ViT-tiny"), answers("openclip-vit-gelu")
    backend, ends = OnnxBackend(checkpoint), (theirs.ids == checkpoint.spec.end_id).argmax(axis=1)
    assert equal_to_reference(backend.image_features(theirs.pixels), theirs.image_features)
    assert equal_to_reference(backend.text_features(theirs.ids, ends), theirs.text_features)
    assert caplog.text == ""
    unnamed = OnnxBackend(load_checkpoint(bare(tmp_path, REFERENCE / "openclip-rn")))
    assert "does not say which activation" in caplog.text
    assert "name the architecture behind the file, FILE:ViT-B-32 say" in caplog.text
    assert unnamed.precision == "fp32"


def test_an_architecture_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"epoch_10.safetensors:ViT-B-32': the weights do not fit their config"):
        load_checkpoint(f"{bare(tmp_path)}:ViT-B-32")


@pytest.mark.parametrize("spelling", ["the folder", "the file", "OpenCLIP's own file"])
def test_a_config_that_lies_elsewhere_may_be_named(tmp_path: Path, spelling: str) -> None:
    config = {"the folder": GELU, "the file": GELU / "open_clip_config.json"}.get(spelling, tmp_path / "tiny.json")
    if spelling == "OpenCLIP's own file":
        config.write_text(json.dumps(json.loads((GELU / "open_clip_config.json").read_text())["model_cfg"]))
    checkpoint = load_checkpoint(f"{bare(tmp_path)}:{config}")
    assert checkpoint.space_id() == reference_checkpoint("openclip-vit-gelu").space_id()
    assert config in checkpoint.files or config / "open_clip_config.json" in checkpoint.files


@pytest.mark.parametrize("layout", ["hf-clip", "hf-siglip"])
def test_weights_in_hugging_faces_names_take_a_config_too(tmp_path: Path, layout: str) -> None:
    path = bare(tmp_path, REFERENCE / layout)
    with pytest.raises(CheckpointError, match=r"name the architecture or the config behind it: .*, FILE:config.json"):
        load_checkpoint(path)
    assert load_checkpoint(f"{path}:{REFERENCE / layout}").space_id() == reference_checkpoint(layout).space_id()


def test_weights_in_hugging_faces_names_take_an_architecture_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    openais = reference_checkpoint("openai-vit.pt")
    save_checkpoint(openais, tmp_path / "model", "huggingface")
    tensors = load_file(tmp_path / "model" / "model.safetensors")
    save_file({f"model.{name}": tensor for name, tensor in tensors.items()}, tmp_path / "last.safetensors")
    monkeypatch.setattr(reading, "_architecture", {"ViT-tiny": openais.config}.__getitem__)
    assert load_checkpoint(f"{tmp_path / 'last.safetensors'}:ViT-tiny").space_id() == openais.space_id()


def test_the_config_that_is_named_counts_before_the_one_beside(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(GELU, tmp_path / "model"))
    table = json.loads((folder / "open_clip_config.json").read_text())
    table["model_cfg"]["quick_gelu"] = True
    (folder / "quick.json").write_text(json.dumps(table))
    weights = folder / "open_clip_model.safetensors"
    assert load_checkpoint(weights).config.text.activation == "gelu"
    assert load_checkpoint(f"{weights}:{folder / 'quick.json'}").config.text.activation == "quick_gelu"


def test_one_file_under_two_architectures_is_two_models(tmp_path: Path) -> None:
    """Ids are remembered by the files they were hashed from."""
    path = bare(tmp_path)
    table = json.loads((GELU / "open_clip_config.json").read_text())
    table["model_cfg"]["quick_gelu"] = True
    (tmp_path / "quick.json").write_text(json.dumps(table))
    ids = {clipwright.load(f"{path}:{config}").space_id for config in (GELU, tmp_path / "quick.json")}
    assert len(ids) == 2


def test_clipwrights_own_file_takes_no_architecture(tmp_path: Path) -> None:
    save_model(tmp_path / "model.safetensors", tiny_checkpoint())
    for name in (tmp_path, tmp_path / "model.safetensors"):
        answer = run_cli("info", f"{name}:ViT-B-32")
        assert (answer.status, "says all of itself; leave out ':ViT-B-32'" in answer.stderr) == (2, True)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ViT-S-32-alt", "ViT-S-32-alt-quickgelu"])
def test_what_openclip_trains_gives_its_features(tmp_path: Path, name: str) -> None:
    run_peer(
        f"""{STUB}
import numpy as np, open_clip
torch.manual_seed(0)
name, folder = sys.argv[1:]
plain, quick = name.removesuffix("-quickgelu"), name.endswith("-quickgelu")
model = open_clip.create_model(plain, force_quick_gelu=quick).eval()
torch.save({{"epoch": 1, "state_dict": {{"module." + key: value for key, value in model.state_dict().items()}}}},
           folder + "/epoch_1.pt")
pixels, ids = torch.randn(2, 3, 224, 224), torch.zeros(2, 77, dtype=torch.long)
ids[:, :4] = torch.tensor([49406, 320, 2368, 49407])
with torch.inference_mode():
    images, texts = model.encode_image(pixels), model.encode_text(ids)
np.savez(folder + "/out.npz", pixels=pixels, ids=ids, images=images, texts=texts)
""",
        name,
        tmp_path,
    )
    theirs, backend = np.load(tmp_path / "out.npz"), OnnxBackend(load_checkpoint(f"{tmp_path / 'epoch_1.pt'}:{name}"))
    assert equal_to_reference(backend.image_features(theirs["pixels"]), theirs["images"])
    assert equal_to_reference(backend.text_features(theirs["ids"], np.array([3, 3])), theirs["texts"])
