"""`manage.py reseal`: after a new key was put first in DATA_KEYS, seal everything under it."""

from typing import Any

from django.core.management.base import BaseCommand

from accounts.kyc_records import reseal_submissions
from accounts.totp import reseal_secrets
from payments.bank_accounts import reseal_numbers
from payments.event_bodies import reseal_bodies
from payments.merchant_webhooks.signing import reseal_webhook_secrets


class Command(BaseCommand):
    help = "Encrypt what is sealed under the first key of DATA_KEYS, so that the keys after it may go."

    def handle(self, *_args: Any, **_options: Any) -> None:
        changed = reseal_numbers() + reseal_secrets() + reseal_submissions() + reseal_bodies()
        changed += reseal_webhook_secrets()
        self.stdout.write(f"sealed anew: {changed}")
