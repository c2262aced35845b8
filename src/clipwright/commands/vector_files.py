"""Where embed writes: an array with a list of sources, Parquet, or JSON Lines."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

import numpy as np

from clipwright.atomic import replacing
from clipwright.commands.output import failure_record, print_json, source_fields
from clipwright.errors import ClipwrightError, Failure, MissingExtraError


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


def open_vector_file(path: Path | None) -> VectorFile:
    """The file that embed writes, by its ending; None is JSON Lines on stdout. Raises ClipwrightError otherwise."""
    if path is None:
        return _JsonLines(None)
    kinds: dict[str, Callable[[Path], VectorFile]] = {".npy": _Array, ".parquet": _Parquet, ".jsonl": _JsonLines}
    if path.suffix not in kinds:
        raise ClipwrightError(f"--out {str(path)!r} must end in {', '.join(kinds)}")
    if not path.parent.is_dir():
        raise ClipwrightError(f"--out {str(path)!r}: there is no folder {str(path.parent)!r}; make it first")
    return kinds[path.suffix](path)


class _JsonLines(VectorFile):
    def __init__(self, path: Path | None) -> None:
        self._file: TextIO | None = path.open("w", encoding="utf-8") if path else None

    def add(self, source: object, vector: np.ndarray) -> None:
        self._write({**source_fields(source), "embedding": [float(f"{value:.9g}") for value in vector]})

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

    def __init__(self, path: Path) -> None:
        self._path = path
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
        vectors = np.array(self._vectors, np.float32).reshape(len(self._vectors), -1)
        names = self._path.with_name(self._path.name + ".sources.json")
        with replacing(names) as temporary:
            temporary.write_text(json.dumps(sources, ensure_ascii=False, indent=0), encoding="utf-8")
        with replacing(self._path) as temporary, temporary.open("wb") as file:
            np.save(file, vectors)


class _Parquet(_Collected):
    def __init__(self, path: Path) -> None:
        super().__init__(path)
        try:
            import pyarrow  # noqa: F401
        except ImportError as error:
            raise MissingExtraError("writing Parquet files", "data") from error

    def close(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        width = len(self._vectors[0]) if self._vectors else 0
        flat = pa.array(np.concatenate(self._vectors) if self._vectors else np.zeros(0, np.float32), pa.float32())
        columns: dict[str, Any] = {
            "source": pa.array([fields["source"] for fields in self._sources], pa.string()),
            "embedding": pa.FixedSizeListArray.from_arrays(flat, max(1, width)),
        }
        with replacing(self._path) as temporary:
            pq.write_table(pa.table(columns), temporary)
