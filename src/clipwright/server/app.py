"""The application: routes, and what stands around them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from clipwright.server.metrics import Metrics
from clipwright.server.model_pool import ModelPool
from clipwright.server.photo_library import PhotoLibrary
from clipwright.server.rejection import RejectionError
from clipwright.server.routes import classify, embeddings, health, models, page, photos, search, similarity, updates
from clipwright.server.services import Services
from clipwright.server.settings import ServerSettings


def create_app(settings: ServerSettings) -> FastAPI:
    """The application of a server; nothing is opened before it is started."""
    metrics = Metrics()
    pool = ModelPool(settings.models, settings.model, settings.limits, metrics)
    services = Services(settings, metrics, pool, PhotoLibrary(settings))

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await services.models.start()
        await services.photos.start()
        yield
        await services.photos.close()
        await services.models.close()

    app = FastAPI(title="clipwright", lifespan=lifespan, docs_url=None, redoc_url=None)
    app.state.services = services
    for module in (embeddings, classify, similarity, search, photos, updates, models, health, page):
        app.include_router(module.router)

    @app.exception_handler(RejectionError)
    async def answer_rejection(_: Request, rejection: RejectionError) -> JSONResponse:
        metrics.rejected(rejection.code)
        return JSONResponse(rejection.record(), rejection.status)

    return app
