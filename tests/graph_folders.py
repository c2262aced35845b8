"""Folders of ready ONNX graphs in the layouts of transformers.js and Immich, made from checkpoints."""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from clipwright.checkpoints.checkpoint import Checkpoint
from clipwright.checkpoints.layouts import LayoutName
from clipwright.checkpoints.save import save_checkpoint
from clipwright.checkpoints.small_files import TOKENIZER_FILES
from clipwright.graph.builder import Graph
from clipwright.graph.towers import image_graph, text_graph
from tests.reference import reference_checkpoint
from tests.support import REFERENCE, tiny_checkpoint

SMALL = ("config.json", "preprocessor_config.json", *TOKENIZER_FILES)


@dataclass(frozen=True)
class Shape:
    """What differs among the graphs that people publish."""

    batch: int | str = "batch"
    length: int | str = "length"
    """Of texts."""
    ids: int = TensorProto.INT64
    pixels: int = TensorProto.FLOAT
    masked: bool = False
    """Whether the text graph asks for an attention_mask and position_ids too."""


OPEN = Shape()
IMMICH = Shape(batch=1, length=16, ids=TensorProto.INT32)


def image_model(checkpoint: Checkpoint, names: tuple[str, str], shape: Shape = OPEN) -> onnx.ModelProto:
    """The image tower with its input and output called so."""
    model = _whole(image_graph(checkpoint.config, checkpoint.weights))
    side = checkpoint.config.vision.image_size
    model.graph.node.insert(0, helper.make_node("Cast", [names[0]], ["pixels"], to=TensorProto.FLOAT))
    _inputs(model, [helper.make_tensor_value_info(names[0], shape.pixels, [shape.batch, 3, side, side])])
    _output(model, names[1], shape.pixels, [shape.batch, checkpoint.config.embed_dim])
    return model


def text_model(checkpoint: Checkpoint, names: tuple[str, str], shape: Shape = OPEN) -> onnx.ModelProto:
    """The text tower, which finds by itself where texts end, with its input and output called so.

    Where it is masked, the ids that are hidden count as 0, and positions are added to their sum to no effect: so both
    must be given, and the mask must be right for towers that see what pads a text.
    """
    model = _whole(text_graph(checkpoint.config, checkpoint.weights))
    end = helper.make_tensor("end_id", TensorProto.INT64, [], [checkpoint.spec.end_id])
    nodes = [
        helper.make_node("Cast", [names[0]], ["wide_ids"], to=TensorProto.INT64),
        helper.make_node("Identity", ["wide_ids"], ["ids"]),
        helper.make_node("Constant", [], ["end_id"], value=end),
        helper.make_node("Equal", ["ids", "end_id"], ["is_end"]),
        helper.make_node("Cast", ["is_end"], ["is_end_as_number"], to=TensorProto.INT32),
        helper.make_node("ArgMax", ["is_end_as_number"], ["ends"], axis=1, keepdims=0),
    ]
    inputs = [helper.make_tensor_value_info(names[0], shape.ids, [shape.batch, shape.length])]
    if shape.masked:
        zero = helper.make_tensor("zero", TensorProto.INT64, [], [0])
        nodes[1:2] = [
            helper.make_node("Mul", ["wide_ids", "attention_mask"], ["seen_ids"]),
            helper.make_node("Constant", [], ["zero"], value=zero),
            helper.make_node("Mul", ["position_ids", "zero"], ["zeros"]),
            helper.make_node("Add", ["seen_ids", "zeros"], ["ids"]),
        ]
        sides = [shape.batch, shape.length]
        names_beside = ("attention_mask", "position_ids")
        inputs += [helper.make_tensor_value_info(name, TensorProto.INT64, sides) for name in names_beside]
    for number, node in enumerate(nodes):
        model.graph.node.insert(number, node)
    _inputs(model, inputs)
    _output(model, names[1], TensorProto.FLOAT, [shape.batch, checkpoint.config.embed_dim])
    return model


def _whole(graph: Graph) -> onnx.ModelProto:
    with tempfile.TemporaryDirectory() as folder:
        return onnx.load(graph.write(Path(folder)))


def _inputs(model: onnx.ModelProto, inputs: list[onnx.ValueInfoProto]) -> None:
    del model.graph.input[:]
    model.graph.input.extend(inputs)


def _output(model: onnx.ModelProto, name: str, element: int, shape: list[int | str]) -> None:
    model.graph.node.append(helper.make_node("Cast", ["features"], [name], to=element))
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info(name, element, shape))


def write_graph(path: Path, model: onnx.ModelProto, *, external: bool = False) -> None:
    """external: whether the tensors go into a file of their own, as in graphs of gigabytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data: dict[str, Any] = {"save_as_external_data": True, "location": f"{path.name}_data", "size_threshold": 1024}
    onnx.save_model(model, path, **(data if external else {}))


def write_transformers_js(
    folder: Path, checkpoint: Checkpoint, configs: Path, shape: Shape = OPEN, *, external: bool = False
) -> Path:
    """The layout of transformers.js, with the configs and the tokenizer of a folder in Hugging Face's."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in SMALL:
        if (configs / name).is_file():
            shutil.copyfile(configs / name, folder / name)
    sigmoid = checkpoint.config.scores == "sigmoid"
    image, text = ("pooler_output", "pooler_output") if sigmoid else ("image_embeds", "text_embeds")
    names = ("pixel_values", image), ("input_ids", text)
    write_graph(folder / "onnx/vision_model.onnx", image_model(checkpoint, names[0], shape), external=external)
    write_graph(folder / "onnx/text_model.onnx", text_model(checkpoint, names[1], shape), external=external)
    return folder


