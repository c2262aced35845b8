"""Models as a runtime wants them, kept on disk so that they are made only once.

A kept model lies under the space_id of its weights and a key that says what it was made for and by whom: tower, runtime
and its version, precision, processor, our own code. It can be removed at any time; then it is made again.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import logging
import os
import platform
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from clipwright import __version__
from clipwright.atomic import making_folder, remove_leftovers, replacing
from clipwright.checkpoints.checkpoint import Checkpoint
from clipwright.embedding.crash_marks import CrashRecord, Trial, remove_records
from clipwright.errors import ClipwrightError

if TYPE_CHECKING:
    from clipwright.checkpoints.ready_graphs import ReadyGraphs

_IDS = "space-ids"
_ROOMS = ("checkpoints", "embedding", "graph", "inputs", "model")
"""Whose code decides what a kept model is."""
_UNUSED_SECONDS = 90 * 24 * 3600
"""After which an entry goes when another is made."""
_STALE_SECONDS = 24 * 3600
"""After which a folder still being made is one whose process was killed."""
_MOST_CRASHES = 2
"""Crashes in a row with an entry after which it is not kept any more."""
Model = TypeVar("Model")
"""A kept model as a runtime has it."""
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class KeptModel:
    """One entry: a model made ready for a runtime."""

    space_id: str
    key: str
    path: Path
    size: int
    """Bytes on disk."""
    used: float
    """When it was last opened, in seconds of the epoch."""


class ModelCache:
    """A folder of models made ready. Several processes may use it at once; each entry appears whole or not at all."""

    def __init__(self, folder: Path | None = None) -> None:
        """folder: where CLIPWRIGHT_HOME or the system says, if none is given."""
        self.folder = folder or cache_folder()

    def open(self, space_id: str, key: str, make: Callable[[Path], None]) -> Path | None:
        """The folder of this entry; where there is none, make fills it first. None, with a warning, if it cannot be.

        A ClipwrightError of make's is raised.
        """
        path = self.folder / space_id / key
        if path.is_dir():
            with contextlib.suppress(OSError):  # another's cache may be read, too
                os.utime(path)
            return path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with making_folder(path) as making:
                make(making)
            self.prune(_UNUSED_SECONDS)  # of older versions, say
        except ClipwrightError:
            raise
        except Exception as error:  # runtimes have errors of their own for a full disk
            if path.is_dir():  # another process was quicker
                return path
            reason = _one_line(error)
            logger.warning("the model could not be kept ready in %s (%s); it is made anew each time", path, reason)
            return None
        return path

    def remove(self, space_id: str, key: str) -> None:
        shutil.rmtree(self.folder / space_id / key, ignore_errors=True)

    def entries(self) -> Iterator[KeptModel]:
        """Everything that is kept."""
        for path in sorted(self.folder.glob("*/*")):
            if path.parent.name == _IDS or path.name.startswith(".") or not path.is_dir():
                continue
            try:
                size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
                entry = KeptModel(path.parent.name, path.name, path, size, path.stat().st_mtime)
            except FileNotFoundError:  # another process removed it meanwhile
                continue
            yield entry

    def prune(self, unused_seconds: float) -> list[KeptModel]:
        """Removes what was not used for so long, and what killed processes left; gives the former."""
        now = time.time()
        for folder in self.folder.glob("*"):
            remove_leftovers(folder, _STALE_SECONDS)
            remove_records(folder, unused_seconds)
        removed = []
        for entry in self.entries():
            if max(0.0, now - entry.used) >= unused_seconds:  # a clock may have been set back
                self.remove(entry.space_id, entry.key)
                if not entry.path.exists():  # a system may hold on to files that are open
                    removed.append(entry)
        for folder in self.folder.glob("*"):
            with contextlib.suppress(OSError):
                folder.rmdir()  # if nothing is left in it
        return removed

    def space_id(self, checkpoint: Checkpoint | ReadyGraphs) -> str:
        """The model's space_id, remembered by path, size and time of its files: hashing a large model is slow.

        The same weights may be named with several architectures, so config and spec count too.
        """
        if not checkpoint.files:
            return checkpoint.space_id()
        stats = [(str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns) for file in checkpoint.files]
        read_as = [repr(getattr(checkpoint, "config", None)), repr(checkpoint.spec)]
        name = hashlib.sha256(json.dumps([code_key(), stats, read_as]).encode()).hexdigest()
        path = self.folder / _IDS / name
        with contextlib.suppress(OSError):
            known = path.read_text(encoding="ascii").strip()
            if len(known) == len(name) // 4 and set(known) <= set("0123456789abcdef"):
                return known
        found = checkpoint.space_id()
        with contextlib.suppress(OSError):  # then it is computed again the next time
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as temporary:
                temporary.write_text(found, encoding="ascii")
        return found


@dataclass(frozen=True)
class OpenedModel(Generic[Model]):
    """A kept model as a runtime has it."""

    model: Model
    trial: Trial | None = None
    """To be ended when the model has answered once; None where it was made in this process, or nothing can be noted."""


@dataclass(frozen=True)
class Shelf:
    """The part of a cache that is one model's."""

    cache: ModelCache
    space_id: str

    def opened(
        self, key: str, make: Callable[[Path], Model | None], read: Callable[[Path], Model]
    ) -> OpenedModel[Model] | None:
        """What read gives of the folder of this entry, made first where it is not there, and anew where it is damaged.

        make may give what read would. None where nothing can be kept. The key need not say which code of clipwright's
        made it. An entry whose use ended a process is made anew once; if that one does so too, nothing is kept.
        """
        key = f"{key}-{code_key()}"
        record = CrashRecord(self.cache.folder / self.space_id / key)
        if self._is_given_up(key, record):
            return None
        made: list[Model | None] = []
        for _ in range(2):
            folder = self.cache.open(self.space_id, key, lambda making: made.append(make(making)))
            if folder is None:
                return None
            if made and made[-1] is not None:
                return OpenedModel(made[-1])
            trial = record.begin()
            try:
                return OpenedModel(read(folder), trial)
            except BaseException as error:  # a runtime that reads damaged files raises errors of its own
                if trial is not None:
                    trial.end(survived=False)
                if not isinstance(error, Exception):
                    raise
                reason = _one_line(error)
                logger.warning("what was kept ready in %s cannot be read (%s); it is made anew", folder, reason)
                self.cache.remove(self.space_id, key)
        return None

    def _is_given_up(self, key: str, record: CrashRecord) -> bool:
        """Whether this entry may not be kept any more. One with a new crash is removed."""
        count, is_new = record.crashes()
        if is_new:
            logger.warning("a process crashed when it used what is kept ready in %s; it is made anew", record.entry)
            self.cache.remove(self.space_id, key)
        if count < _MOST_CRASHES:
            return False
        logger.warning(
            "%s made processes crash %d times, so this model is not kept ready; to try again: clipwright models cache"
            " --prune --days 0",
            record.entry,
            count,
        )
        return True


