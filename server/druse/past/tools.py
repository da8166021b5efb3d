"""The tools of clients in Druse's words.

Where a client's tool does what one of Druse's own does, it has that one's name, arguments and result, so that work seen
in a client can become a tool that Druse runs. Every other tool keeps its name behind the client's. Arguments that only
say how a client shows or bounds a call are left out.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from druse.model import Json, JsonObject

# What an agent tells itself, its user or its client: no work on anything.
_NOTES = frozenset(
    (
        *("todowrite", "todoread", "toolsearch", "tool_search", "exitplanmode", "enterplanmode", "askuserquestion"),
        *("taskcreate", "taskupdate", "tasklist", "taskget", "structuredoutput", "sendusermessage", "update_plan"),
        *("report_intent", "write_todos", "think", "attempt_completion", "ask_followup_question", "invalid"),
        *("plan_mode_respond", "update_todo_list", "ask_user", "task_complete", "update_topic", "submit_and_exit"),
    )
)
_SHELLS = frozenset(
    (
        *("bash", "run_shell_command", "exec_command", "shell", "shell_command", "local_shell", "execute_command"),
        *("run_terminal_cmd", "runinterminal", "run_in_terminal", "container.exec", "run_commands"),
    )
)
_FILES: Mapping[str, str] = {
    **dict.fromkeys(("read", "read_file", "view"), "Read"),
    **dict.fromkeys(("edit", "replace", "str_replace"), "Edit"),
    **dict.fromkeys(("write", "write_file", "create", "write_to_file"), "Write"),
}
_PATHS = ("file_path", "filePath", "absolute_path", "path")
_MCP = re.compile(r"mcp__(?P<server>.+?)(?:__|/)(?P<tool>.+)", re.DOTALL)
_OWN_TOOL = re.compile(r"(?P<server>druse)(?:__|[-_])(?P<tool>[a-z_]+)")  # where the client puts no mcp before it
_OWN_SERVER = re.compile(r"(?:plugin_[a-z0-9_]*_)?druse[a-z0-9_]*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Told:
    """A call as a client tells it. `server` is the MCP server of the tool, where the client says so apart."""

    tool: str
    arguments: JsonObject
    result: Json = None
    failed: bool = False
    server: str = ""
    cwd: str = ""


@dataclass(frozen=True, slots=True)
class Known:
    """The same call in Druse's words. `own` is the name of a tool of Druse itself."""

    tool: str
    arguments: JsonObject
    result: Json
    failed: bool
    own: str = ""


def known(client: str, told: Told, root: str) -> Known | None:
    """A client's call in Druse's words; None for what an agent tells itself."""
    server, tool = _parted(told)
    if server:
        result = _content(told.result)
        if _OWN_SERVER.fullmatch(server):
            return Known(tool, told.arguments, result, told.failed, own=tool)
        return Known(f"{_plain(server)}__{_plain(tool)}", told.arguments, result, told.failed)
    small = tool.lower()
    if small in _NOTES:
        return None
    if small in _SHELLS and not told.arguments.get("run_in_background") and not told.arguments.get("is_background"):
        return _shell(told, root)
    if small in _FILES:
        return _file(_FILES[small], client, told, root)
    if (
        small == "webfetch"
        and set(told.arguments) <= {"url", "prompt", "format", "timeout"}
        and "url" in told.arguments
    ):
        return Known(f"{_plain(client)}__webfetch", told.arguments, told.result, told.failed)
    return Known(f"{_plain(client)}__{_plain(tool)}", told.arguments, _content(told.result), told.failed)


def _parted(told: Told) -> tuple[str, str]:
    """Server and tool of an MCP call; no server for the client's own tools."""
    if told.server:
        tool = told.tool
        for before in (f"mcp__{told.server}__", f"mcp_{told.server}_", f"{told.server}__", f"{told.server}-"):
            tool = tool.removeprefix(before)
        return told.server, tool
    match = _MCP.fullmatch(told.tool) or _OWN_TOOL.fullmatch(told.tool)
    return (match["server"], match["tool"]) if match else ("", told.tool)


