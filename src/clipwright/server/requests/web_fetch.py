"""Pictures at addresses that clients name. Such a client may try to reach, through the server, what only the server
can: so every address is checked, and the connection goes to the address that was checked."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING, Literal
from urllib.parse import urljoin, urlsplit

import httpcore

from clipwright.server.requests.public_addresses import IPAddress, is_own, is_public
from clipwright.server.settings import Limits

if TYPE_CHECKING:
    import ssl

Resolve = Callable[[str], Awaitable[Sequence[IPAddress]]]
"""The addresses of a name. Raises OSError where it has none."""

REDIRECTS = 3
_AT_ONCE = 16
_SECONDS = 10.0
"""From the first look-up to the last byte."""
_CONNECT_SECONDS = 5.0
_ADDRESSES_TRIED = 3
_URL_CHARACTERS = 2048
_PORTS = {"http": 80, "https": 443}
_PLACE = re.compile(r"(?:\[(?P<ipv6>[0-9a-f:.]+)\]|(?P<name>[a-z0-9._-]+))(?::(?P<port>[0-9]{1,5}))?")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_RESOLVERS = ThreadPoolExecutor(4, "resolve")
"""Threads of their own: a name whose servers never answer holds one for half a minute."""


class FetchError(Exception):
    """An address from which there is no picture to be had; the message is a sentence."""

    def __init__(self, code: Literal["url_refused", "url_failed", "too_large"], message: str) -> None:
        super().__init__(message)
        self.code = code


class Allowance:
    """The bytes that the addresses of one request may name together."""

    def __init__(self, most_bytes: int) -> None:
        self._most = self._left = most_bytes

    def take(self, count: int) -> None:
        """Raises FetchError where there are not so many left."""
        self._left -= count
        if self._left < 0:
            raise FetchError("too_large", f"the pictures of this request have more than {self._most:,} bytes together")


@dataclass(frozen=True)
class WebAddress:
    """An address taken apart once, so that what is checked is what is asked for."""

    scheme: str
    host: str
    """A name in lower case, or an IP address in its canonical spelling, without brackets."""
    port: int
    target: str
    """Path and query."""

    @classmethod
    def parse(cls, url: str) -> WebAddress:
        """Raises FetchError at anything but a plain http(s) address of a public name or an IP address."""
        if len(url) > _URL_CHARACTERS:
            raise FetchError("url_refused", f"the address has more than {_URL_CHARACTERS:,} characters")
        if not all("!" <= letter <= "~" for letter in url) or "\\" in url:
            raise FetchError("url_refused", "the address holds signs that have to be written as %xx or xn--")
        try:
            parts = urlsplit(url)
        except ValueError:
            raise FetchError("url_refused", "this is not an address") from None
        if parts.scheme not in _PORTS:
            raise FetchError("url_refused", "an address starts with http:// or https://")
        if "@" in parts.netloc:
            raise FetchError("url_refused", "the address holds a user's name; leave it out")
        place = _PLACE.fullmatch(parts.netloc.lower())
        if place is None:
            raise FetchError("url_refused", "the address names no host that can be asked")
        host = _ipv6(place["ipv6"]) if place["ipv6"] else _name_or_ipv4(place["name"])
        port = int(place["port"]) if place["port"] else _PORTS[parts.scheme]
        return cls(parts.scheme, host, port, (parts.path or "/") + (f"?{parts.query}" if parts.query else ""))

    @property
    def authority(self) -> str:
        """As the Host header has it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    def next(self, location: str) -> WebAddress:
        """Where a redirect leads. Raises FetchError where that may not be followed."""
        try:
            address = self.parse(urljoin(f"{self.scheme}://{self.authority}{self.target}", location))
        except ValueError:
            raise FetchError("url_failed", "it redirects to what is no address") from None
        if self.scheme == "https" and address.scheme == "http":
            raise FetchError("url_refused", "it redirects from https to http")
        return address


def _ipv6(text: str) -> str:
    try:
        return str(IPv6Address(text))
    except AddressValueError:
        raise FetchError("url_refused", "the address names no host that can be asked") from None


def _name_or_ipv4(name: str) -> str:
    labels = name.split(".")
    if _NUMBER.fullmatch(labels[-1]):  # the system would read 0x7f.1, 017700000001 and 2130706433 as 127.0.0.1
        try:
            return str(IPv4Address(name))
        except AddressValueError:
            raise FetchError("url_refused", "an IPv4 address is written as four numbers, as in 192.0.2.7") from None
    if len(labels) < 2:
        raise FetchError("url_refused", "the address names a host of a local network")
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise FetchError("url_refused", "the address names no host that can be asked")
    return name


async def resolve(name: str) -> Sequence[IPAddress]:
    """What the system says. The dot at the end keeps it from trying the local network's own domains."""
    found = await asyncio.get_running_loop().run_in_executor(
        _RESOLVERS, lambda: socket.getaddrinfo(f"{name}.", None, type=socket.SOCK_STREAM)
    )
    return list(dict.fromkeys(ip_address(place[0]) for *_, place in found))


