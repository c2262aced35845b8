"""What a folder, a repository or a file is that holds no model for clipwright, in words that go behind its name."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from pathlib import Path

from clipwright.checkpoints.families.huggingface import CONFIG_FILE
from clipwright.checkpoints.families.openclip_config import CONFIG_FILE as OPENCLIP_CONFIG_FILE
from clipwright.checkpoints.layouts import LAYOUTS, MODULES_FILE, graph_names
from clipwright.checkpoints.sentence_transformers import module_kinds

_ADAPTER = "adapter_config.json"
_OTHERS = {
    ".gguf": "holds GGUF files, for llama.cpp and its kin; take the model that they were made from",
    ".h5": "holds weights for TensorFlow alone; open it with transformers (from_tf=True) and save it again",
    ".msgpack": "holds weights for Flax alone; open it with transformers (from_flax=True) and save it again",
}
"""What else a folder may hold, by how the names of its files end."""
_SHOWN = 5
"""Of the names that were found."""


def no_model(folder: Path | None, names: Collection[str], which: str | None) -> str:
    """Why files of these names are no model. folder: where they lie, if they are at hand to be looked into."""
    known = _known_kind(folder, names)
    if known is not None:
        return known
    found = f"found {_counted(names, 'file')}"
    if which is not None:
        return f"holds no weights and no graphs that are called {which!r}; {found}"
    lacking = dict.fromkeys(name for layout in LAYOUTS if layout.config in names for name in layout.weights)
    if lacking:
        return (
            f"has a config but no weights: looked for {', '.join(lacking)}, or ready graphs ({graph_names()}); {found}"
        )
    return (
        f"holds no model that is known: looked for model.safetensors of clipwright, {OPENCLIP_CONFIG_FILE} (OpenCLIP),"
        f" {CONFIG_FILE} (Hugging Face) with weights, or ready graphs beside it ({graph_names()}); {found}"
    )


def unknown_tensors(tensors: Collection[str]) -> str:
    """Why tensors of these names are no model that can be read without a config."""
    shown = f"holds {_counted(tensors, 'tensor')}"
    if any(".lora_" in name for name in tensors):
        return f"{shown} of a LoRA adapter; merge it into its model first (peft: merge_and_unload)"
    if not any(name.startswith(("text", "transformer.", "token_embedding")) for name in tensors) and any(
        name.startswith(("visual.", "vision_model.", "vision.")) for name in tensors
    ):
        return f"{shown} of an image tower alone; name the model that has its text tower behind a plus: FILE+MODEL"
    return (
        f"{shown} that are neither clipwright's own nor OpenAI's; for OpenCLIP and Hugging Face put their config beside"
        " the file, or name the architecture or the config behind it: FILE:ViT-B-32, FILE:config.json"
    )


def _known_kind(folder: Path | None, names: Collection[str]) -> str | None:
    if _ADAPTER in names:
        base = _base_of_adapter(folder)
        of = f" for {base}" if base else ""
        return f"holds a LoRA adapter{of}; merge it into its model first (peft: merge_and_unload)"
    if MODULES_FILE in names and folder is not None:
        kinds = ", ".join(module_kinds(folder / MODULES_FILE))
        return f"is a model of sentence-transformers made of {kinds}, which is no CLIP"
    return next((what for ending, what in _OTHERS.items() if any(name.endswith(ending) for name in names)), None)


def _base_of_adapter(folder: Path | None) -> str | None:
    if folder is None:
        return None
    try:
        return str(json.loads((folder / _ADAPTER).read_text(encoding="utf-8"))["base_model_name_or_path"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _counted(names: Iterable[str], what: str) -> str:
    """'12 files (a, b, c, d, e ...)'"""
    listed = sorted(names)
    shown = ", ".join(listed[:_SHOWN]) + (" ..." if len(listed) > _SHOWN else "")
    return f"{len(listed)} {what}{'' if len(listed) == 1 else 's'}{f' ({shown})' if listed else ''}"
