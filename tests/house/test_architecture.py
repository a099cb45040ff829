"""The rules that keep the house livable, each looked up in the source itself."""

import ast
import re
from collections.abc import Iterator
from typing import Final

import pytest
from django.apps import apps
from django.conf import settings
from django.db import models

from tests.house.sources import (
    ROOMS,
    chain_of,
    files,
    functions_of,
    imports_of,
    production_modules,
    strings_of,
    text_of,
    tree_of,
)

STORE: Final = "ledger/store.py"
# They walk a list on copies of their own; what comes of it is written by the store.
IN_MEMORY: Final = {"ledger/judging.py", "ledger/posting.py", "ledger/walk.py"}
MONEY_COLUMNS: Final = {"balance", "held", "entry_count", "head", "moved_at"}
MONEY_WRITING_SQL: Final = re.compile(
    r"\b(INSERT\s+INTO|UPDATE|DELETE\s+FROM|TRUNCATE|MERGE\s+INTO|COPY)\s+(ONLY\s+)?\"?"
    r"(wallets_wallet|ledger_transaction|ledger_ledgerentry|ledger_idempotencykey)\b",
    re.IGNORECASE,
)
WRITING: Final = {
    "create", "bulk_create", "get_or_create", "update", "bulk_update", "update_or_create", "delete", "save",
    "acreate", "aupdate", "adelete", "asave",
}  # fmt: skip
# Modules by these names are doors; every other module of a room holds deeds, queries or structure.
DOORS: Final = (
    "api", "serializers", "views", "forms", "admin", "tasks", "urls", "page_urls", "apps",
    "authentication", "backends", "signed_in", "callbacks", "page_sessions", "device_cookies", "site_admin",
    "form_refusals",
    "staff_factor", "admin_app",
)  # fmt: skip
# Every row lock of the house, and what puts it in order.
ROW_LOCKS: Final = {
    ("ledger/store.py", "_wallet_statement"): "order_by, by primary key",
    ("accounts/verification.py", "verify"): "order_by, by primary key",
    ("accounts/verification.py", "resend"): "order_by, by primary key",
    ("accounts/purging.py", "purge"): "order_by, and what is in use is skipped",
    ("accounts/tries.py", "hold"): "one row, by its unique key",
    ("accounts/sending.py", "_claim"): "one row, and what is in use is skipped",
    ("accounts/push.py", "subscribe"): "one row, by its primary key, before any of their browsers",
    ("accounts/lost_factors.py", "decide"): "one row, by its primary key",
    ("accounts/blocking.py", "_change"): "one row, by its primary key",
    ("accounts/factor_changes.py", "lock_person"): "one row, by its primary key, before any of their factors",
    ("accounts/sessions.py", "_lock_as_judged"): "one row, by its primary key, before any of their sessions",
    ("accounts/totp.py", "confirm"): "one person's, whose own row is locked first",
    ("accounts/second_factor.py", "judge_totp"): "one row, by its unique key, after the person's counter",
    ("accounts/password_change.py", "change_password"): "one row, by its primary key",
    ("accounts/password_reset.py", "reset_password"): "one row, by its primary key, after the address's counter",
    ("accounts/password_reset.py", "reset_password_by_link"): "one row, by its primary key, after the counter",
    ("accounts/password_reset.py", "_replace"): "order_by, by primary key, after their person's row",
    ("accounts/address_changes.py", "_begin"): "one row, by its primary key, after the person's counter",
    ("accounts/address_changes.py", "_count_try"): "one row, by its unique key, after the person's counter",
    ("accounts/address_changes.py", "_complete"): "order_by, by primary key; then one row, by its primary key",
    ("accounts/address_undo.py", "undo"): "one row, by its primary key",
    ("wallets/freezing.py", "_change"): "one row, by its primary key",
    ("accounts/kyc.py", "submit"): "one row, by its primary key",
    ("accounts/kyc.py", "_decide"): "one row, by its primary key",
    ("accounts/kyc.py", "take_back"): "one row, by its primary key",
    ("wallet_project/kernel/events/dead_letters.py", "_locked"): "one row, by its primary key",
    ("payments/own_limits.py", "set_own_limits"): "one row, by its primary key",
    ("payments/proposals.py", "decide"): "one row, by its primary key",
    ("payments/proposals.py", "_carry_out_within"): "one row, by its primary key",
    ("payments/step_ups.py", "challenge"): "one row, by its primary key",
    ("payments/step_ups.py", "_judge"): "one row, by its unique key, after the person's counter",
    ("payments/spending.py", "hold_other_wallets"): "order_by, by primary key",
    ("payments/bank_accounts.py", "add_bank_account"): "one row, by its primary key",
    ("payments/closing.py", "_locked"): "order_by, by primary key, after their owner",
    ("payments/personal_data.py", "_count"): "one row, by its primary key",
    ("payments/person_blocks.py", "_block"): "one row, by its primary key",
    ("payments/money_back.py", "_make"): "one row, by its primary key",
    ("payments/not_me.py", "stop"): "one row, by its primary key, before their wallets",
    ("wallets/freezing.py", "freeze_own"): "order_by, by primary key, after their owner",
    ("payments/merchant_webhooks/endpoints.py", "_lock_wallet"): "one row, by its primary key",
    ("payments/merchant_webhooks/endpoints.py", "_locked"): "one row, by its primary key",
    ("payments/merchant_webhooks/endpoints.py", "remove_endpoints"): "order_by, by primary key, after their wallets",
    ("payments/merchant_webhooks/log.py", "_locked_to_send"): "one row, by its primary key",
    ("payments/merchant_webhooks/log.py", "redeliver"): "one row, by its primary key, after its endpoint",
    ("payments/merchant_webhooks/log.py", "purge"): "order_by, by primary key; those that somebody holds are left out",
    ("payments/merchant_webhooks/sending.py", "claim"): "one row, by its primary key; then one, after its endpoint",
    ("payments/merchant_webhooks/sending.py", "note"): "one row, by its primary key, after its endpoint",
    ("payments/withdrawals.py", "_open_payout"): "one row, by its primary key, after the wallets",
}
# About four hundred: who needs a few more is told when it becomes many.
LONGEST_FILE_LINES: Final = 450
LONGEST_FUNCTION_LINES: Final = 60
LONGER_FILES: Final = {
    "payments/migrations/0004_money_in_and_out.py": "eight tables as Django writes them down, in one step",
    "accounts/migrations/0003_factors_changes_and_audit.py": "a dozen tables as Django writes them down, in one step",
}
FORBIDDEN_NAMES: Final = {"utils", "helpers", "common", "services", "misc", "signals"}
NEAR_MONEY: Final = ("wallets", "ledger", "payments")


