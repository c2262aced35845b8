"""From a file to all that an index keeps of it, read once and decoded once."""

from __future__ import annotations

import hashlib
import io
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from clipwright.embedding.embedder import Pixels
from clipwright.errors import Failure, ImageError
from clipwright.index.perceptual_hash import perceptual_hash
from clipwright.index.photo import PhotoFacts
from clipwright.index.photo_facts import photo_facts
from clipwright.index.scan import FoundFile
from clipwright.inputs.colours import in_srgb
from clipwright.inputs.images import LARGEST_FILE, open_photo
from clipwright.inputs.input_spec import InputSpec
from clipwright.inputs.memory import PICTURES
from clipwright.inputs.preprocess import prepare_image

THUMBNAIL_SIDE = 320
"""Pixels of a thumbnail's longer side, at the most."""
_AT_LEAST = 240
"""Pixels of the shorter side that fast pixels leave, also for a smaller model: a thumbnail of 4:3 has so many."""


@dataclass(frozen=True)
class ReadPhoto:
    """What was read of one file. Of content that is known already, its hash and nothing else."""

    content_hash: bytes
    """BLAKE2b of the file, 16 bytes."""
    facts: PhotoFacts | None
    square: np.ndarray | None
    """(S, S, 3) uint8, as the model sees the picture."""
    thumbnail: bytes | None
    """A JPEG without metadata; None too where none was asked for."""
    perceptual_hash: int | None


def read_photo(
    file: FoundFile, spec: InputSpec, *, pixels: Pixels, thumbnails: bool, is_known: Callable[[bytes], bool]
) -> ReadPhoto | Failure:
    """All that an index keeps of a file, or why it cannot be used. is_known is asked by content hash.

    With exact pixels the square is the Embedder's own to the byte. With fast ones a JPEG is decoded once, small, for
    square, thumbnail and perceptual hash.
    """
    path = Path(os.fsdecode(file.path))
    try:
        with PICTURES.scope():
            data = _read(file.path)
            content_hash = hashlib.blake2b(data, digest_size=16).digest()
            if is_known(content_hash):
                return ReadPhoto(content_hash, None, None, None, None)
            photo = open_photo(data, max(spec.image_size, _AT_LEAST) if pixels == "fast" else None)
            return ReadPhoto(
                content_hash=content_hash,
                facts=photo_facts(photo),
                square=prepare_image(photo.image, spec),
                thumbnail=thumbnail(photo.image) if thumbnails else None,
                perceptual_hash=perceptual_hash(photo.image),
            )
    except ImageError as error:
        return error.failure(path)


def thumbnail(image: Image.Image) -> bytes:
    """A small JPEG of an upright RGB picture, never larger than the picture itself."""
    long = max(image.size)
    if long > THUMBNAIL_SIDE:
        width, height = (max(1, round(side * THUMBNAIL_SIDE / long)) for side in image.size)
        image = image.resize((width, height), Image.Resampling.HAMMING, reducing_gap=2.0)
    file = io.BytesIO()
    in_srgb(image).save(file, "JPEG", quality=78)
    return file.getvalue()


def _read(path: bytes) -> bytes:
    """The content of a file that stayed the same while it was read."""
    try:
        with open(path, "rb", buffering=0, opener=_open_at_once) as file:
            before = os.fstat(file.fileno())
            if not stat.S_ISREG(before.st_mode):
                raise ImageError("unreadable", "not an ordinary file")
            if before.st_size > LARGEST_FILE:
                raise ImageError("too_large", "the file has more than 2 GiB")
            PICTURES.claim(before.st_size)
            data = file.readall()
            after = os.fstat(file.fileno())
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ImageError("missing", "no such file") from error
    except OSError as error:
        raise ImageError("unreadable", f"may not be read: {error.strerror or error}") from error
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns) or len(data) != after.st_size:
        raise ImageError("changed_while_reading", "the file changed while it was read")
    return data


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))  # opening a pipe would wait for its other end
