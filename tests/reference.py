"""The makers' own models and answers in tests/data/reference; ../shared/reference tells how they were made."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clipwright.checkpoints.checkpoint import Checkpoint
from clipwright.checkpoints.families import timm_siglip
from clipwright.checkpoints.folder import read_checkpoint
from tests.support import REFERENCE

LAYOUTS = (
    "openai-vit.pt",
    "openai-vit-state.pt",
    "openai-rn.pt",
    "openai-rn-state.pt",
    "openclip-vit-gelu",
    "openclip-vit-quickgelu",
    "openclip-rn",
    "openclip-siglip-timm",
    "hf-clip",
    "hf-clip-eos2",
    "hf-siglip",
)


@dataclass(frozen=True)
class Answers:
    """What the maker's code gives for these inputs. unit: whether its features have length 1."""

    pixels: np.ndarray
    ids: np.ndarray
    image_features: np.ndarray
    text_features: np.ndarray
    logits_per_image: np.ndarray | None
    """None: the maker's file has scale and bias instead."""
    logit_scale: np.ndarray | None
    logit_bias: np.ndarray | None
    unit: bool


def answers(layout: str) -> Answers:
    if layout.endswith(".pt"):
        path = REFERENCE / f"{layout.removesuffix('.pt').removesuffix('-state')}-features.npz"
    else:
        path = REFERENCE / layout / "features.npz"
    table = dict(np.load(path))
    unit = "image_embeds" in table
    return Answers(
        pixels=table["pixels"],
        ids=table["ids"].astype(np.int64),
        image_features=table["image_embeds" if unit else "image_features"],
        text_features=table["text_embeds" if unit else "text_features"],
        logits_per_image=table.get("logits_per_image"),
        logit_scale=table.get("logit_scale"),
        logit_bias=table.get("logit_bias"),
        unit=unit,
    )


def reference_checkpoint(layout: str) -> Checkpoint:
    """timm's small tower has two heads, which its name does not say: that of the published size has twelve."""
    published = timm_siglip.TIMM_HEADS["base"]
    timm_siglip.TIMM_HEADS["base"] = 2
    try:
        return read_checkpoint(REFERENCE / layout)
    finally:
        timm_siglip.TIMM_HEADS["base"] = published
