"""`manage.py verify_ledger`: prove the ledger, or name the first lie."""

import sys
from typing import Any

import psycopg
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from ledger.verifying.verification import verify

LIE_STATUS = 1
UNABLE_STATUS = 2


class Command(BaseCommand):
    # Those of routes and models are asked by `make check`; no code of pages is loaded for this.
    requires_system_checks = []
    help = (
        "Compute the whole ledger again: sums, chains, hashes, sequences, the entries each status needs, balances."
        " Exits 0 when all holds, 1 naming the first lie, 2 when it could not look."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--database",
            default="default",
            choices=sorted(settings.DATABASES),
            help="Read as this alias's role; `auditor` reads through the auditor's views.",
        )
        parser.add_argument("--no-progress", action="store_true", help="No progress bar, even on a terminal.")

    def handle(self, *, database: str, no_progress: bool, **options: Any) -> None:  # noqa: ARG002  (Django's own)
        def progress(entries: int) -> "tqdm[Any]":
            hidden = no_progress or not sys.stderr.isatty()
            return tqdm(total=entries, unit=" entries", unit_scale=True, disable=hidden, file=sys.stderr, leave=False)

        try:
            verdict = verify(alias=database, progress=progress)
        except psycopg.Error as error:
            raise CommandError(f"The ledger could not be read: {error}".strip(), returncode=UNABLE_STATUS) from error
        if verdict.lie is not None:
            raise CommandError(f"The ledger lies. {verdict.lie}", returncode=LIE_STATUS)
        self.stdout.write(
            f"The ledger holds: {verdict.entries:,} entries, {verdict.transactions:,} transactions,"
            f" {verdict.keys:,} keys, {verdict.wallets:,} wallets, {verdict.currencies:,} currencies"
            f" in {verdict.seconds:.1f} s ({verdict.entries_per_second:,.0f} entries/s)."
        )
