"""
The contract driven from outside: plain HTTP against a running wallet, as a stranger's program would.

Nothing here imports the wallet. `Api` speaks to it, `Person` is somebody who registered through it, and the
functions assert what the contract says of every answer of their kind.
"""

import re
import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import requests

PASSWORD: Final = "seven blue herons"
DEMO_PASSWORD: Final = "wallet-demo-2026"
NAMES: Final = ("Asha Rao", "Ravi Kumar Iyer")

PROBLEM_FIELDS: Final = {"type", "title", "status", "detail", "code", "request_id", "errors"}
TRANSACTION_FIELDS: Final = {
    "id", "type", "status", "direction", "amount", "counterparty", "note", "balance_after", "reverses", "reversed_by",
    "failure", "created_at", "completed_at",
}  # fmt: skip
USER_FIELDS: Final = {"id", "full_name", "email", "phone", "status", "second_factor", "kyc_level"}

_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)")


def fresh_email(name: str = "asha") -> str:
    return f"{name}-{secrets.token_hex(6)}@example.com"


def fresh_phone() -> str:
    return f"+9198{secrets.randbelow(10**8):08d}"


def fresh_key() -> str:
    return secrets.token_hex(16)


def inr(amount: str) -> dict[str, str]:
    return {"amount": amount, "currency": "INR"}


def moment(text: Any) -> datetime:
    """A time of the contract: RFC 3339, in UTC."""
    assert isinstance(text, str)
    assert _TIME.fullmatch(text), text
    return datetime.fromisoformat(text).astimezone(UTC)


def problem(answer: requests.Response, status: int, code: str) -> dict[str, Any]:
    """The answer as the RFC 9457 problem that the contract asks for."""
    assert answer.status_code == status, (answer.status_code, answer.text[:600])
    assert answer.headers["Content-Type"].split(";")[0] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert set(body) >= PROBLEM_FIELDS
    assert body["code"] == code, body
    assert body["status"] == status
    assert body["request_id"] == answer.headers["X-Request-ID"]
    assert all(isinstance(body[name], str) and body[name] for name in ("type", "title", "detail"))
    assert all(set(error) == {"field", "code", "detail"} for error in body["errors"]), body["errors"]
    return body


def refusal(answer: requests.Response, code: str) -> str:
    """A refused money request's problem: the id of the FAILED transaction that records it."""
    body = problem(answer, 422, code)
    assert body["transaction"].startswith("txn_")
    return str(body["transaction"])


def transaction(body: dict[str, Any]) -> dict[str, Any]:
    """A transaction with every field and type of the contract."""
    assert set(body) >= TRANSACTION_FIELDS, TRANSACTION_FIELDS - set(body)
    assert body["id"].startswith("txn_")
    assert body["status"] in {"PENDING", "SUCCESS", "FAILED"}
    assert body["direction"] in {"in", "out"}
    assert set(body["amount"]) == {"amount", "currency"}
    assert re.fullmatch(r"\d+\.\d\d", body["amount"]["amount"])
    assert set(body["counterparty"]) == {"display_name", "wallet"}
    assert isinstance(body["note"], str)
    assert (body["balance_after"] is None) == (body["status"] != "SUCCESS")
    assert (body["failure"] is None) == (body["status"] != "FAILED")
    if body["failure"]:
        assert set(body["failure"]) == {"code", "detail"}
    created = moment(body["created_at"])
    assert (body["completed_at"] is None) == (body["status"] == "PENDING")
    assert body["completed_at"] is None or moment(body["completed_at"]) >= created
    return body


def created(answer: requests.Response) -> dict[str, Any]:
    """The transaction of a 201."""
    assert answer.status_code == 201, (answer.status_code, answer.text[:600])
    return transaction(answer.json())


