"""Models from the Hugging Face hub, through huggingface_hub: its cache, its tokens, HF_ENDPOINT and HF_HUB_OFFLINE.

What is downloaded is checked against the sizes and the SHA-256 that the hub publishes; a file that is wrong is deleted
and fetched once more.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import logging
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import huggingface_hub
from huggingface_hub import errors
from huggingface_hub.hf_api import RepoSibling

from clipwright.checkpoints.checkpoint import naming
from clipwright.checkpoints.families.huggingface import CONFIG_FILE, check_kind
from clipwright.checkpoints.layouts import LAYOUTS, MODULES_FILE, Found, Layout, find_models, names_in
from clipwright.checkpoints.ready_graphs import SINGLE_TOWERS, names_beside
from clipwright.checkpoints.refusals import no_model
from clipwright.checkpoints.small_files import TOKENIZERS_BEFORE, read_json
from clipwright.errors import CheckpointError, ClipwrightError, UnknownModelError, UnreachableError

_TOLD_SIZE = re.compile(r"has size (\d+)")
"""In what huggingface_hub says of a download that is shorter or longer than announced."""
_OF_THE_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Cached:
    """A repository's folder in the cache, with its config and its weights."""

    folder: Path
    complete: bool
    """Whether nothing else that is read can be missing."""


def cached_or_pulled(name: str, which: str | None = None) -> Path:
    """The folder of a repository in the hub's cache; downloaded where it is not there yet.

    which: what the names of its weights or graphs must say, 'fp16' say. A repository that is there whole is used as it
    is, without a request. One of which another program has fetched only a part is completed, or used as it is where the
    hub cannot be reached.
    """
    cached = _cached(name, which)
    if cached is not None and cached.complete:
        return cached.folder
    try:
        return pull(name, which)
    except UnreachableError as error:
        if cached is None:
            raise
        logger.warning("%s; what the cache holds of it is used", error)
        return cached.folder


def is_cached(name: str) -> bool:
    """Whether a repository is in the hub's cache whole, so that it loads without a network. Nothing is requested."""
    cached = _cached(name, None)
    return cached is not None and cached.complete


def pull(name: str, which: str | None = None) -> Path:
    """Downloads what a repository ('owner/name', or 'owner/name@revision') needs to run, and gives its folder.

    which: as above. Raises UnknownModelError where there is no such repository or revision, UnreachableError without a
    network, and CheckpointError where there is no model in it, or where a file comes damaged twice; such a file is not
    kept.
    """
    repository, _, revision = name.partition("@")
    with _explained(name):
        info = huggingface_hub.HfApi().model_info(repository, revision=revision or None, files_metadata=True)
        assert info.sha is not None
        published = {file.rfilename: file for file in info.siblings or ()}
        found = _wanted(published, repository, info.sha, which)
        config = _fetch(repository, published[found.layout.config], info.sha, info.sha)
        _check_config(found, config, repository)
        for file in (MODULES_FILE, *found.layout.beside, *found.weights):
            if file in published and not _is_spare(file, published):
                _fetch(repository, published[file], info.sha, info.sha)
        for graph in found.graphs:
            _fetch_graph(repository, graph, published, info.sha)
        # The config comes last, and under the revision's name, which then points here: until all is there, the name
        # goes on pointing to what was whole before.
        folder = _root(_fetch(repository, published[found.layout.config], info.sha, revision or None), found.layout)
        if folder.name != info.sha:
            raise ClipwrightError(f"{name!r} was changed on the hub while it was downloaded; try again")
        for file in _read_or_absent(found, which):
            if file not in published:
                _note_absence(folder, file)
    return folder


def _check_config(found: Found, config: Path, repository: str) -> None:
    """Refuses, before anything large is downloaded, a model that is not built here. Towers may be one of a pair."""
    if config.name != CONFIG_FILE or found.layout.name == "immich":
        return
    table = read_json(config)
    if "model_cfg" not in table and not (found.graphs and table.get("model_type") in SINGLE_TOWERS):
        with naming(repository):
            check_kind(table)


def _is_spare(file: str, names: Collection[str]) -> bool:
    """Whether this is of a tokenizer beside another that is taken first."""
    folder, slash, name = file.rpartition("/")
    return any(f"{folder}{slash}{other}" in names for other in TOKENIZERS_BEFORE.get(name, ()))


def _root(config: Path, layout: Layout) -> Path:
    """The folder of a repository, from where its config lies."""
    return config.parents[layout.config.count("/")]


def _fetch_graph(repository: str, graph: str, published: Mapping[str, RepoSibling], commit: str) -> None:
    """A graph, and the files beside it in which its large tensors lie."""
    path = _fetch(repository, published[graph], commit, commit)
    for name in names_beside(path):
        file = (PurePosixPath(graph).parent / name).as_posix()
        if file not in published:
            raise CheckpointError(f"{repository!r} lacks {file}, which {graph} names")
        _fetch(repository, published[file], commit, commit)


def _fetch(repository: str, published: RepoSibling, commit: str, revision: str | None) -> Path:
    """Where a file lies in the cache as it is published: one that was there has its size, a new one its SHA-256 too.

    revision: the commit, or the name under which it is asked for. Raises CheckpointError where it comes damaged twice;
    it is not kept then.
    """
    held = _cached_file(repository, published.rfilename, commit)
    if held is not None and _flaw(held, published, hashed=False) is not None:
        _remove(held)
        held = None
    for again in (", and is fetched once more", ""):
        try:
            with _wrong_sizes():
                path = Path(huggingface_hub.hf_hub_download(repository, published.rfilename, revision=revision))
        except _WrongSizeError as error:
            flaw: str | None = f"it has {error} bytes instead of {_size(published)}"
        else:
            flaw = _flaw(path, published, hashed=path != held)
            if flaw is None:
                return path
            _remove(path)
        logger.warning("%s of %r came damaged: %s%s", published.rfilename, repository, flaw, again)
    raise CheckpointError(
        f"{repository!r}: {published.rfilename} came damaged twice: {flaw}; it was deleted, so try again later"
    )


