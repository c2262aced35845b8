"""What nobody means well with: each kind is made anew, with another length or number, and says what may come back."""

from __future__ import annotations

import base64
import io
import itertools
import json
import random
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from PIL import Image

from http_exchange import BOUNDARY, Leave, form, request_bytes
from serving_inputs import jpegs

REFUSED = frozenset((*range(400, 500), 503))
ANYHOW = REFUSED | {200}
"""For what may be carried out after all: a search for brackets, say."""


@dataclass(frozen=True, kw_only=True)
class Attack:
    """One request."""

    kind: str
    steps: Iterable[tuple[bytes, float]]
    """Bytes, and the pause before them in seconds."""
    allowed: frozenset[int] = REFUSED
    may_close: bool = False
    """Whether ending the connection without a word is an answer: to what is no HTTP, or never ends."""
    leave: Leave | None = None
    hold: float = 0.0
    """Seconds for which the answer is left lying."""


Kind = Callable[[random.Random, int], Attack]
"""Of a source of chance and the server's port."""


def attacks(generator: random.Random, port: int) -> Iterator[Attack]:
    """Without end; every kind comes once before one comes again."""
    while True:
        for kind in generator.sample(KINDS, len(KINDS)):
            yield kind(generator, port)


def _post(port: int, path: str, content: object, **headers: str) -> bytes:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return request_bytes("POST", path, port, body, headers)


def _uri(picture: bytes, media: str = "image/jpeg") -> str:
    return f"data:{media};base64,{base64.b64encode(picture).decode()}"


def _picture(kind: str, make: Callable[[random.Random], bytes], allowed: frozenset[int] = REFUSED) -> Kind:
    """A kind that is a bad picture: as JSON or as an upload, to one of three routes."""

    def attack(generator: random.Random, port: int) -> Attack:
        picture = make(generator)
        way = generator.randrange(4)
        if way == 0:
            request = _post(port, "/v1/embeddings", {"input": _uri(picture)})
        elif way == 1:
            request = _post(port, "/v1/classify", {"images": [_uri(picture)], "labels": ["a cat", "a dog"]})
        elif way == 2:
            request = _post(port, "/v1/similarity", {"images": [_uri(picture)], "texts": ["a cat"]})
        else:
            body, header = form([("input", "../../etc/x.jpg", picture)])
            request = request_bytes("POST", "/v1/embeddings", port, body, header)
        return Attack(kind=kind, steps=[(request, 0)], allowed=allowed)

    return attack


def _json(kind: str, path: str, *contents: object, allowed: frozenset[int] = REFUSED) -> Kind:
    """A kind that is one of these bodies."""

    def attack(generator: random.Random, port: int) -> Attack:
        return Attack(kind=kind, steps=[(_post(port, path, generator.choice(contents)), 0)], allowed=allowed)

    return attack


def _raw(kind: str, *requests: bytes, may_close: bool = False, allowed: frozenset[int] = REFUSED) -> Kind:
    """A kind that is one of these requests, in which PORT stands for the port."""

    def attack(generator: random.Random, port: int) -> Attack:
        request = generator.choice(requests).replace(b"PORT", str(port).encode())
        return Attack(kind=kind, steps=[(request, 0)], allowed=allowed, may_close=may_close)

    return attack


def _truncated(generator: random.Random) -> bytes:
    whole = jpegs(1, 224, generator.randrange(1000))[0]
    return whole[: generator.randrange(4, len(whole) // 2)]


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png_bomb(side: int = 60_000) -> bytes:
    """Says that it is side x side, and holds a kilobyte of them."""
    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", head)
        + _chunk(b"IDAT", zlib.compress(bytes(10**6)))
        + _chunk(b"IEND", b"")
    )


def _gif_bomb(_: random.Random) -> bytes:
    file = io.BytesIO()
    Image.new("P", (8, 8)).save(file, "GIF")
    whole = bytearray(file.getvalue())
    whole[6:10] = struct.pack("<HH", 65_535, 65_535)
    return bytes(whole)


def _jpeg_bomb(_: random.Random) -> bytes:
    whole = bytearray(jpegs(1)[0])
    at = whole.index(b"\xff\xc0")
    whole[at + 5 : at + 9] = struct.pack(">HH", 65_500, 65_500)
    return bytes(whole)


def _webp_bomb(_: random.Random) -> bytes:
    sides = 16_383 | (16_383 << 14)
    content = b"\x2f" + struct.pack("<I", sides) + bytes(40)
    body = b"WEBPVP8L" + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _tiff_bomb(_: random.Random) -> bytes:
    tags = [(256, 4, 1, 200_000), (257, 4, 1, 200_000), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)]
    tags += [(273, 4, 1, 200), (277, 3, 1, 1), (278, 4, 1, 200_000), (279, 4, 1, 64)]
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + bytes(200)


