"""The cast, made anew for each test, and how a test reads what was sent to them."""

import itertools
import json
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from django.db import transaction
from django.test import Client
from django.utils import timezone

from accounts.addresses import Address, any_address
from accounts.consents import agree_by_registration
from accounts.models import InboxMessage, OutgoingMessage, User
from accounts.registration import enrol_verified
from accounts.roles import appoint_superuser
from accounts.sending import send_message
from accounts.verification import spend_try, verify
from wallet_project.kernel.clients import Client as OtherEnd
from wallet_project.kernel.clients import client

PASSWORD = "a-quiet-river-91"
_numbers = itertools.count(secrets.randbelow(900_000_000))


def new_email(name: str = "asha") -> str:
    return f"{name}.{secrets.token_hex(5)}@example.com"


def new_phone() -> str:
    """A number of India's mobile range that no other test uses."""
    return f"+919{next(_numbers) % 1_000_000_000:09d}"


def person(
    full_name: str = "Asha Rao", *, email: str | None = None, phone: str | None = None, password: str = PASSWORD
) -> User:
    """Somebody verified, who agreed to the terms, with an e-mail unless only a phone is given."""
    if email is None and phone is None:
        email = new_email()
    with transaction.atomic():
        user = enrol_verified(
            full_name=full_name,
            password=password,
            email=any_address(email) if email else None,
            phone=any_address(phone) if phone else None,
            now=timezone.now(),
        )
        agree_by_registration(user=user)
    return user


def superuser() -> User:
    user = person("Root", email=new_email("root"))
    appoint_superuser(user=user)
    return user


def call(
    method: str, path: str, body: Any = None, *, access: str = "", network: str = "127.0.0.1", **headers: str
) -> Any:
    """
    One request to the API: the response, whose `.json()` is its body.

    :param network: the IP address that it comes from.
    """
    if access:
        headers["Authorization"] = f"Bearer {access}"
    return Client(raise_request_exception=False).generic(
        method,
        f"/api/v1{path}",
        data=b"" if body is None else json.dumps(body),
        content_type="application/json",
        headers=headers,
        REMOTE_ADDR=network,
    )


@contextmanager
def asked_from(network: str) -> Iterator[None]:
    """What deeds do within, they do for a request from that IP address."""
    token = client.set(OtherEnd(address=network))
    try:
        yield
    finally:
        client.reset(token)


def deliver() -> None:
    """What the worker would do: send everything that waits."""
    for pk in OutgoingMessage.objects.filter(sent_at=None).order_by("pk").values_list("pk", flat=True):
        send_message(verification_id=pk, now=timezone.now())


def messages_to(address: str) -> list[InboxMessage]:
    return list(InboxMessage.objects.filter(to=address).order_by("-pk"))


def code_sent_to(address: str) -> str:
    """The code in the newest message: its only run of six to eight digits."""
    deliver()
    (code,) = re.findall(r"(?<!\d)\d{6,8}(?!\d)", messages_to(address)[0].text)
    return str(code)


def verify_with(address: str, code: str, *, now: datetime | None = None) -> User:
    """Both steps of the deed, as the door takes them."""
    now = now or datetime.now(UTC)
    where: Address = any_address(address)
    attempt = spend_try(address=where, now=now)
    with transaction.atomic():
        return verify(attempt=attempt, code=code, now=now)


def register_by_api(**body: Any) -> Any:
    return call("POST", "/auth/register", {"full_name": "Asha Rao", "password": PASSWORD, **body})


def tokens_of(user: User, password: str = PASSWORD) -> dict[str, Any]:
    answer = call("POST", "/auth/token", {"email": user.email, "password": password})
    assert answer.status_code == 200, answer.content
    return dict(answer.json())


def wrong(code: str) -> str:
    """Six digits that are not this code."""
    return f"{(int(code) + 1) % 1_000_000:06d}"
