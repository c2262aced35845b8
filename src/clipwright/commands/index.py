"""clipwright index"""

from __future__ import annotations

import collections
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from clipwright.checkpoints.load import STARTER, absolute_name
from clipwright.cli import DONE, SOME_FAILED
from clipwright.commands.options import (
    SPACING,
    EmbedderSettings,
    EncodedPath,
    index_model_options,
    index_option,
    open_embedder,
)
from clipwright.commands.output import log_to_stderr, print_failure, progress, source_fields
from clipwright.errors import ClipwrightError, Failure, InterruptedRunError

if TYPE_CHECKING:
    from clipwright.embedding.embedder import Embedder
    from clipwright.index.photo_index import PhotoIndex
    from clipwright.index.update import UpdateCounts


@click.command("index", context_settings=SPACING)
@click.argument("folders", nargs=-1, type=EncodedPath(), metavar="[FOLDER...]")
@index_option
@click.option(
    "--exclude",
    "excludes",
    multiple=True,
    metavar="PATTERN",
    help="Pass over such paths, also later on; may repeat. Takes the place of earlier ones.",
)
@click.option("--no-exclude", is_flag=True, help="Pass over nothing any more.")
@click.option(
    "--thumbnails/--no-thumbnails",
    default=None,
    help="Keep thumbnails of what is read, also later on, or none: saves space.  [default: as before; at first, keep]",
)
@click.option("--watch", is_flag=True, help="Stay and follow what changes, until Ctrl-C.")
@click.option("--forget", type=EncodedPath(), metavar="FOLDER", help="Remove what is known of a folder; no file is.")
@index_model_options
def command(
    folders: tuple[Path, ...],
    database: Path,
    excludes: tuple[str, ...],
    no_exclude: bool,
    thumbnails: bool | None,
    watch: bool,
    forget: Path | None,
    settings: EmbedderSettings,
) -> int:
    """Make the photographs in folders searchable, or bring the index up to date: of all its folders if none is named.

    What did not change since the last time is not read again. Stopped at any moment, the same command goes on. What is
    excluded, and whether thumbnails are kept, the index remembers of each folder.

    \b
    Examples:
      clipwright index ~/Pictures
      clipwright index ~/Pictures --exclude "Screenshots/" --watch
      clipwright index --forget ~/Pictures/Old
    """
    from clipwright.index.photo_index import PhotoIndex

    if forget is not None and (folders or watch or excludes or no_exclude or thumbnails is not None):
        raise ClipwrightError("--forget removes one folder and does nothing else; leave out other folders and options")
    if excludes and no_exclude:
        raise ClipwrightError("--exclude and --no-exclude contradict each other; leave one of them out")
    log_to_stderr(settings.quiet)
    if forget is not None:
        with PhotoIndex.open(database, create=False) as index:
            count = index.forget(forget)
        print(f"{count:,} photographs of {source_fields(forget)['source']} forgotten; their files are as they were")
        return DONE
    with PhotoIndex.open(database, create=bool(folders)) as index:
        embedder = _open_embedder(index, settings)
        given = excludes or (() if no_exclude else None)
        run = _Run(index, embedder, folders, given, thumbnails, settings)
        try:
            return run.watch() if watch else run.update()
        except KeyboardInterrupt:
            raise InterruptedRunError("what was done is kept; the same command goes on from there") from None


def _open_embedder(index: PhotoIndex, settings: EmbedderSettings) -> Embedder:
    """The model that is asked for, else the one that most photographs have, else the starter."""
    model = settings.model
    if model is None:
        spaces = index.spaces()
        model = spaces[0].model if spaces else STARTER
    else:
        model = absolute_name(model)  # a search may be asked for in another folder
    return open_embedder(
        replace(settings, model=model, pixels=settings.pixels or "fast", precision=settings.precision or "auto")
    )


@dataclass(frozen=True)
class _Run:
    """One call: what is to be indexed, and with what."""

    index: PhotoIndex
    embedder: Embedder
    folders: tuple[Path, ...]
    excludes: tuple[str, ...] | None
    """None: as they were."""
    thumbnails: bool | None
    settings: EmbedderSettings

    def update(self) -> int:
        failures: collections.Counter[str] = collections.Counter()
        with progress("indexing", self.settings.quiet) as tell:
            counts = self.index.update(
                self.folders,
                self.embedder,
                batch_size=self.settings.batch_size,
                threads=self.settings.threads,
                thumbnails=self.thumbnails,
                excludes=self.excludes,
                progress=tell,
                on_failure=lambda failure: _note(failure, failures),
            )
        _print_failures(failures)
        _print_counts(counts)
        self._print_passed_over(counts.passed_over)
        return SOME_FAILED if counts.failed else DONE

    def watch(self) -> int:
        failures: collections.Counter[str] = collections.Counter()
        passed_over: dict[str, int] = {}

        def tell(counts: UpdateCounts) -> None:
            nonlocal passed_over
            _print_counts(counts)
            if counts.passed_over != passed_over:  # else it was said before
                self._print_passed_over(counts.passed_over)
                passed_over = counts.passed_over

        self.index.watch(
            self.folders,
            self.embedder,
            batch_size=self.settings.batch_size,
            threads=self.settings.threads,
            thumbnails=self.thumbnails,
            excludes=self.excludes,
            on_failure=lambda failure: _note(failure, failures),
            on_update=tell,
        )
        return SOME_FAILED if failures else DONE

    def _print_passed_over(self, counts: dict[str, int]) -> None:
        from clipwright.inputs.image_names import passed_over

        if counts and not self.settings.quiet:
            print(f"passed over: {passed_over(counts)}", file=sys.stderr)


def _note(failure: Failure, failures: collections.Counter[str]) -> None:
    print_failure(failure)
    failures[failure.code] += 1


def _print_failures(failures: collections.Counter[str]) -> None:
    if failures:
        reasons = ", ".join(f"{count:,} {code.replace('_', ' ')}" for code, count in failures.most_common())
        print(f"failed, {failures.total():,} in all: {reasons}", file=sys.stderr)


def _print_counts(counts: UpdateCounts) -> None:
    """One line: what an update did, in files."""
    touched = counts.added + counts.changed + counts.moved + counts.copied + counts.failed + counts.still_failing
    said = {
        "new": counts.added,
        "changed": counts.changed,
        "moved": counts.moved,
        "copied": counts.copied,
        "removed": counts.removed,
        "unchanged": counts.found - touched,
        "failed": counts.failed,
    }
    line = ", ".join(f"{count:,} {word}" for word, count in said.items())
    if counts.still_failing:
        line += f", {counts.still_failing:,} failed before and left alone"
    print(line, flush=True)
    for root in counts.offline:
        print(
            f"offline: {source_fields(root)['source']}: missing or empty; its photographs stay, and 'clipwright index"
            " --forget' removes them",
            file=sys.stderr,
        )
