"""
How a message leaves: e-mail by EMAIL_URL, SMS by SMS_URL. A new provider is one class and one registry line.

`inbox:` is the local demo's: a row in a table that only `/dev/inbox` reads.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol
from urllib.parse import parse_qs, unquote, urlsplit

import requests
from django.conf import settings
from django.core.mail import EmailMessage
from django.utils import timezone

from accounts.addresses import Address
from accounts.models import Channel, InboxMessage

SMS_TIMEOUT_SECONDS: Final = (3.0, 10.0)


@dataclass(frozen=True, slots=True)
class Message:
    """`subject` is left out where the channel has none."""

    subject: str
    text: str


class NotSent(Exception):
    """The provider did not take the message; it may be tried again. Never holds its text."""


class Sender(Protocol):
    def send(self, *, to: str, message: Message) -> None:
        """
        Hand the message over, within seconds.

        :raises NotSent:
        """


class InboxSender:
    """Writes what would have been sent where a person at the demo can read it."""

    def __init__(self, channel: str) -> None:
        self.channel = channel

    def send(self, *, to: str, message: Message) -> None:
        subject = message.subject if self.channel == "email" else ""
        InboxMessage.objects.create(
            channel=self.channel, to=to, subject=subject, text=message.text, sent_at=timezone.now()
        )


class MailSender:
    """SMTP by Django's mail; its time-out is EMAIL_TIMEOUT."""

    def send(self, *, to: str, message: Message) -> None:
        try:
            EmailMessage(subject=message.subject, body=message.text, to=[to]).send()
        except OSError as error:  # smtplib's errors are OSErrors too
            raise NotSent(type(error).__name__) from error


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

    def send(self, *, to: str, message: Message) -> None:
        try:
            answer = requests.post(
                self.url,
                data={"To": to, "From": self.sender, "Body": message.text},
                auth=(self.account, self.token),
                timeout=SMS_TIMEOUT_SECONDS,
                allow_redirects=False,
            )
        except requests.RequestException as error:
            raise NotSent(type(error).__name__) from error
        if answer.status_code != 201:
            raise NotSent(f"HTTP {answer.status_code}")


_SMS_PROVIDERS: Final[dict[str, Callable[[str], Sender]]] = {"twilio": TwilioSender}


def can_reach(channel: Channel) -> bool:
    """False for phones where SMS_URL is empty."""
    return channel == Channel.EMAIL or bool(settings.SMS_URL)


def send(*, to: Address, message: Message) -> None:
    """
    :raises NotSent:
    """
    _sender_for(to.channel).send(to=to.value, message=message)


def _sender_for(channel: Channel) -> Sender:
    by_email = channel == Channel.EMAIL
    url = settings.EMAIL_URL if by_email else settings.SMS_URL
    scheme = urlsplit(url).scheme
    if scheme == "inbox":
        return InboxSender("email" if by_email else "sms")
    return MailSender() if by_email else _SMS_PROVIDERS[scheme](url)
