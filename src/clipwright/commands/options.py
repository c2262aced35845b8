"""Options that several commands have, spelt and explained the same everywhere; and what follows from them."""

from __future__ import annotations

import functools
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from clipwright.checkpoints.load import STARTER
from clipwright.errors import ClipwrightError, LabelError
from clipwright.inputs.text_files import read_text, text_lines

if TYPE_CHECKING:
    from clipwright.embedding.embedder import Embedder, Pixels
    from clipwright.embedding.load import BackendChoice, PrecisionChoice

Command = TypeVar("Command", bound=Callable[..., Any])
Option = Callable[[Any], Any]
"""What click.option gives."""
SPACING = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class EncodedPath(click.Path):
    """A path whose bytes survive, whatever they are."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)


photos_argument = click.argument("photos", nargs=-1, required=True, type=EncodedPath(), metavar="PHOTO...")
model_option = click.option(
    "--model",
    default=STARTER,
    show_default=True,
    metavar="NAME",
    help="A name that 'clipwright models' lists, a file or folder, or OWNER/NAME on the hub.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
quiet_option = click.option("--quiet", is_flag=True, help="No progress and no remarks; errors are still said.")
index_option = click.option(
    "--index",
    "database",
    type=EncodedPath(),
    metavar="PATH",
    callback=lambda context, option, path: path or default_index(),
    help="The index's file.  [default: photos.db in the user's data folder]",
)
_FILE_NAME = re.compile(
    r"(?i)([^,\n]+\.(txt|text|csv|tsv|json|jsonl|list|lst|labels|names|md|ya?ml|toml))|(~\w*[/\\]|\.{0,2}[/\\]|[a-z]:[/\\])[^,\n]*"
)
"""What people call a file of texts, or where they say it lies: no single text looks so."""
MANY = 100
"""Photographs from which on bulk work is faster than exact, unless it is told otherwise."""


@dataclass(frozen=True)
class EmbedderSettings:
    """What the options of every command that embeds say: which model, and how it runs. None: not said."""

    model: str | None
    batch_size: int
    threads: int | None
    backend: BackendChoice | None
    precision: PrecisionChoice | None
    compiled: bool
    pixels: Pixels | None
    strict_length: bool
    quiet: bool

    def for_bulk(self, photographs: int) -> EmbedderSettings:
        """These, but faster where there are many photographs and nothing else was said; one line on stderr says so."""
        if photographs <= MANY or (self.precision and self.pixels):
            return self
        faster = replace(self, precision=self.precision or "auto", pixels=self.pixels or "fast")
        if not self.quiet:
            print(
                f"note: {photographs:,} photographs, so --pixels {faster.pixels} and --precision {faster.precision};"
                " --pixels exact --precision fp32 insist.",
                file=sys.stderr,
            )
        return faster


_BATCH_SIZE = click.option(
    "--batch-size",
    default=32,
    show_default=True,
    type=click.IntRange(1, 4096),
    metavar="N",
    help="Photographs embedded at once.",
)
threads_option = click.option(
    "--threads", type=click.IntRange(1, 1024), metavar="N", help="Processor cores to use.  [default: all]"
)
_BACKEND = click.option(
    "--backend",
    type=click.Choice(["auto", "onnx", "openvino", "torch"]),
    help="What runs the model.  [default: onnx, or what --precision asks for]",
)
_PRECISION = click.option(
    "--precision",
    type=click.Choice(["auto", "fp32", "bf16", "int8"]),
    help="auto: bf16 where there are units for it, else fp32.  [default: fp32]",
)
_COMPILE = click.option("--compile", "compiled", is_flag=True, help="With --backend torch: through torch.compile.")
_PIXELS = click.option(
    "--pixels",
    type=click.Choice(["exact", "fast"]),
    help="exact: as the model's maker prepares them. fast: large JPEGs are decoded smaller.  [default: exact]",
)
_INDEX_MODEL = click.option(
    "--model",
    metavar="NAME",
    help="As 'clipwright models' lists, a file or folder, or OWNER/NAME.  [default: what built the index; starter]",
)
_INDEX_PRECISION = click.option(
    "--precision",
    type=click.Choice(["auto", "fp32", "bf16", "int8"]),
    help="auto: bf16 where there are units for it, else fp32.  [default: auto]",
)
_SEARCH_PRECISION = click.option(
    "--precision",
    type=click.Choice(["auto", "fp32", "bf16", "int8"]),
    help="Of the query.  [default: fp32, which answers soonest]",
)
_INDEX_PIXELS = click.option(
    "--pixels",
    type=click.Choice(["exact", "fast"]),
    help="exact: as the model's maker prepares them. fast: large JPEGs are decoded smaller.  [default: fast]",
)
_STRICT_LENGTH = click.option(
    "--strict-length", is_flag=True, help="A text that the model cannot read whole is an error."
)


def default_index() -> Path:
    """Where the index is that no option names: under CLIPWRIGHT_HOME where that is set, else the user's data folder."""
    home = os.environ.get("CLIPWRIGHT_HOME")
    if home:
        return Path(home) / "photos.db"
    from platformdirs import user_data_path

    return user_data_path("clipwright", appauthor=False) / "photos.db"


