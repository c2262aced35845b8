"""What a server calls a model whose name says more than where it lies, and which of its files it watches."""

from __future__ import annotations

from pathlib import Path

from clipwright.server.models.served_model import file_stamps, public_name


def test_a_server_says_no_more_of_a_name_than_its_last_part(tmp_path: Path) -> None:
    weights, config = tmp_path / "epoch_3.pt", tmp_path / "tiny.json"
    weights.touch()
    config.touch()
    assert public_name(f"{weights}:{config}") == "epoch_3:tiny"
    assert public_name(f"{weights}:ViT-B-32") == "epoch_3:ViT-B-32"
    assert public_name(f"acme/images+{tmp_path}") == f"acme/images+{tmp_path.name}"
    assert public_name("openai-vit-b-32:fp16") == "openai-vit-b-32:fp16"


def test_a_change_of_either_of_two_files_is_seen(tmp_path: Path) -> None:
    for name in ("wise.pt", "base.pt"):
        (tmp_path / name).write_bytes(b"1")
    source = f"{tmp_path / 'wise.pt'}+{tmp_path / 'base.pt'}"
    before = file_stamps(source)
    (tmp_path / "base.pt").write_bytes(b"22")
    assert (len(before), before != file_stamps(source)) == (2, True)
    assert len(file_stamps(f"{tmp_path / 'wise.pt'}:ViT-B-32")) == 1
    assert file_stamps("starter") == file_stamps("acme/clip:fp16") == ()
