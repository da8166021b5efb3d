"""What is a secret, and the handle that stands for it. Standard library only, and little of it.

The same rules hold wherever something is written down: in the server, and in `druse hook`, which a client waits for.
So a pattern is compiled only when a text holds one of the words it begins with, and each runs in time linear in the
text, whatever the text is.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Collection, Mapping
    from typing import Any

    from druse.model import Json, JsonObject

_BLOCK = 64  # bytes, of SHA-256

# A name is looked at closer only if it holds one of these.
_STEMS = ("pass", "pwd", "secret", "key", "auth", "bearer", "token", "cookie", "credential", "otp", "pin", "cvv", "cvc")
_SECRET_KEY = (
    r"(?i)(?:^|[_\-. ])(?:passw(?:or)?d|passwd|pwd|passphrase|secret|api[_\-]?key|apikey|access[_\-]?key|"
    r"private[_\-]?key|client[_\-]?secret|auth(?:orization)?|bearer|token|cookie|set-cookie|session[_\-]?key|"
    r"credential|credentials|otp|pin|cvv|cvc)(?:$|[_\-. ])"
)
_NOT_SECRET_KEY = (
    r"(?i)(?:token[_\-]?(?:count|limit|type|usage)|"
    r"(?:max|input|output|total|page|next|prev\w*|continuation|cursor|progress)[_\-]?tokens?|tokens$|"
    r"auth[_\-]?(?:type|method|mode)|author(?!iz))"
)
# Secrets in texts: the words one of which such a secret, or what tells it, begins with; characters one of which is in
# every such text (empty: there is none that must be); the pattern from that word on. `secret` is what is masked, else
# all of the match. Small letters: of a pattern that takes both.
_SHAPES: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (
        ("-----BEGIN ",),
        "-",
        r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]{0,40}PRIVATE KEY-----|\Z)",
    ),
    (("eyJ",), ".", r"\beyJ[A-Za-z0-9_-]{8,}+\.[A-Za-z0-9_-]{8,}+\.[A-Za-z0-9_-]*+"),
    (
        ("sk-", "sk_", "rk-", "rk_", "pk-", "pk_"),
        "-_",
        r"\b(?:sk|rk|pk)[-_](?:live|test|proj|ant|or|svcacct)?[-_]?[A-Za-z0-9_-]{20,}",
    ),
    (("ghp_", "gho_", "ghu_", "ghs_", "ghr_"), "_", r"\bgh[pousr]_[A-Za-z0-9]{20,}"),
    (("github_pat_",), "_", r"\bgithub_pat_[A-Za-z0-9_]{20,}"),
    (("glpat-",), "-", r"\bglpat-[A-Za-z0-9_-]{16,}"),
    (("xox",), "-", r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}"),
    (("AKIA", "ASIA"), "", r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
    (("AIza",), "", r"\bAIza[A-Za-z0-9_-]{30,}"),
    (("npm_",), "_", r"\bnpm_[A-Za-z0-9]{30,}"),
    (("pypi-",), "-", r"\bpypi-[A-Za-z0-9_-]{30,}"),
    (("hf_",), "_", r"\bhf_[A-Za-z0-9]{30,}"),
    (("ya29.",), ".", r"\bya29\.[A-Za-z0-9_-]{20,}"),
    (("SG.",), ".", r"\bSG\.[A-Za-z0-9_-]{16,}+\.[A-Za-z0-9_-]{16,}"),
    (("dop_v1_",), "_", r"\bdop_v1_[a-f0-9]{40,}"),
    (("://",), "@", r"(?<=[A-Za-z0-9+.-])(?P<head>://[^\s/:@]*:)(?P<secret>[^\s/@]+)(?=@)"),
)
_SAID: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (("bearer", "basic"), "", r"(?i)(?P<head>\b(?:bearer|basic)\s+)(?P<secret>[A-Za-z0-9._~+/-]{8,}=*)"),
    (
        ("pass", "pwd", "secret", "api", "access", "private", "token"),
        "=:",
        r"(?i)(?P<head>(?:password|passwd|pwd|secret(?!://[0-9a-f]{24})|api[_-]?key|access[_-]?key|private[_-]?key|"
        r"token|passphrase|(?<=[_-])pass)\\{0,9}[\"']?\s*[=:]\s*\\{0,9}[\"']?)(?P<secret>[^\s\"'&;,]{4,})",
    ),
    (
        ("-pass", "-token", "-secret", "-api"),
        "-",
        r"(?i)(?P<head>-(?:password|passwd|token|secret|api-?key|pass)(?:=|\s+)[\"']?)(?P<secret>[^\s\"';|&]{3,})",
    ),
)
_MARKS = "-_.@=:"  # all those characters
_due: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {}  # by those in a text: words to look for, also in small
_HANDLE = "secret://"
_compiled: dict[str, re.Pattern[str]] = {}
_names: dict[str, bool] = {}  # of fields, and whether what is called so is a secret
_NAME, _NAMES = 64, 4096


def handle_of(key: bytes, secret: str) -> str:
    """The handle of a secret under a key: equal secrets have equal handles; a handle has itself."""
    if is_handle(secret):
        return secret
    return _HANDLE + _mac(key, secret.encode("utf-8", "surrogatepass"))[:24]


def is_handle(text: str) -> bool:
    """Whether a text is a handle and nothing else."""
    return text.startswith(_HANDLE) and len(text) == 33 and not text[9:].strip("0123456789abcdef")


def mask(key: bytes, value: Json) -> Json:
    """`value` without secrets: by key, by the shape of well-known tokens, and inside texts."""
    if isinstance(value, str):
        return mask_text(key, value)
    if isinstance(value, list):
        return [mask(key, item) for item in value]
    if isinstance(value, dict):
        return {name: _field(key, name, item, secret=False) for name, item in value.items()}
    return value


def mask_object(key: bytes, value: Mapping[str, Json], declared: Collection[str] = ()) -> JsonObject:
    """The same for an object, of whose fields those called `declared` are secrets whatever their names."""
    return {name: _field(key, name, item, secret=name in declared) for name, item in value.items()}


def mask_text(key: bytes, text: str) -> str:
    """`text` with every secret found in it replaced by its handle."""
    if not _suspect(text):
        return text
    for words, _, pattern in _SHAPES:
        text = _masked(key, text, text, words, pattern)
    for words, _, pattern in _SAID:
        text = _masked(key, text, _small(text), words, pattern)
    return text


def _suspect(text: str) -> bool:
    """Whether there may be a secret in a text. Most have none, and every text that is written down is asked about."""
    marks = "".join([mark for mark in _MARKS if mark in text])
    words, said = _due.get(marks) or _looked_for(marks)
    for word in words:
        if word in text:
            return True
    small = _small(text)
    for word in said:  # noqa: SIM110 - a generator takes as long as all of this
        if word in small:
            return True
    return False


def _looked_for(marks: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The words with which a secret may begin in a text that holds these of the characters and no other."""
    shapes, said = (
        tuple(word for words, needed, _ in table if not needed or set(needed) & set(marks) for word in words)
        for table in (_SHAPES, _SAID)
    )
    _due[marks] = shapes, said
    return shapes, said


