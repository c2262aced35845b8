"""The page in a real browser, on a real server."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from PIL import Image, ImageEnhance
from playwright.sync_api import Browser, Dialog, Route, expect
from playwright.sync_api import Error as PlaywrightError

from clipwright.embedding.load import load_embedder
from clipwright.index.photo_index import PhotoIndex
from clipwright.server.gate.keys import make_key
from clipwright.server.settings import ServerSettings
from tests.server.browsing import DESKTOP, PHONE, Visit, chromium, visiting
from tests.server.serving import Serving, serving
from tests.support import folder_of

pytestmark = pytest.mark.slow

SKIMAGE = folder_of("skimage") / "data"
SKLEARN = folder_of("sklearn") / "datasets" / "images"
HOSTILE = "<img src=x onerror=alert(1)>"
"""What a file or a camera may be called."""
VIENNA = (48.2, 16.4)
MOST_BYTES = 100_000
"""Of the first load of the page."""


def save(
    picture: Image.Image, path: Path, *, taken: str = "", camera: str = "", place: tuple[float, float] | None = None
) -> None:
    """A JPEG with these facts in its EXIF."""
    exif = Image.Exif()
    if taken:
        exif.get_ifd(0x8769)[0x9003] = taken
    if camera:
        exif[0x0110] = camera
    if place:
        exif.get_ifd(0x8825).update({1: "N", 2: (place[0], 0.0, 0.0), 3: "E", 4: (place[1], 0.0, 0.0)})
    picture.convert("RGB").save(path, quality=90, exif=exif)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs that nobody takes for one another; one of them thrice, nearly the same."""
    folder = tmp_path_factory.mktemp("photographs") / "Pictures"
    folder.mkdir()
    cat = Image.open(SKIMAGE / "chelsea.png")
    for number in range(3):
        brighter = ImageEnhance.Brightness(cat).enhance(1 + 0.02 * number)
        save(brighter, folder / f"cat-{number}.jpg", taken=f"2023:05:17 12:30:0{number}", camera="Camera One")
    for name, source, facts in (
        ("coffee.jpg", SKIMAGE / "coffee.png", {"taken": "2021:03:01 08:00:00", "camera": "Camera One"}),
        ("rocket.jpg", SKIMAGE / "rocket.jpg", {"taken": "2022:07:09 20:00:00", "camera": "Camera Two"}),
        ("motorcycle.jpg", SKIMAGE / "motorcycle_left.png", {"taken": "2021:03:02 09:00:00", "place": VIENNA}),
        ("flower.jpg", SKLEARN / "flower.jpg", {"taken": "2022:07:10 10:00:00"}),
        (f"{HOSTILE}.jpg", SKIMAGE / "coins.png", {"camera": HOSTILE}),
    ):
        save(Image.open(source), folder / name, **facts)
    (folder / "broken.jpg").write_bytes((SKIMAGE / "rocket.jpg").read_bytes()[:4000])
    return folder


