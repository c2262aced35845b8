"""The process of one model: pictures and texts come in as frames, vectors go out. Started by a server, never by hand.

In:  picture {id} + the encoded picture; texts {ids} + a JSON list; render {id, path, side}; withdraw {ids}; ping.
Out: opened {facts, reads_texts} or refused {sentence}; vectors {kind, ids, batch, seconds} + float32 rows, for texts
with tokens and dropped; failures {kind, items: [[id, code, message], ...]}; rendered {id} + a JPEG; withdrawn {ids};
pong {longest}. Every id is answered exactly once, by vectors, failures, rendered or withdrawn.
"""

from __future__ import annotations

import contextlib
import dataclasses
import faulthandler
import io
import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, BinaryIO, Literal, NoReturn

import numpy as np

from clipwright.embedding.embedder import NO_VECTOR, Embedder
from clipwright.embedding.load import load_embedder
from clipwright.errors import CheckpointError, ClipwrightError, Failure, ImageError, TokenizerError
from clipwright.inputs.colours import in_srgb
from clipwright.inputs.images import open_image
from clipwright.server.models.batching import Gathering
from clipwright.server.models.frames import Frame, FrameError, read_frame, write_frame
from clipwright.server.models.worker_settings import WorkerSettings

Kind = Literal["picture", "text"]
_JPEG_QUALITY = 88
_RENDERING_THREADS = 2
logger = logging.getLogger(__name__)


class Replies:
    """Where frames go out. Safe to use from several threads."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self._lock = stream, threading.Lock()

    def send(self, header: dict[str, Any], payload: bytes = b"") -> None:
        with self._lock:
            try:
                write_frame(self._stream, Frame(header, payload))
            except OSError:
                end()  # nobody reads it any more


class Clock:
    """How long the jobs that run now have been running: one that never ends is seen by it."""

    def __init__(self) -> None:
        self._began: dict[int, float] = {}

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        self._began[threading.get_ident()] = time.monotonic()
        try:
            yield
        finally:
            del self._began[threading.get_ident()]

    def longest(self) -> float:
        began = list(self._began.values())
        return time.monotonic() - min(began) if began else 0.0


class Worker:
    """An opened model and the threads that work for it."""

    def __init__(self, embedder: Embedder, settings: WorkerSettings, replies: Replies) -> None:
        self._embedder, self._settings, self._replies = embedder, settings, replies
        self.clock = Clock()
        self._pictures: Gathering[int, np.ndarray] = Gathering(settings.model.batch_size, settings.model.batch_seconds)
        self._texts: Gathering[int, str] = Gathering(settings.model.text_batch_size, 0)
        self._preparing = ThreadPoolExecutor(os.cpu_count() or 1, "prepare")
        self._rendering = ThreadPoolExecutor(_RENDERING_THREADS, "render")
        for target in (self._embed_pictures, self._embed_texts):
            threading.Thread(target=target, daemon=True).start()

    def take(self, frame: Frame) -> None:
        """Begins what a frame asks for."""
        header = frame.header
        if header["type"] == "picture":
            self._pictures.expect(header["id"])
            self._preparing.submit(self._prepare, header["id"], frame.payload)
        elif header["type"] == "texts":
            for key, text in zip(header["ids"], json.loads(frame.payload), strict=True):
                self._texts.expect(key)
                self._texts.add(key, text)
        elif header["type"] == "render":
            self._rendering.submit(self._render, header["id"], header["path"], header["side"])
        elif header["type"] == "withdraw":
            gone = [key for key in header["ids"] if self._pictures.withdraw(key) or self._texts.withdraw(key)]
            self._replies.send({"type": "withdrawn", "ids": gone})
        else:
            raise FrameError(f"unknown frame {header['type']!r}")

    def _prepare(self, key: int, picture: bytes) -> None:
        if not self._pictures.expects(key):
            return
        try:
            with self.clock.running():
                square = self._embedder.prepare(picture, self._settings.picture_pixels)
        except Exception as error:
            square = _failure(error)
        if not isinstance(square, Failure):
            self._pictures.add(key, square)
        elif self._pictures.withdraw(key):
            self._fail("picture", {key: square})

    def _render(self, key: int, path: str, side: int) -> None:
        try:
            with self.clock.running():
                rendered = render(path, side)
        except Exception as error:
            self._fail("render", {key: error.failure(key) if isinstance(error, ImageError) else _failure(error)})
        else:
            self._replies.send({"type": "rendered", "id": key}, rendered)

    def _embed_pictures(self) -> None:
        while True:
            batch = dict(self._pictures.take())

            def embed(keys: Sequence[int], batch: dict[int, np.ndarray] = batch) -> np.ndarray:
                return self._embedder.embed_squares(np.stack([batch[key] for key in keys]))

            self._answer("picture", list(batch), embed, {})

    def _embed_texts(self) -> None:
        while True:
            batch = dict(self._texts.take())
            counts: dict[int, tuple[int, int]] = {}

            def embed(
                keys: Sequence[int],
                batch: dict[int, str] = batch,
                counts: dict[int, tuple[int, int]] = counts,
            ) -> np.ndarray:
                tokens = self._embedder.tokenize([batch[key] for key in keys])
                lengths = (tokens.ends + 1 - tokens.starts).tolist()
                counts.update(zip(keys, zip(lengths, tokens.dropped, strict=True), strict=True))
                return self._embedder.embed_tokens(tokens)

            self._answer("text", list(batch), embed, counts)

    def _answer(
        self,
        kind: Kind,
        keys: Sequence[int],
        embed: Callable[[Sequence[int]], np.ndarray],
        counts: dict[int, tuple[int, int]],
    ) -> None:
        """Embeds a batch and sends what came of it."""
        began = time.monotonic()
        with self.clock.running():
            vectors, failures = embed_apart(keys, embed)
        header: dict[str, Any] = {
            "type": "vectors",
            "kind": kind,
            "ids": list(vectors),
            "batch": len(keys),
            "seconds": time.monotonic() - began,
        }
        if kind == "text":
            header["tokens"] = [counts[key][0] for key in vectors]
            header["dropped"] = [counts[key][1] for key in vectors]
        self._replies.send(header, b"".join(vectors.values()))
        if failures:
            self._fail(kind, failures)

    def _fail(self, kind: str, failures: dict[int, Failure]) -> None:
        items = [[key, failure.code, failure.message] for key, failure in failures.items()]
        self._replies.send({"type": "failures", "kind": kind, "items": items})


def embed_apart(
    keys: Sequence[int], embed: Callable[[Sequence[int]], np.ndarray]
) -> tuple[dict[int, bytes], dict[int, Failure]]:
    """The float32 rows of a batch, and why the others have none: one bad item is no reason to lose the rest.

    A batch that raises is embedded item by item.
    """
    try:
        rows = embed(keys)
    except Exception as error:
        if len(keys) == 1:
            return {}, {keys[0]: _failure(error)}
        logger.warning("a batch of %d failed (%s); its items are embedded one by one", len(keys), _one_line(error))
        vectors: dict[int, bytes] = {}
        failures: dict[int, Failure] = {}
        for key in keys:
            good, bad = embed_apart([key], embed)
            vectors |= good
            failures |= bad
        return vectors, failures
    finite = np.isfinite(rows).all(axis=1)
    rows = np.ascontiguousarray(rows, np.float32)
    return (
        {key: row.tobytes() for key, row, good in zip(keys, rows, finite, strict=True) if good},
        {key: Failure(key, "unreadable", NO_VECTOR) for key, good in zip(keys, finite, strict=True) if not good},
    )


def render(path: str, side: int) -> bytes:
    """A picture's file as an upright JPEG that fits into side x side. Raises ImageError."""
    image = open_image(path, side)
    image.thumbnail((side, side))
    encoded = io.BytesIO()
    in_srgb(image).save(encoded, "JPEG", quality=_JPEG_QUALITY)
    return encoded.getvalue()


