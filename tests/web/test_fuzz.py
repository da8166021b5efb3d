"""Requests made up from the OpenAPI document: the answer is always one that the document promises."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from .conftest import House  # type: ignore[import-not-found]

_ALL_HEALTH: Any = list(hypothesis.HealthCheck)


@pytest.mark.requirement("L-35")
async def test_whatever_is_sent_the_answer_is_one_that_the_document_promises(tmp_path: Path) -> None:
    import schemathesis  # here, for it takes seconds, which every start of the tests would take
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi import checks as openapi

    checks = [
        not_a_server_error,
        openapi.content_type_conformance,
        openapi.negative_data_rejection,
        openapi.positive_data_acceptance,
        openapi.response_schema_conformance,
        openapi.status_code_conformance,
    ]
    house = House(tmp_path)
    seen: set[int] = set()

    async with house.serve() as http:
        described: Any = (await http.get("/openapi.json")).json()
        base, token = str(http.base_url), house.token

        def fuzz() -> None:
            schema = schemathesis.openapi.from_dict(described)
            for listed in schema.get_all_operations():
                found: Any = listed
                operation = found.ok()
                operation.schema.config.update(base_url=base)
                for mode in schemathesis.GenerationMode:
                    cases = operation.as_strategy(generation_mode=mode)

                    @hypothesis.settings(
                        max_examples=8,
                        deadline=None,
                        database=None,
                        derandomize=True,
                        suppress_health_check=_ALL_HEALTH,
                    )
                    @hypothesis.given(case=cases)
                    def attempt(case: Any) -> None:
                        answer = case.call(base_url=base, headers={"Authorization": f"Bearer {token}"})
                        seen.add(answer.status_code)
                        if answer.status_code != 503:  # no model is configured here
                            case.validate_response(answer, checks=checks)

                    attempt()

        await asyncio.to_thread(fuzz)
    assert {200, 202, 404, 422, 503} <= seen
