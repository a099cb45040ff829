"""The API's contract, "Order of judgement": whatever is sent, a problem comes back and nothing moves."""

import http.client
import json
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlsplit

import pytest

from tests.journeys.contract import Api, Person, created, fresh_email, fresh_key, problem

pytestmark = pytest.mark.runner

POSTS: Final = (
    "/auth/register", "/auth/verify", "/auth/verify/resend", "/auth/token", "/auth/token/refresh", "/auth/logout",
    "/wallet/add", "/wallet/add/confirm", "/wallet/transfer", "/wallet/pay",
)  # fmt: skip
GOOD: Final = b'{"to": "nobody-at-all@example.com", "amount": "1"}'
MEBIBYTE: Final = 1024 * 1024

UNREADABLE: Final = {
    "empty object cut short": b"{",
    "not JSON": b"to=ravi",
    "single quotes": b"{'to': 'x'}",
    "a list": b"[]",
    "a list of objects": b'[{"to": "x"}]',
    "null": b"null",
    "a number": b"5",
    "a string": b'"x"',
    "not UTF-8": b'{"to": "\xff\xfe"}',
    "UTF-16": GOOD.decode().encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf" + GOOD,
    "nested lists": b"[" * 100_000,
    "nested objects": b'{"a":' * 20_000 + b"1" + b"}" * 20_000,
    "nested inside": b'{"to": "x", "x": ' + b"[" * 60 + b"]" * 60 + b"}",
    "NUL": b'{"to": "a\\u0000b@example.com", "amount": "1"}',
    "NUL in a name": b'{"to": "a@example.com", "amount": "1", "\\u0000": 1}',
    "a lone surrogate": b'{"to": "a@example.com", "amount": "1", "note": "\\ud800"}',
    "a repeated name": b'{"to": "a@example.com", "amount": "1", "amount": "2"}',
    "NaN": b'{"to": "a@example.com", "amount": NaN}',
    "Infinity": b'{"to": "a@example.com", "amount": "1", "x": -Infinity}',
    "a huge integer": b'{"to": "a@example.com", "amount": ' + b"9" * 5000 + b"}",
}  # fmt: skip


def send(person: Person, path: str, body: Any, content_type: str | None = "application/json", key: str = "") -> Any:
    headers = person.headers(key or fresh_key()) | ({} if content_type is None else {"Content-Type": content_type})
    return person.api.call("POST", path, data=body, headers=headers)


@pytest.mark.parametrize("name", UNREADABLE)
def test_a_body_that_cannot_be_read_is_told_so(name: str, reader: Person) -> None:
    for path in ("/wallet/transfer", "/auth/register"):
        assert problem(send(reader, path, UNREADABLE[name]), 400, "parse_error")["errors"] == []


@pytest.fixture(scope="module")
def reader(api: Api) -> Person:
    """Somebody who never moves anything."""
    return api.person()


def test_every_post_refuses_what_is_not_json_what_is_too_large_and_what_is_broken(reader: Person) -> None:
    for path in POSTS:
        for content_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
                             "application/vnd.api+json", "text/json", "nonsense", None):  # fmt: skip
            problem(send(reader, path, b"x=y", content_type), 415, "unsupported_media_type")
        problem(send(reader, path, b"x" * MEBIBYTE), 413, "body_too_large")
        problem(send(reader, path, b"{"), 400, "parse_error")
        assert problem(send(reader, path, b"{}"), 400, "invalid")["errors"]
    for content_type in ("application/json; charset=utf-8", "APPLICATION/JSON", "application/json;"):
        problem(send(reader, "/wallet/transfer", GOOD, content_type), 404, "payee_not_found")


def test_who_then_what_then_how_much_then_how_it_reads_then_whether_it_was_sent_before(
    rich_asha: Person, ravi: Person
) -> None:
    api, key = rich_asha.api, fresh_key()
    first = created(rich_asha.transfer(ravi.address, "1", key=key))
    large = b"x" * MEBIBYTE
    stranger = api.call("POST", "/wallet/transfer", data=large, headers={"Content-Type": "text/plain"})
    problem(stranger, 401, "not_authenticated")
    problem(send(rich_asha, "/wallet/transfer", large, "text/plain", key), 415, "unsupported_media_type")
    problem(send(rich_asha, "/wallet/transfer", large, key=key), 413, "body_too_large")
    problem(send(rich_asha, "/wallet/transfer", b"{", key=key), 400, "parse_error")
    gone = json.dumps({"to": fresh_email(), "amount": "1"})
    problem(send(rich_asha, "/wallet/transfer", gone, key=key), 422, "idempotency_key_reused")
    problem(send(rich_asha, "/wallet/transfer", gone), 404, "payee_not_found")
    again = send(rich_asha, "/wallet/transfer", json.dumps({"to": ravi.address, "amount": "1"}), key=key)
    assert (again.status_code, again.json()["id"]) == (201, first["id"])
    # A refused body needs no key, and a missing one is told before a body that says nothing wrong is posted.
    problem(api.post("/wallet/transfer", {"to": ravi.address, "amount": "1"}, headers=rich_asha.headers()),
            400, "idempotency_key_required")  # fmt: skip


