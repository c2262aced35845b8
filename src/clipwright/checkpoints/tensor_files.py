"""Tensors in the files that models are published in, as memory-mapped arrays, without torch.

A file is told by its content: safetensors, or the zip archives of torch.save and of TorchScript. Of the pickle inside
such an archive only tensors, plain containers and the attributes of modules are read; nothing in it can run.
"""

from __future__ import annotations

import collections
import io
import json
import math
import pickle
import struct
import zipfile
from collections.abc import Iterator, Mapping
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
_TORCH_TYPES: dict[str, Any] = {
    "DoubleStorage": np.float64,
    "FloatStorage": np.float32,
    "HalfStorage": np.float16,
    "BFloat16Storage": ml_dtypes.bfloat16,
    "LongStorage": np.int64,
    "IntStorage": np.int32,
    "ShortStorage": np.int16,
    "CharStorage": np.int8,
    "ByteStorage": np.uint8,
    "BoolStorage": np.bool_,
}
_ZIP_START = b"PK\x03\x04"
_LOCAL_HEADER = struct.Struct("<4s22xHH")
"""Of a member of a zip: signature, length of its name, length of its extra field; its bytes follow these."""
_LARGEST_PICKLE = 64 * 2**20
"""Bytes of an archive's pickle: names and shapes take kilobytes even in the largest models."""


def read_tensors(path: Path) -> dict[str, np.ndarray]:
    """Every tensor of the file by its name, memory-mapped and read-only.

    A TorchScript archive gives parameters, buffers and number attributes under their dotted names.
    Raises CheckpointError where the file is truncated, of no known kind, or asks for code to be run.
    """
    try:
        with path.open("rb") as file:
            start = file.read(16)
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
    if not start:
        raise CheckpointError(f"{str(path)!r} is empty; fetch it again")
    if start[:1] == b"\x80":
        raise CheckpointError(
            f"{str(path)!r} is a pickle from before torch 1.6, which is not read; "
            "open it with torch.load(weights_only=True) and save it again"
        )
    raise CheckpointError(
        f"{str(path)!r} cannot be read as a model: it is neither a safetensors file nor an archive of torch"
    )


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
                raise CheckpointError(f"{str(path)!r} is a zip, but not one of torch: it has no data.pkl")
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
        try:
            root = _TensorUnpickler(io.BytesIO(self._pickle), self._storage).load()
        except CheckpointError as error:
            raise CheckpointError(f"{str(self._path)!r}: {error}") from error
        except Exception as error:  # hostile bytes make the reader fail in every way
            raise CheckpointError(f"{str(self._path)!r} holds a damaged pickle: {error!r}") from error
        if isinstance(root, Mapping) and isinstance(root.get("state_dict"), Mapping):
            root = root["state_dict"]  # a training checkpoint
        return dict(_flatten(root, "", 0))

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


class _Module:
    """Stands for any object of the archive: it only keeps its attributes."""

    def __init__(self) -> None:
        self.attributes: dict[str, Any] = {}

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, dict):
            raise CheckpointError("a module's attributes are no table")
        self.attributes = state


class _TensorUnpickler(pickle.Unpickler):
    """Finds nothing but what rebuilds tensors and plain containers."""

    def __init__(self, file: Any, storage: Any) -> None:
        super().__init__(file, encoding="utf-8")
        self._storage = storage
        self._storages: dict[str, np.ndarray] = {}

    def persistent_load(self, pid: Any) -> np.ndarray:
        kind, storage_type, key, _, count = pid
        if kind != "storage" or not isinstance(storage_type, _StorageType):
            raise CheckpointError(f"asks for {kind!r}, which is no tensor")
        if key not in self._storages:
            self._storages[key] = self._storage(str(key), storage_type.dtype, int(count))
        return self._storages[key]

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and name in _TORCH_TYPES:
            return _StorageType(_TORCH_TYPES[name])
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda *arguments: _rebuild(*arguments[:4])
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return lambda tensor, *rest: tensor
        if (module, name) == ("collections", "OrderedDict"):
            return type("Table", (collections.OrderedDict,), {})  # a class of this file's own, to do with as it likes
        if module == "torch.jit._pickle" and name in ("build_intlist", "build_doublelist", "build_boollist"):
            return lambda items: items
        if module == "__torch__" or module.startswith("__torch__."):
            return type("Module", (_Module,), {})
        raise CheckpointError(f"holds a pickle that asks for {module}.{name}; only tensors are read")


class _StorageType:
    def __init__(self, dtype: Any) -> None:
        self.dtype = dtype


def _rebuild(storage: np.ndarray, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> np.ndarray:
    """A tensor as a view into its storage, within its bounds."""
    if len(shape) != len(strides) or min((offset, *shape, *strides)) < 0:
        raise CheckpointError("a tensor's shape and strides do not fit each other")
    last = offset + sum((side - 1) * stride for side, stride in zip(shape, strides, strict=True))
    if math.prod(shape) and last >= len(storage):
        raise CheckpointError("a tensor reaches beyond its storage")
    steps = [stride * storage.itemsize for stride in strides]
    return np.lib.stride_tricks.as_strided(storage[offset:], shape, steps, writeable=False)


def _flatten(value: Any, name: str, depth: int) -> Iterator[tuple[str, np.ndarray]]:
    """The arrays under their dotted names; numbers that a module keeps are arrays without axes."""
    if depth > 64:
        raise CheckpointError("modules are nested more than 64 deep")
    if isinstance(value, np.ndarray):
        yield name, value
    elif isinstance(value, bool | str) or value is None:
        return
    elif isinstance(value, int | float):
        yield name, np.asarray(value)
    elif isinstance(value, (_Module, Mapping)):
        entries = value.attributes if isinstance(value, _Module) else value
        for key, item in entries.items():
            yield from _flatten(item, f"{name}.{key}" if name else str(key), depth + 1)
