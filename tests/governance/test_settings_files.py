"""What may lie where a settings file is looked for: every command ends, and says what is wrong."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

import doors

TOO_MUCH = 9 * 1024 * 1024


def put(path: Path, kind: str) -> None:
    match kind:
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case "loop":
            path.symlink_to(path.name)
        case "device":
            path.symlink_to("/dev/zero")
        case "socket":
            with socket.socket(socket.AF_UNIX) as one:
                one.bind(os.path.relpath(path))
        case "no text":
            path.write_bytes(b"\xff\xfe\x00")
        case "nested":
            path.write_text(("a = " if path.suffix == ".toml" else "") + "[" * 200_000)
        case _:
            with path.open("wb") as file:
                file.truncate(TOO_MUCH)


@pytest.mark.requirement("S-25", "S-36")
@pytest.mark.parametrize("kind", ["folder", "pipe", "loop", "device", "socket", "no text", "nested", "huge"])
@pytest.mark.parametrize("name", [".druse/config.toml", "mcp.json"])
def test_whatever_lies_where_settings_are_a_command_ends_and_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, kind: str
) -> None:
    monkeypatch.chdir(tmp_path)
    environment = {"XDG_CONFIG_HOME": str(tmp_path / "config")}
    Path(".druse").mkdir()
    Path("mcp.json").write_text('{"mcpServers": {}}')
    Path(name).unlink(missing_ok=True)
    put(Path(name), kind)
    said = doors.said(tmp_path, environment, "run", "Read", "--args-json", '{"file_path": "x"}')
    assert name in said["error"]["message"], said
