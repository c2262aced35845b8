"""The command line: finds the command, and turns what it raises into one line and an exit status."""

from __future__ import annotations

import importlib
import io
import os
import signal
import sys
from typing import Any

import click

from clipwright import __version__
from clipwright.errors import ClipwrightError, InterruptedRunError, UnreachableError, suggestion

DONE, SOME_FAILED, WRONG_REQUEST, MACHINE_FAILED, INTERRUPTED = 0, 1, 2, 3, 130

COMMANDS = {
    "index": "Make photographs in folders searchable.",
    "search": "Find photographs by words or pictures.",
    "duplicates": "List photographs that are the same.",
    "serve": "Answer over HTTP, and show a page to search with.",
    "classify": "Say which labels fit photographs.",
    "similarity": "Compare photographs with texts.",
    "embed": "Write the vectors of photographs or texts.",
    "train": "Train a model from a recipe.",
    "evaluate": "Measure a model on a data set.",
    "bench": "Measure how fast a model is on this machine.",
    "models": "List the models that have a name.",
    "export": "Write a model as ONNX graphs for other programs.",
    "info": "Show what a model is made of, or what an index holds.",
}
"""Each stands in commands/NAME.py, which is imported only when it is called."""


class ReaderGoneError(Exception):
    """Whoever read our output has seen enough."""


class LazyGroup(click.Group):
    """Imports a command's file when the command is called: no command pays for another's imports."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"clipwright.commands.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS:
            near = suggestion(args[0], COMMANDS) or f"; known: {', '.join(COMMANDS)}"
            raise click.UsageError(f"no command {args[0]!r}{near}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:  # click would end with status 1, which says that inputs failed
            raise ReaderGoneError from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    no_args_is_help=False,
    invoke_without_command=True,
)
@click.version_option(__version__, prog_name="clipwright")
@click.pass_context
def root(ctx: click.Context) -> None:
    """Pictures and sentences in one space: name, compare and measure photographs by words.

    \b
    Example:
      clipwright classify holiday.jpg --labels "beach, mountains, city"

    Answers go to standard output, everything else to standard error. Exit status: 0 all done; 1 done, but some inputs
    failed; 2 the request is wrong; 3 the machine failed; 130 interrupted.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def main() -> None:
    """Runs the command line and ends the process with the design's exit status."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a letter that the terminal lacks is no reason to stop
    try:
        status = root.main(prog_name="clipwright", standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        hint = f" See '{context.command_path} --help'." if context else ""
        status = _complain(error.format_message() + hint, WRONG_REQUEST)
    except InterruptedRunError as error:
        status = _complain(str(error), INTERRUPTED, "interrupted")
    except UnreachableError as error:
        status = _complain(str(error), MACHINE_FAILED)
    except ClipwrightError as error:
        status = _complain(str(error), WRONG_REQUEST)
    except (KeyboardInterrupt, click.Abort):
        status = _complain("stopped", INTERRUPTED, "interrupted")
    except (ReaderGoneError, BrokenPipeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = DONE
    except OSError as error:
        status = _complain(
            f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}", MACHINE_FAILED
        )
    sys.exit(status if isinstance(status, int) else DONE)


def _complain(message: str, status: int, word: str = "error") -> int:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not cut this line
    print(f"{word}: {' '.join(message.split())}", file=sys.stderr)
    return status
