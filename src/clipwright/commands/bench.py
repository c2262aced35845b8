"""clipwright bench"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from clipwright.checkpoints.load import STARTER
from clipwright.cli import DONE
from clipwright.commands.options import SPACING, json_option, quiet_option, threads_option
from clipwright.commands.output import log_to_stderr, print_json, progress
from clipwright.embedding.backend import BACKENDS, PRECISIONS, BackendName, Precision

if TYPE_CHECKING:
    from clipwright.evaluation.matrix_peak import MatrixPeak
    from clipwright.evaluation.speed import PreparingSpeed, SpeedReport, SpeedSettings, TowerSpeed

_NAMES = 18
"""Letters of the first columns, which say what a row is about."""
_QUICK_ROUNDS, _QUICK_SECONDS = 2, 0.02


@click.command("bench", context_settings=SPACING)
@click.argument("model", default=STARTER, metavar="[MODEL]")
@click.option(
    "--backend", type=click.Choice(BACKENDS), help="Only this one.  [default: all but torch, and that on a GPU]"
)
@click.option("--precision", type=click.Choice(PRECISIONS), help="Only this one.  [default: all that there are]")
@click.option(
    "--batch-size", default=16, show_default=True, type=click.IntRange(1, 4096), metavar="N", help="Pictures at once."
)
@threads_option
@click.option("--quick", is_flag=True, help="Fewer and shorter rounds: rougher figures.")
@json_option
@quiet_option
def command(
    model: str,
    backend: BackendName | None,
    precision: Precision | None,
    batch_size: int,
    threads: int | None,
    quick: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """Measure how fast a model is on this machine, with each backend in each precision.

    MODEL is a name or a file; the starter if none. Pictures, texts and their preparation are measured apart, and what
    share of the machine's matrix peak the towers reach.

    \b
    Example:
      clipwright bench openai-vit-b-32 --precision fp32
    """
    from clipwright.checkpoints.checkpoint import check_finite
    from clipwright.checkpoints.load import load_checkpoint
    from clipwright.evaluation.speed import SpeedSettings, measure_speed, variants_here

    log_to_stderr(quiet)
    variants = variants_here(backend, precision)
    checkpoint = load_checkpoint(model)
    check_finite(checkpoint.weights)
    settings = SpeedSettings(batch_size=batch_size, threads=threads)
    if quick:
        settings = SpeedSettings(batch_size=batch_size, threads=threads, rounds=_QUICK_ROUNDS, seconds=_QUICK_SECONDS)
    with progress("measuring", quiet) as tell:
        report = measure_speed(checkpoint, variants, settings, tell)
    if as_json:
        _print_records(model, settings, report)
    else:
        _print_report(model, settings, report)
    return DONE


def _print_records(model: str, settings: SpeedSettings, report: SpeedReport) -> None:
    about = {"model": model, "batch_size": settings.batch_size, "threads": settings.threads}
    for tower in report.towers:
        arithmetic = {"image_multiply_adds": report.image_multiply_adds}
        print_json({"measured": "towers", **about, **asdict(tower), **arithmetic})
    for peak in report.peaks:
        print_json({"measured": "matrix peak", "threads": settings.threads, **asdict(peak)})
    for prepared in report.preparing:
        print_json({"measured": "preparing", "model": model, "threads": settings.threads, **asdict(prepared)})
    if report.tokenized_per_second is not None:
        print_json({"measured": "tokenizing", "model": model, "texts_per_second": report.tokenized_per_second})


def _print_report(model: str, settings: SpeedSettings, report: SpeedReport) -> None:
    from clipwright.evaluation.matrix_peak import processor_name

    cores = "all cores" if settings.threads is None else f"{settings.threads} thread{'s' * (settings.threads > 1)}"
    print(f"{model} on {processor_name()}, {cores}; the best of {settings.rounds} rounds")
    print(f"{report.image_multiply_adds / 1e9:,.2f} billion multiply-adds a picture; {settings.batch_size} at once\n")
    print(f"{'towers':<{_NAMES}}{'images/s':>10}{'of peak':>9}{'texts/s':>11}{'of peak':>9}{'opened':>10}{'again':>10}")
    for tower in report.towers:
        print(_tower_row(tower))
    print(f"\n{'matrix peak':<{_NAMES}}{'Gop/s':>10}")
    for peak in report.peaks:
        print(_peak_row(peak))
    print(f"\n{'photographs/s, from JPEG to pixels':<36}{'exact':>10}{'fast':>10}")
    for size in dict.fromkeys((prepared.width, prepared.height) for prepared in report.preparing):
        print(_preparing_row(size, report.preparing))
    if report.tokenized_per_second is not None:
        print(f"\n{'texts/s, from letters to tokens':<36}{_rate(report.tokenized_per_second):>10}")


def _tower_row(tower: TowerSpeed) -> str:
    name = tower.backend if tower.place == "processor" else f"{tower.backend} (GPU)"
    images = f"{_rate(tower.images_per_second):>10}{_share(tower.image_peak_share):>9}"
    texts = f"{_rate(tower.texts_per_second):>11}{_share(tower.text_peak_share):>9}"
    opened = f"{_seconds(tower.open_seconds):>10}{_seconds(tower.reopen_seconds):>10}"
    return f"  {name:<12}{tower.precision:<{_NAMES - 14}}{images}{texts}{opened}"


def _peak_row(peak: MatrixPeak) -> str:
    name = peak.precision if peak.place == "processor" else f"{peak.precision} (GPU)"
    return f"  {name:<{_NAMES - 2}}{peak.operations_per_second / 1e9:>10,.0f}  by {peak.by}"


def _preparing_row(size: tuple[int, int], measured: tuple[PreparingSpeed, ...]) -> str:
    rates = {p.pixels: p.photographs_per_second for p in measured if (p.width, p.height) == size}
    megapixels = size[0] * size[1] / 1e6
    name = f"{megapixels:.0f} megapixels" if megapixels >= 1 else f"{size[0]} x {size[1]}, as in ImageNet"
    return f"  {name:<34}{_rate(rates['exact']):>10}{_rate(rates['fast']):>10}"


def _rate(rate: float | None) -> str:
    if rate is None:
        return "-"
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.1f}" if rate >= 10 else f"{rate:.2f}"


def _share(share: float | None) -> str:
    return "-" if share is None else f"{share:.0%}"


def _seconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.2f} s"
