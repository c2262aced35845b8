"""What is kept ready: whole or not at all, made anew when it is damaged, and never a reason to fail."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clipwright.checkpoints.checkpoint import Checkpoint
from clipwright.checkpoints.load import load_checkpoint
from clipwright.embedding.backends.onnx import OnnxBackend
from clipwright.embedding.cache import ModelCache, Shelf, code_key
from clipwright.errors import ClipwrightError
from tests.support import REFERENCE, tiny_checkpoint

DAY = 24 * 3600
PIXELS = np.random.default_rng(0).standard_normal((1, 3, 32, 32)).astype(np.float32)


@pytest.fixture
def cache(tmp_path: Path) -> ModelCache:
    return ModelCache(tmp_path / "cache")


def two_files(folder: Path) -> None:
    (folder / "graph").write_text("graph")
    (folder / "weights").write_bytes(bytes(1000))


def everything_below(cache: ModelCache) -> list[str]:
    return sorted(path.relative_to(cache.folder).as_posix() for path in cache.folder.rglob("*"))


def left_alone(path: Path, days: float) -> None:
    """As if nobody had touched it for so long."""
    then = time.time() - days * DAY
    os.utime(path, (then, then))


# Making


def test_an_entry_is_made_once(cache: ModelCache) -> None:
    made: list[Path] = []

    def make(folder: Path) -> None:
        made.append(folder)
        two_files(folder)

    for _ in range(3):
        folder = cache.open("space", "key", make)
        assert folder is not None
        assert (folder / "graph").read_text() == "graph"
    assert len(made) == 1
    (entry,) = cache.entries()
    assert (entry.space_id, entry.key, entry.size) == ("space", "key", 1005)


def test_an_entry_is_not_there_before_it_is_whole(cache: ModelCache) -> None:
    def make(folder: Path) -> None:
        two_files(folder)
        assert list(cache.entries()) == []
        assert not (cache.folder / "space" / "key").exists()

    assert cache.open("space", "key", make) is not None


@pytest.mark.parametrize("problem", [OSError(28, "No space left on device"), RuntimeError("the disk is\nfull")])
def test_where_an_entry_cannot_be_made_a_warning_says_so_and_nothing_is_left(
    cache: ModelCache, caplog: pytest.LogCaptureFixture, problem: Exception
) -> None:
    def make(folder: Path) -> None:
        (folder / "graph").write_text("half of")
        raise problem

    with caplog.at_level(logging.WARNING):
        assert cache.open("space", "key", make) is None
    assert everything_below(cache) == ["space"]
    (record,) = caplog.records
    assert "could not be kept ready" in record.getMessage()
    assert "\n" not in record.getMessage()


@pytest.mark.parametrize("problem", [KeyboardInterrupt(), ClipwrightError("the model has no tokenizer")])
def test_what_is_not_the_disks_fault_is_raised_and_nothing_is_left(cache: ModelCache, problem: BaseException) -> None:
    def make(folder: Path) -> None:
        (folder / "graph").write_text("half of")
        raise problem

    with pytest.raises(type(problem)):
        cache.open("space", "key", make)
    assert everything_below(cache) == ["space"]


def test_a_folder_that_cannot_be_written_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    with caplog.at_level(logging.WARNING):
        assert ModelCache(tmp_path / "file").open("space", "key", two_files) is None
    assert "could not be kept ready" in caplog.text


def test_two_processes_that_make_the_same_entry_at_once_both_get_it(cache: ModelCache) -> None:
    code = f"""
import sys
from pathlib import Path
from clipwright.embedding.cache import ModelCache

def make(folder):
    (folder / "graph").write_text("gra")
    print("making", flush=True)
    sys.stdin.readline()
    (folder / "graph").write_text("graph")

print((ModelCache(Path({str(cache.folder)!r})).open("space", "key", make) / "graph").read_text())
"""
    makers = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for maker in makers:
        assert maker.stdout is not None
        assert maker.stdout.readline() == "making\n"
    for maker in makers:
        assert maker.communicate("go on\n", timeout=60) == ("graph\n", "")
        assert maker.returncode == 0
    assert everything_below(cache) == ["space", "space/key", "space/key/graph"]


def test_what_a_killed_process_left_is_no_entry(cache: ModelCache) -> None:
    code = f"""
from pathlib import Path
from clipwright.embedding.cache import ModelCache

def make(folder):
    (folder / "graph").write_text("gra")
    print("making", flush=True)
    input()

