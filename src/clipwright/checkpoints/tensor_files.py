"""Tensors in the files that models are published in, as memory-mapped arrays, without torch.

A file is told by its content: safetensors, or the zip archives of torch.save and of TorchScript. Of the pickle inside
such an archive only tensors, plain containers and the attributes of modules are read; nothing in it can run.
"""

from __future__ import annotations

import json
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from safetensors import SafetensorError, safe_open

from clipwright.errors import CheckpointError

_SAFETENSORS_TYPES: dict[str, Any] = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "BF16": ml_dtypes.bfloat16,
    "I64": np.int64,
    "I32": np.int32,
    "I16": np.int16,
    "I8": np.int8,
    "U8": np.uint8,
    "BOOL": np.bool_,
}
_ZIP_START = b"PK\x03\x04"
_LOCAL_HEADER = struct.Struct("<4s22xHH")
"""Of a member of a zip: signature, length of its name, length of its extra field; its bytes follow these."""
_LARGEST_PICKLE = 64 * 2**20
"""Bytes of an archive's pickle: names and shapes take kilobytes even in the largest models."""


_LEGACY_START = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""Of torch.save before 1.6: its magic number, pickled."""
_OTHER_FILES: dict[bytes, str] = {
    b"GGUF": "is a GGUF file, for llama.cpp and its kin; take the model that it was made from",
    b"\x89HDF": "holds TensorFlow's weights; open it with transformers (from_tf=True) and save it again",
    b"version https://git-lfs": "is a pointer of Git LFS, not the file that it stands for: git lfs pull",
    b"<": "is a web page or other markup, not a model; was it fetched from the address of the file itself?",
}
"""What is taken for a model, by how it begins."""
_FIRST_BYTES = 2**16


def read_tensors(path: Path) -> dict[str, np.ndarray]:
    """Every tensor of the file by its name, memory-mapped and read-only; of a training checkpoint its weights.

    A TorchScript archive gives parameters, buffers and number attributes under their dotted names.
    Raises CheckpointError where the file is truncated, of no known kind, or asks for code to be run.
    """
    try:
        with path.open("rb") as file:
            start = file.read(_FIRST_BYTES)
        if start.startswith(_ZIP_START):
            return _TorchArchive(path).tensors()
        if start[8:9] == b"{":
            return dict(_read_safetensors(path))
    except zipfile.BadZipFile as error:
        raise CheckpointError(
            f"{str(path)!r} begins like an archive of torch and is cut short or damaged ({error}); fetch it again"
        ) from error
    except OSError as error:
        raise CheckpointError(f"{str(path)!r} cannot be read as a model: {error}") from error
    raise CheckpointError(f"{str(path)!r}{_what_else(start)}")


def _what_else(start: bytes) -> str:
    """What a file of no kind that is read is, in words that go behind its name."""
    if not start:
        return " is empty; fetch it again"
    if start[:1] == b"\x80":
        from clipwright.checkpoints.torch_pickle import first_class, whole_object

        kind = None if start.startswith(_LEGACY_START) else first_class(start)
        if kind is not None:
            return f": {whole_object(kind)}"
        return (
            " is a pickle from before torch 1.6, which is not read; open it with torch.load(weights_only=True) and save"
            " it again"
        )
    known = next((what for begins, what in _OTHER_FILES.items() if start.startswith(begins)), None)
    return f" {known or 'cannot be read as a model: it is neither a safetensors file nor an archive of torch'}"


def _read_safetensors(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    try:
        with safe_open(path, framework="numpy"):  # checks sizes, offsets and the file's length
            pass
    except SafetensorError as error:
        raise CheckpointError(
            f"{str(path)!r} begins like a safetensors file and is cut short or damaged ({error}); fetch it again"
        ) from error
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
    data = np.memmap(path, np.uint8, "r", offset=8 + length) if path.stat().st_size > 8 + length else np.empty(0, "u1")
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        if entry["dtype"] not in _SAFETENSORS_TYPES:
            raise CheckpointError(f"{str(path)!r} holds {name!r} as {entry['dtype']}, which is not read")
        begin, end = entry["data_offsets"]
        yield name, data[begin:end].view(_SAFETENSORS_TYPES[entry["dtype"]]).reshape(entry["shape"])


class _TorchArchive:
    """A zip of torch.save or torch.jit.save: one pickle, and each storage as a member that is not compressed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with zipfile.ZipFile(path) as archive:
            self._members = {member.filename: member for member in archive.infolist()}
            roots = [name.removesuffix("data.pkl") for name in self._members if name.count("/") == 1]
            roots = [root for root in roots if root.endswith("/") and f"{root}data.pkl" in self._members]
            if len(set(roots)) != 1:
                held = ", ".join(sorted(self._members)[:3])
                raise CheckpointError(
                    f"{str(path)!r} is a zip, but not one of torch: it has no data.pkl, but {held or 'nothing'}"
                )
            self._root = roots[0]
            pickled = self._members[f"{self._root}data.pkl"]
            if pickled.file_size > _LARGEST_PICKLE:
                raise CheckpointError(f"{str(path)!r} holds a pickle of {pickled.file_size:,} bytes; that is no model")
            self._pickle = archive.read(pickled)
            order = self._members.get(f"{self._root}byteorder")
            if order is not None and order.file_size < 16 and archive.read(order).strip() != b"little":
                raise CheckpointError(f"{str(path)!r} was written on a big-endian machine, which is not read")
        self._bytes = np.memmap(path, np.uint8, "r")

    def tensors(self) -> dict[str, np.ndarray]:
        from clipwright.checkpoints.torch_pickle import read_pickle

        try:
            return read_pickle(self._pickle, self._storage)
        except CheckpointError as error:
            raise CheckpointError(f"{str(self._path)!r}: {error}") from error
        except Exception as error:  # hostile bytes make the reader fail in every way
            raise CheckpointError(f"{str(self._path)!r} holds a damaged pickle: {error!r}") from error

    def _storage(self, key: str, dtype: Any, count: int) -> np.ndarray:
        member = self._members.get(f"{self._root}data/{key}")
        if member is None:
            raise CheckpointError(f"storage {key!r} is missing")
        if member.compress_type != zipfile.ZIP_STORED or member.file_size != count * np.dtype(dtype).itemsize:
            raise CheckpointError(f"storage {key!r} is compressed or not as long as it says")
        offset = member.header_offset
        signature, name, extra = _LOCAL_HEADER.unpack(self._bytes[offset : offset + _LOCAL_HEADER.size].tobytes())
        begin = offset + _LOCAL_HEADER.size + name + extra
        if signature != _ZIP_START or begin + member.file_size > len(self._bytes):
            raise CheckpointError(f"storage {key!r} lies outside the file")
        return self._bytes[begin : begin + member.file_size].view(dtype)
