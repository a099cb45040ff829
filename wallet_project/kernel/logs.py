"""
Structured logs: one JSON object a line, dotted event names, request ids.

What must never be written (secrets, codes, query strings, full addresses) is removed by name and by
shape here, so that one careless call elsewhere cannot leak it.
"""

import logging
import re
from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog

_SECRET_NAMES = re.compile(
    r"(password|passwd|secret|token|authorization|cookie|signature|otp|^code$|pepper|^key$|query_string|body)", re.I
)
_PHONE = re.compile(r"\+\d{6,15}")
_EMAIL = re.compile(r"\b([A-Za-z0-9._%+-])[A-Za-z0-9._%+-]*@([A-Za-z0-9.-]+)")
_QUERY = re.compile(r"(https?://[^\s?\"']+|(?<=\s)/[^\s?\"']*)\?[^\s\"']*")
_BEARER = re.compile(r"(Bearer|Basic)\s+[A-Za-z0-9._~+/=-]+")


def scrub(text: str) -> str:
    """Mask phones, e-mails, credentials and query strings inside free text."""
    text = _BEARER.sub(r"\1 [removed]", text)
    text = _QUERY.sub(r"\1?[removed]", text)
    text = _PHONE.sub(lambda found: "+…" + found.group()[-2:], text)
    return _EMAIL.sub(r"\1…@\2", text)


def _remove_secrets(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name, value in event.items():
        if name != "event" and _SECRET_NAMES.search(name):
            event[name] = "[removed]"
        elif isinstance(value, str):
            event[name] = scrub(value)
    return event


def configure(*, level: int, stream: TextIO) -> None:
    """Send structlog and the standard library's loggers through one JSON renderer to `stream`."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.StackInfoRenderer(),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            _remove_secrets,
            structlog.processors.JSONRenderer(),
        ],
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    # Django's own request warnings repeat what our access event says, with the raw path.
    for name in ("django.request", "django.security.csrf", "urllib3", "asyncio"):
        logging.getLogger(name).setLevel(logging.ERROR)
    logging.getLogger("django.server").disabled = True
