from __future__ import annotations

import io
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from clipwright.api import classify, similarity
from clipwright.embedding.embedder import Embedder, unit_rows
from clipwright.embedding.load import embedder_from, load_embedder
from clipwright.errors import ClipwrightError, DimensionError, Failure, ImageError
from clipwright.inputs.images import ImageSource
from tests.support import FAKE_COLOURS, FakeBackend, fake_embedder, fake_tokenizer, tiny_checkpoint

NOISE = [np.random.default_rng(seed).integers(0, 256, (40, 50, 3), np.uint8) for seed in range(12)]
TEXTS = ["a photo of a cat", "a dog", "a red car in the street", "", "cat dog car", "street"]


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return embedder_from(tiny_checkpoint(), "tiny")


def picture_files(folder: Path, bad: dict[int, bytes], count: int = 20) -> list[Path]:
    """Pictures of different greys and colours; the numbers in bad hold these bytes instead."""
    paths = []
    for number in range(count):
        path = folder / f"{number:02}.png"
        Image.new("RGB", (9, 9), (number * 12, 255 - number * 12, number * 5)).save(path)
        if number in bad:
            path.write_bytes(bad[number])
        paths.append(path)
    return paths


# Pictures


@pytest.mark.parametrize("batch_size", [1, 3, 8, 64])
def test_corrupt_files_never_shift_the_vectors_of_others(tmp_path: Path, batch_size: int) -> None:
    bad = {0: b"", 4: b"text", 5: b"\x89PNG\r\n\x1a\n", 6: b"", 19: b"\xff\xd8\xff"}
    paths = picture_files(tmp_path, bad)
    fake = fake_embedder()
    for number, (source, result) in enumerate(fake.stream_images(paths, batch_size)):
        assert source == paths[number]
        if number in bad:
            assert isinstance(result, Failure)
            assert result.source == paths[number]
        else:
            assert isinstance(result, np.ndarray)
            assert np.array_equal(result, fake.embed_images([paths[number]])[0])


def test_a_failure_among_the_pictures_is_handed_on_in_its_place() -> None:
    empty = Failure("holiday", "no_pictures", "a folder without pictures")
    results = list(fake_embedder().stream_images([NOISE[0], empty, NOISE[1]], batch_size=2))
    assert results[1] == ("holiday", empty)
    assert not isinstance(results[2][1], Failure)


def test_a_picture_is_embedded_the_same_from_every_kind_of_source(tmp_path: Path) -> None:
    image = Image.fromarray(NOISE[0])
    image.save(tmp_path / "a.png")
    file = io.BytesIO()
    image.save(file, "PNG")
    sources: list[ImageSource] = [NOISE[0], image, file.getvalue(), tmp_path / "a.png", str(tmp_path / "a.png")]
    vectors = fake_embedder().embed_images(sources)
    assert (vectors == vectors[0]).all()


def test_a_bad_picture_is_named_where_all_are_wanted(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"lost\.jpg: no such file") as raised:
        fake_embedder().embed_images([NOISE[0], tmp_path / "lost.jpg"])
    assert raised.value.code == "missing"


@pytest.mark.parametrize(
    "picture",
    ["cat.jpg", Path("cat.jpg"), b"\xff\xd8", Image.new("RGB", (8, 8)), NOISE[0], NOISE[0][:, :, 0]],
    ids=["str", "Path", "bytes", "Pillow", "colour array", "grey array"],
)
def test_one_picture_where_a_list_belongs_is_refused(picture: ImageSource) -> None:
    with pytest.raises(ClipwrightError, match=r"given as a list, a single one too: \[picture\]"):
        fake_embedder().embed_images(picture)  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(40, 50), (3, 40, 50), (40, 50, 3), (4, 40, 50)])
def test_one_tensor_where_a_list_belongs_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ClipwrightError, match=r"given as a list, a single one too: \[picture\]"):
        fake_embedder().embed_images(torch.zeros(shape, dtype=torch.uint8))  # type: ignore[arg-type]


def test_an_array_of_pictures_is_a_list_of_them() -> None:
    pictures = np.stack(NOISE)
    expected = fake_embedder().embed_images(pictures)  # type: ignore[arg-type]
    assert expected.shape == (12, 4)
    tensor = torch.from_numpy(pictures).permute(0, 3, 1, 2)
    assert np.array_equal(fake_embedder().embed_images(tensor), expected)  # type: ignore[arg-type]


