"""InputSpec: how pictures and texts become what a model reads. It comes from the checkpoint and is saved with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

OPENAI_MEAN = (0.48145466, 0.4578275, 0.40821073)
OPENAI_STD = (0.26862954, 0.26130258, 0.27577711)

Side = Literal["right", "left"]
TextCleaning = Literal["none", "lower", "canonical", "lower_case", "mended", "mended_canonical"]
"""What happens to a text before it is encoded, besides what the tokenizer's own document does.

lower: mojibake mended, HTML entities resolved, white space joined, lower case (as OpenAI's tokenizer).
canonical: punctuation left out, white space joined, lower case (as SigLIP's in transformers).
lower_case: lower case and nothing else (as Siglip2Tokenizer of transformers).
mended: mojibake mended, HTML entities resolved, white space joined (OpenCLIP's habit with foreign tokenizers).
mended_canonical: both, with a space for each underscore (OpenCLIP's "canonicalize")."""


@dataclass(frozen=True, kw_only=True)
class InputSpec:
    """Everything that decides how a picture or a text is prepared; nothing else does."""

    image_size: int
    """Side of the square that the model reads, in pixels."""
    resize: Literal["shortest", "squash", "longest"] = "shortest"
    """shortest: the shorter side becomes image_size, then the centre is cut out. squash: both sides become image_size.
    longest: the longer side becomes image_size, and fill surrounds the rest."""
    crop_rounding: Literal["round", "floor"] = "round"
    """How half a pixel is settled when the centre is cut out: round as OpenAI, floor as Hugging Face."""
    fill: tuple[int, int, int] = (0, 0, 0)
    interpolation: Literal["bicubic", "bilinear"] = "bicubic"
    mean: tuple[float, float, float] = OPENAI_MEAN
    """Per channel, of pixels scaled to 0 to 1."""
    std: tuple[float, float, float] = OPENAI_STD

    context_length: int
    """The most tokens a text may have, start and end included; a longer text is cut and keeps its end token."""
    text_cleaning: TextCleaning = "lower"
    padding: Literal["longest", "context"] = "longest"
    """What a batch of texts is padded to: its longest, or the whole context (for towers that see the padding)."""
    padding_side: Side = "right"
    """left: where padding is 'context' only; else what a tower reads would depend on the other texts of a batch."""
    truncation_side: Side = "right"
    """Which end of a text that is too long is left out."""
    start_id: int | None = None
    """None: texts have no start token (SigLIP). A model file says so by leaving it out."""
    end_id: int
    with_end: bool = True
    """Whether end_id stands behind a text. If not, texts are read at the last place, whatever stands there."""
    pad_id: int

    def __post_init__(self) -> None:
        if self.image_size < 1:
            raise ValueError(f"image_size must be at least 1, not {self.image_size}")
        if self.context_length < 3:
            raise ValueError(f"context_length must be at least 3, not {self.context_length}")
        if (len(self.mean), len(self.std), len(self.fill)) != (3, 3, 3):
            raise ValueError(f"mean, std and fill have three channels, not {self.mean}, {self.std} and {self.fill}")
        if min(self.std) <= 0:
            raise ValueError(f"std must be above 0, not {self.std}")
        if self.padding == "longest" and (self.padding_side == "left" or not self.with_end):
            raise ValueError("texts padded on the left, or without their end, need the padding 'context'")
