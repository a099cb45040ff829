"""What cannot be taken in ends as a dead letter with its cause, holds nobody else up, and can be tried again."""

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from io import StringIO
from types import SimpleNamespace
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.utils import timezone

from accounts.models import SecurityEvent
from payments.management.commands import replay_dead_letters
from tests.payments.consuming import Stream, cured, event, headers_of, new_subject, take_effect, until
from wallet_project.kernel.events import consuming as loop
from wallet_project.kernel.events.dead_letters import Place, bury, cause_of, replay
from wallet_project.kernel.events.envelope import Event
from wallet_project.kernel.events.received import Received
from wallet_project.kernel.events.recording import register
from wallet_project.kernel.ids import new_uuid
from wallet_project.kernel.models import ConsumedEvent, DeadLetter

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def stream(kafka_servers: str, superuser_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stream]:
    stream = Stream(servers=kafka_servers, superuser_url=superuser_url).create()
    monkeypatch.setattr(replay_dead_letters, "GROUPS", {stream.group: take_effect})
    yield stream
    cured.clear()


def replaying(*arguments: str) -> tuple[int, str]:
    """The command's exit status and what it said."""
    said = StringIO()
    try:
        call_command("replay_dead_letters", *arguments, stdout=said)
    except CommandError as error:
        return error.returncode, f"{said.getvalue()}{error}"
    return 0, said.getvalue()


def buried(stream: Stream, *events: Event) -> list[DeadLetter]:
    """Dead letters without a broker."""
    group_id = register(group=stream.group, now=timezone.now())
    for offset, each in enumerate(events):
        with transaction.atomic():
            place = Place(partition=0, offset=offset, value=each.as_bytes())
            bury(
                group_id=group_id, event_id=each.id, place=place, error=ValueError("once"), tries=3, now=timezone.now()
            )
    return stream.dead()


def test_a_poisoned_message_is_laid_aside_with_its_cause_and_the_others_go_on(stream: Stream) -> None:
    # One that an earlier member had buried, and the broker was not told of.
    [untold] = buried(stream, event(new_subject(), poison="the past"))
    mine, yours = new_subject(), new_subject()
    poison, slow = event(mine, 3, poison="asha@example.com"), event(yours, 2, poison="too slow")
    good = [event(mine, 1), event(mine, 2), event(yours, 1), event(mine, 4), event(yours, 3), event(mine, 5)]
    junk = [b"", b"\xff not JSON", b"[" * 100_000, b'{"specversion": "1.0", "id": "no"}']
    stream.publish(*good[:2], poison, junk[0], good[2], slow, *good[3:5], *junk[1:], good[5], partition=0)
    elsewhere = event(new_subject(), 1)
    with stream.member():
        stream.publish(elsewhere, partition=1)
        stream.wait_for(*good, elsewhere)
        dead = until(stream.dead, lambda letters: len(letters) == 7)
        told = until(stream.dead, lambda letters: all(letter.published_at for letter in letters))
        messages = stream.read_dead_topic(7)

    assert len(told) == 7
    assert set(stream.effects([*good, elsewhere]).values()) == {1}
    assert not stream.effects([poison, slow])
    assert stream.sequences(mine) == [1, 2, 4, 5]
    assert stream.sequences(yours) == [1, 3]
    letters = {letter.event_id: letter for letter in dead}
    assert letters[poison.id].cause == (
        f"Poison at {letters[poison.id].cause.split(' at ')[1].split(': ')[0]}: No thanks, says a…@example.com."
    )
    assert letters[poison.id].cause.startswith("Poison at tests/payments/consuming.py:")
    assert "QueryCanceled" in letters[slow.id].cause or "OperationalError" in letters[slow.id].cause
    assert (letters[poison.id].tries, letters[poison.id].partition, letters[poison.id].offset) == (3, 0, 2)
    assert bytes(letters[poison.id].value) == poison.as_bytes()
    no_events = [letter for letter in dead if letter.event_id not in (poison.id, slow.id, untold.event_id)]
    assert [bytes(letter.value) for letter in no_events] == junk
    assert all(letter.tries == 1 and letter.cause.startswith(("NotAnEvent", "Recursion")) for letter in no_events)
    marks = ConsumedEvent.objects.filter(group__name=stream.group, is_dead=True)
    assert {mark.event_id for mark in marks} == {letter.event_id for letter in dead}

    by_key = {message.key().decode(): message for message in messages}
    assert set(by_key) == {str(letter.event_id) for letter in dead}
    message = by_key[str(poison.id)]
    assert message.value() == poison.as_bytes()
    headers = headers_of(message)
    # Where it failed and how; not what was said there, which may name people.
    assert headers["cause"].startswith("Poison at tests/payments/consuming.py:")
    assert "example.com" not in str(headers)
    assert {name: headers[name] for name in ("group", "partition", "offset", "tries")} == {
        "group": stream.group,
        "partition": "0",
        "offset": "2",
        "tries": "3",
    }

    # An event that is dead is done with: it may come again, and nothing happens.
    last = event(mine, 6)
    with stream.member():
        stream.publish(poison, last, partition=0)
        stream.wait_for(last)
    assert len(stream.dead()) == 7


