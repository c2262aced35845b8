"""A run makes a model, survives whatever stops it, and says what was broken."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import filelock
import numpy as np
import pytest

from clipwright.checkpoints.model_file import load_model
from clipwright.embedding.load import load_embedder
from clipwright.errors import CheckpointError, DatasetError, InterruptedRunError, RecipeError
from clipwright.training.recipe import read_recipe
from clipwright.training.report import StepReport
from clipwright.training.run import RunObserver, train
from tests.training.data import COLOURS, jpeg, label_source, recipe_text, write_labels, write_tar

COMMAND = [str(Path(sys.executable).with_name("clipwright")), "train"]


def written_recipe(folder: Path, source: str | None = None, **training: object) -> Path:
    if not (folder / "labels.parquet").exists():
        write_labels(folder / "labels.parquet", 48)
    path = folder / "recipe.toml"
    path.write_text(recipe_text(source or label_source(folder / "labels.parquet"), **training))
    return path


def run(recipe: Path, out: Path, observer: RunObserver | None = None, *overrides: str) -> Path:
    return train(read_recipe(recipe, overrides), recipe.parent, out, observer=observer)


def stop_after(step: int) -> RunObserver:
    """Stops a run after so many steps of this sitting."""
    asked = iter(range(1, 10_000))
    return RunObserver(should_stop=lambda: next(asked) >= step)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model of a run that nothing stopped; its folder is only read."""
    folder = tmp_path_factory.mktemp("finished")
    return run(written_recipe(folder), folder / "out")


def test_a_run_learns_to_tell_colours(tmp_path: Path) -> None:
    recipe = written_recipe(tmp_path, steps=60, learning_rate=3e-3, checkpoint_every=60)
    losses: list[float] = []
    observer = RunObserver(on_report=lambda report: losses.append(report.loss))
    embedder = load_embedder(run(recipe, tmp_path / "out", observer))
    assert losses[-1] < losses[0]
    images = embedder.embed_images([jpeg(colour, 999) for colour in COLOURS.values()])
    texts = embedder.embed_texts([f"a photo of a {name}." for name in COLOURS])
    assert (images @ texts.T).argmax(axis=1).tolist() == [0, 1, 2, 3]


def test_the_model_file_tells_where_it_comes_from(finished: Path) -> None:
    checkpoint = load_model(finished)
    assert checkpoint.provenance["name"] == "tiny"
    assert checkpoint.provenance["samples"] == 64
    assert checkpoint.provenance["recipe"]["training"]["steps"] == 8
    assert checkpoint.weights["logit_scale"].shape == ()


def test_metrics_are_written_for_every_report(finished: Path) -> None:
    with (finished.parent / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows if row["name"] == "loss"] == [2, 4, 6, 8]
    assert list((finished.parent / "tensorboard").iterdir())


def test_evaluators_are_asked_every_so_often(tmp_path: Path) -> None:
    recipe = read_recipe(written_recipe(tmp_path, evaluate_every=3))
    seen: list[int] = []
    observer = RunObserver(on_evaluation=lambda step, values: seen.append(step))
    train(recipe, tmp_path, tmp_path / "out", [lambda trainee: [("mode", float(trainee.model.training))]], observer)
    assert seen == [3, 6, 8]
    with (tmp_path / "out" / "metrics.csv").open() as file:
        assert {row["value"] for row in csv.DictReader(file) if row["name"] == "mode"} == {"0"}


def test_two_runs_do_not_share_a_folder(tmp_path: Path) -> None:
    recipe = written_recipe(tmp_path, steps=2)
    (tmp_path / "out").mkdir()
    with filelock.FileLock(tmp_path / "out" / ".lock"), pytest.raises(RecipeError, match="another run is at work"):
        run(recipe, tmp_path / "out")
    run(recipe, tmp_path / "out")


