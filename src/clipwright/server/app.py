"""The application: routes, and what stands around them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from clipwright import __version__
from clipwright.server.gate.access import Access, AccessCheck
from clipwright.server.gate.bodies import BodyLimits
from clipwright.server.gate.deadlines import Deadlines
from clipwright.server.gate.disconnects import Disconnects
from clipwright.server.gate.draining import Draining
from clipwright.server.gate.error_answers import ERROR_RESPONSES, ErrorAnswers, http_error_answers
from clipwright.server.gate.head_requests import HeadRequests
from clipwright.server.gate.hosts import HostCheck
from clipwright.server.gate.keys import KeyRing
from clipwright.server.gate.origins import OriginCheck
from clipwright.server.gate.request_metrics import RequestMetrics
from clipwright.server.gate.security_headers import SecurityHeaders
from clipwright.server.library.photo_library import PhotoLibrary
from clipwright.server.metrics import Metrics
from clipwright.server.models.model_pool import ModelPool
from clipwright.server.rejection import RejectionError
from clipwright.server.routes import (
    classify,
    documentation,
    embeddings,
    health,
    models,
    page,
    photos,
    search,
    sessions,
    similarity,
    updates,
)
from clipwright.server.services import Services
from clipwright.server.settings import ServerSettings

_ROUTES = (
    embeddings,
    classify,
    similarity,
    search,
    photos,
    updates,
    models,
    sessions,
    health,
    page,
    documentation,
)
_ABOUT = (
    "Photographs and sentences in one space: embeddings, labels, similarities, and search in folders of photographs."
)


def create_app(settings: ServerSettings) -> FastAPI:
    """The application of a server; but for the keys, nothing is opened before it is started.

    Raises ClipwrightError where the file of keys is damaged.
    """
    services = _services_of(settings)
    app = FastAPI(
        title="clipwright",
        version=__version__,
        description=_ABOUT,
        lifespan=_lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        responses=ERROR_RESPONSES,
        middleware=_middleware(settings, services),
        exception_handlers=dict.fromkeys((HTTPException, RequestValidationError), http_error_answers(services.metrics)),
    )
    app.state.services = services
    for module in _ROUTES:
        app.include_router(module.router)
    return app


def _services_of(settings: ServerSettings) -> Services:
    metrics = Metrics()
    return Services(
        settings=settings,
        metrics=metrics,
        models=ModelPool(settings.models, settings.model, settings.limits, metrics),
        photos=PhotoLibrary(settings),
        access=Access(KeyRing(settings.keys_file), cookie=f"clipwright-{settings.port}"),
        draining=asyncio.Event(),
    )


def _middleware(settings: ServerSettings, services: Services) -> list[Middleware]:
    """What stands around the routes, from the outside in: what costs least to find out is asked first."""
    return [
        Middleware(Draining, services.draining),
        Middleware(HeadRequests),
        Middleware(RequestMetrics, services.metrics),
        Middleware(SecurityHeaders, settings.allowed_origins),
        Middleware(ErrorAnswers, services.metrics),
        Middleware(HostCheck, (settings.host, *settings.allowed_hosts)),
        Middleware(OriginCheck, settings.allowed_origins),
        Middleware(AccessCheck, services.access),
        Middleware(BodyLimits, settings.limits),
        Middleware(Disconnects),
        Middleware(Deadlines, settings.limits),
    ]


@contextlib.asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Models first and last: jobs of the index use them."""
    services: Services = app.state.services
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(services.models.close)
        await services.models.start()
        stack.push_async_callback(services.photos.close)
        await services.photos.start()
        if services.settings.update:
            with contextlib.suppress(RejectionError):  # there is no folder yet, or another process does it already
                await services.photos.start_update()
        yield
