"""OpenCLIP's config, read strictly: every key must be asked for, or is known to change nothing at inference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clipwright.errors import CheckpointError

CONFIG_FILE = "open_clip_config.json"
_NO_EFFECT = {
    "patch_dropout",
    "timm_model_pretrained",
    "timm_drop",
    "timm_drop_path",
    "timm_proj_bias",
    "output_tokens",
    "attn_pooler_queries",
    "attn_pooler_heads",
    "hf_model_pretrained",
    "hf_proj_type",
    "hf_pooler_type",
    "block_type",
}
"""Keys that matter in training only, or belong to something that is refused by another key."""


class ConfigTable:
    """A table of the config whose keys must all be asked for."""

    def __init__(self, table: object, where: str, file: str = CONFIG_FILE) -> None:
        if not isinstance(table, Mapping):
            raise CheckpointError(f"{file}: {where} is no table")
        self.file = file
        self._table, self._where, self._asked = table, where, set(_NO_EFFECT)

    def get(self, key: str, default: Any) -> Any:
        self._asked.add(key)
        value = self._table.get(key, default)
        return default if value is None else value

    def whole(self, key: str, default: int | None = None) -> int:
        value = self.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise CheckpointError(f"{self.file}: {self._where}.{key} must be a whole number above 0, not {value!r}")
        return value

    def number(self, key: str, default: float) -> float:
        value = self.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise CheckpointError(f"{self.file}: {self._where}.{key} must be a number, not {value!r}")
        return float(value)

    def side(self, key: str, default: int) -> int:
        """The side of a square, which may be given as one number or as two."""
        value = self.get(key, default)
        if isinstance(value, list) and len(value) == 2 and value[0] == value[1]:
            value = value[0]
        if isinstance(value, bool) or not isinstance(value, int):
            raise CheckpointError(f"{self.file}: {self._where}.{key} is {value!r}; clipwright's towers read squares")
        return value

    def channels(self, key: str, default: tuple[float, float, float]) -> tuple[float, float, float]:
        value = self.get(key, default)
        if not isinstance(value, list | tuple) or len(value) != 3 or not all(isinstance(v, int | float) for v in value):
            raise CheckpointError(f"{self.file}: {self._where}.{key} must be three numbers, not {value!r}")
        return float(value[0]), float(value[1]), float(value[2])

    def states(self, key: str) -> bool:
        return self._table.get(key) is not None

    def refuse(self, key: str, accepted: Any, lacking: str) -> None:
        """Raises CheckpointError where key asks for something other than what is accepted, or the default."""
        value = self.get(key, accepted)
        if value != accepted:
            raise CheckpointError(f"{self.file}: {self._where}.{key} is {value!r}; clipwright has no {lacking}")

    def finish(self) -> None:
        unknown = [key for key, value in self._table.items() if key not in self._asked and value not in (None, False)]
        if unknown:
            raise CheckpointError(f"{self.file}: {self._where} has the key {unknown[0]!r}, which is not known here")
