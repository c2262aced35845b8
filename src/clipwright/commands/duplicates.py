"""clipwright duplicates"""

from __future__ import annotations

import collections
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clipwright.cli import DONE
from clipwright.commands.options import SPACING, index_option, json_option, quiet_option
from clipwright.commands.output import log_to_stderr, print_json, shown_size

if TYPE_CHECKING:
    from clipwright.index.duplicates import DuplicateKind
    from clipwright.index.photo import Photo

_KINDS: dict[str, DuplicateKind] = {"file": "same file", "picture": "same picture", "shot": "similar shot"}
"""What --kind takes, and how groups are called."""


@click.command("duplicates", context_settings=SPACING)
@index_option
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    type=click.Choice(list(_KINDS)),
    help="file: the same bytes. picture: re-encoded or resized. shot: of a burst. May repeat.  [default: all]",
)
@json_option
@quiet_option
def command(database: Path, kinds: tuple[str, ...], as_json: bool, quiet: bool) -> int:
    """List photographs of an index that are the same file, the same picture, or shots of a burst. Nothing is deleted.

    \b
    Examples:
      clipwright duplicates
      clipwright duplicates --kind file --kind picture --json
    """
    from clipwright.index.photo_index import PhotoIndex

    log_to_stderr(quiet)
    wanted = [_KINDS[kind] for kind in kinds or _KINDS]
    groups: collections.Counter[str] = collections.Counter()
    extra = 0
    with PhotoIndex.open(database, create=False) as index:
        for group in index.duplicates(wanted):
            photos = index.photos(group.photos)
            if len(photos) < 2:  # the others were removed meanwhile
                continue
            if as_json:
                print_json(_record(group.kind, photos))
            else:
                _print_group(group.kind, photos, first=not groups)
            groups[group.kind] += 1
            extra += sum(photo.size for photo in photos) - max(photo.size for photo in photos)
    if not quiet:
        said = ", ".join(f"{count:,} {kind}" for kind, count in groups.items())
        remark = (
            f"groups: {said}; all but the largest file of each take {shown_size(extra)}" if groups else "none found"
        )
        print(remark, file=sys.stderr)
    return DONE


def _record(kind: str, photos: Sequence[Photo]) -> dict[str, Any]:
    """What is said of a group in JSON."""
    from clipwright.commands.hit_table import photo_fields
    from clipwright.index.photo import taken_at

    return {
        "kind": kind,
        "photos": [
            {
                **photo_fields(photo),
                "id": photo.id,
                "size": photo.size,
                "width": photo.facts.width,
                "height": photo.facts.height,
                "taken": taken_at(photo, "seconds"),
                "offline": photo.offline,
            }
            for photo in photos
        ],
    }


def _print_group(kind: str, photos: Sequence[Photo], *, first: bool) -> None:
    from clipwright.commands.hit_table import shown_path
    from clipwright.index.photo import taken_at

    if not first:
        print()
    print(f"{kind}: {len(photos):,} photographs")
    for photo in photos:
        pixels = f"{photo.facts.width} x {photo.facts.height}"
        taken = (taken_at(photo) or "").replace("T", " ")
        offline = "  (offline)" if photo.offline else ""
        print(f"  {pixels:>13}  {shown_size(photo.size):>9}  {taken:<16}  {shown_path(photo)}{offline}", flush=True)
