"""A model written as ONNX graphs, with a report of how near they are to the model itself."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from clipwright.atomic import making_folder
from clipwright.checkpoints.checkpoint import Checkpoint
from clipwright.checkpoints.ready_graphs import read_ready_graphs
from clipwright.embedding.backend import Precision
from clipwright.embedding.backends.ready_graphs import ReadyGraphsBackend
from clipwright.embedding.cache import ModelCache
from clipwright.embedding.embedder import Embedder
from clipwright.embedding.exported import variant, write_towers
from clipwright.embedding.load import embedder_on, open_backend
from clipwright.errors import ClipwrightError, Failure
from clipwright.evaluation.parity import Parity, ParitySet, Progress, made_up_set, measure, photograph_set
from clipwright.model.config import ResNetConfig

PARITY_FILE = "parity.json"


@dataclass(frozen=True)
class ParityReport:
    """How near exported graphs are to the model in fp32."""

    model: str
    space_id: str
    variant: str
    data: str
    """What was measured on."""
    parity: Parity
    notes: tuple[str, ...]
    """What one should know to read the figures; a sentence each, without a full stop."""
    failures: tuple[Failure, ...]
    """Photographs that could not be read; they are left out."""

    def record(self) -> dict[str, Any]:
        """As one JSON object, all but the failures."""
        return {
            "model": self.model,
            "space_id": self.space_id,
            "variant": self.variant,
            "data": self.data,
            **asdict(self.parity),
            "notes": list(self.notes),
        }


def check_folder(folder: Path) -> None:
    """Refuses what export cannot fill. Raises ClipwrightError."""
    shown = repr(str(folder))
    folder = folder.resolve()
    if folder.exists():
        if not folder.is_dir() or any(folder.iterdir()):
            raise ClipwrightError(f"{shown} is there already; name a folder that is new or empty")
        if os.path.ismount(folder) or folder == Path.cwd():  # a finished folder takes its place
            raise ClipwrightError(f"{shown} cannot be replaced where it is; name a folder inside it")
    elif not folder.parent.is_dir():
        raise ClipwrightError(f"{shown}: there is no folder {str(folder.parent)!r}; make it first")


def export(
    checkpoint: Checkpoint,
    name: str,
    folder: Path,
    precision: Precision = "fp32",
    photos: Path | None = None,
    progress: Progress | None = None,
) -> ParityReport:
    """Writes graphs, weights, tokenizer, input.json and parity.json into a new or empty folder: all, or nothing.

    name: how the model is called. photos: a folder or a Parquet file to measure on; without, made-up pictures.
    Raises ClipwrightError where folder or photos cannot be used, OSError where the disk refuses.
    """
    check_folder(folder)
    measured = made_up_set() if photos is None else photograph_set(photos)
    space_id = ModelCache().space_id(checkpoint)
    with making_folder(folder.resolve()) as making:
        write_towers(checkpoint, name, space_id, precision, making)
        parity, failures = measure(
            lambda: embedder_on(open_backend(checkpoint), checkpoint, name, space_id),
            lambda: _open(making, name, space_id),
            measured,
            has_tokenizer=checkpoint.tokenizer is not None,
            progress=progress,
        )
        notes = tuple(_notes(checkpoint, precision, parity, measured, len(failures)))
        report = ParityReport(name, space_id, variant(precision), measured.name, parity, notes, failures)
        text = json.dumps(report.record(), indent=2, ensure_ascii=False) + "\n"
        (making / PARITY_FILE).write_text(text, encoding="utf-8")
    return report


def _open(folder: Path, name: str, space_id: str) -> Embedder:
    """What anyone who opens the folder has, whose space_id is known here."""
    graphs = read_ready_graphs(folder)
    return embedder_on(ReadyGraphsBackend(graphs), graphs, name, space_id)


def _notes(checkpoint: Checkpoint, precision: Precision, parity: Parity, measured: ParitySet, failed: int) -> list[str]:
    notes = []
    if not measured.photographs:
        notes.append(
            "made-up pictures show whether something is broken, and say little of how near the vectors of photographs"
            " are; --photos FOLDER measures that"
        )
    elif parity.recall_at_10 is None and parity.texts is not None:
        notes.append("recall@10 needs more than ten photographs")
    if failed:
        notes.append(f"{failed:,} of {measured.count:,} photographs could not be read and were left out")
    if parity.texts is None:
        notes.append("the model came without a tokenizer, so its texts were not compared")
    if precision == "bf16":
        notes.append("matrices are stored as bfloat16; ONNX Runtime computes with them in fp32 on a processor")
    if precision == "int8" and isinstance(checkpoint.config.vision, ResNetConfig):
        notes.append("the image tower's convolutions stay in fp32; only its linear layers are int8")
    return notes
