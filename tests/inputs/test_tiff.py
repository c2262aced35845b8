"""TIFFs of every kind of number and arrangement: right to one of 255, or refused by what they are."""

from __future__ import annotations

import io
import itertools
import warnings
from typing import Any, Literal

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from clipwright.errors import ImageError
from clipwright.inputs import tiff_samples
from clipwright.inputs.images import open_image, open_photo
from tests.inputs.pictures import cmyk_profile, encoded, quadrants, shows_quadrants, wide_profile
from tests.inputs.tiff_files import DEFLATE, LZW, PACKBITS, UNPACKED, tiff

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, CMYK, YCBCR, CIELAB, ICCLAB = 0, 1, 2, 3, 5, 6, 8, 9
HEIGHT, WIDTH = 21, 37

KINDS: dict[str, dict[str, Any]] = {
    "grey": {"channels": 1, "photometric": "minisblack"},
    "white is zero": {"channels": 1, "photometric": "miniswhite"},
    "grey, alpha": {"channels": 2, "photometric": "minisblack", "extrasamples": ["unassalpha"]},
    "grey by alpha": {"channels": 2, "photometric": "minisblack", "extrasamples": ["assocalpha"]},
    "grey and something": {"channels": 2, "photometric": "minisblack", "extrasamples": ["unspecified"]},
    "rgb": {"channels": 3, "photometric": "rgb"},
    "rgb, alpha": {"channels": 4, "photometric": "rgb", "extrasamples": ["unassalpha"]},
    "rgb by alpha": {"channels": 4, "photometric": "rgb", "extrasamples": ["assocalpha"]},
    "rgb and something": {"channels": 5, "photometric": "rgb", "extrasamples": ["unspecified"] * 2},
    "cmyk": {"channels": 4, "photometric": "separated"},
}
ARRANGEMENTS: list[dict[str, Any]] = [
    {},
    {"byteorder": ">"},
    {"rowsperstrip": 5, "bigtiff": True},
    {"tile": (16, 16), "byteorder": ">", "bigtiff": True},
    {"compression": "zlib", "rowsperstrip": 8, "byteorder": ">"},
    {"compression": "lzma", "tile": (16, 32)},
]
TYPES = ["u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8"]


def shares(channels: int) -> np.ndarray:
    """(H, W, channels) from 0 to 1, with both; no channel is above the last, which may be alpha."""
    values = np.random.default_rng(channels).random((HEIGHT, WIDTH, channels))
    values[0, 0], values[0, 1] = 0, 1
    values[..., -1] = values.max(axis=2)
    return values


def as_numbers(values: np.ndarray, dtype: str) -> np.ndarray:
    if np.dtype(dtype).kind == "f":
        return values.astype(dtype)
    largest = float(np.iinfo(dtype).max)
    return np.minimum(np.rint(values * largest), np.nextafter(largest, 0) if dtype[1] == "8" else largest).astype(dtype)


def on_white(values: np.ndarray, kind: str) -> np.ndarray:
    """(H, W, 3) from 0 to 255: what is seen of (H, W, channels) from 0 to 1."""
    if kind == "cmyk":
        return np.asarray(255 * (1 - values[..., :3]) * (1 - values[..., 3:]))
    alpha = values[..., -1:] if "alpha" in kind else np.ones((HEIGHT, WIDTH, 1))
    colours = values[..., :1] if values.shape[2] < 3 else values[..., :3]
    colours = 1 - colours if kind == "white is zero" else colours
    seen = 255 * ((colours if "by" in kind else colours * alpha) + 1 - alpha)
    return np.broadcast_to(seen, (HEIGHT, WIDTH, 3))


def shown(file: bytes) -> np.ndarray:
    return np.asarray(open_image(file), np.float64)


def refusal(file: bytes) -> ImageError:
    with pytest.raises(ImageError) as refused:
        open_image(file)
    return refused.value


