"""Run the payment sandbox."""

import os
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError


class Command(BaseCommand):
    """`python manage.py sandbox`: the stranger who plays the payment gateway, on this machine only."""

    help = "Run the payment sandbox on 127.0.0.1:SANDBOX_PORT until it is stopped. Refused in production."
    # The sandbox has its own state and touches no database of the wallet's.
    requires_system_checks = []

    def handle(self, *_args: Any, **_options: Any) -> None:
        if settings.WALLET_ENV == "production":
            raise CommandError("The sandbox is refused while WALLET_ENV is production.")
        # Imported here so that Flask, which production does not install, is never asked for by it.
        from payments.sandbox.configuration import Configuration, ConfigurationError
        from payments.sandbox.server import CannotStart, serve

        try:
            serve(Configuration.from_environment(os.environ))
        except (ConfigurationError, CannotStart) as error:
            raise CommandError(str(error)) from error
