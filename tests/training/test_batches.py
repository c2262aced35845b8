"""A batch depends on seed and step alone: not on workers, not on what came before, not on broken neighbours."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from clipwright.errors import DatasetError
from clipwright.inputs.input_spec import InputSpec
from clipwright.inputs.tokenizer import Tokenizer, end_ids, train_tokenizer
from clipwright.training.batches import Batch, BatchMaker
from clipwright.training.plan import Plan
from clipwright.training.recipe import AugmentRecipe, SourceRecipe
from clipwright.training.sources import open_source
from tests.training.data import COLOURS, pictures, write_captions, write_labels, write_tar

BATCH = 8


def maker(folder: Path, *paths: str) -> BatchMaker:
    kinds: dict[str, Literal["parquet", "webdataset"]] = {".parquet": "parquet", ".tar": "webdataset"}
    recipes = [
        SourceRecipe(kind=kinds[Path(path).suffix], path=path, weight=1.0, templates=("a {}.", "{}")) for path in paths
    ]
    sources = [open_source(recipe, folder) for recipe in recipes]
    document = train_tokenizer(COLOURS, 540)
    start, end = end_ids(document)
    spec = InputSpec(image_size=32, context_length=12, start_id=start, end_id=end, pad_id=0)
    plan = Plan(sources, BATCH, seed=7)
    return BatchMaker(sources, plan, AugmentRecipe(colour=0.2), Tokenizer(document, spec))


def same(a: Batch, b: Batch) -> bool:
    names = ("squares", "colour_factors", "tokens", "ends", "matches")
    return a.broken == b.broken and all(np.array_equal(getattr(a, name), getattr(b, name)) for name in names)


def test_any_number_of_workers_gives_the_same_batches(tmp_path: Path) -> None:
    write_labels(tmp_path / "labels.parquet", 40, broken=(3, 17))
    write_captions(tmp_path / "captions.parquet", 20)
    batches = maker(tmp_path, "labels.parquet", "captions.parquet")
    one, five = (list(batches.stream([32] * 6, 0, workers)) for workers in (1, 5))
    assert len(one) == 6
    assert all(map(same, one, five))


def test_a_stream_that_begins_later_gives_the_same_steps(tmp_path: Path) -> None:
    write_labels(tmp_path / "labels.parquet", 40)
    batches = maker(tmp_path, "labels.parquet")
    whole = list(batches.stream([32] * 6, 0, 2))
    assert all(map(same, whole[4:], batches.stream([32] * 6, 4, 2)))


def test_pictures_come_at_the_size_of_their_step(tmp_path: Path) -> None:
    write_labels(tmp_path / "labels.parquet", 16)
    shapes = [batch.squares.shape for batch in maker(tmp_path, "labels.parquet").stream([32, 32, 64], 0, 2)]
    assert shapes == [(8, 32, 32, 3), (8, 32, 32, 3), (8, 64, 64, 3)]


def test_a_broken_sample_is_named_and_another_stands_in(tmp_path: Path) -> None:
    write_labels(tmp_path / "labels.parquet", 8, broken=(5,))
    (batch,) = maker(tmp_path, "labels.parquet").stream([32], 0, 2)
    assert batch.squares.shape[0] == BATCH
    assert [reason.split(":")[0] for reason in batch.broken] == ["labels.parquet row 5"]


def test_a_broken_picture_in_a_tar_is_named_and_another_stands_in(tmp_path: Path) -> None:
    samples: dict[str, bytes] = {}
    for i, data in enumerate(pictures(BATCH)[0]):
        samples |= {f"{i}.jpg": data[:200] if i == 3 else data, f"{i}.txt": b"a square"}
    write_tar(tmp_path / "a.tar", samples)
    (batch,) = maker(tmp_path, "a.tar").stream([32], 0, 2)
    assert batch.squares.shape[0] == BATCH
    assert batch.broken == ("a.tar/3.jpg: the file ends before the picture does",)


def test_a_broken_sample_changes_no_other_place_of_the_batch(tmp_path: Path) -> None:
    write_labels(tmp_path / "labels.parquet", 8)
    (whole,) = maker(tmp_path, "labels.parquet").stream([32], 0, 1)
    write_labels(tmp_path / "labels.parquet", 8, broken=(5,))
    (broken,) = maker(tmp_path, "labels.parquet").stream([32], 0, 1)
    changed = [i for i in range(BATCH) if not np.array_equal(whole.squares[i], broken.squares[i])]
    assert len(changed) == 1


def test_data_that_are_all_broken_end_the_run_by_name(tmp_path: Path) -> None:
    write_labels(tmp_path / "labels.parquet", 8, broken=tuple(range(8)))
    with pytest.raises(DatasetError, match=r"20 broken samples in a row.*labels\.parquet row"):
        list(maker(tmp_path, "labels.parquet").stream([32], 0, 2))


def test_captions_of_labels_are_true_of_every_picture_of_their_class(tmp_path: Path) -> None:
    write_labels(tmp_path / "labels.parquet", 8)
    (batch,) = maker(tmp_path, "labels.parquet").stream([32], 0, 2)
    assert batch.matches.sum(axis=1).tolist() == [2] * BATCH  # 8 pictures of 4 colours
    assert np.array_equal(batch.matches, batch.matches.T)


def test_captions_of_their_own_are_true_of_their_picture_alone(tmp_path: Path) -> None:
    write_captions(tmp_path / "captions.parquet", 8)
    (batch,) = maker(tmp_path, "captions.parquet").stream([32], 0, 2)
    assert np.array_equal(batch.matches, np.eye(BATCH, dtype=bool))


def test_a_stream_that_is_closed_early_leaves_no_thread_behind(tmp_path: Path) -> None:
    import threading

    write_labels(tmp_path / "labels.parquet", 8)
    stream = maker(tmp_path, "labels.parquet").stream([32] * 50, 0, 3)
    next(stream)
    stream.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("decode")]
