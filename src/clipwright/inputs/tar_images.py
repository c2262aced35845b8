"""WebDataset tar files: KEY.jpg beside KEY.txt (captions), KEY.json ('caption') or KEY.cls (a label).

The tars are indexed once, by where each picture begins, so that any sample can be read without the rest.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from clipwright.errors import DatasetError
from clipwright.inputs.image_names import image_suffixes
from clipwright.inputs.text_files import decode_text, text_lines

_TEXT_SUFFIXES = (".txt", ".json", ".cls")


@dataclass(frozen=True)
class _Member:
    tar: Path
    name: str
    offset: int
    size: int


class TarImages:
    """The samples of tar files, in the order of the files: pictures by number, with captions or with labels.

    captions holds the captions of every sample, or None where the samples have labels instead. Samples that lack a
    picture or a text are left out, and so are those whose text cannot be read, which broken names with the reason.
    Raises DatasetError where a file is no tar, names a member twice, or mixes captions and labels.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._members: list[_Member] = []
        captions: list[list[str]] = []
        self.labels: list[int] = []
        self.broken: list[str] = []
        for path in paths:
            for member, texts in _read_index(path):
                if ".cls" in texts:
                    self.labels.append(_label(texts[".cls"], member))
                    self._members.append(member)
                    continue
                try:
                    lines = _captions(texts)
                except ValueError as error:
                    self.broken.append(f"the text of {member.tar.name}/{member.name}: {error}")
                    continue
                if lines:
                    captions.append(lines)
                    self._members.append(member)
        if captions and self.labels:
            raise DatasetError(f"{str(paths[0])!r} and its fellows mix captions and labels; make them two sources")
        self.captions = None if self.labels else captions

    def __len__(self) -> int:
        return len(self._members)

    def image(self, index: int) -> bytes:
        member = self._members[index]
        with member.tar.open("rb") as file:
            file.seek(member.offset)
            return file.read(member.size)

    def name(self, index: int) -> str:
        return f"{self._members[index].tar.name}/{self._members[index].name}"


def _read_index(path: Path) -> list[tuple[_Member, dict[str, bytes]]]:
    """The pictures of one tar with the texts of the same key, in the order of the file."""
    pictures: dict[str, _Member] = {}
    texts: dict[str, dict[str, bytes]] = {}
    met: set[str] = set()
    try:
        with tarfile.open(path, "r:") as tar:
            for info in tar:
                if not info.isfile():
                    continue
                folder, _, base = info.name.rpartition("/")
                stem, _, ending = base.partition(".")
                key, suffix = f"{folder}/{stem}", f".{ending.lower()}"
                if suffix not in image_suffixes() and suffix not in _TEXT_SUFFIXES:
                    continue
                if key + suffix in met:
                    raise _repeated(path, f"{info.name!r} twice")
                met.add(key + suffix)
                if suffix in image_suffixes():
                    if key in pictures:
                        raise _repeated(path, f"two pictures of one key, {pictures[key].name!r} and {info.name!r}")
                    pictures[key] = _Member(path, info.name, info.offset_data, info.size)
                else:
                    file = tar.extractfile(info)
                    texts.setdefault(key, {})[suffix] = file.read() if file else b""
    except (tarfile.TarError, OSError) as error:
        raise DatasetError(f"{str(path)!r} cannot be read as an uncompressed tar: {error}") from error
    return [(member, texts[key]) for key, member in pictures.items() if key in texts]


def _repeated(path: Path, what: str) -> DatasetError:
    return DatasetError(
        f"{str(path)!r} holds {what}, so it cannot be told which picture has which text; give each sample a key of its"
        " own, or pack the samples into tars that repeat none"
    )


def _captions(texts: dict[str, bytes]) -> list[str]:
    """The captions in a sample's text, which may be none. Raises ValueError where it cannot be read."""
    if ".txt" in texts:
        return text_lines(decode_text(texts[".txt"]))
    table = json.loads(decode_text(texts[".json"]))
    caption = table.get("caption") if isinstance(table, dict) else None
    return [caption] if isinstance(caption, str) and caption.strip() else []


def _label(text: bytes, member: _Member) -> int:
    try:
        return int(decode_text(text))
    except ValueError as error:
        raise DatasetError(f"{member.tar.name}/{member.name} has a label that is no number: {text[:20]!r}") from error
