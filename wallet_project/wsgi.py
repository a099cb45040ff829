"""The WSGI door: `granian --interface wsgi wallet_project.wsgi:application`."""

import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application

from wallet_project.kernel.checks import require_durable_database
from wallet_project.kernel.chunked import WithLength

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "wallet_project.settings")

application = WithLength(
    get_wsgi_application(),
    most_kept_bytes=settings.DATA_UPLOAD_MAX_MEMORY_SIZE,
    larger=settings.LARGER_BODIES,
)
require_durable_database()
