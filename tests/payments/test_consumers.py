"""Each event has its effect once, whatever comes twice and whoever dies, and a wallet's events in their order."""

import signal
import threading
from collections.abc import Sequence
from datetime import timedelta
from itertools import count

import pytest
from django.db import connection, transaction
from django.utils import timezone

from tests.payments import consuming
from tests.payments.consuming import Stream, event, new_subject, take_effect, until
from wallet_project.kernel.events import consuming as loop
from wallet_project.kernel.events.envelope import Event
from wallet_project.kernel.events.recording import register, take_in
from wallet_project.kernel.ids import new_uuid
from wallet_project.kernel.models import ConsumedEvent, ConsumerGroup, ConsumerProgress, OutboxEvent

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def stream(kafka_servers: str, superuser_url: str) -> Stream:
    return Stream(servers=kafka_servers, superuser_url=superuser_url).create()


def run_of(subjects: Sequence[str], numbers: range) -> list[Event]:
    return [event(subject, number) for number in numbers for subject in subjects]


def assert_once(stream: Stream, events: Sequence[Event]) -> None:
    effects = stream.effects(events)
    assert len(effects) == len(events)
    assert set(effects.values()) == {1}


def test_a_message_that_comes_twice_has_one_effect_and_order_is_kept(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "PROGRESS_SECONDS", 0.1)
    subjects = [new_subject() for _ in range(5)]
    events = run_of(subjects, range(1, 61))
    last = event(subjects[0], 61)
    stream.publish(*events, *events[:150], events[0], events[0])
    with stream.member():
        stream.wait_for(*events)
        stream.publish(*events[100:200], last)
        stream.wait_for(last)
        until(stream.committed, lambda done: done == len(events) + 152 + 101)
        progress = ConsumerProgress.objects.filter(group__name=stream.group)
        until(lambda: sum(row.position for row in progress.all()), lambda done: done == len(events) + 152 + 101)
        assert all(row.position == row.end for row in progress.all())

    assert_once(stream, [*events, last])
    assert [stream.sequences(subject) for subject in subjects[1:]] == [list(range(1, 61))] * 4
    assert ConsumerGroup.objects.filter(name=stream.group).count() == 1
    assert not ConsumedEvent.objects.filter(group__name=stream.group, is_dead=True).exists()


def test_a_member_killed_between_its_commit_and_the_brokers_leaves_one_effect(stream: Stream) -> None:
    events = run_of([new_subject() for _ in range(4)], range(1, 11))
    stream.publish(*events)
    with stream.process("die") as dying:
        assert dying.wait(consuming.LONGEST_SECONDS) == -signal.SIGKILL
        assert stream.effects(events)
        assert stream.committed() == 0
    with stream.member():
        stream.wait_for(*events)
        until(stream.committed, lambda done: done == len(events))

    assert_once(stream, events)
    assert len(stream.actors(events)) == 1


def test_sigterm_finishes_the_batch_commits_and_leaves_at_once(stream: Stream) -> None:
    events = run_of([new_subject() for _ in range(8)], range(1, 251))
    stream.publish(*events)
    with stream.process("slow") as process:
        until(lambda: len(stream.effects(events)), bool)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        done = len(stream.effects(events))
        # All that was done, and nothing more: the next member begins exactly there.
        assert 0 < done < len(events)
        assert stream.committed() == done
    with stream.member():
        # It has left: the next one need not wait until its session has run out.
        stream.wait_for(*events)

    assert_once(stream, events)


def test_two_members_that_share_and_part_again_have_each_effect_once(stream: Stream) -> None:
    subjects = [new_subject() for _ in range(12)]
    events: list[Event] = []

    def go_on(numbers: range) -> set[str]:
        some = run_of(subjects, numbers)
        # Twice each: a rebalance may bring either copy to either member.
        stream.publish(*some, *some)
        events.extend(some)
        return stream.actors(events)

    with stream.member():
        go_on(range(1, 11))
        stream.wait_for(*events)
        with stream.member():
            numbers = count(11)
            until(lambda: go_on(range(number := next(numbers), number + 1)), lambda actors: len(actors) == 2)
            go_on(range(1001, 1011))
        # The second one left in the middle of it.
        go_on(range(1011, 1021))
        stream.wait_for(*events)

    assert_once(stream, events)
    assert len(stream.actors(events)) == 2
    for subject in subjects:
        assert stream.sequences(subject) == sorted(stream.sequences(subject))


