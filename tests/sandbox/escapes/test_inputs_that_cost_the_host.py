"""What is given to `druse sandbox run`, and what a worker says of an error: always one clean JSON document."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
from click.testing import CliRunner

from druse.cli import main
from druse.runtime import SandboxHost

pytestmark = pytest.mark.requirement("H-16")


@pytest.mark.parametrize("given", ["[" * 100_000, '{"a": ' + "[" * 3000 + "]" * 3000 + "}", "{", "[1]"])
def test_arguments_that_cannot_be_read_are_told_in_json(tmp_path: Path, given: str) -> None:
    file = tmp_path / "tool.py"
    file.write_text("def run(call, a=1):\n    return 1\n")
    result = CliRunner().invoke(main, ["sandbox", "run", str(file), "--args-json", given, "--json"])
    assert json.loads(result.stdout)["error"]["kind"] == "invalid"


def test_a_file_without_an_end_is_read_to_a_bound() -> None:
    result = CliRunner().invoke(main, ["sandbox", "run", "/dev/zero", "--json"])
    assert json.loads(result.stdout)["status"] == "rejected"


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("line", ["9" * 390, "true", "-1"])
async def test_the_line_of_an_error_is_a_line(host: SandboxHost, line: str) -> None:
    body = f'{{"done":"error","error":{{"kind":"x","message":"m","line":{line}}}}}'.encode()
    frame = struct.pack("<I", len(body)) + body
    result = await host.run(f"import os\nos.write(3, {frame!r})\n", {}, mode="script", os_only=True)
    assert result.error is not None and type(result.error.line) is int and result.error.line == 0


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("Write", {"file_path": "n" * 300, "content": "x"}),
        ("Write", {"file_path": "d/" * 3000 + "x", "content": "x"}),
        ("Grep", {"pattern": "x", "path": "n" * 300}),
        ("Read", {"file_path": "d/" * 3000 + "x"}),
        ("Edit", {"file_path": "n" * 300, "old_string": "a", "new_string": "b"}),
    ],
)
def test_a_path_that_no_system_takes_is_an_error_of_the_tool(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tool: str, arguments: dict[str, str]
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "tool.py"
    file.write_text("def run(call, *, tool, arguments):\n    return call(tool, **arguments)\n")
    given = json.dumps({"tool": tool, "arguments": arguments})
    rules = [part for name in ("Write", "Edit", "Read") for part in ("--allow", f"{name}(./**)")]
    result = CliRunner().invoke(main, ["sandbox", "run", str(file), "--args-json", given, "--json", *rules])
    answer = json.loads(result.stdout)
    assert (answer["status"], answer["error"]["kind"]) == ("error", "tool_error")
    assert not (tmp_path / "d").exists()


def test_a_long_name_of_long_letters_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    name = "\N{CHERRY BLOSSOM}" * 62
    file = tmp_path / "tool.py"
    file.write_text("def run(call, *, name):\n    return call('Write', file_path=name, content='x')\n")
    command = [
        "sandbox",
        "run",
        str(file),
        "--args-json",
        json.dumps({"name": name}),
        "--json",
        "--allow",
        "Write(./**)",
    ]
    assert json.loads(CliRunner().invoke(main, command).stdout)["status"] == "ok"
    assert (tmp_path / name).read_text() == "x"