@pytest.mark.parametrize("stop", [1, 3, 4, 7])
def test_a_stopped_run_ends_with_the_same_bits(tmp_path: Path, stop: int, finished: Path) -> None:
    recipe = written_recipe(tmp_path)
    with pytest.raises(InterruptedRunError, match=f"after step {stop}"):
        run(recipe, tmp_path / "parts", stop_after(stop))
    resumed = run(recipe, tmp_path / "parts", None, "training.workers=5")
    assert without_provenance(resumed) == without_provenance(finished)
    assert metrics(tmp_path / "parts", "loss") == metrics(finished.parent, "loss")


def without_provenance(path: Path) -> dict[str, bytes]:
    """Every tensor of a model file, to the bit; the time that training took is not part of it."""
    checkpoint = load_model(path)
    weights = {name: np.asarray(array).tobytes() for name, array in checkpoint.weights.items()}
    return weights | {"": str(checkpoint.tokenizer).encode()}


def metrics(folder: Path, name: str) -> list[tuple[str, str]]:
    with (folder / "metrics.csv").open() as file:
        return [(row["step"], row["value"]) for row in csv.DictReader(file) if row["name"] == name]


def measuring(monkeypatch: pytest.MonkeyPatch, **seconds: float) -> None:
    """Has the next run find that steps take so long."""
    monkeypatch.setattr("clipwright.training.run.measure_precisions", lambda *_: seconds)


@pytest.mark.parametrize(("bf16", "chosen"), [(0.5, "bf16"), (1.5, "fp32")])
def test_the_faster_precision_is_taken_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bf16: float, chosen: str
) -> None:
    measuring(monkeypatch, bf16=bf16, fp32=1.0)
    recipe = written_recipe(tmp_path, precision="auto", checkpoint_every=8)
    reports: list[StepReport] = []
    path = run(recipe, tmp_path / "out", RunObserver(on_report=reports.append))
    assert {report.precision for report in reports} == {chosen}
    assert load_model(path).provenance["precision"] == chosen
    assert metrics(tmp_path / "out", "seconds in bf16") == [("0", str(bf16))]
    explicit = run(recipe, tmp_path / "explicit", None, f"training.precision={chosen}")
    assert without_provenance(path) == without_provenance(explicit)


@pytest.mark.parametrize("begun_in", ["bf16", "fp32"])
def test_a_run_that_moves_to_another_processor_stays_in_its_precision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begun_in: str
) -> None:
    recipe = written_recipe(tmp_path, precision="auto")
    whole = run(recipe, tmp_path / "whole", None, f"training.precision={begun_in}")
    measuring(monkeypatch, bf16=0.5 if begun_in == "bf16" else 2.0, fp32=1.0)
    with pytest.raises(InterruptedRunError):
        run(recipe, tmp_path / "parts", stop_after(3))
    monkeypatch.setattr("clipwright.training.run.measure_precisions", None)
    assert without_provenance(run(recipe, tmp_path / "parts")) == without_provenance(whole)
    assert metrics(tmp_path / "parts", "seconds in bf16")


def test_a_run_that_begins_again_tells_what_was_measured_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measuring(monkeypatch, bf16=2.0, fp32=1.0)
    recipe = written_recipe(tmp_path, precision="auto", steps=2)
    for _ in range(2):
        run(recipe, tmp_path / "out")
        (tmp_path / "out" / "state.pt").unlink()
    assert len(metrics(tmp_path / "out", "seconds in bf16")) == 1


def test_what_auto_chose_may_be_named_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measuring(monkeypatch, bf16=2.0, fp32=1.0)
    recipe = written_recipe(tmp_path, precision="auto")
    with pytest.raises(InterruptedRunError):
        run(recipe, tmp_path / "out", stop_after(1))
    with pytest.raises(RecipeError, match="another recipe"):
        run(recipe, tmp_path / "out", None, "training.precision=bf16")
    run(recipe, tmp_path / "out", None, "training.precision=fp32")


