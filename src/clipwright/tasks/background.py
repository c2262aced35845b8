"""General captions: what a picture may show when it shows none of the labels in question.

A label that is true of a picture stands out from these; one that is merely the nearest of a few wrong ones does not.
"""

from __future__ import annotations

_SUBJECTS = (
    "person", "man", "woman", "child", "crowd", "face", "hand", "dog", "cat", "bird", "fish", "horse", "insect",
    "snake", "wild animal", "farm animal", "tree", "flower", "leaf", "forest", "field", "mountain", "beach", "river",
    "lake", "sea", "sky", "cloud", "sunset", "snowy landscape", "desert", "garden", "street", "city", "building",
    "house", "church", "bridge", "tower", "room", "kitchen", "bed", "chair", "table", "lamp", "window", "door", "car",
    "truck", "bus", "train", "bicycle", "boat", "airplane", "road", "sign", "meal", "fruit", "vegetable", "cake",
    "drink", "cup", "bottle", "plate", "book", "page of text", "screen", "computer", "phone", "camera", "clock", "tool",
    "machine", "musical instrument", "toy", "ball", "shirt", "shoe", "hat", "bag", "coin", "drawing", "painting",
    "statue", "pattern", "texture", "night scene", "sports game", "party", "stage", "shop", "swimming pool", "planet",
)  # fmt: skip
BACKGROUND_CAPTIONS = tuple(f"a photo of a {subject}." for subject in _SUBJECTS)
