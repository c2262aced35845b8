"""clipwright serve"""

from __future__ import annotations

import gc
import ipaddress
import logging
import os
import re
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urlsplit

import click

from clipwright.checkpoints.load import STARTER
from clipwright.cli import DONE, INTERRUPTED, SOME_FAILED
from clipwright.commands.option_groups import grouped
from clipwright.commands.options import (
    SPACING,
    EncodedPath,
    default_index,
    index_option,
    quiet_option,
    say_what_the_starter_is,
    threads_option,
)
from clipwright.commands.output import log_to_stderr
from clipwright.errors import ClipwrightError, MissingExtraError

if TYPE_CHECKING:
    from fastapi import FastAPI

    from clipwright.server.settings import ServerSettings

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)(?:b|p)?", re.IGNORECASE)
_HOST = re.compile(r"[\w.-]+|\[?[0-9a-fA-F:.]+\]?")
_GROUPS = {
    "What is served": ("models", "roots", "database", "no_update", "fetch_urls"),
    "Who may use it": ("host", "port", "keys_file", "new_key", "insecure", "allowed_hosts", "allowed_origins"),
    "How models run": ("backend", "precision", "pixels", "threads", "batch_size", "memory_budget"),
    "How much is accepted": ("max_body", "max_pixels", "queue", "deadline"),
}


