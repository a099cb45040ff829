"""What merchants' servers are told, and how they know that it was us."""

import base64
import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.conf import settings
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from jsonschema import Draft202012Validator
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from accounts.actors import actor_of
from accounts.models import User
from ledger.models import Transaction
from ledger.movements import Group, Movement
from ledger.posting import post
from payments.consumers import GROUPS
from payments.merchant_webhooks import signing, taking_in
from payments.merchant_webhooks.endpoints import PREVIOUS_LIVES, rotate_secret
from payments.merchant_webhooks.event_types import TYPES
from payments.merchant_webhooks.log import ping
from payments.merchant_webhooks.sending import attempt
from payments.models import WebhookEndpoint, WebhookMessage
from payments.payouts import sweep_payouts
from tests.accounts.people import PASSWORD
from tests.house.sources import text_of
from tests.payments.cast import Holder, holder, merchant
from tests.payments.merchant_receiver import (
    Receiver,
    endpoint_at,
    events_of,
    send_all,
    take_in_all,
)
from tests.payments.sandbox_process import Sandbox
from tests.payments.withdrawing import ASHA_AT_HDFC, ask_until, operate, payout_of
from wallet_project.kernel.events import recording
from wallet_project.kernel.models import ConsumedEvent
from wallets.models import Merchant

pytestmark = pytest.mark.usefixtures("database", "loopback")
NOWHERE = "http://127.0.0.1:9/hook"


def pay(payer: Holder, books: Merchant, amount: str = "40", **fields: str) -> dict[str, Any]:
    answer = payer.post("/wallet/pay", {"merchant": books.handle, "amount": amount, **fields})
    assert answer.status_code == 201, answer.content
    return dict(answer.json())


def told(books: Merchant) -> list[dict[str, Any]]:
    """Each checked against the schema that is published of its type."""
    payloads = [json.loads(message.body) for message in take_in_all(books.wallet)]
    for payload in payloads:
        schema = json.loads(text_of(f"docs/webhooks/{payload['type']}.json"))
        Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(payload)
    return payloads


def test_a_payment_arrives_signed_and_tells_what_the_receipt_tells(shop: Receiver) -> None:
    asha, (meera, books) = holder("Asha Rao", rupees=100), merchant()
    added = endpoint_at(meera, shop.url)
    paid = pay(asha, books, order_reference="INV-7", note="For Ravi, with love")
    (message,) = take_in_all(books.wallet)
    send_all(added.endpoint)
    (letter,) = shop.letters
    payload = letter.verified(added.secret)
    assert payload == {
        "type": "payment.succeeded",
        "timestamp": paid["completed_at"],
        "data": {
            "transaction": paid["id"],
            "merchant": books.public_id,
            "wallet": books.wallet.public_id,
            "amount": {"amount": "40.00", "currency": "INR"},
            "order_reference": "INV-7",
            "payer": {"display_name": "Asha R."},
            "created_at": paid["created_at"],
            "completed_at": paid["completed_at"],
        },
    }
    assert letter.headers["webhook-id"] == message.public_id
    assert letter.headers["content-type"] == "application/json"
    assert b"love" not in letter.body
    message.refresh_from_db()
    assert (message.state, message.body.encode()) == ("DELIVERED", letter.body)


def test_a_receiver_refuses_what_was_changed_on_the_way_or_comes_again_later(shop: Receiver) -> None:
    asha, (meera, books) = holder("Asha Rao", rupees=100), merchant()
    added = endpoint_at(meera, shop.url)
    pay(asha, books)
    take_in_all(books.wallet)
    send_all(added.endpoint)
    (letter,) = shop.letters
    verifier = Webhook(added.secret)
    verifier.verify(letter.body, letter.headers)
    others = Webhook(signing.new_secret())
    later = int(letter.headers["webhook-timestamp"]) + 1
    wrong: list[tuple[Webhook, bytes, dict[str, str]]] = [
        (verifier, letter.body.replace(b"40.00", b"40.01"), letter.headers),
        (verifier, letter.body, letter.headers | {"webhook-id": "msg_another"}),
        (verifier, letter.body, letter.headers | {"webhook-timestamp": str(later)}),
        (others, letter.body, letter.headers),
    ]
    for webhook, body, headers in wrong:
        with pytest.raises(WebhookVerificationError):
            webhook.verify(body, headers)
    # Rightly signed, and an hour old.
    old = int(letter.headers["webhook-timestamp"]) - 3600
    signed = signing.signature(
        secret=added.secret, message_id=letter.headers["webhook-id"], timestamp=old, body=letter.body
    )
    with pytest.raises(WebhookVerificationError, match="too old"):
        verifier.verify(letter.body, letter.headers | {"webhook-timestamp": str(old), "webhook-signature": signed})


