"""A small writer of ONNX graphs: nodes in order, weights beside them.

Weights are not copied into the graph: it refers to them, and they are written into a file of their own or handed to
the runtime as they are, so a model of any size can be built. The onnx package is imported when a model is made of a
graph: who opens one that is kept ready pays nothing for it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import ml_dtypes
import numpy as np

if TYPE_CHECKING:
    import onnx

OPSET = 20
MICROSOFT_OPSET = 1
IR_VERSION = 9
"""The oldest that knows this opset, so that older runtimes open the graphs too."""
_INLINE_LIMIT = 1024
"""Bytes up to which a constant stands in the graph itself; runtimes want to read shapes there."""
_FLOAT = 1
"""float32 among ONNX's element types."""
ALIGNMENT = 64
"""Bytes: each weight begins at a multiple of this in the file, so that it can be used where it is mapped."""
GRAPH_FILE = "graph.onnx"
WEIGHTS_FILE = "weights.bin"


@dataclass(frozen=True)
class Weight:
    """An array that is read, and turned into what the graph wants, only when it is asked for."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    source: Callable[[], Any]

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize

    def read(self) -> np.ndarray:
        """In memory order. Where the source is so already, it is not copied."""
        return np.ascontiguousarray(self.source(), self.dtype).reshape(self.shape)


@dataclass(frozen=True)
class Value:
    """An input or output: its type and shape, with names for sides of any length."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int | str, ...]


@dataclass(frozen=True)
class Node:
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    domain: str
    attributes: dict[str, Any]


@dataclass
class Graph:
    """One tower as a graph: its nodes, its inputs and output, and the arrays that its initializers refer to."""

    name: str
    inputs: list[Value] = field(default_factory=list)
    outputs: list[Value] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    weights: dict[str, Weight] = field(default_factory=dict)
    constants: dict[str, np.ndarray] = field(default_factory=dict)
    """Small arrays, kept in the graph itself."""
    halves: bool = False
    """Whether matrices are stored as bfloat16; the graph turns them into float32 first."""

    def input(self, name: str, dtype: Any, shape: Sequence[int | str]) -> str:
        self.inputs.append(Value(name, np.dtype(dtype), tuple(shape)))
        return name

    def output(self, value: str, name: str, shape: Sequence[int | str]) -> None:
        self.nodes.append(Node("Identity", (value,), (name,), "", {}))
        self.outputs.append(Value(name, np.dtype(np.float32), tuple(shape)))

    def constant(self, array: Any, dtype: Any = np.int64) -> str:
        """An initializer with this small array; the same array is kept once."""
        value = np.asarray(array, dtype)
        name = f"constant_{value.dtype}_{'x'.join(map(str, value.shape))}_{'_'.join(map(str, value.ravel()[:16]))}"
        if value.nbytes > _INLINE_LIMIT:
            raise ValueError(f"a constant of {value.nbytes} bytes belongs among the weights")
        if name in self.constants and not np.array_equal(self.constants[name], value):
            name = f"{name}_{len(self.constants)}"
        self.constants[name] = value
        return name

    def weight(self, name: str, array: Any, dtype: Any = np.float32) -> str:
        """An initializer with this array; what np.shape and np.asarray understand is read later, when it is needed."""
        return self.later(name, np.shape(array), lambda: array, dtype)

    def later(self, name: str, shape: Sequence[int], source: Callable[[], Any], dtype: Any = np.float32) -> str:
        """An initializer of this shape with what source will give."""
        halved = self.halves and len(shape) > 1 and np.dtype(dtype) == np.float32
        self.weights[name] = Weight(tuple(shape), np.dtype(ml_dtypes.bfloat16 if halved else dtype), source)
        return str(self.node("Cast", [name], to=_FLOAT)) if halved else name

    def node(self, op: str, inputs: Sequence[str], count: int = 1, domain: str = "", **attributes: Any) -> Any:
        """A node. Gives the name of its output, or where count is more than 1 a tuple of them."""
        number = len(self.nodes)
        names = [f"{op.lower()}_{number}" if count == 1 else f"{op.lower()}_{number}_{i}" for i in range(count)]
        self.nodes.append(Node(op, tuple(inputs), tuple(names), domain, attributes))
        return names[0] if count == 1 else tuple(names)

    def model(self, location: str) -> onnx.ModelProto:
        """The graph as a model whose weights lie in the file location as write_weights puts them."""
        from onnx import TensorProto, helper, numpy_helper

        def element_type(dtype: np.dtype[Any]) -> int:
            return int(helper.np_dtype_to_tensor_dtype(dtype))

        initializers = [numpy_helper.from_array(array, name) for name, array in self.constants.items()]
        offset = 0
        for name, weight in self.weights.items():
            tensor = TensorProto(
                name=name,
                data_type=element_type(weight.dtype),
                dims=weight.shape,
                data_location=TensorProto.EXTERNAL,
            )
            for key, value in (("location", location), ("offset", str(offset)), ("length", str(weight.nbytes))):
                tensor.external_data.add(key=key, value=value)
            initializers.append(tensor)
            offset = aligned(offset + weight.nbytes)
        nodes = [
            helper.make_node(
                node.op, node.inputs, node.outputs, f"{node.op}_{number}", domain=node.domain, **node.attributes
            )
            for number, node in enumerate(self.nodes)
        ]
        inputs, outputs = (
            [helper.make_tensor_value_info(each.name, element_type(each.dtype), each.shape) for each in values]
            for values in (self.inputs, self.outputs)
        )
        opsets = [helper.make_opsetid("", OPSET)]
        if any(node.domain == "com.microsoft" for node in self.nodes):
            opsets.append(helper.make_opsetid("com.microsoft", MICROSOFT_OPSET))
        graph = helper.make_graph(nodes, self.name, inputs, outputs, initializers)
        return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="clipwright")

    def write_weights(self, file: BinaryIO) -> None:
        """The weights one after the other. One at a time is in memory."""
        offset = 0
        for weight in self.weights.values():
            file.write(bytes(offset - file.tell()))
            file.write(weight.read().reshape(-1).view(np.uint8).data)
            offset = aligned(file.tell())

    def write(self, folder: Path, name: str = GRAPH_FILE, weights: str = WEIGHTS_FILE) -> Path:
        """Writes the graph and its weights into two files of a folder, and gives the graph's path."""
        with (folder / weights).open("wb") as file:
            self.write_weights(file)
        (folder / name).write_bytes(self.model(weights).SerializeToString())
        return folder / name


def aligned(offset: int) -> int:
    return -(-offset // ALIGNMENT) * ALIGNMENT
