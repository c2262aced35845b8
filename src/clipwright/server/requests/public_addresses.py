"""Which addresses belong to the public internet: what a server may connect to when a client names the place."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_interface, ip_network

IPAddress = IPv4Address | IPv6Address

_INTERNET_6 = ip_network("2000::/3")
"""The only block that unicast addresses of the internet are given from; all else is special, or nobody's."""
_SPECIAL = tuple(
    ip_network(block)
    for block in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",
        "100.64.0.0/10",  # shared by a provider's customers; a cloud's metadata at 100.100.100.200
        "127.0.0.0/8",
        "168.63.129.16/32",  # Azure's own services, on every machine of theirs
        "169.254.0.0/16",  # link-local; metadata of most clouds at 169.254.169.254
        "172.16.0.0/12",
        "192.0.0.0/24",  # protocol assignments; a cloud's metadata at 192.0.0.192
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",  # a sink of reverse look-ups, as 192.175.48.0/24
        "192.52.193.0/24",  # tunnels to multicast
        "192.88.99.0/24",  # relays of 6to4
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
        "2001::/23",  # protocol assignments, Teredo among them: an IPv4 address stands in it
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: an IPv4 address stands in it
        "2620:4f:8000::/48",  # a sink of reverse look-ups
        "3fff::/20",  # documentation
    )
)
"""Outside 2000::/3 lie, among others, ::1, ::ffff:a.b.c.d, ::a.b.c.d, 64:ff9b::/96 (NAT64), fc00::/7, fe80::/10."""


def is_public(address: IPAddress) -> bool:
    """Whether an address is one of the public internet, by IANA's registries of special blocks."""
    if isinstance(address, IPv6Address) and (address.scope_id is not None or address not in _INTERNET_6):
        return False
    special = any(address in block for block in _SPECIAL if block.version == address.version)
    return not special and address.is_global and not address.is_multicast and not address.is_reserved


def is_own(address: IPAddress) -> bool:
    """Whether an address lies in a network that this machine itself is in: its own, or a neighbour's behind the same
    firewall, which with IPv6 have public addresses."""
    import psutil

    for addresses in psutil.net_if_addrs().values():
        for own in addresses:
            if own.family not in (socket.AF_INET, socket.AF_INET6):
                continue
            here = ip_address(own.address.partition("%")[0])
            if (
                here.version == address.version
                and address in ip_interface(f"{here}/{_bits(own.netmask, here)}").network
            ):
                return True
    return False


def _bits(netmask: str | None, address: IPAddress) -> int:
    """How many bits of an address name its network: all, where nothing is known of it."""
    return address.max_prefixlen if netmask is None else int(ip_address(netmask)).bit_count()
