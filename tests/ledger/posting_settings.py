"""Another way for `posting` to reach the database, for one test: through a wire, or with less patience."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connections
from django.db.backends.postgresql.base import DatabaseWrapper

from wallet_project.kernel.database import POSTING


@contextmanager
def posting_with(
    *,
    host: str | None = None,
    port: int | None = None,
    lock_timeout: str | None = None,
    wait_seconds: float | None = None,
    options: str = "",
) -> Iterator[None]:
    """
    Change how this process's `posting` connects, with a pool of its own, and put it back afterwards.

    :param lock_timeout: how long PostgreSQL waits for a lock.
    :param options: of the server, as in `-c name=value`.
    :param wait_seconds: how long a thread waits for the one posting connection.
    """
    chosen = connections.settings[POSTING]
    before = copy.deepcopy(dict(chosen))
    _forget_pool()
    if host is not None:
        chosen["HOST"], chosen["PORT"] = host, port
    details: dict[str, Any] = chosen["OPTIONS"]
    details["options"] += f" {options}"
    if lock_timeout is not None:
        details["options"] += f" -c lock_timeout={lock_timeout}"
    if wait_seconds is not None:
        details["pool"]["timeout"] = wait_seconds
    try:
        yield
    finally:
        _forget_pool()
        chosen.update(before)


def _forget_pool() -> None:
    connection = connections[POSTING]
    connection.close()
    assert isinstance(connection, DatabaseWrapper)
    connection.close_pool()
