"""`manage.py export_entries > entries.csv`: the auditor's export without a browser."""

from typing import Any

import psycopg
from django.core.management.base import BaseCommand, CommandError

from ledger.exports import entries_as_csv


class Command(BaseCommand):
    help = "Write every entry of the ledger to standard output as CSV, read in one snapshot as the auditor."

    def handle(self, **options: Any) -> None:  # noqa: ARG002  (Django's own)
        try:
            for piece in entries_as_csv():
                self.stdout.write(piece, ending="")
        except psycopg.Error as error:
            raise CommandError(f"The ledger could not be read: {error}".strip(), returncode=2) from error
