"""`python -m wallet_project.local.prepare`: migrates as the owner, then seeds the demo people if there is a demo."""

import os

import django
from django.conf import settings
from django.core.management import call_command


def main() -> None:
    """Both in one process: Django's start is the longest part of it."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "wallet_project.settings")
    django.setup()
    call_command("migrate", database="owner", interactive=False, verbosity=1)
    if settings.WALLET_DEMO:
        call_command("seed_demo")


if __name__ == "__main__":
    main()
