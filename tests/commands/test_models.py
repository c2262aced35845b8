"""models lists, pulls and converts."""

from __future__ import annotations

import json
from pathlib import Path

import huggingface_hub.constants
import pytest

from clipwright.checkpoints import hub
from clipwright.checkpoints.catalog import catalog
from clipwright.checkpoints.folder import read_checkpoint
from tests.support import REFERENCE, run_cli


@pytest.fixture(autouse=True)
def hub_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The hub's cache on this machine, empty but for the RN50 of OpenAI."""
    cache = tmp_path_factory.mktemp("cache")
    repository = cache / "models--timm--resnet50_clip.openai"
    commit = "0123456789abcdef0123456789abcdef01234567"
    snapshot = repository / "snapshots" / commit
    snapshot.mkdir(parents=True)
    for name in ("open_clip_config.json", "open_clip_model.safetensors", "tokenizer.json", "tokenizer_config.json"):
        (snapshot / name).touch()
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
    return cache


def test_all_models_are_listed_within_80_columns() -> None:
    answer = run_cli("models")
    assert (answer.status, answer.stderr) == (0, "")
    lines = answer.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].startswith("starter     22.2 MB, 96 px")
    names = [line.split()[0] for line in lines[lines.index("") + 2 :]]
    assert names == list(catalog())
    assert "dfn2b-vit-b-16              150  224      512       76.24  apple-amlr" in lines


def test_models_of_the_cache_are_marked() -> None:
    table = [line for line in run_cli("models").stdout.splitlines() if line.endswith("yes")]
    assert [line.split()[0] for line in table] == ["openai-rn50"]


def test_json_holds_every_field_of_every_model() -> None:
    starter, *published = map(json.loads, run_cli("models", "--json").stdout.splitlines())
    assert (starter["name"], starter["repository"], starter["cached"]) == ("starter", None, True)
    assert [record["name"] for record in published if record["cached"]] == ["openai-rn50"]
    for record, entry in zip(published, catalog().values(), strict=True):
        assert record.keys() == starter.keys()
        assert {**vars(entry), "cached": record["cached"]} == record


def test_a_short_name_is_pulled_from_its_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def pull(name: str) -> Path:
        asked.append(name)
        return REFERENCE / "hf-clip"

    monkeypatch.setattr(hub, "pull", pull)
    answer = run_cli("models", "pull", "siglip-b-16-256@main")
    assert (answer.status, answer.stderr) == (0, "")
    assert answer.stdout.startswith("siglip-b-16-256@main: 64 px,")
    assert asked == ["timm/ViT-B-16-SigLIP-256@main"]


def test_what_is_not_on_the_hub_is_not_pulled() -> None:
    answer = run_cli("models", "pull", "siglip-b-61-256")
    assert answer.status == 2
    assert "no model 'siglip-b-61-256'; did you mean 'siglip-b-16-256'" in answer.stderr
    answer = run_cli("models", "pull", "starter")
    assert (answer.status, "in the package, not on the hub" in answer.stderr) == (2, True)


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
