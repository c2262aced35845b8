from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import pytest

from clipwright.errors import DatasetError
from clipwright.inputs.images import open_image
from clipwright.inputs.tar_images import TarImages
from tests.inputs.pictures import encoded, quadrants, shows_quadrants

PICTURE = encoded(quadrants(), "PNG")


def write_tar(path: Path, members: list[tuple[str, bytes]]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def test_a_picture_is_read_with_the_captions_of_the_same_key(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", [("1.png", PICTURE), ("1.txt", b"a cat"), ("2.png", b"xyz"), ("2.txt", b"b")])
    tars = TarImages([path])
    assert len(tars) == 2
    assert shows_quadrants(open_image(tars.image(0)))
    assert tars.image(1) == b"xyz"
    assert tars.captions == [["a cat"], ["b"]]


def test_the_text_may_stand_before_the_picture(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", [("1.txt", b"a"), ("2.txt", b"b"), ("2.jpg", b"2"), ("1.jpg", b"1")])
    tars = TarImages([path])
    assert [(tars.image(i), tars.captions and tars.captions[i]) for i in range(2)] == [(b"2", ["b"]), (b"1", ["a"])]


def test_several_tars_follow_each_other(tmp_path: Path) -> None:
    """The same key in two tars is two samples."""
    paths = [write_tar(tmp_path / f"{name}.tar", [("1.jpg", name.encode()), ("1.txt", name.encode())]) for name in "ab"]
    tars = TarImages(paths)
    assert [tars.image(0), tars.image(1)] == [b"a", b"b"]
    assert tars.captions == [["a"], ["b"]]


def test_every_line_of_a_text_is_a_caption(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", [("1.jpg", b"1"), ("1.txt", "  a cat \n\nein Käfer\r\n".encode())])
    assert TarImages([path]).captions == [["a cat", "ein Käfer"]]


def test_marks_and_line_ends_are_no_part_of_captions_and_labels(tmp_path: Path) -> None:
    mark = "\ufeff".encode()
    texts = [("1.jpg", b"1"), ("1.txt", mark + b"a cat"), ("2.jpg", b"2"), ("2.txt", "a\u2028b\r c \r\n".encode())]
    json_text = [("3.jpg", b"3"), ("3.json", mark + b'{"caption": "d"}')]
    wide = [("4.jpg", b"4"), ("4.txt", "ein Käfer".encode("utf-16"))]
    tars = TarImages([write_tar(tmp_path / "a.tar", [*texts, *json_text, *wide])])
    assert tars.captions == [["a cat"], ["a\u2028b", "c"], ["d"], ["ein Käfer"]]
    assert TarImages([write_tar(tmp_path / "b.tar", [("1.jpg", b"1"), ("1.cls", mark + b"7\n")])]).labels == [7]


def test_a_text_in_another_encoding_is_left_out_and_named(tmp_path: Path) -> None:
    members = [("1.jpg", b"1"), ("1.txt", "café".encode("latin-1")), ("2.jpg", b"2"), ("2.txt", b"a cat")]
    members += [("3.jpg", b"3"), ("3.json", b"no json"), ("4.jpg", b"4"), ("4.txt", b"\x00nul")]
    tars = TarImages([write_tar(tmp_path / "a.tar", members)])
    assert (tars.captions, tars.image(0)) == ([["a cat"]], b"2")
    assert [reason.partition(":")[0] for reason in tars.broken] == [f"the text of a.tar/{n}.jpg" for n in (1, 3, 4)]
    assert "line 1 is not UTF-8: 0xe9 after 'caf'" in tars.broken[0]


@pytest.mark.parametrize(
    "names",
    [
        ["x.jpg", "x.txt", "x.jpg", "x.txt"],
        ["x.jpg", "x.jpg", "x.txt"],
        ["x.jpg", "x.txt", "y.jpg", "y.txt", "x.txt"],
        ["x.jpg", "x.txt", "y.png", "x.txt"],
        ["x.JPG", "x.txt", "x.jpg"],
        ["f/x.json", "f/x.jpg", "f/x.json"],
    ],
)
def test_a_key_that_is_met_again_is_refused_by_name(names: list[str], tmp_path: Path) -> None:
    """Else the first picture would get the last text."""
    path = write_tar(tmp_path / "a.tar", [(name, str(number).encode()) for number, name in enumerate(names)])
    with pytest.raises(DatasetError, match=r"a\.tar' holds '(f/)?x\.\w+' twice"):
        TarImages([path])


def test_a_caption_may_stand_in_json(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", [("1.jpg", b"1"), ("1.json", b'{"caption": "a cat", "width": 3}')])
    assert TarImages([path]).captions == [["a cat"]]


def test_a_text_is_preferred_to_json(tmp_path: Path) -> None:
    members = [("1.jpg", b"1"), ("1.json", b'{"caption": "from json"}'), ("1.txt", b"from text")]
    assert TarImages([write_tar(tmp_path / "a.tar", members)]).captions == [["from text"]]


def test_labels_are_read_in_place_of_captions(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", [("1.jpg", b"1"), ("1.cls", b"7\n"), ("2.jpg", b"2"), ("2.cls", b"0")])
    tars = TarImages([path])
    assert (tars.labels, tars.captions) == ([7, 0], None)


def test_keys_reach_to_the_first_dot_of_the_name_and_hold_the_folder(tmp_path: Path) -> None:
    members = [("x/1.jpg", b"x"), ("y/1.jpg", b"y"), ("y/1.txt", b"y"), ("1.5/2.jpg", b"z"), ("1.5/2.txt", b"z")]
    tars = TarImages([write_tar(tmp_path / "a.tar", members)])
    assert [tars.image(0), tars.image(1)] == [b"y", b"z"]


def test_only_the_picture_itself_is_taken_where_others_share_its_key(tmp_path: Path) -> None:
    members = [("1.mask.png", b"mask"), ("1.jpg", b"picture"), ("1.txt", b"a")]
    tars = TarImages([write_tar(tmp_path / "a.tar", members)])
    assert (len(tars), tars.image(0)) == (1, b"picture")


@pytest.mark.parametrize(
    "members",
    [
        [("1.jpg", b"1")],
        [("1.txt", b"a cat")],
        [("1.jpg", b"1"), ("1.txt", b" \n ")],
        [("1.jpg", b"1"), ("1.json", b"{}")],
        [("1.jpg", b"1"), ("1.json", b"[1, 2]")],
        [("1.jpg", b"1"), ("1.json", b"no json \xff")],
        [("1.jpg", b"1"), ("1.json", b'{"caption": 5}')],
        [],
    ],
)
def test_a_sample_without_picture_or_text_is_left_out(members: list[tuple[str, bytes]], tmp_path: Path) -> None:
    members = [("0.jpg", b"0"), ("0.txt", b"zero"), *members]
    assert TarImages([write_tar(tmp_path / "a.tar", members)]).captions == [["zero"]]


def test_a_picture_is_named_by_its_tar_and_its_place(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "cats.tar", [("x/1.jpg", b"1"), ("x/1.txt", b"a")])
    assert TarImages([path]).name(0) == "cats.tar/x/1.jpg"


def test_captions_and_labels_mixed_are_refused(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", [("1.jpg", b"1"), ("1.cls", b"7"), ("2.jpg", b"2"), ("2.txt", b"a")])
    with pytest.raises(DatasetError, match="two sources"):
        TarImages([path])


def test_a_label_that_is_no_number_is_refused_by_name(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", [("1.jpg", b"1"), ("1.cls", b"cat")])
    with pytest.raises(DatasetError, match=r"a\.tar/1\.jpg has a label that is no number: b'cat'"):
        TarImages([path])


def test_a_compressed_tar_is_refused(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", [("1.jpg", b"1"), ("1.txt", b"a")])
    path.write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(DatasetError, match="uncompressed tar"):
        TarImages([path])


@pytest.mark.parametrize("kept", [1000, 1800])
def test_a_tar_that_was_cut_off_is_refused(kept: int, tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", [("1.jpg", bytes(2000)), ("1.txt", b"a")])
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DatasetError, match="uncompressed tar"):
        TarImages([path])


def test_a_missing_tar_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"nothing\.tar"):
        TarImages([tmp_path / "nothing.tar"])


def test_two_pictures_of_one_key_are_refused(tmp_path: Path) -> None:
    members = [("0.jpg", b"1"), ("0.txt", b"first"), ("0.png", b"2"), ("0.json", b'{"caption": "second"}')]
    with pytest.raises(DatasetError, match=r"two pictures of one key, '0.jpg' and '0.png'"):
        TarImages([write_tar(tmp_path / "a.tar", members)])
