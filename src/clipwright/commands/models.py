"""clipwright models"""

from __future__ import annotations

import click

from clipwright.cli import DONE
from clipwright.commands.options import SPACING, json_option
from clipwright.commands.output import print_json


@click.command("models", context_settings=SPACING)
@json_option
def command(as_json: bool) -> int:
    """List the models that have a name, with what they are.

    Any model file that 'clipwright train' wrote is a model too: name it by its path.

    \b
    Example:
      clipwright models
    """
    from clipwright.checkpoints.load import NAMES, load_checkpoint, model_path

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
