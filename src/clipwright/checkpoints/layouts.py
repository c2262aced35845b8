"""Which files of a folder, or of a repository on the hub, make a model. Only their names are looked at.

Where there are several, the first of these counts: weights before ready graphs, which are made here of weights anyway
and faster; what is written in full before what takes half the space; fp16 before integers.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from clipwright.checkpoints.families.huggingface import CONFIG_FILE, PREPROCESSOR_FILE, PROCESSOR_FILE
from clipwright.checkpoints.families.openclip_config import CONFIG_FILE as OPENCLIP_CONFIG_FILE
from clipwright.checkpoints.small_files import TOKENIZER_CONFIG_FILE, TOKENIZER_FILE, TOKENIZER_FILES

LayoutName = Literal[
    "openclip", "huggingface", "sentence-transformers", "export", "transformers.js", "immich", "openvino"
]
EXPORT_FILE = "input.json"
"""What our own export says of its graphs."""
MODULES_FILE = "modules.json"
"""What sentence-transformers says of a model's parts."""
IMMICH_PREPROCESS = "visual/preprocess_cfg.json"
_CLIP_MODULE = "0_CLIPModel/"
"""The folder in which sentence-transformers keeps a CLIP."""
_HUGGINGFACE = (PREPROCESSOR_FILE, PROCESSOR_FILE, *TOKENIZER_FILES)
_OPENCLIP_WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
_HUGGINGFACE_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
_HALVES = ("", "fp32", "fp16", "bf16")
"""Stands in the names of weights before their ending: transformers' variants, in the order in which they are taken."""
_INDEX = ".index.json"
"""Ends the name of the table that says which of several files holds a tensor."""
WEIGHTS_FILES = tuple(f"{name}{end}" for name in (*_OPENCLIP_WEIGHTS, *_HUGGINGFACE_WEIGHTS) for end in ("", _INDEX))
"""What any weights that are read here are called, where no variant of them is meant."""
_VARIANTS = ("", "fp16", "quantized", "int8", "uint8", "q4f16", "q4", "bnb4")
"""Stands in the names of graphs behind an underscore: transformers.js' variants, in the same way."""
_FOLDERS = ("onnx", "visual", "textual", "openvino", _CLIP_MODULE.rstrip("/"))
"""Inside a folder that holds a model, those that are looked into."""
_Graph = tuple[int, str, str]
"""How late a graph is taken, its file, and what the name of that says."""


@dataclass(frozen=True)
class Layout:
    """One way to lay a model out in files."""

    name: LayoutName
    config: str
    beside: tuple[str, ...]
    """The small files that are read together with the config, where they are there."""
    weights: tuple[str, ...] = ()
    """Of these one, the one that is taken first."""
    graphs: tuple[tuple[str, ...], ...] = ()
    """Or one of these: the graphs of the image tower and of the text tower, or one graph of both."""


_TRANSFORMERS_JS = (
    ("onnx/vision_model.onnx", "onnx/text_model.onnx"),
    ("vision_model.onnx", "text_model.onnx"),
    ("onnx/model.onnx",),
    ("model.onnx",),
)
_ONNX = tuple(files[0] for files in _TRANSFORMERS_JS)
LAYOUTS = (
    Layout("openclip", OPENCLIP_CONFIG_FILE, TOKENIZER_FILES, weights=_OPENCLIP_WEIGHTS),
    Layout("huggingface", CONFIG_FILE, _HUGGINGFACE, weights=_HUGGINGFACE_WEIGHTS),
    Layout("openclip", OPENCLIP_CONFIG_FILE, TOKENIZER_FILES, weights=_HUGGINGFACE_WEIGHTS[:1]),
    Layout(
        "sentence-transformers",
        f"{_CLIP_MODULE}{CONFIG_FILE}",
        tuple(f"{_CLIP_MODULE}{name}" for name in _HUGGINGFACE),
        weights=tuple(f"{_CLIP_MODULE}{name}" for name in _HUGGINGFACE_WEIGHTS),
    ),
    Layout("export", EXPORT_FILE, (TOKENIZER_FILE,), graphs=(("image.onnx", "text.onnx"),)),
    Layout(
        "immich",
        CONFIG_FILE,
        (IMMICH_PREPROCESS, f"textual/{TOKENIZER_FILE}", f"textual/{TOKENIZER_CONFIG_FILE}"),
        graphs=(("visual/model.onnx", "textual/model.onnx"),),
    ),
    Layout("transformers.js", CONFIG_FILE, _HUGGINGFACE, graphs=_TRANSFORMERS_JS),
    *(
        Layout(
            "openvino",
            config,
            beside,
            graphs=(
                ("openvino_model_vision.xml", "openvino_model_text.xml"),
                ("openvino_model.xml",),
                ("openvino/openvino_model.xml",),
            ),
        )
        for config, beside in ((OPENCLIP_CONFIG_FILE, TOKENIZER_FILES), (CONFIG_FILE, _HUGGINGFACE))
    ),
)
"""The one that is taken first before the others."""


