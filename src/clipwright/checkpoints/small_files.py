"""The small files beside a model's weights or graphs: JSON tables and tokenizers."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from clipwright.checkpoints.families import huggingface
from clipwright.errors import CheckpointError, TokenizerError
from clipwright.inputs.sentencepiece_model import sentencepiece_document

_LARGEST_JSON = 256 * 2**20
TOKENIZER_FILE = "tokenizer.json"
TOKENIZER_CONFIG_FILE = "tokenizer_config.json"
SENTENCEPIECE_FILE = "spiece.model"
"""What transformers saves of SigLIP's tokenizer, where there is no tokenizer.json."""
TOKENIZER_FILES = (TOKENIZER_FILE, TOKENIZER_CONFIG_FILE, SENTENCEPIECE_FILE)
"""What is read of a tokenizer."""


@contextlib.contextmanager
def naming(path: Path | str) -> Iterator[None]:
    """Puts the path, or the name of a repository, before what is wrong with it."""
    try:
        yield
    except CheckpointError as error:
        raise CheckpointError(f"{str(path)!r}: {error}") from error


def preprocessor_table(folder: Path) -> Mapping[str, Any] | None:
    """How Hugging Face's files say that pictures are prepared; None where they do not."""
    table = _json_if_there(folder / huggingface.PREPROCESSOR_FILE)
    if table is not None:
        return table
    inner = (_json_if_there(folder / huggingface.PROCESSOR_FILE) or {}).get("image_processor")
    return inner if isinstance(inner, Mapping) else None


def tokenizer_files(folder: Path) -> tuple[str | None, Mapping[str, Any]]:
    """The JSON document of the tokenizer, None where there is none, and the table of tokenizer_config.json."""
    path, pieces = folder / TOKENIZER_FILE, folder / SENTENCEPIECE_FILE
    settings = _json_if_there(folder / TOKENIZER_CONFIG_FILE) or {}
    if path.is_file() or not pieces.is_file():
        return _read_text(path) if path.is_file() else None, settings
    try:
        return sentencepiece_document(_read_bytes(pieces)), settings
    except TokenizerError as error:
        raise CheckpointError(f"{str(pieces)!r}: {error}") from error


def read_json(path: Path) -> Mapping[str, Any]:
    """The table in a JSON file. Raises CheckpointError where it holds none."""
    try:
        value = json.loads(_read_text(path))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{str(path)!r} cannot be read as JSON: {error}") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{str(path)!r} must hold a table")
    return value


def _json_if_there(path: Path) -> Mapping[str, Any] | None:
    return read_json(path) if path.is_file() else None


def _read_text(path: Path) -> str:
    try:
        return _read_bytes(path).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{str(path)!r} cannot be read: {error}") from error


def _read_bytes(path: Path) -> bytes:
    if path.stat().st_size > _LARGEST_JSON:
        raise CheckpointError(f"{str(path)!r} has {path.stat().st_size:,} bytes; that is no such file")
    return path.read_bytes()
