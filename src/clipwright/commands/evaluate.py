"""clipwright evaluate"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from clipwright.cli import DONE, SOME_FAILED
from clipwright.commands.options import SPACING, EmbedderSettings, json_option, model_options, open_embedder
from clipwright.commands.output import failure_record, log_to_stderr, print_failure, print_json, progress

if TYPE_CHECKING:
    from clipwright.embedding.embedder import Embedder
    from clipwright.evaluation.evaluate import Evaluation


@click.command("evaluate", context_settings=SPACING)
@click.argument("data", type=click.Path(path_type=Path), metavar="DATA.parquet")
@click.option("--labels", type=click.Path(path_type=Path), metavar="FILE.json", help="Class names by label.")
@click.option(
    "--template",
    "templates",
    multiple=True,
    metavar="TEXT",
    help="Sentence around a class name; may repeat.  [default: the four of the benchmark]",
)
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Measure on N photographs, evenly spread.")
@json_option
@model_options
def command(
    data: Path,
    labels: Path | None,
    templates: tuple[str, ...],
    limit: int | None,
    as_json: bool,
    settings: EmbedderSettings,
) -> int:
    """Measure a model on a Parquet file in the Hugging Face image convention.

    With a column 'label': zero-shot top-1 and top-5 over all class names, taken from the file's metadata or from
    --labels. With 'captions': retrieval R@1, R@5 and R@10 in both directions. Each with its 95 % interval.

    \b
    Example:
      clipwright evaluate data/caltech101/test.parquet --model runs/mine/model.safetensors
    """
    from clipwright.evaluation.datasets import open_dataset, read_class_names
    from clipwright.evaluation.evaluate import evaluate
    from clipwright.tasks.prompts import BENCHMARK_TEMPLATES, fill_templates

    fill_templates((), templates or BENCHMARK_TEMPLATES)
    dataset = open_dataset(data, read_class_names(labels) if labels else None, limit=limit)
    log_to_stderr(settings.quiet)
    embedder = open_embedder(settings)
    with progress("measuring", settings.quiet) as tell:
        result = evaluate(embedder, dataset, templates or BENCHMARK_TEMPLATES, tell, settings.batch_size)
    for failure in result.failures:
        print_failure(failure)
    _print_evaluation(result, embedder, as_json)
    return SOME_FAILED if result.failures else DONE


def _print_evaluation(result: Evaluation, embedder: Embedder, as_json: bool) -> None:
    if as_json:
        record = {
            "dataset": result.dataset,
            "model": embedder.name,
            "space_id": embedder.space_id,
            "images": result.images,
            "metrics": {name: asdict(metric) for name, metric in result.metrics.items()},
            "failures": [failure_record(failure) for failure in result.failures],
        }
        print_json(record)
        return
    print(f"{result.dataset}: {result.images:,} photographs, {embedder.name}")
    for name, metric in result.metrics.items():
        print(f"  {name:<20} {metric.value:6.1%}   95 % interval {metric.low:.1%} to {metric.high:.1%}")