@pytest.fixture(scope="module")
def database(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Their index."""
    database = tmp_path_factory.mktemp("index") / "photos.db"
    with PhotoIndex.open(database) as photos:
        photos.update([folder], load_embedder("starter"))
    return database


@pytest.fixture(scope="module")
def server(database: Path, folder: Path) -> Iterator[Serving]:
    with serving(ServerSettings(models=("starter",), database=database, roots=(folder,))) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def visit(browser: Browser, server: Serving) -> Iterator[Visit]:
    with visiting(browser, server.address) as visit:
        yield visit


# Searching


@pytest.mark.parametrize(
    ("words", "name"),
    [("a rocket at night", "rocket.jpg"), ("a cup of coffee", "coffee.jpg"), ("a motorcycle", "motorcycle.jpg")],
)
def test_typing_brings_the_right_photograph_first(visit: Visit, words: str, name: str) -> None:
    visit.open().drawn().search(words)
    expect(visit.page.locator(".cell img").first).to_have_attribute("alt", re.compile(f"^{name}"))
    expect(visit.page.locator("#live")).to_have_text("6 photographs")


def test_the_newest_come_first_where_nothing_is_asked(visit: Visit) -> None:
    visit.open().drawn()
    names = visit.names()
    assert names[0].startswith("cat-")
    assert names[-1] == f"{HOSTILE}.jpg", "without a date"
    assert visit.page.locator(".title").first.inner_text().endswith("May 2023")


@pytest.mark.parametrize("how", ["drop", "paste", "choose"])
def test_a_picture_that_is_brought_finds_its_like(
    visit: Visit, how: Literal["drop", "paste", "choose"], folder: Path
) -> None:
    visit.open().drawn().bring(how, folder / "flower.jpg")
    expect(visit.page.locator(".chip img")).to_be_visible()
    expect(visit.page.locator(".cell img").first).to_have_attribute("alt", re.compile("^flower.jpg"))
    assert "upload" not in visit.page.url


def test_a_picture_that_cannot_be_read_is_said_to_be_none(visit: Visit, tmp_path: Path) -> None:
    (tmp_path / "letter.jpg").write_text("Dear diary")
    visit.open().drawn().bring("choose", tmp_path / "letter.jpg")
    expect(visit.page.locator("#above")).to_be_visible()
    assert visit.page.locator(".cell").count(), "what was there stays"


def test_chips_add_and_take_away(visit: Visit) -> None:
    asked: list[Any] = []
    visit.page.on("request", lambda request: asked.append(request.post_data_json) if "search" in request.url else None)
    page = visit.open().drawn().page
    page.fill("#query", 'an 8" wheel')
    page.click("#more")
    page.fill("#query", "cat")
    page.click("#less")
    expect(page.locator(".chip")).to_have_count(2)
    expect(page.locator("#query")).to_have_value("")
    expect(page.locator("#live")).to_have_text("6 photographs")
    assert asked[-1]["query"] == '"an 8"" wheel" - "cat"'
    page.click(".chip.less .sign")
    expect(page.locator(".chip.less")).to_have_count(0)
    page.locator(".cell").first.hover()
    page.locator(".pick").first.click()
    expect(page.locator(".chip img")).to_be_visible()
    assert re.fullmatch(r'"an 8"" wheel" \+ "cat" \+ photo:\d+', asked[-1]["query"])
    for _ in range(3):
        page.click(".chip >> nth=0 >> .remove")
    expect(page.locator(".chip")).to_have_count(0)
    expect(page.locator("#count")).to_contain_text("newest first")


def test_shots_that_are_nearly_the_same_are_folded(visit: Visit) -> None:
    page = visit.open().drawn().search("a cat").page
    badge = page.locator(".cell .more").first
    expect(badge).to_have_text("+2")
    page.click(".cell a >> nth=0")
    expect(page.locator("#folded a")).to_have_count(3)
    page.click("#folded a >> nth=2")
    expect(page.locator("#folded a >> nth=2")).to_have_attribute("aria-current", "true")
    page.keyboard.press("Escape")
    page.click("#filter-button")
    page.get_by_label("Fold shots").uncheck()
    expect(page.locator(".cell")).to_have_count(8)


def test_filters_narrow_what_is_shown(visit: Visit) -> None:
    page = visit.open().drawn().page
    cells = page.locator(".cell")
    page.click("#filter-button")
    page.select_option("select[name=camera]", "Camera Two")
    expect(cells).to_have_count(1)
    page.select_option("select[name=camera]", "")
    page.click("#years button >> text=2021")
    expect(cells).to_have_count(2)
    page.click("#clear-filters")
    page.fill("[name=after]", "2022-07-09")
    page.fill("[name=before]", "2022-07-09")
    expect(cells).to_have_count(1)
    page.click("#clear-filters")
    page.click(".place >> nth=0")
    expect(cells).to_have_count(1)
    assert visit.names() == ["motorcycle.jpg"]
    page.keyboard.press("Escape")
    page.get_by_role("button", name=re.compile("^Remove the filter within")).click()
    expect(page.locator("#active")).to_be_hidden()


def test_nothing_found_says_how_to_find_more(visit: Visit) -> None:
    page = visit.open("/?camera=Camera+Two&q=cat&after=2023-01-01").page
    expect(page.get_by_role("heading", name="Nothing found")).to_be_visible()
    expect(page.locator("#live")).to_have_text("Nothing found")
    page.get_by_role("button", name="Without filters").click()
    visit.drawn()


# What goes wrong


def test_a_query_that_cannot_be_read_is_answered_by_a_sentence(visit: Visit) -> None:
    page = visit.open().drawn().page
    page.fill("#query", "(cat OR dog")
    expect(page.locator("#above")).to_contain_text("this bracket is never closed")
    assert page.locator(".cell").count(), "what was there stays"
    page.fill("#query", "cat")
    expect(page.locator("#above")).to_be_hidden()


def test_a_server_that_is_gone_is_said_to_be_and_found_again(visit: Visit) -> None:
    page = visit.open().drawn().page
    page.context.set_offline(True)
    page.fill("#query", "a rocket at night")
    expect(page.locator("#above")).to_contain_text("does not answer")
    page.context.set_offline(False)
    expect(page.locator("#above")).to_be_hidden()
    expect(page.locator(".cell img").first).to_have_attribute("alt", re.compile("^rocket.jpg"))


def test_names_of_files_and_cameras_are_only_text(visit: Visit) -> None:
    dialogs: list[str] = []

    def note(dialog: Dialog) -> None:
        dialogs.append(dialog.message)
        dialog.dismiss()

    visit.page.on("dialog", note)
    page = visit.open().drawn().page
    page.click("#filter-button")
    page.select_option("select[name=camera]", HOSTILE)
    expect(page.locator(".cell")).to_have_count(1)
    expect(page.locator("#active")).to_contain_text(HOSTILE)
    page.keyboard.press("Escape")
    page.click(".cell a")
    expect(page.locator("#viewer-name")).to_have_text(f"{HOSTILE}.jpg")
    expect(page.locator("#facts")).to_contain_text(HOSTILE)
    assert dialogs == []


def test_hostile_links_do_no_harm(visit: Visit) -> None:
    visit.open(
        f"/?q={HOSTILE}&more=words:{HOSTILE}&more=photo:x&less=words:&near=NaN,1,2&after=%00&photo=99999999&view=?&match=x"
    )
    expect(visit.page.locator("#instead")).to_be_visible()
    expect(visit.page.locator(".chip")).to_have_count(1)
    expect(visit.page.locator("#viewer")).to_be_hidden()
    visit.page.fill("#query", "a cat")
    visit.drawn()


# One photograph, large


def test_a_photograph_opens_with_what_is_known_of_it(visit: Visit) -> None:
    page = visit.open("/?q=a+motorcycle").drawn().page
    page.click(".cell a >> nth=0")
    expect(page.locator("#viewer-name")).to_have_text("motorcycle.jpg")
    facts = page.locator("#facts")
    for said in ("2 March 2021 at 09:00", "741 × 500", "JPEG", "48.200° N, 16.400° E", "relevance 0."):
        expect(facts).to_contain_text(said)
    visit.until("document.getElementById('picture').naturalWidth > 400")
    expect(page.locator("#alike a")).to_have_count(5)
    page.fill("#viewer-labels", "motorcycle, cat, flower")
    expect(page.locator("#viewer-bars li").first).to_contain_text("motorcycle")
    page.click("#by-this")
    expect(page.locator("#viewer")).to_be_hidden()
    expect(page.locator(".chip img")).to_be_visible()
    assert re.search(r"\?more=photo%3A\d+$", page.url)


def test_an_answer_to_labels_that_were_taken_back_is_not_shown(visit: Visit) -> None:
    page = visit.open("/?q=a+motorcycle").drawn().page
    page.click(".cell a >> nth=0")
    late: list[Route] = []

    def hold(route: Route) -> None:
        late.append(route)

    page.route("**/v1/classify", hold)
    with page.expect_request("**/v1/classify"):
        page.fill("#viewer-labels", "motorcycle, cat")
    page.fill("#viewer-labels", "")
    page.wait_for_timeout(400)  # longer than the page waits for more to be typed
    for route in late:
        with contextlib.suppress(PlaywrightError):  # the page does not wait for it any more
            route.continue_()
    page.wait_for_timeout(400)
    expect(page.locator("#viewer-bars li")).to_have_count(0)
    page.fill("#viewer-labels", "dog")
    page.keyboard.press("Escape")
    expect(page.locator("#viewer")).to_be_hidden()
    page.wait_for_timeout(400)


def test_the_keyboard_is_enough(visit: Visit) -> None:
    page = visit.open().drawn().page
    keys = page.keyboard
    page.locator("body").press("Tab")
    keys.press("/")
    with page.expect_response(lambda answer: "a rocket at night" in (answer.request.post_data or "")):
        keys.type("a rocket at night", delay=20)
    expect(page.locator(".cell img").first).to_have_attribute("alt", re.compile("^rocket.jpg"))
    keys.press("ArrowDown")
    expect(page.locator(".cell a >> nth=0")).to_be_focused()
    keys.press("ArrowRight")
    keys.press("ArrowLeft")
    keys.press("Enter")
    name = page.locator("#viewer-name")
    expect(name).to_have_text("rocket.jpg")
    keys.press("ArrowRight")
    expect(name).not_to_have_text("rocket.jpg")
    shown = name.inner_text()
    keys.press("Escape")
    expect(page.locator("#viewer")).to_be_hidden()
    expect(page.locator(".cell a >> nth=1")).to_be_focused()
    assert visit.names()[1] == shown
    keys.press("-")
    expect(page.locator(".chip.less")).to_have_count(1)
    keys.press("/")
    keys.press("Control+a")
    keys.press("Backspace")
    keys.press("Backspace")
    expect(page.locator(".chip")).to_have_count(0)


def test_every_control_is_reached_by_tab(visit: Visit) -> None:
    page = visit.open().drawn().page
    page.evaluate("document.activeElement.blur()")
    seen: list[str] = []
    for _ in range(20):
        page.keyboard.press("Tab")
        seen.append(page.evaluate("document.activeElement.id || document.activeElement.closest('.cell') && 'cell'"))
    for control in ("query", "choose", "filter-button", "to-search", "to-classify", "theme", "size", "cell"):
        assert control in seen, control
    assert seen.count("cell") <= 2, "the grid is one stop"


# Addresses


def test_back_and_forward_lead_through_what_was_asked(visit: Visit) -> None:
    page = visit.open().drawn().search("a rocket at night").page
    expect(page.locator(".cell img").first).to_have_attribute("alt", re.compile("^rocket.jpg"))
    page.click(".cell a >> nth=0")
    expect(page.locator("#viewer-name")).to_have_text("rocket.jpg")
    page.go_back()
    expect(page.locator("#viewer")).to_be_hidden()
    expect(page.locator("#query")).to_have_value("a rocket at night")
    page.go_back()
    expect(page.locator("#query")).to_have_value("")
    expect(page.locator("#count")).to_contain_text("newest first")
    page.go_forward()
    expect(page.locator("#query")).to_have_value("a rocket at night")
    page.go_forward()
    expect(page.locator("#viewer-name")).to_have_text("rocket.jpg")


def test_a_link_opens_what_it_was_taken_from(visit: Visit, browser: Browser) -> None:
    page = visit.open("/?q=something+red&less=words:coffee&before=2022-12-31").drawn().page
    page.click(".cell a >> nth=0")
    expect(page.locator("#viewer-name")).not_to_be_empty()
    name = page.locator("#viewer-name").inner_text()
    with visiting(browser, visit.address) as other:
        other.page.goto(page.url)
        expect(other.page.locator("#viewer-name")).to_have_text(name)
        other.page.keyboard.press("Escape")
        expect(other.page.locator("#query")).to_have_value("something red")
        expect(other.page.locator(".chip.less")).to_have_text("coffee")
        expect(other.page.locator("#active")).to_contain_text("to 2022-12-31")


# Classifying


def test_dropped_pictures_get_labels(visit: Visit, folder: Path) -> None:
    page = visit.open().drawn().page
    page.click("#to-classify")
    page.fill("#labels", "cat, cup of coffee, rocket")
    files = [folder / "cat-0.jpg", folder / "coffee.jpg", folder / "broken.jpg"]
    visit.bring("drop", *files)
    cards = page.locator(".card")
    expect(cards).to_have_count(3)
    expect(cards.nth(0).locator(".bars li").first).to_contain_text("cat")
    expect(cards.nth(1).locator(".bars li").first).to_contain_text("cup of coffee")
    expect(cards.nth(2).locator(".wrong")).to_be_visible()
    page.fill("#labels", "tractor, volcano")
    page.check("#unknown")
    expect(cards.nth(0).locator(".bars li").first).to_contain_text("none of these")
    page.reload()
    expect(page.locator("#labels")).to_have_value("tractor, volcano")


# The index


def test_the_index_is_brought_up_to_date_from_the_page(browser: Browser, folder: Path, tmp_path: Path) -> None:
    """Of an empty one: the server begins by itself, and the photographs appear. Then there are more."""
    holiday = tmp_path / "Holiday"
    holiday.mkdir()
    rocket = Image.open(SKIMAGE / "rocket.jpg").convert("RGB").resize((480, 320))

    def take(numbers: range) -> None:
        for number in numbers:
            rocket.rotate(number).save(holiday / f"{number}.jpg")

    take(range(20))
    settings = ServerSettings(models=("starter",), database=tmp_path / "photos.db", roots=(holiday,))
    with serving(settings) as server, visiting(browser, server.address) as visit:
        page = visit.open().drawn().page
        expect(page.locator("#count")).to_contain_text("20 photographs")
        expect(page.locator("#progress")).to_be_hidden()
        take(range(20, 300))
        shutil.copy(folder / "broken.jpg", holiday)
        page.get_by_role("button", name="The index").click()
        page.get_by_role("button", name="Bring up to date").click()
        expect(page.locator("#progress")).to_be_visible()
        expect(page.locator("#count")).to_contain_text("300 photographs")
        expect(page.locator("#progress")).to_be_hidden()
        page.click("#show-failures")
        expect(page.locator("#failure-list li")).to_have_count(1)
        expect(page.locator("#failure-list li")).to_contain_text("broken.jpg")


def test_a_server_without_folders_says_how_to_give_one(browser: Browser, tmp_path: Path) -> None:
    settings = ServerSettings(models=("starter",), database=tmp_path / "photos.db")
    with serving(settings) as server, visiting(browser, server.address) as visit:
        expect(visit.open().page.locator("#instead")).to_contain_text("--root")


def test_a_server_with_keys_asks_for_one(browser: Browser, database: Path, tmp_path: Path) -> None:
    key = make_key(tmp_path / "keys", "page")
    settings = ServerSettings(models=("starter",), database=database, keys_file=tmp_path / "keys")
    with serving(settings) as server, visiting(browser, server.address) as visit:
        page = visit.open().page
        expect(page.locator("#key")).to_be_visible()
        assert visit.barriers() == ""
        page.fill("#key-field", "not a key")
        page.keyboard.press("Enter")
        expect(page.locator("#key-wrong")).not_to_be_empty()
        page.fill("#key-field", key)
        page.keyboard.press("Enter")
        visit.drawn()
        assert page.evaluate("document.cookie") == "", "no script can read it"
        page.reload()
        visit.drawn()
        expect(page.locator("#key")).to_be_hidden()


# Sizes and people


@pytest.mark.parametrize(
    ("window", "scale"), [(PHONE, 2), ({"width": 640, "height": 400}, 2)], ids=["phone", "zoomed to 200 %"]
)
def test_nothing_is_wider_than_the_window(browser: Browser, server: Serving, window: Any, scale: int) -> None:
    with visiting(browser, server.address, viewport=window, device_scale_factor=scale) as visit:
        page = visit.open("/?more=words:a+rather+long+text+that+a+chip+has+no+room+for+at+all&camera=o").drawn().page
        assert not visit.is_wider_than_window()
        page.click("#filter-button")
        assert not visit.is_wider_than_window()
        page.keyboard.press("Escape")
        page.click(".cell a >> nth=0")
        expect(page.locator("#alike a").first).to_be_visible()
        assert not visit.is_wider_than_window()
        page.click("#close")
        page.click("#to-classify")
        visit.bring("choose", SKIMAGE / "coffee.png", chooser="#classify-chooser")
        expect(page.locator(".card")).to_be_visible()
        assert not visit.is_wider_than_window()


def test_controls_are_large_enough_for_fingers(browser: Browser, server: Serving) -> None:
    with visiting(browser, server.address, viewport=PHONE, has_touch=True, is_mobile=True) as visit:
        page = visit.open("/?more=words:cat&camera=o").drawn().page
        small = page.locator("button:visible, a:visible, input:visible").evaluate_all(
            """all => all.map(control => [control.id || control.className, control.getBoundingClientRect()])
                .filter(([, box]) => Math.min(box.width, box.height) < 24).map(([name]) => name)"""
        )
        assert small == []


def newest(visit: Visit) -> None:
    visit.open().drawn()


def found(visit: Visit) -> None:
    visit.open("/?q=a+cat&less=words:dog&camera=Camera+One").drawn()


def filters(visit: Visit) -> None:
    visit.open().drawn().page.click("#filter-button")
    expect(visit.page.locator(".place").first).to_be_visible()


def large(visit: Visit) -> None:
    page = visit.open("/?q=a+cat").drawn().page
    page.click(".cell a >> nth=0")
    page.fill("#viewer-labels", "cat, dog")
    expect(page.locator("#viewer-bars li")).to_have_count(2)
    expect(page.locator("#alike a").first).to_be_visible()


def classified(visit: Visit) -> None:
    page = visit.open("/?view=classify").page
    page.fill("#labels", "cat, cup of coffee")
    visit.bring("choose", SKIMAGE / "coffee.png", chooser="#classify-chooser")
    expect(page.locator(".bars li")).to_have_count(2)


def library(visit: Visit) -> None:
    visit.open().drawn().page.get_by_role("button", name="The index").click()
    expect(visit.page.locator("#library-facts")).to_contain_text("Pictures")


def wrong(visit: Visit) -> None:
    visit.open("/?q=(cat").page.wait_for_selector("#instead h2")


def nothing(visit: Visit) -> None:
    visit.open("/?camera=none").page.wait_for_selector("#instead h2")


@pytest.mark.parametrize(
    ("state", "scheme", "window"),
    [
        *itertools.product(
            (newest, found, filters, large, classified, library, wrong, nothing), ("light", "dark"), (DESKTOP,)
        ),
        *itertools.product((found, filters, large, classified), ("light",), (PHONE,)),
    ],
    ids=lambda value: getattr(value, "__name__", value) if not isinstance(value, dict) else str(value["width"]),
)
def test_nobody_is_kept_out(
    browser: Browser, server: Serving, state: Callable[[Visit], None], scheme: str, window: Any
) -> None:
    with visiting(browser, server.address, color_scheme=scheme, viewport=window) as visit:
        state(visit)
        assert visit.barriers() == ""


def test_light_and_dark_can_be_chosen(visit: Visit) -> None:
    page = visit.open().drawn().page
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.click("#theme")
    dark = page.evaluate(ground)
    assert dark != light
    page.reload()
    assert page.evaluate(ground) == dark


# The page as it is sent


def test_the_first_load_is_small(browser: Browser, server: Serving) -> None:
    sizes: dict[str, int] = {}
    with visiting(browser, server.address) as visit:
        visit.page.on(
            "requestfinished",
            lambda request: sizes.update(
                {request.url: request.sizes()["responseBodySize"] + request.sizes()["responseHeadersSize"]}
            ),
        )
        visit.open().drawn().page.wait_for_load_state("networkidle")
        own = {url: size for url, size in sizes.items() if "/v1/" not in url}
        assert f"{server.address}/page/main.js" in own
        assert sum(own.values()) <= MOST_BYTES, own


def test_files_are_packed_for_those_who_can_unpack_them(server: Serving) -> None:
    packed = server.client.get("/page/main.js")
    plain = server.client.get("/page/main.js", headers={"Accept-Encoding": "identity"})
    assert (packed.headers["Content-Encoding"], packed.headers["Vary"]) == ("gzip", "Accept-Encoding")
    assert "Content-Encoding" not in plain.headers
    assert packed.text == plain.text
    assert packed.headers["ETag"] != plain.headers["ETag"]
    known = {"If-None-Match": packed.headers["ETag"]}
    assert server.client.get("/page/main.js", headers=known).status_code == 304


def test_the_pages_files_bind_the_browser_to_this_server(server: Serving) -> None:
    answer = server.client.get("/")
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"""(?:src|href)="(?:https?:)?//|<[^>]+\s(?:style|on\w+)=""", answer.text)


