"""`/metrics` says what waits, in Prometheus's own words, to whoever has the token."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from accounts.models import OutgoingMessage
from tests.accounts.people import person
from wallet_project.kernel.events import progress
from wallet_project.kernel.events.dead_letters import Place, bury, discard
from wallet_project.kernel.events.recording import register
from wallet_project.kernel.ids import new_uuid
from wallet_project.kernel.models import DeadLetter, OutboxEvent
from wallet_project.metrics import MOST_COUNTED

pytestmark = pytest.mark.usefixtures("database")

TOKEN = "t" * 32
Key = tuple[str, tuple[tuple[str, str], ...]]


@pytest.fixture(autouse=True)
def token(settings: Any) -> None:
    settings.METRICS_TOKEN = TOKEN


def ask(method: str = "get", authorization: str = f"Bearer {TOKEN}") -> Any:
    return getattr(Client(), method)("/metrics", headers={"Authorization": authorization})


def read() -> Mapping[str, float]:
    """By name and labels, as `name{group=webhooks}`."""
    answer = ask()
    assert answer.status_code == 200
    found = {}
    for family in text_string_to_metric_families(answer.content.decode()):
        assert family.documentation
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def outbox(number: int, *, age_seconds: float, **columns: Any) -> OutboxEvent:
    return OutboxEvent.objects.create(
        number=number,
        event_id=new_uuid(),
        transaction_id=number,
        wallet_id=number,
        lane=number % 16,
        status="SUCCESS",
        created_at=timezone.now() - timedelta(seconds=age_seconds),
        **columns,
    )


@pytest.mark.parametrize(
    "authorization", ["", "Bearer", "Bearer ", f"Bearer {TOKEN}x", f"Basic {TOKEN}", TOKEN, "Bearer é"]
)
def test_without_the_token_nothing_is_said(authorization: str) -> None:
    answer = ask(authorization=authorization)

    assert (answer.status_code, answer["WWW-Authenticate"], answer.content) == (401, "Bearer", b"")


def test_while_no_token_is_set_there_is_no_such_page(settings: Any) -> None:
    settings.METRICS_TOKEN = ""

    assert ask().status_code == 404
    assert ask(authorization="Bearer ").status_code == 404


def test_it_is_read_only_and_kept_by_nobody() -> None:
    assert [ask(method).status_code for method in ("post", "put", "patch", "delete", "options")] == [405] * 5
    assert ask("head").status_code == 200
    answer = ask()
    assert answer["Content-Type"].startswith("text/plain; version=")
    assert "no-store" in answer["Cache-Control"]


def test_what_waits_is_counted_and_dated() -> None:
    now = timezone.now()
    before = read()
    assert before["wallet_outbox_waiting_events"] == before["wallet_outbox_oldest_waiting_seconds"] == 0

    group_id, other_id = (register(group=name, now=now - timedelta(hours=1)) for name in ("tellers", "others"))
    waiting = [outbox(number, age_seconds=60 - number) for number in range(20)]
    published = [
        outbox(100 + number, age_seconds=200, published_at=now - timedelta(seconds=100)) for number in range(5)
    ]
    outbox(200, age_seconds=900, published_at=now, settled_at=now)
    # From before the groups were: owed to nobody.
    outbox(300, age_seconds=7200, published_at=now)
    with transaction.atomic():
        for event in published[:3]:
            bury(
                group_id=group_id,
                event_id=event.event_id,
                place=Place(partition=0, offset=0, value=b""),
                error=ValueError(),
                tries=5,
                now=now,
            )
    assert discard(letter_id=DeadLetter.objects.get(event_id=published[2].event_id).pk, reason="a lie", now=now)
    progress.say(group_id=group_id, at={0: (10, 10), 1: (3, 45)}, now=now)
    progress.say(group_id=other_id, at={0: (1, 100)}, now=now - timedelta(minutes=10))

    found = read()
    assert found["wallet_outbox_waiting_events"] == len(waiting)
    assert 60 <= found["wallet_outbox_oldest_waiting_seconds"] < 90
    assert found["wallet_outbox_unsettled_events"] == 6
    assert found["wallet_consumer_unrecorded_events{group=tellers}"] == 22
    assert found["wallet_consumer_unrecorded_events{group=others}"] == 25
    assert 200 <= found["wallet_consumer_oldest_unrecorded_seconds{group=tellers}"] < 230
    assert found["wallet_dead_letters_waiting{group=tellers}"] == 2
    assert found["wallet_dead_letters_waiting{group=others}"] == 0
    assert found["wallet_consumer_lag_messages{group=tellers,partition=0}"] == 0
    assert found["wallet_consumer_lag_messages{group=tellers,partition=1}"] == 42
    assert "wallet_consumer_lag_messages{group=others,partition=0}" not in found
    assert found["wallet_consumer_silence_seconds{group=tellers}"] < 30
    assert 600 <= found["wallet_consumer_silence_seconds{group=others}"] < 630


def test_messages_to_people_and_to_merchants_are_counted_too() -> None:
    user = person()
    before = read()
    now = timezone.now()
    for columns in ({}, {"sent_at": now}, {"given_up_at": now}):
        OutgoingMessage.objects.create(
            user=user,
            purpose=OutgoingMessage.Purpose.NOTICE,
            channel="email",
            address="asha@example.com",
            requested_at=now - timedelta(seconds=50),
            **columns,
        )
    after = read()

    changed = {name: after[name] - before[name] for name in ("wallet_messages_waiting", "wallet_messages_given_up")}
    assert changed == {"wallet_messages_waiting": 1, "wallet_messages_given_up": 1}
    assert after["wallet_messages_oldest_waiting_seconds"] >= 50
    assert after["wallet_merchant_webhooks_waiting"] == after["wallet_merchant_webhooks_overdue_seconds"] == 0
    assert {"wallet_posting_commits_total", "wallet_posting_reruns_total"} <= set(after)


def test_no_look_reads_what_is_done_with() -> None:
    """Each table is read by an index of what is not, however long its history; the small ones as they are."""
    small = ("kernel_consumergroup", "kernel_consumerprogress")
    with CaptureQueriesContext(connection) as captured:
        read()
    plans = []
    with connection.cursor() as cursor:
        cursor.execute("SET enable_seqscan = off")
        for query in captured.captured_queries:
            if query["sql"].startswith("SELECT set_config"):
                continue
            cursor.execute(f"EXPLAIN {query['sql']}")
            plans += [line for (line,) in cursor.fetchall()]
        cursor.execute("RESET enable_seqscan")
    scans = [line for line in plans if "Seq Scan" in line and not any(table in line for table in small)]

    assert scans == []
    assert any("outbox_unsettled" in line for line in plans)
    assert any("outbox_waiting" in line for line in plans)
    assert str(MOST_COUNTED) in str(captured.captured_queries)
