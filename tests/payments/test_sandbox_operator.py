"""The operator's page and its doors: each button, who may press it, and what a stranger's page cannot do."""

import itertools
import re
import shutil
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from html import unescape
from typing import Any

import pytest
import requests
from playwright.sync_api import Browser, sync_playwright

from payments.sandbox.signatures import sign
from tests.payments.sandbox_process import WEBHOOK_SECRET, Merchant, Sandbox, merchant_and_sandbox, until

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
OLDER_SECRET = "older_webhook_secret"
DAY_SECONDS = 24 * 60 * 60
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Merchant, Sandbox]]:
    with merchant_and_sandbox(tmp_path_factory.mktemp("sandbox")) as running:
        yield running


@pytest.fixture
def merchant(both: tuple[Merchant, Sandbox]) -> Iterator[Merchant]:
    yield both[0]
    both[0].answer = lambda _letter: 200


@pytest.fixture
def sandbox(both: tuple[Merchant, Sandbox]) -> Sandbox:
    return both[1]


def page(sandbox: Sandbox, query: str = "") -> str:
    answer = requests.get(f"{sandbox.url}/operator{query}", timeout=10)
    assert answer.status_code == 200
    return answer.text


def press(sandbox: Sandbox, path: str, **fields: Any) -> requests.Response:
    """A button of the page, with the page's own token, as a browser without JavaScript sends it."""
    match = re.search(r'name="token" value="([^"]+)"', page(sandbox))
    assert match is not None
    return requests.post(
        f"{sandbox.url}/operator/{path}", data={"token": match[1], **fields}, allow_redirects=False, timeout=10
    )


def payout(sandbox: Sandbox, ending: str) -> str:
    body = {
        "account_number": "2323230000000001",
        "fund_account_id": sandbox.fund_account(f"7788990011{ending}"),
        "amount": 20_000,
        "currency": "INR",
        "mode": "IMPS",
        "purpose": "payout",
        "queue_if_low_balance": True,
    }
    key = f"operator-{next(_numbers)}"
    answer = sandbox.call("POST", "/payouts", json=body, headers={"X-Payout-Idempotency": key})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


def payout_status(sandbox: Sandbox, payout_id: str) -> str:
    return str(sandbox.call("GET", f"/payouts/{payout_id}").json()["status"])


def deliveries(sandbox: Sandbox, status: str = "all") -> list[dict[str, Any]]:
    answer = requests.get(f"{sandbox.url}/operator/api/deliveries", params={"status": status}, timeout=10)
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


def test_the_front_door_leads_to_the_page_which_runs_no_script_and_cannot_be_framed(sandbox: Sandbox) -> None:
    answer = requests.get(sandbox.url, timeout=10)
    assert answer.url == f"{sandbox.url}/operator"
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert "frame-ancestors 'none'" in policy
    assert re.search(r"style-src 'nonce-([^']+)'", policy)[1] in answer.text  # type: ignore[index]
    assert "<script" not in answer.text


def test_a_queued_payout_is_released_and_moved_on_by_the_page(sandbox: Sandbox) -> None:
    payout_id = payout(sandbox, "0005")
    assert "Release it to the bank" in page(sandbox)

    answer = press(sandbox, f"payouts/{payout_id}/move", to="processing", show="payouts")

    assert answer.status_code == 303
    assert requests.get(f"{sandbox.url}{answer.headers['Location']}", timeout=10).text.count("has been moved") == 1
    until(lambda: payout_status(sandbox, payout_id), lambda status: status == "processed")
    # Days later, at the press of a button.
    assert press(sandbox, f"payouts/{payout_id}/move", to="reversed").status_code == 303
    assert payout_status(sandbox, payout_id) == "reversed"


def test_what_may_not_follow_is_refused_by_page_and_door_alike(sandbox: Sandbox) -> None:
    payout_id = payout(sandbox, "0006")
    refused = press(sandbox, f"payouts/{payout_id}/move", to="cancelled")
    assert refused.status_code == 400
    assert "A payout that is processing cannot become cancelled." in refused.text
    answer = sandbox.operate(f"payouts/{payout_id}/move", to="cancelled")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "BAD_REQUEST_ERROR")
    assert sandbox.operate(f"payouts/{payout_id}/move").json()["error"]["field"] == "to"
    assert payout_status(sandbox, payout_id) == "processing"
    assert sandbox.operate(f"payouts/{payout_id}/move", to="failed").json()["status"] == "failed"


