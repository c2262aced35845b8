"""Towers as files that plain onnxruntime runs, with all that one must know to feed them."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from clipwright.checkpoints.checkpoint import Checkpoint, config_table
from clipwright.checkpoints.export_table import FORMAT_VERSION
from clipwright.checkpoints.layouts import EXPORT_FILE
from clipwright.checkpoints.ready_graphs import files_id
from clipwright.checkpoints.small_files import TOKENIZER_FILE
from clipwright.embedding.backend import Precision, Tower
from clipwright.embedding.tower_graphs import tower_graph
from clipwright.graph.builder import Graph
from clipwright.inputs.tokenizer import document_that_cleans

TOWERS: tuple[Tower, ...] = ("text", "image")
"""In the order in which they are written: int8 may lack the tokenizer, and then says so at once."""


def graph_file(tower: Tower) -> str:
    return f"{tower}.onnx"


def weights_file(tower: Tower) -> str:
    return f"{tower}.bin"


def write_towers(checkpoint: Checkpoint, name: str, space_id: str, precision: Precision, folder: Path) -> None:
    """Writes both towers, the tokenizer where there is one, and input.json into the folder. One weight is in memory.

    name: how the model is called. int8 calibrates a tower first, which runs it. Raises TokenizerError where int8 lacks
    a tokenizer for that, OSError where the disk refuses.
    """
    described: dict[str, Any] = {}
    for tower in TOWERS:
        graph = tower_graph(checkpoint, tower, precision, fused=True, packed=False)
        graph.write(folder, graph_file(tower), weights_file(tower))
        described[tower] = {"graph": graph_file(tower), "weights": weights_file(tower)} | _ends_of(graph)
    document = None
    if checkpoint.tokenizer is not None:
        document, _ = document_that_cleans(checkpoint.tokenizer, checkpoint.spec)
        (folder / TOKENIZER_FILE).write_text(document, encoding="utf-8")
    files = [folder / described[tower][file] for file in ("graph", "weights") for tower in ("image", "text")]
    table = {
        "format": FORMAT_VERSION,
        "model": name,
        "space_id": space_id,
        "files_id": files_id(checkpoint.embed_dim, checkpoint.spec, document, files),
        "variant": variant(precision),
        "embed_dim": checkpoint.config.embed_dim,
        "scores": checkpoint.config.scores,
        "scale": checkpoint.scale,
        "bias": checkpoint.bias,
        "image": described["image"],
        "text": described["text"],
        "tokenizer": None if checkpoint.tokenizer is None else TOKENIZER_FILE,
        "input": asdict(checkpoint.spec),
        "config": config_table(checkpoint.config),
        "provenance": dict(checkpoint.provenance),
    }
    (folder / EXPORT_FILE).write_text(json.dumps(table, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def variant(precision: Precision) -> str:
    """How vectors are made with these files: pixels are to be prepared exactly."""
    return f"exact-{precision}"


def _ends_of(graph: Graph) -> dict[str, Any]:
    """Inputs and outputs of a graph by their names."""
    return {
        key: {value.name: {"type": value.dtype.name, "shape": list(value.shape)} for value in values}
        for key, values in (("inputs", graph.inputs), ("outputs", graph.outputs))
    }