# Its pure parts


def in_page(visit: Visit, file: str, expression: str, *given: object) -> Any:
    """What an expression over a module of the page gives; the module is m, what is given is g."""
    return visit.page.evaluate(
        f"async given => {{ const g = JSON.parse(given), m = await import('/page/{file}'); return {expression}; }}",
        json.dumps(given),
    )


@pytest.mark.parametrize(
    ("text", "chips", "query"),
    [
        ("", [], ""),
        (" a dog ", [], "a dog"),
        ("a dog", [(1, "photo", "7"), (-1, "words", "sea")], 'a dog + photo:7 - "sea"'),
        ("", [(1, "upload", "picture-1"), (1, "words", 'an 8" wheel')], 'upload:picture-1 + "an 8"" wheel"'),
        ("", [(-1, "words", "sea"), (1, "words", "sand")], '"sand" - "sea"'),
        ("", [(-1, "words", "sea"), (-1, "photo", "3")], 'NOT "sea" AND NOT photo:3'),
        ("cat OR dog", [(1, "photo", "7"), (-1, "words", "sea")], '(cat OR dog) AND photo:7 - "sea"'),
        ("cat OR dog", [(-1, "words", "sea")], '(cat OR dog) AND NOT "sea"'),
        ('"cat OR dog"', [(-1, "words", "sea")], '"cat OR dog" - "sea"'),
        ("ANDROID", [(-1, "words", "sea")], 'ANDROID - "sea"'),
    ],
)
def test_box_and_chips_make_one_query(visit: Visit, text: str, chips: list[tuple[int, str, str]], query: str) -> None:
    given = [{"sign": sign, "kind": kind, "value": value} for sign, kind, value in chips]
    assert in_page(visit.open(), "query.js", "m.queryText(g[0], g[1])", text, given) == query