def test_a_model_is_kept_of_a_run_that_is_not_done_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recipe = written_recipe(tmp_path, steps=2000)
    with pytest.raises(InterruptedRunError):
        run(recipe, tmp_path / "out", stop_after(5))
    kept = load_model(tmp_path / "out" / "unfinished.safetensors")
    assert kept.provenance["unfinished"] == "step 5 of 2,000"
    assert load_embedder(tmp_path / "out").space_id == kept.space_id()
    assert "out is in the middle of its training: step 5 of 2,000" in caplog.text


def test_the_finished_model_takes_the_place_of_the_unfinished_one(tmp_path: Path) -> None:
    recipe = written_recipe(tmp_path)
    with pytest.raises(InterruptedRunError):
        run(recipe, tmp_path / "out", stop_after(5))
    provenance = load_model(run(recipe, tmp_path / "out")).provenance
    assert "unfinished" not in provenance
    assert not (tmp_path / "out" / "unfinished.safetensors").exists()


def test_a_run_that_is_done_is_not_trained_again(tmp_path: Path) -> None:
    recipe = written_recipe(tmp_path, steps=2)
    first = without_provenance(run(recipe, tmp_path / "out"))
    reports: list[StepReport] = []
    assert without_provenance(run(recipe, tmp_path / "out", RunObserver(on_report=reports.append))) == first
    assert not reports


def test_another_recipe_does_not_go_on_with_this_run(tmp_path: Path) -> None:
    recipe = written_recipe(tmp_path, steps=2)
    run(recipe, tmp_path / "out")
    with pytest.raises(RecipeError, match="another recipe"):
        run(recipe, tmp_path / "out", None, "training.learning_rate=0.5")


def test_a_damaged_state_is_refused_with_the_fix(tmp_path: Path) -> None:
    recipe = written_recipe(tmp_path)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "state.pt").write_bytes(b"half a file")
    with pytest.raises(CheckpointError, match="delete it to start again"):
        run(recipe, tmp_path / "out")


def test_one_broken_sample_in_many_is_skipped_and_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_labels(tmp_path / "labels.parquet", 160, broken=(7,))
    reports: list[StepReport] = []
    recipe = written_recipe(tmp_path, steps=20, checkpoint_every=20)
    run(recipe, tmp_path / "out", RunObserver(on_report=reports.append))
    assert reports[-1].broken == 1
    assert "skipped labels.parquet row 7: the file ends before the picture does" in caplog.text


def test_more_than_one_broken_in_a_hundred_stops_the_run_with_the_list(tmp_path: Path) -> None:
    write_labels(tmp_path / "labels.parquet", 48, broken=(1, 9, 20))
    with pytest.raises(DatasetError, match=r"broken.*training\.max_broken allows 1\.0%.*labels\.parquet row"):
        run(written_recipe(tmp_path), tmp_path / "out")


def written_tar(folder: Path, count: int, broken: int) -> Path:
    """A recipe of a tar in which some texts are in another encoding."""
    samples: dict[str, bytes] = {}
    for number in range(count):
        text = f"a square, no. {number}: café"
        samples[f"{number}.jpg"] = jpeg(COLOURS["red"], number)
        samples[f"{number}.txt"] = text.encode("latin-1" if number < broken else "utf-8")
    write_tar(folder / "pairs.tar", samples)
    return written_recipe(folder, '[[sources]]\nkind = "webdataset"\npath = "pairs.tar"\nweight = 1.0\n', steps=2)


def test_a_text_in_another_encoding_is_skipped_and_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run(written_tar(tmp_path, 16, broken=1), tmp_path / "out")
    assert "skipped the text of pairs.tar/0.jpg: line 1 is not UTF-8: 0xe9" in caplog.text


