"""
How a message leaves: e-mail by EMAIL_URL, SMS by SMS_URL, web push by VAPID_PRIVATE_KEY. A new provider of SMS is one
class and one registry line.

`inbox:` is the local demo's: a row in a table that only `/dev/inbox` reads.
"""

import re
import smtplib
from collections.abc import Callable
from datetime import timedelta
from email.utils import parseaddr, parsedate_to_datetime
from typing import Any, Final, Protocol
from urllib.parse import parse_qs, unquote, urlsplit

import requests
from anymail.exceptions import AnymailError, AnymailRecipientsRefused
from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.utils import timezone

from accounts import push
from accounts.envelopes import Envelope, NotSent, refused
from accounts.letters import Message, html_of
from accounts.models import InboxMessage, OutgoingMessage

__all__ = ["Envelope", "Message", "NotSent", "can_reach", "found_again", "send"]

By = OutgoingMessage.By
SMS_TIMEOUT_SECONDS: Final = (3.0, 10.0)
# How far the provider's clock may be behind ours.
_CLOCKS_DIFFER_BY: Final = timedelta(minutes=2)


class Sender(Protocol):
    def send(self, *, envelope: Envelope, message: Message) -> str:
        """
        Hand the message over, within seconds.

        :returns: what the provider calls it, if it says.
        :raises NotSent:
        """


class InboxSender:
    """Writes what would have been sent where a person at the demo can read it."""

    def send(self, *, envelope: Envelope, message: Message) -> str:
        by_email = envelope.by == By.EMAIL
        html_of(message)  # what would fail with a real provider fails here as well
        row = InboxMessage(
            channel="email" if by_email else "sms",
            to=envelope.to,
            subject=message.subject if by_email else "",
            text=message.text,
            sent_at=timezone.now(),
            message=envelope.number,
        )
        InboxMessage.objects.bulk_create([row], ignore_conflicts=True)
        return "inbox"


class MailSender:
    """
    Django's mail: SMTP, whose time-out is EMAIL_TIMEOUT, or a service by django-anymail.

    Neither can be asked what became of a mail whose connection broke while it was handed over, so it is sent again
    under the same Message-ID, by which mail servers and programs tell that it is one.
    """

    def send(self, *, envelope: Envelope, message: Message) -> str:
        own_id = f"<{envelope.key}@{_domain()}>"
        headers = {"Auto-Submitted": "auto-generated"}
        if envelope.key:
            # Postmark keeps it only if it is told to.
            headers |= {"Message-ID": own_id, "X-PM-KeepID": "true"}
        mail = EmailMultiAlternatives(subject=message.subject, body=message.text, to=[envelope.to], headers=headers)
        if html := html_of(message):
            mail.attach_alternative(html, "text/html")
        try:
            mail.send()
        except AnymailError as error:
            raise _refused_by_service(error) from error
        except OSError as error:  # smtplib's errors are OSErrors too
            raise _refused_by_server(error) from error
        status: Any = getattr(mail, "anymail_status", None)
        return str(getattr(status, "message_id", "") or own_id)[:255]


