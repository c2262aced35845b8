"""Query: what is searched for, as blends of words and pictures joined by AND, OR and NOT.

docs/concepts/query-language.md has the grammar; query_parser.py reads it, ranking.py carries it out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from clipwright.errors import ClipwrightError, Failure, ImageError, QueryError, UnknownPhotoError
from clipwright.inputs.encoded_pictures import is_encoded
from clipwright.inputs.image_names import image_suffixes
from clipwright.inputs.images import ImageSource

if TYPE_CHECKING:
    from clipwright.embedding.embedder import Embedder

TermKind = Literal["words", "file", "url", "photo", "upload"]
TermKey = tuple[TermKind, str]
"""What a term is and says, whatever its weight: what its vector depends on."""
PhotoVectors = Callable[[int], np.ndarray]
"""Gives the unit vector (D,) of a photograph of the index by its id, and raises KeyError where there is none."""
OPERATORS = frozenset(["+", "-", "AND", "OR", "NOT"])
RESERVED = ("file:", "photo:", "upload:")
"""What a term may begin with to say what it is."""
WEIGHT = re.compile(r"[+-]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:[eE][+-]?\d+)?:|[+-]?(?:nan|inf(?:inity)?):", re.IGNORECASE)
"""What a weight looks like, those that are refused too."""
URL = re.compile(r"https?://", re.IGNORECASE)
_PHOTO = re.compile(r"photo:\d", re.IGNORECASE)
_PATH = re.compile(r"\.{0,2}[/\\]|~[/\\]|[A-Za-z]:[/\\]")
_SPECIAL = re.compile(r"[()\"“”„]")
_LEAST_LENGTH = 1e-3
"""Of a blend's sum, in shares of its weights: less is rounding, not a direction."""


@dataclass(frozen=True)
class Term:
    """One part of a blend: words, or a picture by its path, its URL, its id in the index, or its upload's name."""

    kind: TermKind
    value: str
    weight: float = 1.0
    """Negative: taken away."""

    @property
    def is_picture(self) -> bool:
        return self.kind != "words"

    def __str__(self) -> str:
        """As it is written, without its sign."""
        size = abs(self.weight)
        weight = "" if size == 1 else f"{size!r}:".replace(".0:", ":")
        if self.kind in ("photo", "upload"):
            return f"{weight}{self.kind}:{self.value}"
        kept = self.kind == "words" or looks_like_picture(self.value)
        if kept and _reads_as_itself(self, weighted=bool(weight)):
            return weight + self.value
        quoted = '"' + self.value.replace('"', '""') + '"'
        return weight + (quoted if self.kind == "words" else f"file:{quoted}")


@dataclass(frozen=True)
class Blend:
    """A weighted sum of terms, which stands for one direction of the embedding space."""

    terms: tuple[Term, ...]

    @property
    def picture_share(self) -> float:
        """How much of it is pictures, 0 to 1, by the size of the weights."""
        sizes = sum(abs(term.weight) for term in self.terms)
        return sum(abs(term.weight) for term in self.terms if term.is_picture) / sizes

    def __str__(self) -> str:
        first, *others = self.terms
        start = f"- {first}" if first.weight < 0 else str(first)
        return start + "".join(f" {'-' if term.weight < 0 else '+'} {term}" for term in others)


@dataclass(frozen=True)
class Not:
    part: Node

    def __str__(self) -> str:
        return f"NOT {self.part}" if isinstance(self.part, Blend | Not) else f"NOT ({self.part})"


@dataclass(frozen=True)
class And:
    parts: tuple[Node, ...]

    def __str__(self) -> str:
        return " AND ".join(f"({part})" if isinstance(part, Or | And) else str(part) for part in self.parts)


@dataclass(frozen=True)
class Or:
    parts: tuple[Node, ...]

    def __str__(self) -> str:
        return " OR ".join(f"({part})" if isinstance(part, Or) else str(part) for part in self.parts)


Node = Blend | Not | And | Or


@dataclass(frozen=True)
class Query:
    """What is searched for. str() gives its text in its plainest form."""

    root: Node

    @classmethod
    def like(cls, photo: int) -> Query:
        """Whatever resembles a photograph of the index."""
        return cls(Blend((Term("photo", str(photo)),)))

    @classmethod
    def of_file(cls, path: Path) -> Query:
        """Whatever resembles the picture in a file."""
        return cls(Blend((Term("file", str(path)),)))

    @property
    def blends(self) -> tuple[Blend, ...]:
        """The different blends of the query, in the order in which they stand."""
        return tuple(dict.fromkeys(_blends(self.root)))

    @property
    def terms(self) -> tuple[TermKey, ...]:
        """The different words and pictures of the query, in the order in which they stand."""
        return tuple(dict.fromkeys((term.kind, term.value) for blend in self.blends for term in blend.terms))

    def __str__(self) -> str:
        return str(self.root)

    def embed(
        self,
        embedder: Embedder | None,
        photo_vectors: PhotoVectors | None = None,
        uploads: Mapping[str, ImageSource] | None = None,
    ) -> np.ndarray:
        """(L, D) float32, unit rows, one for each of blends.

        uploads are pictures by the names under which the query has them. All words are embedded in one batch, all
        pictures in another, each different one once; embedder may be None where the query has only photographs of the
        index. Raises QueryError where a picture cannot be used, and where the terms of a blend cancel out.
        """
        return self.combine(_embed_terms(self.terms, embedder, uploads or {}), photo_vectors)

    def combine(self, vectors: Mapping[TermKey, np.ndarray], photo_vectors: PhotoVectors | None = None) -> np.ndarray:
        """What embed gives, from vectors (D,), of length 1, of all terms but photographs of the index.

        Raises QueryError where photo_vectors has none for one of these, and where the terms of a blend cancel out.
        """
        known = dict(vectors)
        for kind, value in self.terms:
            if kind == "photo":
                known[kind, value] = _photo_vector(int(value), photo_vectors)
        return np.stack([_sum(blend, known) for blend in self.blends])


