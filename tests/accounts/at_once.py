"""Two acts at once, in an order that a test chooses: the second begins while the first is in the middle of its own."""

import threading
from collections.abc import Callable
from typing import Any

import psycopg
from django.db import connections


def in_thread(answers: list[Any], act: Callable[[], Any]) -> threading.Thread:
    """Begun; what it returns is added to `answers`. Join it."""

    def run() -> None:
        try:
            answers.append(act())
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def wait_until_somebody_waits(superuser_url: str) -> None:
    """For a lock of this database, four seconds at most: where nothing is locked, nobody waits."""
    with psycopg.connect(superuser_url, autocommit=True) as watcher:
        for _ in range(400):
            found = watcher.execute(
                "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            if found.fetchone() is not None:
                return
            watcher.execute("SELECT pg_sleep(0.01)")
