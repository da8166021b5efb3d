"""The keys with which an authorization server signs: found, fetched under limits, kept, and looked at again.

What is fetched comes from the network and is held to a size, a time and one address; a redirect is not followed. A
token of a key that is not known has them looked at again, but so seldom that tokens made up by the thousand cost the
server nothing. While a server cannot be reached its keys stay good for an hour.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from druse.settings.oauth import on_loopback, safe

if TYPE_CHECKING:
    import httpx2

log = logging.getLogger("druse.web")

LARGEST = 256 * 1024  # bytes of a document
LOOK_SECONDS = 5.0  # for all that one look takes
FRESH_SECONDS = 600.0  # after which keys are looked at again
KEPT_SECONDS = 3600.0  # after which keys that could not be looked at again are good no more
AGAIN_SECONDS = 30.0  # between two looks for a key that is not known
RETRY_SECONDS = 10.0  # between two looks of which the first failed
_MOST_KEYS = 100

Key = dict[str, Any]


class KeysMissing(Exception):
    """The keys of an authorization server are not to be had now; the text says why."""


class IssuerKeys:
    """The keys of one issuer. `address`: where they are, else the issuer's metadata says it. `clock` in seconds."""

    def __init__(self, issuer: str, address: str, *, clock: Callable[[], float], seconds: float = LOOK_SECONDS) -> None:
        self._issuer = issuer
        self._address = address
        self._clock = clock
        self._seconds = seconds
        self._keys: list[Key] | None = None
        self._read_at = 0.0
        self._looks = 0
        self._look_again_at = 0.0
        self._retry_at = 0.0
        self._problem = ""
        self._turn = asyncio.Lock()

    async def fitting(self, fits: Callable[[Key], bool]) -> list[Key]:
        """The keys that fit. Raises KeysMissing where none are to be had."""
        now, looks = self._clock(), self._looks
        old = self._keys is None or now - self._read_at >= FRESH_SECONDS
        # Who can go on with the keys there are does not wait for a look that somebody else is taking.
        if old and now >= self._retry_at and (self._keys is None or not self._turn.locked()):
            await self._look(looks)
        found = [key for key in self._good() if fits(key)]
        under_way = self._turn.locked()
        if not found and looks == self._looks and (under_way or now >= self._look_again_at):
            if not under_way:
                self._look_again_at = now + AGAIN_SECONDS
            await self._look(looks)
            found = [key for key in self._good() if fits(key)]
        return found

    def _good(self) -> list[Key]:
        if self._keys is None or self._clock() - self._read_at >= KEPT_SECONDS:
            raise KeysMissing(self._problem)
        return self._keys

    async def _look(self, looks: int) -> None:
        """Read the keys, unless somebody did since there were so many looks."""
        async with self._turn:
            if self._looks != looks:
                return
            try:
                async with asyncio.timeout(self._seconds):
                    self._keys = await self._read()
                self._read_at, self._problem = self._clock(), ""
            except TimeoutError:
                self._failed(f"nothing came within {self._seconds:g} seconds")
            except (OSError, ValueError, RecursionError) as error:
                self._failed(str(error) or type(error).__name__)
            finally:
                self._looks += 1

    def _failed(self, why: str) -> None:
        self._retry_at = self._clock() + RETRY_SECONDS
        self._problem = f"the keys of {self._issuer} could not be read: {why[:300]}"
        log.warning("%s", self._problem)

    async def _read(self) -> list[Key]:
        import httpx2

        # What a machine says of proxies is meant for other machines.
        proxies = not on_loopback(self._address or self._issuer)
        async with httpx2.AsyncClient(timeout=self._seconds, follow_redirects=False, trust_env=proxies) as http:
            address = self._address or await self._found(http)
            document = await _document(http, address)
        listed = document.get("keys")
        if not isinstance(listed, list) or len(cast("list[Any]", listed)) > _MOST_KEYS:
            raise ValueError(f"{address} holds no list of keys, or more than {_MOST_KEYS}")
        return [cast("Key", key) for key in cast("list[Any]", listed) if isinstance(key, dict)]

    async def _found(self, http: httpx2.AsyncClient) -> str:
        """Where the issuer's metadata says its keys are (RFC 8414, and OpenID Connect Discovery)."""
        from mcp.client.auth.utils import build_oauth_authorization_server_metadata_discovery_urls

        problems: list[str] = []
        for address in build_oauth_authorization_server_metadata_discovery_urls(self._issuer, self._issuer):
            try:
                metadata = await _document(http, address)
            except (OSError, ValueError, RecursionError) as error:
                problems.append(str(error) or type(error).__name__)
                continue
            if metadata.get("issuer") != self._issuer:
                problems.append(f"{address} is the metadata of another issuer")
                continue
            keys = metadata.get("jwks_uri")
            if not isinstance(keys, str) or not safe(keys) or (on_loopback(keys) and not on_loopback(self._issuer)):
                raise ValueError(f"{address} names no jwks_uri, or one that is not safe to read")
            return keys
        raise ValueError("; ".join(problems))


async def _document(http: httpx2.AsyncClient, address: str) -> dict[str, Any]:
    """A JSON object. Raises OSError or ValueError."""
    import httpx2

    told = {"accept": "application/json", "accept-encoding": "identity"}
    try:
        async with http.stream("GET", address, headers=told) as response:
            if response.status_code != 200:
                raise ValueError(f"{address} answered {response.status_code}")
            if response.headers.get("content-encoding", "identity") != "identity":
                raise ValueError(f"{address} answered with a compressed document")
            body = b""
            async for part in response.aiter_bytes():
                body += part
                if len(body) > LARGEST:
                    raise ValueError(f"{address} answered with more than {LARGEST} bytes")
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise OSError(f"{address}: {type(error).__name__} {error}".strip()) from error
    try:
        document: Any = json.loads(body)
    except ValueError as error:
        raise ValueError(f"{address} answered with no JSON") from error
    if not isinstance(document, dict):
        raise ValueError(f"{address} answered with no JSON object")
    return cast("dict[str, Any]", document)
