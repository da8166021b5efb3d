"""Questions that fixtures put to their client."""

from __future__ import annotations

from druse.model import Counterpart, JsonObject

SECONDS = 60.0


def form(message: str, **fields: str) -> JsonObject:
    """A request for a form with these required fields, each of a JSON type."""
    schema: JsonObject = {
        "type": "object",
        "properties": {name: {"type": kind} for name, kind in fields.items()},
        "required": [*fields],
    }
    return elicitation(message, schema)


def elicitation(message: str, schema: JsonObject) -> JsonObject:
    """A request for a form of this schema."""
    return {
        "method": "elicitation/create",
        "params": {"mode": "form", "message": message, "requestedSchema": schema},
    }


def sampling(text: str, tokens: int) -> JsonObject:
    """A request for a text of the client's model."""
    said: JsonObject = {"role": "user", "content": {"type": "text", "text": text}}
    return {"method": "sampling/createMessage", "params": {"messages": [said], "maxTokens": tokens}}


def roots() -> JsonObject:
    """A request for the client's roots."""
    return {"method": "roots/list", "params": {}}


async def answers(side: Counterpart | None, requests: dict[str, JsonObject]) -> dict[str, JsonObject | None]:
    """The client's answers."""
    return await side.ask(requests, seconds=SECONDS) if side is not None else dict.fromkeys(requests)


async def ask(side: Counterpart | None, key: str, message: str, **fields: str) -> JsonObject:
    """The content of a filled-in form; empty where it was not filled in."""
    answer = (await answers(side, {key: form(message, **fields)}))[key]
    content = answer.get("content") if answer else None
    return content if isinstance(content, dict) else {}