class Size(click.ParamType[int]):
    """A number with k, M or G behind it: 4GB, 512MiB, 100M."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        found = _SIZE.fullmatch(value.strip())
        if found is None:
            self.fail(f"{value!r} is no size; 4GB, 512MB and 100M are", param, ctx)
        base = 1024 if found[3] else 1000
        size = int(float(found[1]) * base ** " kmgt".index(found[2].lower() or " "))
        if size < 1:
            self.fail(f"{value!r} is less than 1", param, ctx)
        return size


def _checked_origins(_: click.Context, __: click.Parameter, origins: tuple[str, ...]) -> tuple[str, ...]:
    """Origins as browsers write them."""
    checked = []
    for origin in origins:
        try:
            parts = urlsplit(origin.lower().rstrip("/"))
        except ValueError:  # half of an IPv6 address
            parts = urlsplit("")
        if parts.scheme not in ("http", "https") or not parts.netloc or parts.path or parts.query or "@" in origin:
            raise click.BadParameter(f"{origin!r} is no origin; https://example.org is, or http://localhost:3000")
        checked.append(f"{parts.scheme}://{parts.netloc}")
    return tuple(checked)


def _checked_hosts(_: click.Context, __: click.Parameter, hosts: tuple[str, ...]) -> tuple[str, ...]:
    for host in hosts:
        if not _HOST.fullmatch(host):
            raise click.BadParameter(f"{host!r} is no name of a host; photos.example.org is, without http:// and port")
    return hosts


@click.command("serve", cls=grouped(_GROUPS), context_settings=SPACING)
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="NAME",
    help="As 'clipwright models' lists, a file or folder, or OWNER/NAME; may repeat, the first answers where a request"
    " names none.  [default: what built the index; starter]",
)
@click.option(
    "--root",
    "roots",
    multiple=True,
    type=EncodedPath(),
    metavar="FOLDER",
    help="Photographs to index, besides the folders that the index knows; may repeat.",
)
@index_option
@click.option("--no-update", is_flag=True, help="Leave the index as it is at the start.")
@click.option("--fetch-urls", is_flag=True, help="Fetch pictures of requests from public web addresses.")
@click.option("--host", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="Where to listen.")
@click.option(
    "--port", default=7860, show_default=True, type=click.IntRange(0, 65535), metavar="N", help="0 takes a free one."
)
@click.option(
    "--keys-file",
    type=EncodedPath(),
    metavar="PATH",
    help="Hashes of the keys that let in.  [default: keys.jsonl in the user's data folder]",
)
@click.option(
    "--new-key",
    is_flag=False,
    flag_value="",
    metavar="[NAME]",
    help="Make a key, print it, and end: from then on the server asks for one.",
)
@click.option("--insecure", is_flag=True, help="Let everybody in whom the network lets in.")
@click.option(
    "--allow-host",
    "allowed_hosts",
    multiple=True,
    metavar="NAME",
    callback=_checked_hosts,
    help="Another name by which the server is called; may repeat.",
)
@click.option(
    "--allow-origin",
    "allowed_origins",
    multiple=True,
    metavar="ORIGIN",
    callback=_checked_origins,
    help="A site whose pages may call the server, as https://example.org; may repeat.",
)
@click.option(
    "--backend",
    type=click.Choice(["auto", "onnx", "openvino", "torch"]),
    help="What runs the models.  [default: what --precision asks for]",
)
@click.option(
    "--precision",
    type=click.Choice(["auto", "fp32", "bf16", "int8"]),
    default="auto",
    show_default=True,
    help="auto: bf16 where there are units for it, else fp32.",
)
@click.option(
    "--pixels",
    type=click.Choice(["exact", "fast"]),
    default="fast",
    show_default=True,
    help="exact: as the model's maker prepares them. fast: large JPEGs are decoded smaller.",
)
@threads_option
@click.option(
    "--batch-size",
    default=16,
    show_default=True,
    type=click.IntRange(1, 4096),
    metavar="N",
    help="Photographs embedded at once.",
)
@click.option(
    "--memory-budget",
    type=Size(),
    metavar="SIZE",
    help="For all models together, as 4GB; the one unused longest is closed.  [default: any]",
)
@click.option("--max-body", type=Size(), metavar="SIZE", help="Of a request.  [default: 64MiB]")
@click.option("--max-pixels", type=Size(), metavar="COUNT", help="Of a picture.  [default: 100M]")
@click.option("--queue", type=click.IntRange(1), metavar="N", help="Pictures and texts in work.  [default: 1024]")
@click.option(
    "--deadline",
    type=click.FloatRange(0, min_open=True),
    metavar="SECONDS",
    help="For a request's answer.  [default: 30]",
)
@quiet_option
def command(keys_file: Path | None, new_key: str | None, insecure: bool, quiet: bool, **options: Any) -> int:
    """Answer over HTTP, and show a page to search with.

    Only this machine is listened to unless --host says otherwise, and then a key is asked for. The folders are brought
    up to date while the server answers. Ctrl-C ends it once all that it accepted is answered, a second one at once.

    \b
    Examples:
      clipwright serve --root ~/Pictures
      clipwright serve --model openai/clip-vit-base-patch32 --fetch-urls
      clipwright serve --new-key laptop
      clipwright serve --host 0.0.0.0 --allow-host photos.local

    Exit status: 0 stopped, and all was answered; 1 stopped, but some was not; 2 the request is wrong; 3 the machine
    failed, or the port is taken; 130 stopped at once.
    """
    keys_file = keys_file or default_index().parent / "keys.jsonl"
    try:
        from clipwright.server.uvicorn_range import check_uvicorn

        check_uvicorn()
        from clipwright.server.http_server import allow_open_files, bind
    except ModuleNotFoundError as error:
        raise MissingExtraError("clipwright serve", "serve") from error
    if new_key is not None:
        return _make_key(keys_file, new_key)
    settings = _settings(keys_file, options)
    sockets = bind(settings.host, settings.port)
    try:
        if not insecure:
            _refuse_strangers(settings, sockets)
        log_to_stderr(quiet)
        if not quiet and STARTER in settings.models:
            say_what_the_starter_is()
        allow_open_files(settings.limits.connections)
        return _serve(settings, sockets, quiet)
    finally:
        for listener in sockets:
            listener.close()


def _serve(settings: ServerSettings, sockets: list[socket.socket], quiet: bool) -> int:
    from clipwright.server.app import create_app
    from clipwright.server.http_server import HttpServer, address_of

    app = create_app(settings)
    address = address_of(settings.host, sockets)
    log = logging.getLogger("clipwright.server")
    level = log.level

    async def say_ready() -> None:
        log.setLevel(level)
        gc.collect()
        gc.freeze()  # what is there now stays; to look through all of it stops every request for 35 ms now and then
        print(f"ready: {address}  ({await _contents(app)})", file=sys.stderr, flush=True)

    server = HttpServer(app, settings, on_ready=say_ready, on_impatience=_end_at_once)
    log.setLevel(logging.CRITICAL)  # what keeps a server from starting is raised, and so said once
    try:
        server.run_until_stopped(sockets)
    finally:
        log.setLevel(level)
    if server.unanswered:
        seconds = f"{settings.limits.drain_seconds:g}"
        print(f"stopped: {server.unanswered:,} requests were not answered within {seconds} seconds", file=sys.stderr)
        return SOME_FAILED
    if not quiet:
        print("stopped: all that was accepted is answered", file=sys.stderr)
    return DONE


async def _contents(app: FastAPI) -> str:
    """What a server has, in a few words."""
    from clipwright.server.rejection import RejectionError
    from clipwright.server.services import Services

    services: Services = app.state.services
    names = services.models.names
    said = f"model{'s' if len(names) > 1 else ''} {', '.join(names)}"
    try:
        count = (await services.photos.state()).photographs
    except RejectionError as error:
        return f"{said}; {error}"
    return f"{said}, {count:,} photograph{'' if count == 1 else 's'}"


def _end_at_once() -> NoReturn:
    print("interrupted: stopped at once", file=sys.stderr, flush=True)
    os._exit(INTERRUPTED)  # threads may still be at work; models' processes end when their input does


def _make_key(file: Path, name: str) -> int:
    from clipwright.server.gate.keys import make_key, read_keys

    if not name:
        taken = {key.name for key in read_keys(file)}
        name = next(free for number in range(1, len(taken) + 2) if (free := f"key-{number}") not in taken)
    print(make_key(file, name))
    print(
        f"note: this key, {name!r}, is not shown again; {file} holds its hash, and taking that line out revokes it",
        file=sys.stderr,
    )
    return DONE


def _settings(keys_file: Path, options: Mapping[str, Any]) -> ServerSettings:
    """Everything that the options say; what they do not is as settings.py has it."""
    from clipwright.server.settings import Limits, ModelSettings, ServerSettings

    for root in options["roots"]:
        if not root.is_dir():
            what = "is no folder" if root.exists() else "does not exist"
            raise ClipwrightError(f"--root {str(root)!r} {what}; it takes a folder of photographs")
    limits = {
        "body_bytes": options["max_body"],
        "picture_pixels": options["max_pixels"],
        "queue_items": options["queue"],
        "deadline_seconds": options["deadline"],
    }
    return ServerSettings(
        host=options["host"].strip("[]"),
        port=options["port"],
        models=options["models"] or (_model_of(options["database"]),),
        database=options["database"],
        roots=tuple(root.absolute() for root in options["roots"]),
        keys_file=keys_file,
        allowed_hosts=options["allowed_hosts"],
        allowed_origins=options["allowed_origins"],
        fetch_urls=options["fetch_urls"],
        update=not options["no_update"],
        limits=Limits(**{name: value for name, value in limits.items() if value is not None}),
        model=ModelSettings(
            **{
                name: options[name]
                for name in ("backend", "precision", "pixels", "threads", "batch_size", "memory_budget")
            }
        ),
    )


def _model_of(database: Path) -> str:
    """The model that built the index, as most of its photographs have it, else the starter."""
    from clipwright.index.photo_index import PhotoIndex

    if not database.is_file():
        return STARTER
    with PhotoIndex.open(database, create=False) as index:
        spaces = index.spaces()
    return spaces[0].model if spaces else STARTER


def _refuse_strangers(settings: ServerSettings, sockets: list[socket.socket]) -> None:
    """Raises ClipwrightError where other machines could use the server without a key."""
    from clipwright.server.gate.keys import read_keys

    addresses = [listener.getsockname()[0] for listener in sockets]
    is_wide = any(not ipaddress.ip_address(address.partition("%")[0]).is_loopback for address in addresses)
    if is_wide and not (settings.keys_file and read_keys(settings.keys_file)):
        raise ClipwrightError(
            f"--host {settings.host} lets other machines see your photographs, and there is no key yet; make one with"
            " 'clipwright serve --new-key', or insist with --insecure"
        )