def _shell(told: Told, root: str) -> Known:
    given = told.arguments
    text = given.get("command", given.get("cmd", given.get("commands")))
    command = _line(text)
    workdir = next((given[key] for key in ("workdir", "dir_path", "directory", "cwd") if given.get(key)), told.cwd)
    arguments: JsonObject = {"command": _within(command, root)}
    place = _relative(str(workdir), root) if workdir else ""
    if place not in ("", "."):
        arguments["cwd"] = place  # Druse runs commands in the workspace: no tool can be made of this one
    result = _printed(told.result, failed=told.failed)
    code = result.get("exit_code")
    return Known("Bash", arguments, result, told.failed or (isinstance(code, int) and code != 0))


def _line(command: Json) -> str:
    """A command line; of a list that starts a shell, the line that the shell is given."""
    if isinstance(command, list):
        words = [str(word) for word in command]
        if len(words) == 3 and words[0].rpartition("/")[2] in ("bash", "sh", "zsh") and words[1] in ("-c", "-lc"):
            return words[2]
        return shlex.join(words)
    return command if isinstance(command, str) else json.dumps(command)


def _within(command: str, root: str) -> str:
    """A command without the `cd` to the workspace before it, where it begins anyway."""
    for place in (root, shlex.quote(root), f'"{root}"'):
        for join in (" && ", "; "):
            if command.startswith(f"cd {place}{join}"):
                return command[len(f"cd {place}{join}") :].lstrip()
    return command


# How clients put the end of a command and what it printed into one text.
_CODE = re.compile(
    r"(?:Process exited with code|[Ee]xit(?:ed with)?(?: [Cc]ode)?:?|exited with exit code)\s*(?P<code>-?\d+)"
)
# What Gemini CLI writes around an answer, and below what a command printed.
_UNTRUSTED = re.compile(r"\A<untrusted_context>\n(?P<body>[\s\S]*?)\n?</untrusted_context>\s*\Z")
_TRAILER = re.compile(r"(?:^(?:Exit Code|Process Group PGID|Background PIDs|Signal): [^\n]*\n?)+\Z", re.MULTILINE)
_ENDED = re.compile(r"\n?<shellId: \S+ completed with exit code -?\d+>\s*\Z")  # Copilot's last line
_BODY = re.compile(r"\A[\s\S]*?^Output:[ \n](?P<body>[\s\S]*)\Z", re.MULTILINE)


def _printed(result: Json, *, failed: bool) -> JsonObject:
    """What a command printed, and its exit code, as Druse's own Bash answers."""
    if isinstance(result, dict):
        known_parts = {
            key: result[key] for key in ("stdout", "stderr", "exit_code", "exitCode", "exit") if key in result
        }
        if "stdout" in known_parts:
            code = next((known_parts[key] for key in ("exit_code", "exitCode", "exit") if key in known_parts), None)
            given = code if isinstance(code, int) else 1 if failed else 0
            return {"stdout": result.get("stdout") or "", "stderr": result.get("stderr") or "", "exit_code": given}
        metadata = result.get("metadata")
        if isinstance(metadata, dict) and ("exit_code" in metadata or "exit" in metadata):
            code = metadata.get("exit_code", metadata.get("exit"))
            return {"stdout": _text(result.get("output")), "stderr": "", "exit_code": code}
    text = _text(result)
    found = _CODE.search(text[:2000]) or _CODE.search(text[-200:])
    code = int(found["code"]) if found else 1 if failed else 0
    body = _BODY.match(text)
    out = _TRAILER.sub("", body["body"]) if body else _ENDED.sub("", text)
    out = "" if out.strip() == "(empty)" else out
    printed = {"stdout": "", "stderr": out} if failed else {"stdout": out, "stderr": ""}
    return {**printed, "exit_code": code}


