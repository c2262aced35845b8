"""The index as a server has it: searched in threads, brought up to date by jobs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from clipwright.errors import Failure, MissingIndexError
from clipwright.index.facets import Facets
from clipwright.index.lock import only_indexer
from clipwright.index.photo import Photo
from clipwright.index.photo_index import PhotoIndex
from clipwright.index.store import Space
from clipwright.server.library.bounded_threads import BoundedThreads
from clipwright.server.library.index_faults import as_rejections
from clipwright.server.library.photo_files import expect_unchanged
from clipwright.server.library.photo_records import file_name
from clipwright.server.library.root_names import RootNames, choose_folders
from clipwright.server.library.searched_model import default_space
from clipwright.server.library.update_jobs import Job, UpdateJobs
from clipwright.server.library.update_process import UpdateOrder
from clipwright.server.rejection import RejectionError
from clipwright.server.settings import ServerSettings

Result = TypeVar("Result")
_SEARCHES = 2
"""Threads that search: one search uses all cores for its largest part."""
_READS = 4
"""Threads that read a row or two."""
_MOST_WAITING = 256
_LARGEST_ID = 2**63 - 1


@dataclass(frozen=True)
class RootState:
    """A folder of the index, or one that may become one."""

    name: str
    photographs: int
    offline: bool


@dataclass(frozen=True)
class IndexState:
    """What the index holds."""

    photographs: int
    offline: int
    """Photographs of roots that are offline."""
    roots: tuple[RootState, ...]
    failures: dict[str, int]
    """Files and folders that could not be used, by code."""


@dataclass(frozen=True)
class FileFault:
    """A file or folder that could not be used."""

    name: str
    code: str
    message: str


class PhotoLibrary:
    """One index, kept open, and the jobs that update it. Where there is no index yet, a job makes it.

    All methods but close raise RejectionError: 409 no_index, 503 index_damaged or index_unusable, 429 overloaded, 503
    deadline_exceeded. A deadline is a moment of the event loop's clock.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self._database = settings.database.absolute()
        self._index: PhotoIndex | None = None
        self._opening = threading.Lock()
        self._roots = tuple(root.absolute() for root in settings.roots)
        self._names = RootNames()
        self._names.names(self._roots)  # so that it is those that have the names without a number
        self._jobs = UpdateJobs()
        self._searches = BoundedThreads("search", _SEARCHES, _MOST_WAITING)
        self._reads = BoundedThreads("index", _READS, _MOST_WAITING)

    async def start(self) -> None:
        """Looks at the index where there is one."""
        with contextlib.suppress(RejectionError):  # each request says it, until it is mended
            await self.spaces()

    async def close(self) -> None:
        """Stops jobs, keeping what they did, and closes the index."""
        await asyncio.to_thread(self._close)

    # -- what there is

    async def spaces(self, deadline: float | None = None) -> list[Space]:
        """The models that photographs were embedded with, the one that most have first."""
        return await self.read(PhotoIndex.spaces, deadline)

    async def state(self, deadline: float | None = None) -> IndexState:
        """What the index holds; nothing where there is none yet."""

        def read() -> IndexState:
            with as_rejections():
                return self._state(self._opened_if_there())

        return await self._reads.run(read, deadline)

    async def photo(self, photo: int, deadline: float | None = None) -> Photo:
        """A photograph by its id. Raises RejectionError, 404, where there is none."""
        found = await self.read(lambda index: index.photos([photo]), deadline) if _may_be_id(photo) else []
        if not found:
            raise _unknown_photo(photo)
        return found[0]

    async def content_and_thumbnail(self, photo: int, deadline: float | None = None) -> tuple[bytes, bytes | None]:
        """The content hash of a photograph and its small JPEG, where one is kept. Raises RejectionError, 404."""
        if _may_be_id(photo):
            found = await self.read(lambda index: index.content_and_thumbnail(photo), deadline)
            if found is not None:
                return found
        raise _unknown_photo(photo)

    async def expect_file(self, photo: Photo, deadline: float | None = None) -> None:
        """Raises RejectionError where a photograph's file is not there, 404, or has changed, 410."""
        await self._reads.run(lambda: expect_unchanged(photo), deadline)

    async def failures(self, limit: int, deadline: float | None = None) -> list[FileFault]:
        """Files and folders that could not be used, the first by path."""
        return await self.read(lambda index: [_fault_of(failure) for failure in index.failures(limit)], deadline)

    async def vector(self, photo: int, space_id: str) -> np.ndarray:
        """(D,) float32, unit: a photograph's vector. Raises RejectionError, 404, where the index has none."""
        if _may_be_id(photo):
            found = await self.search(lambda index: index.vector(photo, space_id))
            if found is not None:
                return found
        raise _unknown_photo(photo)

    async def facets(self, deadline: float | None = None) -> Facets:
        """What photographs can be narrowed down by."""

        def read(index: PhotoIndex) -> Facets:
            space_id = default_space(self._settings.models, index.spaces())
            return index.facets(space_id) if space_id else Facets((), (), ())

        return await self.search(read, deadline)

    async def read(self, work: Callable[[PhotoIndex], Result], deadline: float | None = None) -> Result:
        """What a function makes of the index, which takes no longer than a row or two do."""
        return await self._reads.run(lambda: self._with_index(work), deadline)

    async def search(self, work: Callable[[PhotoIndex], Result], deadline: float | None = None) -> Result:
        """What a function makes of the index that looks at all its vectors."""
        return await self._searches.run(lambda: self._with_index(work), deadline)

    # -- updates

    async def start_update(self, names: Sequence[str] | None = None) -> Job:
        """A job that brings folders up to date, by their names; all where None is given. Begun, not awaited.

        Raises RejectionError: 404 unknown_root, 409 index_busy, 409 no_index where there is no folder at all.
        """
        return await asyncio.to_thread(self._start_update, names)

    def jobs(self) -> list[Job]:
        """The latest first."""
        return self._jobs.jobs()

    def job(self, id_: str) -> Job:
        """Raises RejectionError, 404, where there is none, or none any more."""
        job = self._jobs.job(id_)
        if job is None:
            raise RejectionError(404, "unknown_job", f"no update has the id {id_[:40]!r}, or it ended long ago")
        return job

    def cancel(self, id_: str) -> Job:
        """Tells a job to stop, and gives it as it is. Raises RejectionError, 404."""
        self.job(id_)
        self._jobs.cancel(id_)
        return self.job(id_)

    def _start_update(self, names: Sequence[str] | None) -> Job:
        with as_rejections():
            index = self._opened_if_there()
            known = self._names.names(index.folders()) if index else {}
            folders = self._names.names(self._roots) | known
            chosen = choose_folders(folders, known, names)
            self._database.parent.mkdir(parents=True, exist_ok=True)
            with only_indexer(self._database, wait=False):  # else it is said now, and not by the job
                pass
            settings = self._settings.model
            order = UpdateOrder(
                database=str(self._database),
                folders=tuple(str(folders[name]) for name in chosen),
                model=self._model_of(index),
                backend=settings.backend,
                precision=settings.precision,
                pixels=settings.pixels,
                threads=settings.threads,
                batch_size=settings.batch_size,
            )
            return self._jobs.start(chosen, order)

    def _model_of(self, index: PhotoIndex | None) -> str:
        """The first model that is served and that the index was built with, or the first one."""
        built_with = {space.model for space in index.spaces()} if index else set()
        return next((name for name in self._settings.models if name in built_with), self._settings.models[0])

    def _state(self, index: PhotoIndex | None) -> IndexState:
        known = index.roots() if index else ()
        counted = {self._names.name(root.path): root for root in known}
        roots = [
            RootState(name, counted[name].photographs, counted[name].offline)
            if name in counted
            else RootState(name, index.count_below(folder) if index else 0, False)
            for name, folder in self._names.names([*self._roots, *(root.path for root in known)]).items()
        ]
        return IndexState(
            photographs=sum(root.photographs for root in known),
            offline=sum(root.photographs for root in known if root.offline),
            roots=tuple(roots),
            failures=index.failure_counts() if index else {},
        )

    def _with_index(self, work: Callable[[PhotoIndex], Result]) -> Result:
        with as_rejections():
            return work(self._opened())

    def _opened(self) -> PhotoIndex:
        with self._opening:
            if self._index is not None and not self._database.is_file():
                self._index.close()
                self._index = None
            if self._index is None:
                self._index = PhotoIndex.open(self._database, create=False)
            return self._index

    def _opened_if_there(self) -> PhotoIndex | None:
        try:
            return self._opened()
        except MissingIndexError:
            return None

    def _close(self) -> None:
        self._jobs.close()
        self._searches.close()
        self._reads.close()
        if self._index is not None:
            self._index.close()


def _may_be_id(photo: int) -> bool:
    return 0 < photo <= _LARGEST_ID


def _fault_of(failure: Failure) -> FileFault:
    source, message = Path(failure.source), failure.message
    if str(source.parent) in message:  # a decoder's words, which may say what it was given
        message = "the file cannot be used"
    return FileFault(file_name(os.fsencode(source)), failure.code, message)


def _unknown_photo(photo: int) -> RejectionError:
    return RejectionError(404, "unknown_photo", f"no photograph has the id {str(photo)[:24]}")
