"""What routes work with: made when the server starts, and reached as a dependency."""

from __future__ import annotations

import asyncio
import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Depends, Request

from clipwright.server.gate.access import Access
from clipwright.server.library.photo_library import PhotoLibrary
from clipwright.server.metrics import Metrics
from clipwright.server.models.model_pool import ModelPool
from clipwright.server.settings import ServerSettings

if TYPE_CHECKING:
    from clipwright.server.requests.web_fetch import WebFetcher


@dataclass(frozen=True)
class Services:
    """One server's."""

    settings: ServerSettings
    metrics: Metrics
    models: ModelPool
    photos: PhotoLibrary
    access: Access
    draining: asyncio.Event
    """Set once the server is asked to stop: it answers what it has accepted, and wants no more."""

    @functools.cached_property
    def web(self) -> WebFetcher:
        """What fetches pictures by address, where settings allow that."""
        from clipwright.server.requests.web_fetch import WebFetcher

        return WebFetcher(self.settings.limits)


async def _services(request: Request) -> Any:  # async: a plain function would be run in a thread
    return request.app.state.services


ServicesOf = Annotated[Services, Depends(_services)]
"""The type of a route's parameter that receives them."""


async def _deadline(request: Request) -> float:
    return float(request.state.deadline)  # gate/deadlines.py sets it when the request is there to its last byte


Deadline = Annotated[float, Depends(_deadline)]
"""The type of a route's parameter that is the moment, on the event loop's clock, when its request is given up."""
