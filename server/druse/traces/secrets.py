"""Secrets become keyed, equality-preserving handles before anything is stored (D10).

The same secret always gives the same `secret://<hex>` under one key, so induction still sees that two values are
equal; without the key the handle says nothing. A handle is never a constant of a generated tool.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path

from druse.model import Json, JsonObject

HANDLE = re.compile(r"secret://[0-9a-f]{24}")

_SECRET_KEY = re.compile(
    r"(?:^|[_\-. ])(?:passw(?:or)?d|passwd|pwd|passphrase|secret|api[_\-]?key|apikey|access[_\-]?key|private[_\-]?key|"
    r"client[_\-]?secret|auth(?:orization)?|bearer|token|cookie|set-cookie|session[_\-]?key|credential|credentials|otp|"
    r"pin|cvv|cvc)(?:$|[_\-. ])",
    re.IGNORECASE,
)
_NOT_SECRET_KEY = re.compile(
    r"(?:token[_\-]?(?:count|limit|type|usage)|(?:max|input|output|total|page|next|prev\w*|continuation|cursor|progress)"
    r"[_\-]?tokens?|tokens$|auth[_\-]?(?:type|method|mode)|author(?!iz))",
    re.IGNORECASE,
)
_SHAPES = re.compile(
    r"""
      -----BEGIN\ [A-Z ]*PRIVATE\ KEY-----[\s\S]*?(?:-----END\ [A-Z ]*PRIVATE\ KEY-----|\Z)
    | \beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*
    | \b(?:sk|rk|pk)[-_](?:live|test|proj|ant|or|svcacct)?[-_]?[A-Za-z0-9_-]{20,}
    | \bgh[pousr]_[A-Za-z0-9]{20,} | \bgithub_pat_[A-Za-z0-9_]{20,} | \bglpat-[A-Za-z0-9_-]{16,}
    | \bxox[abeoprs]-[A-Za-z0-9-]{10,} | \b(?:AKIA|ASIA)[A-Z0-9]{16}\b | \bAIza[A-Za-z0-9_-]{30,}
    | \bnpm_[A-Za-z0-9]{30,} | \bpypi-[A-Za-z0-9_-]{30,} | \bhf_[A-Za-z0-9]{30,} | \bya29\.[A-Za-z0-9_-]{20,}
    | \bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,} | \bdop_v1_[a-f0-9]{40,}
    """,
    re.VERBOSE,
)
_IN_TEXT = (
    re.compile(r"(?i)(?P<head>\b(?:bearer|basic)\s+)(?P<secret>[A-Za-z0-9._~+/-]{8,}=*)"),
    re.compile(r"(?P<head>\b[a-z][a-z0-9+.-]*://[^\s/:@]*:)(?P<secret>[^\s/@]+)(?=@)"),
    re.compile(
        r"(?i)(?P<head>\b[a-z0-9_-]*(?:password|passwd|pwd|secret|api[_-]?key|access[_-]?key|token|passphrase)"
        r"[\"']?\s*(?:=|:)\s*[\"']?)(?P<secret>[^\s\"'&;,]{4,})"
    ),
    re.compile(
        r"(?i)(?P<head>--?(?:password|passwd|token|secret|api-?key|pass)(?:=|\s+)[\"']?)(?P<secret>[^\s\"';|&]{3,})"
    ),
)


class SecretHandles:
    """Masks values under one key."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    @classmethod
    def from_file(cls, path: Path) -> SecretHandles:
        """The handles of a workspace; makes its key, readable by the owner only, at the first use."""
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return cls(path.read_bytes())
        with os.fdopen(descriptor, "wb") as file:
            key = secrets.token_bytes(32)
            file.write(key)
        return cls(key)

    def handle(self, secret: str) -> str:
        """The handle of one secret."""
        if HANDLE.fullmatch(secret):
            return secret
        mac = hmac.new(self._key, secret.encode("utf-8", "surrogatepass"), hashlib.sha256)
        return "secret://" + mac.hexdigest()[:24]

    def mask_object(self, value: Mapping[str, Json], schema: Mapping[str, Json] | None = None) -> JsonObject:
        """`value` without secrets; `schema` may declare more of them (`format: password`, `writeOnly`)."""
        declared = _declared(schema)
        return {key: self._field(key, item, secret=key in declared) for key, item in value.items()}

    def mask(self, value: Json) -> Json:
        """`value` without secrets: by key, by the shape of well-known tokens, and inside texts."""
        if isinstance(value, str):
            return self.mask_text(value)
        if isinstance(value, list):
            return [self.mask(item) for item in value]
        if isinstance(value, dict):
            return {key: self._field(key, item) for key, item in value.items()}
        return value

    def mask_text(self, text: str) -> str:
        """`text` with every secret found in it replaced by its handle."""
        masked = _SHAPES.sub(lambda match: self.handle(match[0]), text)
        for pattern in _IN_TEXT:
            masked = pattern.sub(self._within, masked)
        return masked

    def _within(self, match: re.Match[str]) -> str:
        secret = match["secret"]
        return match["head"] + (secret if "secret://" in secret else self.handle(secret))

    def _field(self, key: str, value: Json, *, secret: bool = False) -> Json:
        if secret or is_secret_key(key):
            return self._whole(value)
        return self.mask(value)

    def _whole(self, value: Json) -> Json:
        if isinstance(value, str):
            return self.handle(value) if value else value
        if isinstance(value, list):
            return [self._whole(item) for item in value]
        if isinstance(value, dict):
            return {key: self._whole(item) for key, item in value.items()}
        if isinstance(value, int | float) and not isinstance(value, bool):
            return self.handle(repr(value))
        return value


def is_secret_key(key: str) -> bool:
    """Whether values under this key are secrets by their name."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", key)
    return bool(_SECRET_KEY.search(spaced)) and not _NOT_SECRET_KEY.search(spaced)


def _declared(schema: Mapping[str, Json] | None) -> frozenset[str]:
    properties = (schema or {}).get("properties")
    if not isinstance(properties, dict):
        return frozenset()
    return frozenset(
        key
        for key, part in properties.items()
        if isinstance(part, dict) and (part.get("format") == "password" or part.get("writeOnly") is True)
    )
