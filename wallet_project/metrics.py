"""
`GET /metrics` in Prometheus's text form: what waits to be told, how far who tells it is, and what was given up.

Everything but the counters of postings comes from the database, so any one web process answers for the whole wallet.
Each look reads partial indexes of what is not done yet, and counts no further than `MOST_COUNTED`.
"""

import hmac
from collections.abc import Iterator, Sequence
from typing import Any, Final

from django.conf import settings
from django.db import connection
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from ledger.posting import tally

MOST_COUNTED: Final = 100_000

_OUTBOX: Final = """
SELECT
    (SELECT count(*) FROM (SELECT FROM kernel_outboxevent WHERE published_at IS NULL LIMIT %(most)s) waiting),
    -- The oldest of each lane by its index, which knows numbers and no times.
    (SELECT min(o.created_at) FROM generate_series(0, 15) AS lane CROSS JOIN LATERAL (
        SELECT created_at FROM kernel_outboxevent w WHERE w.lane = lane AND w.published_at IS NULL
        ORDER BY w.number LIMIT 1) o),
    (SELECT count(*) FROM (
        SELECT FROM kernel_outboxevent WHERE published_at IS NOT NULL AND settled_at IS NULL LIMIT %(most)s) unsettled),
    clock_timestamp()
"""
# What a group is owed and has no mark of, published or not; every group stands there, if only with zero.
_OWED: Final = """
WITH unsettled AS MATERIALIZED (
    (SELECT event_id, created_at FROM kernel_outboxevent
        WHERE published_at IS NOT NULL AND settled_at IS NULL ORDER BY published_at LIMIT %(most)s)
    UNION ALL
    (SELECT event_id, created_at FROM kernel_outboxevent WHERE published_at IS NULL LIMIT %(most)s)
)
SELECT g.name, count(u.event_id), extract(epoch FROM clock_timestamp() - min(u.created_at))
FROM kernel_consumergroup g LEFT JOIN unsettled u ON g.registered_at <= u.created_at AND NOT EXISTS (
    SELECT FROM kernel_consumedevent c WHERE c.group_id = g.id AND c.event_id = u.event_id)
GROUP BY g.name ORDER BY g.name
"""
# Nobody has a partition that nobody has spoken of for so long: a broker that came back may have fewer.
_PROGRESS: Final = """
SELECT g.name, p.partition, greatest(p."end" - p.position, 0)
FROM kernel_consumerprogress p JOIN kernel_consumergroup g ON g.id = p.group_id
WHERE p.said_at > clock_timestamp() - interval '5 minutes' ORDER BY 1, 2
"""
_SILENCE: Final = """
SELECT g.name, extract(epoch FROM clock_timestamp() - coalesce(max(p.said_at), g.registered_at))
FROM kernel_consumergroup g LEFT JOIN kernel_consumerprogress p ON p.group_id = g.id GROUP BY g.id ORDER BY g.name
"""
_DEAD: Final = """
SELECT g.name, count(d.id) FROM kernel_consumergroup g
LEFT JOIN kernel_deadletter d ON d.group_id = g.id AND d.replayed_at IS NULL AND d.discarded_at IS NULL
GROUP BY g.name ORDER BY g.name
"""
_MESSAGES: Final = """
SELECT
    (SELECT count(*) FROM (SELECT FROM accounts_verification
        WHERE sent_at IS NULL AND given_up_at IS NULL LIMIT %(most)s) waiting),
    (SELECT extract(epoch FROM clock_timestamp() - min(requested_at)) FROM (SELECT requested_at
        FROM accounts_verification WHERE sent_at IS NULL AND given_up_at IS NULL LIMIT %(most)s) waiting),
    (SELECT count(*) FROM (SELECT FROM accounts_verification WHERE given_up_at IS NOT NULL LIMIT %(most)s) given_up)
"""
_MERCHANTS: Final = """
SELECT count(*), extract(epoch FROM clock_timestamp() - min(next_attempt_at)) FROM (
    SELECT next_attempt_at FROM payments_webhookmessage WHERE state = 'WAITING' LIMIT %(most)s) waiting
"""


