"""Relays as production runs them: processes of their own, on a real broker, killed and told to stop."""

import random
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import psycopg
import pytest

from ledger.posting import post
from tests.environment import Database
from tests.ledger.factories import Member, group, member, transfer
from tests.ledger.relays import Listener, nothing_waits, relay_process, until
from wallet_project.kernel.models import OutboxEvent

pytestmark = pytest.mark.usefixtures("database")

PEOPLE = 8
ROUNDS = 12
AT_ONCE = 20


@contextmanager
def relays(servers: str, count: int) -> Iterator[list["subprocess.Popen[bytes]"]]:
    with ExitStack() as stack:
        processes = [stack.enter_context(relay_process(servers)) for _ in range(count)]
        stack.callback(lambda: [process.kill() for process in processes if process.poll() is None])
        yield processes


def lanes_by_backend(database: Database) -> dict[int, int]:
    """How many lanes each connection holds."""
    with psycopg.connect(database.superuser_url) as server:
        return dict(
            server.execute(
                "SELECT l.pid, count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database"
                " WHERE d.datname = current_database() AND l.locktype = 'advisory' AND l.classid = %s AND l.granted"
                " GROUP BY l.pid",
                [0x6F757462],
            ).fetchall()
        )


def move(people: list[Member], dice: random.Random) -> None:
    groups = []
    for _ in range(AT_ONCE):
        payer, payee = dice.sample(people, 2)
        groups.append(group(payer, transfer(payer, payee, "0.01")))
    post(groups)


def test_order_is_kept_with_three_relays_of_which_one_is_killed_and_one_told_to_stop(
    database: Database, kafka_servers: str
) -> None:
    dice = random.Random(5)
    people = [member(balance="100") for _ in range(PEOPLE)]
    listener = Listener(kafka_servers, {person.wallet.public_id for person in people})
    with relays(kafka_servers, 3) as (killed, stopped, last):
        until(lambda: sorted(lanes_by_backend(database).values()) == [5, 5, 6])
        for turn in range(ROUNDS):
            published = OutboxEvent.objects.filter(published_at__isnull=False)
            before = published.count()
            move(people, dice)
            # In the midst of it: some of these are on their way, others are not.
            until(lambda published=published, before=before: published.count() > before)
            if turn == ROUNDS // 3:
                killed.send_signal(signal.SIGKILL)
            if turn == ROUNDS * 2 // 3:
                stopped.terminate()
        assert stopped.wait(15) == 0
        until(nothing_waits)
        until(lambda: list(lanes_by_backend(database).values()) == [16])
        last.send_signal(signal.SIGINT)
        assert last.wait(15) == 0
    told = {row.event_id: row for row in OutboxEvent.objects.all()}
    assert len(told) == PEOPLE + 2 * ROUNDS * AT_ONCE
    until(lambda: told.keys() <= listener.ids())
    listener.close()
    for person in people:
        firsts = listener.firsts(person.wallet.public_id)
        sequences = [event.data["sequence"] for event in firsts]
        assert sequences == list(range(1, len(sequences) + 1))
        # And so by the numbers that they were written with.
        assert sorted(told[event.id].number for event in firsts) == [told[event.id].number for event in firsts]
    until(lambda: lanes_by_backend(database) == {})