def model_options(command: Command) -> Command:
    """The options of every command that embeds; the command gets them as one argument, settings."""
    return _with_settings(command, model_option, _PRECISION, _PIXELS)


def index_model_options(command: Command) -> Command:
    """The same where an index says which model is meant, and many photographs are."""
    return _with_settings(command, _INDEX_MODEL, _INDEX_PRECISION, _INDEX_PIXELS)


def search_model_options(command: Command) -> Command:
    """The same for one query of an index."""
    return _with_settings(command, _INDEX_MODEL, _SEARCH_PRECISION, _INDEX_PIXELS)


def _with_settings(command: Command, model: Option, precision: Option, pixels: Option) -> Command:
    @functools.wraps(command)
    def with_settings(*arguments: Any, **options: Any) -> Any:
        settings = EmbedderSettings(**{key.name: options.pop(key.name) for key in fields(EmbedderSettings)})
        return command(*arguments, settings=settings, **options)

    decorated: Any = with_settings
    for option in (
        quiet_option,
        _STRICT_LENGTH,
        pixels,
        _COMPILE,
        precision,
        _BACKEND,
        threads_option,
        _BATCH_SIZE,
        model,
    ):
        decorated = option(decorated)
    return cast(Command, decorated)


def open_embedder(settings: EmbedderSettings, *, few_texts: bool = False) -> Embedder:
    """The embedder that the options name; where it is the starter, one line on stderr says what that is."""
    from clipwright.embedding.load import load_embedder

    model = settings.model or STARTER
    embedder = load_embedder(
        model,
        threads=settings.threads,
        pixels=settings.pixels or "exact",
        backend=settings.backend,
        precision=settings.precision or "fp32",
        compiled=settings.compiled,
        strict_length=settings.strict_length,
        few_texts=few_texts,
    )
    if model == STARTER and not settings.quiet:
        say_what_the_starter_is()
    return embedder


def say_what_the_starter_is() -> None:
    """One line on stderr."""
    print(
        "note: the starter answers, a 22 MB model trained on 100,000 small pictures; its guesses are rough."
        " --model NAME takes a stronger one; 'clipwright models' lists them.",
        file=sys.stderr,
    )


def read_texts(argument: str) -> list[str]:
    """The texts of an option: the lines of an existing file, else a list with commas.

    Raises LabelError for what looks like a file and is none.
    """
    if not argument.strip():
        return []
    path = Path(argument)
    try:
        exists, is_folder = path.exists(), path.is_dir()
    except OSError:  # a list too long for a file's name
        exists = is_folder = False
    if not exists or is_folder:
        if _FILE_NAME.fullmatch(argument):
            what = f"{argument!r} is a folder" if is_folder else f"there is no file {argument!r}"
            raise LabelError(f"{what}; name a file with one text a line, or give the texts, separated by commas")
        return [text.strip() for text in argument.split(",")]
    try:
        return text_lines(read_text(path))
    except ValueError as error:
        raise LabelError(f"{argument!r} cannot be read as a list: {error}") from error
    except OSError as error:
        raise LabelError(f"{argument!r} cannot be read: {error.strerror or error}") from error


def texts_options(command: Command) -> Command:
    """--texts and --text, which may be mixed."""
    single = click.option("--text", "single_texts", multiple=True, metavar="TEXT", help="One text; may repeat.")
    several = click.option("--texts", metavar="A,B,...|FILE", help="Texts; or a file with one a line.")
    return several(single(command))


def check_out(path: Path | None, endings: tuple[str, ...], option: str = "--out") -> None:
    """Refuses, before any work is done, a file of another kind or one in a folder that is not there."""
    if path is None:
        return
    if path.suffix not in endings:
        raise ClipwrightError(f"{option} {str(path)!r} must end in {' or '.join(endings)}")
    if not path.parent.is_dir():
        raise ClipwrightError(f"{option} {str(path)!r}: there is no folder {str(path.parent)!r}; make it first")
