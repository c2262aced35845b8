"""The index as a server has it: searched in threads, brought up to date by jobs."""

from __future__ import annotations

import numpy as np

from clipwright.server.rejection import RejectionError
from clipwright.server.settings import ServerSettings


class PhotoLibrary:
    """One index, its table of vectors kept open, and the jobs that update it."""

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings

    async def start(self) -> None:
        """Opens the index where there is one."""

    async def close(self) -> None:
        """Stops jobs, keeping what they did, and closes the index."""

    async def vector(self, photo: int, space_id: str) -> np.ndarray:
        """(D,) float32, unit: a photograph's vector. Raises RejectionError, 404, where the index has none."""
        raise RejectionError(404, "unknown_photo", f"no photograph has the id {photo}")
