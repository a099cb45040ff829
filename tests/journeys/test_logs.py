"""The logs of a whole story, as real processes wrote them: every request has its id, and nothing private is there."""

import hashlib
import hmac
import json
import re
import secrets
import time
from dataclasses import dataclass, field
from typing import Any, Final

import pytest
import requests

from tests.running import Run

pytestmark = pytest.mark.runner

PASSWORD: Final = "a-password-nobody-may-read"
WRONG_PASSWORD: Final = "a-guess-nobody-may-read"
NOTE: Final = "For the surgery we spoke of"
WAIT_SECONDS: Final = 30.0


@dataclass(slots=True)
class Story:
    """What was said in a story, by what it is; and the ids of its requests."""

    wallet: Run
    private: dict[str, str] = field(default_factory=dict)
    request_ids: list[str] = field(default_factory=list)
    session: requests.Session = field(default_factory=requests.Session)

    def call(self, method: str, path: str, **arguments: Any) -> requests.Response:
        answer = self.session.request(
            method, f"{self.wallet.base_url}{path}", timeout=30, allow_redirects=False, **arguments
        )
        self.request_ids.append(answer.headers["X-Request-ID"])
        return answer

    def api(self, method: str, path: str, **arguments: Any) -> Any:
        answer = self.call(method, f"/api/v1{path}", **arguments)
        return answer.json() if answer.content else None

    def code_for(self, address: str, *, after: str = "") -> str:
        """The newest code sent to an address, once it is another than `after`."""
        began = time.monotonic()
        while time.monotonic() - began < WAIT_SECONDS:
            inbox = self.call("GET", "/dev/inbox", headers={"Accept": "application/json"}).json()
            for message in inbox:
                found = re.search(r"\b\d{6}\b", message["text"])
                if message["to"] == address and found:
                    if found.group() == after:
                        break
                    return found.group()
            time.sleep(0.2)
        raise AssertionError(f"no code came for {address}")


@pytest.fixture(scope="module")
def story(running_wallet: Run) -> Story:
    """Asha registers by e-mail and Ravi by phone; tokens, money, a look at the payee, and much that is refused."""
    story = Story(running_wallet)
    asha, ravi = f"asha.{secrets.token_hex(6)}@example.net", f"+9197{secrets.randbelow(10**8):08d}"
    story.private |= {"e-mail": asha, "phone": ravi, "phone, encoded": ravi.replace("+", "%2B"), "note": NOTE}
    story.private |= {"password": PASSWORD, "wrong password": WRONG_PASSWORD}
    for channel, address, name in (("email", asha, "Asha Rao"), ("phone", ravi, "Ravi Menon")):
        story.api("POST", "/auth/register", json={"full_name": name, channel: address, "password": PASSWORD})
        code = story.code_for(address)
        story.private[f"code of {name}"] = code
        wrong = "000000" if code != "000000" else "111111"
        story.api("POST", "/auth/verify", json={channel: address, "code": wrong})
        assert "user" in story.api("POST", "/auth/verify", json={channel: address, "code": code})
    story.api("POST", "/auth/token", json={"email": asha, "password": WRONG_PASSWORD})
    tokens = story.api("POST", "/auth/token", json={"email": asha, "password": PASSWORD})
    story.private |= {"access token": tokens["access"], "refresh token": tokens["refresh"]}
    fresh = story.api("POST", "/auth/token/refresh", json={"refresh": tokens["refresh"]})
    story.private |= {"second access token": fresh["access"], "second refresh token": fresh["refresh"]}
    signed_in = {"Authorization": f"Bearer {fresh['access']}"}

    added = story.api(
        "POST", "/wallet/add", json={"amount": "90.00"}, headers={**signed_in, "Idempotency-Key": "log-add"}
    )
    paid = requests.post(
        added["checkout"]["url"], data={"method": "upi", "vpa": "success@razorpay"}, allow_redirects=False, timeout=30
    )
    back = paid.headers["Location"].removeprefix(running_wallet.base_url)
    story.private |= {"query of the callback": back.partition("?")[2], "signature": back.rpartition("=")[2]}
    assert story.call("GET", back).status_code == 303

    story.api("GET", f"/wallet/payee?to={ravi.replace('+', '%2B')}", headers=signed_in)
    story.api("GET", f"/wallet/payee?to={asha}", headers=signed_in)
    story.private["search"] = "surgeons-in-search"
    story.api("GET", "/transactions?q=surgeons-in-search", headers=signed_in)
    sent = {"to": ravi, "amount": "12.50", "note": NOTE}
    done = story.api("POST", "/wallet/transfer", json=sent, headers={**signed_in, "Idempotency-Key": "log-send"})
    assert done["status"] == "SUCCESS"
    broken = b'{"to": "' + ravi.encode() + b'", "amount": "12.50", "note": "' + NOTE.encode()
    story.call(
        "POST", "/api/v1/wallet/transfer", data=broken,
        headers={**signed_in, "Idempotency-Key": "log-broken", "Content-Type": "application/json"},
    )  # fmt: skip

    number = f"7{secrets.randbelow(10**11):011d}"
    story.private["bank account number"] = number
    kept = {"holder_name": "Asha Rao", "ifsc": "HDFC0001234", "account_number": number}
    account = story.api("POST", "/bank-accounts", json=kept, headers=signed_in)
    story.api("POST", "/bank-accounts", json={**kept, "ifsc": "wrong"}, headers=signed_in)
    out = {"bank_account": account["id"], "amount": "10.00"}
    keyed = {**signed_in, "Idempotency-Key": "log-withdraw"}
    asked = story.api("POST", "/wallet/withdraw", json=out, headers=keyed)
    code = story.code_for(asha, after=story.private["code of Asha Rao"])
    story.private["code of the withdrawal"] = code
    done = story.api(
        "POST", "/wallet/withdraw", json=out, headers={**keyed, "X-Step-Up": f"{asked['challenge']}:{code}"}
    )
    assert done["status"] == "PENDING", done

    body = json.dumps({"event": "payment.captured", "payload": {"email": asha, "contact": ravi}}).encode()
    signature = hmac.new(running_wallet.env["RAZORPAY_WEBHOOK_SECRETS"].encode(), body, hashlib.sha256).hexdigest()
    story.private["webhook's signature"] = signature
    for offered in (signature, "0" * 64):
        story.call(
            "POST", "/api/v1/webhooks/razorpay", data=body,
            headers={"X-Razorpay-Signature": offered, "x-razorpay-event-id": secrets.token_hex(7)},
        )  # fmt: skip

    page = story.call("GET", "/sign-in?next=/private-next")
    story.private["query of a page"] = "private-next"
    csrf = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
    assert csrf is not None
    form = {"csrfmiddlewaretoken": csrf[1], "address": asha, "password": PASSWORD}
    assert story.call("POST", "/sign-in", data=form).status_code in (302, 303)
    story.private |= {"session": story.session.cookies["session"], "csrf": story.session.cookies["csrf"]}
    story.call("GET", "/")
    story.call("GET", f"/nowhere?email={asha}")
    story.api("POST", "/auth/logout", json={"refresh": fresh["refresh"]})
    keys = ("SECRET_KEY", "TOKEN_SIGNING_KEYS", "CODE_PEPPER", "DATA_KEYS", "DATA_INDEX_KEY")
    for name in (*keys, "RAZORPAY_KEY_SECRET", "RAZORPAY_WEBHOOK_SECRETS"):
        story.private[name] = running_wallet.env[name]
    for name in ("DATABASE_URL", "DATABASE_OWNER_URL", "REDIS_URL"):
        story.private[f"password in {name}"] = running_wallet.env[name].partition("@")[0].rpartition(":")[2]
    return story


