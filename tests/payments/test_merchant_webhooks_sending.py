"""How a message is sent until it is taken, by however many workers, to whatever servers there are."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from django.conf import settings
from django.db import DatabaseError, connections
from django.utils import timezone

from accounts.models import Notification
from payments import tasks
from payments.merchant_webhooks import log, schedule, sending
from payments.merchant_webhooks.endpoints import remove_endpoint, switch
from payments.merchant_webhooks.log import attempts_of, ping, purge, redeliver
from payments.merchant_webhooks.sending import CLAIM, MOST_AT_ONCE, claim, due_endpoints, note, send_next
from payments.models import WebhookAttempt, WebhookEndpoint, WebhookMessage
from tests.payments.cast import Holder, merchant
from tests.payments.merchant_receiver import Receiver, endpoint_at, receiving, send_all
from wallet_project.kernel import public_addresses, public_http
from wallet_project.kernel.errors import Refusal

pytestmark = pytest.mark.usefixtures("database", "loopback")
NOWHERE = "http://127.0.0.1:9/hook"


def waiting(url: str, *, messages: int = 1) -> tuple[Holder, WebhookEndpoint, list[WebhookMessage]]:
    """Meera's endpoint with test events that are due now."""
    meera, _ = merchant()
    endpoint = endpoint_at(meera, url).endpoint
    now = timezone.now()
    return meera, endpoint, [ping(user=meera.user, endpoint=endpoint.public_id, now=now) for _ in range(messages)]


def state_of(message: WebhookMessage) -> tuple[str, int]:
    message.refresh_from_db()
    return message.state, message.tries


def at_once(count: int, deed: Callable[[], Any]) -> list[Any]:
    barrier = threading.Barrier(count)

    def run(_: int) -> Any:
        barrier.wait()
        try:
            return deed()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


def test_what_is_not_taken_comes_again_over_three_days_and_is_given_up(shop: Receiver) -> None:
    _, endpoint, (message,) = waiting(shop.url)
    shop.answers(500, b"Out of order")
    began = now = timezone.now()
    stamps = set()
    for tries in range(1, schedule.MOST_TRIES + 1):
        assert send_next(endpoint_id=endpoint.pk, now=now) == []
        # Nothing more of it is due now.
        assert send_next(endpoint_id=endpoint.pk, now=now) is None
        stamps.add(shop.letters[-1].headers["webhook-timestamp"])
        assert len(shop.letters) == len(stamps) == tries
        if tries == schedule.MOST_TRIES:
            break
        assert state_of(message) == ("WAITING", tries)
        assert message.next_attempt_at is not None
        delay = message.next_attempt_at - now
        assert schedule.DELAYS[tries - 1] <= delay <= schedule.DELAYS[tries - 1] * (1 + schedule.JITTER)
        assert send_next(endpoint_id=endpoint.pk, now=message.next_attempt_at - timedelta(seconds=1)) is None
        now = message.next_attempt_at
    assert state_of(message) == ("GIVEN_UP", 10)
    assert timedelta(days=3) < now - began < timedelta(days=4)
    # The same message and the same bytes each time.
    assert {(letter.headers["webhook-id"], letter.body) for letter in shop.letters} == {
        (message.public_id, message.body.encode())
    }
    attempts = attempts_of(message=message)
    assert [(each.status, each.response_body) for each in attempts] == [(500, "Out of order")] * 10
    assert endpoint.pk not in due_endpoints(now=now + timedelta(days=1))


def test_jitter_spreads_what_failed_at_once() -> None:
    now = timezone.now()
    times = {schedule.next_try(tries=2, now=now) for _ in range(50)}
    assert len(times) > 40


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_any_2xx_is_taken(status: int, shop: Receiver) -> None:
    _, endpoint, (message,) = waiting(shop.url)
    shop.answers(status)
    send_all(endpoint)
    assert state_of(message) == ("DELIVERED", 1)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed_and_is_no_success(status: int, shop: Receiver) -> None:
    _, endpoint, (message,) = waiting(shop.url)
    with receiving() as elsewhere:
        shop.answers(status, Location=elsewhere.url)
        send_all(endpoint)
        assert elsewhere.letters == []
    assert state_of(message) == ("WAITING", 1)
    assert attempts_of(message=message)[0].response_headers["location"] == elsewhere.url


