"""Which addresses a webhook may reach: pure. Nothing inside the house, however it is spelt."""

import ipaddress
from typing import Final

INSIDE_V6: Final = tuple(
    ipaddress.IPv6Network(text)
    for text in (
        "::/96",  # IPv4-compatible
        "64:ff9b::/96",  # NAT64, RFC 6052: it leads to whatever IPv4 address is in it
        "64:ff9b:1::/48",  # RFC 8215
        "2002::/16",  # 6to4
        "2001::/32",  # Teredo
        "fec0::/10",  # site-local
    )
)
METADATA: Final = frozenset({"168.63.129.16"})  # a cloud's inside at a public address; the others are link-local


def is_outside(text: str) -> bool:
    """Whether it is one host of the internet at large; False for what is no address."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return is_outside(str(address.ipv4_mapped))
        if any(address in network for network in INSIDE_V6):
            return False
    flawed = address.is_multicast or address.is_reserved or address.is_unspecified or text in METADATA
    return address.is_global and not flawed


def is_address(host: str) -> bool:
    """Whether it is an address, not a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
