"""
Settings, read from the environment once and strictly.

A missing or malformed value stops start-up with its name. `WALLET_ENV=production` is the
default; `local` is the same settings plus plain HTTP, the demo and the inbox.
"""

import gc
import logging
import os
import sys
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlsplit

import environs
from django.core.exceptions import ImproperlyConfigured
from marshmallow.validate import Range
from psycopg import IsolationLevel

from wallet_project.kernel import browser_policy, logs, mail_urls
from wallet_project.kernel.environment import checkouts_of, env, gateway_variables, key_bytes
from wallet_project.kernel.rate_limits import LOCAL, PRODUCTION
from wallet_project.schedule import beat_schedule

# What is loaded from here on stays as long as the process. Looking through it for garbage, again and again, would be a
# tenth of every start; `KernelConfig.ready` begins to look once all is loaded.
gc.disable()

BASE_DIR = Path(__file__).resolve().parent.parent


def _signing_keys(pairs: list[str]) -> dict[str, bytes]:
    """`kid:seed` pairs; the first signs, all verify."""
    keys: dict[str, bytes] = {}
    for pair in pairs:
        kid, _, seed = pair.partition(":")
        if not kid or kid in keys:
            raise ImproperlyConfigured("TOKEN_SIGNING_KEYS: each key needs a kid of its own (kid:seed).")
        try:
            keys[kid] = key_bytes(seed)
        except environs.EnvError as error:
            # Not even the kid is shown: without its colon a whole secret would stand in its place.
            raise ImproperlyConfigured(f"TOKEN_SIGNING_KEYS: the seed of key {len(keys) + 1} {error}.") from error
    return keys


def _data_keys(texts: list[str]) -> list[bytes]:
    """The first encrypts, all decrypt."""
    keys: list[bytes] = []
    for text in texts:
        try:
            keys.append(key_bytes(text))
        except environs.EnvError as error:
            raise ImproperlyConfigured(f"DATA_KEYS: key {len(keys) + 1} {error}.") from error
    if len(set(keys)) < len(keys):
        raise ImproperlyConfigured("DATA_KEYS: the same key stands there twice.")
    return keys


