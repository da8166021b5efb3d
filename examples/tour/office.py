"""A small office as an MCP server, without any library: users, and a book of notes in `notes.txt`."""

import json
import sys
from pathlib import Path

NOTES = Path("notes.txt")
CITIES = ["Rome", "Oslo", "Lima", "Kyiv", "Bern", "Cork", "Nice", "Graz", "Porto"]
TEXT = {"type": "string"}
TOOLS = {
    "get_user": ("A user by e-mail address.", {"email": TEXT}, True),
    "add_note": ("Write a note into the book.", {"text": TEXT}, False),
    "remove_note": ("Strike a note from the book.", {"text": TEXT}, False),
    "close_account": ("Close a user's account for good.", {"user_id": TEXT}, False),
}


def carry_out(name, given):
    lines = NOTES.read_text().splitlines() if NOTES.exists() else []
    if name == "get_user":
        number = int(given["email"].partition("@")[0].removeprefix("u"))
        return {"id": f"U{number}", "city": CITIES[number - 1]}
    if name == "add_note":
        lines.append(given["text"])
    elif name == "remove_note":
        lines.remove(given["text"])
    else:
        lines.append(f"closed {given['user_id']}")
    NOTES.write_text("".join(f"{line}\n" for line in lines))
    return {"notes": len(lines)}


def listed(name):
    text, properties, reads = TOOLS[name]
    schema = {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
    return {"name": name, "description": text, "inputSchema": schema, "annotations": {"readOnlyHint": reads}}


for line in sys.stdin:
    asked = json.loads(line)
    if "id" not in asked:
        continue
    answer = {}
    if asked["method"] == "initialize":
        info = {"name": "office", "version": "1"}
        answer = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": info}
    elif asked["method"] == "tools/list":
        answer = {"tools": [listed(name) for name in TOOLS]}
    elif asked["method"] == "tools/call":
        try:
            made = carry_out(asked["params"]["name"], asked["params"]["arguments"])
            answer = {"content": [{"type": "text", "text": json.dumps(made)}], "structuredContent": made}
        except (ValueError, IndexError) as error:
            answer = {"content": [{"type": "text", "text": f"{type(error).__name__}: {error}"}], "isError": True}
    print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": answer}), flush=True)
