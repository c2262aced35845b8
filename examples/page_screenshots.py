"""Pictures of the page for the documentation: docs/images/page-*.png.

The photographs are Caltech-101's test split (`make data` unpacks it) and those that scikit-image and scikit-learn carry
in their packages; dates, cameras and places are made up. Needs Chromium.
Run: python examples/page_screenshots.py [--data data] [--out docs/images]
"""

from __future__ import annotations

import argparse
import io
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow.parquet
import skimage
import sklearn
from PIL import Image, ImageEnhance
from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

import clipwright

SKIMAGE = Path(skimage.__file__).parent / "data"
SKLEARN = Path(sklearn.__file__).parent / "datasets" / "images"
LARGE = ("chelsea.png", "coffee.png", "rocket.jpg", "astronaut.png", "motorcycle_left.png", "hubble_deep_field.jpg")
CAMERAS = ("Canon EOS R6", "FUJIFILM X-T4", "Apple iPhone 13 Pro", "Google Pixel 7")
PLACES = ((52.52, 13.405), (48.208, 16.373), (41.903, 12.496), (35.676, 139.65), (64.147, -21.943))
OPTIONS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking")
DESKTOP = ViewportSize(width=1280, height=800)
PHONE = ViewportSize(width=360, height=720)
MOST_BYTES = 300_000


def make_photographs(data: Path, folder: Path) -> None:
    """Photographs as a person has them: with dates, cameras and places, and some taken twice."""
    chance = random.Random(7)
    rows = pyarrow.parquet.read_table(data / "caltech101" / "test.parquet").column("image").to_pylist()
    pictures = [Image.open(io.BytesIO(row["bytes"])) for row in rows]
    pictures += [Image.open(SKIMAGE / name) for name in LARGE]
    pictures += [Image.open(SKLEARN / name) for name in ("china.jpg", "flower.jpg")]
    chance.shuffle(pictures)
    for number, picture in enumerate(pictures):
        taken = datetime(2017, 1, 1) + timedelta(seconds=chance.randrange(8 * 365 * 86_400))
        camera, place = chance.choices(CAMERAS, (5, 3, 4, 2))[0], chance.choices((*PLACES, None), (6, 4, 3, 2, 1, 9))[0]
        for shot in range(1 + (chance.random() < 0.04) * chance.randint(1, 3)):
            seen = ImageEnhance.Brightness(picture.convert("RGB")).enhance(1 + 0.015 * shot)
            exif = exif_of(taken + timedelta(seconds=shot), camera, place)
            seen.save(folder / f"IMG_{2000 + 3 * number + shot}.jpg", quality=92, exif=exif)


def exif_of(taken: datetime, camera: str, place: tuple[float, float] | None) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0110] = camera
    exif.get_ifd(0x8769)[0x9003] = taken.strftime("%Y:%m:%d %H:%M:%S")
    if place:
        north, east = place
        angles = {2: (abs(north), 0.0, 0.0), 4: (abs(east), 0.0, 0.0)}
        exif.get_ifd(0x8825).update({1: "N" if north >= 0 else "S", 3: "E" if east >= 0 else "W", **angles})
    return exif


