"""The incremental update: only what is new is read, and each batch is kept as soon as it is embedded."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from clipwright.embedding.embedder import NO_VECTOR, Embedder
from clipwright.errors import Failure
from clipwright.index import changes
from clipwright.index.comparing import Comparison, compare, is_still_there
from clipwright.index.reading import ReadPhoto, read_photo
from clipwright.index.roots import choose_scopes
from clipwright.index.scan import FoundFile
from clipwright.index.store import Space, Store, Transaction

Progress = Callable[[int, int], None]
"""Is told how many files were read, and how many there are to read."""
OnFailure = Callable[[Failure], None]
_COMMIT_SECONDS = 1.0
_REMOVED_AT_ONCE = 10_000


@dataclass
class UpdateCounts:
    """What an update did, in files."""

    found: int = 0
    """Files that may be pictures, as the folders have them now, and what cannot be looked at."""
    added: int = 0
    """New content."""
    changed: int = 0
    """Other content than before, in the same place."""
    moved: int = 0
    """Known content whose file was elsewhere before: nothing was embedded."""
    copied: int = 0
    """Known content in one more place: nothing was embedded."""
    removed: int = 0
    """Photographs whose files are gone."""
    embedded: int = 0
    """Vectors that the model made."""
    failed: int = 0
    """Files and folders that could not be used, found out now."""
    still_failing: int = 0
    """Files that could not be used before and have not changed."""
    passed_over: dict[str, int] = field(default_factory=dict)
    """Files that look like pictures and cannot be opened here, by their endings."""
    offline: tuple[Path, ...] = ()
    """Roots that are missing or suddenly empty. Their photographs stay."""


Read = ReadPhoto | Failure
_Pending = tuple[Comparison, FoundFile]
_Result = tuple[_Pending, Read, np.ndarray | None]
"""A file, what was read of it, and its vector in the space; None where nothing had to be embedded."""


def update_index(
    store: Store,
    folders: Sequence[Path],
    embedder: Embedder,
    *,
    batch_size: int,
    threads: int | None,
    thumbnails: bool | None,
    excludes: Sequence[str] | None,
    progress: Progress | None,
    on_failure: OnFailure | None,
) -> UpdateCounts:
    """Brings the index in line with its folders. To be called by one process at a time (lock.py).

    thumbnails and excludes, where they are given, become settings of the folders that are.

    Killed at any moment, it loses the batch in flight; what is left to do is found again by the next update. Where
    nothing differs, nothing is written.
    """
    store.migrate()
    scopes = choose_scopes(store, folders, excludes, thumbnails)
    space = changes.ensure_space(store, embedder)
    update = _Update(store, space, embedder.variant, [compare(store, scope, space.id) for scope in scopes])
    update.note_obstacles(on_failure)
    total = sum(len(comparison.pending) for comparison in update.comparisons)
    if total:

        def prepare(pending: _Pending) -> Read:
            owner, file = pending
            keeps = owner.scope.root.thumbnails
            return read_photo(file, embedder.spec, pixels=embedder.pixels, thumbnails=keeps, is_known=update.is_known)

        pending = ((comparison, file) for comparison in update.comparisons for file in comparison.pending)
        results = embedder.stream_prepared(pending, prepare, lambda read: read.square, batch_size, threads)
        update.keep(results, batch_size, total, progress, on_failure)
    update.remove_absent()
    return update.counts


class _Update:
    """An update under way."""

    def __init__(self, store: Store, space: Space, variant: str, comparisons: list[Comparison]) -> None:
        self._store, self._space, self._variant = store, space, variant
        self.comparisons = comparisons
        self.counts = UpdateCounts(
            found=sum(comparison.found for comparison in comparisons),
            still_failing=sum(comparison.failing for comparison in comparisons),
            passed_over=dict(sum((comparison.passed_over for comparison in comparisons), Counter())),
        )
        self._absent = {photo: comparison for comparison in comparisons for photo in comparison.absent}
        """Photographs that are not where they were, until they turn up elsewhere."""
        self._displaced: set[int] = set()
        """Those whose place was taken by other content, as this update found out."""

    def is_known(self, content_hash: bytes) -> bool:
        """Whether nothing needs to be embedded for this content. Asked by the threads that read."""
        return self._store.has_content(content_hash, self._space.id)

    def note_obstacles(self, on_failure: OnFailure | None) -> None:
        """Keeps what the scans could not look at, and which roots are offline."""
        self._note_offline()
        obstacles = [(each.scope.root.id, failure) for each in self.comparisons for failure in each.obstacles]
        if obstacles:
            with self._store.writing() as change:
                for root, failure in obstacles:
                    changes.note_obstacle(change, root, failure)
        self.counts.failed += len(obstacles)
        if on_failure:
            for _, failure in obstacles:
                on_failure(failure)

    def keep(
        self,
        results: Iterable[_Result],
        batch_size: int,
        total: int,
        progress: Progress | None,
        on_failure: OnFailure | None,
    ) -> None:
        """Takes what came of the comparisons' files, in their order, and keeps it a batch or a second at a time."""
        batch: list[_Result] = []
        kept, done = time.monotonic(), 0
        if progress:
            progress(0, total)
        try:
            for result in results:
                batch.append(result)
                (_, file), read, vector = result
                failure = _failure_of(file, read, vector)
                if on_failure and failure is not None:
                    on_failure(failure)
                if len(batch) >= batch_size or time.monotonic() - kept >= _COMMIT_SECONDS:
                    done += self._keep_batch(batch)
                    kept = time.monotonic()
                    if progress:
                        progress(done, total)
        finally:  # also where the user stops it
            done += self._keep_batch(batch)
        if progress:
            progress(done, total)

    def remove_absent(self) -> None:
        """Removes photographs whose files are gone, and failures; of no root whose disk has gone meanwhile."""
        for comparison in self.comparisons:
            if not comparison.offline and not is_still_there(comparison.scope):
                comparison.offline = self._store.has_photos(comparison.scope.root.id)
        self._note_offline()
        self.counts.offline = tuple(
            Path(os.fsdecode(comparison.scope.root.path)) for comparison in self.comparisons if comparison.offline
        )
        absent = [photo for photo, comparison in self._absent.items() if not comparison.offline]
        for start in range(0, len(absent), _REMOVED_AT_ONCE):
            with self._store.writing() as change:
                changes.remove_photos(change, absent[start : start + _REMOVED_AT_ONCE])
        self.counts.removed += len(set(absent) - self._displaced)
        past = [path for each in self.comparisons if not each.offline for path in each.past_failures]
        if past:
            with self._store.writing() as change:
                changes.forget_failures(change, past)

    def _note_offline(self) -> None:
        differing = {
            comparison.scope.root.id: comparison.offline
            for comparison in self.comparisons
            if comparison.offline != comparison.scope.root.offline
        }
        if differing:
            with self._store.writing() as change:
                changes.mark_offline(change, differing)

    def _keep_batch(self, batch: list[_Result]) -> int:
        """How many results were kept: all, in one transaction."""
        count = len(batch)
        if batch:
            with self._store.writing() as change:
                for (owner, file), read, vector in batch:
                    failure = _failure_of(file, read, vector)
                    if isinstance(read, Failure):
                        self._keep_failure(change, owner, file, read)
                    elif failure is not None:
                        self._keep_unembedded(change, owner, file, read, failure)
                    else:
                        self._keep_photo(change, owner, file, read, vector)
            batch.clear()
        return count

    def _keep_photo(
        self, change: Transaction, owner: Comparison, file: FoundFile, read: ReadPhoto, vector: np.ndarray | None
    ) -> None:
        root, before = owner.scope.root.id, changes.photo_in(change, file.path)
        changes.forget_failures(change, [file.path])
        twins = changes.photos_of_content(change, read.content_hash)
        if before and before[1] == read.content_hash:
            photo = before[0]
            changes.put_photo(change, photo, root, file)
            changes.add_thumbnail(change, photo, read)
        else:
            if before:
                self._displace(change, owner, before[0])
            moved = next((twin for twin in twins if twin in self._absent), None)
            if moved is not None:
                photo = moved
                del self._absent[photo]
                changes.put_photo(change, photo, root, file)
                self.counts.moved += 1
            else:
                if twins:
                    photo = changes.copy_photo(change, twins[0], root, file)
                else:
                    photo = changes.add_photo(change, root, file, read)
                if before:
                    self.counts.changed += 1
                elif twins:
                    self.counts.copied += 1
                else:
                    self.counts.added += 1
        if vector is not None:
            changes.add_vector(change, self._space.id, photo, self._variant, vector)
            self.counts.embedded += 1
        else:
            changes.fill_vector(change, self._space.id, photo, read.content_hash)

    def _keep_failure(self, change: Transaction, owner: Comparison, file: FoundFile, failure: Failure) -> None:
        self.counts.failed += 1
        if failure.code == "missing":
            return  # the next scan sees whether it is there
        can_be_opened = _can_be_opened(file.path)
        kept = file if can_be_opened else FoundFile(file.path, changes.ALWAYS_AGAIN, 0)
        changes.note_failure(change, owner.scope.root.id, kept, failure)
        before = changes.photo_in(change, file.path)
        if before and can_be_opened and failure.code != "changed_while_reading":
            self._displace(change, owner, before[0])  # the file is there, and no longer the picture that it was

    def _keep_unembedded(
        self, change: Transaction, owner: Comparison, file: FoundFile, read: ReadPhoto, failure: Failure
    ) -> None:
        """The picture is sound, and another model may well embed it: so it is tried again, and others' vectors stay."""
        self.counts.failed += 1
        changes.note_failure(change, owner.scope.root.id, FoundFile(file.path, changes.ALWAYS_AGAIN, 0), failure)
        before = changes.photo_in(change, file.path)
        if before and before[1] != read.content_hash:
            self._displace(change, owner, before[0])

    def _displace(self, change: Transaction, owner: Comparison, photo: int) -> None:
        changes.displace_photo(change, photo)
        self._absent[photo] = owner
        self._displaced.add(photo)


def _failure_of(file: FoundFile, read: Read, vector: np.ndarray | None) -> Failure | None:
    """Why a file cannot be kept, if so."""
    if isinstance(read, Failure):
        return read
    if vector is None and read.square is not None:
        return Failure(Path(os.fsdecode(file.path)), "unreadable", NO_VECTOR)
    return None


def _can_be_opened(path: bytes) -> bool:
    """Whether a file may be read. If not, a change of its permissions may mend it, which no size or mtime tells."""
    try:
        with open(path, "rb", buffering=0) as file:
            file.read(1)
    except OSError:
        return False
    return True
