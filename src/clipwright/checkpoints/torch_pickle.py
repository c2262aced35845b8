"""What the pickle inside an archive of torch holds, without running anything of it.

Looked for are tensors, plain containers and the attributes of modules. Training checkpoints keep more beside them:
options, NumPy's numbers, settings of an optimizer. A stand-in takes the place of each such object and knows only what
it stands for. A pickle that calls what is not known to be harmless is refused.
"""

from __future__ import annotations

import collections
import io
import math
import pickle
import pickletools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import ml_dtypes
import numpy as np

from clipwright.errors import CheckpointError

_TYPES: dict[str, Any] = {
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
_HARMLESS = frozenset(
    {
        *(f"numpy.{core}.multiarray.{name}" for core in ("core", "_core") for name in ("scalar", "_reconstruct")),
        *(f"{module}._reconstructor" for module in ("copyreg", "copy_reg")),
        *(f"{module}.{name}" for module in ("builtins", "__builtin__") for name in ("set", "frozenset", "bytearray")),
        *(f"datetime.{name}" for name in ("datetime", "date", "time", "timedelta")),
        *(f"{module}.{name}" for module in ("pathlib", "pathlib._local") for name in ("PosixPath", "WindowsPath")),
        "_codecs.encode",
        "collections.Counter",
        "collections.defaultdict",
        "numpy.dtype",
        "torch.Size",
        "torch.device",
    }
)
"""What a training checkpoint calls to put together what lies beside its weights. Here it only gives a stand-in."""
_WEIGHTS = ("state_dict", "model_state_dict", "model", "module")
"""Under which of its keys a training checkpoint has them, if it leaves a choice: Lightning, tutorials, DeepSpeed."""
_DEEPEST = 64
Storage = Callable[[str, Any, int], np.ndarray]
"""Gives the numbers of a storage, by its key, dtype and count."""


def read_pickle(pickled: bytes, storage: Storage) -> dict[str, np.ndarray]:
    """The weights in a pickle under their dotted names: of a module its numbers too, as arrays without axes.

    Raises CheckpointError where the pickle asks for code to be run, holds an object that only its own code can make, or
    no tensors.
    """
    unpickler = _Unpickler(io.BytesIO(pickled), storage)
    root = unpickler.load()
    if unpickler.called and not (isinstance(root, _StandIn) and root.stands_for not in unpickler.called):
        raise CheckpointError(
            f"it holds a pickle that asks for {unpickler.called[0]}; only tensors are read; if you trust it, open it"
            " where its code is, and save its weights alone"
        )
    tensors = dict(_flatten(_weights_in(root), "", 0))
    if not tensors:
        inside = root.values() if isinstance(root, Mapping) else [root]
        whole = [value.stands_for for value in inside if isinstance(value, _StandIn)]
        raise CheckpointError(whole_object(whole[0]) if whole else "it holds no tensors")
    return tensors


def whole_object(kind: str) -> str:
    """Why an object that was pickled whole is not read."""
    return (
        f"a whole object was pickled here ({kind}), which only its own code can open; if you trust it, open it there"
        " and save its weights alone: torch.save(model.state_dict(), 'weights.pt')"
    )


def first_class(start: bytes) -> str | None:
    """The first class or function that a pickle names, found without unpickling; None where it names none here."""
    strings: list[str] = []
    try:
        for opcode, argument, _ in pickletools.genops(start):
            if opcode.name == "GLOBAL":
                return str(argument).replace(" ", ".")
            if opcode.name == "STACK_GLOBAL":
                return ".".join(strings[-2:])
            if isinstance(argument, str):
                strings.append(argument)
    except ValueError:  # no pickle, or it goes on behind what is looked at
        pass
    return None


class _StorageType:
    def __init__(self, dtype: Any) -> None:
        self.dtype = dtype


class _Module:
    """Stands for a module of TorchScript: it only keeps its attributes."""

    def __init__(self) -> None:
        self.attributes: dict[str, Any] = {}

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, dict):
            raise CheckpointError("a module's attributes are no table")
        self.attributes = state


class _StandInKind(type):
    """The kind of a stand-in. Objects are made without calling it; a call is noted, and gives a stand-in as well."""

    stands_for: str
    called: list[str]

    def __call__(cls, *arguments: object) -> Any:
        if cls.stands_for not in _HARMLESS:
            cls.called.append(cls.stands_for)
        return super().__call__()