def test_a_payment_is_disputed_and_the_dispute_is_lost_and_settled(sandbox: Sandbox) -> None:
    payment = sandbox.captured()
    wrong = press(sandbox, f"payments/{payment['id']}/dispute", amount="12.345", reason="fraud")
    assert (wrong.status_code, "Write the amount in rupees" in wrong.text) == (400, True)
    assert press(sandbox, f"payments/{payment['id']}/dispute", amount="123.45", reason="fraud").status_code == 303
    shown = page(sandbox, "?show=disputes")
    assert "₹123.45" in shown
    dispute_id = re.search(r"disp_[A-Za-z0-9]{14}", shown)[0]  # type: ignore[index]

    moved = sandbox.operate(f"disputes/{dispute_id}/move", to="lost").json()
    assert (moved["status"], moved["amount_deducted"], moved["reason_code"]) == ("lost", 12_345, "fraud")
    assert sandbox.operate(f"disputes/{dispute_id}/move", to="won").status_code == 400
    again = sandbox.operate(f"payments/{payment['id']}/dispute", amount=100, reason="again").json()
    assert (again["amount"], again["status"]) == (100, "open")

    settled = press(sandbox, "settle")
    assert settled.status_code == 303
    assert "−₹123.45" in page(sandbox, "?show=settlements")
    assert sandbox.operate("settle").json() == {"settlement": None}


def test_refunds_wait_when_told_to_and_are_failed_by_hand(sandbox: Sandbox) -> None:
    payment = sandbox.captured()
    assert press(sandbox, "refund-course", course="stay").status_code == 303
    refund = sandbox.call("POST", f"/payments/{payment['id']}/refund", json={"amount": 1_000}).json()
    assert press(sandbox, "refund-course", course="process").status_code == 303

    assert press(sandbox, f"refunds/{refund['id']}/fail").status_code == 303

    assert sandbox.call("GET", f"/refunds/{refund['id']}").json()["status"] == "failed"
    assert sandbox.operate(f"refunds/{refund['id']}/process").status_code == 400
    assert sandbox.call("GET", f"/payments/{payment['id']}").json()["amount_refunded"] == 0


def test_a_delivered_webhook_is_sent_again_word_for_word(merchant: Merchant, sandbox: Sandbox) -> None:
    order = sandbox.order()["id"]
    sandbox.pay(order, "failure@razorpay")
    [payment] = sandbox.payments(order)

    def of_payment() -> list[Any]:
        return [letter for letter in merchant.letters if payment["id"].encode() in letter.body]

    until(of_payment, lambda letters: len(letters) == 1)
    [delivery] = [each for each in deliveries(sandbox) if payment["id"] in str(each["body"])]
    until(lambda: deliveries(sandbox, "pending"), lambda pending: delivery["id"] not in [one["id"] for one in pending])

    assert press(sandbox, f"deliveries/{delivery['id']}/redeliver").status_code == 303

    first, second = until(of_payment, lambda letters: len(letters) == 2)
    assert (first.body, first.signature, first.event_id) == (second.body, second.signature, second.event_id)
    log = until(
        lambda: next(each for each in deliveries(sandbox) if each["id"] == delivery["id"]),
        lambda each: each["status"] == "delivered" and each["tried"] == 2,
    )
    assert [(each["try"], each["http_status"], each["error"]) for each in log["tries"]] == [(2, 200, ""), (1, 200, "")]
    assert sandbox.operate("deliveries/999999/redeliver").status_code == 400
    assert sandbox.operate("deliveries/x/redeliver").status_code == 400


