"""The language model that a person configured (`[model]`): one question, one answer, over an HTTP endpoint.

Speaks the shapes of Anthropic's messages and of OpenAI's chat completions, which most other endpoints understand too.
Nothing here decides whether it may be asked; that is the router's. Needs the extra `druse[llm]`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from druse.model import DruseError, Invalid, JsonObject, visible
from druse.settings import ModelProvider

_LARGEST = 8 * 1024 * 1024  # bytes of an answer
_ATTEMPTS = 3
_AGAIN = frozenset((408, 429, 500, 502, 503, 504, 529))
_LONGEST_PAUSE = 20.0  # seconds that a Retry-After is obeyed
_MOST_TOKENS = 2**53  # more is no count, and more than half of the range that the store has for numbers
_ANTHROPIC_VERSION = "2023-06-01"


class ModelFailure(DruseError):
    """The endpoint did not answer, or not in its shape."""

    kind = "model_failure"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model said. Tokens as the endpoint counted them; None where it did not say."""

    text: str
    model: str
    tokens_in: int | None
    tokens_out: int | None
    cut: bool  # it ended because max_tokens was reached

    @property
    def tokens(self) -> int | None:
        """Both together."""
        return None if self.tokens_in is None or self.tokens_out is None else self.tokens_in + self.tokens_out


async def ask(provider: ModelProvider, system: str, message: str, environment: Mapping[str, str]) -> Answer:
    """Ask once. `environment` holds the key that `provider.key_env` names. Raises Invalid, ModelFailure.

    An endpoint that is busy is asked again, at most twice, and never after it said yes. One attempt takes at most
    `provider.timeout` seconds, however slowly the answer drips.
    """
    try:
        import httpx
    except ImportError as error:
        raise Invalid(
            'Cannot ask the model: the extra is not installed. Install it with pip install "druse[llm]".', where="llm"
        ) from error
    key = environment.get(provider.key_env, "") if provider.key_env else ""
    if provider.key_env and not key:
        raise Invalid(
            f"Cannot ask {provider.model}: the environment variable {provider.key_env} is not set. Set it where Druse "
            "is started.",
            where="key_env",
        )
    url, headers, body = _request(provider, system, message, key)
    status, content = 0, b""
    # Redirects are not followed: the key belongs to this address alone. Nor is a proxy of the environment used for it.
    async with httpx.AsyncClient(timeout=provider.timeout, follow_redirects=False, trust_env=False) as client:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                async with (
                    asyncio.timeout(provider.timeout),
                    client.stream("POST", url, headers=headers, json=body) as response,
                ):
                    status, content = response.status_code, await _read(response.aiter_bytes(), url)
                    pause = _pause(response.headers.get("retry-after", ""), attempt)
            except (httpx.HTTPError, TimeoutError) as error:
                late = isinstance(error, TimeoutError | httpx.TimeoutException)
                why = f"it took longer than {provider.timeout} s" if late else _quoted(str(error), provider, key)
                said = f"Cannot ask {provider.model}: {url} did not answer: {why}. Try again."
                raise ModelFailure(said) from (None if key and key in str(error) else error)
            if status not in _AGAIN or attempt == _ATTEMPTS:
                break
            await asyncio.sleep(pause)
    if status != 200:
        said = _quoted(content.decode("utf-8", "replace"), provider, key)
        raise ModelFailure(f"Cannot ask {provider.model}: {url} answered {status}: {said}. See [model] in config.toml.")
    return _answer(provider, url, content)


async def _read(parts: AsyncIterator[bytes], url: str) -> bytes:
    content = b""
    async for part in parts:
        content += part
        if len(content) > _LARGEST:
            raise ModelFailure(f"Cannot use the answer of {url}: it is larger than {_LARGEST} bytes.")
    return content


def _request(provider: ModelProvider, system: str, message: str, key: str) -> tuple[str, dict[str, str], JsonObject]:
    if provider.api == "anthropic":
        headers = {"anthropic-version": _ANTHROPIC_VERSION, **({"x-api-key": key} if key else {})}
        body: JsonObject = {
            "model": provider.model,
            "max_tokens": provider.max_tokens,
            "messages": [{"role": "user", "content": message}],
        }
        return f"{provider.base_url}/v1/messages", headers, body | ({"system": system} if system else {})
    headers = {"authorization": f"Bearer {key}"} if key else {}
    told: list[Any] = [{"role": "system", "content": system}] if system else []
    body = {
        "model": provider.model,
        "max_tokens": provider.max_tokens,
        "messages": [*told, {"role": "user", "content": message}],
    }
    return f"{provider.base_url}/chat/completions", headers, body


def _answer(provider: ModelProvider, url: str, content: bytes) -> Answer:
    import json

    try:
        data = cast("dict[str, Any]", json.loads(content))
        counted = data.get("usage")
        usage = cast("dict[str, Any]", counted if isinstance(counted, dict) else {})
        named = data.get("model")
        model = _whole(named) if isinstance(named, str) and named else provider.model
        if provider.api == "anthropic":
            parts = cast("list[dict[str, Any]]", data["content"])
            text = _whole("".join(part["text"] for part in parts if part.get("type") == "text"))
            counts = (usage.get("input_tokens"), usage.get("output_tokens"))
            return Answer(text, model, _count(counts[0]), _count(counts[1]), data.get("stop_reason") == "max_tokens")
        choice = cast("dict[str, Any]", data["choices"][0])
        text = _whole(choice["message"].get("content") or "")
        counts = (usage.get("prompt_tokens"), usage.get("completion_tokens"))
        return Answer(text, model, _count(counts[0]), _count(counts[1]), choice.get("finish_reason") == "length")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        raise ModelFailure(
            f"Cannot use the answer of {url}: it is not in the shape of {provider.api}: {error!r}. Check model.api."
        ) from error


def _whole(text: str) -> str:
    """A text that can be written down: halves of letters, which JSON can hold, are marked as lost."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _quoted(text: str, provider: ModelProvider, key: str) -> str:
    """The beginning of what an endpoint said, without our key, should it send that back."""
    return visible(text.replace(key, f"${provider.key_env}") if key else text)[:300]


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MOST_TOKENS else None


def _pause(retry_after: str, attempt: int) -> float:
    """Seconds to wait before the next attempt."""
    try:
        return min(max(0.0, float(retry_after)), _LONGEST_PAUSE)
    except ValueError:
        return min(0.5 * 2**attempt, _LONGEST_PAUSE)
