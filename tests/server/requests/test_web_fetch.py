"""Fetching what strangers name."""

from __future__ import annotations

import asyncio
import contextlib
import http.server
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from ipaddress import ip_address
from typing import Any

import pytest

from clipwright.server.requests.public_addresses import IPAddress
from clipwright.server.requests.web_fetch import Allowance, FetchError, WebAddress, WebFetcher, is_allowed_by_default
from clipwright.server.settings import Limits
from tests.support import DATA

PICTURE = b"\x89PNG as far as this test goes"
LIMITS = Limits(picture_bytes=1000)
LOOPBACK = ip_address("127.0.0.1")
Handle = Callable[[http.server.BaseHTTPRequestHandler], object]


def answer(
    request: http.server.BaseHTTPRequestHandler, status: int = 200, body: bytes = PICTURE, **headers: str
) -> None:
    request.send_response(status)
    for name, value in {"content_type": "image/png", "content_length": str(len(body)), **headers}.items():
        if value:
            request.send_header(name.replace("_", "-"), value)
    request.end_headers()
    request.wfile.write(body)


class Site:
    """A web server on this machine; what it answers stands in handle."""

    def __init__(self, handle: Handle = answer, tls: ssl.SSLContext | None = None) -> None:
        self.handle, self.asked = handle, list[tuple[str, dict[str, str]]]()
        self.connections = 0
        site = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def setup(self) -> None:
                site.connections += 1
                super().setup()

            def do_GET(self) -> None:
                site.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
                with contextlib.suppress(ConnectionError):
                    site.handle(self)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = False
        if tls is not None:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]

    def url(self, path: str = "/a.png", host: str = "pictures.example") -> str:
        return f"http://{host}:{self.port}{path}"


