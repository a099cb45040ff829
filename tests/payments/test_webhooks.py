"""The gateway's webhooks: what is kept, what is asked, and what happens when something is wrong."""

import hashlib
import hmac
import secrets
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.conf import settings
from django.test import Client, override_settings
from django.utils import timezone
from structlog.testing import capture_logs

from payments import webhooks
from payments.asking_again import ask_again
from payments.event_bodies import body_of, reseal_bodies
from payments.models import Case, WebhookEvent
from payments.tasks import sweep_webhook_events
from payments.webhooks import MOST_TRIES, process_event, waiting_events
from tests.accounts.people import call, superuser
from tests.payments.cast import Holder, holder, new_key
from tests.payments.gateway import client, deliver, letters_about, wallet_speaks_to
from tests.payments.sandbox_process import Letter, Merchant, Sandbox

pytestmark = pytest.mark.usefixtures("database")


def add(person: Holder) -> dict[str, Any]:
    answer = person.post("/wallet/add", {"amount": "250"})
    assert answer.status_code == 201, answer.content
    return dict(answer.json())


def signed(body: bytes) -> Letter:
    signature = hmac.new(b"webhook_secret", body, hashlib.sha256).hexdigest()
    return Letter(body=body, signature=signature, event_id=new_key(), arrived_at=0)


def heard(body: bytes) -> WebhookEvent:
    """Signed, delivered and stored, and not worked on yet."""
    letter = signed(body)
    assert deliver(letter).status_code == 200
    return WebhookEvent.objects.get(event_id=letter.event_id)


def test_a_webhook_is_stored_answered_at_once_and_then_asked_about(
    both: tuple[Merchant, Sandbox], sandbox: Sandbox
) -> None:
    asha = holder()
    order_id = add(asha)["checkout"]["order_id"]
    sandbox.pay(order_id, "success@razorpay")
    letters = letters_about(both[0], order_id, 2)
    for letter in letters:
        assert deliver(letter).status_code == 200
    assert asha.balance == 0
    events = WebhookEvent.objects.filter(event_id__in=[letter.event_id for letter in letters])
    assert sorted(events.values_list("name", flat=True)) == ["order.paid", "payment.captured"]
    assert {body_of(event=event) for event in events} == {letter.body for letter in letters}
    for event in events:
        process_event(event_id=event.pk, now=timezone.now())
    assert asha.balance == 250
    assert set(events.values_list("outcome", flat=True)) == {"asked"}
    for letter in letters:
        assert deliver(letter).status_code == 200
    assert events.count() == 2


def test_what_an_event_says_of_people_rests_sealed_and_so_does_in_time_what_was_kept_before(sandbox: Sandbox) -> None:
    said = b'{"entity": "event", "event": "odd", "email": "asha.rao@example.com"}'
    kept, before = heard(said), heard(said)
    assert b"asha" not in bytes(kept.body)
    # As it was kept before anything was sealed, and one that is under the key of then.
    WebhookEvent.objects.filter(pk=before.pk).update(body=said)
    before.refresh_from_db()
    assert body_of(event=before) == said
    process_event(event_id=before.pk, now=timezone.now())
    new, old = secrets.token_bytes(32), settings.DATA_KEYS[0]
    with override_settings(DATA_KEYS=[new, old]):
        assert reseal_bodies() == WebhookEvent.objects.count()
        assert reseal_bodies() == 0
    with override_settings(DATA_KEYS=[new]):
        assert {body_of(event=each) for each in WebhookEvent.objects.filter(pk__in=[kept.pk, before.pk])} == {said}
    with override_settings(DATA_KEYS=[old, new]):
        assert reseal_bodies() == WebhookEvent.objects.count()
    assert not [each for each in WebhookEvent.objects.all() if bytes(each.body).startswith(b"{")]
    before.refresh_from_db()
    assert (body_of(event=before), before.outcome) == (said, "not_about_ours")


