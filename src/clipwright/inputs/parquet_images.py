"""Parquet files in the Hugging Face image convention: pictures as bytes, with labels or captions beside them."""

from __future__ import annotations

import bisect
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np

from clipwright.errors import DatasetError, MissingExtraError


class ParquetImages:
    """The rows of one Parquet file, held in memory as Arrow arrays; reading a row makes no copy of the rest.

    Column 'image' is a struct of 'bytes' and 'path'; 'label' (integers) and 'captions' (lists) or 'caption' (strings)
    may stand beside it. Raises DatasetError where the file is no such thing.
    """

    def __init__(self, path: Path) -> None:
        try:
            import pyarrow as pa
            import pyarrow.parquet as pq
        except ImportError as error:
            raise MissingExtraError("reading Parquet files", "data") from error
        self.path = path
        try:
            schema = pq.read_schema(path)
            wanted = [name for name in ("image", "label", "captions", "caption") if name in schema.names]
            self._table = pq.read_table(path, columns=wanted)
        except FileNotFoundError as error:
            raise DatasetError(f"no data set at {str(path)!r}") from error
        except (pa.ArrowException, OSError) as error:
            raise DatasetError(f"{str(path)!r} cannot be read as Parquet: {error}") from error
        kind = schema.field("image").type if "image" in wanted else pa.null()
        if not pa.types.is_struct(kind) or kind.get_field_index("bytes") < 0:
            raise DatasetError(
                f"{str(path)!r} has no column 'image' of pictures; its columns: {', '.join(schema.names)}"
            )
        self._images = self._table.column("image").chunks
        self._starts = [0, *itertools.accumulate(len(chunk) for chunk in self._images)]
        self.class_names = _class_names(schema.metadata or {})

    def __len__(self) -> int:
        return int(self._table.num_rows)

    @property
    def has_labels(self) -> bool:
        return "label" in self._table.column_names

    @property
    def has_captions(self) -> bool:
        return bool({"captions", "caption"} & set(self._table.column_names))

    def image(self, row: int) -> bytes:
        """The encoded picture of a row; b'' where it has none."""
        chunk = bisect.bisect_right(self._starts, row) - 1
        value = self._images[chunk][row - self._starts[chunk]]
        data: bytes | None = value["bytes"].as_py() if value.is_valid else None
        return data or b""

    def name(self, row: int) -> str:
        """How a row is called in messages."""
        return f"{self.path.name} row {row}"

    def labels(self) -> list[int]:
        """The label of every row, -1 where a row has none. Raises DatasetError where the file has none at all."""
        if not self.has_labels:
            raise DatasetError(f"{str(self.path)!r} has no column 'label'")
        return [-1 if label is None else int(label) for label in self._table.column("label").to_pylist()]

    def captions(self) -> list[list[str]]:
        """The captions of every row, which may be none. Raises DatasetError where the file has no column of them."""
        if not self.has_captions:
            raise DatasetError(f"{str(self.path)!r} has no column 'captions' or 'caption'")
        if "captions" in self._table.column_names:
            rows = self._table.column("captions").to_pylist()
        else:
            rows = [[caption] for caption in self._table.column("caption").to_pylist()]
        return [[caption for caption in row or () if caption and caption.strip()] for row in rows]


def held_out(count: int, every: int) -> np.ndarray:
    """(count,) bool: the last of each `every` rows, which training leaves alone."""
    return np.asarray(np.arange(count) % every == every - 1)


def _class_names(metadata: dict[bytes, bytes]) -> list[str] | None:
    """Names of the classes from the metadata that the Hugging Face libraries write, or None."""
    try:
        features: Any = json.loads(metadata[b"huggingface"])["info"]["features"]
        names = features["label"]["names"]
    except (KeyError, ValueError, TypeError):
        return None
    return [str(name) for name in names]