@pytest.mark.parametrize(
    ("text", "sign", "chips"),
    [
        ("a dog", 1, [(1, "words", "a dog")]),
        ("a dog", -1, [(-1, "words", "a dog")]),
        ("a dog + photo:12 - the sea", 1, [(1, "words", "a dog"), (1, "photo", "12"), (-1, "words", "the sea")]),
        ("Photo:7", -1, [(-1, "photo", "7")]),
        ('"an 8"" wheel"', 1, [(1, "words", 'an 8" wheel')]),
        ("cat AND dog", 1, None),
        ("(cat", 1, None),
        ("2:cat", 1, None),
        ("cat +", 1, None),
        ("", 1, None),
    ],
)
def test_what_is_typed_becomes_chips(
    visit: Visit, text: str, sign: int, chips: list[tuple[int, str, str]] | None
) -> None:
    made = in_page(visit.open(), "query.js", "m.chipsOf(g[0], g[1])", text, sign)
    assert (made and [tuple(chip.values()) for chip in made]) == chips


def test_an_address_says_all_that_was_asked_but_uploads(visit: Visit) -> None:
    asked: dict[str, Any] = {
        "view": "search",
        "text": "a & b + c",
        "chips": [{"sign": -1, "kind": "words", "value": "photo:3 ; ö"}, {"sign": 1, "kind": "photo", "value": "12"}],
        "filters": {
            "after": "2020-01-01",
            "before": "",
            "camera": "A,B",
            "match": "relevant",
            "near": {"latitude": -1.5, "longitude": 2, "kilometres": 0.5},
        },
        "unique": False,
        "photo": 5,
    }
    upload = {"sign": 1, "kind": "upload", "value": "picture-1"}
    visit.open()
    assert in_page(visit, "asked.js", "m.fromAddress(m.toAddress(g[0]))", asked) == asked
    assert "picture-1" not in in_page(visit, "asked.js", "m.toAddress(g[0])", {**asked, "chips": [upload]})


