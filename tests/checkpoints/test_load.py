"""A name says where a model lies, and what of it is meant."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from clipwright.checkpoints.load import absolute_name, find_place, load_checkpoint, split_name
from clipwright.checkpoints.model_file import save_model
from clipwright.errors import CheckpointError, UnknownModelError
from tests.checkpoints.test_training_checkpoints import OPENAI, makers_state
from tests.support import REFERENCE, tiny_checkpoint


def test_where_a_model_lies_is_read_off_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b", "a:b", "a+b"):
        Path(name).touch()
    assert str(find_place("a:b")) == "a:b"  # a file of that name counts first
    assert find_place("a:b").which is None
    assert (find_place("a:ViT-B/32").paths, find_place("a:ViT-B/32").which) == ((Path("a"),), "ViT-B/32")
    assert find_place(Path("a:ViT-B-32")).which == "ViT-B-32"
    assert find_place("a+b").paths == (Path("a+b"),)
    Path("a+b").unlink()
    assert (find_place("a+b").paths, str(find_place("a+b:fp16"))) == ((Path("a"), Path("b")), "a+b:fp16")


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("c:fp16", "no model 'c:fp16'"),
        ("none:fp16", "no model 'none'"),
        ("./none.safetensors", "no model './none.safetensors'"),
        ("-x/y", "no model '-x/y'"),
        (r"C:\models\lost.pt", r"no model 'C:\\models\\lost.pt'"),
        ("none+starter", "no model 'none'"),
        ("starter+starter+starter", "no model 'starter+starter+starter'"),
        ("starter:", "no model 'starter:'"),
        ("+starter", r"no model '+starter'"),
        ("openai-vit-b-23:fp16", "no model 'openai-vit-b-23'; did you mean 'openai-vit-b-32'"),
    ],
)
def test_a_name_of_nothing_is_refused_by_its_part(name: str, complaint: str) -> None:
    with pytest.raises(UnknownModelError) as raised:
        find_place(name)
    assert str(raised.value).startswith(complaint)


def test_a_drive_of_windows_is_no_name() -> None:
    assert split_name(r"C:\models\lost.pt") == ((r"C:\models\lost.pt",), None)
    assert split_name(r"C:\models\lost.pt:ViT-B-32") == ((r"C:\models\lost.pt",), "ViT-B-32")


def test_in_full_a_name_means_the_same_in_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("weights.pt", "config.json", "texts"):
        Path(name).touch()
    here = tmp_path
    for name, full in (
        ("weights.pt", f"{here}/weights.pt"),
        ("weights.pt:ViT-B-32", f"{here}/weights.pt:ViT-B-32"),
        ("weights.pt:config.json", f"{here}/weights.pt:{here}/config.json"),
        ("acme/images+texts", f"acme/images+{here}/texts"),
        ("starter", "starter"),
        ("acme/clip@main:fp16", "acme/clip@main:fp16"),
    ):
        assert absolute_name(name) == full


# A file that another model completes


def test_the_text_tower_that_wise_ft_takes_out_comes_from_the_model_behind_the_plus(tmp_path: Path) -> None:
    prefix, changed = "image_encoder.model.", "visual.ln_post.bias"
    kept = {name: tensor for name, tensor in makers_state().items() if not name.startswith("transformer.")}
    kept[changed] = kept[changed] + 1
    head = {"classification_head.weight": torch.zeros(10, 48)}
    torch.save({f"{prefix}{name}": tensor for name, tensor in kept.items()} | head, tmp_path / "wise.pt")
    with pytest.raises(CheckpointError, match=r"lack the text tower's blocks .*WiSE-FT takes out; .*: FILE\+MODEL"):
        load_checkpoint(tmp_path / "wise.pt")
    whole, base = load_checkpoint(f"{tmp_path / 'wise.pt'}+{OPENAI}"), load_checkpoint(OPENAI)
    assert whole.config == base.config
    differing = [name for name in base.weights if not np.array_equal(base.weights[name], whole.weights[name])]
    assert differing == ["vision.output_norm.bias"]


def test_what_a_file_lacks_comes_from_a_folder_of_any_layout(tmp_path: Path) -> None:
    folder = REFERENCE / "hf-clip"
    whole = load_checkpoint(folder)
    tensors = {name: torch.tensor(array) for name, array in load_file(folder / "model.safetensors").items()}
    images = {f"model.{name}": tensor for name, tensor in tensors.items() if name.startswith("vis")}
    torch.save(images, tmp_path / "images.pt")
    with pytest.raises(CheckpointError, match=r"of an image tower alone; name the model that has its text tower .*\+"):
        load_checkpoint(tmp_path / "images.pt")
    completed = load_checkpoint(f"{tmp_path / 'images.pt'}+{folder}")
    assert completed.space_id() == whole.space_id()
    assert completed.files == (*whole.files, tmp_path / "images.pt")


def test_clipwrights_own_file_completes_nothing(tmp_path: Path) -> None:
    torch.save(makers_state(), tmp_path / "a.pt")
    save_model(tmp_path / "model.safetensors", tiny_checkpoint())
    with pytest.raises(CheckpointError, match="is clipwright's own and lacks nothing; it cannot complete another"):
        load_checkpoint(f"{tmp_path / 'a.pt'}+{tmp_path / 'model.safetensors'}")