def test_our_signature_is_the_packages_own() -> None:
    secret, at = signing.new_secret(), timezone.now()
    ours = signing.signature(secret=secret, message_id="msg_1", timestamp=int(at.timestamp()), body=b'{"a":"\xc3\xa9"}')
    assert ours == Webhook(secret).sign("msg_1", at, '{"a":"é"}')
    assert len(base64.b64decode(secret.removeprefix("whsec_"))) == 32


def test_a_refund_and_a_failed_attempt(shop: Receiver) -> None:
    """The refund tells; that somebody could not pay is theirs alone."""
    asha, (meera, books) = holder("Asha Rao", rupees=100), merchant()
    endpoint_at(meera, shop.url)
    paid = pay(asha, books, order_reference="INV-8")
    assert asha.post("/wallet/pay", {"merchant": books.handle, "amount": "4000"}).status_code == 422
    back = Movement(
        type=Transaction.Type.REFUND,
        amount=Decimal(15),
        currency="INR",
        from_wallet=books.wallet_id,
        to_wallet=asha.wallet.pk,
        reverses=Transaction.objects.get(to_wallet=books.wallet_id, status="SUCCESS").pk,
    )
    post([Group(initiator=actor_of(meera.user).pk, movements=(back,))])
    first, second = told(books)
    assert (first["type"], second["type"]) == ("payment.succeeded", "refund.succeeded")
    assert second["data"]["reverses"] == paid["id"]
    assert second["data"]["order_reference"] == "INV-8"
    assert second["data"]["amount"] == {"amount": "15.00", "currency": "INR"}
    assert "payer" not in second["data"]


def withdraw_from(meera: Holder, books: Merchant, ending: str) -> dict[str, Any]:
    account = meera.post("/bank-accounts", {**ASHA_AT_HDFC, "account_number": f"50100012{ending}"}).json()["id"]
    path = f"/wallet/withdraw?wallet={books.wallet.public_id}"
    answer = meera.confirm(path, {"bank_account": account, "amount": "100"})
    assert answer.status_code == 202, answer.content
    return {**answer.json(), "account": account}


def test_payouts_are_told_from_beginning_to_end(sandbox: Sandbox) -> None:
    asha, (meera, books) = holder("Asha Rao", rupees=1000), merchant()
    pay(asha, books, "300")
    endpoint_at(meera, NOWHERE, *(type for type in TYPES if type.startswith("payout.")))
    arrives, fails, returns = (withdraw_from(meera, books, ending) for ending in ("0001", "0002", "0004"))
    # Refused before it began: the answer has said so.
    assert meera.post(
        f"/wallet/withdraw?wallet={books.wallet.public_id}", {"bank_account": arrives["account"], "amount": "4000"}
    ).status_code in (403, 422)  # fmt: skip
    sweep_payouts(now=timezone.now())
    for withdrawal, state in ((arrives, "PROCESSED"), (fails, "FAILED"), (returns, "PROCESSED")):
        ask_until(withdrawal, state)
    operate(sandbox, f"payouts/{payout_of(returns).payout_id}/move", to="reversed")
    ask_until(returns, "REVERSED")
    of: dict[str, list[dict[str, Any]]] = {arrives["id"]: [], fails["id"]: [], returns["id"]: []}
    for payload in told(books):
        of[payload["data"]["transaction"]].append(payload)
    types = {id: [payload["type"] for payload in payloads] for id, payloads in of.items()}
    assert types == {
        arrives["id"]: ["payout.pending", "payout.succeeded"],
        fails["id"]: ["payout.pending", "payout.failed"],
        returns["id"]: ["payout.pending", "payout.succeeded", "payout.reversed"],
    }
    assert of[arrives["id"]][1]["data"]["utr"] == payout_of(arrives).utr
    assert of[fails["id"]][1]["data"]["failure_code"] == "payout_failed"
    assert (
        of[returns["id"]][2]["data"]["reversed_by"] == meera.get(f"/transactions/{returns['id']}").json()["reversed_by"]
    )
    assert {payload["data"]["bank_account"] for payload in of[fails["id"]]} == {fails["account"]}


def test_each_endpoint_is_told_what_it_chose_once_however_often_the_event_comes() -> None:
    asha, (meera, books) = holder("Asha Rao", rupees=100), merchant()
    all_of_it, payouts = endpoint_at(meera, NOWHERE), endpoint_at(meera, f"{NOWHERE}/payouts", "payout.pending")
    off = endpoint_at(meera, f"{NOWHERE}/off")
    WebhookEndpoint.objects.filter(pk=off.endpoint.pk).update(state="DISABLED", reason="OWNER")
    pay(asha, books)
    (event,) = events_of(books.wallet)
    for _ in range(2):
        with transaction.atomic():
            assert taking_in.register(events=[event, event], now=timezone.now()) == [all_of_it.endpoint.pk]
    assert [message.endpoint_id for message in WebhookMessage.objects.filter(event_id=event.id)] == [
        all_of_it.endpoint.pk
    ]
    assert not payouts.endpoint.messages.exists()