def _one_line(error: Exception) -> str:
    """What a runtime says of an error, without line breaks and pages of it."""
    return " ".join(str(error).split())[:200]


def cache_folder() -> Path:
    """Where models made ready are kept: under CLIPWRIGHT_HOME where that is set, else the user's folder of caches."""
    home = os.environ.get("CLIPWRIGHT_HOME")
    if home:
        return Path(home) / "cache"
    from platformdirs import user_cache_path

    return user_cache_path("clipwright", appauthor=False)


@functools.cache
def processor_key() -> str:
    """Eight hexadecimal digits for the kind of this processor: what one compiled, another may not run."""
    described = f"{platform.machine()} {platform.processor()}"
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        described += " ".join(sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))}))
    return hashlib.sha256(described.encode()).hexdigest()[:8]


@functools.cache
def code_key() -> str:
    """Eight hexadecimal digits for the code that reads and makes models: what other code made may be wrong here.

    The version alone does not tell: between two releases it stays the same. Files are told by size and time: reading
    a hundred of them would hold up every start.
    """
    digest = hashlib.sha256(__version__.encode())
    for room in _ROOMS:
        for file in sorted((Path(__file__).parents[1] / room).rglob("*.py")):
            about = file.stat()
            digest.update(f"{file.name} {about.st_size} {about.st_mtime_ns} ".encode())
    return digest.hexdigest()[:8]
