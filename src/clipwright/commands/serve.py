"""clipwright serve"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from clipwright.checkpoints.load import STARTER
from clipwright.cli import DONE
from clipwright.commands.options import SPACING, EncodedPath, index_option


@click.command("serve", context_settings=SPACING)
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=7860, show_default=True)
@click.option("--model", "models", multiple=True)
@click.option("--root", "roots", multiple=True, type=EncodedPath())
@index_option
def command(host: str, port: int, models: tuple[str, ...], roots: tuple[Path, ...], database: Path) -> int:
    """Answer over HTTP, and show a page to search with.

    \b
    Example:
      clipwright serve --root ~/Pictures
    """
    from clipwright.server.app import create_app
    from clipwright.server.http_server import HttpServer, address_of, bind
    from clipwright.server.settings import ServerSettings

    settings = ServerSettings(host=host, port=port, models=models or (STARTER,), database=database, roots=roots)
    sockets = bind(host, port)
    address = address_of(host, sockets)
    server = HttpServer(create_app(settings), settings, lambda: print(f"ready: {address}", file=sys.stderr, flush=True))
    server.run_until_stopped(sockets)
    return DONE
