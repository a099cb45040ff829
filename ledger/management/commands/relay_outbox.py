"""`manage.py relay_outbox`: publish what the ledger has to tell, until SIGTERM or SIGINT."""

import signal
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from ledger.events import render
from wallet_project.kernel.checks import require_durable_database
from wallet_project.kernel.events.envelope import TOPIC
from wallet_project.kernel.events.producing import Publisher
from wallet_project.kernel.events.pruning import pruning
from wallet_project.kernel.events.relaying import Relay
from wallet_project.kernel.events.republishing import publish_all_again, republishing


class Command(BaseCommand):
    # Those of routes and models are asked by `make check`; no code of pages is loaded for this.
    requires_system_checks = []
    help = (
        "Publish the outbox to Kafka, in order for each wallet. Several may run: they share the work, and take over"
        " from one that ends. SIGTERM and SIGINT hand over in order and exit with 0."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--alive-file", type=Path, help="Touched every few seconds, for a health check.")

    def handle(self, *, alive_file: Path | None, **options: Any) -> None:  # noqa: ARG002  (Django's own)
        require_durable_database()
        relay = Relay(
            # Kept for less time than what says which events were taken in, or an old one would be taken in anew.
            publisher=Publisher(
                settings.KAFKA_BOOTSTRAP_SERVERS, topic=TOPIC, retention_days=settings.OUTBOX_KEEP_DAYS / 2
            ),
            render=render,
            chores=(republishing(settings.REPUBLISH_SECONDS), pruning(settings.OUTBOX_KEEP_DAYS)),
            after_amnesia=publish_all_again,
            alive_file=alive_file,
        )
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: relay.stop())
        relay.run()
