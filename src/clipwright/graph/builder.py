"""A small writer of ONNX graphs: nodes in order, weights beside them.

Weights are not copied into the graph: it refers to them, and they are written into a file of their own or handed to
the runtime as they are, so a model of any size can be built.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

OPSET = 20
MICROSOFT_OPSET = 1
IR_VERSION = 9
"""The oldest that knows this opset, so that older runtimes open the graphs too."""
_ELEMENT_TYPES = {np.dtype(np.float32): TensorProto.FLOAT, np.dtype(np.int64): TensorProto.INT64}
_INLINE_LIMIT = 1024
"""Bytes up to which a constant stands in the graph itself; runtimes want to read shapes there."""


@dataclass
class Graph:
    """One tower as a graph: its nodes, its inputs and output, and the arrays that its initializers refer to."""

    name: str
    inputs: list[onnx.ValueInfoProto] = field(default_factory=list)
    outputs: list[onnx.ValueInfoProto] = field(default_factory=list)
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    weights: dict[str, np.ndarray] = field(default_factory=dict)
    constants: dict[str, np.ndarray] = field(default_factory=dict)
    """Small arrays, kept in the graph itself."""

    def input(self, name: str, dtype: Any, shape: Sequence[int | str]) -> str:
        self.inputs.append(helper.make_tensor_value_info(name, _ELEMENT_TYPES[np.dtype(dtype)], shape))
        return name

    def output(self, value: str, name: str, shape: Sequence[int | str]) -> None:
        self.nodes.append(helper.make_node("Identity", [value], [name]))
        self.outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))

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

    def weight(self, name: str, array: np.ndarray) -> str:
        """An initializer with this array, as float32 in memory order."""
        self.weights[name] = np.ascontiguousarray(array, np.float32).reshape(np.shape(array))
        return name

    def node(self, op: str, inputs: Sequence[str], count: int = 1, domain: str = "", **attributes: Any) -> Any:
        """A node. Gives the name of its output, or where count is more than 1 a tuple of them."""
        number = len(self.nodes)
        names = [f"{op.lower()}_{number}" if count == 1 else f"{op.lower()}_{number}_{i}" for i in range(count)]
        made = helper.make_node(op, list(inputs), names, name=f"{op}_{number}", domain=domain, **attributes)
        self.nodes.append(made)
        return names[0] if count == 1 else tuple(names)

    def model(self, location: str) -> onnx.ModelProto:
        """The graph as a model whose weights lie one after the other in the file location, in the order of weights."""
        initializers = [onnx.numpy_helper.from_array(array, name) for name, array in self.constants.items()]
        offset = 0
        for name, array in self.weights.items():
            tensor = TensorProto(
                name=name,
                data_type=_ELEMENT_TYPES[array.dtype],
                dims=array.shape,
                data_location=TensorProto.EXTERNAL,
            )
            for key, value in (("location", location), ("offset", str(offset)), ("length", str(array.nbytes))):
                tensor.external_data.add(key=key, value=value)
            initializers.append(tensor)
            offset += array.nbytes
        domains = {node.domain for node in self.nodes}
        opsets = [helper.make_opsetid("", OPSET)]
        if "com.microsoft" in domains:
            opsets.append(helper.make_opsetid("com.microsoft", MICROSOFT_OPSET))
        graph = helper.make_graph(self.nodes, self.name, self.inputs, self.outputs, initializers)
        return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="clipwright")