# Right


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("kind", KINDS)
def test_numbers_of_every_type_are_shown_as_tifffile_reads_them(kind: str, dtype: str) -> None:
    options = dict(KINDS[kind])
    numbers = as_numbers(shares(options.pop("channels")), dtype)
    turn = list(KINDS).index(kind) + TYPES.index(dtype)  # all arrangements, of each kind and type some
    for apart, further in [(False, 0), (False, 3), (True, 1)]:
        arrangement = ARRANGEMENTS[(turn + further) % len(ARRANGEMENTS)]
        if numbers.shape[2] > 1:
            options["planarconfig"] = "separate" if apart else "contig"
        file = io.BytesIO()
        tifffile.imwrite(file, np.moveaxis(numbers, 2, 0) if apart else numbers.squeeze(), **options, **arrangement)
        file.seek(0)
        read = tifffile.imread(file)
        read = np.moveaxis(read, 0, 2) if apart and read.ndim == 3 else read.reshape(numbers.shape)
        values = read.astype(np.float64) / (1 if dtype[0] == "f" else np.iinfo(dtype).max)
        wrong = np.abs(shown(file.getvalue()) - np.rint(on_white(values, kind))).max()
        assert wrong <= 1, (arrangement, apart)


@pytest.mark.parametrize("compression", [UNPACKED, LZW, DEFLATE, PACKBITS])
@pytest.mark.parametrize("bits", [1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15])
def test_packed_bits_are_shown_at_their_brightness(bits: int, compression: int) -> None:
    for kind, photometric in {"grey": BLACK_IS_ZERO, "white is zero": WHITE_IS_ZERO, "rgb": RGB}.items():
        numbers = np.rint(shares(KINDS[kind]["channels"]) * (2**bits - 1)).astype(np.uint16)
        expected = np.rint(on_white(numbers / (2**bits - 1), kind))
        for more in (
            {},
            {"order": ">", "rows": 5},
            {"tile": (16, 16), "apart": True},
            {"big": True, "reversed_bits": True},
        ):
            file = tiff(numbers, photometric, bits=bits, compression=compression, **more)
            assert np.abs(shown(file) - expected).max() <= 1, (kind, more)


@pytest.mark.parametrize(
    ("predictor", "dtype"),
    [
        *itertools.product([1, 2], ["u1", "u2", "u4", "i2", "f2", "f4", "f8"]),
        *itertools.product([3], ["f2", "f4", "f8"]),
    ],
)
def test_differences_are_added_up_again(predictor: int, dtype: str) -> None:
    numbers = as_numbers(shares(3), dtype)
    expected = np.rint(on_white(numbers / (1.0 if dtype[0] == "f" else np.iinfo(dtype).max), "rgb"))
    orders: list[Literal["<", ">"]] = ["<", ">"]
    for order, apart, compression, tile in itertools.product(orders, [False, True], [LZW, DEFLATE], [None, (16, 32)]):
        file = tiff(numbers, RGB, order=order, apart=apart, compression=compression, predictor=predictor, tile=tile)
        assert np.abs(shown(file) - expected).max() <= 1, (order, apart, compression, tile)


def test_a_wide_tiff_is_the_picture_of_8_bits() -> None:
    assert shows_quadrants(open_image(tiff(np.asarray(quadrants()).astype(np.uint16) * 257, RGB, apart=True)))


def test_strips_may_lie_in_any_order() -> None:
    numbers = np.asarray(quadrants()).astype(np.uint32) * 16_843_009
    file = tiff(numbers, RGB, rows=24, tags={273: [8 + 24 * 64 * 3 * 4, 8]})
    assert np.array_equal(shown(file), np.roll(np.asarray(quadrants()), 24, axis=0))


@pytest.mark.parametrize("at_once", [1, 500, 1200, 10_000])
@pytest.mark.parametrize("parts", [{"rows": 4}, {"tile": (16, 16)}])
def test_strips_and_tiles_are_unpacked_some_at_a_time(
    parts: dict[str, Any], at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiff_samples, "_AT_ONCE", at_once)
    for bits in (12, None):
        numbers = np.asarray(quadrants()).astype(np.uint16) * (16 if bits else 257)
        assert shows_quadrants(open_image(tiff(numbers, RGB, bits=bits, compression=DEFLATE, **parts)))


def test_what_is_not_packed_may_lie_in_one_strip_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiff_samples, "_MOST_IN_ONE", 1000)
    monkeypatch.setattr(tiff_samples, "_MOST_BYTES", 1000)
    numbers = np.asarray(quadrants()).astype(np.uint16) * 257
    assert shows_quadrants(open_image(tiff(numbers, RGB, apart=True)))
    assert refusal(tiff(numbers, RGB, apart=True, compression=DEFLATE)).code == "too_large"


# What is white


def coffee(dtype: str = "f4") -> np.ndarray:
    """(100, 120) from 0 to 200/255."""
    return np.add.outer(np.arange(100), np.arange(120)).astype(dtype) / 219 * 200 / 255