try:
    WALLET_ENV = env.str("WALLET_ENV", default="production")
    WALLET_DEMO = env.bool("WALLET_DEMO", default=False)
    SECRET_KEY = env.str("SECRET_KEY")
    ALLOWED_HOSTS: list[str] = env.texts("ALLOWED_HOSTS")
    PUBLIC_URL: str = env.web_address("PUBLIC_URL")
    _application_database = env.database("DATABASE_URL")
    _owner_database = env.database("DATABASE_OWNER_URL") if env.str("DATABASE_OWNER_URL", default="") else None
    _auditor_database = env.database("DATABASE_AUDITOR_URL")
    REDIS_URL: str = env.redis_address("REDIS_URL")
    KAFKA_BOOTSTRAP_SERVERS: str = env.text("KAFKA_BOOTSTRAP_SERVERS")
    TOKEN_SIGNING_KEYS = _signing_keys(env.texts("TOKEN_SIGNING_KEYS"))
    CODE_PEPPER = env.key_bytes("CODE_PEPPER")
    DATA_KEYS = _data_keys(env.texts("DATA_KEYS"))
    DATA_INDEX_KEY = env.key_bytes("DATA_INDEX_KEY")
    DEFAULT_GATEWAY: str = env.gateway("WALLET_GATEWAY", default="razorpay")
    RAZORPAY_API_URL: str = env.gateway_address("RAZORPAY_API_URL", default="https://api.razorpay.com/v1")
    RAZORPAY_CHECKOUT_URL: str = env.gateway_address("RAZORPAY_CHECKOUT_URL")
    RAZORPAY_KEY_ID: str = env.text("RAZORPAY_KEY_ID")
    RAZORPAY_KEY_SECRET: str = env.text("RAZORPAY_KEY_SECRET")
    RAZORPAY_WEBHOOK_SECRETS: list[str] = env.texts("RAZORPAY_WEBHOOK_SECRETS")
    # Without it nothing is paid out. The sandbox takes any; the real one knows its own.
    RAZORPAYX_ACCOUNT_NUMBER: str = env.account_number(
        "RAZORPAYX_ACCOUNT_NUMBER", default="2323230000000001" if WALLET_ENV == "local" else ""
    )
    EMAIL_URL: str = env.text("EMAIL_URL")
    DEFAULT_FROM_EMAIL = env.str("EMAIL_FROM", default="Wallet <no-reply@localhost>")
    SMS_URL = env.str("SMS_URL", default="")
    # Without it no browser is woken. Its public half is in every subscription: a new one ends them all.
    VAPID_PRIVATE_KEY: bytes = env.key_bytes("VAPID_PRIVATE_KEY") if env.str("VAPID_PRIVATE_KEY", default="") else b""
    # Whose push services may be asked. A browser says where it is reached; with a dot first, every host below.
    PUSH_SERVICES: list[str] = env.texts(
        "WALLET_PUSH_SERVICES",
        default="fcm.googleapis.com,jmt17.google.com,.push.services.mozilla.com,.push.apple.com,.notify.windows.com",
    )
    TIME_ZONE: str = env.time_zone("WALLET_TIME_ZONE", default="Asia/Kolkata")
    # How many proxies of ours stand before the web processes; each adds to X-Forwarded-For, which else is not believed.
    TRUSTED_PROXIES = env.int("WALLET_TRUSTED_PROXIES", default=0, validate=Range(0, 5))
    # Requests in so many seconds; what is not named stays as kernel/rate_limits.py has it.
    RATE_LIMITS = {
        **(LOCAL if WALLET_ENV == "local" else PRODUCTION),
        **env.rate_limits("WALLET_RATE_LIMITS", default=""),
    }
    # Staff must show a second factor. Off only for the local demo, whose people carry none.
    STAFF_NEED_FACTOR = env.bool("WALLET_STAFF_NEED_FACTOR", default=not WALLET_DEMO)
    PASSWORD_HASH_KIB = env.int("WALLET_PASSWORD_HASH_KIB", default=102_400, validate=Range(min=64))
    STEP_UP_FROM = env.decimal("WALLET_STEP_UP_FROM", default=Decimal(5000), validate=Range(min=0))
    STEP_UP_FROM_NEW_PAYEE = env.decimal("WALLET_STEP_UP_FROM_NEW_PAYEE", default=Decimal(2000), validate=Range(min=0))
    STEP_UP_PAST_A_DAY = env.decimal("WALLET_STEP_UP_PAST_A_DAY", default=Decimal(5000), validate=Range(min=0))
    STEP_UP_FIRST_WITHDRAWAL = env.bool("WALLET_STEP_UP_FIRST_WITHDRAWAL", default=True)
    # Messages with a code for a payment, for each person.
    STEP_UP_MESSAGES_AN_HOUR = env.int(
        "WALLET_STEP_UP_MESSAGES_AN_HOUR", default=1000 if WALLET_ENV == "local" else 30, validate=Range(min=1)
    )
    # Between the second yes of support and the taking away of a second factor that is lost.
    LOST_FACTOR_WAIT_HOURS = env.int("WALLET_LOST_FACTOR_WAIT_HOURS", default=24, validate=Range(1, 720))
    # A second factor added to an account older than that proves payments and changes of address only so much later.
    FACTOR_SETTLES_HOURS = env.int("WALLET_FACTOR_SETTLES_HOURS", default=24, validate=Range(0, 720))
    # After a change of address the old one can undo it so long, and payments from such a sum a day ask support.
    ADDRESS_UNDO_HOURS = env.int("WALLET_ADDRESS_UNDO_HOURS", default=72, validate=Range(1, 720))
    ASK_SUPPORT_FROM = env.decimal("WALLET_ASK_SUPPORT_FROM", default=Decimal(5000), validate=Range(min=0))
    # How long higher limits of a person's own wait before they hold.
    OWN_LIMIT_RAISE_HOURS = env.int("WALLET_OWN_LIMIT_RAISE_HOURS", default=24, validate=Range(1, 720))
    LARGEST_MOVEMENT = env.decimal(
        "WALLET_LARGEST_MOVEMENT", default=Decimal(10_000_000_000), validate=Range(min=0, min_inclusive=False)
    )
    SYSTEM_WALLET_SHARDS = env.int("WALLET_SYSTEM_SHARDS", default=8, validate=Range(1, 64))
    POSTING_WAIT_SECONDS = env.float("WALLET_POSTING_WAIT_SECONDS", default=5.0, validate=Range(0.1, 60))
    # No longer than these: leases and claims are made for the most that a few such waits can take.
    GATEWAY_CONNECT_TIMEOUT_SECONDS = env.float(
        "WALLET_GATEWAY_CONNECT_TIMEOUT_SECONDS", default=3.0, validate=Range(0.1, 3)
    )
    GATEWAY_READ_TIMEOUT_SECONDS = env.float(
        "WALLET_GATEWAY_READ_TIMEOUT_SECONDS", default=10.0, validate=Range(0.1, 10)
    )
    ASK_AFTER_SECONDS = env.float("WALLET_ASK_AFTER_SECONDS", default=75.0, validate=Range(1, 3600))
    STOP_WAITING_SECONDS = env.int("WALLET_STOP_WAITING_SECONDS", default=36 * 3600, validate=Range(min=1))
    # Whether people may take their own top-ups back to where they came from, without asking support.
    REFUNDS_BY_PERSON = env.bool("WALLET_REFUNDS_BY_PERSON", default=False)
    # For each person. Of those that are added a day, for each new one costs a rupee, sent to see whether it is there.
    MOST_BANK_ACCOUNTS = env.int("WALLET_MOST_BANK_ACCOUNTS", default=10, validate=Range(1, 100))
    MOST_BANK_ACCOUNTS_A_DAY = env.int("WALLET_MOST_BANK_ACCOUNTS_A_DAY", default=20, validate=Range(min=1))
    # Whether merchants' webhooks and browsers' push may lead to this machine: for receivers of the demo and the tests.
    WEBHOOK_LOOPBACK = env.bool("WALLET_WEBHOOK_LOOPBACK", default=WALLET_DEMO)
    # For each merchant.
    MOST_WEBHOOK_ENDPOINTS = env.int("WALLET_MOST_WEBHOOK_ENDPOINTS", default=5, validate=Range(1, 20))
    ADD_ORDER_LIFETIME_SECONDS = env.int("WALLET_ORDER_LIFETIME_SECONDS", default=1800, validate=Range(min=1))
    # What some consumer group has not recorded so long after it was published is published again.
    REPUBLISH_SECONDS = env.float("WALLET_REPUBLISH_SECONDS", default=60.0, validate=Range(0.1, 3600))
    # How long an event's row is kept after every consumer group has recorded it.
    OUTBOX_KEEP_DAYS = env.int("WALLET_OUTBOX_KEEP_DAYS", default=7, validate=Range(1, 365))
    # Whoever reads /metrics shows it; while it is empty there is no such page.
    METRICS_TOKEN = env.str("METRICS_TOKEN", default="")
