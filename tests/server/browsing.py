"""The page in headless Chromium, for tests: pages that tell of everything that goes wrong in them."""

from __future__ import annotations

import base64
import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, ViewportSize, expect, sync_playwright

CHROMIUM_OPTIONS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
DESKTOP = ViewportSize(width=1280, height=800)
PHONE = ViewportSize(width=360, height=740)

expect.set_options(timeout=60_000)


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, headless."""
    found = shutil.which("chromium")
    assert found, "these tests need chromium; 'make test-slow' installs it"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(CHROMIUM_OPTIONS))
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Visit:
    """A page, open, and what happened in it."""

    page: Page
    address: str
    errors: list[str] = field(default_factory=list)
    """Of scripts, and what the browser refused because of the page's policy."""
    addresses: list[str] = field(default_factory=list)
    """All that were asked for."""

    @property
    def foreign(self) -> list[str]:
        """Addresses of other hosts."""
        own = (self.address + "/", "blob:", "data:")
        return [address for address in self.addresses if not address.startswith(own)]

    def open(self, path: str = "/") -> Visit:
        self.page.goto(self.address + path)
        return self

    def drawn(self) -> Visit:
        """Itself, once the first photographs can be seen."""
        return self.until(
            "[...document.querySelectorAll('.cell img')].slice(0, 3).some(img => img.complete && img.naturalWidth)"
        )

    def until(self, condition: str) -> Visit:
        """Itself, once this is true in the page. (playwright's own way is an eval, which the page's policy forbids.)"""
        for _ in range(1200):
            if self.page.evaluate(condition):
                return self
            self.page.wait_for_timeout(50)
        raise AssertionError(f"never came true: {condition}")

    def names(self) -> list[str]:
        """Of the photographs in the grid, best first."""
        alternatives = self.page.locator(".cell img").evaluate_all("all => all.map(img => img.alt)")
        return [str(text).split(",")[0] for text in alternatives]

    def search(self, text: str) -> Visit:
        """Types into the box, as a person does, and waits for the answer to the whole of it."""
        self.page.locator("#query").fill("")
        with self.page.expect_response(lambda answer: (answer.request.post_data_json or {}).get("query") == text):
            self.page.locator("#query").press_sequentially(text, delay=20)
        return self

    def bring(self, how: Literal["drop", "paste", "choose"], *files: Path, chooser: str = "#chooser") -> Visit:
        """Brings pictures to the page in one of three ways."""
        if how == "choose":
            self.page.set_input_files(chooser, list(files))
            return self
        contents = [[path.name, base64.b64encode(path.read_bytes()).decode()] for path in files]
        self.page.evaluate(
            """([how, contents]) => {
                const carried = new DataTransfer();
                for (const [name, content] of contents) {
                    const bytes = Uint8Array.from(atob(content), letter => letter.charCodeAt(0));
                    const type = name.endsWith("png") ? "image/png" : "image/jpeg";
                    carried.items.add(new File([bytes], name, { type }));
                }
                const event = { bubbles: true, cancelable: true };
                if (how === "paste") {
                    document.body.dispatchEvent(new ClipboardEvent("paste", { ...event, clipboardData: carried }));
                } else {
                    for (const name of ["dragenter", "dragover", "drop"])
                        document.body.dispatchEvent(new DragEvent(name, { ...event, dataTransfer: carried }));
                }
            }""",
            [how, contents],
        )
        return self

    def barriers(self) -> str:
        """What axe-core finds that keeps somebody out, as text; empty where it finds nothing."""
        found: Any = Axe().run(self.page)
        return str(found.generate_report()) if found.violations_count else ""

    def is_wider_than_window(self) -> bool:
        return bool(
            self.page.evaluate(
                """() => [document.scrollingElement, ...document.querySelectorAll("dialog[open], .panel:popover-open")]
                    .some(part => part.scrollWidth > part.clientWidth)"""
            )
        )


@contextlib.contextmanager
def visiting(browser: Browser, address: str, **options: Any) -> Iterator[Visit]:
    """A visitor of a server, without a past. In the end, nothing may have gone wrong in the page, and no other host
    may have been asked. options are those of playwright's new_context."""
    context = browser.new_context(**{"viewport": DESKTOP, **options})
    page = context.new_page()
    page.set_default_timeout(60_000)
    visit = Visit(page, address)
    page.on("pageerror", lambda error: visit.errors.append(str(error)))
    page.on(
        "console",
        lambda message: (
            visit.errors.append(message.text)
            if message.type == "error" and "Failed to load resource" not in message.text
            else None
        ),
    )
    page.on("request", lambda request: visit.addresses.append(request.url))
    try:
        yield visit
        assert visit.errors == []
        assert visit.foreign == []
    finally:
        context.close()
