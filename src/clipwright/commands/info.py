"""clipwright info"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from clipwright.checkpoints.load import STARTER
from clipwright.cli import DONE
from clipwright.commands.options import SPACING, json_option
from clipwright.commands.output import print_json

if TYPE_CHECKING:
    from clipwright.checkpoints.checkpoint import Checkpoint
    from clipwright.checkpoints.onnx_repository import OnnxRepository


@click.command("info", context_settings=SPACING)
@click.argument("model", default=STARTER, metavar="[MODEL]")
@json_option
def command(model: str, as_json: bool) -> int:
    """Show what a model is made of: towers, inputs, identity, origin. MODEL is a name or a file; the starter if none.

    \b
    Example:
      clipwright info runs/mine/model.safetensors --json
    """
    from clipwright.checkpoints.load import load_model, model_path
    from clipwright.checkpoints.onnx_repository import OnnxRepository
    from clipwright.records import write_record

    opened = load_model(model)
    towers = _graphs(opened) if isinstance(opened, OnnxRepository) else _weights(opened)
    record: dict[str, Any] = {
        "model": model,
        "file": str(model_path(model)),
        "space_id": opened.space_id(),
        **towers,
        "input": write_record(opened.spec),
        "provenance": dict(opened.provenance),
    }
    if as_json:
        print_json(record)
    else:
        _print_record({key: value for key, value in record.items() if key != "provenance"})
        origin = {key: value for key, value in opened.provenance.items() if key != "recipe"}
        _print_record({"origin": origin} if origin else {})
        _print_record({"recipe": "in full with --json"} if "recipe" in opened.provenance else {})
    return DONE


def _weights(checkpoint: Checkpoint) -> dict[str, Any]:
    """What is said of towers that are built here."""
    from clipwright.checkpoints.checkpoint import config_table

    towers = {"vision": 0, "text": 0}
    for name, array in checkpoint.weights.items():
        tower = name.partition(".")[0]
        towers[tower] = towers.get(tower, 0) + array.size
    parameters = {tower: count for tower, count in towers.items() if tower in ("vision", "text")}
    return {"parameters": parameters, "config": config_table(checkpoint.config)}


def _graphs(repository: OnnxRepository) -> dict[str, Any]:
    """What is said of towers that are ready graphs."""
    paths = {"vision": repository.image, "text": repository.text}
    config = {"embed_dim": repository.embed_dim, "scores": repository.scores}
    return {"graphs": {tower: str(path) for tower, path in paths.items()}, "config": config}


def _print_record(record: dict[str, Any], depth: int = 0) -> None:
    for key, value in record.items():
        label = f"{'  ' * depth}{str(key).replace('_', ' ')}"
        if isinstance(value, dict):
            print(label)
            _print_record(value, depth + 1)
        elif isinstance(value, list) and value and isinstance(value[0], str):
            print(label)
            for item in value:
                print(f"{'  ' * (depth + 1)}{item}")
        else:
            print(f"{label:<26}  {_shown(value)}")


def _shown(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 10_000:
        return f"{value:,}"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
