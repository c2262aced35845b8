"""What becomes of photographs that were found: printed, drawn on a sheet, copied, linked."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from clipwright.commands.options import EncodedPath, check_out, json_option
from clipwright.commands.output import source_fields
from clipwright.errors import QueryError

if TYPE_CHECKING:
    from clipwright.commands.hit_table import Thumbnail
    from clipwright.index.photo import Hit

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True)
class Output:
    """What the options say is done with them."""

    as_json: bool
    paths0: bool
    no_pictures: bool
    sheet: Path | None
    copy_to: Path | None
    link_to: Path | None


_OPTIONS = (
    json_option,
    click.option("--paths0", is_flag=True, help="Bare paths with a zero byte behind each, for xargs -0."),
    click.option("--no-pictures", is_flag=True, help="No thumbnails, also on a terminal that shows them."),
    click.option("--sheet", type=EncodedPath(), metavar="OUT", help="Write a contact sheet: ends in .html or .png."),
    click.option("--copy-to", type=EncodedPath(), metavar="FOLDER", help="Copy what is found there."),
    click.option("--link-to", type=EncodedPath(), metavar="FOLDER", help="Link there to what is found."),
)


def output_options(command: Command) -> Command:
    """--json, --sheet and the others; the command gets them as one argument, output.

    Raises QueryError where two want the same, ClipwrightError where a file could not be written.
    """

    @functools.wraps(command)
    def with_output(*arguments: Any, **options: Any) -> Any:
        output = Output(**{key.name: options.pop(key.name) for key in fields(Output)})
        if output.as_json and output.paths0:
            raise QueryError("--json and --paths0 both want standard output; leave one of them out")
        check_out(output.sheet, (".html", ".png"), "--sheet")
        return command(*arguments, output=output, **options)

    decorated: Any = with_output
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return cast(Command, decorated)


def show(hits: Sequence[Hit], title: str, thumbnail: Thumbnail, output: Output) -> int:
    """Does all that; gives how many photographs could not be copied or linked, each of which is named on stderr."""
    _print(hits, thumbnail, output)
    if output.sheet is not None and hits:
        _write_sheet(output.sheet, hits, title, thumbnail)
    failed = 0
    if output.copy_to is not None:
        failed += _place("--copy-to", output.copy_to, hits)
    if output.link_to is not None:
        failed += _place("--link-to", output.link_to, hits)
    return failed


def _print(hits: Sequence[Hit], thumbnail: Thumbnail, output: Output) -> None:
    from clipwright.commands.hit_table import print_hits_json, print_paths0, print_pictures, print_table

    if output.as_json:
        print_hits_json(hits)
        return
    if output.paths0:
        print_paths0(hits)
        return
    protocol = None
    if sys.stdout.isatty() and not output.no_pictures:
        from clipwright.commands.terminal_pictures import terminal_protocol

        protocol = terminal_protocol()
    if protocol is None:
        print_table(hits)
    else:
        print_pictures(hits, thumbnail, protocol)


def _write_sheet(path: Path, hits: Sequence[Hit], title: str, thumbnail: Thumbnail) -> None:
    from clipwright.commands.contact_sheet import Sheet, write_sheet

    remark = "1 photograph" if len(hits) == 1 else f"{len(hits):,} photographs"
    write_sheet(path, Sheet(title, remark, hits, thumbnail))
    print(f"contact sheet: {source_fields(path)['source']}", file=sys.stderr)


def _place(option: str, folder: Path, hits: Iterable[Hit]) -> int:
    from clipwright.commands.copying import copy_to, link_to, make_folder

    make_folder(folder, option)
    place, done = (copy_to, "copied") if option == "--copy-to" else (link_to, "linked")
    placed = there = failed = 0
    for photo, outcome in place(folder, (hit.photo.source for hit in hits)):
        if isinstance(outcome, OSError):
            failed += 1
            reason = outcome.strerror or str(outcome)
            print(f"failed: {source_fields(photo)['source']}: not {done}: {reason}", file=sys.stderr)
        else:
            placed += outcome == "placed"
            there += outcome == "there"
    remark = f"; {there:,} {'was' if there == 1 else 'were'} there already" if there else ""
    print(f"{done} {placed:,} to {source_fields(folder)['source']}{remark}", file=sys.stderr)
    return failed