def test_what_fails_slowly_is_left_off_before_the_broker_takes_its_member_for_dead(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A member that does not poll for five minutes loses its partitions, and what was tried is forgotten with them."""
    clock = [0.0]
    tried: list[int] = []

    def slow(batch: Sequence[Received]) -> None:
        clock[0] += 30
        tried.append(len(batch))
        raise ValueError("a query that takes too long")

    monkeypatch.setattr(loop, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    patience = loop.Patience(tries=1000)
    member = loop.Member(group="slow", handler=take_effect, servers="127.0.0.1:9", patience=patience)
    monkeypatch.setattr(member, "_take_in", slow)
    for partition in range(12):
        one = event(new_subject())
        received = Received(partition=partition, offset=0, value=b"", event_id=one.id, event=one)
        member._queues[partition] = loop._Queue(waiting=deque([received]))
    turns = []
    for _ in range(40):
        began = clock[0]
        member._work(threading.Event())
        turns.append(clock[0] - began)
    assert max(turns) <= 120
    # And each of them gets its turn.
    assert all(queue.tries > 1 for queue in member._queues.values())


def test_dead_letters_are_tried_again_in_order_and_what_still_fails_says_why(stream: Stream) -> None:
    first, second, third = (event(new_subject(), number, poison="me") for number in range(3))
    buried(stream, first, second, third)
    cured.update({first.id, third.id})

    status, said = replaying("--dry-run")
    assert status == 0
    assert [line.split()[1] for line in said.splitlines()] == [str(each.id) for each in (first, second, third)]
    assert not stream.effects([first, second, third])

    status, said = replaying("--event", str(third.id))
    assert (status, stream.effects([first, second, third])) == (0, {third.id: 1})

    status, said = replaying("--group", stream.group)
    assert status == 1
    assert said.splitlines() == [
        f"{stream.group} {first.id} taken in",
        f"{stream.group} {second.id} still fails: {stream.dead()[1].cause}",
        "1 taken in, 1 still failing.",
        "Dead letters left: 1.",
    ]
    assert stream.dead()[1].cause.endswith("No thanks, says me.")
    assert stream.effects([first, second, third]) == {first.id: 1, third.id: 1}

    cured.add(second.id)
    assert replaying()[0] == 0
    assert replaying() == (0, "0 taken in, 0 still failing.\n")
    assert stream.effects([first, second, third]) == {first.id: 1, second.id: 1, third.id: 1}
    assert all(letter.replayed_at for letter in stream.dead())
    assert not ConsumedEvent.objects.filter(group__name=stream.group, is_dead=True).exists()


def test_what_can_never_be_taken_in_is_discarded_and_then_no_more_is_left(stream: Stream) -> None:
    one, other = event(new_subject(), poison="me"), event(new_subject(), poison="me")
    buried(stream, one, other)

    assert replaying("--discard", "--event", str(one.id))[0] == 1
    assert replaying("--discard", "--group", stream.group)[0] == 1
    named = ("--discard", "--event", str(one.id), "--group", stream.group)
    assert replaying(*named, "--dry-run")[0] == 0
    assert replaying()[1].endswith("Dead letters left: 2.")

    assert replaying(*named, "--reason", "A forgery") == (0, f"{stream.group} {one.id} discarded\n")
    assert replaying(*named) == (1, "There is no such letter that waits.")
    assert replaying()[1].endswith("Dead letters left: 1.")
    cured.update({one.id, other.id})
    assert replaying()[0] == 0
    assert stream.effects([one, other]) == {other.id: 1}
    assert [letter.discard_reason for letter in stream.dead()] == ["A forgery", ""]
    (said,) = SecurityEvent.objects.filter(kind="dead_letter.discarded", object=str(one.id))
    assert (said.reason, said.actor_id) == ("A forgery", None)


def test_two_who_replay_at_once_do_it_once(stream: Stream) -> None:
    one = event(new_subject())
    [letter] = buried(stream, one)
    inside, go_on = threading.Event(), threading.Event()

    def slow(events: object) -> None:
        take_effect([one])
        inside.set()
        assert go_on.wait(10)

    def run() -> None:
        replay(letter_id=letter.pk, handler=slow, now=timezone.now())
        connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    assert inside.wait(10)
    meanwhile = replay(letter_id=letter.pk, handler=take_effect, now=timezone.now())
    go_on.set()
    thread.join()

    assert meanwhile is None
    assert replay(letter_id=letter.pk, handler=take_effect, now=timezone.now()) is None
    assert stream.effects([one]) == {one.id: 1}


def test_a_cause_shows_no_row_and_no_address_and_any_text_can_be_kept(stream: Stream) -> None:
    try:
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO kernel_consumergroup (name, registered_at) VALUES ('a', now()), ('a', now())")
    except Exception as error:
        cause = cause_of(error)
    assert cause.startswith("IntegrityError at tests/payments/test_consumers_dead_letters.py:")
    assert "Key" not in cause

    group_id = register(group=stream.group, now=timezone.now())
    with transaction.atomic():
        bury(
            group_id=group_id,
            event_id=UUID(int=new_uuid().int),
            place=Place(partition=0, offset=0, value=b"\0"),
            error=ValueError("nul \0 and \ud800 and " + "x" * 1000),
            tries=3,
            now=timezone.now(),
        )
    [letter] = stream.dead()
    assert letter.cause.startswith("ValueError at an unknown place: nul  and ? and x")
    assert len(letter.cause) == 500
