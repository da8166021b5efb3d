"""WebFetch against real servers of this machine: what it fetches, and where it does not let itself be led."""

from __future__ import annotations

import asyncio
import datetime
import gzip
import ipaddress
import ssl
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from druse.localtools import LocalTools
from druse.localtools.web import Web
from druse.model import Caller, CallerKind, Decision, JsonObject, Outcome, OutcomeStatus, ToolSpec
from druse.permissions import Policy, decide, refusal
from druse.routing import Registry, Router

from .test_files import Journal, NoConsent  # type: ignore[import-not-found]

Answer = Callable[[str, asyncio.StreamWriter], Awaitable[None]]


class Site:
    """A server that answers by path and keeps what it was asked."""

    def __init__(self, answers: dict[str, str | bytes | Answer]) -> None:
        self.answers = answers
        self.requests: list[str] = []
        self.port = 0
        self.at_work: set[asyncio.Task[None] | None] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.at_work.add(asyncio.current_task())
        with suppress(OSError, asyncio.IncompleteReadError):
            request = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.requests.append(request)
            answer = self.answers[request.split()[1]]
            if callable(answer):
                await answer(request, writer)
            else:
                body = answer if isinstance(answer, bytes) else answer.replace("PORT", str(self.port)).encode()
                writer.write(body)
            await writer.drain()
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


@asynccontextmanager
async def serving(site: Site, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> AsyncGenerator[Site]:
    server = await asyncio.start_server(site.serve, host, 0, ssl=tls)
    site.port = server.sockets[0].getsockname()[1]
    try:
        yield site
    finally:
        server.close()
        await asyncio.gather(*(task for task in site.at_work if task is not None))
        await server.wait_closed()


def page(text: str, kind: str = "text/plain; charset=utf-8", status: str = "200 OK", extra: str = "") -> str:
    size = len(text.encode())
    return f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {size}\r\n{extra}\r\n{text}"


def redirect(place: str, status: str = "302 Found") -> str:
    return f"HTTP/1.1 {status}\r\nLocation: {place}\r\nContent-Length: 0\r\n\r\n"


class Yes(NoConsent):
    """A person approved exactly this call."""

    async def granted(self, subject_hash: str, caller: Caller) -> bool:
        return True


async def fetched(
    web: Web,
    url: str,
    *,
    allow: list[str],
    deny: list[str] | None = None,
    consent: NoConsent | None = None,
    **options: int,
) -> Outcome:
    """One WebFetch through the one router."""
    here = Path("/tmp")
    policy = Policy.from_lists({"allow": allow, "deny": deny or []}, workspace=here, home=here)

    def decided(spec: ToolSpec, given: JsonObject, caller: Caller) -> Decision:
        return decide(policy, spec.name, given, spec=spec, caller=caller)

    tools = LocalTools(here, decide=decided, web=web)
    router = Router(
        Registry([tools]),
        decide=decided,
        consent=consent or NoConsent(),
        journal=Journal(lambda: None),
        clock=time.time,
    )
    return await router.call("WebFetch", {"url": url, **options}, Caller(CallerKind.AGENT))


def content(outcome: Outcome) -> object:
    assert isinstance(outcome.data, dict), outcome
    return outcome.data.get("content")


def names(**known: str | list[str]) -> Web:
    """A name server of our own; 127.0.0.1 counts as public there, so that only the other ranges are refused."""

    async def resolve(host: str, port: int) -> list[str]:
        found = known[host.replace(".", "_")]
        return [found] if isinstance(found, str) else found

    return Web(resolve=resolve, refusal=lambda address: "" if address == "127.0.0.1" else refusal(address))


async def test_a_page_of_an_allowed_host_comes_as_text_with_its_type() -> None:
    async with serving(Site({"/a?q=1%20x": page('{"é": 1}', "application/json")})) as site:
        url = f"http://localhost:{site.port}/a?q=1%20x#part"
        outcome = await fetched(Web(), url, allow=["WebFetch(domain:localhost)"])

    assert outcome.ok, outcome
    assert outcome.data == {
        "url": url.removesuffix("#part"),
        "status": 200,
        "type": "application/json",
        "content": '{"é": 1}',
    }
    sent = site.requests[0].lower()
    assert sent.startswith("get /a?q=1%20x http/1.1\r\n") and f"host: localhost:{site.port}\r\n" in sent
    assert "cookie" not in sent and "authorization" not in sent


@pytest.mark.parametrize(
    "allow", [[], ["WebFetch"], ["WebFetch(domain:*)"], ["*(readonly)"], ["Read"], ["WebFetch(domain:*.localhost)"]]
)
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "2130706433", "0x7f.1", "[::1]", "[::ffff:127.0.0.1]"])
async def test_this_machine_is_reached_only_by_a_rule_that_names_it(allow: list[str], host: str) -> None:
    async with serving(Site({"/": page("secret")})) as site:
        outcome = await fetched(Web(), f"http://{host}:{site.port}/", allow=allow)

    assert outcome.status is OutcomeStatus.PENDING
    assert not site.requests and "WebFetch(domain:" in outcome.message