def money_rows_written_by(path: str) -> Iterator[str]:
    """Every place in a module that writes a balance, a held sum, an entry or the status of money."""
    for text in strings_of(path):
        found = MONEY_WRITING_SQL.search(text)
        if found:
            yield f"{path}: SQL: {found.group()}"
    for node in ast.walk(tree_of(path)):
        targets: list[ast.expr] = []
        if isinstance(node, ast.Assign):
            targets = node.targets
        elif isinstance(node, ast.AugAssign):
            targets = [node.target]
        for target in targets:
            if isinstance(target, ast.Attribute) and target.attr in {"balance", "held"} and path not in IN_MEMORY:
                yield f"{path}:{target.lineno}: assigns .{target.attr}"
        if not isinstance(node, ast.Call):
            continue
        chain = chain_of(node.func)
        if not chain or chain[-1] not in WRITING:
            if chain in (["LedgerEntry"], ["Transaction"]):
                yield f"{path}:{node.lineno}: makes a {chain[0]}"
            continue
        if chain[0] in {"LedgerEntry", "Transaction"}:
            yield f"{path}:{node.lineno}: {'.'.join(chain)}"
        named = {keyword.arg for keyword in node.keywords} & MONEY_COLUMNS
        if named:
            yield f"{path}:{node.lineno}: {chain[-1]}({', '.join(sorted(filter(None, named)))}=…)"


