"""The OpenAPI 3.1 document of the HTTP API, made from the same table that serves it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from pydantic import BaseModel

from druse import __version__
from druse.web.shapes import Problem

_REF = "#/components/schemas/{model}"


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path. `answers`: model by status; `decides`: the tool that the rules decide about."""

    method: str
    path: str
    summary: str
    decides: str
    answers: Mapping[int, type[BaseModel]]
    query: type[BaseModel] | None = None
    body: type[BaseModel] | None = None


def document(operations: Sequence[Operation]) -> dict[str, Any]:
    """The document."""
    schemas: dict[str, Any] = {}
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _described(operation, schemas)
    scheme = {"type": "http", "scheme": "bearer", "description": "The token of .druse/keys/http.token, or a key."}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Druse",
            "version": __version__,
            "description": "Skills, recorded runs and volumes of one workspace. Every operation passes the rules of "
            "config.toml under the name of its x-druse-tool; what needs a person answers 202 with an approval.",
        },
        "security": [{"token": []}],
        "paths": paths,
        "components": {"schemas": dict(sorted(schemas.items())), "securitySchemes": {"token": scheme}},
    }


def _described(operation: Operation, schemas: dict[str, Any]) -> dict[str, Any]:
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in re.findall(r"{(\w+)}", operation.path)
    ]
    if operation.query is not None:
        shape = _inline(operation.query)
        parameters += [
            {"name": name, "in": "query", "required": False, "schema": _without_null(part)}
            for name, part in shape["properties"].items()
        ]
    answers = {
        str(status): {"description": _first_line(model), "content": _content(model, schemas)}
        for status, model in operation.answers.items()
    }
    answers["default"] = {"description": _first_line(Problem), "content": _content(Problem, schemas)}
    told: dict[str, Any] = {
        "summary": operation.summary,
        "operationId": f"{operation.method.lower()}_{operation.decides}",
        "x-druse-tool": operation.decides,
        "parameters": parameters,
        "responses": answers,
    }
    if operation.body is not None:
        told["requestBody"] = {"required": True, "content": _content(operation.body, schemas)}
    return told


def _content(model: type[BaseModel], schemas: dict[str, Any]) -> dict[str, Any]:
    if model.__name__ not in schemas:
        shape = model.model_json_schema(ref_template=_REF, by_alias=True)
        schemas.update(shape.pop("$defs", {}))
        schemas[model.__name__] = shape
    return {"application/json": {"schema": {"$ref": _REF.format(model=model.__name__)}}}


def _inline(model: type[BaseModel]) -> dict[str, Any]:
    return model.model_json_schema(ref_template=_REF)


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter that is left out is no null."""
    kept = [part for part in cast("list[dict[str, Any]]", schema.get("anyOf", [])) if part.get("type") != "null"]
    return kept[0] if len(kept) == 1 else schema


def _first_line(model: type[BaseModel]) -> str:
    return (model.__doc__ or model.__name__).strip().splitlines()[0]
