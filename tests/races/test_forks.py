"""A process forked after its parent has posted, as Celery's are, has its own connections and its own numbers."""

import os
import traceback

import pytest
from django.db import connections

from ledger.posting import post
from tests.environment import Database
from tests.ledger.factories import Member, asha, group, ravi, transfer
from tests.ledger.proofs import assert_books_hold

pytestmark = pytest.mark.usefixtures("database")


def backends() -> set[int]:
    found = set()
    for alias in ("default", "posting"):
        with connections[alias].cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            found.add(int(cursor.fetchone()[0]))
    connections["posting"].close()
    return found


def post_often(sender: Member, recipient: Member) -> None:
    for _ in range(20):
        (outcome,) = post([group(sender, transfer(sender, recipient, "1"))])
        assert outcome.kind == "posted"


def test_a_forked_process_never_speaks_on_its_parents_connections(database: Database) -> None:
    one, other = asha(balance="100"), ravi(balance="100")
    post_often(one, other)
    parents = backends()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            post_often(one, other)
            os.write(writing, b"the parent's" if backends() & parents else b"its own")
        except BaseException:
            os.write(writing, traceback.format_exc().encode())
        finally:
            os._exit(0)
    os.close(writing)
    post_often(other, one)
    with open(reading, "rb") as answer:
        assert answer.read().decode() == "its own"
    os.waitpid(child, 0)
    assert backends() == parents
    assert (one.balance, other.balance) == (80, 120)
    assert_books_hold(database.superuser_url)