@pytest.mark.parametrize("status", [429, 503])
def test_a_receiver_that_has_no_time_says_when_to_come_again_within_bounds(status: int, shop: Receiver) -> None:
    now = timezone.now()
    asked: list[tuple[str, timedelta]] = [
        ("3600", timedelta(hours=1)),
        (format_datetime(now + timedelta(hours=2), usegmt=True), timedelta(hours=2)),
        ("999999999999", schedule.LONGEST_RETRY_AFTER),
        ("0", schedule.DELAYS[0]),
        ("-5", schedule.DELAYS[0]),
        ("soon", schedule.DELAYS[0]),
        ("Wed, 99 Foo 2026 99:99:99 GMT", schedule.DELAYS[0]),
    ]
    for text, expected in asked:
        _, endpoint, (message,) = waiting(shop.url)
        shop.answers(status, Retry_After=text)
        now = timezone.now()
        send_next(endpoint_id=endpoint.pk, now=now)
        message.refresh_from_db()
        assert message.next_attempt_at is not None
        # A date in the header has no fractions of a second.
        assert expected - timedelta(seconds=2) <= message.next_attempt_at - now <= expected * 1.2, text


def test_a_receiver_that_is_gone_is_switched_off_and_its_owner_told(shop: Receiver) -> None:
    meera, endpoint, (first, second) = waiting(shop.url, messages=2)
    shop.answers(410)
    send_all(endpoint)
    endpoint.refresh_from_db()
    assert (endpoint.state, endpoint.reason, len(shop.letters)) == ("DISABLED", "GONE", 1)
    told = Notification.objects.get(user=meera.user, kind="webhook_disabled")
    assert "410" in told.text
    # What waits is sent once its owner has switched it on again.
    assert endpoint.pk not in due_endpoints(now=timezone.now())
    shop.answers(204)
    switch(user=meera.user, endpoint=endpoint.public_id, on=True, now=timezone.now())
    send_next(endpoint_id=endpoint.pk, now=timezone.now() + timedelta(hours=1))
    send_next(endpoint_id=endpoint.pk, now=timezone.now() + timedelta(hours=1))
    assert {state_of(first)[0], state_of(second)[0]} == {"DELIVERED"}


def test_an_endpoint_that_took_nothing_for_days_is_switched_off_and_one_that_took_something_is_not(
    shop: Receiver,
) -> None:
    meera, endpoint, (message,) = waiting(shop.url)
    shop.answers(500)
    now = timezone.now()
    send_next(endpoint_id=endpoint.pk, now=now)
    shop.answers(204)
    later = now + schedule.FAILING_FOR
    send_next(endpoint_id=endpoint.pk, now=later)
    assert state_of(message)[0] == "DELIVERED"
    shop.answers(500)
    for days in (0, 2, 4):
        ping(user=meera.user, endpoint=endpoint.public_id, now=later)
        assert send_next(endpoint_id=endpoint.pk, now=later + timedelta(days=days)) == []
    ping(user=meera.user, endpoint=endpoint.public_id, now=later)
    assert send_next(endpoint_id=endpoint.pk, now=later + schedule.FAILING_FOR) != []
    endpoint.refresh_from_db()
    assert (endpoint.state, endpoint.reason) == ("DISABLED", "FAILING")
    assert Notification.objects.filter(user=meera.user, kind="webhook_disabled").count() == 1


