"""The catalogue's short names lead to repositories that exist, and what it says of them is what others say."""

from __future__ import annotations

import ast
import json
import re
import runpy
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from clipwright.checkpoints.catalog import CatalogEntry, catalog
from clipwright.checkpoints.load import hub_name, model_path
from clipwright.errors import RecipeError, UnknownModelError
from clipwright.records import read_record
from tests.checkpoints.test_hub import Hub, hub, load, local_space_id
from tests.support import folder_of

__all__ = ["hub"]
PAGE = Path(__file__).parents[2] / "docs" / "reference" / "models.md"
ACME = CatalogEntry(
    name="acme", repository="acme/clip", licence="MIT", million_parameters=1.0, image_size=64, embed_dim=16
)
"""The hub's repository."""
entries = pytest.mark.parametrize("entry", catalog().values(), ids=catalog())


@pytest.fixture(scope="module")
def published() -> Mapping[str, list[dict[str, Any]]]:
    """The configs of open_clip's models by their repositories, from its files: importing it would take seconds."""
    folder = folder_of("open_clip")

    def until_the_table(body: list[ast.stmt]) -> Iterator[ast.stmt]:
        for statement in body:
            if isinstance(statement, (ast.FunctionDef, ast.Assign)):
                yield statement
            if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "_PRETRAINED":
                return

    module = ast.parse((folder / "pretrained.py").read_text(encoding="utf-8"))
    module.body = list(until_the_table(module.body))
    names = runpy.run_path(str(folder / "constants.py"))
    exec(compile(module, "pretrained.py", "exec"), names)
    configs: dict[str, list[dict[str, Any]]] = {}
    for architecture, tags in names["_PRETRAINED"].items():
        config = json.loads((folder / "model_configs" / f"{architecture}.json").read_text(encoding="utf-8"))
        for tag in tags.values():
            configs.setdefault(tag["hf_hub"].rstrip("/"), []).append(config)
    return configs


@entries
def test_an_entry_is_complete(entry: CatalogEntry) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", entry.name)
    assert entry.licence in ("MIT", "Apache-2.0", "CC-BY-NC-4.0", "apple-amlr")
    assert 50 < entry.million_parameters < 3000
    if entry.imagenet is not None:
        assert 50 < entry.imagenet < 90
        assert entry.source is not None
        assert entry.source.startswith("https://")


def test_no_repository_has_two_names() -> None:
    assert len({entry.repository for entry in catalog().values()}) == len(catalog())


@entries
def test_open_clip_names_the_repository_and_says_the_same_of_it(
    entry: CatalogEntry, published: Mapping[str, list[dict[str, Any]]]
) -> None:
    said = [(config["embed_dim"], config["vision_cfg"]["image_size"]) for config in published[entry.repository]]
    assert (entry.embed_dim, entry.image_size) in said


def test_a_figure_without_a_source_is_refused() -> None:
    table = {"name": "a", "repository": "a/b", "licence": "MIT", "million_parameters": 1, "image_size": 8}
    with pytest.raises(RecipeError, match="imagenet and source go together"):
        read_record(CatalogEntry, {**table, "embed_dim": 8, "imagenet": 70.0}, "a")


@entries
def test_a_short_name_stands_for_its_repository(entry: CatalogEntry) -> None:
    assert hub_name(entry.name) == entry.repository
    assert hub_name(f"{entry.name}@v1") == f"{entry.repository}@v1"


@pytest.mark.parametrize("name", ["openai-vit-b-23", "OpenAI-ViT-B-32", "openai-vit-b-32@", "openai-vit-b-23@main"])
def test_a_mistyped_name_is_answered_with_the_nearest(name: str) -> None:
    with pytest.raises(UnknownModelError, match=f"no model '{name}'; did you mean 'openai-vit-b-32'"):
        model_path(name)


def test_a_name_like_no_other_is_answered_with_where_the_names_are() -> None:
    with pytest.raises(UnknownModelError, match="no model 'zzz'; 'clipwright models' lists the names"):
        model_path("zzz")
    with pytest.raises(UnknownModelError, match="no model 'no/such'"):
        model_path(Path("no/such"))  # a path never means the hub


def test_a_folder_of_that_name_counts_before_the_catalogue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("openai-vit-b-32").mkdir()
    assert model_path("openai-vit-b-32") == Path("openai-vit-b-32")


def test_a_short_name_is_downloaded_from_its_repository(
    tmp_path: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clipwright.checkpoints.load.catalog", lambda: {"acme": ACME})
    assert load("acme@v1", tmp_path, hub) == (0, local_space_id())
    assert any("/acme/clip/revision/v1" in request for request in hub.requests)
    assert load("acme@v1", tmp_path, None, offline=True) == (0, local_space_id())


def test_the_hub_is_asked_for_the_repository_of_the_catalogue(tmp_path: Path, hub: Hub) -> None:
    status, message = load("openai-vit-b-32", tmp_path, hub)
    assert (status, "no repository 'timm/vit_base_patch32_clip_224.openai'" in message) == (2, True)
    assert any("/api/models/timm/vit_base_patch32_clip_224.openai" in request for request in hub.requests)


def test_the_page_of_models_shows_the_catalogue() -> None:
    rows = [
        f"| `{entry.name}` | [{entry.repository}](https://huggingface.co/{entry.repository}) "
        f"| {entry.million_parameters:,.0f} | {entry.image_size} | {entry.embed_dim:,} "
        f"| {'' if entry.imagenet is None else f'[{entry.imagenet}]({entry.source})'} | {entry.licence} |"
        for entry in catalog().values()
    ]
    table = "\n".join(rows)
    assert table in PAGE.read_text(encoding="utf-8"), f"put these rows into {PAGE.name}:\n{table}"
