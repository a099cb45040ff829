"""
EMAIL_URL as Django's settings: a mail server by SMTP, or an e-mail service by its own API (django-anymail).

A service counts what it was handed and answers with an id of its own, which support can look up there.
"""

from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import SplitResult, unquote, urlsplit

import dj_email_url

from wallet_project.kernel.outgoing import is_sound

SECONDS: Final = 10
_SMTP: Final = ("smtp", "smtps", "submission")
_PREFIX: Final = "anymail+"


@dataclass(frozen=True, slots=True)
class _Service:
    """
    :ivar key: the setting that its key stands in.
    :ivar path: of its API, below the host.
    :ivar has_domain: whether the URL's path names the domain that mails are sent from.
    """

    backend: str
    key: str
    path: str
    has_domain: bool = False


_SERVICES: Final = {
    "postmark": _Service("postmark", "POSTMARK_SERVER_TOKEN", "/"),
    "mailgun": _Service("mailgun", "MAILGUN_API_KEY", "/v3/", has_domain=True),
    "sendgrid": _Service("sendgrid", "SENDGRID_API_KEY", "/v3/"),
    "brevo": _Service("brevo", "BREVO_API_KEY", "/v3/"),
}
FORMS: Final = (
    "smtp://, smtps:// or submission://USER:PASSWORD@HOST:PORT, "
    "anymail+postmark://TOKEN@HOST, anymail+mailgun://KEY@HOST/DOMAIN, anymail+sendgrid://KEY@HOST or "
    "anymail+brevo://KEY@HOST"
)


def mail_settings(url: str) -> dict[str, Any]:
    """
    :raises ValueError: none of `FORMS`; says nothing of what it holds.
    """
    scheme = url.partition("://")[0]
    try:
        if scheme in _SMTP:
            return _by_smtp(url)
        service = _SERVICES.get(scheme.removeprefix(_PREFIX)) if scheme.startswith(_PREFIX) else None
        found = service and _by_api(service, urlsplit(url))
    except ValueError:
        found = None
    if not found:
        raise ValueError(FORMS)
    return found


def _by_smtp(url: str) -> dict[str, Any]:
    return {**dj_email_url.parse(url), "EMAIL_TIMEOUT": SECONDS}


def _by_api(service: _Service, parts: SplitResult) -> dict[str, Any] | None:
    key, domain, address = unquote(parts.username or ""), parts.path.strip("/"), _address(parts, service)
    sound = (
        key
        and parts.password is None
        and not parts.query
        and not parts.fragment
        and is_sound(address)
        and (("." in domain and "/" not in domain) if service.has_domain else not domain)
    )
    if not sound:
        return None
    name = service.backend.upper()
    settings: dict[str, Any] = {
        service.key: key,
        f"{name}_API_URL": address,
        # A link that is rewritten goes by a stranger, and some of ours stop a wallet.
        f"{name}_SEND_DEFAULTS": {"track_clicks": False, "track_opens": False},
        "REQUESTS_TIMEOUT": SECONDS,
    }
    if service.backend == "brevo":  # has no such switch for each message
        del settings[f"{name}_SEND_DEFAULTS"]
    if service.has_domain:
        settings[f"{name}_SENDER_DOMAIN"] = domain
    return {"EMAIL_BACKEND": f"anymail.backends.{service.backend}.EmailBackend", "ANYMAIL": settings}


def _address(parts: SplitResult, service: _Service) -> str:
    """By plain HTTP only towards this machine: a test's server."""
    scheme = "http" if parts.hostname in ("127.0.0.1", "localhost") else "https"
    port = f":{parts.port}" if parts.port else ""
    return f"{scheme}://{parts.hostname or ''}{port}{service.path}"
