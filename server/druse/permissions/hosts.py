"""The host of a URL, read once for the rules and for the fetch alike, so that both always mean the same one."""

from __future__ import annotations

import ipaddress
import re
import socket
from urllib.parse import urlsplit

_HOST = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|[0-9a-f:.]+")


def canonical_host(host: str) -> str:
    """A host in one spelling: `127.1`, `2130706433`, `0x7f.1` and `::ffff:127.0.0.1` are 127.0.0.1."""
    bare = host.strip("[]")
    try:
        address = ipaddress.ip_address(bare)
    except ValueError:
        if not re.fullmatch(r"(?:0x[0-9a-f]+|[0-9]+)(?:\.(?:0x[0-9a-f]+|[0-9]+)){0,3}", bare):
            return bare
        try:
            return socket.inet_ntoa(socket.inet_aton(bare))
        except OSError:
            return bare
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


def host_of(url: object) -> str:
    """The host in small letters, without brackets and final dots; empty for whatever is no plain http or https URL."""
    if not isinstance(url, str) or re.search(r"[\s\\\x00-\x20\x7f]", url):
        return ""
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").rstrip(".").lower()
        usable = parts.scheme in ("http", "https") and (parts.port is None or parts.port > 0)
    except ValueError:
        return ""
    return canonical_host(host) if usable and _HOST.fullmatch(host) else ""


def host_fits(pattern: str, host: str, *, subdomains: bool) -> bool:
    """Whether a pattern of a rule covers a host. `subdomains`: as deny and ask rules see it, those below included."""
    if not host:
        return subdomains  # an address that cannot be read falls under every deny and no allow
    if pattern == "*":
        return True
    pattern = canonical_host(pattern)
    if pattern.startswith("*."):
        return host.endswith(pattern[1:]) or (subdomains and host == pattern[2:])
    return host == pattern or (subdomains and host.endswith("." + pattern))