def _failure(error: Exception) -> Failure:
    """Of an item that made our own code or the model's runtime fail: its words are for the log."""
    logger.error("an item failed: %s", _one_line(error), exc_info=error)
    return Failure(None, "unreadable", "it cannot be computed; the server's log says why")


def _one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


def _open(settings: WorkerSettings, load: Callable[..., Embedder]) -> tuple[Embedder, bool]:
    """The model, once its towers have embedded something, and whether it reads texts. Raises ClipwrightError."""
    model = settings.model
    try:
        embedder = load(
            settings.source,
            threads=model.threads,
            pixels=model.pixels,
            backend=model.backend,
            precision=model.precision,
        )
        size = embedder.spec.image_size
        embedder.embed_squares(np.zeros((1, size, size, 3), np.uint8))
        reads_texts = True
        try:
            embedder.embed_tokens(embedder.tokenize(["ready"]))
        except TokenizerError as error:
            logger.warning("%s", error)
            reads_texts = False
    except ClipwrightError:
        raise
    except Exception as error:
        logger.exception("the model could not be opened")
        raise CheckpointError(f"{settings.source} cannot be opened: {_one_line(error)}") from error
    return embedder, reads_texts


def _facts(embedder: Embedder) -> dict[str, Any]:
    return {
        "space_id": embedder.space_id,
        "embed_dim": embedder.embed_dim,
        "scale": embedder.scale,
        "bias": embedder.bias,
        "spec": dataclasses.asdict(embedder.spec),
        "variant": embedder.variant,
        "backend": embedder.backend,
    }


def take_streams() -> tuple[BinaryIO, BinaryIO]:
    """Standard input and output, for frames alone: whatever else is printed goes where errors go."""
    incoming, outgoing = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return os.fdopen(incoming, "rb"), os.fdopen(outgoing, "wb")


def end(status: int = 0) -> NoReturn:
    """Ends the process at once: threads may be computing what nobody waits for."""
    logging.shutdown()
    os._exit(status)


def main(load: Callable[..., Embedder] = load_embedder) -> None:
    """Runs until standard input ends, so that no worker outlives its server. load: as load_embedder."""
    for number in (signal.SIGINT, signal.SIGTERM):  # sent to the whole group; when to end is the server's decision
        signal.signal(number, signal.SIG_IGN)
    incoming, outgoing = take_streams()
    faulthandler.enable()
    settings = WorkerSettings.parse(sys.argv[1])
    logging.basicConfig(level=logging.WARNING, format=f"model {settings.name}: %(levelname)s: %(message)s")
    replies = Replies(outgoing)
    opened: list[Worker] = []

    def open_model() -> None:
        try:
            embedder, reads_texts = _open(settings, load)
        except ClipwrightError as error:
            replies.send({"type": "refused", "sentence": str(error)})
            end(2)
        opened.append(Worker(embedder, settings, replies))
        replies.send({"type": "opened", "facts": _facts(embedder), "reads_texts": reads_texts})

    threading.Thread(target=open_model, daemon=True).start()
    try:
        while (frame := read_frame(incoming)) is not None:
            if frame.header["type"] == "ping":
                replies.send({"type": "pong", "longest": opened[0].clock.longest() if opened else 0.0})
            else:
                opened[0].take(frame)
    except Exception:
        logger.exception("the worker ends")
        end(1)
    end()


if __name__ == "__main__":
    main()