def test_whoever_answers_nobody_is_left_alone_for_longer_each_time(shop: Receiver) -> None:
    meera, endpoint, _ = waiting(NOWHERE, messages=3)
    now = timezone.now()
    pauses = []
    for _ in range(9):
        assert send_next(endpoint_id=endpoint.pk, now=now) == []
        # The other messages wait with it.
        assert send_next(endpoint_id=endpoint.pk, now=now) is None
        assert endpoint.pk not in due_endpoints(now=now)
        endpoint.refresh_from_db()
        assert endpoint.paused_until is not None
        # From the end of the try, which took a moment.
        pauses.append(int((endpoint.paused_until - now).total_seconds()))
        now = endpoint.paused_until
        ping(user=meera.user, endpoint=endpoint.public_id, now=now)
        WebhookEndpoint.objects.filter(pk=endpoint.pk).update(paused_until=endpoint.paused_until)
    assert pauses == [5, 10, 20, 40, 80, 160, 300, 300, 300]
    # One that does answer, however badly, keeps nobody waiting.
    _, other, messages = waiting(shop.url, messages=2)
    shop.answers(400)
    send_all(other)
    assert [state_of(message)[1] for message in messages] == [1, 1]


def tried_now(message: WebhookMessage, **more: Any) -> sending.Tried:
    return sending.Tried(**({"at": timezone.now(), "url": NOWHERE, "headers": {}, "milliseconds": 1} | more))


def test_whoever_takes_everything_but_takes_long_is_left_alone_as_well() -> None:
    """Else two addresses that answer after eleven seconds would keep every worker that there is."""
    _, endpoint, messages = waiting(NOWHERE, messages=3)
    for message, pause in zip(messages, (5, 10, 20), strict=True):
        tried = tried_now(message, status=204, milliseconds=sending.LATE_MILLISECONDS)
        note(message_id=message.pk, tried=tried)
        assert state_of(message) == ("DELIVERED", 1)
        endpoint.refresh_from_db()
        assert endpoint.failing_since is None
        assert endpoint.paused_until == tried.ended_at + timedelta(seconds=pause)
    note(message_id=messages[0].pk, tried=tried_now(messages[0], status=204))
    endpoint.refresh_from_db()
    assert (endpoint.silences, endpoint.paused_until) == (0, None)


def test_a_pause_begins_when_the_try_has_ended() -> None:
    """A try that waits for its whole time is longer than the first pauses."""
    _, endpoint, (message,) = waiting(NOWHERE)
    tried = tried_now(message, error="timed_out", milliseconds=12_000)
    note(message_id=message.pk, tried=tried)
    assert endpoint.pk not in due_endpoints(now=tried.at + timedelta(seconds=16))
    assert endpoint.pk in due_endpoints(now=tried.at + timedelta(seconds=18))


def test_what_was_delivered_is_not_given_up_by_the_last_try_of_a_worker_that_comes_back_late() -> None:
    _, _, (message,) = waiting(NOWHERE)
    WebhookMessage.objects.filter(pk=message.pk).update(tries=schedule.MOST_TRIES - 2)
    note(message_id=message.pk, tried=tried_now(message, status=204))
    assert state_of(message)[0] == "DELIVERED"
    note(message_id=message.pk, tried=tried_now(message, error="timed_out"))
    assert state_of(message) == ("DELIVERED", schedule.MOST_TRIES)


def test_any_number_of_workers_send_each_message_once(shop: Receiver) -> None:
    _, endpoint, messages = waiting(shop.url, messages=6)
    at_once(8, lambda: send_all(endpoint))
    assert sorted(letter.headers["webhook-id"] for letter in shop.letters) == sorted(
        each.public_id for each in messages
    )
    assert {state_of(message) for message in messages} == {("DELIVERED", 1)}


