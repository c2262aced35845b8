"""clipwright models"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clipwright.cli import DONE
from clipwright.commands.options import SPACING, json_option
from clipwright.commands.output import print_json, shown_size

if TYPE_CHECKING:
    from clipwright.checkpoints.save import Layout
    from clipwright.embedding.cache import KeptModel

_DAY = 24 * 3600
"""Seconds."""
_LONG_UNUSED = 30
"""Days after which --prune takes a kept model for one that nobody uses."""


@click.group("models", context_settings=SPACING, invoke_without_command=True)
@json_option
@click.pass_context
def command(context: click.Context, as_json: bool) -> int:
    """List the models that have a name, with what they are; or fetch and convert others.

    A name that is not here yet is downloaded when it is first used. A model is also any file that 'clipwright train'
    wrote, any file or folder in the layout of OpenAI, OpenCLIP, Hugging Face or sentence-transformers, any folder of
    ready graphs, and any repository of the Hugging Face hub that holds one: OWNER/NAME. A name of the hub, short or
    long, may end in @REVISION.

    FILE:ViT-B-32 names the architecture of bare weights, FILE:CONFIG.json their config. NAME:fp16 is one of several
    variants in a folder or repository. FILE+MODEL takes what a file lacks from a model, IMAGES+TEXTS a tower of each.

    \b
    Examples:
      clipwright models
      clipwright models pull openai-vit-b-32
      clipwright models convert ViT-B-32.pt vit-b-32 --layout huggingface
      clipwright models cache --prune
    """
    from clipwright.checkpoints.catalog import catalog
    from clipwright.checkpoints.hub import is_cached

    if context.invoked_subcommand is not None:
        return DONE
    published = [asdict(entry) | {"cached": is_cached(entry.repository)} for entry in catalog().values()]
    if as_json:
        for record in [_starter(), *published]:
            print_json(record)
    else:
        _print_starter(_starter())
        _print_table(published)
    return DONE


def _starter() -> dict[str, Any]:
    """What is said of a published model, of the packaged one."""
    from clipwright.checkpoints.load import STARTER, load_checkpoint

    checkpoint = load_checkpoint(STARTER)
    return {
        "name": STARTER,
        "repository": None,
        "licence": checkpoint.provenance.get("licence", ""),
        "million_parameters": round(sum(array.size for array in checkpoint.weights.values()) / 1e6, 2),
        "image_size": checkpoint.spec.image_size,
        "embed_dim": checkpoint.config.embed_dim,
        "imagenet": None,
        "source": None,
        "cached": True,
    }


def _print_starter(record: Mapping[str, Any]) -> None:
    from clipwright.checkpoints.load import model_path

    size = f"{model_path(record['name']).stat().st_size / 1e6:.1f} MB"
    print(f"{record['name']:<10}  {size}, {record['image_size']} px, {record['embed_dim']} numbers a photograph")
    print(f"{'':<10}  {record['licence']}\n")


def _print_table(records: Sequence[Mapping[str, Any]]) -> None:
    """A line a model, narrower than 80 characters."""
    name, licence = (max(len(record[key]) for record in records) for key in ("name", "licence"))
    print(f"{'name':<{name}}  M params   px  numbers  ImageNet %  {'licence':<{licence}}  cached")
    for record in records:
        accuracy = "" if record["imagenet"] is None else f"{record['imagenet']!s:<5}"  # as many digits as are published
        line = (
            f"{record['name']:<{name}}  {record['million_parameters']:>8,.0f}  {record['image_size']:>3}"
            f"  {record['embed_dim']:>7,}  {accuracy:>10}  {record['licence']:<{licence}}"
            f"  {'yes' if record['cached'] else ''}"
        )
        print(line.rstrip())


@command.command("pull", context_settings=SPACING)
@click.argument("name", metavar="NAME[@REVISION][:VARIANT]")
def pull_command(name: str) -> int:
    """Download a model from the Hugging Face hub into its cache, and check that it can be read.

    NAME is a name that 'clipwright models' lists, or OWNER/NAME; VARIANT is 'fp16' or 'quantized', say.
    HF_HOME, HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE mean what they mean to huggingface_hub.

    \b
    Examples:
      clipwright models pull openai-vit-b-32
      clipwright models pull laion/CLIP-ViT-B-32-laion2B-s34B-b79K
    """
    from clipwright.checkpoints.hub import pull
    from clipwright.checkpoints.load import find_place, read_place

    place = find_place(name, pull)
    model = read_place(place)
    print(f"{name}: {model.spec.image_size} px, {model.embed_dim} numbers a photograph, in {place}")
    return DONE


@command.command("convert", context_settings=SPACING)
@click.argument("model", metavar="MODEL")
@click.argument("folder", type=click.Path(path_type=Path), metavar="FOLDER")
@click.option(
    "--layout",
    type=click.Choice(["clipwright", "huggingface", "openclip"]),
    required=True,
    help="clipwright: one file. huggingface: opens in transformers. openclip: opens in OpenCLIP.",
)
def convert_command(model: str, folder: Path, layout: Layout) -> int:
    """Write a model into a folder in another layout. What the layout cannot hold is refused by name.

    \b
    Example:
      clipwright models convert ViT-B-32.pt vit-b-32 --layout huggingface
    """
    from clipwright.checkpoints.load import load_checkpoint
    from clipwright.checkpoints.save import save_checkpoint
    from clipwright.errors import ClipwrightError

    if folder.exists() and any(folder.iterdir() if folder.is_dir() else [folder]):
        raise ClipwrightError(f"{str(folder)!r} is there already; name a folder that is new or empty")
    save_checkpoint(load_checkpoint(model), folder, layout)
    print(f"{model}: written to {folder} for {layout}")
    return DONE


@command.command("cache", context_settings=SPACING)
@click.option("--prune", is_flag=True, help="Remove what was not used for so long.")
@click.option(
    "--days", type=click.IntRange(0), metavar="N", help="What --prune takes for long; 0 removes all.  [default: 30]"
)
@json_option
def cache_command(prune: bool, days: int | None, as_json: bool) -> int:
    """List the models that are kept ready for a runtime on this machine, or remove those that nobody uses.

    They were made from models that lie elsewhere, and are made again when they are needed: removing them costs nothing
    but the time for that.

    \b
    Examples:
      clipwright models cache
      clipwright models cache --prune --days 7
    """
    from clipwright.embedding.cache import ModelCache
    from clipwright.errors import ClipwrightError

    if days is not None and not prune:
        raise ClipwrightError("--days says what --prune removes; add --prune")
    cache = ModelCache()
    entries = cache.prune((_LONG_UNUSED if days is None else days) * _DAY) if prune else list(cache.entries())
    if as_json:
        for entry in entries:
            print_json(_kept_record(entry))
    else:
        _print_kept(entries)
        total = shown_size(sum(entry.size for entry in entries))
        print(f"{total} freed" if prune else f"{total} in {cache.folder}")
    return DONE


def _kept_record(entry: KeptModel) -> dict[str, Any]:
    used = datetime.datetime.fromtimestamp(entry.used, datetime.UTC).isoformat(timespec="seconds")
    return {"space_id": entry.space_id, "key": entry.key, "path": str(entry.path), "size": entry.size, "used": used}


def _print_kept(entries: Sequence[KeptModel]) -> None:
    """A line an entry, narrower than 80 characters: of its key, without the hashes of processor and code."""
    if not entries:
        return
    purposes = [entry.key.rsplit("-", 2)[0] for entry in entries]
    width = max(map(len, purposes))
    print(f"{'space':<16}  {'for':<{width}}  {'size':>10}  last used")
    for entry, purpose in zip(entries, purposes, strict=True):
        used = datetime.datetime.fromtimestamp(entry.used).strftime("%Y-%m-%d")
        print(f"{entry.space_id:<16}  {purpose:<{width}}  {shown_size(entry.size):>10}  {used}")
