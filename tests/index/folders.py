"""Folders of photographs, and a model that one can read, for tests of the index and the processes they start."""

from __future__ import annotations

import functools
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from clipwright.embedding.backend import BackendName, Precision
from clipwright.embedding.embedder import Embedder, Pixels
from clipwright.index.photo_index import PhotoIndex
from clipwright.index.store import Store
from clipwright.inputs.input_spec import InputSpec
from clipwright.inputs.tokenizer import Tokenizer, end_ids, train_tokenizer

NOBODY = 65_534


class ColourBackend:
    """Towers one can read: features of a picture are its mean colour (-1 to 1) and a 1."""

    name: BackendName = "onnx"
    precision: Precision = "fp32"

    def __init__(self, at_batch: Callable[[int], None] | None = None) -> None:
        self.embedded = 0
        """Pictures so far."""
        self._at_batch = at_batch

    def image_features(self, pixels: np.ndarray) -> np.ndarray:
        if self._at_batch:
            self._at_batch(self.embedded)
        self.embedded += len(pixels)
        return np.array([[*picture.mean(axis=(1, 2)), 1] for picture in pixels], np.float32)

    def text_features(self, ids: np.ndarray, ends: np.ndarray) -> np.ndarray:
        return np.array([[0, 0, 0, 1]] * len(ids), np.float32)


@functools.cache
def _tokenizer() -> Tokenizer:
    document = train_tokenizer(["a photo of a colour"] * 4, 540)
    start, end = end_ids(document)
    half = (0.5, 0.5, 0.5)
    spec = InputSpec(image_size=8, mean=half, std=half, context_length=12, start_id=start, end_id=end, pad_id=0)
    return Tokenizer(document, spec)


def colour_embedder(
    backend: ColourBackend | None = None, space_id: str = "colours", pixels: Pixels = "exact"
) -> Embedder:
    tokenizer = _tokenizer()
    name = f"model of {space_id}"
    return Embedder(name, space_id, 4, 100.0, tokenizer.spec, tokenizer, backend or ColourBackend(), pixels=pixels)


def colour_of(number: int) -> tuple[int, int, int]:
    """One of 4,096 colours that even float16 tells apart."""
    return number % 16 * 17, number // 16 % 16 * 17, number // 256 % 16 * 17


def vector_of(number: int) -> np.ndarray:
    """What colour_embedder gives for a photograph of this number."""
    features = np.array([*(np.array(colour_of(number)) / 127.5 - 1), 1], np.float32)
    return np.asarray(features / np.linalg.norm(features), np.float32)


def write_photo(path: Path | bytes, number: int) -> None:
    """A small photograph of one colour."""
    with open(path, "wb") as file:  # noqa: PTH123 - also of a name that is not UTF-8
        Image.new("RGB", (12, 9), colour_of(number)).save(file, "PNG")


def write_photos(folder: Path, count: int, first: int = 0) -> list[Path]:
    """Photographs with numbers from first on, each named by its own."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number:04}.png" for number in range(first, first + count)]
    for number, path in enumerate(paths, first):
        write_photo(path, number)
    return paths


def vectors_by_path(database: Path, space_id: str = "colours") -> dict[bytes, np.ndarray]:
    """All vectors of a space, by the path of their photograph."""
    found: dict[bytes, np.ndarray] = {}
    with Store.open(database) as store:
        space = next((space.id for space in store.spaces() if space.space_id == space_id), 0)
        for ids, vectors in store.vectors_since(space, 0):
            photos = {photo.id: photo.path for photo in store.photos(ids.tolist())}
            found |= {photos[int(id_)]: vector for id_, vector in zip(ids, vectors, strict=True) if id_ in photos}
    return found


def as_nobody(test: Callable[[], None]) -> None:
    """Runs a part of a test in a process that permissions hold for: the super-user may do anything."""
    if os.geteuid():
        test()
        return
    child = os.fork()
    if not child:
        try:
            os.setresuid(NOBODY, NOBODY, NOBODY)
            test()
        except BaseException as error:
            print(f"as nobody: {error!r}", file=sys.stderr)
            os._exit(1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def index_slowly(database: Path, folder: Path, pause: str, largest_file: str = "") -> None:
    """What 'python -m tests.index.folders' does: indexes a folder in batches of 8.

    Waits before each batch so many milliseconds, or for a line on standard input if pause is "line". Says 'begun' when
    the first batch is there, and 'done' at the end. With largest_file, files may not grow beyond so many bytes.
    """
    if largest_file:
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(largest_file), int(largest_file)))

    def at_batch(embedded: int) -> None:
        if not embedded:
            print("begun", flush=True)
        if pause == "line":
            sys.stdin.readline()
        else:
            time.sleep(int(pause) / 1000)

    with PhotoIndex.open(database) as index:
        index.update([folder], colour_embedder(ColourBackend(at_batch)), batch_size=8)
    print("done", flush=True)


if __name__ == "__main__":
    index_slowly(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