def test_a_tensor_is_a_picture_wherever_pictures_are_taken() -> None:
    tensor = torch.from_numpy(NOISE[0]).permute(2, 0, 1)
    fake = fake_embedder()
    assert np.array_equal(fake.embed_images([tensor]), fake.embed_images([NOISE[0]]))
    assert np.array_equal(similarity(fake, [tensor], ["red"]), similarity(fake, [NOISE[0]], ["red"]))
    (of_tensor,), (of_array,) = (classify(fake, [picture], ["red", "blue"]) for picture in (tensor, NOISE[0]))
    assert (of_tensor.source is tensor, of_tensor.labels) == (True, of_array.labels)
    with pytest.raises(ImageError, match=r"^Tensor \(7, 8, 9\): a tensor of shape \(7, 8, 9\) is no picture"):
        fake.embed_images([torch.zeros(7, 8, 9)])


def test_pictures_go_through_the_tower_in_batches() -> None:
    backend = FakeBackend()
    fake_embedder(backend).embed_images(NOISE, batch_size=5)
    assert backend.batch_sizes == [5, 5, 2]


def test_a_stream_that_is_left_early_ends_its_threads() -> None:
    stream = fake_embedder().stream_images(NOISE, batch_size=1, threads=3)
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("prepare")]


# Texts


def test_a_string_where_a_list_belongs_is_refused() -> None:
    with pytest.raises(ClipwrightError, match=r"takes a list of texts, not one string: embed_texts\(\[text\]\)"):
        fake_embedder().embed_texts("a cat")


def test_a_text_that_is_too_long_is_cut_and_that_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    fake = fake_embedder()
    with caplog.at_level(logging.WARNING):
        cut = fake.embed_texts(["short", "red " * 30])
        fake.embed_texts(["green " * 30])
    assert np.array_equal(cut[1:], fake.embed_texts(["red " * 10]))
    assert [record.getMessage() for record in caplog.records] == [
        f"{('red ' * 30)[:60]!r} is too long for fake: its last 20 tokens were left out (said once)"
    ]


# Vectors


def test_rows_have_length_one(embedder: Embedder) -> None:
    for vectors in (embedder.embed_images(NOISE), embedder.embed_texts(TEXTS)):
        assert vectors.dtype == np.float32
        assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_nothing_gives_no_rows(embedder: Embedder) -> None:
    assert embedder.embed_images([]).shape == embedder.embed_texts([]).shape == (0, 16)
    assert embedder.embed_images([]).dtype == embedder.embed_texts([]).dtype == np.float32


def test_features_of_length_nought_stay_numbers() -> None:
    assert unit_rows(np.zeros((1, 4), np.float32)).tolist() == [[0, 0, 0, 0]]


class OverflowingBackend(FakeBackend):
    """Gives these features of black pictures and of texts without a colour, as arithmetic in 16 bits may."""

    def __init__(self, features: float) -> None:
        super().__init__()
        self._features = features

    def image_features(self, pixels: np.ndarray) -> np.ndarray:
        features = super().image_features(pixels)
        features[features[:, :3].mean(axis=1) == -1] = self._features
        return features

    def text_features(self, ids: np.ndarray, ends: np.ndarray) -> np.ndarray:
        features = super().text_features(ids, ends)
        features[~features[:, :3].any(axis=1)] = self._features
        return features


BLACK = np.zeros((9, 9, 3), np.uint8)


@pytest.mark.parametrize("features", [np.nan, np.inf, 0.0, 3e38], ids=["NaN", "infinite", "nought", "too long"])
def test_a_picture_without_a_finite_vector_fails_alone(features: float) -> None:
    fake = fake_embedder(OverflowingBackend(features))
    results = [result for _, result in fake.stream_images([NOISE[0], BLACK, NOISE[1]])]
    assert isinstance(results[1], Failure)
    assert (results[1].source is BLACK, results[1].code) == (True, "unreadable")
    assert "is no vector" in results[1].message
    for result, vector in zip(results[::2], fake_embedder().embed_images(NOISE[:2]), strict=True):
        assert np.array_equal(np.asarray(result), vector)
    with pytest.raises(ImageError, match=r"array \(9, 9, 3\): the model's answer to it is no vector"):
        fake.embed_images([NOISE[0], BLACK])


