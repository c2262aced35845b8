"""Models from the Hugging Face hub, through huggingface_hub: its cache, its tokens, HF_ENDPOINT and HF_HUB_OFFLINE."""

from __future__ import annotations

import json
from pathlib import Path

import huggingface_hub
from huggingface_hub import errors

from clipwright.checkpoints.families import huggingface, openclip
from clipwright.errors import CheckpointError, ClipwrightError, UnknownModelError

_SMALL_FILES = (
    openclip.CONFIG_FILE,
    huggingface.CONFIG_FILE,
    huggingface.PREPROCESSOR_FILE,
    "tokenizer.json",
    "tokenizer_config.json",
)
_WEIGHTS = {
    openclip.CONFIG_FILE: ("open_clip_model.safetensors", "open_clip_pytorch_model.bin"),
    huggingface.CONFIG_FILE: ("model.safetensors", "pytorch_model.bin"),
}
"""The weights that go with each config, the one that is taken first."""


def cached_or_pulled(name: str) -> Path:
    """The folder of a repository in the hub's cache; downloaded where it is not there yet.

    A repository that is there whole is used as it is, without a request.
    """
    return _cached(name) or pull(name)


def is_cached(name: str) -> bool:
    """Whether a repository is in the hub's cache whole, so that it loads without a network. Nothing is requested."""
    return _cached(name) is not None


def _cached(name: str) -> Path | None:
    repository, _, revision = name.partition("@")
    for config in _WEIGHTS:
        found = huggingface_hub.try_to_load_from_cache(repository, config, revision=revision or None)
        if isinstance(found, str) and _is_whole(Path(found).parent):
            return Path(found).parent
    return None


def pull(name: str) -> Path:
    """Downloads what a repository ('owner/name', or 'owner/name@revision') needs to run, and gives its folder.

    Raises UnknownModelError where there is no such repository or revision, and ClipwrightError without a network.
    """
    repository, _, revision = name.partition("@")
    try:
        files = huggingface_hub.HfApi().list_repo_files(repository, revision=revision or None)
        return Path(
            huggingface_hub.snapshot_download(
                repository, revision=revision or None, allow_patterns=_wanted(files, repository)
            )
        )
    except errors.GatedRepoError as error:
        raise ClipwrightError(f"{repository!r} asks for consent on its page and a token: hf auth login") from error
    except errors.RepositoryNotFoundError as error:
        raise UnknownModelError(f"the hub has no repository {repository!r}, or it is private: hf auth login") from error
    except errors.RevisionNotFoundError as error:
        raise UnknownModelError(f"{repository!r} has no revision {revision!r}") from error
    except errors.OfflineModeIsEnabled as error:
        raise ClipwrightError(f"{name!r} is not in the cache, and HF_HUB_OFFLINE forbids to download it") from error
    except ClipwrightError:
        raise
    except Exception as error:  # of whatever library makes the requests
        raise ClipwrightError(
            f"{name!r} is not in the cache and could not be downloaded: {_one_line(error)};"
            " give a folder instead, or try again with a network"
        ) from error


def _is_whole(folder: Path) -> bool:
    for config, weights in _WEIGHTS.items():
        if (folder / config).is_file() and any((folder / name).is_file() for name in weights):
            return True
        if (folder / config).is_file() and any(_shards_are_there(folder, f"{name}.index.json") for name in weights):
            return True
    return False


def _shards_are_there(folder: Path, index: str) -> bool:
    if not (folder / index).is_file():
        return False
    table = json.loads((folder / index).read_text(encoding="utf-8"))
    return all((folder / name).is_file() for name in set(table["weight_map"].values()))


def _wanted(files: list[str], repository: str) -> list[str]:
    """The files of the first layout that the repository holds: no second copy of the weights in another."""
    present = set(files)
    for config, weights in _WEIGHTS.items():
        for name in weights:
            if config in present and name in present:
                return [*(small for small in _SMALL_FILES if small in present), name]
            index = f"{name}.index.json"
            if config in present and index in present:
                stem, _, ending = name.rpartition(".")
                return [*(small for small in _SMALL_FILES if small in present), index, f"{stem}-*.{ending}"]
    raise CheckpointError(
        f"{repository!r} holds no model that is known: looked for {' and '.join(_WEIGHTS)} with their weights"
    )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
