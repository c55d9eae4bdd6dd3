"""Which addresses a customer may have us connect to: those outside of every house, ours above all. Pure."""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final

_NAT64: Final = IPv6Network("64:ff9b::/96")
_INSIDE: Final = frozenset({"168.63.129.16"})
"""A cloud's own services at a public address; those of the others are link-local."""


def is_public(text: str) -> bool:
    """Answer whether the address lies outside every private, loopback, link-local and reserved range."""
    address = ip_address(text.partition("%")[0])
    if isinstance(address, IPv6Address):
        within = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            within = IPv4Address(int(address) & 0xFFFFFFFF)
        if within is not None:
            return is_public(str(within))
        if address.is_site_local:
            return False
    return address.is_global and not (address.is_multicast or address.is_reserved or text in _INSIDE)


def is_address(text: str) -> bool:
    """Answer whether it is an address, not a name."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
