"""The Celery application: callbacks from the gateway and messages to people."""

import os
import sys
from typing import Any

from celery import Celery
from celery.signals import worker_init
from django.core.exceptions import ImproperlyConfigured

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "wallet_project.settings")

app = Celery("wallet_project")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@worker_init.connect
def require_durable_database(**_: Any) -> None:
    """The worker's start-up check. It leaves by SystemExit, since Celery only logs other exceptions raised here."""
    from wallet_project.kernel import checks  # apps are loaded by now, and were not when this module was

    try:
        checks.require_durable_database()
    except ImproperlyConfigured as error:
        sys.exit(f"wallet worker: {error}")