class _StandIn(metaclass=_StandInKind):
    """Stands for an object of which nothing is needed; whatever is put into it is dropped."""

    stands_for = ""

    def __new__(cls, *arguments: object, **named: object) -> _StandIn:
        return super().__new__(cls)

    def _drop(self, *arguments: object) -> None: ...

    __setstate__ = __setitem__ = append = extend = add = _drop


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: Any, storage: Storage) -> None:
        super().__init__(file, encoding="utf-8")
        self._storage = storage
        self._storages: dict[str, np.ndarray] = {}
        self.called: list[str] = []
        """What the pickle calls that is not known to be harmless. Nothing of it was called."""

    def persistent_load(self, pid: Any) -> np.ndarray:
        kind, storage_type, key, _, count = pid
        if kind != "storage" or not isinstance(storage_type, _StorageType):
            raise CheckpointError(f"asks for {kind!r}, which is no tensor")
        if key not in self._storages:
            self._storages[key] = self._storage(str(key), storage_type.dtype, int(count))
        return self._storages[key]

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and name in _TYPES:
            return _StorageType(_TYPES[name])
        if module == "__torch__" or module.startswith("__torch__."):
            return type("Module", (_Module,), {})
        if (module, name) == ("collections", "OrderedDict"):
            return type("Table", (collections.OrderedDict,), {})  # a class of this file's own, to do with as it likes
        if (module, name) in _CALLED:
            return _CALLED[module, name]
        return _StandInKind("StandIn", (_StandIn,), {"stands_for": f"{module}.{name}", "called": self.called})


def _rebuild(storage: np.ndarray, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> np.ndarray:
    """A tensor as a view into its storage, within its bounds."""
    if len(shape) != len(strides) or min((offset, *shape, *strides)) < 0:
        raise CheckpointError("a tensor's shape and strides do not fit each other")
    last = offset + sum((side - 1) * stride for side, stride in zip(shape, strides, strict=True))
    if math.prod(shape) and last >= len(storage):
        raise CheckpointError("a tensor reaches beyond its storage")
    steps = [stride * storage.itemsize for stride in strides]
    return np.lib.stride_tricks.as_strided(storage[offset:], shape, steps, writeable=False)


def _rebuild_v2(
    storage: np.ndarray,
    offset: int,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    gradient: bool,
    hooks: Any,
    metadata: Mapping[str, bool] | None = None,
) -> np.ndarray:
    """metadata: says of some views that their numbers are meant with another sign, or conjugated."""
    if metadata:
        raise CheckpointError(f"a tensor is stored as a view ({', '.join(metadata)}); save it as tensor.clone()")
    return _rebuild(storage, offset, shape, strides)


_CALLED: dict[tuple[str, str], Callable[..., Any]] = {
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_v2,
    ("torch._utils", "_rebuild_parameter"): lambda tensor, *rest: tensor,
    ("torch._utils", "_rebuild_parameter_with_state"): lambda tensor, *rest: tensor,
    **{("torch.jit._pickle", f"build_{kind}list"): lambda items: items for kind in ("int", "double", "bool")},
}
"""What rebuilds tensors and plain lists, as functions of this file's own."""


def _weights_in(root: Any) -> Any:
    """What of a training checkpoint the weights are: its largest table of tensors, by name where two are as large."""
    for _ in range(_DEEPEST):
        if not isinstance(root, Mapping):
            break
        counts = {key: _count_tensors(value, {}) for key, value in root.items() if isinstance(value, Mapping)}
        most, here = max(counts.values(), default=0), sum(isinstance(value, np.ndarray) for value in root.values())
        if most <= here:
            break
        known = [key for key in _WEIGHTS if 2 * counts.get(key, 0) > most]
        largest = [key for key, count in counts.items() if count == most]
        if not known and len(largest) > 1:
            break
        root = root[(known or largest)[0]]
    return root


def _count_tensors(table: Mapping[Any, Any], counted: dict[int, int]) -> int:
    """How many tensors a table has, or the largest table in it. counted: those that are known; one may hold itself."""
    if id(table) not in counted:
        counted[id(table)] = 0
        here = sum(isinstance(value, np.ndarray) for value in table.values())
        inside = (value for value in table.values() if isinstance(value, Mapping))
        counted[id(table)] = here or max((_count_tensors(value, counted) for value in inside), default=0)
    return counted[id(table)]


def _flatten(value: Any, name: str, depth: int) -> Iterator[tuple[str, np.ndarray]]:
    if depth > _DEEPEST:
        raise CheckpointError(f"modules are nested more than {_DEEPEST} deep")
    if isinstance(value, np.ndarray):
        yield name, value
    elif isinstance(value, (_Module, Mapping)):
        entries = value.attributes if isinstance(value, _Module) else value
        for key, item in entries.items():
            inner = f"{name}.{key}" if name else str(key)
            if isinstance(value, _Module) and isinstance(item, int | float) and not isinstance(item, bool):
                yield inner, np.asarray(item)
            else:
                yield from _flatten(item, inner, depth + 1)
