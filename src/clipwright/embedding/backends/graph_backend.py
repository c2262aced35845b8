"""What backends that run graphs share: towers that are opened when they are first asked for, and texts packed."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar, Generic, TypeVar

import numpy as np

from clipwright.checkpoints.checkpoint import Checkpoint
from clipwright.embedding.backend import BackendName, Precision, Tower
from clipwright.embedding.cache import Shelf, processor_key
from clipwright.embedding.crash_marks import Trial
from clipwright.graph.packing import pack_texts
from clipwright.graph.towers import IMAGE_INPUT, TEXT_INPUTS

Opened = TypeVar("Opened")
"""A tower as the runtime has it."""


class GraphBackend(ABC, Generic[Opened]):
    """Runs both towers of a checkpoint. One is opened when it is first asked for: searching needs no image tower."""

    name: BackendName
    runtime_version: ClassVar[str]

    def __init__(
        self,
        checkpoint: Checkpoint,
        threads: int | None = None,
        precision: Precision = "fp32",
        shelf: Shelf | None = None,
    ) -> None:
        """threads bounds the processor cores of each run; None takes all. shelf keeps what takes time to make."""
        self.precision: Precision = precision
        self._checkpoint = checkpoint
        self._threads = threads
        self._shelf = shelf
        self._opening = threading.Lock()
        self._towers: dict[Tower, Opened] = {}
        self._trials: dict[Tower, Trial] = {}

    def image_features(self, pixels: np.ndarray) -> np.ndarray:
        return self._run("image", {IMAGE_INPUT: pixels})

    def text_features(self, ids: np.ndarray, ends: np.ndarray) -> np.ndarray:
        if self._is_packed("text") and len(ids):
            return self._run("text", pack_texts(ids, ends))
        return self._run("text", dict(zip(TEXT_INPUTS, (ids, ends), strict=True)))

    @abstractmethod
    def _make(self, tower: Tower) -> Opened:
        """From the weights, with nothing kept."""

    @abstractmethod
    def _keep(self, tower: Tower, folder: Path) -> Opened | None:
        """Fills a folder with what _read opens; may give what that would."""

    @abstractmethod
    def _read(self, folder: Path) -> Opened: ...

    @abstractmethod
    def _infer(self, tower: Tower, inputs: dict[str, np.ndarray]) -> np.ndarray:
        """Features, (B, D), of inputs in memory order."""

    def _run(self, tower: Tower, inputs: dict[str, np.ndarray]) -> np.ndarray:
        if not len(next(iter(inputs.values()))):
            return np.zeros((0, self._checkpoint.config.embed_dim), np.float32)
        arrays = {name: np.ascontiguousarray(array) for name, array in inputs.items()}
        try:
            features = np.asarray(self._infer(tower, arrays), np.float32)
        except BaseException:
            self._end_trial(tower, survived=False)
            raise
        self._end_trial(tower, survived=True)
        return features

    def _tower(self, tower: Tower) -> Opened:
        with self._opening:
            if tower not in self._towers:
                self._towers[tower] = self._open(tower)
        return self._towers[tower]

    def _open(self, tower: Tower) -> Opened:
        if self._shelf is not None:
            key = f"{tower}-{self.name}-{self.precision}-{self.runtime_version}-{processor_key()}"
            kept = self._shelf.opened(key, lambda folder: self._keep(tower, folder), self._read)
            if kept is not None:
                if kept.trial is not None:
                    self._trials[tower] = kept.trial
                return kept.model
        return self._make(tower)

    def _end_trial(self, tower: Tower, *, survived: bool) -> None:
        trial = self._trials.pop(tower, None) if self._trials else None
        if trial is not None:
            trial.end(survived=survived)

    def _is_packed(self, tower: Tower) -> bool:
        return tower == "text" and not self._checkpoint.config.text.sees_padding