def _file(tool: str, client: str, told: Told, root: str) -> Known:
    """Reads and changes of files."""
    given = told.arguments
    path = next((given[key] for key in _PATHS if isinstance(given.get(key), str)), None)
    if path is None:
        return Known(f"{_plain(client)}__{_plain(told.tool)}", given, _content(told.result), told.failed)
    arguments: JsonObject = {"file_path": _relative(_absolute(str(path), told.cwd or root), root)}
    result = told.result if told.failed else _FILE_RESULTS[tool](told.result, arguments)
    if tool == "Read":
        arguments |= {key: given[key] for key in ("offset", "limit") if isinstance(given.get(key), int)}
    elif tool == "Write":
        arguments["content"] = next((given[key] for key in ("content", "file_text") if key in given), "")
        result = told.result if told.failed else {"file_path": arguments["file_path"], "created": _created(told.result)}
    else:
        names = (("old_string", "oldString", "old_str"), ("new_string", "newString", "new_str"))
        for wanted, keys in zip(("old_string", "new_string"), names, strict=True):
            arguments[wanted] = next((given[key] for key in keys if key in given), "")
        if given.get("replace_all") or given.get("replaceAll") or given.get("allow_multiple"):
            arguments["replace_all"] = True
    return Known(tool, arguments, result, told.failed)


def _read_result(result: Json, arguments: JsonObject) -> Json:
    """The text of a file; clients wrap it."""
    if isinstance(result, dict):
        file = result.get("file")
        if isinstance(file, dict) and isinstance(file.get("content"), str):
            return file["content"]
    return _content(result)


def _edit_result(result: Json, arguments: JsonObject) -> Json:
    return {"file_path": arguments["file_path"], "replaced": 1}


def _created(result: Json) -> bool:
    if isinstance(result, dict):
        return result.get("type") == "create"
    return "creat" in _text(result)[:200].lower()


_FileResult: TypeAlias = "Callable[[Json, JsonObject], Json]"
_FILE_RESULTS: Mapping[str, _FileResult] = {
    "Read": _read_result,
    "Edit": _edit_result,
    "Write": lambda result, arguments: result,
}


def _content(result: Json) -> Json:
    """What is in an answer of MCP, as tool code sees it: structured content first, else the text, opened if JSON."""
    if isinstance(result, dict):
        if result.get("structuredContent") is not None:
            return result["structuredContent"]
        if isinstance(result.get("content"), list):
            return _content(result["content"])
        for key in ("llmContent", "textResultForLlm"):
            if key in result:
                return _content(result[key])
    if isinstance(result, list) and result and all(isinstance(part, dict) and "text" in part for part in result):
        texts = [part["text"] for part in result if isinstance(part, dict)]
        return _content(texts[0]) if len(texts) == 1 else "\n".join(_text(text) for text in texts)
    if isinstance(result, str):
        result = _trusted(result)
        if result[:1] in ("{", "["):
            try:
                return json.loads(result)
            except (ValueError, RecursionError):
                return result
    return result


def _trusted(text: str) -> str:
    found = _UNTRUSTED.match(text)
    return found["body"] if found else text


def _text(value: Json) -> str:
    if isinstance(value, str):
        return _trusted(value)
    if isinstance(value, list):
        return "\n".join(str(part["text"]) for part in value if isinstance(part, dict) and "text" in part)
    if isinstance(value, dict):
        for key in ("output", "llmContent", "textResultForLlm", "content", "text", "error", "message"):
            if key in value:
                return _text(value[key])
    return "" if value is None else json.dumps(value, ensure_ascii=False)


def _absolute(path: str, base: str) -> str:
    return os.path.normpath(Path(base) / path)


def _relative(path: str, root: str) -> str:
    """A path inside the workspace from there; any other as it is."""
    if path == root:
        return "."
    return path[len(root) + 1 :] if path.startswith(root.rstrip("/") + "/") else path


def _plain(text: str) -> str:
    split = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", text)
    return re.sub(r"[^a-z0-9]+", "_", split.lower()).strip("_") or "x"