def _noise(generator: random.Random) -> bytes:
    return generator.randbytes(generator.randrange(1, 50_000))


def _noise_in_jpeg(generator: random.Random) -> bytes:
    """A JPEG with some bytes changed; a decoder may well find a picture in it."""
    whole = bytearray(jpegs(1, 224, generator.randrange(1000))[0])
    for _ in range(generator.randrange(1, 200)):
        whole[generator.randrange(2, len(whole))] = generator.randrange(256)
    return bytes(whole)


def _slow_head(generator: random.Random, port: int) -> Attack:
    head = f"POST /v1/embeddings HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nX-Slow: ".encode()
    drops = ((b"a", generator.uniform(0.2, 1.0)) for _ in range(1000))
    return Attack(kind="headers in drops", steps=itertools.chain([(head, 0)], drops), may_close=True)


def _slow_body(generator: random.Random, port: int) -> Attack:
    request = _post(port, "/v1/embeddings", {"input": "a" * 1000})
    drops = ((bytes([byte]), generator.uniform(0.5, 1.5)) for byte in request[-1000:])
    return Attack(kind="a body in drops", steps=itertools.chain([(request[:-1000], 0)], drops), may_close=True)


def _huge_announced(generator: random.Random, port: int) -> Attack:
    length = str(generator.choice((10**10, 2**63, 10**30, 65 * 2**20)))
    request = request_bytes("POST", "/v1/embeddings", port, b"", {"Content-Length": length})
    return Attack(kind="a huge body, announced", steps=[(request, 0)], may_close=True)


def _huge_chunked(_: random.Random, port: int) -> Attack:
    head = (
        f"POST /v1/embeddings HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
        "Transfer-Encoding: chunked\r\n\r\n"
    )
    piece = b"100000\r\n" + b" " * 2**20 + b"\r\n"
    pieces = itertools.repeat((piece, 0.001), 200)
    return Attack(kind="a huge body in chunks", steps=itertools.chain([(head.encode(), 0)], pieces), may_close=True)


def _leaving(generator: random.Random, port: int) -> Attack:
    pictures = [_uri(picture) for picture in jpegs(4, 224, generator.randrange(1000))]
    request = _post(port, "/v1/embeddings", {"input": pictures})
    leave: Leave = generator.choice(("close", "reset"))
    end = len(request) if generator.random() < 0.6 else generator.randrange(1, len(request))
    return Attack(
        kind="gone before the answer",
        steps=[(request[:end], 0), (b"", generator.uniform(0, 0.05))],
        leave=leave,
    )


def _slow_reader(generator: random.Random, port: int) -> Attack:
    request = _post(port, "/v1/embeddings", {"input": [f"{n} dogs" for n in range(500)], "encoding_format": "float"})
    return Attack(
        kind="an answer that is not read", steps=[(request, 0)], hold=generator.uniform(2, 10), allowed=frozenset({200})
    )


def _silent(generator: random.Random, _: int) -> Attack:
    steps = [(b"", 0.0), (b"", generator.uniform(1, 15))]
    return Attack(kind="a connection without a word", steps=steps, leave="close")


def _many_parts(_: random.Random, port: int) -> Attack:
    body, header = form(("input", None, b"x") for _ in range(5000))
    return Attack(kind="5,000 parts", steps=[(request_bytes("POST", "/v1/embeddings", port, body, header), 0)])


def _nested(generator: random.Random, port: int) -> Attack:
    deep = generator.choice((500, 5_000, 100_000))
    opening, closing = generator.choice(((b"[", b"]"), (b'{"a":', b"}")))
    body = b'{"input":' + opening * deep + b"1" + closing * deep + b"}"
    return Attack(kind="deep JSON", steps=[(_post(port, "/v1/embeddings", body), 0)])