except environs.EnvError as error:
    raise ImproperlyConfigured(f"Settings: {error}") from error

if WALLET_ENV not in ("production", "local"):
    raise ImproperlyConfigured("WALLET_ENV must be 'production' or 'local'.")
IS_LOCAL = WALLET_ENV == "local"
if WALLET_DEMO and not IS_LOCAL:
    raise ImproperlyConfigured("WALLET_DEMO is refused while WALLET_ENV is production.")
if not IS_LOCAL and not STAFF_NEED_FACTOR:
    raise ImproperlyConfigured("WALLET_STAFF_NEED_FACTOR=false is refused while WALLET_ENV is production.")
if not IS_LOCAL and WEBHOOK_LOOPBACK:
    raise ImproperlyConfigured("WALLET_WEBHOOK_LOOPBACK is refused while WALLET_ENV is production.")
# The least that OWASP's cheat sheet for storing passwords asks of Argon2id.
if not IS_LOCAL and PASSWORD_HASH_KIB < 19 * 1024:
    raise ImproperlyConfigured("WALLET_PASSWORD_HASH_KIB must be 19456 or more while WALLET_ENV is production.")
if not IS_LOCAL and (EMAIL_URL.startswith("inbox:") or SMS_URL.startswith("inbox:")):
    raise ImproperlyConfigured("EMAIL_URL and SMS_URL: the inbox is refused while WALLET_ENV is production.")