def _masked(key: bytes, text: str, searched: str, words: tuple[str, ...], pattern: str) -> str:
    """`text` with what the pattern matches masked. Looked at are only places where one of the words stands."""
    ahead = {word: place for word in words if (place := searched.find(word)) >= 0}
    if not ahead:
        return text
    found, run = _pattern(pattern), _pattern(r"[A-Za-z0-9_-]*+")
    made: list[str] = []
    done = 0
    while ahead:
        word = min(ahead, key=ahead.__getitem__)
        place = ahead[word]
        match = found.match(text, place)
        after = place + 1
        if match is not None:
            secret = match["secret"] if found.groups else match[0]
            bare = secret.rstrip("\\")  # of a quote that stood inside of quotes
            if bare and _HANDLE not in secret:
                start = match.end() - len(secret)
                made += text[done:start], handle_of(key, bare)
                done = start + len(bare)
            after = max(after, done)
        elif word == "eyJ" and (within := run.match(text, place)) is not None:
            after = max(after, within.end())  # a later one in the same run matches no more than the first
        for name, old in list(ahead.items()):
            if old < after:
                new = searched.find(name, after)
                if new < 0:
                    del ahead[name]
                else:
                    ahead[name] = new
    return "".join(made) + text[done:]


def is_secret_key(name: str) -> bool:
    """Whether values under this name are secrets."""
    known = _names.get(name)
    if known is None:
        known = _is_secret_key(name)
        if len(name) <= _NAME and len(_names) < _NAMES:  # the same few come again and again
            _names[name] = known
    return known


