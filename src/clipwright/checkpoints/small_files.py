"""The small files beside a model's weights or graphs: JSON tables and tokenizers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import AddedToken

from clipwright.checkpoints.families import huggingface
from clipwright.checkpoints.families.special_tokens import tokenizer_kind
from clipwright.errors import CheckpointError, TokenizerError
from clipwright.inputs.clip_vocabulary import SPECIAL_TOKENS, clip_document
from clipwright.inputs.sentencepiece_model import sentencepiece_document

_LARGEST_JSON = 256 * 2**20
TOKENIZER_FILE = "tokenizer.json"
TOKENIZER_CONFIG_FILE = "tokenizer_config.json"
SENTENCEPIECE_FILE = "spiece.model"
"""What transformers saves of SigLIP's tokenizer, where there is no tokenizer.json."""
_VOCABULARY_FILE, _MERGES_FILE = "vocab.json", "merges.txt"
"""What it saved of CLIP's."""
_ADDED_TOKENS_FILE, _SPECIAL_TOKENS_FILE = "added_tokens.json", "special_tokens_map.json"
"""Read with them, where tokenizer_config.json does not list the added tokens by itself."""
TOKENIZERS_BEFORE = {
    SENTENCEPIECE_FILE: (TOKENIZER_FILE,),
    _VOCABULARY_FILE: (TOKENIZER_FILE, SENTENCEPIECE_FILE),
    _MERGES_FILE: (TOKENIZER_FILE, SENTENCEPIECE_FILE),
    _ADDED_TOKENS_FILE: (TOKENIZER_FILE, SENTENCEPIECE_FILE),
    _SPECIAL_TOKENS_FILE: (TOKENIZER_FILE, SENTENCEPIECE_FILE),
}
"""What is read of a tokenizer only where none of these others is there."""
TOKENIZER_FILES = (TOKENIZER_FILE, TOKENIZER_CONFIG_FILE, *TOKENIZERS_BEFORE)
"""What is read of a tokenizer."""
_FOREIGN_VOCABULARIES = {
    "vocab.txt": "BERT's",
    "sentencepiece.bpe.model": "XLM-RoBERTa's",
    "tokenizer.model": "Gemma's",
}
_WANTED = "; add its tokenizer.json, which AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER) writes"


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
    if path.is_file():
        return _read_text(path), settings
    try:
        if pieces.is_file():
            return sentencepiece_document(_read_bytes(pieces)), settings
        if (folder / _VOCABULARY_FILE).is_file() or (folder / _MERGES_FILE).is_file():
            return _read_vocabulary(folder, settings)
    except TokenizerError as error:
        raise CheckpointError(f"{str(pieces if pieces.is_file() else folder)!r}: {error}") from error
    for name, whose in _FOREIGN_VOCABULARIES.items():
        if (folder / name).is_file():
            raise CheckpointError(f"{str(folder / name)!r} is a vocabulary like {whose}, which is not read{_WANTED}")
    return None, settings


def _read_vocabulary(folder: Path, settings: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """The document of a vocabulary like CLIP's in two files, and the settings with the special tokens by name.

    What counts of the files beside them, and when, is as in transformers 5.23.0.
    """
    for name in (_VOCABULARY_FILE, _MERGES_FILE):
        if not (folder / name).is_file():
            both = f"{_VOCABULARY_FILE} and {_MERGES_FILE}"
            raise CheckpointError(f"{str(folder)!r} lacks {name}; {both} are one tokenizer{_WANTED}")
    kind = tokenizer_kind(settings)
    if kind not in ("", "CLIPTokenizer"):
        raise CheckpointError(f"{str(folder)!r} has the {_VOCABULARY_FILE} of a {kind}, which is not read{_WANTED}")
    if "added_tokens_decoder" not in settings:
        settings = _with_older_files(folder, settings)
    special = {key: _content(settings.get(key)) or usual for key, usual in SPECIAL_TOKENS.items()}
    try:
        added = {int(number): AddedToken(**table) for number, table in settings["added_tokens_decoder"].items()}
    except (TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{str(folder)!r}: its added tokens cannot be read: {error}") from error
    vocabulary, merges = (_read_text(folder / name) for name in (_VOCABULARY_FILE, _MERGES_FILE))
    return clip_document(vocabulary, merges, special, added), {**settings, **special}


def _with_older_files(folder: Path, settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """What special_tokens_map.json and added_tokens.json add to the settings."""
    named = {**settings, **(_json_if_there(folder / _SPECIAL_TOKENS_FILE) or {})}
    special = {_content(named.get(key)) for key in SPECIAL_TOKENS}
    added = {
        number: {"content": name, "special": name in special, "normalized": name not in special}
        for name, number in (_json_if_there(folder / _ADDED_TOKENS_FILE) or {}).items()
    }
    return {**named, "added_tokens_decoder": added}


def _content(token: object) -> str | None:
    """A special token's name, which may stand in a table."""
    name = token.get("content") if isinstance(token, Mapping) else token
    return name if isinstance(name, str) else None


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
        return _read_bytes(path).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{str(path)!r} cannot be read: {error}") from error


def _read_bytes(path: Path) -> bytes:
    if path.stat().st_size > _LARGEST_JSON:
        raise CheckpointError(f"{str(path)!r} has {path.stat().st_size:,} bytes; that is no such file")
    return path.read_bytes()
