"""Which addresses belong to the public internet; all others are some machine's own, or lead to one.

From the special-purpose address registries of IANA (IPv4, IPv6). For IPv6 only 2000::/3 is handed out at all, and the
parts of it that carry an IPv4 address or serve documentation are taken out again.
"""

from __future__ import annotations

import ipaddress
import re
import socket

_IPV4 = (
    ("0.0.0.0/8", "this network"),
    ("10.0.0.0/8", "a private network"),
    ("100.64.0.0/10", "a carrier's own network"),
    ("127.0.0.0/8", "this machine"),
    ("168.63.129.16/32", "a cloud's metadata service"),
    ("169.254.0.0/16", "a link-local address, where clouds keep their metadata service"),
    ("172.16.0.0/12", "a private network"),
    ("192.0.0.0/24", "reserved"),
    ("192.0.2.0/24", "documentation"),
    ("192.88.99.0/24", "a relay to other networks"),
    ("192.168.0.0/16", "a private network"),
    ("198.18.0.0/15", "a test network"),
    ("198.51.100.0/24", "documentation"),
    ("203.0.113.0/24", "documentation"),
    ("224.0.0.0/4", "multicast"),
    ("240.0.0.0/4", "reserved"),
)
_IPV6 = (
    ("::1/128", "this machine"),
    ("::ffff:0:0/96", "an IPv4 address written as IPv6"),
    ("64:ff9b::/96", "a relay to IPv4 addresses"),
    ("64:ff9b:1::/48", "a relay to IPv4 addresses"),
    ("fe80::/10", "a link-local address"),
    ("fc00::/7", "a private network"),
    ("ff00::/8", "multicast"),
    ("2001::/23", "reserved, with tunnels to IPv4 addresses"),
    ("2001:db8::/32", "documentation"),
    ("2002::/16", "a tunnel to an IPv4 address"),
    ("3fff::/20", "documentation"),
)
_RANGES = tuple((ipaddress.ip_network(text), why) for text, why in (*_IPV4, *_IPV6))
_PUBLIC_IPV6 = ipaddress.ip_network("2000::/3")


def refusal(address: str) -> str:
    """What an address is instead of public; empty for a public one."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return "no address"
    for network, why in _RANGES:
        if found.version == network.version and found in network:
            return why
    return "" if found.version == 4 or found in _PUBLIC_IPV6 else "reserved"


# Top-level names that never belong to the public internet (RFC 6762, RFC 8375, ICANN's reservation of .internal).
_OWN_DOMAINS = frozenset(("local", "internal", "localdomain", "lan", "intranet", "corp", "private", "svc", "cluster"))


def own_host(host: str) -> str:
    """What the host of a URL is, where it says itself that it is not public: by its address or as localhost."""
    if host == "localhost" or host.endswith(".localhost"):
        return "this machine"
    if host.rpartition(".")[2] in _OWN_DOMAINS or host.endswith(".home.arpa"):
        return "a name of a private network"
    if ":" in host:
        return refusal(host)
    if host and "." not in host and not re.fullmatch(r"0x[0-9a-f]*|[0-9]+", host):
        return "a name of this network"
    if not re.fullmatch(r"(?:0x[0-9a-f]*|[0-9]+)(?:\.(?:0x[0-9a-f]*|[0-9]+)){0,3}", host):
        return ""
    try:
        # The forms that a resolver takes for an address as well: 2130706433, 0x7f.1, 127.1, 0177.0.0.1
        return refusal(socket.inet_ntoa(socket.inet_aton(host)))
    except OSError:
        return "no address"
