"""clipwright search"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from clipwright.cli import DONE, SOME_FAILED
from clipwright.commands.filter_options import filter_options
from clipwright.commands.found import Output, output_options, show
from clipwright.commands.options import (
    SPACING,
    EmbedderSettings,
    EncodedPath,
    index_option,
    open_embedder,
    search_model_options,
)
from clipwright.errors import IndexFileError, QueryError

if TYPE_CHECKING:
    from clipwright.embedding.embedder import Embedder
    from clipwright.index.filters import Filters
    from clipwright.index.photo_index import PhotoIndex

_MOST = 1_000


@click.command("search", context_settings=SPACING)
@click.argument("words", nargs=-1, metavar="[QUERY...]")
@index_option
@click.option(
    "--top", default=20, show_default=True, type=click.IntRange(1, _MOST), metavar="K", help="The most that is shown."
)
@click.option("--threshold", type=click.FloatRange(0, 1), metavar="R", help="Only what has this relevance or more.")
@click.option("--adaptive", is_flag=True, help="Only what stands out from the rest of the collection.")
@click.option("--unique", is_flag=True, help="Fold near-identical shots into one.")
@click.option("--exact", is_flag=True, help="Look at every photograph, however many there are.")
@click.option("--like", type=EncodedPath(), metavar="PHOTO", help="In place of a query: what looks like this.")
@filter_options
@output_options
@search_model_options
def command(
    words: tuple[str, ...],
    database: Path,
    top: int,
    threshold: float | None,
    adaptive: bool,
    unique: bool,
    exact: bool,
    like: Path | None,
    filters: Filters,
    output: Output,
    settings: EmbedderSettings,
) -> int:
    """Find photographs of an index by words, by pictures, or by both.

    \b
    Examples:
      clipwright search two dogs on a beach
      clipwright search "beach AND NOT people" --after 2023 --sheet beach.html
      clipwright search --like pool.jpg --json
      clipwright search sunset --paths0 | xargs -0 ls -l
    """
    from clipwright.commands.output import log_to_stderr
    from clipwright.index.photo_index import PhotoIndex
    from clipwright.index.query import Query
    from clipwright.index.query_parser import parse_query

    text = " ".join(words)
    if bool(text.strip()) == (like is not None):
        raise QueryError(
            "say what to look for, either in words or by --like PHOTO; a query of words may name pictures too:"
            " clipwright search 'beach + ./pool.jpg'"
        )
    log_to_stderr(settings.quiet)
    asked = parse_query(text) if like is None else None  # before a model is opened
    with PhotoIndex.open(database, create=False) as index:
        known = index.photo_at(like) if like is not None else None
        # A photograph of the index brings its vector along: no model is needed.
        embedder = None if known and settings.model is None else _open_embedder(index, database, settings)
        hits = index.search(
            asked if like is None or known else Query.of_file(like),
            embedder,
            limit=top,
            threshold=threshold,
            adaptive=adaptive,
            filters=filters,
            unique=unique,
            like=known.id if known else None,
            exact=exact,
        )
        if not hits:
            print("nothing found", file=sys.stderr)
        failed = show(hits, text or f"like {like}", index.thumbnail, output)
    return SOME_FAILED if failed else DONE


def _open_embedder(index: PhotoIndex, database: Path, settings: EmbedderSettings) -> Embedder:
    """The model that built the index, or the one that is asked for. Raises IndexFileError where the index has no
    vectors of it."""
    spaces = index.spaces()
    if not spaces:
        raise IndexFileError(f"the index {database} holds no photographs yet; 'clipwright index FOLDER' adds some")
    built_with = [space.model for space in spaces]
    chosen = replace(settings, model=settings.model or built_with[0], pixels=settings.pixels or "fast")
    embedder = open_embedder(chosen, few_texts=True)
    if embedder.space_id in {space.space_id for space in spaces}:
        return embedder
    if settings.model is None or settings.model in built_with:
        raise IndexFileError(
            f"the model {chosen.model} is not what it was when it built the index {database}; bring the index up to"
            f" date with it: clipwright index --index {database} --model {chosen.model}"
        )
    raise IndexFileError(
        f"the index {database} was built with {' and '.join(built_with)}, whose vectors cannot be compared with those"
        f" of {chosen.model}; leave out --model, or add its vectors: clipwright index --index {database} --model"
        f" {chosen.model}"
    )