def test_a_webhook_with_a_wrong_signature_is_not_kept_and_an_older_secret_is_accepted(
    both: tuple[Merchant, Sandbox], sandbox: Sandbox
) -> None:
    asha = holder()
    order_id = add(asha)["checkout"]["order_id"]
    sandbox.pay(order_id, "forged@razorpay")
    (forged, *_) = letters_about(both[0], order_id, 1)
    answer = deliver(forged)
    assert (answer.status_code, answer.json()["code"]) == (400, "signature_invalid")
    assert deliver(forged, **{"X-Razorpay-Signature": ""}).status_code == 400
    assert deliver(forged, **{"X-Razorpay-Signature": "é"}).status_code == 400
    assert not WebhookEvent.objects.filter(event_id=forged.event_id).exists()
    older = hmac.new(b"older_webhook_secret", forged.body, hashlib.sha256).hexdigest()
    # Signed or not, the event is believed in nothing: the gateway says that no payment was captured.
    assert deliver(forged, **{"X-Razorpay-Signature": older}).status_code == 200
    process_event(event_id=WebhookEvent.objects.get(event_id=forged.event_id).pk, now=timezone.now())
    assert asha.balance == 0


def test_an_event_without_an_id_is_known_by_its_body(both: tuple[Merchant, Sandbox], sandbox: Sandbox) -> None:
    asha = holder()
    order_id = add(asha)["checkout"]["order_id"]
    sandbox.pay(order_id, "success@razorpay")
    (letter, *_) = letters_about(both[0], order_id, 2)
    before = WebhookEvent.objects.count()
    for event_id in ("", "x" * 101, "é"):
        assert deliver(letter, **{"x-razorpay-event-id": event_id}).status_code == 200
    assert WebhookEvent.objects.count() == before + 1
    sweep_webhook_events()
    assert asha.balance == 250


def test_an_event_waits_for_a_gateway_that_is_silent_and_is_then_worked_on_by_the_sweep(
    both: tuple[Merchant, Sandbox], sandbox: Sandbox
) -> None:
    asha = holder()
    order_id = add(asha)["checkout"]["order_id"]
    sandbox.pay(order_id, "success@razorpay")
    (letter, *_) = letters_about(both[0], order_id, 2)
    assert deliver(letter).status_code == 200
    event = WebhookEvent.objects.get(event_id=letter.event_id)
    with wallet_speaks_to(client("http://127.0.0.1:9")):
        process_event(event_id=event.pk, now=timezone.now())
    event.refresh_from_db()
    assert (event.processed_at, event.tries, event.outcome) == (None, 1, "GatewayUnavailable")
    assert event.pk not in waiting_events(now=timezone.now())
    later = timezone.now() + timedelta(seconds=16)
    assert event.pk in waiting_events(now=later)
    process_event(event_id=event.pk, now=later)
    event.refresh_from_db()
    assert (event.processed_at, event.tries, event.outcome) == (later, 2, "asked")
    assert asha.balance == 250


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        (b'{"event": "order.paid", "payload": {"order": {"entity": {"id": "order_Strange0000000"}}}}', "unknown_order"),
        (b'{"event": "settlement.processed", "payload": {}}', "not_about_ours"),
        (b'{"event": "invoice.paid", "payload": {"invoice": {"entity": {"id": "inv_1"}}}}', "not_about_ours"),
        (b"no JSON at all", "not_about_ours"),
    ],
)
def test_an_event_about_nothing_of_ours_is_kept_and_done_with(body: bytes, outcome: str) -> None:
    event = heard(body)
    process_event(event_id=event.pk, now=timezone.now())
    event.refresh_from_db()
    assert (event.outcome, event.processed_at is not None) == (outcome, True)


_PAID = b'{"event": "order.paid", "payload": {"order": {"entity": {"id": "order_Broken00000000"}}}}'


