"""What the layers of a model see, found by running it on pictures and sentences that are made here.

The pictures are dead leaves: discs of every size and colour over each other, which have edges, areas and shadings in
about the proportions of photographs (Lee, Mumford & Huang 2001). So calibrating needs no data set.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from clipwright.checkpoints.checkpoint import Checkpoint
from clipwright.embedding.backend import Tower
from clipwright.errors import TokenizerError
from clipwright.graph.arithmetic import PROBE, Probing
from clipwright.graph.packing import pack_texts
from clipwright.graph.towers import IMAGE_INPUT, image_graph, text_graph
from clipwright.inputs.preprocess import normalise, prepare_image
from clipwright.inputs.tokenizer import Tokenizer

_PICTURES = 24
_BATCH = 8
"""Inputs at once, so that a large model's layers are not all in memory for all of them."""
_SIDE = 256
_DISCS = 400
SENTENCES = (
    "a photo of a cat.",
    "two dogs run along a beach in the late afternoon",
    "Red car",
    "a close-up of a bowl of soup with herbs, seen from above",
    "the street at night, with rain and neon lights",
    "a child in a yellow raincoat jumps into a puddle while her brother watches from under an umbrella",
    "an old map of the city of Lisbon, 1755",
    "snow-covered mountains behind a lake",
    "a black and white portrait of a woman with glasses",
    "a bar chart with 4 columns and a title",
    "itap of my breakfast",
    "a low resolution picture of the airplane.",
    "people waiting for a bus",
    "a bouquet of flowers on a wooden table next to a cup of coffee and an open book",
    "nothing but a blue sky",
    "a football player in a white shirt kicks the ball past the goalkeeper",
    "http://example.org/index.html?page=2",
    "ein Hund und eine Katze",
    "a satellite image of fields and a river",
    "sculpture",
    "a page of printed text in a language that nobody in the room can read, held up to the light by a thin hand",
    "an X-ray of a hand",
    "a bird on a branch, blurred background",
    "a cartoon of a robot with a speech bubble saying HELLO!!!",
)


def calibrate(checkpoint: Checkpoint, tower: Tower) -> dict[str, np.ndarray]:
    """Under each layer's name (2, channels) float32: the least and the largest of every channel that enters it.

    Raises TokenizerError where the text tower is asked for and the checkpoint has no tokenizer.
    """
    from clipwright.embedding.backends.onnx import open_in_memory

    packed = tower == "text" and not checkpoint.config.text.sees_padding
    if tower == "image":
        graph = image_graph(checkpoint.config, checkpoint.weights, Probing())
        batches = _picture_batches(checkpoint)
    else:
        graph = text_graph(checkpoint.config, checkpoint.weights, Probing(), packed=packed)
        batches = _sentence_batches(checkpoint, packed)
    session = open_in_memory(graph, None)
    wanted = [output.name for output in graph.outputs if output.name.startswith(PROBE)]
    bounds: dict[str, np.ndarray] = {}
    for inputs in batches:
        for name, (low, high) in zip(wanted, session.run(wanted, inputs), strict=True):
            known = bounds.get(name, np.stack([low, high]))
            bounds[name] = np.stack([np.minimum(known[0], low), np.maximum(known[1], high)])
    return {name.removeprefix(PROBE): array for name, array in bounds.items()}


def _picture_batches(checkpoint: Checkpoint) -> Iterator[dict[str, np.ndarray]]:
    for start in range(0, _PICTURES, _BATCH):
        pictures = [dead_leaves(seed) for seed in range(start, min(start + _BATCH, _PICTURES))]
        squares = np.stack([prepare_image(picture, checkpoint.spec) for picture in pictures])
        yield {IMAGE_INPUT: normalise(squares, checkpoint.spec)}


def _sentence_batches(checkpoint: Checkpoint, packed: bool) -> Iterator[dict[str, np.ndarray]]:
    if checkpoint.tokenizer is None:
        raise TokenizerError("int8 needs the model's tokenizer, to see what its text tower does with sentences")
    tokenizer = Tokenizer(checkpoint.tokenizer, checkpoint.spec)
    for start in range(0, len(SENTENCES), _BATCH):
        tokens = tokenizer.encode(SENTENCES[start : start + _BATCH])
        yield pack_texts(tokens.ids, tokens.ends) if packed else {"ids": tokens.ids, "ends": tokens.ends}


def dead_leaves(seed: int) -> Image.Image:
    """A picture of discs over each other, the same for the same seed; some are soft, as out of focus."""
    random = np.random.default_rng(seed)
    base = random.uniform(40, 215, 3)
    image = Image.new("RGB", (_SIDE, _SIDE), tuple(int(value) for value in base))
    draw = ImageDraw.Draw(image)
    spread = random.uniform(10, 90)
    for _ in range(_DISCS):
        radius = 3 / np.sqrt(random.uniform(0.0004, 1))  # many small, few large
        x, y = random.uniform(-radius, _SIDE + radius, 2)
        colour = np.clip(base + random.normal(0, spread, 3), 0, 255)
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), tuple(int(value) for value in colour))
    return image.filter(ImageFilter.GaussianBlur(float(random.choice([0.0, 0.7, 2.5]))))
