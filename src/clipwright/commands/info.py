"""clipwright info"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clipwright.checkpoints.load import STARTER
from clipwright.cli import DONE
from clipwright.commands.options import SPACING, default_index, json_option
from clipwright.commands.output import print_json, shown_size, source_fields
from clipwright.errors import CheckpointError

if TYPE_CHECKING:
    from clipwright.checkpoints.checkpoint import Checkpoint
    from clipwright.checkpoints.ready_graphs import ReadyGraphs
    from clipwright.index.index_facts import IndexFacts, RootFacts
    from clipwright.training.standing import Standing

_SQLITE = b"SQLite format 3\0"
"""How the files of SQLite begin."""


@click.command("info", context_settings=SPACING)
@click.argument("name", default=None, required=False, metavar="[MODEL|INDEX]")
@json_option
def command(name: str | None, as_json: bool) -> int:
    """Show what a model is made of, or what an index of photographs holds.

    MODEL is a name, a file or a folder, INDEX a file that 'clipwright index' wrote. If none is named: the index in the
    user's data folder where there is one, else the starter. Of the folder of a run that is not done: how far it is.

    \b
    Examples:
      clipwright info
      clipwright info photos.db
      clipwright info runs/mine/model.safetensors --json
    """
    database = default_index() if name is None else Path(name)
    if _is_index(database):
        return _show_index(database, as_json)
    return _show_model(name or STARTER, as_json)


def _is_index(path: Path) -> bool:
    """Whether this is a file of SQLite's, or one that should be."""
    try:
        with path.open("rb") as file:
            return file.read(len(_SQLITE)) == _SQLITE or path.suffix == ".db"
    except OSError:  # a model's name, a folder, nothing
        return path.suffix == ".db" and path != default_index()


def _show_index(database: Path, as_json: bool) -> int:
    from clipwright.index.photo_index import PhotoIndex

    with PhotoIndex.open(database, create=False) as index:
        facts = index.facts()
    if as_json:
        print_json(_index_record(facts))
        return DONE
    sizes = {"photographs": facts.photographs, "offline": facts.offline, "thumbnails": facts.thumbnails}
    _print_record({"index": source_fields(facts.database)["source"], **sizes})
    _print_record({"size on disk": shown_size(facts.bytes_on_disk)})
    _print_record({"folders": [_root_line(root) for root in facts.roots] or "none"})
    for space in facts.spaces:
        vectors = ", ".join(f"{count:,} {variant}" for variant, count in space.variants.items())
        _print_record({"model": {"name": space.model, "space_id": space.space_id, "embed_dim": space.embed_dim}})
        _print_record({"  vectors": vectors or "none"})
    _print_record({"failures": {code.replace("_", " "): count for code, count in facts.failures.items()} or "none"})
    return DONE


def _root_line(root: RootFacts) -> str:
    """A folder with what is to be said of it."""
    said = ["offline"] if root.offline else []
    said += [f"excluded: {', '.join(root.excludes)}"] if root.excludes else []
    said += [] if root.thumbnails else ["without thumbnails"]
    remark = f"  ({'; '.join(said)})" if said else ""
    return f"{source_fields(root.path)['source']}  {root.photographs:,}{remark}"


def _index_record(facts: IndexFacts) -> dict[str, Any]:
    """What is said of an index in JSON."""
    return {
        "index": source_fields(facts.database)["source"],
        "photographs": facts.photographs,
        "offline": facts.offline,
        "thumbnails": facts.thumbnails,
        "bytes": facts.bytes_on_disk,
        "folders": [
            {
                **source_fields(root.path),
                "photographs": root.photographs,
                "offline": root.offline,
                "excludes": root.excludes,
                "thumbnails": root.thumbnails,
            }
            for root in facts.roots
        ],
        "models": [asdict(space) for space in facts.spaces],
        "failures": facts.failures,
    }


def _show_model(model: str, as_json: bool) -> int:
    from clipwright.checkpoints.load import find_place, read_place
    from clipwright.checkpoints.ready_graphs import ReadyGraphs
    from clipwright.records import write_record
    from clipwright.training.standing import standing_of_model, standing_without_model

    place = find_place(model)
    try:
        opened = read_place(place)
    except CheckpointError:
        standing = standing_without_model(Path(model))
        if standing is None:
            raise
        _show_run(model, standing, as_json)
        return DONE
    standing = standing_of_model(place.paths[0], opened.provenance)
    towers = _graphs(opened) if isinstance(opened, ReadyGraphs) else _weights(opened)
    record: dict[str, Any] = {
        "model": model,
        **({"run": asdict(standing)} if standing else {}),
        "file": str(place),
        "space_id": opened.space_id(),
        **towers,
        "input": write_record(opened.spec),
        "provenance": dict(opened.provenance),
    }
    if as_json:
        print_json(record)
    else:
        shown = {**record, "run": _told(standing)} if standing else record
        _print_record({key: value for key, value in shown.items() if key != "provenance"})
        origin = {key: value for key, value in opened.provenance.items() if key != "recipe"}
        _print_record({"origin": origin} if origin else {})
        _print_record({"recipe": "in full with --json"} if "recipe" in opened.provenance else {})
    return DONE


def _show_run(folder: str, standing: Standing, as_json: bool) -> None:
    """A run that has kept no model."""
    if as_json:
        print_json({"model": None, "run": asdict(standing), "file": folder})
    else:
        _print_record({"model": "none yet", "run": _told(standing), "file": folder})


def _told(run: Standing) -> str:
    return f"step {run.step:,} of {run.steps:,}, saved {run.saved}"


def _weights(checkpoint: Checkpoint) -> dict[str, Any]:
    """What is said of towers that are built here."""
    from clipwright.checkpoints.checkpoint import config_table

    towers = {"vision": 0, "text": 0}
    for name, array in checkpoint.weights.items():
        tower = name.partition(".")[0]
        towers[tower] = towers.get(tower, 0) + array.size
    parameters = {tower: count for tower, count in towers.items() if tower in ("vision", "text")}
    return {"parameters": parameters, "config": config_table(checkpoint.config)}


def _graphs(graphs: ReadyGraphs) -> dict[str, Any]:
    """What is said of towers that are ready graphs."""
    paths = {"vision": graphs.image, "text": graphs.text}
    config = {"embed_dim": graphs.embed_dim, "scores": graphs.scores}
    shown = {tower: str(path) for tower, path in paths.items()}
    return {"graphs": shown, "precision": graphs.precision, "config": config}


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