_URLS = (
    "http://169.254.169.254/latest/meta-data/",
    "http://localhost/",
    "http://127.0.0.1:1/",
    "http://[::1]/",
    "http://[::ffff:127.0.0.1]/",
    "http://2130706433/",
    "http://0x7f.1/",
    "http://metadata.google.internal/",
    "http://user:pass@127.0.0.1/",
    "file:///etc/passwd",
    "gopher://127.0.0.1/",
    "ftp://127.0.0.1/x.jpg",
    "http://",
    "https://[",
    "//127.0.0.1/x",
)
_WRONG: tuple[object, ...] = (
    {},
    [],
    5,
    "text",
    None,
    {"input": None},
    {"input": 5},
    {"input": {}},
    {"input": []},
    {"input": [[1, 2, 3]]},
    {"input": [1, 2, 3]},
    {"input": ["a", 5]},
    {"input": [None]},
    {"input": [["a"]]},
    {"input": "a", "encoding_format": "hex"},
    {"input": "a", "dimensions": -1},
    {"input": "a", "dimensions": "many"},
    {"input": "a", "dimensions": 10**30},
    {"input": "a", "model": 7},
    {"input": "a", "model": "no-such-model"},
    {"input": "a", "model": "../../etc/passwd"},
    {"input": "a", "modality": "smell"},
    {"input": "a cat", "modality": "image"},
    {"input": "photo:-1", "modality": "image"},
    {"input": "photo:999999999999999999999999", "modality": "image"},
    {"input": "photo:../../etc/passwd", "modality": "image"},
    {"input": "/etc/passwd", "modality": "image"},
)
_GARBAGE = (
    b"",
    b"{",
    b"}{",
    b'{"input": "a"',
    b'{"input": "a"} trailing',
    b"\xff\xfe{\x00}\x00",
    b'{"input": "\xff\xfe"}',
    b"null\x00",
    b'{"input": 1' + b"0" * 6000 + b"}",
    b'{"input": -1e999999}',
    b'{"input": [' + b"1," * 5000 + b"1]}",
)
_CLASSIFY: tuple[object, ...] = (
    {},
    {"images": [], "labels": ["a"]},
    {"images": "x", "labels": "y"},
    {"images": ["data:image/png;base64,AAAA"], "labels": []},
    {"images": ["data:image/png;base64,%%%"], "labels": ["a", "b"]},
    {"images": ["photo:1e3"], "labels": ["a", "b"]},
    {"images": ["data:image/png;base64,AAAA"], "labels": ["a", "b"], "templates": ["no place for the label"]},
    {"images": ["data:image/png;base64,AAAA"], "labels": ["a", "b"], "templates": ["{}{}{0.__class__}"]},
    {"images": ["data:image/png;base64,AAAA"], "labels": ["a", "b"], "top": -1},
    {"images": ["data:image/png;base64,AAAA"], "labels": ["a", "a"]},
    {"images": ["data:image/png;base64,AAAA"], "labels": ["only one"]},
    {"images": ["data:image/png;base64,AAAA"], "labels": [str(n) for n in range(1500)]},
)
_SEARCH: tuple[object, ...] = (
    {"query": "(" * 5000},
    {"query": "a AND " * 3000},
    {"query": "./../../etc/passwd"},
    {"query": '"'},
    {"query": "a" * 100_000},
    {"query": 5},
    {"query": "a", "limit": 0},
    {"query": "a", "limit": 10**9},
    {"query": "a", "offset": -1},
    {"query": "a", "offset": 10**30},
    {"query": "a", "threshold": "high"},
    {"like": -1},
    {"like": 10**30},
    {"like": "1; DROP TABLE photos"},
    {"query": "a", "filters": {"after": "the day before yesterday"}},
    {"query": "a", "filters": {"near": {"latitude": 1e9, "longitude": 0, "kilometres": 1}}},
    {"query": "a", "filters": {"near": {"latitude": 0, "longitude": 0, "kilometres": -5}}},
    {"query": "a", "filters": {"min_megapixels": "' OR 1=1"}},
    {"query": "a", "uploads": {"X": "data:image/png;base64,AAAA"}},
    {"query": "upload:X", "uploads": {"X": "data:image/png;base64,AAAA"}},
)
_MIME_LESS = b"POST /v1/embeddings HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nContent-Length: 14\r\n%b\r\n" + b'{"input": "a"}'