async def test_a_call_that_a_person_approved_reaches_the_address_it_showed() -> None:
    async with serving(Site({"/": page("here")})) as site:
        shown, hidden = f"http://127.0.0.1:{site.port}/", f"http://x.io:{site.port}/"
        approved = await fetched(Web(), shown, allow=[], consent=Yes())
        covert = await fetched(names(x_io="127.0.0.2"), hidden, allow=[], consent=Yes())

    assert content(approved) == "here"
    assert covert.status is OutcomeStatus.DENIED and "127.0.0.2" in covert.message


@pytest.mark.parametrize(
    "address",
    [
        *("10.1.2.3", "172.31.0.1", "192.168.0.1", "127.0.0.53", "0.0.0.0", "169.254.169.254", "100.64.0.1"),
        *("224.0.0.1", "255.255.255.255", "192.0.0.192", "100.100.100.200", "168.63.129.16", "198.18.0.1"),
        *("::1", "::", "fe80::1", "fd00:ec2::254", "fec0::1", "ff02::1", "::ffff:8.8.8.8", "::ffff:127.0.0.1"),
        *("2002:7f00:1::1", "64:ff9b::7f00:1", "64:ff9b:1::1", "2001::1", "::127.0.0.1", "3fff::1", "nonsense"),
    ],
)
async def test_an_address_that_is_not_public_is_refused_even_beside_public_ones(address: str) -> None:
    web = names(x_io=["127.0.0.1", address])
    outcome = await fetched(web, "http://x.io/", allow=["WebFetch"])

    assert outcome.status is OutcomeStatus.DENIED and address in outcome.message


@pytest.mark.parametrize("address", ["8.8.8.8", "93.184.216.34", "2606:4700:4700::1111", "2a00:1450:4001:80b::200e"])
def test_public_addresses_are_not_refused(address: str) -> None:
    assert refusal(address) == ""


async def test_a_name_is_resolved_once_and_what_it_becomes_later_moves_nothing() -> None:
    """DNS rebinding: the second answer differs from the one that was checked."""
    asked: list[str] = []

    async def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["127.0.0.2"]

    web = Web(resolve=resolve, refusal=lambda address: "" if address == "127.0.0.1" else "a private network")
    async with serving(Site({"/": page("first"), "/again": redirect("/")})) as site:
        first = await fetched(web, f"http://x.io:{site.port}/", allow=["WebFetch"])
        assert content(first) == "first" and asked == ["x.io"]
        assert f"Host: x.io:{site.port}" in site.requests[0]

        asked.clear()
        second = await fetched(web, f"http://x.io:{site.port}/again", allow=["WebFetch"])

    assert second.status is OutcomeStatus.DENIED and "127.0.0.2" in second.message
    assert asked == ["x.io", "x.io"] and len(site.requests) == 2


async def test_a_redirect_within_the_host_is_followed_five_times_at_most() -> None:
    answers: dict[str, str | bytes | Answer] = {f"/{n}": redirect(f"/{n + 1}") for n in range(9)}
    answers["/9"] = page("there")
    async with serving(Site(answers)) as site:
        web, base = names(x_io="127.0.0.1"), f"http://x.io:{site.port}"
        near = await fetched(web, f"{base}/4", allow=["WebFetch(domain:x.io)"])
        far = await fetched(web, f"{base}/3", allow=["WebFetch(domain:x.io)"])

    assert content(near) == "there" and isinstance(near.data, dict) and near.data["url"] == f"{base}/9"
    assert far.status is OutcomeStatus.ERROR and "more than 5" in far.message


