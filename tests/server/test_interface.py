"""The page of the interface played against a live server: what it says is what is answered, for good requests and bad ones."""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from levada._wire.openapi import description
from levada._wire.routes import ROUTES

from .fake_host import TOKENS, FakeHost
from .raw import Raw

schemathesis = pytest.importorskip("schemathesis", reason="by design: played where schemathesis is installed")
pytestmark = pytest.mark.slow
EXAMPLES = 100 if os.environ.get("CI") else 8


@pytest.fixture(scope="module")
def schema() -> Any:
    return schemathesis.openapi.from_dict(description("9.9"))


@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize("route", [route for route in ROUTES if route.name != "events"], ids=repr)
def test_what_the_page_describes_is_what_the_server_does(route: Any, mode: Any, schema: Any, raw: Raw, host: FakeHost) -> None:
    """Only status, type and shape of answers are held against the page: JSON Schema takes 1.0 for a whole number, and cannot
    say that a policy must be there for a task to name it."""
    host.holds = False
    checks = schemathesis.checks
    held = [checks.status_code_conformance, checks.content_type_conformance, checks.response_schema_conformance, checks.not_a_server_error]
    headers = {"Authorization": f"Bearer {TOKENS['admin']}"} if route.roles else {"Origin": f"http://127.0.0.1:{raw.port}"}

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
    @given(case=schema[route.path][route.method].as_strategy(generation_mode=mode))
    def play(case: Any) -> None:
        case.headers.pop("Authorization", None)
        response = case.call(base_url=f"http://127.0.0.1:{raw.port}", headers=headers)
        case.validate_response(response, checks=held)

    play()
