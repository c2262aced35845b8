"""clipwright similarity"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from clipwright.cli import DONE, SOME_FAILED
from clipwright.commands.options import (
    SPACING,
    EmbedderSettings,
    check_out,
    json_option,
    model_options,
    open_embedder,
    photos_argument,
    read_texts,
    texts_options,
)
from clipwright.commands.output import (
    failure_record,
    log_to_stderr,
    print_failure,
    print_json,
    progress,
    shorten,
    source_fields,
)

if TYPE_CHECKING:
    import numpy as np


_NAME_WIDTH = 32


@click.command("similarity", context_settings=SPACING)
@photos_argument
@texts_options
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE.png", help="Draw the matrix into this picture.")
@json_option
@model_options
def command(
    photos: tuple[Path, ...],
    texts: str | None,
    single_texts: tuple[str, ...],
    out: Path | None,
    as_json: bool,
    settings: EmbedderSettings,
) -> int:
    """Compare photographs, or all photographs in folders, with texts: the cosine of every pair, -1 to 1.

    \b
    Examples:
      clipwright similarity cat.jpg car.jpg --texts "a cat, a red car"
      clipwright similarity *.jpg --text "two dogs, one of them wet" --out matrix.png
    """
    import numpy as np

    from clipwright.errors import ClipwrightError, Failure
    from clipwright.inputs.photo_paths import find_photos
    from clipwright.tasks.zero_shot import similarity_matrix

    captions = [*(read_texts(texts) if texts else ()), *single_texts]
    if not captions or not all(caption.strip() for caption in captions):
        raise ClipwrightError("no text to compare with, or an empty one; give --texts 'a cat, a car' or --text 'a cat'")
    check_out(out, (".png",))
    log_to_stderr(settings.quiet)
    embedder = open_embedder(settings)
    text_vectors = embedder.embed_texts(captions)
    found = list(find_photos(photos))
    sources, rows, failed = [], [], 0
    with progress("comparing", settings.quiet, prints_rows=True) as tell:
        for done, (source, result) in enumerate(
            embedder.stream_images(found, settings.batch_size, settings.threads), 1
        ):
            if isinstance(result, Failure):
                failed += 1
                print_failure(result)
                if as_json:
                    print_json(failure_record(result))
            else:
                row = similarity_matrix(result[None], text_vectors)[0]
                sources.append(source)
                rows.append(row)
                _print_row(source, captions, row, as_json)
            tell(done, len(found))
    if out is not None and rows:
        _draw(sources, captions, np.array(rows), out)
    return SOME_FAILED if failed else DONE


def _print_row(source: Path, texts: list[str], row: np.ndarray, as_json: bool) -> None:
    fields = source_fields(source)
    if as_json:
        pairs = [{"text": text, "similarity": float(value)} for text, value in zip(texts, row, strict=True)]
        print_json({**fields, "similarities": pairs})
        return
    name = shorten(fields["source"], _NAME_WIDTH)
    for text, value in zip(texts, row, strict=True):
        print(f"{name:<{_NAME_WIDTH}}  {value:6.3f}  {text}")
        name = ""


def _draw(sources: list[Path], texts: list[str], matrix: np.ndarray, out: Path) -> None:
    from clipwright.atomic import replacing
    from clipwright.inputs.images import open_image
    from clipwright.tasks.similarity_picture import draw_similarities, thumbnail

    thumbnails = [thumbnail(open_image(source)) for source in sources]  # photographs would fill the memory
    with replacing(out) as temporary:
        draw_similarities(thumbnails, texts, matrix).save(temporary, "PNG")
