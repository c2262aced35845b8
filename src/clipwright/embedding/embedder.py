"""Embedder: a loaded model that turns pictures and texts into unit vectors of one space."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from PIL import Image

from clipwright.embedding.backend import Backend, BackendName
from clipwright.embedding.pipeline import stream_prepared
from clipwright.errors import (
    ClipwrightError,
    DimensionError,
    Failure,
    ImageError,
    TokenizerError,
    describe_source,
)
from clipwright.inputs.images import MAX_PIXELS, ImageSource, open_image
from clipwright.inputs.input_spec import InputSpec
from clipwright.inputs.memory import PICTURES
from clipwright.inputs.preprocess import normalise, prepare_image
from clipwright.inputs.tokenizer import Tokenizer, Tokens

Pixels = Literal["exact", "fast"]
"""exact: as the maker of the model prepares them, to the byte. fast: JPEGs are decoded near the size that is needed."""
NO_VECTOR = "the model's answer to it is no vector: all of its numbers are 0, or some are not finite"
"""Why an input that is sound has no embedding: the towers' arithmetic overflowed, or weights in a graph are broken."""
logger = logging.getLogger(__name__)
Source = TypeVar("Source")
Item = TypeVar("Item")


class Embedder:
    """What clipwright.load gives. Safe to use from several threads."""

    def __init__(
        self,
        name: str,
        space_id: str,
        embed_dim: int,
        scale: float,
        spec: InputSpec,
        tokenizer: Tokenizer | None,
        backend: Backend,
        bias: float | None = None,
        pixels: Pixels = "exact",
        *,
        strict_length: bool = False,
    ) -> None:
        self.name = name
        """How the model is called in messages."""
        self.space_id = space_id
        """Names the embedding space: vectors of different spaces may not be compared."""
        self.embed_dim = embed_dim
        self.scale = scale
        """exp(logit_scale): what similarities are multiplied by before a softmax."""
        self.bias = bias
        """What is added to scaled similarities before a sigmoid; None: a softmax over the labels is meant."""
        self.spec = spec
        self.pixels: Pixels = pixels
        self._tokenizer = tokenizer
        self._backend = backend
        self._strict_length = strict_length
        self._told_of_cut = False
        self._decoded_at_least = spec.image_size if pixels == "fast" else None

    @property
    def variant(self) -> str:
        """How vectors are made within their space: the pixels, and the precision of the towers."""
        return f"{self.pixels}-{self._backend.precision}"

    @property
    def backend(self) -> BackendName:
        """The runtime of the towers."""
        return self._backend.name

    def embed_texts(self, texts: Sequence[str], batch_size: int = 256) -> np.ndarray:
        """(N, D) float32, unit rows, one for each text. Texts beyond the context are cut, and a warning is logged.

        Raises ClipwrightError at a text for which the model's numbers are not finite.
        """
        if isinstance(texts, str):
            raise ClipwrightError("embed_texts takes a list of texts, not one string: embed_texts([text])")
        batches = [texts[start : start + batch_size] for start in range(0, len(texts), batch_size)]
        return self._stack([self._embed_text_batch(batch) for batch in batches])

    def embed_images(self, images: Sequence[ImageSource], batch_size: int = 32) -> np.ndarray:
        """(N, D) float32, unit rows, one for each picture. Raises ImageError, naming the picture, at a bad one."""
        vectors = []
        for source, result in self.stream_images(images, batch_size):
            if isinstance(result, Failure):
                raise ImageError(result.code, f"{describe_source(source)}: {result.message}")
            vectors.append(result[None])
        return self._stack(vectors)

    def stream_images(
        self, images: Iterable[ImageSource | Failure], batch_size: int = 32, threads: int | None = None
    ) -> Iterator[tuple[Any, np.ndarray | Failure]]:
        """(source, (D,) float32 unit vector or Failure) for every picture, in order, in bounded memory.

        A Failure among the pictures (a folder that had none, say) is handed on in its place.
        """
        if _is_one_picture(images):
            raise ClipwrightError("pictures are given as a list, a single one too: [picture]")
        for source, square, vector in self.stream_prepared(images, self.prepare, np.asarray, batch_size, threads):
            if vector is None and not isinstance(square, Failure):
                yield source, Failure(source, "unreadable", NO_VECTOR)
            else:
                yield source.source if isinstance(source, Failure) else source, square if vector is None else vector

    def stream_prepared(
        self,
        sources: Iterable[Source],
        prepare: Callable[[Source], Item | Failure],
        square_of: Callable[[Item], np.ndarray | None],
        batch_size: int = 32,
        threads: int | None = None,
    ) -> Iterator[tuple[Source, Item | Failure, np.ndarray | None]]:
        """(source, what prepare made of it, (D,) float32 unit vector) for every source, in order, in bounded memory.

        For callers that need more of a picture than its vector. prepare runs on threads, ahead of the model. square_of
        gives an item's (S, S, 3) uint8, as prepare_image makes it for this embedder's spec; the vector is None where
        that is None, for a Failure, and where the model gives none that is finite (NO_VECTOR).
        """
        workers = threads or os.cpu_count() or 1
        yield from stream_prepared(sources, prepare, square_of, self.embed_squares, batch_size, workers)

    def prepare(self, source: ImageSource | Failure, max_pixels: int = MAX_PIXELS) -> np.ndarray | Failure:
        """The (S, S, 3) uint8 square that the model sees of a picture; a Failure is handed on.

        max_pixels: of the picture as it is stored; looked at before anything is decoded.
        """
        if isinstance(source, Failure):
            return source
        try:
            with PICTURES.scope():
                return prepare_image(open_image(source, self._decoded_at_least, max_pixels), self.spec)
        except ImageError as error:
            return error.failure(source)

    def embed_squares(self, squares: np.ndarray) -> np.ndarray:
        """squares (B, S, S, 3) uint8, as prepare gives them, to (B, D) float32, unit rows.

        Of NaN where the model's numbers are not finite, or all 0, which has no direction.
        """
        return _embeddings(self._backend.image_features(normalise(squares, self.spec)))

    def tokenize(self, texts: Sequence[str]) -> Tokens:
        """The tokens of a batch of texts. Raises TokenizerError where the model came without a tokenizer."""
        if self._tokenizer is None:
            raise TokenizerError(
                f"{self.name} came without a tokenizer; add its tokenizer.json, or give text_features ids"
            )
        return self._tokenizer.encode(texts)

    def embed_tokens(self, tokens: Tokens) -> np.ndarray:
        """(B, D) float32, unit rows, one for each text of a batch; of NaN as in embed_squares."""
        return _embeddings(self._backend.text_features(tokens.ids, tokens.ends))

    def image_features(self, pixels: np.ndarray) -> np.ndarray:
        """pixels (B, 3, S, S) float32, normalised, to features (B, D) float32, not of unit length."""
        size = self.spec.image_size
        if pixels.ndim != 4 or pixels.shape[1:] != (3, size, size):
            raise DimensionError(f"pixels have shape {pixels.shape}; this model reads (B, 3, {size}, {size})")
        return self._backend.image_features(np.ascontiguousarray(pixels, np.float32))

    def text_features(self, ids: np.ndarray) -> np.ndarray:
        """ids (B, L) integers, each row with its end id if texts have it, to features (B, D) float32, not of unit
        length."""
        length, fixed = self.spec.context_length, self.spec.padding == "context"
        if ids.ndim != 2 or ids.shape[1] > length or (fixed and ids.shape[1] != length):
            raise DimensionError(
                f"ids have shape {ids.shape}; this model reads (B, {'exactly' if fixed else 'at most'} {length})"
            )
        is_end = ids == self.spec.end_id
        if self.spec.with_end and not is_end.any(axis=1).all():
            raise DimensionError(f"a row of ids lacks the end id {self.spec.end_id}")
        return self._backend.text_features(np.ascontiguousarray(ids, np.int64), is_end.argmax(axis=1))

    def _embed_text_batch(self, texts: Sequence[str]) -> np.ndarray:
        tokens = self.tokenize(texts)
        if any(tokens.dropped) and (self._strict_length or not self._told_of_cut):
            self._told_of_cut = True
            cut = next(i for i, count in enumerate(tokens.dropped) if count)
            if self._strict_length:
                raise TokenizerError(
                    f"{texts[cut][:60]!r} is {tokens.dropped[cut]} tokens too long for {self.name}, which reads "
                    f"{self.spec.context_length}; shorten it"
                )
            logger.warning(
                "%r is too long for %s: its %s %d tokens were left out (said once)",
                texts[cut][:60],
                self.name,
                "last" if self.spec.truncation_side == "right" else "first",
                tokens.dropped[cut],
            )
        vectors = self.embed_tokens(tokens)
        finite = np.isfinite(vectors).all(axis=1)
        if not finite.all():
            text = texts[int(finite.argmin())]
            instead = "" if self._backend.precision == "fp32" else ", or --precision fp32"
            raise ClipwrightError(
                f"{text[:60]!r} has no embedding by {self.name}: {NO_VECTOR}; take another model{instead}"
            )
        return vectors

    def _stack(self, rows: list[np.ndarray]) -> np.ndarray:
        return np.concatenate(rows) if rows else np.zeros((0, self.embed_dim), np.float32)


def _is_one_picture(images: object) -> bool:
    """Whether this is a picture, whose rows or letters would each be taken for one."""
    shape = getattr(images, "shape", None)
    if shape is None or not hasattr(images, "__array__"):
        return isinstance(images, str | bytes | Path | Image.Image)
    colours = (shape[0], shape[2]) if len(shape) == 3 and hasattr(images, "detach") else shape[2:]
    return len(shape) == 2 or (len(shape) == 3 and any(count in (3, 4) for count in colours))


def unit_rows(features: np.ndarray) -> np.ndarray:
    """(N, D) features at length 1, float32. What is not finite has NaN in it; rows of no length, or of one beyond
    float32, are 0."""
    rows = features.astype(np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        lengths = np.linalg.norm(rows, axis=-1, keepdims=True)
        return np.asarray(np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths != 0))


def _embeddings(features: np.ndarray) -> np.ndarray:
    """Features at length 1; a row of NaN where they have no direction."""
    rows = unit_rows(features)
    rows[~rows.any(axis=-1)] = np.nan
    return rows