ModelCache(Path({str(cache.folder)!r})).open("space", "key", make)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as maker:
        assert maker.stdout is not None
        assert maker.stdout.readline().strip() == b"making"
        maker.kill()
    assert list(cache.entries()) == []
    folder = cache.open("space", "key", two_files)
    assert folder is not None
    assert (folder / "graph").read_text() == "graph"
    assert len(list((cache.folder / "space").iterdir())) == 2
    (left,) = (cache.folder / "space").glob(".*")
    assert cache.prune(DAY) == []
    assert left.exists()  # it may be another's, at work
    left_alone(left, 2)
    assert cache.prune(DAY) == []
    assert [path.name for path in (cache.folder / "space").iterdir()] == ["key"]


# Reading


def test_a_damaged_entry_is_made_anew(cache: ModelCache, caplog: pytest.LogCaptureFixture) -> None:
    shelf = Shelf(cache, "space")

    def read(folder: Path) -> str:
        text = (folder / "graph").read_text()
        if text != "graph":
            raise RuntimeError("no such\ngraph")
        return text

    def opened() -> str | None:
        found = shelf.opened("key", two_files, read)
        return None if found is None else found.model

    assert opened() == "graph"
    (entry,) = cache.entries()
    (entry.path / "graph").write_text("gra")
    with caplog.at_level(logging.WARNING):
        assert opened() == "graph"
    assert [record.getMessage().count("\n") for record in caplog.records] == [0]
    assert (entry.path / "graph").read_text() == "graph"


def test_what_can_never_be_read_is_given_up(cache: ModelCache) -> None:
    def read(folder: Path) -> str:
        raise RuntimeError("an older runtime")

    assert Shelf(cache, "space").opened("key", two_files, read) is None
    assert list(cache.entries()) == []


