"""How fast a model is on this machine: its towers on each backend in each precision, and what comes before them.

All of it takes turns in one process, and the fastest call of each counts.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np

from clipwright.checkpoints.checkpoint import Checkpoint
from clipwright.embedding.backend import PRECISIONS, BackendName, Precision
from clipwright.embedding.cache import ModelCache, Shelf, cache_folder
from clipwright.embedding.embedder import Pixels
from clipwright.embedding.load import choose, open_backend
from clipwright.errors import ClipwrightError
from clipwright.evaluation.matrix_peak import MatrixPeak, Place, contenders, fastest
from clipwright.evaluation.sample_inputs import CAPTIONS, LARGE_SIZE, SMALL_SIZE, photograph
from clipwright.evaluation.timing import Timed, take_turns
from clipwright.graph.packing import pack_texts
from clipwright.inputs.images import open_image
from clipwright.inputs.input_spec import InputSpec
from clipwright.inputs.preprocess import normalise, prepare_image
from clipwright.inputs.tokenizer import Tokenizer, Tokens, clean_text
from clipwright.model.operations import image_multiply_adds, text_multiply_adds

Variant = tuple[BackendName, Precision]
PIXELS: tuple[Pixels, ...] = get_args(Pixels)
Progress = Callable[[int, int], None]
_SMALL_AT_ONCE = 8
"""Small photographs that each thread prepares in one call, so that a call is not over at once."""


@dataclass(frozen=True, kw_only=True)
class SpeedSettings:
    """How it is measured."""

    batch_size: int = 16
    """Pictures at once. Texts always come as one batch of CAPTIONS."""
    threads: int | None = None
    """Processor cores to use; None takes all."""
    rounds: int = 5
    seconds: float = 0.3
    """The least that a turn takes."""


@dataclass(frozen=True, kw_only=True)
class TowerSpeed:
    """Both towers on one backend in one precision. Texts have no figures where the model came without a tokenizer."""

    backend: BackendName
    precision: Precision
    place: Place
    """What computes."""
    images_per_second: float
    images_per_second_median: float
    image_peak_share: float | None
    """Of the matrix peak in this precision, 0 to 1; None where nothing shows that peak."""
    texts_per_second: float | None
    texts_per_second_median: float | None
    text_peak_share: float | None
    open_seconds: float
    """From the weights to the first vectors of both towers, with nothing kept ready."""
    reopen_seconds: float | None
    """The same, with what the first time left in the cache of models; None where the backend keeps nothing."""


@dataclass(frozen=True, kw_only=True)
class PreparingSpeed:
    """JPEGs decoded, resized and normalised, on as many threads as there are cores to use."""

    width: int
    height: int
    pixels: Pixels
    photographs_per_second: float
    photographs_per_second_median: float


@dataclass(frozen=True, kw_only=True)
class SpeedReport:
    """Everything that was measured in one run."""

    towers: tuple[TowerSpeed, ...]
    peaks: tuple[MatrixPeak, ...]
    preparing: tuple[PreparingSpeed, ...]
    tokenized_per_second: float | None
    """Texts a second from letters to tokens, on one thread."""
    image_multiply_adds: int
    """Of one picture in the image tower."""


def variants_here(backend: BackendName | None = None, precision: Precision | None = None) -> list[Variant]:
    """What this machine can run a model on. torch is among it where there is a GPU for it, or where it is named.

    Where both are named, it is that one, whether it is there or not. Raises ClipwrightError where nothing is left.
    """
    if backend is not None and precision is not None:
        return [(backend, precision)]
    found: list[Variant] = [("onnx", "fp32"), ("onnx", "int8")]
    if backend == "openvino" or importlib.util.find_spec("openvino") is not None:
        kinds: list[Precision] = ["fp32", "bf16", "int8"] if _has_bf16() else ["fp32", "int8"]
        found += [("openvino", kind) for kind in kinds]
    on_gpu = _on_gpu("torch")
    if backend == "torch" or on_gpu:
        found += [("torch", "fp32"), ("torch", "bf16")] if on_gpu else [("torch", "fp32")]
    chosen = [(name, kind) for name, kind in found if backend in (None, name) and precision in (None, kind)]
    if not chosen:
        raise ClipwrightError(f"nothing on this machine runs a model in {precision}; --precision fp32 or int8")
    return chosen


def _has_bf16() -> bool:
    """Whether OpenVINO has units for bf16 here."""
    return choose("openvino", "auto")[1] == "bf16"


def _on_gpu(backend: BackendName) -> bool:
    """Whether this backend computes on a GPU here: torch does where there is one, and then 'auto' is torch."""
    return backend == "torch" and choose("auto", "fp32")[0] == "torch"


def measure_speed(
    checkpoint: Checkpoint, variants: Sequence[Variant], settings: SpeedSettings, progress: Progress | None = None
) -> SpeedReport:
    """The speed of a model. Raises ClipwrightError where the machine lacks what one of the variants asks for."""
    for name, precision in variants:  # what is not there is refused before anything is measured; and runtimes import
        open_backend(checkpoint, settings.threads, name, precision)
    peaks = _peak_contenders(variants, settings.threads)
    batch = _Batch.of(checkpoint, settings.batch_size)
    workers = settings.threads or os.cpu_count() or 1
    with (
        tempfile.TemporaryDirectory(dir=_scratch(), prefix="bench-", ignore_cleanup_errors=True) as folder,
        ThreadPoolExecutor(workers) as pool,
    ):
        rows = [_open_row(checkpoint, variant, settings.threads, batch, Path(folder)) for variant in variants]
        preparing = {
            (size, pixels): _preparing(checkpoint.spec, size, pixels, pool, workers)
            for size in (LARGE_SIZE, SMALL_SIZE)
            for pixels in PIXELS
        }
        tokenizing = _tokenizing(checkpoint)
        timed = [tower for row in rows for tower in (row.images, row.texts) if tower is not None]
        timed += [product for found in peaks.values() for product in found.values()]
        timed += [*preparing.values(), *([] if tokenizing is None else [tokenizing])]
        take_turns(timed, settings.rounds, settings.seconds, progress)
        shown = {key: fastest(*key, found) for key, found in peaks.items() if found}
        return SpeedReport(
            towers=tuple(row.speed(batch, shown.get((_place(row.variant), row.variant[1]))) for row in rows),
            peaks=tuple(sorted(shown.values(), key=lambda peak: (peak.place, PRECISIONS.index(peak.precision)))),
            preparing=tuple(_preparing_speed(*key, prepared) for key, prepared in preparing.items()),
            tokenized_per_second=None if tokenizing is None else tokenizing.best,
            image_multiply_adds=batch.image_multiply_adds,
        )


def _place(variant: Variant) -> Place:
    return "gpu" if _on_gpu(variant[0]) else "processor"


def _peak_contenders(
    variants: Sequence[Variant], threads: int | None
) -> dict[tuple[Place, Precision], dict[str, Timed]]:
    """For each precision that is measured, what shows its peak; torch only where it is imported anyway."""
    with_torch = any(name == "torch" for name, _ in variants)
    wanted = dict.fromkeys((_place(variant), variant[1]) for variant in variants)
    return {
        (place, precision): contenders(precision, threads, place=place, with_torch=with_torch)
        for place, precision in wanted
    }


@dataclass(frozen=True, kw_only=True)
class _Batch:
    """What the towers are given, and the arithmetic that it takes."""

    pixels: np.ndarray
    """(B, 3, S, S) float32."""
    tokens: Tokens | None
    image_multiply_adds: int
    """Of one picture."""
    text_multiply_adds: int
    """Of all texts."""

    @classmethod
    def of(cls, checkpoint: Checkpoint, batch_size: int) -> _Batch:
        config, side = checkpoint.config, checkpoint.spec.image_size
        pixels = np.random.default_rng(0).standard_normal((batch_size, 3, side, side), np.float32)
        tokens, arithmetic = None, 0
        if checkpoint.tokenizer is not None:
            tokens = Tokenizer(checkpoint.tokenizer, checkpoint.spec).encode(CAPTIONS)
            texts, length = tokens.ids.shape
            different = texts * length
            if not config.text.sees_padding:
                packed = pack_texts(tokens.ids, tokens.ends)
                length, different = packed["nodes"].shape[1], len(packed["tokens"])
            arithmetic = text_multiply_adds(config, texts, length, different)
        return cls(
            pixels=pixels,
            tokens=tokens,
            image_multiply_adds=image_multiply_adds(config),
            text_multiply_adds=arithmetic,
        )


@dataclass(frozen=True, kw_only=True)
class _Row:
    """A model opened in one variant, to be timed."""

    variant: Variant
    images: Timed
    texts: Timed | None
    open_seconds: float
    reopen_seconds: float | None

    def speed(self, batch: _Batch, peak: MatrixPeak | None) -> TowerSpeed:
        """What the turns have shown."""
        images, texts = self.images, self.texts
        of_images = 2 * batch.image_multiply_adds * images.best
        of_texts = 2 * batch.text_multiply_adds / len(CAPTIONS) * texts.best if texts else 0
        return TowerSpeed(
            backend=self.variant[0],
            precision=self.variant[1],
            place=_place(self.variant),
            images_per_second=images.best,
            images_per_second_median=images.median,
            image_peak_share=of_images / peak.operations_per_second if peak else None,
            texts_per_second=texts.best if texts else None,
            texts_per_second_median=texts.median if texts else None,
            text_peak_share=of_texts / peak.operations_per_second if peak and texts else None,
            open_seconds=self.open_seconds,
            reopen_seconds=self.reopen_seconds,
        )


def _open_row(checkpoint: Checkpoint, variant: Variant, threads: int | None, batch: _Batch, folder: Path) -> _Row:
    """Opens the model twice, the second time with what the first has left in a cache that is then thrown away."""
    name, precision = variant
    tokens = batch.tokens
    shelf = Shelf(ModelCache(folder), f"{name}-{precision}")
    seconds = []
    for _ in range(1 if name == "torch" else 2):
        begun = time.perf_counter()
        backend = open_backend(checkpoint, threads, name, precision, shelf)
        backend.image_features(batch.pixels[:1])
        if tokens is not None:
            backend.text_features(tokens.ids[:1], tokens.ends[:1])
        seconds.append(time.perf_counter() - begun)
    shutil.rmtree(folder / shelf.space_id, ignore_errors=True)  # of a large model, the next one needs the place
    texts = None
    if tokens is not None:
        ids, ends = tokens.ids, tokens.ends
        texts = Timed(lambda: backend.text_features(ids, ends), len(CAPTIONS))
    return _Row(
        variant=variant,
        images=Timed(lambda: backend.image_features(batch.pixels), len(batch.pixels)),
        texts=texts,
        open_seconds=seconds[0],
        reopen_seconds=seconds[1] if len(seconds) > 1 else None,
    )


def _scratch() -> Path | None:
    """Where models are kept ready usually: there is room, and what a killed run leaves can be pruned."""
    with contextlib.suppress(OSError):
        cache_folder().mkdir(parents=True, exist_ok=True)
        return cache_folder()
    return None


def _preparing(spec: InputSpec, size: tuple[int, int], pixels: Pixels, pool: ThreadPoolExecutor, workers: int) -> Timed:
    """As the pipeline does it, but for batches: photographs on threads, each from bytes to pixels."""
    data = photograph(size)
    at_least = spec.image_size if pixels == "fast" else None
    count = workers * (_SMALL_AT_ONCE if size == SMALL_SIZE else 1)

    def prepare(_: int) -> np.ndarray:
        return normalise(prepare_image(open_image(data, at_least), spec)[None], spec)

    return Timed(lambda: list(pool.map(prepare, range(count))), count)


def _preparing_speed(size: tuple[int, int], pixels: Pixels, timed: Timed) -> PreparingSpeed:
    return PreparingSpeed(
        width=size[0],
        height=size[1],
        pixels=pixels,
        photographs_per_second=timed.best,
        photographs_per_second_median=timed.median,
    )


def _tokenizing(checkpoint: Checkpoint) -> Timed | None:
    if checkpoint.tokenizer is None:
        return None
    tokenizer = Tokenizer(checkpoint.tokenizer, checkpoint.spec)

    def tokenize() -> None:
        clean_text.cache_clear()  # or each text would be cleaned only once
        tokenizer.encode(CAPTIONS)

    return Timed(tokenize, len(CAPTIONS))
