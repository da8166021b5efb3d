"""`[model]` of the user's own config.toml: the language model that `POST /chat` asks and that may draft tools.

Keys are named, never written down: `key_env` is the name of an environment variable.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from druse.model import Invalid

_BASES = {"anthropic": "https://api.anthropic.com", "openai": "https://api.openai.com/v1"}
_KEYS = {"anthropic": "ANTHROPIC_API_KEY", "openai": "OPENAI_API_KEY"}


@dataclass(frozen=True, slots=True)
class ModelProvider:
    """One endpoint. `api` says whose shape its requests have; `timeout` in seconds."""

    api: str
    model: str
    base_url: str
    key_env: str
    max_tokens: int = 2048
    timeout: int = 120

    def __str__(self) -> str:
        """What a person approves when the provider is put in force."""
        key = f", with the key in ${self.key_env}" if self.key_env else ""
        return f"{self.model} at {self.base_url} ({self.api}){key}"


def model_of(given: Mapping[str, Any]) -> ModelProvider:
    """Read the table. Raises Invalid; its `where` is the key that is wrong."""
    known = {"api": str, "model": str, "base_url": str, "key_env": str, "max_tokens": int, "timeout": int}
    for key, value in given.items():
        if key not in known:
            raise _wrong(key, f"model.{key} is not a setting; known: {', '.join(known)}")
        if not isinstance(value, known[key]) or isinstance(value, bool):
            raise _wrong(key, f"model.{key} is {value!r}, expected {known[key].__name__}")
    api = given.get("api", "")
    if api not in _BASES:
        raise _wrong("api", f'model.api is {api!r}, expected "anthropic" or "openai"')
    if not given.get("model"):
        raise _wrong("", "model.model is missing: name the model to ask")
    base = str(given.get("base_url") or _BASES[api]).rstrip("/")
    key_env = str(given.get("key_env", _KEYS[api]))
    _check_address(base, key_env)
    for name, high in (("max_tokens", 1_000_000), ("timeout", 3600)):
        if not 1 <= int(given.get(name, 1)) <= high:
            raise _wrong(name, f"model.{name} is {given[name]}, expected 1 to {high}")
    more = {name: int(given[name]) for name in ("max_tokens", "timeout") if name in given}
    return ModelProvider(api, str(given["model"]), base, key_env, **more)


def _check_address(base: str, key_env: str) -> None:
    try:
        parts = urlsplit(base)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise _wrong("base_url", f"model.base_url is no address: {error}") from error
    if parts.scheme not in ("http", "https") or not host or parts.username or parts.password or parts.query:
        raise _wrong(
            "base_url", "model.base_url must be http(s)://HOST[:PORT][/PATH], without a name or password in it"
        )
    if parts.scheme == "http" and key_env and not _loopback(host):
        problem = 'a key goes over https only; write https://, or key_env = "" for an endpoint that wants none'
        raise _wrong("base_url", problem)


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _wrong(key: str, problem: str) -> Invalid:
    return Invalid(f"Cannot use [model]: {problem}.", where=key, problem=problem)