@dataclass(slots=True)
class Api:
    """The wallet at an address, and the sandbox beside it."""

    root: str
    sandbox: str
    http: requests.Session = field(default_factory=requests.Session)

    def __post_init__(self) -> None:
        # Sixty-four callers at once must not wait for one another inside the client.
        adapter = requests.adapters.HTTPAdapter(pool_maxsize=64)
        self.http.mount("http://", adapter)

    def call(self, method: str, path: str, **more: Any) -> requests.Response:
        """One request under `/api/v1`; no answer may ever be a 500, and each has an id."""
        return self.at_root(method, f"/api/v1{path}", **more)

    def at_root(self, method: str, path: str, **more: Any) -> requests.Response:
        more.setdefault("timeout", 30)
        answer = self.http.request(method, f"{self.root}{path}", **more)
        assert answer.status_code != 500, (method, path, answer.text[:600])
        assert answer.headers["X-Request-ID"]
        return answer

    def post(self, path: str, body: Any = None, **more: Any) -> requests.Response:
        return self.call("POST", path, json={} if body is None else body, **more)

    def get(self, path: str, **more: Any) -> requests.Response:
        return self.call("GET", path, **more)

    def messages(self, to: str) -> list[dict[str, str]]:
        """What was sent to an address, newest first."""
        answer = self.at_root("GET", "/dev/inbox", headers={"Accept": "application/json"})
        return [message for message in answer.json() if message["to"] == to]

    def message(self, to: str, *, number: int = 1) -> dict[str, str]:
        """The newest message to an address, once `number` of them have come."""
        deadline = time.monotonic() + 20
        while len(found := self.messages(to)) < number:
            assert time.monotonic() < deadline, f"no message {number} to {to}"
            time.sleep(0.05)
        return found[0]

    def code(self, to: str, *, number: int = 1) -> str:
        return code_in(self.message(to, number=number))

    def register(self, name: str = NAMES[0], **addresses: str) -> requests.Response:
        return self.post("/auth/register", {"full_name": name, "password": PASSWORD, **addresses})

    def sign_in(self, password: str = PASSWORD, **address: str) -> requests.Response:
        return self.post("/auth/token", {**address, "password": password})

    def person(self, name: str = NAMES[0], *, phone: bool = False) -> "Person":
        """Somebody new: registered, verified and signed in."""
        kind, address = ("phone", fresh_phone()) if phone else ("email", fresh_email())
        assert self.register(name, **{kind: address}).status_code == 201
        answer = self.post("/auth/verify", {kind: address, "code": self.code(address)})
        assert answer.status_code == 200, answer.text
        return self.enter(answer.json()["user"]["full_name"], **{kind: address})

    def enter(self, name: str, password: str = PASSWORD, **address: str) -> "Person":
        """Sign somebody in who is known already."""
        answer = self.sign_in(password, **address)
        assert answer.status_code == 200, answer.text
        body = answer.json()
        return Person(self, name, next(iter(address.values())), body["access"], body["refresh"])

    def demo(self, name: str) -> "Person":
        return self.enter(name.title(), DEMO_PASSWORD, email=f"{name}@example.com")

    def people(self, count: int) -> "list[Person]":
        """New people, registered at the same time."""
        with ThreadPoolExecutor(8) as pool:
            return list(pool.map(self.person, [NAMES[number % 2] for number in range(count)]))

    def checkout(self, order: str, vpa: str) -> requests.Response:
        """Pay an order at the sandbox as its checkout page would; redirects are left to the caller."""
        url = f"{self.sandbox}/checkout/{order}"
        return self.http.post(url, data={"method": "upi", "vpa": vpa}, allow_redirects=False, timeout=30)


def code_in(message: dict[str, str]) -> str:
    """The code of a message: its only run of six to eight digits."""
    runs = re.findall(r"(?<!\d)\d{6,8}(?!\d)", message["text"])
    assert len(runs) == 1, message
    assert len(runs[0]) == 6
    return str(runs[0])


@dataclass(slots=True)
class Person:
    """Somebody with a token."""

    api: Api
    name: str
    address: str
    access: str
    refresh: str
    _wallet: str = ""

    def headers(self, key: str | None = None) -> dict[str, str]:
        headers = {"Authorization": f"Bearer {self.access}"}
        return headers if key is None else {**headers, "Idempotency-Key": key}

    def get(self, path: str, **more: Any) -> requests.Response:
        return self.api.get(path, headers=self.headers(), **more)

    def post(self, path: str, body: Any, *, key: str | None = "", **more: Any) -> requests.Response:
        """A POST with a fresh key, the key given, or (None) no key at all."""
        headers = self.headers(fresh_key() if key == "" else key) | more.pop("headers", {})
        return self.api.post(path, body, headers=headers, **more)

    def transfer(self, to: str, amount: Any, *, key: str | None = "", **more: Any) -> requests.Response:
        return self.post("/wallet/transfer", {"to": to, "amount": amount, **more}, key=key)

    def pay(self, merchant: str, amount: Any, *, key: str | None = "", **more: Any) -> requests.Response:
        return self.post("/wallet/pay", {"merchant": merchant, "amount": amount, **more}, key=key)

    def add(self, amount: Any, *, key: str | None = "") -> requests.Response:
        return self.post("/wallet/add", {"amount": amount}, key=key)

    def confirm(self, signed: dict[str, str]) -> requests.Response:
        return self.post("/wallet/add/confirm", signed, key=None)

    @property
    def balance(self) -> str:
        return str(self.get("/wallet/balance").json()["balance"]["amount"])

    @property
    def wallet(self) -> str:
        self._wallet = self._wallet or self.get("/wallet/balance").json()["wallet"]
        return self._wallet

    def history(self, **filters: Any) -> list[dict[str, Any]]:
        answer = self.get("/transactions", params=filters)
        assert answer.status_code == 200, answer.text
        assert set(answer.json()) == {"results", "next"}
        return [transaction(row) for row in answer.json()["results"]]

    def fund(self, amount: str) -> str:
        """Add money as people do, through the gateway; the id of the ADD."""
        order = self.add(amount).json()["checkout"]["order_id"]
        answer = self.confirm(signed(self.api.checkout(order, "success@razorpay")))
        assert answer.status_code == 200, answer.text
        body = transaction(answer.json())
        assert body["status"] == "SUCCESS"
        return str(body["id"])


def signed(redirect: requests.Response) -> dict[str, str]:
    """The three signed fields that the sandbox's redirect carries to the browser callback."""
    assert redirect.status_code == 303, redirect.text
    return {name: values[0] for name, values in parse_qs(urlsplit(redirect.headers["Location"]).query).items()}
