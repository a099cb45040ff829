"""
squawk over the SQL of every migration of ours: which of them would lock or break a table in use.

What creates a table may do as it likes with that table. A first migration of an app therefore goes by fewer rules
than those that follow it on a running system.
"""

import io
import subprocess
import sys
from pathlib import Path
from typing import Final, NoReturn

import django
from django.apps import apps
from django.core.management import call_command
from django.db.migrations.loader import MigrationLoader

_SQUAWK: Final = Path(sys.executable).with_name("squawk")
_POSTGRESQL: Final = "18"
_APPS: Final = ("kernel", "accounts", "wallets", "ledger", "payments")

# Never asked for, with the reason.
_NOWHERE: Final = {
    "prefer-bigint-over-int": "a counter that is small by nature; every key is a bigint already",
    "prefer-bigint-over-smallint": "a number that is small by nature (decimals, a lane, tries)",
    "prefer-text-field": "a length is a limit, and everything has a limit",
    "prefer-robust-stmts": "IF NOT EXISTS would keep the invalid index that a failed CONCURRENTLY leaves behind",
    "require-statement-timeout": "a migration may take long; what it may not do is wait long for a lock",
}
# Needless for a table that is still empty, with no older code that reads it.
_NOT_BEFORE_FIRST_RELEASE: Final = {
    "adding-required-field": "no row that lacks it",
    "ban-drop-constraint": "nobody assumes it yet",
    "ban-drop-default": "Django gives a new column's default for the rows there are, and takes it away again",
    "ban-drop-not-null": "nobody assumes it yet",
    "changing-column-type": "no rows to write anew",
    "adding-foreign-key-constraint": "no rows to scan, no writer to block",
    "constraint-missing-not-valid": "no rows to scan, no writer to block",
    "disallowed-unique-constraint": "no rows to scan, no writer to block",
    "require-concurrent-index-creation": "no rows to scan, no writer to block",
}
# As the owner's connection has it (settings).
_LOCK_TIMEOUT: Final = "SET lock_timeout = '30s';\n"
# Each app's last migration before the wallet is first run for real, which it was not yet; never raised after that.
_LAST_BEFORE_RELEASE: Final = {"kernel": 2, "accounts": 5, "wallets": 2, "ledger": 2, "payments": 2}


def _number(name: str) -> int:
    return int(name.split("_", 1)[0])


def _sql_of(app: str, name: str) -> str:
    out = io.StringIO()
    call_command("sqlmigrate", app, name, database="owner", stdout=out, no_color=True)
    return _LOCK_TIMEOUT + out.getvalue()


def _complaints(app: str, name: str) -> str:
    excluded = dict(_NOWHERE)
    if _number(name) <= _LAST_BEFORE_RELEASE[app]:
        excluded |= _NOT_BEFORE_FIRST_RELEASE
    done = subprocess.run(  # noqa: S603
        [
            _SQUAWK,
            "--pg-version",
            _POSTGRESQL,
            "--reporter=gcc",
            f"--exclude={','.join(excluded)}",
            f"--stdin-filepath={app}/migrations/{name}.sql",
        ],
        input=_sql_of(app, name),
        capture_output=True,
        text=True,
        check=False,
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr


def main() -> NoReturn:
    django.setup()
    migrations = sorted(key for key in MigrationLoader(None).disk_migrations if key[0] in _APPS)
    absent = [app for app in _APPS if app not in apps.app_configs]
    if absent:
        sys.exit(f"no such app: {', '.join(absent)}")
    complaints = [text for app, name in migrations if (text := _complaints(app, name))]
    print("\n".join(complaints))  # noqa: T201
    sys.exit(1 if complaints else 0)


if __name__ == "__main__":
    main()