class Backlogs(Collector):
    """What the database says, read once for each answer."""

    def collect(self) -> Iterator[Metric]:
        yield from _outbox()
        yield from _groups()
        yield from _messages()
        yield from _postings()


def _rows(statement: str) -> Sequence[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, {"most": MOST_COUNTED})
        return list(cursor.fetchall())


def _gauge(name: str, meaning: str, value: Any) -> Metric:
    """Of nothing there is no oldest: its age is zero."""
    return GaugeMetricFamily(name, meaning, value=float(max(value or 0, 0)))


def _gauges(name: str, meaning: str, labels: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> Metric:
    """One for each row: its labels, then its value."""
    family = GaugeMetricFamily(name, meaning, labels=labels)
    for *values, value in rows:
        family.add_metric([str(each) for each in values], float(max(value or 0, 0)))
    return family


def _outbox() -> Iterator[Metric]:
    [(waiting, oldest, unsettled, now)] = _rows(_OUTBOX)
    age = (now - oldest).total_seconds() if oldest else 0
    yield _gauge("wallet_outbox_waiting_events", "Events that no broker has yet.", waiting)
    yield _gauge("wallet_outbox_oldest_waiting_seconds", "Age of the oldest of each lane's first that waits.", age)
    yield _gauge(
        "wallet_outbox_unsettled_events", "Published, and not yet seen to be recorded by every group.", unsettled
    )


def _groups() -> Iterator[Metric]:
    owed = _rows(_OWED)
    yield _gauges(
        "wallet_consumer_unrecorded_events",
        "Events that a group is owed and has not recorded.",
        ["group"],
        [(group, count) for group, count, _ in owed],
    )
    yield _gauges(
        "wallet_consumer_oldest_unrecorded_seconds",
        "Age of the oldest of them.",
        ["group"],
        [(group, age) for group, _, age in owed],
    )
    yield _gauges(
        "wallet_consumer_lag_messages",
        "Messages of a partition that a group has not come to.",
        ["group", "partition"],
        _rows(_PROGRESS),
    )
    yield _gauges(
        "wallet_consumer_silence_seconds", "Since a member of a group last spoke.", ["group"], _rows(_SILENCE)
    )
    yield _gauges(
        "wallet_dead_letters_waiting", "Events laid aside, and neither replayed nor discarded.", ["group"], _rows(_DEAD)
    )


def _messages() -> Iterator[Metric]:
    [(waiting, age, given_up)] = _rows(_MESSAGES)
    yield _gauge("wallet_messages_waiting", "E-mails, SMS and pushes that must go out.", waiting)
    yield _gauge("wallet_messages_oldest_waiting_seconds", "Age of the oldest of them.", age)
    yield _gauge("wallet_messages_given_up", "Messages that could not be sent, and are still kept.", given_up)
    [(waiting, overdue)] = _rows(_MERCHANTS)
    yield _gauge("wallet_merchant_webhooks_waiting", "Webhooks to merchants that were not taken yet.", waiting)
    yield _gauge("wallet_merchant_webhooks_overdue_seconds", "How long the first of them has been due.", overdue)


def _postings() -> Iterator[Metric]:
    yield CounterMetricFamily("wallet_posting_commits", "Postings committed by this process.", value=tally.commits)
    yield CounterMetricFamily("wallet_posting_reruns", "Postings that this process ran again.", value=tally.reruns)


# Exempt so that a wrong method is told so, and not that it lacks a form's token.
@csrf_exempt
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """
    For whoever shows `METRICS_TOKEN`; while there is none, there is no such page.

    How much waits tells of the volume of business, so it is for the operators alone.
    """
    if not settings.METRICS_TOKEN:
        raise Http404
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme != "Bearer" or not hmac.compare_digest(token.encode(errors="replace"), settings.METRICS_TOKEN.encode()):
        return HttpResponse(status=401, headers={"WWW-Authenticate": "Bearer"}, content_type="text/plain")
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Backlogs())
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


urlpatterns = [path("metrics", metrics)]
