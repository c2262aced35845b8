"""models lists, pulls and converts."""

from __future__ import annotations

import datetime
import json
import os
import time
from pathlib import Path

import huggingface_hub.constants
import pytest

from clipwright.checkpoints import hub
from clipwright.checkpoints.catalog import catalog
from clipwright.checkpoints.folder import read_checkpoint
from clipwright.embedding.cache import ModelCache
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
    asked: list[tuple[str, str | None]] = []

    def pull(name: str, which: str | None) -> Path:
        asked.append((name, which))
        return REFERENCE / "hf-clip"

    monkeypatch.setattr(hub, "pull", pull)
    answer = run_cli("models", "pull", "siglip-b-16-256@main")
    assert (answer.status, answer.stderr) == (0, "")
    assert answer.stdout.startswith("siglip-b-16-256@main: 64 px,")
    assert asked == [("timm/ViT-B-16-SigLIP-256@main", None)]


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


# Kept ready


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelCache:
    """A cache of two models: one used today, one last used 40 days ago."""
    monkeypatch.setenv("CLIPWRIGHT_HOME", str(tmp_path))
    cache = ModelCache()
    for key, size, days in (("image-onnx-int8-1.31.1-aaaaaaaa-bbbbbbbb", 2_000_000, 0), ("text-old-cc-dd", 3000, 40)):
        folder = cache.open("0123456789abcdef", key, lambda folder, size=size: write(folder, size))  # type: ignore[misc]
        assert folder is not None
        then = time.time() - days * 24 * 3600
        os.utime(folder, (then, then))
    return cache


def write(folder: Path, size: int) -> None:
    (folder / "graph.onnx").write_bytes(bytes(size))


def test_what_is_kept_ready_is_listed_with_its_total(kept: ModelCache) -> None:
    answer = run_cli("models", "cache")
    assert (answer.status, answer.stderr) == (0, "")
    head, *rows, total = answer.stdout.splitlines()
    assert head.split() == ["space", "for", "size", "last", "used"]
    today = datetime.date.today().isoformat()
    assert rows[0].split() == ["0123456789abcdef", "image-onnx-int8-1.31.1", "2.0", "MB", today]
    assert rows[1].split()[:4] == ["0123456789abcdef", "text-old", "3", "kB"]
    assert total == f"2.0 MB in {kept.folder}"
    assert max(map(len, [head, *rows])) <= 80


def test_json_holds_every_field_of_what_is_kept(kept: ModelCache) -> None:
    records = [json.loads(line) for line in run_cli("models", "cache", "--json").stdout.splitlines()]
    for record, entry in zip(records, kept.entries(), strict=True):
        used = datetime.datetime.fromisoformat(record.pop("used"))
        assert used.timestamp() == pytest.approx(entry.used, abs=1)
        assert record == {
            "space_id": entry.space_id,
            "key": entry.key,
            "path": str(entry.path),
            "size": entry.size,
        }


def test_prune_removes_what_was_unused_for_thirty_days(kept: ModelCache) -> None:
    answer = run_cli("models", "cache", "--prune")
    assert answer.status == 0
    _, row, freed = answer.stdout.splitlines()
    assert row.split()[1] == "text-old"
    assert freed == "3 kB freed"
    assert [entry.key for entry in kept.entries()] == ["image-onnx-int8-1.31.1-aaaaaaaa-bbbbbbbb"]


@pytest.mark.parametrize(("days", "left"), [("41", 2), ("39", 1), ("0", 0)])
def test_prune_takes_so_many_days_for_long(kept: ModelCache, days: str, left: int) -> None:
    answer = run_cli("models", "cache", "--prune", "--days", days, "--json")
    assert answer.status == 0
    assert len(answer.stdout.splitlines()) == 2 - left
    assert len(list(kept.entries())) == left


def test_days_without_prune_are_refused(kept: ModelCache) -> None:
    answer = run_cli("models", "cache", "--days", "0")
    assert (answer.status, answer.stderr) == (2, "error: --days says what --prune removes; add --prune\n")
    assert len(list(kept.entries())) == 2


def test_an_empty_cache_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLIPWRIGHT_HOME", str(tmp_path))
    assert run_cli("models", "cache").stdout == f"0 kB in {tmp_path / 'cache'}\n"
    assert run_cli("models", "cache", "--prune").stdout == "0 kB freed\n"
    assert run_cli("models", "cache", "--json").stdout == ""


def test_what_embedding_keeps_is_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLIPWRIGHT_HOME", str(tmp_path))
    assert run_cli("embed", "--text", "a cat", "--precision", "int8", "--quiet").status == 0
    (record,) = [json.loads(line) for line in run_cli("models", "cache", "--json").stdout.splitlines()]
    assert record["key"].startswith("text-onnx-int8-")
    assert record["space_id"] == json.loads(run_cli("info", "--json").stdout)["space_id"]
