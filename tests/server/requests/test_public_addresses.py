"""Which addresses a server may connect to for a stranger."""

from __future__ import annotations

import socket
from ipaddress import ip_address
from types import SimpleNamespace

import psutil
import pytest

from clipwright.server.requests.public_addresses import is_own, is_public

PUBLIC = ["1.1.1.1", "8.8.8.8", "93.184.215.14", "172.15.0.1", "172.32.0.1", "192.0.1.1", "2606:4700::1111", "2a00::1"]
SPECIAL = {
    "this machine": ["127.0.0.1", "127.255.255.254", "::1"],
    "nobody": ["0.0.0.0", "0.1.2.3", "::"],
    "a private network": ["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "fc00::1", "fd12:3456::1"],
    "the link": ["169.254.0.1", "fe80::1", "fe80::1%eth0", "febf::1"],
    "a cloud's metadata": ["169.254.169.254", "fd00:ec2::254", "100.100.100.200", "192.0.0.192", "168.63.129.16"],
    "a provider's customers": ["100.64.0.1", "100.127.255.255"],
    "IPv4 mapped into IPv6": ["::ffff:127.0.0.1", "::ffff:8.8.8.8", "::ffff:0:127.0.0.1"],
    "IPv4 at the end of IPv6": ["::127.0.0.1", "::8.8.8.8"],
    "6to4": ["2002:7f00:1::", "2002:808:808::1", "192.88.99.1"],
    "NAT64": ["64:ff9b::127.0.0.1", "64:ff9b::8.8.8.8", "64:ff9b:1::10.0.0.1"],
    "Teredo": ["2001:0:4136:e378:8000:63bf:3fff:fdd2"],
    "multicast": ["224.0.0.1", "239.255.255.255", "ff02::1", "ff0e::1"],
    "documentation": ["192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "3fff::1"],
    "benchmarks": ["198.18.0.1", "198.19.255.255", "2001:2::1"],
    "reserved": ["240.0.0.1", "255.255.255.255", "4000::1", "5f00::1", "100::1", "2001:10::1", "fec0::1"],
}


@pytest.mark.parametrize("address", PUBLIC)
def test_addresses_of_the_internet_are_public(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    "address", [pytest.param(address, id=f"{kind}: {address}") for kind in SPECIAL for address in SPECIAL[kind]]
)
def test_no_other_address_is(address: str) -> None:
    assert not is_public(ip_address(address))


def test_addresses_of_this_machine_and_its_neighbours_are_its_own() -> None:
    assert is_own(ip_address("127.0.0.1"))
    assert is_own(ip_address("127.0.0.77"))


def test_an_address_of_the_internet_is_own_where_this_machine_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    cards = {
        "eth0": [
            SimpleNamespace(family=socket.AF_INET, address="1.2.3.4", netmask=None),
            SimpleNamespace(family=socket.AF_INET6, address="2a00:1:2:3::4%eth0", netmask="ffff:ffff:ffff:ffff::"),
            SimpleNamespace(family=psutil.AF_LINK, address="02:42:ac:11:00:02", netmask=None),
        ]
    }
    monkeypatch.setattr(psutil, "net_if_addrs", lambda: cards)
    assert is_own(ip_address("1.2.3.4"))
    assert not is_own(ip_address("1.2.3.5"))
    assert is_own(ip_address("2a00:1:2:3:ffff::1"))
    assert not is_own(ip_address("2a00:1:2:4::4"))
