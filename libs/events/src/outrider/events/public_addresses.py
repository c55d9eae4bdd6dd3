"""Which addresses a customer may have us connect to: those outside of every house, ours above all. Pure."""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final

_NAT64: Final = IPv6Network("64:ff9b::/96")


def is_public(text: str) -> bool:
    """Answer whether the address lies outside every private, loopback, link-local and reserved range."""
    address = ip_address(text.partition("%")[0])
    if isinstance(address, IPv6Address):
        inside = IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else address.sixtofour
        if inside is not None:
            return is_public(str(inside))
        if address.is_site_local:
            return False
    return address.is_global and not (address.is_multicast or address.is_reserved)
