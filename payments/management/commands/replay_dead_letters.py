"""`manage.py replay_dead_letters`: try again what consumer groups could not take in."""

from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from payments.consumers import GROUPS
from payments.replaying import discard_as_operator
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.events.dead_letters import replay_all, waiting


class Command(BaseCommand):
    help = (
        "Have the waiting dead letters taken in by their groups, in order, each in a transaction of its own;"
        " or give one up. Several may run at once. Exits 0 when none of those asked for is left, 1 when some fail."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--group", choices=sorted(GROUPS), help="Only of this group.")
        parser.add_argument("--event", type=UUID, help="Only the one with this id.")
        parser.add_argument("--dry-run", action="store_true", help="List them, and change nothing.")
        parser.add_argument("--discard", action="store_true", help="Give up the one named: it is never taken in.")
        parser.add_argument("--reason", default="Discarded by an operator.", help="Why it is discarded.")

    def handle(
        self, *, group: str | None, event: UUID | None, dry_run: bool, discard: bool, reason: str, **_options: Any
    ) -> None:
        if discard:
            self._discard(group, event, reason, dry_run=dry_run)
            return
        groups = [group] if group else sorted(GROUPS)
        if dry_run:
            self._list(groups, event)
            return
        done = failed = 0
        for name in groups:
            for replay in replay_all(group=name, handler=GROUPS[name], event_id=event):
                if replay.failed:
                    failed += 1
                    self.stdout.write(f"{name} {replay.event_id} still fails: {replay.failed}")
                else:
                    done += 1
                    self.stdout.write(f"{name} {replay.event_id} taken in")
        self.stdout.write(f"{done} taken in, {failed} still failing.")
        left = sum(len(waiting(group=name, event_id=event)) for name in groups)
        if left:
            raise CommandError(f"Dead letters left: {left}.")

    def _discard(self, group: str | None, event: UUID | None, reason: str, *, dry_run: bool) -> None:
        if group is None or event is None:
            raise CommandError("--discard takes one letter: name its --event and its --group.")
        letters = waiting(group=group, event_id=event)
        if dry_run:
            self._list([group], event)
            return
        if not letters:
            raise CommandError("There is no such letter that waits.")
        try:
            discard_as_operator(letter=letters[0], reason=reason, now=timezone.now())
        except Refusal as refusal:
            raise CommandError(refusal.detail) from refusal
        self.stdout.write(f"{group} {event} discarded")

    def _list(self, groups: list[str], event: UUID | None) -> None:
        for name in groups:
            for letter in waiting(group=name, event_id=event):
                self.stdout.write(
                    f"{name} {letter.event_id} partition {letter.partition} offset {letter.offset},"
                    f" {letter.tries} tries, {letter.created_at:%Y-%m-%d %H:%M:%S %Z}: {letter.cause}"
                )
