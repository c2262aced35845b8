"""What a worker is started with."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass

from clipwright.server.settings import ModelSettings


@dataclass(frozen=True)
class WorkerSettings:
    """What a worker is started with: one JSON object on its command line."""

    source: str
    """The model, as load_embedder takes it."""
    name: str
    """As clients call it."""
    picture_pixels: int
    model: ModelSettings

    def dump(self) -> str:
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def parse(cls, text: str) -> WorkerSettings:
        stored = json.loads(text)
        return cls(**{**stored, "model": ModelSettings(**stored["model"])})