def test_who_marks_second_waits_for_the_first_and_has_nothing_left_to_do(stream: Stream) -> None:
    group_id = register(group=stream.group, now=timezone.now())
    events = run_of([new_subject() for _ in range(3)], range(1, 4))
    holding, waiting, seen = threading.Event(), threading.Event(), []

    def first() -> None:
        with transaction.atomic():
            take_in(group_id=group_id, handler=take_effect, events=events, now=timezone.now())
            holding.set()
            assert waiting.wait(10)
            until(lambda: stream.rows("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'transactionid'"), bool)
        connection.close()

    thread = threading.Thread(target=first)
    thread.start()
    assert holding.wait(10)
    waiting.set()
    with transaction.atomic():
        # In another order, too: both insert their marks in the same one.
        take_in(group_id=group_id, handler=seen.extend, events=events[::-1], now=timezone.now())
    thread.join()

    assert seen == []
    assert_once(stream, events)


def test_what_every_group_recorded_so_long_ago_that_the_marks_are_gone_is_passed_over(stream: Stream) -> None:
    group_id = register(group=stream.group, now=timezone.now() - timedelta(days=30))
    long_ago = timezone.now() - timedelta(days=8)
    pruned, unsettled, unmarked = (event(new_subject(), time=long_ago) for _ in range(3))
    recent = event(new_subject(), time=timezone.now() - timedelta(days=6))
    for number, (owed, published_at) in enumerate([(unsettled, long_ago), (unmarked, None)]):
        OutboxEvent.objects.create(
            number=number,
            event_id=owed.id,
            transaction_id=number,
            wallet_id=number,
            lane=0,
            status="SUCCESS",
            created_at=long_ago,
            published_at=published_at,
        )
    events = [pruned, unsettled, unmarked, recent]
    with transaction.atomic():
        take_in(group_id=group_id, handler=take_effect, events=events, now=timezone.now())

    assert set(stream.effects(events)) == {unsettled.id, unmarked.id, recent.id}
    assert not ConsumedEvent.objects.filter(event_id=pruned.id).exists()


def test_what_happened_before_the_group_registered_is_none_of_its_business(stream: Stream) -> None:
    """Nobody is sent mails about all that ever happened when consumers run for the first time."""
    now = timezone.now()
    group_id = register(group=stream.group, now=now - timedelta(days=2))
    history = event(new_subject(), time=now - timedelta(days=90))
    before = event(new_subject(), time=now - timedelta(days=2, hours=2))
    # Clocks differ, and what moves while all of it starts for the first time is told.
    about_then = event(new_subject(), time=now - timedelta(days=2, minutes=30))
    after = event(new_subject(), time=now - timedelta(days=1))
    OutboxEvent.objects.create(
        number=1, event_id=history.id, transaction_id=90, wallet_id=90, lane=0, status="SUCCESS",
        created_at=history.time, published_at=None,
    )  # fmt: skip
    with transaction.atomic():
        take_in(group_id=group_id, handler=take_effect, events=[history, before, about_then, after], now=now)

    assert set(stream.effects([history, before, about_then, after])) == {about_then.id, after.id}
    assert not ConsumedEvent.objects.filter(event_id__in=[history.id, before.id]).exists()


def test_a_handler_that_fails_leaves_neither_effect_nor_mark(stream: Stream) -> None:
    group_id = register(group=stream.group, now=timezone.now())
    events = [event(new_subject()), event(new_subject(), poison="once")]
    with pytest.raises(consuming.Poison), transaction.atomic():
        take_in(group_id=group_id, handler=take_effect, events=events, now=timezone.now())

    assert not stream.effects(events)
    assert not ConsumedEvent.objects.filter(event_id__in=[each.id for each in events]).exists()


def test_marks_are_only_made_in_the_transaction_of_the_effect() -> None:
    with pytest.raises(RuntimeError):
        take_in(group_id=1, handler=take_effect, events=[event(new_subject())], now=timezone.now())


def test_each_group_takes_in_what_another_has(stream: Stream) -> None:
    one = event(new_subject())
    for group in (stream.group, f"g{new_uuid().hex}"):
        group_id = register(group=group, now=timezone.now())
        with transaction.atomic():
            take_in(group_id=group_id, handler=take_effect, events=[one, one], now=timezone.now())

    assert stream.effects([one]) == {one.id: 2}