def _is_secret_key(name: str) -> bool:
    small = name.lower() if name.isascii() else name.casefold()
    if not any(stem in small for stem in _STEMS):
        return False
    spaced = _pattern(r"(?<=[a-z0-9])(?=[A-Z])").sub("_", name)
    return bool(_pattern(_SECRET_KEY).search(spaced)) and not _pattern(_NOT_SECRET_KEY).search(spaced)


def workspace_key(path: str) -> bytes:
    """The key of a workspace in this file, readable by the owner only; made at the first use. Raises OSError."""
    for _ in range(2):
        try:
            with open(path, "rb") as file:
                key = file.read()
            if key:
                return key
        except FileNotFoundError:
            pass
        _make_key(path)
    raise OSError(f"{path} is empty")


def _make_key(path: str) -> None:
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    # Whole or not at all: several processes may start at the same moment.
    waiting = f"{path}.{os.getpid()}.{os.urandom(4).hex()}"
    descriptor = os.open(waiting, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, os.urandom(32))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    try:
        _put(waiting, path)
    finally:
        if os.path.lexists(waiting):
            os.unlink(waiting)


def _put(waiting: str, path: str) -> None:
    if os.path.exists(path) and not os.path.getsize(path):
        os.unlink(path)
    try:
        os.link(waiting, path)
    except FileExistsError:
        return
    except OSError:  # a file system without links
        if not os.path.exists(path):
            os.rename(waiting, path)


def _small(text: str) -> str:
    """The text in small letters, each where it stood: a few letters are longer in small and are left as they are."""
    small = text.lower()
    return small if len(small) == len(text) else "".join(a if len(a.lower()) > 1 else a.lower() for a in text)


def _field(key: bytes, name: str, value: Json, *, secret: bool) -> Json:
    return _whole(key, value) if secret or is_secret_key(name) else mask(key, value)


def _whole(key: bytes, value: Json) -> Json:
    if isinstance(value, str):
        return handle_of(key, value) if value else value
    if isinstance(value, list):
        return [_whole(key, item) for item in value]
    if isinstance(value, dict):
        return {name: _whole(key, item) for name, item in value.items()}
    if isinstance(value, int | float) and not isinstance(value, bool):
        return handle_of(key, repr(value))
    return value


def _pattern(text: str) -> re.Pattern[str]:
    found = _compiled.get(text)
    if found is None:
        import re

        found = _compiled[text] = re.compile(text)
    return found


def _mac(key: bytes, message: bytes) -> str:
    """HMAC-SHA256 in hexadecimal digits; `hmac` and `hashlib` take longer to import than all else here."""
    sha256 = _sha256()
    if len(key) > _BLOCK:
        key = sha256(key).digest()
    key = key.ljust(_BLOCK, b"\0")
    inner = sha256(bytes(byte ^ 0x36 for byte in key) + message).digest()
    return sha256(bytes(byte ^ 0x5C for byte in key) + inner).hexdigest()


def _sha256() -> Callable[[bytes], Any]:
    for name in ("_sha2", "_sha256"):  # the first since Python 3.12
        try:
            return __import__(name).sha256
        except (ImportError, AttributeError):
            continue
    return __import__("hashlib").sha256