@pytest.fixture
def line(api: Api) -> Iterator[http.client.HTTPConnection]:
    """One connection that must never be opened a second time."""
    connection = http.client.HTTPConnection(urlsplit(api.root).netloc, timeout=30)
    connection.connect()
    yield connection
    connection.close()


@pytest.mark.parametrize(
    ("path", "content_type", "signed_in", "status"),
    [
        ("/wallet/transfer", "application/json", True, 413),
        ("/wallet/transfer", "application/json", False, 401),
        ("/wallet/transfer", "text/plain", True, 415),
        ("/auth/register", "application/json", False, 413),
        ("/webhooks/razorpay", "application/json", False, 413),
        ("/nowhere", "application/json", True, 404),
        ("/me", "application/json", True, 405),
    ],
)
def test_after_a_body_of_a_megabyte_the_connection_still_serves(
    path: str, content_type: str, signed_in: bool, status: int, line: http.client.HTTPConnection, reader: Person
) -> None:
    opened = line.sock
    headers = {"Content-Type": content_type} | (reader.headers(fresh_key()) if signed_in else {})
    for size in (MEBIBYTE, 10 * MEBIBYTE):
        line.request("POST", f"/api/v1{path}", body=b"x" * size, headers=headers)
        answer = line.getresponse()
        assert (answer.status, json.loads(answer.read())["status"]) == (status, status)
        line.request("GET", "/health/live")
        assert line.getresponse().read() == b'{"status": "alive"}'
        assert line.sock is opened


def test_a_body_sent_in_chunks_is_read_like_any_other(line: http.client.HTTPConnection, reader: Person) -> None:
    headers = {"Content-Type": "application/json"} | reader.headers(fresh_key())
    opened = line.sock
    for chunks, status, code in (
        ([GOOD[:10], GOOD[10:]], 404, "payee_not_found"),
        ([b"{"], 400, "parse_error"),
        ([b"x" * 65536] * 32, 413, "body_too_large"),
    ):
        line.request("POST", "/api/v1/wallet/transfer", body=iter(chunks), headers=headers, encode_chunked=True)
        answer = line.getresponse()
        assert (answer.status, json.loads(answer.read())["code"]) == (status, code)
        assert line.sock is opened


def test_queries_of_nonsense_are_problems(reader: Person) -> None:
    for query in ("to=%00", "to=%ff%fe", "to=a%00b%40example.com", f"to={'a' * 5000}", "to=", "to[]=x", "to=x&to=y"):
        problem(reader.get(f"/wallet/payee?{query}"), 400, "invalid")
    for query in ("q=%00", f"q={'x' * 5000}", "cursor=%00", "type=%00", "from=%00", "limit=%00", "limit=%ff"):
        answer = reader.get(f"/transactions?{query}")
        assert answer.status_code == 400, query
        problem(answer, 400, answer.json()["code"])
    for query in ("wallet=%00", "wallet=", "wallet=x", "wallet=%ff", f"wallet={'w' * 5000}"):
        for path in ("/wallet/balance", "/transactions"):
            answer = reader.get(f"{path}?{query}")
            assert answer.status_code in {400, 404}, (path, query)
            problem(answer, answer.status_code, answer.json()["code"])


def test_unknown_fields_and_wrong_types_move_nothing(rich_asha: Person, ravi: Person) -> None:
    for name in ("to", "amount", "currency", "note"):
        for value in (5, 1.5, True, [], ["x"], {}, {"a": "b"}):
            body = {"to": ravi.address, "amount": "1", name: value}
            told = problem(rich_asha.post("/wallet/transfer", body), 400, "invalid")
            assert [error["field"] for error in told["errors"]] == [name], (name, value)
    for note in ("x" * 100_000, "a\x01b", "\x1b[31m"):
        told = problem(rich_asha.transfer(ravi.address, "1", note=note), 400, "invalid")
        assert told["errors"][0]["field"] == "note"
    assert rich_asha.balance == "1000.00"
    assert created(rich_asha.transfer(ravi.address, "1", note=None))["note"] == ""
    kept = created(rich_asha.transfer(ravi.address, "1", note="<b>ਪੰਜਾਬੀ 🪔</b> \"'; DROP TABLE"))
    assert kept["note"] == "<b>ਪੰਜਾਬੀ 🪔</b> \"'; DROP TABLE"