def test_one_endpoint_never_keeps_more_than_a_few_workers_busy(shop: Receiver) -> None:
    _, endpoint, messages = waiting(NOWHERE, messages=MOST_AT_ONCE + 3)
    now = timezone.now()
    claims = at_once(MOST_AT_ONCE + 3, lambda: claim(endpoint_id=endpoint.pk, now=now))
    taken = [each[0].pk for each in claims if each is not None]
    assert len(taken) == len(set(taken)) == MOST_AT_ONCE
    # Another merchant's do not wait.
    _, other, _ = waiting(shop.url)
    send_all(other)
    assert len(shop.letters) == 1
    # Whoever took them died: they come again when the claim is over, and not before.
    assert claim(endpoint_id=endpoint.pk, now=now + CLAIM - timedelta(seconds=1)) is None
    again = claim(endpoint_id=endpoint.pk, now=now + CLAIM)
    assert again is not None
    assert again[0].pk in {message.pk for message in messages}


def test_a_worker_that_comes_back_late_makes_nothing_undone(shop: Receiver) -> None:
    """Its claim was over, another delivered; then it notes its own failure."""
    _, endpoint, (message,) = waiting(shop.url)
    now = timezone.now()
    late = claim(endpoint_id=endpoint.pk, now=now)
    assert late is not None
    assert send_next(endpoint_id=endpoint.pk, now=now + CLAIM) == []
    assert state_of(message) == ("DELIVERED", 1)
    failed = sending.Tried(at=now, url=shop.url, headers={}, milliseconds=1, error="timed_out")
    note(message_id=message.pk, tried=failed)
    assert state_of(message) == ("DELIVERED", 2)
    assert len(attempts_of(message=message)) == 2


def test_sending_again_by_hand_is_at_once_and_the_same_message(shop: Receiver) -> None:
    meera, endpoint, (message,) = waiting(shop.url)
    now = timezone.now()
    WebhookMessage.objects.filter(pk=message.pk).update(state="GIVEN_UP", tries=10, next_attempt_at=None, ended_at=now)
    shop.answers(200)
    for _ in range(2):
        # Once because it was given up, and once though it was taken.
        redeliver(user=meera.user, endpoint=endpoint.public_id, message=message.public_id, now=now)
        send_next(endpoint_id=endpoint.pk, now=now)
        assert state_of(message) == ("DELIVERED", 1)
    assert {letter.headers["webhook-id"] for letter in shop.letters} == {message.public_id}
    switch(user=meera.user, endpoint=endpoint.public_id, on=False, now=now)
    with pytest.raises(Refusal) as refused:
        redeliver(user=meera.user, endpoint=endpoint.public_id, message=message.public_id, now=now)
    assert refused.value.code == "webhook_disabled"


def test_sending_again_does_not_wait_for_an_endpoints_pause(shop: Receiver) -> None:
    meera, endpoint, (message,) = waiting(shop.url)
    shop.answers(503)
    now = timezone.now()
    send_next(endpoint_id=endpoint.pk, now=now)
    shop.answers(204)
    redeliver(user=meera.user, endpoint=endpoint.public_id, message=message.public_id, now=now)
    send_next(endpoint_id=endpoint.pk, now=now)
    assert state_of(message)[0] == "DELIVERED"


def test_the_log_keeps_what_went_out_and_the_beginning_of_what_came_back(shop: Receiver) -> None:
    _, endpoint, (message,) = waiting(shop.url)
    shop.answers(200, b"a\0b" + b"x" * 10_000, Content_Type="text/plain", Set_Cookie="id=1", X_Request_ID="r" * 900)
    send_all(endpoint)
    (tried,) = attempts_of(message=message)
    sent = shop.letters[0].headers
    assert tried.request_headers == {
        name: sent[name.lower()]
        for name in ("Content-Type", "User-Agent", "webhook-id", "webhook-timestamp", "webhook-signature")
    }
    assert (tried.url, tried.status, tried.error) == (shop.url, 200, "")
    assert tried.response_body == "a\N{REPLACEMENT CHARACTER}b" + "x" * (public_http.MOST_READ - 3)
    assert tried.response_headers["content-type"] == "text/plain"
    assert len(tried.response_headers["x-request-id"]) == 200
    assert "set-cookie" not in tried.response_headers
    with pytest.raises(DatabaseError):
        WebhookAttempt.objects.filter(pk=tried.pk).update(status=500)


