"""
Start-up checks. PostgreSQL must keep what it acknowledges: with `synchronous_commit=off` a crash loses
acknowledged transfers while every sum stays exact.
"""

from collections.abc import Sequence
from typing import Any, Final

from django.apps import AppConfig
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError, connections
from django.db.backends.postgresql.base import DatabaseWrapper

_REQUIRED_ON: Final = ("fsync", "full_page_writes", "synchronous_commit")
_REQUIRED_TIMEOUTS: Final = ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout")
_ALIASES: Final = ("default", "posting")
_OLDEST_VERSION: Final = 170000
# `remote_apply`, `remote_write` and `local` all flush our own log before they answer.
_DURABLE: Final = ("on", "remote_apply", "remote_write", "local")


def unsafe_database_settings(alias: str) -> list[str]:
    """What is wrong with the server behind `alias`, a sentence each; empty when it is safe."""
    wrong = []
    with connections[alias].cursor() as cursor:
        cursor.execute(
            "SELECT name, setting FROM pg_settings WHERE name = ANY(%s)",
            [[*_REQUIRED_ON, *_REQUIRED_TIMEOUTS, "server_version_num"]],
        )
        found = dict(cursor.fetchall())
    for name in _REQUIRED_ON:
        if found.get(name) not in (_DURABLE if name == "synchronous_commit" else ("on",)):
            wrong.append(f"PostgreSQL's {name} is {found.get(name)!r}; an acknowledged movement could be lost.")
    for name in _REQUIRED_TIMEOUTS:
        if found.get(name) in (None, "0"):
            wrong.append(f"PostgreSQL's {name} is not set; a stuck lock would never be given up.")
    if int(found["server_version_num"]) < _OLDEST_VERSION:
        wrong.append("PostgreSQL 17 or newer is needed (the MAINTAIN privilege).")
    return wrong


@register(Tags.database)
def check_durability(
    app_configs: Sequence[AppConfig] | None, databases: Sequence[str] | None, **kwargs: Any
) -> list[CheckMessage]:
    """Run by `manage.py check --database posting` and at the web's and the worker's start."""
    messages: list[CheckMessage] = []
    for alias in databases or ():
        if alias not in _ALIASES:
            continue
        try:
            wrong = unsafe_database_settings(alias)
        except OperationalError as error:
            messages.append(Error(f"{alias}: the database cannot be reached: {error}", id="kernel.E001"))
            break  # the same server stands behind both
        messages += [Error(f"{alias}: {sentence}", id="kernel.E002") for sentence in wrong]
    return messages


def require_durable_database() -> None:
    """
    Called where the web and the worker start: a process that could lose what it acknowledges never begins.

    It leaves no connection behind, for a worker forks after it.

    :raises ImproperlyConfigured: the database is unsafe or cannot be reached; the text says which and why.
    """
    try:
        messages = check_durability(app_configs=None, databases=_ALIASES)
    finally:
        for alias in _ALIASES:
            connection = connections[alias]
            connection.close()
            if isinstance(connection, DatabaseWrapper):
                connection.close_pool()
    if messages:
        raise ImproperlyConfigured(" ".join(message.msg for message in messages))
