"""clipwright models"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from clipwright.cli import DONE
from clipwright.commands.options import SPACING, json_option
from clipwright.commands.output import print_json

if TYPE_CHECKING:
    from clipwright.checkpoints.save import Layout


@click.group("models", context_settings=SPACING, invoke_without_command=True)
@json_option
@click.pass_context
def command(context: click.Context, as_json: bool) -> int:
    """List the models that have a name, with what they are; or fetch and convert others.

    A model is also any file that 'clipwright train' wrote, any file or folder in the layout of OpenAI, OpenCLIP or
    Hugging Face, and any repository of the Hugging Face hub that holds one: OWNER/NAME, or OWNER/NAME@REVISION.

    \b
    Examples:
      clipwright models
      clipwright models pull openai/clip-vit-base-patch32
      clipwright models convert ViT-B-32.pt vit-b-32 --layout huggingface
    """
    from clipwright.checkpoints.load import NAMES, load_checkpoint, model_path

    if context.invoked_subcommand is not None:
        return DONE
    for name in NAMES:
        checkpoint = load_checkpoint(name)
        record = {
            "name": name,
            "megabytes": round(model_path(name).stat().st_size / 1e6, 1),
            "image_size": checkpoint.spec.image_size,
            "embed_dim": checkpoint.config.embed_dim,
            "licence": checkpoint.provenance.get("licence", ""),
        }
        if as_json:
            print_json(record)
        else:
            size = f"{record['megabytes']} MB, {record['image_size']} px, {record['embed_dim']} numbers a photograph"
            print(f"{name:<10}  {size}\n{'':<10}  {record['licence']}")
    return DONE


@command.command("pull", context_settings=SPACING)
@click.argument("name", metavar="OWNER/NAME[@REVISION]")
def pull_command(name: str) -> int:
    """Download a model from the Hugging Face hub into its cache, and check that it can be read.

    HF_HOME, HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE mean what they mean to huggingface_hub.

    \b
    Example:
      clipwright models pull laion/CLIP-ViT-B-32-laion2B-s34B-b79K
    """
    from clipwright.checkpoints.folder import read_checkpoint
    from clipwright.checkpoints.hub import pull

    folder = pull(name)
    config = read_checkpoint(folder).config
    print(f"{name}: {config.vision.image_size} px, {config.embed_dim} numbers a photograph, in {folder}")
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
