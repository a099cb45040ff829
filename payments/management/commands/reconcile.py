"""`manage.py reconcile`: hold a day's ledger against the gateway's books."""

from datetime import date
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from payments.gateways import DEFAULT, UnknownGateway, gateway_named
from payments.reconciling.reconciliation import FutureDay, Line, Verdict, reconcile
from wallet_project.kernel.errors import GatewayError
from wallet_project.kernel.money import Money

DIFFERENT_STATUS: Final = 1
UNABLE_STATUS: Final = 2
MOST_SHOWN: Final = 50


class Command(BaseCommand):
    help = (
        "Compare the ledger with the gateway's payments, refunds, payouts, disputes and settlements of one day."
        " Each difference becomes a case. Exits 0 when there is none, 1 when there is, 2 when the gateway did not"
        " answer to the end."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--date", required=True, help="YYYY-MM-DD, a day of the wallet's time zone.")
        parser.add_argument("--gateway", default=DEFAULT)

    def handle(self, *, date: str, gateway: str, **options: Any) -> None:  # noqa: ARG002  (Django's own)
        day = _day(date)
        try:
            gateway_named(gateway)
        except UnknownGateway as error:
            raise CommandError(str(error), returncode=UNABLE_STATUS) from error
        try:
            verdict = reconcile(gateway=gateway, date=day, now=timezone.now())
        except GatewayError as error:
            raise CommandError(
                f"No verdict: the gateway stopped answering. {error}", returncode=UNABLE_STATUS
            ) from error
        except FutureDay as error:
            raise CommandError(str(error), returncode=UNABLE_STATUS) from error
        self._show(gateway, day, verdict)
        if verdict.count:
            raise CommandError(f"{_counted(verdict.count, 'difference')}, each a case.", returncode=DIFFERENT_STATUS)
        self.stdout.write("0 differences.")

    def _show(self, gateway: str, day: date, verdict: Verdict) -> None:
        zone = timezone.get_default_timezone_name()
        self.stdout.write(f"{gateway}, {day} ({zone})\n\n")
        self.stdout.write(f"{'':22} {'here':>24} {'at the gateway':>24}")
        for line in verdict.lines:
            self.stdout.write(_row(line))
        self.stdout.write("")
        for what, count in sorted(verdict.in_flight.items()):
            self.stdout.write(f"{what}: {count} on the way, known to one side so far and counted on neither.")
        for what in verdict.not_offered:
            self.stdout.write(f"{what}: this gateway has none.")
        for difference in verdict.differences[:MOST_SHOWN]:
            self.stdout.write(f"{difference.kind}: {difference.reason}\n    {difference.suggestion}")
        if verdict.count > MOST_SHOWN:
            self.stdout.write(f"… and {verdict.count - MOST_SHOWN} more.")
        if verdict.closed:
            self.stdout.write(f"{_counted(verdict.closed, 'earlier case')} closed: they do not differ any more.")


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise CommandError("--date must be a day, as YYYY-MM-DD.", returncode=UNABLE_STATUS) from None


def _row(line: Line) -> str:
    total = line.total
    here = _side(total.here_count, total.here_minor, line.currency)
    there = _side(total.there_count, total.there_minor, line.currency)
    return f"{line.label:22} {here:>24} {there:>24}  {'equal' if total.is_equal else 'DIFFERENT'}"


def _side(count: int, minor: int, currency: str) -> str:
    return f"{count:,} · {Money.from_minor(minor, currency).spelled}"


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
