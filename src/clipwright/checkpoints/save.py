"""A checkpoint written in a layout of choice."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

from clipwright.checkpoints.checkpoint import Checkpoint, check_finite
from clipwright.checkpoints.families.huggingface_writer import write_huggingface
from clipwright.checkpoints.families.openclip_writer import write_openclip
from clipwright.checkpoints.model_file import MODEL_FILE, save_model

Layout = Literal["clipwright", "huggingface", "openclip"]
LAYOUTS: tuple[Layout, ...] = get_args(Layout)


def save_checkpoint(checkpoint: Checkpoint, folder: Path, layout: Layout = "clipwright") -> None:
    """Writes the model into the folder. clipwright's own file keeps matrices as float16, the others all as float32.

    Raises CheckpointError naming what the layout cannot hold, or a weight that is not finite, before anything is
    written.
    """
    check_finite(checkpoint.weights)
    if layout == "huggingface":
        write_huggingface(checkpoint, folder)
    elif layout == "openclip":
        write_openclip(checkpoint, folder)
    else:
        folder.mkdir(parents=True, exist_ok=True)
        save_model(folder / MODEL_FILE, checkpoint)
