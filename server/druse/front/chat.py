"""`chat.ask`: a question to the configured model, with the memory and the skills that fit it (seed id L-19).

It sends context out of this machine and costs what the endpoint charges. So a caller of the HTTP API may do it where a
person put `[model]` in force, and everybody else is asked for approval.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict

from druse.front.context import DEFAULT_TOKENS, MAX_TOKENS, SKILLS, Context
from druse.front.documents import Documents
from druse.governance import ASKS_MODEL
from druse.model import (
    CallContext,
    Caller,
    DruseError,
    Effect,
    Invalid,
    Json,
    JsonObject,
    Outcome,
    OutcomeStatus,
    Source,
    ToolSpec,
    object_schema,
)
from druse.settings import ModelProvider

MAX_SKILLS = 50

CHAT = ToolSpec(
    "chat_ask",
    Source.CAPABILITY,
    "Ask the model that a person configured, with the project's memory and the skills that fit as its context.",
    object_schema(
        {
            "message": {"type": "string", "minLength": 1},
            "max_skills": {"type": "integer", "minimum": 0, "maximum": MAX_SKILLS},
            "tokens": {"type": "integer", "minimum": 50, "maximum": MAX_TOKENS},
        },
        ["message"],
    ),
    effect=Effect.UNKNOWN,
    alias=ASKS_MODEL,
    security="medium",
)


class ChatTools:
    """Carries out `chat.ask`. `model` gives the provider in force; `environment` holds its key."""

    def __init__(
        self,
        documents_of: Callable[[Caller], Documents],
        *,
        model: Callable[[], ModelProvider | None],
        run_of: Callable[[Caller], str],
        environment: Mapping[str, str],
    ) -> None:
        self._documents_of = documents_of
        self._model = model
        self._run_of = run_of
        self._environment = environment

    def specs(self) -> Sequence[ToolSpec]:
        """The capability."""
        return (CHAT,)

    async def context(self, arguments: JsonObject, caller: Caller) -> Context:
        """What the model is told beside the message; skills whose text is in it count as used."""
        skills, tokens = arguments.get("max_skills"), arguments.get("tokens")
        return await self._documents_of(caller).context(
            str(arguments["message"]),
            tokens if isinstance(tokens, int) else DEFAULT_TOKENS,
            self._run_of(caller),
            most=skills if isinstance(skills, int) else SKILLS,
        )

    async def call(self, spec: ToolSpec, arguments: JsonObject, context: CallContext) -> Outcome:
        """Build the context, ask, answer."""
        from druse import llm

        provider = self._model()
        if provider is None:
            text = (
                "Cannot ask a model: none is in force. Name one under [model] in your own config.toml, then run "
                '"druse policy approve".'
            )
            return Outcome(OutcomeStatus.FAILED, message=text, kind="no_model")
        try:
            made = await self.context(arguments, context.caller)
            answer = await llm.ask(provider, made.text, str(arguments["message"]), self._environment)
        except DruseError as error:
            status = OutcomeStatus.INVALID if isinstance(error, Invalid) else OutcomeStatus.FAILED
            return Outcome(status, message=str(error), kind=error.kind)
        used: list[Json] = [f"{skill.origin}/{skill.name}" for skill in made.skills]
        told: JsonObject = asdict(answer)
        text = told.pop("text")
        return Outcome.of({"response": text, "skills_used": used, **told})
