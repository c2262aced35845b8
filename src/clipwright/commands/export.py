"""clipwright export"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from clipwright.cli import DONE, SOME_FAILED
from clipwright.commands.options import SPACING, EncodedPath, json_option, quiet_option
from clipwright.commands.output import failure_record, log_to_stderr, print_failure, print_json, progress, shown_size

if TYPE_CHECKING:
    from clipwright.embedding.backend import Precision
    from clipwright.evaluation.export import ParityReport

_LABEL = 24
"""Characters before the columns of the table."""


@click.command("export", context_settings=SPACING)
@click.argument("model", metavar="MODEL")
@click.argument("folder", type=EncodedPath(), metavar="FOLDER")
@click.option(
    "--precision",
    type=click.Choice(["fp32", "bf16", "int8"]),
    default="fp32",
    show_default=True,
    help="bf16: matrices take half the space; ONNX Runtime computes with them in fp32 on a processor."
    " int8: linear layers in 8-bit integers.",
)
@click.option(
    "--photos",
    type=EncodedPath(),
    metavar="FOLDER|FILE.parquet",
    help="Photographs to measure parity on.  [default: made-up pictures, which say little]",
)
@json_option
@quiet_option
def command(model: str, folder: Path, precision: Precision, photos: Path | None, as_json: bool, quiet: bool) -> int:
    """Write a model as ONNX graphs that plain onnxruntime runs, and measure how near they are to the model.

    FOLDER is new or empty and gets image.onnx and text.onnx with their weights beside them, tokenizer.json, input.json
    (how to prepare pictures and texts), and parity.json (how near the written graphs are to the model in fp32). It is
    a model from then on, as any other: --model FOLDER.

    \b
    Examples:
      clipwright export starter starter-onnx --photos holiday
      clipwright export openai-vit-b-32 vit-b-32-int8 --precision int8 --photos holiday
    """
    from clipwright.checkpoints.load import load_checkpoint
    from clipwright.evaluation.export import check_folder, export

    check_folder(folder)
    log_to_stderr(quiet=True)  # a text that is cut is cut for both
    checkpoint = load_checkpoint(model)
    with progress("comparing", quiet) as tell:
        report = export(checkpoint, model, folder, precision, photos, tell)
    for failure in report.failures:
        print_failure(failure)
    if as_json:
        print_json(report.record() | {"failures": [failure_record(failure) for failure in report.failures]})
    else:
        _print_files(folder)
        _print_report(report)
    return SOME_FAILED if report.failures else DONE


def _print_files(folder: Path) -> None:
    print(folder)
    for path in sorted(folder.iterdir()):
        print(f"  {path.name:<{_LABEL}}{shown_size(path.stat().st_size):>12}")
    print()


def _print_report(report: ParityReport) -> None:
    parity = report.parity
    measured = parity.photographs.cosine_mean is not None
    columns = [parity.photographs] if parity.texts is None else [parity.photographs, parity.texts]
    print(f"{report.model}, {report.variant} against exact-fp32, on {report.data}")
    _print_row("", "photographs" if measured else "pictures", *["texts"][: len(columns) - 1])
    _print_row("count", *(f"{column.count:,}" for column in columns))
    _print_row("largest difference", *(f"{column.largest_difference:.1e}" for column in columns))
    if measured:
        _print_row("centred cosine, mean", *(_number(column.cosine_mean) for column in columns))
        _print_row("centred cosine, least", *(_number(column.cosine_least) for column in columns))
    for label, share in (("zero-shot labels agree", parity.labels_agree), ("recall@10", parity.recall_at_10)):
        if share is not None:
            _print_row(label, f"{share:.1%}")
    for note in report.notes:
        print(f"note: {note}.")


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.5f}"


def _print_row(label: str, *values: str) -> None:
    print(f"  {label:<{_LABEL}}{''.join(f'{value:>12}' for value in values)}".rstrip())
