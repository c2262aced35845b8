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

    Column 'image' is a struct of 'bytes' and 'path'; 'label' (integers) and 'captions' or 'caption' (each lists or
    strings) may stand beside it. Raises DatasetError where the file is no such thing.
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
        self._columns = ", ".join(f"{field.name} ({_shown(field.type)})" for field in schema)
        """All of the file, for messages."""
        kind = schema.field("image").type if "image" in wanted else pa.null()
        if not pa.types.is_struct(kind) or kind.get_field_index("bytes") < 0:
            raise DatasetError(
                f"{str(path)!r} has no column 'image' of pictures, each a struct of 'bytes' and 'path'; its columns:"
                f" {self._columns}"
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

    def image(self, row: int) -> bytes | Path:
        """The encoded picture of a row; where it has none, the file that its path names from the Parquet file's folder,
        as Hugging Face's libraries keep pictures that they leave where they are; b'' where it has neither."""
        chunk = bisect.bisect_right(self._starts, row) - 1
        value = self._images[chunk][row - self._starts[chunk]].as_py() or {}
        data: bytes | None = value.get("bytes")
        path: str | None = value.get("path")
        if data is None and path:
            return self.path.parent / path
        return data or b""

    def name(self, row: int) -> str:
        """How a row is called in messages."""
        return f"{self.path.name} row {row}"

    def labels(self) -> list[int]:
        """The label of every row, -1 where a row has none. Raises DatasetError where the file has none at all."""
        if not self.has_labels:
            raise self._lacks("'captions', 'caption' or 'label'")
        values = self._table.column("label").to_pylist()
        if not all(value is None or (type(value) in (int, float) and value % 1 == 0) for value in values):
            raise DatasetError(
                f"the column 'label' of {str(self.path)!r} holds no whole numbers; its columns: {self._columns}"
            )
        return [-1 if value is None else int(value) for value in values]

    def captions(self) -> list[list[str]]:
        """The captions of every row, which may be none. Raises DatasetError where the file has no column of them."""
        name = "captions" if "captions" in self._table.column_names else "caption"
        if not self.has_captions:
            raise self._lacks("'captions' or 'caption'")
        rows = [row if isinstance(row, list) else [row] for row in self._table.column(name).to_pylist()]
        if not all(caption is None or isinstance(caption, str) for row in rows for caption in row):
            raise DatasetError(
                f"the column {name!r} of {str(self.path)!r} holds no texts; its columns: {self._columns}"
            )
        return [[caption for caption in row if caption and caption.strip()] for row in rows]

    def _lacks(self, names: str) -> DatasetError:
        return DatasetError(
            f"{str(self.path)!r} has no column {names}; its columns: {self._columns}; rename the one that is meant"
        )


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


def _shown(kind: Any) -> str:
    return "struct" if str(kind).startswith("struct") else str(kind)