def joint_model(checkpoint: Checkpoint, shape: Shape = OPEN) -> onnx.ModelProto:
    """Both towers in one graph, with inputs and outputs called as Optimum does."""
    image = image_model(checkpoint, ("pixel_values", "image_embeds"), shape)
    text = text_model(checkpoint, ("input_ids", "text_embeds"), shape)
    text = onnx.compose.add_prefix(text, "text/", rename_inputs=False, rename_outputs=False)
    for field in ("node", "initializer", "input", "output"):
        getattr(image.graph, field).extend(getattr(text.graph, field))
    return image


def write_joint(folder: Path, checkpoint: Checkpoint, configs: Path, shape: Shape = OPEN) -> Path:
    """Optimum's layout of a graph of both towers."""
    write_transformers_js(folder, checkpoint, configs, shape)
    shutil.rmtree(folder / "onnx")
    write_graph(folder / "model.onnx", joint_model(checkpoint, shape))
    return folder


def write_pair(images: Path, texts: Path, checkpoint: Checkpoint, configs: Path) -> tuple[Path, Path]:
    """Qdrant's layout: a folder for each tower, each with the config of its tower alone."""
    whole = json.loads((configs / "config.json").read_text())
    for folder, part, model, names in (
        (images, "vision_config", image_model, ("pixel_values", "image_embeds")),
        (texts, "text_config", text_model, ("input_ids", "text_embeds")),
    ):
        kind = f"{whole['model_type']}_{part.removesuffix('_config')}_model"
        config = {**whole[part], "model_type": kind, "projection_dim": checkpoint.embed_dim}
        write_graph(folder / "model.onnx", model(checkpoint, names))
        (folder / "config.json").write_text(json.dumps(config))
    for name in SMALL[1:]:
        if (configs / name).is_file():
            shutil.copyfile(configs / name, (images if name.startswith("preprocessor") else texts) / name)
    return images, texts


def as_openvino(folder: Path, *graphs: tuple[str, str]) -> Path:
    """Puts graphs of OpenVINO's in the place of ONNX graphs of a folder: each the name of the one and of the other."""
    import openvino

    for source, target in graphs:
        (folder / target).parent.mkdir(exist_ok=True)
        openvino.save_model(openvino.Core().read_model(folder / source), folder / target, compress_to_fp16=False)
        (folder / source).unlink()
    return folder


def write_immich(folder: Path, checkpoint: Checkpoint, configs: Path, shape: Shape = IMMICH) -> Path:
    """The layout of Immich, with the configs and the tokenizer of a folder in OpenCLIP's."""
    table = json.loads((configs / "open_clip_config.json").read_text())
    size = [checkpoint.spec.image_size] * 2
    preprocess = {"size": size, "mode": "RGB", **table["preprocess_cfg"], "fill_color": 0}
    for name, part in (("config.json", table["model_cfg"]), ("visual/preprocess_cfg.json", preprocess)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(part))
    write_graph(folder / "visual/model.onnx", image_model(checkpoint, ("image", "embedding"), shape))
    write_graph(folder / "textual/model.onnx", text_model(checkpoint, ("text", "embedding"), shape))
    for name in TOKENIZER_FILES:
        if (configs / name).is_file():
            shutil.copyfile(configs / name, folder / "textual" / name)
    return folder


def reference_folder(folder: Path, layout: str) -> Path:
    """A folder of graphs that compute what a maker's model does, in the layout that goes with the maker's."""
    checkpoint = reference_checkpoint(layout)
    write = write_transformers_js if layout.startswith("hf-") else write_immich
    return write(folder, checkpoint, REFERENCE / layout)


def graph_checkpoint(layout: LayoutName = "transformers.js") -> Checkpoint:
    """tiny_checkpoint as a layout can describe it: the end has the largest id, and Hugging Face cuts as it does."""
    checkpoint = tiny_checkpoint()
    size, table = checkpoint.spec.end_id + 1, "text.token_embedding.weight"
    text = replace(checkpoint.config.text, vocab_size=size)
    return replace(
        checkpoint,
        config=replace(checkpoint.config, text=text),
        spec=replace(checkpoint.spec, crop_rounding="round" if layout == "immich" else "floor"),
        weights={**checkpoint.weights, table: np.asarray(checkpoint.weights[table])[:size]},
    )


def graph_folder(folder: Path, layout: LayoutName = "transformers.js", **options: Any) -> Path:
    """A folder of graph_checkpoint's graphs, with its tokenizer."""
    checkpoint = graph_checkpoint(layout)
    with tempfile.TemporaryDirectory() as configs:
        if layout == "immich":
            save_checkpoint(checkpoint, Path(configs), "openclip")
            (Path(configs) / "tokenizer_config.json").write_text(json.dumps({"pad_token": "<|endoftext|>"}))
            return write_immich(folder, checkpoint, Path(configs), **options)
        save_checkpoint(checkpoint, Path(configs), "huggingface")
        return write_transformers_js(folder, checkpoint, Path(configs), **options)
