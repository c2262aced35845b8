"""What a server is started with."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from clipwright.embedding.embedder import Pixels
from clipwright.embedding.load import BackendChoice, PrecisionChoice


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one request may ask for; checked before anything is decoded."""

    body_bytes: int = 64 * 2**20
    """Of a request."""
    bodies_bytes: int = 512 * 2**20
    """Of all requests that are being received or answered at once."""
    picture_bytes: int = 20 * 2**20
    picture_pixels: int = 100_000_000
    pictures: int = 64
    texts: int = 2048
    text_characters: int = 8_000
    """Of one text. The model reads some 70 tokens of it."""
    labels: int = 1_000
    queue_items: int = 1_024
    """Pictures and texts of all requests that wait for a model or are in it. More are answered 429."""
    deadline_seconds: float = 30.0
    """From a request's last byte to its answer. Later than that it is given up, with 503."""
    header_seconds: float = 10.0
    """From a connection's start to the end of a request's headers."""
    body_seconds: float = 60.0
    """From the headers to the last byte of the body."""
    drain_seconds: float = 30.0
    """What was accepted is finished after SIGTERM, at most for so long."""
    connections: int = 1_000


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """How models run, all of a server's alike."""

    backend: BackendChoice | None = None
    precision: PrecisionChoice = "auto"
    pixels: Pixels = "fast"
    threads: int | None = None
    batch_size: int = 16
    """Pictures embedded at once, at most."""
    text_batch_size: int = 64
    batch_seconds: float = 0.005
    """How long a batch that is not full waits for pictures that are being decoded."""
    memory_budget: int | None = None
    """Bytes that the models' processes may take together; one that was not used for longest is closed. None: any."""


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """All of it."""

    host: str = "127.0.0.1"
    port: int = 7860
    models: tuple[str, ...]
    """Names as load_embedder takes them; the first one answers where a request names none."""
    database: Path
    """Of the index; it need not exist yet."""
    roots: tuple[Path, ...] = ()
    """Folders that may be indexed through the server, besides those that the index has."""
    keys_file: Path | None = None
    allowed_hosts: tuple[str, ...] = ()
    """Names by which the server may be called, besides localhost and the addresses it is bound to."""
    allowed_origins: tuple[str, ...] = ()
    """Other sites whose pages may call the server (CORS), as browsers name them: https://example.org"""
    fetch_urls: bool = False
    update: bool = True
    """Whether the index is brought up to date when the server starts."""
    limits: Limits = field(default_factory=Limits)
    model: ModelSettings = field(default_factory=ModelSettings)