if not IS_LOCAL and not PUBLIC_URL.startswith("https://"):
    raise ImproperlyConfigured("PUBLIC_URL must begin with https:// while WALLET_ENV is production.")
if METRICS_TOKEN and len(METRICS_TOKEN) < 32:
    raise ImproperlyConfigured("METRICS_TOKEN must be empty or at least 32 characters long.")
if len(SECRET_KEY) < 50:
    raise ImproperlyConfigured("SECRET_KEY must be at least 50 characters long.")

# Any other gateway's own variables begin with its name; it reads them itself, strictly, before its first use.
GATEWAY_VARIABLES = gateway_variables(os.environ)

DEBUG = False
ROOT_URLCONF = "wallet_project.urls"
WSGI_APPLICATION = "wallet_project.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_USER_MODEL = "accounts.User"
USE_TZ = True
LANGUAGE_CODE = "en"

INSTALLED_APPS = [
    "accounts.admin_app.WalletAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_htmx",
    "django_otp",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "wallet_project.kernel",
    "accounts",
    "wallets",
    "ledger",
    "payments",
]

MIDDLEWARE = [
    "wallet_project.kernel.middleware.RequestContextMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_permissions_policy.PermissionsPolicyMiddleware",
    "wallet_project.kernel.page_headers.PageHeadersMiddleware",
    "wallet_project.kernel.middleware.ProblemMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "accounts.page_sessions.PageAuthenticationMiddleware",
    "wallet_project.kernel.page_limits.RateLimitMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "accounts.notification_views.bell",
            ]
        },
    }
]

# One database behind four doors. `posting` moves money and nothing else: REPEATABLE READ from its
# BEGIN, and a pool of exactly one connection for the whole process. `owner` migrates, `auditor` reads.
_DATABASE_DEFAULTS: dict[str, object] = {"CONN_MAX_AGE": 0, "CONN_HEALTH_CHECKS": True}
_TIMEOUTS = "-c lock_timeout=3s -c statement_timeout=30s -c idle_in_transaction_session_timeout=30s"
# A posting only ever looks rows up by their keys. With generic plans the planner does not know how short its
# arrays are, and would scan whole tables; once planned, each statement keeps its plan.
_POINT_LOOKUPS = (
    "-c plan_cache_mode=force_generic_plan -c jit=off"
    " -c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off"
)
DATABASES = {
    "default": {
        **_application_database,
        **_DATABASE_DEFAULTS,
        "OPTIONS": {
            "options": _TIMEOUTS,
            "pool": {"min_size": 1, "max_size": 12, "timeout": 5.0, "max_idle": 300.0},
        },
    },
    "posting": {
        **_application_database,
        **_DATABASE_DEFAULTS,
        # `post` itself re-runs on a connection that turns out to be dead, so it need not ask first.
        "CONN_HEALTH_CHECKS": False,
        "OPTIONS": {
            "options": f"{_TIMEOUTS} {_POINT_LOOKUPS}",
            "isolation_level": IsolationLevel.REPEATABLE_READ,
            "pool": {"min_size": 0, "max_size": 1, "timeout": POSTING_WAIT_SECONDS, "max_idle": 600.0},
            "prepare_threshold": 1,
        },
    },
    "auditor": {
        **_auditor_database,
        **_DATABASE_DEFAULTS,
        "OPTIONS": {"options": "-c default_transaction_read_only=on -c idle_in_transaction_session_timeout=10min"},
    },
}
# Only where migrations run. Whoever serves requests has no way to become the role that could drop a trigger.
if _owner_database is not None:
    DATABASES["owner"] = {**_owner_database, **_DATABASE_DEFAULTS, "OPTIONS": {"options": "-c lock_timeout=30s"}}
