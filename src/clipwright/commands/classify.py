"""clipwright classify"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from clipwright.cli import DONE, SOME_FAILED
from clipwright.commands.options import (
    SPACING,
    EmbedderSettings,
    json_option,
    model_options,
    open_embedder,
    photos_argument,
    read_texts,
)
from clipwright.commands.output import (
    bar,
    failure_record,
    log_to_stderr,
    print_failure,
    print_json,
    progress,
    shorten,
    source_fields,
)

if TYPE_CHECKING:
    from clipwright.api import Classification

_NAME_WIDTH = 32


@click.command("classify", context_settings=SPACING)
@photos_argument
@click.option("--labels", required=True, metavar="A,B,...|FILE", help="The labels; or a file with one a line.")
@click.option(
    "--top", default=5, show_default=True, type=click.IntRange(1), metavar="K", help="Labels shown for each photograph."
)
@click.option(
    "--template",
    "templates",
    multiple=True,
    metavar="TEXT",
    help="Sentence around a label; may repeat.  [default: 'a photo of a {}.']",
)
@click.option("--unknown", is_flag=True, help="Allow the answer 'none of these'.")
@json_option
@model_options
def command(
    photos: tuple[Path, ...],
    labels: str,
    top: int,
    templates: tuple[str, ...],
    unknown: bool,
    as_json: bool,
    settings: EmbedderSettings,
) -> int:
    """Say which of the given labels fit photographs, or all photographs in folders.

    \b
    Examples:
      clipwright classify cat.jpg --labels "cat, dog, car"
      clipwright classify ~/Pictures --labels labels.txt --unknown --json
    """
    from clipwright.api import stream_classifications
    from clipwright.inputs.photo_paths import find_photos
    from clipwright.tasks.prompts import check_labels, fill_templates
    from clipwright.tasks.unknown import UNKNOWN

    names = read_texts(labels)
    check_labels(names, unknown=unknown)
    fill_templates(names, templates or ("{}",))  # a wrong request is refused before the model is loaded
    log_to_stderr(settings.quiet)
    embedder = open_embedder(settings)
    found = list(find_photos(photos))
    results = stream_classifications(
        embedder,
        found,
        names,
        templates or None,
        unknown=unknown,
        batch_size=settings.batch_size,
        threads=settings.threads,
    )
    label_width = min(_NAME_WIDTH, max(len(label) for label in (*names, UNKNOWN)))
    failed = 0
    with progress("classifying", settings.quiet, prints_rows=True) as tell:
        for done, result in enumerate(results, 1):
            failed += result.failure is not None
            _print_result(result, top, label_width, as_json)
            tell(done, len(found))
    return SOME_FAILED if failed else DONE


def _print_result(result: Classification, top: int, label_width: int, as_json: bool) -> None:
    if result.failure is not None:
        print_failure(result.failure)
        if as_json:
            print_json(failure_record(result.failure))
        return
    scores = result.labels[:top]
    if as_json:
        print_json({**source_fields(result.source), "labels": [vars(score) for score in scores]})
        return
    name = shorten(source_fields(result.source)["source"], _NAME_WIDTH)
    for score in scores:
        label = f"{shorten(score.label, label_width):<{label_width}}"
        print(f"{name:<{_NAME_WIDTH}}  {label}  {score.probability:6.1%}  {bar(score.probability)}".rstrip())
        name = ""