@pytest.mark.parametrize("features", [np.nan, np.inf, 0.0, 3e38], ids=["NaN", "infinite", "nought", "too long"])
def test_a_text_without_a_finite_vector_is_an_error_that_names_it(features: float) -> None:
    fake = fake_embedder(OverflowingBackend(features))
    with pytest.raises(ClipwrightError, match=r"'a photo' has no embedding by fake: .* take another model$"):
        fake.embed_texts(["red", "a photo"])
    with pytest.raises(ClipwrightError, match="'a photo of a pink' has no embedding by fake"):
        classify(fake, [NOISE[0]], ["red", "pink"], ["a photo of a {}"])


def test_less_exact_arithmetic_is_named_where_it_may_be_the_cause() -> None:
    backend = OverflowingBackend(np.inf)
    backend.precision = "bf16"
    with pytest.raises(ClipwrightError, match="take another model, or --precision fp32"):
        fake_embedder(backend).embed_texts(["a photo"])


def test_batches_of_one_and_of_eight_give_the_same(embedder: Embedder) -> None:
    assert np.abs(embedder.embed_images(NOISE, 1) - embedder.embed_images(NOISE, 8)).max() < 1e-5
    assert np.abs(embedder.embed_texts(TEXTS, 1) - embedder.embed_texts(TEXTS, 8)).max() < 1e-5


def test_several_threads_may_share_an_embedder(embedder: Embedder) -> None:
    images, texts = embedder.embed_images(NOISE), embedder.embed_texts(TEXTS)

    def embed(batch_size: int) -> tuple[np.ndarray, np.ndarray]:
        return embedder.embed_images(NOISE, batch_size), embedder.embed_texts(TEXTS, batch_size)

    with ThreadPoolExecutor(4) as pool:
        for own_images, own_texts in pool.map(embed, [3, 4, 5, 6, 3, 4, 5, 6]):
            assert np.abs(own_images - images).max() < 1e-5
            assert np.abs(own_texts - texts).max() < 1e-5


def test_a_loaded_model_knows_its_space(tiny_model: Path, embedder: Embedder) -> None:
    loaded = load_embedder(tiny_model)
    assert (loaded.name, loaded.embed_dim) == (str(tiny_model), 16)
    assert len(loaded.space_id) == 16
    assert loaded.scale == pytest.approx(embedder.scale)
    assert loaded.spec == embedder.spec


# Below the preparation


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 32, 32, 3), (1, 3, 32, 33), (1, 1, 32, 32)])
def test_pixels_of_another_shape_are_refused(embedder: Embedder, shape: tuple[int, ...]) -> None:
    with pytest.raises(DimensionError, match=r"this model reads \(B, 3, 32, 32\)"):
        embedder.image_features(np.zeros(shape, np.float32))


@pytest.mark.parametrize("shape", [(16,), (1, 17), (1, 1, 16)])
def test_ids_of_another_shape_are_refused(embedder: Embedder, shape: tuple[int, ...]) -> None:
    with pytest.raises(DimensionError, match=r"this model reads \(B, at most 16\)"):
        embedder.text_features(np.zeros(shape, np.int64))


def test_ids_without_an_end_are_refused(embedder: Embedder) -> None:
    start, end = embedder.spec.start_id, embedder.spec.end_id
    with pytest.raises(DimensionError, match=f"a row of ids lacks the end id {end}"):
        embedder.text_features(np.array([[start, 5, end], [start, 5, 6]]))


def test_a_text_ends_at_its_first_end_where_padding_repeats_it() -> None:
    backend, spec = FakeBackend(), fake_tokenizer().spec
    start, end = spec.start_id, spec.end_id
    fake_embedder(backend).text_features(np.array([[start, 9, end, end, end], [start, 9, 9, 9, end]]))
    assert backend.ends == [2, 4]


def test_features_at_length_one_are_the_embeddings(embedder: Embedder) -> None:
    assert embedder._tokenizer is not None
    tokens = embedder._tokenizer.encode(TEXTS)
    assert np.allclose(unit_rows(embedder.text_features(tokens.ids)), embedder.embed_texts(TEXTS), atol=1e-5)


@pytest.mark.parametrize("colour", FAKE_COLOURS)
def test_a_square_of_a_colour_lies_with_the_text_that_names_it(colour: str) -> None:
    """What the fake is for: other tests build on it."""
    fake = fake_embedder()
    square = np.full((20, 20, 3), FAKE_COLOURS[colour], np.uint8)
    similarities = fake.embed_images([square]) @ fake.embed_texts([f"a {name} square" for name in FAKE_COLOURS]).T
    assert list(FAKE_COLOURS)[int(similarities.argmax())] == colour
