"""A server that the tests of routes share."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import clipwright
from clipwright.server.settings import ModelSettings, ServerSettings
from tests.server.serving import Serving, serving
from tests.support import REFERENCE

PHOTOS = tuple(REFERENCE / "pictures" / name for name in ("rocket.jpg", "chelsea.png", "coffee.jpg"))


def data_uri(picture: bytes, kind: str = "jpeg") -> str:
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"


@dataclass(frozen=True)
class StarterServer:
    """A server of the starter with an index of PHOTOS, and the same model in this process."""

    serving: Serving
    embedder: clipwright.Embedder
    photos: dict[str, int]
    """Ids in the index by name."""


@pytest.fixture(scope="session")
def starter_server(tmp_path_factory: pytest.TempPathFactory, home: Path) -> Iterator[StarterServer]:
    folder = tmp_path_factory.mktemp("served")
    (folder / "photos").mkdir()
    for photo in PHOTOS:
        shutil.copy(photo, folder / "photos")
    embedder = clipwright.load("starter", pixels="fast")
    with clipwright.PhotoIndex.open(folder / "photos.db") as index:
        index.update([folder / "photos"], embedder)
    settings = ServerSettings(
        models=("starter",),
        database=folder / "photos.db",
        model=ModelSettings(backend="onnx", precision="fp32", pixels="fast"),
    )
    with serving(settings) as running:
        found = running.client.post("/v1/search", json={"limit": 10}).json()["data"]
        yield StarterServer(running, embedder, {photo["name"]: photo["id"] for photo in found})