def test_only_the_store_writes_balances_and_entries() -> None:
    """A search for writes to `balance` finds one place: what the posting kernel runs."""
    written = {path: list(money_rows_written_by(path)) for path in production_modules()}

    assert written.pop(STORE), "the rule finds nothing in the one place that writes, so it finds nothing at all"
    assert [place for places in written.values() for place in places] == []


def row_locks() -> Iterator[tuple[str, str, ast.expr]]:
    """(path, function, outermost expression) of each `select_for_update`."""
    for path in production_modules():
        for name, function in functions_of(path):
            for statement in ast.walk(function):
                if isinstance(statement, ast.Call) and chain_of(statement.func)[-1:] == ["select_for_update"]:
                    yield path, name.rsplit(".", 1)[-1], statement


def test_row_locks_stand_in_a_handful_of_places() -> None:
    found = {(path, function) for path, function, _ in row_locks()}

    assert found == set(ROW_LOCKS)


def test_every_row_lock_of_several_rows_is_ordered() -> None:
    unordered = [
        f"{path}: {function}"
        for path, function, _ in row_locks()
        if ROW_LOCKS[path, function].startswith("order_by")
        and not any("order_by(" in ast.unparse(node) for name, node in functions_of(path) if name == function)
    ]

    assert unordered == []


def test_no_row_lock_is_taken_in_passing_by_raw_sql() -> None:
    """`FOR UPDATE` in a string would escape the list above."""
    found = [
        path
        for path in production_modules()
        if any(re.search(r"\bFOR\s+(NO\s+KEY\s+)?(UPDATE|SHARE)\b", text) for text in strings_of(path))
    ]

    assert found == []


@pytest.mark.parametrize("model", [model for room in ROOMS for model in apps.get_app_config(room).get_models()])
def test_no_model_orders_its_rows_by_default(model: type[models.Model]) -> None:
    assert list(model._meta.ordering) == []


@pytest.mark.parametrize("room", NEAR_MONEY)
def test_nothing_near_money_goes_when_something_else_goes(room: str) -> None:
    cascading = [
        f"{model.__name__}.{field.name}"
        for model in apps.get_app_config(room).get_models()
        for field in model._meta.get_fields()
        if isinstance(field, models.ForeignKey) and field.remote_field.on_delete is not models.PROTECT
    ]

    assert cascading == []


def test_no_request_is_wrapped_in_a_transaction() -> None:
    assert [alias for alias, database in settings.DATABASES.items() if database.get("ATOMIC_REQUESTS")] == []


def test_there_are_no_signals() -> None:
    """Celery's `worker_init`, by which the worker checks its database, is not one of Django's."""
    users = [
        path
        for path in production_modules()
        if any(name.startswith(("django.dispatch", "django.db.models.signals")) for name in imports_of(path))
        or any(name.endswith(".signals") and not name.startswith("celery") for name in imports_of(path))
    ]

    assert users == []


def test_only_doors_know_http() -> None:
    """Deeds import nothing of `django.http` and its like; the import contract says the same of REST and Celery."""
    web = ("django.http", "django.views", "django.shortcuts", "django.contrib.messages", "django.urls")
    found = [
        f"{path}: {name}"
        for path in production_modules()
        if path.split("/")[0] in ROOMS and not is_door(path)
        for name in imports_of(path)
        if name.startswith(web)
    ]

    assert found == []


def is_door(path: str) -> bool:
    stem = path.rsplit("/", 1)[-1].removesuffix(".py")
    inside = ("/management/", "/templatetags/", "/admin/")
    return stem in DOORS or stem.endswith(("_views", "_api", "_admin")) or any(folder in path for folder in inside)


