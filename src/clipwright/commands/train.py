"""clipwright train"""

from __future__ import annotations

import contextlib
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click

from clipwright.cli import DONE
from clipwright.commands.options import SPACING, quiet_option
from clipwright.commands.output import log_to_stderr

if TYPE_CHECKING:
    from clipwright.training.report import StepReport

_LOG_SECONDS = 10.0


@click.command("train", context_settings=SPACING)
@click.argument("recipe_path", type=click.Path(path_type=Path), metavar="RECIPE.toml")
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="FOLDER", help="Where the run lives.  [default: runs/RECIPE]"
)
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Lay a value over the recipe; may repeat.")
@quiet_option
def command(recipe_path: Path, out: Path | None, overrides: tuple[str, ...], quiet: bool) -> int:
    """Train a model from a recipe. Stopped at any moment, the same command goes on where it was.

    The folder gets model.safetensors, metrics.csv, TensorBoard's files, and state.pt for going on.

    \b
    Examples:
      clipwright train recipes/starter-1.toml
      clipwright train mine.toml --out runs/try --set training.steps=100
    """
    from clipwright.evaluation.during_training import evaluators_of
    from clipwright.training.recipe import read_recipe
    from clipwright.training.run import RunObserver, train

    recipe = read_recipe(recipe_path, overrides)
    out = out or Path("runs") / recipe_path.stem
    log_to_stderr(quiet)
    evaluators = evaluators_of(recipe, recipe_path.parent)
    with _stopping() as should_stop, _report_drawer(quiet) as on_report:
        observer = RunObserver(on_report, _quiet_evaluation if quiet else _print_evaluation, should_stop)
        path = train(recipe, recipe_path.parent, out, evaluators, observer)
    print(path)
    return DONE


@contextlib.contextmanager
def _stopping() -> Iterator[Callable[[], bool]]:
    """Says whether Ctrl-C or a request to end came: the run then saves its state. A second one stops at once."""
    asked = False

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        asked = True
        signal.signal(number, before[signal.Signals(number)])

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _report_drawer(quiet: bool) -> Iterator[Callable[[StepReport], None]]:
    """Draws reports as a bar on a terminal, and as a line every few seconds in a log."""
    if quiet:
        yield lambda report: None
        return
    if not sys.stderr.isatty():
        last = -_LOG_SECONDS

        def tell(report: StepReport) -> None:
            nonlocal last
            if time.monotonic() - last >= _LOG_SECONDS or report.step == report.steps:
                last = time.monotonic()
                print(f"step {report.step:,} of {report.steps:,}  {_summary(report)}", file=sys.stderr)

        yield tell
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("training"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[summary]}"))
    with Progress(*columns, console=Console(stderr=True), redirect_stdout=False) as drawn:
        task = drawn.add_task("training", total=None, summary="")
        yield lambda report: drawn.update(
            task, completed=report.step, total=report.steps, summary=_summary(report), refresh=True
        )


def _print_evaluation(step: int, values: Mapping[str, float]) -> None:
    shown = "  ".join(f"{name} {value:.1%}" for name, value in values.items())
    print(f"measured after step {step:,}:  {shown}", file=sys.stderr)


def _quiet_evaluation(step: int, values: Mapping[str, float]) -> None:
    pass


def _summary(report: StepReport) -> str:
    minutes, seconds = divmod(round(report.seconds_left), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [
        f"{report.samples_per_second:,.0f} samples/s",
        f"{hours}:{minutes:02}:{seconds:02} left",
        f"loss {report.loss:.3f}",
        f"temperature {1 / report.scale:.4f}",
        report.precision,
    ]
    if report.broken:
        parts.append(f"{report.broken} broken")
    return "  ".join(parts)