DATABASE_ROUTERS = ["wallet_project.kernel.database.WalletRouter"]

CACHES = {
    "default": {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "wallet",
        "OPTIONS": {"SOCKET_CONNECT_TIMEOUT": 0.5, "SOCKET_TIMEOUT": 0.5},
    }
}

AUTHENTICATION_BACKENDS = ["accounts.backends.PermissionsBackend"]
# auth.W004: an e-mail is unique only once verified, so several may claim one; signing in finds the owner.
SILENCED_SYSTEM_CHECKS = ["auth.W004"]
PASSWORD_HASHERS = ["accounts.password_hashing.SizedArgon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 10},
    },
    {
        "NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator",
        "OPTIONS": {"user_attributes": ("full_name", "email", "phone")},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "/sign-in"
LOGIN_REDIRECT_URL = "/"

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["accounts.authentication.AccessTokenAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_THROTTLE_CLASSES": ["wallet_project.kernel.throttles.RouteThrottle"],
    "DEFAULT_PARSER_CLASSES": ["wallet_project.kernel.parsers.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "EXCEPTION_HANDLER": "wallet_project.kernel.problems.exception_handler",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "URL_FORMAT_OVERRIDE": None,
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Wallet API",
    "DESCRIPTION": "Hold a balance, add money, send it, pay merchants and read the history.",
    "VERSION": "1.0.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    # Several things have a `status`, a `type` or a `channel`; each list of values has a name of its own.
    "ENUM_NAME_OVERRIDES": {
        "UserStatus": "accounts.models.User.Status",
        "WalletStatus": "wallets.models.Wallet.Status",
        "BankAccountStatus": "payments.models.BankAccount.Validation",
        "TransactionStatus": "ledger.models.Transaction.Status",
        "TransactionType": "ledger.models.Transaction.Type",
        "LimitedType": "payments.models.limits.Limited",
        "WebhookEventType": "payments.merchant_webhooks.event_types.CHOICES",
        "Channel": "accounts.models.Channel",
    },
}

# Celery: Redis carries only ids that PostgreSQL also holds, so a lost queue loses no money.
CELERY_BROKER_URL = REDIS_URL
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 300,
    "socket_timeout": 3,
    "socket_connect_timeout": 1,
    # A request that finds no broker does the work itself, at once, rather than trying again for seconds.
    "max_retries": 1,
    "interval_start": 0,
    "interval_step": 0,
    "interval_max": 0,
}
CELERY_TASK_PUBLISH_RETRY = False
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_TIME_LIMIT = 120
CELERY_TASK_SOFT_TIME_LIMIT = 90
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TIMEZONE = TIME_ZONE
# Queues of their own, so that a worker can be kept for messages to people: they never wait behind a slow gateway there.
# Workers take from their queues in turn. A sweep expires after seconds, so it must not wait behind a thousand wake-ups:
# then none would run, and what was lost would not be found before the last of them is done.
CELERY_TASK_ROUTES = {
    "accounts.*": {"queue": "messages"},
    "payments.sweep_*": {"queue": "sweeps"},
    # Merchants' servers, of which any number may be slow: nothing else waits behind them.
    "payments.send_merchant_webhooks": {"queue": "webhooks"},
    "payments.*": {"queue": "gateway"},
}
SWEEP_SECONDS = 3.0 if IS_LOCAL else 15.0
CELERY_BEAT_SCHEDULE = beat_schedule(sweep_seconds=SWEEP_SECONDS)

STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = env.path("STATIC_ROOT", default=BASE_DIR / ".local" / "static")
# Images of identity documents, encrypted. The web serves nothing from here.
DOCUMENTS_DIR = env.path("WALLET_DOCUMENTS_DIR", default=BASE_DIR / ".local" / "documents")
if any(DOCUMENTS_DIR.resolve().is_relative_to(served.resolve()) for served in (STATIC_ROOT, *STATICFILES_DIRS)):
    raise ImproperlyConfigured("WALLET_DOCUMENTS_DIR must not lie where static files are served from.")
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": (
            "django.contrib.staticfiles.storage.StaticFilesStorage"
            if IS_LOCAL
            else "whitenoise.storage.CompressedManifestStaticFilesStorage"
        )
    },
}
WHITENOISE_USE_FINDERS = IS_LOCAL
WHITENOISE_ALLOW_ALL_ORIGINS = False