KINDS: tuple[Kind, ...] = (
    _picture("a truncated JPEG", _truncated),
    _picture("a PNG bomb", lambda _: png_bomb()),
    _picture("a PNG a little too large", lambda _: png_bomb(10_100)),
    _picture("a GIF bomb", _gif_bomb),
    _picture("a JPEG bomb", _jpeg_bomb),
    _picture("a WebP bomb", _webp_bomb),
    _picture("a TIFF bomb", _tiff_bomb),
    _picture("noise as a picture", _noise),
    _picture("a JPEG with wrong bytes", _noise_in_jpeg, ANYHOW),
    _picture("an empty picture", lambda _: b""),
    _picture("a page as a picture", lambda _: b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"),
    _json("wrong types", "/v1/embeddings", *_WRONG),
    _json(
        "wrong URIs",
        "/v1/embeddings",
        *(
            {"input": uri, "modality": "image"}
            for uri in (
                "data:",
                "data:image/jpeg",
                "data:image/jpeg;base64,",
                "data:image/jpeg;base64,!!!!",
                "data:text/html,<b>",
                "data:image/png;base64,A",
                "data:;base64,AAAA",
            )
        ),
    ),
    _json("addresses to fetch", "/v1/embeddings", *({"input": url, "modality": "image"} for url in _URLS)),
    _json("addresses to fetch, classify", "/v1/classify", *({"images": [url], "labels": ["a", "b"]} for url in _URLS)),
    _json("garbage for JSON", "/v1/embeddings", *_GARBAGE),
    _json("half a letter", "/v1/embeddings", b'{"input": "\\ud83d"}', allowed=ANYHOW),
    _json("too many texts", "/v1/embeddings", {"input": ["a"] * 5000}),
    _json("too long a text", "/v1/embeddings", {"input": "a" * 1_000_000}),
    _json("too many pictures", "/v1/embeddings", {"input": [_uri(png_bomb(1))] * 500}),
    _json("wrong things to classify", "/v1/classify", *_CLASSIFY),
    _json("wrong searches", "/v1/search", *_SEARCH, allowed=ANYHOW),
    _json("folders that are nobody's", "/v1/index", {"roots": ["/"]}, {"roots": ["../.."]}, {"roots": 5}),
    _raw(
        "wrong content types",
        *(
            _MIME_LESS.replace(b"%b", kind)
            for kind in (
                b"",
                b"Content-Type: text/plain\r\n",
                b"Content-Type: application/x-www-form-urlencoded\r\n",
                b"Content-Type: application/xml\r\n",
                b"Content-Type: multipart/form-data\r\n",
                b"Content-Type: multipart/form-data; boundary=\r\n",
                b"Content-Type: multipart/form-data; boundary=" + BOUNDARY.encode() + b"\r\n",
                b"Content-Type: ;;;\xff\r\n",
            )
        ),
    ),
    _raw(
        "other hosts and origins",
        b"GET /v1/models HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        b"GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1.evil.example:PORT\r\n\r\n",
        b"GET /v1/models HTTP/1.1\r\nHost: \r\n\r\n",
        b"POST /v1/index HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nOrigin: https://evil.example\r\nContent-Length: 0\r\n\r\n",
    ),
    _raw(
        "paths that lead elsewhere",
        *(
            b"GET " + path + b" HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\n\r\n"
            for path in (
                b"/page/../../../../etc/passwd",
                b"/page/%2e%2e/%2e%2e/app.py",
                b"/page/..%5c..%5capp.py",
                b"/page//etc/passwd",
                b"/page/%00",
                b"/v1/photos/0",
                b"/v1/photos/-1/thumbnail",
                b"/v1/photos/99999999999999999999999999/picture",
                b"/v1/photos/..%2f..%2fetc%2fpasswd",
                b"/v1/photos/1/picture?side=0",
                b"/v1/photos/1/picture?side=1000000000",
                b"/v1/index/jobs/nope",
                b"/v1/index/failures?limit=-1",
                b"/v1/models/" + b"a" * 5000,
                b"/nothing",
            )
        ),
    ),
    _raw(
        "wrong methods",
        b"PUT /v1/embeddings HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nContent-Length: 0\r\n\r\n",
        b"DELETE /v1/search HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\n\r\n",
        b"GET /v1/embeddings HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\n\r\n",
        b"TRACE / HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\n\r\n",
    ),
    _raw(
        "what is no HTTP",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
        b"hello\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nX: " + b"a" * 200_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\n\r\n",
        b"POST /v1/embeddings HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nContent-Length: -5\r\n\r\n",
        b"POST /v1/embeddings HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /v1/embeddings HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        may_close=True,
    ),
    _slow_head,
    _slow_body,
    _huge_announced,
    _huge_chunked,
    _leaving,
    _leaving,
    _leaving,
    _slow_reader,
    _silent,
    _many_parts,
    _nested,
)