@contextmanager
def served(folder: Path, database: Path) -> Iterator[str]:
    """The address of a server over an index of a folder."""
    with clipwright.PhotoIndex.open(database) as photos:
        photos.update([folder], clipwright.load("starter"))
    command = [sys.executable, "-c", "from clipwright.cli import main; main()", "serve", "--port", "0"]
    process = subprocess.Popen(
        [*command, "--index", str(database), "--root", str(folder), "--no-update"], stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr is not None
        yield next(line.split()[1] for line in process.stderr if line.startswith("ready: "))
    finally:
        process.terminate()
        process.wait()


def at(page: Page, address: str) -> None:
    page.goto(address)
    page.wait_for_selector(".cell img")
    page.wait_for_timeout(1200)


def searching(words: str) -> Callable[[Page], None]:
    """Types this."""

    def search(page: Page) -> None:
        page.fill("#query", words)
        page.wait_for_timeout(1500)

    return search


def large(page: Page) -> None:
    searching("a cup of coffee")(page)
    finest = page.locator(".cell img").evaluate_all("all => all.findIndex(picture => picture.naturalWidth > 300)")
    page.locator(".cell a").nth(max(0, finest)).click()
    page.fill("#viewer-labels", "a cup of coffee, a bowl of soup, a clock, a wheel")
    page.wait_for_timeout(2500)


def combine(page: Page) -> None:
    searching("a sailing boat")(page)
    page.locator(".cell").nth(3).hover()
    page.locator(".cell").nth(3).locator(".pick").click()
    page.fill("#query", "sunset")
    page.click("#more")
    page.fill("#query", "an airplane")
    page.click("#less")
    page.click("#filter-button")
    page.wait_for_timeout(1200)
    page.fill("[name=after]", "2018-05-01")
    page.locator("[name=after]").blur()
    page.wait_for_timeout(1500)


def classify(page: Page) -> None:
    page.click("#to-classify")
    page.fill("#labels", "a cat, a cup of coffee, a rocket, a woman, a flower, a motorcycle")
    names = ("chelsea.png", "coffee.png", "rocket.jpg", "astronaut.png", "motorcycle_left.png")
    page.set_input_files("#classify-chooser", [SKIMAGE / name for name in names] + [SKLEARN / "flower.jpg"])
    page.wait_for_timeout(3000)


def phone_photo(page: Page) -> None:
    searching("a cup of coffee")(page)
    finest = page.locator(".cell img").evaluate_all("all => all.findIndex(picture => picture.naturalWidth > 300)")
    page.locator(".cell a").nth(max(0, finest)).click()
    page.wait_for_timeout(1500)


def shot(
    browser: Browser, address: str, state: Callable[[Page], None], scheme: str, window: ViewportSize
) -> Image.Image:
    """What the page looks like in a state."""
    options = {"has_touch": True, "is_mobile": True, "device_scale_factor": 2} if window == PHONE else {}
    context = browser.new_context(viewport=window, color_scheme=scheme, **options)  # type: ignore[arg-type]
    page = context.new_page()
    at(page, address)
    state(page)
    taken = Image.open(io.BytesIO(page.screenshot()))
    context.close()
    return taken.convert("RGB")


def beside(pictures: list[Image.Image]) -> Image.Image:
    """Pictures of telephones in a row."""
    gap, height = 40, pictures[0].height
    row = Image.new("RGB", (sum(picture.width + gap for picture in pictures) - gap, height), "white")
    left = 0
    for picture in pictures:
        row.paste(picture, (left, 0))
        left += picture.width + gap
    return row


def save(picture: Image.Image, path: Path) -> None:
    """As a PNG of few colours, made smaller until it is small enough."""
    width = min(picture.width, 1100)
    while True:
        small = picture.resize((width, round(picture.height * width / picture.width)), Image.Resampling.LANCZOS)
        small.quantize(256, kmeans=2).save(path, optimize=True)
        if path.stat().st_size <= MOST_BYTES:
            print(f"{path}: {small.width} x {small.height}, {path.stat().st_size:,} bytes")
            return
        width -= 40


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as kept, sync_playwright() as playwright:
        folder = Path(kept) / "Photographs"
        folder.mkdir()
        make_photographs(options.data, folder)
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=list(OPTIONS))
        with served(folder, Path(kept) / "photos.db") as address:
            for name, state, scheme in (
                ("search", searching("a flamingo"), "light"),
                ("photo", large, "light"),
                ("combine", combine, "dark"),
                ("classify", classify, "light"),
            ):
                save(shot(browser, address, state, scheme, DESKTOP), options.out / f"page-{name}.png")
            states: tuple[tuple[Callable[[Page], None], str], ...] = (
                (searching("a sunflower"), "light"),
                (phone_photo, "light"),
                (searching("a boat with sails"), "dark"),
            )
            phones = [shot(browser, address, state, scheme, PHONE) for state, scheme in states]
            save(beside(phones), options.out / "page-phone.png")
        browser.close()


if __name__ == "__main__":
    main()