@pytest.mark.parametrize("huge", [np.inf, 3.4e38, 1e30, 1e15, 1e9, 70_000.0, 300.0, 2.0])
@pytest.mark.parametrize("scale", [1, 255, 65535])
def test_one_value_without_measure_is_white_and_leaves_the_others_as_they_are(huge: float, scale: int) -> None:
    numbers = coffee() * scale
    numbers[50, 60] = huge if huge > 1e9 else huge * scale
    expected = np.rint(coffee() * 255)
    expected[50, 60] = 255
    assert np.abs(shown(tiff(numbers, BLACK_IS_ZERO))[..., 0] - expected).max() <= 1


@pytest.mark.parametrize("hole", [np.inf, 3.4e38, 1e20])
def test_a_whole_region_of_no_data_leaves_the_others_as_they_are(hole: float) -> None:
    numbers = coffee()
    numbers[:60] = hole
    picture = shown(tiff(numbers, BLACK_IS_ZERO))[..., 0]
    assert (picture[:60] == 255).all()
    assert np.abs(picture[60:] - coffee()[60:] * 255).max() <= 1


@pytest.mark.parametrize("photometric", [BLACK_IS_ZERO, WHITE_IS_ZERO])
def test_what_is_no_number_is_black(photometric: int) -> None:
    numbers = coffee()
    numbers[:10], numbers[10:20] = np.nan, -np.inf
    picture = shown(tiff(numbers, photometric))
    assert (picture[:10] == 0).all()
    assert (picture[10:20] == (255 if photometric == WHITE_IS_ZERO else 0)).all()


def test_only_holes_are_a_black_picture() -> None:
    assert shown(tiff(np.full((4, 4), np.nan, np.float32), BLACK_IS_ZERO)).max() == 0


def test_a_value_without_measure_does_not_darken_a_float_picture_of_another_format() -> None:
    numbers = coffee()
    numbers[50, 60] = np.inf
    expected = np.rint(coffee() * 255)
    expected[50, 60] = 255
    assert np.abs(np.asarray(open_image(Image.fromarray(numbers)))[..., 0] - expected).max() <= 1


def test_32_bit_integers_that_use_their_range_are_scaled_by_it() -> None:
    numbers = np.rint(coffee("f8") * (2**32 - 1)).astype(np.uint32)
    assert np.abs(shown(tiff(numbers, BLACK_IS_ZERO))[..., 0] - coffee() * 255).max() <= 1


def test_32_bit_integers_of_16_bits_are_scaled_as_those() -> None:
    numbers = np.rint(coffee() * 65535).astype(np.uint32)
    assert np.abs(shown(tiff(numbers, BLACK_IS_ZERO))[..., 0] - coffee() * 255).max() <= 1


def test_negative_integers_are_black() -> None:
    numbers = np.array([[-32768, -1, 0, 16384, 32767]], np.int16)
    assert shown(tiff(numbers, BLACK_IS_ZERO))[0, :, 0].tolist() == [0, 0, 0, 128, 255]


# Colours


@pytest.mark.parametrize(("bits", "scale"), [(4, 257), (8, 257), (8, 256), (8, 1), (16, 257)])
def test_a_palette_is_expanded_though_it_be_of_8_bits(bits: int, scale: int) -> None:
    numbers = np.arange(16).reshape(4, 4)
    colours = np.random.default_rng(0).integers(0, 256, (2**bits, 3))
    file = tiff(
        numbers.astype(np.uint16), PALETTE, bits=bits, order=">", tags={320: (colours * scale).T.ravel().tolist()}
    )
    assert np.array_equal(shown(file), colours[numbers])


