"""`manage.py appoint anil@example.com auditor`: an operator gives somebody who registered a role in the admin."""

from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction
from django.utils import timezone

from accounts import audit
from accounts.addresses import MalformedAddress, any_address
from accounts.queries import owner_of
from accounts.roles import ALL, appoint, appoint_superuser

SUPERUSER: Final = "superuser"


class Command(BaseCommand):
    help = "Give a person who registered and verified a role in the admin. There is no other way to become staff."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("address", help="their verified e-mail or phone")
        parser.add_argument("role", choices=[*ALL, SUPERUSER])

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002
        try:
            user = owner_of(any_address(options["address"]))
        except MalformedAddress as error:
            raise CommandError(str(error)) from error
        if user is None:
            raise CommandError("Nobody has verified that address. Let them register first.")
        with transaction.atomic():
            if options["role"] == SUPERUSER:
                appoint_superuser(user=user)
            else:
                appoint(user=user, group=options["role"])
            # Nobody is signed in at a command line: who may run it is the operating system's to say.
            audit.record("role.given", now=timezone.now(), subject=user, role=options["role"], door="command")
        self.stdout.write(f"{user}: {options['role']}.")