def looks_like_picture(text: str) -> bool:
    """Whether a term is taken for a path, a URL or a picture in letters, whether or not there is one."""
    if URL.match(text) or _PATH.match(text) or is_encoded(text):
        return True
    return "." in text and text.lower().endswith(tuple(image_suffixes()))  # asking for these takes a while at first


def names_picture(word: str) -> bool:
    """Whether a word begins as the name of a picture does. A phone writes the first letter of a query large."""
    return word.startswith(RESERVED) or _PHOTO.match(word) is not None


def _reads_as_itself(term: Term, weighted: bool) -> bool:
    """Whether the parser takes the value for this term when it stands there without quotes."""
    text, words = term.value, term.value.split()
    if not words or text != " ".join(words) or _SPECIAL.search(text) or names_picture(words[0]):
        return False
    if WEIGHT.match(text) or (weighted and text[0].isdigit()):
        return False
    if any(word in OPERATORS for word in words):
        return False
    if term.kind != "words":
        return True
    return not looks_like_picture(text) and not any(word[0] in "+-" or names_picture(word) for word in words)


def _blends(node: Node) -> Iterator[Blend]:
    if isinstance(node, Blend):
        yield node
    else:
        for part in (node.part,) if isinstance(node, Not) else node.parts:
            yield from _blends(part)


def _embed_terms(
    terms: Sequence[TermKey], embedder: Embedder | None, uploads: Mapping[str, ImageSource]
) -> dict[TermKey, np.ndarray]:
    """The vectors of those terms that need a model."""
    words = [term for term in terms if term[0] == "words"]
    pictures = [term for term in terms if term[0] in ("file", "url", "upload")]
    vectors: dict[TermKey, np.ndarray] = {}
    if words or pictures:
        if embedder is None:
            raise ClipwrightError("words and pictures in a query need a model: give an embedder")
        texts = embedder.embed_texts([value for _, value in words]) if words else ()
        vectors.update(zip(words, texts, strict=True))
        vectors.update(zip(pictures, _embed_pictures(pictures, embedder, uploads), strict=True))
    return vectors


def _embed_pictures(
    pictures: Sequence[TermKey], embedder: Embedder, uploads: Mapping[str, ImageSource]
) -> list[np.ndarray]:
    sources = [_open(kind, value, uploads) for kind, value in pictures]
    vectors = []
    for (_, value), (_, result) in zip(pictures, embedder.stream_images(sources), strict=True):
        if isinstance(result, Failure):
            raise QueryError(f"the picture {value!r} of the query cannot be used: {result.message}")
        vectors.append(result)
    return vectors


def _open(kind: TermKind, value: str, uploads: Mapping[str, ImageSource]) -> ImageSource:
    if kind == "upload":
        if value not in uploads:
            raise QueryError(f"the query names the upload {value!r}, but no picture came under that name")
        return uploads[value]
    if kind == "url":
        from clipwright.inputs.web_pictures import fetch_picture

        try:
            return fetch_picture(value)
        except ImageError as error:
            raise QueryError(f"the picture {value!r} of the query cannot be used: {error}") from error
    return Path(value).expanduser()


def _photo_vector(photo: int, photo_vectors: PhotoVectors | None) -> np.ndarray:
    try:
        if photo_vectors is None:
            raise KeyError(photo)
        return np.asarray(photo_vectors(photo), np.float32)
    except KeyError as error:
        raise UnknownPhotoError(f"photo:{photo} of the query is not in the index") from error


def _sum(blend: Blend, vectors: Mapping[TermKey, np.ndarray]) -> np.ndarray:
    total = sum(term.weight * np.asarray(vectors[term.kind, term.value], np.float64) for term in blend.terms)
    length = float(np.linalg.norm(total))
    if length <= _LEAST_LENGTH * sum(abs(term.weight) for term in blend.terms):
        raise QueryError(f"'{blend}' adds up to nothing: what is added is taken away again")
    return np.asarray(total / length, np.float32)
