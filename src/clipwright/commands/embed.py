"""clipwright embed"""

from __future__ import annotations

from pathlib import Path

import click

from clipwright.cli import DONE, SOME_FAILED
from clipwright.commands.options import (
    SPACING,
    EmbedderSettings,
    EncodedPath,
    check_out,
    model_options,
    open_embedder,
    read_texts,
    texts_options,
)
from clipwright.commands.output import log_to_stderr, print_failure, progress


@click.command("embed", context_settings=SPACING)
@click.argument("photos", nargs=-1, type=EncodedPath(), metavar="[PHOTO...]")
@texts_options
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Ends in .npy, .parquet or .jsonl.  [default: JSON Lines on standard output]",
)
@model_options
def command(
    photos: tuple[Path, ...],
    texts: str | None,
    single_texts: tuple[str, ...],
    out: Path | None,
    settings: EmbedderSettings,
) -> int:
    """Write the unit vectors of photographs, of all photographs in folders, or of texts.

    NAME.npy holds the vectors (N, D) as float32 and has NAME.npy.sources.json beside it; .parquet has the columns
    source and embedding; JSON Lines have the same two keys. Each says space and variant of its vectors.

    \b
    Examples:
      clipwright embed ~/Pictures --out pictures.npy
      clipwright embed --text "a cat" --text "a dog"
    """
    from clipwright.commands.vector_files import VECTOR_FILES, open_vector_file
    from clipwright.errors import ClipwrightError, Failure
    from clipwright.inputs.photo_paths import find_photos

    listed = [] if texts is None else read_texts(texts)
    captions = [*listed, *single_texts]
    if texts and not listed:
        raise ClipwrightError(f"--texts {texts!r} has no text in it; write one a line")
    if not photos and not captions:
        raise ClipwrightError("nothing to embed; name photographs or folders, or give --text 'a cat'")
    if not all(caption.strip() for caption in captions):
        raise ClipwrightError("a text is empty; texts are separated by one comma, or stand one a line in a file")
    check_out(out, VECTOR_FILES)
    log_to_stderr(settings.quiet)
    found = list(find_photos(photos))
    settings = settings.for_bulk(len(found))
    embedder = open_embedder(settings)
    file = open_vector_file(out, embedder.embed_dim, embedder.space_id, embedder.variant)
    failed = 0
    with file, progress("embedding", settings.quiet, prints_rows=out is None) as tell:
        for text, vector in zip(captions, embedder.embed_texts(captions), strict=True):
            file.add(text, vector)
        results = embedder.stream_images(found, settings.batch_size, settings.threads)
        for done, (source, result) in enumerate(results, 1):
            if isinstance(result, Failure):
                failed += 1
                print_failure(result)
                file.add_failure(result)
            else:
                file.add(source, result)
            tell(done, len(found))
    return SOME_FAILED if failed else DONE