def test_after_a_rotation_new_events_have_the_new_signature_and_old_ones_keep_theirs(
    merchant: Merchant, sandbox: Sandbox
) -> None:
    merchant.answer = lambda letter: 200 if letter.event == "settlement.processed" else 503
    seen = len(merchant.letters)
    sandbox.pay(sandbox.order()["id"], "failure@razorpay")
    old = merchant.wait_for(seen + 1)[seen]
    assert old.signature == sign(secret=WEBHOOK_SECRET, message=old.body)

    assert sandbox.operate("webhook-secret", secret="nobody's").status_code == 400
    assert sandbox.operate("webhook-secret", secret=OLDER_SECRET).json() == {"place": 2, "of": 2}
    sandbox.end(signal.SIGKILL)
    sandbox.start()
    merchant.answer = lambda _letter: 200
    sandbox.captured()

    def letters(event: str) -> list[Any]:
        return [letter for letter in merchant.letters[seen:] if letter.event == event]

    [new] = until(lambda: letters("payment.captured"), bool)
    assert new.signature == sign(secret=OLDER_SECRET, message=new.body)
    retried = until(lambda: letters("payment.failed"), lambda tries: len(tries) >= 2)[-1]
    assert (retried.signature, retried.event_id) == (old.signature, old.event_id)
    shown = page(sandbox)
    assert "signed with secret 2 of 2" in shown
    assert WEBHOOK_SECRET not in shown
    assert press(sandbox, "webhook-secret", secret="1").status_code == 303
    assert "signed with secret 1 of 2" in page(sandbox)


def test_after_a_day_of_failures_the_endpoint_is_disabled_and_a_button_enables_it(
    merchant: Merchant, sandbox: Sandbox
) -> None:
    merchant.answer = lambda _letter: 500
    order = sandbox.order()["id"]
    sandbox.pay(order, "failure@razorpay")
    [payment] = sandbox.payments(order)

    def delivery() -> dict[str, Any]:
        return next(each for each in deliveries(sandbox) if payment["id"] in str(each["body"]))

    failing = until(delivery, lambda each: each["tried"] >= 1)
    assert failing["id"] in [each["id"] for each in deliveries(sandbox, "failed")]
    sandbox.end()
    # A day passes, and many tries with it.
    with closing(sqlite3.connect(sandbox.state)) as state, state:
        state.execute(
            "UPDATE deliveries SET tries = 250, due_at = 0, give_up_at = give_up_at - ? WHERE id = ?",
            [DAY_SECONDS, failing["id"]],
        )
        state.execute(
            "UPDATE events SET created_at = created_at - ? WHERE id = ?", [2 * DAY_SECONDS, failing["event_id"]]
        )
    sandbox.start()

    until(delivery, lambda each: each["status"] == "exhausted")
    assert "The webhook endpoint was disabled" in page(sandbox)
    assert sandbox.operate(f"deliveries/{failing['id']}/redeliver").status_code == 400
    merchant.answer = lambda _letter: 200
    seen = len(merchant.letters)
    other = sandbox.captured()
    waiting = [each for each in deliveries(sandbox, "pending") if other["id"] in str(each["body"])]
    assert [each["tried"] for each in waiting] == [0, 0]
    assert len(merchant.letters) == seen

    assert press(sandbox, "webhook-endpoint/enable").status_code == 303

    until(lambda: deliveries(sandbox, "pending"), lambda pending: pending == [])
    assert "The webhook endpoint was disabled" not in page(sandbox)
    assert sandbox.operate(f"deliveries/{failing['id']}/redeliver").status_code == 200
    until(delivery, lambda each: each["status"] == "delivered")


def test_misbehaviour_is_switched_on_and_off_by_the_page(sandbox: Sandbox) -> None:
    def on() -> list[dict[str, Any]]:
        switched: list[dict[str, Any]] = requests.get(f"{sandbox.url}/operator/api/misbehaviour", timeout=10).json()[
            "on"
        ]
        return switched

    chosen = {"calls": "3", "probability": "0.25", "seed": "7", "seconds": ""}
    press(sandbox, "misbehaviour", fault="bad_gateway", when="random", routes=["orders", "payouts"], **chosen)
    press(sandbox, "misbehaviour", fault="dropped_reply", when="next", methods="POST", **chosen)
    gateway, dropped = on()
    assert (gateway["probability"], gateway["seed"], gateway["calls"]) == (0.25, 7, None)
    assert gateway["routes"] == ["orders", "payouts"]
    assert (dropped["calls"], dropped["methods"]) == (3, ["POST"])
    assert "Misbehaving: 502 with an HTML page, Reply dropped." in " ".join(page(sandbox).split())
    wrong = press(sandbox, "misbehaviour", fault="bad_gateway", when="next", **chosen | {"calls": "many"})
    assert (wrong.status_code, "The calls must be a whole number" in wrong.text) == (400, True)

    press(sandbox, "misbehaviour/dropped_reply/off")
    assert [each["fault"] for each in on()] == ["bad_gateway"]
    press(sandbox, "misbehaviour/off")
    assert on() == []