def test_its_consumer_group_takes_each_event_in_once_with_its_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taking_in, "wake", lambda *_args, **_named: None)
    asha, (meera, books) = holder("Asha Rao", rupees=100), merchant()
    added, now = endpoint_at(meera, NOWHERE), timezone.now()
    pay(asha, books)
    group = recording.register(group="webhooks", now=now)
    for _ in range(2):
        with transaction.atomic():
            recording.take_in(group_id=group, handler=GROUPS["webhooks"], events=events_of(books.wallet), now=now)
    message = added.endpoint.messages.get()
    assert ConsumedEvent.objects.filter(group=group, event_id=message.event_id).count() == 1


def test_a_batch_costs_a_few_queries_and_one_without_merchants_a_single_one(monkeypatch: pytest.MonkeyPatch) -> None:
    woken: list[int] = []
    monkeypatch.setattr(taking_in, "wake", lambda _task, endpoint_id: woken.append(endpoint_id))
    asha, (meera, books) = holder("Asha Rao", rupees=100), merchant()
    added = endpoint_at(meera, NOWHERE)
    for _ in range(5):
        pay(asha, books, "1")
    with CaptureQueriesContext(connection) as few, transaction.atomic():
        taking_in.take_in(events_of(books.wallet))
    # Reading the outbox for the test among them.
    assert len([query for query in few if "SAVEPOINT" not in query["sql"]]) <= 6
    assert added.endpoint.messages.count() == 5
    # Once for all of them, and only when it is certain.
    assert woken == [added.endpoint.pk]
    events = events_of(asha.wallet)
    with transaction.atomic(), CaptureQueriesContext(connection) as none:
        taking_in.take_in(events)
    assert len(none) <= 1


def test_whoever_closed_their_account_is_told_by_the_name_that_others_saw(shop: Receiver) -> None:
    asha, (meera, books) = holder("Asha Rao", rupees=40), merchant()
    endpoint_at(meera, shop.url)
    pay(asha, books)
    User.objects.filter(pk=asha.user.pk).update(full_name="Closed account")
    asha.wallet.label, asha.wallet.status = "Asha R.", "CLOSED"
    asha.wallet.save(update_fields=["label", "status"])
    assert told(books)[0]["data"]["payer"] == {"display_name": "Asha R."}


def test_for_a_day_after_a_rotation_both_secrets_verify_and_then_the_new_one_alone(shop: Receiver) -> None:
    meera, _ = merchant()
    added = endpoint_at(meera, shop.url)
    now = timezone.now()
    again = rotate_secret(user=meera.user, endpoint=added.endpoint.public_id, password=PASSWORD, code="", now=now)
    ping(user=meera.user, endpoint=added.endpoint.public_id, now=now)
    send_all(again.endpoint)
    (letter,) = shop.letters
    assert len(letter.headers["webhook-signature"].split()) == 2
    assert letter.verified(added.secret) == letter.verified(again.secret)
    assert letter.verified(again.secret)["type"] == "ping"

    message = again.endpoint.messages.get()
    for after, count in ((timedelta(seconds=-1), 2), (timedelta(0), 1)):
        attempt(message=message, endpoint=again.endpoint, now=now + PREVIOUS_LIVES + after)
        assert len(shop.letters[-1].headers["webhook-signature"].split()) == count
    # A second rotation ends the first secret at once.
    third = rotate_secret(user=meera.user, endpoint=added.endpoint.public_id, password=PASSWORD, code="", now=now)
    attempt(message=message, endpoint=third.endpoint, now=now)
    for secret in (third.secret, again.secret):
        shop.letters[-1].verified(secret)
    with pytest.raises(WebhookVerificationError):
        shop.letters[-1].verified(added.secret)


def test_no_secret_rests_in_the_clear_and_new_keys_seal_them_anew(
    shop: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    meera, _ = merchant()
    added = endpoint_at(meera, shop.url)
    row = WebhookEndpoint.objects.get(pk=added.endpoint.pk)
    raw = base64.b64decode(added.secret.removeprefix("whsec_"))
    for hidden in (added.secret.encode(), added.secret.removeprefix("whsec_").encode(), raw):
        assert hidden not in bytes(row.secret_sealed)
    monkeypatch.setattr(settings, "DATA_KEYS", [bytes(range(32)), *settings.DATA_KEYS])
    assert signing.reseal_webhook_secrets() >= 1
    assert signing.reseal_webhook_secrets() == 0
    monkeypatch.setattr(settings, "DATA_KEYS", settings.DATA_KEYS[:1])
    anew = WebhookEndpoint.objects.get(pk=row.pk)
    assert signing.unseal(anew.secret_sealed, purpose=signing.PURPOSE) == added.secret
