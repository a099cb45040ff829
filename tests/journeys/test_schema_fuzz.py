"""
Schemathesis over the published schema: whatever is sent to a call, its answer is one that the schema tells of.

No 500, no undocumented status or media type, and every answer is of the shape that the schema gives it. The suite
takes a short look; `SCHEMA_FUZZ_EXAMPLES=500` takes a long one.
"""

import os
import time
from typing import Any, Final

import pytest
import schemathesis
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from hypothesis import HealthCheck
from hypothesis import settings as bounds
from schemathesis.specs.openapi import checks

from tests.payments.cast import Holder, holder
from wallet_project.kernel.chunked import WithLength

# It is one test for all calls.
pytestmark = [pytest.mark.usefixtures("database"), pytest.mark.timeout(900)]

EXAMPLES: Final = int(os.environ.get("SCHEMA_FUZZ_EXAMPLES", "3"))
# Access tokens live ten minutes.
TOKEN_GOOD_FOR_SECONDS: Final = 300
CHECKS: Final = [
    schemathesis.checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]


@pytest.fixture(scope="module")
def published() -> schemathesis.BaseSchema:
    application = WithLength(get_wsgi_application(), most_kept_bytes=settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
    schema = schemathesis.openapi.from_wsgi("/api/v1/schema", application, headers={"Host": "testserver"})
    # What the specification's corners are takes ten times as long, and is for the long look.
    schema.config.phases.update(
        phases=["examples", "fuzzing"] if EXAMPLES < 100 else ["examples", "coverage", "fuzzing"]
    )
    return schema


class Caller:
    """Asha, with money enough, and a token that is always fresh."""

    def __init__(self) -> None:
        self.asha: Holder | None = None
        self._since = 0.0

    @property
    def headers(self) -> dict[str, str]:
        if self.asha is None or time.monotonic() - self._since > TOKEN_GOOD_FOR_SECONDS:
            self.asha, self._since = holder("Asha Rao", rupees=100_000), time.monotonic()
        return {"Authorization": f"Bearer {self.asha.access}", "Host": "testserver"}


@pytest.fixture(scope="module")
def caller() -> Caller:
    return Caller()


schema = schemathesis.pytest.from_fixture("published")


@schema.parametrize()
@bounds(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=EXAMPLES < 100,
    suppress_health_check=list(HealthCheck),
)
def test_no_call_answers_what_the_schema_does_not_tell_of(case: "schemathesis.Case[Any]", caller: Caller) -> None:
    case.call_and_validate(headers=caller.headers, checks=CHECKS)
