"""A training run: where recipe, data, model, optimizer and the files of a run meet."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import filelock
import torch

from clipwright.atomic import remove_leftovers
from clipwright.checkpoints.checkpoint import Checkpoint, canonical_json
from clipwright.checkpoints.model_file import MODEL_FILE, UNFINISHED, UNFINISHED_FILE, save_model
from clipwright.errors import DatasetError, InterruptedRunError, RecipeError
from clipwright.inputs.tokenizer import Tokenizer
from clipwright.model.dual_encoder import DualEncoder
from clipwright.model.weights import build_model, weights_of
from clipwright.training.batches import Batch, BatchMaker
from clipwright.training.beginning import input_spec, learn_tokenizer, read_start
from clipwright.training.optimizer import build_optimizer, learning_rate
from clipwright.training.plan import Plan
from clipwright.training.precision import Precision, faster, measure_precisions, to_training_memory
from clipwright.training.recipe import Recipe, TrainingRecipe, recipe_table
from clipwright.training.report import MetricsLog, StepReport
from clipwright.training.sources import Source, open_source
from clipwright.training.state import (
    Progress,
    check_recipe,
    read_state,
    recorded_recipe,
    recorded_spec,
    restore_state,
    save_state,
)
from clipwright.training.step import StepResult, to_device, train_step

_FREE_KEYS = ("workers", "threads", "device", "max_broken", "log_every", "checkpoint_every", "evaluate_every")
"""What a resumed run may change: it decides how the run is carried out, not what it makes."""
_KEPT_REASONS = 20
"""So many broken samples are listed when there are too many."""
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trainee:
    """The model in training, for whoever measures it: the module lives on, so measure before going on."""

    model: DualEncoder
    tokenizer: Tokenizer


Evaluator = Callable[[Trainee], Iterable[tuple[str, float]]]


@dataclass(frozen=True)
class RunObserver:
    """Who watches a run."""

    on_report: Callable[[StepReport], None] = lambda report: None
    """Called every log_every steps."""
    on_evaluation: Callable[[int, Mapping[str, float]], None] = lambda step, values: None
    """Called with the step and what was measured after it."""
    should_stop: Callable[[], bool] = lambda: False
    """Asked after every step; True saves the state and ends the run."""


def train(
    recipe: Recipe,
    recipe_folder: Path,
    out: Path,
    evaluators: Sequence[Evaluator] = (),
    observer: RunObserver | None = None,
) -> Path:
    """Trains what the recipe says into the folder out, going on where an earlier run there was stopped.

    Gives the path of the model file. Raises InterruptedRunError, with all state saved, where the observer stops it;
    RecipeError and DatasetError where recipe and data do not fit, or too many samples are broken.
    """
    observer = observer or RunObserver()
    out.mkdir(parents=True, exist_ok=True)
    with _alone_in(out):
        remove_leftovers(out)
        return _train(recipe, recipe_folder, out, evaluators, observer)


@contextlib.contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Raises RecipeError where another process trains in this folder. The lock ends with its process."""
    try:
        with filelock.FileLock(folder / ".lock", timeout=0):
            yield
    except filelock.Timeout as error:
        raise RecipeError(f"another run is at work in {str(folder)!r}; give --out another folder") from error


def _train(
    recipe: Recipe, recipe_folder: Path, out: Path, evaluators: Sequence[Evaluator], observer: RunObserver
) -> Path:
    run = _open_run(recipe, recipe_folder, out)
    settings, model, progress = run.settings, run.trainee.model, run.progress
    sizes = [_image_size(step, recipe) for step in range(settings.steps)]
    stream = run.batches.stream(sizes, progress.step, settings.workers)
    with contextlib.closing(stream), MetricsLog(out, progress.step) as log:
        if progress.step == 0:
            log.write(0, {f"seconds in {precision}": seconds for precision, seconds in run.measured.items()})
        clock = _Clock(settings, progress)
        for batch in clock.time_waits(stream):
            model.train()
            rate = learning_rate(progress.step, settings)
            result = train_step(
                model, run.optimizer, to_device(batch, run.device, run.trainee.tokenizer.spec), rate, settings
            )
            progress.step += 1
            _count_broken(batch, settings, run)
            last = progress.step == settings.steps
            if progress.step % settings.log_every == 0 or last:
                report = clock.report(result, rate)
                log.write(progress.step, _values(report))
                observer.on_report(report)
            if progress.step % settings.evaluate_every == 0 or last:
                with clock.paused():
                    model.eval()
                    values = {name: value for measure in evaluators for name, value in measure(run.trainee)}
                log.write(progress.step, values)
                if values:
                    observer.on_evaluation(progress.step, values)
            stopping = observer.should_stop() and not last
            if progress.step % settings.checkpoint_every == 0 or last or stopping:
                run.save()
            if stopping:
                raise InterruptedRunError(f"stopped after step {progress.step}; the same command goes on from there")
    return run.finish()


