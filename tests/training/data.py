"""Small training data, made in the test: squares of a colour, whose label is the colour's name."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 40), "blue": (30, 50, 220), "grey": (128, 128, 128)}
IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def jpeg(colour: tuple[int, int, int], seed: int, size: tuple[int, int] = (40, 40)) -> bytes:
    """A JPEG of a colour with some noise on it."""
    noise = np.random.default_rng(seed).integers(-20, 20, (size[1], size[0], 3))
    pixels = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG")
    return out.getvalue()


def pictures(count: int) -> tuple[list[bytes], list[int]]:
    labels = [i % len(COLOURS) for i in range(count)]
    return [jpeg(list(COLOURS.values())[label], i) for i, label in enumerate(labels)], labels


def write_labels(path: Path, count: int = 64, broken: tuple[int, ...] = ()) -> Path:
    """A Parquet file of labelled pictures; the rows in broken hold a cut-off JPEG."""
    images, labels = pictures(count)
    images = [data[:100] if i in broken else data for i, data in enumerate(images)]
    features = {"image": {"_type": "Image"}, "label": {"names": list(COLOURS), "_type": "ClassLabel"}}
    rows = [{"bytes": data, "path": f"{i}.jpg"} for i, data in enumerate(images)]
    table = pa.table({"image": pa.array(rows, IMAGE), "label": pa.array(labels, pa.int16())})
    pq.write_table(table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})}), path)
    return path


def write_captions(path: Path, count: int = 32) -> Path:
    images, labels = pictures(count)
    names = list(COLOURS)
    captions = [[f"a {names[label]} square", f"something {names[label]}"] for label in labels]
    rows = [{"bytes": data, "path": f"{i}.jpg"} for i, data in enumerate(images)]
    pq.write_table(pa.table({"image": pa.array(rows, IMAGE), "captions": pa.array(captions)}), path)
    return path


def write_tar(path: Path, samples: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, data in samples.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def recipe_text(source: str, **training: Any) -> str:
    """A recipe for a model of two tiny towers."""
    settings = {
        "steps": 8,
        "batch_size": 8,
        "learning_rate": 1e-3,
        "warmup_steps": 2,
        "precision": "fp32",
        "workers": 2,
        "threads": 1,
        "log_every": 2,
        "checkpoint_every": 2,
        "evaluate_every": 4,
        **training,
    }
    lines = "\n".join(f"{key} = {json.dumps(value)}" for key, value in settings.items())
    return f"""
[model]
name = "tiny"

[config]
embed_dim = 16

[config.vision]
kind = "resnet"
image_size = 32
width = 8
stage_blocks = [1, 1, 1, 1]
heads = 4

[config.text]
context_length = 12
vocab_size = 540
width = 32
layers = 1
heads = 2
mlp_width = 64

[augment]
colour = 0.2

[training]
{lines}

{source}
"""


def label_source(path: Path, **more: Any) -> str:
    lines = "\n".join(f"{key} = {json.dumps(value)}" for key, value in more.items())
    return f'[[sources]]\nkind = "parquet"\npath = "{path.name}"\nweight = 1.0\n{lines}\n'