@pytest.fixture(scope="module")
def lines(story: Story) -> list[str]:
    """Every line that any process of the wallet has logged, once the story's last request is among them."""
    began = time.monotonic()
    while time.monotonic() - began < WAIT_SECONDS:
        found = [
            line
            for path in sorted((story.wallet.home / "logs").iterdir())
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines()
        ]
        if any(story.request_ids[-1] in line for line in found):
            return found + story.wallet.output.splitlines()
        time.sleep(0.1)
    raise AssertionError("the story's last request was never logged")


def events(lines: list[str]) -> list[dict[str, Any]]:
    found = []
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and "event" in event:
            found.append(event)
    return found


def test_nothing_private_stands_in_any_line(story: Story, lines: list[str]) -> None:
    leaked = {
        name: line
        for name, value in story.private.items()
        for line in lines
        if re.search(rf"(?<![0-9A-Za-z]){re.escape(value)}(?![0-9A-Za-z])", line)
    }

    assert leaked == {}


def test_no_query_string_is_logged(lines: list[str]) -> None:
    assert [line for line in lines if re.search(r"[?&](to|q|email|next|razorpay_\w+)=", line)] == []


def test_every_request_is_logged_once_with_its_id(story: Story, lines: list[str]) -> None:
    served = [event["request_id"] for event in events(lines) if event["event"] == "http.request"]
    counted = {request_id: served.count(request_id) for request_id in story.request_ids}

    # Each line stands in the program's own log and in what the runner shows.
    assert set(counted.values()) <= {1, 2}


def test_events_have_dotted_names_a_level_and_a_time(lines: list[str]) -> None:
    ours = [
        event for event in events(lines) if str(event.get("logger", "")).startswith(("wallet", "accounts", "payments"))
    ]

    assert {"http.request"} <= {event["event"] for event in ours}
    for event in ours:
        assert re.fullmatch(r"[a-z_]+(\.[a-z_]+)+", event["event"]), event
        assert event["level"] in {"debug", "info", "warning", "error", "critical"}
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", event["timestamp"])
