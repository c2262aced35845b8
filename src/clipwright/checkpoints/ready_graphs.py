"""Models whose towers are graphs already, which run as they are: what lies in their folders, and what is said of them.

ONNX graphs come in the layouts of transformers.js and Optimum, of Immich, and of our own export; OpenVINO's in that of
optimum-intel. All but our own have the configs and the tokenizer of Hugging Face's layout, or of OpenCLIP's.
"""

from __future__ import annotations

import dataclasses
import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from clipwright.checkpoints.checkpoint import canonical_json, naming, spec_table
from clipwright.checkpoints.export_table import read_export_table
from clipwright.checkpoints.external_data import external_files
from clipwright.checkpoints.families import huggingface, openclip
from clipwright.checkpoints.families.description import Description
from clipwright.checkpoints.layouts import IMMICH_PREPROCESS, Found, LayoutName, find_models, graph_names, names_in
from clipwright.checkpoints.small_files import preprocessor_table, read_json, tokenizer_files
from clipwright.errors import CheckpointError
from clipwright.inputs.input_spec import InputSpec

_SCALE = 100.0
"""exp(logit_scale) at which the published CLIP models ended: the bound of Radford et al. 2021, §2.5."""
_IMAGE_TOWERS = {"clip_vision_model": "clip", "siglip_vision_model": "siglip"}
_TEXT_TOWERS = {"clip_text_model": "clip", "siglip_text_model": "siglip"}
"""Models of a single tower, by model_type, and of which the tower is."""
SINGLE_TOWERS = frozenset((*_IMAGE_TOWERS, *_TEXT_TOWERS))
logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ReadyGraphs:
    """A model whose towers are graphs already."""

    layout: LayoutName
    spec: InputSpec
    tokenizer: str | None
    """JSON document of the tokenizers library; None where the source has none: then only token ids can be embedded."""
    embed_dim: int
    vocab_size: int | None
    """How many ids the text tower knows; None where the configs do not say it."""
    scores: Literal["softmax", "sigmoid"]
    """How the model's makers turn similarities into probabilities."""
    image: Path
    """The graph of the image tower."""
    text: Path
    """The graph of the text tower; the same where one graph has both."""
    external: tuple[Path, ...]
    """The files beside the graphs that hold their large tensors."""
    files: tuple[Path, ...]
    """All that it was read from; a change of any of them may be a change of the model."""
    precision: str = "fp32"
    """What the towers compute in, as the names of the graphs say or as our own export does."""
    scale: float = _SCALE
    """What similarities are multiplied by before a softmax. Only our own export says it."""
    bias: float | None = None
    """Of a sigmoid; what is not known cannot be added, so scores are a softmax without it."""
    provenance: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """What there is to know of where it is from."""
    exported: tuple[str, str] | None = None
    """Of our own export: the files_id that it had when it was written, and the space_id of the model."""

    @property
    def runtime(self) -> Literal["onnx", "openvino"]:
        return "openvino" if self.layout == "openvino" else "onnx"

    def space_id(self) -> str:
        """Sixteen hexadecimal digits that name the embedding space.

        That of the model, where these are the graphs that our own export made of it. Else SHA-256 over the graphs'
        bytes, spec and tokenizer: other bytes are another space then, even where they compute the same.
        """
        found = files_id(self.embed_dim, self.spec, self.tokenizer, (self.image, self.text, *self.external))
        return self.exported[1] if self.exported is not None and self.exported[0] == found else found


def files_id(embed_dim: int, spec: InputSpec, tokenizer: str | None, paths: Sequence[Path]) -> str:
    """Sixteen hexadecimal digits over what graphs compute and how they are fed, the same where all bytes are."""
    digest = hashlib.sha256()
    digest.update(canonical_json({"embed_dim": embed_dim, "spec": spec_table(spec)}))
    digest.update(hashlib.sha256((tokenizer or "").encode()).digest())
    for path in dict.fromkeys(paths):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]


def read_ready_graphs(folder: Path, which: str | None = None) -> ReadyGraphs:
    """The graphs in a folder, and what its configs say of them. The graphs themselves are not opened yet.

    which: what their names must say of them behind an underscore, 'fp16' say. Raises CheckpointError where files are
    missing, or where the configs do not say how inputs are prepared.
    """
    found = _found(folder, which)
    if found.layout.name == "export":
        return _read_export(folder, found)
    with naming(folder):
        described = _describe(folder, found)
    return _read(folder, folder, found, found, described)


def read_pair(first: Path, second: Path, which: str | None = None) -> ReadyGraphs:
    """The graphs of two folders with one tower each, as Qdrant publishes them. Raises as read_ready_graphs."""
    found = {folder: _found(folder, which) for folder in (first, second)}
    if read_json(first / found[first].layout.config).get("model_type") in _TEXT_TOWERS:
        first, second = second, first
    with naming(first):
        images, kind = _tower(first, found[first], _IMAGE_TOWERS, "vision_config")
    with naming(second):
        texts, text_kind = _tower(second, found[second], _TEXT_TOWERS, "text_config")
    widths = [table.get("projection_dim", 512) for table in (images, texts)]
    if kind != text_kind or (kind == "clip" and widths[0] != widths[1]):
        raise CheckpointError(f"{str(first)!r} and {str(second)!r} are not the towers of one model")
    config = {"model_type": kind, "vision_config": images, "text_config": texts, "projection_dim": widths[0]}
    with naming(first):
        described = huggingface.describe_huggingface(config, preprocessor_table(first), *tokenizer_files(second))
    return _read(first, second, found[first], found[second], described)