@pytest.mark.parametrize(
    "place", ["http://y.io:PORT/", "//y.io:PORT/x", "file:///etc/passwd", "http://[", "http://a b/"]
)
async def test_a_redirect_to_another_host_is_answered_and_not_followed(place: str) -> None:
    async with serving(Site({"/": redirect(place)})) as site:
        outcome = await fetched(
            names(x_io="127.0.0.1", y_io="127.0.0.1"), f"http://x.io:{site.port}/", allow=["WebFetch"]
        )

    assert outcome.ok and isinstance(outcome.data, dict), outcome
    assert outcome.data["status"] == 302 and outcome.data["redirect"] and len(site.requests) == 1


async def test_a_redirect_that_the_rules_ask_about_is_not_followed() -> None:
    async with serving(Site({"/": redirect("/out?secret=1"), "/out?secret=1": page("x")})) as site:
        url = f"http://x.io:{site.port}/"
        outcome = await fetched(
            names(x_io="127.0.0.1"), url, allow=["WebFetch(domain:x.io)"], deny=["Web*(url:*secret*)"]
        )

    assert isinstance(outcome.data, dict) and outcome.data["redirect"] == f"{url}out?secret=1"
    assert len(site.requests) == 1


async def drip(request: str, writer: asyncio.StreamWriter) -> None:
    """One byte at a time, for ever: no single read takes long."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")
    try:
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.02)
    except OSError:
        return


async def flood(request: str, writer: asyncio.StreamWriter) -> None:
    head = b"Transfer-Encoding: chunked\r\n" if "chunked" in request.split()[1] else b""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n" + head + b"\r\n")
    try:
        for _ in range(2000):
            writer.write(b"10000\r\n" + b"a" * 65536 + b"\r\n" if head else b"a" * 65536)
            await writer.drain()
    except OSError:
        return


async def endless_headers(request: str, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    try:
        for _ in range(5000):
            writer.write(b"X: " + b"y" * 1000 + b"\r\n")
            await writer.drain()
    except OSError:
        return


async def test_a_slow_server_is_left_in_time() -> None:
    async with serving(Site({"/": drip})) as site:
        started = time.monotonic()
        outcome = await fetched(names(x_io="127.0.0.1"), f"http://x.io:{site.port}/", allow=["WebFetch"], timeout=1)

    assert outcome.status is OutcomeStatus.ERROR and "longer than 1 s" in outcome.message
    assert time.monotonic() - started < 60  # the site goes on for ever


@pytest.mark.parametrize("path", ["/flood", "/chunked"])
async def test_a_huge_answer_is_cut(path: str) -> None:
    async with serving(Site({path: flood})) as site:
        outcome = await fetched(
            names(x_io="127.0.0.1"), f"http://x.io:{site.port}{path}", allow=["WebFetch"], max_bytes=100_000
        )

    assert outcome.ok and isinstance(outcome.data, dict), outcome
    assert outcome.data["content"] == "a" * 100_000 and "cut" in str(outcome.data["note"])


PACKED = gzip.compress(b"z" * 50_000_000)
PLAIN_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
ODD: list[tuple[bytes | Answer, str]] = [
    (b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 4\r\n\r\n\x89PNG", "no text"),
    (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "HTTP"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort", "ends early"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nx", "length"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 9" + b"9" * 60 + b"\r\n\r\nx", "length"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "chunk"),
    (PLAIN_HEAD + b"Content-Encoding: br\r\n\r\nxx", "packed"),
    (PLAIN_HEAD + b"Content-Encoding: gzip\r\n\r\nxx", "packed"),
    (b"HTTP/1.1 200 OK\r\nno header\r\n\r\n", "header"),
    (b"HTTP/1.1 100 Continue\r\n\r\n" * 20, "interim"),
    (b"", "ends early"),
    (endless_headers, "too long"),
]


@pytest.mark.parametrize(("answer", "problem"), ODD, ids=[problem for _, problem in ODD])
async def test_an_answer_of_no_use_is_an_error_that_says_why(answer: bytes | Answer, problem: str) -> None:
    async with serving(Site({"/": answer})) as site:
        outcome = await fetched(names(x_io="127.0.0.1"), f"http://x.io:{site.port}/", allow=["WebFetch"])

    assert outcome.status is OutcomeStatus.ERROR and problem in outcome.message, outcome


async def test_packed_content_is_unpacked_within_the_bound_and_odd_charsets_do_no_harm() -> None:
    bomb = PLAIN_HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(PACKED) + PACKED
    odd = page("grün", "text/html; charset=idna")
    latin = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=latin-1\r\n\r\ngr\xfcn"
    async with serving(Site({"/bomb": bomb, "/odd": odd, "/latin": latin})) as site:
        web, base = names(x_io="127.0.0.1"), f"http://x.io:{site.port}"
        cut = await fetched(web, f"{base}/bomb", allow=["WebFetch"], max_bytes=100_000)
        texts = [content(await fetched(web, base + path, allow=["WebFetch"])) for path in ("/odd", "/latin")]

    assert content(cut) == "z" * 100_000 and texts == ["grün", "grün"]


async def test_an_error_of_the_server_is_an_error_with_its_text() -> None:
    async with serving(Site({"/": page("gone away", status="410 Gone")})) as site:
        outcome = await fetched(names(x_io="127.0.0.1"), f"http://x.io:{site.port}/", allow=["WebFetch"])

    assert outcome.status is OutcomeStatus.ERROR and outcome.kind == "http_status" and content(outcome) == "gone away"


@pytest.mark.parametrize(
    "url",
    ["ftp://x.io/", "file:///etc/passwd", "http://user:pw@x.io/", "http://x.io:0/", "http://x.io:99999/", "http:///x"],
)
async def test_only_plain_http_urls_are_fetched(url: str) -> None:
    outcome = await fetched(names(x_io="127.0.0.1"), url, allow=["WebFetch"])

    assert outcome.status is OutcomeStatus.ERROR and "plain http or https" in outcome.message


async def test_no_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with serving(Site({"/": page("direct")})) as site:
        outcome = await fetched(names(x_io="127.0.0.1"), f"http://x.io:{site.port}/", allow=["WebFetch"])

    assert content(outcome) == "direct"


def certified(folder: Path, name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context with a certificate for `name`, and a client's that trusts it."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return server, ssl.create_default_context(cafile=str(folder / "cert.pem"))


async def test_tls_is_checked_against_the_name_and_not_the_pinned_address(tmp_path: Path) -> None:
    server, client = certified(tmp_path, "x.io")

    async def resolve(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    web = Web(resolve=resolve, refusal=lambda address: "", tls=client)
    async with serving(Site({"/": page("safe"), "/down": redirect("http://x.io:PORT/")}), tls=server) as site:
        good = await fetched(web, f"https://x.io:{site.port}/", allow=["WebFetch"])
        other = await fetched(web, f"https://y.io:{site.port}/", allow=["WebFetch"])
        down = await fetched(web, f"https://x.io:{site.port}/down", allow=["WebFetch"])

    assert content(good) == "safe"
    assert other.status is OutcomeStatus.ERROR and "TLS" in other.message
    assert isinstance(down.data, dict) and str(down.data["redirect"]).startswith("http://x.io")


def test_what_is_said_to_be_public_agrees_with_the_library_or_is_stricter() -> None:
    for text in ("1.1.1.1", "11.0.0.1", "100.63.255.255", "100.128.0.1", "172.32.0.1", "2400:cb00::1"):
        assert refusal(text) == "" and ipaddress.ip_address(text).is_global


def test_a_tool_approved_with_webfetch_still_needs_a_rule_for_the_host() -> None:
    policy = Policy.from_lists({"deny": ["*(readonly)"]}, workspace=Path("/tmp"), home=Path("/tmp"))
    plain = Policy.from_lists({}, workspace=Path("/tmp"), home=Path("/tmp"))
    tool = Caller(CallerKind.TOOL, tool="t", version=1, grants=("WebFetch",))

    assert decide(plain, "WebFetch", {"url": "https://x.io/"}, caller=tool).verdict == "ask"
    assert decide(policy, "WebFetch", {"url": "https://x.io/"}).verdict == "deny"
