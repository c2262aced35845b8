"""Which model an index is searched with: one that is served, and whose vectors the index has."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath, PureWindowsPath

from clipwright.index.store import Space
from clipwright.server.models.model_pool import ModelFacts, ModelPool
from clipwright.server.rejection import RejectionError


async def searched_model(pool: ModelPool, spaces: Sequence[Space], wanted: str | None = None) -> ModelFacts:
    """The facts of the wanted model, or of the first one that is served and whose vectors the index has.

    Raises RejectionError: 409 no_index where the index holds nothing, 409 model_not_in_index with the way out where it
    has no vectors of these.
    """
    if not spaces:
        raise RejectionError(
            409, "no_index", "the index holds no photographs yet; an update (POST /v1/index) adds some"
        )
    in_index = {space.space_id for space in spaces}
    tried = []
    for name in pool.names if wanted is None else [wanted]:
        facts = await pool.facts(name)
        if facts.space_id in in_index:
            return facts
        tried.append(facts.name)
    what = (
        f"the index was made with {_listed([space.model for space in spaces])}, whose vectors cannot be compared with"
        f" those of {_listed(tried)}; serve that model (--model), or update the index (POST /v1/index)"
    )
    raise RejectionError(409, "model_not_in_index", what, param="model" if wanted else None)


def default_space(served: Sequence[str], spaces: Sequence[Space]) -> str | None:
    """The space_id for what needs no model; None: the index holds nothing. served: names; spaces: the largest first."""
    by_model = {space.model: space.space_id for space in reversed(spaces)}
    chosen = [by_model[name] for name in served if name in by_model]
    return chosen[0] if chosen else spaces[0].space_id if spaces else None


def _listed(models: Sequence[str]) -> str:
    """Names of models; of one that is named by a path, its last part."""
    return " and ".join(PureWindowsPath(name).name if _is_path(name) else name for name in models)


def _is_path(name: str) -> bool:
    return PurePosixPath(name).is_absolute() or PureWindowsPath(name).is_absolute()