def _found(folder: Path, which: str | None) -> Found:
    found = next((found for found in find_models(names_in(folder), which) if found.graphs), None)
    if found is None:
        raise CheckpointError(f"{str(folder)!r} holds no ready graphs: looked for {graph_names()}")
    if found.variant and which is None:
        logger.warning(
            "%s holds no graphs in full precision; %s run instead", folder, " and ".join(dict.fromkeys(found.graphs))
        )
    return found


def _tower(folder: Path, found: Found, kinds: Mapping[str, str], part: str) -> tuple[Mapping[str, Any], str]:
    """The table of one tower in a folder's config, and the kind of model that it is of."""
    config = read_json(folder / found.layout.config)
    kind = str(config.get("model_type"))
    if kind in kinds:
        return config, kinds[kind]
    if len(found.graphs) > 1 or kind not in kinds.values() or not isinstance(config.get(part), Mapping):
        raise CheckpointError(f"this is not one tower, but a {kind!r} model with {' and '.join(found.graphs)}")
    return {**config[part], "projection_dim": config.get("projection_dim", 512)}, kind


def _read(image_folder: Path, text_folder: Path, image: Found, text: Found, described: Description) -> ReadyGraphs:
    graphs = image_folder / image.graphs[0], text_folder / text.graphs[-1]
    external = tuple(dict.fromkeys(path for graph in graphs for path in _external(graph)))
    small = {
        folder / name
        for folder, found in ((image_folder, image), (text_folder, text))
        for name in (found.layout.config, *found.layout.beside)
    }
    return ReadyGraphs(
        layout=image.layout.name,
        spec=described.spec,
        tokenizer=described.tokenizer,
        embed_dim=described.embed_dim,
        vocab_size=described.vocab_size,
        scores=described.scores,
        image=graphs[0],
        text=graphs[1],
        external=external,
        files=(*dict.fromkeys((*graphs, *external)), *sorted(filter(Path.is_file, small))),
        precision=image.variant or text.variant or "fp32",
        provenance={"layout": image.layout.name},
    )


def _read_export(folder: Path, found: Found) -> ReadyGraphs:
    told = read_export_table(folder / found.layout.config)
    if told.tokenizer is not None and not (folder / told.tokenizer).is_file():
        raise CheckpointError(f"{str(folder)!r} lacks {told.tokenizer}, which {found.layout.config} names")
    description = Description(
        spec=told.input,
        tokenizer=None if told.tokenizer is None else tokenizer_files(folder)[0],
        embed_dim=told.embed_dim,
        vocab_size=None,
        scores=told.scores,
    )
    return dataclasses.replace(
        _read(folder, folder, found, found, description),
        precision=told.precision,
        scale=told.scale,
        bias=told.bias,
        provenance=told.provenance,
        exported=None if told.files_id is None else (told.files_id, told.space_id),
    )


def names_beside(graph: Path) -> tuple[str, ...]:
    """The files beside a graph that hold its tensors, as paths relative to its folder.

    Raises CheckpointError where the file is no graph, or where it points out of its folder.
    """
    return (graph.with_suffix(".bin").name,) if graph.suffix == ".xml" else external_files(graph)


def _external(graph: Path) -> list[Path]:
    paths = [graph.parent / name for name in names_beside(graph)]
    for path in paths:
        if not path.is_file():
            raise CheckpointError(
                f"{str(path)!r} is missing, which the graph beside it names; was it downloaded whole?"
            )
    return paths


def _describe(folder: Path, found: Found) -> Description:
    config_file = found.layout.config
    config = read_json(folder / config_file)
    if found.layout.name == "immich":
        if not (folder / IMMICH_PREPROCESS).is_file():
            raise CheckpointError(f"{IMMICH_PREPROCESS} is missing, so it is not stated how pictures are prepared")
        preprocess, texts = read_json(folder / IMMICH_PREPROCESS), tokenizer_files(folder / "textual")
        return openclip.describe_openclip(config, preprocess, *texts, files=(config_file, IMMICH_PREPROCESS))
    if "model_cfg" in config:
        tables = config["model_cfg"], config.get("preprocess_cfg", {}), *tokenizer_files(folder)
        return openclip.describe_openclip(*tables, files=(config_file, config_file))
    alone = next((kinds for kinds in (_IMAGE_TOWERS, _TEXT_TOWERS) if config.get("model_type") in kinds), None)
    if alone is not None:
        held, other = ("an image tower", "text") if alone is _IMAGE_TOWERS else ("a text tower", "image")
        raise CheckpointError(
            f"this is {held} alone; name the folder or repository of its {other} tower too, with a plus between them:"
            " IMAGES+TEXTS"
        )
    return huggingface.describe_huggingface(config, preprocessor_table(folder), *tokenizer_files(folder))
