"""PhotoIndex: folders of photographs, kept in one file so that they can be searched."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType

import numpy as np

from clipwright.embedding.embedder import Embedder
from clipwright.errors import DamagedIndexError, Failure
from clipwright.index.derived import refresh
from clipwright.index.duplicates import (
    DUPLICATE_KINDS,
    DuplicateGroup,
    DuplicateKind,
    duplicate_groups,
)
from clipwright.index.facets import Facets
from clipwright.index.filters import Filters
from clipwright.index.forget import forget_folder
from clipwright.index.index_facts import IndexFacts, RootFacts, failure_counts, index_facts, root_facts
from clipwright.index.lock import Holder, only_indexer
from clipwright.index.open_space import OpenSpaces
from clipwright.index.photo import Hit, Photo
from clipwright.index.photo_columns import aligned_vectors, read_columns
from clipwright.index.query import Query, TermKey
from clipwright.index.salvage import salvage
from clipwright.index.searching import SearchOptions, search_index, search_space
from clipwright.index.store import Space, Store
from clipwright.index.update import OnFailure, Progress, UpdateCounts, update_index
from clipwright.index.vector_table import VectorTable
from clipwright.index.watch import watch_folders
from clipwright.inputs.images import ImageSource

NO_FILTERS = Filters()
logger = logging.getLogger(__name__)


class PhotoIndex:
    """An index, open. Safe to use from several threads; others may read, update or watch the same one meanwhile."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._spaces = OpenSpaces(store)

    @classmethod
    def open(cls, database: Path, *, create: bool = True) -> PhotoIndex:
        """The index in this file; where there is none and create is set, an empty one.

        Raises IndexFileError where there is none, where the file is not an index, or is one of a newer clipwright. A
        damaged index is salvaged where create is set, with a warning; without, DamagedIndexError is raised.
        """
        try:
            return cls(Store.open(database, create=create))
        except DamagedIndexError:
            if not create:
                raise
        database = Path(os.path.abspath(database))
        with only_indexer(database, on_wait=_say_who):
            salvage(database)
        return cls(Store.open(database))

    @property
    def database(self) -> Path:
        return self._store.path

    def update(
        self,
        folders: Sequence[Path],
        embedder: Embedder,
        *,
        batch_size: int = 32,
        threads: int | None = None,
        thumbnails: bool | None = None,
        excludes: Sequence[str] | None = None,
        progress: Progress | None = None,
        on_failure: OnFailure | None = None,
        wait: bool = True,
    ) -> UpdateCounts:
        """Brings the index in line with folders, or with all that it knows where none is named.

        New and changed photographs are embedded, moved and copied ones are recognised, those of deleted files removed;
        photographs that lack a vector of this embedder's space get one. excludes, patterns as in .clipwrightignore, and
        thumbnails become settings of these folders, which the index keeps; None leaves them as they are, at first
        without patterns and with thumbnails. Photographs that are excluded leave the index.
        progress is told how many files were read and how many there are to read; on_failure each failure as it is
        found out. If another process is updating this index, this one waits, or raises BusyIndexError without wait.
        Raises OSError where the disk is full: what was done until then is kept.
        """

        def update() -> UpdateCounts:
            return update_index(
                self._store,
                folders,
                embedder,
                batch_size=batch_size,
                threads=threads,
                thumbnails=thumbnails,
                excludes=excludes,
                progress=progress,
                on_failure=on_failure,
            )

        with only_indexer(self.database, wait=wait, on_wait=_say_who):
            if self._store.damage_mark.exists():
                salvage(self.database)
            try:
                counts = update()
            except DamagedIndexError:
                salvage(self.database)
                counts = update()
            refresh(self.database, embedder.space_id)
            return counts

    def watch(
        self,
        folders: Sequence[Path],
        embedder: Embedder,
        *,
        batch_size: int = 32,
        threads: int | None = None,
        thumbnails: bool | None = None,
        excludes: Sequence[str] | None = None,
        on_failure: OnFailure | None = None,
        on_update: Callable[[UpdateCounts], None] | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        """Updates the index now, and again whenever something changes in these folders, or in all that it knows.

        Ends with KeyboardInterrupt, or when stop is set. on_update is told of the first update, and of each that
        changed anything or found a folder to be offline or back. The index is free for others between updates.
        """

        def update() -> UpdateCounts:
            nonlocal thumbnails, excludes
            counts = self.update(
                folders,
                embedder,
                batch_size=batch_size,
                threads=threads,
                thumbnails=thumbnails,
                excludes=excludes,
                on_failure=on_failure,
            )
            thumbnails = excludes = None  # they are kept, and may be changed by others from now on
            return counts

        watch_folders(self._store, folders, update, on_update, stop or threading.Event())

    def forget(self, folder: Path) -> int:
        """Removes the photographs in a folder from the index, on purpose, and says how many; no file is touched.

        A root is no longer one. A folder below a root comes back with the next update unless it is excluded.
        Raises IndexFileError where the index knows nothing of it.
        """
        with only_indexer(self.database, on_wait=_say_who):
            return forget_folder(self._store, folder)

    def search(
        self,
        query: str | Query | np.ndarray | None,
        embedder: Embedder | None,
        *,
        like: int | None = None,
        limit: int = 20,
        threshold: float | None = None,
        adaptive: bool = False,
        filters: Filters = NO_FILTERS,
        unique: bool = False,
        exact: bool = False,
        uploads: Mapping[str, ImageSource] | None = None,
    ) -> list[Hit]:
        """At most limit photographs that answer a query, best first.

        The query is a text (docs/concepts/query-language.md), one that was parsed, or a vector (D,), whose relevance is
        that of words. In its place, like is the id of a photograph that others, but not itself, are to resemble. The
        embedder's space is searched, or where there is none, as a query of photographs of the index needs none, the
        space that most photographs have. threshold drops what is less relevant, adaptive what does not stand out from
        the collection, unique folds near-identical shots into the best one, exact compares all photographs however
        many there are. uploads are pictures by the names under which a parsed query has them.
        Raises QueryError for a query, a limit beyond 1,000 or a threshold that makes no sense, and IndexFileError where
        the index has no vectors of this space.
        """
        options = SearchOptions(
            limit=limit, threshold=threshold, adaptive=adaptive, filters=filters, unique=unique, exact=exact
        )
        return search_index(self._store, self._spaces, query, embedder, like, uploads, options)

    def search_embedded(
        self, query: Query, vectors: Mapping[TermKey, np.ndarray], space_id: str, options: SearchOptions
    ) -> list[Hit]:
        """What search gives for a query whose words and pictures were embedded elsewhere, with this space's model.

        vectors are (D,), of length 1, of all of query.terms but photographs of the index, which bring their own.
        """
        space = self._spaces.space(space_id)
        return search_space(self._store, space, query, query.combine(vectors, space.vector), options)

    def newest(
        self, limit: int, offset: int = 0, filters: Filters = NO_FILTERS, space_id: str | None = None
    ) -> list[Photo]:
        """Photographs by when they were taken, the newest first, those of unknown date at the end.

        They are those with a vector in a space, in the one that most have where none is named; so are those of facets.
        Raises QueryError for filters that make no sense, and IndexFileError where the index has no such space.
        """
        space = self._spaces.space(space_id or self._spaces.largest())
        return self._store.photos(space.newest(limit, offset, filters))

    def facets(self, space_id: str | None = None) -> Facets:
        """What the photographs can be narrowed down by. Raises IndexFileError where the index has no such space."""
        return self._spaces.space(space_id or self._spaces.largest()).facets

    def vector(self, photo_id: int, space_id: str) -> np.ndarray | None:
        """A photograph's vector in a space: (D,) float32, unit; None where it has none.

        Raises IndexFileError where the index has no such space.
        """
        try:
            return self._spaces.space(space_id).vector(photo_id)
        except KeyError:
            return None

    def duplicates(
        self, kinds: Collection[DuplicateKind] = DUPLICATE_KINDS, embedder: Embedder | None = None
    ) -> Iterator[DuplicateGroup]:
        """Groups of photographs of which one would do, kind by kind, the largest first. Nothing is deleted.

        They are judged by their pixels and by their vectors in the embedder's space, or in the one that most have.
        """
        columns = read_columns(self.database)
        if not len(columns):
            return
        table = VectorTable.open(self.database, embedder.space_id if embedder else self._spaces.largest())
        vectors = aligned_vectors(columns, table.ids, table.rows, table.embed_dim)
        yield from duplicate_groups(columns, vectors, kinds)

    def spaces(self) -> list[Space]:
        """The models that photographs were embedded with, the one that most have first."""
        return self._spaces.by_size()

    def failures(self, limit: int | None = None) -> Iterator[Failure]:
        """Files and folders that could not be used, by path: all, or the first of them."""
        return self._store.failures(limit)

    def count_below(self, folder: Path) -> int:
        """How many photographs lie in a folder or below it."""
        return self._store.count_below(folder)

    def failure_counts(self) -> dict[str, int]:
        """How many files and folders could not be used, by code."""
        return failure_counts(self._store)

    def folders(self) -> list[Path]:
        """The folders that were given to the index, by path; also where nothing else of it can be read."""
        return [Path(os.fsdecode(root.path)) for root in self._store.roots()]

    def roots(self) -> tuple[RootFacts, ...]:
        """The same, and what the index holds of each."""
        return root_facts(self._store)

    def facts(self) -> IndexFacts:
        """What the index holds, in numbers."""
        return index_facts(self._store)

    def photos(self, ids: Sequence[int]) -> list[Photo]:
        """The photographs with these ids, in this order; those that are gone by now are left out."""
        return self._store.photos(ids)

    def photo_at(self, path: Path) -> Photo | None:
        """The photograph in this file."""
        return self._store.photo_at(path)

    def thumbnail(self, photo_id: int) -> bytes | None:
        """A small JPEG of a photograph, where one was made."""
        return self._store.thumbnail(photo_id)

    def content_and_thumbnail(self, photo_id: int) -> tuple[bytes, bytes | None] | None:
        """The content hash of a photograph and its small JPEG, where one was made; None: no such photograph."""
        return self._store.content_and_thumbnail(photo_id)

    def close(self) -> None:
        self._spaces.close()
        self._store.close()

    def __enter__(self) -> PhotoIndex:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _say_who(holder: Holder) -> None:
    logger.warning("the index is being changed by %s; waiting until that has ended", holder)
