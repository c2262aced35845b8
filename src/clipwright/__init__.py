"""clipwright: a complete CLIP system. The public names are imported when they are first used."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clipwright.api import Classification as Classification
    from clipwright.api import classify as classify
    from clipwright.api import load as load
    from clipwright.api import similarity as similarity
    from clipwright.embedding.embedder import Embedder as Embedder
    from clipwright.errors import ClipwrightError as ClipwrightError
    from clipwright.errors import Failure as Failure
    from clipwright.errors import ImageError as ImageError
    from clipwright.index.filters import Filters as Filters
    from clipwright.index.photo import Hit as Hit
    from clipwright.index.photo_index import PhotoIndex as PhotoIndex
    from clipwright.inputs.input_spec import InputSpec as InputSpec
    from clipwright.tasks.classifier import LabelScore as LabelScore

__version__ = "0.1.0"

_HOMES = {
    "Classification": "api",
    "LabelScore": "tasks.classifier",
    "classify": "api",
    "load": "api",
    "similarity": "api",
    "Embedder": "embedding.embedder",
    "ClipwrightError": "errors",
    "Failure": "errors",
    "ImageError": "errors",
    "Filters": "index.filters",
    "Hit": "index.photo",
    "PhotoIndex": "index.photo_index",
    "InputSpec": "inputs.input_spec",
}
__all__ = (
    "Classification",
    "ClipwrightError",
    "Embedder",
    "Failure",
    "Filters",
    "Hit",
    "ImageError",
    "InputSpec",
    "LabelScore",
    "PhotoIndex",
    "classify",
    "load",
    "similarity",
)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'clipwright' has no attribute {name!r}")
    return getattr(importlib.import_module(f"clipwright.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
