"""How tests ask `verify_ledger`, and how a superuser tampers: past every trigger and foreign key."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command

MANAGE = Path(__file__).resolve().parents[2] / "manage.py"
TABLES = ["ledger_transaction", "ledger_ledgerentry", "ledger_idempotencykey", "ledger_hold", "wallets_wallet"]


def verify_in_a_process(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """The command as a person types it, on the database that the aliases point at."""
    return subprocess.run(
        [sys.executable, str(MANAGE), "verify_ledger", *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def holds(**options: str) -> str:
    """The command's summary; it fails the test when it finds a lie."""
    printed = StringIO()
    call_command("verify_ledger", stdout=printed, **options)
    return printed.getvalue()


def first_lie() -> str:
    """What the command says when it ends with 1."""
    with pytest.raises(CommandError) as caught:
        call_command("verify_ledger", stdout=StringIO())
    assert caught.value.returncode == 1
    return str(caught.value)


@contextmanager
def tampering(superuser_url: str) -> "Iterator[psycopg.Connection[Any]]":
    """A superuser in one transaction, with the ledger's triggers and foreign keys off; at its end they are on again."""
    with psycopg.connect(superuser_url) as server:
        server.execute("SET LOCAL session_replication_role = replica")
        triggers = server.execute(
            "SELECT format('%%s %%s TRIGGER %%I', tgrelid::regclass, '%%s', tgname) FROM pg_trigger"
            " WHERE tgenabled = 'A' AND tgrelid = ANY(%s::regclass[])",
            [TABLES],
        ).fetchall()
        for (trigger,) in triggers:
            server.execute("ALTER TABLE " + trigger % "DISABLE")
        yield server
        for (trigger,) in triggers:
            server.execute("ALTER TABLE " + trigger % "ENABLE ALWAYS")