# A request body beyond this is refused (413); the server drains it first.
DATA_UPLOAD_MAX_MEMORY_SIZE = 256 * 1024
# The only doors that take an image, of five megabytes, and fields beside it.
LARGER_BODIES = dict.fromkeys(("/kyc", "/api/v1/me/kyc"), 5 * 1024 * 1024 + DATA_UPLOAD_MAX_MEMORY_SIZE)
# What is uploaded stays in memory: Django would else write larger files to disk, in the clear.
FILE_UPLOAD_HANDLERS = ["django.core.files.uploadhandler.MemoryFileUploadHandler"]
FILE_UPLOAD_MAX_MEMORY_SIZE = max(LARGER_BODIES.values())

# Lax: whoever comes back from the gateway's checkout must find themselves still signed in.
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
# Only a digest of each key rests in the database.
SESSION_ENGINE = "accounts.stored_sessions"
SESSION_COOKIE_SECURE = not IS_LOCAL
SESSION_COOKIE_NAME = "session" if IS_LOCAL else "__Host-session"
SESSION_COOKIE_AGE = 60 * 60 * 12
# By which a browser is known that signed in before. It says who is counted for wrong passwords, and opens nothing.
DEVICE_COOKIE_NAME = "device" if IS_LOCAL else "__Host-device"
MESSAGE_COOKIE_NAME = "messages" if IS_LOCAL else "__Host-messages"
MESSAGE_STORAGE = "wallet_project.kernel.page_headers.MessageCookies"
CSRF_COOKIE_SECURE = not IS_LOCAL
CSRF_COOKIE_NAME = "csrf" if IS_LOCAL else "__Host-csrf"
CSRF_COOKIE_HTTPONLY = True
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]
SECURE_SSL_REDIRECT = not IS_LOCAL
SECURE_REDIRECT_EXEMPT = [r"^health/"]
SECURE_HSTS_SECONDS = 0 if IS_LOCAL else 63_072_000
SECURE_HSTS_INCLUDE_SUBDOMAINS = not IS_LOCAL
SECURE_HSTS_PRELOAD = not IS_LOCAL
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
if not IS_LOCAL:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = browser_policy.content_security_policy(
    checkouts=[RAZORPAY_CHECKOUT_URL, *checkouts_of(GATEWAY_VARIABLES)]
)
PERMISSIONS_POLICY = browser_policy.PERMISSIONS

# E-mail leaves by SMTP or by a service's API; locally every message lands in the inbox instead.
if not EMAIL_URL.startswith("inbox:"):
    try:
        vars().update(mail_urls.mail_settings(EMAIL_URL))
    except ValueError as error:
        raise ImproperlyConfigured(f"EMAIL_URL must be {error} (or inbox: locally).") from None
if SMS_URL and not SMS_URL.startswith("inbox:"):
    _sms = urlsplit(SMS_URL)
    if _sms.scheme != "twilio" or not (_sms.username and _sms.password and _sms.hostname and "from=" in _sms.query):
        raise ImproperlyConfigured(
            "SMS_URL must be twilio://SID:TOKEN@HOST/?from=NUMBER (or inbox: locally, or empty)."
        )

LOGGING_CONFIG = None
logs.configure(level=logging.INFO, stream=sys.stderr)