def _flaw(path: Path, published: RepoSibling, hashed: bool) -> str | None:
    """What is wrong with a file, in words, or None. Not every hub tells sizes, and none the SHA-256 of small files."""
    size, expected = path.stat().st_size, _size(published)
    if expected is not None and size != expected:
        return f"it has {size} bytes instead of {expected}"
    if hashed and published.lfs is not None:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != published.lfs.sha256:
            return f"its SHA-256 is {digest} instead of {published.lfs.sha256}"
    return None


def _size(published: RepoSibling) -> int | None:
    return published.size if published.lfs is None else published.lfs.size


def _remove(path: Path | None) -> None:
    """Deletes a file of the cache: what it points to, and each link on the way."""
    while path is not None:
        target = path.parent / path.readlink() if path.is_symlink() else None
        path.unlink(missing_ok=True)
        path = target


class _WrongSizeError(Exception):
    """A download had another size than announced, which is its argument. huggingface_hub keeps none of it."""


@contextlib.contextmanager
def _wrong_sizes() -> Iterator[None]:
    """huggingface_hub reports a download of another size as a bare OSError, without a kind or a number of its own."""
    try:
        yield
    except OSError as error:
        if type(error) is not OSError or error.errno is not None:
            raise
        told = _TOLD_SIZE.search(str(error))
        raise _WrongSizeError(told[1] if told else "too few or too many") from error


@contextlib.contextmanager
def _explained(name: str) -> Iterator[None]:
    """Turns what huggingface_hub raises into one sentence."""
    repository, _, revision = name.partition("@")
    try:
        yield
    except errors.GatedRepoError as error:
        raise ClipwrightError(f"{repository!r} asks for consent on its page and a token: hf auth login") from error
    except errors.RepositoryNotFoundError as error:
        raise UnknownModelError(f"the hub has no repository {repository!r}, or it is private: hf auth login") from error
    except errors.RevisionNotFoundError as error:
        raise UnknownModelError(f"{repository!r} has no revision {revision!r}") from error
    except errors.OfflineModeIsEnabled as error:
        raise UnreachableError(
            f"{name!r} is not whole in the cache, and HF_HUB_OFFLINE forbids to download it"
        ) from error
    except ClipwrightError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and (error.filename is not None or error.errno in _OF_THE_DISK):
            raise  # of the disk, not of the hub
        # Any other comes from whatever library makes the requests.
        raise UnreachableError(
            f"{name!r} is not whole in the cache and could not be downloaded: {_one_line(error)};"
            " give a folder instead, or try again with a network"
        ) from error


def _cached(name: str, which: str | None) -> _Cached | None:
    repository, _, revision = name.partition("@")
    for layout in {layout.config: layout for layout in LAYOUTS}.values():
        path = _cached_file(repository, layout.config, revision or None)
        if path is None:
            continue
        folder = _root(path, layout)
        found = next((found for found in find_models(names_in(folder), which) if _is_whole(folder, found)), None)
        if found is not None:
            return _Cached(folder, all(_is_settled(repository, file, folder) for file in _read_or_absent(found, which)))
    return None


def _read_or_absent(found: Found, which: str | None) -> tuple[str, ...]:
    """The files that would be read besides weights and graphs, were they there: whether they are must be known."""
    return found.layout.beside if which is not None else (*found.layout.beside, *found.before)


def _is_settled(repository: str, file: str, folder: Path) -> bool:
    """Whether a file is in the cache, is known to be absent from the repository, or is not needed."""
    if _is_spare(file, names_in(folder)):
        return True
    return huggingface_hub.try_to_load_from_cache(repository, file, revision=folder.name) is not None


def _cached_file(repository: str, file: str, revision: str | None) -> Path | None:
    found = huggingface_hub.try_to_load_from_cache(repository, file, revision=revision)
    return Path(found) if isinstance(found, str) else None


def _note_absence(folder: Path, file: str) -> None:
    """Notes in the cache that the repository has no such file, in the way that huggingface_hub does it."""
    note = folder.parent.parent / ".no_exist" / folder.name / file
    note.parent.mkdir(parents=True, exist_ok=True)
    note.touch()


def _is_whole(folder: Path, found: Found) -> bool:
    """Whether all the files are there that its table of weights or its graphs name."""
    try:
        if found.graphs:
            graphs = [folder / graph for graph in found.graphs]
            return all((graph.parent / name).is_file() for graph in graphs for name in names_beside(graph))
        first = folder / found.weights[0]
        parts = json.loads(first.read_text(encoding="utf-8"))["weight_map"] if first.suffix == ".json" else {}
        return all((first.parent / str(name)).is_file() for name in set(parts.values()))
    except (ValueError, KeyError, TypeError, AttributeError, CheckpointError):
        return True  # that it is damaged is said when it is read


def _wanted(published: Mapping[str, RepoSibling], repository: str, commit: str, which: str | None) -> Found:
    """The model that is taken of a repository: the first, its weights in a format that the cache has already."""
    models = list(find_models(published, which))
    if not models:
        raise CheckpointError(f"{repository!r} {no_model(None, published, which)}")
    first = models[0]
    same = [found for found in models if (found.layout, found.variant) == (first.layout, first.variant)]
    return min(
        same if first.weights else [first],
        key=lambda found: any(_cached_file(repository, file, commit) is None for file in found.weights),
    )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
