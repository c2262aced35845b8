"""What a run says of itself while it runs: a CSV file, TensorBoard, and a value for whoever draws a bar."""

from __future__ import annotations

import csv
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from clipwright.atomic import replacing
from clipwright.errors import MissingExtraError

METRICS_FILE = "metrics.csv"
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class StepReport:
    """How a run stands after a step."""

    step: int
    """Steps done."""
    steps: int
    loss: float
    scale: float
    gradient_norm: float
    learning_rate: float
    samples_per_second: float
    waited: float
    """Share of the time since the last report that the step waited for its batch."""
    seconds_left: float
    broken: int
    """Samples so far that could not be read."""
    precision: str
    """In which the step computes: "bf16" or "fp32"."""
    bias: float | None = None
    """What is added to scaled similarities, with scores of the kind "sigmoid"."""


class MetricsLog:
    """Writes every value to metrics.csv (step, name, value) and to TensorBoard.

    Opened for a run that goes on at a step, it drops what an interrupted sitting wrote beyond it.
    """

    def __init__(self, folder: Path, step: int) -> None:
        try:
            from torch.utils.tensorboard.writer import SummaryWriter
        except ImportError as error:
            raise MissingExtraError("training", "train") from error
        path = folder / METRICS_FILE
        kept = [row for row in read_metrics(path) if int(row[0]) <= step] if step else []
        with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([["step", "name", "value"], *kept])
        self._file = path.open("a", newline="", encoding="utf-8")
        self._csv = csv.writer(self._file)
        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1 if step else 0)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        self._csv.writerows([[step, name, f"{value:.6g}"] for name, value in values.items()])
        self._file.flush()
        for name, value in values.items():
            self._board.add_scalar(name, value, step)

    def __enter__(self) -> MetricsLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self._board.close()


def read_metrics(path: Path) -> list[list[str]]:
    """The rows of a metrics file; a last line that was cut off by a kill is left out."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [row for row in csv.reader(file) if len(row) == 3 and row[0].isdigit() and row[2]]
