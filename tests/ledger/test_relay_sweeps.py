"""What is published again, what is settled, and what is forgotten; by the statements themselves, without a broker."""

from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID

import psycopg
import pytest
from django.utils import timezone

from tests.environment import Database
from tests.ledger.factories import asha
from wallet_project.kernel.events import pruning as pruning_module
from wallet_project.kernel.events import republishing as republishing_module
from wallet_project.kernel.events.lanes import Session, open_session
from wallet_project.kernel.events.pruning import pruning
from wallet_project.kernel.events.republishing import MOST_DOUBLINGS, publish_all_again, republishing
from wallet_project.kernel.models import ConsumedEvent, ConsumerGroup, OutboxEvent

pytestmark = pytest.mark.usefixtures("database", "nothing_else")

SECONDS = 60.0


@pytest.fixture
def nothing_else(database: Database) -> None:
    with psycopg.connect(database.superuser_url, autocommit=True) as server:
        server.execute("TRUNCATE kernel_outboxevent, kernel_consumergroup CASCADE")


@pytest.fixture
def session() -> Iterator[Session]:
    with open_session() as session:
        yield session


def registered(name: str) -> ConsumerGroup:
    return ConsumerGroup.objects.create(name=name, registered_at=timezone.now())


def record(consumers: ConsumerGroup, *event_ids: UUID, is_dead: bool = False) -> None:
    for event_id in event_ids:
        ConsumedEvent.objects.create(group=consumers, event_id=event_id, recorded_at=timezone.now(), is_dead=is_dead)


def event(*, published_seconds_ago: float | None = None, publications: int = 1) -> UUID:
    """One row of the outbox, published so long ago."""
    wallet = asha(balance="1").wallet
    rows = OutboxEvent.objects.filter(wallet_id=wallet.pk)
    if published_seconds_ago is not None:
        published_at = timezone.now() - timedelta(seconds=published_seconds_ago)
        # The application may mark a row, and nothing else of it.
        rows.update(published_at=published_at, publications=publications)
    return rows.get().event_id


def settled_days_ago(event_id: UUID, days: float) -> None:
    OutboxEvent.objects.filter(event_id=event_id).update(
        published_at=timezone.now() - timedelta(days=days), settled_at=timezone.now() - timedelta(days=days)
    )


def waits(event_id: UUID) -> bool:
    return OutboxEvent.objects.get(event_id=event_id).published_at is None


def is_settled(event_id: UUID) -> bool:
    return OutboxEvent.objects.get(event_id=event_id).settled_at is not None


def test_what_every_group_has_recorded_is_settled_and_what_one_has_not_is_published_again(session: Session) -> None:
    one, other = registered("one"), registered("other")
    both, half, dead = (event(published_seconds_ago=SECONDS + 1) for _ in range(3))
    record(one, both, half, dead)
    record(other, both)
    record(other, dead, is_dead=True)
    assert republishing(SECONDS)(session) is False
    assert [(is_settled(found), waits(found)) for found in (both, half, dead)] == [
        (True, False),
        (False, True),
        (True, False),
    ]


def test_a_group_is_owed_nothing_from_before_it_registered(session: Session) -> None:
    before = event(published_seconds_ago=SECONDS + 1)
    registered("late")
    after = event(published_seconds_ago=SECONDS + 1)
    republishing(SECONDS)(session)
    assert (is_settled(before), waits(after)) == (True, True)


def test_before_its_time_nothing_is_published_again_and_each_time_waits_twice_as_long(session: Session) -> None:
    registered("slow")
    look = republishing(SECONDS)
    ages = {
        event(published_seconds_ago=SECONDS - 5): False,
        event(published_seconds_ago=SECONDS + 5): True,
        event(published_seconds_ago=SECONDS * 2 - 5, publications=2): False,
        event(published_seconds_ago=SECONDS * 2 + 5, publications=2): True,
        event(published_seconds_ago=SECONDS * 2**MOST_DOUBLINGS - 5, publications=99): False,
        event(published_seconds_ago=SECONDS * 2**MOST_DOUBLINGS + 5, publications=99): True,
    }
    look(session)
    assert {found: waits(found) for found in ages} == ages


def test_a_sweep_goes_on_where_it_ended_and_begins_anew_at_the_end(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else what is owed for long would stand before all that came after it, and nothing of that be settled."""
    monkeypatch.setattr(republishing_module, "BATCH", 2)
    group = registered("stuck")
    owed = [event(published_seconds_ago=50 - place) for place in range(3)]
    had = [event(published_seconds_ago=40 - place) for place in range(2)]
    record(group, *had)
    look = republishing(SECONDS)
    # In no hurry past what is owed and not due; at once where there was something to do.
    assert [look(session) for _ in range(3)] == [False, True, False]
    assert [is_settled(found) for found in (*owed, *had)] == [False] * 3 + [True] * 2
    record(group, *owed)
    assert [look(session) for _ in range(2)] == [True, False]
    assert all(is_settled(found) for found in owed)


def test_a_broker_that_forgot_is_told_all_that_is_owed_however_much_was_published_in_one_moment(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(republishing_module, "BATCH", 2)
    consumers = registered("one")
    found = [event(published_seconds_ago=1) for _ in range(5)]
    record(consumers, found[0])
    moment = timezone.now() - timedelta(seconds=1)
    OutboxEvent.objects.filter(event_id__in=found).update(published_at=moment)
    publish_all_again(session)
    assert [is_settled(one) for one in found] == [True, False, False, False, False]
    assert [waits(one) for one in found] == [False, True, True, True, True]


def test_what_is_settled_long_enough_is_forgotten_with_who_had_it_and_nothing_else(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruning_module, "BATCH", 2)
    group = registered("group")
    old = [event() for _ in range(3)]
    young, owed, waiting = event(), event(published_seconds_ago=40 * 86_400), event()
    for found in old:
        settled_days_ago(found, 7.1)
    settled_days_ago(young, 6.9)
    record(group, *old, young)
    prune = pruning(7)
    assert [prune(session) for _ in range(2)] == [True, False]
    assert set(OutboxEvent.objects.values_list("event_id", flat=True)) == {young, owed, waiting}
    assert set(ConsumedEvent.objects.values_list("event_id", flat=True)) == {young}


def test_without_any_group_what_is_published_goes_by_its_age_and_what_waits_stays(session: Session) -> None:
    published, waiting = event(published_seconds_ago=SECONDS), event()
    republishing(SECONDS)(session)
    assert (is_settled(published), waits(waiting)) == (True, True)
    settled_days_ago(published, 8)
    pruning(7)(session)
    assert list(OutboxEvent.objects.values_list("event_id", flat=True)) == [waiting]
