"""The nine models of OpenAI have the parameters that were published with them."""

from __future__ import annotations

import pytest
import torch

from clipwright.model.dual_encoder import DualEncoder
from clipwright.model.openai import OPENAI_CONFIGS

PUBLISHED = {
    "RN50": 102_007_137,
    "RN101": 119_688_033,
    "RN50x4": 178_300_601,
    "RN50x16": 290_979_217,
    "RN50x64": 623_258_305,
    "ViT-B/32": 151_277_313,
    "ViT-B/16": 149_620_737,
    "ViT-L/14": 427_616_513,
    "ViT-L/14@336px": 427_944_193,
}
"""As OpenAI's notebook 'Interacting with CLIP' prints for ViT-B/32, and open_clip's model_profile.csv for all."""


def test_all_nine_models_are_there() -> None:
    assert OPENAI_CONFIGS.keys() == PUBLISHED.keys()


@pytest.mark.parametrize("name", PUBLISHED)
def test_model_has_its_published_parameter_count(name: str) -> None:
    with torch.device("meta"):
        model = DualEncoder(OPENAI_CONFIGS[name])
    assert sum(parameter.numel() for parameter in model.parameters()) == PUBLISHED[name]
