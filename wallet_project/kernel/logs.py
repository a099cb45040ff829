"""
Structured logs: one JSON object a line, dotted event names, request ids.

What must never be written (secrets, codes, query strings, account numbers, full addresses) is removed by name and by
shape here, however deep in a value it lies, so that one careless call elsewhere cannot leak it. A line's end inside a
value is escaped by JSON: nobody can write lines of their own.
"""

import logging
import re
from collections.abc import Mapping, MutableMapping, Set
from functools import lru_cache
from typing import Any, Final, TextIO

import structlog

REMOVED: Final = "[removed]"
LONGEST_TEXT: Final = 20_000
# Of lists and objects inside a value; what lies deeper or comes after is left out.
DEEPEST: Final = 6
MOST_PARTS: Final = 100
_SECRET_NAMES = re.compile(
    r"(password|passwd|secret|token|authorization|cookie|signature|otp|credential|sealed|account_number|holder_name"
    r"|recovery|^pin$|^cvv|^code$|_code$|pepper|^key$|query_string|body)",
    re.I,
)
# Named so, but words of ours that say what went wrong.
_NO_SECRETS: Final = frozenset({"failure_code", "problem_code"})
# The caller's own, sane by its form, and no use to anybody if it is changed.
_AS_IT_IS: Final = frozenset({"request_id"})

# Whoever fills a text chooses it. So each of these goes over it once: what was gone over in vain is not begun again
# further on, for a pattern begins before its run and nowhere in it, or takes the run as it is and leaves it.
_PHONE = re.compile(r"\+\d{6,15}")
_EMAIL = re.compile(r"(?<![A-Za-z0-9._%+-])([A-Za-z0-9._%+-])[A-Za-z0-9._%+-]*+@([A-Za-z0-9.-]+)")
_QUERY = re.compile(r"(https?://[^\s?\"']++|(?<=\s)/[^\s?\"']*+)(\?[^\s\"']*+)?")
_LOGIN_IN_URL = re.compile(r"(?<=://)[^\s/@\"']++@")
_BEARER = re.compile(r"(Bearer|Basic)\s+[A-Za-z0-9._~+/=-]+")
_OTPAUTH = re.compile(r"otpauth(-migration)?://[^\s\"']*", re.I)
# `password=…`, `"secret": "…"`, `code is …`: a name and what follows it.
_NAMED = re.compile(
    r"\b(password|passwd|secret|token|otp|pin|cvv|pepper)\b([\"']?\s*(?:[=:]|\bis\b)\s*)[\"']?[^\s\"',;&)}\]]+", re.I
)
_CODE = re.compile(r"(\bcode\b\D{0,20})\b\d{6,8}\b", re.I)
# A signed or sealed token, a random key in base64url, a secret in base32.
_JWT = re.compile(r"\beyJ[A-Za-z0-9_-]++(\.[A-Za-z0-9_-]++\.[A-Za-z0-9_-]*+)?")
_RANDOM = re.compile(
    r"(?<![\w-])(?=[\w-]{0,99}[0-9])(?=[\w-]{0,99}[A-Z])(?=[\w-]{0,99}[a-z])[A-Za-z0-9_-]{32,}={0,2}(?![\w-])", re.A
)
_BASE32 = re.compile(r"(?<![A-Za-z0-9_])[A-Z2-7]{26,}(?![A-Za-z0-9_])")
# The token of a link in a message: a letter for each hexadecimal digit, also as a part of a path.
_LINK = re.compile(r"(?<![A-Za-z0-9_])[a-p]{40,}+(?![A-Za-z0-9_])")
# A bank account beside its branch, however short; and any long number, with or without blanks and dashes.
_ACCOUNT = re.compile(r"\b([A-Z]{4}0[A-Z0-9]{6})\b(\W{0,20}(?:account_number\W{1,5})?)\d{5,18}\b")
_LONG_NUMBER = re.compile(r"(?<![\w.-])\d{9,}(?![\w-])|(?<![\w.-])\d(?:[ -]?\d){12,}(?![\w-])")
_LONG = re.compile(r"[A-Za-z0-9_=.-]{24}")
_DIGITS = re.compile(r"(\d[ -]?){5}")
# PostgreSQL shows the whole row that a constraint refused, up to the line's end.
_FAILING_ROW = re.compile(r"(Failing row contains )\(.*")


def scrub(text: str) -> str:
    """Mask phones, e-mails, long numbers, credentials, secrets and query strings inside free text."""
    text = text if len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT] + "…"
    # Most of what is logged holds none of them, and is told apart at a glance.
    if "Failing row" in text:
        text = _FAILING_ROW.sub(rf"\1{REMOVED}", text)
    if "asic " in text or "earer " in text:
        text = _BEARER.sub(rf"\1 {REMOVED}", text)
    if ":" in text or "=" in text or " is " in text:
        text = _OTPAUTH.sub(f"otpauth://{REMOVED}", text)
        text = _LOGIN_IN_URL.sub(f"{REMOVED}@", text)
        text = _NAMED.sub(rf"\1\2{REMOVED}", text)
    if "?" in text:
        text = _QUERY.sub(lambda found: f"{found[1]}?{REMOVED}" if found[2] else found[1], text)
    if _LONG.search(text):
        text = _JWT.sub(lambda found: REMOVED if found[1] else found[0], text)
        for shape in (_RANDOM, _BASE32, _LINK):
            text = shape.sub(REMOVED, text)
    if _DIGITS.search(text):
        text = _CODE.sub(rf"\1{REMOVED}", text)
        text = _PHONE.sub(lambda found: "+…" + found.group()[-2:], text)
        text = _ACCOUNT.sub(rf"\1\2{REMOVED}", text)
        text = _LONG_NUMBER.sub(lambda found: "…" + found.group()[-2:], text)
    return _EMAIL.sub(r"\1…@\2", text) if "@" in text else text


def _remove_secrets(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name, value in event.items():
        if name not in _AS_IT_IS:
            event[name] = _clean(value) if name == "event" else _clean_named(name, value, 0)
    return event


def _clean_named(name: str, value: Any, depth: int) -> Any:
    return REMOVED if _is_secret(name) else _clean(value, depth)


@lru_cache(maxsize=1_024)
def _is_secret(name: str) -> bool:
    return name not in _NO_SECRETS and _SECRET_NAMES.search(name) is not None


def _clean(value: Any, depth: int = 0) -> Any:
    """Lists and objects stay what they are; whatever JSON does not know becomes text, as it would there."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return scrub(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return f"[{len(value)} bytes]"
    if depth >= DEEPEST:
        return "…"
    if isinstance(value, Mapping):
        named = list(value.items())[:MOST_PARTS]
        return {scrub(str(name)): _clean_named(str(name), part, depth + 1) for name, part in named}
    if isinstance(value, list | tuple | Set):
        return [_clean(part, depth + 1) for part in list(value)[:MOST_PARTS]]
    return scrub(repr(value))


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
    # Once: a logger that was used keeps the processors that it found, and would not know of others.
    if not structlog.is_configured():
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