class TwilioSender:
    """
    Twilio's Messages resource: `twilio://ACCOUNT_SID:AUTH_TOKEN@api.twilio.com/?from=%2B15005550006`.

    https://www.twilio.com/docs/messaging/api/message-resource#create-a-message-resource
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.sender = parse_qs(parts.query).get("from", [""])[0]
        self.account, self.token = unquote(parts.username or ""), unquote(parts.password or "")
        host = parts.hostname or ""
        # Plain HTTP only towards this machine: a test's server.
        scheme = "http" if host in ("127.0.0.1", "localhost") else "https"
        port = f":{parts.port}" if parts.port else ""
        self.url = f"{scheme}://{host}{port}/2010-04-01/Accounts/{self.account}/Messages.json"

    def send(self, *, envelope: Envelope, message: Message) -> str:
        answer = self._ask("POST", data={"To": envelope.to, "From": self.sender, "Body": message.text})
        if answer.status_code != 201:
            raise refused(answer.status_code, str(_json(answer).get("code", "")))
        return str(_json(answer).get("sid", ""))[:255]

    def found_again(self, *, envelope: Envelope, message: Message) -> list[str]:
        """
        Messages that Twilio has of ours which may be this one; a code in it is another by now.

        https://www.twilio.com/docs/messaging/api/message-resource#read-multiple-message-resources

        :raises NotSent: it does not say.
        """
        answer = self._ask("GET", params={"To": envelope.to, "From": self.sender, "PageSize": "50"})
        if answer.status_code != 200:
            raise NotSent(f"HTTP {answer.status_code}", is_unknown=True)
        since = envelope.requested_at - _CLOCKS_DIFFER_BY
        try:
            return [
                str(each["sid"])
                for each in _json(answer)["messages"]
                if _without_digits(each["body"]) == _without_digits(message.text)
                and each["status"] not in ("failed", "undelivered", "canceled")
                and parsedate_to_datetime(each["date_created"]) >= since
            ]
        except (KeyError, TypeError, ValueError) as error:
            raise NotSent("not understood", is_unknown=True) from error

    def _ask(self, method: str, **named: Any) -> requests.Response:
        try:
            return requests.request(
                method,
                self.url,
                auth=(self.account, self.token),
                timeout=SMS_TIMEOUT_SECONDS,
                allow_redirects=False,
                **named,
            )
        except requests.ConnectTimeout as error:
            raise NotSent(type(error).__name__) from error
        except requests.RequestException as error:
            raise NotSent(type(error).__name__, is_unknown=True) from error


_SMS_PROVIDERS: Final[dict[str, Callable[[str], Sender]]] = {"twilio": TwilioSender}


def can_reach(channel: str) -> bool:
    """False for phones where SMS_URL is empty, and for browsers without a key for them."""
    return {By.EMAIL: True, By.PHONE: bool(settings.SMS_URL), By.PUSH: push.is_on()}[By(channel)]


def send(*, envelope: Envelope, message: Message) -> str:
    """
    :returns: the provider's id of it.
    :raises NotSent:
    """
    return _sender_for(envelope.by).send(envelope=envelope, message=message)


def found_again(*, envelope: Envelope, message: Message) -> list[str]:
    """
    What the provider already has that may be this message, by its ids; nothing where it cannot be asked.

    :raises NotSent: it could, and does not answer.
    """
    sender = _sender_for(envelope.by)
    return sender.found_again(envelope=envelope, message=message) if isinstance(sender, TwilioSender) else []


def _sender_for(by: OutgoingMessage.By) -> Sender:
    if by == By.PUSH:
        return push.PushSender()
    url = settings.EMAIL_URL if by == By.EMAIL else settings.SMS_URL
    scheme = urlsplit(url).scheme
    if scheme == "inbox":
        return InboxSender()
    return MailSender() if by == By.EMAIL else _SMS_PROVIDERS[scheme](url)


def _refused_by_service(error: AnymailError) -> NotSent:
    if isinstance(error, AnymailRecipientsRefused):
        return NotSent("recipient refused", is_final=True)
    if error.status_code is not None:
        return refused(error.status_code)
    return NotSent(type(error).__name__, is_unknown=not isinstance(error, requests.ConnectTimeout))


def _refused_by_server(error: OSError) -> NotSent:
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        codes = [code for code, _ in error.recipients.values()]
        return NotSent(f"recipient refused {max(codes, default=0)}", is_final=all(code >= 500 for code in codes))
    if isinstance(error, smtplib.SMTPDataError):
        return NotSent(f"content refused {error.smtp_code}", is_final=error.smtp_code >= 500)
    return NotSent(type(error).__name__, is_unknown=isinstance(error, smtplib.SMTPServerDisconnected | TimeoutError))


def _domain() -> str:
    return parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition("@")[2] or "localhost"


def _without_digits(text: str) -> str:
    return re.sub(r"[0-9]+", "#", text)


def _json(answer: requests.Response) -> dict[str, Any]:
    try:
        found = answer.json()
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