def is_allowed_by_default(address: IPAddress) -> bool:
    return is_public(address) and not is_own(address)


class WebFetcher:
    """Fetches pictures, several at once. resolve, is_allowed, ports and tls are for tests, which have no internet."""

    def __init__(
        self,
        limits: Limits,
        *,
        seconds: float = _SECONDS,
        resolve: Resolve = resolve,
        is_allowed: Callable[[IPAddress], bool] = is_allowed_by_default,
        ports: Iterable[int] = _PORTS.values(),
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """seconds: for one picture, whatever its server does."""
        self._most_bytes, self._seconds, self._ports = limits.picture_bytes, seconds, frozenset(ports)
        self._network = _CheckedNetwork(resolve, is_allowed)
        self._tls = tls or httpcore.default_ssl_context()
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._turns = asyncio.Semaphore(max(1, limits.bodies_bytes // limits.body_bytes))

    def turn(self) -> contextlib.AbstractAsyncContextManager[None]:
        """To be held by a request from its first fetch until it lets go of what was fetched.

        A request with addresses is small, and what they name is not: so many at once hold no more than bodies may.
        """
        return self._turns

    async def fetch(self, url: str, allowance: Allowance) -> bytes:
        """The picture's file. Raises FetchError."""
        address = WebAddress.parse(url)
        try:
            async with self._slots, asyncio.timeout(self._seconds):
                for _ in range(REDIRECTS + 1):
                    answer = await self._ask(address, allowance)
                    if isinstance(answer, bytes):
                        return answer
                    address = answer
        except TimeoutError:
            raise FetchError("url_failed", f"it did not answer within {self._seconds:g} seconds") from None
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, OSError):
            raise FetchError("url_failed", "it cannot be reached, or its answer broke off") from None
        raise FetchError("url_failed", f"it redirects more than {REDIRECTS} times")

    async def _ask(self, address: WebAddress, allowance: Allowance) -> bytes | WebAddress:
        """The picture, or where it is said to be."""
        if address.port not in self._ports:
            raise FetchError("url_refused", f"port {address.port} is none of the web's; leave it out")
        url = httpcore.URL(
            scheme=address.scheme.encode(),
            host=address.host.encode(),
            port=address.port,
            target=address.target.encode(),
        )
        headers: Mapping[bytes | str, bytes | str] = {
            "Host": address.authority,
            "User-Agent": "clipwright",
            "Accept": "image/*",
            "Accept-Encoding": "identity",
            "Connection": "close",
        }
        async with (
            httpcore.AsyncConnectionPool(ssl_context=self._tls, network_backend=self._network) as connections,
            connections.stream("GET", url, headers=headers) as answer,
        ):
            said = {name.lower(): value.decode("latin-1").strip() for name, value in answer.headers}
            if answer.status in (301, 302, 303, 307, 308) and b"location" in said:
                return address.next(said[b"location"])
            if answer.status != 200:
                raise FetchError("url_failed", f"it answers with status {answer.status}")
            return await self._picture(answer, said, allowance)

    async def _picture(self, answer: httpcore.Response, said: dict[bytes, str], allowance: Allowance) -> bytes:
        kind = said.get(b"content-type", "").partition(";")[0].strip().lower()
        if not kind.startswith("image/") and kind not in ("application/octet-stream", "binary/octet-stream"):
            raise FetchError("url_failed", "its answer is no picture, by its Content-Type")
        if said.get(b"content-encoding", "identity").lower() != "identity":
            raise FetchError("url_failed", "it sends compressed what was to come as it is")
        length = said.get(b"content-length", "")
        too_large = FetchError("too_large", f"the picture has more than {self._most_bytes:,} bytes")
        if length.isdecimal() and int(length) > self._most_bytes:
            raise too_large
        data = bytearray()
        async for part in answer.aiter_stream():
            data += part
            allowance.take(len(part))
            if len(data) > self._most_bytes:
                raise too_large
        return bytes(data)


class _CheckedNetwork(httpcore.AsyncNetworkBackend):
    """Connects to addresses that are allowed. A name is looked up once, and the connection goes to what came back."""

    def __init__(self, resolve: Resolve, is_allowed: Callable[[IPAddress], bool]) -> None:
        self._resolve, self._is_allowed = resolve, is_allowed
        self._plain = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        addresses = await self._addresses(host)
        if not addresses or not all(self._is_allowed(address) for address in addresses):
            # One that is not allowed spoils all: who names it has nothing good in mind.
            raise FetchError("url_refused", "it does not stand for a place of the public internet")
        for address in addresses[:_ADDRESSES_TRIED]:
            try:
                return await self._plain.connect_tcp(str(address), port, _CONNECT_SECONDS)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                last = error
        raise last

    async def _addresses(self, host: str) -> Sequence[IPAddress]:
        try:
            return [ip_address(host)]
        except ValueError:
            pass
        try:
            return await self._resolve(host)
        except OSError:
            raise FetchError("url_failed", "its name is not known") from None
