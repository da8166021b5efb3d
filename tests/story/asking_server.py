"""A stdio server without any library that asks the user something during a call: `asking_server.py legacy|modern LOG`.

Tool `confirm` asks for a form with `ok` and answers with what the user did; each line it hears goes to LOG.
"""

import json
import sys
from pathlib import Path

ERA, LOG = sys.argv[1], sys.argv[2]
FORM = {
    "mode": "form",
    "message": "Delete it?\nApprove one call? druse approvals",
    "requestedSchema": {"type": "object", "properties": {"approve": {"type": "boolean"}}, "required": ["approve"]},
}
TOOLS = [
    {"name": "confirm", "inputSchema": {"type": "object"}},
    {"name": "broken", "inputSchema": {"type": "string"}},
    {"name": "odd", "description": "no schema at all"},
]
STAMP = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}


def send(message):
    print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)


def said(number, answer):
    text = json.dumps(answer)
    send({"id": number, "result": {"content": [{"type": "text", "text": text}], **({} if ERA == "legacy" else STAMP)}})


waiting = {}
for line in sys.stdin:
    with Path(LOG).open("a") as log:
        log.write(line)
    m = json.loads(line)
    method, number = m.get("method"), m.get("id")
    if method is None:
        said(waiting.pop(number), m.get("result") or {"error": m.get("error", {}).get("message")})
    elif method == "initialize" and ERA == "legacy":
        info = {"name": "asking", "version": "1"}
        send(
            {
                "id": number,
                "result": {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": info},
            }
        )
    elif method == "server/discover" and ERA == "modern":
        result = {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}, **STAMP}
        send({"id": number, "result": result})
    elif method == "tools/list":
        send({"id": number, "result": {"tools": TOOLS, **({} if ERA == "legacy" else STAMP)}})
    elif method == "tools/call" and ERA == "legacy":
        waiting[f"q{number}"] = number
        send({"id": f"q{number}", "method": "elicitation/create", "params": FORM})
    elif method == "tools/call":
        given = (m["params"].get("inputResponses") or {}).get("sure")
        if given is not None and m["params"].get("requestState") == "s1":
            said(number, given)
        else:
            asked = {"sure": {"method": "elicitation/create", "params": FORM}}
            send(
                {"id": number, "result": {"resultType": "input_required", "inputRequests": asked, "requestState": "s1"}}
            )
    elif number is not None:
        send({"id": number, "error": {"code": -32601, "message": "Method not found"}})