def test_a_name_that_means_an_address_inside_when_it_is_sent_to_is_told_nothing(
    shop: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "WEBHOOK_LOOPBACK", False)
    answers = [["93.184.216.34"], ["127.0.0.1"]]
    monkeypatch.setattr(public_addresses, "look_up", lambda *_: answers.pop(0))
    monkeypatch.setattr(public_addresses, "PORTS", range(65536))
    port = shop.url.rpartition(":")[2]
    _, endpoint, (message,) = waiting(f"https://shop.example:{port}")
    send_next(endpoint_id=endpoint.pk, now=timezone.now())
    (tried,) = attempts_of(message=message)
    assert (tried.status, tried.error) == (None, "no_public_address")
    assert shop.letters == []
    assert state_of(message) == ("WAITING", 1)


def test_a_server_that_trickles_keeps_a_worker_only_so_long(shop: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(public_http, "WHOLE_SECONDS", 0.3)
    over = threading.Event()

    def slowly(_: Any) -> tuple[int, dict[str, str], bytes]:
        over.wait(5)
        return 200, {}, b""

    shop.answer = slowly
    _, endpoint, (message,) = waiting(shop.url)
    send_next(endpoint_id=endpoint.pk, now=timezone.now())
    over.set()
    (tried,) = attempts_of(message=message)
    assert tried.error in ("timed_out", "broken_off")
    assert tried.milliseconds < 2000


def test_a_claim_outlives_the_longest_try() -> None:
    longest = public_addresses.LONGEST_LOOKUP_SECONDS + public_http.CONNECT_SECONDS + public_http.WHOLE_SECONDS
    assert timedelta(seconds=2 * longest) < CLAIM
    assert tasks.LONGEST_OF_ONE_ENDPOINT_SECONDS + longest < settings.CELERY_TASK_SOFT_TIME_LIMIT


def test_the_task_sends_what_is_due_and_the_sweep_wakes_it(shop: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    woken: list[int] = []
    monkeypatch.setattr(tasks, "wake", lambda _task, endpoint_id: woken.append(endpoint_id))
    _, endpoint, messages = waiting(shop.url, messages=2)
    tasks.sweep_merchant_webhooks()
    assert endpoint.pk in woken
    assert shop.letters == []
    tasks.send_merchant_webhooks(endpoint_id=endpoint.pk)
    assert {state_of(message)[0] for message in messages} == {"DELIVERED"}
    # One that has more than its time goes behind the others.
    woken.clear()
    monkeypatch.setattr(tasks, "LONGEST_OF_ONE_ENDPOINT_SECONDS", 0.0)
    tasks.send_merchant_webhooks(endpoint_id=endpoint.pk)
    assert woken == [endpoint.pk]


def test_what_is_old_or_removed_is_forgotten(shop: Receiver) -> None:
    meera, endpoint, (old, young) = waiting(shop.url, messages=2)
    send_all(endpoint)
    now: datetime = timezone.now()
    WebhookMessage.objects.filter(pk=old.pk).update(created_at=now - log.KEPT_FOR - timedelta(seconds=1))
    purge(now=now, longest_seconds=5)
    assert list(endpoint.messages.all()) == [young]
    remove_endpoint(user=meera.user, endpoint=endpoint.public_id, now=now)
    row = WebhookEndpoint.objects.get(pk=endpoint.pk)
    assert (row.url, bytes(row.secret_sealed), row.state) == ("", b"", "REMOVED")
    purge(now=now, longest_seconds=5)
    assert not WebhookAttempt.objects.filter(message__endpoint=endpoint).exists()
    assert not endpoint.messages.exists()
    purge(now=now + timedelta(days=2), longest_seconds=5)
    assert not WebhookEndpoint.objects.filter(pk=endpoint.pk).exists()
