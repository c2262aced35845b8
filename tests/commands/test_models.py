"""models lists, pulls and converts."""

from __future__ import annotations

from pathlib import Path

from clipwright.checkpoints.folder import read_checkpoint
from tests.support import REFERENCE, run_cli


def test_a_model_is_converted_and_classifies_alike(tmp_path: Path) -> None:
    answer = run_cli("models", "convert", "starter", tmp_path / "model", "--layout", "openclip")
    assert (answer.status, answer.stderr) == (0, "")
    photo = REFERENCE / "pictures" / "rocket.jpg"
    ours, theirs = (
        run_cli("classify", photo, "--labels", "rocket, cat", "--quiet", "--model", model).stdout
        for model in ("starter", str(tmp_path / "model"))
    )
    assert ours == theirs


def test_every_layout_can_be_written(tmp_path: Path) -> None:
    for layout in ("huggingface", "openclip"):
        source = str(REFERENCE / "hf-clip")
        assert run_cli("models", "convert", source, tmp_path / layout, "--layout", layout).status == 0
        assert read_checkpoint(tmp_path / layout).config == read_checkpoint(REFERENCE / "hf-clip").config


def test_what_a_layout_cannot_hold_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    answer = run_cli("models", "convert", "starter", tmp_path / "model", "--layout", "huggingface")
    assert answer.status == 2
    assert answer.stderr == "error: Hugging Face's layout cannot hold a ResNet; OpenCLIP's can\n"
    assert not (tmp_path / "model").exists()


def test_a_folder_that_is_in_use_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    answer = run_cli("models", "convert", "starter", tmp_path, "--layout", "openclip")
    assert answer.status == 2
    assert "is there already" in answer.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
