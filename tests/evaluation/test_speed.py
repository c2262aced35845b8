from __future__ import annotations

import dataclasses
import io

import numpy as np
import pytest
from PIL import Image

from clipwright.embedding import load
from clipwright.embedding.cache import cache_folder
from clipwright.errors import ClipwrightError, MissingExtraError
from clipwright.evaluation import matrix_peak, speed
from clipwright.evaluation.matrix_peak import contenders, fastest, processor_name
from clipwright.evaluation.sample_inputs import CAPTIONS, LARGE_SIZE, SMALL_SIZE, photograph
from clipwright.evaluation.speed import SpeedSettings, Variant, measure_speed, variants_here
from clipwright.evaluation.timing import Timed, take_turns
from clipwright.model.operations import image_multiply_adds
from tests.support import tiny_checkpoint

SHORT = SpeedSettings(batch_size=2, threads=1, rounds=2, seconds=0)


@pytest.fixture(autouse=True)
def small_machine(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Small products and photographs, and a cache of its own."""
    monkeypatch.setattr(matrix_peak, "PEAK_SIZE", 64)
    monkeypatch.setattr(speed, "LARGE_SIZE", (600, 400))
    monkeypatch.setenv("CLIPWRIGHT_HOME", str(tmp_path_factory.mktemp("home")))


@pytest.mark.parametrize("variant", [("onnx", "fp32"), ("openvino", "int8"), ("torch", "fp32")], ids="-".join)
def test_every_figure_of_a_row_is_positive(variant: Variant) -> None:
    report = measure_speed(tiny_checkpoint(), [variant], SHORT)
    (row,) = report.towers
    assert (row.backend, row.precision) == variant
    figures = {key: value for key, value in dataclasses.asdict(row).items() if isinstance(value, float)}
    assert all(value > 0 for value in figures.values())
    assert figures.keys() >= {"images_per_second", "texts_per_second", "image_peak_share", "text_peak_share"}
    assert (row.reopen_seconds is None) == (variant[0] == "torch")
    assert row.images_per_second >= row.images_per_second_median


def test_shares_are_of_the_peak_in_the_rows_own_precision() -> None:
    report = measure_speed(tiny_checkpoint(), [("onnx", "fp32"), ("onnx", "int8")], SHORT)
    peaks = {peak.precision: peak.operations_per_second for peak in report.peaks}
    assert list(peaks) == ["fp32", "int8"]
    assert report.image_multiply_adds == image_multiply_adds(tiny_checkpoint().config)
    for row in report.towers:
        share = 2 * report.image_multiply_adds * row.images_per_second / peaks[row.precision]
        assert row.image_peak_share == pytest.approx(share)


def test_photographs_are_prepared_in_both_sizes_and_ways() -> None:
    report = measure_speed(tiny_checkpoint(), [("onnx", "fp32")], SHORT)
    measured = {(row.width, row.height, row.pixels) for row in report.preparing}
    assert measured == {(*size, pixels) for size in ((600, 400), SMALL_SIZE) for pixels in ("exact", "fast")}
    assert all(row.photographs_per_second > 0 for row in report.preparing)


def test_without_a_tokenizer_only_pictures_are_measured() -> None:
    report = measure_speed(dataclasses.replace(tiny_checkpoint(), tokenizer=None), [("onnx", "fp32")], SHORT)
    assert report.towers[0].images_per_second > 0
    assert (report.towers[0].texts_per_second, report.towers[0].text_peak_share) == (None, None)
    assert report.tokenized_per_second is None


def test_nothing_stays_in_the_cache() -> None:
    measure_speed(tiny_checkpoint(), [("onnx", "int8")], SHORT)
    assert list(cache_folder().iterdir()) == []


def test_progress_counts_every_turn() -> None:
    told: list[tuple[int, int]] = []
    measure_speed(tiny_checkpoint(), [("onnx", "fp32")], SHORT, lambda done, total: told.append((done, total)))
    assert told == [(number, len(told)) for number in range(1, len(told) + 1)]


# What is measured


def test_torch_is_left_out_unless_it_is_named_or_there_is_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "_has_cuda", lambda: False)
    assert all(backend != "torch" for backend, _ in variants_here())
    assert variants_here("torch") == [("torch", "fp32")]
    monkeypatch.setattr(load, "_has_cuda", lambda: True)
    assert variants_here()[-2:] == variants_here("torch") == [("torch", "fp32"), ("torch", "bf16")]


def test_names_restrict_the_rows() -> None:
    assert variants_here("onnx") == [("onnx", "fp32"), ("onnx", "int8")]
    assert variants_here(None, "int8") == [("onnx", "int8"), ("openvino", "int8")]
    assert variants_here("openvino", "fp32") == [("openvino", "fp32")]


def test_a_precision_that_nothing_has_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "_has_bf16", lambda backend: False)
    with pytest.raises(ClipwrightError, match="runs a model in bf16"):
        variants_here(None, "bf16")


def test_a_backend_that_is_not_installed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert variants_here() == [("onnx", "fp32"), ("onnx", "int8")]
    with pytest.raises(MissingExtraError, match="openvino"):
        measure_speed(tiny_checkpoint(), variants_here("openvino", "fp32"), SHORT)


# What it is measured with


def test_the_best_call_counts_and_the_turns_alternate() -> None:
    order: list[str] = []
    slow, fast = Timed(lambda: order.append("slow"), 3), Timed(lambda: order.append("fast"), 3)
    take_turns([slow, fast], 2, 0)
    assert order == ["slow", "slow", "fast", "fast"] * 2
    slow.seconds = [4.0, 2.0, 3.0]
    assert (slow.best, slow.median) == (1.5, 1.0)


def test_the_peak_is_the_fastest_librarys() -> None:
    timed = contenders("fp32", None, place="processor", with_torch=True)
    assert list(timed) == ["numpy", "onnx", "openvino", "torch"]
    take_turns(list(timed.values()), 1, 0)
    peak = fastest("processor", "fp32", timed)
    assert peak.operations_per_second == max(product.best for product in timed.values())
    assert timed[peak.by].best == peak.operations_per_second


def test_numpy_shows_no_peak_of_fewer_cores_than_it_takes() -> None:
    assert "numpy" not in contenders("fp32", 0, place="processor", with_torch=False)


def test_the_processor_has_a_name() -> None:
    assert processor_name()


@pytest.mark.parametrize("size", [SMALL_SIZE, LARGE_SIZE], ids=str)
def test_made_photographs_have_the_size_and_about_the_bytes_of_real_ones(size: tuple[int, int]) -> None:
    data = photograph(size)
    image = Image.open(io.BytesIO(data))
    assert (image.size, image.format) == (size, "JPEG")
    assert 0.15 < len(data) / (size[0] * size[1]) < 0.6


def test_a_made_photograph_has_no_seams() -> None:
    pixels = np.asarray(Image.open(io.BytesIO(photograph((600, 400)))), np.float32)
    steps = np.abs(np.diff(pixels, axis=1)).mean(axis=(0, 2))
    assert steps[SMALL_SIZE[0] - 1] < 2 * steps.mean()


def test_captions_are_ordinary() -> None:
    assert len(set(CAPTIONS)) == 16
    assert all(8 <= len(caption.split()) <= 16 for caption in CAPTIONS)