@dataclass(frozen=True)
class _Run:
    """A run as it stands, new or gone on with."""

    folder: Path
    recipe: Recipe
    """As it was written."""
    settings: TrainingRecipe
    """Its training, with the precision that was chosen."""
    measured: Mapping[Precision, float]
    """Seconds of a step in each precision, where that was measured in this sitting."""
    device: torch.device
    trainee: Trainee
    optimizer: torch.optim.Optimizer
    batches: BatchMaker
    progress: Progress
    started_from: Mapping[str, Any] | None
    """Provenance of the model that the run began with, where the recipe names one."""
    identity: str

    def save(self) -> None:
        """What resuming needs, and while the run is not done, the model as it is."""
        save_state(
            self.folder, self.trainee.model, self.optimizer, self.progress, self.identity, self.trainee.tokenizer
        )
        step, steps = self.progress.step, self.settings.steps
        if step < steps:
            self._save_model(UNFINISHED_FILE, {UNFINISHED: f"step {step:,} of {steps:,}", "step": step})

    def finish(self) -> Path:
        """The path of the model."""
        path = self._save_model(MODEL_FILE, {})
        (self.folder / UNFINISHED_FILE).unlink(missing_ok=True)
        return path

    def _save_model(self, name: str, standing: dict[str, Any]) -> Path:
        model = self.recipe.model
        provenance: dict[str, Any] = {
            "name": model.name,
            **standing,
            "licence": model.licence,
            "data": list(model.data),
            "recipe": recipe_table(self.recipe),
            "precision": self.settings.precision,
            "samples": self.progress.step * self.settings.batch_size,
            "training_seconds": round(self.progress.seconds),
            "torch": torch.__version__,
        }
        if self.started_from is not None:
            provenance["started_from"] = self.started_from
        checkpoint = Checkpoint(
            config=self.recipe.config,
            spec=self.trainee.tokenizer.spec,
            tokenizer=self.trainee.tokenizer.document,
            weights=weights_of(self.trainee.model),
            provenance=provenance,
        )
        save_model(self.folder / name, checkpoint)
        return self.folder / name


def _open_run(recipe: Recipe, recipe_folder: Path, out: Path) -> _Run:
    device = _choose_device(recipe.training)
    sources = [open_source(source, recipe_folder) for source in recipe.sources]
    _check_texts(sources, recipe.training)
    start = read_start(recipe, recipe_folder)
    state = read_state(out)
    if state is not None:
        document = state["tokenizer"]
    elif start is not None:
        document = start.tokenizer
    else:
        document = learn_tokenizer(recipe, sources)
    spec = input_spec(recipe.config, document, start)
    settings, measured = _with_precision(recipe, state, device)
    identity = _identity(replace(recipe, training=settings))
    if state is not None:
        check_recipe(state, identity, out)
        spec = recorded_spec(state, spec, recipe.config, out)

    torch.manual_seed(settings.seed)
    model = DualEncoder(recipe.config) if start is None else build_model(start.config, start.weights)
    model = to_training_memory(model, device)
    optimizer = build_optimizer(model, settings)
    progress = Progress() if state is None else restore_state(state, model, optimizer)

    tokenizer = Tokenizer(document, spec, recipe.config.text.vocab_size)
    plan = Plan(sources, settings.batch_size, settings.seed)
    batches = BatchMaker(sources, plan, recipe.augment, tokenizer)
    return _Run(
        folder=out,
        recipe=recipe,
        settings=settings,
        measured=measured,
        device=device,
        trainee=Trainee(model, tokenizer),
        optimizer=optimizer,
        batches=batches,
        progress=progress,
        started_from=None if start is None else {"space_id": start.space_id(), **start.provenance},
        identity=identity,
    )