@pytest.mark.parametrize("width", [340, 1000, 2500])
def test_rows_are_filled_to_the_pixel_in_order(visit: Visit, width: int) -> None:
    shapes = [(1, 1), (4, 3), (3, 4), (16, 9), (10, 1), (1, 10), (3, 2)] * 9
    photos = [{"width": wide * 100, "height": tall * 100} for wide, tall in shapes]
    wish = {"width": width, "height": 190, "gap": 6, "all": True}
    rows = in_page(visit.open(), "justified.js", "m.justified(g[0], g[1])", photos, wish)
    assert [tile["index"] for row in rows for tile in row["tiles"]] == list(range(len(photos)))
    for row, below in itertools.pairwise(rows):
        assert row["tiles"][0]["left"] == 0
        assert row["tiles"][-1]["left"] + row["tiles"][-1]["width"] == width
        for tile, beside in itertools.pairwise(row["tiles"]):
            assert beside["left"] == tile["left"] + tile["width"] + 6
        assert below["top"] == row["top"] + row["height"] + 6
        assert 60 <= row["height"] <= 420
    partly = in_page(visit, "justified.js", "m.justified(g[0], g[1])", photos[:40], {**wish, "all": False})
    assert partly == rows[: len(partly)], "what is shown stays where it is when more come"