def test_zoyas_page_cannot_press_the_buttons_of_a_browser_here(sandbox: Sandbox) -> None:
    payout_id = payout(sandbox, "0006")
    move = f"{sandbox.url}/operator/payouts/{payout_id}/move"
    door = f"{sandbox.url}/operator/api/payouts/{payout_id}/move"
    rebound = {"Host": "zoya.example"}
    token = re.search(r'name="token" value="([^"]+)"', page(sandbox))[1]  # type: ignore[index]
    statuses = [
        requests.post(move, data={"to": "failed"}, timeout=10).status_code,
        requests.post(move, data={"to": "failed", "token": token[:-1]}, timeout=10).status_code,
        requests.post(move, data={"to": "failed", "token": token}, headers=rebound, timeout=10).status_code,
        # What a form of another site can send without asking first.
        requests.post(door, data={"to": "failed"}, timeout=10).status_code,
        requests.post(door, data='{"to":"failed"}', headers={"Content-Type": "text/plain"}, timeout=10).status_code,
        requests.post(door, json={"to": "failed"}, headers=rebound, timeout=10).status_code,
        requests.get(f"{sandbox.url}/operator", headers=rebound, timeout=10).status_code,
        requests.get(move, timeout=10).status_code,
    ]
    assert statuses == [403, 403, 403, 415, 415, 403, 403, 405]
    assert payout_status(sandbox, payout_id) == "processing"
    assert "Access-Control-Allow-Origin" not in requests.options(door, timeout=10).headers


def test_the_page_is_bounded_escapes_what_strangers_wrote_and_shows_no_account_number(sandbox: Sandbox) -> None:
    sandbox.order(receipt="<script>alert(1)</script>")
    assert "<script>" not in page(sandbox, "?show=orders")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page(sandbox, "?show=orders")
    payout(sandbox, "0001")
    shown = page(sandbox, "?show=payouts")
    assert "•••• 0001" in shown
    assert "77889900110001" not in shown

    for number in range(51):
        sandbox.order(receipt=f"bounded-{number}")
    first = page(sandbox, "?show=orders")
    assert len(re.findall(r"<summary>", first)) == 50
    older = re.search(r'href="(/operator\?show=orders&amp;before=[0-9]+)"', first)[1]  # type: ignore[index]
    following = requests.get(sandbox.url + unescape(older), timeout=10).text
    assert "bounded-0<" in following
    assert "bounded-50<" not in following
    assert page(sandbox, "?show=nonsense&before=1e9&status=nonsense&done=nonsense")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
@pytest.mark.parametrize(("width", "scheme"), [(360, "dark"), (1280, "light")])
def test_dev_works_the_page_without_javascript_on_a_phone_and_at_a_desk(
    sandbox: Sandbox, browser: Browser, width: int, scheme: Any
) -> None:
    payout_id = payout(sandbox, "0005")
    context = browser.new_context(
        viewport={"width": width, "height": 740}, color_scheme=scheme, java_script_enabled=False
    )
    screen = context.new_page()
    complaints: list[str] = []
    screen.on("console", lambda message: complaints.append(message.text))
    screen.goto(f"{sandbox.url}/operator")
    screen.get_by_role("link", name="Payouts", exact=True).click()
    row = screen.locator("details", has_text=payout_id)
    row.get_by_role("button", name="Release it to the bank").click()
    screen.get_by_role("status").get_by_text("The payout has been moved.").wait_for()
    assert payout_status(sandbox, payout_id) in ("processing", "processed")

    screen.get_by_role("link", name="Misbehaviour", exact=True).click()
    screen.get_by_label("Webhooks delayed").check()
    screen.get_by_role("button", name="Switch it on").click()
    screen.get_by_role("button", name="Switch it off").click()
    screen.get_by_text("The sandbox behaves well.").wait_for()

    # A screenshot of the whole page is as wide as its content: nothing sticks out.
    for each in ("", "?show=webhooks", "?show=misbehaviour"):
        screen.goto(f"{sandbox.url}/operator{each}")
        picture = screen.screenshot(full_page=True)
        assert int.from_bytes(picture[16:20], "big") == width
    assert complaints == []
    context.close()