@pytest.mark.parametrize("name", ["graph.onnx", "packed.bin"])
@pytest.mark.parametrize("damage", [lambda data: data[: len(data) // 2], lambda data: b""], ids=["cut", "emptied"])
def test_a_damaged_graph_is_made_anew_and_gives_the_same_vectors(
    cache: ModelCache, caplog: pytest.LogCaptureFixture, name: str, damage: Callable[[bytes], bytes]
) -> None:
    checkpoint = tiny_checkpoint()

    def features() -> np.ndarray:
        return OnnxBackend(checkpoint, None, "int8", Shelf(cache, "space")).image_features(PIXELS)

    made = features()
    (entry,) = cache.entries()
    whole = (entry.path / name).read_bytes()
    (entry.path / name).write_bytes(damage(whole))
    with caplog.at_level(logging.WARNING):
        assert np.array_equal(features(), made)
    assert "cannot be read" in caplog.text
    assert (entry.path / name).stat().st_size == len(whole)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on the size of files")
@pytest.mark.parametrize("limit", [10_000, 60_000])
def test_a_full_disk_is_a_warning_and_the_model_runs_all_the_same(
    cache: ModelCache, tiny_model: Path, limit: int
) -> None:
    """The lower limit stops the graph that is written here, the higher the one that the runtime writes."""
    code = f"""
import logging, resource
from pathlib import Path
import numpy as np
from clipwright.checkpoints.load import load_checkpoint
from clipwright.embedding.backends.onnx import OnnxBackend
from clipwright.embedding.cache import ModelCache, Shelf

logging.basicConfig(level=logging.WARNING)
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
checkpoint = load_checkpoint({str(tiny_model)!r})
shelf = Shelf(ModelCache(Path({str(cache.folder)!r})), "space")
print(OnnxBackend(checkpoint, None, "int8", shelf).image_features(np.ones((1, 3, 32, 32), np.float32)).shape)
"""
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment)
    assert (done.returncode, done.stdout) == (0, "(1, 16)\n"), done.stderr
    assert "could not be kept ready" in done.stderr
    assert everything_below(cache) == ["space"]


# Which space


@pytest.fixture
def model_file(tmp_path: Path, tiny_model: Path) -> Path:
    path = tmp_path / "model.safetensors"
    path.write_bytes(tiny_model.read_bytes())
    return path


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[Checkpoint]:
    """The checkpoints whose weights were hashed."""
    found: list[Checkpoint] = []
    space_id = Checkpoint.space_id

    def counted(self: Checkpoint) -> str:
        found.append(self)
        return space_id(self)

    monkeypatch.setattr(Checkpoint, "space_id", counted)
    return found


def test_a_space_id_is_remembered(cache: ModelCache, model_file: Path, hashed: list[Checkpoint]) -> None:
    expected = load_checkpoint(model_file).space_id()
    assert [cache.space_id(load_checkpoint(model_file)) for _ in range(3)] == [expected] * 3
    assert len(hashed) == 2
    assert list(cache.entries()) == []


def test_a_space_id_is_found_again_where_the_files_time_changes(
    cache: ModelCache, model_file: Path, hashed: list[Checkpoint]
) -> None:
    cache.space_id(load_checkpoint(model_file))
    left_alone(model_file, 1)
    cache.space_id(load_checkpoint(model_file))
    assert len(hashed) == 2


def test_a_space_id_is_found_again_where_the_files_size_changes(
    cache: ModelCache, tmp_path: Path, hashed: list[Checkpoint]
) -> None:
    file = tmp_path / "config.json"
    file.write_text("{}")
    os.utime(file, (1, 1))
    checkpoint = replace(tiny_checkpoint(), files=(file,))
    cache.space_id(checkpoint)
    file.write_text("{ }")
    os.utime(file, (1, 1))
    cache.space_id(checkpoint)
    cache.space_id(checkpoint)
    assert len(hashed) == 2


def test_other_code_finds_space_ids_and_makes_models_again(
    cache: ModelCache, model_file: Path, hashed: list[Checkpoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mistake that was mended must not live on in what is kept."""
    before = f"key-{code_key()}"
    for _ in range(2):
        cache.space_id(load_checkpoint(model_file))
        Shelf(cache, "space").opened("key", two_files, lambda folder: folder)
        monkeypatch.setattr("clipwright.embedding.cache.code_key", lambda: "89abcdef")
    assert len(hashed) == 2
    assert {entry.key for entry in cache.entries()} == {before, "key-89abcdef"}


def test_a_space_id_is_found_again_where_a_config_beside_the_weights_changes(cache: ModelCache, tmp_path: Path) -> None:
    folder = tmp_path / "hf-clip"
    shutil.copytree(REFERENCE / "hf-clip", folder)
    weights, config = folder / "model.safetensors", folder / "config.json"
    before = cache.space_id(load_checkpoint(weights))
    config.write_text(config.read_text().replace("quick_gelu", "gelu"))
    after = cache.space_id(load_checkpoint(weights))
    assert before != after
    assert after == load_checkpoint(weights).space_id()


def test_a_remembered_space_id_that_is_damaged_is_found_again(cache: ModelCache, model_file: Path) -> None:
    expected = cache.space_id(load_checkpoint(model_file))
    (path,) = (cache.folder / "space-ids").iterdir()
    for damaged in ("", "0123", "z" * 16):
        path.write_text(damaged)
        assert cache.space_id(load_checkpoint(model_file)) == expected
    assert path.read_text() == expected


def test_a_space_id_is_found_where_nothing_can_be_kept(tmp_path: Path, model_file: Path) -> None:
    (tmp_path / "file").touch()
    checkpoint = load_checkpoint(model_file)
    assert ModelCache(tmp_path / "file").space_id(checkpoint) == checkpoint.space_id()


# Pruning


def test_prune_removes_what_was_unused_for_so_long(cache: ModelCache) -> None:
    for key, days in (("old", 31.0), ("new", 29.0)):
        folder = cache.open("space", key, two_files)
        assert folder is not None
        left_alone(folder, days)
    assert [entry.key for entry in cache.prune(30 * DAY)] == ["old"]
    assert [entry.key for entry in cache.entries()] == ["new"]


def test_to_open_an_entry_is_to_use_it(cache: ModelCache) -> None:
    folder = cache.open("space", "key", two_files)
    assert folder is not None
    left_alone(folder, 31)
    cache.open("space", "key", two_files)
    assert cache.prune(30 * DAY) == []


def test_prune_of_no_days_removes_all_also_what_comes_from_a_wrong_clock(cache: ModelCache) -> None:
    for key in ("now", "later"):
        folder = cache.open("space", key, two_files)
        assert folder is not None
        left_alone(folder, -1 if key == "later" else 0)
    assert {entry.key for entry in cache.prune(0)} == {"now", "later"}
    assert everything_below(cache) == []


def test_prune_keeps_what_is_remembered_of_spaces(cache: ModelCache, model_file: Path) -> None:
    cache.space_id(load_checkpoint(model_file))
    assert cache.prune(0) == []
    assert len(everything_below(cache)) == 2


def test_a_cache_that_is_not_there_has_nothing(cache: ModelCache) -> None:
    assert list(cache.entries()) == []
    assert cache.prune(0) == []


def test_what_was_not_used_for_long_goes_when_something_is_made(tmp_path: Path) -> None:
    cache = ModelCache(tmp_path)
    for key in ("old", "young"):
        assert cache.open("space", key, lambda folder: (folder / "file").touch())
    long_ago = time.time() - 100 * 24 * 3600
    os.utime(tmp_path / "space" / "old", (long_ago, long_ago))
    assert cache.open("space", "new", lambda folder: (folder / "file").touch())
    assert {entry.key for entry in cache.entries()} == {"young", "new"}
