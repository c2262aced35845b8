"""Folders with ready ONNX graphs of both towers, as transformers.js and Immich use them: run as they are.

Two layouts are read. That of transformers.js and Optimum has Hugging Face's configs and tokenizer, and the graphs in
onnx/. That of Immich has OpenCLIP's model_cfg as config.json, and a folder for each tower, with the config of its
inputs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from clipwright.checkpoints.checkpoint import canonical_json, spec_table
from clipwright.checkpoints.external_data import external_files
from clipwright.checkpoints.families import huggingface, openclip
from clipwright.checkpoints.families.description import Description
from clipwright.checkpoints.small_files import (
    TOKENIZER_CONFIG_FILE,
    TOKENIZER_FILE,
    WITHOUT_TOKENIZER_FILE,
    naming,
    preprocessor_table,
    read_json,
    tokenizer_files,
)
from clipwright.errors import CheckpointError
from clipwright.inputs.input_spec import InputSpec

CONFIG_FILE = "config.json"
"""Of both layouts."""
GraphLayout = Literal["transformers.js", "immich"]
GRAPHS: Mapping[GraphLayout, tuple[str, str]] = {
    "transformers.js": ("onnx/vision_model.onnx", "onnx/text_model.onnx"),
    "immich": ("visual/model.onnx", "textual/model.onnx"),
}
"""The graphs of the image tower and of the text tower."""
_PREPROCESS = "visual/preprocess_cfg.json"
SMALL_FILES: Mapping[GraphLayout, tuple[str, ...]] = {
    "transformers.js": (
        huggingface.PREPROCESSOR_FILE,
        huggingface.PROCESSOR_FILE,
        TOKENIZER_FILE,
        TOKENIZER_CONFIG_FILE,
        *WITHOUT_TOKENIZER_FILE,
    ),
    "immich": (_PREPROCESS, f"textual/{TOKENIZER_FILE}", f"textual/{TOKENIZER_CONFIG_FILE}"),
}
"""What is read beside config.json, where it is there."""
_SCALE = 100.0
"""exp(logit_scale) at which the published CLIP models ended: the bound of Radford et al. 2021, §2.5."""


@dataclass(frozen=True, kw_only=True)
class OnnxRepository:
    """A model whose towers are graphs already."""

    layout: GraphLayout
    spec: InputSpec
    tokenizer: str | None
    """JSON document of the tokenizers library; None where the source has none: then only token ids can be embedded."""
    embed_dim: int
    scores: Literal["softmax", "sigmoid"]
    """How the model's makers turn similarities into probabilities. The scale is in neither layout, nor the bias."""
    image: Path
    """The graph of the image tower."""
    text: Path
    external: tuple[Path, ...]
    """The files beside the graphs that hold their large tensors."""
    files: tuple[Path, ...]
    """All that it was read from; a change of any of them may be a change of the model."""

    @property
    def provenance(self) -> Mapping[str, str]:
        """What there is to know of where it is from."""
        return {"layout": self.layout}

    @property
    def scale(self) -> float:
        """What similarities are multiplied by before a softmax."""
        return _SCALE

    @property
    def bias(self) -> None:
        """Of a sigmoid; what is not known cannot be added, so scores are a softmax here."""

    def space_id(self) -> str:
        """Sixteen hexadecimal digits that name the embedding space: SHA-256 over the graphs' bytes, spec and tokenizer.

        Other bytes are another space here, even where they compute the same.
        """
        digest = hashlib.sha256()
        digest.update(canonical_json({"embed_dim": self.embed_dim, "spec": spec_table(self.spec)}))
        digest.update(hashlib.sha256((self.tokenizer or "").encode()).digest())
        for path in (self.image, self.text, *self.external):
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        return digest.hexdigest()[:16]


def has_graphs(path: Path) -> bool:
    """Whether this is a folder with graphs of both towers, and a config, in one of the layouts."""
    return _layout(path) is not None


def read_onnx_repository(folder: Path) -> OnnxRepository:
    """The graphs in a folder, and what its configs say of them. The graphs themselves are not opened yet.

    Raises CheckpointError where files are missing, or where the configs do not say how inputs are prepared.
    """
    layout = _layout(folder)
    if layout is None:
        raise CheckpointError(f"{str(folder)!r} holds no ONNX graphs: looked for {graph_names()}")
    image, text = (folder / name for name in GRAPHS[layout])
    external = tuple(dict.fromkeys(graph.parent / name for graph in (image, text) for name in external_files(graph)))
    for path in external:
        if not path.is_file():
            raise CheckpointError(
                f"{str(path)!r} is missing, which the graph beside it names; was it downloaded whole?"
            )
    with naming(folder):
        described = _describe(folder, layout)
    small = (folder / name for name in (CONFIG_FILE, *SMALL_FILES[layout]))
    return OnnxRepository(
        layout=layout,
        spec=described.spec,
        tokenizer=described.tokenizer,
        embed_dim=described.embed_dim,
        scores=described.scores,
        image=image,
        text=text,
        external=external,
        files=(image, text, *external, *filter(Path.is_file, small)),
    )


def graph_names() -> str:
    """What the graphs are called, in words."""
    return " or ".join(" and ".join(names) for names in GRAPHS.values())


def _layout(folder: Path) -> GraphLayout | None:
    if not (folder / CONFIG_FILE).is_file():
        return None
    return next((name for name, graphs in GRAPHS.items() if all((folder / graph).is_file() for graph in graphs)), None)


def _describe(folder: Path, layout: GraphLayout) -> Description:
    config = read_json(folder / CONFIG_FILE)
    if layout == "transformers.js":
        return huggingface.describe_huggingface(config, preprocessor_table(folder), *tokenizer_files(folder))
    if not (folder / _PREPROCESS).is_file():
        raise CheckpointError(f"{_PREPROCESS} is missing, so it is not stated how pictures are prepared")
    preprocess, texts = read_json(folder / _PREPROCESS), tokenizer_files(folder / "textual")
    return openclip.describe_openclip(config, preprocess, *texts, files=(CONFIG_FILE, _PREPROCESS))