def test_deeds_take_no_positional_arguments() -> None:
    """A public function of a module that is no door and no query is called with names."""
    loose = [
        f"{path}: {name}"
        for path in production_modules()
        if path.split("/")[0] in {"accounts", "payments"}
        and not is_door(path)
        and path.rsplit("/", 1)[-1].removesuffix(".py") in {"registration", "verification", "sign_in", "blocking",
            "transfers", "merchant_payments", "topups", "webhooks", "bank_accounts", "withdrawals",
            "payouts", "payout_outcomes"}
        for name, function in functions_of(path)
        if "." not in name and not name.startswith("_") and (function.args.args or function.args.posonlyargs)
    ]  # fmt: skip

    assert loose == []


@pytest.mark.parametrize("path", [path for path in files(".html") if not path.startswith("payments/sandbox/")])
def test_templates_trust_nobodys_text_and_carry_no_code(path: str) -> None:
    text = text_of(path)

    assert not re.search(r"\|\s*safe\b|{%\s*autoescape\s+off", text), "text is put out unescaped"
    inline = r"<script(?![^>]*\b(?:src|nonce)=)|<style\b|\sstyle=|\son[a-z]+=|javascript:"
    if path.startswith("templates/accounts/mail/"):
        # No page of ours, so no such policy: programs for mail know styles only where they stand, and run nothing.
        inline = r"<script\b|<style\b|<img\b|\ssrc=|url\(|\son[a-z]+=|javascript:"
    assert not re.search(inline, text, re.IGNORECASE), (
        "a script or a style stands inline, and the content security policy would refuse it"
    )
    assert not re.search(r"(src|href)=[\"'](https?:)?//", text), "something is loaded from another site"


@pytest.mark.parametrize("name", ["mark_safe", "SafeString", "csrf_exempt"])
def test_what_disarms_django_stands_only_where_it_is_listed(name: str) -> None:
    listed = {
        "mark_safe": set(),
        "SafeString": set(),
        # The gateway posts its callback from another site, and nothing but its signature is trusted; health and
        # metrics take no POST at all, and say so rather than ask for a form's token.
        "csrf_exempt": {"payments/callbacks.py", "wallet_project/health.py", "wallet_project/metrics.py"},
    }[name]
    found = {path for path in production_modules() if any(part.endswith(f".{name}") for part in imports_of(path))}

    assert found == listed


def test_no_file_is_too_long() -> None:
    long = {
        path
        for path in files(".py", ".html", ".css", ".md", ".sql")
        if len(text_of(path).splitlines()) > LONGEST_FILE_LINES
    }

    assert long == set(LONGER_FILES)


def test_every_function_fits_a_screen() -> None:
    long = [
        f"{path}: {node.name}"
        for path in production_modules()
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.FunctionDef) and (node.end_lineno or 0) - node.lineno >= LONGEST_FUNCTION_LINES
    ]

    assert long == []


def test_no_drawer_for_odds_and_ends() -> None:
    drawers = [path for path in files(".py") if FORBIDDEN_NAMES & set(path.removesuffix(".py").split("/"))]

    assert drawers == []


def test_nothing_reads_the_environment_but_settings() -> None:
    """A setting is read in one place."""
    readers = {
        path
        for path in production_modules()
        if path not in {"wallet_project/settings.py"}
        and re.search(
            r"\bos\.(environ(?!\.setdefault\(\"DJANGO_SETTINGS_MODULE\")|getenv)|\benviron\.Env\(", text_of(path)
        )
    }
    # The sandbox is a stranger with settings of its own, which this command hands over.
    assert readers <= {"payments/management/commands/sandbox.py"}


def test_floats_never_meet_money() -> None:
    """`float(` stands nowhere in a room that knows amounts."""
    found = [
        f"{path}:{node.lineno}"
        for path in production_modules()
        if path.split("/")[0] in {"wallets", "ledger", "payments"}
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call) and chain_of(node.func) == ["float"]
    ]

    assert found == []
