"""Edits in place: whatever a file looks like, only what must change does, and taking it back gives the same bytes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from druse.editors import CLIENTS, NAME, Machine, entry_in, install, uninstall
from druse.editors import jsontext as jsontext
from druse.model import Invalid

_SETTINGS = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
_NAMES = st.sampled_from(
    ["a", "b", "mcpServers", "servers", "mcp", "context_servers", "x-y", "ü", 'q"', "//no", "druse"]
)
_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-99, 99),
    st.sampled_from(["", "text", "a // b", "/* c */", "x,}", "\\n", "é"]),
)


@st.composite
def _space(draw: Any, newline: str) -> str:
    piece = st.sampled_from(
        ["", " ", "\t", newline, newline + "    ", " // why" + newline, " /* c, } */ ", "// x: {" + newline]
    )
    return "".join(draw(st.lists(piece, max_size=3)))


@st.composite
def _jsonc(draw: Any, newline: str, depth: int) -> str:
    """An object in any layout, with comments anywhere and perhaps a comma too many."""
    members: list[str] = []
    for name in draw(st.lists(_NAMES, max_size=3, unique=True)):
        servers = name in ("mcpServers", "servers", "mcp", "context_servers")
        if depth and (servers or draw(st.booleans())):
            value = draw(_jsonc(newline, depth - 1))
        elif servers:
            value = draw(st.sampled_from(["{}", "null", "{ }"]))
        else:
            value = json.dumps(draw(st.one_of(_SCALARS, st.lists(_SCALARS, max_size=2))))
        members.append(
            draw(_space(newline))
            + json.dumps(name)
            + draw(_space(newline))
            + ":"
            + draw(_space(newline))
            + value
            + draw(_space(newline))
        )
    comma = "," if members and draw(st.booleans()) else ""
    return "{" + ",".join(members) + comma + draw(_space(newline)) + "}"


@st.composite
def _file(draw: Any) -> bytes:
    newline = draw(st.sampled_from(["\n", "\r\n"]))
    bom = draw(st.sampled_from(["", "\ufeff"]))
    text = draw(_space(newline)) + draw(_jsonc(newline, 2)) + draw(_space(newline))
    return (bom + draw(st.sampled_from([text, text, text, "", newline, "// nothing" + newline]))).encode()


def _machine(home: Path) -> Machine:
    return Machine(home, {"PATH": ""}, "linux")


def _place(name: str, home: Path, content: bytes | None) -> Path:
    path = CLIENTS[name].user(_machine(home))[0]
    path.parent.mkdir(parents=True, exist_ok=True)
    if content is None:
        path.unlink(missing_ok=True)
    else:
        path.write_bytes(content)
    return path


def _put(name: str, home: Path, **options: Any) -> list[str]:
    done = install(CLIENTS[name], _machine(home), "user", home / "project", workspace=None, **options)
    return [edited.status for edited in done.files]


def _take(name: str, home: Path) -> None:
    uninstall(CLIENTS[name], _machine(home), ["user"], home / "project")


def _fresh(folder: Path) -> Path:
    """A home of its own for each example."""
    return Path(tempfile.mkdtemp(dir=folder))


def _comments(text: str) -> list[str]:
    """Every comment, in its order."""
    return jsontext.comments(text)


@_SETTINGS
@given(content=_file(), name=st.sampled_from(["cursor", "vscode", "opencode", "zed"]))
def test_any_json_keeps_its_content_and_comments_and_gets_its_bytes_back(
    content: bytes, name: str, tmp_path: Path
) -> None:
    home = _fresh(tmp_path)
    path = _place(name, home, content)
    before: Any = jsontext.read(content.decode())
    assert _put(name, home) == ["written"]
    made = path.read_bytes().decode()
    after: Any = jsontext.read(made)
    assert entry_in(CLIENTS[name], path) is not None
    if b'"druse"' not in content:  # what stood inside of an older entry goes with it
        assert _comments(made) == _comments(content.decode())
    at = CLIENTS[name].at[0]
    assert {key: value for key, value in after.items() if key != at} == {
        key: value for key, value in before.items() if key != at
    }
    kept = before.get(at) or {}
    assert {**kept, NAME: after[at][NAME]} == after[at]
    assert ("\r\n" in made) == ("\r\n" in content.decode()) or "\n" not in content.decode()
    assert _put(name, home) == ["unchanged"]
    assert path.read_bytes() == made.encode()
    _take(name, home)
    assert path.read_bytes() == content


@_SETTINGS
@given(content=_file(), name=st.sampled_from(["cursor", "vscode"]), how=st.integers(0, 2))
def test_what_the_user_wrote_in_between_stays_and_only_ours_goes(
    content: bytes, name: str, how: int, tmp_path: Path
) -> None:
    home = _fresh(tmp_path)
    path = _place(name, home, content)
    client = CLIENTS[name]
    _put(name, home)
    text = path.read_bytes().decode()
    text = [
        lambda: jsontext.put(text, (*client.at, "later"), {"command": "x"}),
        lambda: jsontext.put(text, ("theme",), "dark"),
        lambda: json.dumps(jsontext.read(text), indent=3),  # another program wrote the whole file anew
    ][how]()
    path.write_bytes(text.encode())
    changed: Any = jsontext.read(text)
    _take(name, home)
    left: Any = jsontext.read(path.read_bytes().decode()) if path.exists() else {}
    before: Any = jsontext.read(content.decode())
    had = (before.get(client.at[0]) or {}).get(NAME)
    assert (left.get(client.at[0]) or {}).get(NAME) == had
    for key, value in changed.items():
        if key != client.at[0]:
            assert left[key] == value
    for key, value in changed[client.at[0]].items():
        if key != NAME:
            assert left[client.at[0]][key] == value
    if how < 2 and path.exists() and b'"druse"' not in content:
        assert _comments(path.read_bytes().decode()) == _comments(text)


_TOML = [
    "",
    "# nothing\n",
    'model = "x"',
    '\ufeffmodel = "x"\r\n\r\n[mcp_servers.a]\r\ncommand = "b" # c\r\n',
    "mcp_servers = {}\n",
    'mcp_servers = { a = { command = "b" } } # inline\nz = 1\n',
    'mcp_servers.a.command = "dotted"\n',
    '[mcp_servers]\na = { command = "b" }\n\n# tail\n',
    "text = '''\n[mcp_servers.druse]\nno = 1\n'''\n[other]\nlist = [\n  1, # [x]\n  2,\n]\n",
    '[mcp_servers."druse"]\ncommand = "old"\n[mcp_servers."druse".env]\nA = "1"\n\n[after]\nx = 1\n',
    '[[hooks.Stop]]\nmatcher = "*"\n[[hooks.Stop.hooks]]\ntype = "command"\n',
]


@pytest.mark.parametrize("content", _TOML)
def test_toml_keeps_its_content_and_gets_its_bytes_back(content: str, tmp_path: Path) -> None:
    path = _place("codex", tmp_path, content.encode())
    before = tomllib.loads(content.removeprefix("\ufeff").replace("\r\n", "\n"))
    assert _put("codex", tmp_path) == ["written"]
    made = path.read_bytes().decode()
    after = tomllib.loads(made.removeprefix("\ufeff").replace("\r\n", "\n"))
    assert after["mcp_servers"][NAME]["args"][-1] == "serve"
    before.setdefault("mcp_servers", {})[NAME] = after["mcp_servers"][NAME]
    assert after == before
    assert all(line[line.index("#") :] in made for line in content.splitlines() if "#" in line)
    assert _put("codex", tmp_path) == ["unchanged"]
    _take("codex", tmp_path)
    assert path.read_bytes() == content.encode()


@pytest.mark.parametrize("content", _TOML)
def test_of_changed_toml_only_ours_is_taken(content: str, tmp_path: Path) -> None:
    path = _place("codex", tmp_path, content.encode())
    _put("codex", tmp_path)
    newline = "\r\n" if "\r\n" in content else "\n"
    path.write_bytes(path.read_bytes() + f'{newline}[added] # by hand{newline}x = "y"{newline}'.encode())
    _take("codex", tmp_path)
    left = path.read_bytes().decode().removeprefix("\ufeff").replace("\r\n", "\n")
    found = tomllib.loads(left)
    assert found.pop("added") == {"x": "y"} and "# by hand" in left
    before = tomllib.loads(content.removeprefix("\ufeff").replace("\r\n", "\n"))
    assert {k: v for k, v in found.items() if v} == {k: v for k, v in before.items() if v}


_YAML = [
    "",
    "# nothing\n",
    "extensions:\n",
    "extensions: {}  # none\nz: 1\n",
    "extensions: {a: {enabled: true}}\n",
    "GOOSE_MODEL: x",
    "extensions:\r\n    dev:\r\n        enabled: true # yes\r\n\r\n# tail\r\nz: [1,\r\n  2]\r\n",
    "base: &b {enabled: true}\nextensions:\n  dev: *b\n",
    "extensions:\n  dev:\n    text: |\n      a: b\n\n      # in the text\n    # a comment\nlast: 'x'\n",
    "extensions:\n  druse:\n    cmd: old\n    enabled: false\n  z:\n    enabled: true\n",
    '{"extensions": {"a": 1}}\n',
    "---\nextensions:\n  dev: null\n",
    "extensions:\n  dev:\n    text: |\n      a\n\n      b",
]


@pytest.mark.parametrize("content", _YAML)
def test_yaml_keeps_its_content_and_gets_its_bytes_back(content: str, tmp_path: Path) -> None:
    path = _place("goose", tmp_path, content.encode())
    before = yaml.safe_load(content) or {}
    assert _put("goose", tmp_path) == ["written"]
    made = path.read_bytes().decode()
    after = yaml.safe_load(made)
    assert after["extensions"][NAME]["args"][-1] == "serve"
    before["extensions"] = {**(before.get("extensions") or {}), NAME: after["extensions"][NAME]}
    assert after == before
    assert made.count("#") == content.count("#")
    assert _put("goose", tmp_path) == ["unchanged"]
    _take("goose", tmp_path)
    assert path.read_bytes() == content.encode()


@st.composite
def _toml(draw: Any) -> str:
    """Tables in any order, with comments, several lines, and names in quotes; or the servers inline."""
    newline = draw(st.sampled_from(["\n", "\r\n"]))
    head = draw(st.sampled_from(["", "# mine\n", 'model = "x" # c\n\n', "m = '''\n[mcp_servers.druse]\n'''\n"]))
    if draw(st.integers(0, 5)) == 0:
        return (head + 'mcp_servers = { x = { command = "c" } }\n').replace("\n", newline)
    tables = ['[projects."/a.b"]\ntrust = "y"\n', '[[hooks.Stop]]\n[[hooks.Stop.hooks]]\ncommand = "x"\n']
    for name in ("x", "druse", '"q r"'):
        lines = f'[mcp_servers.{name}] # {name}\ncommand = "c"\nargs = [\n  "a", # one\n  "b",\n]\n'
        tables.append(lines + draw(st.sampled_from(["", f'[mcp_servers.{name}.env]\nA = "1"\n'])))
    chosen = draw(st.lists(st.sampled_from(tables), unique=True))
    between = st.sampled_from(["", "\n", "# between\n", "\n# tail\n"])
    text = head + "".join(table + draw(between) for table in chosen)
    return draw(st.sampled_from([text, text.rstrip()])).replace("\n", newline)


@st.composite
def _yaml(draw: Any) -> str:
    """Servers in blocks, in braces or missing, with comments and texts of several lines."""
    newline, step = draw(st.sampled_from(["\n", "\r\n"])), draw(st.sampled_from(["  ", "    "]))
    parts = [draw(st.sampled_from(["", "name: x # c\n", "# mine\n"]))]
    kind = draw(st.integers(0, 5))
    if kind == 0:
        parts.append(draw(st.sampled_from(["extensions:\n", "extensions: {} # c\n", "extensions: {}\n"])))
    elif kind > 1:
        parts.append("extensions: # servers\n")
        for name in draw(st.lists(st.sampled_from(["x", "druse", "z"]), min_size=1, unique=True)):
            parts.append(f"{step}{name}:\n{step}{step}cmd: c # d\n{step}{step}args:\n{step}{step}- a\n")
            parts.append(
                draw(st.sampled_from(["", f"{step}{step}text: |\n{step}{step}  a\n\n{step}{step}  b\n", "# c\n"]))
            )
    parts.append(draw(st.sampled_from(["", "\nmodels:\n- a: 1\n", "# tail\n"])))
    text = "".join(parts)
    return draw(st.sampled_from([text, text.rstrip()])).replace("\n", newline)


@_SETTINGS
@given(text=st.one_of(st.tuples(st.just("codex"), _toml()), st.tuples(st.just("goose"), _yaml())))
def test_any_toml_and_yaml_keeps_its_comments_and_gets_its_bytes_back(text: tuple[str, str], tmp_path: Path) -> None:
    name, content = text
    home = _fresh(tmp_path)
    path = _place(name, home, content.encode())
    assert _put(name, home) == ["written"]
    made = path.read_bytes().decode()
    if "druse" not in content:
        assert made.count("#") == content.count("#")
    assert entry_in(CLIENTS[name], path) is not None and _put(name, home) == ["unchanged"]
    _take(name, home)
    assert path.read_bytes() == content.encode()


_CONTINUE = [
    "name: mine\nversion: 1.0.0\nschema: v1\nmcpServers:\n- name: a\n  command: b # c\n# tail\nmodels: []\n",
    "name: mine\nmcpServers: []\n",
    "name: mine\nmcpServers:\n    - name: druse\n      command: old\n    - name: z\n      command: c\n",
]


@pytest.mark.parametrize("content", _CONTINUE)
def test_a_list_of_servers_keeps_its_order_and_gets_its_bytes_back(content: str, tmp_path: Path) -> None:
    path = _place("continue", tmp_path, content.encode())
    assert _put("continue", tmp_path) == ["written"]
    servers = yaml.safe_load(path.read_bytes())["mcpServers"]
    assert [server["name"] for server in servers].count(NAME) == 1
    assert _put("continue", tmp_path) == ["unchanged"]
    _take("continue", tmp_path)
    assert path.read_bytes() == content.encode()


@pytest.mark.parametrize("name", list(CLIENTS))
def test_a_file_that_was_not_there_is_gone_again_with_the_folders_made_for_it(name: str, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    assert _put(name, home) == ["written"]
    path = CLIENTS[name].user(_machine(home))[0]
    assert path.stat().st_mode & 0o777 == 0o600
    _take(name, home)
    assert [part for part in home.rglob("*") if ".local" not in part.parts] == []


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("cursor", b'{"mcpServers": '),
        ("cursor", b'{"mcpServers": []}'),
        ("cursor", b"{'single': 1}"),
        ("cursor", '{"a": "é"}'.encode("latin-1")),
        ("codex", b"a = \n"),
        ("goose", b"a: [\n"),
        ("goose", b"a: 1\n---\nb: 2\n"),
    ],
)
def test_a_file_that_cannot_be_understood_is_refused_and_left_alone(name: str, content: bytes, tmp_path: Path) -> None:
    path = _place(name, tmp_path, content)
    with pytest.raises(Invalid, match="Cannot edit"):
        _put(name, tmp_path)
    assert path.read_bytes() == content


def test_mode_and_link_of_a_file_stay(tmp_path: Path) -> None:
    real = tmp_path / "dotfiles" / "mcp.json"
    real.parent.mkdir()
    real.write_text("{}")
    real.chmod(0o640)
    link = tmp_path / ".cursor" / "mcp.json"
    link.parent.mkdir()
    link.symlink_to(real)
    _put("cursor", tmp_path)
    assert link.is_symlink() and real.stat().st_mode & 0o777 == 0o640 and NAME in real.read_text()
    assert [part.name for part in real.parent.iterdir()] == ["mcp.json"]
    _take("cursor", tmp_path)
    assert link.is_symlink() and real.read_text() == "{}"


def test_a_lost_receipt_does_not_keep_druse_from_being_taken_out(tmp_path: Path) -> None:
    path = _place("cursor", tmp_path, b'{"mcpServers": {"a": {"command": "b"}}}')
    _put("cursor", tmp_path)
    for part in _machine(tmp_path).state.iterdir():
        part.unlink()
    _take("cursor", tmp_path)
    assert path.read_text() == '{"mcpServers": {"a": {"command": "b"}}}'


def test_receipts_and_backups_can_be_read_by_their_owner_alone(tmp_path: Path) -> None:
    _place("cursor", tmp_path, b'{"secret": "s"}')
    _put("cursor", tmp_path)
    folder = _machine(tmp_path).state
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {part.stat().st_mode & 0o777 for part in folder.iterdir()} == {0o600}


def test_a_long_file_is_edited_and_taken_back_in_time(tmp_path: Path) -> None:
    """Claude Code keeps the history of every project in the file that holds its servers."""
    history = {f"/home/me/{n}": {"history": [{"display": "x", "pasted": {}}] * 10} for n in range(2000)}
    content = json.dumps({"projects": history, "mcpServers": {"a": {"command": "b"}}, "tips": 1}, indent=2).encode()
    path = _place("cursor", tmp_path, content)
    began = time.process_time()
    _put("cursor", tmp_path)
    path.write_bytes(
        path.read_bytes().replace(b'"tips": 1', b'"tips": 2').replace(b'"/home/me/1":', b'"/home/me/one":')
    )
    _take("cursor", tmp_path)
    assert path.read_bytes() == content.replace(b'"tips": 1', b'"tips": 2').replace(
        b'"/home/me/1":', b'"/home/me/one":'
    )
    assert time.process_time() - began < 20  # of the processor, which others use as well


def test_what_the_user_added_to_our_entry_stays_when_it_is_written_again(tmp_path: Path) -> None:
    old = {"command": "python", "args": ["-m", "druse", "serve"], "autoApprove": ["run_tool"], "env": {"A": "1"}}
    path = _place("cursor", tmp_path, json.dumps({"mcpServers": {"druse": old}}, indent=2).encode())
    before = path.read_bytes()
    install(CLIENTS["cursor"], _machine(tmp_path), "user", tmp_path, workspace=None, variables=["TOKEN"])
    entry = entry_in(CLIENTS["cursor"], path) or {}
    assert entry["autoApprove"] == ["run_tool"] and entry["command"] != "python"
    assert entry["env"] == {"A": "1", "TOKEN": "${env:TOKEN}"}
    _take("cursor", tmp_path)
    assert path.read_bytes() == before
    path.write_text('{"mcpServers": {"druse": {"url": "https://x.example"}}}')  # another server of that name
    _put("cursor", tmp_path)
    assert "url" not in (entry_in(CLIENTS["cursor"], path) or {})


@pytest.mark.parametrize(
    ("name", "content", "user", "expected"),
    [
        # the last line had no end: what the user wrote behind us does not end up on it
        ("codex", 'model = "o3"', lambda t: t + "# mine\n", 'model = "o3"\n# mine\n'),
        ("codex", '# only\r\na = 1\r\n# end', lambda t: t + "[z]\r\n", "# only\r\na = 1\r\n# end\r\n[z]\r\n"),
        ("cursor", "// all", lambda t: t + "// mine\n", "// all\n// mine\n"),
        ("cursor", "{ }", lambda t: t + "\n// mine\n", "{ }\n// mine\n"),
        ("goose", "# only", lambda t: t + "# mine\n", "# only\n# mine\n"),
        # the line beside ours is another one now
        ("codex", "a = 1\n[mcp_servers.druse]\ncommand = 'old'\n[z]\nb = 1\n", lambda t: t.replace("a = 1", "a = 2"), None),
        ("goose", "# 1\nextensions: ~\nz: 1\n", lambda t: t.replace("# 1", "# 2"), None),
        ("goose", "extensions: ~\nz: 1\n", lambda t: "# 2\n" + t, "# 2\nextensions: ~\nz: 1\n"),
        # a byte order mark, alone or before what the user puts on top
        ("cursor", "\ufeff", lambda t: "\ufeff// mine\n" + t[1:], "\ufeff// mine\n"),
        ("codex", "\ufeffa = 1\n", lambda t: "\ufeff# mine\n" + t[1:], "\ufeff# mine\na = 1\n"),
        # an entry made by hand keeps its place and its comments
        ("continue", "mcpServers:\n  # a\n  - name: druse # d\n    command: b\n  - name: x\nz: 1\n", lambda t: t + "y: 2\n", None),
    ],
)  # fmt: skip
def test_what_the_user_wrote_around_ours_stays_where_it_was_written(
    name: str, content: str, user: Any, expected: str | None, tmp_path: Path
) -> None:
    path = _place(name, tmp_path, content.encode())
    _put(name, tmp_path)
    path.write_bytes(user(path.read_bytes().decode()).encode())
    _take(name, tmp_path)
    assert path.read_bytes().decode() == (user(content) if expected is None else expected)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("codex", "n = nan\nm = -inf\n[mcp_servers.x]\ncommand = 'a'\n"),
        ("goose", "n: .nan\nextensions:\n  x:\n    prompt: |+\n      a\n\n\n"),
        ("goose", "extensions:\n  x:\n    prompt: |+  # keep\n      a\n\n\nz: 1\n"),
        ("goose", "s: !vault |\n  abc\nt: !include {a: [1]}\nextensions:\n  x:\n    cmd: a\n"),
        ("goose", "extensions: {\n  x: {cmd: a}, # why\n}\n"),
        ("goose", "b: &b {type: stdio}\nextensions:\n  x: &x\n    <<: *b\n    cmd: a\n  y: *x\n"),
        ("continue", "mcpServers: [\n  {name: x, command: a}, # why\n]\n"),
        ("continue", "mcpServers:\n  - &x\n    name: x\n  - *x # again\nz: 1\n"),
        ("continue", "b: &b [1]\nmcpServers:\n  - name: x\n    args: *b\n\n# end\n"),
        ("gemini", '{"mcpServers": {"druse": {"command": "a"}, "druse": {"command": "b"}}}'),
    ],
)
def test_rare_but_legal_ways_of_writing_are_edited_and_taken_back(name: str, content: str, tmp_path: Path) -> None:
    path = _place(name, tmp_path, content.encode())
    assert _put(name, tmp_path) == ["written"]
    assert entry_in(CLIENTS[name], path) is not None
    assert _put(name, tmp_path) == ["unchanged"]
    _take(name, tmp_path)
    assert path.read_bytes() == content.encode()


def test_of_a_name_that_stands_twice_none_is_left_when_it_is_taken() -> None:
    text = '{\n  "a": 1, // one\n  "x": {"b": 1},\n  "x": {"b": 2} // two\n}\n'
    assert jsontext.read(jsontext.drop(text, ("x",))) == {"a": 1}


def test_cline_waits_longer_than_its_three_seconds_unless_the_user_said_how_long(tmp_path: Path) -> None:
    path = _place("cline", tmp_path, None)
    _put("cline", tmp_path)
    first = entry_in(CLIENTS["cline"], path)
    assert first is not None and first["timeout"] == 60
    path.write_text(json.dumps({"mcpServers": {"druse": {**first, "timeout": 7, "args": ["-m", "druse", "serve"]}}}))
    _put("cline", tmp_path)
    assert entry_in(CLIENTS["cline"], path) == {**first, "timeout": 7}


_KILLED = """
import json, os, sys, pathlib
import druse.editors.jsontext, druse.traces
from druse.editors import CLIENTS, Machine, install
changing = ("open", "os.rename", "os.mkdir", "os.remove", "os.chmod")
def killed(home, left):
    def watch(event, arguments):
        nonlocal left
        if event in changing and (event != "open" or arguments[2] & (os.O_WRONLY | os.O_RDWR)):
            if str(arguments[0]).startswith(home):
                left -= 1
                if left < 0:
                    os._exit(9)
    sys.addaudithook(watch)
    install(CLIENTS["gemini"], Machine(pathlib.Path(home), {"PATH": ""}, "linux"), "user", pathlib.Path(home), workspace=None)
    os._exit(0)
