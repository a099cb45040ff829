"""The WSGI door: `granian --interface wsgi wallet_project.wsgi:application`."""

import os

from django.core.wsgi import get_wsgi_application

from wallet_project.kernel.checks import require_durable_database

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "wallet_project.settings")

application = get_wsgi_application()
require_durable_database()
