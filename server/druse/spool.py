"""What clients did, written down by `druse hook` until a Druse process reads it. Standard library only.

Events are lines of one file that every writer appends to, so they stand in the order in which they were written down,
however many clients write at once. No writer waits for another, nor for the database. Who reads seals the file, which
takes it from the writers in one step; the next event begins a new one. Secrets are masked before a byte is written.
"""

from __future__ import annotations

import os
import sys
import time
from _stat import S_ISDIR

from druse.redaction import mask, workspace_key

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

OPEN = "open.jsonl"
LARGEST = 32 * 1024 * 1024  # bytes of an event
_LARGE = 3 * 1024 * 1024  # characters of a part of one: to look for secrets in more takes too long
_MOST = 1024 * 1024 * 1024  # bytes of the file: where nobody ever reads it, it does not fill the disk
_TRIES = 40
_PAUSE = 0.0005

# Events that tell of work, by their names in small letters; for all others nothing is written.
_EVENTS = frozenset(
    (
        *("userpromptsubmit", "beforeagent", "beforesubmitprompt", "userpromptsubmitted"),
        *("posttooluse", "posttoolusefailure", "aftertool", "aftershellexecution", "aftermcpexecution"),
        *("afterfileedit", "stop", "afteragent", "agentstop", "sessionend"),
    )
)
_KEPT = frozenset(
    (
        *("session_id", "sessionId", "conversation_id", "hook_event_name", "cwd", "workspace_roots"),
        *("prompt", "prompt_id", "turn_id", "generation_id", "agent_id"),
        *("tool_name", "toolName", "tool_use_id", "tool_input", "toolArgs", "tool_response", "tool_output"),
        *("toolResult", "duration_ms", "duration", "error", "error_message", "is_interrupt", "timestamp"),
        *("command", "output", "exit_code", "file_path", "edits", "result_json"),
    )
)
_UNWANTED = frozenset(("originalFile", "structuredPatch", "gitDiff"))  # of an edit's result: whole files once more


def record(arguments: Sequence[str]) -> None:
    """Write down the event on stdin. Raises whatever stops it."""
    client = arguments[0] if arguments else ""
    if not client or len(client) > 40 or not client.replace("-", "").isalnum() or not client.isascii():
        return
    data = _read_all(0)
    at = time.time()
    payload = _object(_loaded(data.decode("utf-8", "replace")))
    if payload is not None:
        name = str(payload.get("hook_event_name") or (arguments[1] if len(arguments) > 1 else ""))
        if name.lower() not in _EVENTS:
            return
        root = workspace_root(_folder(payload))
        event: dict[str, Any] = _trimmed(payload)
        event["hook_event_name"] = name
    else:
        root, event = workspace_root(os.getcwd()), {"unreadable": len(data)}
    state = os.path.join(root, ".druse")
    _make_state(state)
    masked = mask(workspace_key(os.path.join(state, "keys", "secrets.key")), event)
    line = _dumped({"client": client, "at": at, "event": masked})
    append(os.path.join(state, "spool"), line.encode("ascii"))


def append(folder: str, line: bytes) -> None:
    """Add a line to the spool. Raises OSError."""
    _make(folder)
    if not S_ISDIR(os.lstat(folder).st_mode):
        raise OSError(f"{folder} is no folder")  # a link in a cloned project leads anywhere
    path = os.path.join(folder, OPEN)
    text = b"\n" + line + b"\n"  # begun afresh: a line before it may have been cut by a full disk
    try:
        from fcntl import LOCK_NB, LOCK_SH, flock
    except ImportError:
        _alone(folder, text)
        return
    for _ in range(_TRIES):
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            flock(descriptor, LOCK_SH | LOCK_NB)  # refused only while the file is being sealed
            held = os.fstat(descriptor)
            if os.stat(path).st_ino == held.st_ino:
                if held.st_size < _MOST:
                    os.write(descriptor, text)
                return
        except (BlockingIOError, FileNotFoundError):
            time.sleep(_PAUSE)
        finally:
            os.close(descriptor)
    _alone(folder, text)


def sealed(folder: str) -> list[str]:
    """The files to be read, oldest first. One reader at a time calls this, and removes each when it was read."""
    found = _sealed(folder)
    if found or not os.path.exists(path := os.path.join(folder, OPEN)):
        return found
    new = os.path.join(folder, _name())
    if sys.platform == "win32":
        return found
    from fcntl import LOCK_EX, LOCK_NB, flock

    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        for _ in range(_TRIES):
            try:
                flock(descriptor, LOCK_EX | LOCK_NB)  # a writer holds it for the time of one write
            except BlockingIOError:
                time.sleep(_PAUSE)
                continue
            os.rename(path, new)
            return [new]
    finally:
        os.close(descriptor)
    return []


def waits(folder: str) -> bool:
    """Whether there is anything to be read."""
    return os.path.exists(os.path.join(folder, OPEN)) or bool(_sealed(folder))


def workspace_root(cwd: str) -> str:
    """The nearest folder upward with `.druse/`, else the git root, else `cwd`: as `druse.settings.Workspace`."""
    here = os.path.realpath(cwd)
    home = os.path.realpath(os.path.expanduser("~"))
    upward = [here]
    while os.path.dirname(upward[-1]) != upward[-1]:
        upward.append(os.path.dirname(upward[-1]))
    for folder in upward:
        if folder != home and os.path.isdir(os.path.join(folder, ".druse")):
            return folder
    return next((folder for folder in upward if os.path.exists(os.path.join(folder, ".git"))), here)