def test_many_texts_in_another_encoding_stop_the_run_with_the_list(tmp_path: Path) -> None:
    recipe = written_tar(tmp_path, 16, broken=2)
    with pytest.raises(DatasetError, match=r"2 of 16 samples are broken .*pairs\.tar/0\.jpg.*pairs\.tar/1\.jpg"):
        run(recipe, tmp_path / "out")
    assert run(recipe, tmp_path / "out", None, "training.max_broken=0.2").exists()


def test_a_run_stopped_for_broken_samples_goes_on_where_more_are_allowed(tmp_path: Path) -> None:
    write_labels(tmp_path / "labels.parquet", 48, broken=(1, 9, 20))
    recipe = written_recipe(tmp_path)
    with pytest.raises(DatasetError):
        run(recipe, tmp_path / "out")
    assert run(recipe, tmp_path / "out", None, "training.max_broken=0.5").exists()


def test_a_run_that_diverges_says_what_to_lower(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"diverged.*lower training\.learning_rate"):
        run(
            written_recipe(tmp_path, steps=60, warmup_steps=0, learning_rate=1e30, gradient_clip=1e30), tmp_path / "out"
        )


def start(recipe: Path, out: Path, *more: str) -> subprocess.Popen[str]:
    command = [*COMMAND, str(recipe), "--out", str(out), *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    while not condition() and process.poll() is None:
        time.sleep(0.01)


def steps_logged(out: Path) -> int:
    try:
        return max((int(line.split(",")[0]) for line in (out / "metrics.csv").read_text().splitlines()[1:]), default=0)
    except (OSError, ValueError):
        return 0


@pytest.mark.slow
def test_a_run_killed_again_and_again_ends_with_the_same_bits(tmp_path: Path) -> None:
    """SIGKILL at four random moments, another number of workers each time."""
    recipe = written_recipe(tmp_path, steps=60, checkpoint_every=5, log_every=1)
    whole = run(recipe, tmp_path / "whole")
    out = tmp_path / "killed"
    random = np.random.default_rng(0)
    for sitting in range(4):
        process = start(recipe, out, "--set", f"training.workers={1 + sitting}")
        target = steps_logged(out) + int(random.integers(1, 14))
        wait_until(lambda target=target: steps_logged(out) >= target, process)  # type: ignore[misc]
        time.sleep(float(random.random()) * 0.05)
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL, "the run was over before it was killed"
    process = start(recipe, out)
    process.communicate()
    assert process.returncode == 0
    assert without_provenance(out / "model.safetensors") == without_provenance(whole)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_asked_to_stop_saves_its_state_and_exits_with_130(tmp_path: Path, number: signal.Signals) -> None:
    recipe = written_recipe(tmp_path, steps=5000, checkpoint_every=5000, log_every=1)
    process = start(recipe, tmp_path / "out")
    wait_until(lambda: steps_logged(tmp_path / "out") >= 3, process)
    process.send_signal(number)
    _, errors = process.communicate()
    assert process.returncode == 130
    assert "interrupted: stopped after step" in errors
    assert (tmp_path / "out" / "state.pt").exists()


@pytest.mark.slow
def test_a_full_disk_leaves_the_checkpoint_before_whole(tmp_path: Path) -> None:
    """The second sitting may write no file beyond 100 kB: what a full disk does to a larger checkpoint."""
    recipe = written_recipe(tmp_path, steps=40)
    with pytest.raises(InterruptedRunError):
        run(recipe, tmp_path / "out", stop_after(4))
    before = (tmp_path / "out" / "state.pt").read_bytes()
    limited = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000));"
        "from clipwright.cli import main; main()"
    )
    arguments = [sys.executable, "-c", limited, "train", str(recipe), "--out", str(tmp_path / "out")]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, env=dict(os.environ))
    assert done.returncode == 3
    assert "error: File too large" in done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "out" / "state.pt").read_bytes() == before
    assert not list((tmp_path / "out").glob(".*tmp"))
    whole = run(recipe, tmp_path / "whole")
    assert without_provenance(run(recipe, tmp_path / "out")) == without_provenance(whole)
