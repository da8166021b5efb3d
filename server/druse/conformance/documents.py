"""The suite's resources and prompts."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from druse.model import JsonObject

IMAGE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="

RESOURCES: tuple[JsonObject, ...] = (
    {"uri": "test://static-text", "name": "static-text", "description": "A text", "mimeType": "text/plain"},
    {"uri": "test://static-binary", "name": "static-binary", "description": "An image", "mimeType": "image/png"},
    {"uri": "test://watched-resource", "name": "watched", "description": "One to watch", "mimeType": "text/plain"},
)
TEMPLATES: tuple[JsonObject, ...] = (
    {
        "uriTemplate": "test://template/{id}/data",
        "name": "template",
        "description": "Data by id",
        "mimeType": "application/json",
    },
)
_TEXTS = {
    "test://static-text": "This is the content of the static text resource.",
    "test://watched-resource": "Watched resource content",
}


def read(uri: str) -> JsonObject | None:
    """The contents of a resource."""
    if uri in _TEXTS:
        return {"uri": uri, "mimeType": "text/plain", "text": _TEXTS[uri]}
    if uri == "test://static-binary":
        return {"uri": uri, "mimeType": "image/png", "blob": IMAGE}
    found = re.fullmatch(r"test://template/([^/]+)/data", uri)
    if found is None:
        return None
    data = {"id": found[1], "templateTest": True, "data": f"Data for ID: {found[1]}"}
    return {"uri": uri, "mimeType": "application/json", "text": json.dumps(data)}


def _prompt(name: str, description: str, *arguments: str) -> JsonObject:
    listed: list[JsonObject] = [{"name": one, "description": one, "required": True} for one in arguments]
    return {"name": name, "description": description, "arguments": [*listed]}


PROMPTS: tuple[JsonObject, ...] = (
    _prompt("test_simple_prompt", "Without arguments"),
    _prompt("test_prompt_with_arguments", "With two arguments", "arg1", "arg2"),
    _prompt("test_prompt_with_embedded_resource", "With a resource in it", "resourceUri"),
    _prompt("test_prompt_with_image", "With an image in it"),
    _prompt("test_input_required_result_prompt", "Asks its client first"),
)


def prompt(name: str, arguments: Mapping[str, str]) -> JsonObject | None:
    """A prompt that asks nobody."""
    if name == "test_simple_prompt":
        return message(_text("This is a simple prompt for testing."))
    if name == "test_prompt_with_arguments":
        given = f"arg1='{arguments.get('arg1')}', arg2='{arguments.get('arg2')}'"
        return message(_text(f"Prompt with arguments: {given}"))
    if name == "test_prompt_with_embedded_resource":
        uri = arguments.get("resourceUri", "")
        inside: JsonObject = {"uri": uri, "mimeType": "text/plain", "text": "Embedded resource content for testing."}
        return message({"type": "resource", "resource": inside}, _text("Please process the embedded resource above."))
    if name == "test_prompt_with_image":
        image: JsonObject = {"type": "image", "data": IMAGE, "mimeType": "image/png"}
        return message(image, _text("Please analyze the image above."))
    return None


def message(*contents: JsonObject) -> JsonObject:
    """A `GetPromptResult` of these."""
    return {"messages": [{"role": "user", "content": content} for content in contents]}


def _text(text: str) -> JsonObject:
    return {"type": "text", "text": text}