ends = []
for step, home in enumerate(sys.argv[1:]):
    child = os.fork()
    if not child:
        killed(home, step)
    ends.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    if ends[-1] == 0:
        break
print(json.dumps(ends))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="forks")
def test_an_installation_killed_at_any_moment_is_taken_back_and_leaves_nothing_lying_about(tmp_path: Path) -> None:
    """Killed before each call that changes the disk; the next uninstall, or install and uninstall, sets it right."""
    content = b'{\r\n  // mine\r\n  "mcpServers": {},\r\n}'
    homes = [_fresh(tmp_path) for _ in range(30)]
    for home in homes:
        _place("gemini", home, content).chmod(0o600)
    words = [sys.executable, "-c", _KILLED, *map(str, homes)]
    ends = json.loads(subprocess.run(words, check=True, capture_output=True).stdout)
    assert ends[-1] == 0 and set(ends) == {0, 9} and len(ends) > 6
    for step, home in enumerate(homes[: len(ends)]):
        path = CLIENTS["gemini"].user(_machine(home))[0]
        assert path.read_bytes() == content or entry_in(CLIENTS["gemini"], path) is not None
        for left in path.parent.glob(".*"):
            os.utime(left, (1, 1))  # as if it lay there since long
        if step % 2:
            _put("gemini", home)
        _take("gemini", home)
        assert (path.read_bytes(), path.stat().st_mode & 0o777) == (content, 0o600), step
        if step % 2:
            assert [one for one in home.rglob("*") if one.is_file()] == [path], step