@dataclass(frozen=True)
class Found:
    """The files of a model."""

    layout: Layout
    weights: tuple[str, ...] = ()
    """One file, or the table of several and these."""
    graphs: tuple[str, ...] = ()
    """Of the image tower and of the text tower, or one graph of both; never beside weights."""
    variant: str = ""
    """What their names say behind the model's own, 'fp16' or 'quantized' say; '' where they say nothing."""

    @property
    def before(self) -> tuple[str, ...]:
        """The files that would be taken first, were they there."""
        if self.weights:
            folder = _CLIP_MODULE if self.layout.config.startswith(_CLIP_MODULE) else ""
            return tuple(f"{folder}{name}" for name in WEIGHTS_FILES if self.variant)
        plain = self.layout.graphs[0] if self.variant else ()
        return (*WEIGHTS_FILES, *plain, *(_ONNX if self.layout.name == "openvino" else ()))


def find_models(names: Collection[str], which: str | None = None) -> Iterator[Found]:
    """The models among files of these names, the one that is taken first before the others.

    which: what the names of the files must say behind the model's own name, 'fp16' say.
    """
    for layout in LAYOUTS:
        if layout.config in names:
            for variant in _HALVES if which is None else (which,):
                for weights in filter(None, (_weights(names, name, variant) for name in layout.weights)):
                    yield Found(layout, weights=weights, variant=variant)
    for layout in LAYOUTS:
        if layout.config in names:
            choices = [graphs for files in layout.graphs if (graphs := _graphs(names, files, which))]
            for graphs in sorted(choices, key=lambda graphs: max(rank for rank, _, _ in graphs)):
                yield Found(layout, graphs=tuple(file for _, file, _ in graphs), variant=max(graphs)[2])


def find_model(names: Collection[str], which: str | None = None) -> Found | None:
    """The first of them; None where there is none."""
    return next(find_models(names, which), None)


def names_in(folder: Path) -> list[str]:
    """The files of a folder that may belong to a model, as paths relative to it."""
    inside = (folder / name for name in ("", *_FOLDERS))
    return sorted(
        path.relative_to(folder).as_posix()
        for place in inside
        if place.is_dir()
        for path in place.iterdir()
        if path.is_file()
    )


def graph_names() -> str:
    """What graphs are called, in words."""
    return " or ".join(dict.fromkeys(" and ".join(files) for layout in LAYOUTS for files in layout.graphs[:1]))


def _weights(names: Collection[str], name: str, variant: str) -> tuple[str, ...]:
    """The files of weights of this name; none where they are not there."""
    stem, _, ending = name.rpartition(".")
    mark = f".{variant}" if variant else ""
    if f"{stem}{mark}.{ending}" in names:
        return (f"{stem}{mark}.{ending}",)
    index = f"{name}.index{mark}.json"
    if index not in names:
        return ()
    number = r"-\d+-of-\d+"
    part = re.compile(rf"{re.escape(stem)}({re.escape(mark)}{number}|{number}{re.escape(mark)})\.{ending}")
    return (index, *sorted(filter(part.fullmatch, names)))


def _graphs(names: Collection[str], files: tuple[str, ...], which: str | None) -> list[_Graph]:
    """The graphs that are called so; none where one of them is not there."""
    graphs = [_graph(names, file, which) for file in files]
    return [graph for graph in graphs if graph is not None] if None not in graphs else []


def _graph(names: Collection[str], file: str, which: str | None) -> _Graph | None:
    stem, _, ending = file.rpartition(".")
    kind = re.compile(rf"{re.escape(stem)}(?:_(\w+))?\.{ending}" if ending == "onnx" else re.escape(file))
    marked = {match[1] if match.lastindex else "": match[0] for match in map(kind.fullmatch, names) if match}
    order = [*_VARIANTS, *sorted(marked.keys() - set(_VARIANTS))] if which is None else [which]
    return next(((rank, marked[mark], mark) for rank, mark in enumerate(order) if mark in marked), None)
