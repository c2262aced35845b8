"""The published models that have a short name: where they lie, what they are, and what they are known to reach."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from types import MappingProxyType

from clipwright.records import read_record


@dataclass(frozen=True, kw_only=True)
class CatalogEntry:
    """One table of catalog.toml. Every fact is the publisher's; nothing is measured here."""

    name: str
    """The short name: lower case, with hyphens."""
    repository: str
    """Where it lies on the hub: 'owner/name'."""
    licence: str
    """Of the weights: an SPDX identifier, or the name by which its maker calls it."""
    million_parameters: float
    """Of both towers. Repositories mostly hold four bytes each: 151 million are a download of about 605 MB."""
    image_size: int
    """Side of the square input, in pixels."""
    embed_dim: int
    """Numbers in an embedding."""
    imagenet: float | None = None
    """Zero-shot top-1 accuracy on ImageNet-1k in percent; None where no published figure is known."""
    source: str | None = None
    """The address where imagenet is published."""

    def __post_init__(self) -> None:
        if (self.imagenet is None) != (self.source is None):
            raise ValueError("imagenet and source go together")


@functools.cache
def catalog() -> Mapping[str, CatalogEntry]:
    """The entries by their short names, in the order of the file."""
    import tomllib

    text = (resources.files("clipwright") / "checkpoints" / "catalog.toml").read_text(encoding="utf-8")
    tables = tomllib.loads(text)
    return MappingProxyType(
        {name: read_record(CatalogEntry, {**table, "name": name}, name) for name, table in tables.items()}
    )
