"""Fetching a picture from an address, against a server on this machine."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from clipwright.errors import ImageError
from clipwright.inputs import web_pictures
from clipwright.inputs.web_pictures import fetch_picture


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/cat.jpg":
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"bytes of a picture")
        elif self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "file:///etc/hostname")
            self.end_headers()
        else:
            self.send_error(404)

    def log_message(self, *message: object) -> None:
        """Says nothing."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_what_lies_at_an_address_comes_back(address: str) -> None:
    assert fetch_picture(f"{address}/cat.jpg") == b"bytes of a picture"


def test_what_is_not_there_is_missing(address: str) -> None:
    with pytest.raises(ImageError, match="404") as caught:
        fetch_picture(f"{address}/lost.jpg")
    assert caught.value.code == "missing"


def test_an_address_does_not_lead_to_a_file_of_this_machine(address: str) -> None:
    for url in (f"{address}/moved", "file:///etc/hostname"):
        with pytest.raises(ImageError):
            fetch_picture(url)


def test_a_server_that_does_not_answer_is_said() -> None:
    with pytest.raises(ImageError, match="cannot be fetched"):
        fetch_picture("http://127.0.0.1:1/cat.jpg")
    with pytest.raises(ImageError):
        fetch_picture("http://[broken/cat.jpg")


def test_a_file_beyond_the_limit_is_refused(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_pictures, "MAX_BYTES", 5)
    with pytest.raises(ImageError) as caught:
        fetch_picture(f"{address}/cat.jpg")
    assert caught.value.code == "too_large"
