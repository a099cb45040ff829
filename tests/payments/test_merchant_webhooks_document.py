"""docs/webhooks.md says what is so: its examples fit the schemas, its code runs, its numbers are the program's."""

import json
import re
from datetime import UTC, datetime, tzinfo
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from standardwebhooks import webhooks

from payments.merchant_webhooks import log, schedule
from payments.merchant_webhooks.event_types import PING, TYPES
from payments.merchant_webhooks.sending import MOST_AT_ONCE
from payments.merchant_webhooks.signing import signature
from tests.house.sources import CHECKOUT, text_of
from wallet_project.kernel import public_addresses, public_http

DOCUMENT = text_of("docs/webhooks.md")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", DOCUMENT, re.DOTALL)


def test_every_type_has_a_line_and_a_schema_and_there_are_no_others() -> None:
    lines = re.findall(r"^\| `([a-z.]+)` \| .* \| \[([a-z.]+\.json)\]\(webhooks/\2\) \|$", DOCUMENT, re.MULTILINE)
    assert {type for type, _ in lines} == {*TYPES, PING}
    schemas = {path.stem: json.loads(path.read_text()) for path in Path(CHECKOUT, "docs/webhooks").glob("*.json")}
    assert set(schemas) == {*TYPES, PING}
    for type, schema in schemas.items():
        Draft202012Validator.check_schema(schema)
        assert (schema["title"], schema["properties"]["type"]["const"]) == (type, type)
        assert type == PING or schema["description"] == TYPES[type]


def test_the_examples_fit_their_schemas() -> None:
    examples = [json.loads(text) for text in blocks("json")]
    assert len(examples) == 3
    for example in examples:
        schema = json.loads(text_of(f"docs/webhooks/{example['type']}.json"))
        Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(example)


def test_the_request_to_try_with_is_signed_as_it_says_and_the_code_verifies_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (text,) = blocks("text")
    told = dict(re.findall(r"^(\S+) +(.*)$", text, re.MULTILINE))
    ours = signature(
        secret=told["secret"],
        message_id=told["webhook-id"],
        timestamp=int(told["webhook-timestamp"]),
        body=told["body"].encode(),
    )
    assert told["webhook-signature"] == ours
    (code,) = blocks("python")
    sent_at = datetime.fromtimestamp(int(told["webhook-timestamp"]), UTC)

    class Then(datetime):
        """It is long past; the rest of it holds."""

        @classmethod
        def now(cls, tz: tzinfo | None = None) -> "Then":
            return cls.fromtimestamp(sent_at.timestamp(), tz)

    monkeypatch.setattr(webhooks, "datetime", Then)
    scope: dict[str, object] = {"secret": told["secret"], "body": told["body"], "headers": told}
    exec(code, scope)  # noqa: S102  (the document's own)
    assert scope["payload"] == json.loads(told["body"])


def test_its_numbers_are_the_programs() -> None:
    words = " ".join(DOCUMENT.split())
    seconds = [int(delay.total_seconds()) for delay in schedule.DELAYS]
    assert seconds == [5, 5 * 60, 30 * 60, *(hours * 3600 for hours in (2, 5, 10, 14, 20, 24))]
    assert "5 seconds, 5 minutes, 30 minutes, 2, 5, 10, 14, 20 and 24 hours, each up to a fifth later" in words
    assert schedule.JITTER == 1 / 5
    assert (schedule.FAILING_FOR.days, "for five days" in words) == (5, True)
    assert (log.KEPT_FOR.days, "for 30 days" in words) == (30, True)
    assert (public_addresses.PORTS, "port 443 or 8443" in words) == ((443, 8443), True)
    assert (public_http.MOST_READ, "no more than 4 KB" in words) == (4096, True)
    assert (MOST_AT_ONCE, "more than four of them" in words) == (4, True)
    longest = public_addresses.LONGEST_LOOKUP_SECONDS + public_http.CONNECT_SECONDS + public_http.WHOLE_SECONDS
    assert (longest, "about 20 seconds" in words) == (20, True)
