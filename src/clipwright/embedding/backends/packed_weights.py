"""The weights that ONNX Runtime keeps beside a graph, each moved to where a processor can read it.

ONNX Runtime writes tensors, and what it has packed of them for its kernels, one right after the other. A packed matrix
at an odd place is read, once it is mapped, with instructions that ask for aligned memory: the process dies of it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from clipwright.graph.builder import ALIGNMENT, aligned

if TYPE_CHECKING:
    from onnx import ModelProto

_PACKED = "prepacked"
"""Begins the keys of packed forms, whose values are name|offset;length;checksum|offset;length;checksum|..."""


def align_weights(graph: Path, weights: Path) -> None:
    """Rewrites both files so that every tensor and packed form begins at a multiple of ALIGNMENT in weights.

    Files where all do are left as they are. Raises ValueError where a place is written in another way.
    """
    import onnx

    model = onnx.load(graph, load_external_data=False)
    if _is_aligned(model):
        return
    moved = weights.with_name(f"{weights.name}.aligned")
    with weights.open("rb") as source, moved.open("wb") as target:

        def move(offset: int, length: int) -> int:
            target.write(bytes(aligned(target.tell()) - target.tell()))
            source.seek(offset)
            at = target.tell()
            target.write(source.read(length))
            return at

        _relocate(model, move)
    graph.write_bytes(model.SerializeToString())
    moved.replace(weights)


def _is_aligned(model: ModelProto) -> bool:
    offsets: list[int] = []

    def stay(offset: int, length: int) -> int:
        offsets.append(offset)
        return offset

    _relocate(model, stay)
    return all(offset % ALIGNMENT == 0 for offset in offsets)


def _relocate(model: ModelProto, moved: Callable[[int, int], int]) -> None:
    """Puts what moved gives of every (offset, length) in the place of that offset."""
    for tensor in model.graph.initializer:
        lengths = [int(entry.value) for entry in tensor.external_data if entry.key == "length"]
        for entry in tensor.external_data:
            if entry.key == "offset":
                entry.value = str(moved(int(entry.value), lengths[0]))
            elif entry.key.startswith(_PACKED):
                name, *forms = entry.value.split("|")
                parts = [form.split(";") for form in forms]
                places = [
                    f"{moved(int(offset), int(length))};{length};{checksum}" for offset, length, checksum in parts
                ]
                entry.value = "|".join([name, *places])