PALE = quadrants().point(lambda value: 60 + value // 2)


def lab(dtype: str) -> np.ndarray:
    """(48, 64, 3): pale quadrants in CIE's Lab, a and b as numbers with a sign."""
    spaces = (ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"))
    converted = ImageCms.profileToProfile(PALE, *spaces, outputMode="LAB")
    assert converted is not None
    with tifffile.TiffFile(io.BytesIO(encoded(converted, "TIFF"))) as file:
        values = file.asarray()
    return values if dtype == "u1" else values.astype(np.uint16) << 8


@pytest.mark.parametrize("dtype", ["u1", "u2"])
@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("photometric", [CIELAB, ICCLAB])
def test_lab_is_shown_in_its_colours(photometric: int, apart: bool, dtype: str) -> None:
    numbers = lab(dtype)
    if photometric == ICCLAB:  # without a sign
        numbers[..., 1:] ^= 0x80 << (8 if dtype == "u2" else 0)
    assert np.abs(shown(tiff(numbers, photometric, apart=apart)) - np.asarray(PALE)).max() <= 4


@pytest.mark.parametrize("dtype", ["u1", "u2"])
@pytest.mark.parametrize("compression", [UNPACKED, LZW])
def test_ycbcr_apart_is_shown_in_its_colours(compression: int, dtype: str) -> None:
    numbers = np.asarray(quadrants().convert("YCbCr")).astype(dtype) * (257 if dtype == "u2" else 1)
    assert shows_quadrants(open_image(tiff(numbers, YCBCR, apart=True, compression=compression, tags={530: [1, 1]})))


def test_16_bit_cmyk_is_converted_by_its_own_profile() -> None:
    ink = np.zeros((4, 4, 4), np.uint16)
    ink[..., 0] = 65535
    red, green, blue = shown(tiff(ink, CMYK, tags={34675: cmyk_profile()}))[0, 0]
    assert red > 200
    assert max(green, blue) < 60


def test_alpha_of_inks_is_laid_on_white() -> None:
    ink = np.full((1, 2, 5), 65535, np.uint16)
    ink[0, 0, 4] = 0
    assert shown(tiff(ink, CMYK, extras=[2]))[0].tolist() == [[255] * 3, [0] * 3]


# What goes with the picture


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
def test_a_wide_tiff_is_turned_upright_and_keeps_its_profile(order: Literal["<", ">"], big: bool) -> None:
    stored = np.rot90(np.asarray(quadrants())).astype(np.uint16) * 257
    profile = wide_profile()
    photo = open_photo(tiff(stored, RGB, order=order, big=big, apart=True, tags={274: [6], 34675: profile}))
    assert shows_quadrants(photo.image)
    assert (photo.width, photo.height, photo.format, photo.orientation) == (64, 48, "TIFF", 6)
    assert photo.profile == photo.image.info["icc_profile"] == profile


def test_a_wide_tiff_says_what_its_exif_says() -> None:
    grey = Image.fromarray(np.zeros((2, 2), np.uint16))
    tags = Image.Exif()
    tags[0x0110] = "Scanner 5"
    assert open_photo(encoded(grey, "TIFF", exif=tags)).exif[0x0110] == "Scanner 5"


def test_of_several_pages_the_first_is_taken() -> None:
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as pages:
        for value in (65535, 0):
            pages.write(np.full((4, 4), value, np.uint16), photometric="minisblack")
    assert shown(file.getvalue()).min() == 255


# Refused by what they are

GREY, COLOURS = np.zeros((16, 16), np.uint16), np.zeros((16, 16, 3), np.uint16)
REFUSED = {
    "64-bit complex numbers": tiff(GREY.astype(np.complex64), BLACK_IS_ZERO),
    "24-bit floats": tiff(np.zeros((16, 16, 3), np.uint8), BLACK_IS_ZERO, tags={258: [24], 277: [1], 339: [3]}),
    "24-bit unsigned integers": tiff(
        np.zeros((16, 16, 3), np.uint8), BLACK_IS_ZERO, tags={258: [24], 277: [1], 339: [1]}
    ),
    "channels differ in bits": tiff(GREY, RGB, tags={258: [5, 6, 5], 277: [3]}),
    "compressed as JPEG 2000": tiff(GREY, BLACK_IS_ZERO, tags={259: [34712]}),
    "compressed as WebP": tiff(np.zeros((4, 4, 3), np.uint8), RGB, tags={259: [50001]}),
    "compressed as number 4711": tiff(GREY, BLACK_IS_ZERO, tags={259: [4711]}),
    "compressed as JPEG of this kind": tiff(GREY, BLACK_IS_ZERO, tags={258: [12], 259: [7]}),
    "5 channels that are no colours": tiff(np.zeros((4, 4, 5), np.uint16), BLACK_IS_ZERO, extras=[0] * 4),
    "3 channels that are no colours": tiff(COLOURS, BLACK_IS_ZERO, extras=[0, 0]),
    "1 channels, too few": tiff(GREY, RGB),
    "photometric interpretation 4": tiff(GREY, 4),
    "photometric interpretation 32845": tiff(COLOURS, 32845),
    "colours are subsampled": tiff(np.zeros((4, 4, 3), np.uint8), YCBCR, tags={530: [2, 2]}),
    "32-bit floats as Lab": tiff(COLOURS.astype(np.float32), CIELAB),
    "predictor 2": tiff(GREY, BLACK_IS_ZERO, bits=12, compression=LZW, tags={317: [2]}),
    "predictor 3": tiff(GREY, BLACK_IS_ZERO, compression=LZW, tags={317: [3]}),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_read_right_is_refused_by_what_it_is(what: str) -> None:
    error = refusal(REFUSED[what])
    assert error.code == "unsupported_format"
    assert what in str(error)


@pytest.mark.parametrize("compression", [UNPACKED, LZW])
def test_a_wide_tiff_that_was_cut_is_truncated(compression: int) -> None:
    numbers = np.random.default_rng(0).integers(0, 65536, (32, 32, 3), np.uint16)
    file = tiff(numbers, RGB, apart=True, rows=4, compression=compression)
    for length in range(16, len(file) - 400, 97):
        assert refusal(file[:length]).code == "truncated", length


# Hostile


@pytest.mark.parametrize(
    "tags",
    [
        {256: [60_000], 257: [60_000]},
        {256: [13_000], 257: [13_000], 258: [64], 278: [13_000]},  # 1.4 GB, of little
        {322: [2**31 - 16], 323: [2**31 - 16], 324: [8], 325: [8]},
        {322: [16], 323: [2**31 - 16], 324: [8], 325: [8]},
        {257: [2**21], 278: [1]},
        {277: [60_000], 258: [64], 284: [1]},
        {256: [2**32 - 1], 257: [2**32 - 1]},
    ],
    ids=str,
)
@pytest.mark.parametrize("compression", [UNPACKED, DEFLATE])
def test_what_claims_too_much_is_refused_unread(compression: int, tags: dict[int, list[int]]) -> None:
    strips: dict[int, list[int]] = {273: [], 278: [], 279: []} if 322 in tags else {}
    file = tiff(np.zeros((64, 64, 3), np.uint32), RGB, compression=compression, tags={**tags, **strips})
    assert refusal(file).code in ("too_large", "unreadable", "truncated")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_parts_that_were_left_out_are_not_read_from_the_head_of_the_file(dtype: type[np.generic]) -> None:
    file = tiff(np.full((64, 64), 7, dtype), BLACK_IS_ZERO, rows=32, tags={273: [8, 0], 279: [32 * 64, 0]})
    assert "sparse" in str(refusal(file))


@pytest.mark.parametrize(
    "tags",
    [{256: [2**23], 257: [4], 278: [4]}, {322: [2**24], 323: [16], 324: [8], 325: [8], 273: [], 278: [], 279: []}],
    ids=["a wide row", "a tile far larger than the picture"],
)
def test_packed_bits_that_would_take_far_more_memory_than_their_file_are_refused(tags: dict[int, list[int]]) -> None:
    file = tiff(np.zeros((64, 64), np.uint16), BLACK_IS_ZERO, compression=DEFLATE, tags={258: [5], **tags})
    assert refusal(file).code == "too_large"


def test_strips_that_are_all_the_same_bytes_are_not_copied_again_and_again() -> None:
    numbers = np.random.default_rng(0).integers(0, 65536, (1000, 40), np.uint16)
    file = tiff(numbers, BLACK_IS_ZERO, rows=1, compression=DEFLATE, tags={273: [8] * 1000, 279: [80_000] * 1000})
    assert "longer than the file" in str(refusal(file))


def test_directories_that_hold_themselves_end() -> None:
    file = tiff(COLOURS, RGB)
    place = int.from_bytes(file[4:8], "little")
    assert shown(tiff(COLOURS, RGB, tags={330: [place] * 50})).shape == (16, 16, 3)


def test_damaged_wide_tiffs_are_pictures_or_image_errors_without_a_warning() -> None:
    numbers = np.asarray(quadrants()).astype(np.uint16) * 257
    chance = np.random.default_rng(0)
    files = [
        tiff(numbers, RGB, apart=True, compression=LZW, rows=7),
        tiff(numbers, RGB, tile=(16, 16), compression=DEFLATE, predictor=2, big=True, order=">"),
        tiff(numbers[..., 0] / np.float32(65535), BLACK_IS_ZERO, compression=DEFLATE, predictor=3),
        tiff(numbers >> 4, RGB, bits=12, reversed_bits=True),
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for file in files * 100:
            damaged = bytearray(file)
            for place in chance.integers(len(file) - 300, len(file), 3):
                damaged[place] = int(chance.choice([0, 1, 255, 127]))
            try:
                assert open_image(bytes(damaged)).mode == "RGB"
            except ImageError:
                continue
