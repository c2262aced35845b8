from __future__ import annotations

import base64
import os
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote_to_bytes

import pytest
from PIL import Image

from clipwright.commands.contact_sheet import Sheet, draw_sheet, html_sheet, write_sheet
from clipwright.index.photo import Hit
from tests.commands.hits import found, jpeg


class Page(HTMLParser):
    """What stands on a page: its text, links and pictures."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.pictures: list[bytes] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        table = dict(attrs)
        if tag == "a":
            self.links.append(table["href"] or "")
        if tag == "img":
            start, data = (table["src"] or "").split(",")
            assert start == "data:image/jpeg;base64"
            self.pictures.append(base64.b64decode(data))

    def handle_data(self, data: str) -> None:
        self.text += data


def sheet(*hits: Hit, title: str = "a beach") -> Sheet:
    return Sheet(title, f"{len(hits)} photographs", hits, lambda number: jpeg(30, 20 + number))


def test_a_page_has_title_pictures_and_facts() -> None:
    page = Page(html_sheet(sheet(found(number=1), found("/photos/dog.jpg", number=2, relevance=0.5))))
    assert page.pictures == [jpeg(30, 21), jpeg(30, 22)]
    assert page.links == ["file:///photos/beach.jpg", "file:///photos/dog.jpg"]
    for text in ("a beach", "2 photographs", "beach.jpg", "/photos", "75%", "50%", "2024-01-01 13:30"):
        assert text in page.text


def test_a_page_asks_for_nothing_outside_itself() -> None:
    page = html_sheet(sheet(found()))
    assert "http:" not in page
    assert "https:" not in page
    assert {"script", "link", "iframe"}.isdisjoint(Page(page).tags)
    assert "default-src 'none'" in page


def test_names_and_queries_are_text_and_never_markup() -> None:
    name = "/photos/<script>alert('1')</script>\"&.jpg"
    page = Page(html_sheet(sheet(found(name), title="<b>dogs & 'cats'</b>")))
    assert {"script", "b"}.isdisjoint(page.tags)
    assert "<b>dogs & 'cats'</b>" in page.text
    assert page.links[0].startswith("file:///")
    assert unquote_to_bytes(page.links[0].removeprefix("file://")) == os.fsencode(name)


def test_braces_in_a_query_are_braces() -> None:
    assert "{title} {0}" in Page(html_sheet(sheet(found("/{style}.jpg"), title="{title} {0}"))).text


def test_a_link_leads_to_a_name_that_is_not_utf8() -> None:
    path = b"/photos/caf\xe9 #1?.jpg"
    (link,) = Page(html_sheet(sheet(found(path)))).links
    assert unquote_to_bytes(link.removeprefix("file://")) == path
    assert not set("#? ") & set(link)


def test_where_no_thumbnail_is_kept_the_file_is_read(tmp_path: Path) -> None:
    Image.new("RGB", (3000, 2000), "blue").save(tmp_path / "blue.jpg")
    hits = (found(tmp_path / "blue.jpg"), found(tmp_path / "lost.jpg", offline=True))
    page = Page(html_sheet(Sheet("sea", "", hits, lambda number: None)))
    assert len(page.pictures) == 1
    assert "no picture" in page.text
    assert "offline" in page.text
    (tmp_path / "made.jpg").write_bytes(page.pictures[0])
    with Image.open(tmp_path / "made.jpg") as made:
        assert made.size == (320, 213)


@pytest.mark.parametrize("count", [1, 5, 6])
def test_a_picture_has_rows_of_five(count: int) -> None:
    drawn = draw_sheet(sheet(*(found(number=number) for number in range(count))))
    one_row = draw_sheet(sheet(*(found(number=number) for number in range(5))))
    assert (drawn.height > one_row.height) == (count > 5)
    assert (drawn.width < one_row.width) == (count < 5)


def test_a_drawn_sheet_shows_each_photograph_whole_and_its_relevance() -> None:
    hits = [found(number=1, relevance=0.5)]
    drawn = draw_sheet(Sheet("red", "", hits, lambda number: jpeg(300, 150)))
    colours = drawn.getcolors(drawn.width * drawn.height)
    assert colours is not None
    areas = {colour: count for count, colour in colours}
    red = sum(areas[colour] for colour in areas if isinstance(colour, tuple) and max(colour[1:]) < 30 < colour[0])
    assert red == 240 * 120
    assert areas[196, 92, 36] == pytest.approx(5 * 120, abs=10)


def test_a_sheet_is_written_as_its_ending_says(tmp_path: Path) -> None:
    for name in ("sheet.html", "sheet.png"):
        write_sheet(tmp_path / name, sheet(found()))
    assert (tmp_path / "sheet.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    with Image.open(tmp_path / "sheet.png") as drawn:
        assert drawn.format == "PNG"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sheet.html", "sheet.png"]
