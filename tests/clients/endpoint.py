"""A model on loopback that says what a script says: Anthropic's, OpenAI's two and Google's streaming APIs.

The number of turns that a request shows the model to have had tells which line of the script is next, so a request that
a client repeats gets the same answer. Requests without tools (titles, summaries) get a word.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeAlias


@dataclass(frozen=True)
class Call:
    """The model calls a tool; `tool` is the end of the name under which the client offers it."""

    tool: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Say:
    """The model says something, which ends its turn."""

    text: str


Line: TypeAlias = "Call | Say | Callable[[], Call | Say]"


@dataclass
class Seen:
    """What the client sent."""

    offered: list[list[str]] = field(default_factory=list[list[str]])
    texts: list[str] = field(default_factory=list[str])
    problems: list[str] = field(default_factory=list[str])


class Model:
    """The script, and what came in."""

    def __init__(self, lines: Sequence[Line]) -> None:
        self.lines = lines
        self.seen = Seen()
        self.url = ""
        self._lock = threading.Lock()
        self._said: dict[int, Call | Say] = {}

    def _line(self, turn: int) -> Call | Say:
        line = self.lines[turn] if turn < len(self.lines) else Say("That is all.")
        try:
            return line() if callable(line) else line
        except Exception as error:  # else the client asks again and again, and nobody hears what was wrong
            self.seen.problems.append(f"turn {turn}: {type(error).__name__}: {error}")
            return Say("I cannot go on.")

    def next(self, turn: int, tools: list[str], text: str) -> tuple[str, Any]:
        """What the model does now: ("say", text) or ("call", (name, arguments))."""
        if not tools:
            return "say", "ok"
        self.seen.offered.append(tools)
        self.seen.texts.append(text)
        with self._lock:  # a request that comes again gets the answer that the first one got
            if turn not in self._said:
                self._said[turn] = self._line(turn)
            line = self._said[turn]
        if isinstance(line, Say):
            return "say", line.text
        fits = [name for name in tools if name == line.tool] or [name for name in tools if name.endswith(line.tool)]
        if not fits:
            self.seen.problems.append(f"turn {turn}: no tool {line.tool} among {tools}")
            return "say", f"I have no tool {line.tool}."
        return "call", (fits[0], line.arguments)


@contextmanager
def serving(lines: Sequence[Line]) -> Iterator[Model]:
    """The model at `url`, until the block ends."""
    model = Model(lines)

    class Handler(_Handler):
        scripted = model

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    model.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield model
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    scripted: Model

    def log_message(self, format: str, *args: Any) -> None:
        return

    def do_GET(self) -> None:
        self._plain({"data": [{"id": "scripted", "object": "model"}], "models": [], "has_more": False})

    def do_HEAD(self) -> None:
        self._plain({})

    def do_POST(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        raw = self.rfile.read(length)
        try:
            body: Any = json.loads(raw)
        except ValueError:
            body = {}
        path = self.path.partition("?")[0]
        if path.endswith("/count_tokens"):
            self._plain({"input_tokens": 100})
        elif ":countTokens" in path:
            self._plain({"totalTokens": 100})
        elif path.endswith("/messages"):
            self._anthropic(body)
        elif path.endswith("/responses"):
            self._responses(body)
        elif path.endswith("/chat/completions"):
            self._chat(body)
        elif "generateContent" in path or "GenerateContent" in path:
            self._gemini(body, stream="stream" in path)
        else:
            self._plain({})

    # Anthropic

    def _anthropic(self, body: dict[str, Any]) -> None:
        messages = body.get("messages", [])
        turn = sum(message["role"] == "assistant" for message in messages)
        tools = [tool["name"] for tool in body.get("tools", []) if "name" in tool]
        kind, what = self.scripted.next(turn, tools, json.dumps(messages))
        usage = {"input_tokens": 10, "output_tokens": 5, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}
        if kind == "say":
            block: dict[str, Any] = {"type": "text", "text": what}
            begun, delta = {"type": "text", "text": ""}, {"type": "text_delta", "text": what}
        else:
            block = {"type": "tool_use", "id": f"toolu_{turn:04d}_{_mark(messages)}", "name": what[0], "input": what[1]}
            begun, delta = {**block, "input": {}}, {"type": "input_json_delta", "partial_json": json.dumps(what[1])}
        reason = "end_turn" if kind == "say" else "tool_use"
        message = {
            **{"id": f"msg_{turn}", "type": "message", "role": "assistant", "model": body.get("model", "scripted")},
            **{"content": [], "stop_reason": None, "stop_sequence": None, "usage": usage},
        }
        if not body.get("stream"):
            self._plain({**message, "content": [block], "stop_reason": reason})
            return
        self._events(
            ("message_start", {"message": message}),
            ("content_block_start", {"index": 0, "content_block": begun}),
            ("content_block_delta", {"index": 0, "delta": delta}),
            ("content_block_stop", {"index": 0}),
            ("message_delta", {"delta": {"stop_reason": reason, "stop_sequence": None}, "usage": {"output_tokens": 5}}),
            ("message_stop", {}),
        )

    # OpenAI

    def _responses(self, body: dict[str, Any]) -> None:
        items = body.get("input", [])
        items = items if isinstance(items, list) else []
        calls = ("function_call", "custom_tool_call", "local_shell_call")
        turn = sum(
            item.get("type") in calls or (item.get("type") == "message" and item.get("role") == "assistant")
            for item in items
        )
        spaces: dict[str, tuple[str, str]] = {}
        for tool in body.get("tools", []):
            if tool.get("type") == "namespace":
                for inner in tool.get("tools", []):
                    spaces[f"{tool['name']}/{inner['name']}"] = (tool["name"], inner["name"])
            elif "name" in tool:
                spaces[tool["name"]] = ("", tool["name"])
        kind, what = self.scripted.next(turn, list(spaces), json.dumps(items))
        if kind == "say":
            item: dict[str, Any] = {"type": "message", "id": f"m{turn}", "role": "assistant", "status": "completed"}
            item["content"] = [{"type": "output_text", "text": what, "annotations": []}]
        else:
            space, name = spaces[what[0]]
            item = {"type": "function_call", "id": f"f{turn}", "call_id": f"call_{turn:04d}_{_mark(items)}"}
            item |= {"name": name, "arguments": json.dumps(what[1]), "status": "completed"}
            if space:
                item["namespace"] = space
        usage = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}
        usage |= {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}  # type: ignore[dict-item]
        response = {"id": f"resp_{turn}", "object": "response", "status": "in_progress", "output": []}
        done = {**response, "status": "completed", "output": [item], "usage": usage}
        self._events(
            ("response.created", {"response": response}),
            ("response.output_item.added", {"output_index": 0, "item": item}),
            ("response.output_item.done", {"output_index": 0, "item": item}),
            ("response.completed", {"response": done}),
        )

    def _chat(self, body: dict[str, Any]) -> None:
        messages = body.get("messages", [])
        turn = sum(message["role"] == "assistant" for message in messages)
        tools = [tool["function"]["name"] for tool in body.get("tools", []) if "function" in tool]
        kind, what = self.scripted.next(turn, tools, json.dumps(messages))
        head = {"id": f"c{turn}", "created": 1, "model": body.get("model", "scripted")}
        usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
        if kind == "say":
            delta: dict[str, Any] = {"role": "assistant", "content": what}
        else:
            function = {"name": what[0], "arguments": json.dumps(what[1])}
            call = {"index": 0, "id": f"call_{turn:04d}_{_mark(messages)}", "type": "function", "function": function}
            delta = {"role": "assistant", "content": None, "tool_calls": [call]}
        reason = "stop" if kind == "say" else "tool_calls"
        if not body.get("stream"):
            choice = {"index": 0, "message": delta, "finish_reason": reason}
            self._plain({**head, "object": "chat.completion", "choices": [choice], "usage": usage})
            return
        chunk = {**head, "object": "chat.completion.chunk"}
        self._stream(
            {**chunk, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]},
            {**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]},
            {**chunk, "choices": [], "usage": usage},
            "[DONE]",
        )

    # Google

    def _gemini(self, body: dict[str, Any], *, stream: bool) -> None:
        body = body.get("request", body)
        contents = body.get("contents", [])
        turn = sum(content.get("role") == "model" for content in contents)
        tools = [
            function["name"]
            for tool in body.get("tools", [])
            for function in tool.get("functionDeclarations", tool.get("function_declarations", []))
        ]
        kind, what = self.scripted.next(turn, tools, json.dumps(contents))
        part = {"text": what} if kind == "say" else {"functionCall": {"name": what[0], "args": what[1]}}
        answer = {
            "candidates": [{"content": {"role": "model", "parts": [part]}, "finishReason": "STOP", "index": 0}],
            "usageMetadata": {"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15},
            "modelVersion": "scripted",
        }
        if stream:
            self._stream(answer)
        else:
            self._plain(answer)

    # the wire

    def _plain(self, answer: Any) -> None:
        data = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _events(self, *events: tuple[str, dict[str, Any]]) -> None:
        text = "".join(f"event: {name}\ndata: {json.dumps({'type': name, **data})}\n\n" for name, data in events)
        self._sent(text)

    def _stream(self, *chunks: Any) -> None:
        self._sent("".join(f"data: {part if isinstance(part, str) else json.dumps(part)}\n\n" for part in chunks))

    def _sent(self, text: str) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        self.wfile.write(text.encode())
        self.close_connection = True


def _mark(conversation: Any) -> str:
    """Tells the calls of one conversation from those of another."""
    first = json.dumps(conversation[:2], sort_keys=True)
    return f"{sum(first.encode()) % 100_000:05d}"
