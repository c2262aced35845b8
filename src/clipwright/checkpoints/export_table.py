"""What our own export says of its graphs: the table in input.json (docs/guides/export.md)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from clipwright.checkpoints.small_files import read_json
from clipwright.errors import CheckpointError, RecipeError
from clipwright.inputs.input_spec import InputSpec
from clipwright.records import read_record

FORMAT_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class ExportTable:
    """Graphs, and all that one must know to feed them."""

    format: int
    model: str
    """How it was called."""
    space_id: str
    """Of the model that the graphs were made of."""
    files_id: str | None = None
    """Of the graphs, as files_id gives it, when they were written; older exports lack it."""
    variant: Literal["exact-fp32", "exact-bf16", "exact-int8"]
    """How vectors are made with these graphs: pixels are to be prepared exactly."""
    embed_dim: int
    scores: Literal["softmax", "sigmoid"]
    scale: float
    bias: float | None
    image: Any
    """Names of the graph and of its weights, and what it takes and gives."""
    text: Any
    tokenizer: str | None
    """Name of the file, where there is one."""
    input: InputSpec
    config: Any
    provenance: Any

    @property
    def precision(self) -> str:
        return self.variant.partition("-")[2]


def read_export_table(path: Path) -> ExportTable:
    """The table in this file. Raises CheckpointError where it is of another version, or none."""
    table = read_json(path)
    version = table.get("format")
    if version != FORMAT_VERSION:
        raise CheckpointError(
            f"{str(path)!r} has format {version!r}, this clipwright reads {FORMAT_VERSION}; update clipwright"
        )
    try:
        read = read_record(ExportTable, table, path.name)
        if not math.isfinite(read.scale) or not math.isfinite(read.bias or 0):
            raise CheckpointError(f"{str(path)!r} has scale {read.scale} and bias {read.bias}, which are no numbers")
        return read
    except RecipeError as error:
        raise CheckpointError(f"{str(path)!r} does not fit: {error}") from error
