"""`manage.py consume_events GROUP`: one member of a consumer group, until it is told to stop."""

import signal
import threading
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from payments.consumers import GROUPS
from wallet_project.kernel.events.consuming import Member


class Command(BaseCommand):
    # Those of routes and models are asked by `make check`; no code of pages is loaded for this.
    requires_system_checks = []
    help = (
        "Take in the wallet's events as one member of a consumer group; several may run. On SIGTERM or SIGINT the batch"
        " in hand is finished, its offsets are committed, the group is left, and the command exits 0."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("group", choices=sorted(GROUPS))
        parser.add_argument("--alive-file", type=Path, help="Touched every few seconds, for a health check.")

    def handle(self, *, group: str, alive_file: Path | None, **options: Any) -> None:  # noqa: ARG002  (Django's own)
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        member = Member(
            group=group, handler=GROUPS[group], servers=settings.KAFKA_BOOTSTRAP_SERVERS, alive_file=alive_file
        )
        member.run(stop)