def test_one_event_that_breaks_everything_does_not_stop_the_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    """The order of the broken one's follower is what a mistake of ours would look like."""
    broken, sound = heard(_PAID), heard(b'{"event": "settlement.processed", "payload": {}}')

    def break_down(event: WebhookEvent, *_: object) -> str:
        raise ZeroDivisionError

    monkeypatch.setitem(webhooks._FOLLOWERS, "order", break_down)  # type: ignore[arg-type]
    with capture_logs() as lines:
        sweep_webhook_events()
    broken.refresh_from_db()
    sound.refresh_from_db()
    assert (broken.processed_at, broken.tries, broken.outcome) == (None, 1, "ZeroDivisionError")
    assert broken.due_at > timezone.now()
    assert sound.processed_at is not None
    (said,) = [line for line in lines if line["event"] == "webhook.failed"]
    assert (said["webhook_event"], said["exc_info"]) == (broken.pk, True)


def test_an_event_that_can_never_be_followed_becomes_a_case_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    event = heard(_PAID)
    WebhookEvent.objects.filter(pk=event.pk).update(tries=MOST_TRIES - 2)
    monkeypatch.delitem(webhooks._FOLLOWERS, "order")  # type: ignore[arg-type]
    now = timezone.now()
    process_event(event_id=event.pk, now=now)
    event.refresh_from_db()
    assert (event.processed_at, event.outcome) == (None, "KeyError")
    process_event(event_id=event.pk, now=event.due_at)
    event.refresh_from_db()
    assert (event.processed_at is not None, event.outcome) == (True, "given_up")
    case = Case.objects.get(kind="UNKNOWN_OUTCOME", subject=event.event_id)
    assert (case.gateway, case.state) == ("razorpay", "OPEN")
    process_event(event_id=event.pk, now=now + timedelta(days=1))
    case.refresh_from_db()
    assert case.times == 1


class _Killed(BaseException):
    """What ends a worker: nothing after it is run."""


def test_an_event_that_kills_its_worker_is_tried_ever_more_rarely_and_not_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    event, now = heard(_PAID), timezone.now()
    deaths: list[datetime] = []

    def die(*_: object) -> str:
        deaths.append(now)
        raise _Killed

    monkeypatch.setitem(webhooks._FOLLOWERS, "order", die)  # type: ignore[arg-type]
    for _ in range(MOST_TRIES):
        with pytest.raises(_Killed):
            process_event(event_id=event.pk, now=now)
        event.refresh_from_db()
        assert event.processed_at is None
        now = event.due_at
    assert deaths[1] - deaths[0] == timedelta(minutes=2)
    assert deaths[-1] - deaths[-2] == timedelta(hours=1)
    process_event(event_id=event.pk, now=now)
    event.refresh_from_db()
    assert (len(deaths), event.tries, event.outcome) == (MOST_TRIES, MOST_TRIES, "given_up")
    assert Case.objects.get(subject=event.event_id).state == "OPEN"
    # Support asks for it: it is tried as one that has just come.
    monkeypatch.undo()
    ask_again(about=event, by=superuser(), now=now)
    event.refresh_from_db()
    assert (event.tries, event.outcome) == (1, "unknown_order")


def test_forgeries_are_refused_and_stand_in_one_case_a_day_that_counts_them() -> None:
    Case.objects.filter(kind="FORGERY").update(state="RESOLVED", resolved_at=timezone.now())
    letter = signed(_PAID)
    with capture_logs() as lines:
        for signature in ("0" * 64, "", "é", letter.signature.upper()):
            answer = deliver(letter, **{"X-Razorpay-Signature": signature})
            assert (answer.status_code, answer.json()["code"]) == (400, "signature_invalid")
    assert [line["log_level"] for line in lines if line["event"] == "webhook.forged"] == ["error"] * 4
    case = Case.objects.get(kind="FORGERY", state="OPEN")
    assert (case.gateway, case.times) == ("razorpay", 4)
    assert not WebhookEvent.objects.filter(event_id=letter.event_id).exists()


def test_a_gateway_that_nobody_knows_has_no_doors() -> None:
    answer = call("POST", "/webhooks/paypal", {})
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert Client().get("/payments/paypal/callback").status_code == 404
