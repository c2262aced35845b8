"""How long from a key press to the first photographs on screen, in a real browser?

Headless Chromium on the page of a server over a large collection (made_up_collection.py's, with thumbnails; it is made
if it is not there). Phrases are typed as a person types, with pauses that vary; every key counts from the moment of
the browser's own keydown event to the animation frame after the whole first row of the answer to the text with that
key is in the document, loaded and decoded. A key whose answer the next key made needless has no time, and is counted.
Run: python benchmarks/page_latency.py [--folder /var/tmp/cw-serve-100k] [--pause 200]
"""

from __future__ import annotations

import argparse
import random
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

from machine import describe
from running_servers import clipwright_server
from serving_search import ensure_collection, spread

CHROMIUM = "/usr/bin/chromium"
OPTIONS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking")
PHRASES = (
    "two dogs on the beach",
    "a red car",
    "children playing football",
    "snow on the mountains",
    "a boat at sunset",
    "birthday cake",
)
WARM_UP = "a cat in the"
WATCH = """
(() => {
    const keys = (window.keys = []);
    const answers = new Map();
    const ask = window.fetch;
    window.fetch = async (address, request) => {
        const answer = await ask(address, request);
        if (address === "/v1/search" && answer.ok) {
            const { data } = await answer.clone().json();
            answers.set(JSON.parse(request.body).query, { at: performance.now(), ids: data.map(hit => hit.id) });
        }
        return answer;
    };
    const idOf = cell => Number(new URL(cell.querySelector("a").href).searchParams.get("photo"));
    const drawn = text => {
        const ids = answers.get(text)?.ids;
        const row = [...(document.querySelector("#grid .row")?.querySelectorAll(".cell") ?? [])];
        if (!ids || !row.length || row.some((cell, place) => idOf(cell) !== ids[place])) return null;
        const pictures = row.map(cell => cell.querySelector("img"));
        return pictures.every(picture => picture.complete && picture.naturalWidth) && pictures;
    };
    const follow = async key => {
        while (key.drawn === null && document.querySelector("#query").value.trim() === key.text) {
            await new Promise(requestAnimationFrame);
            const pictures = drawn(key.text);
            if (!pictures) continue;
            await Promise.all(pictures.map(picture => picture.decode()));
            key.answered = answers.get(key.text).at;
            key.drawn = await new Promise(requestAnimationFrame);
        }
    };
    addEventListener("keydown", event => {
        if (event.key.length !== 1) return;
        const start = event.timeStamp;
        addEventListener("input", () => {
            const key = { text: document.querySelector("#query").value.trim(), start, answered: null, drawn: null };
            if (keys.at(-1)?.text !== key.text) { // a space changes nothing
                keys.push(key);
                follow(key);
            }
        }, { once: true });
    }, { capture: true });
})();
"""


def type_phrase(page: Page, phrase: str, pause: int, pauses: random.Random) -> list[dict[str, Any]]:
    """What became of each key."""
    page.fill("#query", "")
    page.wait_for_timeout(800)
    page.evaluate("window.keys.length = 0")
    page.focus("#query")
    for letter in phrase:
        page.keyboard.press("Space" if letter == " " else letter)
        page.wait_for_timeout(pause * pauses.lognormvariate(0, 0.3))
    page.wait_for_timeout(1500)
    return list(page.evaluate("window.keys"))


def report(keys: Sequence[dict[str, Any]]) -> None:
    shown = [key for key in keys if key["drawn"] is not None]
    whole = [(key["drawn"] - key["start"]) / 1000 for key in shown]
    answered = [(key["answered"] - key["start"]) / 1000 for key in shown]
    after = [(key["drawn"] - key["answered"]) / 1000 for key in shown]
    print("| key press to | median, 95th percentile, ms |\n|---|---|")
    print(f"| the answer in the page | {spread(answered)} |")
    print(f"| from there, the first row drawn | {spread(after)} |")
    print(f"| **the first row drawn, in all** | **{spread(whole)}** |")
    within = statistics.mean(seconds <= 0.150 for seconds in whole)
    print(
        f"\n{len(keys)} keys that changed what was asked; {len(shown)} had their photographs drawn before the next"
        f" one, {within:.0%} of them within 150 ms."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, default=Path("/var/tmp/cw-serve-100k"))
    parser.add_argument("--model", default="starter")
    parser.add_argument("--pause", type=int, default=200, help="Milliseconds between keys, in the median.")
    parser.add_argument("--port", type=int, default=8501)
    options = parser.parse_args()
    database = ensure_collection(options.folder, options.rows, options.model)
    pauses = random.Random(12)
    with (
        clipwright_server(options.model, options.port, ["--no-update"], database=database),
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(OPTIONS))
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.add_init_script(WATCH)
        page.goto(f"http://127.0.0.1:{options.port}/")
        page.wait_for_selector(".cell")
        type_phrase(page, WARM_UP, options.pause, pauses)
        keys = [key for phrase in PHRASES for key in type_phrase(page, phrase, options.pause, pauses)]
        print(f"# From a key press to photographs on screen, among {options.rows:,}\n\n{describe()}")
        print(f"- Chromium {browser.version}, headless, 1280 x 800, loopback; server and browser on the same cores")
        print(f"- model {options.model}; {options.pause} ms between keys in the median\n")
        report(keys)
        browser.close()


if __name__ == "__main__":
    main()