def _with_precision(
    recipe: Recipe, state: dict[str, Any] | None, device: torch.device
) -> tuple[TrainingRecipe, Mapping[Precision, float]]:
    """The recipe's training with "auto" made what the run was begun in, or what is faster; and what was measured."""
    settings, measured = recipe.training, dict[Precision, float]()
    if settings.precision != "auto":
        return settings, measured
    if state is not None:
        chosen = recorded_recipe(state)["training"]["precision"]
    else:
        measured = measure_precisions(recipe.config, settings, device)
        chosen = faster(measured)
    return replace(settings, precision=chosen), measured


class _Clock:
    """Speed of a run: samples a second, time left, and how much of it was spent waiting for batches."""

    def __init__(self, settings: TrainingRecipe, progress: Progress) -> None:
        self._settings = settings
        self._progress = progress
        self._begun = time.perf_counter()
        self._waited = 0.0
        self._step = progress.step

    def time_waits(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        while True:
            asked = time.perf_counter()
            batch = next(batches, None)
            self._waited += time.perf_counter() - asked
            if batch is None:
                return
            yield batch

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """What happens inside is not counted as training."""
        begun = time.perf_counter()
        yield
        self._begun += time.perf_counter() - begun

    def report(self, result: StepResult, rate: float) -> StepReport:
        """The report on the steps since the last one."""
        now, progress, steps = time.perf_counter(), self._progress, self._settings.steps
        seconds = now - self._begun
        speed = (progress.step - self._step) / seconds
        progress.seconds += seconds
        report = StepReport(
            step=progress.step,
            steps=steps,
            loss=result.loss,
            scale=result.scale,
            gradient_norm=result.gradient_norm,
            learning_rate=rate,
            samples_per_second=speed * self._settings.batch_size,
            waited=self._waited / seconds,
            precision=self._settings.precision,
            bias=result.bias,
            seconds_left=(steps - progress.step) / speed,
            broken=progress.broken,
        )
        self._begun, self._waited, self._step = now, 0.0, progress.step
        return report


def _values(report: StepReport) -> dict[str, float]:
    names = ("loss", "scale", "bias", "gradient_norm", "learning_rate", "samples_per_second", "waited", "broken")
    values = {name: getattr(report, name) for name in names}
    return {name: float(value) for name, value in values.items() if value is not None}


def _choose_device(settings: TrainingRecipe) -> torch.device:
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    found = "cuda" if torch.cuda.is_available() else "cpu"
    if settings.device == "cuda" and found != "cuda":
        raise RecipeError("training.device is 'cuda', but torch finds no CUDA here; take 'auto' or 'cpu'")
    return torch.device(found if settings.device == "auto" else settings.device)


def _image_size(step: int, recipe: Recipe) -> int:
    size = recipe.config.vision.image_size
    for change in recipe.training.image_sizes:
        if step >= change.start * recipe.training.steps:
            size = change.image_size
    return size


def _identity(recipe: Recipe) -> str:
    """What must be the same for a run to be gone on with."""
    table: dict[str, Any] = recipe_table(recipe)
    for key in _FREE_KEYS:
        table["training"].pop(key, None)
    del table["model"]
    table.pop("evaluations", None)
    return canonical_json(table).decode()


def _check_texts(sources: Sequence[Source], settings: TrainingRecipe) -> None:
    """Logs samples whose text cannot be read, and raises DatasetError where they are too large a share."""
    broken = [reason for source in sources for reason in source.broken]
    _check_share(broken, len(broken), len(broken) + sum(map(len, sources)), settings)
    for reason in broken:
        logger.warning("skipped %s", reason)


def _count_broken(batch: Batch, settings: TrainingRecipe, run: _Run) -> None:
    """Logs samples that could not be read, and stops the run where they are too large a share."""
    progress = run.progress
    progress.samples_read += settings.batch_size + len(batch.broken)
    progress.broken += len(batch.broken)
    progress.broken_names += [reason for reason in batch.broken if len(progress.broken_names) < _KEPT_REASONS]
    for reason in batch.broken:
        logger.warning("skipped %s", reason)
    try:
        _check_share(progress.broken_names, progress.broken, progress.samples_read, settings)
    except DatasetError:
        run.save()
        raise


def _check_share(reasons: Sequence[str], broken: int, read: int, settings: TrainingRecipe) -> None:
    """Raises DatasetError where more samples are broken than training.max_broken allows; one alone is no share yet."""
    if broken > max(1, settings.max_broken * read):
        raise DatasetError(
            f"{broken} of {read} samples are broken ({broken / read:.1%}; training.max_broken allows"
            f" {settings.max_broken:.1%}): {'; '.join(reasons[:_KEPT_REASONS])}"
        )