@contextlib.contextmanager
def running(site: Site) -> Iterator[Site]:
    thread = threading.Thread(target=site.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield site
    finally:
        site.server.shutdown()
        thread.join()
        site.server.server_close()


@pytest.fixture
def site() -> Iterator[Site]:
    with running(Site()) as site:
        yield site


class Names:
    """A resolver: what each name stands for, one list after the other, the last one for good."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers, self.asked = list(answers), list[str]()

    async def __call__(self, name: str) -> Sequence[IPAddress]:
        self.asked.append(name)
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if not found:
            raise OSError("no such name")
        return [ip_address(address) for address in found]


def fetch(
    url: str, *ports: int, names: Names | None = None, limits: Limits = LIMITS, allowance: int = 10_000, **options: Any
) -> bytes:
    """With an allow-list of 127.0.0.1, in place of the internet."""

    async def run() -> bytes:
        options.setdefault("is_allowed", lambda address: address == LOOPBACK)
        fetcher = WebFetcher(limits, resolve=names or Names(["127.0.0.1"]), ports=ports or (80, 443), **options)
        return await fetcher.fetch(url, Allowance(allowance))

    return asyncio.run(run())


def refusal(*arguments: Any, **options: Any) -> tuple[str, str]:
    with pytest.raises(FetchError) as raised:
        fetch(*arguments, **options)
    return raised.value.code, str(raised.value)


# what is fetched


def test_a_picture_is_fetched_from_the_address_that_its_name_stands_for(site: Site) -> None:
    names = Names(["127.0.0.1"])
    assert fetch(site.url("/a.png?size=2#top"), site.port, names=names) == PICTURE
    ((path, headers),) = site.asked
    assert path == "/a.png?size=2"
    assert headers["host"] == f"pictures.example:{site.port}"
    assert names.asked == ["pictures.example"]


def test_nothing_is_told_but_who_asks(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    fetch(site.url(), site.port)
    ((_, headers),) = site.asked
    assert set(headers) == {"host", "user-agent", "accept", "accept-encoding", "connection"}
    assert headers["accept-encoding"] == "identity"


def test_cookies_are_not_kept(site: Site) -> None:
    def handle(request: http.server.BaseHTTPRequestHandler) -> None:
        answer(request, 302 if request.path == "/a" else 200, location="/b", set_cookie="a=b")

    site.handle = handle
    assert fetch(site.url("/a"), site.port) == PICTURE
    assert "cookie" not in site.asked[1][1]


def test_an_unnamed_type_of_bytes_is_taken(site: Site) -> None:
    site.handle = lambda request: answer(request, content_type="application/octet-stream")
    assert fetch(site.url(), site.port) == PICTURE


def test_the_certificate_is_that_of_the_name_while_the_connection_goes_to_the_address() -> None:
    folder = DATA / "tls"
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    trusted = ssl.create_default_context(cafile=folder / "certificate.pem")
    with running(Site(tls=served)) as site:
        secure = site.url().replace("http", "https")
        assert fetch(secure, site.port, tls=trusted) == PICTURE
        assert refusal(secure.replace("pictures", "others"), site.port, tls=trusted)[0] == "url_failed"
        assert refusal(secure, site.port)[0] == "url_failed"  # by the certificates that all trust
    assert len(site.asked) == 1


# addresses that are refused before anything is asked

REFUSED = [
    "ftp://pictures.example/a.png",
    "file:///etc/passwd",
    "gopher://pictures.example/",
    "javascript:alert(1)",
    "//pictures.example/a.png",
    "http:/pictures.example/a.png",
    "http://",
    "http:///a.png",
    "http://user@pictures.example/a.png",
    "http://user:word@pictures.example/a.png",
    "http://pictures.example@127.0.0.1/a.png",
    "http://127.0.0.1\\@pictures.example/a.png",
    "http://pictures.example\\.127.0.0.1/",
    "http://pictures.example/a b.png",
    "http://pictures.example/a\r\nHost: other.example",
    "http://pictures.example/\x00",
    "\thttp://pictures.example/",
    "http://pictures.example:0x50/",
    "http://pictures.example:99999999/",
    "http://pictures.example:/a.png",
    "http://pictures.example:-80/",
    "http://localhost/",
    "http://localhost./",
    "http://intranet/",
    "http://pictures.example./",
    "http://pictures..example/",
    "http://.example/",
    "http://-a.example/",
    "http://%31%32%37.0.0.1/",
    "http://pictures.example%2f@127.0.0.1/",
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0x7f.0.0.1/",
    "http://0177.0.0.1/",
    "http://127.1/",
    "http://127.0.1/",
    "http://0/",
    "http://127.0.0.1./",
    "http://127.0.0.0x1/",
    "http://127.0.0.01/",
    "http://1.1.1.256/",
    "http://[::1/",
    "http://[fe80::1%25eth0]/",
    "http://[v1.x]/",
    "http://[1.1.1.1]/",
    "http://①②⑦.⓪.⓪.①/",
    "http://ⓛocalhost.example/",
    "http://127。0。0。1/",
    "http://bücher.example/",
    "http://" + "a" * 64 + ".example/",
    "http://" + "a." * 127 + "example/",
    "http://pictures.example/" + "a" * 3000,
]


@pytest.mark.parametrize("url", REFUSED, ids=lambda url: ascii(url)[:60])
def test_an_odd_address_is_refused_without_a_look_up(url: str) -> None:
    names = Names(["127.0.0.1"])
    assert refusal(url, names=names)[0] == "url_refused"
    assert names.asked == []


@pytest.mark.parametrize("port", [22, 25, 6379, 8080, 0, 65536])
def test_ports_other_than_the_webs_are_refused_without_a_look_up(port: int) -> None:
    names = Names(["127.0.0.1"])
    code, message = refusal(f"http://pictures.example:{port}/a.png", names=names)
    assert code == "url_refused"
    assert str(port) in message
    assert names.asked == []


def test_an_address_is_read_as_the_web_reads_it() -> None:
    assert WebAddress.parse("HTTP://Pictures.Example") == WebAddress("http", "pictures.example", 80, "/")
    assert WebAddress.parse("https://[2A00:0::1]:443?a") == WebAddress("https", "2a00::1", 443, "/?a")
    assert WebAddress.parse("https://[2a00::1]/").authority == "[2a00::1]"


# addresses that are refused before a connection


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "10.0.0.1", "169.254.169.254", "0.0.0.0", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::]"],
)
def test_an_address_in_numbers_that_is_not_public_is_refused(site: Site, host: str) -> None:
    names = Names(["127.0.0.1"])
    url = f"http://{host}:{site.port}/a.png"
    assert refusal(url, site.port, names=names, is_allowed=is_allowed_by_default)[0] == "url_refused"
    assert names.asked == []
    assert site.connections == 0


def test_a_name_that_stands_for_this_machine_is_refused_without_connecting(site: Site) -> None:
    code, message = refusal(site.url(), site.port, is_allowed=is_allowed_by_default)
    assert code == "url_refused"
    assert "127.0.0.1" not in message  # who asks learns nothing of the network here
    assert site.connections == 0


@pytest.mark.parametrize("addresses", [["127.0.0.1", "10.0.0.1"], ["10.0.0.1", "127.0.0.1"], ["127.0.0.1", "::1"]])
def test_one_address_that_is_not_allowed_spoils_all_of_a_name(site: Site, addresses: list[str]) -> None:
    assert refusal(site.url(), site.port, names=Names(addresses))[0] == "url_refused"
    assert site.connections == 0


def test_the_name_is_looked_up_once_so_that_a_second_answer_changes_nothing(site: Site) -> None:
    names = Names(["127.0.0.1"], ["10.0.0.1"])
    assert fetch(site.url(), site.port, names=names) == PICTURE
    assert names.asked == ["pictures.example"]


def test_a_name_that_answers_otherwise_after_a_redirect_is_refused(site: Site) -> None:
    site.handle = lambda request: answer(request, 302, location="/b")
    names = Names(["127.0.0.1"], ["169.254.169.254"])
    assert refusal(site.url("/a"), site.port, names=names)[0] == "url_refused"
    assert [path for path, _ in site.asked] == ["/a"]


def test_a_name_that_is_not_known_is_said_to_be_so() -> None:
    assert refusal("http://pictures.example/", names=Names([])) == ("url_failed", "its name is not known")


# redirects


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_followed(site: Site, status: int) -> None:
    site.handle = lambda request: answer(request, status if request.path == "/a" else 200, location="b")
    assert fetch(site.url("/a"), site.port) == PICTURE
    assert [path for path, _ in site.asked] == ["/a", "/b"]


def test_three_redirects_are_followed_and_no_more(site: Site) -> None:
    def handle(request: http.server.BaseHTTPRequestHandler) -> None:
        left = int(request.path[1:])
        answer(request, 302 if left else 200, location=f"/{left - 1}")

    site.handle = handle
    assert fetch(site.url("/3"), site.port) == PICTURE
    assert refusal(site.url("/4"), site.port) == ("url_failed", "it redirects more than 3 times")


@pytest.mark.parametrize(
    "location",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://[::1]/",
        "http://2130706433/",
        "//10.0.0.1/",
        "http://localhost/",
        "file:///etc/passwd",
        "ftp://pictures.example/",
        "http://pictures.example:6379/",
        "http://user:word@pictures.example/",
        "http://[::ffff:127.0.0.1]/",
        "\\\\127.0.0.1\\a",
    ],
)
def test_a_redirect_to_where_nobody_may_go_is_refused_there(site: Site, location: str) -> None:
    site.handle = lambda request: answer(request, 302, location=location)
    assert refusal(site.url("/a"), site.port, 80, 443)[0] == "url_refused"
    assert len(site.asked) == 1


def test_a_redirect_from_https_to_http_is_refused() -> None:
    with pytest.raises(FetchError, match="https to http"):
        WebAddress.parse("https://pictures.example/a").next("http://pictures.example/a")


def test_a_redirect_to_nowhere_is_a_failure(site: Site) -> None:
    site.handle = lambda request: answer(request, 302)
    assert refusal(site.url(), site.port) == ("url_failed", "it answers with status 302")


# answers


@pytest.mark.parametrize("status", [201, 204, 206, 300, 304, 400, 404, 500])
def test_an_answer_without_a_picture_is_a_failure_with_its_status(site: Site, status: int) -> None:
    site.handle = lambda request: answer(request, status, body=b"" if status in (204, 304) else PICTURE)
    assert refusal(site.url(), site.port) == ("url_failed", f"it answers with status {status}")


@pytest.mark.parametrize("kind", ["text/html", "application/json", "", "video/mp4; image/png"])
def test_what_is_not_said_to_be_a_picture_is_a_failure(site: Site, kind: str) -> None:
    site.handle = lambda request: answer(request, content_type=kind)
    assert refusal(site.url(), site.port) == ("url_failed", "its answer is no picture, by its Content-Type")


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "identity, gzip"])
def test_compressed_answers_are_failures(site: Site, encoding: str) -> None:
    site.handle = lambda request: answer(request, content_encoding=encoding)
    assert refusal(site.url(), site.port)[0] == "url_failed"


def test_a_picture_that_says_it_is_too_large_is_not_read(site: Site) -> None:
    def handle(request: http.server.BaseHTTPRequestHandler) -> None:
        answer(request, body=b"", content_length="1001")

    site.handle = handle
    assert refusal(site.url(), site.port) == ("too_large", "the picture has more than 1,000 bytes")


def test_a_picture_that_does_not_say_its_size_is_counted(site: Site) -> None:
    site.handle = lambda request: answer(request, body=b"x" * 1001, content_length="")
    assert refusal(site.url(), site.port)[0] == "too_large"
    site.handle = lambda request: answer(request, body=b"x" * 1000, content_length="")
    assert fetch(site.url(), site.port) == b"x" * 1000


def test_a_stream_without_end_is_cut(site: Site) -> None:
    def handle(request: http.server.BaseHTTPRequestHandler) -> None:
        answer(request, body=b"", content_length="")
        while True:
            request.wfile.write(b"x" * 65536)

    site.handle = handle
    assert refusal(site.url(), site.port)[0] == "too_large"


def test_the_pictures_of_one_request_share_an_allowance(site: Site) -> None:
    code, message = refusal(site.url(), site.port, allowance=10)
    assert (code, message) == ("too_large", "the pictures of this request have more than 10 bytes together")


def test_an_answer_that_breaks_off_is_a_failure(site: Site) -> None:
    site.handle = lambda request: answer(request, content_length="500")
    assert refusal(site.url(), site.port)[0] == "url_failed"


def test_an_answer_that_is_not_http_is_a_failure(site: Site) -> None:
    site.handle = lambda request: request.wfile.write(b"SSH-2.0-OpenSSH_9.6\r\n")
    assert refusal(site.url(), site.port)[0] == "url_failed"


def test_headers_without_end_are_a_failure(site: Site) -> None:
    def handle(request: http.server.BaseHTTPRequestHandler) -> None:
        request.wfile.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            request.wfile.write(b"X-Filler: " + b"x" * 8000 + b"\r\n")

    site.handle = handle
    assert refusal(site.url(), site.port)[0] == "url_failed"


def test_a_site_that_answers_byte_by_byte_is_given_up(site: Site) -> None:
    stop = threading.Event()

    def handle(request: http.server.BaseHTTPRequestHandler) -> None:
        answer(request, body=b"", content_length="900")
        while not stop.wait(0.05):
            request.wfile.write(b"x")

    site.handle = handle
    try:
        assert refusal(site.url(), site.port, seconds=0.3)[0] == "url_failed"
    finally:
        stop.set()


def test_a_name_that_is_never_resolved_is_given_up() -> None:
    async def never(_: str) -> Sequence[IPAddress]:
        await asyncio.Event().wait()
        return []

    code, message = refusal("http://pictures.example/", names=never, seconds=0.1)
    assert (code, message) == ("url_failed", "it did not answer within 0.1 seconds")


def test_a_port_that_nothing_listens_at_is_a_failure(site: Site) -> None:
    site.server.shutdown()
    site.server.server_close()
    assert refusal(site.url(), site.port)[0] == "url_failed"


def test_several_pictures_are_fetched_at_once(site: Site) -> None:
    together = threading.Barrier(4, timeout=60)

    def handle(request: http.server.BaseHTTPRequestHandler) -> None:
        together.wait()
        answer(request)

    site.handle = handle

    async def run() -> list[bytes]:
        fetcher = WebFetcher(
            LIMITS, resolve=Names(["127.0.0.1"]), is_allowed=lambda address: address == LOOPBACK, ports=[site.port]
        )
        allowance = Allowance(10_000)
        return await asyncio.gather(*(fetcher.fetch(site.url(), allowance) for _ in range(4)))

    assert asyncio.run(run()) == [PICTURE] * 4
