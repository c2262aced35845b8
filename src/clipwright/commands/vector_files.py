"""Where embed writes: an array with a list of sources, Parquet, or JSON Lines."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, TextIO

import numpy as np

from clipwright.atomic import replacing
from clipwright.commands.output import failure_record, print_json, source_fields
from clipwright.errors import Failure, MissingExtraError

VECTOR_FILES = (".npy", ".parquet", ".jsonl")


class VectorFile(ABC):
    """Takes vectors as they are made. What was taken is written also when the work is interrupted."""

    @abstractmethod
    def add(self, source: object, vector: np.ndarray) -> None: ...

    @abstractmethod
    def add_failure(self, failure: Failure) -> None: ...

    @abstractmethod
    def close(self) -> None: ...

    def __enter__(self) -> VectorFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_vector_file(path: Path | None, embed_dim: int, space_id: str, variant: str) -> VectorFile:
    """The file that embed writes, by its ending, one of VECTOR_FILES; None is JSON Lines on stdout.

    The identity of the space and the variant go into it: vectors without them cannot be compared later.
    """
    made = {"space_id": space_id, "variant": variant}
    if path is None or path.suffix == ".jsonl":
        return _JsonLines(path, made)
    return _Array(path, embed_dim, made) if path.suffix == ".npy" else _Parquet(path, embed_dim, made)


class _JsonLines(VectorFile):
    def __init__(self, path: Path | None, made: dict[str, str]) -> None:
        self._made = made
        self._file: TextIO | None = path.open("w", encoding="utf-8") if path else None

    def add(self, source: object, vector: np.ndarray) -> None:
        self._write({**source_fields(source), **self._made, "embedding": [float(f"{value:.9g}") for value in vector]})

    def add_failure(self, failure: Failure) -> None:
        self._write(failure_record(failure))

    def _write(self, record: dict[str, Any]) -> None:
        if self._file is None:
            print_json(record)
        else:
            self._file.write(json.dumps(record, ensure_ascii=False) + "\n")

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


class _Collected(VectorFile):
    """Formats that are written whole, at the end or when the work is interrupted."""

    def __init__(self, path: Path, embed_dim: int, made: dict[str, str]) -> None:
        self._path = path
        self._embed_dim = embed_dim
        self._made = made
        self._sources: list[dict[str, str]] = []
        self._vectors: list[np.ndarray] = []

    def add(self, source: object, vector: np.ndarray) -> None:
        self._sources.append(source_fields(source))
        self._vectors.append(vector)

    def add_failure(self, failure: Failure) -> None:
        """Has no place here; stderr has named it already."""


class _Array(_Collected):
    def close(self) -> None:
        sources = [fields["source"] if len(fields) == 1 else fields for fields in self._sources]
        vectors = np.array(self._vectors, np.float32).reshape(-1, self._embed_dim)
        names = self._path.with_name(self._path.name + ".sources.json")
        # Both are written before either counts.
        with replacing(names) as new_names, replacing(self._path) as new_vectors:
            new_names.write_text(
                json.dumps({**self._made, "sources": sources}, ensure_ascii=False, indent=0), encoding="utf-8"
            )
            with new_vectors.open("wb") as file:
                _write_array(file, vectors)


def _write_array(file: BinaryIO, array: np.ndarray) -> None:
    """What numpy.save writes; but where the disk is full, that one's error does not say so."""
    np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
    file.write(array.data)


class _Parquet(_Collected):
    def __init__(self, path: Path, embed_dim: int, made: dict[str, str]) -> None:
        super().__init__(path, embed_dim, made)
        try:
            import pyarrow  # noqa: F401 - only asks whether it is there
        except ImportError as error:
            raise MissingExtraError("writing Parquet files", "data") from error

    def close(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        flat = pa.array(np.array(self._vectors, np.float32).reshape(-1), pa.float32())
        columns: dict[str, Any] = {
            "source": pa.array([fields["source"] for fields in self._sources], pa.string()),
            "source_bytes": pa.array([fields.get("source_bytes") for fields in self._sources], pa.string()),
            "embedding": pa.FixedSizeListArray.from_arrays(flat, self._embed_dim),
        }
        with replacing(self._path) as temporary:
            pq.write_table(pa.table(columns, metadata=self._made), temporary)
