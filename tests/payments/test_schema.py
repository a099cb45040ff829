"""GET /api/v1/schema and /docs: every call, with the problems it may answer."""

from typing import Any

import pytest
import yaml
from django.test import Client

from wallet_project.kernel.errors import CODES


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    answer = Client().get("/api/v1/schema")
    assert answer.status_code == 200
    document: dict[str, Any] = yaml.safe_load(answer.content)
    return document


def operations(schema: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        f"{method.upper()} {path.removeprefix('/api/v1')}": operation
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
    }


def test_every_call_of_the_contract_is_documented(schema: dict[str, Any]) -> None:
    contract = {
        "POST /auth/register",
        "POST /auth/verify",
        "POST /auth/verify/resend",
        "POST /auth/token",
        "POST /auth/token/refresh",
        "POST /auth/logout",
        "GET /me",
        "GET /wallet/balance",
        "POST /wallet/add",
        "POST /wallet/add/confirm",
        "POST /wallet/transfer",
        "POST /wallet/pay",
        "GET /wallet/payee",
        "POST /wallet/withdraw",
        "GET /bank-accounts",
        "POST /bank-accounts",
        "DELETE /bank-accounts/{id}",
        "GET /transactions",
        "GET /transactions/{id}",
        "POST /webhooks/razorpay",
    }
    assert contract <= set(operations(schema))


def test_problems_are_problem_documents_and_their_codes_are_named(schema: dict[str, Any]) -> None:
    for name, operation in operations(schema).items():
        if name.endswith(("/schema", "/docs")):
            continue
        refusals = {status: answer for status, answer in operation["responses"].items() if status[0] in "45"}
        assert refusals, name
        for status, answer in refusals.items():
            assert set(answer["content"]) == {"application/problem+json"}, name
            codes = [code.strip("` ") for code in answer["description"].split(",")]
            assert all(CODES[code][0] == int(status) for code in codes), (name, status)


def test_money_calls_name_their_key_and_its_problems(schema: dict[str, Any]) -> None:
    for name in ("POST /wallet/transfer", "POST /wallet/pay", "POST /wallet/add", "POST /wallet/withdraw"):
        operation = operations(schema)[name]
        headers = {given["name"]: given for given in operation["parameters"] if given["in"] == "header"}
        assert headers["Idempotency-Key"]["required"]
        told = " ".join(answer.get("description", "") for answer in operation["responses"].values())
        for code in ("idempotency_key_required", "idempotency_key_reused", "insufficient_funds", "busy"):
            assert f"`{code}`" in told, (name, code)


def test_what_a_key_and_a_refusal_are_told_of_is_what_the_call_does(schema: dict[str, Any]) -> None:
    for name, operation in operations(schema).items():
        given = {parameter["name"]: parameter for parameter in operation.get("parameters", ())}
        if "Idempotency-Key" in given:
            assert ("dry run" in given["Idempotency-Key"]["description"]) == ("dry_run" in given), name
    problem = schema["components"]["schemas"]["Problem"]
    assert "transaction" in problem["properties"]
    assert "transaction" not in problem["required"]
    # A gateway that is not set up here.
    assert "404" in operations(schema)["POST /webhooks/stripe"]["responses"]


def test_the_readable_form_is_served_from_here(schema: dict[str, Any]) -> None:
    page = Client().get("/api/v1/docs")
    assert page.status_code == 200
    text = page.content.decode()
    assert "cdn" not in text.lower()
    assert "/api/v1/schema" in text
