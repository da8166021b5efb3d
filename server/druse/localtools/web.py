"""One GET, to an address that was checked and is then kept.

A name is resolved once, every address it has is checked, and the connection goes to one of exactly these while Host,
TLS name and certificate check stay those of the name: a name server that answers differently the next time moves
nothing. Each redirect goes through all of it again. No proxy of the environment, no cookies, no credentials.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TypeAlias
from urllib.parse import quote, urldefrag, urljoin, urlsplit

from druse.localtools.responses import BadResponse, Response, read_response, text_of
from druse.model import Invalid, NotAllowed
from druse.permissions import host_of, refusal

DEFAULT_BYTES = 512 * 1024
MOST_BYTES = 8 * 1024 * 1024
DEFAULT_SECONDS = 30.0
MAX_REDIRECTS = 5
_MAX_TRIED = 4  # addresses of one name
_CONNECT_SECONDS = 10.0
_HEAD_LIMIT = 64 * 1024
_REDIRECTS = frozenset((301, 302, 303, 307, 308))

Resolver: TypeAlias = Callable[[str, int], Awaitable[Sequence[str]]]


@dataclass(frozen=True, slots=True)
class Page:
    """What came back. `redirect` is the place it points to, where that was not followed."""

    url: str
    status: int
    kind: str  # the content type, without parameters
    text: str
    cut: bool = False
    redirect: str = ""


class Web:
    """Fetches. `resolve`, `refusal` and `tls` are the machine's own unless given."""

    def __init__(
        self,
        *,
        resolve: Resolver | None = None,
        refusal: Callable[[str], str] = refusal,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._resolve = resolve or resolve_name
        self._refusal = refusal
        self._tls = tls

    async def fetch(
        self,
        url: str,
        *,
        follows: Callable[[str], bool],
        private: bool,
        max_bytes: int = DEFAULT_BYTES,
        seconds: float = DEFAULT_SECONDS,
    ) -> Page:
        """GET `url`. A redirect within the host is followed where `follows` allows it; `private`: the host was named.

        Raises NotAllowed for an address that is not public, Invalid for what cannot be fetched or is no text.
        """
        url = urldefrag(url).url
        host = host_of(url)
        try:
            async with asyncio.timeout(seconds):
                for _ in range(MAX_REDIRECTS + 1):
                    response = await self._get(url, private=private, max_bytes=max_bytes)
                    target = _target(url, response)
                    if target is None:
                        return _page(url, response)
                    downgraded = url.startswith("https:") and not target.startswith("https:")
                    if host_of(target) != host or downgraded or not follows(target):
                        return replace(_page(url, response), redirect=target)
                    url = target
        except TimeoutError as error:
            raise _failed(
                url, f"it took longer than {seconds:.0f} s", "Give a longer timeout, or try later."
            ) from error
        raise _failed(url, f"it redirects more than {MAX_REDIRECTS} times", "Name the final address.")

    async def _get(self, url: str, *, private: bool, max_bytes: int) -> Response:
        host, parts = host_of(url), urlsplit(url)
        if not host or parts.username is not None or parts.password is not None:
            raise _failed(url, "it is no plain http or https URL without credentials", "Correct it; punycode for IDN.")
        port = parts.port or (443 if parts.scheme == "https" else 80)
        found = await self._checked(url, host, port, private=private)
        name = f"[{host}]" if ":" in host else host
        path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~") + (
            "?" + quote(parts.query, safe="/%:@!$&'()*+,;=~?") if parts.query else ""
        )
        request = (
            f"GET {path} HTTP/1.1\r\nHost: {name}{f':{parts.port}' if parts.port else ''}\r\nUser-Agent: druse\r\n"
            "Accept: text/*, application/json, application/xml;q=0.9, */*;q=0.1\r\nAccept-Encoding: identity\r\n"
            "Connection: close\r\n\r\n"
        )
        try:
            async with self._connected(found, port, host if parts.scheme == "https" else "") as (reader, writer):
                writer.write(request.encode("ascii"))
                await writer.drain()
                return await read_response(reader, max_bytes)
        except ssl.SSLError as error:
            raise _failed(url, f"TLS: {error.reason or error}", "Check the host and its certificate.") from error
        except OSError as error:
            raise _failed(
                url, error.strerror or str(error) or "no connection", "Check the URL, or try later."
            ) from error
        except BadResponse as error:
            raise _failed(url, str(error), "Fetch something else, or use a command.") from error

    async def _checked(self, url: str, host: str, port: int, *, private: bool) -> list[str]:
        try:
            found = list(dict.fromkeys(await self._resolve(host, port)))
        except OSError as error:
            raise _failed(url, f"{host} has no address ({error.strerror or error})", "Check the name.") from error
        if not found:
            raise _failed(url, f"{host} has no address", "Check the name.")
        for address in found:
            why = self._refusal(address)
            if why and not private:
                named = f"[{host}]" if ":" in host else host
                raise NotAllowed(
                    f"WebFetch({url[:200]!r}) is not allowed: {host} is at {address}, which is {why}. If that is "
                    f'meant, ask the user for the rule "WebFetch(domain:{named})", which names the host exactly.',
                    rule="(private networks)",
                    how_to_allow=f"WebFetch(domain:{named})",
                )
        return found

    @asynccontextmanager
    async def _connected(
        self, found: Sequence[str], port: int, tls_name: str
    ) -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        context = (self._tls or await asyncio.to_thread(ssl.create_default_context)) if tls_name else None
        failed: OSError = OSError("no connection")
        for address in found[:_MAX_TRIED]:
            try:
                async with asyncio.timeout(_CONNECT_SECONDS):
                    # A literal address: nothing is looked up again.
                    reader, writer = await asyncio.open_connection(
                        address, port, ssl=context, server_hostname=tls_name or None, limit=_HEAD_LIMIT
                    )
                break
            except ssl.SSLError:
                raise
            except TimeoutError:
                failed = OSError("no connection in time")
            except OSError as error:
                failed = error
        else:
            raise failed
        try:
            yield reader, writer
        finally:
            writer.transport.abort()  # whatever the server still has to say
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()


async def resolve_name(host: str, port: int) -> Sequence[str]:
    """The addresses the system has for a name. Raises OSError."""
    answers = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(answer[4][0]) for answer in answers]


def _target(url: str, response: Response) -> str | None:
    location = response.headers.get("location", "")
    if response.status not in _REDIRECTS or not location:
        return None
    try:
        return urldefrag(urljoin(url, location)).url
    except ValueError:
        return location


def _page(url: str, response: Response) -> Page:
    try:
        kind, text = text_of(response)
    except BadResponse as error:
        raise _failed(url, str(error), "Fetch something else, or use a command.") from error
    return Page(url, response.status, kind, text, response.cut)


def _failed(url: str, problem: str, advice: str) -> Invalid:
    return Invalid(f"Cannot fetch {url[:200]!r}: {problem}. {advice}", where="url", problem=problem)