def _folder(payload: dict[str, Any]) -> str:
    """Where the client works: its project, else the folder it is in."""
    roots = _list(payload.get("workspace_roots"))
    told: tuple[Any, ...] = (
        os.environ.get("CLAUDE_PROJECT_DIR"),
        os.environ.get("CURSOR_PROJECT_DIR"),
        roots[0] if roots else None,
        payload.get("cwd"),
    )
    return next((one for one in told if isinstance(one, str) and os.path.isdir(one)), os.getcwd())


def _trimmed(payload: dict[str, Any]) -> dict[str, Any]:
    """What is kept of an event. JSON in texts is opened, so that its secrets are known by their names."""
    kept = {name: payload[name] for name in _KEPT if name in payload}
    context = _object(payload.get("mcp_context")) or _object(payload.get("mcp_server"))
    if context is not None:
        told = {"server": context.get("server_name") or context.get("name"), "tool": context.get("tool_name")}
        kept["mcp"] = {name: text for name, text in told.items() if isinstance(text, str)}
    for name in ("tool_input", "toolArgs", "tool_response", "tool_output", "toolResult", "result_json"):
        if name in kept:
            size = _size(kept[name])
            kept[name] = opened(kept[name]) if size <= _LARGE else {"left_out": f"{size} characters"}
    for name in ("tool_response", "toolResult"):
        answer = _object(kept.get(name))
        if answer is not None:
            kept[name] = {key: opened(part) for key, part in answer.items() if key not in _UNWANTED}
    return kept


def _size(value: Any) -> int:
    """The characters in all texts of a value."""
    if isinstance(value, str):
        return len(value)
    table, parts = _object(value), _list(value)
    inner = table.values() if table is not None else parts or ()
    return sum(_size(part) for part in inner)


def opened(value: Any) -> Any:
    """The value behind a text that is JSON, or the value; of MCP's content, of each text in it."""
    if isinstance(value, str) and value[:1] in ("{", "[") and value[-1:] in ("}", "]"):
        found = _loaded(value)
        return value if found is None else found
    parts = _list(value)
    return value if parts is None else [_opened_part(part) for part in parts]


class _Reading:
    """What the scanner below asks: plain JSON, as `json.loads` reads it."""

    strict = True
    object_hook = object_pairs_hook = None
    parse_float, parse_int = float, int

    @staticmethod
    def parse_constant(name: str) -> None:
        """NaN and the infinities, which JSON does not have."""

    memo: dict[str, str]


def _loaded(text: str) -> Any:
    """What a JSON text says; None where it is none.

    The C half of `json` alone: the other half imports `re`, which takes longer than the rest of a hook together.
    """
    text = text.strip(" \t\r\n\ufeff")
    try:
        reading = _Reading()
        reading.memo = {}
        value, end = __import__("_json").make_scanner(reading)(text, 0)
        return value if end == len(text) else None
    except (StopIteration, ValueError, RecursionError):
        return None
    except (ImportError, AttributeError, TypeError):  # another Python than we know
        return _loaded_slowly(text)


def _loaded_slowly(text: str) -> Any:
    import json

    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _dumped(value: Any) -> str:
    try:
        parts = __import__("_json")
        encode = parts.make_encoder(
            *({}, _refuse, parts.encode_basestring_ascii, None, ":", ",", False, False, True),
        )
        return "".join(encode(value, 0))
    except (ImportError, AttributeError, TypeError):
        import json

        return json.dumps(value, separators=(",", ":"))


def _refuse(value: Any) -> Any:
    raise TypeError(f"{type(value).__name__} is no JSON")


def _opened_part(part: Any) -> Any:
    block = _object(part)
    return {**block, "text": opened(block["text"])} if block is not None and "text" in block else part


def _object(value: Any) -> dict[str, Any] | None:
    return value if type(value) is dict else None  # pyright: ignore[reportUnknownVariableType]


def _list(value: Any) -> list[Any] | None:
    return value if type(value) is list else None  # pyright: ignore[reportUnknownVariableType]


def _read_all(descriptor: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while part := os.read(descriptor, 1 << 20):
        size += len(part)
        if size <= LARGEST:
            parts.append(part)
    return b"".join(parts) if size <= LARGEST else b""


def _make_state(state: str) -> None:
    if _make(state):
        with open(os.path.join(state, ".gitignore"), "x", encoding="utf-8") as file:
            file.write("*\n!.gitignore\n!config.toml\n")


def _make(folder: str) -> bool:
    try:
        os.mkdir(folder, 0o700)
        return True
    except FileExistsError:
        return False


def _alone(folder: str, text: bytes) -> None:
    """The event in a file of its own, whole or not at all."""
    path = os.path.join(folder, _name())
    descriptor = os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, text)
    finally:
        os.close(descriptor)
    os.rename(path + ".new", path)


def _name() -> str:
    return f"{time.time_ns():020d}-{os.getpid()}.jsonl"


def _sealed(folder: str) -> list[str]:
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    return [os.path.join(folder, name) for name in sorted(names) if name.endswith(".jsonl") and name != OPEN]
